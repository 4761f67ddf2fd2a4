# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whether what the compiler promised holds on the runtime.

`check` compiles a model with the stock compiler and with serenity, runs both
on the same inputs, and compares every predicted class of memory
(``docs/memory_model.md``) with the allocator, and all outputs.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir.compiling.compiler import SerenityOptions, compile_file, target_flags
from serenity_mlir.compiling.importing import load_model, model_name
from serenity_mlir.compiling.signatures import Signature, random_inputs, read_signatures
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.latency import Latency, measure_latencies
from serenity_mlir.measuring.measurement import Arena, CallMemory, Measurement, Value, measure

_log = logging.getLogger(__name__)

__all__ = [
    "CheckResult",
    "Difference",
    "FunctionCheck",
    "Prediction",
    "check",
    "compare_outputs",
    "compile_model",
    "find_disagreements",
    "read_prediction",
]

#: Every function is called this often: state shows from the second call on.
CALLS = 2

#: Largest difference of a rewritten function's float outputs, relative to the
#: largest magnitude of the output. Narrow types cannot hold that much; they
#: get eight units in the last place.
RELATIVE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Prediction:
    """What the report says about one function, in bytes; None where not static.

    Attributes:
      persistent_bytes: of the whole module, alive after load.
      external_bytes: inputs and results.
      transient_peak_bytes: largest sum of transient memory in a call.
      stock_transient_peak_bytes: the same for the stock compiler.
      stock_call_peak_bytes: inputs, results and transient memory at the worst
        moment of a call as the stock compiler makes it.
      peak_bytes: all memory at the worst moment. The sum of the three classes
        unless the report says less: with several regions the results may not
        exist yet when the transient memory is largest.
      exact: False where the peak depends on branches or trip counts; it is an
        upper bound then.
      slab_bytes: the largest slab of the function's regions.
      lower_bound_bytes: no order of that region's operations needs less.
      optimal: whether all regions' orders are proved to be best.
      rewritten: whether floats may round otherwise than in stock: sums were
        rewritten, or dispatches formed otherwise, which IREE's code generator
        may round differently.
      regions: number of execution regions.
    """

    persistent_bytes: int | None
    external_bytes: int | None
    transient_peak_bytes: int | None
    stock_transient_peak_bytes: int | None
    stock_call_peak_bytes: int | None
    peak_bytes: int | None
    exact: bool
    slab_bytes: int | None
    lower_bound_bytes: int | None
    optimal: bool | None
    rewritten: bool
    regions: int

    @property
    def additive(self) -> bool:
        """Whether the peak is the sum of the classes.

        If not (several regions), results do not exist yet when the transient
        memory is largest, and peak - persistent - external is less than it.
        """
        classes = (self.persistent_bytes, self.external_bytes, self.transient_peak_bytes)
        known = [value for value in classes if value is not None]
        return self.peak_bytes is None or (
            len(known) == len(classes) and self.peak_bytes == sum(known)
        )


@dataclass(frozen=True)
class Difference:
    """How far apart two runs' outputs are.

    Attributes:
      largest: largest absolute difference of any element, 0 if bitwise equal.
      bitwise: whether all bytes are equal.
      tolerable: whether all integers are equal, and all floats within the
        tolerance for rewritten functions.
      problem: what cannot be compared: numbers, types or shapes of results.
    """

    largest: float
    bitwise: bool
    tolerable: bool
    problem: str | None = None


@dataclass(frozen=True)
class FunctionCheck:
    """One entry point: prediction, both measurements, and what disagrees.

    `latencies` are those of stock and serenity by setting (`latency.SETTINGS`), where timing was
    asked for.
    """

    function: str
    arguments: tuple[str, ...]
    prediction: Prediction | None
    stock: Measurement
    serenity: Measurement
    difference: Difference
    disagreements: tuple[str, ...]
    latencies: Mapping[str, tuple[Latency, Latency]] | None = None

    @property
    def ratio(self) -> float | None:
        """Stock transient peak over ours, as measured; None without any."""
        ours = self.serenity.transient_peak_bytes
        return self.stock.transient_peak_bytes / ours if ours else None


@dataclass(frozen=True)
class CheckResult:
    """The answer of `check`. Seconds are of wall clock, and of processor time of all threads."""

    model: str
    functions: tuple[FunctionCheck, ...]
    stock_compile_seconds: float
    serenity_compile_seconds: float
    stock_compile_processor_seconds: float
    serenity_compile_processor_seconds: float
    report: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether every prediction held and all outputs agree."""
        return not any(function.disagreements for function in self.functions)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON data, without the arrays and the report."""
        functions = []
        for function in self.functions:
            functions.append(
                {
                    "name": function.function,
                    "arguments": list(function.arguments),
                    "stock": _measurement_dict(function.stock),
                    "serenity": _measurement_dict(function.serenity),
                    "predicted": (
                        dataclasses.asdict(function.prediction) if function.prediction else None
                    ),
                    "ratio": function.ratio,
                    "largest_difference": function.difference.largest,
                    "bitwise_equal": function.difference.bitwise,
                    "milliseconds": _latencies_dict(function.latencies),
                    "disagreements": list(function.disagreements),
                }
            )
        return {
            "schema": 1,
            "model": self.model,
            "ok": self.ok,
            "compile_seconds": {
                "stock": self.stock_compile_seconds,
                "serenity": self.serenity_compile_seconds,
            },
            "compile_processor_seconds": {
                "stock": self.stock_compile_processor_seconds,
                "serenity": self.serenity_compile_processor_seconds,
            },
            "functions": functions,
        }


def _measurement_dict(measurement: Measurement) -> dict[str, int]:
    return {
        "persistent_bytes": measurement.persistent_bytes,
        "external_bytes": measurement.external_bytes,
        "transient_peak_bytes": measurement.transient_peak_bytes,
        "peak_bytes": measurement.call.peak_bytes,
        "device_bytes_peak": measurement.peak_bytes,
    }


def _latencies_dict(
    latencies: Mapping[str, tuple[Latency, Latency]] | None,
) -> dict[str, Any] | None:
    if latencies is None:
        return None
    return {
        setting: {"stock": dataclasses.asdict(stock), "serenity": dataclasses.asdict(ours)}
        for setting, (stock, ours) in latencies.items()
    }


# --- compiling ---------------------------------------------------------------


def compile_model(
    path: Path, output: Path, flags: Sequence[str], serenity: SerenityOptions | None
) -> dict[str, Any]:
    """Compile `path` to `output` and return serenity's report.

    The one place where checking meets the compiler. With `serenity` None the
    stock compiler runs and the report is empty.

    Raises:
      SerenityError: the compilation failed, or wrote no report.
    """
    if serenity is None:
        compile_file(path, output_file=str(output), extra_args=list(flags), serenity=None)
        return {}
    report = output.with_suffix(".json")
    options = dataclasses.replace(serenity, report=report)
    compile_file(path, output_file=str(output), extra_args=list(flags), serenity=options)
    try:
        data: dict[str, Any] = json.loads(report.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SerenityError(f"the compiler wrote no usable report: {error}") from error
    return data


# --- reading the report ------------------------------------------------------


def _common(values: Sequence[int | None], combine: Any) -> int | None:
    """Combine values; None if there are none or one of them is unknown."""
    known = [value for value in values if value is not None]
    return int(combine(known)) if known and len(known) == len(values) else None


def read_prediction(report: Mapping[str, Any], function: str) -> Prediction | None:
    """Return what a report (DESIGN: schema 1) says about an entry point.

    Returns:
      None if the report has no such function.
    """
    found = None
    for entry in report.get("functions", ()):
        if not entry.get("initializer") and function in (
            entry.get("exported_as"),
            entry.get("name"),
        ):
            found = entry
            break
    if found is None:
        return None
    persistent = report.get("persistent_bytes")
    external = found.get("external_bytes")
    transient = found.get("transient_peak_bytes")
    peak = found.get("peak_bytes")
    # Null is unknown: what earlier calls have left in variables may come on top.
    if "peak_bytes" not in found and None not in (persistent, external, transient):
        peak = persistent + external + transient
    regions = found.get("regions", [])
    return Prediction(
        persistent_bytes=persistent,
        external_bytes=external,
        transient_peak_bytes=transient,
        stock_transient_peak_bytes=found.get("stock_transient_peak_bytes"),
        stock_call_peak_bytes=found.get("stock_call_peak_bytes"),
        peak_bytes=peak,
        # Between several regions the sum of the classes is only a bound.
        exact=bool(found.get("peak_is_exact", len(regions) <= 1)),
        slab_bytes=_common([region.get("slab_bytes") for region in regions], max),
        lower_bound_bytes=_common([region.get("lower_bound_bytes") for region in regions], max),
        optimal=all(region.get("optimal") for region in regions) if regions else None,
        rewritten=bool(found.get("rewrites") or report.get("rewrites"))
        or "fusion" in found.get("used", []),
        regions=len(regions),
    )


# --- comparing ---------------------------------------------------------------


def _compare_class(
    what: str, predicted: int | None, measured: int, *, exact: bool = True
) -> list[str]:
    if predicted is None or predicted == measured or (not exact and measured <= predicted):
        return []
    relation = "" if exact else "at most "
    return [f"{what}: predicted {relation}{predicted:,} bytes, the runtime took {measured:,}"]


def find_disagreements(
    prediction: Prediction | None, stock: Measurement, serenity: Measurement
) -> list[str]:
    """Return one sentence for every class of memory where prediction and runtime differ.

    A function that the report leaves out must not allocate anything but its
    inputs.
    """
    if prediction is None:
        call = serenity.call
        if call.transient_peak_bytes or call.result_bytes:
            return [f"the report has no function {serenity.function}, but it allocates memory"]
        return []

    problems = _compare_class("persistent", prediction.persistent_bytes, serenity.persistent_bytes)
    for number, call in enumerate(serenity.calls, 1):
        problems += [f"call {number}, {text}" for text in _call_problems(prediction, call)]
    if stock.functions != serenity.functions:
        problems.append(f"exported functions differ: {stock.functions} and {serenity.functions}")
    return problems + _stock_problems(prediction, stock, serenity)


def _stock_problems(prediction: Prediction, stock: Measurement, serenity: Measurement) -> list[str]:
    """Check what is said about the stock compiler, and that we are never worse."""
    # With several regions the stock module's classes need not add up, whatever
    # ours do: what its runtime shows of the transient memory is a lower bound.
    classes = (prediction.external_bytes, prediction.stock_transient_peak_bytes)
    known = [value for value in classes if value is not None]
    whole = prediction.stock_call_peak_bytes
    comparable = (
        prediction.exact
        and prediction.additive
        and (prediction.regions <= 1 if whole is None else whole == sum(known))
    )
    problems: list[str] = []
    if prediction.exact:
        problems = _compare_class(
            "peak of a call of the stock compiler",
            whole,
            stock.call.peak_bytes - stock.call.before_bytes,
        )
        problems += _compare_class(
            "transient peak of the stock compiler",
            prediction.stock_transient_peak_bytes,
            stock.transient_peak_bytes,
            exact=comparable,
        )
    ours, theirs = prediction.transient_peak_bytes, prediction.stock_transient_peak_bytes
    if comparable or ours is None or theirs is None:
        ours, theirs = serenity.transient_peak_bytes, stock.transient_peak_bytes
    if ours > theirs:
        problems.append(
            f"transient peak: {ours:,} bytes are more than the stock compiler's {theirs:,}"
        )
    return problems


def _call_problems(prediction: Prediction, call: CallMemory) -> list[str]:
    exact = prediction.exact
    problems = _compare_class(
        "external", prediction.external_bytes, call.external_bytes, exact=exact
    )
    if prediction.peak_bytes is not None:
        # Less is alive where a variable's first buffer was larger than its later ones; if more is,
        # an earlier call has left something behind.
        persistent = prediction.persistent_bytes
        missing = 0 if persistent is None else max(persistent - call.before_bytes, 0)
        peak = prediction.peak_bytes - missing
        problems += _compare_class("peak", peak, call.peak_bytes, exact=exact)
        if not (exact and prediction.additive):
            return problems  # The runtime shows transient memory only within the peak.
    return problems + _compare_class(
        "transient peak",
        prediction.transient_peak_bytes,
        call.transient_peak_bytes,
        exact=exact,
    )


def _compare_arrays(expected: npt.NDArray[Any], actual: npt.NDArray[Any]) -> Difference:
    if expected.tobytes() == actual.tobytes():
        return Difference(0.0, True, True)
    if expected.dtype.kind in "iub":
        distance = np.abs(expected.astype(np.float64) - actual.astype(np.float64))
        return Difference(float(distance.max()), False, False)
    if expected.dtype.kind == "c":
        wide: type[Any] = np.complex128
        epsilon = float(np.finfo(expected.dtype).eps)
    elif expected.dtype.kind == "f":
        wide, epsilon = np.float64, float(np.finfo(expected.dtype).eps)
    else:
        wide, epsilon = np.float64, 2.0**-7  # bfloat16, which numpy does not know
    left, right = expected.astype(wide), actual.astype(wide)
    finite = np.isfinite(left)
    # Infinities and NaNs must stand in the same places.
    same = np.array_equal(left[~finite], right[~finite], equal_nan=True)
    if not same or not np.isfinite(right[finite]).all():
        return Difference(float("inf"), False, False)
    if not finite.any():
        return Difference(0.0, False, True)
    largest = float(np.abs(left[finite] - right[finite]).max())
    scale = float(np.abs(left[finite]).max())
    tolerance = max(RELATIVE_TOLERANCE, 8 * epsilon)
    return Difference(largest, False, largest <= tolerance * scale)


def compare_outputs(expected: Sequence[Value], actual: Sequence[Value]) -> Difference:
    """Compare the results of two runs, element by element.

    Floats tolerate `RELATIVE_TOLERANCE` times the largest magnitude of their
    array, integers nothing; whether that tolerance applies is the caller's
    decision (`Difference.bitwise` and `Difference.tolerable`).
    """
    if len(expected) != len(actual):
        problem = f"{len(expected)} results and {len(actual)}"
        return Difference(float("inf"), False, False, problem)
    total = Difference(0.0, True, True)
    for index, (left, right) in enumerate(zip(expected, actual, strict=True)):
        first, second = np.asarray(left), np.asarray(right)
        if first.dtype != second.dtype or first.shape != second.shape:
            problem = (
                f"result {index} is {first.dtype}{list(first.shape)} and "
                f"{second.dtype}{list(second.shape)}"
            )
            return Difference(float("inf"), False, False, problem)
        one = _compare_arrays(first, second)
        total = Difference(
            max(total.largest, one.largest),
            total.bitwise and one.bitwise,
            total.tolerable and one.tolerable,
        )
    return total


def _output_problems(difference: Difference, rewritten: bool) -> list[str]:
    if difference.problem:
        return [f"outputs cannot be compared: {difference.problem}"]
    if difference.bitwise or (rewritten and difference.tolerable):
        return []
    wanted = "beyond the tolerance for rewritten functions" if rewritten else "and must not differ"
    return [f"outputs differ by up to {difference.largest:.3g}, {wanted}"]


# --- the whole ---------------------------------------------------------------


def check(
    model: Any,
    args: Sequence[Any] | None = None,
    *,
    seed: int = 0,
    flags: Sequence[str] = (),
    serenity: SerenityOptions | None = None,
    serenity_flags: Sequence[str] = (),
    dynamic_size: int = 1,
    shapes: Mapping[str, Mapping[int, tuple[int, ...]]] | None = None,
    functions: Sequence[str] = (),
    timing: bool = False,
    driver: str = "local-sync",
) -> CheckResult:
    """Compile a model both ways, run both on the same inputs, and compare.

    Every measurement runs in a process of its own.

    Args:
      model: what `serenity_mlir.compile` takes: a path, a network's name, or an object of a
        framework.
      args: example arguments, where `serenity_mlir.compile` needs them.
      seed: of the random inputs.
      flags: flags of iree-compile for both compilations. Without a target
        among them, it is this machine's CPU.
      serenity: options; its report goes to a temporary place.
      serenity_flags: ``--serenity-*`` flags, after those of `serenity`.
      dynamic_size: extent of every dynamic dimension without a given shape.
      shapes: the shapes of arguments, by position, per function; the key
        ``""`` holds for all functions that have no key of their own.
      functions: the entry points to check; all if empty.
      timing: also measure the latency of both (`latency.measure_latencies`).
      driver: the runtime's HAL driver.

    Returns:
      What was predicted and measured; `CheckResult.ok` is the verdict.

    Raises:
      SerenityError: the model does not compile or run, or the arguments do
        not fit it (exit code 2).
    """
    options = serenity or SerenityOptions()
    with tempfile.TemporaryDirectory(prefix="serenity-check-") as name:
        directory = Path(name)
        source = load_model(model, directory, args)
        common = target_flags(flags)
        signatures = _select(read_signatures(source, flags), functions, model_name(model))

        modules = directory / "stock.vmfb", directory / "serenity.vmfb"
        _log.info("compiling %s with the stock compiler", model_name(model))
        start = _clocks()
        compile_model(source, modules[0], common, None)
        _log.info("compiling %s with serenity", model_name(model))
        middle = _clocks()
        report = compile_model(source, modules[1], [*common, *serenity_flags], options)
        end = _clocks()

        checks = []
        for signature in signatures:
            _log.info("running %s of %s both ways", signature.name, model_name(model))
            given = shapes or {}
            inputs = random_inputs(
                signature,
                seed,
                dynamic_size=dynamic_size,
                shapes=given.get(signature.name, given.get("")),
            )
            stock, ours = (
                measure(module, inputs, signature.name, driver, calls=CALLS) for module in modules
            )
            prediction = read_prediction(report, signature.name)
            rewritten = prediction is not None and prediction.rewritten
            difference = compare_outputs(_flatten(stock), _flatten(ours))
            problems = find_disagreements(prediction, stock, ours)
            problems += _output_problems(difference, rewritten)
            latencies = None
            if timing:
                arena = Arena(max(stock.call.arena_bytes, ours.call.arena_bytes))
                timed = [arena if isinstance(value, Arena) else value for value in inputs]
                measured = measure_latencies(modules, signature.name, timed)
                latencies = {setting: (of[0], of[1]) for setting, of in measured.items()}
            checks.append(
                FunctionCheck(
                    function=signature.name,
                    arguments=tuple(_describe(value) for value in inputs),
                    prediction=prediction,
                    stock=stock,
                    serenity=ours,
                    difference=difference,
                    disagreements=tuple(problems),
                    latencies=latencies,
                )
            )
    return CheckResult(
        model=model_name(model),
        functions=tuple(checks),
        stock_compile_seconds=middle[0] - start[0],
        serenity_compile_seconds=end[0] - middle[0],
        stock_compile_processor_seconds=middle[1] - start[1],
        serenity_compile_processor_seconds=end[1] - middle[1],
        report=report,
    )


def _clocks() -> tuple[float, float]:
    """Return seconds of wall clock, and of processor time of the subprocesses that ended.

    Compilers are the only ones that end between two readings in `check`, unless another thread of
    the caller starts programs too.
    """
    times = os.times()
    return times.elapsed, times.children_user + times.children_system


def _flatten(measurement: Measurement) -> list[Value]:
    return [value for outputs in measurement.call_outputs for value in outputs]


def _describe(value: Value) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}[{','.join(map(str, value.shape))}]"
    return "arena" if isinstance(value, Arena) else repr(value)


def _select(signatures: list[Signature], wanted: Sequence[str], model: str) -> list[Signature]:
    known = [signature.name for signature in signatures]
    for name in wanted:
        if name not in known:
            raise SerenityError(
                f"{model}: no entry point {name!r}; the module has {', '.join(known) or 'none'}",
                exit_code=2,
            )
    if not known:
        raise SerenityError(f"{model}: the module exports no function to run", exit_code=2)
    return [signature for signature in signatures if not wanted or signature.name in wanted]

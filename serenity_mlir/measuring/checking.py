# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares the compiler's predictions with the runtime.

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
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serenity_mlir._processes import processor_seconds
from serenity_mlir.compiling.compiler import SerenityOptions, compile_file, target_flags
from serenity_mlir.compiling.fixing import DynamicDimension
from serenity_mlir.compiling.importing import Imported, import_model, model_name
from serenity_mlir.compiling.messages import in_users_terms, shown_as
from serenity_mlir.compiling.signatures import Signature, read_signatures
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.inputs import load_inputs, random_inputs, read_inputs
from serenity_mlir.measuring.latency import Latency, measure_latencies
from serenity_mlir.measuring.measurement import Arena, Measurement, Storage, Value, measure
from serenity_mlir.measuring.predictions import (
    Prediction,
    find_disagreements,
    find_unpredicted,
    read_formulas,
    read_prediction,
    runtime_retained_bytes,
)
from serenity_mlir.measuring.tolerance import (
    Difference,
    compare_outputs,
    output_problems,
    perturb,
)
from serenity_mlir.reports.formulas import BytesFormula
from serenity_mlir.reports.reporting import Report, parse_report

_log = logging.getLogger(__name__)

__all__ = ["CheckResult", "FunctionCheck", "check", "compile_model"]

#: Runs of the stock module on perturbed inputs, where outputs are not bitwise equal.
_PERTURBED_RUNS = 2

#: Every function is called this often: state shows from the second call on.
CALLS = 2


@dataclass(frozen=True)
class FunctionCheck:
    """One entry point: prediction, both measurements, and their disagreements.

    `unpredicted` are the classes of memory of which the report says nothing, and `reason` why.
    `latencies` are those of stock and serenity by setting (`latency.SETTINGS`), where timing was
    asked for. `formula` and `stock_formula` are the transient peaks where they depend on
    dimensions, `exceeded` the dimensions that are larger in this call than their bounds.
    """

    function: str
    arguments: tuple[str, ...]
    prediction: Prediction | None
    stock: Measurement
    serenity: Measurement
    difference: Difference
    disagreements: tuple[str, ...]
    unpredicted: tuple[str, ...] = ()
    reason: str = ""
    latencies: Mapping[str, tuple[Latency, Latency]] | None = None
    formula: BytesFormula | None = None
    stock_formula: BytesFormula | None = None
    exceeded: tuple[str, ...] = ()

    @property
    def retained_bytes(self) -> int:
        """Bytes that the runtime keeps after every call of either module, in no prediction."""
        return runtime_retained_bytes(self.stock, self.serenity)

    @property
    def ratio(self) -> float | None:
        """Stock transient peak over serenity's, as measured; None without any."""
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
        """Whether every prediction that was made held, and all outputs agree."""
        return not any(function.disagreements for function in self.functions)

    @property
    def verdict(self) -> str:
        """The answer in words."""
        if not self.ok:
            return "the check failed"
        open_ones = [function for function in self.functions if function.unpredicted]
        if not open_ones:
            return "all predictions hold"
        told = "; ".join(
            f"no prediction for {', '.join(function.unpredicted)} of {function.function}: "
            f"{function.reason}"
            for function in open_ones
        )
        return f"{told}; outputs agree, and all else that was predicted holds"

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
                    "retained_bytes": function.retained_bytes,
                    "largest_difference": function.difference.largest,
                    "bitwise_equal": function.difference.bitwise,
                    "tolerance": function.difference.tolerance,
                    "tolerance_source": function.difference.source,
                    "unpredicted": list(function.unpredicted),
                    "bytes_formula": _formula_dict(function.formula),
                    "stock_bytes_formula": _formula_dict(function.stock_formula),
                    "exceeded_bounds": list(function.exceeded),
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


def _formula_dict(formula: BytesFormula | None) -> dict[str, Any] | None:
    return None if formula is None else dataclasses.asdict(formula)


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
        data: dict[str, Any] = json.loads(in_users_terms(report.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise SerenityError(f"the compiler wrote no usable report: {error}") from error
    return data


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
    inputs: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    fix_dims: Mapping[str, int] | None = None,
) -> CheckResult:
    """Compile a model both ways, run both on the same inputs, and compare.

    Every measurement runs in a process of its own.

    Args:
      model: as `serenity_mlir.compile` takes it: a path, a network's name, or an object of a
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
      inputs: arrays to run on instead of random ones, or a ``.npz`` file of them: see
        `inputs.read_inputs`.
      fix_dims: as in `serenity_mlir.compile`.

    Returns:
      The predictions and the measurements; `CheckResult.ok` is the verdict.

    Raises:
      SerenityError: the model does not compile or run, or the arguments do
        not fit it (exit code 2).
    """
    options = serenity or SerenityOptions()
    if inputs is not None:
        inputs = load_inputs(inputs) if isinstance(inputs, str | os.PathLike) else inputs
        inputs = {key: np.asarray(array) for key, array in inputs.items()}
    with tempfile.TemporaryDirectory(prefix="serenity-check-") as name:
        directory = Path(name)
        found = import_model(model, directory, args, fix_dims=fix_dims, flags=flags)
        with shown_as(found.path, model_name(model), found.dimension_aliases):
            common = target_flags(flags)
            signatures = _select(read_signatures(found.path, flags), functions, model_name(model))
            given = [
                read_inputs(signature, inputs, found.argument_names)
                if inputs is not None
                else random_inputs(
                    signature,
                    seed,
                    dynamic_size=dynamic_size,
                    shapes=(shapes or {}).get(signature.name, (shapes or {}).get("")),
                )
                for signature in signatures
            ]
            modules = directory / "stock.vmfb", directory / "serenity.vmfb"
            _log.info("compiling %s with the stock compiler", model_name(model))
            start = _clocks()
            compile_model(found.path, modules[0], common, None)
            _log.info("compiling %s with serenity", model_name(model))
            middle = _clocks()
            report = compile_model(found.path, modules[1], [*common, *serenity_flags], options)
            end = _clocks()
        checks = []
        parsed = parse_report(report)
        for signature, values in zip(signatures, given, strict=True):
            _log.info("running %s of %s both ways", signature.name, model_name(model))
            checks.append(
                _check_function(signature, values, modules, parsed, found, driver, seed, timing)
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


def _check_function(
    signature: Signature,
    inputs: Sequence[Value],
    modules: tuple[Path, Path],
    report: Report,
    model: Imported,
    driver: str,
    seed: int,
    timing: bool,
) -> FunctionCheck:
    """Run one entry point both ways and compare."""
    stock, ours = (
        measure(module, inputs, signature.name, driver, calls=CALLS) for module in modules
    )
    extents = _extents(inputs, model)
    prediction = read_prediction(report, signature.name, extents)
    formula, stock_formula = read_formulas(report, signature.name)
    rewritten = prediction is not None and prediction.rewritten
    difference = compare_outputs(_flatten(stock), _flatten(ours))
    if rewritten and not (difference.bitwise or difference.problem):
        others = []
        for run in range(_PERTURBED_RUNS):
            perturbed = perturb(inputs, seed + run)
            if perturbed is not None:
                other = measure(modules[0], perturbed, signature.name, driver, calls=CALLS)
                others.append(_flatten(other))
        difference = compare_outputs(_flatten(stock), _flatten(ours), others)
    problems = find_disagreements(prediction, stock, ours)
    problems += output_problems(difference, rewritten)
    unpredicted = find_unpredicted(prediction)
    latencies = None
    if timing:
        arena = Arena(max(stock.call.arena_bytes, ours.call.arena_bytes))
        timed = [arena if isinstance(value, Arena) else value for value in inputs]
        measured = measure_latencies(modules, signature.name, timed)
        latencies = {setting: (of[0], of[1]) for setting, of in measured.items()}
    return FunctionCheck(
        function=signature.name,
        arguments=tuple(_describe(value) for value in inputs),
        prediction=prediction,
        stock=stock,
        serenity=ours,
        difference=difference,
        disagreements=tuple(problems),
        unpredicted=tuple(unpredicted),
        reason=_reason_unpredicted(signature, model) if unpredicted else "",
        latencies=latencies,
        formula=formula,
        stock_formula=stock_formula,
        exceeded=tuple(
            f"{symbol.dimension} is {extents[symbol.dimension or '']:,}, its bound {symbol.bound:,}"
            for symbol in (formula.exceeded(extents) if formula else ())
        ),
    )


def _extents(inputs: Sequence[Value], model: Imported) -> dict[str, int]:
    """Return the extents of all axes of the inputs, by position and by the model's names."""
    extents = {
        f"arg{number}:axis{axis}": extent
        for number, value in enumerate(inputs)
        if isinstance(value, np.ndarray)
        for axis, extent in enumerate(value.shape)
    }
    named = {
        name: extents[position]
        for position, name in model.dimension_names.items()
        if position in extents
    }
    return {**extents, **named}


def _reason_unpredicted(signature: Signature, model: Imported) -> str:
    """Explain why a function's memory is not known at compile time, with a remedy."""
    named = list(model.dynamic) or [
        DynamicDimension(position, axis, f"arg{position}:axis{axis}")
        for position, argument in enumerate(signature.arguments)
        for axis, extent in enumerate(argument.shape or ())
        if extent is None
    ]
    if not named:
        return "it depends on values or earlier calls"
    # One that has a name is fixed in all inputs at once.
    names = list(dict.fromkeys(dimension.name for dimension in named))
    told = ", ".join(map(str, {dimension.name: dimension for dimension in named}.values()))
    flags = " ".join(f"--fix-dim {name}=N" for name in names)
    return f"dynamically sized ({told}); fix it with {flags}"


def _clocks() -> tuple[float, float]:
    """Return seconds of wall clock, and of processor time of the subprocesses that ended."""
    return time.monotonic(), processor_seconds()


def _flatten(measurement: Measurement) -> list[Value]:
    return [value for outputs in measurement.call_outputs for value in outputs]


def _describe(value: Value) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}[{','.join(map(str, value.shape))}]"
    if isinstance(value, Storage):
        return f"storage[{value.bytes}]"
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

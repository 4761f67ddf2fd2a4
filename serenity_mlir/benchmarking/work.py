# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The measurements of one network. Each function is work for `running.run_many`.

They take the name of a network of the package or the path of an ONNX file, return JSON data,
and raise `SerenityError` with the reason where something cannot be measured. All sizes are
in bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir.benchmarking.kept_reports import KeptReports
from serenity_mlir.benchmarking.peer_runs import PEERS, UnsupportedModelError, run_peer
from serenity_mlir.compiling.compiler import SerenityOptions, target_flags
from serenity_mlir.compiling.importing import load_model
from serenity_mlir.compiling.signatures import ArgumentType, Signature
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.checking import CheckResult, FunctionCheck, check, compile_model
from serenity_mlir.measuring.inputs import random_inputs
from serenity_mlir.measuring.measurement import measure
from serenity_mlir.measuring.tolerance import compare_outputs
from serenity_mlir.networks.quantizing import Storage, quantize
from serenity_mlir.reports.candidates import candidate_label, chosen_candidate
from serenity_mlir.reports.explaining import explain
from serenity_mlir.reports.predictions import predicted_and_built
from serenity_mlir.reports.reporting import FunctionReport, Report, parse_report
from serenity_mlir.running import content_digest

__all__ = [
    "ABLATION",
    "NO_TIME_LIMIT",
    "measure_bytes",
    "measure_overwriting",
    "measure_peer",
    "measure_quantized",
    "measure_run",
    "measure_scheduling",
    "model_name",
]

#: The paper's scheduler in its three steps, and the default: options of `scheduling.schedule`.
ABLATION: dict[str, dict[str, Any]] = {
    "dynamic programming": {"scheduler": "serenity", "disable": ("cut_points", "soft_budget")},
    "+ divide and conquer": {"scheduler": "serenity", "disable": ("soft_budget",)},
    "+ soft budget": {"scheduler": "serenity"},
    "default": {},
}

#: Seconds: limits of states end a search long before, so that results do not depend on the speed
#: of the machine.
NO_TIME_LIMIT = 3600

#: Seed of the weights and of the inputs.
SEED = 0

#: The compiler's defaults, with inputs kept.
_DEFAULT = SerenityOptions(time_limit=NO_TIME_LIMIT)

_OVERWRITING = dataclasses.replace(_DEFAULT, inputs="overwrite")

#: Orders, and keeps the arithmetic.
_ORDER_ONLY = dataclasses.replace(_DEFAULT, rewrite="off")

#: Largest difference of a peer's outputs, relative to the largest magnitude, at which it computes
#: the same function: rounding of another order of sums, through all layers.
SAME_FUNCTION = 1e-3


def model_name(model: str) -> str:
    """Returns the name under which a model's results are kept."""
    return Path(model).stem


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raises SerenityError in the main thread when the time is over; subprocesses end with it."""

    def expire(*_: object) -> None:
        raise SerenityError(f"took longer than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _onnx_file(model: str, directory: Path) -> Path:
    """Returns the ONNX file of a network or of a path."""
    if model.endswith(".onnx"):
        path = Path(model)
        if not path.is_file():
            raise SerenityError(f"{path}: no such file", exit_code=2)
        return path
    from serenity_mlir import networks

    path = directory / f"{model}.onnx"
    path.write_bytes(networks.build(model, seed=SEED).SerializeToString())
    return path


def _signature(path: Path) -> tuple[Signature, int, int, list[str]]:
    """Returns the entry point of an ONNX file, bytes of inputs and of outputs, element types."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    arguments: list[ArgumentType] = []
    sizes = [0, 0]
    types: set[str] = set()
    values = [(0, value) for value in graph.input if value.name not in constants]
    for which, value in [*values, *((1, value) for value in graph.output)]:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        shape = tuple(int(extent.dim_value) for extent in tensor.shape.dim)
        if not all(extent.HasField("dim_value") for extent in tensor.shape.dim):
            raise SerenityError(f"{path}: {value.name} has a dynamic shape", exit_code=2)
        sizes[which] += int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        short = f"{'f' if dtype.kind == 'f' else 'i'}{8 * dtype.itemsize}"
        types.add(dtype.name)
        if which == 0:
            arguments.append(ArgumentType("i1" if dtype.kind == "b" else short, shape))
    return Signature(graph.name, tuple(arguments)), sizes[0], sizes[1], sorted(types)


def _inputs(path: Path) -> list[npt.NDArray[Any]]:
    values = random_inputs(_signature(path)[0], SEED)
    return [np.asarray(value) for value in values]


def _about(model: str, path: Path) -> dict[str, Any]:
    """Returns the properties of a network that need no measurement."""
    _, input_bytes, output_bytes, types = _signature(path)
    about: dict[str, Any] = {
        "name": model_name(model),
        "family": None,
        "set": None,
        "input_bytes": input_bytes,
        "output_bytes": output_bytes,
        "element_types": types,
    }
    if not model.endswith(".onnx"):
        from serenity_mlir import networks

        info = networks.info(model)
        about.update(
            family=info.family,
            set=info.set,
            operations=info.operations,
            parameters=info.parameters,
            multiply_accumulates=info.multiply_accumulates,
        )
    return about


def _only_function(report: Report) -> FunctionReport:
    functions = report.called
    if len(functions) != 1:
        raise SerenityError(f"{len(functions)} functions; only models with one are compared")
    return functions[0]


def _predict(source: Path, directory: Path, options: SerenityOptions) -> dict[str, Any]:
    """Compiles until memory is allocated and returns the report: no code is generated or run."""
    flags = [*target_flags([]), "--compile-to=stream"]
    return compile_model(source, directory / "module.mlir", flags, options)


def _keep_report(output: str, name: str, data: dict[str, Any]) -> None:
    reports = Path(output) / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    (reports / f"{name}.json").write_text(json.dumps(data), "utf-8")


def _peaks(function: FunctionReport, order: FunctionReport) -> dict[str, int | None]:
    """Returns the transient peaks of stock, of ordering alone and of serenity's default."""
    return {
        "stock": function.stock_transient_peak_bytes,
        "order": order.transient_peak_bytes,
        "serenity": function.transient_peak_bytes,
    }


def measure_bytes(model: str, *, output: str, kept: KeptReports, seconds: float) -> dict[str, Any]:
    """Reads the bytes of a network from the reports of three compilations, and runs nothing.

    What no step has compiled yet is compiled until memory is allocated.

    Args:
      model: name or path.
      output: folder for the report (``reports/NAME.json``).
      kept: reports of the other steps.
      seconds: time limit.

    Returns:
      The network's properties, and the transient peak (slab) of IREE's default, of ordering alone
      (``--serenity-rewrite=off``) and of serenity's default; ``overwriting_peak_bytes`` is the peak
      of a call with inputs and results under ``--serenity-inputs=overwrite``.
    """
    with tempfile.TemporaryDirectory(prefix="serenity-bench-") as folder, _limit(seconds):
        directory = Path(folder)
        path = _onnx_file(model, directory)
        found = _about(model, path)
        source: Path | None = None
        reports = []
        for options in (_ORDER_ONLY, _OVERWRITING, _DEFAULT):
            data = kept.find(path, options)
            if data is None:
                source = source or load_model(path, directory)
                data = _predict(source, directory, options)
            reports.append(data)
    order, overwriting = (_only_function(parse_report(data)) for data in reports[:2])
    _keep_report(output, model_name(model), reports[-1])
    report = parse_report(reports[-1])
    function = _only_function(report)
    found["transient_peak_bytes"] = _peaks(function, order)
    found["external_bytes"] = function.external_bytes
    found["overwriting_peak_bytes"] = overwriting.peak_bytes
    for key, of in (("order_optimal", order), ("optimal", function)):
        found[key] = all(region.optimal for region in of.regions)
    found["rewrites"] = len(function.rewrites)
    chosen = chosen_candidate(function)
    found["candidate"] = candidate_label(chosen) if chosen else None
    found["built_candidates"] = len(predicted_and_built(function))
    found["mispredicted_candidates"] = sum(of.mispredicted for of in function.candidates)
    found["seconds"] = dict(report.seconds)
    return found


def measure_quantized(
    model: str, *, storage: Storage, output: str, running: bool, timing: bool, seconds: float
) -> dict[str, Any]:
    """Quantizes a network and compiles it, until memory is allocated or to the end.

    Weights have a scale per channel; inputs and outputs are the integers, where the network
    quantizes them.

    Args:
      model: name or path.
      storage: integers of the activations.
      output: folder for the report (``reports/NAME_STORAGE.json``).
      running: compile to the end, stock and by default, run both and compare (`checking.check`).
      timing: measure the latency of what is run.
      seconds: time limit.

    Returns:
      The transient peak (slab) of IREE's default, of ordering alone and of serenity's default, the
      bytes of inputs and results, how many values that the model quantizes are stored in 32 bits
      (`wide_values`), the bytes of 32-bit elements at the peaks of its regions, and ``run`` as of
      `measure_run`, None without `running`.

    Raises:
      SerenityError: ONNX Runtime, the quantizer, is not installed (exit code 2).
    """
    import onnx

    with tempfile.TemporaryDirectory(prefix="serenity-bench-") as folder, _limit(seconds):
        directory = Path(folder)
        path = directory / f"{model_name(model)}_{storage}.onnx"
        made = quantize(
            onnx.load(str(_onnx_file(model, directory))),
            storage,
            per_channel=True,
            seed=SEED,
            integer_border=True,
        )
        onnx.save(made, str(path))
        source = load_model(path, directory)
        order = _only_function(parse_report(_predict(source, directory, _ORDER_ONLY)))
        run = None
        if running:
            load = os.getloadavg()[0]
            result = check(path, seed=SEED, serenity=_DEFAULT, timing=timing)
            run, data = _run_entry(result, load), dict(result.report)
        else:
            data = _predict(source, directory, _DEFAULT)
    _keep_report(output, path.stem, data)
    report = parse_report(data)
    function = _only_function(report)
    (explanation,) = explain(report)
    at_peak = [buffer for peak in explanation.peaks if peak is not None for buffer in peak.buffers]
    return {
        "transient_peak_bytes": _peaks(function, order),
        "external_bytes": function.external_bytes,
        "quantized_values": explanation.quantized_values,
        "wide_values": len(explanation.wide_values),
        "wide_bytes_at_peak": sum(
            buffer.bytes for buffer in at_peak if buffer.element_type in ("i32", "f32")
        ),
        "run": run,
    }


def _only_check(result: CheckResult) -> FunctionCheck:
    if len(result.functions) != 1:
        raise SerenityError("only models with one entry point are compared")
    return result.functions[0]


def _run_entry(result: CheckResult, load: float) -> dict[str, Any]:
    """Returns what is kept of a check that began at a load average."""
    _only_check(result)
    data = result.to_dict()
    return {
        **data["functions"][0],
        **{key: data[key] for key in ("compile_seconds", "compile_processor_seconds")},
        "load_averages": [load, os.getloadavg()[0]],
    }


def measure_run(
    model: str, *, output: str, kept: KeptReports, timing: bool, seconds: float
) -> dict[str, Any]:
    """Compiles a network stock and by default, runs both, and compares (`checking.check`).

    Args:
      model: name or path.
      output: folder for the first system's outputs (``outputs/NAME-DIGEST.npz``), which those of
        all others are compared with; the stock compiler's here.
      kept: gets the report of the default.
      timing: measure latency too.
      seconds: time limit.
    """
    with tempfile.TemporaryDirectory(prefix="serenity-bench-") as folder, _limit(seconds):
        path = _onnx_file(model, Path(folder))
        compared = _outputs_file(output, path)
        load = os.getloadavg()[0]
        result = check(path, seed=SEED, serenity=_DEFAULT, timing=timing)
        kept.keep(path, _DEFAULT, result.report)
    entry = _run_entry(result, load)
    outputs = [np.asarray(value) for value in result.functions[0].stock.outputs]
    return {**entry, **_compare_outputs(compared, "IREE", outputs)}


def measure_overwriting(model: str, *, kept: KeptReports, seconds: float) -> dict[str, Any]:
    """Runs a network with inputs overwritten, and compares it with modules that keep them.

    Args:
      model: name or path.
      kept: gets the reports of the default with inputs overwritten and of ordering alone.
      seconds: time limit.

    Returns:
      ``peak_bytes``, the bytes of inputs, results and transient values at the worst moment of a
      call under ``--serenity-inputs=overwrite`` as the runtime allocated them; ``disagreements``
      of that module as of `checking.check`; and of modules with ``--serenity-rewrite=off``, with
      inputs overwritten and kept: ``fusion`` of each (whether dispatches were formed otherwise than
      in stock, so that floats may round otherwise), and ``bitwise_equal`` and
      ``largest_difference`` between the outputs of the two.
    """
    with tempfile.TemporaryDirectory(prefix="serenity-bench-") as folder, _limit(seconds):
        directory = Path(folder)
        path = _onnx_file(model, directory)
        result = check(path, seed=SEED, serenity=_OVERWRITING)
        kept.keep(path, _OVERWRITING, result.report)
        checked = _only_check(result)
        source = load_model(path, directory)
        outputs, fusion = [], []
        for options in (_ORDER_ONLY, dataclasses.replace(_ORDER_ONLY, inputs="overwrite")):
            module = directory / f"{options.inputs}.vmfb"
            report = compile_model(source, module, target_flags([]), options)
            kept.keep(path, options, report)
            fusion.append("fusion" in _only_function(parse_report(report)).used)
            outputs.append(measure(module, _inputs(path)).outputs)
    kept_inputs, overwritten = outputs
    difference = compare_outputs(kept_inputs, overwritten)
    return {
        "peak_bytes": checked.serenity.call.peak_bytes,
        "disagreements": list(checked.disagreements),
        "fusion": fusion,
        "bitwise_equal": difference.bitwise,
        "largest_difference": difference.largest,
    }


def _outputs_file(output: str, model: Path) -> Path:
    """Returns where the first system's outputs of an ONNX file are, or will be."""
    return Path(output) / "outputs" / f"{model.stem}-{content_digest(str(model))[:8]}.npz"


def _compare_outputs(path: Path, system: str, values: Sequence[npt.NDArray[Any]]) -> dict[str, Any]:
    """Returns how far outputs are from those kept in `path`, or keeps them if they are the first.

    Raises:
      SerenityError: they are those of another function.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {f"{system} {index}": value for index, value in enumerate(values)}
        with open(path, "wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        return {"compared_with": None, "relative_difference": None}
    with np.load(path) as arrays:
        reference = arrays.files[0].rpartition(" ")[0]
        difference = _relative_difference([arrays[key] for key in arrays.files], values)
    if reference == system:
        return {"compared_with": None, "relative_difference": None}
    if not difference <= SAME_FUNCTION:
        raise SerenityError(f"its outputs differ from {reference}'s by {difference:.2g} (relative)")
    return {"compared_with": reference, "relative_difference": difference}


def _relative_difference(
    expected: Sequence[npt.NDArray[Any]], actual: Sequence[npt.NDArray[Any]]
) -> float:
    """Returns the largest difference of any output, relative to its largest magnitude."""
    if len(expected) != len(actual):
        raise SerenityError(f"{len(actual)} outputs instead of {len(expected)}")
    worst = 0.0
    for left, right in zip(expected, actual, strict=True):
        if left.shape != right.shape:
            raise SerenityError(f"an output of shape {right.shape} instead of {left.shape}")
        difference = np.abs(left.astype(np.float64) - right.astype(np.float64)).max(initial=0)
        relative = float(difference / (np.abs(left).max(initial=0) or 1))
        # Anything compares as false with NaN, so `max` alone would lose it.
        worst = relative if np.isnan(relative) else max(worst, relative)
        if np.isnan(worst):
            break
    return worst


def measure_peer(
    model: str, *, peer: str, python: str, output: str, seconds: float
) -> dict[str, Any]:
    """Asks one peer about a network.

    Its outputs are compared with those of the first system that left any in `output`, be it IREE
    (`measure_run`) or a peer: another function would be another model. Those of a quantized model
    are not compared: they differ by its rounding. Where the peer cannot take the network,
    ``unsupported`` in the result says why.
    """
    with tempfile.TemporaryDirectory(prefix="serenity-bench-") as folder:
        directory = Path(folder)
        path = _onnx_file(model, directory)
        (directory / "work").mkdir()
        kept = _outputs_file(output, path)
        try:
            answer, outputs = run_peer(
                PEERS[peer], python, path, _inputs(path), directory / "work", timeout=seconds
            )
        except UnsupportedModelError as error:
            return {"unsupported": str(error)}
    if PEERS[peer].storage != "float32":
        return {**answer, "compared_with": None, "relative_difference": None}
    return {**answer, **_compare_outputs(kept, PEERS[peer].title, outputs)}


def measure_scheduling(model: str, *, states: int) -> dict[str, Any]:
    """Times the paper's scheduler, its parts and serenity_mlir's on a network in the paper's model.

    Operations and bytes are those of `graph_rewriting.graph_instance`; times are processor seconds
    of the searching thread, the median of three where one takes less than a second. A search ends
    without a proof after that many states, so that the outcome does not depend on the load.
    """
    from serenity_mlir.benchmarking.paper import GRAPHS
    from serenity_mlir.core.scheduling import Problem, schedule
    from serenity_mlir.networks import graph_rewriting

    options = GRAPHS[model]
    rows = []
    for rewriting in options.rewritings:
        problem = Problem.from_dict(
            graph_rewriting.graph_instance(
                model,
                rewriting=rewriting,
                element_bytes=options.element_bytes,
                inputs=options.inputs,
            )
        )
        problem.check()
        runs = {}
        for name, arguments in ABLATION.items():
            times: list[float] = []
            while len(times) < 3:
                start = time.thread_time()
                result = schedule(
                    problem, time_limit=NO_TIME_LIMIT, state_limit=states, **arguments
                )
                times.append(time.thread_time() - start)
                if times[-1] > 1:
                    break
            runs[name] = {
                "seconds": statistics.median(times),
                "peak_bytes": result.peak_bytes,
                "optimal": result.optimal,
                "states": result.states,
            }
        rows.append(
            {
                "rewriting": rewriting,
                "operations": len(problem.operations),
                "published_optimum": options.optima.get(rewriting),
                "runs": runs,
            }
        )
    return {"graphs": rows, "element_bytes": dataclasses.asdict(options)["element_bytes"]}

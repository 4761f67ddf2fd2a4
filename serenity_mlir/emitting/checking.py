# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity check --target``: do the predicted bytes hold without an operating system?

`check_target` emits a model twice, by the stock compiler and by serenity, runs both on the target
with painted memory, and compares them with each other and with IREE's runtime on this machine.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir.compiling.compiler import SerenityOptions, target_flags
from serenity_mlir.compiling.importing import model_name
from serenity_mlir.emitting.harness import Run, run_emission
from serenity_mlir.emitting.project import (
    Emission,
    Source,
    describe,
    emit,
    load_source,
    model_identifier,
)
from serenity_mlir.emitting.targets import find_tool, target_named
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.inputs import load_inputs, random_inputs, read_inputs
from serenity_mlir.measuring.measurement import Value
from serenity_mlir.measuring.predictions import read_prediction
from serenity_mlir.measuring.tolerance import Difference, compare_outputs, output_problems, perturb

__all__ = ["TargetCheck", "check_target"]

#: Largest difference of floats between two processors, relative to the largest magnitude of the
#: output: they contract and order the operations of a sum differently.
PROCESSOR_TOLERANCE = 1e-4


@dataclass(frozen=True)
class TargetCheck:
    """The answer of `check_target`. Sizes are bytes.

    Attributes:
      model: its name.
      target: where it ran.
      serenity: as emitted; `serenity_run` has the results of its run.
      stock: the stock compiler's; None, with a reason in `stock_problem`, where it cannot be
        emitted, linked into the board's memory or run.
      difference: of the outputs of both on the target; None without stock.
      host_difference: of serenity's outputs from those of IREE's runtime on this machine.
      disagreements: one sentence for everything that does not hold.
    """

    model: str
    target: str
    serenity: Emission
    serenity_run: Run
    stock: Emission | None
    stock_run: Run | None
    stock_problem: str
    difference: Difference | None
    host_difference: Difference
    disagreements: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.disagreements

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON data, without the outputs."""
        return {
            "schema": 1,
            "model": self.model,
            "target": self.target,
            "ok": self.ok,
            "serenity": {**describe(self.serenity), **_run_dict(self.serenity_run)},
            "stock": (
                {**describe(self.stock), **_run_dict(self.stock_run)}
                if self.stock and self.stock_run
                else None
            ),
            "stock_problem": self.stock_problem or None,
            "largest_difference": self.difference.largest if self.difference else None,
            "bitwise_equal": self.difference.bitwise if self.difference else None,
            "largest_difference_from_host": self.host_difference.largest,
            "disagreements": list(self.disagreements),
        }


def _run_dict(run: Run) -> dict[str, int | None]:
    return {
        "linked_bytes": run.linked_bytes,
        "touched_bytes": run.touched_bytes,
        "damaged_bytes": run.damaged_bytes,
        "stack_bytes": run.stack_bytes,
        "instructions": run.instructions,
        "smallest_ram_bytes": run.ram_bytes,
    }


def _on_host(
    source: Source, inputs: Sequence[Value], directory: Path, seed: int
) -> list[list[npt.NDArray[Any]]]:
    """Run the stock compiler's module on IREE's runtime.

    Returns:
      Its outputs; then those for inputs that differ in the last places, where there are floats.
    """
    from serenity_mlir.measuring.checking import compile_model
    from serenity_mlir.measuring.measurement import measure

    module = directory / "host.vmfb"
    compile_model(source.model.path, module, target_flags(()), None)
    runs = [inputs, perturb(inputs, seed)]
    measured = [
        measure(module, list(values), source.signature.name, "local-sync", calls=1)
        for values in runs
        if values is not None
    ]
    return [[np.asarray(value) for value in one.call_outputs[0]] for one in measured]


def _near(difference: Difference, host: Sequence[npt.NDArray[Any]]) -> bool:
    """Whether outputs of two processors agree: integers may be one quantum apart."""
    if difference.problem or not np.isfinite(difference.largest):
        return False
    if difference.tolerable:
        return True
    floats = [value for value in host if value.dtype.kind in "fc" and value.size]
    if not floats:
        return difference.largest <= 1
    scale = max(float(np.abs(value[np.isfinite(value)]).max(initial=0)) for value in floats)
    return difference.largest <= max(PROCESSOR_TOLERANCE * scale, 0.0)


def _memory_problems(emission: Emission, run: Run) -> list[str]:
    problems = []
    predicted, arena = emission.predicted_bytes, emission.arena_bytes
    if emission.report and predicted != arena:
        said = "nothing" if predicted is None else f"{predicted:,} bytes"
        problems.append(f"arena: predicted {said}, emitted {arena:,} bytes")
    if run.linked_bytes != arena:
        problems.append(f"arena: emitted {arena:,} bytes, linked {run.linked_bytes:,}")
    if run.touched_bytes > run.linked_bytes:
        problems.append(f"arena: linked {run.linked_bytes:,} bytes, touched {run.touched_bytes:,}")
    if run.damaged_bytes:
        problems.append(f"{run.damaged_bytes} bytes outside the arena were overwritten")
    if not run.repeatable:
        problems.append("a second inference gave other outputs than the first")
    return problems


def check_target(
    model: Any,
    target: str,
    *,
    seed: int = 0,
    function: str | None = None,
    flags: Sequence[str] = (),
    serenity: SerenityOptions | None = None,
    serenity_flags: Sequence[str] = (),
    fix_dims: Mapping[str, int] | None = None,
    inputs: str | os.PathLike[str] | None = None,
    arena_holds_io: bool = False,
) -> TargetCheck:
    """Emit a model for a target, run it there, and compare bytes and outputs.

    Args:
      model: as `serenity_mlir.compile` takes it, example arguments aside.
      target: one of `targets.TARGETS`; all but ``host`` are emulated.
      seed: of the random inputs.
      function: the entry point, where there are several.
      flags: of iree-compile, for both compilers.
      serenity: options.
      serenity_flags: ``--serenity-*`` flags.
      fix_dims: extents of dynamic dimensions, as in `serenity_mlir.compile`.
      inputs: a ``.npz`` file of inputs (`inputs.read_inputs`); random ones without.
      arena_holds_io: place serenity's inputs and results in the arena, as in `emit`; the stock
        compiler's keep arrays of their own, and count in the comparison.

    Raises:
      SerenityError: a compiler or an emulator is not installed (exit code 2); the model cannot be
        emitted or run.
    """
    chosen = target_named(target)
    find_tool(chosen.compiler, chosen.packages)
    if chosen.bare_metal:
        find_tool(chosen.emulator[0], chosen.emulator_packages)
    with tempfile.TemporaryDirectory(prefix="serenity-check-") as temporary:
        work = Path(temporary)
        source = load_source(model, work, function, flags, fix_dims)
        name = model_identifier(model)
        if inputs is None:
            values = random_inputs(source.signature, seed)
        else:
            arguments = source.model.argument_names
            values = read_inputs(source.signature, load_inputs(inputs), arguments)
        arrays = [np.asarray(value) for value in values]
        host = _on_host(source, values, work, seed)
        ours = emit(
            source,
            name,
            chosen,
            [*flags, *serenity_flags],
            serenity or SerenityOptions(),
            work / "serenity",
            arena_holds_io=arena_holds_io,
        )
        our_run = run_emission(ours, arrays, work / "serenity" / "run")
        stock, stock_run, stock_problem = None, None, ""
        try:
            stock = emit(source, name, chosen, flags, None, work / "stock")
            stock_run = run_emission(stock, arrays, work / "stock" / "run")
        except SerenityError as error:
            stock_problem = _first_reason(str(error))
    return _compare(model_name(model), ours, our_run, stock, stock_run, stock_problem, host)


def _first_reason(text: str) -> str:
    """Return the line of an error that says most: the linker's about a region, or the first."""
    lines = text.splitlines()
    return next((line for line in lines if "overflowed" in line), lines[0]).strip()


def _compare(
    model: str,
    ours: Emission,
    our_run: Run,
    stock: Emission | None,
    stock_run: Run | None,
    stock_problem: str,
    host: Sequence[Sequence[npt.NDArray[Any]]],
) -> TargetCheck:
    problems = _memory_problems(ours, our_run)
    expected, perturbed = host[0], host[1:]
    host_difference = compare_outputs(expected, our_run.outputs, perturbed)
    if not _near(host_difference, expected):
        problems.append(
            host_difference.problem
            or f"outputs differ by up to {host_difference.largest:.3g} from this machine's"
        )
    difference = None
    if stock is not None and stock_run is not None:
        problems += [f"stock, {text}" for text in _memory_problems(stock, stock_run)]
        difference = compare_outputs(stock_run.outputs, our_run.outputs, perturbed)
        prediction = read_prediction(ours.report, ours.layout.program.function)
        rewritten = prediction is not None and prediction.rewritten
        problems += [
            f"stock and serenity: {text}" for text in output_problems(difference, rewritten)
        ]
        of, counted = "arena", (our_run.linked_bytes, stock_run.linked_bytes)
        if ours.layout.held:
            of = "arena, inputs and outputs"
            counted = counted[0], counted[1] + stock.layout.separate_bytes
        if counted[0] > counted[1]:
            problems.append(
                f"{of}: {counted[0]:,} bytes are more than the stock compiler's {counted[1]:,}"
            )
    return TargetCheck(
        model=model,
        target=ours.target.name,
        serenity=ours,
        serenity_run=our_run,
        stock=stock if stock_run else None,
        stock_run=stock_run,
        stock_problem=stock_problem,
        difference=difference,
        host_difference=host_difference,
        disagreements=tuple(problems),
    )

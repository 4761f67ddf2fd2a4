# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whether the stock compiler itself is wrong about a program on which results differ."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from serenity_mlir.fuzzing.program import Block, Operation, Program
from serenity_mlir.fuzzing.program import Value as ProgramValue
from serenity_mlir.fuzzing.structure import TARGETS, Tools
from serenity_mlir.measuring.measurement import Measurement, MeasurementError, Value
from serenity_mlir.measuring.tolerance import compare_outputs

__all__ = ["is_stock_wrong", "results_of", "with_barriers"]


def results_of(measured: Measurement) -> list[Value]:
    """The results of all calls."""
    return [value for outputs in measured.call_outputs for value in outputs]


def is_stock_wrong(
    program: Program,
    backend: str,
    tools: Tools,
    run: Callable[[Path, Sequence[Value]], Measurement],
    inputs: Sequence[Value],
    theirs: Measurement,
    directory: Path,
) -> bool:
    """Let the stock compiler judge results that differ: it may be wrong itself.

    It is if another backend gives results beyond rounding of the first one's, or if the first one
    does for the same program with a barrier behind every operation (`with_barriers`): with every
    backend IREE confuses arguments of functions that are called several times (CloneCallees.cpp),
    computes slices in place that overlap their targets, and computes only the elements that a
    strided window reads of a tensor with other readers. Programs that do not compile or run judge
    nothing.
    """
    other = next(name for name in TARGETS if name != backend)
    for judge, target in ((program, other), (with_barriers(program), backend)):
        source, module = directory / "judge.mlir", directory / "judge.vmfb"
        source.write_text(judge.text(), "utf-8")
        code, _ = tools.run(tools.stock, [str(source), *TARGETS[target], "-o", str(module)])
        if code != 0:
            continue
        try:
            right = run(module, inputs)
        except MeasurementError:
            continue
        # Not the usual tolerance: another backend rounds otherwise from the first product on.
        difference = compare_outputs(results_of(right), results_of(theirs))
        arrays = [v for v in right.outputs if isinstance(v, np.ndarray) and v.size]
        largest = max([float(np.abs(v.astype(np.float64)).max()) for v in arrays], default=0.0)
        if difference.problem is None and difference.largest > 0.05 * largest:
            return True
    return False


def with_barriers(program: Program) -> Program:
    """Return the program with all functions inlined and every tensor behind a barrier."""
    apart = copy.deepcopy(program)
    for function in apart.functions:
        function.noinline = False
        for block in _blocks(function.body):
            operations: list[Operation] = []
            for operation in block.operations:
                operations.append(operation)
                for i, value in enumerate(operation.results):
                    if value.type.shape is not None:
                        # Users keep their operand, which the barrier gives now.
                        operation.results[i] = made = ProgramValue(value.type)
                        operations.append(Operation("barrier", [made], [value]))
            block.operations = operations
    return apart


def _blocks(block: Block) -> list[Block]:
    """The block and all blocks in it, before any is changed."""
    return [block, *(inner for operation in block.walk() for inner in operation.blocks)]

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles a program with both compilers, runs both modules, and compares results and bytes."""

from __future__ import annotations

import copy
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir.fuzzing.program import Block, Function, Operation, Program, Type
from serenity_mlir.fuzzing.program import Value as ProgramValue
from serenity_mlir.fuzzing.structure import (
    REFUSED,
    TARGETS,
    Problem,
    Tools,
    diagnose_failure,
)
from serenity_mlir.measuring.measurement import (
    Measurement,
    MeasurementError,
    MeasurementServer,
    Value,
    measure,
)
from serenity_mlir.measuring.predictions import find_disagreements, read_prediction
from serenity_mlir.measuring.tolerance import compare_outputs

__all__ = ["DATA", "compare_execution", "draw_inputs"]

#: Kinds of inputs. Sums of small integers are exact in whatever order they are taken (in narrow
#: types mostly), so that a rewritten program has no rounding to hide behind; real numbers show a
#: change of order where none is allowed.
DATA = ("integers", "reals")

#: Seconds for the calls of one function: these programs take milliseconds.
_RUN_TIMEOUT = 120.0

#: Runs an entry point of a module on inputs, as often as the program needs.
_Run = Callable[[Path, Sequence[Value]], Measurement]

_DTYPES = {"f32": np.float32, "f16": np.float16, "i8": np.int8, "i32": np.int32}


def draw_inputs(function: Function, data: str, key: str) -> list[npt.NDArray[Any] | int]:
    """Draw arguments of a function.

    Args:
      function: an entry point.
      data: one of `DATA`.
      key: what the numbers depend on, beside function and data.

    Returns:
      An array per tensor; small natural numbers for scalars, which are conditions and trip counts.
    """
    rng = random.Random(f"inputs {key} {function.name} {data}")
    dynamic = rng.randrange(1, 8)
    values: list[npt.NDArray[Any] | int] = []
    for argument in function.body.arguments:
        if argument.type.shape is None:
            values.append(rng.randrange(4))
            continue
        values.append(_draw(argument.type, dynamic, data, rng))
    return values


def _draw(of: Type, dynamic: int, data: str, rng: random.Random) -> npt.NDArray[Any]:
    shape = tuple(dynamic if extent is None else extent for extent in of.dims)
    count = int(np.prod(shape, dtype=np.int64))
    if data == "integers" or not of.is_float:
        limit = 2 if data == "integers" else 100
        numbers: list[float] = [rng.randrange(-limit, limit + 1) for _ in range(count)]
    else:
        numbers = [rng.uniform(-1, 1) for _ in range(count)]
    if of.element == "bf16":
        import ml_dtypes

        return np.array(numbers, np.float32).astype(ml_dtypes.bfloat16).reshape(shape)
    return np.array(numbers, _DTYPES[of.element]).reshape(shape)


def compare_execution(
    program: Program,
    mode: str,
    backend: str,
    tools: Tools,
    server: MeasurementServer,
    key: str,
    flags: Sequence[str] = (),
) -> list[Problem]:
    """Compile and run a program both ways.

    Args:
      program: what to run.
      mode: of ``--serenity-rewrite``.
      backend: a key of `TARGETS`.
      tools: the compilers.
      server: of the measurements.
      key: of the inputs.
      flags: more flags for both compilers.

    Returns:
      What is not as promised.
    """
    with tempfile.TemporaryDirectory(prefix="serenity-fuzz-") as name:
        directory = Path(name)
        source = directory / "program.mlir"
        source.write_text(program.text(), "utf-8")
        stock, ours = directory / "stock.vmfb", directory / "ours.vmfb"
        report = directory / "report.json"
        common = [str(source), *TARGETS[backend], *flags]
        code, said = tools.run(tools.stock, [*common, "-o", str(stock)])
        if code != 0:
            return [Problem(REFUSED, diagnose_failure(code, said).text)]
        code, said = tools.run(
            tools.ours,
            [*common, f"--serenity-rewrite={mode}", f"--serenity-report={report}", "-o", str(ours)],
        )
        if code != 0 or "please report" in said:
            return [diagnose_failure(code, said)]
        data = json.loads(report.read_text("utf-8"))
        if ours.read_bytes() == stock.read_bytes() and not data["functions"]:
            return []  # Nothing to schedule, and nothing done.
        problems: list[Problem] = []
        if mode == "off" and (data["rewrites"] or any(f["rewrites"] for f in data["functions"])):
            problems.append(Problem("rewritten", "rewrites are reported though they are off"))
        for function in program.entry_points:
            prediction = read_prediction(data, function.name)
            # Sums in another order, or other dispatches, whose kernels may round differently.
            rounded = prediction is not None and prediction.rewritten
            run = partial(
                measure,
                function=function.name,
                # State shows from the second call on.
                calls=2 if any(item.mutable for item in program.globals) else 1,
                timeout=_RUN_TIMEOUT,
                server=server,
            )
            for kind in DATA:
                inputs = draw_inputs(function, kind, key)
                try:
                    theirs = run(stock, inputs)
                except MeasurementError as error:
                    return [Problem(REFUSED, f"the stock module does not run: {error}")]
                try:
                    mine = run(ours, inputs)
                except MeasurementError as error:
                    problems.append(Problem("run", f"{function.name}: {error}"))
                    break
                where = f"{function.name}, {kind}"
                wrong = _compare_results(where, theirs, mine, rounded)
                if wrong and _is_stock_wrong(
                    program, backend, tools, run, inputs, theirs, directory
                ):
                    return [Problem(REFUSED, f"{where}: the stock module's results are wrong")]
                if wrong and rounded and kind == "reals":
                    moved = _sensitivity(stock, run, inputs, theirs)
                    wrong = _compare_results(where, theirs, mine, rounded, moved)
                problems += [
                    Problem("memory", f"{where}: {text}")
                    for text in find_disagreements(prediction, theirs, mine)
                ]
                problems += wrong
        return problems


def _is_stock_wrong(
    program: Program,
    backend: str,
    tools: Tools,
    run: _Run,
    inputs: Sequence[Value],
    theirs: Measurement,
    directory: Path,
) -> bool:
    """Let the stock compiler judge results that differ: it may be wrong itself.

    It is if another backend gives results beyond rounding of the first one's, or if the first one
    does for the same program with its operations kept apart (`keep_apart`): with every backend
    IREE confuses arguments of functions that are called several times (see CloneCallees.cpp),
    computes slices in place that overlap what they are inserted into, and computes nothing but
    what a strided window reads of a tensor that others read as a whole. Programs that do not
    compile or run judge nothing.
    """
    other = next(name for name in TARGETS if name != backend)
    for judge, target in ((program, other), (keep_apart(program), backend)):
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
        difference = compare_outputs(_results(right), _results(theirs))
        arrays = [v for v in right.outputs if isinstance(v, np.ndarray) and v.size]
        largest = max([float(np.abs(v.astype(np.float64)).max()) for v in arrays], default=0.0)
        if difference.problem is None and difference.largest > 0.05 * largest:
            return True
    return False


def keep_apart(program: Program) -> Program:
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


def _sensitivity(stock: Path, run: _Run, inputs: Sequence[Value], theirs: Measurement) -> float:
    """Return by how much the stock module's results move with the last bits of its inputs.

    Where terms cancel, another order of a sum matters by much more than the last bits of the sum,
    but by no more than some units in the last place of every term (Higham, Accuracy and Stability
    of Numerical Algorithms, 4.2). Programs are short, so that inputs stand for terms.
    """
    rng = np.random.default_rng(0)
    largest = 0.0
    for _ in range(3):
        changed: list[Value] = []
        for value in inputs:
            if isinstance(value, np.ndarray) and value.dtype.kind not in "iub":
                eps = {np.float32: 2.0**-23, np.float16: 2.0**-10}.get(value.dtype.type, 2.0**-7)
                wide = value.astype(np.float64) * (1 + rng.choice([-4, 4], value.shape) * eps)
                changed.append(wide.astype(value.dtype))
            else:
                changed.append(value)
        try:
            moved = run(stock, changed)
        except MeasurementError:
            return 0.0
        largest = max(largest, compare_outputs(_results(theirs), _results(moved)).largest)
    return largest if np.isfinite(largest) else 0.0


def _results(measured: Measurement) -> list[Value]:
    return [value for outputs in measured.call_outputs for value in outputs]


def _compare_results(
    where: str, theirs: Measurement, mine: Measurement, rounded: bool, sensitivity: float = 0
) -> list[Problem]:
    difference = compare_outputs(_results(theirs), _results(mine))
    if difference.problem is not None:
        return [Problem("results", f"{where}: {difference.problem}")]
    if not rounded and not difference.bitwise:
        return [Problem("results", f"{where}: not bitwise equal, by up to {difference.largest:g}")]
    if not difference.tolerable and not difference.largest <= 8 * sensitivity:
        return [Problem("results", f"{where}: differ by up to {difference.largest:g}")]
    return []

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes a failing program small.

Greedy delta debugging on the program's own structure: a step takes something away (a function, a
result, the nest of a branch or loop, an operation whose value an argument or an operand of the same
type can stand in for) and is kept if the program still fails in the same way. Every step leaves
fewer operations, results or functions, so that the search ends; `budget` ends it earlier.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from serenity_mlir.fuzzing.generator.liveness import remove_dead
from serenity_mlir.fuzzing.program import Block, Function, Operation, Program, Value

__all__ = ["reduce_program"]

#: A step: changes the copy of a program that it is given, or says False if it does not apply.
_Step = Callable[[Program], bool]


def reduce_program(
    program: Program, fails: Callable[[Program], bool], budget: int = 300
) -> Program:
    """Return a smaller program that still fails.

    Args:
      program: one that fails; it is not changed.
      fails: whether a program fails in the way that matters.
      budget: the most calls of `fails`.
    """
    smallest = program
    progress = True
    while progress and budget > 0:
        progress = False
        position = 0
        while budget > 0:
            # The steps of the program as it is now; those before `position` did not help.
            steps = list(_steps(smallest))
            if position >= len(steps):
                break
            candidate = copy.deepcopy(smallest)
            if steps[position](candidate):
                remove_dead(candidate)
                if _size(candidate) < _size(smallest):
                    budget -= 1
                    if fails(candidate):
                        smallest = candidate
                        progress = True
                        continue
            position += 1
    return smallest


def _size(program: Program) -> tuple[int, int, int]:
    results = sum(len(function.body.results) for function in program.functions)
    arguments = sum(len(function.body.arguments) for function in program.functions)
    return program.count() + results + 10 * len(program.functions), results, arguments


def _steps(program: Program) -> Iterator[_Step]:
    """All steps, the ones that take the most away first."""
    if len(program.entry_points) > 1:
        for function in program.entry_points:
            yield _without_function(function.name)
    for function in program.entry_points:
        for position in reversed(range(len(function.body.results))):
            if len(function.body.results) > 1:
                yield _without_result(function.name, position)
    for position, operation in enumerate(_all(program)):
        for which in range(len(operation.blocks)):
            yield _hoisted(position, which)
    for position, operation in reversed(list(enumerate(_all(program)))):
        if not operation.results:
            yield _without_operation(position)
        else:
            yield _returned_early(position)
            for operand in range(len(operation.operands)):
                yield _replaced_by_operand(position, operand)
            yield _replaced_by_argument(position)


def _all(program: Program) -> list[Operation]:
    return [op for function in program.functions for op in function.body.walk()]


def _find(program: Program, position: int) -> tuple[Function, Block, Operation] | None:
    """The operation at a position of `_all`, and its block."""
    count = 0
    for function in program.functions:
        for operation in function.body.walk():
            if count == position:
                for block in _blocks(function.body):
                    if operation in block.operations:
                        return function, block, operation
            count += 1
    return None


def _blocks(block: Block) -> Iterator[Block]:
    yield block
    for operation in block.operations:
        for inner in operation.blocks:
            yield from _blocks(inner)


def _replace(program: Program, old: Value, new: Value) -> None:
    for function in program.functions:
        function.storage = [new if value is old else value for value in function.storage]
        for block in _blocks(function.body):
            block.results = [new if value is old else value for value in block.results]
            for operation in block.operations:
                operation.operands = [new if v is old else v for v in operation.operands]


def _without_function(name: str) -> _Step:
    def step(program: Program) -> bool:
        program.functions = [f for f in program.functions if f.name != name]
        return True

    return step


def _without_result(name: str, position: int) -> _Step:
    def step(program: Program) -> bool:
        for function in program.functions:
            if function.name == name:
                del function.body.results[position]
        return True

    return step


def _without_operation(position: int) -> _Step:
    def step(program: Program) -> bool:
        found = _find(program, position)
        if found is None:
            return False
        _, block, operation = found
        block.operations.remove(operation)
        return True

    return step


def _hoisted(position: int, which: int) -> _Step:
    """A block's operations in place of the branch or loop that holds it."""

    def step(program: Program) -> bool:
        found = _find(program, position)
        if found is None:
            return False
        _, outer, operation = found
        block = operation.blocks[which]
        at = outer.operations.index(operation)
        outer.operations[at : at + 1] = block.operations
        values = list(block.results)
        if operation.kind == "for":
            index, *carried = block.arguments
            for nested in block.walk():  # a row of the loop becomes the first
                if index in nested.operands:
                    nested.operands.remove(index)
            for inner, initial in zip(carried, operation.operands, strict=False):
                _replace(program, inner, initial)
                # A loop may yield its own iteration arguments.
                values = [initial if value is inner else value for value in values]
        for result, value in zip(operation.results, values, strict=True):
            _replace(program, result, value)
        return True

    return step


def _returned_early(position: int) -> _Step:
    """The operation's values as the function's only results."""

    def step(program: Program) -> bool:
        found = _find(program, position)
        if found is None:
            return False
        function, block, operation = found
        if not function.public or block is not function.body:
            return False
        values = [value for value in operation.results if value.type.shape is not None]
        if not values or values == function.body.results:
            return False
        function.body.results = values
        return True

    return step


def _replaced_by_operand(position: int, number: int) -> _Step:
    def step(program: Program) -> bool:
        found = _find(program, position)
        if found is None:
            return False
        _, _, operation = found
        operand = operation.operands[number]
        if any(result.type != operand.type for result in operation.results):
            return False
        if any(result.below != operand.below for result in operation.results):
            return False
        for result in operation.results:
            _replace(program, result, operand)
        return True

    return step


def _replaced_by_argument(position: int) -> _Step:
    """An argument in place of the operation's result, for entry points."""

    def step(program: Program) -> bool:
        found = _find(program, position)
        if found is None or not found[0].public:
            return False
        function, _, operation = found
        if operation.kind in ("constant", "splat"):
            return False
        for result in operation.results:
            argument = Value(result.type, result.below)
            function.body.arguments.append(argument)
            _replace(program, result, argument)
        return True

    return step

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Removal of unused operations, functions, globals and arguments."""

from __future__ import annotations

from serenity_mlir.fuzzing.program import Block, Operation, Program, Value

__all__ = ["remove_dead"]


def remove_dead(program: Program) -> None:
    """Remove unused operations, functions, globals and arguments."""
    for function in program.functions:
        _remove_dead_operations(function.body)
        used = _used(function.body)
        if function.public:
            block = function.body
            block.arguments = [v for v in block.arguments if v in used or v is block.arguments[0]]
    called = {
        op.attributes["callee"]
        for function in program.functions
        for op in function.body.walk()
        if op.kind == "call"
    }
    program.functions = [f for f in program.functions if f.public or f.name in called]
    names = {
        op.attributes["name"]
        for function in program.functions
        for op in function.body.walk()
        if op.kind in ("global_load", "global_store")
    }
    program.globals = [item for item in program.globals if item.name in names]


def _used(block: Block) -> set[Value]:
    used = set(block.results)
    for operation in block.walk():
        used.update(operation.operands)
        for inner in operation.blocks:
            used.update(inner.results)
    return used


def _remove_dead_operations(block: Block) -> None:
    """Drop operations without effects and users, from the end."""
    live = set(block.results)

    def mark(operation: Operation) -> None:
        live.update(operation.operands)
        for inner in operation.blocks:
            live.update(inner.results)
            for nested in inner.operations:
                mark(nested)

    kept = []
    for operation in reversed(block.operations):
        if operation.has_effect or any(value in live for value in operation.results):
            for inner in operation.blocks:
                _remove_dead_operations(inner)
            mark(operation)
            kept.append(operation)
    block.operations = kept[::-1]

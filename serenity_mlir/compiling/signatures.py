# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The entry points of a module, and inputs for them.

A compiled module keeps its signature as reflection only when it came through
the native ABI; ONNX and torch imports have none. So signatures are read from
the compiler's own IR at the phase that fixes them, ``abi``, where every
argument passes a ``hal.tensor.import``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from serenity_mlir._processes import run_command
from serenity_mlir.compiling.compiler import stock_compiler
from serenity_mlir.compiling.index_ranges import IndexUses
from serenity_mlir.compiling.index_uses import find_index_uses, integer_width
from serenity_mlir.compiling.messages import command_in_users_terms, in_users_terms
from serenity_mlir.errors import compilation_error

__all__ = ["ArgumentType", "Signature", "read_signatures"]


@dataclass(frozen=True)
class ArgumentType:
    """The type of an argument.

    Attributes:
      element: MLIR's name of the element type, ``f32`` for example.
      shape: extents of a tensor, None where dynamic; None for a scalar.
      arena: it is the buffer in which the function keeps its transient memory.
      storage: it is a buffer for a result, of the type that the other fields have.
    """

    element: str
    shape: tuple[int | None, ...] | None
    arena: bool = False
    storage: bool = False

    def __str__(self) -> str:
        """The type as MLIR prints it."""
        if self.shape is None:
            return self.element
        extents = "".join("?x" if extent is None else f"{extent}x" for extent in self.shape)
        return f"tensor<{extents}{self.element}>"


@dataclass(frozen=True)
class Signature:
    """An entry point that a caller of the compiled module can use.

    Attributes:
      name: as exported.
      arguments: types in order, without the fences of asynchronous functions.
      index_uses: the uses of the integer arguments as indices; None where there are none.
    """

    name: str
    arguments: tuple[ArgumentType, ...]
    index_uses: IndexUses | None = field(default=None, compare=False, repr=False)


def _argument_type(text: str) -> ArgumentType:
    """Parse ``tensor<2x?xf32>``, or the type of a scalar."""
    if not text.startswith("tensor<"):
        return ArgumentType(text, None)
    body = text[len("tensor<") : -1].split(",")[0]
    extents: list[int | None] = []
    while True:
        head, cross, rest = body.partition("x")
        if not cross or not (head == "?" or head.isdigit()):
            return ArgumentType(body, tuple(extents))
        extents.append(None if head == "?" else int(head))
        body = rest


def _declared_types(function: Any) -> dict[int, ArgumentType]:
    """Return the types of tensors by position that the reflection has; empty without one.

    It declares ``sync func @main(%input0: tensor<4xf32>, ...) -> ...``.
    """
    from iree.compiler import ir

    attributes = function.attributes
    if "iree.reflection" not in attributes:
        return {}
    reflection = ir.DictAttr(attributes["iree.reflection"])
    if "iree.abi.declaration" not in reflection:
        return {}
    inputs = ir.StringAttr(reflection["iree.abi.declaration"]).value.partition(") ->")[0]
    found = re.findall(r"%input(\d+): (tensor<[^<>]*>)", inputs)
    return {int(position): _argument_type(kind) for position, kind in found}


def _storage_type(argument: Any) -> ArgumentType:
    """Return the type of the result that goes to the caller's storage `argument`."""
    users = (use.owner.operation for use in argument.uses)
    alias = next(user for user in users if user.name == "hal.tensor.alias")
    return _argument_type(str(alias.results[0].type))


def _index_uses(function: Any, functions: dict[str, Any], signature: Signature) -> Signature:
    """Add to a signature the tensors that the function indexes with its integer arguments."""
    entry = function.regions[0].blocks[0]
    values = [value for value in entry.arguments if str(value.type) != "!hal.fence"]
    integers: dict[int, tuple[Any, int | None]] = {}
    for position, (value, argument) in enumerate(zip(values, signature.arguments, strict=True)):
        width = None
        if not (argument.arena or argument.storage):
            width = integer_width(argument.element)
        integers[position] = value, None if width == 1 else width
    return replace(signature, index_uses=find_index_uses(function, functions, integers))


def _argument_types(function: Any) -> tuple[ArgumentType, ...]:
    from iree.compiler import ir

    entry = function.regions[0].blocks[0]
    declared = _declared_types(function)
    arguments: list[ArgumentType] = []
    for argument in entry.arguments:
        kind = str(argument.type)
        if kind == "!hal.fence":
            continue
        users = [use.owner.operation.name for use in argument.uses]
        if "hal.tensor.transients" in users:
            arguments.append(ArgumentType(kind, None, arena=True))
            continue
        if kind == "!hal.buffer" and "hal.tensor.alias" in users:
            arguments.append(replace(_storage_type(argument), storage=True))
            continue
        if kind != "!hal.buffer_view":
            arguments.append(ArgumentType(kind, None))
            continue
        found = None
        for use in argument.uses:
            user = use.owner.operation
            if user.name == "hal.tensor.import":
                encoding = ir.TypeAttr(user.attributes["target_encoding"])
                found = _argument_type(str(encoding.value))
        if found is None and "hal.tensor.alias" in users:
            found = _storage_type(argument)
        # Unused arguments keep a type in the reflection only; without one any value serves.
        found = found or declared.get(len(arguments))
        arguments.append(found or ArgumentType("f32", ()))
    return tuple(arguments)


def _functions(module: Any) -> dict[str, Any]:
    """Return the functions that have a body, by name."""
    from iree.compiler import ir

    return {
        ir.StringAttr(operation.operation.attributes["sym_name"]).value: operation.operation
        for operation in module.body.operations
        if operation.operation.name == "util.func" and operation.operation.regions[0].blocks
    }


def _is_public(function: Any) -> bool:
    attributes = function.attributes
    return not ("sym_visibility" in attributes and "private" in str(attributes["sym_visibility"]))


def read_signatures(path: Path, flags: Sequence[str] = ()) -> list[Signature]:
    """Return the entry points of a module, in its order.

    Args:
      path: MLIR text or bytecode, as `importing.load_model` returns it.
      flags: further flags of iree-compile. They may change signatures: some
        demote element types.

    Raises:
      SerenityError: the module does not compile to the ``abi`` phase, or has operations that no
        dialect of IREE defines.
    """
    from iree.compiler import ir

    command = [stock_compiler(), str(path), "--compile-to=abi", "--emit-mlir-bytecode", *flags]
    process = run_command(command)
    if process.returncode != 0:
        errors = in_users_terms(process.stderr.decode("utf-8", "replace"))
        raise compilation_error(command_in_users_terms(command), process.returncode, errors)
    with ir.Context():
        try:
            module = ir.Module.parse(process.stdout)
        except ir.MLIRError as error:
            # iree-compile accepts such operations up to this phase.
            raise compilation_error(
                command_in_users_terms(command), 1, in_users_terms(str(error))
            ) from error
        functions = _functions(module)
        signatures = []
        for name, function in functions.items():
            if name.endswith("$async") or not _is_public(function):
                continue
            # The wrapper hands its buffers on; the types stand in the function it wraps.
            inner = functions.get(f"{name}$async", function)
            signature = Signature(name, _argument_types(inner))
            signatures.append(_index_uses(inner, functions, signature))
    return signatures

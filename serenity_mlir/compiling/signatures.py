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
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir.errors import SerenityError, parse_diagnostics
from serenity_mlir.measuring.measurement import Arena, Value

__all__ = [
    "ArgumentType",
    "Signature",
    "random_inputs",
    "read_signatures",
]

_DTYPES: dict[str, str] = {
    "i1": "bool",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "bf16": "bfloat16",
    "complex<f32>": "complex64",
    "complex<f64>": "complex128",
}


@dataclass(frozen=True)
class ArgumentType:
    """The type of an argument.

    Attributes:
      element: MLIR's name of the element type, ``f32`` for example.
      shape: extents of a tensor, None where dynamic; None for a scalar.
      arena: it is the buffer in which the function keeps its transient memory.
    """

    element: str
    shape: tuple[int | None, ...] | None
    arena: bool = False

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
    """

    name: str
    arguments: tuple[ArgumentType, ...]


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


def _function_signature(function: Any) -> tuple[str, Signature]:
    from iree.compiler import ir

    name = ir.StringAttr(function.attributes["sym_name"]).value
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
        if kind != "!hal.buffer_view":
            arguments.append(ArgumentType(kind, None))
            continue
        found = None
        for use in argument.uses:
            user = use.owner.operation
            if user.name == "hal.tensor.import":
                encoding = ir.TypeAttr(user.attributes["target_encoding"])
                found = _argument_type(str(encoding.value))
            elif user.name == "hal.tensor.alias" and found is None:
                # Storage that the caller provides for a result.
                found = _argument_type(str(user.results[0].type))
        # Unused arguments keep a type in the reflection only; without one any value serves.
        found = found or declared.get(len(arguments))
        arguments.append(found or ArgumentType("f32", ()))
    return name, Signature(name, tuple(arguments))


def _functions(module: Any) -> Iterator[Any]:
    for operation in module.body.operations:
        if operation.operation.name != "util.func":
            continue
        attributes = operation.operation.attributes
        private = "sym_visibility" in attributes and "private" in str(attributes["sym_visibility"])
        if not private and operation.operation.regions[0].blocks:
            yield operation.operation


def read_signatures(path: Path, flags: Sequence[str] = ()) -> list[Signature]:
    """Return the entry points of a module, in its order.

    Args:
      path: MLIR text or bytecode, as `importing.load_model` returns it.
      flags: further flags of iree-compile. They may change signatures: some
        demote element types.

    Raises:
      SerenityError: the module does not compile to the ``abi`` phase.
    """
    from iree.compiler import ir
    from iree.compiler.tools.binaries import find_tool

    stock = getattr(find_tool, "_serenity_stock", find_tool)
    command = [stock("iree-compile"), str(path), "--compile-to=abi", "--emit-mlir-bytecode", *flags]
    process = subprocess.run(command, capture_output=True, check=False)
    errors = process.stderr.decode("utf-8", "replace")
    if process.returncode != 0:
        raise SerenityError(
            f"{path}: compilation failed\n{errors.rstrip()}",
            diagnostics=parse_diagnostics(errors),
            exit_code=1,
            command=shlex.join(command),
            stderr=errors,
        )
    with ir.Context():
        module = ir.Module.parse(process.stdout)
        found = dict(_function_signature(function) for function in _functions(module))
    signatures = []
    for name, signature in found.items():
        if name.endswith("$async"):
            continue
        # The wrapper hands its buffers on; the types stand in the function it wraps.
        inner = found.get(f"{name}$async", signature)
        signatures.append(Signature(name, inner.arguments))
    return signatures


def _random(
    argument: ArgumentType, shape: tuple[int, ...], rng: np.random.Generator
) -> npt.NDArray[Any]:
    name = _DTYPES.get(argument.element)
    if name is None:
        raise SerenityError(
            f"arguments of type {argument} are not supported; known element types are "
            f"{', '.join(_DTYPES)}",
            exit_code=2,
        )
    if name == "bool":
        return rng.integers(0, 2, shape).astype(np.bool_)
    if name == "int8":
        return rng.integers(-128, 128, shape, dtype=np.int8)
    if name.startswith("int"):
        # Wider integers are often indices or counts: small and not negative.
        return rng.integers(0, 4, shape).astype(name)
    values = rng.standard_normal(shape)
    if name.startswith("complex"):
        return (values + 1j * rng.standard_normal(shape)).astype(name)
    if name == "bfloat16":
        import ml_dtypes

        return values.astype(ml_dtypes.bfloat16)
    return values.astype(name)


def random_inputs(
    signature: Signature,
    seed: int = 0,
    *,
    dynamic_size: int = 1,
    shapes: Mapping[int, tuple[int, ...]] | None = None,
) -> list[Value]:
    """Draw inputs for an entry point.

    Floats are standard normal, int8 covers its range, wider integers are 0 to
    3 (they may be indices), scalar integers 1 to 3. An arena is as large as
    the module asks for.

    Args:
      signature: the entry point.
      seed: of the values.
      dynamic_size: extent for every dynamic dimension without a shape given.
      shapes: the full shape of an argument by its position.

    Raises:
      SerenityError: a shape does not fit its type, or the element type is not
        supported (exit code 2).
    """
    rng = np.random.default_rng(seed)
    chosen = dict(shapes or {})
    values: list[Value] = []
    for position, argument in enumerate(signature.arguments):
        given = chosen.pop(position, None)
        if argument.arena:
            values.append(Arena())
            continue
        if argument.shape is None:
            if given is not None:
                raise SerenityError(
                    f"{signature.name}: argument {position} is a scalar and has no shape",
                    exit_code=2,
                )
            if argument.element in ("f16", "bf16", "f32", "f64"):
                # Exact in every type, whatever the width.
                values.append(float(rng.integers(1, 9)) / 4)
            else:
                values.append(int(rng.integers(1, 4 if argument.element != "i1" else 2)))
            continue
        shape = given or tuple(
            dynamic_size if extent is None else extent for extent in argument.shape
        )
        fits = len(shape) == len(argument.shape) and all(
            wanted in (None, extent) for wanted, extent in zip(argument.shape, shape, strict=True)
        )
        if not fits:
            raise SerenityError(
                f"{signature.name}: shape {'x'.join(map(str, shape))} does not fit argument "
                f"{position} of type {argument}",
                exit_code=2,
            )
        values.append(_random(argument, shape, rng))
    if chosen:
        raise SerenityError(
            f"{signature.name} has no argument {min(chosen)}; it has {len(signature.arguments)}",
            exit_code=2,
        )
    return values

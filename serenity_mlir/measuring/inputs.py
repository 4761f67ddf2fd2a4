# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Inputs for entry points: random ones, valid for their readers, or the user's own."""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir.compiling.index_ranges import Domain
from serenity_mlir.compiling.signatures import ArgumentType, Signature
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.measurement import Arena, Storage, Value

__all__ = ["load_inputs", "random_inputs", "read_inputs"]

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


_FLOATS = ("f16", "bf16", "f32", "f64")


def _dtype(argument: ArgumentType) -> np.dtype[Any]:
    name = _DTYPES.get(argument.element)
    if name is None:
        raise SerenityError(
            f"arguments of type {argument} are not supported; known element types are "
            f"{', '.join(_DTYPES)}",
            exit_code=2,
        )
    if name == "bfloat16":
        import ml_dtypes

        narrow: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return narrow
    return np.dtype(name)


# --- random ------------------------------------------------------------------


def _draw_integers(
    shape: tuple[int, ...], low: int, high: int, distinct: bool, rng: np.random.Generator
) -> npt.NDArray[Any]:
    """Return integers from `low` to `high`.

    With `distinct`, all are unlike one another; where there are too few values for that, all along
    each dimension (an index into one dimension), or all rows (an index into several), if possible
    with distinct values in each; where that is not possible either, they repeat.
    """
    count, span = math.prod(shape), high - low + 1
    if distinct and shape and 0 < count <= 1 << 24:
        if count <= span:
            return np.asarray(low + rng.choice(span, count, replace=False)).reshape(shape)
        if max(shape) <= span:
            diagonal: npt.NDArray[Any] = np.indices(shape).sum(axis=0) % span
            return np.asarray(low + rng.permutation(span)[diagonal])
        rows, width = count // shape[-1], shape[-1]
        if width <= span and math.perm(span, width) >= 2 * rows:
            # Rows of distinct values serve an index along the last dimension too.
            chosen: dict[tuple[int, ...], None] = {}
            while len(chosen) < rows:
                chosen[tuple(map(int, rng.permutation(span)[:width]))] = None
            return np.asarray(low + np.array(list(chosen))).reshape(shape)
        if rows <= span**width <= 1 << 24:
            numbers = rng.choice(span**width, rows, replace=False)
            digits = [numbers // span**place % span for place in range(width)]
            return (low + np.stack(digits, axis=-1)).reshape(shape)
    return rng.integers(low, high, shape, endpoint=True)


def _random(
    argument: ArgumentType,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    domain: Domain | None,
) -> npt.NDArray[Any]:
    dtype = _dtype(argument)
    if dtype.name == "bool":
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype.kind == "i":
        if domain is None and dtype.name == "int8":
            return rng.integers(-128, 128, shape, dtype=np.int8)
        known = domain or Domain(0, None)
        return _draw_integers(shape, known.low, known.last, known.distinct, rng).astype(dtype)
    values = rng.standard_normal(shape)
    if dtype.kind == "c":
        return (values + 1j * rng.standard_normal(shape)).astype(dtype)
    return values.astype(dtype)


def _random_scalar(
    argument: ArgumentType, rng: np.random.Generator, domain: Domain | None
) -> int | float:
    if argument.element in _FLOATS:
        # Exact in every type, whatever the width.
        return float(rng.integers(1, 9)) / 4
    if domain is not None:
        return domain.low
    return int(rng.integers(1, 2 if argument.element == "i1" else 4))


def argument_shapes(
    signature: Signature, dynamic_size: int, shapes: Mapping[int, tuple[int, ...]]
) -> dict[int, tuple[int, ...]]:
    """Return the shapes of all tensor arguments by position.

    Raises:
      SerenityError: a shape does not fit its argument's type (exit code 2).
    """
    chosen: dict[int, tuple[int, ...]] = {}
    for position, argument in enumerate(signature.arguments):
        given = shapes.get(position)
        if argument.shape is None or argument.arena:
            if given is not None:
                raise SerenityError(
                    f"{signature.name}: argument {position} is a scalar and has no shape",
                    exit_code=2,
                )
            continue
        shape = given or tuple(
            dynamic_size if extent is None else extent for extent in argument.shape
        )
        if not _fits(shape, argument):
            raise SerenityError(
                f"{signature.name}: shape {'x'.join(map(str, shape))} does not fit argument "
                f"{position} of type {argument}",
                exit_code=2,
            )
        chosen[position] = shape
    surplus = [position for position in shapes if position >= len(signature.arguments)]
    if surplus:
        raise SerenityError(
            f"{signature.name} has no argument {min(surplus)}; it has {len(signature.arguments)}",
            exit_code=2,
        )
    return chosen


def _fits(shape: Sequence[int], argument: ArgumentType) -> bool:
    wanted = argument.shape or ()
    return len(shape) == len(wanted) and all(
        extent in (None, given) for extent, given in zip(wanted, shape, strict=True)
    )


def random_inputs(
    signature: Signature,
    seed: int = 0,
    *,
    dynamic_size: int = 1,
    shapes: Mapping[int, tuple[int, ...]] | None = None,
) -> list[Value]:
    """Draw inputs for an entry point.

    Floats are standard normal. Integers that the function indexes, gathers or divides with are
    drawn from all values that are valid there (`index_ranges.IndexUses`), coordinates of a scatter
    without repetition. Of the others, int8 covers its range, wider integers are 0 to 3, scalars 1
    to 3. An arena is as large as the module asks for.

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
    chosen = argument_shapes(signature, dynamic_size, shapes or {})
    uses = signature.index_uses
    domains: dict[int, Domain] = {}
    if uses is not None:
        # Of its own: the values of the other arguments do not depend on it.
        chooser = np.random.default_rng([seed, 1])

        def pick(domain: Domain) -> int:
            return int(chooser.integers(domain.low, domain.last, endpoint=True))

        domains = uses.domains(chosen, pick)
    values: list[Value] = []
    for position, argument in enumerate(signature.arguments):
        if argument.arena:
            values.append(Arena())
        elif argument.storage:
            values.append(_storage(argument, chosen[position]))
        elif argument.shape is None:
            values.append(_random_scalar(argument, rng, domains.get(position)))
        else:
            values.append(_random(argument, chosen[position], rng, domains.get(position)))
    return values


def _storage(argument: ArgumentType, shape: tuple[int, ...]) -> Storage:
    return Storage(math.prod(shape) * _dtype(argument).itemsize)


# --- the user's own ----------------------------------------------------------


def load_inputs(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """Read a ``.npz`` file of inputs.

    Raises:
      SerenityError: it cannot be read, or holds anything but arrays (exit code 2).
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise SerenityError(
                    f"{path}: a single array, not a .npz archive; write it with "
                    "numpy.savez(FILE, x=..., y=...)",
                    exit_code=2,
                )
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise SerenityError(f"{path}: {error.strerror or error}", exit_code=2) from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SerenityError(f"{path}: not a .npz archive of arrays: {error}", exit_code=2) from None


def read_inputs(
    signature: Signature,
    arrays: Mapping[str, npt.NDArray[Any]],
    names: Sequence[str] = (),
) -> list[Value]:
    """Return the arguments of an entry point from named arrays.

    Args:
      signature: the entry point.
      arrays: an array for each argument that holds a value: under the argument's name; under its
        position among those, as ``arr_0``, ``input0``, ``arg0`` or ``0``; where a module has
        several entry points, after ``FUNCTION:``. An arena and storage for results are provided.
      names: the arguments' names, where the model has any.

    Raises:
      SerenityError: an array is missing, is surplus, or has another type or shape than its argument
        (exit code 2).
    """
    prefix = f"{signature.name}:"
    own = {key.removeprefix(prefix): array for key, array in arrays.items() if prefix in key}
    left = own or dict(arrays)
    positions = [
        position
        for position, argument in enumerate(signature.arguments)
        if not (argument.arena or argument.storage)
    ]
    found: dict[int, npt.NDArray[Any]] = {}
    for order, position in enumerate(positions):
        name = names[order] if order < len(names) else None
        keys = [key for key in left if key == name] or [
            key for key in left if re.fullmatch(rf"(?:arr_|input_?|arg)?{order}", key)
        ]
        if keys:
            found[position] = left.pop(keys[0])
    told = [
        f"{names[order] if order < len(names) else f'arr_{order}'}: {signature.arguments[at]}"
        for order, at in enumerate(positions)
    ]
    missing = [told[order] for order, at in enumerate(positions) if at not in found]
    if missing or left:
        reason = (
            f"no array for {', '.join(missing)}"
            if missing
            else f"no argument for {', '.join(sorted(left))}"
        )
        raise SerenityError(
            f"{signature.name}: {reason}; the arguments are {', '.join(told) or 'none'}",
            exit_code=2,
        )
    shapes = {at: array.shape for at, array in found.items()}
    values: list[Value] = []
    for position, argument in enumerate(signature.arguments):
        if argument.arena:
            values.append(Arena())
        elif argument.storage:
            shape = tuple(1 if extent is None else extent for extent in argument.shape or ())
            values.append(_storage(argument, shape))
        else:
            label = told[positions.index(position)]
            values.append(_given(signature, label, argument, found[position], shapes[position]))
    return values


def _given(
    signature: Signature,
    label: str,
    argument: ArgumentType,
    array: npt.NDArray[Any],
    shape: tuple[int, ...],
) -> Value:
    """Check one of the user's arrays."""
    if argument.shape is None:
        kind = "fiub" if argument.element in _FLOATS else "iub"
        if array.size != 1 or array.dtype.kind not in kind:
            raise SerenityError(
                f"{signature.name}: {label} takes one number, not {array.dtype}{list(shape)}",
                exit_code=2,
            )
        number = array.reshape(()).item()
        return float(number) if argument.element in _FLOATS else int(number)
    wanted = _dtype(argument)
    # numpy writes bfloat16 as raw bytes; signs are the reader's business in MLIR.
    same = array.dtype == wanted or (
        array.dtype.itemsize == wanted.itemsize
        and (array.dtype.kind == "V" or {array.dtype.kind, wanted.kind} <= set("iu"))
    )
    if not same or not _fits(shape, argument):
        raise SerenityError(
            f"{signature.name}: {label} takes {wanted}, not {array.dtype}{list(shape)}"
            if not same
            else f"{signature.name}: {label} does not take the shape {'x'.join(map(str, shape))}",
            exit_code=2,
        )
    return np.ascontiguousarray(array).view(wanted).reshape(shape)

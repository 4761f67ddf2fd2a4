# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Arguments for the functions of programs."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir.fuzzing.program import Function
from serenity_mlir.fuzzing.program import Value as ProgramValue
from serenity_mlir.measuring.measurement import Storage, Value

__all__ = ["DATA", "draw_bound", "draw_extents", "draw_inputs", "extents_of", "largest_extent"]

#: Kinds of inputs. Sums of small integers are exact in whatever order they are taken (in narrow
#: types mostly), so that a rewritten program has no rounding to hide behind; real numbers show a
#: change of order where none is allowed.
DATA = ("integers", "reals")

_DTYPES = {"f32": np.float32, "f16": np.float16, "i8": np.int8, "i32": np.int32, "i64": np.int64}


def draw_extents(function: Function, key: str) -> tuple[int | None, ...]:
    """Draw the extents of dynamic dimensions at which a function runs, for `draw_inputs`.

    Returns:
      Three of a function with such dimensions: the one that is drawn with its inputs, which is
      small, one, and a larger one. None alone for other functions.
    """
    if not any(argument.type.dynamic for argument in function.body.arguments):
        return (None,)
    rng = random.Random(f"extents {key} {function.name}")
    return (None, 1, rng.randrange(8, 100))


def draw_bound(key: str) -> int:
    """Draw a bound of dynamic dimensions: small, among the extents of calls, or above all."""
    return random.Random(f"bound {key}").choice([7, 40, 100])


def extents_of(inputs: Sequence[Value]) -> dict[str, int]:
    """Return the extents of all axes of arrays, as reports name them: ``argI:axisJ``."""
    return {
        f"arg{number}:axis{axis}": extent
        for number, value in enumerate(inputs)
        if isinstance(value, np.ndarray)
        for axis, extent in enumerate(value.shape)
    }


def largest_extent(function: Function, inputs: Sequence[Value]) -> int:
    """Return the largest extent of a dynamic dimension in arguments of a function; 0: no such."""
    return max(
        (
            extent
            for argument, value in zip(function.body.arguments, inputs, strict=False)
            if isinstance(value, np.ndarray)
            for fixed, extent in zip(argument.type.dims, value.shape, strict=True)
            if fixed is None
        ),
        default=0,
    )


def draw_inputs(function: Function, data: str, key: str, extent: int | None = None) -> list[Value]:
    """Draw arguments of a function.

    Args:
      function: an entry point.
      data: one of `DATA`.
      key: a seed of the numbers, beside function and data.
      extent: of all dynamic dimensions; None draws one from 1 to 7.

    Returns:
      An array per tensor; small natural numbers for scalars, which are conditions and trip counts;
      indices within their bounds; then the memory of the results that the caller provides.
    """
    rng = random.Random(f"inputs {key} {function.name} {data}")
    drawn = rng.randrange(1, 8)
    dynamic = drawn if extent is None else extent
    values: list[Value] = []
    for argument in function.body.arguments:
        if argument.type.shape is None:
            values.append(rng.randrange(argument.below or 4))
            continue
        values.append(_draw(argument, dynamic, data, rng))
    for position in function.stored_results:
        of = function.body.results[position].type
        values.append(Storage(math.prod(e or 0 for e in of.dims) * _itemsize(of.element)))
    return values


def _itemsize(element: str) -> int:
    return 2 if element == "bf16" else np.dtype(_DTYPES[element]).itemsize


def _draw(argument: ProgramValue, dynamic: int, data: str, rng: random.Random) -> npt.NDArray[Any]:
    of = argument.type
    shape = tuple(dynamic if extent is None else extent for extent in of.dims)
    count = int(np.prod(shape, dtype=np.int64))
    if argument.below is not None:
        numbers: list[float] = [rng.randrange(argument.below) for _ in range(count)]
    elif data == "integers" or not of.is_float:
        limit = 2 if data == "integers" else 100
        numbers = [rng.randrange(-limit, limit + 1) for _ in range(count)]
    else:
        numbers = [rng.uniform(-1, 1) for _ in range(count)]
    if of.element == "bf16":
        import ml_dtypes

        return np.array(numbers, np.float32).astype(ml_dtypes.bfloat16).reshape(shape)
    return np.array(numbers, _DTYPES[of.element]).reshape(shape)

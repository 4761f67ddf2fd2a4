# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Bytes that depend on sizes known only at run time, as formulas."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["BytesFormula", "FormulaSymbol", "evaluate"]


@dataclass(frozen=True)
class FormulaSymbol:
    """A number in a `BytesFormula` that is known only at run time.

    Attributes:
      name: In the texts, such as ``"d0"``.
      dimension: The dimension of an argument that it is, ``argI:axisJ`` or the model's name for
        it; None if it is computed during the call.
      hint: The extent at which layouts were compared.
    """

    name: str
    dimension: str | None
    hint: int


@dataclass(frozen=True)
class BytesFormula:
    """Bytes that depend on sizes known only at run time.

    Attributes:
      text: Sums and products of numbers and symbols, ``max(a, b)``, ``min(a, b)`` and
        ``align(a, unit)``, the next multiple of ``unit``.
      symbols: The symbols in it.
      hint_bytes: Its value where every symbol is as its hint.
    """

    text: str
    symbols: tuple[FormulaSymbol, ...]
    hint_bytes: int

    def bytes(self, extents: Mapping[str, int]) -> int | None:
        """Return the bytes at the given extents of dimensions; None if one of them is missing.

        Raises:
          ValueError: If the text is no formula.
        """
        values = {}
        for symbol in self.symbols:
            if symbol.dimension is None or symbol.dimension not in extents:
                return None
            values[symbol.name] = extents[symbol.dimension]
        return evaluate(self.text, values)


def _align(value: int, unit: int) -> int:
    return -(-value // unit) * unit


_FUNCTIONS: Mapping[str, Callable[..., int]] = {"max": max, "min": min, "align": _align}


def evaluate(text: str, values: Mapping[str, int]) -> int:
    """Return the value of a formula.

    Args:
      text: Sums and products of numbers, names and calls of ``max``, ``min`` and ``align``.
      values: What the names stand for.

    Raises:
      ValueError: For any other text, or a name without a value.
    """

    def value_of(node: ast.AST) -> int:
        match node:
            case ast.Expression(body=body):
                return value_of(body)
            case ast.Constant(value=int(number)):
                return number
            case ast.Name(id=name) if name in values:
                return values[name]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return value_of(left) + value_of(right)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return value_of(left) * value_of(right)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                return _FUNCTIONS[name](*(value_of(argument) for argument in args))
            case _:
                raise ValueError(f"not a formula of bytes: {text!r}")

    try:
        return value_of(ast.parse(text, mode="eval"))
    except (SyntaxError, TypeError, ZeroDivisionError, RecursionError) as error:
        raise ValueError(f"not a formula of bytes: {text!r}") from error

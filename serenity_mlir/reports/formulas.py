# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Bytes that depend on sizes known only at run time, as formulas."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["BytesFormula", "FormulaSymbol", "describe_bound", "describe_symbol", "evaluate"]


@dataclass(frozen=True)
class FormulaSymbol:
    """A number in a `BytesFormula` that is known only at run time.

    Attributes:
      name: In the texts, such as ``"d0"``.
      dimension: The dimension of an argument that it is, ``argI:axisJ`` or the model's name for
        it; None if it is computed during the call.
      hint: The extent at which layouts were compared.
      bound: Its largest value, as ``util.assume.int`` and ``--serenity-dim-bound`` promise; None
        if they do not tell.
    """

    name: str
    dimension: str | None
    hint: int
    bound: int | None = None


@dataclass(frozen=True)
class BytesFormula:
    """Bytes that depend on sizes known only at run time.

    Attributes:
      text: Sums, differences and products of numbers and symbols, ``max(a, b)``, ``min(a, b)``,
        ``align(a, unit)``, the next multiple of ``unit``, ``floordiv(a, b)`` and ``ceildiv(a, b)``.
      symbols: The symbols in it.
      hint_bytes: Its value where every symbol is as its hint.
      bound_bytes: No more where every symbol is within its bound; None where no such number is
        known. Beyond the bounds the formula still holds.
      unbounded_because: Why it is not known; None where it is.
    """

    text: str
    symbols: tuple[FormulaSymbol, ...]
    hint_bytes: int
    bound_bytes: int | None = None
    unbounded_because: str | None = None

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

    def exceeded(self, extents: Mapping[str, int]) -> tuple[FormulaSymbol, ...]:
        """Return the symbols that are larger than their bounds at the given extents."""
        return tuple(
            symbol
            for symbol in self.symbols
            if symbol.bound is not None and extents.get(symbol.dimension or "", 0) > symbol.bound
        )


def describe_symbol(symbol: FormulaSymbol) -> str:
    """Return the words for the size that a symbol stands for."""
    return symbol.dimension or "a size that is computed during the call"


def _bound_advice(formula: BytesFormula) -> str:
    """Return how to give an upper bound to a formula that has none."""
    unbounded = [symbol for symbol in formula.symbols if symbol.bound is None]
    if any(symbol.dimension is not None for symbol in unbounded):
        return "--serenity-dim-bound=N gives the dimensions a bound"
    if unbounded:
        return "util.assume.int in the module bounds the size that is computed"
    return "--fix-dim gives the dimensions an extent"


def describe_bound(formula: BytesFormula, stock: BytesFormula | None = None) -> str:
    """Return a sentence on the value at the bounds of the dimensions, or why there is none."""
    if formula.bound_bytes is None:
        reason = formula.unbounded_because or "no bound is known"
        return f"no upper bound: {reason}; {_bound_advice(formula)}"
    where = " and ".join(
        f"{symbol.dimension or symbol.name} <= {symbol.bound}"
        for symbol in formula.symbols
        if symbol.bound is not None
    )
    behind = f"; stock: {stock.bound_bytes:,}" if stock and stock.bound_bytes is not None else ""
    return (
        f"at most {formula.bound_bytes:,} bytes where {where}{behind}; a larger call takes what "
        "the formula gives"
    )


def _align(value: int, unit: int) -> int:
    return -(-value // unit) * unit


_FUNCTIONS: Mapping[str, Callable[..., int]] = {
    "max": max,
    "min": min,
    "align": _align,
    "floordiv": operator.floordiv,
    "ceildiv": lambda dividend, divisor: -(-dividend // divisor),
}


def evaluate(text: str, values: Mapping[str, int]) -> int:
    """Return the value of a formula.

    Args:
      text: As of a `BytesFormula`.
      values: The values of the names.

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
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return value_of(left) - value_of(right)
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

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models whose peak is elsewhere at short sequences than at the hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from serenity_mlir import SerenityOptions
from serenity_mlir.measuring.checking import check
from serenity_mlir.reports.formulas import evaluate

WIDTH, HIDDEN = 16, 96


def product(name: str, left: str, right: str, rows: str, inner: str, columns: str) -> str:
    """Write `name` = `left` @ `right`; an extent of "?" is the sequence."""
    result = f"tensor<{rows}x{columns}xf32>"
    extents = ", ".join(["%n"] * [rows, columns].count("?"))
    return f"""
  %{name}_e = tensor.empty({extents}) : {result}
  %{name}_f = linalg.fill ins(%zero : f32) outs(%{name}_e : {result}) -> {result}
  %{name} = linalg.matmul
    ins(%{left}, %{right} : tensor<{rows}x{inner}xf32>, tensor<{inner}x{columns}xf32>)
    outs(%{name}_f : {result}) -> {result}"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two square matrices of a sequence, and a feed-forward block behind them."""
    wide, hidden = str(WIDTH), str(HIDDEN)
    lines = [
        f"func.func @main(%x: tensor<?x{WIDTH}xf32>, %t: tensor<{WIDTH}x?xf32>)"
        f" -> tensor<?x{WIDTH}xf32> {{",
        "  %c0 = arith.constant 0 : index",
        "  %zero = arith.constant 0.0 : f32",
        f"  %n = tensor.dim %x, %c0 : tensor<?x{WIDTH}xf32>",
        f"  %w = arith.constant dense<0.25> : tensor<{WIDTH}x{HIDDEN}xf32>",
        f"  %v = arith.constant dense<0.5> : tensor<{HIDDEN}x{WIDTH}xf32>",
        product("p", "x", "t", "?", wide, "?"),
        product("q", "p", "p", "?", "?", "?"),
        product("y", "q", "x", "?", "?", wide),
        product("h", "y", "w", "?", wide, hidden),
        product("z", "h", "v", "?", hidden, wide),
        f"  return %z : tensor<?x{WIDTH}xf32>",
        "}",
    ]
    path = tmp_path_factory.mktemp("extents") / "sequence.mlir"
    path.write_text("\n".join(lines))
    return path


def test_short_sequences_gain_where_the_hint_ties(model: Path) -> None:
    shapes = {"": {0: (8, WIDTH), 1: (WIDTH, 8)}}
    result = check(model, shapes=shapes, serenity=SerenityOptions())
    (function,) = result.functions
    assert result.ok, function.disagreements
    assert function.formula is not None
    # At the hint of 64, two matrices of 64 x 64 floats, whatever is done to the block behind them.
    assert function.formula.hint_bytes == 2 * 4 * 64 * 64
    # In 8 rows the matrices take 512 bytes, less than the 3,072 of the hidden layer.
    whole = 4 * 8 * HIDDEN
    assert function.stock.transient_peak_bytes > whole
    assert function.serenity.transient_peak_bytes < whole
    assert function.serenity.transient_peak_bytes == evaluate(
        function.formula.text, {symbol.name: 8 for symbol in function.formula.symbols}
    )
    rewrites = result.report["functions"][0]["rewrites"]
    assert [site["kind"] for site in rewrites] == ["stream"]

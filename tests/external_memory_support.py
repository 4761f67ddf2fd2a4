# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs of matrix products, and their compilation, for tests of memory of results and inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import serenity_mlir
from serenity_mlir.compiling.options import SerenityOptions
from serenity_mlir.measuring.checking import CheckResult, check

SQUARE = "tensor<64x64xf32>"
BYTES = 64 * 64 * 4
EMPTY = f"%e = tensor.empty() : {SQUARE}"

#: Every test overwrites all memory that it may.
OVERWRITE = ("--serenity-rewrite=off", "--serenity-inputs=overwrite")


def function(
    arguments: str,
    body: str,
    results: str,
    values: str,
    *,
    square: str = SQUARE,
    sizes: str = EMPTY,
) -> str:
    """A function `main` with a zero-filled square `%f` and 64 x 64 weights `%w`."""
    return f"""
func.func @main({arguments}) -> ({results}) {{
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.015625> : tensor<64x64xf32>
  %n = arith.constant 64 : index
  {sizes}
  %f = linalg.fill ins(%zero : f32) outs(%e : {square}) -> {square}
{body}
  return {values} : {results}
}}
"""


def product(name: str, left: str, right: str, square: str = SQUARE, weight: str = SQUARE) -> str:
    return (
        f"  %{name} = linalg.matmul ins(%{left}, %{right} : {square}, {weight})"
        f" outs(%f : {square}) -> {square}\n"
    )


def run(
    tmp_path: Path, text: str, *flags: str, serenity: tuple[str, ...] = OVERWRITE
) -> CheckResult:
    path = tmp_path / "main.mlir"
    path.write_text(text)
    return check(str(path), flags=list(flags), serenity_flags=list(serenity))


def verified(result: CheckResult) -> Any:
    """The checked function: bitwise stock's, with the memory that the report predicts."""
    (found,) = result.functions
    assert found.disagreements == ()
    assert found.difference.bitwise
    return found


def modules(
    tmp_path: Path, text: str, report: str | None = None, **options: Any
) -> tuple[bytes, bytes]:
    """The stock module and the one with the given options."""
    path = tmp_path / "main.mlir"
    path.write_text(text)
    stock = serenity_mlir.compile(str(path), serenity=None)
    ours = serenity_mlir.compile(
        str(path), serenity=SerenityOptions(rewrite="off", report=report), **options
    )
    assert stock is not None and ours is not None
    return stock, ours


def torch_chain(steps: int = 4) -> str:
    """x -> a -> b, then (b a) y, as torch and ONNX models arrive: with fences."""
    square = "!torch.vtensor<[64,64],f32>"

    def mm(left: str, right: str, result: str) -> str:
        operands = f"%{left}, %{right} : {square}, {square}"
        return f"  %{result} = torch.aten.mm {operands} -> {square}"

    chain = [("x", "y", "a"), ("a", "y", "b"), ("b", "a", "c"), ("c", "y", "d")][:steps]
    return "\n".join(
        [
            f"func.func @main(%x: {square}, %y: {square}) -> {square} {{",
            *(mm(*step) for step in chain),
            f"  return %{chain[-1][2]} : {square}",
            "}",
        ]
    )

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models whose sizes are known only at run time, for several tests."""

from __future__ import annotations

import itertools
from pathlib import Path

#: Widths of the layers of a perceptron; three of them are no multiple of 16 floats.
WIDTHS = (24, 512, 300, 120, 500, 32)


def perceptron(path: Path) -> Path:
    """Write a chain of products with a dynamic batch: (?, WIDTHS[0]) to (?, WIDTHS[-1])."""
    lines = [
        f"func.func @main(%x0: tensor<?x{WIDTHS[0]}xf32>) -> tensor<?x{WIDTHS[-1]}xf32> {{",
        "  %c0 = arith.constant 0 : index",
        "  %zero = arith.constant 0.0 : f32",
        f"  %n = tensor.dim %x0, %c0 : tensor<?x{WIDTHS[0]}xf32>",
    ]
    for i, (rows, columns) in enumerate(itertools.pairwise(WIDTHS)):
        result = f"tensor<?x{columns}xf32>"
        weights = f"tensor<{rows}x{columns}xf32>"
        lines += [
            f"  %w{i} = arith.constant dense<0.0{i + 1}> : {weights}",
            f"  %e{i} = tensor.empty(%n) : {result}",
            f"  %f{i} = linalg.fill ins(%zero : f32) outs(%e{i} : {result}) -> {result}",
            f"  %x{i + 1} = linalg.matmul ins(%x{i}, %w{i} : tensor<?x{rows}xf32>, {weights}) "
            f"outs(%f{i} : {result}) -> {result}",
        ]
    lines += [f"  return %x{len(WIDTHS) - 1} : tensor<?x{WIDTHS[-1]}xf32>", "}"]
    path.write_text("\n".join(lines))
    return path


def align(value: int) -> int:
    """Return the bytes that a buffer takes in a slab."""
    return -(-value // 64) * 64

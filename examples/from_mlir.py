# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From plain MLIR to a module with less peak memory, and what it allocates.

    pip install serenity-mlir
    python examples/from_mlir.py

The module is built with MLIR's Python bindings as IREE ships them; `serenity_mlir.compile` takes it
as it is, as text or as a path.
"""

import numpy as np
from iree.compiler import ir

import serenity_mlir

#: Four small results, each the sum of a matrix's columns: one matrix at a time is enough.
HEAD = """
func.func @main(%x: tensor<64x64xf32>) -> tensor<64xf32> {
  %zero = arith.constant 0.0 : f32
  %wide = tensor.empty() : tensor<64x512xf32>
  %clear = linalg.fill ins(%zero : f32) outs(%wide : tensor<64x512xf32>) -> tensor<64x512xf32>
  %thin = tensor.empty() : tensor<64xf32>
  %none = linalg.fill ins(%zero : f32) outs(%thin : tensor<64xf32>) -> tensor<64xf32>
"""

PART = """
  %w{i} = arith.constant {weight} : tensor<64x512xf32>
  %m{i} = linalg.matmul ins(%x, %w{i} : tensor<64x64xf32>, tensor<64x512xf32>)
      outs(%clear : tensor<64x512xf32>) -> tensor<64x512xf32>
"""

SUM = """
  %s{i} = linalg.reduce ins(%m{i} : tensor<64x512xf32>) outs({before} : tensor<64xf32>)
      dimensions = [1] (%a: f32, %b: f32) {{
        %c = math.absf %a : f32
        %d = arith.addf %c, %b : f32
        linalg.yield %d : f32
      }}
"""

TAIL = """
  return %s3 : tensor<64xf32>
}
"""


def make_module(weights: list[np.ndarray]) -> ir.Module:
    """Return the module: all matrices first, then all sums, as a careless author writes them."""
    text = HEAD
    for i, weight in enumerate(weights):
        text += PART.format(i=i, weight=f'dense<"0x{weight.tobytes().hex()}">')
    for i in range(len(weights)):
        text += SUM.format(i=i, before=f"%s{i - 1}" if i else "%none")
    with ir.Context():
        return ir.Module.parse(text + TAIL)


def main() -> None:
    """Compile the module, run it, and compare memory and result."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((64, 512), dtype=np.float32) for _ in range(4)]
    model = make_module(weights)

    options = serenity_mlir.SerenityOptions(report="report.json")
    module = serenity_mlir.compile(model, serenity=options, output_file="sums.vmfb")
    assert module is None  # It is in the file.

    x = rng.standard_normal((64, 64), dtype=np.float32)
    function = serenity_mlir.load_report("report.json").function("main")
    measured = serenity_mlir.measure("sums.vmfb", [x])
    print(f"IREE      {function.stock_transient_peak_bytes:>9,} bytes")
    print(f"serenity  {function.transient_peak_bytes:>9,} bytes")
    print(f"allocated {measured.transient_peak_bytes:>9,} bytes, beside inputs and results")

    expected = sum(np.abs(x @ weight).sum(axis=1) for weight in weights)
    np.testing.assert_allclose(measured.outputs[0], expected, rtol=1e-4)
    print("the result is numpy's")


if __name__ == "__main__":
    main()

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Asserts about extents, as importers write them, between the operations of a function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serenity_mlir import SerenityOptions
from serenity_mlir.measuring.checking import CheckResult, check
from serenity_mlir.measuring.measurement import MeasurementError, measure

#: Three products of x, an assert that y has as many rows, and two products of their sum with y.
SUM = """
func.func @main(%x: tensor<?x64xf32>, %y: tensor<?x96xf32>) -> tensor<?x16xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %w0 = arith.constant dense<0.25> : tensor<64x320xf32>
  %w1 = arith.constant dense<0.5> : tensor<320x512xf32>
  %v = arith.constant dense<0.375> : tensor<512x96xf32>
  %w2 = arith.constant dense<0.75> : tensor<96x192xf32>
  %w3 = arith.constant dense<0.125> : tensor<192x16xf32>
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %m = tensor.dim %y, %c0 : tensor<?x96xf32>
  %e0 = tensor.empty(%n) : tensor<?x320xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<?x320xf32>) -> tensor<?x320xf32>
  %a = linalg.matmul ins(%x, %w0 : tensor<?x64xf32>, tensor<64x320xf32>)
    outs(%f0 : tensor<?x320xf32>) -> tensor<?x320xf32>
  %e1 = tensor.empty(%n) : tensor<?x512xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?x512xf32>) -> tensor<?x512xf32>
  %p = linalg.matmul ins(%a, %w1 : tensor<?x320xf32>, tensor<320x512xf32>)
    outs(%f1 : tensor<?x512xf32>) -> tensor<?x512xf32>
  %e = tensor.empty(%n) : tensor<?x96xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x96xf32>) -> tensor<?x96xf32>
  %b = linalg.matmul ins(%p, %v : tensor<?x512xf32>, tensor<512x96xf32>)
    outs(%f : tensor<?x96xf32>) -> tensor<?x96xf32>
  %wide_n = arith.index_cast %n : index to i64
  %wide_m = arith.index_cast %m : index to i64
  %same = arith.cmpi eq, %wide_n, %wide_m : i64
  cf.assert %same, "mismatched size for broadcast"
  %e2 = tensor.empty(%m) : tensor<?x192xf32>
  %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<?x192xf32>) -> tensor<?x192xf32>
  %c = arith.addf %b, %y : tensor<?x96xf32>
  %d = linalg.matmul ins(%c, %w2 : tensor<?x96xf32>, tensor<96x192xf32>)
    outs(%f2 : tensor<?x192xf32>) -> tensor<?x192xf32>
  %e3 = tensor.empty(%m) : tensor<?x16xf32>
  %f3 = linalg.fill ins(%zero : f32) outs(%e3 : tensor<?x16xf32>) -> tensor<?x16xf32>
  %r = linalg.matmul ins(%d, %w3 : tensor<?x192xf32>, tensor<192x16xf32>)
    outs(%f3 : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %r : tensor<?x16xf32>
}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("asserts") / "sum.mlir"
    path.write_text(SUM)
    return path


def check_at(model: Path, rows: int) -> CheckResult:
    shapes = {"": {0: (rows, 64), 1: (rows, 96)}}
    return check(model, shapes=shapes, serenity=SerenityOptions(rewrite="off"))


@pytest.mark.parametrize("rows", [1, 7, 50])
def test_assert_does_not_cut_the_region(model: Path, rows: int) -> None:
    result = check_at(model, rows)
    (function,) = result.functions
    assert result.ok, function.disagreements
    (region,) = result.report["functions"][0]["regions"]
    assert region["left_alone"] is None
    # One dimension, although the sizes behind the assert are computed from that of y.
    assert function.formula is not None and function.prediction is not None
    assert [symbol.dimension for symbol in function.formula.symbols] == ["arg0:axis0"]
    # The first product beside the second; the third beside the second needs less.
    needs = 4 * (320 + 512) * rows
    assert function.serenity.transient_peak_bytes == needs
    assert function.prediction.transient_peak_bytes == needs
    assert function.stock.transient_peak_bytes > needs
    assert function.difference.bitwise


def test_other_extents_fail_the_call(model: Path, tmp_path: Path) -> None:
    from serenity_mlir import compile_file
    from serenity_mlir.compiling.compiler import target_flags

    output = tmp_path / "sum.vmfb"
    compile_file(
        str(model),
        output_file=str(output),
        extra_args=list(target_flags(())),
        serenity=SerenityOptions(),
    )
    inputs = [np.ones((3, 64), np.float32), np.ones((4, 96), np.float32)]
    with pytest.raises(MeasurementError, match="mismatched size for broadcast"):
        measure(output, inputs, "main")

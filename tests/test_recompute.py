# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Values that a region computes again: the bytes that are saved, and the same results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from driver_support import TARGET

from serenity_mlir.compiling.compiler import SerenityOptions, compile_str
from serenity_mlir.measuring.checking import check
from serenity_mlir.reports import explaining
from serenity_mlir.reports.reporting import load_report, parse_report

#: p is x in a column of zeros (4,096 bytes). Its greatest elements by row make q, of the same
#: size, and those of q are needed together with p.
TWO_HEADS = """
#wide = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
#column = affine_map<(d0, d1) -> (d1)>
func.func @main(%x: tensor<16xf32>) -> (tensor<16xf32>, tensor<16xf32>) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<16x64xf32>
  %f = tensor.empty() : tensor<16xf32>
  %none = linalg.fill ins(%zero : f32) outs(%f : tensor<16xf32>) -> tensor<16xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<16x64xf32>) -> tensor<16x64xf32>
  %p = tensor.insert_slice %x into %zeros[0, 24] [16, 1] [1, 1]
      : tensor<16xf32> into tensor<16x64xf32>
  %left = linalg.generic {indexing_maps = [#wide, #row], iterator_types = ["parallel", "reduction"]}
      ins(%p : tensor<16x64xf32>) outs(%none : tensor<16xf32>) {
  ^bb0(%a: f32, %s: f32):
    %1 = math.absf %a : f32
    %2 = arith.maximumf %1, %s : f32
    linalg.yield %2 : f32
  } -> tensor<16xf32>
  %q = tensor.insert_slice %left into %zeros[0, 40] [16, 1] [1, 1]
      : tensor<16xf32> into tensor<16x64xf32>
  %low = linalg.generic {indexing_maps = [#wide, #row], iterator_types = ["parallel", "reduction"]}
      ins(%q : tensor<16x64xf32>) outs(%none : tensor<16xf32>) {
  ^bb0(%a: f32, %s: f32):
    %1 = math.absf %a : f32
    %2 = arith.maximumf %1, %s : f32
    linalg.yield %2 : f32
  } -> tensor<16xf32>
  %right = linalg.generic
      {indexing_maps = [#wide, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%p, %low : tensor<16x64xf32>, tensor<16xf32>) outs(%none : tensor<16xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %1 = arith.addf %a, %b : f32
    %2 = arith.maximumf %1, %s : f32
    linalg.yield %2 : f32
  } -> tensor<16xf32>
  return %left, %right : tensor<16xf32>, tensor<16xf32>
}
"""


@pytest.fixture(scope="module")
def two_heads(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    model = tmp_path_factory.mktemp("heads") / "heads.mlir"
    model.write_text(TWO_HEADS, encoding="utf-8")
    result = check(model)
    return result, parse_report(result.report)


def test_only_one_padded_value_lives_at_a_time(two_heads: tuple[Any, Any]) -> None:
    """Kept, p lives beside q: 4,096 bytes each. Computed again, each is alone with one row sum."""
    result, report = two_heads
    assert result.ok
    (measured,) = result.functions
    assert measured.difference.bitwise
    assert measured.serenity.transient_peak_bytes == 4096 + 64
    (function,) = [f for f in report.functions if not f.initializer]
    assert "recomputation" in function.used
    (value,) = function.regions[0].recomputed
    assert (value.bytes, value.work) == (4096, 0)
    # Three reductions over 16 x 64 elements.
    assert function.regions[0].work == 3 * 16 * 64
    (entry,) = explaining.explain(report)
    told = "1 value is computed again instead of kept (4,096 bytes)"
    assert any(told in note for note in entry.notes)


@pytest.mark.parametrize("options", [{"max_recompute": 0.0}, {"rewrite": "off"}])
def test_nothing_is_computed_again_if_told_so(tmp_path: Path, options: dict[str, Any]) -> None:
    report = tmp_path / "report.json"
    compile_str(
        TWO_HEADS,
        extra_args=[*TARGET, "--compile-to=stream"],
        serenity=SerenityOptions(report=report, **options),
    )
    (function,) = [f for f in load_report(report).functions if not f.initializer]
    assert all(not region.recomputed for region in function.regions)
    assert function.transient_peak_bytes == 2 * 4096 + 64

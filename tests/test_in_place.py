# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Results in the place of operands: only where nothing reads the operand any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from serenity_mlir.measuring.checking import check

CASES = Path(__file__).parent / "models" / "cases"
SQUARE = "tensor<64x64xf32>"


def _product(name: str, left: str, right: str) -> str:
    return f"""
    %{name} = linalg.matmul ins(%{left}, %{right} : {SQUARE}, {SQUARE})
        outs(%z : {SQUARE}) -> {SQUARE}"""


def _sum(name: str, left: str, right: str) -> str:
    return f"""
    %{name} = linalg.generic {{indexing_maps = [#id, #id, #id],
                               iterator_types = ["parallel", "parallel"]}}
        ins(%{left}, %{right} : {SQUARE}, {SQUARE}) outs(%e : {SQUARE}) {{
    ^bb0(%p: f32, %q: f32, %out: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    }} -> {SQUARE}"""


def read_in_every_iteration() -> str:
    """The loop reads o and o2, of which o2 has a single reader: the loop's sum."""
    return f"""
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @main(%x: {SQUARE}) -> {SQUARE} {{
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c3 = arith.constant 3 : index
    %z = arith.constant dense<0.0> : {SQUARE}
    %e = tensor.empty() : {SQUARE}
    {_product("o", "x", "x")}
    {_product("o2", "o", "x")}
    %r = scf.for %i = %c0 to %c3 step %c1 iter_args(%c = %x) -> ({SQUARE}) {{
    {_product("u", "c", "o")}
    {_sum("v", "u", "o")}
    {_sum("v2", "v", "c")}
    {_sum("v3", "v2", "o2")}
      scf.yield %v3 : {SQUARE}
    }}
    return %r : {SQUARE}
}}
"""


def carried_and_read_in_every_iteration() -> str:
    """The loop starts from o, and every iteration reads o too: it lives until the last one."""
    return f"""
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @main(%x: {SQUARE}) -> {SQUARE} {{
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %c4 = arith.constant 4 : i32
    %z = arith.constant dense<0.0> : {SQUARE}
    %e = tensor.empty() : {SQUARE}
    {_product("o", "x", "x")}
    %r:2 = scf.while (%i = %c0, %c = %o) : (i32, {SQUARE}) -> (i32, {SQUARE}) {{
      %more = arith.cmpi slt, %i, %c4 : i32
      scf.condition(%more) %i, %c : i32, {SQUARE}
    }} do {{
    ^bb0(%i: i32, %c: {SQUARE}):
    {_product("u", "c", "x")}
    {_sum("v", "u", "o")}
      %next = arith.addi %i, %c1 : i32
      scf.yield %next, %v : i32, {SQUARE}
    }}
    return %r#1 : {SQUARE}
}}
"""


def read_by_a_reduction() -> str:
    """Complex elements are not computed in vectors: the rows' sums grow in memory."""
    element, wide, rows = "complex<f32>", "tensor<17x33xcomplex<f32>>", "tensor<17xcomplex<f32>>"

    def scaled(name: str, matrix: str, scale: str) -> str:
        return f"""
    %{name} = linalg.generic {{indexing_maps = [#id, #row, #row],
                               iterator_types = ["parallel", "reduction"]}}
        ins(%{matrix}, %{scale} : {wide}, {rows}) outs(%f : {rows}) {{
    ^bb0(%p: {element}, %q: {element}, %out: {element}):
      %m = complex.mul %p, %q : {element}
      %s = complex.add %m, %out : {element}
      linalg.yield %s : {element}
    }} -> {rows}"""

    return f"""
#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
func.func @main(%a: {wide}, %b: {wide}, %x: {rows}) -> {rows} {{
    %z = complex.constant [0.0 : f32, 0.0 : f32] : {element}
    %e = tensor.empty() : {rows}
    %f = linalg.fill ins(%z : {element}) outs(%e : {rows}) -> {rows}
    {scaled("u", "b", "x")}
    {scaled("v", "a", "u")}
    {scaled("w", "b", "v")}
    return %w : {rows}
}}
"""


def beside_products_in_memory() -> str:
    """Convolutions over three dimensions are not vectorised: their sums grow in memory."""
    image, kernel, maps = "tensor<1x6x6x6x3xf32>", "tensor<3x3x3x3x5xf32>", "tensor<1x4x4x4x5xf32>"

    def convolved(name: str, source: str) -> str:
        return f"""
    %{name} = linalg.conv_3d_ndhwc_dhwcf
        {{dilations = dense<1> : tensor<3xi64>, strides = dense<1> : tensor<3xi64>}}
        ins(%{source}, %k : {image}, {kernel}) outs(%f : {maps}) -> {maps}"""

    def without(name: str, left: str, right: str) -> str:
        """The difference, computed in the place of the minuend."""
        return f"""
    %{name} = linalg.generic {{indexing_maps = [#id, #id],
                               iterator_types = ["parallel", "parallel", "parallel", "parallel",
                                                 "parallel"]}}
        ins(%{right} : {maps}) outs(%{left} : {maps}) {{
    ^bb0(%q: f32, %out: f32):
      %s = arith.subf %out, %q : f32
      linalg.yield %s : f32
    }} -> {maps}"""

    return f"""
#id = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3, d4)>
func.func @main(%x: {image}, %y: {image}, %k: {kernel}) -> {maps} {{
    %z = arith.constant 0.0 : f32
    %e = tensor.empty() : {maps}
    %f = linalg.fill ins(%z : f32) outs(%e : {maps}) -> {maps}
    {convolved("a", "x")}
    {convolved("b", "y")}
    {without("c", "b", "a")}
    {convolved("d", "x")}
    {without("g", "d", "c")}
    return %g : {maps}
}}
"""


@pytest.mark.parametrize(
    "program",
    [
        beside_products_in_memory,
        read_in_every_iteration,
        carried_and_read_in_every_iteration,
        read_by_a_reduction,
    ],
)
def test_what_is_read_again_is_not_overwritten(program, tmp_path):
    path = tmp_path / "model.mlir"
    path.write_text(program())
    result = check(path)
    (found,) = result.functions
    assert found.disagreements == ()
    assert found.difference.problem is None
    assert found.serenity.transient_peak_bytes <= found.stock.transient_peak_bytes


def test_over_what_was_overwritten_in_pieces() -> None:
    """A hard swish and a gate behind a depthwise convolution whose pieces take its operand's place.

    64x24x24 floats (147,456 bytes) and a quarter of them padded to 28x28 (50,176 bytes).
    """
    (result,) = check(CASES / "depthwise_then_elementwise.onnx").functions
    assert result.serenity.transient_peak_bytes == 147456 + 50176

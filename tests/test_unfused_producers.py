# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Unfused producers: chosen where the peak falls, and never against a user's flag."""

from __future__ import annotations

from pathlib import Path

import pytest
from driver_support import TARGET
from models import tensor_type, weights

from serenity_mlir.compiling.compiler import SerenityOptions, compile_file, compile_str
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.checking import check
from serenity_mlir.reports.reporting import FunctionReport, load_report

CHANNELS = 4
WIDE = 8 * CHANNELS
SIZE = 16
#: Bytes of a tensor of `CHANNELS`.
NARROW_BYTES = 4 * CHANNELS * SIZE * SIZE


def _image(channels: int) -> str:
    return tensor_type((1, channels, SIZE, SIZE))


def _conv(name: str, operand: str, channels: int, out: int, seed: int) -> str:
    kernel = (out, channels, 1, 1)
    return f"""
  %{name}_w = arith.constant {weights(seed, kernel)}
  %{name}_z = arith.constant dense<0.0> : {_image(out)}
  %{name} = linalg.conv_2d_nchw_fchw
      {{dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}}
      ins(%{operand}, %{name}_w : {_image(channels)}, {tensor_type(kernel)})
      outs(%{name}_z : {_image(out)}) -> {_image(out)}"""


def _elementwise(name: str, operands: tuple[str, ...], channels: int, body: str) -> str:
    image = _image(channels)
    maps = ", ".join(["#id"] * (len(operands) + 1))
    values = ", ".join(f"%{operand}" for operand in operands)
    types = ", ".join([image] * len(operands))
    arguments = ", ".join(f"%in{i}: f32" for i in range(len(operands)))
    loops = ", ".join(['"parallel"'] * 4)
    return f"""
  %{name}_e = tensor.empty() : {image}
  %{name} = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{loops}]}}
      ins({values} : {types}) outs(%{name}_e : {image}) {{
  ^bb0({arguments}, %out: f32):
    %r = {body} : f32
    linalg.yield %r : f32
  }} -> {image}"""


def waits_for_another() -> str:
    """The product u of the wide tensor v is added to w, which a second wide tensor t leads to.

    Fused with the addition, u is computed at the end and v lives through t: 17 narrow tensors (v, t
    and one between). Computed at once, u is one narrow tensor that lives through t: 10 of them. The
    result is a narrow tensor too, and one of the others lies in its memory until it is written.
    """
    body = "".join(
        [
            _conv("v0", "x", CHANNELS, WIDE, 1),
            _elementwise("v", ("v0",), WIDE, "arith.maximumf %in0, %zero"),
            _conv("u", "v", WIDE, CHANNELS, 2),
            _conv("s0", "v", WIDE, CHANNELS, 3),
            _elementwise("s", ("s0",), CHANNELS, "arith.maximumf %in0, %zero"),
            _conv("t0", "s", CHANNELS, WIDE, 4),
            _elementwise("t", ("t0",), WIDE, "arith.maximumf %in0, %zero"),
            _conv("w", "t", WIDE, CHANNELS, 5),
            _elementwise("y", ("u", "w"), CHANNELS, "arith.addf %in0, %in1"),
        ]
    )
    return f"""#id = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @main(%x: {_image(CHANNELS)}) -> {_image(CHANNELS)} {{
  %zero = arith.constant 0.0 : f32{body}
  return %y : {_image(CHANNELS)}
}}
"""


def _compiled(tmp_path: Path, *flags: str) -> FunctionReport:
    """The report on the model, compiled without rewriting."""
    report = tmp_path / "report.json"
    options = SerenityOptions(rewrite="off", report=report)
    compile_str(
        waits_for_another(), extra_args=[*TARGET, "--compile-to=stream", *flags], serenity=options
    )
    (function,) = load_report(report).called
    return function


def test_an_unfused_producer_lowers_the_peak(tmp_path: Path) -> None:
    function = _compiled(tmp_path)
    assert function.stock_transient_peak_bytes == 17 * NARROW_BYTES
    assert function.transient_peak_bytes == (10 - 1) * NARROW_BYTES
    (chosen,) = [candidate for candidate in function.candidates if candidate.chosen]
    assert chosen.unfused_producers > 0
    assert "fusion" in function.used


@pytest.mark.parametrize(
    "flag",
    [
        "--iree-dispatch-creation-fuse-multi-use=false",
        "--iree-dispatch-creation-fuse-multi-use=true",
    ],
)
def test_flag_of_the_user_wins(tmp_path: Path, flag: str) -> None:
    function = _compiled(tmp_path, flag)
    assert function.candidates
    assert not any(candidate.unfused_producers for candidate in function.candidates)
    assert function.transient_peak_bytes == function.stock_transient_peak_bytes - NARROW_BYTES


def test_outputs_are_those_of_stock() -> None:
    result = check(waits_for_another(), flags=TARGET, serenity=SerenityOptions(rewrite="off"))
    assert result.ok
    (function,) = result.functions
    assert function.difference.bitwise


def test_a_product_that_begins_with_its_own_operand_keeps_its_producer(tmp_path: Path) -> None:
    """IREE's code generator refuses such a product unless its producer is fused.

    No candidate leaves the producer unfused, so that no candidate is refused.
    """
    row, square = "tensor<1x4xf32>", "tensor<4x4xf32>"
    path = tmp_path / "model.mlir"
    # A row of a table is looked up, and multiplied with it for an initial value.
    path.write_text(f"""func.func @main(%i: tensor<1xi32>, %w: {square}, %v: {square}) -> {row} {{
  %table = arith.constant {weights(1, (5, 4))}
  %e = tensor.empty() : {row}
  %r = linalg.generic {{
      indexing_maps = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>],
      iterator_types = ["parallel", "parallel"]}}
      ins(%i : tensor<1xi32>) outs(%e : {row}) {{
  ^bb0(%in: i32, %out: f32):
    %n = arith.index_cast %in : i32 to index
    %k = linalg.index 1 : index
    %x = tensor.extract %table[%n, %k] : tensor<5x4xf32>
    linalg.yield %x : f32
  }} -> {row}
  %p = linalg.matmul ins(%r, %w : {row}, {square}) outs(%r : {row}) -> {row}
  %zero = arith.constant 0.0 : f32
  %z = linalg.fill ins(%zero : f32) outs(%e : {row}) -> {row}
  %q = linalg.matmul ins(%p, %v : {row}, {square}) outs(%z : {row}) -> {row}
  return %q : {row}
}}
""")
    report = tmp_path / "report.json"
    compile_file(
        path,
        output_file=str(tmp_path / "model.vmfb"),
        extra_args=["--iree-llvmcpu-target-cpu=host"],
        target_backends=["llvm-cpu"],
        serenity=SerenityOptions(report=report),
    )
    assert load_report(report).remarks == ()
    # The stock compiler refuses the product without a producer: a newer IREE may not.
    path.write_text(f"""func.func @main(%x: {square}, %w: {square}) -> {square} {{
  %p = linalg.matmul ins(%x, %w : {square}, {square}) outs(%x : {square}) -> {square}
  return %p : {square}
}}
""")
    with pytest.raises(SerenityError, match="workgroup distributed contexts"):
        compile_file(path, target_backends=["llvm-cpu"], serenity=None)

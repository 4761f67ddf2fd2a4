# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Slabs of buffers whose sizes are known only at run time, checked on the runtime."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from dynamic_support import WIDTHS, align, perceptron
from typer.testing import CliRunner

from serenity_mlir import SerenityOptions
from serenity_mlir.cli import app
from serenity_mlir.measuring.checking import CheckResult, check
from serenity_mlir.reports.formulas import evaluate


def run(model: Path, shapes: Mapping[int, tuple[int, ...]], **options: object) -> CheckResult:
    """Check `model` with its order and offsets alone: rewrites would take less."""
    options["rewrite"] = "off"
    return check(model, shapes={"": shapes}, serenity=SerenityOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_neighbours_alone_exist_together(batch: int, tmp_path: Path) -> None:
    result = run(perceptron(tmp_path / "perceptron.mlir"), {0: (batch, WIDTHS[0])})
    (function,) = result.functions
    assert result.ok, function.disagreements
    assert function.prediction is not None
    sizes = [align(4 * width * batch) for width in WIDTHS[1:-1]]
    # IREE gives every size a place of its own.
    assert function.stock.transient_peak_bytes == sum(sizes)
    neighbours = max(a + b for a, b in itertools.pairwise(sizes))
    assert function.serenity.transient_peak_bytes == neighbours
    assert function.prediction.transient_peak_bytes == neighbours
    assert function.prediction.stock_transient_peak_bytes == sum(sizes)
    assert function.difference.bitwise


def test_report_has_the_formula(tmp_path: Path) -> None:
    result = run(
        perceptron(tmp_path / "perceptron.mlir"),
        {0: (3, WIDTHS[0])},
        dim_hint=("arg0:axis0=10",),
    )
    function = result.report["functions"][0]
    formula, stock = function["bytes_formula"], function["stock_bytes_formula"]
    # 512 and 300 floats per row; the latter are no multiple of 64 bytes.
    assert formula["text"] == "2048*d0 + align(1200*d0, 64)"
    assert formula["symbols"] == [
        {"name": "d0", "dimension": "arg0:axis0", "hint": 10, "bound": None}
    ]
    assert formula["hint_bytes"] == 20480 + align(12000)
    assert evaluate(formula["text"], {"d0": 10}) == formula["hint_bytes"]
    assert stock["symbols"] == formula["symbols"]
    assert evaluate(stock["text"], {"d0": 10}) == stock["hint_bytes"]


@pytest.mark.parametrize("text", ["d1", "__import__('os')", "1 / 2", "max", "align(1)", "1.5", "("])
def test_formulas_of_other_text_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a formula of bytes"):
        evaluate(text, {"d0": 1})


#: Three expansions of x in parallel, each reduced again at once: (?, 64) to (?, 16).
EXPANSIONS = """
func.func @main(%x: tensor<?x64xf32>) -> tensor<?x16xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%n) : tensor<?x1024xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x1024xf32>) -> tensor<?x1024xf32>
  %e1 = tensor.empty(%n) : tensor<?x16xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?x16xf32>) -> tensor<?x16xf32>
  %v = arith.constant dense<0.125> : tensor<1024x16xf32>
{parts}
  %s = arith.addf %y0, %y1 : tensor<?x16xf32>
  %t = arith.addf %s, %y2 : tensor<?x16xf32>
  return %t : tensor<?x16xf32>
}
"""

PART = """
  %w{i} = arith.constant dense<0.{i}5> : tensor<64x1024xf32>
  %x{i} = linalg.matmul ins(%x, %w{i} : tensor<?x64xf32>, tensor<64x1024xf32>)
    outs(%f : tensor<?x1024xf32>) -> tensor<?x1024xf32>
  %y{i} = linalg.matmul ins(%x{i}, %v : tensor<?x1024xf32>, tensor<1024x16xf32>)
    outs(%f1 : tensor<?x16xf32>) -> tensor<?x16xf32>
"""


@pytest.mark.parametrize("rows", [1, 50])
def test_parallel_parts_run_one_at_a_time(rows: int, tmp_path: Path) -> None:
    model = tmp_path / "expansions.mlir"
    parts = [PART.format(i=i) for i in range(3)]
    model.write_text(EXPANSIONS.replace("{parts}", "".join(parts)))
    result = run(model, {0: (rows, 64)})
    (function,) = result.functions
    assert result.ok, function.disagreements
    assert function.prediction is not None
    # One expansion beside the sum so far, which takes the place of its operand: 1024 + 16 floats.
    assert function.serenity.transient_peak_bytes == 4 * rows * (1024 + 16)
    assert function.prediction.transient_peak_bytes == function.serenity.transient_peak_bytes
    # IREE expands all three first.
    assert function.stock.transient_peak_bytes >= 3 * 4 * rows * 1024
    assert function.difference.bitwise
    used = result.report["functions"][0]["used"]
    assert "order" in used and "rewriting" not in used


def strided_network(path: Path) -> Path:
    """Write three convolutions over an image of dynamic extents; two of them halve it."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    channels = (3, 16, 32, 16)
    nodes, weights, value = [], [], "x"
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        data = np.full((after, before, 3, 3), 0.01 * (i + 1), np.float32)
        weights.append(numpy_helper.from_array(data, f"w{i}"))
        strides = [2, 2] if i < 2 else [1, 1]
        attributes = {"strides": strides, "pads": [1, 1, 1, 1]}
        nodes.append(helper.make_node("Conv", [value, f"w{i}"], [f"c{i}"], **attributes))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        value = f"r{i}"
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "H", "W"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 1, 1])
    graph = helper.make_graph(nodes, "strided", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def test_strides_divide_dimensions_in_the_formula(tmp_path: Path) -> None:
    model = strided_network(tmp_path / "strided.onnx")
    # Odd extents: rounding matters.
    result = run(model, {0: (1, 3, 33, 18)}, dim_bound=("64",))
    (function,) = result.functions
    assert result.ok, function.disagreements
    assert function.formula is not None and function.prediction is not None
    assert "floordiv(" in function.formula.text
    assert [symbol.dimension for symbol in function.formula.symbols] == ["H", "W"]
    measured = function.serenity.transient_peak_bytes
    assert measured == function.prediction.transient_peak_bytes
    assert measured < function.stock.transient_peak_bytes
    assert function.stock.transient_peak_bytes == function.prediction.stock_transient_peak_bytes
    # Both grow with the image.
    assert function.formula.bound_bytes == function.formula.bytes({"H": 64, "W": 64})


def test_explain_prints_the_formula(tmp_path: Path) -> None:
    result = run(perceptron(tmp_path / "perceptron.mlir"), {0: (2, WIDTHS[0])})
    report = tmp_path / "report.json"
    report.write_text(json.dumps(result.report))
    printed = CliRunner().invoke(app, ["explain", str(report)]).output
    assert "main: 2048*d0 + align(1200*d0, 64) bytes of transient memory; stock: " in printed
    assert "d0 is arg0:axis0; below, where it is 64:" in printed
    # (512 + 300) floats in 64 rows.
    assert "207,872 bytes; stock: " in printed
    assert "no upper bound: arg0:axis0 has no bound" in printed


def test_call_beyond_the_bound_takes_what_the_formula_gives(tmp_path: Path) -> None:
    model = perceptron(tmp_path / "perceptron.mlir")
    command = ["check", str(model), "--shape", f"0=12x{WIDTHS[0]}", "--serenity-dim-bound=10"]
    command.append("--serenity-rewrite=off")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    # 10 rows of 512 and 300 floats.
    bytes_at_bound = 4 * 10 * 512 + align(4 * 10 * 300)
    assert f"at most {bytes_at_bound:,} bytes where arg0:axis0 <= 10" in result.output
    assert "this call is larger than a bound: arg0:axis0 is 12, its bound 10" in result.output

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Upper bounds of slabs of dynamic size, and memory budgets that are checked at them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from driver_support import TARGET, Compilers
from dynamic_support import WIDTHS, align, perceptron
from typer.testing import CliRunner

from serenity_mlir import SerenityError, compile
from serenity_mlir.cli import app
from serenity_mlir.reports.formulas import evaluate

CASES = Path(__file__).parent / "models" / "cases"

#: Of the perceptron at batch 10: 512 and 300 floats per row exist together.
AT_TEN = 20480 + align(12000)

BUDGET = "--serenity-memory-budget="


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return perceptron(tmp_path_factory.mktemp("bounds") / "perceptron.mlir")


def compile_to_slabs(
    compilers: Compilers, model: Path, report: Path, *flags: str
) -> tuple[int, str, dict[str, Any]]:
    """Return the exit code, the messages and the report's only function."""
    run = compilers.ours(
        model,
        *TARGET,
        "--compile-to=stream",
        "--serenity-rewrite=off",
        f"--serenity-report={report}",
        *flags,
        "-o",
        "/dev/null",
    )
    (function,) = json.loads(report.read_text())["functions"]
    return run.code, run.err, function


def test_a_budget_is_checked_at_the_bound(
    compilers: Compilers, model: Path, tmp_path: Path
) -> None:
    bound = "--serenity-dim-bound=10"
    report = tmp_path / "report.json"
    code, err, function = compile_to_slabs(compilers, model, report, bound, f"{BUDGET}{AT_TEN}")
    assert code == 0, err
    assert f"'main' is within its memory budget ({AT_TEN} <= {AT_TEN} where arg0:axis0 <= 10" in err
    assert function["budget"]["met"] is True
    formula = function["bytes_formula"]
    # Without a hint the layouts are compared at the bound.
    assert formula["symbols"] == [
        {"name": "d0", "dimension": "arg0:axis0", "hint": 10, "bound": 10}
    ]
    assert formula["bound_bytes"] == formula["hint_bytes"] == AT_TEN
    assert formula["unbounded_because"] is None
    # IREE gives every layer a place of its own.
    stock = sum(align(4 * width * 10) for width in WIDTHS[1:-1])
    assert function["stock_bytes_formula"]["bound_bytes"] == stock

    code, err, function = compile_to_slabs(compilers, model, report, bound, f"{BUDGET}{AT_TEN - 1}")
    assert code == 3
    assert (
        f"'main' exceeds its memory budget by 1 byte at the bound ({AT_TEN} > {AT_TEN - 1}" in err
    )
    # Hint and bound are the same, so the buffers in the way are known.
    assert "live at the peak" in err
    assert function["budget"]["met"] is False
    assert function["budget"]["over_bytes"] == 1

    # A budget that the stock compiler keeps to changes nothing.
    code, err, function = compile_to_slabs(compilers, model, report, bound, f"{BUDGET}{stock}")
    assert code == 0, err
    assert function["used"] == []
    assert function["bytes_formula"]["bound_bytes"] == stock


def test_hint_and_bound_may_differ(compilers: Compilers, model: Path, tmp_path: Path) -> None:
    flags = ["--serenity-dim-hint=4", "--serenity-dim-bound=arg0:axis0=10", f"{BUDGET}30000"]
    code, err, function = compile_to_slabs(compilers, model, tmp_path / "report.json", *flags)
    assert code == 3
    assert f"exceeds its memory budget by {AT_TEN - 30000} bytes at the bound" in err
    # The buffers of the report are those at the hint: they are not told.
    assert "live at the peak" not in err
    formula = function["bytes_formula"]
    assert formula["symbols"][0]["hint"] == 4
    assert formula["hint_bytes"] == 4 * 2048 + align(4 * 1200)
    assert formula["bound_bytes"] == AT_TEN


def test_a_budget_without_a_bound_cannot_be_checked(
    compilers: Compilers, model: Path, tmp_path: Path
) -> None:
    code, err, function = compile_to_slabs(
        compilers, model, tmp_path / "report.json", f"{BUDGET}1MiB"
    )
    assert code == 3
    assert "cannot check the memory budget of 'main'" in err
    assert "arg0:axis0 has no bound" in err
    assert "--serenity-dim-bound=N" in err
    assert function["budget"]["met"] is None
    assert function["bytes_formula"]["bound_bytes"] is None


#: Products of a number of rows, {rows}, that is computed from a dimension %n.
COMPUTED = """
func.func @main(%x: tensor<?x?xf32>, %w: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c300 = arith.constant 300 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x?xf32>
  %k = tensor.dim %x, %c1 : tensor<?x?xf32>
  %rows = {rows} : index
  %v = arith.constant dense<0.5> : tensor<16x32xf32>
  %u = arith.constant dense<0.25> : tensor<32x16xf32>
  %part = tensor.extract_slice %x[0, 0] [%rows, %k] [1, 1] : tensor<?x?xf32> to tensor<?x?xf32>
  %e = tensor.empty(%rows) : tensor<?x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %a = linalg.matmul ins(%part, %w : tensor<?x?xf32>, tensor<?x16xf32>)
    outs(%f : tensor<?x16xf32>) -> tensor<?x16xf32>
  %e1 = tensor.empty(%rows) : tensor<?x32xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?x32xf32>) -> tensor<?x32xf32>
  %b = linalg.matmul ins(%a, %v : tensor<?x16xf32>, tensor<16x32xf32>)
    outs(%f1 : tensor<?x32xf32>) -> tensor<?x32xf32>
  %c = linalg.matmul ins(%b, %u : tensor<?x32xf32>, tensor<32x16xf32>)
    outs(%f : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %c : tensor<?x16xf32>
}
"""


@pytest.mark.parametrize(
    ("rows", "most", "at_seven"),
    [
        ("arith.floordivsi %n, %c2", 20, 3),
        ("arith.ceildivsi %n, %c2", 21, 4),
        # 300 - n is at most 300, where n is 0.
        ("arith.subi %c300, %n", 300, 293),
        ("arith.minui %n, %c2", 2, 2),
    ],
)
def test_computed_sizes_are_bounded(
    compilers: Compilers, tmp_path: Path, rows: str, most: int, at_seven: int
) -> None:
    source = tmp_path / "model.mlir"
    source.write_text(COMPUTED.replace("{rows}", rows))
    code, err, function = compile_to_slabs(
        compilers, source, tmp_path / "report.json", "--serenity-dim-bound=arg0:axis0=41"
    )
    assert code == 0, err
    # A row of 32 floats; that of 16 lies in the result.
    formula = function["bytes_formula"]
    assert formula["bound_bytes"] == most * 4 * 32
    # The computation is in the text.
    assert [symbol["dimension"] for symbol in formula["symbols"]] == ["arg0:axis0"]
    assert evaluate(formula["text"], {"d0": 7}) == at_seven * 4 * 32


def test_onnx_names_dimensions_in_flags(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    batch = CASES / "dynamic_batch.onnx"
    output, report = tmp_path / "batch.mlir", tmp_path / "report.json"
    command = ["compile", str(batch), "-o", str(output), "--compile-to=stream", *TARGET]
    flags = ["--serenity-dim-bound=N=16", "--serenity-dim-hint=x:0=4"]
    result = CliRunner().invoke(app, [*command, *flags, f"--serenity-report={report}"])
    assert result.exit_code == 0, result.output
    assert "no effect" not in capfd.readouterr().err
    (function,) = json.loads(report.read_text())["functions"]
    (symbol,) = function["bytes_formula"]["symbols"]
    assert symbol == {"name": "d0", "dimension": "N", "hint": 4, "bound": 16}

    with pytest.raises(
        SerenityError, match="no dynamic dimension batch; the model has N"
    ) as caught:
        compile(batch, extra_args=["--serenity-dim-bound", "batch=16"])
    assert caught.value.exit_code == 2

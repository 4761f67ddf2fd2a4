# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Dynamic dimensions in front of static operations, through the driver."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import RunTool
from driver_support import TARGET, Compilers

CASES = Path(__file__).parent / "models" / "cases"


@pytest.mark.parametrize("policy", [[], ["--serenity-memory-budget=100000"]])
def test_dynamic_inner_dimension_compiles(
    compilers: Compilers, policy: list[str], tmp_path: Path
) -> None:
    report = compilers.report(
        tmp_path / "report.json",
        CASES / "dynamic_inner_dimension.mlir",
        "--serenity-schedule",
        "--compile-to=stream",
        *policy,
        *TARGET,
    )
    (function,) = report["functions"]
    # Of two products of 64 floats in a row, only the first is transient: in four pieces, unless the
    # budget is met without.
    assert function["transient_peak_bytes"] == (256 if policy else 64)
    assert [site["parts"] for site in function["rewrites"]] == ([] if policy else [4])


def test_static_function_gains_beside_a_dynamic_one(compilers: Compilers, tmp_path: Path) -> None:
    report = compilers.report(
        tmp_path / "report.json",
        CASES / "dynamic_and_static_function.mlir",
        "--serenity-schedule",
        "--compile-to=stream",
        *TARGET,
    )
    dynamic, static = report["functions"]
    # Of 64 floats a quarter exists at a time.
    assert dynamic["transient_peak_bytes"] == 64
    # The hidden layer of 2,048 floats, in four parts one of which exists at a time.
    assert static["stock_transient_peak_bytes"] == 8192
    assert static["transient_peak_bytes"] == 2048


def test_peak_of_a_dynamic_model_is_an_answer(run_tool: RunTool) -> None:
    model = CASES / "mean_over_dynamic_time.onnx"
    result = run_tool([sys.executable, "-m", "serenity_mlir", "peak", model])
    assert result.returncode == 2
    assert "a size depends on the call" in result.stderr


def test_one_remark_names_the_dynamic_dimension(compilers: Compilers, tmp_path: Path) -> None:
    model = tmp_path / "batch.mlir"
    product = "ins({0}, %w : tensor<?x8xf32>, tensor<8x8xf32>) outs(%f : tensor<?x8xf32>)"
    products = "\n".join(
        f"  %y{i} = linalg.matmul {product.format(f'%y{i - 1}' if i else '%x')} -> tensor<?x8xf32>"
        for i in range(4)
    )
    model.write_text(
        "func.func @main(%w: tensor<8x8xf32>, %x: tensor<?x8xf32>) -> tensor<?x8xf32> {\n"
        "  %c0 = arith.constant 0 : index\n"
        "  %zero = arith.constant 0.0 : f32\n"
        "  %n = tensor.dim %x, %c0 : tensor<?x8xf32>\n"
        "  %e = tensor.empty(%n) : tensor<?x8xf32>\n"
        "  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>\n"
        f"{products}\n"
        "  return %y3 : tensor<?x8xf32>\n"
        "}\n"
    )
    result = compilers.ours(model, "--serenity-schedule", "--compile-to=stream", *TARGET)
    assert result.code == 0
    remarks = [line for line in result.err.splitlines() if "remark:" in line]
    (remark,) = remarks
    assert "'main' computes tensors of dynamic sizes" in remark
    assert "rewritten along static dimensions only" in remark
    assert "dimension 0 of argument 1 is dynamic" in remark
    assert "serenity compile --fix-dim arg1:axis0=SIZE" in remark

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whole commands on small models that were once reported, refused or judged wrongly."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx
import pytest
from conftest import RunTool
from onnx import TensorProto, helper

pytestmark = pytest.mark.one_release

CASES = Path(__file__).parent / "models" / "cases"
TARGET = ("--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=vmvx")
SERENITY = (sys.executable, "-m", "serenity_mlir")


@pytest.mark.parametrize(
    ("model", "external", "stock", "ours", "slab", "bound"),
    [
        # The carried 64x64 floats (16,384 bytes) and the next ones; the result is one of them. The
        # slab holds the copy of the argument, which the product overwrites.
        ("loop_from_zeros.mlir", 16384, 32768, 32768, 16384, 16384),
        # Two results without elements take no room: 16 rows of 16 floats in and out.
        ("empty_results.mlir", 1024, 512, 128, 128, 128),
        # The results lie in the caller's storage, which is not counted.
        ("caller_storage_results.mlir", 32768, 163840, 32768, 32768, 32768),
        # The region keeps IREE's order, since it writes at a dynamic position. Its softmax reads
        # and writes 4x256 floats.
        ("kv_cache_globals.mlir", 512, 8704, 8192, 8192, 8192),
        # The same. Rows of 32 floats: IREE has four of them at once, where three would do.
        ("gru_loop.onnx", 4736, 3840, 3712, 512, 384),
    ],
)
def test_predictions_are_the_allocations(
    run_tool: RunTool, model: str, external: int, stock: int, ours: int, slab: int, bound: int
) -> None:
    result = run_tool([*SERENITY, "check", CASES / model, "--json"])
    assert result.returncode == 0, result.stderr
    (module,) = json.loads(result.stdout)["functions"]
    measured, before = module["serenity"], module["stock"]
    assert (before["transient_peak_bytes"], measured["transient_peak_bytes"]) == (stock, ours)
    assert measured["external_bytes"] == external
    predicted = module["predicted"]
    assert (predicted["slab_bytes"], predicted["lower_bound_bytes"]) == (slab, bound)
    assert predicted["optimal"] == (slab == bound)


def test_what_the_runtime_keeps_is_no_wrong_prediction(run_tool: RunTool) -> None:
    model = CASES / "retained_by_runtime.mlir"
    result = run_tool([*SERENITY, "check", model, *(f"--flag={flag}" for flag in TARGET)])
    assert result.returncode == 0, result.stderr
    # One tensor of 4x6 floats, in each of two calls.
    told = "kept by the runtime after every call, also of the stock module: 96 bytes"
    assert told in result.stdout and "all predictions hold" in result.stdout


@pytest.mark.parametrize(
    ("model", "budget", "code"),
    [
        ("loop_from_zeros.mlir", 20000, 3),  # 32,768 are allocated
        ("loop_from_zeros.mlir", 32768, 0),
        ("gru_loop.onnx", 4000, 0),  # 3,712 are allocated
        ("gru_loop.onnx", 3711, 3),
    ],
)
def test_budgets_of_loops(
    run_tool: RunTool, tmp_path: Path, model: str, budget: int, code: int
) -> None:
    output = tmp_path / "module.vmfb"
    flag = f"--serenity-memory-budget={budget}"
    result = run_tool([*SERENITY, "compile", CASES / model, "-o", output, flag, *TARGET])
    assert result.returncode == code, result.stderr
    assert output.exists() == (code == 0)
    if code:
        assert "exceeds its memory budget by" in result.stderr


def unknown_operation(folder: Path) -> Path:
    path = folder / "unknown.mlir"
    path.write_text(
        "func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {\n"
        '  %b = "foo.bar"(%a) : (tensor<4xf32>) -> tensor<4xf32>\n'
        "  return %b : tensor<4xf32>\n"
        "}\n"
    )
    return path


def unfinished_scan(folder: Path) -> Path:
    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])

    body = helper.make_graph([], "body", [], [])
    node = helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)
    graph = helper.make_graph([node], "graph", [value("x")], [value("y")])
    path = folder / "scan.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


@pytest.mark.parametrize("command", ["check", "peak", "compile"])
@pytest.mark.parametrize("model", [unknown_operation, unfinished_scan])
def test_models_that_stock_refuses_too_end_in_one_error(
    run_tool: RunTool, tmp_path: Path, command: str, model: object
) -> None:
    path = model(tmp_path)  # type: ignore[operator]
    flags = ["-o", tmp_path / "module.vmfb", *TARGET] if command == "compile" else []
    result = run_tool([*SERENITY, command, path, *flags])
    assert result.returncode == 1
    # IREE itself is ended by a signal on an operation of no dialect.
    assert "error: compilation " in result.stderr
    assert "Traceback" not in result.stderr
    named = f"<import of {path}>" if path.suffix == ".onnx" else str(path)
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("Command:"))
    assert named in line
    assert not (tmp_path / "module.vmfb").exists()

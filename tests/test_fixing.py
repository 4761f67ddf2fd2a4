# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Giving dynamic dimensions an extent: ``--fix-dim`` of check, peak and compile."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from models import MODELS
from typer.testing import CliRunner

import serenity_mlir
from serenity_mlir.cli import app
from serenity_mlir.compiling.compiler import LOCAL_FLAGS
from serenity_mlir.compiling.fixing import fix_onnx
from serenity_mlir.compiling.importing import import_model
from serenity_mlir.compiling.signatures import read_signatures
from serenity_mlir.errors import SerenityError

pytestmark = pytest.mark.one_release

CASES = Path(__file__).parent / "models" / "cases"
BATCH = CASES / "dynamic_batch.onnx"


def arguments(path: Path) -> list[str]:
    (signature,) = read_signatures(path)
    return list(map(str, signature.arguments))


@pytest.mark.parametrize("name", ["N", "x:0", "arg0:axis0", "0.0"])
def test_a_dimension_of_onnx_by_any_of_its_names(name, tmp_path):
    found = import_model(BATCH, tmp_path, fix_dims={name: 2})
    assert arguments(found.path) == ["tensor<2x3x32x32xf32>"]
    assert "?" not in found.path.read_text().partition("dialect_resources")[0]
    assert found.dynamic == ()


def test_a_name_is_fixed_in_all_inputs_and_stale_sizes_go(tmp_path):
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Add", ["a", "b"], ["t"]),
            onnx.helper.make_node("Relu", ["t"], ["y"]),
        ],
        "g",
        [value("a", 1, ["batch", 4]), value("b", 1, ["batch", "width"])],
        [value("y", 1, ["batch", 4])],
        value_info=[value("t", 1, ["other", 4])],
    )
    model = onnx.helper.make_model(graph)
    fix_onnx(model, {"batch": 3, "b:1": 4})
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    shapes = [
        [d.dim_value for d in entry.type.tensor_type.shape.dim]
        for entry in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
    ]
    assert shapes == [[3, 4]] * 4


def test_unknown_dimensions_are_refused_with_those_there_are(tmp_path):
    for model, known in ((BATCH, "the model has N"), (MODELS["dynamic_batch"](), "arg0:axis0")):
        with pytest.raises(SerenityError, match=known) as caught:
            import_model(model, tmp_path, fix_dims={"batch": 1})
        assert caught.value.exit_code == 2 and "no dynamic dimension batch" in str(caught.value)
    with pytest.raises(SerenityError, match="a positive integer") as caught:
        import_model(BATCH, tmp_path, fix_dims={"N": 0})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["arg0:axis0", "0.0", "main:0.0"])
def test_arguments_and_results_of_mlir_become_static(name, tmp_path):
    found = import_model(MODELS["dynamic_batch"](), tmp_path, fix_dims={name: 5})
    assert arguments(found.path) == ["tensor<5x32xf32>"]
    from iree.compiler import ir

    with ir.Context():
        module = ir.Module.parse(found.path.read_bytes())
        assert "?" not in str(module.body.operations[0].attributes["function_type"])


def test_views_of_an_import_from_torch_become_static(tmp_path):
    # The import of ONNX, taken as MLIR: torch types, and views of buffers at the input phase.
    imported = import_model(BATCH, tmp_path).path
    found = import_model(imported, tmp_path, fix_dims={"arg0:axis0": 1})
    assert arguments(found.path) == ["tensor<1x3x32x32xf32>"]


def test_calls_of_a_fixed_function_are_cast(tmp_path):
    text = """
    func.func @callee(%x: tensor<?x4xf32>) -> tensor<?x4xf32> attributes {noinline} {
      %y = arith.addf %x, %x : tensor<?x4xf32>
      return %y : tensor<?x4xf32>
    }
    func.func @caller(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
      %y = call @callee(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
      return %y : tensor<?x4xf32>
    }"""
    found = import_model(text, tmp_path, fix_dims={"callee:0.0": 2})
    signatures = {s.name: list(map(str, s.arguments)) for s in read_signatures(found.path)}
    assert signatures == {"callee": ["tensor<2x4xf32>"], "caller": ["tensor<?x4xf32>"]}


@pytest.mark.parametrize("text", ["N", "N=0", "N=-1", "N=x", "=1"])
def test_what_is_no_dimension_is_wrong_usage(text):
    result = CliRunner().invoke(app, ["peak", str(BATCH), "--fix-dim", text])
    assert result.exit_code == 2
    assert "NAME=N" in " ".join(result.output.replace("│", " ").split())


def test_peak_says_what_to_fix_and_takes_it():
    with pytest.raises(SerenityError, match="--fix-dim N=N") as caught:
        serenity_mlir.peak(BATCH, effort="fast")
    assert caught.value.exit_code == 2
    fixed = serenity_mlir.peak(BATCH, effort="fast", fix_dims={"N": 1})
    # x: 3x32x32 floats; the results: 28,672 - 12,288.
    assert fixed.external_bytes == 28_672
    assert fixed.transient_bytes < fixed.stock_transient_bytes


def test_compile_writes_a_module_for_the_fixed_model(tmp_path):
    output = tmp_path / "model.vmfb"
    report = tmp_path / "report.json"
    result = CliRunner().invoke(
        app,
        [
            *("compile", str(BATCH), "-o", str(output), "--fix-dim", "N=1"),
            *("--serenity-rewrite=off", f"--serenity-report={report}", "--json"),
        ],
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["bytes"] == output.stat().st_size > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.vmfb", "report.json"]
    # Places name the user's file, not the import.
    assert "serenity-compile-" not in report.read_text()
    (function,) = json.loads(report.read_text())["functions"]
    measured = serenity_mlir.measure(output, [np.ones((1, 3, 32, 32), np.float32)])
    assert measured.transient_peak_bytes == function["transient_peak_bytes"]


def test_compile_leaves_the_file_alone_when_it_fails(tmp_path):
    output = tmp_path / "model.vmfb"
    output.write_text("before")
    broken = tmp_path / "broken.mlir"
    broken.write_text("func.func @main( {")
    for arguments, code in (
        ([str(broken)], 1),
        ([str(BATCH), "--fix-dim", "M=1"], 2),
        ([str(BATCH), "--fix-dim", "N=1", "--serenity-nonsense"], None),
        ([str(tmp_path / "absent.onnx")], 2),
    ):
        result = CliRunner().invoke(app, ["compile", *arguments, "-o", str(output)])
        assert result.exit_code == code or (code is None and result.exit_code in (1, 2))
        assert output.read_text() == "before"
    same = CliRunner().invoke(app, ["compile", str(broken), "-o", str(broken)])
    assert same.exit_code == 2 and broken.read_text() == "func.func @main( {"
    over = ["compile", str(BATCH), "-o", str(output), "--fix-dim", "N=1"]
    missed = CliRunner().invoke(app, [*over, "--serenity-memory-budget=1KB"])
    assert missed.exit_code == 3 and output.read_text() == "before"


def test_python_fixes_dimensions_too():
    data = serenity_mlir.compile(
        MODELS["dynamic_batch"](), fix_dims={"0.0": 3}, extra_args=list(LOCAL_FLAGS)
    )
    measured = serenity_mlir.measure(data, [np.ones((3, 32), np.float32)])
    assert measured.outputs[0].shape[0] == 3

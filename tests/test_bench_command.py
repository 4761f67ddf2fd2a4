# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity bench`` on a small network: the whole command, its records, and other systems."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quantized_models import OLD
from typer.testing import CliRunner

from serenity_mlir.benchmarking import peer_runs, work
from serenity_mlir.benchmarking.kept_reports import KeptReports
from serenity_mlir.benchmarking.peer_runs import PEERS, PeerMissingError
from serenity_mlir.cli import app
from serenity_mlir.compiling.options import SerenityOptions

pytestmark = pytest.mark.one_release

#: Whether quantized versions are measured: ONNX Runtime is installed, and not IREE 3.12, which has
#: no quantization on tensors.
QUANTIZES = importlib.util.find_spec("onnxruntime") is not None and not OLD


@pytest.fixture(scope="session")
def small_network(tmp_path_factory) -> Path:
    """Two branches of convolutions and their concatenation, with different tensors."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(3)
    nodes, weights = [], []

    def conv(source: str, name: str, channels: tuple[int, int], size: int = 3) -> str:
        array = rng.standard_normal((channels[1], channels[0], size, size)).astype(np.float32)
        weights.append(numpy_helper.from_array(array, f"{name}_w"))
        nodes.append(helper.make_node("Conv", [source, f"{name}_w"], [name], pads=[size // 2] * 4))
        return name

    left = conv("x", "left", (4, 8))
    right = conv(conv("x", "wide", (4, 24)), "right", (24, 8))
    nodes.append(helper.make_node("Concat", [left, right], ["both"], axis=1))
    nodes.append(helper.make_node("Relu", ["both"], ["relu"]))
    conv("relu", "y", (16, 4), 1)
    value = functools.partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
    graph = helper.make_graph(
        nodes, "small", [value("x", shape=[1, 4, 12, 12])], [value("y", shape=[1, 4, 12, 12])],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = tmp_path_factory.mktemp("bench") / "small.onnx"
    onnx.save(model, str(path))
    return path


TENSOR = 4 * 12 * 12 * 4  # Bytes of x and of y.


@pytest.mark.parametrize("name", list(PEERS))
def test_peers_that_are_installed(name, small_network, tmp_path):
    """SERENITY_PEER_PYTHON_XLA and so on name interpreters, as --peer-python does."""
    peer = PEERS[name]
    variable = f"SERENITY_PEER_PYTHON_{name.upper().replace('-', '_')}"
    python = os.environ.get(variable, sys.executable)
    try:
        peer_runs.peer_versions(peer, python)
    except PeerMissingError as error:
        pytest.skip(str(error))
    inputs = work._inputs(small_network)
    folder = tmp_path / "work"
    folder.mkdir()
    before = small_network.read_bytes()
    found, outputs = peer_runs.run_peer(peer, python, small_network, inputs, folder, timeout=300.0)
    assert small_network.read_bytes() == before
    import onnx.reference

    expected = onnx.reference.ReferenceEvaluator(str(small_network)).run(None, {"x": inputs[0]})
    tensor, tolerance = (TENSOR, 1e-4) if peer.storage == "float32" else (TENSOR // 4, 0.1)
    if name == "vela":  # It runs nothing.
        assert outputs == []
    else:
        assert work._relative_difference(expected, outputs) < tolerance
    for figure in peer.figures:
        assert set(figure.settings) <= set(found["figures"])
    for figure in found["figures"].values():
        # The 24 and 8 channels around the widest convolution, whatever else is alive.
        assert figure["with_io"] >= (8 * tensor if name != "vela" else 2 * tensor)
        if figure["without_io"] is not None:
            # Equal where x and y lie in memory that is free at the worst moment.
            assert 6 * TENSOR <= figure["without_io"] <= figure["with_io"]
            # x and y, each rounded up to 64 bytes.
            assert figure["with_io"] - figure["without_io"] <= 2 * (TENSOR + 63)


def test_the_command_measures_resumes_and_reports(small_network, tmp_path):
    output = tmp_path / "bench"
    command = [
        "bench", "-o", str(output), "--networks", str(small_network), "--peers", "none",
        "--no-latency",
    ]  # fmt: skip
    if QUANTIZES:
        command += ["--quantize", "uint8"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    data = json.loads((output / "results.json").read_text())
    text = (output / "results.md").read_text()
    expect_measured(data, text)
    if QUANTIZES:
        expect_quantized(data["quantized"]["small"], text)
        assert (output / "reports" / "small_uint8.json").exists()
    assert (output / "results" / "slabs.svg").exists()
    # Default, inputs overwritten, ordering alone with inputs kept and overwritten: each once.
    assert len(list((output / "compiled").iterdir())) == 4

    records = {path: path.read_text() for path in (output / "records").iterdir()}
    (output / "results.md").unlink()
    second = CliRunner().invoke(app, command)
    assert second.exit_code == 0, second.output
    assert {path: path.read_text() for path in (output / "records").iterdir()} == records
    assert (output / "results.md").read_text() == text


def expect_measured(data: dict[str, Any], text: str) -> None:
    entry, run = data["bytes"]["small"], data["runs"]["small"]
    assert entry["input_bytes"] == entry["output_bytes"] == TENSOR
    peaks = entry["transient_peak_bytes"]
    assert peaks["serenity"] <= peaks["order"] <= peaks["stock"]
    # Two ways to the same number: the compiler's report, the allocator of a run.
    assert run["serenity"]["transient_peak_bytes"] == peaks["serenity"]
    assert run["stock"]["transient_peak_bytes"] == peaks["stock"]
    kept = peaks["serenity"] + entry["external_bytes"]
    assert 2 * TENSOR <= entry["overwriting_peak_bytes"] <= kept
    assert run["disagreements"] == [] and run["milliseconds"] is None
    overwriting = data["overwriting"]["small"]
    assert overwriting["peak_bytes"] == entry["overwriting_peak_bytes"]
    assert overwriting["bitwise_equal"] and overwriting["disagreements"] == []
    assert f"| small | {entry['external_bytes']:,} | {peaks['stock']:,} |" in text
    assert "## Predicted and built peaks" in text


def expect_quantized(of: dict[str, Any], text: str) -> None:
    assert of["run"]["bitwise_equal"] and not of["run"]["disagreements"]
    assert of["run"]["serenity"]["transient_peak_bytes"] == of["transient_peak_bytes"]["serenity"]
    # x and y as integers: a byte an element.
    assert of["external_bytes"] == 2 * TENSOR // 4
    assert of["quantized_values"] > 0
    assert of["transient_peak_bytes"]["serenity"] < of["transient_peak_bytes"]["stock"]
    assert "## Quantized networks (uint8)" in text
    with_io = of["transient_peak_bytes"]["serenity"] + of["external_bytes"]
    assert f" {with_io:,} |" in text


def test_reports_are_those_of_a_model_its_options_and_a_compiler(tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"one")
    kept = KeptReports(str(tmp_path / "compiled"), "a compiler")
    default, overwriting = SerenityOptions(), SerenityOptions(inputs="overwrite")
    assert kept.find(model, default) is None
    kept.keep(model, default, {"of": "default"})
    kept.keep(model, overwriting, {"of": "overwriting"})
    assert kept.find(model, default) == {"of": "default"}
    assert kept.find(model, overwriting) == {"of": "overwriting"}
    assert KeptReports(kept.folder, "another").find(model, default) is None
    model.write_bytes(b"two")
    assert kept.find(model, default) is None


def test_a_model_that_does_not_compile_is_a_row_and_exit_code_4(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    output = tmp_path / "bench"
    result = CliRunner().invoke(
        app, ["bench", "-o", str(output), "--networks", str(broken), "--peers=none", "--quick"]
    )
    assert result.exit_code == 4
    assert "| broken | compilation to memory |" in (output / "results.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--peers", "tensorrt"], "no peer 'tensorrt'"),
        (["--peer-python", "tensorrt=python"], "NAME=PATH"),
        (["--networks", "nonet"], "neither an ONNX file"),
        (["--jobs", "0"], "--jobs"),
        (["--quantize", "int4"], "neither int8 nor uint8"),
    ],
)
def test_usage_errors_exit_with_2(arguments, told, tmp_path):
    result = CliRunner().invoke(app, ["bench", "-o", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 2
    assert told in result.output
    assert not (tmp_path / "out").exists()

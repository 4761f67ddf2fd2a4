# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The networks of the package: topology, weights, files, command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from typer.testing import CliRunner

from serenity_mlir import networks
from serenity_mlir.cli import app

ALL = networks.names()


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_names_are_the_ten_of_the_evaluation():
    assert ALL == [
        "swiftnet_a",
        "swiftnet_b",
        "swiftnet_c",
        "darts_normal",
        "randwire_c10_a",
        "randwire_c10_b",
        "randwire_c100_a",
        "randwire_c100_b",
        "randwire_c100_c",
        "swiftnet",
    ]


@pytest.mark.parametrize("name", ALL)
def test_own_shapes_agree_with_onnx_shape_inference(name):
    model = networks.build(name)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    found = {
        value.name: tuple(extent.dim_value for extent in value.type.tensor_type.shape.dim)
        for value in [*inferred.graph.value_info, *inferred.graph.output]
    }
    info = networks.info(name)
    assert {key: found[key] for key in info.outputs} == info.outputs
    produced = {output for node in model.graph.node for output in node.output}
    assert produced <= set(found)
    total = sum(4 * int(np.prod(found[value])) for value in produced)
    assert total == info.activation_bytes
    assert sum(array.size for array in weights(model).values()) == info.parameters
    assert len(model.graph.node) == info.operations


@pytest.mark.parametrize("name", ["swiftnet_c", "randwire_c100_b"])
@pytest.mark.parametrize("seed", [0, 11])
def test_values_stay_finite_and_alive(name, seed):
    model = networks.build(name, seed)
    rng = np.random.default_rng(3)
    inputs = {
        key: rng.standard_normal(shape, dtype=np.float32)
        for key, shape in networks.info(name).inputs.items()
    }
    (output,) = ReferenceEvaluator(model).run(None, inputs)
    assert np.isfinite(output).all()
    assert 1e-3 < np.abs(output).max() < 1e6
    assert np.count_nonzero(output) > output.size // 10


def test_multiply_accumulates_of_swiftnet_are_those_of_its_authors():
    # 57.4M MACs in the published model, its classifier head included.
    assert networks.info("swiftnet").multiply_accumulates == pytest.approx(57.4e6, rel=0.03)


def test_a_seed_gives_the_same_bytes_and_another_seed_other_weights():
    first = networks.build("swiftnet_b", 5)
    assert first.SerializeToString(deterministic=True) == networks.build(
        "swiftnet_b", 5
    ).SerializeToString(deterministic=True)
    other = weights(networks.build("swiftnet_b", 6))
    for key, array in weights(first).items():
        assert not np.array_equal(array, other[key])


def test_no_bias_is_zero():
    # A zero bias folds away and changes what IREE allocates.
    for key, array in weights(networks.build("darts_normal")).items():
        if key.endswith("_bias"):
            assert np.all(array != 0)


def test_unknown_names_and_negative_seeds_are_refused():
    with pytest.raises(ValueError, match=r"no network 'swiftnet_d'.*swiftnet_a"):
        networks.build("swiftnet_d")
    with pytest.raises(ValueError, match="negative"):
        networks.build("swiftnet_a", -1)


def test_list_prints_every_network():
    result = CliRunner().invoke(app, ["networks", "list"])
    assert result.exit_code == 0
    for name in ALL:
        assert name in result.output


def test_list_json():
    result = CliRunner().invoke(app, ["networks", "list", "--json"])
    rows = json.loads(result.output)
    assert [row["name"] for row in rows] == ALL
    assert rows[0]["inputs"] == {"x": [1, 32, 28, 28]}


def test_build_writes_the_model_of_the_api(tmp_path: Path):
    path = tmp_path / "x.onnx"
    result = CliRunner().invoke(
        app, ["networks", "build", "swiftnet_c", "-o", str(path), "--seed", "4"]
    )
    assert result.exit_code == 0, result.output
    assert onnx.load(path) == networks.build("swiftnet_c", 4)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.onnx"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["networks", "build", "nothing", "-o", "x.onnx"],
        ["networks", "build", "swiftnet_c"],
        ["networks", "build", "swiftnet_c", "-o", "no/such/folder/x.onnx"],
        ["networks", "build", "swiftnet_c", "-o", "x.onnx", "--seed", "-1"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert list(tmp_path.iterdir()) == []

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The networks of the package: topology, weights, files, command line."""

from __future__ import annotations

import functools
import json
import math
import re
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from typer.testing import CliRunner

from serenity_mlir import networks
from serenity_mlir.cli import app
from serenity_mlir.networks import (
    densenet,
    inception,
    microcontroller,
    mobile,
    pyramids,
    randwire,
    searched_cells,
    transformer,
    unet,
    yolo,
)
from serenity_mlir.networks.graph import Graph
from serenity_mlir.networks.quantizing import quantize, with_integer_border

pytestmark = pytest.mark.one_release

ALL = networks.names()
PAPER = networks.names("paper")


#: Of the edges of the registered wirings.
PINNED_WIRINGS = {
    ("ws", 16, 7): 681_067_983,
    ("er", 32, 11): 1_189_956_649,
    ("ba", 32, 13): 3_371_246_423,
    ("ws", 48, 17): 1_629_259_434,
}


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_the_papers_are_the_ten_of_the_evaluation():
    assert ALL[: len(PAPER)] == PAPER
    assert PAPER == [
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


def test_every_network_is_in_one_set_and_half_of_the_others_are_held_out():
    by_set = [networks.names(one) for one in networks.SETS]
    assert sorted(name for names in by_set for name in names) == sorted(ALL)
    _, more, held_out, _ = map(len, by_set)
    assert more + held_out >= 15
    assert abs(more - held_out) <= 1


#: Counts that the literature and its reference implementations give for the whole networks.
PUBLISHED = {
    # torchvision.
    "mobilenet_v2": (
        lambda: microcontroller.mobilenet_v2("mobilenet_v2", 1.0, 224),
        3_504_872,
    ),
    # Keras's MobileNet(alpha=0.25), trainable.
    "mobilenet_v1": (
        lambda: microcontroller.mobilenet_v1("mobilenet_v1", 0.25, 224, 1000),
        470_072,
    ),
    # torchvision.
    "densenet121": (lambda: densenet.densenet("densenet121"), 7_978_856),
    "mobilenet_v3_small": (mobile.mobilenet_v3_small, 2_542_856),
    "efficientnet_b0": (mobile.efficientnet_b0, 5_288_548),
    # Without the 1000-way classifier's 513,000; the pyramid by hand: four laterals and four 3x3.
    "fpn_resnet18": (
        lambda: pyramids.fpn_resnet18("fpn", ""),
        11_689_512 - 513_000 + (64 + 128 + 256 + 512) * 256 + 4 * 256 + 4 * (256 * 256 * 9 + 256),
    ),
    # BVLC's, without auxiliary classifiers.
    "googlenet": (inception.googlenet, 6_998_552),
    "unet": (lambda: unet.unet("unet", ""), 31_030_658),
    # Keras's NASNetMobile, trainable.
    "nasnet_a_mobile": (
        lambda: searched_cells.whole_network(
            "nasnet",
            searched_cells.NASNET_A_NORMAL,
            searched_cells.NASNET_A_REDUCTION,
            channels=44,
            repeats=4,
        ),
        5_289_978,
    ),
    # timm's pnasnet5large.
    "pnasnet5_large": (
        lambda: searched_cells.whole_network(
            "pnasnet",
            searched_cells.PNASNET_5,
            searched_cells.PNASNET_5,
            channels=216,
            repeats=4,
            reduction_replaces=True,
            stem=96,
            resolution=331,
        ),
        86_057_668,
    ),
    # Ultralytics' yolov3-tiny for 80 classes.
    "yolov3_tiny": (lambda: yolo.yolov3_tiny("y", ""), 8_852_366),
    # The Keras model of MLPerf Tiny, trainable.
    "autoencoder": (microcontroller.autoencoder, 267_928),
    # timm's vit_tiny_patch16_224, without the patches' embedding (768 x 192 and a bias), positions,
    # class token and classifier (192 x 1000 and a bias).
    "vit_tiny": (
        lambda: transformer.encoder(
            "v", "", layers=12, width=192, heads=3, tokens=197, pre_norm=True
        ),
        5_717_416 - (768 * 192 + 192) - 197 * 192 - 192 - (192 * 1000 + 1000),
    ),
    # GPT-2's smallest, without the tables of tokens and positions; its scores share the former.
    "gpt2": (
        lambda: transformer.decoder_step(
            "g", "", layers=12, width=768, heads=12, past=1, vocabulary=1
        ),
        124_439_808 - 50_257 * 768 - 1024 * 768 + (768 + 1),
    ),
    # A layer of BERT-Base.
    "bert_layer": (
        lambda: transformer.encoder("b", "", layers=1, width=768, heads=12, tokens=8),
        7_087_872,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_whole_networks_have_the_published_number_of_parameters(name):
    make, published = PUBLISHED[name]
    assert make().trained_parameters == published


def test_published_u_net_turns_572_pixels_into_388():
    whole = unet.unet("unet", "")
    assert whole.shapes[whole.outputs[0]] == (1, 2, 388, 388)


def test_parameters_of_cells_worked_out_by_hand():
    # AmoebaNet-A at F = 50 reads 200 channels: to F, 2 (200 * 50 + 100); of the second cell both
    # too. sep k is twice a depthwise (k * k * 50) and a 1x1 (50 * 50 + 100); three are of 3, one
    # of 5.
    ends = 4 * (200 * 50 + 100)
    separable = sum(2 * (k * k * 50 + 50 * 50 + 100) for k in (3, 3, 3, 5))
    amoeba = networks.graph("amoebanet_a_cells")
    assert amoeba.trained_parameters == ends + 2 * separable

    # RetinaNet's towers are one for all levels: 4 layers each, then 9 anchors of 20 and 4.
    width = 64
    tower = 4 * (width * width * 9 + width)
    last = sum(width * 9 * 9 * per + 9 * per for per in (20, 4))
    assert networks.graph("retinanet_head").parameter_count == 2 * tower + last

    # HRNet-W18: blocks of two 3x3; up by 1x1, down by 3x3 with stride, all with normalisation.
    def conv(a, b, k):
        return a * b * k * k + 2 * b

    blocks = sum(8 * conv(c, c, 3) for c in (18, 36, 72))
    up = conv(36, 18, 1) + conv(72, 18, 1) + conv(72, 36, 1)
    down = conv(18, 36, 3) + conv(36, 72, 3) + conv(18, 18, 3) + conv(18, 72, 3)
    assert networks.graph("hrnet_w18_stage3").trained_parameters == 2 * (blocks + up + down)


def test_random_wirings_are_pinned():
    # networkx draws them: another draw would be another network under the same name.
    found = {
        (kind, nodes, seed): zlib.crc32(repr(randwire.edges(kind, nodes, seed)).encode())
        for kind, nodes, seed in [("ws", 16, 7), ("er", 32, 11), ("ba", 32, 13), ("ws", 48, 17)]
    }
    assert found == PINNED_WIRINGS
    for kind, nodes, _ in found:
        assert f"randwire_{kind}_{nodes}" in ALL


def test_edges_are_as_many_as_the_models_say():
    assert len(randwire.edges("ws", 48, 1)) == 48 * 4 // 2
    assert len(randwire.edges("ba", 32, 1)) == (32 - 5) * 5
    with pytest.raises(ValueError, match="unknown kind of random graph 'xx'"):
        randwire.edges("xx", 8, 0)


def test_graphs_refuse_what_does_not_fit():
    graph = Graph("g", "")
    image = graph.input("x", (1, 6, 4, 4))
    with pytest.raises(ValueError, match="6 channels to 8 in 4 groups"):
        graph.conv(image, 8, groups=4)
    with pytest.raises(ValueError, match="under the window"):
        graph.max_pool(image, 5, pad=0)
    with pytest.raises(ValueError, match="differ in shape"):
        graph.add(image, graph.conv(image, 5))
    with pytest.raises(ValueError, match="differ"):
        graph.concat([image, graph.max_pool(image, 2, stride=2, pad=0)])
    with pytest.raises(ValueError, match="computed twice"):
        graph.relu(image, "x")
    graph.conv(image, 4, share="w")
    with pytest.raises(ValueError, match="has shape"):
        graph.conv(image, 5, share="w")


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
    graph = networks.graph(name)
    assert {key: found[key] for key in found if key in produced} == {
        node.output: graph.shapes[node.output] for node in graph.nodes
    }
    arrays = weights(model)
    assert sum(arrays[key].size for key in graph.parameters) == info.parameters
    assert set(arrays) == {*graph.parameters, *graph.constants}
    assert len(model.graph.node) == info.operations


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("swiftnet_c", 0),
        ("swiftnet_c", 11),
        ("randwire_c100_b", 0),
        ("inception_v3_e", 1),
        ("mobilenet_v3_small", 0),
        ("bert_mini_encoder", 0),
        ("bifpn_d0", 0),
        ("randwire_ba_32", 0),
    ],
)
def test_values_stay_finite_and_alive(name, seed):
    model = networks.build(name, seed)
    rng = np.random.default_rng(3)
    inputs = {
        key: rng.standard_normal(shape, dtype=np.float32)
        for key, shape in networks.info(name).inputs.items()
    }
    for output in ReferenceEvaluator(model).run(None, inputs):
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
    # A zero bias folds away and changes the bytes that IREE allocates.
    for key, array in weights(networks.build("darts_normal")).items():
        if key.endswith("_bias"):
            assert np.all(array != 0)


def test_unknown_names_and_negative_seeds_are_refused():
    with pytest.raises(ValueError, match=r"no network 'swiftnet_d'.*swiftnet_a"):
        networks.build("swiftnet_d")
    with pytest.raises(ValueError, match="negative"):
        networks.build("swiftnet_a", -1)
    with pytest.raises(ValueError, match="no set 'seen'"):
        networks.names("seen")  # type: ignore[arg-type]


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
    assert {row["name"]: row["set"] for row in rows}["googlenet"] == "held-out"


def test_list_of_a_set():
    arguments = ["networks", "list", "--json", "--set", "held-out", "--set", "more"]
    rows = json.loads(CliRunner().invoke(app, arguments).output)
    small = networks.names("microcontroller")
    assert {row["name"] for row in rows} == set(ALL) - set(PAPER) - set(small)


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
        ["networks", "list", "--set", "seen"],
        ["networks", "build", "swiftnet_c", "-o", "no/such/folder/x.onnx"],
        ["networks", "build", "swiftnet_c", "-o", "x.onnx", "--seed", "-1"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert list(tmp_path.iterdir()) == []


# --- quantized ---------------------------------------------------------------------------------


def test_quantizing_without_onnx_runtime_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    output = tmp_path / "q.onnx"
    arguments = ["networks", "build", "ds_cnn", "--quantize", "int8", "-o", str(output)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 or getattr(result.exception, "exit_code", None) == 2
    assert "serenity-mlir[quantize]" in result.output + str(result.exception)
    assert not output.exists()


def test_scales_per_channel_need_quantization(tmp_path):
    arguments = ["networks", "build", "ds_cnn", "--per-channel", "-o", str(tmp_path / "q.onnx")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2


@pytest.mark.parametrize("storage", ["int8", "uint8"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_quantized_networks_have_integers_between_all_operators(storage, per_channel):
    pytest.importorskip("onnxruntime")
    model = networks.build("ds_cnn")
    first = quantize(model, storage, per_channel=per_channel)
    again = quantize(model, storage, per_channel=per_channel)
    assert first.SerializeToString(deterministic=True) == again.SerializeToString(
        deterministic=True
    )
    kinds = [node.op_type for node in first.graph.node]
    # A quantization in front of every one of nine convolutions and of the product.
    assert kinds.count("Conv") == 9
    assert kinds.count("QuantizeLinear") >= 10
    tensors = {t.name: numpy_helper.to_array(t) for t in first.graph.initializer}
    (weight, scale, _) = next(
        [tensors[name] for name in node.input]
        for node in first.graph.node
        if node.op_type == "DequantizeLinear" and tensors.get(node.input[0], np.zeros(1)).ndim == 4
    )
    assert weight.dtype == np.int8
    assert scale.size == (weight.shape[0] if per_channel else 1)
    zeros = {
        str(tensors[node.input[2]].dtype)
        for node in first.graph.node
        if node.op_type == "QuantizeLinear"
    }
    assert zeros == {storage}


def test_the_quantizer_takes_no_name_of_a_constant():
    """ONNX Runtime calls the scale of ``norm`` ``norm_scale``, as the model calls its weight."""
    pytest.importorskip("onnxruntime")
    value = functools.partial(
        onnx.helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT, shape=[1, 4, 8]
    )
    weight = np.linspace(0.5, 2, 8, dtype=np.float32)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("LayerNormalization", ["x", "norm_scale"], ["norm"], "norm"),
            onnx.helper.make_node("Relu", ["norm"], ["y"], "y"),
        ],
        "net",
        [value("x")],
        [value("y")],
        [numpy_helper.from_array(weight, "norm_scale")],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    before = model.SerializeToString(deterministic=True)
    made = quantize(model, "int8", per_channel=True)
    onnx.checker.check_model(made, full_check=True)
    assert model.SerializeToString(deterministic=True) == before
    sizes = {t.name: math.prod(t.dims) for t in made.graph.initializer}
    scales = [sizes[node.input[1]] for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert scales and set(scales) == {1}


@pytest.mark.parametrize("storage", ["int8", "uint8"])
def test_integers_at_the_border_are_those_of_the_quantized_network(storage):
    runtime = pytest.importorskip("onnxruntime")
    quantized = quantize(networks.build("ds_cnn"), storage)
    integers = with_integer_border(quantized)
    (value,), (result,) = integers.graph.input, integers.graph.output
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(storage))
    assert value.type.tensor_type.elem_type == result.type.tensor_type.elem_type == kind
    assert (value.name, result.name) == (
        quantized.graph.input[0].name,
        quantized.graph.output[0].name,
    )

    def parameters(doc: str) -> tuple[np.float32, int]:
        scale, zero = re.fullmatch(r"scale (\S+), zero point (-?\d+)", doc).groups()
        return np.float32(scale), int(zero)

    # Without fused kernels in integers, which round otherwise on some processors.
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL

    def run(model: onnx.ModelProto, data: np.ndarray) -> np.ndarray:
        session = runtime.InferenceSession(model.SerializeToString(), options)
        return session.run(None, {value.name: data})[0]

    limits = np.iinfo(storage)
    rng = np.random.default_rng(0)
    data = rng.integers(limits.min, limits.max + 1, (1, 1, 49, 10)).astype(storage)
    scale, zero = parameters(value.doc_string)
    of_floats = run(quantized, (data.astype(np.float32) - zero) * scale)
    scale, zero = parameters(result.doc_string)
    of_integers = run(integers, data).astype(np.float32)
    np.testing.assert_array_equal((of_integers - zero) * scale, of_floats)


#: Of `_float_border`.
_INPUTS = ["x", "y"]
_RESULTS = ["read", "pooled", "absolute", "negative"]


def _float_border() -> onnx.ModelProto:
    """A network that the quantizer leaves floats at the border of.

    One input is read by a rectifier alone, and results are made by operators without integer form
    or read within the graph as well.
    """
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 4, 1, 1)).astype(np.float32)
    node = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            node("Relu", ["x"], ["rectified"]),
            node("Conv", ["rectified", "weight"], ["left"]),
            node("Conv", ["y", "weight"], ["read"]),
            node("MaxPool", ["read"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Add", ["left", "read"], ["sum"]),
            node("Abs", ["sum"], ["absolute"]),
            node("Neg", ["absolute"], ["negative"]),
        ],
        "net",
        [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4, 8, 8])
            for name in _INPUTS
        ],
        [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            for name in _RESULTS
        ],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    return onnx.shape_inference.infer_shapes(model)


@pytest.mark.parametrize("storage", ["int8", "uint8"])
def test_no_float_is_left_at_the_border(storage):
    """The integers are the quantized results of the floats that the integers stand for."""
    runtime = pytest.importorskip("onnxruntime")
    model = _float_border()
    floats = quantize(model, storage)
    integers = quantize(model, storage, integer_border=True)
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(storage))
    border = {value.name: value for value in (*integers.graph.input, *integers.graph.output)}
    assert {value.type.tensor_type.elem_type for value in border.values()} == {kind}

    def parameters(name: str) -> tuple[np.float32, int]:
        found = re.fullmatch(r"scale (\S+), zero point (-?\d+)", border[name].doc_string)
        return np.float32(found.group(1)), int(found.group(2))

    def run(model: onnx.ModelProto, data: dict[str, np.ndarray]) -> list[np.ndarray]:
        options = runtime.SessionOptions()
        # Its optimizations compute other operators in integers, with another rounding.
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = runtime.InferenceSession(model.SerializeToString(), options)
        return session.run(_RESULTS, data)

    limits = np.iinfo(storage)
    rng = np.random.default_rng(0)
    data, reals = {}, {}
    for name in _INPUTS:
        scale, zero = parameters(name)
        data[name] = rng.integers(limits.min, limits.max + 1, (1, 4, 8, 8)).astype(storage)
        reals[name] = (data[name].astype(np.float32) - zero) * scale
    expected, results = run(floats, reals), run(integers, data)
    for name, value, wanted in zip(_RESULTS, results, expected, strict=True):
        scale, zero = parameters(name)
        rounded = np.clip(np.round(wanted / scale) + zero, limits.min, limits.max)
        np.testing.assert_array_equal(value, rounded.astype(storage), err_msg=name)


def test_integers_at_the_border_need_quantization(tmp_path):
    arguments = ["networks", "build", "ds_cnn", "--integer-io", "-o", str(tmp_path / "q.onnx")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "--quantize" in result.output

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The networks of the SERENITY paper's evaluation, as ONNX models.

The topologies are package data (``paper_networks.json``): nine cells and the
whole SwiftNet, as neutral lists of operations in NCHW layout. They follow
Ahn et al., "Ordering Chaos: Memory-Aware Scheduling of Irregularly Wired
Neural Networks for Edge Devices", MLSys 2020, section 5 (the paper's RandWire
seeds and channel counts are unpublished, so those five cells are fixed
stand-ins of the same family). Weights are no part of the data: `build` draws
them from a seed, because memory depends on shapes only.

    >>> from serenity_mlir import networks
    >>> networks.names()[0]
    'swiftnet_a'
    >>> model = networks.build("swiftnet_a", seed=0)
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["NetworkInfo", "build", "info", "names"]

#: The opset and file version are fixed, so that the same call gives the same
#: file whatever onnx release is installed.
OPSET_VERSION = 17
IR_VERSION = 8

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NetworkInfo:
    """What a network is, without building it.

    Attributes:
      name: the name that `build` takes.
      note: where the topology is from.
      inputs: shape of every input by name, NCHW, float32.
      outputs: shape of every output by name, NCHW, float32.
      operations: number of ONNX operations.
      parameters: number of float32 weights and biases.
      multiply_accumulates: multiplications of all convolutions for one run.
      activation_bytes: bytes of all values that operations produce, together.
    """

    name: str
    note: str
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    operations: int
    parameters: int
    multiply_accumulates: int
    activation_bytes: int


@functools.cache
def _networks() -> dict[str, dict[str, Any]]:
    text = resources.files(__package__).joinpath("paper_networks.json").read_text("utf-8")
    return {network["name"]: network for network in json.loads(text)["networks"]}


def _network(name: str) -> dict[str, Any]:
    try:
        return _networks()[name]
    except KeyError:
        raise ValueError(f"no network {name!r}; known are: {', '.join(names())}") from None


def names() -> list[str]:
    """Return the names of all networks, in the order of the paper's tables."""
    return list(_networks())


def _window(extent: int, op: Mapping[str, Any]) -> int:
    """Return the output extent of a sliding window over `extent` elements."""
    reach = op.get("dilation", 1) * (op["kernel"] - 1) + 1
    return int((extent + 2 * op["pad"] - reach) // op["stride"] + 1)


def _result_shape(op: Mapping[str, Any], operands: Sequence[Shape]) -> Shape:
    kind = op["kind"]
    first = operands[0]
    if kind in ("conv", "maxpool"):
        channels = op["channels"] if kind == "conv" else first[1]
        return (first[0], channels, _window(first[2], op), _window(first[3], op))
    if kind in ("relu", "add"):
        if any(shape != first for shape in operands):
            raise ValueError(f"operands of {op['output']!r} differ in shape: {operands}")
        return first
    if kind == "concat":
        return (first[0], sum(shape[1] for shape in operands), *first[2:])
    if kind == "global_avgpool":
        return (first[0], first[1], 1, 1)
    raise ValueError(f"unknown operation kind {kind!r}")


def _weight_shape(op: Mapping[str, Any], operand: Shape) -> Shape:
    if operand[1] % op["groups"]:
        raise ValueError(f"{op['output']!r}: {operand[1]} channels in {op['groups']} groups")
    return (op["channels"], operand[1] // op["groups"], op["kernel"], op["kernel"])


def _shapes(network: Mapping[str, Any]) -> dict[str, Shape]:
    """Return the shape of every value of the network."""
    shapes: dict[str, Shape] = {k: tuple(v) for k, v in network["inputs"].items()}
    for op in network["ops"]:
        shapes[op["output"]] = _result_shape(op, [shapes[value] for value in op["inputs"]])
    return shapes


def info(name: str) -> NetworkInfo:
    """Describe a network.

    Raises:
      ValueError: there is no such network.
    """
    network = _network(name)
    shapes = _shapes(network)
    parameters = 0
    multiply_accumulates = 0
    activation_bytes = 0
    for op in network["ops"]:
        result = shapes[op["output"]]
        activation_bytes += 4 * int(np.prod(result))
        if op["kind"] == "conv":
            weight = _weight_shape(op, shapes[op["inputs"][0]])
            parameters += int(np.prod(weight)) + op["channels"]
            multiply_accumulates += int(np.prod(weight[1:])) * int(np.prod(result))
    return NetworkInfo(
        name=name,
        note=network["note"],
        inputs={value: shapes[value] for value in network["inputs"]},
        outputs={value: shapes[value] for value in network["outputs"]},
        operations=len(network["ops"]),
        parameters=parameters,
        multiply_accumulates=multiply_accumulates,
        activation_bytes=activation_bytes,
    )


def build(name: str, seed: int = 0) -> onnx.ModelProto:
    """Build a network as a checked ONNX model with random weights.

    Weights are normal with variance 2 / fan-in (He et al., ICCV 2015), so that
    activations stay finite through every depth in the table. Every convolution
    has a bias, small, normal and nowhere zero on purpose: a zero bias folds
    away and makes IREE fuse, and thus allocate, differently. The draw depends
    on `seed` and `name` alone.

    Args:
      name: one of `names()`.
      seed: seed of the weights, not negative.

    Returns:
      A float32 NCHW model, opset 17, with static shapes.

    Raises:
      ValueError: there is no such network, or the seed is negative.
    """
    # onnx takes a quarter of a second to import: not a price for `names`.
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network = _network(name)
    if seed < 0:
        raise ValueError(f"the seed must not be negative, got {seed}")
    shapes = _shapes(network)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])

    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    for op in network["ops"]:
        kind = op["kind"]
        inputs, output = list(op["inputs"]), op["output"]
        if kind == "conv":
            shape = _weight_shape(op, shapes[inputs[0]])
            scale = np.float32(np.sqrt(2.0 / np.prod(shape[1:])))
            weight = rng.standard_normal(shape, dtype=np.float32) * scale
            bias = rng.standard_normal(shape[0], dtype=np.float32) * np.float32(0.1)
            initializers.append(numpy_helper.from_array(weight, f"{output}_weight"))
            initializers.append(numpy_helper.from_array(bias, f"{output}_bias"))
            node = helper.make_node(
                "Conv",
                [*inputs, f"{output}_weight", f"{output}_bias"],
                [output],
                dilations=[op["dilation"]] * 2,
                group=op["groups"],
                kernel_shape=[op["kernel"]] * 2,
                pads=[op["pad"]] * 4,
                strides=[op["stride"]] * 2,
            )
        elif kind == "maxpool":
            node = helper.make_node(
                "MaxPool",
                inputs,
                [output],
                kernel_shape=[op["kernel"]] * 2,
                pads=[op["pad"]] * 4,
                strides=[op["stride"]] * 2,
            )
        elif kind == "concat":
            node = helper.make_node("Concat", inputs, [output], axis=1)
        else:
            onnx_name = {"relu": "Relu", "add": "Add", "global_avgpool": "GlobalAveragePool"}
            node = helper.make_node(onnx_name[kind], inputs, [output])
        node.name = output
        nodes.append(node)

    def value(key: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(key, TensorProto.FLOAT, shapes[key])

    graph = helper.make_graph(
        nodes,
        name,
        [value(key) for key in network["inputs"]],
        [value(key) for key in network["outputs"]],
        initializers,
        doc_string=network["note"],
    )
    model = helper.make_model(
        graph,
        producer_name="serenity_mlir",
        opset_imports=[helper.make_opsetid("", OPSET_VERSION)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model

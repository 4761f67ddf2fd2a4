# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small quantized ONNX networks in QDQ form, from fixed seeds, without a quantizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from serenity_mlir._versions import iree_version

#: Whether this release of IREE has no quantization on tensors.
OLD = (iree_version() or "").startswith("3.12")

#: Mark of tests that need it.
integers = pytest.mark.skipif(OLD, reason="IREE 3.12 has no quantization on tensors")

#: Extents; a name is a dynamic one.
Shape = tuple[Any, ...]


class Qdq:
    """A network whose values are quantized one by one; names are of dequantized values."""

    def __init__(self, *, unsigned: bool = False, per_channel: bool = False, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.type = np.uint8 if unsigned else np.int8
        self.shift = 128 if unsigned else 0
        self.per_channel = per_channel
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.scales: dict[str, float] = {}
        self.shapes: dict[str, Shape] = {}

    def _constant(self, value: object, kind: type) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.array(value, dtype=kind), name))
        return name

    def _node(self, kind: str, inputs: Sequence[str], **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def input(self, shape: Shape, scale: float = 0.03) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return self.quantized(name, shape, scale, 3)

    def quantized(self, value: str, shape: Shape, scale: float, zero: int) -> str:
        """Quantizes and dequantizes a float value; `zero` counts from the middle of the range."""
        parameters = [
            self._constant(scale, np.float32),
            self._constant(zero + self.shift, self.type),
        ]
        name = self._node(
            "DequantizeLinear", [self._node("QuantizeLinear", [value, *parameters]), *parameters]
        )
        self.scales[name] = scale
        self.shapes[name] = shape
        return name

    def conv(
        self,
        value: str,
        channels: int,
        kernel: int,
        scale: float,
        zero: int = -128,
        stride: int = 1,
        groups: int = 1,
        *,
        quantize: bool = True,
    ) -> str:
        """A convolution with a bias, and a ReLU by the range of its result if zero is -128."""
        batch, before, height, width = self.shapes[value]
        size = (channels, before // groups, kernel, kernel)
        weight = self.rng.integers(-127, 128, size)
        channel_scales = 0.01 * (1 + self.rng.random(channels if self.per_channel else 1))
        scales = channel_scales if self.per_channel else float(channel_scales[0])
        bias = self.rng.integers(-2000, 2000, channels)
        axis = {"axis": 0} if self.per_channel else {}
        zeros = np.zeros_like(scales)
        operands = [
            value,
            self._node(
                "DequantizeLinear",
                [
                    self._constant(weight, np.int8),
                    self._constant(scales, np.float32),
                    self._constant(zeros, np.int8),
                ],
                **axis,
            ),
            self._node(
                "DequantizeLinear",
                [
                    self._constant(bias, np.int32),
                    self._constant(self.scales[value] * np.array(scales), np.float32),
                    self._constant(zeros, np.int32),
                ],
                **axis,
            ),
        ]
        pad = kernel // 2
        name = self._node(
            "Conv",
            operands,
            kernel_shape=[kernel] * 2,
            pads=[pad] * 4,
            strides=[stride] * 2,
            group=groups,
        )
        shape = (batch, channels, (height - 1) // stride + 1, (width - 1) // stride + 1)
        return self.quantized(name, shape, scale, zero) if quantize else name

    def max_pool(self, value: str) -> str:
        """3x3, stride 2, quantized as its operand."""
        batch, channels, height, width = self.shapes[value]
        name = self._node("MaxPool", [value], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
        shape = (batch, channels, (height + 1) // 2, (width + 1) // 2)
        return self.quantized(name, shape, self.scales[value], -128)

    def concat(self, values: Sequence[str], scale: float, zero: int) -> str:
        first = self.shapes[values[0]]
        shape = (first[0], sum(self.shapes[value][1] for value in values), *first[2:])
        return self.quantized(self._node("Concat", values, axis=1), shape, scale, zero)

    def add(self, left: str, right: str, scale: float, zero: int = 0) -> str:
        return self.quantized(self._node("Add", [left, right]), self.shapes[left], scale, zero)

    def classifier(self, value: str, classes: int) -> str:
        batch, channels = self.shapes[value][:2]
        pooled = self.quantized(
            self._node("GlobalAveragePool", [value]), (batch, channels, 1, 1), 0.05, -128
        )
        flat = self.quantized(
            self._node("Flatten", [pooled], axis=1), (batch, channels), 0.05, -128
        )
        weight = self._node(
            "DequantizeLinear",
            [
                self._constant(self.rng.integers(-127, 128, (channels, classes)), np.int8),
                self._constant(0.01, np.float32),
                self._constant(0, np.int8),
            ],
        )
        return self.quantized(self._node("MatMul", [flat, weight]), (batch, classes), 0.1, 5)

    def save(self, path: Path, *values: str) -> Path:
        for value in values:
            self.outputs.append(
                helper.make_tensor_value_info(value, TensorProto.FLOAT, self.shapes[value])
            )
        graph = helper.make_graph(
            self.nodes, path.stem, self.inputs, self.outputs, self.initializers
        )
        domains = {"": 17, "com.microsoft": 1}
        opsets = [helper.make_opsetid(name, version) for name, version in domains.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
        return path


def branches(
    path: Path, *, unsigned: bool = False, per_channel: bool = False, batch: int | str = 1
) -> Path:
    """A stem with a max pool, two branches of other scales concatenated, a residual, a head."""
    net = Qdq(unsigned=unsigned, per_channel=per_channel)
    x = net.input((batch, 3, 24, 24))
    stem = net.max_pool(net.conv(x, 16, 3, 0.05))
    left = net.conv(stem, 8, 1, 0.04)
    right = net.conv(stem, 8, 3, 0.07, zero=-5)
    both = net.concat([left, right], 0.07, -10)
    depthwise = net.conv(both, 16, 3, 0.06, groups=16)
    projected = net.conv(depthwise, 16, 1, 0.08, zero=7)
    total = net.add(projected, both, 0.1, -3)
    return net.save(path, net.classifier(total, 4))


def pooled(path: Path) -> Path:
    """A convolution and a max pool over 16 channels of 48x48, then one that narrows it."""
    net = Qdq(seed=1)
    x = net.input((1, 1, 48, 48))
    return net.save(path, net.conv(net.max_pool(net.conv(x, 16, 3, 0.05)), 2, 1, 0.04))


def concatenated_result(path: Path) -> Path:
    """Two convolutions of other scales over 4 channels of 8x8, concatenated: 16 channels."""
    net = Qdq(seed=3)
    x = net.input((1, 4, 8, 8))
    parts = [net.conv(x, 8, 1, 0.04), net.conv(x, 8, 3, 0.07, zero=-5)]
    return net.save(path, net.concat(parts, 0.07, -10))


def residual(path: Path) -> Path:
    """A convolution over 8 channels of 16x16 and another's result, of three scales, added."""
    net = Qdq(seed=4)
    stem = net.conv(net.input((1, 8, 16, 16)), 8, 1, 0.05, zero=-3)
    total = net.add(net.conv(stem, 8, 3, 0.08, zero=7), stem, 0.1, 11)
    return net.save(path, net.conv(total, 1, 1, 0.04))


def qlinear_convolutions(path: Path) -> Path:
    """Two convolutions in QOperator form: 3 channels of 24x24 to 16, then to 4."""
    net = Qdq(seed=2)
    net.inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 24, 24)))
    before = [net._constant(0.03, np.float32), net._constant(3, np.int8)]
    after = [net._constant(0.05, np.float32), net._constant(-128, np.int8)]
    value = net._node("QuantizeLinear", ["x", *before])
    for channels, own, kernel in ((16, 3, 3), (4, 16, 1)):
        weight = [
            net._constant(net.rng.integers(-127, 128, (channels, own, kernel, kernel)), np.int8),
            net._constant(0.01, np.float32),
            net._constant(0, np.int8),
        ]
        pads = [kernel // 2] * 4
        operands = [value, *before, *weight, *after]
        value = net._node("QLinearConv", operands, kernel_shape=[kernel] * 2, pads=pads)
        before = after
    result = net._node("DequantizeLinear", [value, *after])
    net.shapes[result] = (1, 4, 24, 24)
    return net.save(path, result)


def quantized_operators(path: Path) -> Path:
    """Sums, products, concatenations and pools in QOperator form: 4 channels of 8x8 in, 8 out."""
    net = Qdq(seed=4)
    net.inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 8, 8)))
    first = [net._constant(0.03, np.float32), net._constant(3, np.int8)]
    second = [net._constant(0.05, np.float32), net._constant(-20, np.int8)]

    def operator(kind: str, inputs: Sequence[str], **attributes: object) -> str:
        return net._node(f"QLinear{kind}", inputs, domain="com.microsoft", **attributes)

    x = net._node("QuantizeLinear", ["x", *first])
    total = operator("Add", [x, *first, x, *first, *second])
    product = operator("Mul", [total, *second, x, *first, *second])
    leaky = operator("LeakyRelu", [product, *second, *first], alpha=0.1)
    both = operator("Concat", [*second, leaky, *first, total, *second], axis=1)
    small = operator(
        "AveragePool", [both, *second, *second], kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4
    )
    mean = operator("GlobalAveragePool", [small, *second, *second], channels_last=0)
    gate = operator("Sigmoid", [mean, *second, *first])
    scaled = operator("Mul", [small, *second, gate, *first, *second])
    result = net._node("DequantizeLinear", [scaled, *second])
    net.shapes[result] = (1, 8, 4, 4)
    return net.save(path, result)


def refused_operator(path: Path, kind: str) -> Path:
    """One operator that IREE does not import, named `node` in the model."""
    net = Qdq(seed=5)
    ranks = {"QGemm": 2, "QLinearMatMul": 4}
    shape = (1, 1, 4, 8)[-ranks.get(kind, 4) :]
    net.inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))
    own = [net._constant(0.03, np.float32), net._constant(3, np.int8)]
    x = net._node("QuantizeLinear", ["x", *own])
    operands = {
        "QLinearSoftmax": [x, *own, *own],
        "QLinearGlobalAveragePool": [x, *own, *own],
        "QGemm": [x, *own, net._constant(np.ones((8, 5)), np.int8), *own, "", *own],
        "QLinearMatMul": [x, *own, net._constant(np.ones((8, 5)), np.int8), *own, *own],
    }[kind]
    attributes: dict[str, object] = {
        "QLinearSoftmax": {"axis": 1, "opset": 13},
        "QLinearGlobalAveragePool": {"channels_last": 1},
    }.get(kind, {})
    domain = "" if kind == "QLinearMatMul" else "com.microsoft"
    value = net._node(kind, operands, domain=domain, **attributes)
    net.nodes[-1].name = "node"
    result = net._node("DequantizeLinear", [value, *own])
    net.shapes[result] = (*shape[:-1], 5) if "M" in kind else shape
    return net.save(path, result)

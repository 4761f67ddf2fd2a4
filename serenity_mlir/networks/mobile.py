# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Networks of inverted residuals: MobileNetV3 and EfficientNet.

Howard et al., "Searching for MobileNetV3", ICCV 2019; Tan and Le, "EfficientNet: Rethinking Model
Scaling for Convolutional Neural Networks", ICML 2019.
"""

from __future__ import annotations

from collections.abc import Callable

from serenity_mlir.networks.graph import Graph

__all__ = ["efficientnet_b0", "mobilenet_v3_small"]

Activation = Callable[[Graph, str], str]


def _swish(graph: Graph, value: str) -> str:
    return graph.swish(value)


def _sigmoid(graph: Graph, value: str) -> str:
    return graph.unary("Sigmoid", value)


def _relu(graph: Graph, value: str) -> str:
    return graph.relu(value)


def _hard_swish(graph: Graph, value: str) -> str:
    return graph.unary("HardSwish", value)


def _hard_sigmoid(graph: Graph, value: str) -> str:
    return graph.unary("HardSigmoid", value, {"alpha": 1.0 / 6.0, "beta": 0.5})


def _squeeze_and_excite(
    graph: Graph, value: str, squeezed: int, activation: Activation, gate: Activation
) -> str:
    """Adds channel weights from the mean of each channel (Hu et al., CVPR 2018)."""
    channels = graph.channels(value)
    pooled = graph.global_average_pool(value)
    inner = activation(graph, graph.conv(pooled, squeezed, per_channel=1))
    return graph.multiply(value, gate(graph, graph.conv(inner, channels, per_channel=1)))


def _inverted_residual(
    graph: Graph,
    value: str,
    *,
    expanded: int,
    channels: int,
    kernel: int,
    stride: int,
    squeezed: int,
    activation: Activation,
    inner: Activation,
    gate: Activation,
) -> str:
    """Adds 1x1 up, depthwise, squeeze and excite (if `squeezed`), 1x1 down, and the shortcut."""
    shortcut = value
    if expanded != graph.channels(value):
        value = activation(graph, graph.conv(value, expanded))
    value = activation(graph, graph.depthwise(value, kernel, stride=stride))
    if squeezed:
        value = _squeeze_and_excite(graph, value, squeezed, inner, gate)
    value = graph.conv(value, channels)
    if graph.shapes[value] == graph.shapes[shortcut]:
        value = graph.add(value, shortcut)
    return value


#: Table 2 of MobileNetV3: kernel, expanded, channels, squeezed, hard swish, stride. The
#: squeezed channels are a quarter of the expanded ones, to a multiple of eight.
_SMALL = (
    (3, 16, 16, 8, False, 2),
    (3, 72, 24, 0, False, 2),
    (3, 88, 24, 0, False, 1),
    (5, 96, 40, 24, True, 2),
    (5, 240, 40, 64, True, 1),
    (5, 240, 40, 64, True, 1),
    (5, 120, 48, 32, True, 1),
    (5, 144, 48, 40, True, 1),
    (5, 288, 96, 72, True, 2),
    (5, 576, 96, 144, True, 1),
    (5, 576, 96, 144, True, 1),
)


def mobilenet_v3_small() -> Graph:
    """Returns MobileNetV3-Small 1.0 on 224x224."""
    graph = Graph("mobilenet_v3_small", "Howard et al., ICCV 2019, table 2: MobileNetV3-Small 1.0")
    value = graph.input("image", (1, 3, 224, 224))
    value = _hard_swish(graph, graph.conv(value, 16, 3, stride=2))
    for kernel, expanded, channels, squeezed, hard, stride in _SMALL:
        value = _inverted_residual(
            graph,
            value,
            expanded=expanded,
            channels=channels,
            kernel=kernel,
            stride=stride,
            squeezed=squeezed,
            activation=_hard_swish if hard else _relu,
            inner=_relu,
            gate=_hard_sigmoid,
        )
    value = _hard_swish(graph, graph.conv(value, 576))
    pooled = graph.global_average_pool(value)
    flat = graph.reshape(pooled, (1, 576))
    hidden = _hard_swish(graph, graph.linear(flat, 1024, 2.0))
    graph.output(graph.linear(hidden, 1000))
    return graph


#: Table 1 of EfficientNet-B0: kernel, expansion, channels, layers, stride.
_B0 = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)


def efficientnet_b0() -> Graph:
    """Returns EfficientNet-B0 on 224x224; a block squeezes to a quarter of its input's channels."""
    graph = Graph("efficientnet_b0", "Tan and Le, ICML 2019, table 1: EfficientNet-B0")
    value = graph.input("image", (1, 3, 224, 224))
    value = graph.swish(graph.conv(value, 32, 3, stride=2))
    for kernel, expansion, channels, layers, stride in _B0:
        for layer in range(layers):
            before = graph.channels(value)
            value = _inverted_residual(
                graph,
                value,
                expanded=expansion * before,
                channels=channels,
                kernel=kernel,
                stride=1 if layer else stride,
                squeezed=before // 4,
                activation=_swish,
                inner=_swish,
                gate=_sigmoid,
            )
    value = graph.swish(graph.conv(value, 1280))
    graph.output(graph.classifier(value, 1000))
    return graph

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Networks of the size of microcontrollers: those of MLPerf Tiny, MobileNetV1 and MobileNetV2.

Banbury et al., "MLPerf Tiny Benchmark", NeurIPS Datasets and Benchmarks 2021: keyword spotting
(DS-CNN, after Zhang et al., "Hello Edge", 2017), image classification (ResNet-8) and visual wake
words (MobileNetV1 0.25 at 96x96). Howard et al., "MobileNets", 2017, table 1; Sandler et al.,
"MobileNetV2", CVPR 2018, table 2. Windows of stride 2 pad at the far side, as TensorFlow does,
where the networks were published.
"""

from __future__ import annotations

from serenity_mlir.networks.graph import Graph

__all__ = ["ds_cnn", "mobilenet_v1", "mobilenet_v2", "resnet8"]

#: Pads of a 3x3 window of stride 2 over even extents: top, left, bottom, right.
_FAR = (0, 0, 1, 1)


def _relu6(graph: Graph, value: str) -> str:
    bounds = [graph.constant("relu6_low", 0.0), graph.constant("relu6_high", 6.0)]
    return graph.add_node("Clip", [value, *bounds], graph.shapes[value])


def _window(graph: Graph, value: str, channels: int, stride: int, groups: int = 1) -> str:
    """Adds a 3x3 convolution."""
    pad = _FAR if stride == 2 else None
    return graph.conv(value, channels, 3, stride=stride, pad=pad, groups=groups)


def _classes(graph: Graph, value: str, classes: int) -> None:
    scores = graph.classifier(value, classes)
    graph.output(graph.unary("Softmax", scores, {"axis": 1}))


def ds_cnn() -> Graph:
    """Returns the keyword spotter of MLPerf Tiny: 49 frames of 10 coefficients, 12 words."""
    graph = Graph("ds_cnn", "Banbury et al., 2021: DS-CNN, keyword spotting")
    value = graph.input("frames", (1, 1, 49, 10))
    value = graph.relu(graph.conv(value, 64, (10, 4), stride=2, pad=(4, 1, 5, 1)))
    for _ in range(4):
        value = graph.relu(graph.conv(value, 64, 3, groups=64))
        value = graph.relu(graph.conv(value, 64))
    _classes(graph, value, 12)
    return graph


def resnet8() -> Graph:
    """Returns the image classifier of MLPerf Tiny: 32x32 pixels, 10 classes."""
    graph = Graph("resnet8", "Banbury et al., 2021: ResNet-8, image classification")
    value = graph.input("image", (1, 3, 32, 32))
    value = graph.relu(graph.conv(value, 16, 3))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        inner = graph.relu(_window(graph, value, channels, stride))
        inner = graph.conv(inner, channels, 3)
        if stride == 2:
            value = graph.conv(value, channels, 1, stride=2)
        value = graph.relu(graph.add(inner, value))
    _classes(graph, value, 10)
    return graph


#: Table 1 of MobileNets behind the first convolution: channels and stride of each pair.
_V1 = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def mobilenet_v1(name: str, width: float, resolution: int, classes: int) -> Graph:
    """Returns MobileNetV1 with a width multiplier.

    Args:
      name: of the network.
      width: times the channels of the table.
      resolution: extent of the square image, a multiple of 32.
      classes: of the head.
    """
    graph = Graph(name, f"Howard et al., 2017, table 1: MobileNetV1 {width} at {resolution}")
    value = graph.input("image", (1, 3, resolution, resolution))
    value = _relu6(graph, _window(graph, value, int(32 * width), 2))
    for channels, stride in _V1:
        before = graph.channels(value)
        value = _relu6(graph, _window(graph, value, before, stride, groups=before))
        value = _relu6(graph, graph.conv(value, int(channels * width)))
    _classes(graph, value, classes)
    return graph


#: Table 2 of MobileNetV2: expansion, channels, layers, stride.
_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(name: str, width: float, resolution: int, classes: int = 1000) -> Graph:
    """Returns MobileNetV2 with a width multiplier; channels are multiples of eight.

    Args:
      name: of the network.
      width: times the channels of the table; the last convolution keeps its 1280.
      resolution: extent of the square image, a multiple of 16.
      classes: of the head.
    """

    def scaled(channels: int) -> int:
        return max(8, int(channels * width + 4) // 8 * 8)

    graph = Graph(name, f"Sandler et al., CVPR 2018, table 2: MobileNetV2 {width} at {resolution}")
    value = graph.input("image", (1, 3, resolution, resolution))
    value = _relu6(graph, _window(graph, value, scaled(32), 2))
    for expansion, channels, layers, stride in _V2:
        for layer in range(layers):
            shortcut = value
            inner = expansion * graph.channels(value)
            if expansion > 1:
                value = _relu6(graph, graph.conv(value, inner))
            step = 1 if layer else stride
            value = _relu6(graph, _window(graph, value, inner, step, groups=inner))
            value = graph.conv(value, scaled(channels))
            if graph.shapes[value] == graph.shapes[shortcut]:
                value = graph.add(shortcut, value)
    value = _relu6(graph, graph.conv(value, 1280))
    _classes(graph, value, classes)
    return graph

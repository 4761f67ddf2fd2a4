# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Networks of the size of microcontrollers: MLPerf Tiny, MobileNetV1 and V2, a searched network.

Banbury et al., "MLPerf Tiny Benchmark", NeurIPS Datasets and Benchmarks 2021: keyword spotting
(DS-CNN, after Zhang et al., "Hello Edge", 2017), image classification (ResNet-8), visual wake
words (MobileNetV1 0.25 at 96x96) and anomaly detection (an autoencoder). Howard et al.,
"MobileNets", 2017, table 1; Sandler et al., "MobileNetV2", CVPR 2018, table 2. Lin et al.,
"MCUNet: Tiny Deep Learning on IoT Devices", NeurIPS 2020, section 3.1: the space that is searched.
Windows of stride 2 pad at the far side, as TensorFlow does, where the networks were published.
"""

from __future__ import annotations

import random

from serenity_mlir.networks.graph import Graph

__all__ = ["autoencoder", "ds_cnn", "mcunet", "mobilenet_v1", "mobilenet_v2", "resnet8"]


def _relu6(graph: Graph, value: str) -> str:
    bounds = [graph.constant("relu6_low", 0.0), graph.constant("relu6_high", 6.0)]
    return graph.add_node("Clip", [value, *bounds], graph.shapes[value])


def _window(
    graph: Graph, value: str, channels: int, stride: int, groups: int = 1, kernel: int = 3
) -> str:
    """Adds a convolution with square windows, whose stride 2 pads one pixel more at the far side.

    Extents are even where the stride is 2.
    """
    near = (kernel - 1) // 2
    pad = (near - 1, near - 1, near, near) if stride == 2 else None
    return graph.conv(value, channels, kernel, stride=stride, pad=pad, groups=groups)


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


def autoencoder() -> Graph:
    """Returns the anomaly detector of MLPerf Tiny: five frames of 128 mel bands, in and out."""
    graph = Graph("autoencoder", "Banbury et al., 2021: autoencoder, anomaly detection")
    value = graph.input("bands", (1, 640))
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        value = graph.relu(graph.linear(value, width, 2.0, per_column=3))
    graph.output(graph.linear(value, 640))
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


def _scaled(width: float, channels: int) -> int:
    """Returns a multiple of eight near the product."""
    return max(8, int(channels * width + 4) // 8 * 8)


def _inverted_residual(
    graph: Graph, value: str, expansion: int, channels: int, stride: int, kernel: int = 3
) -> str:
    """Adds 1x1 up (if it expands), depthwise, 1x1 down, and the shortcut where shapes agree."""
    shortcut = value
    inner = expansion * graph.channels(value)
    if expansion > 1:
        value = _relu6(graph, graph.conv(value, inner))
    value = _relu6(graph, _window(graph, value, inner, stride, inner, kernel))
    value = graph.conv(value, channels)
    if graph.shapes[value] == graph.shapes[shortcut]:
        value = graph.add(shortcut, value)
    return value


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

    graph = Graph(name, f"Sandler et al., CVPR 2018, table 2: MobileNetV2 {width} at {resolution}")
    value = graph.input("image", (1, 3, resolution, resolution))
    value = _relu6(graph, _window(graph, value, _scaled(width, 32), 2))
    for expansion, channels, layers, stride in _V2:
        for layer in range(layers):
            step = 1 if layer else stride
            value = _inverted_residual(graph, value, expansion, _scaled(width, channels), step)
    value = _relu6(graph, graph.conv(value, 1280))
    _classes(graph, value, classes)
    return graph


#: MCUNet's stages: channels of ProxylessNAS and MnasNet at full width, and strides.
_SEARCHED = ((24, 2), (40, 2), (80, 2), (96, 1), (192, 2), (320, 1))


def mcunet(name: str, width: float, resolution: int, seed: int, classes: int = 1000) -> Graph:
    """Returns a network drawn from the space that TinyNAS searches (section 3.1 of MCUNet).

    Every inverted residual has a window of 3, 5 or 7 and an expansion of 3, 4 or 6. A stage has
    two to four of them, the last stage has one. Width and resolution are the space's outer choice.

    Args:
      name: of the network.
      width: times the channels of a stage, to multiples of eight.
      resolution: extent of the square image, a multiple of 32.
      seed: of the draw.
      classes: of the head.
    """

    draw = random.Random(seed)
    graph = Graph(
        name,
        "Lin et al., NeurIPS 2020, section 3.1: a network of MCUNet's search space, drawn with "
        f"seed {seed}, width {width} at {resolution}",
    )
    value = graph.input("image", (1, 3, resolution, resolution))
    value = _relu6(graph, _window(graph, value, _scaled(width, 32), 2))
    value = _inverted_residual(graph, value, 1, _scaled(width, 16), 1)
    for channels, stride in _SEARCHED:
        layers = 1 if channels == _SEARCHED[-1][0] else draw.choice((2, 3, 4))
        for layer in range(layers):
            kernel, expansion = draw.choice((3, 5, 7)), draw.choice((3, 4, 6))
            step = 1 if layer else stride
            value = _inverted_residual(
                graph, value, expansion, _scaled(width, channels), step, kernel
            )
    graph.output(graph.classifier(value, classes))
    return graph

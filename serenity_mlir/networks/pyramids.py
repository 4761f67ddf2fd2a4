# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Feature pyramids and detection heads.

FPN: Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, on ResNet-18 (He et
al., "Deep Residual Learning for Image Recognition", CVPR 2016). BiFPN: Tan et al., "EfficientDet:
Scalable and Efficient Object Detection", CVPR 2020. RetinaNet's head: Lin et al., "Focal Loss for
Dense Object Detection", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

from serenity_mlir.networks.graph import Graph

__all__ = ["bifpn", "bifpn_d0", "fpn_resnet18", "fpn_resnet18_16", "retinanet_head"]


def _basic_block(graph: Graph, value: str, channels: int, stride: int) -> str:
    """Adds a residual block of two 3x3 convolutions."""
    shortcut = value
    if stride != 1 or graph.channels(value) != channels:
        shortcut = graph.conv(value, channels, stride=stride)
    inner = graph.relu(graph.conv(value, channels, 3, stride=stride))
    return graph.relu(graph.add(graph.conv(inner, channels, 3), shortcut))


def fpn_resnet18(
    name: str, note: str, *, width: int = 64, pyramid: int = 256, resolution: int = 224
) -> Graph:
    """Returns ResNet-18 with a feature pyramid over its four stages.

    Args:
      name: of the network.
      note: of the network.
      width: channels of the first stage (64 in the paper).
      pyramid: channels of the pyramid (256 in the paper).
      resolution: of the image.
    """
    graph = Graph(name, note)
    value = graph.input("image", (1, 3, resolution, resolution))
    value = graph.relu(graph.conv(value, width, 7, stride=2))
    value = graph.max_pool(value, 3, stride=2)
    stages = []
    for stage in range(4):
        for block in range(2):
            stride = 2 if stage and not block else 1
            value = _basic_block(graph, value, width << stage, stride)
        stages.append(value)
    merged = ""
    levels = []
    for stage_value in reversed(stages):
        lateral = graph.conv(stage_value, pyramid, per_channel=1)
        merged = graph.add(lateral, graph.upsample(merged, 2)) if merged else lateral
        levels.append(graph.conv(merged, pyramid, 3, per_channel=1))
    graph.output(*reversed(levels))
    return graph


def fpn_resnet18_16() -> Graph:
    """Returns a quarter of ResNet-18's and of the pyramid's width, on 128x128."""
    return fpn_resnet18(
        "fpn_resnet18_16",
        "Lin et al., CVPR 2017: FPN over ResNet-18, a quarter of the width of both",
        width=16,
        pyramid=64,
        resolution=128,
    )


def _fuse(graph: Graph, operands: Sequence[str], channels: int) -> str:
    """Adds a node of BiFPN: fast normalised fusion, swish, separable convolution.

    The weights of the fusion are learned; equal ones stand here, distinct by position so that
    nothing folds.
    """
    weights = [1.0 + 0.25 * index for index in range(len(operands))]
    total = ""
    for operand, weight in zip(operands, weights, strict=True):
        term = graph.scale(operand, weight / (sum(weights) + 1e-4))
        total = graph.add(total, term) if total else term
    value = graph.swish(total)
    return graph.conv(graph.depthwise(value, 3, per_channel=0), channels)


def bifpn(graph: Graph, levels: Sequence[str], channels: int) -> list[str]:
    """Adds a layer of BiFPN (figure 2d) over levels P3 to P7 of equal width, fine to coarse."""
    # Down from the coarsest level...
    inner = [levels[-1]]
    for level in reversed(levels[:-1]):
        inner.append(_fuse(graph, [level, graph.upsample(inner[-1], 2)], channels))
    inner.reverse()
    # ... and up again; middle levels also see the level's input.
    outer = [inner[0]]
    for index in range(1, len(levels)):
        smaller = graph.max_pool(outer[-1], 3, stride=2)
        last = index == len(levels) - 1
        operands = [levels[index], smaller] if last else [levels[index], inner[index], smaller]
        outer.append(_fuse(graph, operands, channels))
    return outer


def bifpn_d0() -> Graph:
    """Returns EfficientDet-D0's three layers of BiFPN, 64 channels, for a 512x512 image's half."""
    graph = Graph(
        "bifpn_d0",
        "Tan et al., CVPR 2020: the three BiFPN layers of EfficientDet-D0 (64 channels, P3 to "
        "P7), for an image of 256x256",
    )
    levels = [
        graph.input(f"p{level}", (1, 64, 256 >> level, 256 >> level)) for level in range(3, 8)
    ]
    for _ in range(3):
        levels = bifpn(graph, levels, 64)
    graph.output(*levels)
    return graph


def retinanet_head() -> Graph:
    """Returns RetinaNet's head on five levels: two towers that all levels share."""
    width, anchors, classes = 64, 9, 20
    graph = Graph(
        "retinanet_head",
        "Lin et al., ICCV 2017: class and box towers of RetinaNet on P3 to P7 of a 256x256 image, "
        "weights shared by the levels; 64 instead of 256 channels, 9 anchors, 20 classes",
    )
    levels = [
        graph.input(f"p{level}", (1, width, 256 >> level, 256 >> level)) for level in range(3, 8)
    ]
    for level in levels:
        for tower, per_anchor in (("class", classes), ("box", 4)):
            value = level
            for layer in range(4):
                value = graph.relu(
                    graph.conv(value, width, 3, per_channel=1, share=f"{tower}_{layer}")
                )
            value = graph.conv(value, anchors * per_anchor, 3, per_channel=1, share=f"{tower}_last")
            rows = graph.shapes[value][2] * graph.shapes[value][3] * anchors
            value = graph.transpose(value, (0, 2, 3, 1))
            value = graph.reshape(value, (1, rows, per_anchor))
            graph.output(graph.unary("Sigmoid", value) if tower == "class" else value)
    return graph

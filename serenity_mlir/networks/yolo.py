# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One-stage detectors.

Redmon and Farhadi, "YOLOv3: An Incremental Improvement", 2018, in the small version that its
authors publish beside it (yolov3-tiny): six pooled convolutions, a head at a 32nd of the image and
one at a 16th.
"""

from __future__ import annotations

from serenity_mlir.networks.graph import Graph

__all__ = ["yolov3_tiny", "yolov3_tiny_25"]


def _layer(graph: Graph, value: str, channels: int, kernel: int) -> str:
    """Adds a convolution with leaky rectification of slope 0.1."""
    return graph.unary("LeakyRelu", graph.conv(value, channels, kernel), {"alpha": 0.1})


def yolov3_tiny(name: str, note: str, *, width: float = 1.0, resolution: int = 416) -> Graph:
    """Returns YOLOv3-tiny for the 80 classes of COCO, three anchors per cell.

    Args:
      name: of the network.
      note: of the network.
      width: times the channels, except those of the two results.
      resolution: extent of the square image, a multiple of 32.
    """
    predictions = 3 * (80 + 5)

    def scaled(channels: int) -> int:
        return int(channels * width)

    graph = Graph(name, note)
    value = graph.input("image", (1, 3, resolution, resolution))
    for channels in (16, 32, 64, 128):
        value = graph.max_pool(_layer(graph, value, scaled(channels), 3), 2, stride=2, pad=0)
    fine = _layer(graph, value, scaled(256), 3)
    value = graph.max_pool(fine, 2, stride=2, pad=0)
    value = _layer(graph, value, scaled(512), 3)
    # A window of two with stride one keeps the extent: one row and column at the far side.
    value = graph.max_pool(value, 2, pad=(0, 0, 1, 1))
    value = _layer(graph, value, scaled(1024), 3)
    value = _layer(graph, value, scaled(256), 1)
    coarse = _layer(graph, value, scaled(512), 3)
    above = graph.upsample(_layer(graph, value, scaled(128), 1), 2)
    fine = _layer(graph, graph.concat([above, fine]), scaled(256), 3)
    graph.output(
        graph.conv(coarse, predictions, per_channel=1),
        graph.conv(fine, predictions, per_channel=1),
    )
    return graph


def yolov3_tiny_25() -> Graph:
    """Returns YOLOv3-tiny with a quarter of its channels, on 256x256."""
    return yolov3_tiny(
        "yolov3_tiny_25",
        "Redmon and Farhadi, 2018: YOLOv3-tiny, a quarter of its channels, for 256x256",
        width=0.25,
        resolution=256,
    )

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""U-Net: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation".

MICCAI 2015. Every level's features wait for the way up, where they are concatenated.
"""

from __future__ import annotations

from serenity_mlir.networks.graph import Graph

__all__ = ["unet", "unet_16"]


def _twice(graph: Graph, value: str, channels: int, pad: int) -> str:
    for _ in range(2):
        value = graph.relu(graph.conv(value, channels, 3, pad=pad, per_channel=1))
    return value


def _crop(graph: Graph, value: str, like: str) -> str:
    """Cuts the middle of `value`, as large as `like`."""
    extents, wanted = graph.shapes[value][2:], graph.shapes[like][2:]
    if extents == wanted:
        return value
    begin = ((extents[0] - wanted[0]) // 2, (extents[1] - wanted[1]) // 2)
    return graph.slice_image(value, begin, (begin[0] + wanted[0], begin[1] + wanted[1]))


def unet(
    name: str,
    note: str,
    *,
    width: int = 64,
    resolution: int = 572,
    channels: int = 1,
    classes: int = 2,
    pad: int = 0,
) -> Graph:
    """Returns a U-Net of four levels (figure 1); the published one by default.

    Args:
      name: of the network.
      note: of the network.
      width: channels of the first level (64 in the paper).
      resolution: of the image (572 in the paper).
      channels: of the image.
      classes: of the segmentation.
      pad: around every 3x3 convolution; the paper has none and crops instead.
    """
    graph = Graph(name, note)
    value = graph.input("image", (1, channels, resolution, resolution))
    waiting = []
    for level in range(4):
        value = _twice(graph, value, width << level, pad)
        waiting.append(value)
        value = graph.max_pool(value, 2, stride=2, pad=0)
    value = _twice(graph, value, width << 4, pad)
    for level in reversed(range(4)):
        up = graph.conv_transpose(value, width << level, 2, stride=2)
        value = graph.concat([_crop(graph, waiting[level], up), up])
        value = _twice(graph, value, width << level, pad)
    graph.output(graph.conv(value, classes, per_channel=1))
    return graph


def unet_16() -> Graph:
    """Returns a U-Net of a quarter of the width on a 128x128 image, padded."""
    return unet(
        "unet_16",
        "Ronneberger et al., MICCAI 2015, figure 1, at a quarter of the width; 3x3 convolutions "
        "padded, as most users have it, so nothing is cropped",
        width=16,
        resolution=128,
        pad=1,
    )

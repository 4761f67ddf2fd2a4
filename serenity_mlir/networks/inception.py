# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""GoogLeNet and blocks of Inception-v3.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015 (GoogLeNet), and "Rethinking the
Inception Architecture for Computer Vision", CVPR 2016 (Inception-v3).
"""

from __future__ import annotations

from serenity_mlir.networks.graph import Extent, Graph

__all__ = ["googlenet", "inception_v3_a", "inception_v3_e"]

#: Table 1 of GoogLeNet: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection; None: pooling.
_GOOGLENET: tuple[tuple[int, int, int, int, int, int] | None, ...] = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    None,
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    None,
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)

#: Pooling rounds the extent up: one row and column of padding at the end.
_CEIL = (0, 0, 1, 1)


def _plain(
    graph: Graph,
    value: str,
    channels: int,
    kernel: int = 1,
    *,
    stride: int = 1,
) -> str:
    """Adds convolution and ReLU, no batch normalisation (GoogLeNet has none)."""
    return graph.relu(graph.conv(value, channels, kernel, stride=stride, per_channel=1))


def googlenet(name: str = "googlenet", resolution: int = 224, classes: int = 1000) -> Graph:
    """Returns GoogLeNet (Inception v1) without its auxiliary classifiers.

    5x5 convolutions and local response normalisation as published; dropout is nothing at
    inference.
    """
    graph = Graph(
        name, "Szegedy et al., CVPR 2015, table 1: GoogLeNet, without the auxiliary classifiers"
    )
    value = graph.input("image", (1, 3, resolution, resolution))
    value = _plain(graph, value, 64, 7, stride=2)
    value = graph.max_pool(value, 3, stride=2, pad=_CEIL)
    value = graph.local_response_norm(value, 5, 1e-4, 0.75)
    value = _plain(graph, value, 64)
    value = _plain(graph, value, 192, 3)
    value = graph.local_response_norm(value, 5, 1e-4, 0.75)
    value = graph.max_pool(value, 3, stride=2, pad=_CEIL)
    for widths in _GOOGLENET:
        if widths is None:
            value = graph.max_pool(value, 3, stride=2, pad=_CEIL)
            continue
        one, reduce3, three, reduce5, five, pool = widths
        branches = [
            _plain(graph, value, one),
            _plain(graph, _plain(graph, value, reduce3), three, 3),
            _plain(graph, _plain(graph, value, reduce5), five, 5),
            _plain(graph, graph.max_pool(value, 3), pool),
        ]
        value = graph.concat(branches)
    graph.output(graph.classifier(value, classes))
    return graph


def _normalised(graph: Graph, value: str, channels: int, kernel: Extent = 1) -> str:
    return graph.relu(graph.conv(value, channels, kernel))


def inception_v3_a() -> Graph:
    """Returns the first two 35x35 modules of Inception-v3 (its figure 5), 192 channels in."""
    graph = Graph(
        "inception_v3_a",
        "Szegedy et al., CVPR 2016, figure 5: the first two 35x35 modules of Inception-v3, 5x5 "
        "kept for the second branch as in the published model",
    )
    value = graph.input("x", (1, 192, 35, 35))
    for pool in (32, 64):
        double = _normalised(graph, _normalised(graph, value, 64), 96, 3)
        branches = [
            _normalised(graph, value, 64),
            _normalised(graph, _normalised(graph, value, 48), 64, 5),
            _normalised(graph, double, 96, 3),
            _normalised(graph, graph.average_pool(value, 3), pool),
        ]
        value = graph.concat(branches)
    graph.output(value)
    return graph


def inception_v3_e() -> Graph:
    """Returns the first 8x8 module of Inception-v3 (its figure 7): concatenations in one."""
    graph = Graph(
        "inception_v3_e",
        "Szegedy et al., CVPR 2016, figure 7: the first 8x8 module of Inception-v3, with the "
        "expanded 1x3 and 3x1 filter banks, on a quarter of its channels",
    )
    # A quarter of 1280, 320, 384, 448 and 192 channels.
    value = graph.input("x", (1, 320, 8, 8))

    def expanded(source: str) -> str:
        wide = _normalised(graph, source, 96, (1, 3))
        return graph.concat([wide, _normalised(graph, source, 96, (3, 1))])

    branches = [
        _normalised(graph, value, 80),
        expanded(_normalised(graph, value, 96)),
        expanded(_normalised(graph, _normalised(graph, value, 112), 96, 3)),
        _normalised(graph, graph.average_pool(value, 3), 48),
    ]
    graph.output(graph.concat(branches))
    return graph

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""DenseNet: Huang et al., "Densely Connected Convolutional Networks", CVPR 2017.

Every layer reads the concatenation of all layers before it. The batch normalisation of a layer
stands before its convolution, on the concatenation, where it cannot be folded.
"""

from __future__ import annotations

from serenity_mlir.networks.graph import Graph

__all__ = ["densenet", "densenet121_block2"]


def _layer(graph: Graph, value: str, growth: int) -> str:
    """Adds BN-ReLU-1x1-BN-ReLU-3x3 (DenseNet-B); the first convolution carries the second BN."""
    value = graph.relu(graph.batch_norm(value))
    value = graph.relu(graph.conv(value, 4 * growth))
    return graph.conv(value, growth, 3, per_channel=0)


def _block(graph: Graph, value: str, layers: int, growth: int) -> str:
    features = [value]
    for _ in range(layers):
        joined = features[0] if len(features) == 1 else graph.concat(features)
        features.append(_layer(graph, joined, growth))
    return graph.concat(features)


def _transition(graph: Graph, value: str) -> str:
    """Adds BN-ReLU-1x1-pool, half the channels (DenseNet-C)."""
    channels = graph.channels(value) // 2
    value = graph.conv(graph.relu(graph.batch_norm(value)), channels, per_channel=0)
    return graph.average_pool(value, 2, stride=2, pad=0)


def densenet(
    name: str,
    *,
    layers: tuple[int, ...] = (6, 12, 24, 16),
    growth: int = 32,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Returns a whole DenseNet-BC for ImageNet (table 1); DenseNet-121 by default."""
    graph = Graph(name, "Huang et al., CVPR 2017, table 1")
    value = graph.input("image", (1, 3, resolution, resolution))
    value = graph.relu(graph.conv(value, 2 * growth, 7, stride=2))
    value = graph.max_pool(value, 3, stride=2)
    for index, count in enumerate(layers):
        if index:
            value = _transition(graph, value)
        value = _block(graph, value, count, growth)
    value = graph.relu(graph.batch_norm(value))
    graph.output(graph.classifier(value, classes))
    return graph


def densenet121_block2() -> Graph:
    """Returns the second dense block of DenseNet-121 with its transition, 28x28, 12 layers."""
    graph = Graph(
        "densenet121_block2",
        "Huang et al., CVPR 2017: dense block 2 of DenseNet-121 (12 layers, growth 32) and the "
        "transition after it",
    )
    value = graph.input("x", (1, 128, 28, 28))
    graph.output(_transition(graph, _block(graph, value, 12, 32)))
    return graph

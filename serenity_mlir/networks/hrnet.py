# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""HRNet: Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition".

TPAMI 2020 (Sun et al., CVPR 2019). Branches of several resolutions run side by side and exchange
their features at the end of every module.
"""

from __future__ import annotations

from collections.abc import Sequence

from serenity_mlir.networks.graph import Graph

__all__ = ["exchange", "hrnet_w18_stage3"]


def _basic_block(graph: Graph, value: str) -> str:
    channels = graph.channels(value)
    inner = graph.relu(graph.conv(value, channels, 3))
    return graph.relu(graph.add(graph.conv(inner, channels, 3), value))


def _bring(graph: Graph, value: str, source: int, target: int, channels: int) -> str:
    """Brings a branch to another's resolution and width."""
    if source > target:
        return graph.upsample(graph.conv(value, channels), 1 << (source - target))
    for step in range(source, target):
        last = step == target - 1
        value = graph.conv(value, channels if last else graph.channels(value), 3, stride=2)
        if not last:
            value = graph.relu(value)
    return value


def exchange(graph: Graph, branches: Sequence[str]) -> list[str]:
    """Adds the fusion of all branches into each (figure 3): sums, then ReLU."""
    fused = []
    for target, own in enumerate(branches):
        total = ""
        for source, branch in enumerate(branches):
            term = _bring(graph, branch, source, target, graph.channels(own))
            total = graph.add(total, term) if total else term
        fused.append(graph.relu(total))
    return fused


def hrnet_w18_stage3() -> Graph:
    """Returns two modules of HRNet-W18's third stage: three branches of four blocks each."""
    graph = Graph(
        "hrnet_w18_stage3",
        "Wang et al., TPAMI 2020: two of the four modules of HRNet-W18's third stage, branches of "
        "18, 36 and 72 channels, for an image of 128x128",
    )
    branches = [
        graph.input(f"branch{index}", (1, 18 << index, 32 >> index, 32 >> index))
        for index in range(3)
    ]
    for _ in range(2):
        for index, value in enumerate(branches):
            for _ in range(4):
                value = _basic_block(graph, value)
            branches[index] = value
        branches = exchange(graph, branches)
    graph.output(*branches)
    return graph

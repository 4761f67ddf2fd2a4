# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Randomly wired networks: Xie et al., "Exploring Randomly Wired Neural Networks for Image
Recognition", ICCV 2019.

A random undirected graph becomes a stage: edges point from the smaller to the larger node; a node
sums its operands, each times a positive learned weight, then applies ReLU, a separable 3x3
convolution and batch normalisation. Nodes without operand read the input, and the result is the
mean of the nodes that no other reads.

The graphs are those of Watts and Strogatz (WS), Erdős and Rényi (ER), and Barabási and Albert (BA)
with the paper's parameters, drawn by networkx from a seed. The paper's cells here (`paper`) lack
the weights of the sums; these have them.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

from serenity_mlir.networks.graph import Graph

__all__ = ["edges", "randwire"]


def edges(kind: str, nodes: int, seed: int) -> list[tuple[int, int]]:
    """Returns the edges of a random graph, from the smaller to the larger node, sorted.

    Args:
      kind: ``"ws"`` (4 neighbours, 0.75), ``"er"`` (0.2) or ``"ba"`` (5 edges a node), the best
        settings of the paper's figure 4; all connected.
      nodes: how many.
      seed: of the draw. ER takes the first connected graph from this seed on.

    Raises:
      ValueError: the kind is unknown.
    """
    import networkx as nx

    if kind == "ws":
        graph = nx.connected_watts_strogatz_graph(nodes, 4, 0.75, tries=200, seed=seed)
    elif kind == "er":
        while not nx.is_connected(graph := nx.erdos_renyi_graph(nodes, 0.2, seed=seed)):
            seed += 1
    elif kind == "ba":
        graph = nx.barabasi_albert_graph(nodes, 5, seed=seed)
    else:
        raise ValueError(f"unknown kind of random graph {kind!r}; known are ws, er, ba")
    return sorted((min(edge), max(edge)) for edge in graph.edges)


def randwire(
    kind: str, nodes: int, seed: int, *, channels: int = 78, resolution: int = 14
) -> Graph:
    """Returns a stage of the small regime (78 channels) without its stride.

    Args:
      kind: of the random graph, as `edges` takes it.
      nodes: of the graph (32 in the paper).
      seed: of the graph.
      channels: of every node.
      resolution: of the image.
    """
    titles = {"ws": f"WS({nodes}, 4, 0.75)", "er": f"ER({nodes}, 0.2)", "ba": f"BA({nodes}, 5)"}
    name = f"randwire_{kind}_{nodes}"
    graph = Graph(
        name,
        f"Xie et al., ICCV 2019: a stage wired by {titles.get(kind, kind)}, seed {seed}, small "
        "regime, weighted sums",
    )
    operands: list[list[int]] = [[] for _ in range(nodes)]
    sinks = set(range(nodes))
    for a, b in edges(kind, nodes, seed):
        operands[b].append(a)
        sinks.discard(a)
    # sigmoid(w) of a learned w; part of the topology, not of the seeded weights.
    draw = np.random.RandomState(zlib.crc32(name.encode()))
    image = graph.input("x", (1, channels, resolution, resolution))
    values: list[str] = []
    for node in range(nodes):
        total = ""
        for operand in operands[node]:
            weight = 1.0 / (1.0 + math.exp(-draw.standard_normal()))
            term = graph.scale(values[operand], float(np.float32(weight)))
            total = graph.add(total, term) if total else term
        value = graph.relu(total or image)
        value = graph.depthwise(value, 3, per_channel=0)
        values.append(graph.conv(value, channels))
    total = ""
    for node in sorted(sinks):
        total = graph.add(total, values[node]) if total else values[node]
    graph.output(graph.scale(total, 1.0 / len(sinks)) if len(sinks) > 1 else total)
    return graph

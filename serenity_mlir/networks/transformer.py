# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Transformer encoders.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017; the sizes are BERT's (Devlin et al.,
NAACL 2019) and those of its small versions (Turc et al., "Well-Read Students Learn Better", 2019).
"""

from __future__ import annotations

import math

from serenity_mlir.networks.graph import Graph

__all__ = ["bert_mini_encoder", "encoder"]


def _gelu(graph: Graph, value: str) -> str:
    """Adds x/2 * (1 + erf(x / sqrt(2))) (Hendrycks and Gimpel, 2016)."""
    inner = graph.shift(graph.unary("Erf", graph.scale(value, math.sqrt(0.5))), 1.0)
    return graph.scale(graph.multiply(value, inner), 0.5)


def _attention(graph: Graph, value: str, heads: int) -> str:
    """Adds multi-head self-attention (section 3.2) over (N, T, C)."""
    batch, tokens, width = graph.shapes[value]
    split = (batch, tokens, heads, width // heads)

    def head(axes: tuple[int, ...]) -> str:
        return graph.transpose(graph.reshape(graph.linear(value, width), split), axes)

    query, key, values = head((0, 2, 1, 3)), head((0, 2, 3, 1)), head((0, 2, 1, 3))
    scores = graph.scale(graph.matmul(query, key), 1.0 / math.sqrt(width // heads))
    weights = graph.unary("Softmax", scores, {"axis": -1})
    mixed = graph.transpose(graph.matmul(weights, values), (0, 2, 1, 3))
    return graph.linear(graph.reshape(mixed, (batch, tokens, width)), width)


def encoder(name: str, note: str, *, layers: int, width: int, heads: int, tokens: int) -> Graph:
    """Returns an encoder that normalises after each sum, with an inner width of four times its own.

    Args:
      name: of the network.
      note: of the network.
      layers: of the encoder.
      width: of a token's vector.
      heads: of the attention.
      tokens: length of the sequence.
    """
    graph = Graph(name, note)
    value = graph.input("tokens", (1, tokens, width))
    for _ in range(layers):
        value = graph.layer_norm(graph.add(value, _attention(graph, value, heads)))
        hidden = _gelu(graph, graph.linear(value, 4 * width, 2.0))
        value = graph.layer_norm(graph.add(value, graph.linear(hidden, width)))
    graph.output(value)
    return graph


def bert_mini_encoder() -> Graph:
    """Returns the encoder of BERT-Mini (4 layers, 256 wide, 4 heads) on 64 tokens."""
    return encoder(
        "bert_mini_encoder",
        "Devlin et al., NAACL 2019; BERT-Mini's encoder (4 layers, 256 wide, 4 heads), embeddings "
        "as input, 64 tokens",
        layers=4,
        width=256,
        heads=4,
        tokens=64,
    )

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Transformers: encoders of texts and images, and one step of a decoder with its cache.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017; the sizes are BERT's (Devlin et al.,
NAACL 2019) and those of its small versions (Turc et al., "Well-Read Students Learn Better", 2019),
and DeiT's (Touvron et al., ICML 2021). Blocks that normalise before each sum are those of ViT
(Dosovitskiy et al., ICLR 2021, figure 1) and GPT-2 (Radford et al., 2019, section 2.3).
"""

from __future__ import annotations

import math

from serenity_mlir.networks.graph import Graph

__all__ = [
    "bert_mini_encoder",
    "decoder_step",
    "encoder",
    "gpt2_step",
    "vit_tiny_blocks",
]


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


def _feed_forward(graph: Graph, value: str) -> str:
    """Adds two layers with an inner width of four times that of (N, T, C)."""
    width = graph.shapes[value][-1]
    return graph.linear(_gelu(graph, graph.linear(value, 4 * width, 2.0)), width)


def encoder(
    name: str,
    note: str,
    *,
    layers: int,
    width: int,
    heads: int,
    tokens: int,
    pre_norm: bool = False,
) -> Graph:
    """Returns an encoder, from (1, T, C) to (1, T, C), with an inner width of four times its own.

    Args:
      name: of the network.
      note: of the network.
      layers: of the encoder.
      width: of a token's vector.
      heads: of the attention.
      tokens: length of the sequence; of an image, its patches and one for the class.
      pre_norm: normalise before each sum and at the end, as ViT does, instead of after each sum.
    """
    graph = Graph(name, note)
    value = graph.input("tokens", (1, tokens, width))
    for _ in range(layers):
        if pre_norm:
            value = graph.add(value, _attention(graph, graph.layer_norm(value), heads))
            value = graph.add(value, _feed_forward(graph, graph.layer_norm(value)))
        else:
            value = graph.layer_norm(graph.add(value, _attention(graph, value, heads)))
            value = graph.layer_norm(graph.add(value, _feed_forward(graph, value)))
    graph.output(graph.layer_norm(value) if pre_norm else value)
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


def vit_tiny_blocks() -> Graph:
    """Returns two blocks of ViT-Tiny (192 wide, 3 heads) on a 224x224 image's 197 tokens."""
    return encoder(
        "vit_tiny_blocks",
        "Dosovitskiy et al., ICLR 2021, in DeiT's smallest size: two of its twelve blocks (192 "
        "wide, 3 heads), 197 tokens",
        layers=2,
        width=192,
        heads=3,
        tokens=197,
        pre_norm=True,
    )


def decoder_step(
    name: str, note: str, *, layers: int, width: int, heads: int, past: int, vocabulary: int
) -> Graph:
    """Returns one step of a decoder: a token and the cache of those before it, to scores.

    The inputs are the embedded token, shape (1, 1, C), and the keys and values of `past` tokens in
    each layer, shape (heads, past, C / heads); the results are the scores of the next token and
    the caches with one row more.

    Args:
      name: of the network.
      note: of the network.
      layers: of the decoder.
      width: of a token's vector.
      heads: of the attention.
      past: tokens in the cache.
      vocabulary: tokens that there are.
    """
    graph = Graph(name, note)
    depth = width // heads
    value = graph.input("token", (1, 1, width))
    for layer in range(layers):
        normal = graph.layer_norm(value)

        def row(source: str) -> str:
            return graph.reshape(graph.linear(source, width), (heads, 1, depth))

        caches = []
        for kind in ("keys", "values"):
            cache = graph.input(f"{kind}_{layer}", (heads, past, depth))
            caches.append(graph.concat([cache, row(normal)]))
        graph.output(*caches)
        keys, values = caches
        scores = graph.matmul(row(normal), graph.transpose(keys, (0, 2, 1)))
        weights = graph.unary("Softmax", graph.scale(scores, depth**-0.5), {"axis": -1})
        mixed = graph.reshape(graph.matmul(weights, values), (1, 1, width))
        value = graph.add(value, graph.linear(mixed, width))
        value = graph.add(value, _feed_forward(graph, graph.layer_norm(value)))
    graph.output(graph.linear(graph.layer_norm(value), vocabulary))
    return graph


def gpt2_step() -> Graph:
    """Returns a step of a small GPT-2 (4 layers, 256 wide, 4 heads) after 127 tokens."""
    return decoder_step(
        "gpt2_step",
        "Radford et al., 2019: GPT-2's decoder in BERT-Mini's size (4 layers, 256 wide, 4 heads), "
        "one token after 127, a vocabulary of 4,096",
        layers=4,
        width=256,
        heads=4,
        past=127,
        vocabulary=4096,
    )

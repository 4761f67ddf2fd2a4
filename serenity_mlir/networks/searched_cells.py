# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Cells found by architecture search: NASNet-A, PNASNet-5 and AmoebaNet-A.

Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018,
figure 4; Liu et al., "Progressive Neural Architecture Search", ECCV 2018, figure 1; Real et al.,
"Regularized Evolution for Image Classifier Architecture Search", AAAI 2019, figure 5.

The three share one search space. A cell reads the results of the two cells before it, brings both
to its width, and sums pairs of operations five times; results that no pair reads are concatenated.
Strided windows are padded alike on both sides, where TensorFlow pads the end only.
"""

from __future__ import annotations

from dataclasses import dataclass

from serenity_mlir.networks.graph import Graph

__all__ = [
    "AMOEBANET_A_NORMAL",
    "NASNET_A_NORMAL",
    "NASNET_A_REDUCTION",
    "PNASNET_5",
    "amoebanet_a_cells",
    "cell",
    "nasnet_a_cells",
    "nasnet_a_reduction",
    "pnasnet5_cells",
    "whole_network",
]


@dataclass(frozen=True)
class CellType:
    """A genotype.

    Attributes:
      pairs: per sum two operands, each an operation and the state it reads: 0 the last cell's
        result, 1 that of the one before, 2 on the sums.
      concatenated: the states that make the result.
    """

    pairs: tuple[tuple[tuple[str, int], tuple[str, int]], ...]
    concatenated: tuple[int, ...]


NASNET_A_NORMAL = CellType(
    (
        (("sep5", 0), ("sep3", 1)),
        (("sep5", 1), ("sep3", 1)),
        (("avg3", 0), ("none", 1)),
        (("avg3", 1), ("avg3", 1)),
        (("sep3", 0), ("none", 0)),
    ),
    (1, 2, 3, 4, 5, 6),
)

NASNET_A_REDUCTION = CellType(
    (
        (("sep5", 0), ("sep7", 1)),
        (("max3", 0), ("sep7", 1)),
        (("avg3", 0), ("sep5", 1)),
        (("none", 3), ("avg3", 2)),
        (("sep3", 2), ("max3", 0)),
    ),
    (3, 4, 5, 6),
)

PNASNET_5 = CellType(
    (
        (("sep5", 1), ("max3", 1)),
        (("sep7", 0), ("max3", 0)),
        (("sep5", 0), ("sep3", 0)),
        (("sep3", 4), ("max3", 0)),
        (("sep3", 1), ("none", 0)),
    ),
    (2, 3, 4, 5, 6),
)

AMOEBANET_A_NORMAL = CellType(
    (
        (("avg3", 0), ("max3", 0)),
        (("sep3", 1), ("none", 1)),
        (("none", 0), ("avg3", 1)),
        (("sep3", 0), ("sep5", 2)),
        (("avg3", 5), ("sep3", 0)),
    ),
    (1, 3, 4, 6),
)


def _pointwise(graph: Graph, value: str, channels: int, stride: int = 1) -> str:
    """Adds ReLU, 1x1 convolution and (folded) batch normalisation."""
    return graph.conv(graph.relu(value), channels, stride=stride)


def _separable(graph: Graph, value: str, channels: int, kernel: int, stride: int) -> str:
    """Adds ReLU, depthwise and 1x1 convolution and batch normalisation, all twice."""
    for step in (stride, 1):
        value = graph.relu(value)
        value = graph.depthwise(value, kernel, stride=step, per_channel=0)
        value = graph.conv(value, channels)
    return value


def _factorised_reduction(graph: Graph, value: str, channels: int) -> str:
    """Adds a halving of the image without loss: two 1x1 convolutions on shifted pixels."""
    value = graph.relu(value)
    even = graph.average_pool(value, 1, stride=2, pad=0)
    _, _, height, width = graph.shapes[value]
    shifted = graph.slice_image(
        graph.pad_image(value, (0, 0, 1, 1)), (1, 1), (height + 1, width + 1)
    )
    odd = graph.average_pool(shifted, 1, stride=2, pad=0)
    first = channels // 2
    return graph.concat([graph.conv(even, first), graph.conv(odd, channels - first)])


def _operation(graph: Graph, kind: str, value: str, channels: int, stride: int) -> str:
    """Adds an operation of a pair; every one brings its operand to the cell's width."""
    if kind == "none":
        if stride == 1 and graph.channels(value) == channels:
            return value
        return _pointwise(graph, value, channels, stride)
    kernel = int(kind[3:])
    if kind.startswith("sep"):
        return _separable(graph, value, channels, kernel, stride)
    pool = graph.max_pool if kind.startswith("max") else graph.average_pool
    value = pool(value, kernel, stride=stride)
    return value if graph.channels(value) == channels else graph.conv(value, channels)


def cell(
    graph: Graph, kind: CellType, last: str, before: str | None, channels: int, stride: int = 1
) -> str:
    """Adds a cell and returns its concatenation.

    Args:
      graph: to add to.
      kind: its genotype.
      last: result of the cell before it.
      before: result of the cell before that; may have twice the resolution. None in the first
        cell of a network, which reads `last` as it is instead.
      channels: of every state.
      stride: 2 for a reduction cell.
    """
    if before is None:
        before = last
    elif graph.shapes[before][2:] != graph.shapes[last][2:]:
        before = _factorised_reduction(graph, before, channels)
    elif graph.channels(before) != channels:
        before = _pointwise(graph, before, channels)
    states = [_pointwise(graph, last, channels), before]
    for pair in kind.pairs:
        left, right = (
            _operation(graph, op, states[source], channels, stride if source < 2 else 1)
            for op, source in pair
        )
        states.append(graph.add(left, right))
    return graph.concat([states[index] for index in kind.concatenated])


def whole_network(
    name: str,
    normal: CellType,
    reduction: CellType,
    *,
    channels: int,
    repeats: int,
    reduction_replaces: bool = False,
    stem: int = 32,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Returns a whole network for ImageNet (Zoph et al., figure 2).

    Args:
      name: of the network.
      normal: the cell that is repeated.
      reduction: the cell between repetitions.
      channels: of the first repetition's states.
      repeats: normal cells between reductions.
      reduction_replaces: a reduction cell takes the place of a normal one (PNASNet).
      stem: channels of the first convolution.
      resolution: of the image.
      classes: of the classifier.
    """
    graph = Graph(name, "Zoph et al., CVPR 2018, figure 2")
    image = graph.input("image", (1, 3, resolution, resolution))
    before: str | None = None
    last = graph.conv(image, stem, 3, stride=2, pad=0)
    for divisor in (4, 2):
        before, last = last, cell(graph, reduction, last, before, channels // divisor, stride=2)
    for stage in range(3):
        width = channels << stage
        if stage:
            before, last = last, cell(graph, reduction, last, before, width, stride=2)
        for _ in range(repeats - (1 if stage and reduction_replaces else 0)):
            before, last = last, cell(graph, normal, last, before, width)
    graph.output(graph.classifier(graph.relu(last), classes))
    return graph


def _two_cells(name: str, note: str, kind: CellType, channels: int) -> Graph:
    """Returns two cells in a row at 28x28, so that a concatenation feeds a cell."""
    graph = Graph(name, note)
    wide = channels * len(kind.concatenated)
    before = graph.input("s0", (1, wide, 28, 28))
    last = graph.input("s1", (1, wide, 28, 28))
    for _ in range(2):
        before, last = last, cell(graph, kind, last, before, channels)
    graph.output(last)
    return graph


def nasnet_a_cells() -> Graph:
    """Returns two normal cells of NASNet-A (4 @ 1056), the mobile setting: 44 channels."""
    return _two_cells(
        "nasnet_a_cells",
        "Zoph et al., CVPR 2018, figure 4: two normal cells of NASNet-A (4 @ 1056) in a row",
        NASNET_A_NORMAL,
        44,
    )


def nasnet_a_reduction() -> Graph:
    """Returns a reduction cell of NASNet-A (4 @ 1056) and the normal cell after it."""
    graph = Graph(
        "nasnet_a_reduction",
        "Zoph et al., CVPR 2018, figure 4: the first reduction cell of NASNet-A (4 @ 1056) after "
        "the stem, 88 channels, and the normal cell after it",
    )
    before = graph.input("s0", (1, 264, 28, 28))
    last = graph.input("s1", (1, 264, 28, 28))
    reduced = cell(graph, NASNET_A_REDUCTION, last, before, 88, stride=2)
    graph.output(cell(graph, NASNET_A_NORMAL, reduced, last, 88))
    return graph


def pnasnet5_cells() -> Graph:
    """Returns two cells of PNASNet-5 (N = 3, F = 54), the mobile setting."""
    return _two_cells(
        "pnasnet5_cells",
        "Liu et al., ECCV 2018, figure 1: two cells of PNASNet-5 (N = 3, F = 54) in a row",
        PNASNET_5,
        54,
    )


def amoebanet_a_cells() -> Graph:
    """Returns two normal cells of AmoebaNet-A (N = 4, F = 50), the mobile setting."""
    return _two_cells(
        "amoebanet_a_cells",
        "Real et al., AAAI 2019, figure 5: two normal cells of AmoebaNet-A (N = 4, F = 50) in a "
        "row",
        AMOEBANET_A_NORMAL,
        50,
    )

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Figures of the SERENITY paper, and the graphs that it speaks of.

Ahn, Lee, Lin, Cheng, Hou, Esmaeilzadeh: "Ordering Chaos: Memory-Aware Scheduling of Irregularly
Wired Neural Networks for Edge Devices", MLSys 2020. The peaks are the raw data behind its figure of
ratios (section 4.2), in KB = 1000 bytes, uint8 for SwiftNet, inputs and outputs counted; the
topologies of its RandWire cells are not published, so those rows speak of other graphs of the same
family than the networks here do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from serenity_mlir.networks.graph_rewriting import Rewriting

__all__ = ["GRAPHS", "PEAKS", "Graph", "Peaks"]


@dataclass(frozen=True)
class Peaks:
    """Peak memory in KB = 1000 bytes: TensorFlow Lite, the paper's scheduler, with rewriting."""

    tflite: int
    scheduled: int
    rewritten: int
    seconds: float
    rewritten_seconds: float | None = None


PEAKS: dict[str, Peaks] = {
    "swiftnet_a": Peaks(552, 251, 226, 5.7, 42.1),
    "swiftnet_b": Peaks(194, 82, 72, 4.5, 30.5),
    "swiftnet_c": Peaks(70, 33, 20, 27.8, 39.3),
    "darts_normal": Peaks(1656, 903, 753, 3.2),
    "randwire_c10_a": Peaks(645, 459, 459, 118.1),
    "randwire_c10_b": Peaks(330, 260, 260, 15.1),
    "randwire_c100_a": Peaks(605, 359, 359, 28.5),
    "randwire_c100_b": Peaks(350, 280, 280, 74.4),
    "randwire_c100_c": Peaks(160, 115, 115, 87.9),
}


@dataclass(frozen=True)
class Graph:
    """How a network becomes an instance in the paper's model.

    Attributes:
      rewritings: which forms differ.
      element_bytes: of one element.
      inputs: values to start from; the network's inputs if empty.
      optima: known least peaks in bytes, proved independently with CP-SAT.
    """

    rewritings: tuple[Rewriting, ...] = ("none",)
    element_bytes: int = 4
    inputs: tuple[str, ...] = ()
    optima: Mapping[Rewriting, int] = field(default_factory=dict)


def _swiftnet(plain: int, conv: int, everything: int) -> Graph:
    return Graph(("none", "conv", "all"), 1, (), {"none": plain, "conv": conv, "all": everything})


GRAPHS: dict[str, Graph] = {
    "swiftnet_a": _swiftnet(200_704, 188_160, 188_160),
    "swiftnet_b": _swiftnet(81_536, 56_448, 53_312),
    "swiftnet_c": _swiftnet(32_536, 19_404, 16_856),
    "darts_normal": Graph(("none", "conv"), 4, ("t1", "t3"), {"none": 903_168, "conv": 752_640}),
    "randwire_c10_a": Graph(),
    "randwire_c10_b": Graph(),
    "randwire_c100_a": Graph(),
    "randwire_c100_b": Graph(),
    "randwire_c100_c": Graph(),
    "swiftnet": Graph(("none", "all"), 1),
}

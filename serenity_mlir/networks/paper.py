# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The networks of the SERENITY paper's evaluation.

Ahn et al., "Ordering Chaos: Memory-Aware Scheduling of Irregularly Wired Neural Networks for Edge
Devices", MLSys 2020, section 5: nine cells and the whole SwiftNet. The topologies are package data
(``paper_networks.json``), neutral lists of operations in NCHW layout. The paper's RandWire seeds
and channel counts are unpublished, so those five cells are fixed stand-ins of the same family.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from serenity_mlir.networks.graph import Graph, Shape

__all__ = ["build", "names", "operations", "shapes"]


@functools.cache
def _networks() -> dict[str, dict[str, Any]]:
    text = resources.files(__package__).joinpath("paper_networks.json").read_text("utf-8")
    return {network["name"]: network for network in json.loads(text)["networks"]}


def names() -> list[str]:
    """Returns the names in the order of the paper's tables."""
    return list(_networks())


def operations(name: str) -> dict[str, Any]:
    """Returns a network as its neutral list: ``inputs``, ``outputs`` and ``ops``.

    Raises:
      ValueError: it is no network of the paper.
    """
    try:
        return _networks()[name]
    except KeyError:
        raise ValueError(
            f"no network {name!r} of the paper; known are: {', '.join(names())}"
        ) from None


def _graph(network: Mapping[str, Any]) -> Graph:
    graph = Graph(network.get("name", "network"), network.get("note", ""))
    for name, shape in network["inputs"].items():
        graph.input(name, tuple(shape))
    for op in network["ops"]:
        kind, output = op["kind"], op["output"]
        operands = op["inputs"]
        first = operands[0]
        if kind == "conv":
            graph.conv(
                first,
                op["channels"],
                op["kernel"],
                stride=op["stride"],
                pad=op["pad"],
                dilation=op.get("dilation", 1),
                groups=op["groups"],
                output=output,
            )
        elif kind == "maxpool":
            graph.max_pool(first, op["kernel"], stride=op["stride"], pad=op["pad"], output=output)
        elif kind == "relu":
            graph.relu(first, output)
        elif kind == "add":
            graph.add(first, operands[1], output)
        elif kind == "concat":
            graph.concat(operands, output)
        elif kind == "global_avgpool":
            graph.global_average_pool(first, output)
        else:
            raise ValueError(f"unknown operation kind {kind!r}")
    graph.output(*network["outputs"])
    return graph


def shapes(network: Mapping[str, Any]) -> dict[str, Shape]:
    """Returns the shape of every value of a neutral list.

    Raises:
      ValueError: shapes do not fit, or an operation is of unknown kind.
    """
    return _graph(network).shapes


def build(name: str) -> Graph:
    """Returns a network of the paper.

    Raises:
      ValueError: there is none of that name.
    """
    return _graph(operations(name))

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Networks to compile, check and compare: those of the SERENITY paper, and of other families.

Every network has a family and belongs to a set (`registry`): ``paper``, ``more``, ``held-out``
(chosen before the compiler was run on it), or ``microcontroller``. One module per family builds
them from published tables and figures; weights are no part of the package, `build` draws them from
a seed, because memory depends on shapes only. ``docs/networks.md`` lists them.

    >>> from serenity_mlir import networks
    >>> networks.names("paper")[0]
    'swiftnet_a'
    >>> model = networks.build("swiftnet_a", seed=0)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenity_mlir.networks.graph import Graph, Shape, to_onnx
from serenity_mlir.networks.registry import SETS, Entry, Set, entries

if TYPE_CHECKING:
    import onnx

__all__ = ["SETS", "NetworkInfo", "Set", "Shape", "build", "graph", "info", "names"]


@dataclass(frozen=True)
class NetworkInfo:
    """The description of a network, without drawing its weights.

    Attributes:
      name: the name that `build` takes.
      family: the architecture it is of.
      set: ``"paper"``, ``"more"``, ``"held-out"`` or ``"microcontroller"``.
      note: where the topology is from.
      inputs: shape of every input by name, float32; images are NCHW.
      outputs: shape of every output by name, float32.
      operations: number of ONNX operations.
      parameters: number of float32 weights and biases.
      multiply_accumulates: of all convolutions and matrix products for one run.
      activation_bytes: bytes of all values that operations produce, together.
    """

    name: str
    family: str
    set: Set
    note: str
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    operations: int
    parameters: int
    multiply_accumulates: int
    activation_bytes: int


def names(*sets: Set) -> list[str]:
    """Returns the names of the networks of the given sets, of all if none is given.

    Those of the paper come first, in the order of its tables.

    Raises:
      ValueError: there is no such set.
    """
    for name in sets:
        if name not in SETS:
            raise ValueError(f"no set {name!r}; known are: {', '.join(SETS)}")
    return [entry.name for entry in entries().values() if not sets or entry.set in sets]


def _entry(name: str) -> Entry:
    try:
        return entries()[name]
    except KeyError:
        raise ValueError(f"no network {name!r}; known are: {', '.join(names())}") from None


def graph(name: str) -> Graph:
    """Returns a network's operators, shapes and parameters, without weights.

    Raises:
      ValueError: there is no such network.
    """
    return _entry(name).make()


def info(name: str) -> NetworkInfo:
    """Describes a network.

    Raises:
      ValueError: there is no such network.
    """
    entry = _entry(name)
    made = entry.make()
    return NetworkInfo(
        name=name,
        family=entry.family,
        set=entry.set,
        note=made.note,
        inputs={value: made.shapes[value] for value in made.inputs},
        outputs={value: made.shapes[value] for value in made.outputs},
        operations=len(made.nodes),
        parameters=made.parameter_count,
        multiply_accumulates=made.multiply_accumulates,
        activation_bytes=made.activation_bytes,
    )


def build(name: str, seed: int = 0) -> onnx.ModelProto:
    """Builds a network as a checked ONNX model with random weights.

    Args:
      name: one of `names()`.
      seed: seed of the weights, not negative.

    Returns:
      A float32 model, opset 17, with static shapes. The same name and seed give the same bytes.

    Raises:
      ValueError: there is no such network, or the seed is negative.
    """
    made = graph(name)
    if seed < 0:
        raise ValueError(f"the seed must not be negative, got {seed}")
    return to_onnx(made, seed)

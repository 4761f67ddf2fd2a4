# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The SERENITY paper's own model: networks as scheduling instances, rewritten at graph level.

Ahn et al., "Ordering Chaos: Memory-Aware Scheduling of Irregularly Wired Neural Networks for Edge
Devices", MLSys 2020, section 3.3. The rewriting is that of the ``serenity-rewrite`` pass, but the
memory model is the paper's, which no compiler has: a concatenation is a view of its inputs that
costs nothing, an activation runs with its neighbour, and a partial convolution accumulates in place
in one byte per element. These instances reproduce the paper's optima; for the bytes that a
compiled module needs, compile it.

* channel-wise: ``conv(concat(x_1, ..., x_n))`` becomes n operations that touch one ``x_i`` and the
  result each, in any order;
* kernel-wise: ``depthwise(concat(x_1, ..., x_n))`` becomes n operations with a result of their own
  each, and the whole result is the concatenation of these, so that the next convolution can be
  partitioned too. Convolutions in several groups likewise, if no group straddles a concatenation
  boundary.

    >>> from serenity_mlir.core import scheduling
    >>> from serenity_mlir.networks import graph_rewriting
    >>> instance = graph_rewriting.graph_instance("swiftnet_a", rewriting="all")
    >>> scheduling.schedule(instance).peak_bytes
    188160
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from serenity_mlir.networks import Shape, paper

__all__ = ["Rewriting", "graph_instance"]

#: Partitioned operations: none, convolutions over concatenations, or depthwise convolutions too.
Rewriting = Literal["none", "conv", "all"]

_REWRITINGS = ("none", "conv", "all")


@dataclass(frozen=True)
class _Part:
    """A buffer, or the piece of a concatenation that lies in it.

    Attributes:
      buffer: Its name.
      channels: How many channels of the value lie in it.
      writers: The operations after which it is complete.
    """

    buffer: str
    channels: int
    writers: tuple[str, ...]


class _Builder:
    def __init__(self, shapes: Mapping[str, Shape], element_bytes: int) -> None:
        self.shapes = shapes
        self.element_bytes = element_bytes
        self.buffers: list[dict[str, Any]] = []
        self.operations: list[dict[str, Any]] = []

    def buffer(self, name: str, value: str, channels: int, *, live_in: bool = False) -> None:
        batch, _, *spatial = self.shapes[value]
        size = batch * channels * self.element_bytes
        for extent in spatial:
            size *= extent
        entry: dict[str, Any] = {"name": name, "bytes": size}
        if live_in:
            entry["live_in"] = True
        self.buffers.append(entry)

    def operation(self, name: str, reads: Sequence[_Part], writes: str) -> None:
        uses = list(dict.fromkeys([part.buffer for part in reads] + [writes]))
        after = list(dict.fromkeys(writer for part in reads for writer in part.writers))
        self.operations.append({"name": name, "uses": uses, "after": after})


def _group_parts(op: Mapping[str, Any], parts: Sequence[_Part]) -> list[int] | None:
    """Returns the output channels of every part of a grouped convolution.

    None if a group has channels of several parts.
    """
    per_group = sum(part.channels for part in parts) // op["groups"]
    if any(part.channels % per_group for part in parts):
        return None
    return [part.channels // per_group * (op["channels"] // op["groups"]) for part in parts]


def _checked_inputs(ops: Sequence[Mapping[str, Any]], inputs: Sequence[str]) -> set[str]:
    """Returns the values that the operations between `inputs` and the end still need."""
    made = {op["output"] for op in ops}
    for value in inputs:
        if value not in made:
            raise ValueError(f"no operation computes {value!r}; name a value of the network")
    return set(inputs)


def graph_instance(
    network: str | Mapping[str, Any],
    *,
    rewriting: Rewriting = "all",
    element_bytes: int = 1,
    inputs: Sequence[str] = (),
) -> dict[str, Any]:
    """Builds a network's scheduling instance in the paper's model.

    Args:
      network: Name of a network of the paper, or a network in the same form
        (``{"inputs": {name: NCHW shape}, "outputs": [...], "ops": [...]}``).
      rewriting: ``"none"``, ``"conv"`` (channel-wise partitioning) or ``"all"`` (kernel-wise too).
      element_bytes: Bytes of one element; the paper's SwiftNet is uint8, its DARTS float32.
      inputs: Values to start from instead of the network's inputs. Operations that only serve to
        compute them are left out: the cell of DARTS alone is that between ``("t1", "t3")`` and the
        end.

    Returns:
      A graph instance as plain data (docs/scheduling.md), for `scheduling.schedule` or ``serenity
      schedule``. Inputs are live from the start to their last use. Sizes in bytes.

    Raises:
      ValueError: Unknown network, rewriting or value, or an operation of unknown kind.
    """
    if rewriting not in _REWRITINGS:
        raise ValueError(f"unknown rewriting {rewriting!r}; known are: {', '.join(_REWRITINGS)}")
    if element_bytes < 1:
        raise ValueError(f"element_bytes must be at least 1, not {element_bytes}")
    data = paper.operations(network) if isinstance(network, str) else network
    shapes = paper.shapes(data)
    ops: Sequence[Mapping[str, Any]] = data["ops"]
    starts = _checked_inputs(ops, inputs)

    # Backwards from the outputs, not further than the values to start from.
    producer = {op["output"]: op for op in ops}
    needed: set[str] = set()
    pending = list(data["outputs"])
    while pending:
        value = pending.pop()
        if value in needed:
            continue
        needed.add(value)
        if value in producer and value not in starts:
            pending.extend(producer[value]["inputs"])

    builder = _Builder(shapes, element_bytes)
    parts: dict[str, list[_Part]] = {}

    def start(value: str) -> None:
        builder.buffer(value, value, shapes[value][1], live_in=True)
        parts[value] = [_Part(value, shapes[value][1], ())]

    for value in data["inputs"]:
        if value in needed:
            start(value)
    for op in ops:
        value = op["output"]
        if value not in needed:
            continue
        if value in starts:
            start(value)
            continue
        operands = [parts[operand] for operand in op["inputs"]]
        if op["kind"] == "concat":
            parts[value] = [part for operand in operands for part in operand]
        elif op["kind"] == "relu":
            parts[value] = operands[0]
        elif op["kind"] in ("conv", "add", "maxpool", "global_avgpool"):
            parts[value] = _compute(builder, op, operands, rewriting)
        else:
            raise ValueError(f"unknown operation kind {op['kind']!r}")
    return {"version": 1, "buffers": builder.buffers, "operations": builder.operations}


def _compute(
    builder: _Builder,
    op: Mapping[str, Any],
    operands: Sequence[Sequence[_Part]],
    rewriting: Rewriting,
) -> list[_Part]:
    """Adds the operations of `op` and returns the parts of its result."""
    value = op["output"]
    channels = builder.shapes[value][1]
    reads = operands[0]
    if op["kind"] == "conv" and len(reads) > 1 and rewriting != "none":
        names = [f"{value}.{index}" for index in range(len(reads))]
        if op["groups"] == 1:
            builder.buffer(value, value, channels)
            for name, part in zip(names, reads, strict=True):
                builder.operation(name, [part], value)
            return [_Part(value, channels, tuple(names))]
        sizes = _group_parts(op, reads) if rewriting == "all" else None
        if sizes is not None:
            for name, part, size in zip(names, reads, sizes, strict=True):
                builder.buffer(name, value, size)
                builder.operation(name, [part], name)
            return [_Part(n, size, (n,)) for n, size in zip(names, sizes, strict=True)]
    builder.buffer(value, value, channels)
    builder.operation(value, [part for operand in operands for part in operand], value)
    return [_Part(value, channels, (value,))]

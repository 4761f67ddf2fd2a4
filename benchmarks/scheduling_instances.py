# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Scheduling problems for benchmarks and tests: networks, random wirings, stacks, large DAGs.

``python benchmarks/scheduling_instances.py`` writes the networks' problems into the corpus.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import networkx as nx

from serenity_mlir.core.scheduling import Problem
from serenity_mlir.networks import paper

GRAPHS = Path(__file__).resolve().parent / "instances" / "graphs"

DARTS_TENSOR_BYTES = 28 * 28 * 48 * 4


def cell(name: str) -> Problem:
    """A SwiftNet cell under the paper's model, by its name in ``expected.json``."""
    return Problem.from_file(GRAPHS / f"{name}.json")


def cells() -> Iterator[tuple[str, Problem, int]]:
    """The SwiftNet cells under the paper's model: name, problem, known optimum in bytes."""
    expected = json.loads((GRAPHS / "expected.json").read_text())["peak_bytes"]
    for name, optimum in expected.items():
        yield name, cell(name), optimum


def darts(partitioned: bool) -> Problem:
    """The DARTS_V2 normal cell under the paper's model (PAPER.md's last row).

    The cell's two inputs are the 48-channel results of its preprocessing, counted from the start.
    The concatenation is a free view. With ``partitioned``, the 1x1 convolution of the next cell is
    split by channels; its parts accumulate in place, in any order.
    """
    problem = Problem()
    producer: dict[str, str] = {}
    for name in ("t1", "t3"):
        problem.add_buffer(name, DARTS_TENSOR_BYTES, live_in=True)
    view: list[str] = []
    for op in paper.operations("darts_normal")["ops"][4:]:
        result = op["output"]
        if op["kind"] == "concat":
            view = op["inputs"]
            continue
        if result == "t42":
            continue  # The ReLU of the concatenation is fused into the convolution.
        operands = view if result == "t43" else list(dict.fromkeys(op["inputs"]))
        problem.add_buffer(result, DARTS_TENSOR_BYTES)
        if result == "t43" and partitioned:
            for operand in operands:
                problem.add_operation(f"part_{operand}", [operand, result], [producer[operand]])
            continue
        after = [producer[operand] for operand in operands if operand in producer]
        producer[result] = problem.add_operation(result, [*operands, result], after)
    return problem


def network(name: str, *, in_place: bool = False, splats: bool = False) -> Problem:
    """A network of the package as float32 tensors, a buffer per result, inputs and outputs apart.

    Args:
      name: Of a network of the paper.
      in_place: ReLUs and additions overwrite an operand that is theirs to overwrite.
      splats: Every convolution accumulates into a buffer that a splat operation fills before it.
    """
    raw = paper.operations(name)
    shapes = paper.shapes(raw)
    ops = raw["ops"]
    readers: dict[str, list[int]] = {}
    for index, op in enumerate(ops):
        for operand in op["inputs"]:
            readers.setdefault(operand, []).append(index)
    problem = Problem()
    buffer_of: dict[str, str] = {}
    produced: set[str] = set()
    for index, op in enumerate(ops):
        result = op["output"]
        uses = list(dict.fromkeys(buffer_of[x] for x in op["inputs"] if x in buffer_of))
        after = dict.fromkeys(x for x in op["inputs"] if x in produced)
        if result not in raw["outputs"]:
            own = None
            if in_place and op["kind"] in ("relu", "add"):
                for operand in op["inputs"]:
                    if operand in produced and readers[operand][-1] == index:
                        own = buffer_of[operand]
                        for reader in readers[operand]:
                            if reader != index:
                                after[ops[reader]["output"]] = None
                        break
            if own is None:
                count = 4
                for extent in shapes[result]:
                    count *= extent
                own = problem.add_buffer(result, (count + 63) // 64 * 64)
                if splats and op["kind"] == "conv":
                    after[problem.add_operation(f"splat_{result}", [own])] = None
            buffer_of[result] = own
            if own not in uses:
                uses.append(own)
        problem.add_operation(result, uses, after)
        produced.add(result)
    return problem


def wiring(kind: str, seed: int, per_node: int, *, nodes: int = 32, equal: bool = True) -> Problem:
    """A randomly wired cell: ``ws`` (4 neighbours, 0.75), ``er`` (0.2) or ``ba`` (5 edges).

    Every node is a chain of ``per_node`` operations; the first reads all operands, and a last
    operation reads all sinks. Tensors have one size, or sizes of 1 to 16 KiB per node.
    """
    if kind == "ws":
        graph = nx.connected_watts_strogatz_graph(nodes, 4, 0.75, tries=200, seed=seed)
    elif kind == "er":
        graph = nx.erdos_renyi_graph(nodes, 0.2, seed=seed)
    else:
        graph = nx.barabasi_albert_graph(nodes, 5, seed=seed)
    operands: dict[int, list[int]] = {node: [] for node in range(nodes)}
    sinks = set(range(nodes))
    for a, b in sorted((min(edge), max(edge)) for edge in graph.edges):
        operands[b].append(a)
        sinks.discard(a)
    generator = random.Random(seed)
    problem = Problem()
    problem.add_buffer("input", 4096, live_in=True)
    last: dict[int, str] = {}
    for node in range(nodes):
        size = 1024 if equal else 1024 * generator.randint(1, 16)
        reads = [last[a] for a in operands[node]] or ["input"]
        after = [last[a] for a in operands[node]]
        for step in range(per_node):
            name = problem.add_buffer(f"n{node}_{step}", size)
            problem.add_operation(name, [*reads, name], after)
            reads = after = [name]
        last[node] = f"n{node}_{per_node - 1}"
    problem.add_buffer("output", 1024, live_out=True)
    ends = [last[node] for node in sorted(sinks)]
    problem.add_operation("output", [*ends, "output"], ends)
    return problem


def stack(name: str, count: int) -> Problem:
    """A cell of the corpus, ``count`` times in a row: its last result is the next one's input."""
    cell = Problem.from_file(GRAPHS / f"{name}.json")
    entry = next(buffer.name for buffer in cell.buffers if buffer.live_in)
    followed = {before for operation in cell.operations for before in operation.after}
    sinks = [operation for operation in cell.operations if operation.name not in followed]
    users: dict[str, int] = {}
    for operation in cell.operations:
        for used in operation.uses:
            users[used] = users.get(used, 0) + 1
    exit_ = next(
        (used for used in sinks[-1].uses if users[used] == 1),
        sinks[-1].uses[-1],
    )
    problem = Problem()
    previous_exit = ""
    previous_sinks: list[str] = []
    for copy in range(count):

        def local(buffer: str, copy: int = copy, previous: str = previous_exit) -> str:
            return previous if buffer == entry and copy > 0 else f"{copy}.{buffer}"

        for buffer in cell.buffers:
            if buffer.name != entry or copy == 0:
                problem.add_buffer(local(buffer.name), buffer.bytes, live_in=buffer.name == entry)
        for operation in cell.operations:
            after = [f"{copy}.{before}" for before in operation.after]
            if entry in operation.uses:
                after += previous_sinks
            problem.add_operation(
                f"{copy}.{operation.name}", [local(used) for used in operation.uses], after
            )
        previous_exit = local(exit_)
        previous_sinks = [f"{copy}.{operation.name}" for operation in sinks]
    return problem


def layered(operations: int, width: int, seed: int) -> Problem:
    """Layers of ``width`` operations; each reads one to three of the layer before."""
    generator = random.Random(seed)
    problem = Problem()
    previous: list[str] = []
    current: list[str] = []
    for index in range(operations):
        name = problem.add_buffer(f"v{index}", 64 * generator.randint(1, 100))
        reads: list[str] = []
        if previous:
            reads = generator.sample(previous, min(len(previous), generator.randint(1, 3)))
        problem.add_operation(name, [*reads, name], reads)
        current.append(name)
        if len(current) == width:
            previous, current = current, []
    return problem


def random_dag(operations: int, reach: int, seed: int) -> Problem:
    """Every operation reads up to three of the ``reach`` operations before it."""
    generator = random.Random(seed)
    problem = Problem()
    for index in range(operations):
        name = problem.add_buffer(f"v{index}", 64 * generator.randint(1, 100))
        choices = range(max(0, index - reach), index)
        picked = generator.sample(choices, min(len(choices), generator.randint(0, 3)))
        reads = [f"v{other}" for other in picked]
        problem.add_operation(name, [*reads, name], reads)
    return problem


def in_place_dag(operations: int, reach: int, seed: int) -> Problem:
    """As `random_dag`, but half of the values that are read are overwritten by their last reader.

    The overwriter comes after the other readers, and takes over the buffer for its own result.
    """
    generator = random.Random(seed)
    reads = [
        generator.sample(range(max(0, index - reach), index), min(index, reach, count))
        for index, count in ((i, generator.randint(1, 3)) for i in range(operations))
    ]
    readers: list[list[int]] = [[] for _ in range(operations)]
    for index, operands in enumerate(reads):
        for operand in operands:
            readers[operand].append(index)
    problem = Problem()
    buffer_of: list[str] = []
    for index, operands in enumerate(reads):
        after = dict.fromkeys(operands)
        own = ""
        for operand in operands:
            if readers[operand][-1] == index and generator.random() < 0.5:
                own = buffer_of[operand]
                after.update(dict.fromkeys(r for r in readers[operand] if r != index))
                break
        buffer_of.append(own or problem.add_buffer(f"v{index}", 64 * generator.randint(1, 100)))
        uses = dict.fromkeys(buffer_of[other] for other in [*operands, index])
        problem.add_operation(f"o{index}", uses, [f"o{other}" for other in after])
    return problem


def branches(count: int, size: int, seed: int, *, private: bool) -> Problem:
    """``count`` random branches of ``size`` operations between a source and a sink.

    With ``private``, every branch begins with an operation of its own that reads the source; it is
    then a module whose memory does not depend on the others.
    """
    generator = random.Random(seed)
    problem = Problem()
    problem.add_buffer("source", 6400)
    problem.add_operation("source", ["source"])
    ends: list[str] = []
    for branch in range(count):
        inner: list[str] = []
        for index in range(size):
            name = problem.add_buffer(f"{branch}.{index}", 64 * generator.randint(1, 100))
            if index == 0:
                reads = ["source"]
            else:
                low = max(0, index - 6)
                reads = generator.sample(inner[low:], min(index - low, generator.randint(1, 2)))
                if not private and generator.random() < 0.2:
                    reads.append("source")
            problem.add_operation(name, [*reads, name], reads)
            inner.append(name)
        read = {
            other
            for operation in problem.operations
            if operation.name in inner
            for other in operation.after
        }
        sinks = [name for name in inner if name not in read]
        end = problem.add_buffer(f"{branch}.end", 64 * generator.randint(1, 100))
        problem.add_operation(end, [*sinks, end], sinks)
        ends.append(end)
    problem.add_buffer("sink", 6400, live_out=True)
    problem.add_operation("sink", [*ends, "sink"], ends)
    return problem


def corpus_networks() -> Iterator[tuple[str, Problem]]:
    """The ten networks as functions and as in-place regions with splats: file name, problem."""
    for name in paper.names():
        yield f"{name}.function.json", network(name)
        yield f"{name}.region.json", network(name, in_place=True, splats=True)


if __name__ == "__main__":
    for file_name, instance in corpus_networks():
        (GRAPHS / "networks" / file_name).write_text(instance.to_json(), encoding="utf-8")

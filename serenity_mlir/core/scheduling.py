# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Minimum-peak scheduling of graphs: problems, their JSON form, and the solver.

A problem is a set of buffers (bytes) and a set of operations; an operation uses buffers and comes
after other operations. A buffer is live from its first to its last user inclusive. A schedule is an
order of the operations, its peak the largest number of bytes live at one step. The formulation and
the algorithms are described in ``docs/scheduling.md``; the problem is that of Ahn et al., "Ordering
Chaos: Memory-Aware Scheduling of Irregularly Wired Neural Networks for Edge Devices" (MLSys 2020),
section 3.1, with buffers that several operations may share.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from serenity_mlir import _core
from serenity_mlir.core.peak_distribution import GraphMasks, TooManyStatesError, count_orders

if TYPE_CHECKING:
    import networkx as nx

__all__ = [
    "SWITCHES",
    "Buffer",
    "Operation",
    "PeakDistribution",
    "Problem",
    "ProblemError",
    "Progress",
    "Schedule",
    "Scheduler",
    "Simulation",
    "TooManyStatesError",
    "peak_distribution",
    "schedule",
    "simulate",
]

Scheduler = Literal["exact", "serenity", "heuristic"]

#: Names of the pruning rules, reductions, bounds and decompositions that can be switched off.
SWITCHES: tuple[str, ...] = tuple(_core.SWITCHES)

_INT64_MAX = 2**63 - 1
_FORMAT_VERSION = 1


class ProblemError(ValueError):
    """A problem is not well formed; the message names the place."""


@dataclass(frozen=True)
class Buffer:
    """A piece of memory, live from its first to its last user inclusive.

    Attributes:
      name: Unique among the buffers of a problem.
      bytes: Size, at least 0.
      live_in: Live from the start of the schedule (an input that the caller counts).
      live_out: Live to the end of the schedule.
    """

    name: str
    bytes: int
    live_in: bool = False
    live_out: bool = False


@dataclass(frozen=True)
class Operation:
    """A unit of execution.

    Attributes:
      name: Unique among the operations of a problem.
      uses: Names of the buffers that it reads, writes or updates in place.
      after: Names of the operations that must precede it: the producers of the values it reads and,
        where it writes in place, the other readers of the value that it overwrites.
      workspace_bytes: Bytes that are live only while it runs.
    """

    name: str
    uses: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    workspace_bytes: int = 0


@dataclass(frozen=True)
class Progress:
    """State of a running search.

    Attributes:
      states: States expanded so far.
      lower_bound_bytes: No order has a smaller peak.
      incumbent_bytes: Peak of the best order found.
      seconds: Since the start.
    """

    states: int
    lower_bound_bytes: int
    incumbent_bytes: int
    seconds: float


@dataclass(frozen=True)
class Simulation:
    """The memory of an order.

    Attributes:
      peak_bytes: Maximum of ``live_bytes``.
      live_bytes: Bytes live at each step, workspace included; int64, shape (operations,).
      first: First step at which each buffer is live, -1 if never; int64, shape (buffers,).
      last: Last such step (inclusive), -1 if never; int64, shape (buffers,).
    """

    peak_bytes: int
    live_bytes: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """The solver's answer.

    Attributes:
      order: Indices of the operations in the order to run them; int32, shape (operations,).
      names: Their names in that order.
      peak_bytes: Peak of ``order``.
      lower_bound_bytes: No order has a smaller peak; proved.
      optimal: True only if ``peak_bytes`` is proved to be the least.
      proved_by: The method that proved it: ``"search"``, ``"operation-footprint"``,
        ``"live-cut"`` ...; empty if none did.
      states: States expanded by the searches.
      seconds: Time in the solver.
      interrupted: Stopped by ``progress`` or Ctrl-C.
      live_bytes: Bytes live at each step; int64, shape (operations,).
    """

    order: npt.NDArray[np.int32]
    names: tuple[str, ...]
    peak_bytes: int
    lower_bound_bytes: int
    optimal: bool
    proved_by: str
    states: int
    seconds: float
    interrupted: bool
    live_bytes: npt.NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Returns the output of ``serenity schedule --json``; ``order`` holds names."""
        return {
            "peak_bytes": self.peak_bytes,
            "lower_bound_bytes": self.lower_bound_bytes,
            "optimal": self.optimal,
            "proved_by": self.proved_by,
            "order": list(self.names),
            "seconds": self.seconds,
            "states": self.states,
        }


@dataclass(frozen=True)
class PeakDistribution:
    """How many orders of a graph have which peak.

    Attributes:
      peaks: The peaks that occur, in bytes, rising; the first is the optimum.
      counts: The number of orders with each; exact.
      states: Down-sets of the graph.
    """

    peaks: tuple[int, ...]
    counts: tuple[int, ...]
    states: int

    @property
    def total(self) -> int:
        """The number of orders."""
        return sum(self.counts)

    def within(self, peak_bytes: int) -> int:
        """Returns the number of orders that need no more than ``peak_bytes``."""
        return sum(
            count for peak, count in zip(self.peaks, self.counts, strict=True) if peak <= peak_bytes
        )

    def share_within(self, peak_bytes: int) -> float:
        """Returns `within` as a share of all orders, 0 to 1."""
        return self.within(peak_bytes) / self.total


def _checked_bytes(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ProblemError(f"{where} must be an integer, not {value!r}")
    if value < 0:
        raise ProblemError(f"{where} is negative: {value}")
    if value > _INT64_MAX:
        raise ProblemError(f"{where} exceeds 2^63-1: {value}")
    return int(value)


def _check_name(name: Any, where: str) -> None:
    if not isinstance(name, str):
        raise ProblemError(f"{where}: 'name' must be a string, not {name!r}")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        # Half of a surrogate pair, which JSON can spell and no file can hold.
        raise ProblemError(f"{where}: 'name' is no Unicode text: {name!r}") from None


class Problem:
    """Buffers and operations; the input of `schedule`.

    Problems are built with `add_buffer` and `add_operation`, or come from `from_json`, `from_file`,
    `from_dict` or `from_networkx`.
    """

    def __init__(
        self, buffers: Iterable[Buffer] = (), operations: Iterable[Operation] = ()
    ) -> None:
        """Creates a problem.

        Args:
          buffers: In any order.
          operations: In any order: ``after`` may name operations that come later.

        Raises:
          ProblemError: Duplicate or unknown names, sizes out of range. Cycles are found by `check`.
        """
        self._buffers: list[Buffer] = []
        self._operations: list[Operation] = []
        self._buffer_index: dict[str, int] = {}
        self._operation_index: dict[str, int] = {}
        self._native: Any = None
        for buffer in buffers:
            self._append_buffer(buffer, f"buffers[{len(self._buffers)}]")
        for operation in operations:
            self._append_operation(operation, f"operations[{len(self._operations)}]")

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """The buffers, in the order in which they were added."""
        return tuple(self._buffers)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, in the order in which they were added."""
        return tuple(self._operations)

    def __repr__(self) -> str:
        return f"<Problem of {len(self._operations)} operations and {len(self._buffers)} buffers>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Problem):
            return NotImplemented
        return self._buffers == other._buffers and self._operations == other._operations

    __hash__ = None  # type: ignore[assignment]

    def add_buffer(
        self, name: str, bytes: int, *, live_in: bool = False, live_out: bool = False
    ) -> str:
        """Adds a buffer of ``bytes`` bytes and returns its name.

        Raises:
          ProblemError: The name is taken or the size out of range.
        """
        self._append_buffer(
            Buffer(name, bytes, live_in, live_out), f"buffers[{len(self._buffers)}]"
        )
        return name

    def add_operation(
        self,
        name: str,
        uses: Iterable[str] = (),
        after: Iterable[str] = (),
        workspace_bytes: int = 0,
    ) -> str:
        """Adds an operation and returns its name; see `Operation`.

        Raises:
          ProblemError: The name is taken or the size out of range. Unknown names in ``uses`` and
            ``after`` are found by `check`, since they may be added later.
        """
        self._append_operation(
            Operation(name, tuple(uses), tuple(after), workspace_bytes),
            f"operations[{len(self._operations)}]",
        )
        return name

    def _append_buffer(self, buffer: Buffer, where: str) -> None:
        _check_name(buffer.name, where)
        where = f"{where} ('{buffer.name}')"
        first = self._buffer_index.get(buffer.name)
        if first is not None:
            raise ProblemError(f"{where}: the name is taken by buffers[{first}]")
        _checked_bytes(buffer.bytes, f"{where}: 'bytes'")
        self._buffer_index[buffer.name] = len(self._buffers)
        self._buffers.append(buffer)
        self._native = None

    def _append_operation(self, operation: Operation, where: str) -> None:
        _check_name(operation.name, where)
        where = f"{where} ('{operation.name}')"
        first = self._operation_index.get(operation.name)
        if first is not None:
            raise ProblemError(f"{where}: the name is taken by operations[{first}]")
        _checked_bytes(operation.workspace_bytes, f"{where}: 'workspace_bytes'")
        self._operation_index[operation.name] = len(self._operations)
        self._operations.append(operation)
        self._native = None

    def check(self) -> None:
        """Checks the problem.

        Raises:
          ProblemError: An unknown or repeated name in ``uses`` or ``after``, a cycle, or sizes
            whose sum leaves 64 bits; the message names the operation.
        """
        self._as_native()

    def _as_native(self) -> Any:
        """The checked problem of the core library."""
        if self._native is not None:
            return self._native
        native = _core.Problem()
        for buffer in self._buffers:
            native.add_buffer(buffer.name, int(buffer.bytes), buffer.live_in, buffer.live_out)
        for index, operation in enumerate(self._operations):

            def resolve(
                names: tuple[str, ...],
                table: dict[str, int],
                key: str,
                kind: str,
                index: int = index,
                operation: Operation = operation,
            ) -> list[int]:
                try:
                    return [table[name] for name in names]
                except (KeyError, TypeError):
                    unknown = next(n for n in names if not isinstance(n, str) or n not in table)
                    raise ProblemError(
                        f"operations[{index}] ('{operation.name}'): '{key}' names unknown {kind} "
                        f"{unknown!r}"
                    ) from None

            native.add_operation(
                operation.name,
                resolve(operation.uses, self._buffer_index, "uses", "buffer"),
                resolve(operation.after, self._operation_index, "after", "operation"),
                int(operation.workspace_bytes),
            )
        error = native.check()
        if error is not None:
            raise ProblemError(error)
        self._native = native
        return native

    # --- JSON -------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, data: Any) -> Problem:
        """Reads a graph instance as `json.load` returns it.

        Raises:
          ProblemError: Not a well-formed instance; the message names the place.
        """
        top = _expect_object(data, "top level", {"version", "buffers", "operations"})
        if "version" not in top:
            raise ProblemError("top level: 'version' is missing; this is version 1 of the format")
        if top["version"] != _FORMAT_VERSION or isinstance(top["version"], bool):
            raise ProblemError(
                f"top level: 'version' is {top['version']!r}; known is {_FORMAT_VERSION}"
            )
        problem = cls()
        for index, item in enumerate(_expect_list(top.get("buffers"), "'buffers'")):
            where = f"buffers[{index}]"
            fields = _expect_object(item, where, {"name", "bytes", "live_in", "live_out"})
            name = _expect_name(fields, where)
            where = f"{where} ('{name}')"
            if "bytes" not in fields:
                raise ProblemError(f"{where}: 'bytes' is missing")
            problem._append_buffer(
                Buffer(
                    name,
                    _checked_bytes(fields["bytes"], f"{where}: 'bytes'"),
                    _expect_flag(fields, "live_in", where),
                    _expect_flag(fields, "live_out", where),
                ),
                f"buffers[{index}]",
            )
        for index, item in enumerate(_expect_list(top.get("operations"), "'operations'")):
            where = f"operations[{index}]"
            fields = _expect_object(item, where, {"name", "uses", "after", "workspace_bytes"})
            name = _expect_name(fields, where)
            where = f"{where} ('{name}')"
            problem._append_operation(
                Operation(
                    name,
                    _expect_names(fields, "uses", where),
                    _expect_names(fields, "after", where),
                    _checked_bytes(fields.get("workspace_bytes", 0), f"{where}: 'workspace_bytes'"),
                ),
                f"operations[{index}]",
            )
        problem.check()
        return problem

    @classmethod
    def from_json(cls, text: str) -> Problem:
        """Reads a graph instance from JSON text.

        Raises:
          ProblemError: Malformed JSON (with line and column) or not a well-formed instance.
        """
        try:
            data = json.loads(text, object_pairs_hook=_unique_keys, parse_int=_json_integer)
        except json.JSONDecodeError as error:
            raise ProblemError(
                f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
            ) from None
        except RecursionError:
            raise ProblemError("not a graph instance: nested too deeply") from None
        return cls.from_dict(data)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Problem:
        """Reads a graph instance from a JSON file.

        Raises:
          ProblemError: As `from_json`, the message beginning with the path.
          OSError: The file cannot be read.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except ProblemError as error:
            raise ProblemError(f"{os.fspath(path)}: {error}") from None
        except UnicodeDecodeError as error:
            raise ProblemError(f"{os.fspath(path)}: not UTF-8: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Returns the graph instance as plain data; flags that are false are left out."""
        buffers = []
        for buffer in self._buffers:
            item: dict[str, Any] = {"name": buffer.name, "bytes": int(buffer.bytes)}
            if buffer.live_in:
                item["live_in"] = True
            if buffer.live_out:
                item["live_out"] = True
            buffers.append(item)
        operations = []
        for operation in self._operations:
            item = {
                "name": operation.name,
                "uses": list(operation.uses),
                "after": list(operation.after),
            }
            if operation.workspace_bytes:
                item["workspace_bytes"] = int(operation.workspace_bytes)
            operations.append(item)
        return {"version": _FORMAT_VERSION, "buffers": buffers, "operations": operations}

    def to_json(self) -> str:
        """Returns the graph instance as JSON text, one buffer or operation per line."""
        data = self.to_dict()

        def lines(items: list[dict[str, Any]]) -> str:
            return ",\n".join("  " + json.dumps(item) for item in items)

        return (
            f'{{"version": {data["version"]},\n"buffers": [\n{lines(data["buffers"])}\n],\n'
            f'"operations": [\n{lines(data["operations"])}\n]}}\n'
        )

    # --- NetworkX ---------------------------------------------------------------------------

    @classmethod
    def from_networkx(cls, graph: nx.DiGraph[Any]) -> Problem:
        """Reads a directed graph: a node is an operation with one result, an edge a use of it.

        Node attributes:
          ``bytes``: Size of the result; required, 0 for none.
          ``workspace_bytes``: Default 0.
          ``live_in``: The node is an input of the graph, not an operation: its buffer is live from
            the start. Such a node has no predecessors.
          ``live_out``: The result is live to the end.
          ``in_place``: The predecessor whose buffer the operation overwrites with its result; the
            other readers of that value then come before it.

        Operations are named ``str(node)``.

        Raises:
          ProblemError: A node without ``bytes``, names that are equal as strings, an ``in_place``
            that is no predecessor or that two nodes claim, a cycle.
        """
        if not graph.is_directed():
            raise ProblemError("the graph is not directed; use a networkx.DiGraph")
        problem = cls()
        buffer_of: dict[Any, str] = {}
        inputs: set[Any] = set()
        overwritten_by: dict[Any, Any] = {}
        pending: list[Any] = []
        for node, attributes in graph.nodes(data=True):
            where = f"node {node!r}"
            if attributes.get("live_in"):
                if graph.in_degree(node):
                    raise ProblemError(f"{where}: 'live_in' on a node with predecessors")
                inputs.add(node)
            source = attributes.get("in_place")
            if source is not None:
                if not graph.has_edge(source, node):
                    raise ProblemError(f"{where}: 'in_place' names {source!r}, no predecessor")
                if source in overwritten_by:
                    raise ProblemError(
                        f"{where}: 'in_place' overwrites {source!r}, and so does "
                        f"{overwritten_by[source]!r}"
                    )
                overwritten_by[source] = node
                pending.append(node)
                continue
            if "bytes" not in attributes:
                raise ProblemError(f"{where}: attribute 'bytes' is missing")
            name = str(node)
            if name in problem._buffer_index:
                raise ProblemError(f"{where}: another node has the same name as text")
            problem.add_buffer(
                name,
                _checked_bytes(attributes["bytes"], f"{where}: 'bytes'"),
                live_in=bool(attributes.get("live_in")),
                live_out=bool(attributes.get("live_out")),
            )
            buffer_of[node] = name
        # Chains of in-place operations lead to a node that owns its buffer, or in a circle.
        live_out: set[str] = set()
        for node in pending:
            chain = [node]
            while chain[-1] not in buffer_of:
                source = graph.nodes[chain[-1]]["in_place"]
                if source in chain:
                    raise ProblemError(f"node {node!r}: 'in_place' leads in a circle")
                chain.append(source)
            for member in chain:
                buffer_of[member] = buffer_of[chain[-1]]
        for node in pending:
            if graph.nodes[node].get("live_out"):
                live_out.add(buffer_of[node])
        for name in live_out:
            index = problem._buffer_index[name]
            old = problem._buffers[index]
            problem._buffers[index] = Buffer(old.name, old.bytes, old.live_in, True)
        for node, attributes in graph.nodes(data=True):
            if node in inputs:
                continue
            uses = dict.fromkeys([buffer_of[node]])
            after: dict[str, None] = {}
            for source in graph.predecessors(node):
                uses[buffer_of[source]] = None
                if source not in inputs:
                    after[str(source)] = None
            source = attributes.get("in_place")
            if source is not None:
                for reader in graph.successors(source):
                    if reader != node:
                        after[str(reader)] = None
            try:
                problem.add_operation(str(node), uses, after, attributes.get("workspace_bytes", 0))
            except ProblemError as error:
                raise ProblemError(f"node {node!r}: {error}") from None
        problem.check()
        return problem

    def to_networkx(self) -> nx.DiGraph[str]:
        """Returns the precedence graph; nodes carry ``uses`` and ``workspace_bytes``."""
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph()
        for operation in self._operations:
            graph.add_node(
                operation.name,
                uses=operation.uses,
                workspace_bytes=operation.workspace_bytes,
            )
        for operation in self._operations:
            for before in operation.after:
                graph.add_edge(before, operation.name)
        return graph


def _json_integer(text: str) -> int:
    # Python itself refuses thousands of digits, with an error of another kind.
    if len(text) > 20:
        raise ProblemError(f"an integer exceeds 64 bits: {text[:20]}...")
    return int(text)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        name = result.get("name")
        place = f" in the object named {name!r}" if isinstance(name, str) else ""
        raise ProblemError(f"key '{repeated}' appears twice{place}")
    return result


def _expect_object(value: Any, where: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProblemError(f"{where}: expected an object, found {type(value).__name__}")
    for key in value:
        if key not in known:
            raise ProblemError(
                f"{where}: unknown key {key!r}; known are {', '.join(sorted(known))}"
            )
    return value


def _expect_list(value: Any, what: str) -> Sequence[Any]:
    if value is None:
        raise ProblemError(f"top level: {what} is missing")
    if not isinstance(value, list):
        raise ProblemError(f"top level: {what} must be a list, not {type(value).__name__}")
    return value


def _expect_name(fields: Mapping[str, Any], where: str) -> str:
    name = fields.get("name")
    if not isinstance(name, str):
        raise ProblemError(f"{where}: 'name' must be a string, not {name!r}")
    return name


def _expect_flag(fields: Mapping[str, Any], key: str, where: str) -> bool:
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise ProblemError(f"{where}: '{key}' must be true or false, not {value!r}")
    return value


def _expect_names(fields: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = fields.get(key, [])
    if not isinstance(value, list):
        raise ProblemError(f"{where}: '{key}' must be a list of names, not {value!r}")
    for item in value:
        if not isinstance(item, str):
            raise ProblemError(f"{where}: '{key}' must hold names, found {item!r}")
    return tuple(value)


def _as_problem(problem: Any) -> Problem:
    if isinstance(problem, Problem):
        return problem
    if isinstance(problem, Mapping):
        return Problem.from_dict(problem)
    if hasattr(problem, "is_directed") and hasattr(problem, "nodes"):
        return Problem.from_networkx(problem)
    raise TypeError(
        f"expected a Problem, a graph instance as a dictionary or a networkx.DiGraph, not "
        f"{type(problem).__name__}"
    )


def _as_indices(problem: Problem, order: Sequence[int | str] | npt.NDArray[Any]) -> list[int]:
    indices = []
    for item in order:
        if isinstance(item, str):
            index = problem._operation_index.get(item)
            if index is None:
                raise ProblemError(f"the order names unknown operation {item!r}")
            indices.append(index)
        else:
            indices.append(int(item))
    return indices


def schedule(
    problem: Problem | Mapping[str, Any] | nx.DiGraph[Any],
    *,
    scheduler: Scheduler = "exact",
    time_limit: float = 10.0,
    state_limit: int = 0,
    memory_limit: int = 1 << 30,
    given_order: Sequence[int | str] | npt.NDArray[Any] = (),
    seed: int = 0,
    disable: Iterable[str] = (),
    progress: Callable[[Progress], bool | None] | None = None,
) -> Schedule:
    """Finds an order of least peak memory.

    Args:
      problem: A `Problem`, a graph instance as plain data, or a ``networkx.DiGraph`` (see
        `Problem.from_networkx`).
      scheduler: ``"exact"`` (best-first search, anytime, with bounds), ``"serenity"`` (the
        algorithm of Ahn et al., MLSys 2020, sections 3.1 and 3.2) or ``"heuristic"`` (no search).
      time_limit: Seconds; 0 for heuristics and bounds alone.
      state_limit: Deterministic cut-off in expanded states; 0 for none.
      memory_limit: Bytes of the state store.
      given_order: Indices or names of all operations in a valid order, by default the order of the
        file. The answer is never worse, and is this order if no better one was found.
      seed: 0, or a seed that asks for another order of the same peak.
      disable: Names out of `SWITCHES`.
      progress: Called about every 50 ms; returning False stops the search.

    Returns:
      The best order found. Ctrl-C ends the search and sets ``interrupted``.

    Raises:
      ProblemError: The problem or ``given_order`` is not well formed.
      TypeError: ``problem`` is of another type.
      ValueError: An unknown scheduler or switch.
    """
    problem = _as_problem(problem)
    native = problem._as_native()
    given = _as_indices(problem, given_order)
    if given:
        error = _core.verify_order(native, given)
        if error is not None:
            raise ProblemError(f"given_order: {error}")

    def report(states: int, bound: int, incumbent: int, seconds: float) -> bool:
        assert progress is not None
        return progress(Progress(states, bound, incumbent, seconds)) is not False

    result = _core.schedule(
        native,
        scheduler=scheduler,
        time_limit=time_limit,
        state_limit=state_limit,
        memory_limit=memory_limit,
        given_order=given,
        seed=seed,
        disabled=list(disable),
        progress=report if progress is not None else None,
    )
    order: npt.NDArray[np.int32] = result.order
    peak, live_bytes, _, _ = _core.simulate(native, order.tolist())
    assert peak == result.peak_bytes, "the simulator disagrees with the solver"
    return Schedule(
        order=order,
        names=tuple(problem._operations[index].name for index in order),
        peak_bytes=result.peak_bytes,
        lower_bound_bytes=result.lower_bound_bytes,
        optimal=result.optimal,
        proved_by=result.proved_by,
        states=result.states,
        seconds=result.seconds,
        interrupted=result.interrupted,
        live_bytes=live_bytes,
    )


def simulate(
    problem: Problem | Mapping[str, Any] | nx.DiGraph[Any],
    order: Sequence[int | str] | npt.NDArray[Any],
) -> Simulation:
    """Plays an order.

    Args:
      problem: As for `schedule`.
      order: Indices or names of all operations.

    Raises:
      ProblemError: The order is not a permutation of the operations, or breaks an ``after``.
    """
    problem = _as_problem(problem)
    native = problem._as_native()
    indices = _as_indices(problem, order)
    error = _core.verify_order(native, indices)
    if error is not None:
        raise ProblemError(error)
    peak, live_bytes, first, last = _core.simulate(native, indices)
    return Simulation(peak, live_bytes, first, last)


def peak_distribution(
    problem: Problem | Mapping[str, Any] | nx.DiGraph[Any], *, state_limit: int = 2_000_000
) -> PeakDistribution:
    """Counts all orders of a problem by their peak, exactly.

    By dynamic programming over the down-sets of the precedence graph, not by sampling or
    enumeration: SwiftNet's cell A under the paper's model has 2,522,126,120 orders and 1,345
    down-sets. Time and memory grow with the number of down-sets, times that of the distinct
    peaks: a tenth of a millisecond for a down-set of SwiftNet A, so that 200,000 take some 15 s.
    A graph of n independent operations has 2^n of them, so wide graphs are out of reach.

    Args:
      problem: As for `schedule`.
      state_limit: Largest number of down-sets.

    Raises:
      ProblemError: The problem is not well formed.
      TooManyStatesError: There are more down-sets.
    """
    problem = _as_problem(problem)
    problem.check()
    uses = [[problem._buffer_index[b] for b in op.uses] for op in problem._operations]
    users = [0] * len(problem._buffers)
    for index, buffers in enumerate(uses):
        for buffer in buffers:
            users[buffer] |= 1 << index
    counts, states = count_orders(
        GraphMasks(
            before=[
                sum(1 << problem._operation_index[o] for o in op.after)
                for op in problem._operations
            ],
            uses=uses,
            workspace=[op.workspace_bytes for op in problem._operations],
            users=users,
            bytes=[buffer.bytes for buffer in problem._buffers],
            live_in=[buffer.live_in for buffer in problem._buffers],
            live_out=[buffer.live_out for buffer in problem._buffers],
        ),
        state_limit,
    )
    peaks = tuple(sorted(counts))
    return PeakDistribution(peaks, tuple(counts[peak] for peak in peaks), states)

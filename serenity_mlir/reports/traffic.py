# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Off-chip traffic of a compiled module on a machine with a small memory on the chip.

The question is that of Ahn et al., "Ordering Chaos: Memory-Aware Scheduling of Irregularly Wired
Neural Networks for Edge Devices", MLSys 2020, section 4 (off-chip traffic): activations lie in a
memory off the chip; 32 to 256 KB on the chip hold the working set, under Belady's
clairvoyant replacement ("A study of replacement algorithms for a virtual-storage computer", IBM
Systems Journal 1966), so that the figures speak of the schedule and not of a cache. The paper does
not publish the granularity nor the treatment of written data; this is the model here.

The model:

* Counted are the buffers of the slab: activations between the commands of a region. Weights, being
  the same before and after, are not. Inputs and results are counted on request: inputs start off
  the chip, results must be there at the end.
* Buffers are cut into blocks of at most ``block_bytes``, and at every boundary of a range that a
  command touches, so that an access always covers whole blocks.
* A command touches the blocks that it reads, then those that it writes, each in the order of the
  report and upwards in addresses. Commands run in the order of the report. Blocks that a command
  updates in place are read and then written.
* A block must be on the chip when it is touched (there is no bypass), alone: the operands of a
  command need not fit together, and its results may take the room of blocks that only it still
  reads.
* Reading a block that is not on the chip fetches it: its bytes count as read. A block that was
  never written has no contents, and reading it costs nothing.
* Writing a block never fetches it, since the whole of it is overwritten.
* When room is needed, blocks leave whose next access lies furthest ahead; first those whose
  contents are not read again (they leave for free), then, among equals, those that need no
  write-back, then the one of the smaller number.
* A block that leaves with contents that are read later and that are not off the chip already is
  written back: its bytes count as written.

With all live bytes of a region within the capacity the traffic is therefore zero. The order of
replacement is optimal in the number of misses for blocks of one size that are only read; with
write-backs or blocks of several sizes it is Belady's rule, not an optimum.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serenity_mlir.reports.reporting import AccessReport, FunctionReport, RegionReport, Report

__all__ = [
    "CAPACITIES",
    "DEFAULT_BLOCK_BYTES",
    "FunctionTraffic",
    "Trace",
    "Traffic",
    "TrafficError",
    "simulate",
    "trace_of_region",
    "traffic_of_function",
    "traffic_of_report",
]

#: The paper's sizes of the memory on the chip, in bytes: 32, 64, 128 and 256 KiB.
CAPACITIES = tuple(kib * 1024 for kib in (32, 64, 128, 256))

DEFAULT_BLOCK_BYTES = 1024

#: Position of an access that never comes.
_NEVER = 2**62


class TrafficError(ValueError):
    """A report lacks data that the simulation needs, or a size is invalid."""


@dataclass(frozen=True)
class Trace:
    """Accesses to blocks.

    Attributes:
      bytes: size of every block; int64, shape (blocks,).
      block: the block of every access; int64, shape (accesses,).
      write: whether the access overwrites the block (else it reads); bool, shape (accesses,).
      given: whether the block has contents off the chip at the start; bool, shape (blocks,).
      kept: whether its contents must be off the chip at the end; bool, shape (blocks,).
    """

    bytes: npt.NDArray[np.int64]
    block: npt.NDArray[np.int64]
    write: npt.NDArray[np.bool_]
    given: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Traffic:
    """Bytes that cross the edge of the chip.

    Attributes:
      read_bytes: fetched.
      written_bytes: written back.
    """

    read_bytes: int = 0
    written_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Both directions together."""
        return self.read_bytes + self.written_bytes

    def __add__(self, other: Traffic) -> Traffic:
        """The traffic of one after the other."""
        return Traffic(self.read_bytes + other.read_bytes, self.written_bytes + other.written_bytes)


@dataclass(frozen=True)
class FunctionTraffic:
    """The traffic of one function by capacity.

    Attributes:
      name: the name that users call, or the function's own.
      stock: of IREE's order, by capacity in bytes; None if the report does not hold it.
      serenity: of the order compiled.
    """

    name: str
    stock: Mapping[int, Traffic] | None
    serenity: Mapping[int, Traffic]

    def ratio(self, capacity: int) -> float | None:
        """Returns stock's traffic over serenity's; None if unknown, or if the latter is zero."""
        if self.stock is None or self.serenity[capacity].total_bytes == 0:
            return None
        return self.stock[capacity].total_bytes / self.serenity[capacity].total_bytes


def simulate(trace: Trace, capacity_bytes: int) -> Traffic:
    """Counts the traffic of a trace.

    Args:
      trace: the accesses.
      capacity_bytes: of the memory on the chip.

    Raises:
      TrafficError: a block is larger than the capacity.
    """
    if len(trace.block) and int(trace.bytes[trace.block].max()) > capacity_bytes:
        raise TrafficError(
            f"a block of {int(trace.bytes.max()):,} bytes does not fit into "
            f"{capacity_bytes:,} bytes; use smaller blocks"
        )
    size = trace.bytes.tolist()
    blocks = trace.block.tolist()
    writes = trace.write.tolist()
    count = len(blocks)

    # When each access's contents are read next: never if they are overwritten before. Contents
    # that must be kept are read at the end.
    upcoming = [count if kept else _NEVER for kept in trace.kept.tolist()]
    next_read = [0] * count
    for position in range(count - 1, -1, -1):
        block = blocks[position]
        next_read[position] = upcoming[block]
        upcoming[block] = _NEVER if writes[position] else position

    resident = [False] * len(size)
    dirty = [False] * len(size)
    off_chip = trace.given.tolist()
    until = [_NEVER] * len(size)
    # The block to leave first on top. Entries are renewed on access; old ones are skipped.
    queue: list[tuple[int, bool, int]] = []
    free = capacity_bytes
    read = written = 0
    for position, block in enumerate(blocks):
        if not resident[block]:
            while free < size[block]:
                # Nothing is on the chip that is not in the queue.
                negative, stale_dirty, victim = heapq.heappop(queue)
                if (
                    not resident[victim]
                    or until[victim] != -negative
                    or dirty[victim] != stale_dirty
                ):
                    continue
                if dirty[victim] and until[victim] != _NEVER:
                    written += size[victim]
                    off_chip[victim] = True
                dirty[victim] = False
                resident[victim] = False
                free += size[victim]
            if not writes[position] and off_chip[block]:
                read += size[block]
            resident[block] = True
            free -= size[block]
        if writes[position]:
            dirty[block] = True
            off_chip[block] = False
        until[block] = next_read[position]
        heapq.heappush(queue, (-until[block], dirty[block], block))
    for block, kept in enumerate(trace.kept.tolist()):
        if kept and dirty[block]:
            written += size[block]
    return Traffic(read, written)


class _Cutter:
    """Buffers cut into numbered blocks."""

    def __init__(self) -> None:
        self.bytes: list[int] = []
        self.given: list[bool] = []
        self.kept: list[bool] = []
        self._starts: list[npt.NDArray[np.int64]] = []
        self._first: list[int] = []

    def add(
        self, size: int, ranges: Iterable[tuple[int, int]], step: int, given: bool, kept: bool
    ) -> None:
        """Adds a buffer that is touched in these ranges of bytes (begin, end)."""
        edges = {0, size, *range(0, size, step)}
        for begin, end in ranges:
            edges.update((begin, end))
        starts = np.array(sorted(edges), dtype=np.int64)
        self._first.append(len(self.bytes))
        self._starts.append(starts)
        lengths = np.diff(starts).tolist()
        self.bytes.extend(lengths)
        self.given.extend([given] * len(lengths))
        self.kept.extend([kept] * len(lengths))

    def blocks(self, buffer: int, begin: int, end: int) -> range:
        """Returns the blocks of a range of a buffer."""
        low, high = np.searchsorted(self._starts[buffer], (begin, end)).tolist()
        return range(self._first[buffer] + low, self._first[buffer] + high)


def _range(access: AccessReport, size: int, where: str) -> tuple[int, int]:
    if access.offset is None or access.bytes is None:
        raise TrafficError(f"{where}: a range is not constant, so its traffic is not either")
    end = access.offset + access.bytes
    if end > size:
        raise TrafficError(f"{where}: a range ends at {end:,} of {size:,} bytes")
    return access.offset, end


def trace_of_region(
    region: RegionReport, *, block_bytes: int = DEFAULT_BLOCK_BYTES, external: bool = False
) -> Trace:
    """Returns the accesses of a region's commands, in their order.

    Args:
      region: of a report.
      block_bytes: largest size of a block.
      external: also inputs and results, not only the slab.

    Raises:
      TrafficError: the report is of a release that lists no commands, or sizes are not constant.
    """
    if block_bytes < 1:
        raise TrafficError(f"blocks must have at least 1 byte, not {block_bytes}")
    if region.buffers and not region.operations:
        raise TrafficError("the report lists no operations; compile with this release to get them")
    counted = {"input", "result"} if external else set()
    # Buffers first, then those externals that count: one numbering for both.
    numbers = {
        index: len(region.buffers) + position
        for position, index in enumerate(
            index for index, item in enumerate(region.externals) if item.kind in counted
        )
    }
    sizes: list[int] = [buffer.bytes for buffer in region.buffers]
    for index in numbers:
        size = region.externals[index].bytes
        if size is None:
            raise TrafficError(f"external {index}: its size is not constant")
        sizes.append(size)

    touched: list[tuple[int, int, int, bool]] = []
    ranges: list[set[tuple[int, int]]] = [set() for _ in sizes]
    for operation in region.operations:
        for accesses, outside, write in (
            (operation.uses, False, False),
            (operation.external_uses, True, False),
            (operation.defs, False, True),
            (operation.external_defs, True, True),
        ):
            for access in accesses:
                if outside and access.buffer not in numbers:
                    continue
                number = numbers[access.buffer] if outside else access.buffer
                begin, end = _range(access, sizes[number], f"operation {operation.name}")
                touched.append((number, begin, end, write))
                ranges[number].add((begin, end))

    cutter = _Cutter()
    kinds = [""] * len(region.buffers) + [region.externals[index].kind for index in numbers]
    for size, of_buffer, kind in zip(sizes, ranges, kinds, strict=True):
        cutter.add(size, of_buffer, block_bytes, kind == "input", kind == "result")
    block: list[int] = []
    write_flags: list[bool] = []
    for number, begin, end, write in touched:
        found = cutter.blocks(number, begin, end)
        block.extend(found)
        write_flags.extend([write] * len(found))
    return Trace(
        np.array(cutter.bytes, dtype=np.int64),
        np.array(block, dtype=np.int64),
        np.array(write_flags, dtype=np.bool_),
        np.array(cutter.given, dtype=np.bool_),
        np.array(cutter.kept, dtype=np.bool_),
    )


def traffic_of_function(
    function: FunctionReport,
    *,
    capacities: Sequence[int] = CAPACITIES,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    external: bool = False,
) -> FunctionTraffic:
    """Simulates the regions of a function, the stock compiler's and serenity_mlir's.

    Values that pass from one region to the next lie in no slab and are not counted.

    Args:
      function: of a report.
      capacities: sizes of the memory on the chip, in bytes.
      block_bytes: largest size of a block.
      external: also inputs and results.

    Raises:
      TrafficError: as `trace_of_region` and `simulate`.
    """

    def total(regions: Sequence[RegionReport]) -> dict[int, Traffic]:
        found = dict.fromkeys(capacities, Traffic())
        for region in regions:
            trace = trace_of_region(region, block_bytes=block_bytes, external=external)
            for capacity in capacities:
                found[capacity] += simulate(trace, capacity)
        return found

    known = function.stock_regions or not any(region.buffers for region in function.regions)
    return FunctionTraffic(
        function.exported_as or function.name,
        total(function.stock_regions) if known else None,
        total(function.regions),
    )


def traffic_of_report(
    report: Report,
    *,
    capacities: Sequence[int] = CAPACITIES,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    external: bool = False,
) -> list[FunctionTraffic]:
    """Simulates every function of a report but the initializers; see `traffic_of_function`.

    Raises:
      TrafficError: as `traffic_of_function`, the message beginning with the function.
    """
    found = []
    for function in report.functions:
        if function.initializer:
            continue
        try:
            found.append(
                traffic_of_function(
                    function,
                    capacities=capacities,
                    block_bytes=block_bytes,
                    external=external,
                )
            )
        except TrafficError as error:
            raise TrafficError(f"{function.exported_as or function.name}: {error}") from None
    return found

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Explains a report: the buffers live at the peak and their last uses, and the gain of every step.

Everything here is read from the report; nothing is compiled. All sizes are in bytes, steps count
the commands of a region from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from serenity_mlir.reports.candidates import Change, changes_of, chosen_candidate
from serenity_mlir.reports.formulas import BytesFormula
from serenity_mlir.reports.places import with_places
from serenity_mlir.reports.reporting import (
    AccessReport,
    CandidateReport,
    FunctionReport,
    RegionReport,
    Report,
)
from serenity_mlir.reports.wide_values import WideValue, wide_values

__all__ = [
    "Explanation",
    "Gain",
    "LiveBuffer",
    "Peak",
    "buffer_labels",
    "dataflow",
    "explain",
    "format_bytes",
    "gains_of",
    "operation_labels",
    "peak_of",
    "short_name",
]

_DISPATCH = re.compile(r"^@?\"?.*?dispatch_(\d+)(?:_(.+?))?\"?$")


def short_name(name: str) -> str:
    """Shortens the name of an entry point or command for people.

    ``@main$async_dispatch_7_conv_7x7x16x3x3_f32`` becomes ``conv_7x7x16x3x3_f32 #7``, and
    ``stream.cmd.copy`` becomes ``copy``; other names lose their ``@``.
    """
    match = _DISPATCH.match(name)
    if match:
        number, kind = match.groups()
        return f"{kind} #{number}" if kind else f"dispatch #{number}"
    return name.removeprefix("stream.cmd.").removeprefix("@")


def format_bytes(count: int) -> str:
    """Returns a size as people read it, such as ``51.0 KiB`` (1 KiB = 1024 bytes)."""
    if count < 10_000:
        return f"{count:,} B"
    if count < 10_000 * 1024:
        return f"{count / 1024:,.1f} KiB"
    return f"{count / 1024**2:,.1f} MiB"


def buffer_labels(region: RegionReport) -> tuple[str, ...]:
    """Returns a label for each buffer of a region, which begins with the node of its first writer.

    A node is of the model, where its import has names; see `with_places` for the others.
    """
    locations: list[str | None] = [None] * len(region.buffers)
    for operation in reversed(region.operations):
        for access in operation.defs:
            locations[access.buffer] = operation.location
    return with_places(_dispatched_buffers(region), locations)


def operation_labels(region: RegionReport) -> tuple[str, ...]:
    """Returns a label for each operation of a region, which begins with the node of the model."""
    return with_places(_dispatched(region), [op.location for op in region.operations])


def _dispatched_buffers(region: RegionReport) -> tuple[str, ...]:
    """Labels of buffers by entry points alone.

    A buffer is called like the first entry point that writes it. One that copies and fills alone
    write has no such name; it is called after the first entry point that reads it.
    """
    labels = []
    for index, buffer in enumerate(region.buffers):
        if not buffer.name.startswith("stream.cmd."):
            labels.append(short_name(buffer.name))
            continue
        copies = 0
        reader = ""
        for operation in region.operations:
            written = any(access.buffer == index for access in operation.defs)
            copies += written and operation.name == "stream.cmd.copy"
            read = any(access.buffer == index for access in operation.uses)
            if read and not reader and operation.name.startswith("@"):
                reader = f" for {short_name(operation.name)}"
        kind = "concatenation" if copies > 1 else short_name(buffer.name)
        labels.append(kind + reader)
    return tuple(labels)


def _dispatched(region: RegionReport) -> tuple[str, ...]:
    """Labels of operations by entry points alone: copies and fills by their targets."""
    buffers = _dispatched_buffers(region)
    labels = []
    for operation in region.operations:
        label = short_name(operation.name)
        if operation.name.startswith("stream.cmd."):
            if operation.defs:
                into = buffers[operation.defs[0].buffer]
                # "copy into copy for x" would say it twice.
                same = into == label or into.startswith(f"{label} ")
                the = "the " if into.startswith("concatenation") else ""
                label = into if same else f"{label} into {the}{into}"
            elif operation.external_defs:
                kind = region.externals[operation.external_defs[0].buffer].kind
                label = f"{label} into the result" if kind == "result" else label
        labels.append(label)
    return tuple(labels)


@dataclass(frozen=True)
class LiveBuffer:
    """A buffer that is live at a peak.

    Attributes:
      buffer: Its index in the region.
      name: The entry point or command that writes it first.
      label: The same for people (`buffer_labels`).
      bytes: Its size.
      first: The step at which it begins.
      last: The last step at which it is live.
      role: The access of the peak's step to it: ``"reads"``, ``"writes"``, ``"updates"`` or
        ``"holds"`` (nothing: it waits for a later operation).
      next_use: Label of the next operation after the peak that touches it, None if there is none.
      next_step: The step of that operation.
      last_use: Label of the last operation that touches it, None if no operation is known to.
      later_uses: How many operations after the peak touch it.
      element_type: Of its elements, such as ``"i8"``; None if not known.
    """

    buffer: int
    name: str
    label: str
    bytes: int
    first: int
    last: int
    role: str
    next_use: str | None
    next_step: int | None
    last_use: str | None
    later_uses: int
    element_type: str | None = None


@dataclass(frozen=True)
class Peak:
    """The first step of a region at which most bytes are live.

    Attributes:
      step: When.
      steps: The number of steps of the region.
      bytes: The live bytes, sizes rounded up to the alignment of the slab.
      operations: Labels of the operations of that step: several of a concurrent dispatch group,
        none where a buffer begins that is written in parts later.
      buffers: The live buffers, the largest first.
    """

    step: int
    steps: int
    bytes: int
    operations: tuple[str, ...]
    buffers: tuple[LiveBuffer, ...]


@dataclass(frozen=True)
class Gain:
    """The gain of one step from the stock candidate to the chosen one.

    Attributes:
      step: ``"stock"`` for the start; else ``"offsets"``, ``"order"`` or ``"configuration"``.
      description: The same in words.
      candidate: Index of the candidate of the report that has this peak.
      bytes: The transient peak after it.
      saved_bytes: How much less than before; negative if more.
    """

    step: str
    description: str
    candidate: int
    bytes: int
    saved_bytes: int


@dataclass(frozen=True)
class Explanation:
    """The explanation of one function of a report.

    Attributes:
      function: The function that does the work.
      exported_as: The name that users call, None if it is not exported.
      transient_peak_bytes: Its transient peak, None if that depends on run-time sizes.
      stock_transient_peak_bytes: The same for the stock compiler's module, None likewise.
      chosen: Index of the candidate that was compiled, None if none was compared.
      used: Techniques used beyond the stock compiler's, of ``"offsets"``, ``"order"``,
        ``"recomputation"``, ``"fusion"``, ``"rewriting"`` and ``"bands"``.
      gains: From the stock compiler to the candidate chosen; empty without numbers.
      peaks: The peak of every region with a slab, None for regions without one.
      stock_peaks: The same for the stock compiler's regions.
      notes: The limits of the result, in sentences.
      bytes_formula: Its transient peak where that depends on run-time sizes, None if it does not.
        The peaks are those at the hints then.
      stock_bytes_formula: The same for the stock compiler.
      quantized_values: How many values the model quantizes.
      wide_values: Buffers of 32 bits in the computation of one of these, the largest first.
    """

    function: str
    exported_as: str | None
    transient_peak_bytes: int | None
    stock_transient_peak_bytes: int | None
    chosen: int | None
    used: tuple[str, ...]
    gains: tuple[Gain, ...]
    peaks: tuple[Peak | None, ...]
    stock_peaks: tuple[Peak | None, ...]
    notes: tuple[str, ...]
    bytes_formula: BytesFormula | None = None
    stock_bytes_formula: BytesFormula | None = None
    quantized_values: int = 0
    wide_values: tuple[WideValue, ...] = ()


def _overlap(one: AccessReport, other: AccessReport) -> bool:
    if one.buffer != other.buffer:
        return False
    if None in (one.offset, one.bytes, other.offset, other.bytes):
        return True
    assert one.offset is not None and one.bytes is not None
    assert other.offset is not None and other.bytes is not None
    return one.offset < other.offset + other.bytes and other.offset < one.offset + one.bytes


def _covers(one: AccessReport, other: AccessReport) -> bool:
    if None in (one.offset, one.bytes, other.offset, other.bytes):
        return False
    assert one.offset is not None and one.bytes is not None
    assert other.offset is not None and other.bytes is not None
    return one.offset <= other.offset and other.offset + other.bytes <= one.offset + one.bytes


def dataflow(region: RegionReport) -> list[tuple[int, int, int]]:
    """Returns the dataflow between operations through the slab.

    Returns:
      Triples (writer, reader, buffer): indices of operations and of a buffer, sorted by reader. A
      reader of a concatenation has an edge from every operation that wrote a part that it reads;
      a part that was overwritten in between has none.
    """
    edges: dict[tuple[int, int, int], None] = {}
    for reader, operation in enumerate(region.operations):
        for use in operation.uses:
            for writer in range(reader - 1, -1, -1):
                written = [d for d in region.operations[writer].defs if _overlap(d, use)]
                if written:
                    edges[writer, reader, use.buffer] = None
                if any(_covers(d, use) for d in written):
                    break
    return sorted(edges, key=lambda edge: (edge[1], edge[0], edge[2]))


def peak_of(region: RegionReport) -> Peak | None:
    """Returns the peak of a region, None if nothing of it lies in a slab."""
    if not region.live_bytes or not region.buffers:
        return None
    step = max(range(len(region.live_bytes)), key=lambda i: region.live_bytes[i])
    names = buffer_labels(region)
    called = operation_labels(region)
    touching: list[list[int]] = [[] for _ in region.buffers]
    for number, operation in enumerate(region.operations):
        for touched in operation.buffers:
            touching[touched].append(number)
    live = []
    for index, buffer in enumerate(region.buffers):
        if not buffer.first <= step <= buffer.last:
            continue
        now = [region.operations[i] for i in touching[index] if region.operations[i].step == step]
        later = [i for i in touching[index] if region.operations[i].step > step]
        read = any(access.buffer == index for operation in now for access in operation.uses)
        written = any(access.buffer == index for operation in now for access in operation.defs)
        live.append(
            LiveBuffer(
                buffer=index,
                name=buffer.name,
                label=names[index],
                bytes=buffer.bytes,
                first=buffer.first,
                last=buffer.last,
                role=("updates" if read and written else "reads" if read else "writes")
                if now
                else "holds",
                next_use=called[later[0]] if later else None,
                next_step=region.operations[later[0]].step if later else None,
                last_use=called[touching[index][-1]] if touching[index] else None,
                later_uses=len(later),
                element_type=buffer.element_type,
            )
        )
    live.sort(key=lambda entry: (-entry.bytes, entry.first, entry.buffer))
    return Peak(
        step=step,
        steps=len(region.live_bytes),
        bytes=region.live_bytes[step],
        operations=tuple(
            label
            for operation, label in zip(region.operations, called, strict=True)
            if operation.step == step
        ),
        buffers=tuple(live),
    )


def gains_of(function: FunctionReport) -> tuple[Gain, ...]:
    """Splits the gain into steps, as far as the candidates compared show it.

    The steps lead from the stock candidate over its order with own offsets and over the own order
    of the stock configuration to the chosen candidate, through those candidates whose changes are
    a subset of the chosen one's. Changes that were only tried together are named together.
    """
    known = [c for c in function.candidates if c.transient_peak_bytes is not None]
    chosen = next((candidate for candidate in known if candidate.chosen), None)
    stock = next((candidate for candidate in known if candidate.kind == "stock"), None)
    if stock is None or chosen is None:
        return ()
    steps: list[tuple[str, str, CandidateReport]] = [("stock", "stock pipeline", stock)]
    if chosen is not stock:
        steps += [
            ("offsets", "offsets, in the stock order", candidate)
            for candidate in known
            if candidate.kind == "stock-order"
        ]
    if chosen.kind == "serenity":
        steps += _configuration_steps(known, chosen)
    gains: list[Gain] = []
    for step, description, candidate in steps:
        size = candidate.transient_peak_bytes
        assert size is not None
        before = gains[-1].bytes if gains else size
        gains.append(Gain(step, description, candidate.index, size, before - size))
    return tuple(gains)


def _configuration_steps(
    known: list[CandidateReport], chosen: CandidateReport
) -> Iterator[tuple[str, str, CandidateReport]]:
    """The longest chain of growing sets of changes that leads to the chosen candidate."""
    wanted = frozenset(changes_of(chosen))
    chain = [
        candidate
        for candidate in known
        if candidate.kind == "serenity" and frozenset(changes_of(candidate)) < wanted
    ]
    chain.sort(key=lambda candidate: (len(changes_of(candidate)), candidate.index))
    made: frozenset[Change] | None = None
    for candidate in [*chain, chosen]:
        changes = frozenset(changes_of(candidate))
        if made is not None and not made < changes:
            continue
        new = [change for change in changes_of(candidate) if change not in (made or ())]
        if not new:
            yield "order", "order of commands and placement in concatenations", candidate
        else:
            yield "configuration", " and ".join(change.label for change in new), candidate
        made = changes


def _recomputed(region: RegionReport, where: str) -> Iterator[str]:
    """Lists the values computed again for readers behind the peak, and the extra work."""
    if not region.recomputed:
        return
    work = sum(value.work for value in region.recomputed)
    share = f"{100 * work / region.work:.1f} %" if region.work else "none"
    sizes = ", ".join(f"{value.bytes:,}" for value in region.recomputed)
    count = len(region.recomputed)
    yield (
        f"{where}{count} value{'s are' if count > 1 else ' is'} computed again instead of kept "
        f"({sizes} bytes); extra multiply-accumulates: {share}."
    )


def _notes(function: FunctionReport) -> Iterator[str]:
    for number, region in enumerate(function.regions):
        where = f"Region {number}: " if len(function.regions) > 1 else ""
        if region.left_alone is not None:
            yield f"{where}keeps the stock order: {region.left_alone}."
        if not region.buffers:
            continue
        yield from _recomputed(region, where)
        if region.optimal:
            how = {
                "search": "by a complete search",
                "modules": "by complete searches of its modules",
                "operation-footprint": "because one operation alone needs as much",
                "live-cut": "because the values alive around one operation need as much",
            }.get(region.proved_by, f"by {region.proved_by}" if region.proved_by else "")
            yield f"{where}no order of these operations needs less, proved {how}".rstrip() + "."
        elif region.lower_bound_bytes:
            over = region.predicted_bytes - region.lower_bound_bytes
            end = "; the search was cut off." if region.states else "."
            yield (
                f"{where}no order of these operations needs less than "
                f"{region.lower_bound_bytes:,} bytes, {over:,} below this one{end}"
            )
        lost = region.slab_bytes - region.predicted_bytes
        if lost > 0:
            proof = (
                "the least for this order" if region.offsets_optimal else "not proved to be least"
            )
            yield f"{where}the layout lies {lost:,} bytes above the live bytes, {proof}."
        elif region.slab_bytes:
            yield (
                f"{where}the layout wastes nothing: the slab is as large as the live bytes at the "
                "peak."
            )
    if not function.peak_is_exact:
        yield "The peak depends on a branch or a trip count; the figure is an upper bound."
    yield from _kept_order(function)
    peak = function.transient_peak_bytes
    if peak is None:
        return
    yield from _allocation_notes(function, peak)
    if function.overwritten_inputs:
        numbers = ", ".join(map(str, function.overwritten_inputs))
        same = function.overwritten_inputs == function.stock_overwritten_inputs
        yield (
            f"the call writes to the memory of input {numbers}"
            + (", as the stock compiler's module does." if same else ".")
        )


def _allocation_notes(function: FunctionReport, peak: int) -> Iterator[str]:
    """Itemises the peak where more than one slab counts."""
    counted = [item for item in function.peak_allocations if item.kind != "result"]
    if len(counted) < 2:
        return
    kinds = {"value": "value between regions", "arena": "arena of the caller"}
    parts = ", ".join(
        f"{kinds.get(item.kind, item.kind)}{f' of {item.name}' if item.name else ''} {item.bytes:,}"
        for item in sorted(counted, key=lambda item: -item.bytes)
    )
    pending = sum(item.bytes for item in counted) - peak
    later = f", less {pending:,} for results allocated later" if pending > 0 else ""
    yield f"allocated at the peak: {parts}{later}, in bytes."


def _kept_order(function: FunctionReport) -> Iterator[str]:
    """Why IREE's order was compiled although others were compared."""
    chosen = chosen_candidate(function)
    if chosen is None or chosen.kind == "serenity" or chosen.transient_peak_bytes is None:
        return
    others = [c.transient_peak_bytes for c in function.candidates if c.kind == "serenity"]
    compared = [size for size in others if size is not None]
    if compared and min(compared) >= chosen.transient_peak_bytes:
        yield (
            "the stock order and dispatches are kept: none of the other "
            f"{len(compared)} candidates needs less."
        )


def _budget_notes(report: Report, function: FunctionReport) -> Iterator[str]:
    if report.budget is None or function.budget is None:
        return
    budget = report.budget.bytes
    if function.budget.met:
        used = ", ".join(function.used) or "nothing, the stock compiler's result fits"
        yield (
            f"it keeps to its budget of {budget:,} bytes with no more than is needed: {used}; "
            "without a budget the least that can be found is compiled."
        )
    elif function.budget.met is False:
        yield f"it misses its budget of {budget:,} bytes by {function.budget.over_bytes:,}."
        if function.budget.region is None:
            return
        labels = buffer_labels(function.regions[function.budget.region])
        shrink = ", ".join(
            f"{labels[entry.buffer]} by {entry.shrink_bytes:,}"
            for entry in function.budget.buffers
            if entry.shrink_bytes
        )
        if shrink:
            yield f"to fit in this order, buffers would have to shrink: {shrink} bytes."


def explain(report: Report) -> tuple[Explanation, ...]:
    """Explains every function of a report but initializers, in the report's order."""
    return tuple(
        Explanation(
            function=function.name,
            exported_as=function.exported_as,
            transient_peak_bytes=function.transient_peak_bytes,
            stock_transient_peak_bytes=function.stock_transient_peak_bytes,
            chosen=chosen.index if (chosen := chosen_candidate(function)) else None,
            used=function.used,
            gains=gains_of(function),
            peaks=tuple(peak_of(region) for region in function.regions),
            stock_peaks=tuple(peak_of(region) for region in function.stock_regions),
            notes=(*_notes(function), *_budget_notes(report, function)),
            bytes_formula=function.bytes_formula,
            stock_bytes_formula=function.stock_bytes_formula,
            quantized_values=len(report.quantized_values),
            wide_values=wide_values(
                function,
                report.quantized_values,
                [buffer_labels(region) for region in function.regions],
                [operation_labels(region) for region in function.regions],
            ),
        )
        for function in report.called
    )

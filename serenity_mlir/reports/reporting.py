# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reads the files of ``--serenity-report=FILE.json``, checked and typed.

The fields are those of docs/report.md and of ``report.schema.json`` in this package; all sizes are
in bytes, steps count the commands of a region from 0. Fields that a newer release adds are ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serenity_mlir.reports.formulas import BytesFormula, FormulaSymbol
from serenity_mlir.reports.json_fields import (
    JsonObject,
    ReportError,
    read_count,
    read_decimal,
    read_text,
    wrong_value,
)

__all__ = [
    "REPORT_SCHEMA",
    "AccessReport",
    "AllocationReport",
    "BandReport",
    "BudgetBuffer",
    "BudgetReport",
    "BufferReport",
    "CandidateReport",
    "ExternalReport",
    "FunctionBudget",
    "FunctionReport",
    "OperationReport",
    "QuantizedValueReport",
    "RegionReport",
    "Report",
    "ReportError",
    "RewriteReport",
    "load_report",
    "parse_report",
]

#: The version of the format that this release writes and reads.
REPORT_SCHEMA = 2

_WRITTEN_BY = "a report is written by `iree-compile --serenity-report=FILE.json`"


@dataclass(frozen=True)
class BufferReport:
    """A buffer of a slab.

    Attributes:
      name: The entry point or command that writes it first.
      first: The first step at which it is live.
      last: The last one, inclusive.
      bytes: Its size, not rounded to the alignment.
      offset: Where it lies in the slab, in bytes.
      element_type: Of the first dispatch that writes it, such as ``"i8"``, or that reads it where
        copies and fills alone write it; None if not known.
    """

    name: str
    first: int
    last: int
    bytes: int
    offset: int
    element_type: str | None = None


@dataclass(frozen=True)
class AccessReport:
    """A range of bytes that an operation touches.

    Attributes:
      buffer: Index into the region's ``buffers`` (``uses``, ``defs``) or ``externals``
        (``external_uses``, ``external_defs``).
      offset: Where the range starts, in bytes from the start of the buffer; None if not constant.
      bytes: Its length; None if not constant.
    """

    buffer: int
    offset: int | None
    bytes: int | None


@dataclass(frozen=True)
class ExternalReport:
    """A resource that a region works on and that lies outside of its slab.

    Attributes:
      name: The global or the argument; None if it has no name.
      kind: ``"input"``, ``"result"``, ``"constant"``, ``"variable"`` or ``"other"``.
      bytes: Its size, None if it depends on the run.
    """

    name: str | None
    kind: str
    bytes: int | None


@dataclass(frozen=True)
class OperationReport:
    """A command of a region.

    Attributes:
      name: The entry point of a dispatch (``"@main$async_dispatch_0_..."``), or the name of the
        command, such as ``"stream.cmd.copy"``.
      location: Where it stands in the source; the first place of a fused location; None if unknown.
      step: When it runs. Commands of one concurrent dispatch group share a step.
      uses: The buffers of the slab that it reads.
      defs: The buffers of the slab that it writes; those that it updates in place are in both.
      external_uses: The memory outside of the slab that it reads.
      external_defs: The memory outside of the slab that it writes.
    """

    name: str
    location: str | None
    step: int
    uses: tuple[AccessReport, ...]
    defs: tuple[AccessReport, ...]
    external_uses: tuple[AccessReport, ...]
    external_defs: tuple[AccessReport, ...]

    @property
    def buffers(self) -> tuple[int, ...]:
        """The buffers of the slab that it touches, as sorted indices."""
        return tuple(sorted({access.buffer for access in (*self.uses, *self.defs)}))


@dataclass(frozen=True)
class RecomputedReport:
    """A value that a region computes once more.

    Attributes:
      location: The MLIR location of the command that makes it; None if it has none.
      bytes: The size of the value.
      work: Multiply-accumulates of computing it.
    """

    location: str | None
    bytes: int
    work: int


@dataclass(frozen=True)
class ReusedMemoryReport:
    """A transient buffer in the memory of a result or an input, or a result in that of an input.

    Attributes:
      name: The command that writes the buffer first, empty if unknown and for results.
      memory: ``"result"`` (before the result is written) or ``"input"`` (after its last read).
      argument: The number of the input, None in the memory of a result.
      result: The number of the result that lies in the input, None for a transient buffer.
      offset: Its place in that memory, in bytes.
      bytes: Its size.
    """

    name: str
    memory: str
    argument: int | None
    result: int | None
    offset: int
    bytes: int


@dataclass(frozen=True)
class RegionReport:
    """An execution region: one ``stream.async.execute``, with its slab.

    Attributes:
      location: The MLIR location of the region, the first place of a fused one; None if it has
        none.
      predicted_bytes: The maximum of live bytes of the order chosen.
      slab_bytes: The height of the layout, the bytes that IREE allocates.
      lower_bound_bytes: No order of this region's commands needs a smaller slab, memory of
        results and of consumed inputs counted in.
      optimal: The order is proved to be of least peak.
      proved_by: The method that proved it, empty if none did.
      offsets_optimal: The layout is proved to be of least height for the order.
      states: States that the search has expanded.
      seconds: Wall-clock time of the search, None if it was not measured.
      left_alone: Why the region kept IREE's order, None if it was scheduled.
      recomputed: Values that are computed again, once per further time.
      work: Multiply-accumulates of the region without that, 0 if nothing is computed again.
      live_bytes: Live bytes at every step.
      buffers: The buffers of the slab.
      reused_memory: The buffers in results and inputs, and the results in inputs.
      operations: Its commands in order of execution.
      externals: The memory outside of the slab that they access.
      concurrent_groups: Concurrent dispatch groups: commands that may run at the same time.
      concurrent_operations: The commands in them.
    """

    location: str | None
    predicted_bytes: int
    slab_bytes: int
    lower_bound_bytes: int
    optimal: bool
    proved_by: str
    offsets_optimal: bool
    states: int
    seconds: float | None
    left_alone: str | None
    live_bytes: tuple[int, ...]
    buffers: tuple[BufferReport, ...]
    operations: tuple[OperationReport, ...] = ()
    externals: tuple[ExternalReport, ...] = ()
    concurrent_groups: int = 0
    concurrent_operations: int = 0
    recomputed: tuple[RecomputedReport, ...] = ()
    work: int = 0
    reused_memory: tuple[ReusedMemoryReport, ...] = ()


@dataclass(frozen=True)
class BandReport:
    """A segment of a candidate that is computed in bands of rows.

    Attributes:
      from_location: MLIR location of its first operation (``from`` in JSON).
      to_location: MLIR location of its last operation (``to`` in JSON).
      count: The number of bands.
    """

    from_location: str
    to_location: str
    count: int


@dataclass(frozen=True)
class CandidateReport:
    """A candidate of a function: the choices of its configuration, and its peak.

    Attributes:
      index: Its place among the candidates of the function.
      kind: ``"stock"``; ``"stock-order"``, IREE's order with offsets of serenity-pack; or
        ``"serenity"``, the order of serenity-schedule.
      storage: ``"as-given"``, or of a quantized network ``"integers"`` (values between operations
        are stored in their integers) or ``"raised"`` (contractions on integers too).
      multi_use_fusion: Override of ``--iree-dispatch-creation-fuse-multi-use``; None: IREE's
        default.
      in_place: ``"none"``, or in-place results at the ``"single-use"`` or ``"last-use"`` of an
        operand.
      unfused_producers: Producers that dispatch formation may not merge with their users.
      deep_streams: Streams reach through sums of values that others read too.
      rewrites: Sites rewritten in the module, by rewrite kind; empty: none.
      bands: The segments that are computed in bands of rows.
      merged_accumulations: Accumulation steps that merging saves.
      extra_work: Multiply-accumulates that bands add, as a fraction of the module's.
      predicted_bytes: The module's peak as the fusion model predicts it or, where that does not
        describe the module, as the model of the flow level estimates it; None if neither did.
      built: It was compiled down to its slabs.
      mispredicted: It was built, and needs other bytes than the fusion model has predicted.
      transient_peak_bytes: Its peak, None if it was not built or depends on run-time sizes.
      hint_bytes: Its peak with all dimensions at their hints, if it depends on run-time sizes.
      chosen: It is the one that was compiled.
    """

    index: int
    kind: str
    storage: str
    multi_use_fusion: bool | None
    in_place: str
    unfused_producers: int
    deep_streams: bool
    rewrites: Mapping[str, int]
    bands: tuple[BandReport, ...]
    merged_accumulations: int
    extra_work: float | None
    predicted_bytes: int | None
    built: bool
    mispredicted: bool
    transient_peak_bytes: int | None
    hint_bytes: int | None
    chosen: bool


@dataclass(frozen=True)
class RewriteReport:
    """A place at which serenity-rewrite changed the graph.

    Attributes:
      location: The MLIR location of the operation, None if it has none.
      function: The function that it was in, None if not known.
      kind: The rewrite kind.
      parts: Operations that took the place of the one.
      bytes_before: Bytes of the operation's cut operands and of its result without it.
      bytes_after: Bytes of them that are alive together with it.
      element_type: Of the result, such as "i32"; None if not known.
    """

    location: str | None
    function: str | None
    kind: str
    parts: int
    bytes_before: int
    bytes_after: int
    element_type: str | None = None


@dataclass(frozen=True)
class BudgetBuffer:
    """A buffer that stands in the way of a memory budget.

    Attributes:
      buffer: Its index in the region's ``buffers``.
      bytes: Its size.
      shrink_bytes: By how much it would have to shrink, together with the others.
      live_at_peak: It is live at the step that `FunctionBudget` names.
    """

    buffer: int
    bytes: int
    shrink_bytes: int
    live_at_peak: bool


@dataclass(frozen=True)
class AllocationReport:
    """An allocation of a function that is alive at its transient peak.

    Attributes:
      kind: ``"slab"`` of a region, ``"value"`` that crosses host control flow, calls or regions,
        ``"variable"`` that a global takes over, ``"result"``, or ``"arena"`` of the caller.
      name: The first command that touches it.
      location: MLIR location of its region, or of the allocation.
      bytes: Its size.
    """

    kind: str
    name: str | None
    location: str | None
    bytes: int


@dataclass(frozen=True)
class FunctionBudget:
    """How a function stands to the memory budget.

    Attributes:
      met: Whether it keeps to it; None where its peak is not known.
      over_bytes: The bytes that it needs beyond the budget.
      region: Where it is missed: the index of the region with the largest slab.
      step: The step of that region at which most is live.
      operations: Indices of the region's operations that run there.
      buffers: Those live there, and others that would have to shrink, the largest first.
    """

    met: bool | None
    over_bytes: int
    region: int | None
    step: int | None
    operations: tuple[int, ...]
    buffers: tuple[BudgetBuffer, ...]


@dataclass(frozen=True)
class BudgetReport:
    """The memory budget of a compilation.

    Attributes:
      bytes: The most transient memory that a function may take.
      policy: The severity of a missed budget: ``"error"`` or ``"warn"``.
      met: Whether all functions keep to it; None where a peak is not known and none is too large.
      used: The techniques that the functions use together (`FunctionReport.used`).
    """

    bytes: int
    policy: str
    met: bool | None
    used: tuple[str, ...]


@dataclass(frozen=True)
class FunctionReport:
    """A function of the module.

    Attributes:
      name: The function that does the work, such as ``"main$async"``.
      exported_as: The name that users call, None if it is not exported.
      initializer: It runs once when the module is loaded; never scheduled.
      transient_peak_bytes: The most that the call allocates at a time beyond its results, None if
        not static.
      stock_transient_peak_bytes: The same for the stock compiler's module, None if not static.
      bytes_formula: The transient peak where it depends on run-time sizes; None if it does not, or
        if more than one slab makes it up.
      stock_bytes_formula: The same for the stock compiler's module.
      external_bytes: Inputs and results, None if not static.
      peak_bytes: Everything at the worst moment: persistent, external and transient; None if not
        static.
      peak_is_exact: False where it depends on a branch or a trip count: an upper bound then.
      candidates: The candidates compared, the stock candidate first.
      regions: The execution regions in program order.
      rewrites: The rewrites in this function.
      stock_regions: The regions with a slab as the stock compiler orders and lays them out; empty
        where the passes ran alone.
      used: Techniques used beyond the stock compiler's, of ``"offsets"``, ``"order"``,
        ``"recomputation"``, ``"fusion"``, ``"rewriting"`` and ``"bands"``.
      budget: How it stands to the memory budget, None without one.
      caller_arena_bytes: The bytes of the transient peak in an arena that the caller provides;
        None if the function allocates by itself.
      stock_call_peak_bytes: Inputs, results and transient memory at the worst moment of a call of
        the stock compiler's module, None if not static or not exact.
      peak_allocations: The allocations alive at the transient peak, which is the sum of these bytes
        less all results.
      overwritten_inputs: Numbers of the arguments whose memory the function writes to.
      stock_overwritten_inputs: The same for the stock compiler's module.
    """

    name: str
    exported_as: str | None
    initializer: bool
    transient_peak_bytes: int | None
    stock_transient_peak_bytes: int | None
    external_bytes: int | None
    peak_bytes: int | None
    peak_is_exact: bool
    candidates: tuple[CandidateReport, ...]
    regions: tuple[RegionReport, ...]
    rewrites: tuple[RewriteReport, ...]
    stock_regions: tuple[RegionReport, ...] = ()
    used: tuple[str, ...] = ()
    budget: FunctionBudget | None = None
    caller_arena_bytes: int | None = None
    stock_call_peak_bytes: int | None = None
    peak_allocations: tuple[AllocationReport, ...] = ()
    overwritten_inputs: tuple[int, ...] = ()
    stock_overwritten_inputs: tuple[int, ...] = ()
    bytes_formula: BytesFormula | None = None
    stock_bytes_formula: BytesFormula | None = None


@dataclass(frozen=True)
class SearchReport:
    """The search among candidates.

    Attributes:
      predictions: Candidates that the fusion model judged.
      trial_compilations: The times that IREE compiled a candidate to the flow phase.
      cache_hits: Modules whose configuration came from the cache.
      cache_misses: Modules that the cache had no usable entry of.
    """

    predictions: int
    trial_compilations: int
    cache_hits: int
    cache_misses: int


@dataclass(frozen=True)
class QuantizedValueReport:
    """A value that the model quantizes, after serenity-store-quantized moved its quantization.

    Attributes:
      location: The MLIR location of the quantization, None if it has none.
      element_type: The integers, such as ``"i8"`` or ``"ui8"``.
      computed_by: Locations of the operations from the dequantizations and inputs that it is
        computed from to the quantization.
      reason: Why an operation that only moves elements or computes in floats leaves it in 32 bits;
        None if none does.
    """

    location: str | None
    element_type: str
    computed_by: tuple[str, ...]
    reason: str | None


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
      schema: The version of the format, `REPORT_SCHEMA`.
      versions: The versions of the compiler, by component.
      functions: The functions, in module order.
      rewrites: Rewrites in functions that are not reported (they were inlined, for instance).
      persistent_bytes: Constants, globals and variables after loading, None if not static.
      remarks: Everything that was left alone or overridden, and why.
      seconds: Wall-clock time by step; None where it was not measured.
      budget: The memory budget, None without one.
      search: The search among candidates, None where it is not known.
      quantized_values: The values that the model quantizes.
    """

    schema: int
    versions: Mapping[str, str]
    functions: tuple[FunctionReport, ...]
    rewrites: tuple[RewriteReport, ...]
    persistent_bytes: int | None
    remarks: tuple[str, ...]
    seconds: Mapping[str, float | None]
    budget: BudgetReport | None = None
    search: SearchReport | None = None
    quantized_values: tuple[QuantizedValueReport, ...] = ()

    @property
    def called(self) -> tuple[FunctionReport, ...]:
        """The functions but initializers, in module order."""
        return tuple(function for function in self.functions if not function.initializer)

    def find_function(self, name: str) -> FunctionReport | None:
        """Returns the function that is called or exported as `name`, None if there is none."""
        for function in self.called:
            if name in (function.exported_as, function.name):
                return function
        return None

    def function(self, name: str) -> FunctionReport:
        """Returns the function that is called or exported as `name`.

        Raises:
          KeyError: If there is none; the message names those there are.
        """
        if (found := self.find_function(name)) is not None:
            return found
        known = ", ".join(function.exported_as or function.name for function in self.called)
        raise KeyError(f"no function {name!r} in the report; it has {known or 'none'}")


def _buffer(value: Any, place: str) -> BufferReport:
    item = JsonObject(value, place)
    return BufferReport(
        name=item.text("name"),
        first=item.count("first"),
        last=item.count("last"),
        bytes=item.count("bytes"),
        offset=item.count("offset"),
        element_type=item.optional_text("element_type"),
    )


def _access(value: Any, place: str) -> AccessReport:
    item = JsonObject(value, place)
    return AccessReport(
        buffer=item.count("buffer"),
        offset=item.optional_count("offset"),
        bytes=item.optional_count("bytes"),
    )


def _operation(value: Any, place: str) -> OperationReport:
    item = JsonObject(value, place)
    return OperationReport(
        name=item.text("name"),
        location=item.optional_text("location"),
        step=item.count("step"),
        uses=item.items("uses", _access),
        defs=item.items("defs", _access),
        external_uses=item.items("external_uses", _access),
        external_defs=item.items("external_defs", _access),
    )


def _external(value: Any, place: str) -> ExternalReport:
    item = JsonObject(value, place)
    return ExternalReport(
        name=item.optional_text("name"),
        kind=item.text("kind"),
        bytes=item.optional_count("bytes"),
    )


def _recomputed(value: Any, place: str) -> RecomputedReport:
    item = JsonObject(value, place)
    return RecomputedReport(
        location=item.optional_text("location"),
        bytes=item.count("bytes"),
        work=item.count("work"),
    )


def _reused_memory(value: Any, place: str) -> ReusedMemoryReport:
    item = JsonObject(value, place)
    return ReusedMemoryReport(
        name=item.text("name"),
        memory=item.text("memory"),
        argument=item.optional_count("argument"),
        result=item.optional_count("result"),
        offset=item.count("offset"),
        bytes=item.count("bytes"),
    )


def _region(value: Any, place: str) -> RegionReport:
    item = JsonObject(value, place)
    region = RegionReport(
        location=item.optional_text("location"),
        predicted_bytes=item.count("predicted_bytes"),
        slab_bytes=item.count("slab_bytes"),
        lower_bound_bytes=item.count("lower_bound_bytes"),
        optimal=item.flag("optimal"),
        proved_by=item.text("proved_by"),
        offsets_optimal=item.flag("offsets_optimal"),
        states=item.count("states"),
        seconds=item.decimal("seconds"),
        left_alone=item.optional_text("left_alone"),
        live_bytes=item.items("live_bytes", read_count),
        buffers=item.items("buffers", _buffer),
        operations=item.items("operations", _operation),
        externals=item.items("externals", _external),
        concurrent_groups=item.count("concurrent_groups"),
        concurrent_operations=item.count("concurrent_operations"),
        recomputed=item.items("recomputed", _recomputed),
        work=item.count("work"),
        reused_memory=item.items("reused_memory", _reused_memory),
    )
    for number, operation in enumerate(region.operations):
        for field, count in (
            ("uses", len(region.buffers)),
            ("defs", len(region.buffers)),
            ("external_uses", len(region.externals)),
            ("external_defs", len(region.externals)),
        ):
            for index, access in enumerate(getattr(operation, field)):
                if access.buffer >= count:
                    where = f"{place}.operations[{number}].{field}[{index}].buffer"
                    raise wrong_value(where, f"an index below {count}", access.buffer)
    return region


def _band(value: Any, place: str) -> BandReport:
    item = JsonObject(value, place)
    return BandReport(
        from_location=item.text("from"), to_location=item.text("to"), count=item.count("count")
    )


def _candidate(value: Any, place: str) -> CandidateReport:
    item = JsonObject(value, place)
    return CandidateReport(
        index=item.count("index"),
        kind=item.choice("kind", ("stock", "stock-order", "serenity")),
        storage=item.choice("storage", ("as-given", "integers", "raised")),
        multi_use_fusion=item.optional_flag("multi_use_fusion"),
        in_place=item.choice("in_place", ("none", "single-use", "last-use")),
        unfused_producers=item.count("unfused_producers"),
        deep_streams=item.flag("deep_streams"),
        rewrites=item.mapping("rewrites", read_count),
        bands=item.items("bands", _band),
        merged_accumulations=item.count("merged_accumulations"),
        extra_work=item.decimal("extra_work"),
        predicted_bytes=item.optional_count("predicted_bytes"),
        built=item.flag("built"),
        mispredicted=item.flag("mispredicted"),
        transient_peak_bytes=item.optional_count("transient_peak_bytes"),
        hint_bytes=item.optional_count("hint_bytes"),
        chosen=item.flag("chosen"),
    )


def _rewrite(value: Any, place: str) -> RewriteReport:
    item = JsonObject(value, place)
    return RewriteReport(
        location=item.optional_text("location"),
        function=item.optional_text("function"),
        kind=item.text("kind"),
        parts=item.count("parts"),
        bytes_before=item.count("bytes_before"),
        bytes_after=item.count("bytes_after"),
        element_type=item.optional_text("element_type"),
    )


def _budget_buffer(value: Any, place: str) -> BudgetBuffer:
    item = JsonObject(value, place)
    return BudgetBuffer(
        buffer=item.count("buffer"),
        bytes=item.count("bytes"),
        shrink_bytes=item.count("shrink_bytes"),
        live_at_peak=item.flag("live_at_peak"),
    )


def _function_budget(value: Any, place: str) -> FunctionBudget:
    item = JsonObject(value, place)
    return FunctionBudget(
        met=item.optional_flag("met"),
        over_bytes=item.count("over_bytes"),
        region=item.optional_count("region"),
        step=item.optional_count("step"),
        operations=item.items("operations", read_count),
        buffers=item.items("buffers", _budget_buffer),
    )


def _symbol(value: Any, place: str) -> FormulaSymbol:
    item = JsonObject(value, place)
    return FormulaSymbol(
        name=item.text("name"),
        dimension=item.optional_text("dimension"),
        hint=item.count("hint"),
        bound=item.optional_count("bound"),
    )


def _formula(value: Any, place: str) -> BytesFormula:
    item = JsonObject(value, place)
    return BytesFormula(
        text=item.text("text"),
        symbols=item.items("symbols", _symbol),
        hint_bytes=item.count("hint_bytes"),
        bound_bytes=item.optional_count("bound_bytes"),
        unbounded_because=item.optional_text("unbounded_because"),
    )


def _allocation(value: Any, place: str) -> AllocationReport:
    item = JsonObject(value, place)
    return AllocationReport(
        kind=item.text("kind"),
        name=item.optional_text("name"),
        location=item.optional_text("location"),
        bytes=item.count("bytes"),
    )


def _quantized_value(value: Any, place: str) -> QuantizedValueReport:
    item = JsonObject(value, place)
    return QuantizedValueReport(
        location=item.optional_text("location"),
        element_type=item.text("element_type"),
        computed_by=item.items("computed_by", read_text),
        reason=item.optional_text("reason"),
    )


def _search(value: Any, place: str) -> SearchReport:
    item = JsonObject(value, place)
    return SearchReport(
        predictions=item.count("predictions"),
        trial_compilations=item.count("trial_compilations"),
        cache_hits=item.count("cache_hits"),
        cache_misses=item.count("cache_misses"),
    )


def _budget(value: Any, place: str) -> BudgetReport:
    item = JsonObject(value, place)
    return BudgetReport(
        bytes=item.count("bytes"),
        policy=item.text("policy"),
        met=item.optional_flag("met"),
        used=item.items("used", read_text),
    )


def _check_budget(function: FunctionReport, place: str) -> None:
    """Checks that the indices of `function.budget` exist."""
    budget = function.budget
    if budget is None:
        return
    if budget.region is None:
        sizes = 0, 0
    elif budget.region < len(function.regions):
        region = function.regions[budget.region]
        sizes = len(region.operations), len(region.buffers)
    else:
        raise wrong_value(f"{place}.budget.region", f"below {len(function.regions)}", budget.region)
    for name, indices, size in (
        ("operations", budget.operations, sizes[0]),
        ("buffers", tuple(buffer.buffer for buffer in budget.buffers), sizes[1]),
    ):
        for index in indices:
            if index >= size:
                raise wrong_value(f"{place}.budget.{name}", f"indices below {size}", index)


def _function(value: Any, place: str) -> FunctionReport:
    item = JsonObject(value, place)
    function = FunctionReport(
        name=item.text("name"),
        exported_as=item.optional_text("exported_as"),
        initializer=item.flag("initializer"),
        transient_peak_bytes=item.optional_count("transient_peak_bytes"),
        stock_transient_peak_bytes=item.optional_count("stock_transient_peak_bytes"),
        external_bytes=item.optional_count("external_bytes"),
        peak_bytes=item.optional_count("peak_bytes"),
        peak_is_exact=item.flag("peak_is_exact"),
        candidates=item.items("candidates", _candidate),
        regions=item.items("regions", _region),
        rewrites=item.items("rewrites", _rewrite),
        stock_regions=item.items("stock_regions", _region),
        used=item.items("used", read_text),
        budget=item.optional("budget", _function_budget),
        caller_arena_bytes=item.optional("caller_arena_bytes", read_count),
        stock_call_peak_bytes=item.optional("stock_call_peak_bytes", read_count),
        peak_allocations=item.items("peak_allocations", _allocation),
        overwritten_inputs=item.items("overwritten_inputs", read_count),
        stock_overwritten_inputs=item.items("stock_overwritten_inputs", read_count),
        bytes_formula=item.optional("bytes_formula", _formula),
        stock_bytes_formula=item.optional("stock_bytes_formula", _formula),
    )
    _check_budget(function, place)
    return function


def parse_report(data: Any) -> Report:
    """Checks a decoded report.

    Args:
      data: The value that ``json.load`` gave.

    Raises:
      ReportError: If the version of the format is another one, or a field is missing or of the
        wrong type; the message and ``field`` name it.
    """
    item = JsonObject(data, "")
    if isinstance(data, dict) and not {"schema", "functions"} <= data.keys():
        missing = next(name for name in ("schema", "functions") if name not in data)
        raise ReportError(
            f"{missing}: the field is missing, so this is no report; {_WRITTEN_BY}", field=missing
        )
    schema = item.count("schema")
    if schema != REPORT_SCHEMA:
        raise ReportError(
            f"schema: the report has version {schema} of the format; this release of serenity_mlir "
            f"reads version {REPORT_SCHEMA}",
            field="schema",
        )
    return Report(
        schema=schema,
        versions=item.mapping("versions", read_text),
        functions=item.items("functions", _function),
        rewrites=item.items("rewrites", _rewrite),
        persistent_bytes=item.optional_count("persistent_bytes"),
        remarks=item.items("remarks", read_text),
        seconds=item.mapping("seconds", read_decimal),
        budget=item.optional("budget", _budget),
        search=item.optional("search", _search),
        quantized_values=item.items("quantized_values", _quantized_value),
    )


def load_report(path: str | os.PathLike[str]) -> Report:
    """Reads the report in the file `path`.

    Raises:
      ReportError: If the file cannot be read, is not JSON, or is not a report of this version.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ReportError(f"cannot read the report {os.fspath(path)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ReportError(
            f"cannot read the report {os.fspath(path)}: not a text file; {_WRITTEN_BY}"
        ) from error
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ReportError(f"{os.fspath(path)} is not JSON: {error}; {_WRITTEN_BY}") from error
    try:
        return parse_report(data)
    except ReportError as error:
        raise ReportError(f"{os.fspath(path)}: {error}", field=error.field) from error

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The section of a report on networks where another system needs less, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from serenity_mlir.benchmarking.document import Heading, Part, Table, Text, bytes_cell, ratio_cell
from serenity_mlir.benchmarking.results import COUNTED, OURS, OVERWRITING, Results, load_function
from serenity_mlir.reports.candidates import chosen_candidate
from serenity_mlir.reports.explaining import peak_of, short_name
from serenity_mlir.reports.reporting import FunctionReport, RegionReport

__all__ = ["not_smallest", "peak_in_words"]

#: Of the buffers that are live at a peak, so many are named.
_SHOWN_BUFFERS = 3


def peak_in_words(function: FunctionReport | None) -> str:
    """Lists the buffers that are live at the peak: the reason for the number."""
    if function is None:
        return "no report"
    regions = [region for region in function.regions if region.buffers]
    if not regions:
        return "no slab"
    region = max(regions, key=lambda of: of.slab_bytes)
    peak = peak_of(region)
    if peak is None:
        return "no slab"
    padded = _padded_buffers(region) if not function.rewrites else set()
    shown = sorted(peak.buffers, key=lambda buffer: -buffer.bytes)
    live = ", ".join(
        f"{buffer.bytes:,} of {buffer.label}{' with padding' * (buffer.buffer in padded)}"
        for buffer in shown[:_SHOWN_BUFFERS]
    )
    if rest := shown[_SHOWN_BUFFERS:]:
        live += f" and {sum(buffer.bytes for buffer in rest):,} of {len(rest)} more"
    at = short_name(peak.operations[0]) if peak.operations else "a concatenation"
    if (chosen := chosen_candidate(function)) and chosen.kind == "stock":
        proof = "the stock candidate was chosen: no other candidate needs less"
    elif region.left_alone is not None:
        proof = f"the region kept IREE's order: {region.left_alone}"
    elif region.optimal:
        proof = "no order of IREE's dispatches needs less"
    else:
        proof = f"the search ended at a bound of {region.lower_bound_bytes:,}"
    lost = region.slab_bytes - region.predicted_bytes
    packed = f"; {lost:,} lost between buffers" if lost else ""
    return f"at {at} are live {live}; {proof}{packed}"


def _padded_buffers(region: RegionReport) -> set[int]:
    """Returns the buffers that are filled before a dispatch writes them: IREE pads that way."""
    first: dict[int, str] = {}
    for operation in region.operations:
        for access in operation.defs:
            first.setdefault(access.buffer, operation.name)
    return {buffer for buffer, name in first.items() if name == "stream.cmd.fill"}


def not_smallest(results: Results, reports: Path) -> Iterator[Part]:
    """Returns the section on networks where another system needs less, in either counting.

    Args:
      results: of the session.
      reports: folder of the compiler's reports, ``NAME.json``.
    """
    if not results.figures():
        return
    yield Heading(2, "Where serenity is not the smallest")
    rows = []
    for counting, counted in COUNTED.items():
        for name, systems in results.not_smallest(counting).items():
            of = results.systems(name, counting)
            best = min(systems, key=lambda system: of[system])
            why = peak_in_words(load_function(reports, name))
            if counting == "with_io" and name not in results.not_smallest("without_io"):
                external = results.sizes[name]["external_bytes"]
                why = (
                    f"the smallest where they are not counted; IREE holds the {external:,} bytes "
                    f"of inputs and outputs through the whole call; {why}"
                )
            overwriting = of.get(OVERWRITING) if counting == "with_io" else None
            if overwriting is not None:
                why = f"{overwriting:,} with inputs overwritten; {why}"
            rows.append(
                [
                    name,
                    counted,
                    why,
                    bytes_cell(of[OURS]),
                    f"{best}: {of[best]:,}",
                    ratio_cell(of[OURS] / of[best]),
                ]
            )
    if not rows:
        yield Text("It is the smallest on every network where another system has a figure.")
        return
    yield Text(
        "Reasons are read from the compiler's reports: what is live in the program of "
        "serenity_mlir at its peak. Where that is proved to be the least for IREE's dispatches, "
        "the other system has other operations: fused further, without padded copies, or with an "
        "input's memory used again."
    )
    yield Table(
        ["network", "counted", "why", "serenity", "least", "serenity / least"], rows, left=3
    )

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Bounds and budgets: the statements of a report, held against the allocator.

Independent of `serenity check`: a bound that is broken counts, whether or not the report calls the
number exact.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from serenity_mlir.measuring.measurement import Measurement
from serenity_mlir.reports.formulas import BytesFormula
from serenity_mlir.reports.reporting import FunctionReport, Report

__all__ = ["draw_budget", "find_broken_bounds", "find_exceeded_budget"]


def find_broken_bounds(
    entry: FunctionReport | None,
    stock: Measurement,
    serenity: Measurement,
    extents: Mapping[str, int],
) -> list[str]:
    """Return a sentence for every reported number of bytes that a call exceeded.

    `entry` is the report on the function, None where there is none. `extents` are those of the
    call's inputs, by ``argI:axisJ``: formulas are held at them.
    """
    if entry is None:
        return []
    problems: list[str] = []

    def expect(what: str, bound: int | None, measured: int) -> None:
        if bound is not None and measured > bound:
            problems.append(f"{what}: {measured:,} bytes measured, the bound is {bound:,}")

    peak = _bytes(entry.bytes_formula, extents, entry.transient_peak_bytes)
    for number, call in enumerate(serenity.calls, 1):
        expect(f"call {number}, external", entry.external_bytes, call.external_bytes)
        expect(f"call {number}, transient", peak, call.transient_peak_bytes)
    # Without the bytes that the runtime keeps after every call: no prediction has them.
    kept = max(min(call.retained_bytes for call in stock.calls), 0)
    transient = stock.call.transient_peak_bytes
    peak = _bytes(entry.stock_bytes_formula, extents, entry.stock_transient_peak_bytes)
    expect("stock, transient", peak, transient)
    expect(
        "stock, inputs, results and transient",
        entry.stock_call_peak_bytes,
        stock.call.peak_bytes - stock.call.before_bytes - kept,
    )
    return problems


def _bytes(
    formula: BytesFormula | None, extents: Mapping[str, int], peak: int | None
) -> int | None:
    """Return a formula's bytes at the given extents; `peak` where it has other symbols."""
    found = None if formula is None else formula.bytes(extents)
    return peak if found is None else found


def draw_budget(report: Report, key: str) -> tuple[int, int] | None:
    """Draw a memory budget between the module's lower bound and the stock compiler's peak.

    Args:
      report: of a compilation without a budget.
      key: a seed of the draw.

    Returns:
      The budget, and the least that is known to suffice; None where a function's memory is not
      known, or no function needs any.
    """
    peaks: list[int] = []
    stock: list[int] = []
    for entry in report.called:
        if entry.transient_peak_bytes is None or entry.stock_transient_peak_bytes is None:
            return None
        peaks.append(entry.transient_peak_bytes)
        stock.append(entry.stock_transient_peak_bytes)
    if not max(stock, default=0):
        return None
    bounds = [region.lower_bound_bytes for entry in report.called for region in entry.regions]
    least, most, enough = max(bounds, default=0), max(stock), max(peaks)
    rng = random.Random(f"budget {key}")
    draws = [enough, most, rng.randrange(min(least, most), most + 1), enough - 1]
    return max(rng.choice(draws), 1), enough  # a budget of nothing is no budget


def draw_bounded_budget(report: Report, key: str) -> tuple[int, int] | None:
    """Draw a memory budget about the bytes that the module needs at its bounds.

    Args:
      report: of a compilation with bounds of dynamic dimensions, without a budget.
      key: a seed of the draw.

    Returns:
      The budget, and the least that is known to suffice for calls within the bounds; None where
      there is no upper bound for a function, or no function needs any memory.
    """
    enough = 0
    for entry in report.called:
        formula = entry.bytes_formula
        needs = formula.bound_bytes if formula is not None else entry.transient_peak_bytes
        if needs is None:
            return None
        enough = max(enough, needs)
    if not enough:
        return None
    rng = random.Random(f"bounded budget {key}")
    draws = [enough, enough - 1, rng.randrange(enough // 2, enough + 1), enough * 2]
    return max(rng.choice(draws), 1), enough


def find_exceeded_budget(budget: int, function: str, measured: Measurement) -> list[str]:
    """Return a sentence for every call that took more transient memory than the budget."""
    return [
        f"{function}, call {number}: the budget of {budget:,} bytes is met by the report, the call "
        f"took {call.transient_peak_bytes:,}"
        for number, call in enumerate(measured.calls, 1)
        if call.transient_peak_bytes > budget
    ]

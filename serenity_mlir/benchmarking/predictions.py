# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The section of a report on predicted against built peaks of candidates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from serenity_mlir.benchmarking.document import Heading, Part, Table, Text, bytes_cell
from serenity_mlir.benchmarking.results import Results
from serenity_mlir.reports.candidates import chosen_candidate
from serenity_mlir.reports.predictions import (
    PredictionCounts,
    count_predictions,
    predicted_and_built,
)
from serenity_mlir.reports.reporting import Report, ReportError, load_report

__all__ = ["predicted_peaks"]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _cells(counts: PredictionCounts) -> list[str]:
    return [
        f"{counts.built}",
        f"{counts.built - counts.mispredicted}",
        _percent(counts.median_error),
        _percent(counts.least_error),
        _percent(counts.greatest_error),
    ]


def _load(path: Path) -> Report | None:
    """Returns the report of a module of one function; None without one.

    Predictions are sums over the functions of a module.
    """
    try:
        report = load_report(path)
    except (OSError, ReportError):
        return None
    return report if len(report.called) == 1 else None


def predicted_peaks(results: Results, reports: Path) -> Iterator[Part]:
    """Returns the table of predicted against built peaks; nothing without a report.

    Args:
      results: of the session; their networks are the rows.
      reports: folder of the compiler's reports, ``NAME.json``.
    """
    every: list[tuple[int, int]] = []
    rows = []
    for name in results.sizes:
        report = _load(reports / f"{name}.json")
        if report is None:
            continue
        function = report.called[0]
        pairs = [(predicted, built) for _, predicted, built in predicted_and_built(function)]
        every += pairs
        chosen = chosen_candidate(function)
        rows.append(
            [
                name,
                f"{report.search.predictions}" if report.search else "-",
                f"{report.search.trial_compilations}" if report.search else "-",
                *_cells(count_predictions(pairs)),
                bytes_cell(chosen.predicted_bytes if chosen else None),
                bytes_cell(function.transient_peak_bytes),
            ]
        )
    if not rows:
        return
    yield Heading(2, "Predicted and built peaks")
    yield Text(
        "The search judges candidates by predictions of the fusion model, and IREE builds the best "
        "of them. How many were predicted; trial compilations; candidates that were built and have "
        "a prediction; those of them that need as much as predicted (the others are `mispredicted` "
        "in the reports); the median of the differences, and the furthest below and above, as a "
        "share of the built bytes; bytes of the chosen candidate."
    )
    columns = ["network", "predicted", "trials", "built", "equal", "median", "below", "above"]
    yield Table(
        [*columns, "chosen, predicted", "chosen, built"],
        [*rows, ["all", "", "", *_cells(count_predictions(every)), "", ""]],
    )

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Predicted against built peaks: the figures, and their table in a report of `serenity bench`."""

from __future__ import annotations

import json

import pytest
from report_support import make_candidate, make_candidates, make_function, make_report

from serenity_mlir.benchmarking import predictions
from serenity_mlir.benchmarking.document import Table
from serenity_mlir.benchmarking.results import Results
from serenity_mlir.reports.predictions import count_predictions, predicted_and_built
from serenity_mlir.reports.reporting import parse_report

REPORT = make_report(
    [
        make_function(
            transient_peak_bytes=200,
            candidates=make_candidates(
                make_candidate("stock", 800),  # IREE's order is not predicted
                make_candidate("serenity", 400, predicted_bytes=500, mispredicted=True),
                make_candidate("serenity", 200, predicted_bytes=200),
                make_candidate("serenity", 100, predicted_bytes=90, mispredicted=True),
                make_candidate("serenity", None, predicted_bytes=300, built=False),
                chosen=2,
            ),
        )
    ],
    search={"predictions": 40, "trial_compilations": 4, "cache_hits": 0, "cache_misses": 0},
)


def test_built_candidates_are_compared_with_their_predictions():
    pairs = [
        (predicted, built)
        for _, predicted, built in predicted_and_built(parse_report(REPORT).functions[0])
    ]
    assert pairs == [(500, 400), (200, 200), (90, 100)]
    counts = count_predictions(pairs)
    assert (counts.built, counts.mispredicted) == (3, 2)
    # 25 % too high, right, 10 % too low.
    assert counts.median_error == pytest.approx(0.1)
    assert counts.least_error == pytest.approx(-0.1)
    assert counts.greatest_error == pytest.approx(0.25)


def test_nothing_built_has_no_error():
    counts = count_predictions([])
    assert (counts.built, counts.mispredicted, counts.median_error) == (0, 0, None)
    # Nothing is needed: equal, and no share of it.
    counts = count_predictions([(0, 0)])
    assert (counts.built, counts.mispredicted, counts.greatest_error) == (1, 0, None)


def test_a_report_of_the_bench_has_predicted_beside_built_peaks(tmp_path):
    for name in ("swiftnet_b", "swiftnet_c"):
        (tmp_path / f"{name}.json").write_text(json.dumps(REPORT), "utf-8")
    sizes = {name: {} for name in ("swiftnet_b", "swiftnet_c", "without_report")}
    (table,) = (
        part
        for part in predictions.predicted_peaks(Results("", {}, "", list(sizes), sizes), tmp_path)
        if isinstance(part, Table)
    )
    cells = ["40", "4", "3", "1", "10.0 %", "-10.0 %", "25.0 %", "200", "200"]
    assert table.rows[:2] == [["swiftnet_b", *cells], ["swiftnet_c", *cells]]
    assert table.rows[2] == ["all", "", "", "6", "2", "10.0 %", "-10.0 %", "25.0 %", "", ""]
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_without_reports_there_is_no_table(tmp_path):
    found = Results("", {}, "", ["swiftnet_b"], {"swiftnet_b": {}})
    assert not list(predictions.predicted_peaks(found, tmp_path))

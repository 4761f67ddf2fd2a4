# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The limit on all of serenity's work on a module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from driver_support import STOCK_SLAB, TARGET, Compilers

pytestmark = pytest.mark.one_release

MODEL = Path(__file__).parent / "models" / "cases" / "dynamic_and_static_function.mlir"


def test_the_time_limit_keeps_the_best_so_far(
    stock_compile: str, serenity_compile: str, tmp_path: Path
) -> None:
    compilers = Compilers(stock_compile, serenity_compile)
    command = [MODEL, *TARGET, "--compile-to=stream", "--serenity-schedule"]
    # Over before the first trial compilation.
    report = compilers.report(tmp_path / "r.json", *command, "--serenity-time-limit=0.000001")
    (remark,) = report["remarks"]
    assert "reached the time limit of 1e-06 s after 0 trial compilations" in remark
    for function in report["functions"]:
        assert function["transient_peak_bytes"] <= function["stock_transient_peak_bytes"]
    # And not met with the default.
    report = compilers.report(tmp_path / "r.json", *command)
    assert report["remarks"] == []
    assert report["functions"][1]["transient_peak_bytes"] == 2048


def test_a_trial_compilation_is_abandoned_between_its_phases(
    compilers: Compilers, cell: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SERENITY_TEST_EXPIRE=N` ends the time at the N-th question between two phases."""
    command = [cell, *TARGET, "--compile-to=stream", "--serenity-schedule"]

    def peak(report: dict[str, Any]) -> int:
        (function,) = [item for item in report["functions"] if item["candidates"]]
        assert isinstance(function["transient_peak_bytes"], int)
        return function["transient_peak_bytes"]

    complete = compilers.report(tmp_path / "r.json", *command)
    assert complete["remarks"] == []
    # Every trial compilation has three phases and then three pieces of the stream phase. Between
    # the phases of the first one: the stock configuration reordered, which takes none, is the best.
    monkeypatch.setenv("SERENITY_TEST_EXPIRE", "2")
    first = compilers.report(tmp_path / "r.json", *command)
    (remark,) = first["remarks"]
    assert "after 1 trial compilation, the last one unfinished, and takes the best" in remark
    assert peak(complete) < peak(first) < STOCK_SLAB
    (function,) = [item for item in first["functions"] if item["candidates"]]
    assert [item["kind"] for item in function["candidates"] if item["built"]] == [
        *("stock", "stock-order", "serenity")
    ]
    # Between the pieces of its stream phase: its slabs are not there, so it does not count.
    monkeypatch.setenv("SERENITY_TEST_EXPIRE", "5")
    pieces = compilers.report(tmp_path / "r.json", *command)
    assert pieces["remarks"] == first["remarks"]
    assert peak(pieces) == peak(first)
    (function,) = [item for item in pieces["functions"] if item["candidates"]]
    assert [item["kind"] for item in function["candidates"] if item["built"]] == [
        *("stock", "stock-order", "serenity")
    ]
    # In the second trial compilation: the one before it counts.
    monkeypatch.setenv("SERENITY_TEST_EXPIRE", "8")
    second = compilers.report(tmp_path / "r.json", *command)
    assert "after 2 trial compilations, the last one unfinished" in second["remarks"][0]
    assert peak(complete) <= peak(second) <= peak(first)
    # Never reached: the search is as long as ever.
    monkeypatch.setenv("SERENITY_TEST_EXPIRE", "100000")
    assert peak(compilers.report(tmp_path / "r.json", *command)) == peak(complete)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The limit on all of serenity's work on a module."""

from __future__ import annotations

from pathlib import Path

from driver_support import TARGET, Compilers

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

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sites at all steps that need as much as the peak are rewritten together."""

from __future__ import annotations

from pathlib import Path

import pytest
from driver_support import TARGET, Compilers

from serenity_mlir.compiling.importing import load_model
from serenity_mlir.reports.reporting import load_report

pytestmark = pytest.mark.one_release


@pytest.mark.slow
def test_steps_that_need_the_same_are_rewritten_together(
    compilers: Compilers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of randwire_ba_32, 13 steps need as much as the peak, and rewriting at one lowers nothing."""
    # The time is over before candidates are compared by trial compilations.
    monkeypatch.setenv("SERENITY_TEST_EXPIRE", "60")
    source = load_model("randwire_ba_32", tmp_path)
    file = tmp_path / "report.json"
    compilers.report(file, source, *TARGET, "--compile-to=stream", "--serenity-schedule=on")
    (function,) = load_report(file).called
    (chosen,) = (c for c in function.candidates if c.chosen)
    before = [c for c in function.candidates if c.built and "overwrite" not in c.rewrites]
    assert chosen.rewrites["overwrite"] > 0
    assert (function.transient_peak_bytes or 0) <= 917_760
    assert min(c.transient_peak_bytes or 0 for c in before) > 917_760

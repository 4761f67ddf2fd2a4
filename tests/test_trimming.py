# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Bands and rewrites that the peak of a candidate does not need are taken back."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from driver_support import TARGET

from serenity_mlir.compiling.importing import load_model
from serenity_mlir.reports.reporting import load_report

pytestmark = pytest.mark.one_release


def test_bands_that_the_peak_does_not_need_are_taken_back(
    serenity_compile: str, tmp_path: Path
) -> None:
    """resnet8: its plan has more bands than the peak of 122,880 bytes needs.

    The candidates of that plan were built too, and need no less. The changes of the plan are kept
    in the cache: the second compilation makes the same bands of them, in one trial compilation.
    """
    source = load_model("resnet8", tmp_path)
    cache = tmp_path / "cache"
    modules, reports = [], []
    for name in "first.json", "again.json":
        process = subprocess.run(
            [
                *(serenity_compile, str(source), *TARGET, "--compile-to=stream", "-o", "-"),
                *(f"--serenity-cache={cache}", f"--serenity-report={tmp_path / name}"),
            ],
            capture_output=True,
            check=True,
            timeout=600,
        )
        modules.append(process.stdout)
        reports.append(load_report(tmp_path / name))
    (first,), (again,) = (report.called for report in reports)

    (chosen,) = (c for c in first.candidates if c.chosen)
    planned = [
        c for c in first.candidates if c.bands and (c.extra_work or 0) > (chosen.extra_work or 0)
    ]
    assert chosen.bands and planned
    for other in planned:
        assert other.transient_peak_bytes is not None
        assert other.transient_peak_bytes >= (first.transient_peak_bytes or 0)
        assert sum(b.count for b in other.bands) > sum(b.count for b in chosen.bands)

    (entry,) = cache.iterdir()
    assert re.search(r"^band-change \d+ \d+$", entry.read_text("utf-8"), re.MULTILINE)
    assert modules[0] == modules[1]
    (same,) = (c for c in again.candidates if c.chosen)
    assert (same.bands, same.extra_work) == (chosen.bands, chosen.extra_work)
    assert again.transient_peak_bytes == first.transient_peak_bytes

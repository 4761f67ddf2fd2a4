# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Candidates of quantized networks are judged by predictions."""

from __future__ import annotations

from pathlib import Path

import pytest
from driver_support import TARGET, Compilers
from quantized_models import integers, pooled

from serenity_mlir.compiling.importing import load_model
from serenity_mlir.reports.reporting import load_report

#: What the search by trial compilations alone found for `pooled`, and their number.
BYTES = 1_920
TRIALS = 14


@integers
def test_candidates_are_predicted(compilers: Compilers, tmp_path: Path) -> None:
    source = load_model(pooled(tmp_path / "pooled.onnx"), tmp_path)
    file = tmp_path / "report.json"
    compilers.report(file, source, *TARGET, "--compile-to=stream", "--serenity-schedule=on")
    report = load_report(file)
    assert report.search.predictions > 0
    assert report.search.trial_compilations < TRIALS
    (function,) = report.called
    assert function.transient_peak_bytes is not None
    assert function.transient_peak_bytes <= BYTES
    # The stock candidate is predicted as IREE will raise it to integers.
    stock = next(c for c in function.candidates if c.kind == "serenity" and c.predicted_bytes)
    assert stock.storage == "as-given"
    assert stock.transient_peak_bytes is not None
    assert stock.predicted_bytes == pytest.approx(stock.transient_peak_bytes, rel=1 / 16)

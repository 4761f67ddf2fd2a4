# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Predictions in which transient buffers lie in the memory of results."""

from __future__ import annotations

from pathlib import Path

from driver_support import Compilers

from serenity_mlir.compiling.importing import load_model
from serenity_mlir.reports.reporting import load_report

TARGET = ("--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu")


def test_few_candidates_are_built_where_results_are_memory(
    compilers: Compilers, tmp_path: Path
) -> None:
    """An encoder: a value of 65,536 bytes lies in the result at the peak of every candidate."""
    source = load_model("bert_mini_encoder", tmp_path)
    file = tmp_path / "report.json"
    compilers.report(file, source, *TARGET, "--compile-to=stream", "--serenity-schedule=on")
    report = load_report(file)
    assert report.search.trial_compilations <= 4
    (function,) = report.called
    (chosen,) = (c for c in function.candidates if c.chosen)
    assert chosen.predicted_bytes == chosen.transient_peak_bytes == 196_608
    assert not any(c.mispredicted for c in function.candidates)

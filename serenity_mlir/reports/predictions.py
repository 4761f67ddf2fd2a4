# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares the fusion model's predictions with the candidates that were built."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from serenity_mlir.reports.reporting import CandidateReport, FunctionReport

__all__ = ["PredictionCounts", "count_predictions", "predicted_and_built"]


@dataclass(frozen=True)
class PredictionCounts:
    """How far predicted peaks are from those that were built.

    Attributes:
      built: Candidates with a prediction of the fusion model that were built.
      mispredicted: Those of them that need other bytes.
      median_error: Median of |predicted - built| / built; None without a candidate.
      least_error: Least of (predicted - built) / built: the model was too low; None likewise.
      greatest_error: Greatest of them: the model was too high.
    """

    built: int
    mispredicted: int
    median_error: float | None
    least_error: float | None
    greatest_error: float | None


def predicted_and_built(function: FunctionReport) -> list[tuple[CandidateReport, int, int]]:
    """Returns the built candidates with a prediction, with the bytes of both.

    Predictions are sums over the functions of a module, so that they are compared only where it
    has one. Candidates of IREE's order have no prediction.
    """
    return [
        (candidate, candidate.predicted_bytes, candidate.transient_peak_bytes)
        for candidate in function.candidates
        if candidate.built
        and candidate.predicted_bytes is not None
        and candidate.transient_peak_bytes is not None
    ]


def count_predictions(pairs: Iterable[tuple[int, int]]) -> PredictionCounts:
    """Returns the figures of pairs of predicted and built bytes."""
    known = list(pairs)
    errors = [(predicted - built) / built for predicted, built in known if built > 0]
    return PredictionCounts(
        built=len(known),
        mispredicted=sum(predicted != built for predicted, built in known),
        median_error=statistics.median(map(abs, errors)) if errors else None,
        least_error=min(errors, default=None),
        greatest_error=max(errors, default=None),
    )

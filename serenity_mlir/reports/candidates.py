# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares and names the candidates of a report.

A candidate of kind ``"serenity"`` is the stock configuration with changes: a field of the report
that is not at its default. Two candidates are compared by their changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from serenity_mlir.reports.reporting import BandReport, CandidateReport, FunctionReport

__all__ = ["Change", "candidate_label", "changes_of", "chosen_candidate"]


@dataclass(frozen=True)
class Change:
    """A choice in which a candidate configuration differs from the stock one.

    Attributes:
      field: The field of `CandidateReport`; of rewrites followed by the kind, as in
        ``"rewrites.sum"``.
      value: The value of the field.
    """

    field: str
    value: bool | int | str | tuple[BandReport, ...]

    @property
    def label(self) -> str:
        """The change in words, such as ``"3 unfused producers"``."""
        value = self.value
        field, _, kind = self.field.partition(".")
        if field == "rewrites":
            return f"{kind} rewriting ({_plural(value, 'site')})"
        if field == "bands":
            assert isinstance(value, tuple)
            return f"bands of rows ({_plural(len(value), 'segment')})"
        if field == "unfused_producers":
            return _plural(value, "unfused producer")
        if field == "merged_accumulations":
            return _plural(value, "merged accumulation step")
        if field == "multi_use_fusion":
            return f"multi-use fusion {'on' if value else 'off'}"
        return _LABELS[field, value]


_LABELS: Final = {
    ("storage", "integers"): "quantized values stored as integers",
    ("storage", "raised"): "quantized values stored and contracted as integers",
    ("in_place", "single-use"): "in-place results at single uses",
    ("in_place", "last-use"): "in-place results at last uses",
    ("deep_streams", True): "streams through sums",
}


def _plural(count: object, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def changes_of(candidate: CandidateReport) -> tuple[Change, ...]:
    """Returns the changes of a candidate, in the order in which the compiler makes them."""
    changes: list[Change] = []
    if candidate.storage != "as-given":
        changes.append(Change("storage", candidate.storage))
    if candidate.bands:
        changes.append(Change("bands", candidate.bands))
    changes += [Change(f"rewrites.{kind}", count) for kind, count in candidate.rewrites.items()]
    if candidate.deep_streams:
        changes.append(Change("deep_streams", True))
    if candidate.merged_accumulations:
        changes.append(Change("merged_accumulations", candidate.merged_accumulations))
    if candidate.multi_use_fusion is not None:
        changes.append(Change("multi_use_fusion", candidate.multi_use_fusion))
    if candidate.unfused_producers:
        changes.append(Change("unfused_producers", candidate.unfused_producers))
    if candidate.in_place != "none":
        changes.append(Change("in_place", candidate.in_place))
    return tuple(changes)


def candidate_label(candidate: CandidateReport) -> str:
    """Returns a candidate in words, for people: programs compare fields instead."""
    if candidate.kind == "stock":
        return "stock"
    if candidate.kind == "stock-order":
        return "stock order, own offsets"
    return ", ".join(["own order", *(change.label for change in changes_of(candidate))])


def chosen_candidate(function: FunctionReport) -> CandidateReport | None:
    """Returns the candidate that was compiled; None if none was compared."""
    return next((candidate for candidate in function.candidates if candidate.chosen), None)

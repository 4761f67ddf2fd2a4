# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity bench``: runs with inputs overwritten, beside those that keep them."""

from __future__ import annotations

from typing import Any

import pytest

from serenity_mlir.benchmarking import document, overwriting, results

pytestmark = pytest.mark.one_release


def entry(**changes: Any) -> dict:
    return {
        "peak_bytes": 250,
        "disagreements": [],
        "fusion": [False, False],
        "bitwise_equal": True,
        "largest_difference": 0.0,
        **changes,
    }


def session(**runs: dict) -> results.Results:
    sizes = {
        "external_bytes": 100,
        "transient_peak_bytes": {"stock": 800, "order": 500, "serenity": 400},
        "overwriting_peak_bytes": 250,
    }
    return results.Results(
        "", {}, "", list(runs), sizes=dict.fromkeys(runs, sizes), overwriting=runs
    )


def test_kept_predicted_and_allocated_bytes_stand_in_a_row():
    other = entry(fusion=[True, False], bitwise_equal=False, largest_difference=2e-6)
    parts = list(overwriting.overwritten_inputs(session(a=entry(), b=other)))
    (table,) = (part for part in parts if isinstance(part, document.Table))
    assert table.rows == [
        ["a", "500", "250", "250", "2.00", "equal"],
        ["b", "500", "250", "250", "2.00", "2e-06 *"],
        ["geometric mean", "", "", "", "2.00 (2)", ""],
    ]


def test_a_session_without_runs_has_no_section():
    assert not list(overwriting.overwritten_inputs(session()))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"disagreements": ["slab: 1 and 2"]}, ["inputs overwritten: slab: 1 and 2"]),
        (
            {"bitwise_equal": False, "largest_difference": 2e-6},
            [
                "inputs overwritten: outputs differ from those with kept ones by 2e-06 with "
                "--serenity-rewrite=off"
            ],
        ),
        # Other dispatches may round otherwise.
        ({"bitwise_equal": False, "largest_difference": 2e-6, "fusion": [False, True]}, []),
    ],
)
def test_what_does_not_hold_is_a_failure_of_ours(changes, told):
    found = session(a=entry(**changes))
    assert found.disagreements == ({"a": told} if told else {})
    assert found.our_failures == ({"a": told[0]} if told else {})

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A call needs no more memory because its inputs may be overwritten, with results counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from driver_support import TARGET, Compilers
from test_never_worse import random_module


def peak(compilers: Compilers, source: Path, *flags: str) -> int:
    """The bytes of a call, inputs and results included."""
    report = source.with_suffix(".json")
    compilers.ours_output(
        source, *TARGET, "--compile-to=stream", f"--serenity-report={report}", *flags
    )
    (function,) = (f for f in json.loads(report.read_text())["functions"] if not f["initializer"])
    assert isinstance(function["peak_bytes"], int)
    return function["peak_bytes"]


#: Heuristics alone find another order for every other memory that there is.
HEURISTIC = ("--serenity-rewrite=off", "--serenity-scheduler=heuristic")


@pytest.mark.parametrize(
    ("seed", "operations", "flags"),
    [
        *((seed, 9, ()) for seed in (0, 1, 4)),
        # A result lies in an input in the order of the source; in another one the slab is smaller
        # and more is allocated.
        (42, 14, HEURISTIC),
        (51, 14, HEURISTIC),
    ],
)
def test_never_more_than_with_inputs_kept(
    seed: int, operations: int, flags: tuple[str, ...], compilers: Compilers, tmp_path: Path
) -> None:
    source = tmp_path / "module.mlir"
    source.write_text(random_module(seed, operations))
    kept = peak(compilers, source, "--serenity-inputs=keep", *flags)
    assert peak(compilers, source, "--serenity-inputs=overwrite", *flags) <= kept

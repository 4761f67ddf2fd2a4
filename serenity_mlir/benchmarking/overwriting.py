# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The section of a report on the memory of inputs: kept, and overwritten after the last read."""

from __future__ import annotations

from collections.abc import Iterator

from serenity_mlir.benchmarking.document import (
    Heading,
    Part,
    Table,
    Text,
    bytes_cell,
    ratio_cell,
)
from serenity_mlir.benchmarking.results import OURS, OVERWRITING, Results, mean_cell

__all__ = ["overwritten_inputs"]


def overwritten_inputs(results: Results) -> Iterator[Part]:
    """Returns the section on ``--serenity-inputs=overwrite``, of the networks run that way."""
    if not results.overwriting:
        return
    yield Heading(2, "Memory of inputs")
    yield Text(
        "Bytes of inputs, outputs and transient values at the worst moment of a call, with inputs "
        "kept as they are (the default) and with `--serenity-inputs=overwrite`. `predicted` is of "
        "the compiler's report, `allocated` what IREE's runtime allocated. `outputs` compares "
        "`--serenity-rewrite=off` with inputs overwritten and kept, where no sum is rewritten: bit "
        "for bit, or the largest difference. An asterisk marks networks where one of the two forms "
        "dispatches otherwise than the other, so that they are not the same arithmetic."
    )
    rows = []
    ratios: list[float | None] = []
    for name, run in results.overwriting.items():
        of = results.systems(name, "with_io")
        kept, predicted, allocated = of.get(OURS), of.get(OVERWRITING), run["peak_bytes"]
        ratios.append(kept / allocated if kept and allocated else None)
        equal = "equal" if run["bitwise_equal"] else f"{run['largest_difference']:.1g}"
        other_dispatches = len(set(run["fusion"])) > 1
        rows.append(
            [
                name,
                *(bytes_cell(value) for value in (kept, predicted, allocated)),
                ratio_cell(ratios[-1]),
                equal + (" *" if other_dispatches else ""),
            ]
        )
    rows.append(["geometric mean", "", "", "", mean_cell(ratios), ""])
    columns = ["network", "kept", "predicted", "allocated", "kept / overwritten", "outputs"]
    yield Table(columns, rows)

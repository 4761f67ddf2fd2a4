# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The section of a report on quantized versions of the networks."""

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
from serenity_mlir.benchmarking.results import Results, mean_cell

__all__ = ["quantized_networks"]


def _ratio(over: int | None, under: int | None) -> float | None:
    return over / under if over and under else None


def _other_systems(results: Results, storage: str) -> Iterator[Part]:
    """Returns the table of serenity beside other systems, inputs and outputs counted."""
    titles = [figure.title for figure in results.figures(storage)]
    if not titles:
        return
    yield Text(
        "Other systems have the float32 network quantized by their own converter; what they need "
        "with inputs and outputs, which lie in the same memory and whose memory is used again. "
        "Those of serenity are kept."
    )
    rows = []
    ratios: dict[str, list[float | None]] = {title: [] for title in titles}
    for name, of in results.quantized.items():
        ours, external = of["transient_peak_bytes"]["serenity"], of["external_bytes"]
        total = None if ours is None or external is None else ours + external
        others = results.peer_bytes(name, "with_io", storage)
        for title in titles:
            ratios[title].append(_ratio(others.get(title), total))
        rows.append([name, bytes_cell(total), *(bytes_cell(others.get(title)) for title in titles)])
    rows.append(["times serenity's, geometric mean", "", *(mean_cell(ratios[t]) for t in titles)])
    yield Table(["network", f"serenity, {storage}", *titles], rows)


def quantized_networks(results: Results) -> Iterator[Part]:
    """Returns the tables of the quantized versions; nothing where none was compiled."""
    if not results.quantized:
        return
    storage = results.storage or "integers"
    yield Heading(2, f"Quantized networks ({storage})")
    yield Text(
        "Versions of the same networks in QDQ form, quantized by ONNX Runtime: weights per channel "
        "in int8, calibration from seed 0, integers at the inputs and outputs. Slabs in bytes, and "
        "the sum of slab, inputs and outputs. The last columns count the values that the model "
        "quantizes and that are stored in 32 bits, and the bytes of 32-bit elements among those "
        "live at the peak; `serenity explain` names them."
    )
    rows = []
    gains: list[float | None] = []
    shares: list[float | None] = []
    for name, of in results.quantized.items():
        stock, ours = (of["transient_peak_bytes"][key] for key in ("stock", "serenity"))
        external = of["external_bytes"]
        single = results.sizes.get(name, {}).get("transient_peak_bytes", {}).get("serenity")
        gains.append(_ratio(stock, ours))
        shares.append(_ratio(ours, single))
        known = ours is not None and external is not None
        rows.append(
            [
                name,
                bytes_cell(stock),
                bytes_cell(ours),
                ratio_cell(gains[-1]),
                bytes_cell(single),
                ratio_cell(shares[-1]),
                bytes_cell(ours + external if known else None),
                f"{of['wide_values']}",
                bytes_cell(of["wide_bytes_at_peak"]),
            ]
        )
    rows.append(["geometric mean", "", "", mean_cell(gains), "", mean_cell(shares), "", "", ""])
    yield Table(
        [
            "network",
            f"IREE, {storage}",
            f"serenity, {storage}",
            "IREE / serenity",
            "serenity, float32",
            f"{storage} / float32",
            f"serenity, {storage}, with i/o",
            "values in 32 bits",
            "32-bit bytes at the peak",
        ],
        rows,
    )
    yield from _other_systems(results, storage)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The section of a report on quantized versions of the networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from serenity_mlir.benchmarking.document import (
    Heading,
    Part,
    Table,
    Text,
    bytes_cell,
    least_cell,
    ratio_cell,
)
from serenity_mlir.benchmarking.paper import PEAKS
from serenity_mlir.benchmarking.reasons import peak_in_words
from serenity_mlir.benchmarking.results import Results, geometric_mean, load_function, mean_cell
from serenity_mlir.benchmarking.timing import load_in_words, times_table

__all__ = ["quantized_networks"]

#: The figure of the system that stands where the paper has TensorFlow Lite of 2020: what its
#: successor for small devices sets aside for activations, inputs and outputs.
_SUCCESSOR = "TFLM, int8, head"


def _ratio(over: int | None, under: int | None) -> float | None:
    return over / under if over and under else None


def _with_io(results: Results, name: str, key: str = "serenity") -> int | None:
    """Returns slab, inputs and outputs of the quantized version of a network."""
    of = results.quantized[name]
    slab, external = of["transient_peak_bytes"][key], of["external_bytes"]
    return None if slab is None or external is None else slab + external


def _slabs(results: Results, storage: str) -> Table:
    rows = []
    gains: list[list[float | None]] = [[], [], []]
    for name, of in results.quantized.items():
        stock, order, ours = (of["transient_peak_bytes"][k] for k in ("stock", "order", "serenity"))
        single = results.sizes.get(name, {}).get("transient_peak_bytes", {}).get("serenity")
        ratios = [_ratio(stock, order), _ratio(stock, ours), _ratio(ours, single)]
        for known, ratio in zip(gains, ratios, strict=True):
            known.append(ratio)
        run = of["run"]
        equal = "-" if run is None else ("equal" if run["bitwise_equal"] else "differ")
        rows.append(
            [
                name,
                *(bytes_cell(value) for value in (stock, order, ours)),
                *(ratio_cell(value) for value in ratios[:2]),
                bytes_cell(single),
                ratio_cell(ratios[2]),
                bytes_cell(_with_io(results, name)),
                equal,
                f"{of['wide_values']}",
                bytes_cell(of["wide_bytes_at_peak"]),
            ]
        )
    means = [mean_cell(known) for known in gains]
    rows.append(["geometric mean", "", "", "", *means[:2], "", means[2], "", "", "", ""])
    columns = [
        "network",
        f"IREE, {storage}",
        "order",
        "serenity",
        "IREE / order",
        "IREE / serenity",
        "serenity, float32",
        f"{storage} / float32",
        "serenity, with i/o",
        "outputs",
        "values in 32 bits",
        "32-bit bytes at the peak",
    ]
    return Table(columns, rows)


def _other_systems(results: Results, storage: str, reports: Path) -> Iterator[Part]:
    """Returns the table of serenity beside other systems, and the reasons where one is smaller."""
    titles = [figure.title for figure in results.figures(storage)]
    if not titles:
        return
    yield Text(
        "Other systems have the float32 network quantized by their own converter; what they need "
        "with inputs and outputs, which lie in the same memory and whose memory is used again, so "
        "that they have no figure without them. Those of serenity are kept. The least of a row is "
        "in bold."
    )
    rows = []
    smaller = []
    ratios: dict[str, list[float | None]] = {title: [] for title in titles}
    for name in results.quantized:
        total = _with_io(results, name)
        others = results.peer_bytes(name, "with_io", storage)
        for title in titles:
            ratios[title].append(_ratio(others.get(title), total))
        values = [total, *(others.get(title) for title in titles)]
        least = min((value for value in values if value is not None), default=None)
        rows.append([name, *(least_cell(value, least) for value in values)])
        if total is not None and least is not None and least < total:
            best = min(others, key=others.__getitem__)
            why = peak_in_words(load_function(reports, f"{name}_{storage}"))
            external = results.quantized[name]["external_bytes"]
            smaller.append(
                [
                    name,
                    f"inputs and outputs are {external:,} bytes; {why}",
                    bytes_cell(total),
                    f"{best}: {least:,}",
                    ratio_cell(total / least),
                ]
            )
    rows.append(["times serenity's, geometric mean", "", *(mean_cell(ratios[t]) for t in titles)])
    yield Table(["network", f"serenity, {storage}", *titles], rows)
    if smaller:
        yield Text("Where serenity is not the smallest:")
        yield Table(["network", "why", "serenity", "least", "serenity / least"], smaller, left=2)


def _paper(results: Results, storage: str) -> Iterator[Part]:
    """Returns the paper's comparison made again with 8-bit networks of today."""
    names = [name for name in results.quantized if name in PEAKS]
    rows = []
    ratios: list[list[float]] = [[], [], [], []]
    for name in names:
        other = results.peer_bytes(name, "with_io", storage).get(_SUCCESSOR)
        order, ours = _with_io(results, name, "order"), _with_io(results, name)
        if not other or not order or not ours:
            continue
        paper = PEAKS[name]
        found = [
            other / order,
            other / ours,
            paper.tflite / paper.scheduled,
            paper.tflite / paper.rewritten,
        ]
        for known, ratio in zip(ratios, found, strict=True):
            known.append(ratio)
        rows.append(
            [
                name,
                *(bytes_cell(value) for value in (other, order, ours)),
                *(ratio_cell(value) for value in found[:2]),
                *(f"{value:,} KB" for value in (paper.tflite, paper.scheduled, paper.rewritten)),
                *(ratio_cell(value) for value in found[2:]),
            ]
        )
    if not rows:
        return
    means = [ratio_cell(geometric_mean(known)) for known in ratios]
    rows.append(["geometric mean", "", "", "", *means[:2], "", "", "", *means[2:]])
    yield Heading(3, "In the paper's terms")
    yield Text(
        f"The paper's nine cells with activations of 8 bits ({storage}), inputs and outputs "
        "counted on all sides: TensorFlow Lite Micro of today in place of TensorFlow Lite of 2020. "
        "The paper's own figures are uint8 for SwiftNet and of other graphs of the same family for "
        "RandWire, in KB = 1000 bytes, so that the ratios are to be compared and not the bytes."
    )
    columns = ["network", "TensorFlow Lite Micro", "order", "serenity", "/ order", "/ serenity"]
    paper_columns = ["TFLite, paper", "SERENITY", "+ rewriting", "/ SERENITY", "/ + rewriting"]
    yield Table([*columns, *paper_columns], rows)


def quantized_networks(results: Results, reports: Path) -> Iterator[Part]:
    """Returns the section on quantized versions; nothing where none was compiled.

    Args:
      results: of the session.
      reports: folder of the compiler's reports, ``NAME_STORAGE.json``.
    """
    if not results.quantized:
        return
    storage = results.storage or "integers"
    yield Heading(2, f"Quantized networks ({storage})")
    yield Text(
        "Versions of the same networks in QDQ form, quantized by ONNX Runtime: weights per channel "
        "in int8, calibration from seed 0, integers at the inputs and outputs. Slabs in bytes, and "
        "the sum of slab, inputs and outputs. `order` is `--serenity-rewrite=off`. `outputs` says "
        "whether both modules were run and all outputs are equal to those of stock bit for bit. "
        "The last columns count the values that the model "
        "quantizes and that are stored in 32 bits, and the bytes of 32-bit elements among those "
        "live at the peak; `serenity explain` names them."
    )
    yield _slabs(results, storage)
    yield from _other_systems(results, storage, reports)
    yield from _paper(results, storage)
    timed = {
        name: of["run"]
        for name, of in results.quantized.items()
        if of["run"] is not None and of["run"]["milliseconds"]
    }
    if timed:
        yield Heading(3, "Latency and compile time")
        yield Text(
            "As [below](#memory-latency-and-compile-time), of the quantized versions. "
            + load_in_words(timed.values())
        )
        yield times_table(timed)

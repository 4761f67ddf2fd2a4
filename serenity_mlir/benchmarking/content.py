# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The content of a report: results as headings, sentences and tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from serenity_mlir import networks
from serenity_mlir.benchmarking.document import (
    Heading,
    Part,
    Picture,
    Table,
    Text,
    bytes_cell,
    least_cell,
    ratio_cell,
)
from serenity_mlir.benchmarking.overwriting import overwritten_inputs
from serenity_mlir.benchmarking.paper import PEAKS
from serenity_mlir.benchmarking.peer_runs import PEERS
from serenity_mlir.benchmarking.predictions import predicted_peaks
from serenity_mlir.benchmarking.quantized import quantized_networks
from serenity_mlir.benchmarking.reasons import not_smallest
from serenity_mlir.benchmarking.results import (
    COUNTED,
    IREE,
    OURS,
    OVERWRITING,
    Counting,
    Results,
    geometric_mean,
    load_function,
    mean_cell,
)
from serenity_mlir.benchmarking.session import SCHEDULING_STATES
from serenity_mlir.benchmarking.timing import times
from serenity_mlir.benchmarking.work import ABLATION, NO_TIME_LIMIT, SAME_FUNCTION
from serenity_mlir.reports.traffic import (
    CAPACITIES,
    DEFAULT_BLOCK_BYTES,
    TrafficError,
    traffic_of_function,
)

__all__ = ["compose"]

_SET_TITLES: dict[str | None, str] = {
    "paper": "the paper's networks",
    "more": "other networks",
    "held-out": "networks held out (chosen before the compiler was run on any of them)",
    "microcontroller": "networks of the size of microcontrollers",
    None: "files",
}


def _join(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)


# --- parts -----------------------------------------------------------------------


def _types(results: Results) -> str:
    found = {name for sizes in results.sizes.values() for name in sizes["element_types"]}
    return _join(sorted(found)) or "no"


def _introduction(results: Results) -> Iterator[Part]:
    yield Heading(1, "Results")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(results.versions.items()))
    yield Text(
        f"Written by `serenity bench` on {results.date}; {results.machine}. Versions: {versions}."
    )
    yield Text(
        f"Every size is in bytes unless it says KB, which is 1000 bytes. Elements are "
        f"{_types(results)}, batch 1, weights and inputs from seed 0; weights are not counted. "
        "**Slab** is the transient memory of one call: one allocation of the height of the layout, "
        "so offsets are in it, and not a sum of live tensors. Inputs and outputs are not counted "
        "unless a table says so; where it does, they are for every system. Code is generated for "
        f"this machine's CPU (`llvm-cpu`), with `--serenity-time-limit={NO_TIME_LIMIT}`, so that "
        "bytes do not depend on its speed."
    )
    absent = [name for name in networks.names() if name not in results.sizes]
    yield Text(
        f"{len(results.sizes)} networks, {len(results.runs)} of them run as well. Not in this "
        f"session: {_join(absent) or 'none'}."
    )


def _means(results: Results) -> Iterator[Part]:
    """Geometric means of the bytes of all systems over those of serenity_mlir."""
    cells = [name for name in results.in_sets("paper") if name in PEAKS]
    every = results.in_sets("paper", "more", "held-out", None)
    groups = [
        ("nine cells", cells),
        ("others", [name for name in every if name not in cells]),
        ("held out", results.in_sets("held-out")),
        ("microcontrollers", results.in_sets("microcontroller")),
    ]
    groups = [(title, names) for title, names in groups if names]
    titles = [IREE, *(figure.title for figure in results.figures())]
    yield Heading(2, "In one table")
    yield Text(
        "How many times the bytes of serenity another system needs for the same ONNX files: "
        "geometric means, with the number of networks where both have a figure in brackets. The "
        "tables behind it follow. 'Others' are all networks but the nine cells and those of the "
        "size of microcontrollers; those held out are among them."
    )
    bases = [(counting, OURS, COUNTED[counting]) for counting in COUNTED]
    if results.ratios(OVERWRITING, every, "with_io"):
        bases.append(("with_io", OVERWRITING, f"{COUNTED['with_io']}, inputs overwritten"))
    columns = ["system"]
    for _, _, counted in bases:
        columns += [f"{title}, {counted}" for title, _ in groups]
    rows = []
    for title in titles:
        row = [title]
        for counting, base, _ in bases:
            for _, names in groups:
                row.append(mean_cell(results.ratios(title, names, counting, base)))
        rows.append(row)
    yield Table(columns, rows)


def _sizes(results: Results) -> Iterator[Part]:
    cells = [name for name in results.in_sets("paper") if name in PEAKS]
    yield Heading(2, "Slabs: IREE, ordering, rewriting")
    yield Text(
        "`IREE` is the default of `iree-compile`; `order` is `--serenity-rewrite=off`, whose "
        "outputs are bitwise those of IREE; `serenity` is the default, with rewriting. Slabs, "
        "without inputs and outputs. `ran` says whether IREE's runtime was seen to allocate "
        "exactly the predicted bytes of every class, with equal outputs; the others are the "
        "allocations in the compiled program. An asterisk marks an order that is not proved to be "
        "of least peak."
    )
    columns = ["network", "i/o", "IREE", "order", "serenity", "IREE / order", "IREE / serenity"]

    def row(name: str) -> list[str]:
        sizes = results.sizes[name]
        peaks = sizes["transient_peak_bytes"]
        stock, order, ours = (peaks[key] for key in ("stock", "order", "serenity"))
        run = results.runs.get(name)
        ran = "-" if run is None else ("no" if run["disagreements"] else "yes")
        return [
            name,
            bytes_cell(sizes["external_bytes"]),
            bytes_cell(stock),
            bytes_cell(order) + ("" if sizes["order_optimal"] else " *"),
            bytes_cell(ours) + ("" if sizes["optimal"] else " *"),
            ratio_cell(stock / order if order else None),
            ratio_cell(stock / ours if ours else None),
            ran,
        ]

    def mean(names: Sequence[str]) -> list[str]:
        rows = [results.sizes[name]["transient_peak_bytes"] for name in names]
        ratios = [
            geometric_mean([of["stock"] / of[key] for of in rows if of[key]])
            for key in ("order", "serenity")
        ]
        return ["geometric mean", "", "", "", "", *map(ratio_cell, ratios), ""]

    if cells:
        yield Text(
            "The paper's columns are its own measurements, in KB = 1000 bytes: uint8 for SwiftNet, "
            "TensorFlow Lite of 2020, inputs and outputs counted, and other RandWire graphs of the "
            "same family (its own are not published). They are to be compared by their ratios."
        )
        extra = ["TFLite, paper", "SERENITY", "+ rewriting", "ratio, paper"]
        paper = [PEAKS[name] for name in cells]
        rows = [
            [
                *row(name),
                f"{of.tflite:,} KB",
                f"{of.scheduled:,} KB",
                f"{of.rewritten:,} KB",
                ratio_cell(of.tflite / of.rewritten),
            ]
            for name, of in zip(cells, paper, strict=True)
        ]
        published = geometric_mean([of.tflite / of.rewritten for of in paper])
        rows.append([*mean(cells), "", "", "", ratio_cell(published)])
        yield Table([*columns, "ran", *extra], rows)
    for of_set in _SET_TITLES:
        names = [name for name in results.in_sets(of_set) if name not in cells]
        if names:
            yield Heading(3, _SET_TITLES[of_set].capitalize())
            rows = [row(name) for name in names]
            yield Table([*columns, "ran"], [*rows, *([mean(names)] if len(names) > 1 else [])])


def _systems_table(results: Results, names: Sequence[str], counting: Counting) -> Table:
    titles = [OURS, IREE, *(figure.title for figure in results.figures())]
    bases = [OURS]
    if results.ratios(OVERWRITING, names, counting):
        titles.insert(1, OVERWRITING)
        bases.append(OVERWRITING)
    rows = []
    ratios: list[list[float]] = [[] for _ in bases]
    for name in names:
        of = results.systems(name, counting)
        least = min(of.values(), default=0)
        other = results.least_other(name, counting)
        row = [name, *(least_cell(of.get(title), least) for title in titles)]
        for base, known in zip(bases, ratios, strict=True):
            ratio = other / of[base] if other and of.get(base) else None
            known += [] if ratio is None else [ratio]
            row.append(ratio_cell(ratio))
        rows.append(row)
    means = [geometric_mean(results.ratios(title, names, counting)) for title in titles]
    means += map(geometric_mean, ratios)
    rows.append(["geometric mean / serenity", *map(ratio_cell, means)])
    return Table(["network", *titles, *(f"least other / {base}" for base in bases)], rows)


def _systems(results: Results) -> Iterator[Part]:
    if not results.figures():
        return
    yield Heading(2, "Against other systems")
    yield Text(
        "The same ONNX file for every system. Bytes of activations, without and with the graph's "
        "inputs and outputs, counted alike on every side; the least of a row is in bold. IREE and "
        "serenity keep inputs as they are, so theirs is slab + inputs + outputs; "
        f"`{OVERWRITING}` is `--serenity-inputs=overwrite`, which may use the memory of an input "
        "after its last read, as most others do; theirs is what they really hold at the worst "
        "moment. A slab has the gaps between buffers "
        "in it, a sum of single allocations has none: which is which, and how it was read, is told "
        "below. The last columns have the least of the systems other than IREE and serenity. "
        "Figures of another system stand as long as its versions, the network and the way of "
        "reading it are the same, so they may be those of an earlier session."
    )
    cells = [name for name in results.in_sets("paper") if name in PEAKS]
    groups = [
        ("Nine cells", cells),
        (
            "Other networks",
            [n for n in results.in_sets("paper", "more", "held-out", None) if n not in cells],
        ),
        (_SET_TITLES["microcontroller"].capitalize(), results.in_sets("microcontroller")),
    ]
    for title, names in groups:
        if not names:
            continue
        for counting, counted in COUNTED.items():
            yield Heading(3, f"{title}, {counted}")
            yield _systems_table(results, names, counting)


def _schedulers(results: Results) -> Iterator[Part]:
    if not results.schedulers:
        return
    yield Heading(2, "Schedulers")
    yield Text(
        "The paper's algorithm (re-implemented here: `--serenity-scheduler=serenity`) in its three "
        "steps, and the default one, on the graphs of the paper's model: a concatenation is a "
        "free view of its inputs, activations run with their neighbour, partial convolutions "
        "accumulate in place; the live sum of tensors, no offsets, the graph's input counted; "
        "SwiftNet in one byte per element, the others in four. `conv` partitions convolutions over "
        "concatenations, `all` depthwise ones too. Processor milliseconds of the search alone. The "
        "paper's seconds are those of its own implementation on its own machine. 'no' did not end "
        f"with a proof within {SCHEDULING_STATES:,} states and 1 GiB of them."
    )
    columns = ["graph", "rewriting", "operations", "peak, bytes", "proved optimum", *ABLATION]
    rows = []
    for name, of in results.schedulers.items():
        for graph in of["graphs"]:
            runs: dict[str, Any] = graph["runs"]
            seconds = PEAKS[name].seconds if name in PEAKS else None
            if graph["rewriting"] != "none":
                seconds = PEAKS[name].rewritten_seconds if name in PEAKS else None
            rows.append(
                [
                    name,
                    graph["rewriting"],
                    f"{graph['operations']}",
                    bytes_cell(runs["default"]["peak_bytes"]),
                    bytes_cell(graph["published_optimum"]),
                    *(
                        f"{1e3 * runs[step]['seconds']:.2f}" if runs[step]["optimal"] else "no"
                        for step in ABLATION
                    ),
                    "-" if seconds is None or graph["rewriting"] == "conv" else f"{seconds:g} s",
                ]
            )
    yield Table([*columns, "paper"], rows, left=2)


def _traffic(results: Results, reports: Path, drawn: Collection[str]) -> Iterator[Part]:
    rows = []
    more: list[str] = []
    ratios: dict[int, list[float]] = {capacity: [] for capacity in CAPACITIES}
    for name in results.in_sets("paper"):
        function = load_function(reports, name)
        if function is None:
            continue
        try:
            traffic = traffic_of_function(function)
        except TrafficError:
            continue
        if traffic.stock is None:
            continue
        row = [name]
        worse = []
        for capacity in CAPACITIES:
            before, after = traffic.stock[capacity], traffic.serenity[capacity]
            row += [bytes_cell(before.total_bytes), bytes_cell(after.total_bytes)]
            ratio = traffic.ratio(capacity)
            if ratio:
                ratios[capacity].append(ratio)
            if after.total_bytes > before.total_bytes:
                worse.append(f"{capacity // 1024}")
        if worse:
            more.append(f"{name} ({', '.join(worse)} KiB)")
        rows.append(row)
    if not rows:
        return
    yield Heading(2, "Traffic off the chip")
    yield Text(
        "Bytes of activations between two memories, reads and writes, when so much fits on the "
        f"chip (KiB = 1024 bytes), in blocks of {DEFAULT_BLOCK_BYTES:,} bytes under Belady's "
        "replacement: IREE / serenity. Inputs, outputs and weights are not counted. The model "
        "is in `serenity_mlir/reports/traffic.py`; `serenity traffic REPORT.json` gives these "
        "figures for any module."
    )
    columns = ["network"]
    means = ["geometric mean of ratios"]
    for capacity in CAPACITIES:
        columns += [f"IREE, {capacity // 1024} KiB", "serenity"]
        mean = geometric_mean(ratios[capacity])
        means += ["", f"{ratio_cell(mean)} ({len(ratios[capacity])})"]
    yield Table(columns, [*rows, means])
    yield Text(
        "The means leave out networks that need no traffic any more; in brackets how many remain. "
        f"serenity moves more than IREE on: {_join(more) or 'none'}. It looks for the least peak, "
        "not for the least traffic."
    )
    if "traffic" in drawn:
        yield Picture(
            "traffic",
            "Bytes read and written off the chip, sum over the paper's networks, without inputs, "
            "outputs and weights.",
        )


def _pictures(drawn: Collection[str]) -> Iterator[Part]:
    captions = {
        "slabs": "Slab relative to IREE's default, without inputs and outputs: ordering alone, and "
        "with rewriting.",
        "systems": "Bytes of activations of other systems over those of serenity, without inputs "
        "and outputs (LiteRT's arena: with). To the right of 1 they need more.",
        "over_time": "Live sum over the steps of a call, without inputs and outputs: IREE's "
        "default and serenity.",
        "distribution": "All orders of SwiftNet's cell A in the paper's model, counted exactly by "
        "dynamic programming over down-sets: bytes of uint8 tensors, live sum, input counted.",
    }
    yield Heading(2, "Pictures")
    for name, caption in captions.items():
        if name in drawn:
            yield Picture(name, caption)


def _peers(results: Results) -> Iterator[Part]:
    yield Heading(2, "What is read of the other systems")
    rows = []
    notes: dict[str, list[str]] = {}
    for name, peer in PEERS.items():
        answers = results.peers.get(name, {})
        for network, answer in answers.items():
            for note in answer["notes"]:
                notes.setdefault(f"{peer.title}: {note}", []).append(network)
        versions = next(iter(answers.values()), {}).get("versions", {})
        for figure in peer.figures if answers else ():
            told = ", ".join(f"{key} {value}" for key, value in versions.items())
            rows.append([figure.title, figure.kind, figure.meaning, told])
    if rows:
        yield Text(
            "Each ran in a process of its own, on one thread. "
            f"{_compared(results)}`docs/peers.md` has more."
        )
        yield Table(["figure", "slab or sum", "what it is", "versions"], rows, left=4)
    for note, names in notes.items():
        yield Text(f"{note} ({_join(names)}).")
    for reason in results.skipped.values():
        yield Text(f"Skipped: {reason}.")


def _compared(results: Results) -> str:
    """Says how outputs were compared."""
    answers = [of for peer in results.peers.values() for of in peer.values()]
    answers += results.runs.values()
    differences = [of["relative_difference"] for of in answers if of["compared_with"]]
    if not differences:
        return ""
    references = sorted({of["compared_with"] for of in answers if of["compared_with"]})
    return (
        f"Outputs were compared with those of the first system that ran a network "
        f"({_join(references)}), IREE's among them where it ran: the largest relative difference "
        f"of {len(differences)} was {max(differences):.1g}, and more than {SAME_FUNCTION:g} would "
        "have been a failure. "
    )


def _failures(results: Results) -> Iterator[Part]:
    yield Heading(2, "What failed")
    wrong = [
        [name, "prediction", problem]
        for name, problems in results.disagreements.items()
        for problem in problems
    ]
    rows = [[f.network, f.title, f.reason] for f in results.failures]
    if rows or wrong:
        yield Table(["network", "measurement", "reason"], [*wrong, *rows], left=3)
    else:
        yield Text("Nothing.")


def compose(results: Results, reports: Path, drawn: Collection[str]) -> list[Part]:
    """Returns the report.

    Args:
      results: what was measured.
      reports: folder of the compiler's reports, ``NAME.json``.
      drawn: names of the pictures that exist.
    """
    return [
        *_introduction(results),
        *_means(results),
        *_sizes(results),
        *quantized_networks(results, reports),
        *_systems(results),
        *not_smallest(results, reports),
        *overwritten_inputs(results),
        *_pictures(drawn),
        *_traffic(results, reports, drawn),
        *_schedulers(results),
        *times(results),
        *predicted_peaks(results, reports),
        *_peers(results),
        *_failures(results),
    ]

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The content of a report: results as headings, sentences and tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
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
    ratio_cell,
)
from serenity_mlir.benchmarking.paper import PEAKS
from serenity_mlir.benchmarking.peer_runs import PEERS
from serenity_mlir.benchmarking.quantized import quantized_networks
from serenity_mlir.benchmarking.results import (
    IREE,
    OURS,
    OVERWRITING,
    Counting,
    Results,
    geometric_mean,
    mean_cell,
)
from serenity_mlir.benchmarking.session import SCHEDULING_STATES
from serenity_mlir.benchmarking.work import ABLATION, SAME_FUNCTION
from serenity_mlir.reports.candidates import chosen_candidate
from serenity_mlir.reports.explaining import peak_of, short_name
from serenity_mlir.reports.reporting import FunctionReport, RegionReport, ReportError, load_report
from serenity_mlir.reports.traffic import (
    CAPACITIES,
    DEFAULT_BLOCK_BYTES,
    TrafficError,
    traffic_of_function,
)

__all__ = ["compose", "load_function"]

_COUNTED: dict[Counting, str] = {
    "without_io": "without inputs and outputs",
    "with_io": "with inputs and outputs",
}

_SET_TITLES: dict[str | None, str] = {
    "paper": "the paper's networks",
    "more": "other networks",
    "held-out": "networks held out (chosen before the compiler was run on any of them)",
    "microcontroller": "networks of the size of microcontrollers",
    None: "files",
}


def _join(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)


def load_function(reports: Path, network: str) -> FunctionReport | None:
    """Returns the entry of the compiler's report on a network's function; None without one."""
    try:
        report = load_report(reports / f"{network}.json")
    except (OSError, ReportError):
        return None
    functions = report.called
    return functions[0] if len(functions) == 1 else None


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
        "this machine's CPU (`llvm-cpu`)."
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
    bases = [(counting, OURS, _COUNTED[counting]) for counting in _COUNTED]
    if results.ratios(OVERWRITING, every, "with_io"):
        bases.append(("with_io", OVERWRITING, f"{_COUNTED['with_io']}, inputs overwritten"))
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

    known = [of for of in results.sizes.values() if "mispredicted_candidates" in of]
    if built := sum(of["built_candidates"] for of in known):
        wrong = sum(of["mispredicted_candidates"] for of in known)
        yield Text(
            f"Of {built:,} candidates that were built of {len(known)} networks, {wrong:,} need "
            "other bytes than the fusion model predicts (`mispredicted` in the reports)."
        )
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
    if results.ratios(OVERWRITING, names, counting):
        titles.insert(1, OVERWRITING)
    rows = []
    for name in names:
        of = results.systems(name, counting)
        least = min(of.values(), default=0)
        rows.append(
            [
                name,
                *(
                    f"**{of[title]:,}**" if of.get(title) == least else bytes_cell(of.get(title))
                    for title in titles
                ),
            ]
        )
    means = [geometric_mean(results.ratios(title, names, counting)) for title in titles]
    rows.append(["geometric mean / serenity", *map(ratio_cell, means)])
    return Table(["network", *titles], rows)


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
        "below."
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
        for counting, counted in _COUNTED.items():
            yield Heading(3, f"{title}, {counted}")
            yield _systems_table(results, names, counting)


#: Of the buffers that are live at a peak, so many are named.
_SHOWN_BUFFERS = 3


def _peak_in_words(function: FunctionReport | None) -> str:
    """Lists the buffers that are live at the peak: the reason for the number."""
    if function is None:
        return "no report"
    regions = [region for region in function.regions if region.buffers]
    if not regions:
        return "no slab"
    region = max(regions, key=lambda of: of.slab_bytes)
    peak = peak_of(region)
    if peak is None:
        return "no slab"
    padded = _padded_buffers(region) if not function.rewrites else set()
    shown = sorted(peak.buffers, key=lambda buffer: -buffer.bytes)
    live = ", ".join(
        f"{buffer.bytes:,} of {buffer.label}{' with padding' * (buffer.buffer in padded)}"
        for buffer in shown[:_SHOWN_BUFFERS]
    )
    if rest := shown[_SHOWN_BUFFERS:]:
        live += f" and {sum(buffer.bytes for buffer in rest):,} of {len(rest)} more"
    at = short_name(peak.operations[0]) if peak.operations else "a concatenation"
    if (chosen := chosen_candidate(function)) and chosen.kind == "stock":
        proof = "the stock candidate was chosen: no other candidate needs less"
    elif region.left_alone is not None:
        proof = f"the region kept IREE's order: {region.left_alone}"
    elif region.optimal:
        proof = "no order of IREE's dispatches needs less"
    else:
        proof = f"the search ended at a bound of {region.lower_bound_bytes:,}"
    lost = region.slab_bytes - region.predicted_bytes
    packed = f"; {lost:,} lost between buffers" if lost else ""
    return f"at {at} are live {live}; {proof}{packed}"


def _padded_buffers(region: RegionReport) -> set[int]:
    """Returns the buffers that are filled before a dispatch writes them: IREE pads that way."""
    first: dict[int, str] = {}
    for operation in region.operations:
        for access in operation.defs:
            first.setdefault(access.buffer, operation.name)
    return {buffer for buffer, name in first.items() if name == "stream.cmd.fill"}


def _not_smallest(results: Results, reports: Path) -> Iterator[Part]:
    if not results.figures():
        return
    yield Heading(2, "Where serenity is not the smallest")
    rows = []
    for counting, counted in _COUNTED.items():
        for name, systems in results.not_smallest(counting).items():
            of = results.systems(name, counting)
            best = min(systems, key=lambda system: of[system])
            why = _peak_in_words(load_function(reports, name))
            if counting == "with_io" and name not in results.not_smallest("without_io"):
                external = results.sizes[name]["external_bytes"]
                why = (
                    f"the smallest where they are not counted; IREE holds the {external:,} bytes "
                    f"of inputs and outputs through the whole call; {why}"
                )
            overwriting = of.get(OVERWRITING) if counting == "with_io" else None
            if overwriting is not None:
                why = f"{overwriting:,} with inputs overwritten; {why}"
            rows.append(
                [
                    name,
                    counted,
                    why,
                    bytes_cell(of[OURS]),
                    f"{best}: {of[best]:,}",
                    ratio_cell(of[OURS] / of[best]),
                ]
            )
    if not rows:
        yield Text("It is the smallest on every network where another system has a figure.")
        return
    yield Text(
        "Reasons are read from the compiler's reports: what is live in the program of "
        "serenity_mlir at its peak. Where that is proved to be the least for IREE's dispatches, "
        "the other system has other operations: fused further, without padded copies, or with an "
        "input's memory used again."
    )
    yield Table(
        ["network", "counted", "why", "serenity", "least", "serenity / least"], rows, left=3
    )


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


def _times(results: Results) -> Iterator[Part]:
    yield Heading(2, "Memory, latency and compile time")
    if not results.runs:
        yield Text("No network was run in this session.")
        return
    timed = [run["milliseconds"] for run in results.runs.values() if run["milliseconds"]]
    settings = list(timed[0]) if timed else []
    loads = [load for run in results.runs.values() for load in run["load_averages"]]
    yield Text(
        "Pairs are wall clock / processor time of all threads together; ratios are serenity / IREE "
        "of both, so that more than 1 is slower. **Latency**: milliseconds of single calls, stock "
        "module and serenity's in turn (`serenity check --time`), the least of "
        + (f"{_calls(timed)} calls each. " if timed else "all calls. ")
        + "**Compile time**: seconds of one whole compilation, code generation included. The "
        f"machine's load average was {min(loads):.1f} to {max(loads):.1f}, this session's own work "
        "included. Where it is higher than what ran here, wall clocks say what others did as well, "
        "and processor times what the programs need. `docs/overhead.md` has the costs of the parts."
    )
    if not timed:
        yield Text("No latency was measured in this session.")
    columns = ["network", "slab, IREE / serenity"]
    for title in [*(f"ms, {setting}" for setting in settings), "compile, s"]:
        columns += [f"{title}: IREE", "serenity", "ratio"]
    ratios: list[list[tuple[float, float]]] = [[] for _ in range(len(settings) + 1)]
    slabs = []
    rows = []
    for name, run in results.runs.items():
        stock, ours = (run[key]["transient_peak_bytes"] for key in ("stock", "serenity"))
        slabs += [stock / ours] if ours else []
        row = [name, ratio_cell(stock / ours if ours else None)]
        pairs: list[list[tuple[float, float]] | None] = [None] * len(settings)
        if run["milliseconds"]:
            pairs = [
                [(of[key]["minimum"], of[key]["processor"]) for key in ("stock", "serenity")]
                for of in run["milliseconds"].values()
            ]
        pairs.append(
            [
                (run["compile_seconds"][key], run["compile_processor_seconds"][key])
                for key in ("stock", "serenity")
            ]
        )
        for index, pair in enumerate(pairs):
            if pair is None:
                row += ["-", "-", "-"]
                continue
            before, after = pair
            ratios[index].append((after[0] / before[0], after[1] / before[1]))
            digits = 1 if index == len(settings) else 2
            row += [f"{of[0]:.{digits}f} / {of[1]:.{digits}f}" for of in pair]
            row.append(" / ".join(map(ratio_cell, ratios[index][-1])))
        rows.append(row)
    means = ["geometric mean", ratio_cell(geometric_mean(slabs))]
    for of_setting in ratios:
        both = [geometric_mean(values) for values in zip(*of_setting, strict=True)]
        means += ["", "", " / ".join(map(ratio_cell, both)) or "-"]
    yield Table(columns, [*rows, means])


def _calls(timed: Sequence[Mapping[str, Any]]) -> str:
    """Says how many calls were measured."""
    calls = {of[key]["calls"] for run in timed for of in run.values() for key in of}
    return f"{min(calls)}" if len(calls) == 1 else f"{min(calls)} to {max(calls)}"


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
        for name, run in results.runs.items()
        for problem in run["disagreements"]
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
        *quantized_networks(results),
        *_systems(results),
        *_not_smallest(results, reports),
        *_pictures(drawn),
        *_traffic(results, reports, drawn),
        *_schedulers(results),
        *_times(results),
        *_peers(results),
        *_failures(results),
    ]

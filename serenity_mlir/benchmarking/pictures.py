# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The pictures of a report, as SVG files: equal results give equal files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serenity_mlir.benchmarking.paper import GRAPHS
from serenity_mlir.benchmarking.results import IREE, Counting, Results, load_function
from serenity_mlir.reports import plotting
from serenity_mlir.reports.reporting import RegionReport
from serenity_mlir.reports.traffic import CAPACITIES, Traffic, TrafficError, traffic_of_function

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_all"]

_STOCK, _ORDER, _OURS = "#8fa3b3", "#5b8db8", "#00695c"
_OTHERS = ("#b00020", "#8e5a00", "#4a148c", "#33691e", "#ad1457", "#37474f")

#: Whose orders are counted: small enough to count all of them.
_COUNTED_NETWORK = "swiftnet_a"


def _slabs(results: Results, reports: Path) -> Figure | None:
    from matplotlib.figure import Figure

    names = [n for n in results.networks if n in results.sizes]
    peaks = [results.sizes[name]["transient_peak_bytes"] for name in names]
    rows = [(n, of) for n, of in zip(names, peaks, strict=True) if of["stock"]]
    if not rows:
        return None
    figure = Figure(figsize=(7.5, 1.0 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    for key, label, colour, shift in (
        ("order", "order", _ORDER, -0.19),
        ("serenity", "+ rewriting (default)", _OURS, 0.19),
    ):
        shares = [of[key] / of["stock"] for _, of in rows]
        axes.barh(places + shift, shares, 0.36, color=colour, label=label)
    axes.axvline(1, color=_STOCK, linewidth=1.5, label="IREE default")
    axes.set_yticks(places, [name for name, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.05)
    axes.set_xlabel("slab / slab of IREE's default")
    axes.legend(fontsize=8, loc="lower right")
    return figure


def _systems(results: Results, reports: Path) -> Figure | None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    titles = [figure.title for figure in results.figures()]
    names = [n for n in results.networks if any(n in peer for peer in results.peers.values())]
    if not titles or not names:
        return None
    figure = Figure(figsize=(7.5, 1.4 + 0.24 * len(names)), layout="constrained")
    axes = figure.subplots()
    markers = "oDsv^Px"
    for title, marker, colour in zip(
        [IREE, *titles], markers * 2, (_STOCK, *_OTHERS * 2), strict=False
    ):
        xs, ys = [], []
        for row, name in enumerate(names):
            ratios: list[float] = []
            countings: tuple[Counting, ...] = ("without_io", "with_io")
            for counting in countings:
                ratios = ratios or results.ratios(title, [name], counting)
            if ratios:
                xs.append(ratios[0])
                ys.append(row)
        axes.plot(xs, ys, marker, color=colour, label=title, markersize=5, alpha=0.85)
    axes.axvline(1, color=_OURS, linewidth=1.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_xlim()
    ticks = [tick for tick in (0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12) if low <= tick <= high]
    axes.set_xticks(ticks)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="y", color="#e3e8ec", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("bytes / bytes of serenity")
    axes.legend(fontsize=7, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _largest(regions: tuple[RegionReport, ...]) -> RegionReport | None:
    return max((r for r in regions if r.live_bytes), key=lambda r: r.slab_bytes, default=None)


def _over_time(results: Results, reports: Path) -> Figure | None:
    from matplotlib.figure import Figure

    rows = []
    for name in results.in_sets("paper"):
        function = load_function(reports, name)
        if function is None:
            continue
        before, after = _largest(function.stock_regions), _largest(function.regions)
        if before is not None and after is not None:
            rows.append((name, before, after))
    if not rows:
        return None
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(3.3 * columns, 2.1 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes, (name, before, after) in zip(grid.flat, rows, strict=False):
        for region, label, colour in ((before, IREE, _STOCK), (after, "serenity", _OURS)):
            share = np.arange(len(region.live_bytes) + 1) / len(region.live_bytes)
            live = np.array([*region.live_bytes, 0]) / 1e3
            axes.fill_between(share, live, step="post", color=colour, alpha=0.25)
            axes.step(share, live, where="post", color=colour, linewidth=1.1, label=label)
        axes.set_title(name, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
    for axes in list(grid.flat)[len(rows) :]:
        axes.set_axis_off()
    grid[0][0].legend(fontsize=6)
    figure.supxlabel("steps of the call, from first to last", fontsize=8)
    figure.supylabel("live sum, KB = 1000 bytes, without inputs and outputs", fontsize=8)
    return figure


def _distribution(results: Results, reports: Path) -> Figure | None:
    if _COUNTED_NETWORK not in results.networks:
        return None
    from serenity_mlir.core.scheduling import Problem, peak_distribution, simulate
    from serenity_mlir.networks import graph_rewriting

    graph = GRAPHS[_COUNTED_NETWORK]
    problem = Problem.from_dict(
        graph_rewriting.graph_instance(
            _COUNTED_NETWORK, rewriting="none", element_bytes=graph.element_bytes
        )
    )
    kept = simulate(problem, range(len(problem.operations))).peak_bytes
    return plotting.draw_distribution(
        peak_distribution(problem),
        {"order of the file, which IREE keeps": kept},
        "SwiftNet, cell A",
    )


def _traffic(results: Results, reports: Path) -> Figure | None:
    from matplotlib.figure import Figure

    totals = {key: dict.fromkeys(CAPACITIES, Traffic()) for key in ("stock", "serenity")}
    counted = 0
    for name in results.in_sets("paper"):
        function = load_function(reports, name)
        try:
            traffic = traffic_of_function(function) if function is not None else None
        except TrafficError:
            continue
        if traffic is None or traffic.stock is None:
            continue
        counted += 1
        sides: Mapping[str, Mapping[int, Traffic]] = {
            "stock": traffic.stock,
            "serenity": traffic.serenity,
        }
        for key, of in sides.items():
            for capacity in CAPACITIES:
                totals[key][capacity] += of[capacity]
    if not counted:
        return None
    figure = Figure(figsize=(6.0, 3.2), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(CAPACITIES))
    for shift, key, label, colour in (
        (-0.2, "stock", IREE, _STOCK),
        (0.2, "serenity", "serenity", _OURS),
    ):
        reads = np.array([totals[key][c].read_bytes for c in CAPACITIES]) / 1e6
        writes = np.array([totals[key][c].written_bytes for c in CAPACITIES]) / 1e6
        axes.bar(places + shift, reads, 0.38, color=colour, label=f"{label}, reads")
        axes.bar(
            places + shift, writes, 0.38, reads, color=colour, alpha=0.5, label=f"{label}, writes"
        )
    axes.set_xticks(places, [f"{capacity // 1024} KiB" for capacity in CAPACITIES])
    axes.set_xlabel("memory on the chip")
    axes.set_ylabel("MB = 1,000,000 bytes")
    axes.set_title(f"{counted} networks together", fontsize=9)
    axes.legend(fontsize=7)
    return figure


_DRAWERS: dict[str, Callable[[Results, Path], Figure | None]] = {
    "slabs": _slabs,
    "systems": _systems,
    "over_time": _over_time,
    "distribution": _distribution,
    "traffic": _traffic,
}


def draw_all(results: Results, reports: Path, folder: Path) -> list[str]:
    """Draws the pictures of existing results, as ``NAME.svg``, and removes all others.

    Returns:
      The names of the pictures.
    """
    drawn = []
    for name, draw in _DRAWERS.items():
        path = folder / f"{name}.svg"
        figure = draw(results, reports)
        if figure is None:
            path.unlink(missing_ok=True)
        else:
            plotting.save(figure, path)
            drawn.append(name)
    return drawn

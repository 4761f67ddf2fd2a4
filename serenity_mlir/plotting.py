# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Pictures: slabs as rectangles over time with the live bytes, and peaks of all orders.

A panel is one layout. Panels that belong together (before and after) share their axes, so that
heights can be compared by eye. Times are those of the input (CSV) or steps of a region (report);
memory is in bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from serenity_mlir.offsets import Buffers, pack, pack_buffers, read_csv
from serenity_mlir.reporting import RegionReport, Report, load_report
from serenity_mlir.scheduling import PeakDistribution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Panel",
    "draw",
    "draw_distribution",
    "live_bytes",
    "panels_of_csv",
    "panels_of_report",
    "rectangles",
    "save",
]

Int64s = npt.NDArray[np.int64]

#: Formats that `save` writes, by the ending of the file name.
FORMATS = (".svg", ".png")


@dataclass(frozen=True)
class Panel:
    """One layout of n buffers.

    Attributes:
      title: What it shows.
      names: Names of the buffers, n of them.
      lower: First moment at which each is live, shape (n,).
      upper: First moment at which it is not any more, shape (n,).
      size: Bytes, shape (n,).
      offset: Where it lies, bytes, shape (n,).
      height_bytes: The slab.
      gaps: Parts (lower, upper, window lower, window upper) of each lifetime in which only the
        bytes of the window are in use; n tuples, or empty for none at all.
      live: Live bytes at every step from 0 where they are known (they may count padding); otherwise
        they are added up.
    """

    title: str
    names: tuple[str, ...]
    lower: Int64s
    upper: Int64s
    size: Int64s
    offset: Int64s
    height_bytes: int
    gaps: tuple[tuple[tuple[int, int, int, int], ...], ...] = ()
    live: tuple[int, ...] = ()


def rectangles(panel: Panel) -> list[tuple[int, int, int, int, int]]:
    """Returns what is in use as (buffer, time begin, time end, byte begin, byte end)."""
    found: list[tuple[int, int, int, int, int]] = []
    for i in range(len(panel.names)):
        offset = int(panel.offset[i])
        end = offset + int(panel.size[i])
        time = int(panel.lower[i])
        for lower, upper, window_lower, window_upper in sorted(panel.gaps[i] if panel.gaps else ()):
            if time < lower:
                found.append((i, time, lower, offset, end))
            if window_lower < window_upper:
                found.append((i, lower, upper, offset + window_lower, offset + window_upper))
            time = upper
        if time < panel.upper[i]:
            found.append((i, time, int(panel.upper[i]), offset, end))
    return found


def live_bytes(panel: Panel) -> tuple[Int64s, Int64s]:
    """Returns the moments at which the live bytes change, and the live bytes from each on."""
    if panel.live:
        steps = np.arange(len(panel.live) + 1, dtype=np.int64)
        return steps, np.array([*panel.live, 0], dtype=np.int64)
    changes: dict[int, int] = {}
    for _, begin, end, low, high in rectangles(panel):
        changes[begin] = changes.get(begin, 0) + high - low
        changes[end] = changes.get(end, 0) - (high - low)
    times = sorted(changes)
    live = np.cumsum([changes[time] for time in times], dtype=np.int64)
    return np.array(times, dtype=np.int64), live


def _panel(title: str, buffers: Buffers, offset: Int64s, height: int) -> Panel:
    return Panel(
        title,
        buffers.ids,
        buffers.lower,
        buffers.upper,
        buffers.size,
        offset,
        height,
        tuple(
            tuple((g.lower, g.upper, g.window_lower, g.window_upper) for g in of_buffer)
            for of_buffer in buffers.gaps
        ),
    )


def panels_of_csv(path: str | os.PathLike[str], *, time_limit: float = 10.0) -> list[list[Panel]]:
    """Packs a CSV instance and returns one row: IREE's greedy offsets, and the exact ones.

    Args:
      path: An instance as `serenity_mlir.offsets.read_csv` reads it.
      time_limit: Seconds for the exact search.

    Raises:
      OffsetsError: The file is malformed; names the line.
      OSError: It cannot be read.
    """
    buffers = read_csv(path)
    before = pack_buffers(buffers, algorithm="iree")
    after = pack_buffers(buffers, time_limit=time_limit)
    proof = "optimal" if after.optimal else "best found"
    return [
        [
            _panel(
                "before: greedy, in the order given", buffers, before.offsets, before.height_bytes
            ),
            _panel(f"after: exact search, {proof}", buffers, after.offsets, after.height_bytes),
        ]
    ]


def _panels_of_region(function: str, region: RegionReport, number: int) -> list[Panel]:
    # IREE packs by first and last use.
    buffers = sorted(region.buffers, key=lambda buffer: (buffer.first, buffer.last))
    names = tuple(buffer.name for buffer in buffers)
    lower = np.array([buffer.first for buffer in buffers], dtype=np.int64)
    upper = np.array([buffer.last + 1 for buffer in buffers], dtype=np.int64)
    size = np.array([buffer.bytes for buffer in buffers], dtype=np.int64)
    offset = np.array([buffer.offset for buffer in buffers], dtype=np.int64)
    title = f"{function}, region {number}"
    # The report does not name the target's alignment: the one that all offsets and the slab share.
    alignment = int(np.gcd.reduce([*offset, region.slab_bytes])) or 1
    alignment = min(alignment & -alignment, 64)
    before = pack(
        lower,
        upper,
        size,
        algorithm="iree",
        offset_alignment=alignment,
        range_alignment=alignment,
    )
    return [
        Panel(
            f"{title}: {what}",
            names,
            lower,
            upper,
            size,
            offsets,
            height,
            live=region.live_bytes,
        )
        for what, offsets, height in (
            ("greedy offsets, same order", before.offsets, before.height_bytes),
            ("as compiled", offset, region.slab_bytes),
        )
    ]


def panels_of_report(report: Report) -> list[list[Panel]]:
    """Returns a row per region with buffers: IREE's offsets for its order, and those compiled."""
    return [
        _panels_of_region(function.name, region, number)
        for function in report.functions
        for number, region in enumerate(function.regions)
        if region.buffers
    ]


def _colours(n: int) -> list[tuple[float, float, float]]:
    """Distinguishable colours that depend on the index alone (hues in golden-angle steps)."""
    import colorsys

    return [
        colorsys.hls_to_rgb((i * 0.61803398875) % 1.0, 0.62 + 0.12 * (i % 3 - 1), 0.55)
        for i in range(n)
    ]


def _draw_panel(axes: Axes, panel: Panel) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import FuncFormatter

    boxes = rectangles(panel)
    colours = _colours(len(panel.names))
    axes.add_collection(
        PatchCollection(
            [
                Rectangle((begin, low), end - begin, high - low)
                for _, begin, end, low, high in boxes
            ],
            facecolor=[colours[i] for i, *_ in boxes],
            edgecolor="white",
            linewidth=0.3 if len(boxes) > 100 else 0.8,
        )
    )
    times, live = live_bytes(panel)
    peak = int(live.max(initial=0))
    axes.step(times, live, where="post", color="black", linewidth=1.0, label="live bytes")
    axes.axhline(panel.height_bytes, color="#b00020", linewidth=1.0, label="slab")
    if panel.height_bytes != peak:
        axes.axhline(
            peak, color="black", linewidth=0.8, linestyle=":", label="maximum of live bytes"
        )
    if len(boxes) <= 60:
        span = max(int(panel.upper.max()) - int(panel.lower.min()), 1)
        for i, begin, end, low, high in boxes:
            # Only where there is room for it.
            fits = (end - begin) / span > 0.012 * len(panel.names[i])
            if fits and (high - low) > 0.03 * panel.height_bytes:
                axes.text(
                    (begin + end) / 2, (low + high) / 2, panel.names[i], ha="center", va="center",
                    fontsize=6, clip_on=True,
                )  # fmt: skip
    lost = panel.height_bytes - peak
    axes.set_title(
        f"{panel.title}\n{panel.height_bytes:,} bytes, {lost:,} above the live bytes", fontsize=9
    )
    axes.set_xlabel("time")
    axes.set_ylabel("bytes")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.legend(loc="upper right", fontsize=7)


def draw(rows: Sequence[Sequence[Panel]]) -> Figure:
    """Draws panels, one row of axes per row of panels, those of a row on the same scale.

    Raises:
      ValueError: There is nothing to draw.
    """
    from matplotlib.figure import Figure

    rows = [row for row in rows if row]
    if not rows:
        raise ValueError("nothing to draw: no layout with buffers")
    columns = max(len(row) for row in rows)
    figure = Figure(figsize=(6.4 * columns, 4.2 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, line in zip(rows, grid, strict=True):
        top = max(max(panel.height_bytes, 1) for panel in row)
        left = min(int(panel.lower.min(initial=0)) for panel in row)
        right = max(int(panel.upper.max(initial=1)) for panel in row)
        for axes, panel in zip(line, row, strict=False):
            _draw_panel(axes, panel)
            axes.set_xlim(left, right)
            axes.set_ylim(0, 1.05 * top)
        for axes in line[len(row) :]:
            axes.set_axis_off()
    return figure


def draw_distribution(
    distribution: PeakDistribution, marks: Mapping[str, int] | None = None, title: str = ""
) -> Figure:
    """Draws how many orders have which peak, and the share of orders up to every peak.

    The counts are on a logarithmic scale, since the best orders are few among very many.

    Args:
      distribution: Of `scheduling.peak_distribution`.
      marks: Peaks in bytes to point out, by label, besides the optimum: IREE's order, a budget.
      title: Of the picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    peaks = np.array(distribution.peaks, dtype=np.float64)
    shares = [count / distribution.total for count in distribution.counts]
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    gaps = np.diff(peaks)
    width = 0.8 * float(gaps.min()) if gaps.size else 1.0
    axes.bar(peaks, shares, width=width, color="#9db4c8", label="orders of this peak")
    axes.step(
        peaks,
        np.cumsum(shares),
        where="post",
        color="black",
        linewidth=1.2,
        label="orders up to this peak",
    )
    axes.set_yscale("log")
    optimum = distribution.peaks[0]
    pointed = {"optimum": optimum, **(marks or {})}
    for (label, peak), colour in zip(
        pointed.items(), ("#00695c", "#b00020", "#8e5a00", "#4a148c") * len(pointed), strict=False
    ):
        share = distribution.share_within(peak)
        axes.axvline(peak, color=colour, linewidth=1.2, linestyle="--")
        axes.plot([], [], color=colour, linestyle="--", label=f"{label}: {peak:,} ({share:.3%})")
    axes.set_title(
        f"{title}\n{distribution.total:,} orders" if title else f"{distribution.total:,} orders",
        fontsize=9,
    )
    axes.set_xlabel("peak, bytes")
    axes.set_ylabel("share of all orders")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.legend(fontsize=7, loc="lower right")
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure as SVG or PNG, by the ending of the name; equal figures give equal files.

    Raises:
      ValueError: The ending is another one.
      OSError: The file cannot be written.
    """
    import matplotlib as mpl

    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"{os.fspath(path)}: expected a name that ends in {' or '.join(FORMATS)}")
    # Neither a date nor random identifiers.
    metadata = {"Date": None} if ending == ".svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": "serenity", "svg.fonttype": "none"}):
        figure.savefig(path, format=ending[1:], dpi=150, metadata=metadata)


def plot(
    source: str | os.PathLike[str], output: str | os.PathLike[str], *, time_limit: float = 10.0
) -> list[list[Panel]]:
    """Draws a CSV instance or a report (``.json``) into ``output`` and returns the panels.

    Raises:
      OffsetsError, ReportError: The input is malformed.
      ValueError: There is nothing to draw, or the ending of ``output`` is not known.
      OSError: A file cannot be read or written.
    """
    if Path(source).suffix.lower() == ".json":
        rows = panels_of_report(load_report(source))
    else:
        rows = panels_of_csv(source, time_limit=time_limit)
    save(draw(rows), output)
    return rows

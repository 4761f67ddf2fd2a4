# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Pictures: live bytes over time, slabs as rectangles, operations in order, peaks of all orders.

A panel is one layout: the stock compiler's, or serenity_mlir's. The live bytes of panels that
belong together (before and after) share a scale, so that they can be compared by eye; every slab
fills its own. Times are those of the input (CSV) or steps of a region (report). Buffers that are
live at the peak are dark blue, all others light, the peak itself is orange: hues and lightness
that can be told apart without colour vision, and that survive a black and white printer.

`plot` writes SVG, PNG, or a page of HTML with the same SVG inside, where pointing at a buffer, an
operation or a step shows its description. The page needs no network and no other file.
"""

from __future__ import annotations

import html
import io
import itertools
import json
import math
import os
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from serenity_mlir._files import write_whole
from serenity_mlir.core.offsets import Buffers, pack, pack_buffers, read_csv
from serenity_mlir.core.scheduling import PeakDistribution
from serenity_mlir.reports.explaining import (
    buffer_labels,
    dataflow,
    explain,
    format_bytes,
    operation_labels,
    short_name,
)
from serenity_mlir.reports.reporting import OperationReport, RegionReport, Report, load_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FORMATS",
    "Panel",
    "draw",
    "draw_distribution",
    "live_bytes",
    "panels_of_csv",
    "panels_of_report",
    "peak_time",
    "plot",
    "rectangles",
    "render",
    "save",
]

Int64s = npt.NDArray[np.int64]

#: Formats that `plot` writes, by the ending of the file name.
FORMATS = (".svg", ".png", ".html")

# Okabe and Ito's blue and orange, and greys.
_AT_PEAK = "#0072B2"
_OTHER = "#C9D6E2"
_PEAK = "#E69F00"
_EDGE = "#4A5560"
_SLAB = "#111111"

#: Buffers of the peak that are listed by name.
_LISTED = 10

#: With more steps than this the operations are not named in the picture (they are in the page).
_NAMED_STEPS = 160


@dataclass(frozen=True)
class Panel:
    """One layout of n buffers.

    Attributes:
      title: The panel's title.
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
      operations: The operations, in order of execution; empty where that is not known.
      edges: Reads of buffers that another operation wrote: (writer, reader, buffer).
      labels: Labels of the buffers, n of them, or empty for their names.
      operation_labels: Labels of the operations, one each, or empty for their names.
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
    operations: tuple[OperationReport, ...] = ()
    edges: tuple[tuple[int, int, int], ...] = ()
    labels: tuple[str, ...] = ()
    operation_labels: tuple[str, ...] = ()

    def label(self, buffer: int) -> str:
        """The label of a buffer."""
        return self.labels[buffer] if self.labels else short_name(self.names[buffer])

    def operation_label(self, operation: int) -> str:
        """The label of an operation."""
        if self.operation_labels:
            return self.operation_labels[operation]
        return short_name(self.operations[operation].name)


def rectangles(panel: Panel) -> list[tuple[int, int, int, int, int]]:
    """Returns the ranges in use as (buffer, time begin, time end, byte begin, byte end)."""
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


def peak_time(panel: Panel) -> tuple[int, int]:
    """Returns the first moment at which most bytes are live, and how many."""
    times, live = live_bytes(panel)
    if not len(live):
        return 0, 0
    at = int(live.argmax())
    return int(times[at]), int(live[at])


def _at_peak(panel: Panel) -> list[int]:
    """The buffers live at the peak, the largest first."""
    time, _ = peak_time(panel)
    live = [i for i in range(len(panel.names)) if panel.lower[i] <= time < panel.upper[i]]
    return sorted(live, key=lambda i: (-int(panel.size[i]), int(panel.lower[i]), i))


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
      path: An instance as `serenity_mlir.core.offsets.read_csv` reads it.
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


def _arrays(region: RegionReport) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """First step, first step after, size and offset of every buffer, shape (n,) each."""
    buffers = region.buffers
    return (
        np.array([buffer.first for buffer in buffers], dtype=np.int64),
        np.array([buffer.last + 1 for buffer in buffers], dtype=np.int64),
        np.array([buffer.bytes for buffer in buffers], dtype=np.int64),
        np.array([buffer.offset for buffer in buffers], dtype=np.int64),
    )


def _region_panel(title: str, region: RegionReport) -> Panel:
    lower, upper, size, offset = _arrays(region)
    return Panel(
        title,
        tuple(buffer.name for buffer in region.buffers),
        lower,
        upper,
        size,
        offset,
        region.slab_bytes,
        live=region.live_bytes,
        operations=region.operations,
        edges=tuple(dataflow(region)),
        labels=buffer_labels(region),
        operation_labels=operation_labels(region),
    )


def _greedy_panel(title: str, region: RegionReport) -> Panel:
    """The region in its order, with the offsets that IREE would assign."""
    # IREE packs by first and last use.
    order = sorted(range(len(region.buffers)), key=lambda i: (region.buffers[i].first,
                                                              region.buffers[i].last))  # fmt: skip
    lower, upper, size, offset = _arrays(region)
    # The report does not name the target's alignment: the one that all offsets and the slab share.
    alignment = int(np.gcd.reduce([*offset, region.slab_bytes])) or 1
    alignment = min(alignment & -alignment, 64)
    before = pack(
        lower[order],
        upper[order],
        size[order],
        algorithm="iree",
        offset_alignment=alignment,
        range_alignment=alignment,
    )
    offsets = np.empty_like(offset)
    offsets[order] = before.offsets
    return Panel(
        title,
        tuple(buffer.name for buffer in region.buffers),
        lower,
        upper,
        size,
        offsets,
        before.height_bytes,
        live=region.live_bytes,
        operations=region.operations,
        edges=tuple(dataflow(region)),
        labels=buffer_labels(region),
        operation_labels=operation_labels(region),
    )


def panels_of_report(report: Report) -> list[list[Panel]]:
    """Returns a row per region with a slab: as stock on the left, as compiled on the right.

    Regions are paired in program order where both have as many; otherwise each has a row of its
    own. Where the report has no stock regions (the passes ran alone, an older release), the left
    panel is the region itself with the offsets that IREE would assign.
    """
    rows: list[list[Panel]] = []
    for function in report.functions:
        name = function.exported_as or function.name
        ours = [region for region in function.regions if region.buffers]
        stock = [region for region in function.stock_regions if region.buffers]

        def title(what: str, number: int, regions: list[RegionReport], name: str = name) -> str:
            which = f", region {number}" if len(regions) > 1 else ""
            return f"{name}{which}: {what}"

        compiled = [_region_panel(title("as compiled", i, ours), r) for i, r in enumerate(ours)]
        before = [_region_panel(title("stock IREE", i, stock), r) for i, r in enumerate(stock)]
        if not stock:
            before = [
                _greedy_panel(title("greedy offsets, same order", i, ours), r)
                for i, r in enumerate(ours)
            ]
        if len(before) == len(compiled):
            rows += [list(pair) for pair in zip(before, compiled, strict=True)]
        else:
            rows += [[panel] for panel in (*before, *compiled)]
    return rows


# --- drawing -------------------------------------------------------------------

# Inches.
_LIVE_HEIGHT = 1.7
_SLAB_HEIGHT = 3.4
_GRAPH_HEIGHT = 1.3
_LINE = 0.16
_SMALL = 6.0  # points


def _unit(top: int) -> tuple[int, str]:
    """The unit of an axis of memory that reaches up to `top` bytes."""
    if top < 10_000:
        return 1, "bytes"
    return (1024, "KiB") if top < 10_000 * 1024 else (1024**2, "MiB")


def _exact(count: int) -> str:
    text = format_bytes(count)
    return f"{count:,} bytes" if text.endswith(" B") else f"{count:,} bytes ({text})"


def _text_width(text: str, points: float) -> float:
    """Inches that a text takes, roughly; rather too many."""
    return len(text) * points * 0.62 / 72


def _mark_peak(axes: Axes, panel: Panel) -> None:
    time, _ = peak_time(panel)
    times, _ = live_bytes(panel)
    later = times[times > time]
    axes.axvspan(time, int(later[0]) if len(later) else time + 1, color=_PEAK, alpha=0.45, lw=0,
                 zorder=0)  # fmt: skip


def _draw_live(axes: Axes, panel: Panel, number: int) -> None:
    times, live = live_bytes(panel)
    time, peak = peak_time(panel)
    word = "step" if panel.operations else "time"
    axes.fill_between(times, live, step="post", color=_OTHER, lw=0, zorder=1)
    axes.step(times, live, where="post", color="black", lw=1.0, zorder=2)
    axes.set_title(
        f"{panel.title}\nlive: at most {_exact(peak)}, at {word} {time}",
        fontsize=9,
        loc="left",
    )
    # The areas that the page queries; invisible.
    for begin, end in itertools.pairwise(times):
        span = axes.axvspan(int(begin), int(end), alpha=0.0, lw=0, zorder=3)
        span.set_gid(f"s-{number}-{int(begin)}")


def _list_peak(axes: Axes, panel: Panel) -> None:
    axes.set_axis_off()
    buffers = _at_peak(panel)
    total = sum(int(panel.size[i]) for i in buffers)
    word = "steps" if panel.operations else "times"
    lines = [f"live at the peak: {len(buffers)} buffer{'' if len(buffers) == 1 else 's'}"]
    for i in buffers[:_LISTED]:
        lines.append(
            f"{format_bytes(int(panel.size[i])):>12}  {panel.label(i)}, {word} "
            f"{int(panel.lower[i])} to {int(panel.upper[i]) - 1}"
        )
    if len(buffers) > _LISTED:
        rest = total - sum(int(panel.size[i]) for i in buffers[:_LISTED])
        lines.append(f"{format_bytes(rest):>12}  in {len(buffers) - _LISTED} more")
    for k, line in enumerate(lines):
        axes.annotate(
            line, (0, 1), xytext=(0, -(k + 0.8) * _LINE * 72), textcoords="offset points",
            xycoords="axes fraction", fontsize=7, va="center", family="monospace",
            color=_AT_PEAK if k else "black", annotation_clip=False,
        )  # fmt: skip


def _label(panel: Panel, i: int, width: float, height: float) -> tuple[str, int] | None:
    """The longest name of a buffer that fits into so many inches, and its rotation."""
    name = panel.label(i)
    high = _SMALL * 1.25 / 72
    texts = [name]
    if " for " in name:
        texts.append(name.partition(" for ")[0])
    elif "#" in name:
        texts.append("#" + name.rpartition("#")[2])
    for text in texts:
        long = _text_width(text, _SMALL) + 0.03
        if long <= width and high <= height:
            return text, 0
        if long <= height and high <= width:
            return text, 90
    return None


def _draw_slab(axes: Axes, panel: Panel, number: int, inches: float) -> None:
    from matplotlib.patches import Rectangle

    top = max(panel.height_bytes, 1)
    boxes = rectangles(panel)
    dark = set(_at_peak(panel))
    span = max(int(panel.upper.max()) - int(panel.lower.min()), 1)
    for i, begin, end, low, high in boxes:
        patch = Rectangle(
            (begin, low), end - begin, high - low,
            facecolor=_AT_PEAK if i in dark else _OTHER, edgecolor="white" if i in dark else _EDGE,
            linewidth=0.3 if len(boxes) > 100 else 0.5, zorder=2,
        )  # fmt: skip
        patch.set_gid(f"b-{number}-{i}-{begin}")
        axes.add_patch(patch)
        found = _label(
            panel, i, (end - begin) / span * inches, (high - low) / top * _SLAB_HEIGHT * 0.9
        )
        if found:
            axes.text(
                (begin + end) / 2, (low + high) / 2, found[0], rotation=found[1], ha="center",
                va="center", fontsize=_SMALL, color="white" if i in dark else "black",
                clip_on=True, zorder=3,
            )  # fmt: skip
    lost = panel.height_bytes - peak_time(panel)[1]
    axes.axhline(panel.height_bytes, color=_SLAB, lw=1.2, ls="--", zorder=4)
    axes.set_title(
        f"slab: {_exact(panel.height_bytes)}, {lost:,} above the live bytes (own scale)",
        fontsize=9,
        loc="left",
    )


def _draw_graph(axes: Axes, panel: Panel, number: int) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    dark = set(_at_peak(panel))
    steps = [operation.step for operation in panel.operations]
    top = 1.0
    for writer, reader, buffer in panel.edges:
        begin, end = steps[writer] + 0.5, steps[reader] + 0.5
        height = math.sqrt(max(end - begin, 0.5))
        top = max(top, height)
        curve = PathPatch(
            Curve(
                [(begin, 0), (begin, height * 4 / 3), (end, height * 4 / 3), (end, 0)],
                [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4],
            ),
            facecolor="none", edgecolor=_AT_PEAK if buffer in dark else _EDGE,
            lw=1.0 if buffer in dark else 0.5, zorder=3 if buffer in dark else 2,
        )  # fmt: skip
        curve.set_gid(f"e-{number}-{writer}-{reader}-{buffer}")
        axes.add_patch(curve)
    at: dict[int, list[int]] = {}
    for k, step in enumerate(steps):
        at.setdefault(step, []).append(k)
    low = 0.0
    for step, group in at.items():
        for depth, k in enumerate(group):  # those that run at once below each other
            y = -depth * top * 0.12
            low = min(low, y)
            dispatch = panel.operations[k].name.startswith("@")
            (node,) = axes.plot(
                [step + 0.5], [y], marker="o" if dispatch else "s", ms=3.2 if dispatch else 2.6,
                color="black" if dispatch else "white", mec="black", mew=0.6, zorder=4,
            )  # fmt: skip
            node.set_gid(f"o-{number}-{k}")
    axes.set_ylim(low - 0.1 * top, 1.08 * top)
    axes.set_yticks([])
    axes.set_title(
        "operations in execution order, with an arc from every writer to its readers",
        fontsize=9,
        loc="left",
    )
    axes.set_xlabel("step")
    if _named(panel):
        labels = []
        for step in sorted(at):
            group = sorted(at[step], key=lambda k: not panel.operations[k].name.startswith("@"))
            names = [short_name(panel.operations[k].name) for k in group]
            more = f" +{len(names) - 1}" if len(names) > 1 else ""
            labels.append(f"{names[0]}{more}")
        axes.set_xticks([step + 0.5 for step in sorted(at)], labels, rotation=90, fontsize=5)
        axes.tick_params(axis="x", length=1.5, pad=1)


def _named(panel: Panel) -> bool:
    return 0 < len({operation.step for operation in panel.operations}) <= _NAMED_STEPS


def _width(panels: Iterable[Panel]) -> float:
    """Inches of a column: enough for a name at every step."""
    steps = [
        int(panel.upper.max(initial=1)) - int(panel.lower.min(initial=0))
        for panel in panels
        if _named(panel)
    ]
    return max(7.0, 0.085 * max(steps, default=0) + 1.0)


def draw(rows: Sequence[Sequence[Panel]]) -> Figure:
    """Draws panels, one row of columns per row of panels.

    A column shows live bytes over time, the buffers of the peak by name, the slab, and, where they
    are known, the operations in execution order.

    Raises:
      ValueError: There is nothing to draw.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    rows = [row for row in rows if row]
    if not rows:
        raise ValueError("nothing to draw: no layout with buffers")
    columns = max(len(row) for row in rows)
    widths = [_width(row[c] for row in rows if c < len(row)) for c in range(columns)]
    heights: list[list[float]] = []
    for row in rows:
        lines = 1 + max(min(len(_at_peak(panel)), _LISTED + 1) for panel in row)
        heights.append([_LIVE_HEIGHT, lines * _LINE, _SLAB_HEIGHT])
        if any(panel.operations for panel in row):
            names = [
                short_name(operation.name)
                for panel in row
                if _named(panel)
                for operation in panel.operations
            ]
            label = max((_text_width(name, 5) for name in names), default=0.0)
            heights[-1].append(_GRAPH_HEIGHT + label)
    figure = Figure(
        figsize=(sum(widths), sum(map(sum, heights)) + 0.55 * sum(map(len, heights))),
        layout="constrained",
    )
    outer = figure.subfigures(
        len(rows), 1, squeeze=False, height_ratios=[sum(h) + 0.55 * len(h) for h in heights]
    )
    number = 0
    for row, parts, (outer_row,) in zip(rows, heights, outer, strict=True):
        grid = outer_row.subplots(
            len(parts), columns, squeeze=False, width_ratios=widths,
            gridspec_kw={"height_ratios": parts},
        )  # fmt: skip
        top = max(max(peak_time(panel)[1], 1) for panel in row)
        for c in range(columns):
            if c >= len(row):
                for axes in grid[:, c]:
                    axes.set_axis_off()
                continue
            panel = row[c]
            live, peak, slab = grid[:3, c]
            _draw_live(live, panel, number)
            _list_peak(peak, panel)
            _draw_slab(slab, panel, number, widths[c] - 1.0)
            timed = [live, slab]
            if len(parts) > 3:
                if panel.operations:
                    _draw_graph(grid[3, c], panel, number)
                    timed.append(grid[3, c])
                else:
                    grid[3, c].set_axis_off()
            for axes in timed:
                axes.set_xlim(
                    int(panel.lower.min(initial=0)),
                    max(int(panel.upper.max(initial=1)), len(panel.live)),
                )
                axes.spines[["top", "right"]].set_visible(False)
                _mark_peak(axes, panel)
            for axes, high in ((live, top), (slab, max(panel.height_bytes, 1))):
                scale, unit = _unit(high)
                axes.set_ylim(0, 1.05 * high)
                axes.set_ylabel(unit)
                axes.tick_params(labelsize=7)
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                axes.yaxis.set_major_locator(_ticks(high, scale))
                axes.yaxis.set_major_formatter(
                    FuncFormatter(lambda value, _, scale=scale: f"{value / scale:,.6g}")
                )
            if not panel.operations:
                slab.set_xlabel("time")
            number += 1
    return figure


def _ticks(top: int, scale: int) -> Any:
    """Ticks at round numbers of the unit, not of bytes."""
    from matplotlib.ticker import MaxNLocator, MultipleLocator

    steps = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]).tick_values(0, top / scale)
    return MultipleLocator(float(steps[1] - steps[0]) * scale)


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


# --- files ---------------------------------------------------------------------


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure as SVG or PNG, by the ending of the name; equal figures give equal files.

    Raises:
      ValueError: The ending is another one.
      OSError: The file cannot be written.
    """
    ending = Path(path).suffix.lower()
    if ending not in (".svg", ".png"):
        raise ValueError(f"{os.fspath(path)}: expected a name that ends in .svg or .png")
    write_whole(path, render(figure, ending[1:]))


def render(figure: Figure, ending: str) -> bytes:
    """Returns a figure as the bytes of a file, ``svg`` or ``png``; equal figures, equal bytes."""
    import matplotlib as mpl

    # Neither a date nor random identifiers.
    metadata = {"Date": None} if ending == "svg" else {"Software": None}
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "serenity", "svg.fonttype": "none"}):
        figure.savefig(stream, format=ending, dpi=150, metadata=metadata)
    return stream.getvalue()


def _page_data(panels: Iterable[Panel]) -> list[dict[str, Any]]:
    """The data of every panel for the page's script."""
    data = []
    for panel in panels:
        times, live = live_bytes(panel)
        time, _ = peak_time(panel)
        data.append(
            {
                "title": panel.title,
                "word": "step" if panel.operations else "time",
                "peak": time,
                "live": [[int(t), _exact(int(b))] for t, b in zip(times, live, strict=True)],
                "buffers": [
                    {
                        "name": panel.label(i),
                        "full": name,
                        "first": int(panel.lower[i]),
                        "last": int(panel.upper[i]) - 1,
                        "bytes": int(panel.size[i]),
                        "size": _exact(int(panel.size[i])),
                        "offset": int(panel.offset[i]),
                    }
                    for i, name in enumerate(panel.names)
                ],
                "operations": [
                    {
                        "name": panel.operation_label(k),
                        "full": operation.name,
                        "location": operation.location,
                        "step": operation.step,
                        "uses": sorted({access.buffer for access in operation.uses}),
                        "defs": sorted({access.buffer for access in operation.defs}),
                    }
                    for k, operation in enumerate(panel.operations)
                ],
            }
        )
    return data


def _gains_table(report: Report) -> str:
    """Returns the gain of every step, of every function, as HTML."""
    parts = []
    for entry in explain(report):
        if not entry.gains:
            continue
        rows = "".join(
            f"<tr><td>{html.escape(gain.description)}</td><td>{gain.bytes:,}</td>"
            f"<td>{'' if gain.step == 'stock' else f'{-gain.saved_bytes:+,}'}</td></tr>"
            for gain in entry.gains
        )
        notes = "".join(
            f"<li>{html.escape(note[0].upper() + note[1:])}</li>" for note in entry.notes
        )
        parts.append(
            f"<h2>{html.escape(entry.exported_as or entry.function)}: peak after each step</h2>"
            "<table><thead><tr><th>step</th><th>transient bytes</th><th>change</th></tr></thead>"
            f"<tbody>{rows}</tbody></table><ul>{notes}</ul>"
        )
    return "\n".join(parts)


def _page(rows: Sequence[Sequence[Panel]], title: str, below: str) -> str:
    template = resources.files(__package__).joinpath("plot_page.html").read_text("utf-8")
    svg = render(draw(rows), "svg").decode("utf-8")
    svg = svg[svg.index("<svg") :]
    data = json.dumps(_page_data(panel for row in rows for panel in row), separators=(",", ":"))
    # Not even a name may end the script.
    data = data.replace("<", "\\u003c")
    return string.Template(template).substitute(
        title=html.escape(title), svg=svg, data=data, below=below
    )


def plot(
    source: str | os.PathLike[str], output: str | os.PathLike[str], *, time_limit: float = 10.0
) -> list[list[Panel]]:
    """Draws a CSV instance or a report (``.json``) into ``output`` and returns the panels.

    Args:
      source: A CSV instance, or the JSON of ``--serenity-report``.
      output: The ``.svg``, ``.png`` or ``.html`` to write.
      time_limit: Seconds for the exact search of a CSV instance.

    Raises:
      OffsetsError, ReportError: The input is malformed.
      ValueError: There is nothing to draw, or the ending of ``output`` is not known.
      OSError: A file cannot be read or written.
    """
    ending = Path(output).suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"{os.fspath(output)}: expected a name that ends in .svg, .png or .html")
    below = ""
    if Path(source).suffix.lower() == ".json":
        report = load_report(source)
        rows = panels_of_report(report)
        below = _gains_table(report)
    else:
        rows = panels_of_csv(source, time_limit=time_limit)
    if ending == ".html":
        write_whole(output, _page(rows, Path(source).name, below))
    else:
        save(draw(rows), output)
    return rows

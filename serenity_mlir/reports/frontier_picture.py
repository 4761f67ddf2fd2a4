# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The frontier of a model as a picture: bytes against time, with the flags of every point.

Other systems, whose time is not known, stand beside it with their bytes alone.

SVG and HTML tell the numbers and flags of the point under the pointer, by titles of the SVG itself:
no script and no network. The page of HTML has the table below the picture.
"""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from serenity_mlir._files import write_whole
from serenity_mlir.reports.plotting import render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from serenity_mlir.measuring.frontier import Frontier, Point

__all__ = ["FORMATS", "describe", "draw_frontier", "headings", "rows", "write_frontier"]

FORMATS = (".html", ".svg", ".png", ".json")

# Okabe and Ito's blue, and a grey.
_CHOSEN, _COVERED = "#0072B2", "#8fa3b3"
# Their vermilion.
_OTHER = "#D55E00"


def headings(frontier: Frontier) -> tuple[str, ...]:
    """Return the headings of the table."""
    return (
        "setting",
        "transient bytes",
        "commands",
        *(("latency, ms",) if frontier.timed else ()),
        "compile, s",
        "module bytes",
        "flags",
    )


def rows(frontier: Frontier) -> list[tuple[str, ...]]:
    """Return the table, a row per point; points that another one covers are in parentheses."""
    found = []
    for point in frontier.points:
        name = point.name if point.pareto else f"({point.name})"
        found.append(
            (
                name,
                f"{point.peak_bytes:,}",
                f"{point.commands:,}",
                *(() if point.latency_ms is None else (f"{point.latency_ms:.3f}",)),
                f"{point.compile_seconds:.1f}",
                f"{point.module_bytes:,}",
                " ".join(point.flags) or "none",
            )
        )
    return found


def describe(point: Point) -> str:
    """Return the lines of a point's tooltip."""
    lines = [
        point.name,
        f"{point.peak_bytes:,} bytes of transient memory",
        f"{point.commands:,} commands",
        f"{point.compile_seconds:.1f} s of processor time to compile",
        f"{point.module_bytes:,} bytes of module",
    ]
    if point.latency_ms is not None:
        lines.insert(2, f"{point.latency_ms:.3f} ms per call, one thread")
    if not point.pareto:
        lines.append("another point is at most as large and as slow")
    lines.append(" ".join(point.flags) or "without serenity flags")
    return "\n".join(lines)


def _spread(values: Sequence[float], least: float) -> list[float]:
    """Return rising places near rising `values` that are at least `least` apart."""
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + least) if places else value)
    # What was pushed up on the whole is moved down by half of that.
    shift = (places[-1] - values[-1]) / 2 if places else 0.0
    return [place - shift for place in places]


def _draw_others(axes: Axes, others: Mapping[str, int]) -> None:
    """Draw the bytes of other systems at the right edge of `axes`, with their names."""
    known = sorted((size, name) for name, size in others.items() if size > 0)
    low, high = map(math.log, axes.get_ylim())
    heights = [(math.log(size) - low) / (high - low) for size, _ in known]
    for (size, name), height, place in zip(known, heights, _spread(heights, 0.045), strict=True):
        axes.plot(
            1.0, height, "D", color=_OTHER, markersize=5, transform=axes.transAxes, clip_on=False
        )
        axes.annotate(
            f"{name}: {size:,}",
            (1.0, height),
            xytext=(1.05, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            fontsize=7,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": _OTHER,
                "linewidth": 0.5,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )


def draw_frontier(frontier: Frontier, others: Mapping[str, int] | None = None) -> Figure:
    """Draw bytes (logarithmic) against latency, or the time of compilation without latencies.

    Element ``point-N`` of the picture is point N of the frontier.

    Args:
      frontier: the points.
      others: transient bytes of other systems for the same model, drawn without a time.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    def x_of(point: Point) -> float:
        return point.compile_seconds if point.latency_ms is None else point.latency_ms

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    chosen = sorted(frontier.pareto, key=x_of)
    axes.plot(
        [x_of(point) for point in chosen],
        [point.peak_bytes for point in chosen],
        color=_CHOSEN,
        linewidth=0.8,
        alpha=0.5,
        zorder=1,
    )
    labelled = {point.peak_bytes for point in chosen}
    for number, point in enumerate(frontier.points):
        axes.plot(
            x_of(point),
            max(point.peak_bytes, 1),
            "o",
            color=_CHOSEN if point.pareto else _COVERED,
            fillstyle="full" if point.pareto else "none",
            markersize=7,
            gid=f"point-{number}",
        )
        if not point.pareto and point.peak_bytes in labelled:
            continue  # the label of a chosen point would lie below this one
        axes.annotate(
            f"{point.name}: {point.peak_bytes:,}",
            (x_of(point), max(point.peak_bytes, 1)),
            xytext=(7, 4),
            textcoords="offset points",
            fontsize=7,
            color="black" if point.pareto else _COVERED,
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.25, y=0.12)
    if others:
        sizes = [size for size in others.values() if size > 0]
        sizes += [max(point.peak_bytes, 1) for point in frontier.points]
        axes.set_ylim(min(sizes) / 1.3, max(sizes) * 1.3)
        _draw_others(axes, others)
    axes.set_ylabel("transient memory of a call, bytes")
    axes.set_xlabel(
        "processor time of a call, ms, one thread"
        if frontier.timed
        else "processor time to compile, s"
    )
    axes.set_title(frontier.model, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e3e8ec", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def _svg(frontier: Frontier, others: Mapping[str, int] | None) -> str:
    svg = render(draw_frontier(frontier, others), "svg").decode("utf-8")
    for number, point in enumerate(frontier.points):
        opening = f'<g id="point-{number}">'
        if svg.count(opening) != 1:
            raise AssertionError(f"point {number} is drawn {svg.count(opening)} times")
        title = f"<title>{html.escape(describe(point))}</title>"
        svg = svg.replace(opening, opening + title)
    return svg


def _page(frontier: Frontier, others: Mapping[str, int] | None) -> str:
    def cells(row: tuple[str, ...], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)

    svg = _svg(frontier, others)
    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows(frontier))
    title = html.escape(f"{frontier.model}: memory and time")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
  body {{ font: 15px/1.45 system-ui, sans-serif; margin: 1.2em; color: #111; background: #fff; }}
  h1 {{ font-size: 1.3em; }}
  svg {{ max-width: 60em; width: 100%; height: auto; }}
  table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
  th, td {{ padding: .15em .8em; text-align: right; border-bottom: 1px solid #C9D6E2; }}
  th:first-child, td:first-child, th:last-child, td:last-child {{ text-align: left; }}
  td:last-child {{ font-family: ui-monospace, monospace; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Point at a mark for its numbers and flags. Settings in parentheses, hollow marks: another
setting needs at most as many bytes and as much time.</p>
{svg[svg.index("<svg") :]}
<table>
<thead><tr>{cells(headings(frontier), "th")}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</body>
</html>
"""


def write_frontier(
    frontier: Frontier,
    output: str | os.PathLike[str],
    others: Mapping[str, int] | None = None,
) -> None:
    """Write a frontier as a page, a picture or JSON, by the ending of the name.

    Args:
      frontier: the points.
      output: the file.
      others: as for `draw_frontier`; JSON is without them.

    Raises:
      ValueError: the ending is none of `FORMATS`.
      OSError: the file cannot be written; its old content is kept.
    """
    ending = Path(output).suffix.lower()
    if ending not in FORMATS:
        raise ValueError(
            f"expected a name that ends in {', '.join(FORMATS)}; got {os.fspath(output)}"
        )
    if ending == ".json":
        write_whole(output, json.dumps(frontier.to_dict(), indent=2) + "\n")
    elif ending == ".html":
        write_whole(output, _page(frontier, others))
    elif ending == ".svg":
        write_whole(output, _svg(frontier, others))
    else:
        write_whole(output, render(draw_frontier(frontier, others), "png"))

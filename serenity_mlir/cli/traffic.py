# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity traffic``: bytes that cross the edge of the chip, before and after."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from serenity_mlir.cli._terminal import working
from serenity_mlir.errors import SerenityError
from serenity_mlir.reports import traffic
from serenity_mlir.reports.reporting import ReportError, load_report

app = typer.Typer(help="Count off-chip traffic from a report.", add_completion=False)

_USAGE = 2
_UNITS = {"": 1, "KB": 1000, "MB": 1000**2, "KiB": 1024, "MiB": 1024**2}


def _size(text: str, option: str) -> int:
    match = re.fullmatch(r"(\d+)\s*(KB|MB|KiB|MiB|)", text)
    if match is None or int(match[1]) == 0:
        raise typer.BadParameter(
            f"{text!r} is no size; write bytes, or a unit such as 64KiB or 64KB (1000)",
            param_hint=option,
        )
    return int(match[1]) * _UNITS[match[2]]


def _name(size: int) -> str:
    return f"{size // 1024} KiB" if size % 1024 == 0 else f"{size:,} B"


@app.command(epilog="Example: serenity traffic report.json --capacity 64KiB")
def count(
    source: Annotated[
        Path, typer.Argument(help="The JSON of --serenity-report.", metavar="REPORT")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    capacity: Annotated[
        list[str] | None,
        typer.Option(metavar="SIZE", help="Memory on the chip, such as 64KiB (repeatable)."),
    ] = None,
    block: Annotated[str, typer.Option(metavar="SIZE", help="Largest size of a block.")] = str(
        traffic.DEFAULT_BLOCK_BYTES
    ),
    external: Annotated[
        bool, typer.Option("--external", help="Also count inputs and results.")
    ] = False,
) -> None:
    """Count the bytes that cross the edge of the chip under Belady's replacement, before and after.

    Activations lie off the chip and pass through a small memory on it; weights are not counted.
    "IREE" is the stock order, "serenity" the order compiled.
    """
    capacities = [_size(text, "--capacity") for text in capacity or ()] or list(traffic.CAPACITIES)
    block_bytes = _size(block, "--block")
    try:
        report = load_report(source)
        with working(f"replaying {source}"):
            found = traffic.traffic_of_report(
                report, capacities=capacities, block_bytes=block_bytes, external=external
            )
    except OSError as error:
        raise SerenityError(f"{source}: {error.strerror}", exit_code=_USAGE) from None
    except (ReportError, traffic.TrafficError) as error:
        raise SerenityError(
            str(error) if str(source) in str(error) else f"{source}: {error}", exit_code=_USAGE
        ) from None

    if as_json:
        rows = [
            {
                "function": item.name,
                "capacity_bytes": size,
                "block_bytes": block_bytes,
                "external": external,
                "stock": _directions(item.stock[size]) if item.stock is not None else None,
                "serenity": _directions(item.serenity[size]),
            }
            for item in found
            for size in capacities
        ]
        typer.echo(json.dumps(rows, indent=2))
        return

    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for item in found:
        table = Table(box=box.SIMPLE_HEAD, title=item.name, title_justify="left")
        for heading in ("on chip", "IREE", "serenity", "ratio"):
            table.add_column(heading, justify="right", no_wrap=True)
        for size in capacities:
            ratio = item.ratio(size)
            stock = item.stock[size].total_bytes if item.stock is not None else None
            ours = item.serenity[size].total_bytes
            table.add_row(
                _name(size),
                "-" if stock is None else f"{stock:,}",
                f"{ours:,}",
                "-" if ratio is None else f"{ratio:.2f}",
            )
        console.print(table)
    scope = "slab, inputs and results" if external else "slab"
    typer.echo(f"bytes read and written off the chip; {scope}; blocks of {block_bytes:,} bytes")


def _directions(item: traffic.Traffic) -> dict[str, int]:
    return {"read_bytes": item.read_bytes, "written_bytes": item.written_bytes}

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity plot``: slabs as pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from serenity_mlir.cli._terminal import working
from serenity_mlir.errors import SerenityError
from serenity_mlir.reports import plotting

app = typer.Typer(
    help="Draw memory over time, before and after, as SVG, PNG or a page of HTML.",
    add_completion=False,
)

_USAGE = 2


@app.command(epilog="Example: serenity plot report.json -o report.html")
def plot(
    source: Annotated[
        Path,
        typer.Argument(
            help="Buffers in MiniMalloc's CSV format, or the JSON of --serenity-report.",
            metavar="INPUT",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The .svg, .png or .html to write.")
    ],
    time_limit: Annotated[
        float, typer.Option(help="Seconds for the exact search (CSV).", min=0)
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Draw live bytes, the slab and the operations over time, before and after.

    Of a report: for each region, the stock compiler's order and layout beside those that were
    compiled, with the buffers of the peak by name. Of a CSV file: greedy offsets in the order of
    the file, as IREE assigns them, beside those of the exact search. A page of HTML describes the
    element under the pointer; it is one file and needs no network.
    """
    if output.suffix.lower() not in plotting.FORMATS:
        raise SerenityError(
            f"--output: expected a name that ends in .svg, .png or .html, got {output}",
            exit_code=_USAGE,
        )
    try:
        with working(f"drawing {source}"):
            rows = plotting.plot(source, output, time_limit=time_limit)
    except OSError as error:
        raise SerenityError(f"{error.filename}: {error.strerror}", exit_code=_USAGE) from None
    except ValueError as error:  # also OffsetsError and ReportError, which name file and place
        raise SerenityError(
            str(error) if str(source) in str(error) else f"{source}: {error}", exit_code=_USAGE
        ) from None
    if as_json:
        panels = [{"title": one.title, "bytes": one.height_bytes} for row in rows for one in row]
        typer.echo(json.dumps({"output": str(output), "panels": panels}, indent=2))
        return
    for row in rows:
        for panel in row:
            typer.echo(f"{panel.title}: {panel.height_bytes:,} bytes of slab")
    typer.echo(f"wrote {output}")

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity pack``: offsets for buffers with known lifetimes."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from serenity_mlir.cli._terminal import working
from serenity_mlir.core.offsets import (
    RULES,
    Buffers,
    OffsetsError,
    pack_buffers,
    parse_csv,
    verify,
    write_csv,
)
from serenity_mlir.errors import SerenityError

app = typer.Typer(help="Assign offsets to buffers with known lifetimes.", add_completion=False)

_USAGE = 2
_CAPACITY_MISSED = 3

EXIT_CODES = (_CAPACITY_MISSED,)


class _Algorithm(str, Enum):
    """The choices of ``--algorithm``."""

    exact = "exact"
    greedy = "greedy"
    iree = "iree"


def _read(path: Path, free: bool) -> Buffers:
    try:
        if str(path) == "-":
            text, source = sys.stdin.read(), "<stdin>"
        else:
            text, source = path.read_text(encoding="utf-8-sig"), str(path)
        return parse_csv(text, source=source, fixed=not free)
    except OffsetsError as error:
        raise SerenityError(str(error), exit_code=_USAGE) from None
    except UnicodeDecodeError:
        raise SerenityError(f"{path}: not a text file", exit_code=_USAGE) from None
    except OSError as error:
        raise SerenityError(f"{path}: {error.strerror}", exit_code=_USAGE) from None


@app.command(epilog="Example: serenity pack buffers.csv --capacity 1048576 --json")
def pack(
    buffers_file: Annotated[
        Path,
        typer.Argument(
            help="Buffers in MiniMalloc's CSV format; - for standard input.", metavar="BUFFERS"
        ),
    ],
    capacity: Annotated[
        int | None,
        typer.Option(help="Decide whether all fits into so many bytes; 3 if it does not.", min=0),
    ] = None,
    alignment: Annotated[
        int, typer.Option(help="Every offset is a multiple of it, in bytes.", min=1)
    ] = 1,
    range_alignment: Annotated[
        int, typer.Option(help="Every size is rounded up to a multiple of it, in bytes.", min=1)
    ] = 1,
    algorithm: Annotated[
        _Algorithm,
        typer.Option(help="exact search, the best of several greedy orders, or IREE's packer."),
    ] = _Algorithm.exact,
    time_limit: Annotated[
        float, typer.Option(help="Seconds; then the best packing found is printed.", min=0)
    ] = 10.0,
    node_limit: Annotated[
        int, typer.Option(help="Deterministic cut-off in nodes of the search; 0: none.", min=0)
    ] = 0,
    disable: Annotated[
        list[str] | None,
        typer.Option(help=f"Switch an inference off (repeatable): {', '.join(RULES)}."),
    ] = None,
    free: Annotated[
        bool, typer.Option("--free", help="Ignore the offset column instead of fixing offsets.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write the CSV with the offsets to this file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Assign offsets of least height to buffers with known lifetimes.

    If nothing is found that fits into --capacity, "infeasible" in the JSON tells whether that is
    proved.
    """
    buffers = _read(buffers_file, free)
    try:
        with working(f"placing the buffers of {buffers_file}"):
            packing = pack_buffers(
                buffers,
                algorithm=algorithm.value,
                capacity=capacity,
                offset_alignment=alignment,
                range_alignment=range_alignment,
                time_limit=time_limit,
                node_limit=node_limit,
                disable=disable or (),
            )
    except OffsetsError as error:
        raise SerenityError(f"{buffers_file}: {error}", exit_code=_USAGE) from None
    missed = capacity is not None and packing.height_bytes > capacity
    conflict = verify(
        buffers,
        packing.offsets,
        capacity=None if missed else capacity,
        offset_alignment=alignment,
        range_alignment=range_alignment,
    )
    if conflict is not None:
        raise AssertionError(f"the packer returned an invalid packing, please report: {conflict}")
    if output is not None:
        try:
            write_csv(output, buffers, packing.offsets)
        except OSError as error:
            raise SerenityError(f"{output}: {error.strerror}", exit_code=_USAGE) from None
    if as_json:
        typer.echo(json.dumps(packing.to_dict()))
    else:
        if packing.optimal:
            proof = f"optimal, proved by {packing.proved_by}"
        else:
            gap = packing.height_bytes - packing.lower_bound_bytes
            proof = f"not proved optimal, {gap:,} bytes above the bound"
        typer.echo(f"buffers      {len(buffers):,}")
        typer.echo(f"height       {packing.height_bytes:,} bytes ({proof})")
        typer.echo(f"lower bound  {packing.lower_bound_bytes:,} bytes")
        typer.echo(f"search       {packing.nodes:,} nodes, {packing.seconds:.3f} s")
    if missed:
        assert capacity is not None
        if not as_json:
            reason = (
                "it is proved that nothing does"
                if packing.infeasible
                else "whether anything does is open; raise --time-limit"
            )
            typer.echo(
                f"error: nothing found that fits into {capacity:,} bytes; {reason}", err=True
            )
        raise typer.Exit(_CAPACITY_MISSED)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity peak``: the memory that models will need, without making code for them."""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from functools import partial
from typing import Annotated, Any

import typer

from serenity_mlir.cli import _many
from serenity_mlir.cli._model import FixDimOption, parse_fixed

EXIT_CODES = (1,)

app = typer.Typer(add_completion=False)


class _Effort(str, Enum):
    """The choices of ``--effort``."""

    full = "full"
    fast = "fast"


def peak_of(model: str, effort: Any, flags: list[str], fix_dims: dict[str, int]) -> dict[str, Any]:
    """Work for `run_many`: `serenity_mlir.peak` as JSON."""
    from serenity_mlir.compiling.peak_memory import peak

    return dataclasses.asdict(peak(model, effort=effort, flags=flags, fix_dims=fix_dims))


@app.command(
    "peak",
    epilog="Example: serenity peak models/ --effort fast --results peaks.jsonl",
)
def peak_command(
    models: _many.ModelsArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    effort: Annotated[
        _Effort, typer.Option(help="full: all optimizations; fast: no rewriting (an upper bound).")
    ] = _Effort.full,
    flag: Annotated[
        list[str] | None, typer.Option(help="A flag for the compiler (repeatable).")
    ] = None,
    fix_dim: FixDimOption = None,
    results: _many.ResultsOption = None,
    jobs: _many.JobsOption = None,
    dask: _many.DaskOption = None,
) -> None:
    """Say how much memory models will need, without making code for them.

    In bytes: the slab of one call, with serenity and without; inputs and results; the memory
    that is live after loading.
    """
    from serenity_mlir.running import find_models

    settings: dict[str, Any] = {
        "effort": effort.value,
        "flags": flag or [],
        "fix_dims": parse_fixed(fix_dim),
    }
    records = _many.run(
        partial(peak_of, **settings),
        find_models(models),
        settings=settings,
        results=results,
        jobs=jobs,
        dask=dask,
    )
    if as_json:
        typer.echo(json.dumps([record.to_dict() for record in records], indent=2))
    else:
        _print(records)
    if code := _many.exit_code(records):
        raise typer.Exit(code)


def _print(records: list[Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("bytes", overflow="fold")
    for heading in ("IREE", "serenity", "in and out", "persistent", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for record in records:
        if record.result is not None:
            sizes = [
                f"{record.result[field]:,}"
                for field in (
                    "stock_transient_bytes",
                    "transient_bytes",
                    "external_bytes",
                    "persistent_bytes",
                )
            ]
            table.add_row(record.model, *sizes, f"{record.seconds:.2f}")
    if table.row_count:
        Console().print(table)
    for record in records:
        if record.error is not None:
            typer.echo(f"error: {record.error}", err=True)

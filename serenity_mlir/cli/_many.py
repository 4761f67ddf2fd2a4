# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Commands over many models: their common options, progress, and lists of failures."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from serenity_mlir.running import Record, Work, run_many

__all__ = [
    "DaskOption",
    "JobsOption",
    "ModelsArgument",
    "ResultsOption",
    "exit_code",
    "follow",
    "run",
]

ModelsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL",
        help="Files (.mlir, .mlirbc, .onnx, .pt2), folders of them, names from `serenity networks "
        "list`, or @FILE with one of these per line.",
    ),
]
ResultsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.jsonl",
        help="Append a line per finished model; models listed there are skipped.",
    ),
]
JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Models at a time, each in a process; default: all CPUs.")
]
DaskOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Run on this Dask cluster, tcp://HOST:8786."),
]


def follow(records: Iterator[Record], total: int, what: str) -> Iterator[Record]:
    """Pass records on as they come, with progress on a terminal; `what` names many of them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        task = progress.add_task(what, total=total)
        failed = 0
        for record in records:
            failed += record.error is not None
            progress.update(
                task, advance=1, description=f"{what}, {failed} failed" if failed else what
            )
            yield record


def run(
    work: Work,
    models: Sequence[str],
    *,
    settings: Mapping[str, Any],
    results: Path | None,
    jobs: int | None,
    dask: str | None,
) -> list[Record]:
    """Run `run_many` with progress on a terminal, and return the records in the models' order."""
    records = run_many(work, models, settings=settings, results=results, jobs=jobs, dask=dask)
    found = {record.model: record for record in follow(records, len(models), "models")}
    return [found[model] for model in models]


def exit_code(records: Sequence[Record]) -> int:
    """Return the code that many models' failures give: the first one's own."""
    return next((record.exit_code for record in records if record.exit_code), 0)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity schedule``: the order of least peak memory of a graph instance."""

from __future__ import annotations

import contextlib
import json
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from serenity_mlir.core.scheduling import (
    SWITCHES,
    PeakDistribution,
    Problem,
    ProblemError,
    Progress,
    TooManyStatesError,
    peak_distribution,
    simulate,
)
from serenity_mlir.core.scheduling import schedule as solve
from serenity_mlir.errors import SerenityError

app = typer.Typer(
    help="Find the order of least peak memory of a graph instance.", add_completion=False
)

_INTERRUPTED = 130
_USAGE = 2


class _Scheduler(str, Enum):
    """The choices of ``--scheduler``."""

    exact = "exact"
    serenity = "serenity"
    heuristic = "heuristic"


def _read(path: Path) -> Problem:
    try:
        if str(path) == "-":
            try:
                return Problem.from_json(sys.stdin.read())
            except ProblemError as error:
                raise ProblemError(f"<stdin>: {error}") from None
        return Problem.from_file(path)
    except ProblemError as error:
        raise SerenityError(str(error), exit_code=_USAGE) from None
    except OSError as error:
        raise SerenityError(f"{path}: {error.strerror}", exit_code=_USAGE) from None


def _report_progress(state: Progress) -> bool:
    gap = state.incumbent_bytes - state.lower_bound_bytes
    typer.echo(
        f"\r{state.seconds:7.1f} s  {state.states:,} states  bound {state.lower_bound_bytes:,}  "
        f"incumbent {state.incumbent_bytes:,}  gap {gap:,} bytes\033[K",
        err=True,
        nl=False,
    )
    return True


def _count_orders(problem: Problem, output: Path, title: str) -> PeakDistribution:
    """Counts all orders by peak and draws them, the file's order pointed out."""
    from serenity_mlir.reports import plotting

    if output.suffix.lower() not in plotting.FORMATS:
        raise SerenityError(
            f"--distribution: expected a name that ends in .svg or .png, got {output}",
            exit_code=_USAGE,
        )
    try:
        found = peak_distribution(problem)
    except TooManyStatesError as error:
        raise SerenityError(f"--distribution: {error}", exit_code=_USAGE) from None
    marks = {}
    # No mark if an operation of the file stands before one that it must follow.
    with contextlib.suppress(ProblemError):
        marks["the file's order"] = simulate(problem, range(len(problem.operations))).peak_bytes
    try:
        plotting.save(plotting.draw_distribution(found, marks, title), output)
    except OSError as error:
        raise SerenityError(f"{output}: {error.strerror}", exit_code=_USAGE) from None
    return found


@app.command(epilog="Example: serenity schedule graph.json --json")
def schedule(
    graph: Annotated[
        Path, typer.Argument(help="Graph instance in JSON; - for standard input.", metavar="GRAPH")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    scheduler: Annotated[
        _Scheduler, typer.Option(help="exact search, the paper's algorithm, or no search.")
    ] = _Scheduler.exact,
    time_limit: Annotated[
        float, typer.Option(help="Seconds; 0: heuristics and bounds alone.", min=0)
    ] = 10.0,
    state_limit: Annotated[
        int, typer.Option(help="Deterministic cut-off in expanded states; 0: none.", min=0)
    ] = 0,
    memory_limit: Annotated[int, typer.Option(help="Bytes of the state store.", min=1)] = 1 << 30,
    seed: Annotated[
        int, typer.Option(help="Seed for another order of the same peak; 0: none.", min=0)
    ] = 0,
    disable: Annotated[
        list[str] | None,
        typer.Option(help=f"Switch a rule off (repeatable): {', '.join(SWITCHES)}."),
    ] = None,
    distribution: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Count all orders by peak, exactly, and draw them (.svg, .png).",
        ),
    ] = None,
    progress: Annotated[
        bool | None,
        typer.Option(help="Show states, bound and incumbent; by default on a terminal."),
    ] = None,
) -> None:
    """Find the order of least peak memory of a graph instance.

    The answer is the best order found; "optimal" says whether it is proved to be the best. Ctrl-C
    ends the search, prints the best order so far and exits with 130.
    """
    problem = _read(graph)
    unknown = [name for name in disable or () if name not in SWITCHES]
    if unknown:
        raise SerenityError(
            f"--disable: unknown switch '{unknown[0]}'; known are {', '.join(SWITCHES)}",
            exit_code=_USAGE,
        )
    show = sys.stderr.isatty() if progress is None else progress
    result = solve(
        problem,
        scheduler=scheduler.value,
        time_limit=time_limit,
        state_limit=state_limit,
        memory_limit=memory_limit,
        seed=seed,
        disable=disable or (),
        progress=_report_progress if show else None,
    )
    if show:
        typer.echo("\r\033[K", err=True, nl=False)
    counted = None
    if distribution is not None and not result.interrupted:
        counted = _count_orders(problem, distribution, "" if str(graph) == "-" else graph.stem)
    if as_json:
        data = result.to_dict()
        if counted is not None:
            data["distribution"] = {"peaks": counted.peaks, "counts": counted.counts}
        typer.echo(json.dumps(data))
    else:
        for name, live in zip(result.names, result.live_bytes, strict=True):
            marker = "  <- peak" if live == result.peak_bytes else ""
            typer.echo(f"{live:>20,}  {name}{marker}")
        typer.echo()
        typer.echo(f"peak         {result.peak_bytes:,} bytes")
        proof = f"optimal, proved by {result.proved_by}" if result.optimal else "not proved optimal"
        gap = result.peak_bytes - result.lower_bound_bytes
        percent = 100 * gap / result.lower_bound_bytes if result.lower_bound_bytes else 0.0
        typer.echo(
            f"lower bound  {result.lower_bound_bytes:,} bytes ({proof}; gap {percent:.1f} %)"
        )
        typer.echo(f"states       {result.states:,}")
        typer.echo(f"seconds      {result.seconds:.4f}")
        if counted is not None:
            typer.echo()
            typer.echo(f"{'peak, bytes':>20}  {'orders':>30}  no more than this")
            for peak, count in zip(counted.peaks, counted.counts, strict=True):
                typer.echo(f"{peak:>20,}  {count:>30,}  {counted.share_within(peak):.4%}")
    if result.interrupted:
        raise typer.Exit(_INTERRUPTED)

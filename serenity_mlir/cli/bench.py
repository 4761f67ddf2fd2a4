# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity bench``: measure the documentation's figures again, on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from serenity_mlir.benchmarking.session import Step
    from serenity_mlir.running import Record

#: Exit code where a measurement of serenity failed or disagreed with a prediction.
DISAGREES = 4

app = typer.Typer(add_completion=False)


def _split(values: list[str] | None) -> list[str]:
    return [part for value in values or [] for part in value.split(",") if part]


def _pythons(values: list[str] | None) -> dict[str, str]:
    from serenity_mlir.benchmarking.peer_runs import PEERS

    pythons = {}
    for value in values or []:
        name, equals, path = value.rpartition("=")
        if name not in ("", *PEERS) or not path or (equals and not name):
            raise typer.BadParameter(
                f"{value!r} is neither PATH nor NAME=PATH with a name out of {', '.join(PEERS)}",
                param_hint="--peer-python",
            )
        pythons[name] = path
    return pythons


@app.command("bench", epilog="Example: serenity bench -o results --networks swiftnet_c --quick")
def bench(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results.json instead of the names of files.")
    ] = False,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for records and reports; an existing one is resumed."
        ),
    ] = Path("serenity-bench"),
    networks: Annotated[
        list[str] | None,
        typer.Option(help="Networks or ONNX files (repeatable, or separated by commas)."),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="Only networks of this set (repeatable).")
    ] = None,
    family: Annotated[
        list[str] | None, typer.Option(help="Only networks of this family (repeatable).")
    ] = None,
    peers: Annotated[
        str, typer.Option(help="Other systems: all, none, or names separated by commas.")
    ] = "all",
    peer_python: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]PATH", help="Interpreter with the packages of a peer, or of all."
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Only the bytes that the compilers allocate; run nothing."),
    ] = False,
    run: Annotated[
        list[str] | None,
        typer.Option(help="Run only these networks, or those of a set (repeatable); default all."),
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(
            metavar="int8|uint8", help="Compile quantized versions too; needs onnxruntime."
        ),
    ] = None,
    run_quantized: Annotated[
        bool,
        typer.Option(help="Run quantized versions and compare their outputs, unless --quick."),
    ] = True,
    latency: Annotated[bool, typer.Option(help="Measure latency.")] = True,
    time_limit: Annotated[
        float, typer.Option(min=1, help="Seconds per network and system.")
    ] = 600.0,
    jobs: Annotated[
        int, typer.Option(min=1, help="Networks at a time; more than 1 disturbs latencies.")
    ] = 1,
) -> None:
    """Measure memory, schedulers, latency and other systems on many networks, and write a report.

    Writes results.json, results.md and results.html with pictures into the folder. Results that
    are there already, from the same versions, are not made again; failures are. A failure is
    a row of the report and stops nothing; exits with 4 if one is serenity's.
    """
    from serenity_mlir.benchmarking import session
    from serenity_mlir.benchmarking.peer_runs import PEERS

    wanted = {"all": list(PEERS), "none": []}.get(peers, _split([peers]))
    for name in wanted:
        if name not in PEERS:
            raise typer.BadParameter(
                f"no peer {name!r}; known are: {', '.join(PEERS)}", param_hint="--peers"
            )
    if quantize not in (None, "int8", "uint8"):
        raise typer.BadParameter(f"{quantize!r} is neither int8 nor uint8", param_hint="--quantize")
    models = session.select_models(_split(networks), _split(sets), _split(family))
    selection = session.Selection(
        models=models,
        runs=[] if quick else session.select_runs(models, _split(run)),
        peers=wanted,
        peer_python=_pythons(peer_python),
        scheduling=not quick,
        storage=quantize,  # type: ignore[arg-type]
        run_quantized=run_quantized,
        timing=latency,
        seconds=time_limit,
        jobs=jobs,
    )
    steps, skipped = session.plan(selection, output)

    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for reason in skipped.values():
        console.print(f"skipped: {reason}", markup=False)
    found = _run(steps, output, jobs, console)

    from serenity_mlir.benchmarking import report
    from serenity_mlir.benchmarking.results import collect

    results = collect(selection, found, skipped)
    paths = report.write(results, output)
    if as_json:
        typer.echo(json.dumps(results.to_dict(), indent=1))
    else:
        for path in paths:
            typer.echo(f"wrote {path}")
    if results.our_failures:
        for name, reason in results.our_failures.items():
            typer.echo(f"{name}: {reason}", err=True)
        raise typer.Exit(DISAGREES)


def _run(
    steps: list[Step], output: Path, jobs: int, console: object
) -> dict[str, dict[str, Record]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from serenity_mlir.benchmarking import session
    from serenity_mlir.benchmarking.work import model_name

    assert isinstance(console, Console)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
        console=console,
    ) as progress:
        bars = {
            step.name: progress.add_task(step.title, total=len(step.models), start=False, last="")
            for step in steps
        }

        def show(step: Step, record: Record) -> None:
            name = model_name(record.model)
            progress.start_task(bars[step.name])
            progress.update(bars[step.name], advance=1, last=name)
            if record.result is None:
                reason = (record.error or "").strip().splitlines()
                line = f"{step.title}: {name} failed: {reason[-1] if reason else 'no message'}"
                progress.console.print(line, markup=False)
            elif not console.is_terminal and not record.resumed:
                progress.console.print(
                    f"{step.title}: {name} ({record.seconds:.1f} s)", markup=False
                )

        return session.run(steps, output, jobs, show)

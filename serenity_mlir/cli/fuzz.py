# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity fuzz``: both compilers on random programs."""

from __future__ import annotations

import json
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from serenity_mlir.errors import SerenityError

#: Exit code of a comparison that failed (docs/cli.md).
DISAGREES = 4

#: Beside those of every command.
EXIT_CODES = (1, DISAGREES)

app = typer.Typer(add_completion=False)


class _Run(str, Enum):
    none = "none"
    vmvx = "vmvx"
    llvm_cpu = "llvm-cpu"


class _Rewrite(str, Enum):
    mix = "mix"
    auto = "auto"
    off = "off"
    always = "always"


@app.command("fuzz", epilog="Example: serenity fuzz --count 200 --seed 1 --keep failing/")
def fuzz(
    count: Annotated[int, typer.Option(min=1, help="Number of programs.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    first: Annotated[int, typer.Option(min=0, help="Number of the first program.")] = 0,
    run: Annotated[
        _Run,
        typer.Option(help="Run the modules of this backend; none: compare their stream phase."),
    ] = _Run.none,
    rewrite: Annotated[
        _Rewrite, typer.Option(help="--serenity-rewrite of all programs; mix: of each in turn.")
    ] = _Rewrite.mix,
    group: Annotated[
        int,
        typer.Option(min=1, help="Programs per module (with --run none): more take less time."),
    ] = 1,
    batch: Annotated[
        int, typer.Option(min=1, help="Programs per process of a compiler (with --run none).")
    ] = 40,
    jobs: Annotated[int, typer.Option(min=1, help="Batches at a time.")] = 1,
    generator: Annotated[
        int | None,
        typer.Option(min=1, help="Version of the generator; the newest if not given."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Reduce failing programs and write them into this folder."),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="File of JSON lines, one per batch; started again, only the rest is done."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compile random programs stock and with serenity, and compare.

    Without --run, the modules of the stream phase: slabs as predicted, never larger than stock's.
    With it, runs both: outputs and the runtime's allocations. Programs that the stock compiler
    refuses are counted, and no failure.
    """
    from serenity_mlir.cli._many import follow
    from serenity_mlir.fuzzing import GENERATOR_VERSION, Settings, Totals, batches, run_batch
    from serenity_mlir.running import run_many

    version = generator or GENERATOR_VERSION
    if version > GENERATOR_VERSION:
        raise typer.BadParameter(f"the newest version is {GENERATOR_VERSION}")
    settings = Settings(
        seed=seed,
        run=run.value,
        rewrite=rewrite.value,
        group=group,
        batch=batch if run is _Run.none else min(batch, 10),
        keep=None if keep is None else str(keep),
        generator=version,
    )
    fields = {
        "run": run.value,
        "rewrite": rewrite.value,
        "group": group,
        "seed": seed,
        "generator": version,
    }
    totals = Totals()
    errors = []
    names = batches(settings, first, count)
    records = run_many(
        partial(run_batch, settings=settings),
        names,
        settings=fields,
        results=results,
        jobs=jobs,
    )
    for record in follow(records, len(names), "batches"):
        if record.result is None:
            errors.append(f"{record.model}: {record.error}")
            continue
        totals.add([dict(record.result)])
        for failure in record.result["failures"]:
            where = f", reduced in {failure['reproducer']}" if failure["reproducer"] else ""
            typer.echo(
                f"seed {seed}, program {failure['index']} ({failure['mode']}): "
                f"{failure['kind']}: {failure['text']}{where}",
                err=True,
            )
    if as_json:
        data = {"schema": 1, "first": first, **fields, **totals.to_dict(), "errors": errors}
        typer.echo(json.dumps(data, indent=2))
    else:
        typer.echo(
            f"seed {seed}, programs {first} to {first + count - 1} (generator {version}): "
            f"{totals.programs} compared "
            f"({totals.functions} entry points, {totals.operations} operations), "
            f"{len(totals.failures)} not as promised, "
            f"{len(totals.refused)} refused by the stock compiler"
        )
        for reason, indices in totals.reasons().items():
            shown = ", ".join(map(str, indices[:5])) + (", ..." if len(indices) > 5 else "")
            typer.echo(f"  {len(indices)} refused ({shown}): {reason}")
    if errors:
        raise SerenityError("; ".join(errors))
    if totals.failures:
        raise typer.Exit(DISAGREES)

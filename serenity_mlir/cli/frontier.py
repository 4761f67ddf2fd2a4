# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity frontier``: the choices between memory and time that a model leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenity_mlir.cli._model import (
    FixDimOption,
    ModelArgument,
    check_model_comes_first,
    parse_fixed,
)
from serenity_mlir.cli._terminal import working
from serenity_mlir.errors import SerenityError

if TYPE_CHECKING:
    from serenity_mlir.measuring.frontier import Frontier

EXIT_CODES = (1,)

app = typer.Typer(add_completion=False)


@app.command(
    "frontier",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: serenity frontier swiftnet_c --time -o swiftnet_c.html",
)
def frontier_command(
    context: typer.Context,
    model: ModelArgument,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The .html, .svg, .png or .json to write."),
    ] = None,
    timing: Annotated[
        bool, typer.Option("--time", help="Measure the latency of every point too, one thread.")
    ] = False,
    budgets: Annotated[
        int, typer.Option(min=0, help="Memory budgets to compile between the settings.")
    ] = 3,
    others: Annotated[
        Path | None,
        typer.Option(
            metavar="RESULTS.json",
            help="Draw other systems too: results.json of serenity bench with the same network.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the inputs.")] = 0,
    fix_dim: FixDimOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compile a model under several settings, and print memory, time and flags of each.

    The settings are the stock compiler, order and offsets alone, rewriting without and with more
    extra work, and memory budgets between them. A setting in parentheses needs at least as many
    bytes and as much time as another one. All other flags are iree-compile's.
    """
    from serenity_mlir.measuring.frontier import frontier
    from serenity_mlir.reports.frontier_picture import FORMATS, write_frontier

    check_model_comes_first(model)
    for flag in context.args:
        if flag.startswith("--serenity-"):
            raise typer.BadParameter(
                f"{flag}: the settings choose serenity's flags", param_hint="ARGUMENTS"
            )
    if output is not None and output.suffix.lower() not in FORMATS:
        raise SerenityError(
            f"--output: expected a name that ends in {', '.join(FORMATS)}; got {output}",
            exit_code=2,
        )
    beside = None if others is None else _other_systems(others, Path(model).stem)
    with working(f"compiling {model}"):
        found = frontier(
            model,
            flags=context.args,
            budgets=budgets,
            timing=timing,
            seed=seed,
            fix_dims=parse_fixed(fix_dim),
        )
    if output is not None:
        try:
            write_frontier(found, output, beside)
        except OSError as error:
            raise SerenityError(f"{error.filename}: {error.strerror}", exit_code=2) from None
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    _print(found)
    if output is not None:
        typer.echo(f"wrote {output}")


def _other_systems(results: Path, network: str) -> dict[str, int]:
    """Returns the transient bytes of other systems for a network.

    Raises:
      SerenityError: the file is not one of `serenity bench`, or has no figures for the network
        (exit code 2).
    """
    from serenity_mlir.benchmarking.results import IREE, OURS

    try:
        systems = json.loads(results.read_text("utf-8"))["systems"]["without_io"]
        found = {
            name: int(size)
            for name, size in systems.get(network, {}).items()
            if name not in (IREE, OURS)
        }
    except OSError as error:
        raise SerenityError(f"{results}: {error.strerror}", exit_code=2) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SerenityError(
            f"{results}: not a results.json that serenity bench has written", exit_code=2
        ) from None
    if not found:
        raise SerenityError(
            f"{results} has no other system's bytes for {network}; "
            f"run: serenity bench --networks {network}",
            exit_code=2,
        )
    return found


def _print(found: Frontier) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from serenity_mlir.reports.frontier_picture import headings, rows

    table = Table(box=box.SIMPLE_HEAD, title=found.model, title_justify="left")
    # The flags, the last column of a page, take lines of their own: they must not be broken.
    for number, heading in enumerate(headings(found)[:-1]):
        table.add_column(heading, justify="right" if number else "left")
    listed = rows(found)
    for row in listed:
        table.add_row(*row[:-1])
    console = Console()
    console.print(table, markup=False, highlight=False)
    for row in listed:
        console.print(f"  {row[0]}: {row[-1]}", markup=False, highlight=False, soft_wrap=True)

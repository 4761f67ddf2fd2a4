# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity check --target``: emitted code on a processor without an operating system."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from serenity_mlir.cli._terminal import working

if TYPE_CHECKING:
    from serenity_mlir.emitting.checking import TargetCheck
    from serenity_mlir.emitting.harness import Run

__all__ = ["check_on_target"]


def check_on_target(
    models: Sequence[str], target: str, emulate: bool, settings: dict[str, Any], as_json: bool
) -> bool:
    """Check models on a target, one after the other; return whether everything holds.

    Args:
      models: as on the command line.
      target: its name.
      emulate: whether to emulate it, which every target but the host needs.
      settings: of `serenity_mlir.check`; those about dynamic shapes and times are not used.
      as_json: print JSON.
    """
    from serenity_mlir.emitting.checking import check_target
    from serenity_mlir.emitting.targets import target_named

    if target_named(target).bare_metal and not emulate:
        raise typer.BadParameter(
            f"{target} is not this machine; add --emulate to run it on an emulated board",
            param_hint="--target",
        )
    if len(settings["functions"]) > 1:
        raise typer.BadParameter("one function at a time on a target", param_hint="--function")
    results = []
    for model in models:
        with working(f"checking {model} on {target}"):
            result = check_target(
                model,
                target,
                seed=settings["seed"],
                function=next(iter(settings["functions"]), None),
                flags=settings["flags"],
                serenity_flags=settings["serenity_flags"],
                fix_dims=settings.get("fix_dims"),
                inputs=settings.get("inputs"),
                arena_holds_io=settings["arena_holds_io"],
            )
        results.append(result)
        if not as_json:
            _print(result)
    if as_json:
        data = [result.to_dict() for result in results]
        typer.echo(json.dumps(data if len(data) > 1 else data[0], indent=2))
    return all(result.ok for result in results)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _run_rows(stock: Run | None, ours: Run) -> list[tuple[str, str, str]]:
    names = (
        ("linked", "linked_bytes"),
        ("touched", "touched_bytes"),
        ("stack", "stack_bytes"),
        ("smallest RAM, 4,096 of stack", "ram_bytes"),
        ("instructions", "instructions"),
    )
    return [
        (title, _number(getattr(stock, name, None)), _number(getattr(ours, name)))
        for title, name in names
    ]


def _print(result: TargetCheck) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from serenity_mlir.cli.emit_c import size_rows

    title = f"{result.model} on {result.serenity.target.title}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("bytes")
    for heading in ("IREE default", "serenity"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("predicted", "-", _number(result.serenity.predicted_bytes))
    for row in [
        *_run_rows(result.stock_run, result.serenity_run),
        *size_rows(result.stock, result.serenity),
    ]:
        table.add_row(*row)
    console = Console()
    console.print(table)
    plain: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
    if result.stock_problem:
        console.print(f"  the stock compiler's result: {result.stock_problem}", **plain)
    if result.difference is not None:
        equal = " (bitwise equal)" if result.difference.bitwise else ""
        console.print(
            f"  largest output difference from stock: {result.difference.largest:.3g}{equal}",
            **plain,
        )
    equal = " (bitwise equal)" if result.host_difference.bitwise else ""
    console.print(
        f"  largest output difference from IREE's runtime on this machine: "
        f"{result.host_difference.largest:.3g}{equal}",
        **plain,
    )
    guards = "intact" if not result.serenity_run.damaged_bytes else "damaged"
    console.print(f"  guards around the arena: {guards}", **plain)
    for problem in result.disagreements:
        console.print(f"  DISAGREES: {problem}", **plain)
    verdict = "all predictions hold" if result.ok else "the check failed"
    console.print(f"{result.model} on {result.target}: {verdict}", **plain)

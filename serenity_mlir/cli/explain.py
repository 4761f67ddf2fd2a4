# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity explain``: explains a report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from serenity_mlir.errors import SerenityError
from serenity_mlir.reports.explaining import Explanation, LiveBuffer, Peak, explain
from serenity_mlir.reports.formulas import BytesFormula, describe_bound, describe_symbol
from serenity_mlir.reports.reporting import ReportError, load_report
from serenity_mlir.reports.wide_values import WideValue

app = typer.Typer(
    help="Explain a report: buffers live at the peak, and the peak after each step.",
    add_completion=False,
)

_USAGE = 2

_EXAMPLE = "Example: serenity explain report.json"


def _reason(live: LiveBuffer) -> str:
    later = f"{live.later_uses} later use{'' if live.later_uses == 1 else 's'}"
    waits = ""
    if live.next_use is not None:
        waits = f"{live.next_use} needs it at step {live.next_step}"
        if live.later_uses > 1:
            waits += f" ({later}, the last at step {live.last})"
    doing = {
        "reads": "read here",
        "writes": "written here",
        "updates": "updated in place here",
        "holds": "",
    }[live.role]
    if doing and waits:
        return f"{doing}; {waits}"
    if doing and live.role == "reads":
        return f"{doing} for the last time"
    return doing or waits or f"live until step {live.last}"


def _print_peak(peak: Peak) -> None:
    names = " and ".join(peak.operations)
    if not names:
        # Where a buffer begins that is written in parts later.
        names = ", ".join(f"{b.label} begins" for b in peak.buffers if b.first == peak.step)
    runs = f", {names}" if names else ""
    count = len(peak.buffers)
    typer.echo(
        f"  The peak is step {peak.step} of {peak.steps}{runs}: {peak.bytes:,} bytes in "
        f"{count} buffer{'' if count == 1 else 's'}."
    )
    width = max((len(live.label) for live in peak.buffers), default=0)
    typed = max((len(live.element_type or "") for live in peak.buffers), default=0)
    for live in peak.buffers:
        since = f"from step {live.first:<4}"
        kind = f"{live.element_type or '':<{typed}}  " if typed else ""
        typer.echo(f"  {live.bytes:>13,}  {kind}{live.label:<{width}}  {since}  {_reason(live)}")


def _print_wide(explanation: Explanation) -> None:
    """Print the values of a quantized network that are stored in 32 bits, alike ones as one."""
    if not explanation.quantized_values:
        return
    if not explanation.wide_values:
        typer.echo("\n  No value that the model quantizes is stored in 32 bits.")
        return
    typer.echo("\n  Stored in 32 bits, quantized in the model:")
    alike: dict[tuple[str, str, str, str], list[WideValue]] = {}
    for value in explanation.wide_values:
        key = value.label, value.element_type, value.stored_as, value.reason
        alike.setdefault(key, []).append(value)
    width = max(len(key[0]) for key in alike)
    for (label, element, stored, reason), values in alike.items():
        times = f" ({len(values)} buffers, the largest)" if len(values) > 1 else ""
        typer.echo(
            f"  {values[0].bytes:>13,}  {element} for {stored}  {label:<{width}}  {reason}{times}"
        )


def _print_formula(name: str, formula: BytesFormula, stock: BytesFormula | None) -> None:
    """Print bytes that depend on dimensions, their values at the hints and at the bounds."""
    behind = f"; stock: {stock.text}" if stock else ""
    typer.echo(f"{name}: {formula.text} bytes of transient memory{behind}.")
    for symbol in formula.symbols:
        stands = describe_symbol(symbol)
        typer.echo(f"  {symbol.name} is {stands}; below, where it is {symbol.hint}:")
    at_hint = f"; stock: {stock.hint_bytes:,}" if stock else ""
    typer.echo(f"  {formula.hint_bytes:,} bytes{at_hint}.")
    typer.echo(f"  {describe_bound(formula, stock)}.")


def _print(explanation: Explanation) -> None:
    name = explanation.exported_as or explanation.function
    needs = explanation.transient_peak_bytes
    stock = explanation.stock_transient_peak_bytes
    formula = explanation.bytes_formula
    if needs is None and formula is not None:
        _print_formula(name, formula, explanation.stock_bytes_formula)
    elif needs is None:
        typer.echo(f"{name}: cannot predict the transient memory: dynamically sized allocation.")
    elif stock is None:
        typer.echo(f"{name}: {needs:,} bytes of transient memory.")
    else:
        ratio = f", {stock / needs:.2f} times as much" if needs and stock != needs else ""
        typer.echo(f"{name}: {needs:,} bytes of transient memory; stock: {stock:,}{ratio}.")
    peaks = [peak for peak in explanation.peaks if peak is not None]
    for number, peak in enumerate(explanation.peaks):
        if peak is not None:
            typer.echo("")
            if len(peaks) > 1:
                typer.echo(f"  Region {number}:")
            _print_peak(peak)
    _print_wide(explanation)
    if explanation.gains:
        typer.echo("\n  Transient peak after each step, in bytes:")
        for gain in explanation.gains:
            saved = "" if gain.step == "stock" else f"{-gain.saved_bytes:+,}"
            typer.echo(f"  {gain.bytes:>13,}  {saved:>12}  {gain.description}")
    if explanation.notes:
        typer.echo("")
        for note in explanation.notes:
            typer.echo(f"  {note[0].upper()}{note[1:]}")


@app.command("explain", epilog=_EXAMPLE)
def explain_command(
    source: Annotated[
        Path, typer.Argument(help="The JSON of --serenity-report.", metavar="REPORT")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Explain a report: the buffers live at the peak, and the peak after each step.

    All sizes are in bytes. Of every buffer that is live at the peak, the operation that still needs
    it is named; of every step between the stock compiler and the result, the bytes saved. Of a
    quantized network, the values that are stored in 32 bits are listed with the reason.
    """
    try:
        explanations = explain(load_report(source))
    except ReportError as error:
        raise SerenityError(str(error), exit_code=_USAGE) from None
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(entry) for entry in explanations], indent=2))
        return
    if not explanations:
        typer.echo("The report lists no function that runs after loading.")
    for number, entry in enumerate(explanations):
        if number:
            typer.echo("")
        _print(entry)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity check``: does the predicted memory hold on the runtime?"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serenity_mlir._files import write_whole
from serenity_mlir.cli import _many
from serenity_mlir.cli._model import FixDimOption, parse_fixed
from serenity_mlir.cli._terminal import working
from serenity_mlir.errors import SerenityError
from serenity_mlir.reports.formulas import describe_bound, describe_symbol

if TYPE_CHECKING:
    from serenity_mlir.measuring.checking import CheckResult, FunctionCheck

#: Exit code of a check that failed (docs/cli.md).
DISAGREES = 4

#: Beside those of every command.
EXIT_CODES = (1, 3, DISAGREES)

app = typer.Typer(add_completion=False)


def _meant(flag: str, options: Sequence[str]) -> str:
    """Returns the suggestion for an option that does not exist."""
    close = difflib.get_close_matches(flag.partition("=")[0], options, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return "flags of the compiler begin with --iree-, --mlir- or --serenity-, and --flag takes any"


def _split_flags(extra: list[str], options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the remaining arguments into serenity's and the compiler's flags.

    `options` are the command's own, for a misspelt one.
    """
    ours: list[str] = []
    compiler: list[str] = []
    for flag in extra:
        if flag.startswith("--serenity-report"):
            raise typer.BadParameter("use --report FILE to keep the report", param_hint=flag)
        if flag.startswith("--serenity-"):
            ours.append(flag)
        elif flag.startswith(("--iree-", "--mlir-")):
            compiler.append(flag)
        else:
            raise typer.BadParameter(
                f"no such option: {flag}; {_meant(flag, options)}", param_hint="ARGUMENTS"
            )
    return ours, compiler


def _parse_shapes(texts: list[str]) -> dict[str, dict[int, tuple[int, ...]]]:
    shapes: dict[str, dict[int, tuple[int, ...]]] = {}
    for text in texts:
        match = re.fullmatch(
            r"(?:(?P<function>.+):)?(?P<position>\d+)=(?P<shape>\d+(?:x\d+)*)", text
        )
        if match is None:
            raise typer.BadParameter(
                f"{text!r} is not [FUNCTION:]POSITION=SHAPE, such as 0=8x32 or main:1=4x16",
                param_hint="--shape",
            )
        shape = tuple(map(int, match["shape"].split("x")))
        shapes.setdefault(match["function"] or "", {})[int(match["position"])] = shape
    return shapes


@app.command(
    "check",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: serenity check model.onnx --iree-opt-level=O2\n\n"
    "Example: serenity check models/ --results checked.jsonl --jobs 4",
)
def check_command(
    context: typer.Context,
    models: _many.ModelsArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    timing: Annotated[
        bool, typer.Option("--time", help="Measure latency too, in turn, with one and two threads.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random inputs.")] = 0,
    function: Annotated[
        list[str] | None, typer.Option(help="Check this entry point only (repeatable).")
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[FUNCTION:]POSITION=SHAPE", help="Shape of a dynamic argument (repeatable)."
        ),
    ] = None,
    dynamic_size: Annotated[
        int, typer.Option(min=0, help="Extent of dynamic dimensions without --shape.")
    ] = 1,
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Arrays to run on, not random ones: by the arguments' names or as arr_0, arr_1.",
        ),
    ] = None,
    consume: Annotated[
        bool, typer.Option("--consume", help="Compile with --serenity-inputs=overwrite.")
    ] = False,
    fix_dim: FixDimOption = None,
    flag: Annotated[
        list[str] | None, typer.Option(help="A flag for both compilations (repeatable).")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Keep serenity's report of the compilation here.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Check the code that emit-c writes for this target, and run it there."),
    ] = None,
    emulate: Annotated[
        bool, typer.Option("--emulate", help="Run the target's code on an emulated board.")
    ] = False,
    arena_holds_io: Annotated[
        bool,
        typer.Option("--arena-holds-io", help="With --target: as emit-c with this option."),
    ] = False,
    results: _many.ResultsOption = None,
    jobs: _many.JobsOption = None,
    dask: _many.DaskOption = None,
) -> None:
    """Compile models stock and with serenity, run both, and compare bytes and outputs.

    Also takes the compiler's own --iree-* and --mlir-* flags, for both compilations, and
    --serenity-* flags. The check fails when the prediction for any class of memory and the
    runtime's allocation disagree, a bound is exceeded, or outputs differ. Of several models each is
    a process; a failing one does not stop the others.
    """
    # An argument that takes many values takes unknown options, too.
    extra = [*(model for model in models if model.startswith("-")), *context.args]
    named = [model for model in models if not model.startswith("-")]
    ours, compiler = _split_flags(
        extra, [name for parameter in context.command.params for name in parameter.opts]
    )
    settings: dict[str, Any] = {
        "seed": seed,
        "flags": [*(flag or []), *compiler],
        "serenity_flags": [*ours, *(["--serenity-inputs=overwrite"] if consume else [])],
        "dynamic_size": dynamic_size,
        "shapes": _parse_shapes(shape or []),
        "functions": function or [],
        "timing": timing,
        "fix_dims": parse_fixed(fix_dim),
    }
    from serenity_mlir.running import find_models

    found = find_models(named)
    if report is not None and any(_same_file(report, model) for model in found):
        raise typer.BadParameter(f"{report} is the model", param_hint="--report")
    if not found:
        raise typer.BadParameter("no model given", param_hint="MODEL")
    if inputs is not None:
        if len(found) > 1 or results or dask:
            raise typer.BadParameter(
                "inputs are for one model alone, without --results and --dask",
                param_hint="--inputs",
            )
        settings["inputs"] = str(inputs)
    if arena_holds_io and target is None:
        raise typer.BadParameter("an arena needs --target", param_hint="--arena-holds-io")
    if target is not None:
        from serenity_mlir.cli._check_target import check_on_target

        settings["arena_holds_io"] = arena_holds_io
        if not check_on_target(found, target, emulate, settings, as_json):
            raise typer.Exit(DISAGREES)
        return
    if len(found) == 1 and found == named and not (results or dask):
        _check_one(found[0], settings, as_json, report)
        return
    if report is not None:
        raise typer.BadParameter(
            "a report is kept of one model alone, without --results and --dask",
            param_hint="--report",
        )
    if timing and jobs is None:
        jobs = 1  # Others would disturb the times.
    records = _many.run(
        partial(check_of, settings=settings),
        found,
        settings=settings,
        results=results,
        jobs=jobs,
        dask=dask,
    )
    _finish_many(records, as_json)


def _finish_many(records: Sequence[Any], as_json: bool) -> None:
    """Print the records of several models and exit with their code."""
    failed = sum(record.result is not None and not record.result["ok"] for record in records)
    if as_json:
        typer.echo(json.dumps([record.to_dict() for record in records], indent=2))
    else:
        _print_many(records, failed)
    if failed:
        raise typer.Exit(DISAGREES)
    if code := _many.exit_code(records):
        raise typer.Exit(code)


def _same_file(one: Path, other: str) -> bool:
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def check_of(model: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Work for `run_many`: `serenity_mlir.check` as JSON."""
    from serenity_mlir.measuring.checking import check

    return check(model, **settings).to_dict()


def _check_one(model: str, settings: dict[str, Any], as_json: bool, report: Path | None) -> None:
    from serenity_mlir.measuring.checking import check

    with working(f"checking {model}"):
        result = check(model, **settings)
    if report is not None:
        try:
            write_whole(report, json.dumps(result.report, indent=1) + "\n")
        except OSError as error:
            raise SerenityError(f"{report}: {error.strerror}", exit_code=2) from None
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
    else:
        _print(result, model)
    if not result.ok:
        raise typer.Exit(DISAGREES)


def _verdict(entry: dict[str, Any]) -> str:
    if entry["disagreements"]:
        return "DISAGREES"
    return "not predicted" if entry["unpredicted"] else "ok"


def _print_many(records: Sequence[Any], failed: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("transient peak, bytes", overflow="fold")
    for heading in ("IREE", "serenity", "ratio", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for record in records:
        if record.result is None:
            table.add_row(record.model, "-", "-", "-", "error")
            continue
        functions = record.result["functions"]
        for entry in functions:
            stock = entry["stock"]["transient_peak_bytes"]
            ours = entry["serenity"]["transient_peak_bytes"]
            name = record.model if len(functions) == 1 else f"{record.model}: {entry['name']}"
            table.add_row(
                name,
                f"{stock:,}",
                f"{ours:,}",
                f"{stock / ours:.2f}" if ours else "-",
                _verdict(entry),
            )
    console = Console()
    console.print(table)
    for record in records:
        for entry in record.result["functions"] if record.result else ():
            for problem in entry["disagreements"]:
                console.print(
                    f"{record.model}: {problem}", markup=False, highlight=False, soft_wrap=True
                )
        if record.error is not None:
            typer.echo(f"error: {record.error}", err=True)
    errors = sum(record.error is not None for record in records)
    console.print(
        f"{len(records)} models: {len(records) - failed - errors} hold, {failed} disagree, "
        f"{errors} failed",
        highlight=False,
    )


def _bytes(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _rows(check: FunctionCheck, result: CheckResult) -> list[tuple[str, str, str, str]]:
    """Return the lines of a function's table: name, stock, predicted, runtime."""
    stock, ours, predicted = check.stock, check.serenity, check.prediction
    bound = "" if predicted is None or predicted.exact else "<= "

    def told(name: str, prefix: str = "") -> str:
        value = getattr(predicted, name) if predicted else None
        return "-" if value is None else prefix + _bytes(value)

    known = predicted is not None and predicted.transient_peak_bytes is not None
    bounded = bool(predicted and predicted.lower_bound_bytes)
    rows = [
        (
            "persistent",
            _bytes(stock.persistent_bytes),
            told("persistent_bytes"),
            _bytes(ours.persistent_bytes),
        ),
        (
            "external",
            _bytes(stock.external_bytes),
            told("external_bytes"),
            _bytes(ours.external_bytes),
        ),
        (
            "transient peak",
            _bytes(stock.transient_peak_bytes),
            told("transient_peak_bytes", bound),
            _bytes(ours.transient_peak_bytes),
        ),
        (
            "runtime peak",
            _bytes(stock.call.peak_bytes),
            told("peak_bytes", bound),
            _bytes(ours.call.peak_bytes),
        ),
        # Of dynamic sizes the report knows the static part alone.
        ("slab", "", told("slab_bytes") if known else "-", ""),
        # 0 where nothing is proved.
        ("lower bound", "", told("lower_bound_bytes") if bounded else "-", ""),
        (
            "compile seconds",
            f"{result.stock_compile_seconds:.2f}",
            "",
            f"{result.serenity_compile_seconds:.2f}",
        ),
        (
            "compile seconds, processor",
            f"{result.stock_compile_processor_seconds:.2f}",
            "",
            f"{result.serenity_compile_processor_seconds:.2f}",
        ),
    ]
    for setting, (before, after) in (check.latencies or {}).items():
        for which in ("minimum", "median", "processor"):
            times = (getattr(latency, which) for latency in (before, after))
            stock_ms, our_ms = (f"{time:.3f}" for time in times)
            rows.append((f"latency, {setting}, {which}, ms", stock_ms, "", our_ms))
    return rows


def _difference(check: FunctionCheck) -> str:
    found = check.difference
    if found.bitwise:
        return f"{found.largest:.3g} (bitwise equal)"
    if not found.source:
        return f"{found.largest:.3g}"
    return f"{found.largest:.3g}, tolerance {found.tolerance:.3g}: {found.source}"


def _print(result: CheckResult, model: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    plain: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
    for check in result.functions:
        table = Table(box=box.SIMPLE_HEAD, title=f"{model}: {check.function}", title_justify="left")
        table.add_column("bytes")
        for heading in ("IREE default", "predicted", "runtime"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in _rows(check, result):
            table.add_row(*row)
        console.print(table)
        if check.arguments:
            console.print(f"  inputs: {', '.join(check.arguments)}", **plain)
        ratio = "-" if check.ratio is None else f"{check.ratio:.2f}"
        optimal = check.prediction.optimal if check.prediction else None
        proof = "" if optimal is None else (", proved optimal" if optimal else ", not proved")
        console.print(f"  ratio of transient peaks: {ratio}{proof}", **plain)
        for setting, (before, after) in (check.latencies or {}).items():
            console.print(
                f"  latency, {setting}: {after.minimum / before.minimum:.2f} of IREE's "
                f"({after.median / before.median:.2f} in the median, "
                f"{after.processor / before.processor:.2f} of the processor time)",
                **plain,
            )
        if check.prediction and check.prediction.overwritten_inputs:
            numbers = ", ".join(map(str, check.prediction.overwritten_inputs))
            stock = ", ".join(map(str, check.prediction.stock_overwritten_inputs)) or "none"
            console.print(f"  overwritten inputs: {numbers} (stock: {stock})", **plain)
        if check.formula is not None:
            stock = f"; stock: {check.stock_formula.text}" if check.stock_formula else ""
            console.print(f"  transient peak: {check.formula.text}{stock}", **plain)
            for symbol in check.formula.symbols:
                console.print(f"    {symbol.name} is {describe_symbol(symbol)}", **plain)
            console.print(f"    {describe_bound(check.formula, check.stock_formula)}", **plain)
        for exceeded in check.exceeded:
            console.print(
                f"  this call is larger than a bound: {exceeded}; the formula holds, "
                "the upper bound does not",
                **plain,
            )
        if check.retained_bytes:
            console.print(
                f"  kept by the runtime after every call, also of the stock module: "
                f"{check.retained_bytes:,} bytes, in no prediction",
                **plain,
            )
        console.print(f"  largest output difference: {_difference(check)}", **plain)
        for problem in check.disagreements:
            console.print(f"  DISAGREES: {problem}", **plain)
    console.print(f"{model}: {result.verdict}", **plain)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity compile``: from a model, as its framework has it, to a module for IREE's runtime."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from serenity_mlir._files import write_whole
from serenity_mlir.cli._model import (
    FixDimOption,
    ModelArgument,
    check_model_comes_first,
    parse_fixed,
)
from serenity_mlir.cli._terminal import working
from serenity_mlir.errors import SerenityError

EXIT_CODES = (1, 3)

app = typer.Typer(add_completion=False)

_REPORT = "--serenity-report"


def _report_file(flags: list[str]) -> Path | None:
    """Return the file of ``--serenity-report``; of several the last, as the compiler does."""
    found = None
    for index, flag in enumerate(flags):
        name, equals, value = flag.partition("=")
        if name.lstrip("-") != _REPORT.lstrip("-"):
            continue
        if equals:
            found = Path(value)
        elif index + 1 < len(flags):
            found = Path(flags[index + 1])
    return found


@app.command(
    "compile",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: serenity compile model.onnx -o model.vmfb --fix-dim batch=1",
)
def compile_command(
    context: typer.Context,
    model: ModelArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.vmfb", help="The file to write.")
    ],
    fix_dim: FixDimOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the file and its size as JSON.")
    ] = False,
) -> None:
    """Compile a model with --serenity-schedule.

    All other flags are iree-compile's and go to it as they are, --serenity-* flags among them.
    Without a target among them, it is this machine's CPU. The file is written when the compilation
    has succeeded, complete or not at all.
    """
    from serenity_mlir.compiling.compiler import SerenityOptions, compile_file, target_flags
    from serenity_mlir.compiling.importing import import_model
    from serenity_mlir.compiling.messages import in_users_terms, shown_as

    flags = list(context.args)
    check_model_comes_first(model)
    if os.path.exists(output) and os.path.exists(model) and os.path.samefile(output, model):
        raise typer.BadParameter(f"{output} is the model", param_hint="-o")
    with tempfile.TemporaryDirectory(prefix="serenity-compile-") as name:
        directory = Path(name)
        compiled = directory / "output"
        with working(f"compiling {model}"):
            found = import_model(model, directory, fix_dims=parse_fixed(fix_dim), flags=flags)
            with shown_as(found.path, model, found.dimension_aliases):
                compile_file(
                    found.path,
                    serenity=SerenityOptions(),
                    output_file=str(compiled),
                    extra_args=target_flags(flags),
                )
                report = _report_file(flags)
                if report is not None and report.is_file():
                    _write(report, in_users_terms(report.read_text("utf-8")).encode())
        data = compiled.read_bytes()
        _write(output, data)
    if as_json:
        typer.echo(json.dumps({"model": model, "output": str(output), "bytes": len(data)}))


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise SerenityError(f"{path}: {error.strerror}", exit_code=2) from None

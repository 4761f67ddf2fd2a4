# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity emit-c``: a model as C and an object, for a processor without an operating system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serenity_mlir.cli._model import FixDimOption, parse_fixed
from serenity_mlir.cli._terminal import working
from serenity_mlir.cli.check import _split_flags
from serenity_mlir.emitting.targets import TARGETS

if TYPE_CHECKING:
    from serenity_mlir.emitting.project import Emission, Emitted

#: Beside those of every command.
EXIT_CODES = (1, 3)

app = typer.Typer(add_completion=False)


@app.command(
    "emit-c",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: serenity emit-c swiftnet_c -o firmware/swiftnet_c --target=cortex-m4\n\n"
    "Example: serenity emit-c model.onnx -o model --target=host --serenity-memory-budget=64KiB",
)
def emit_c_command(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A model, as for check.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")
    ],
    target: Annotated[str, typer.Option(help=f"The processor: {', '.join(TARGETS)}.")],
    name: Annotated[
        str | None,
        typer.Option(help="Prefix of files and symbols; by default from the model's name."),
    ] = None,
    function: Annotated[
        str | None, typer.Option(help="The entry point, where the model has several.")
    ] = None,
    fix_dim: FixDimOption = None,
    arena_holds_io: Annotated[
        bool,
        typer.Option(
            "--arena-holds-io",
            help="Place inputs and outputs in the arena, where they share bytes with it. Write all "
            "inputs before each call.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a model as C: one static array for all transient memory, no heap, no runtime system.

    DIR gets NAME.h, NAME.c, NAME.o (kernels and weights), an example main.c, a linker script, a
    Makefile and README.md. Also takes the compiler's own --iree-* and --mlir-* flags and
    --serenity-* flags. The table compares with the stock compiler's result.
    """
    ours, compiler = _split_flags(
        context.args, [name for parameter in context.command.params for name in parameter.opts]
    )
    from serenity_mlir.emitting.project import emit_c

    with working(f"emitting {model}"):
        result = emit_c(
            model,
            output,
            target,
            name=name,
            function=function,
            flags=compiler,
            serenity_flags=ours,
            fix_dims=parse_fixed(fix_dim),
            arena_holds_io=arena_holds_io,
        )
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
    else:
        _print(result)


def size_rows(stock: Emission | None, ours: Emission) -> list[tuple[str, str, str]]:
    """Return the lines of a table about emitted code: name, stock, serenity."""

    def both(name: str, of: object) -> tuple[str, str, str]:
        assert callable(of)
        return name, "-" if stock is None else f"{of(stock):,}", f"{of(ours):,}"

    return [
        both("arena", lambda one: one.arena_bytes),
        both("inputs and outputs beside it", lambda one: one.layout.separate_bytes),
        both("weights", lambda one: one.layout.weights_bytes),
        both(".text", lambda one: one.sizes.text),
        both(".rodata", lambda one: one.sizes.rodata),
        both(".data", lambda one: one.sizes.data),
        both(".bss", lambda one: one.sizes.bss),
        both("flash", lambda one: one.sizes.flash),
        both("RAM", lambda one: one.sizes.ram),
        both("kernels", lambda one: len(one.layout.program.kernels)),
    ]


def _print(result: Emitted) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    ours = result.emission
    title = f"{ours.layout.name} for {ours.target.title}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("bytes")
    for heading in ("IREE default", "serenity"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in size_rows(result.stock, ours):
        table.add_row(*row)
    console = Console()
    console.print(table)
    plain: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
    if not ours.measured:
        packages = " ".join(ours.target.packages)
        console.print(
            f"without the code of {ours.layout.name}.c: {ours.target.compiler} is not installed; "
            f"on Debian or Ubuntu: apt-get install {packages}",
            **plain,
        )
    if result.stock_problem:
        console.print(f"the stock compiler's result: {result.stock_problem}", **plain)
    foreign = [name for name in ours.undefined if not name.startswith(("__", "mem"))]
    if foreign:
        console.print(f"link with -lm, for {', '.join(foreign)}", **plain)
    files = ", ".join(sorted(ours.content))
    console.print(f"{result.directory}: {files}", **plain)

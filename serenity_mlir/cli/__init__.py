# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The command line tool ``serenity``.

One module per command, named like it (``_`` for ``-``), with a `typer.Typer` named ``app`` (one
function for a plain command, several for a group). A module is imported when its command is used,
so that ``serenity --help`` does not wait for numpy, ONNX or IREE. To add a command: write the
module, add a row to `COMMANDS`. Its epilog has a line ``Example: serenity ...``; the exit codes are
added here, those of a module's ``EXIT_CODES`` beside the common ones. ``--json`` prints one JSON
value on standard output. Errors, logs and progress go to standard error.
"""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from serenity_mlir._processes import interrupt_on_termination
from serenity_mlir.cli._terminal import configure_logging
from serenity_mlir.errors import SerenityError

__all__ = ["app", "main"]

#: Name and one line of help of every command.
COMMANDS: dict[str, str] = {
    "compile": "Compile a model of any framework with --serenity-schedule.",
    "check": "Compile a model stock and with serenity, run both, and compare bytes and outputs.",
    "emit-c": "Write a model as C and an object, for processors without an operating system.",
    "peak": "Say how much memory models will need, without making code for them.",
    "networks": "List and build networks: those of the paper's evaluation and others.",
    "schedule": "Find the order of least peak memory of a graph instance.",
    "pack": "Assign offsets to buffers with known lifetimes.",
    "explain": "Explain a report: buffers live at the peak, and the peak after each step.",
    "traffic": "Count off-chip traffic before and after from a report.",
    "frontier": "Compile under several settings, and print memory, time and flags of each.",
    "plot": "Draw the memory of a compiled module over time from its report.",
    "fuzz": "Compile random programs stock and with serenity, and compare.",
    "bench": "Measure every figure of the documentation again, and other systems, on this machine.",
}

INTERRUPTED = 130

#: The meanings of the exit codes (docs/cli.md).
EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "a model cannot be imported, compiled or run",
    2: "wrong usage, or a file that cannot be read",
    3: "memory budget or capacity missed",
    4: "a check or comparison failed",
    INTERRUPTED: "interrupted",
}

_COMMON_CODES = (0, 2, INTERRUPTED)


def _load(name: str) -> Any:
    """Import a command's module and return the command."""
    module = importlib.import_module(f"serenity_mlir.cli.{name.replace('-', '_')}")
    command = typer.main.get_command(module.app)
    codes = sorted({*_COMMON_CODES, *getattr(module, "EXIT_CODES", ())})
    told = "Exit codes: " + "; ".join(f"{code} {EXIT_CODES[code]}" for code in codes) + "."
    for one in (command, *getattr(command, "commands", {}).values()):
        one.epilog = "\n\n".join(filter(None, [one.epilog, told]))
    return command


class _LazyGroup(TyperGroup):
    """A group whose commands are placeholders until one is used."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name in COMMANDS:
            return name, _load(name), args[1:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Turn the package's exceptions and Ctrl-C into the documented exit codes."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in ("", "serenity_mlir"):
                raise
            # Installed with this package unless it was told not to (--no-deps), or removed since.
            wheels = "iree-base-compiler iree-base-runtime" if missing == "iree" else missing
            typer.echo(
                f"error: this needs {missing}, which is not installed; "
                f"run: {sys.executable} -m pip install {wheels}",
                err=True,
            )
            raise typer.Exit(2) from None
        except SerenityError as error:
            typer.echo(f"error: {error}", err=True)
            # A signal's negative number is no exit code.
            raise typer.Exit(error.exit_code if error.exit_code > 0 else 1) from None


app = typer.Typer(
    cls=_LazyGroup,
    name="serenity",
    help="Less peak memory for MLIR/IREE modules: schedule, pack, compile, check.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Example: serenity check swiftnet_c\n\nExit codes: "
    + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    + ".",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from serenity_mlir import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every step to standard error.")
    ] = False,
) -> None:
    """Less peak memory for MLIR/IREE modules: schedule, pack, compile, check."""
    configure_logging(verbose)


def _placeholder() -> None:
    raise AssertionError("replaced by the command itself in _LazyGroup.resolve_command")


for _name, _help in COMMANDS.items():
    app.command(_name, help=_help)(_placeholder)


def main() -> None:
    """Run the tool with the process's arguments and exit."""
    interrupt_on_termination()
    app(prog_name="serenity")
    sys.exit(0)

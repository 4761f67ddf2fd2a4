# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes the page `commands.md` out of what the commands themselves say with ``--help``.

A hook of MkDocs; the package has to be installed.
"""

from __future__ import annotations

from typing import Any


def page() -> str:
    """Returns the page."""
    from typer.testing import CliRunner

    from serenity_mlir import cli

    # Read by rich once, when typer's formatting is imported.
    environment = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"}
    runner = CliRunner()

    def said(arguments: list[str]) -> str:
        result = runner.invoke(
            cli.app, [*arguments, "--help"], prog_name="serenity", env=environment
        )
        if result.exit_code:
            raise ValueError(f"serenity {' '.join(arguments)} --help: {result.output}")
        text = "\n".join(line.rstrip() for line in result.output.splitlines()).strip("\n")
        return f"```text\n{text}\n```"

    lines = [
        "# All options",
        "What `serenity COMMAND --help` says. What holds for all commands is in "
        "[the command line](cli.md).",
        said([]),
    ]
    for name in cli.COMMANDS:
        lines += [f"## serenity {name}", said([name])]
        for nested in getattr(cli._load(name), "commands", {}):
            lines += [f"### serenity {name} {nested}", said([name, nested])]
    return "\n\n".join(lines) + "\n"


def on_files(files: Any, config: Any) -> Any:
    """Adds the page (an event of MkDocs)."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "commands.md", content=page()))
    return files

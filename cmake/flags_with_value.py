# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the table of iree-compile's flags that take the next argument as their value.

Usage: flags_with_value.py IREE_COMPILE OUTPUT. Reads ``iree-compile --help-hidden``, in which LLVM
prints ``--name=<kind>`` (or ``-n <kind>``) for a flag that needs a value, ``--name[=<kind>]`` for
one that may have one, ``--name`` for one that has none, and for a choice that may stand alone both
``--name`` and ``--name=<value>``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# Prints itself in a style of its own, without its kind.
_TAKES_VALUE = {"debug-counter"}


def flags_with_value(help_text: str) -> list[str]:
    """Returns the sorted names, without dashes, of the flags that need a value."""
    needs: set[str] = set()
    stands_alone: set[str] = set()
    for line in help_text.splitlines():
        match = re.match(r"^ +--?([A-Za-z0-9_][^\s=<\[]*)(=<| <|\[=<)?", line)
        if match is None:
            continue
        name, value = match.groups()
        (needs if value in ("=<", " <") else stands_alone).add(name)
    return sorted((needs - stands_alone) | (_TAKES_VALUE & (needs | stands_alone)))


def main(tool: str, output: str) -> None:
    """Runs ``tool`` and writes the table to ``output``."""
    process = subprocess.run(
        [tool, "--help-hidden"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    names = flags_with_value(process.stdout)
    # `-o` is in every release; a short list means that the help has changed its form.
    if process.returncode != 0 or "o" not in names or len(names) < 100:
        sys.exit(
            f"{tool} --help-hidden was not understood (exit code {process.returncode}, "
            f"{len(names)} flags with a value): {process.stderr[:500]}"
        )
    lines = [
        "// Made from `iree-compile --help-hidden` by cmake/flags_with_value.py; do not edit.",
        "static constexpr std::string_view kFlagsWithValue[] = {",
        *(f'    "{name}",' for name in names),
        "};",
    ]
    Path(output).write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])

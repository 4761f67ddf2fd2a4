# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Puts measured figures into the documentation, so that nobody copies them by hand.

    python benchmarks/publish.py [FOLDER] [--check]

The table of README.md between the comments that name this script is written from the last lines of
``benchmarks/history.jsonl`` (see `history.py`). With FOLDER, the output of `serenity bench`, its
``results.md`` and pictures replace those of ``docs/``. ``--check`` writes nothing, and exits with 1
if README.md states other figures than the history.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import history

from serenity_mlir import networks

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- Written by benchmarks/publish.py -->\n"
END = "<!-- Until here -->\n"

#: Sets of networks whose bytes README.md states, one by one.
SHOWN: tuple[networks.Set, ...] = ("paper", "microcontroller")


def last_lines(lines: Sequence[history.Line]) -> dict[str, history.Line]:
    """Returns the last line of every network for the newest release of IREE that has any."""
    releases = {line["iree"] for line in lines}
    newest = max(
        releases, key=lambda text: [int(part) for part in text.split(".")[:2]], default=None
    )
    names = dict.fromkeys(line["network"] for line in lines)
    found = {name: history.last(lines, name, newest) for name in names}
    return {name: line for name, line in found.items() if line is not None}


def readme_block(lines: Sequence[history.Line]) -> str:
    """Returns the lines of README.md that state the bytes of networks.

    An asterisk marks an order that is not proved to be of least peak. The last row has the
    geometric mean of all networks in the history, shown or not.

    Args:
      lines: of the history, oldest first.

    Raises:
      ValueError: a network that is to be shown has no line.
    """
    measured = last_lines(lines)
    table = [
        "| network | IREE | order | default | IREE / default |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in networks.names(*SHOWN):
        line = measured.get(name)
        if line is None:
            raise ValueError(
                f"{name} has no line; run `python benchmarks/history.py append {name}`"
            )
        stock, ours = line["stock_bytes"], line["default_bytes"]
        cells = [name, f"{stock:,}"]
        for column in ("order", "default"):
            proof = "" if line[f"{column}_optimal"] else " *"
            cells.append(f"{line[f'{column}_bytes']:,}{proof}")
        table.append(f"| {' | '.join([*cells, f'{stock / ours:.2f}'])} |")
    ratios = [line["stock_bytes"] / line["default_bytes"] for line in measured.values()]
    mean = statistics.geometric_mean(ratios)
    table.append(f"| geometric mean of all {len(ratios)} networks | | | | {mean:.2f} |")
    return "\n".join(table) + "\n"


def put_block(page: str, block: str, begin: str = BEGIN) -> str:
    """Returns the text of a page with the block between the comments of a script.

    Args:
      page: the text, README.md's by default.
      block: the lines that the script writes.
      begin: the comment before them; the one behind them is always the same.

    Raises:
      ValueError: the comments are not there.
    """
    before, found, rest = page.partition(begin)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise ValueError(f"no lines between {begin.strip()!r} and {END.strip()!r}")
    return before + found + block + end + after


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="output of serenity bench")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    readme = ROOT / "README.md"
    try:
        old = readme.read_text("utf-8")
        new = put_block(old, readme_block(history.read()))
        if options.check:
            if new != old:
                print("README.md states other figures than the history: run this script")
            return int(new != old)
        if options.folder is not None:
            shutil.copyfile(options.folder / "results.md", ROOT / "docs" / "results.md")
            shutil.copytree(
                options.folder / "results", ROOT / "docs" / "results", dirs_exist_ok=True
            )
        readme.write_text(new, "utf-8")
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Puts a report of `serenity bench` into the documentation, and its slabs into README.md.

    python benchmarks/publish_results.py [FOLDER] [--check]

FOLDER is the output of `serenity bench`: its ``results.md`` and pictures replace those of
``docs/``. Without it, docs/results.md is taken as it is. The rows of README.md between the comments
that name this script are written from the report's table of slabs, for the paper's networks.
``--check`` writes nothing, and exits with 1 if README.md states other figures than docs/results.md.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from serenity_mlir import networks

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- Written by benchmarks/publish_results.py -->\n"
END = "<!-- Until here -->\n"

#: Heading of the report's section, and its columns that README.md shows: bytes of IREE's default,
#: ordered, rewritten, and the ratio of the first and the last.
SECTION = "Slabs: IREE, ordering, rewriting"
SHOWN = (1, 2, 3, 5)


def slab_rows(report: str) -> dict[str, list[str]]:
    """Returns the cells behind the name of every network in the report's table of slabs.

    Args:
      report: text of docs/results.md.

    Raises:
      ValueError: the report has no such table.
    """
    section = re.split(r"^## ", report.partition(f"## {SECTION}\n")[2], maxsplit=1, flags=re.M)[0]
    known = set(networks.names())
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| ") and cells[0] in known:
            found[cells[0]] = cells[1:]
    if not found:
        raise ValueError(f"no table of networks under {SECTION!r}")
    return found


def readme_block(report: str) -> str:
    """Returns the lines of README.md that state the slabs of the paper's networks.

    An asterisk, which marks an order that is not proved to be of least peak, stays.

    Raises:
      ValueError: a network of the paper is missing, or was not run with equal predictions.
    """
    rows: Mapping[str, Sequence[str]] = slab_rows(report)
    date = re.search(r"Written by `serenity bench` on (\S+);", report)
    if date is None:
        raise ValueError("the report states no date")
    lines = [
        "| network | IREE | order | default | IREE / default |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in networks.names("paper"):
        cells = rows.get(name)
        if cells is None:
            raise ValueError(f"{name} is not in the report")
        if cells[6] != "yes":
            raise ValueError(f"{name} was not run: its predictions are not checked")
        lines.append("| " + " | ".join([name, *(cells[index] for index in SHOWN)]) + " |")
    lines += ["", f"Measured on {date[1]}. An asterisk marks an order that is not proved optimal."]
    return "\n".join(lines) + "\n"


def put_block(readme: str, block: str) -> str:
    """Returns the text of README.md with the block between the script's comments.

    Raises:
      ValueError: the comments are not there.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"no lines between {BEGIN.strip()!r} and {END.strip()!r}")
    return before + begin + block + end + after


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="output of serenity bench")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    source: Path = options.folder or ROOT / "docs"
    readme = ROOT / "README.md"
    try:
        report = (source / "results.md").read_text("utf-8")
        old = readme.read_text("utf-8")
        new = put_block(old, readme_block(report))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.check:
        if new != old:
            print(
                "README.md states other figures than the report; run this script", file=sys.stderr
            )
        return int(new != old)
    if options.folder is not None:
        shutil.copyfile(source / "results.md", ROOT / "docs" / "results.md")
        shutil.copytree(source / "results", ROOT / "docs" / "results", dirs_exist_ok=True)
    readme.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

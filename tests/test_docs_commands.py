# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The commands of the tutorial and of how-to pages are run as written; their output is as shown.

A block of ``console`` holds lines that begin with ``$``, each followed by its output. A line of
``...`` alone stands for any lines, ``...`` within a line for any text. A command may go on behind a
backslash; one that fails is followed by ``echo $?``.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_release

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"
PAGE = DOCS / "tutorial.md"

#: Pages with commands, by second-level heading, and packages needed beside the package's own.
PARTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("tutorial.md", "From PyTorch"): ("torch", "iree.turbine"),
    ("tutorial.md", "At the command line"): (),
    ("howto/architecture_search.md", "An example"): (),
    ("budget.md", "An example"): (),
}


@dataclass(frozen=True)
class Command:
    """A command of a page, its line, and the lines it shall print."""

    line: int
    text: str
    expected: tuple[str, ...]


def blocks(page: str) -> list[tuple[str, list[Command]]]:
    """Returns the commands of every console block, with the second-level heading above it."""
    found: list[tuple[str, list[Command]]] = []
    heading = ""
    lines = page.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        if line.strip() != "```console":
            number += 1
            continue
        commands: list[Command] = []
        number += 1
        while lines[number].strip() != "```":
            if lines[number].startswith("$ "):
                begin = number
                while lines[number].endswith("\\"):
                    number += 1
                commands.append(Command(begin + 1, "\n".join(lines[begin : number + 1])[2:], ()))
            else:
                last = commands.pop()
                commands.append(
                    Command(last.line, last.text, (*last.expected, lines[number].rstrip()))
                )
            number += 1
        found.append((heading, commands))
    return found


def matches(expected: tuple[str, ...], printed: list[str]) -> bool:
    """Whether the output is the expected one, blank lines at the ends aside."""
    pattern = ""
    for line in expected:
        if line == "...":
            pattern += r"(?:[^\n]*\n)*"
        else:
            pattern += ".*".join(re.escape(part) for part in line.split("...")) + r"\n"
    text = "\n".join(line.rstrip() for line in printed).strip("\n") + "\n"
    return re.fullmatch(r"\n*" + pattern + r"\n*", text) is not None


def test_the_comparison_can_fail() -> None:
    assert matches(("a", "...", "b ... c"), ["a", "x", "y", "b 7 c"])
    assert matches(("a", "...", "b"), ["a", "b", ""])
    assert not matches(("a", "b"), ["a", "x", "b"])
    assert not matches(("a ... c",), ["a", "c"])
    assert not matches((), ["a"])
    assert not matches(("52,224",), ["52.224"])


def test_every_block_belongs_to_a_tested_part() -> None:
    found = {
        (str(page.relative_to(DOCS)), heading)
        for page in DOCS.rglob("*.md")
        for heading, _ in blocks(page.read_text("utf-8"))
    }
    assert found == set(PARTS)


@pytest.mark.parametrize(("page", "heading"), PARTS)
def test_examples_are_shown_as_they_are_run(page: str, heading: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    commands = itertools.chain(*(part for title, part in blocks(text) if title == heading))
    for name in re.findall(r"python (examples/\w+\.py)", "\n".join(c.text for c in commands)):
        # From the docstring on. Formatters of Python take the marker for an expression.
        assert f'--8<-- "{name}:4"' in text.splitlines()
        assert (REPOSITORY / name).read_text("utf-8").splitlines()[3].startswith('"""')


def test_blocks_are_found() -> None:
    page = "## One\n\n### Part\n\n```console\n$ a\nx\n\n$ b\n```\n## Two\n```text\n$ no\n```\n"
    assert blocks(page) == [("One", [Command(6, "a", ("x", "")), Command(9, "b", ())])]
    ((_, (continued,)),) = blocks("```console\n$ a \\\n    b\nx\n```\n")
    assert continued == Command(2, "a \\\n    b", ("x",))
    assert sum(len(commands) for _, commands in blocks(PAGE.read_text("utf-8"))) >= 8


def test_the_picture_is_of_the_same_report() -> None:
    (plotted,) = [
        command
        for _, commands in blocks(PAGE.read_text("utf-8"))
        for command in commands
        if command.text.startswith("serenity plot")
    ]
    sizes = [size for line in plotted.expected for size in re.findall(r": ([\d,]+ bytes)", line)]
    assert len(sizes) == 2  # of the stock module and of the scheduled one
    picture = (PAGE.parent / "tutorial_report.svg").read_text("utf-8")
    assert all(f"slab: {size}" in picture for size in sizes)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "heading"), PARTS)
def test_commands(page: str, heading: str, tmp_path: Path) -> None:
    for module in PARTS[page, heading]:
        pytest.importorskip(module, reason=f"{module} is not installed")
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    environment.pop("SERENITY_DISABLE", None)
    text = (DOCS / page).read_text("utf-8")
    parts = [part for title, part in blocks(text) if title == heading]
    assert parts
    code = 0
    for command, following in itertools.pairwise([*itertools.chain(*parts), None]):
        assert command is not None
        process = subprocess.run(
            ["bash", "-c", f"(exit {code}); {command.text}"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        code = process.returncode
        told = f"{page}:{command.line}: {command.text}\n{process.stdout}"
        assert matches(command.expected, process.stdout.splitlines()), told
        # Whoever copies the commands must see a failure coming.
        assert code == 0 or (following and following.text == "echo $?"), told

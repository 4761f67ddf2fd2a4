# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes the pages `passes/*.md` out of the lit tests, and of the heads of the passes' sources.

A hook of MkDocs; the package has to be installed. The examples of the reference are the tests
themselves, so that they cannot drift.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serenity_mlir import _core

REPOSITORY = Path(__file__).resolve().parent.parent.parent

#: Folder of lit tests, the pass, and the source whose head describes it.
PASSES = {
    declared.name.removeprefix("serenity-").replace("-", "_"): (declared.name, declared.source)
    for declared in _core.pass_declarations()
}

_PREFIXES = re.compile(r"--check-prefix(?:es)?[= ]([\w,-]+)")


@dataclass(frozen=True)
class Example:
    """One part of a lit test: what it says that it tests, what is checked, and the module."""

    text: str
    checks: str
    code: str


def description(source: Path) -> str:
    """Returns the comment at the head of a pass's source, behind the licence."""
    lines = []
    for line in source.read_text(encoding="utf-8").splitlines()[3:]:
        if not line.startswith("//"):
            if line and lines:
                break
            continue
        if not line.startswith(("//===", "// clang-format")):
            lines.append(line[2:].removeprefix(" "))
    if not lines:
        raise ValueError(f"{source}: no description at its head")
    if lines[0].startswith("serenity-") and " " not in lines[0]:
        lines = lines[1:]  # the title
    return "\n".join(lines).strip()


def _escaped(prose: str) -> str:
    """Prose with what looks like a tag made text; what stands between backticks is left."""
    pieces = prose.split("`")
    pieces[::2] = [piece.replace("<", "&lt;").replace("*", r"\*") for piece in pieces[::2]]
    return "`".join(pieces)


def as_markdown(text: str) -> str:
    """Turns a comment into Markdown: indented parts are code, the rest is prose."""
    blocks: list[tuple[bool, list[str]]] = []
    for line in text.splitlines():
        if not line.strip():
            if blocks:
                blocks[-1][1].append("")
            continue
        # Between two indented lines "becomes" and "=>" belong to the code.
        code = line.startswith("  ") or line.strip() in ("=>", "becomes")
        if not blocks or blocks[-1][0] != code:
            blocks.append((code, []))
        blocks[-1][1].append(line)
    parts = []
    for code, lines in blocks:
        body = "\n".join(lines).strip("\n")
        parts.append(f"```text\n{body}\n```" if code else _escaped(body))
    return "\n\n".join(parts)


def examples(source: Path) -> tuple[list[str], list[Example]]:
    """Takes a lit test apart.

    Returns:
      The commands of its RUN lines, and its parts.
    """
    runs: list[str] = []
    found = []
    whole = source.read_text(encoding="utf-8")
    prefixes = {"CHECK", *",".join(_PREFIXES.findall(whole)).split(",")} - {""}
    names = "|".join(sorted(prefixes))
    check = re.compile(rf"^\s*//\s*(?:{names})(?:-[A-Z]+(?:-\d+)?)?(?:{{LITERAL}})?:")
    for part in re.split(r"(?m)^// -----\n", whole):
        text: list[str] = []
        checks: list[str] = []
        code: list[str] = []
        for line in part.splitlines():
            run = re.match(r"^// RUN: (.*)$", line)
            if run:
                runs.append(run[1])
            elif check.match(line):
                checks.append(line)
            elif line.startswith("//") and not code:
                text.append(line[2:].removeprefix(" "))
            elif line.strip() or code:
                code.append(line)
            elif text:
                text.append("")
        body = "\n".join(code).strip()
        if body or text:
            found.append(Example("\n".join(text).strip(), "\n".join(checks), body))
    return runs, found


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())


def page(folder: str) -> str:
    """Returns the page of the pass whose lit tests are in `folder`."""
    name, source = PASSES[folder]
    lines = [
        f"# {name}",
        as_markdown(description(REPOSITORY / "passes/serenity/Transforms" / source)),
        f"The examples are the lit tests in `lit_tests/{folder}`, as they are run by "
        "`pytest tests/test_lit.py`. How the pass fits in is in [the passes](../passes.md).",
    ]
    tests = sorted((REPOSITORY / "lit_tests" / folder).glob("*.mlir"))
    if not tests:
        raise ValueError(f"no lit tests in {folder}")
    for test in tests:
        runs, parts = examples(test)
        lines.append(f"## {test.stem.replace('_', ' ').capitalize()}")
        lines.append("```text\n" + "\n".join(runs).replace("%s", test.name) + "\n```")
        for part in parts:
            lines.append(as_markdown(part.text))
            if part.code:
                lines.append(f"```mlir\n{part.code}\n```")
            if part.checks:
                lines.append(
                    '??? note "What is checked"\n\n' + _indented(f"```text\n{part.checks}\n```")
                )
    return "\n\n".join(lines) + "\n"


def on_config(config: Any) -> Any:
    """Adds the pages to the navigation, behind that of all passes (an event of MkDocs)."""
    for section in config.nav:
        for pages in section.values():
            if not isinstance(pages, list):
                continue
            entries = [entry for entry in pages if isinstance(entry, dict)]
            for entry in entries:
                if "passes.md" in entry.values():
                    at = pages.index(entry) + 1
                    pages[at:at] = [
                        {f"{name} by example": f"passes/{folder}.md"}
                        for folder, (name, _) in PASSES.items()
                    ]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages (an event of MkDocs)."""
    from mkdocs.structure.files import File

    for folder in PASSES:
        files.append(File.generated(config, f"passes/{folder}.md", content=page(folder)))
    return files

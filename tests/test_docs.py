# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The documentation: links that the site's own check does not see, and the pages made of tests.

Links between the pages and the navigation are checked by ``mkdocs build --strict``.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytestmark = pytest.mark.one_release

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"


def load_hook() -> Any:
    path = DOCS / "hooks" / "pass_reference.py"
    spec = importlib.util.spec_from_file_location("pass_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


HOOK = load_hook()


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "docs/index.md"])
def test_links_to_files_resolve(page: str) -> None:
    path = REPOSITORY / page
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    # Pages of the site that are made while it is built.
    made = {(DOCS / "passes" / f"{folder}.md") for folder in HOOK.PASSES}
    for link in links:
        if not re.match(r"[a-z]+:", link):
            target = (path.parent / link).resolve()
            assert target.exists() or target in made, link


def test_every_page_is_in_the_navigation() -> None:
    """As ``mkdocs build --strict`` demands, for those who have not installed it."""
    listed = re.findall(r"(?m)^ +- .+: (\S+\.md)$", (REPOSITORY / "mkdocs.yml").read_text("utf-8"))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert sorted(listed) == sorted(pages | {"commands.md"})


def test_the_page_of_every_pass_is_added_to_the_navigation() -> None:
    class Config:
        nav: ClassVar[list[Any]] = [
            {"Home": "index.md"},
            {"Reference": [{"Passes": "passes.md"}, {"Report": "report.md"}]},
        ]

    (_, reference) = HOOK.on_config(Config()).nav
    listed = [page for entry in reference["Reference"] for page in entry.values()]
    assert listed == [
        "passes.md",
        *(f"passes/{folder}.md" for folder in HOOK.PASSES),
        "report.md",
    ]


def test_a_lit_test_is_taken_apart(tmp_path: Path) -> None:
    path = tmp_path / "two_parts.mlir"
    path.write_text(
        "// RUN: tool %s --flag | FileCheck %s --check-prefixes=CHECK,BOTH\n"
        "\n"
        "// Tests that a <thing>\n"
        "// holds.\n"
        "\n"
        "// CHECK-LABEL: @f\n"
        "//  BOTH-NEXT: x\n"
        "func.func @f() {\n"
        "  // expected-remark @below {{kept}}\n"
        "  return\n"
        "}\n"
        "\n"
        "// -----\n"
        "\n"
        "// More.\n"
        "module {}\n"
    )
    runs, parts = HOOK.examples(path)
    assert runs == ["tool %s --flag | FileCheck %s --check-prefixes=CHECK,BOTH"]
    first, second = parts
    assert first.text == "Tests that a <thing>\nholds."
    assert first.checks.splitlines() == ["// CHECK-LABEL: @f", "//  BOTH-NEXT: x"]
    assert first.code.splitlines()[1] == "  // expected-remark @below {{kept}}"
    assert (second.text, second.checks, second.code) == ("More.", "", "module {}")
    assert HOOK.as_markdown(first.text) == "Tests that a &lt;thing>\nholds."
    assert HOOK.as_markdown("a `x<y>`:\n\n  code <z>\n=>\n  more\n\nend") == (
        "a `x<y>`:\n\n```text\n  code <z>\n=>\n  more\n```\n\nend"
    )


@pytest.mark.parametrize("folder", HOOK.PASSES)
def test_every_lit_test_is_on_the_page_of_its_pass(folder: str) -> None:
    page = HOOK.page(folder)
    tests = sorted((REPOSITORY / "lit_tests" / folder).glob("*.mlir"))
    assert tests
    present = {line.strip() for line in page.splitlines()}
    for test in tests:
        for line in test.read_text(encoding="utf-8").splitlines():
            # Prose is reflowed into paragraphs; commands name the file.
            if not line.startswith("// ") or "CHECK" in line.split(":")[0]:
                assert line.strip() in present or not line.strip(), f"{test.name}: {line}"
    assert page.startswith("# serenity-")

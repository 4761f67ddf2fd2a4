# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests that limits, pass names and choices in the documentation are those of the code."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from conftest import REPOSITORY

from serenity_mlir import _core
from serenity_mlir.cli import fuzz, pack, schedule

pytestmark = pytest.mark.one_release

DOCS = REPOSITORY / "docs"
SOURCES = REPOSITORY / "passes/serenity"
WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}

#: A constant of the C++ sources, and the page and words that quote it.
LIMITS = [
    ("maxTrials", "overhead.md", r"ends after ([\d,]+) trial compilations"),
    ("maxTrials", "overhead.md", r"trial compilation \d+ of at most ([\d,]+)"),
    ("maxTrialDispatches", "overhead.md", r"after ([\d,]+) dispatches in all trials"),
    ("minTrials", "overhead.md", r"\(never before (\w+) of them\)"),
    ("statesOfPlacedCandidates", "overhead.md", r"takes ([\d,]+) states for"),
    ("wallFactor", "overhead.md", r"in (\w+) times as many of the wall"),
    ("secondsWithoutProgress", "overhead.md", r"After (\w+) seconds a terminal shows"),
    ("maxCandidates", "architecture.md", r"At most (\d+) are estimated"),
    ("maxCandidates", "rewriting.md", r"(\d+) candidates at\s+most"),
    ("maxPeakRounds", "rewriting.md", r"kind by kind and all of them, in up to (\w+) rounds"),
    ("maxDropRounds", "rewriting.md", r"many parts are dropped, at most (\w+)"),
    ("maxJoinRounds", "rewriting.md", r"parts joined, in at most (\w+) tries"),
    ("maxCopiedOperations", "passes.md", r"copies have no more than ([\d,]+) operations"),
]


def constants() -> dict[str, set[float]]:
    """The values of the numeric constants of the C++ sources, by name."""
    found: dict[str, set[float]] = {}
    for path in (*SOURCES.rglob("*.cpp"), *SOURCES.rglob("*.h")):
        for name, value in re.findall(
            r"constexpr [\w:]+ (\w+) = ([\d.']+);", path.read_text("utf-8")
        ):
            found.setdefault(name, set()).add(float(value.replace("'", "")))
    return found


def number(text: str) -> float:
    return float(WORDS.get(text, text.replace(",", "")))


@pytest.mark.parametrize(("name", "page", "quoted"), LIMITS)
def test_limits_are_quoted_as_they_are(name: str, page: str, quoted: str) -> None:
    (value,) = constants()[name]
    found = re.findall(quoted, (DOCS / page).read_text("utf-8"))
    assert [number(text) for text in found] == [value]


def test_every_pass_and_flag_in_the_documentation_exists() -> None:
    known = {declared.name for declared in _core.pass_declarations()}
    known |= {f"serenity-{option.name}" for option in _core.option_declarations()}
    # The programs, the package, and the folder of a reproducer.
    known |= {"serenity-compile", "serenity-opt", "serenity-mlir", "serenity-crash"}
    pages = [page for page in DOCS.rglob("*.md") if "log" not in page.relative_to(DOCS).parts]
    assert len(pages) > 20
    for page in (*pages, REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"):
        names = re.findall(
            r"(?<![\w/.-])(?:--)?(serenity-[a-z]+(?:-[a-z]+)*)", page.read_text("utf-8")
        )
        assert set(names) <= known, page.name


@pytest.mark.parametrize(
    ("option", "choices"),
    [
        ("offsets", pack._Algorithm),
        ("scheduler", schedule._Scheduler),
        ("rewrite", [choice for choice in fuzz._Rewrite if choice.value != "mix"]),
    ],
)
def test_the_commands_have_the_choices_of_the_flags(option: str, choices: Iterable[str]) -> None:
    """In the order of the enumerators, which `test_every_enumerator_has_a_spelling` compares."""
    (declared,) = (item for item in _core.option_declarations() if item.name == option)
    assert [choice.value for choice in choices] == declared.value.split("|")  # type: ignore[attr-defined]

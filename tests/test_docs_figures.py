# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Figures that stand in two places are the same: those of README.md are of docs/results.md."""

from __future__ import annotations

import re
from pathlib import Path

from serenity_mlir import networks

ROOT = Path(__file__).resolve().parent.parent


def rows(text: str) -> dict[str, list[str]]:
    """Returns the cells of tables by the first cell, without the text in brackets there."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| ") and len(cells) > 3:
            found[cells[0].partition(" (")[0]] = cells[1:]
    return found


def section(path: str, heading: str) -> str:
    text = (ROOT / path).read_text("utf-8")
    return re.split(r"^## ", text.partition(f"## {heading}")[2], maxsplit=1, flags=re.M)[0]


def test_the_readme_states_the_results():
    told = rows(section("README.md", "Bytes"))
    measured = rows(section("docs/results.md", "Slabs: IREE, ordering, rewriting"))
    of_paper = [name for name in networks.names() if networks.info(name).set == "paper"]
    assert set(of_paper) == set(told) - {"network", "---"}
    for name in of_paper:
        _, stock, order, ours, _, ratio, ran = measured[name][:7]
        assert told[name] == [stock, order, ours, ratio], name
        assert ran == "yes", name


def test_the_results_have_every_network():
    measured = rows(section("docs/results.md", "Slabs: IREE, ordering, rewriting"))
    assert set(networks.names("paper", "more", "held-out")) <= set(measured)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Figures in the documentation are those that were measured."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from serenity_mlir import networks

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import history
import microcontroller
import publish

pytestmark = pytest.mark.one_release

ROOT = Path(__file__).resolve().parent.parent


def line(
    network: str, stock: int, ours: int, iree: str = "3.13.0", optimal: bool = True
) -> history.Line:
    entry: history.Line = {"network": network, "iree": iree, "stock_bytes": stock}
    for column in ("order", "default"):
        entry |= {f"{column}_bytes": ours, f"{column}_optimal": optimal}
    return entry


def test_the_readme_states_the_history(capsys):
    assert publish.main(["--check"]) == 0, capsys.readouterr().out


def test_a_readme_with_other_figures_is_stale():
    readme = (ROOT / "README.md").read_text("utf-8")
    first = f"{publish.last_lines(history.read())['swiftnet_a']['stock_bytes']:,}"
    block = publish.readme_block(history.read())
    assert first in block
    stale = publish.put_block(readme, block.replace(first, "1"))
    assert stale != readme
    assert publish.put_block(stale, block) == readme
    with pytest.raises(ValueError, match="no lines between"):
        publish.put_block("no comments", block)


def test_last_lines_of_the_newest_release_count():
    shown = networks.names(*publish.SHOWN)
    old = [line(name, 800, 800, iree="3.9.0") for name in shown]
    new = [line(name, 800, 200, optimal=name != shown[0]) for name in shown]
    other = [line("googlenet", 400, 400), line("googlenet", 400, 200)]
    rows = publish.readme_block(old + new + other).splitlines()
    assert rows[2] == f"| {shown[0]} | 800 | 200 * | 200 * | 4.00 |"
    assert rows[3] == f"| {shown[1]} | 800 | 200 | 200 | 4.00 |"
    mean = (4 ** len(shown) * 2) ** (1 / (len(shown) + 1))
    expected = f"| geometric mean of all {len(shown) + 1} networks | | | | {mean:.2f} |"
    assert rows[-1] == expected
    with pytest.raises(ValueError, match=f"{shown[-1]} has no line"):
        publish.readme_block(new[:-1])


def test_the_results_have_every_network_or_name_it():
    report = (ROOT / "docs" / "results.md").read_text("utf-8")
    section = report.partition("## Slabs: IREE, ordering, rewriting\n")[2].partition("\n## ")[0]
    measured = set(re.findall(r"^\| (\w+) \|", section, re.M)) & set(networks.names())
    absent = re.search(r"Not in this session: (.+)\.$", report, re.M)
    named = set(re.split(r", | and ", absent[1])) if absent else set()
    assert set(networks.names()) - measured == named - {"none"}


def test_the_page_on_microcontrollers_states_its_rows(capsys):
    assert microcontroller.main(["--check"]) == 0, capsys.readouterr().out


def test_a_page_on_microcontrollers_with_other_figures_is_stale(monkeypatch, capsys):
    rows = microcontroller.read_rows()
    assert set(rows) == set(microcontroller.NETWORKS)
    for row in rows.values():
        assert not row["disagreements"]
        assert row["serenity"]["predicted_bytes"] == row["serenity"]["linked_bytes"]
    side = rows["ds_cnn"]["serenity"]
    side["text_bytes"] += 1
    assert f"{side['text_bytes']:,}" in microcontroller.page_block(rows)
    monkeypatch.setattr(microcontroller, "read_rows", lambda: rows)
    assert microcontroller.main(["--check"]) == 1
    assert "other figures" in capsys.readouterr().out


def test_a_row_without_another_system_or_without_stock_is_shown():
    rows = microcontroller.read_rows()
    row = rows[microcontroller.PICTURED]
    bare = row | {"tflm": None, "stock": None, "largest_difference": None}
    block = microcontroller.page_block({microcontroller.PICTURED: bare})
    line = next(text for text in block.splitlines() if text.startswith("| `swiftnet_c` | - / "))
    assert "| - |" in line
    assert "TensorFlow" not in microcontroller.picture(bare)
    assert "TensorFlow" in microcontroller.picture(row)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Figures that stand in two places are the same: those of README.md are of docs/results.md."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from serenity_mlir import networks

ROOT = Path(__file__).resolve().parent.parent

_SPEC = importlib.util.spec_from_file_location(
    "publish_results", ROOT / "benchmarks" / "publish_results.py"
)
assert _SPEC is not None and _SPEC.loader is not None
publish_results = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(publish_results)


@pytest.fixture(scope="module")
def report() -> str:
    return (ROOT / "docs" / "results.md").read_text("utf-8")


def test_the_readme_states_the_results(capsys):
    assert publish_results.main(["--check"]) == 0, capsys.readouterr().err


def test_a_readme_with_other_figures_is_stale(report):
    readme = (ROOT / "README.md").read_text("utf-8")
    first = publish_results.slab_rows(report)["swiftnet_a"][1]
    changed = publish_results.readme_block(report).replace(first, "1")
    stale = publish_results.put_block(readme, changed)
    assert stale != readme
    assert publish_results.put_block(stale, publish_results.readme_block(report)) == readme


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("| swiftnet_a |", "| swiftnet_z |", "swiftnet_a is not in the report"),
        ("| yes |", "| no |", "predictions are not checked"),
        ("## Slabs", "## Bytes", "no table of networks"),
        ("Written by", "Made by", "no date"),
    ],
)
def test_a_report_that_shows_less_is_refused(report, old, new, message):
    with pytest.raises(ValueError, match=message):
        publish_results.readme_block(report.replace(old, new))


def test_the_results_have_every_network_or_name_it(report):
    measured = set(publish_results.slab_rows(report))
    absent = re.search(r"Not in this session: (.+)\.$", report, re.M)
    named = set(re.split(r", | and ", absent[1])) if absent else set()
    assert set(networks.names()) - measured == named - {"none"}

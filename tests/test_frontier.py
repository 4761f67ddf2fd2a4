# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The frontier of memory and time: which points are worth choosing from, and their picture."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import models
import pytest
from typer.testing import CliRunner

from serenity_mlir.cli import app
from serenity_mlir.cli import frontier as command
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring import frontier as module
from serenity_mlir.measuring.frontier import Frontier, Point, frontier, pareto
from serenity_mlir.measuring.measurement import measure
from serenity_mlir.reports.frontier_picture import _spread, describe, rows, write_frontier

pytestmark = pytest.mark.one_release

SVG = "{http://www.w3.org/2000/svg}"


def point(name: str, peak: int, compile_seconds: float, latency: float | None = None) -> Point:
    return Point(name, (f"--serenity-{name}",), peak, 10, compile_seconds, 1000, latency)


def test_pareto_of_bytes_and_compile_time() -> None:
    found = pareto(
        [
            point("covered", 900, 9.0),  # "middle" is smaller and faster
            point("stock", 1000, 1.0),
            point("least", 500, 8.0),
            point("middle", 800, 4.0),
        ]
    )
    assert [(p.name, p.pareto) for p in found] == [
        ("stock", True),
        ("covered", False),
        ("middle", True),
        ("least", True),
    ]


def test_pareto_keeps_one_of_equals() -> None:
    # The times differ by less than the noise: the earlier in order of time stays.
    slow = 1.0 + module.COMPILE_NOISE / 2
    found = pareto([point("again", 500, slow), point("once", 500, 1.0)])
    assert [(p.name, p.pareto) for p in found] == [("once", True), ("again", False)]


def test_pareto_of_latency() -> None:
    fast = point("fast", 1000, 1.0, latency=1.0)
    small = point("small", 500, 1.0, latency=1.5)
    # Not slower beyond the noise, and smaller: the fast one is covered.
    as_fast = replace(small, latency_ms=1.0 + module.LATENCY_NOISE / 2)
    assert [p.pareto for p in pareto([fast, small])] == [True, True]
    assert [(p.name, p.pareto) for p in pareto([fast, as_fast])] == [
        ("fast", False),
        ("small", True),
    ]


@pytest.mark.parametrize(
    ("peaks", "count", "expected"),
    [
        ([1600, 100], 3, [800, 400, 200]),  # equal ratios: 2
        ([1600, 400, 100], 3, [800, 200]),  # 400 is a peak
        ([1600, 404, 100], 3, [800, 200]),  # 400 is within 2 % below one: 404 would be cut down
        ([500], 3, []),
        ([500, 500], 3, []),
        ([1600, 100], 0, []),
        ([3, 2], 3, []),  # no whole number between
    ],
)
def test_budgets_between_the_peaks(peaks: list[int], count: int, expected: list[int]) -> None:
    assert module._budgets(peaks, count) == expected


def test_pictures(tmp_path: Path) -> None:
    found = Frontier("a<b", pareto([point("stock", 1000, 1.0), point("least", 500, 8.0)]))
    for ending in ("svg", "html", "png", "json"):
        for name in ("one", "two"):
            write_frontier(found, tmp_path / f"{name}.{ending}")
        one, two = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("one", "two"))
        assert one == two
    tree = ElementTree.parse(tmp_path / "one.svg")
    titles = {
        group.get("id"): group.findtext(f"{SVG}title")
        for group in tree.iter(f"{SVG}g")
        if (group.get("id") or "").startswith("point-")
    }
    assert titles == {f"point-{n}": describe(p) for n, p in enumerate(found.points)}
    assert "--serenity-least" in describe(found.points[1])
    page = (tmp_path / "one.html").read_text("utf-8")
    assert "<h1>a&lt;b: memory and time</h1>" in page
    assert page.count("<tr>") == 3
    assert not re.search(r'(src|href)="https?:', page)
    assert json.loads((tmp_path / "one.json").read_text("utf-8")) == found.to_dict()
    with pytest.raises(ValueError, match=r"ends in \.html, \.svg, \.png, \.json; got x\.pdf"):
        write_frontier(found, "x.pdf")


def test_other_systems_stand_beside_the_points(tmp_path: Path) -> None:
    found = Frontier("m", pareto([point("stock", 1000, 1.0), point("least", 500, 8.0)]))
    write_frontier(found, tmp_path / "m.svg", {"One": 70_000, "Another": 71_000, "Nothing": 0})
    text = (tmp_path / "m.svg").read_text("utf-8")
    assert "One: 70,000" in text and "Another: 71,000" in text and "Nothing" not in text
    # Near to each other, and still not one over the other.
    heights = _spread([0.1, 0.5, 0.51, 0.52], 0.05)
    assert heights == sorted(heights)
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 0.05 - 1e-9


def test_other_systems_are_read_from_results_of_the_bench(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    systems = {"IREE default": 9, "serenity": 3, "TVM": 7}
    path.write_text(json.dumps({"systems": {"without_io": {"net": systems}}}), "utf-8")
    assert command._other_systems(path, "net") == {"TVM": 7}
    with pytest.raises(SerenityError, match="no other system's bytes for other; run: serenity"):
        command._other_systems(path, "other")
    for text in ("[]", "{", '{"systems": 1}'):
        path.write_text(text, "utf-8")
        with pytest.raises(SerenityError, match=r"not a results\.json that serenity bench"):
            command._other_systems(path, "net")
    with pytest.raises(SerenityError, match="No such file"):
        command._other_systems(tmp_path / "absent.json", "net")


def test_covered_points_are_in_parentheses() -> None:
    found = Frontier("m", pareto([point("stock", 500, 1.0), point("worse", 500, 9.0)]))
    assert [row[0] for row in rows(found)] == ["stock", "(worse)"]


def test_points_are_what_their_flags_give(tmp_path: Path) -> None:
    model = tmp_path / "model.mlir"
    model.write_text(models.MODELS["jax_nhwc"]())
    found = frontier(str(model), budgets=1, timing=True)
    by_name = {p.name: p for p in found.points}
    assert {name for name, _ in module.SETTINGS} <= set(by_name)
    peaks = [p.peak_bytes for p in found.points]
    assert peaks == sorted(peaks, reverse=True)
    stock, default = by_name["stock"], by_name["default"]
    assert default.peak_bytes < stock.peak_bytes
    assert stock.flags == ()
    assert all(p.commands > 0 and p.module_bytes > 0 and p.latency_ms for p in found.points)
    # One point again, by its flags alone, as the runtime allocates it.
    least = found.points[-1]
    output = tmp_path / "again.vmfb"
    result = CliRunner().invoke(app, ["compile", str(model), "-o", str(output), *least.flags])
    assert result.exit_code == 0, result.output
    inputs = models_inputs(model)
    assert measure(output, inputs).transient_peak_bytes == least.peak_bytes


def models_inputs(model: Path) -> list[object]:
    from serenity_mlir.compiling.signatures import read_signatures
    from serenity_mlir.measuring.inputs import random_inputs

    (signature,) = read_signatures(model, ())
    return list(random_inputs(signature, 0))


def test_flags_are_printed_unbroken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    least = replace(point("least", 500, 8.0, 1.5), flags=("--serenity-a=on", "--serenity-b=0.6"))
    command._print(Frontier("m", pareto([point("stock", 123_456_789, 1.0, 1.0), least])))
    lines = capsys.readouterr().out.splitlines()
    assert "  least: --serenity-a=on --serenity-b=0.6" in lines
    (row,) = [line for line in lines if "123,456,789" in line]
    assert row.split() == ["stock", "123,456,789", "10", "1.000", "1.0", "1,000"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["m.onnx", "-o", "m.pdf"], "--output: expected a name that ends in"),
        (["m.onnx", "--serenity-rewrite=off"], "the settings choose serenity's flags"),
        (["m.onnx"], "m.onnx"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["frontier", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert words in result.output

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Pictures of slabs."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serenity_mlir import plotting
from serenity_mlir.offsets import OffsetsError
from serenity_mlir.reporting import ReportError, parse_report

# Greedy puts c on top of b, exact below: 0 and 1 do not live together with each other.
CSV = "id,lower,upper,size\na,0,3,4\nb,2,6,4\nc,5,9,8\n"


def report() -> dict[str, Any]:
    """A report of one region: three buffers of 64, 128 and 128 bytes, at most two alive."""
    region = {
        "location": None,
        "predicted_bytes": 256,
        "slab_bytes": 256,
        "lower_bound_bytes": 256,
        "optimal": True,
        "proved_by": "search",
        "offsets_optimal": True,
        "states": 3,
        "seconds": None,
        "left_alone": None,
        "live_bytes": [64, 192, 256, 128],
        "buffers": [
            {"name": "a", "first": 0, "last": 1, "bytes": 64, "offset": 128},
            {"name": "b", "first": 1, "last": 2, "bytes": 128, "offset": 0},
            {"name": "c", "first": 2, "last": 3, "bytes": 128, "offset": 128},
        ],
    }
    function = {
        "name": "main$async",
        "exported_as": "main",
        "initializer": False,
        "transient_peak_bytes": 256,
        "stock_transient_peak_bytes": 320,
        "external_bytes": 0,
        "peak_bytes": 256,
        "peak_is_exact": True,
        "candidates": [],
        "regions": [region],
        "rewrites": [],
    }
    return {
        "schema": 1,
        "versions": {},
        "functions": [function],
        "rewrites": [],
        "persistent_bytes": 0,
        "remarks": [],
        "seconds": {},
    }


def test_rectangles_follow_gaps() -> None:
    panel = plotting.Panel(
        "t",
        ("a",),
        np.array([0]),
        np.array([10]),
        np.array([8]),
        np.array([100]),
        108,
        gaps=(((4, 6, 2, 5), (8, 9, 0, 0)),),
    )
    assert plotting.rectangles(panel) == [
        (0, 0, 4, 100, 108),
        (0, 4, 6, 102, 105),
        (0, 6, 8, 100, 108),
        (0, 9, 10, 100, 108),
    ]
    times, live = plotting.live_bytes(panel)
    assert list(zip(times, live, strict=True)) == [(0, 8), (4, 3), (6, 8), (8, 0), (9, 8), (10, 0)]


def test_csv_panels(tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_text(CSV)
    ((before, after),) = plotting.panels_of_csv(path)
    # In the order given: a at 0, b at 4, c above b; 12 bytes are live in [5, 6).
    assert list(before.offset) == [0, 4, 8]
    assert before.height_bytes == 16
    assert after.height_bytes == 12
    assert plotting.live_bytes(after)[1].max() == 12


def test_report_panels() -> None:
    ((before, after),) = plotting.panels_of_report(parse_report(report()))
    assert list(after.offset) == [128, 0, 128]
    assert list(after.upper) == [2, 3, 4]
    assert after.height_bytes == 256
    # IREE: a at 0, b at 64, c above b.
    assert list(before.offset) == [0, 64, 192]
    assert before.height_bytes == 320
    assert list(plotting.live_bytes(after)[1]) == [64, 192, 256, 128, 0]


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_files_are_reproducible_and_readable(tmp_path: Path, ending: str) -> None:
    source = tmp_path / "b.csv"
    source.write_text(CSV)
    outputs = [tmp_path / f"{k}.{ending}" for k in range(2)]
    for output in outputs:
        plotting.plot(source, output)
    contents = [output.read_bytes() for output in outputs]
    assert contents[0] == contents[1]
    if ending == "svg":
        root = ElementTree.fromstring(contents[0])
        text = "".join(root.itertext())
        assert "16 bytes, 4 above the live bytes" in text
        assert "12 bytes, 0 above the live bytes" in text
        # A rectangle per buffer and panel.
        patches = [e for e in root.iter() if e.get("id", "").startswith("PatchCollection")]
        assert [len([p for p in e.iter() if p.tag.endswith("path")]) for e in patches] == [3, 3]
    else:
        assert contents[0].startswith(b"\x89PNG\r\n")


def test_errors(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("id,lower,upper,size\na,3,1,4\n")
    with pytest.raises(OffsetsError, match=r"bad\.csv:2: "):
        plotting.plot(bad, tmp_path / "x.svg")
    empty = report()
    empty["functions"] = []
    path = tmp_path / "r.json"
    path.write_text(json.dumps(empty))
    with pytest.raises(ValueError, match="nothing to draw"):
        plotting.plot(path, tmp_path / "x.svg")
    path.write_text("{}")
    with pytest.raises(ReportError):
        plotting.plot(path, tmp_path / "x.svg")
    good = tmp_path / "b.csv"
    good.write_text(CSV)
    with pytest.raises(ValueError, match=r"\.svg or \.png"):
        plotting.plot(good, tmp_path / "x.pdf")
    assert not list(tmp_path.glob("x.*"))


def test_command(tmp_path: Path) -> None:
    path, output = tmp_path / "r.json", tmp_path / "o.svg"
    path.write_text(json.dumps(report()))
    command = [sys.executable, "-m", "serenity_mlir", "plot", str(path), "-o"]
    process = subprocess.run([*command, str(output)], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "as compiled: 256 bytes" in process.stdout
    assert "main$async" in output.read_text()
    process = subprocess.run(
        [*command, str(tmp_path / "o.gif")], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert ".svg or .png" in process.stderr

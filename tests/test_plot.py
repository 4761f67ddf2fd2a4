# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Pictures of slabs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_support import make_candidate, make_function, make_region, make_report

from serenity_mlir.core.offsets import OffsetsError
from serenity_mlir.reports import plotting
from serenity_mlir.reports.reporting import ReportError, parse_report

pytestmark = pytest.mark.one_release

# Greedy puts c on top of b, exact below: 0 and 1 do not live together with each other.
CSV = "id,lower,upper,size\na,0,3,4\nb,2,6,4\nc,5,9,8\n"


def report() -> dict[str, Any]:
    """A report of one region: three buffers of 64, 128 and 128 bytes, at most two alive."""
    region = make_region(
        predicted_bytes=256,
        slab_bytes=256,
        lower_bound_bytes=256,
        live_bytes=[64, 192, 256, 128],
        buffers=[
            {"name": "a", "first": 0, "last": 1, "bytes": 64, "offset": 128, "element_type": None},
            {"name": "b", "first": 1, "last": 2, "bytes": 128, "offset": 0, "element_type": None},
            {"name": "c", "first": 2, "last": 3, "bytes": 128, "offset": 128, "element_type": None},
        ],
    )
    function = make_function(
        transient_peak_bytes=256,
        stock_transient_peak_bytes=320,
        peak_bytes=256,
        regions=[region],
    )
    return make_report([function])


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


def with_stock() -> dict[str, Any]:
    """The report with operations, and a stock region with all three buffers live at once."""
    data = report()
    function = data["functions"][0]
    (region,) = function["regions"]

    def access(buffer: int, size: int) -> dict[str, int]:
        return {"buffer": buffer, "offset": 0, "bytes": size}

    def operation(name: str, step: int, uses: list[Any], defs: list[Any]) -> dict[str, Any]:
        return {
            "name": name,
            "location": 'loc("m.mlir":1:2)',
            "step": step,
            "uses": uses,
            "defs": defs,
            "external_uses": [],
            "external_defs": [],
        }

    region["operations"] = [
        operation("@a", 0, [], [access(0, 64)]),
        operation("@b", 1, [access(0, 64)], [access(1, 128)]),
        operation("@</script><b>&c", 2, [access(1, 128)], [access(2, 128)]),
        operation("stream.cmd.copy", 3, [access(2, 128)], []),
    ]
    region["externals"] = []
    stock = json.loads(json.dumps(region))
    stock["live_bytes"] = [192, 320, 128]
    for buffer, (first, last, offset) in zip(
        stock["buffers"], ((0, 1, 0), (0, 1, 64), (1, 2, 192)), strict=True
    ):
        buffer.update(first=first, last=last, offset=offset)
    stock["slab_bytes"] = 320
    for entry, step in zip(stock["operations"], (0, 0, 1, 2), strict=True):
        entry["step"] = step  # the first two are concurrent
    function["stock_regions"] = [stock]
    function["candidates"] = [
        make_candidate("stock", 320),
        make_candidate("serenity", 256, index=1, chosen=True),
    ]
    return data


def test_stock_regions_are_the_left_panels() -> None:
    ((before, after),) = plotting.panels_of_report(parse_report(with_stock()))
    assert before.title == "main: stock IREE" and after.title == "main: as compiled"
    assert plotting.peak_time(before) == (1, 320)
    assert plotting.peak_time(after) == (2, 256)
    assert after.edges == ((0, 1, 0), (1, 2, 1), (2, 3, 2))


def test_regions_that_do_not_match_have_rows_of_their_own() -> None:
    data = with_stock()
    function = data["functions"][0]
    function["stock_regions"] = [*function["stock_regions"], *function["stock_regions"]]
    rows = plotting.panels_of_report(parse_report(data))
    assert [[panel.title for panel in row] for row in rows] == [
        ["main, region 0: stock IREE"],
        ["main, region 1: stock IREE"],
        ["main: as compiled"],
    ]


def test_the_peak_is_named_and_dark(tmp_path: Path) -> None:
    source, output = tmp_path / "r.json", tmp_path / "o.svg"
    source.write_text(json.dumps(with_stock()))
    plotting.plot(source, output)
    root = ElementTree.fromstring(output.read_text())
    text = "".join(root.itertext())
    assert "live: at most 256 bytes, at step 2" in text
    assert "live at the peak: 2 buffers" in text
    styles = {
        e.get("id"): "".join(p.get("style", "") for p in e.iter())
        for e in root.iter()
        if e.get("id", "").startswith("b-1-")
    }
    dark = {name for name, style in styles.items() if "fill: #0072b2" in style}
    assert dark == {"b-1-1-1", "b-1-2-2"}  # a is not live any more


def page(tmp_path: Path) -> Path:
    source, output = tmp_path / "r.json", tmp_path / "o.html"
    source.write_text(json.dumps(with_stock()))
    plotting.plot(source, output)
    return output


#: A reference of a page to something else, in HTML or in CSS.
REFERENCE = re.compile(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)|url\(([^)]+)\)""")


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    text = page(tmp_path).read_text(encoding="utf-8")
    references = REFERENCE.findall(text)
    # Referenced elements lie in the page itself; an SVG without a reference is fine too.
    assert [one or two for one, two in references if not (one or two).startswith("#")] == []
    # The pattern does find references to other places.
    assert REFERENCE.findall('<img src="https://a.example/b.png">') == [
        ("https://a.example/b.png", "")
    ]
    assert "import(" not in text and "fetch(" not in text and "XMLHttpRequest" not in text
    # The names of a model are text, never markup.
    assert "<b>" not in text
    assert "stock IREE" in text and "peak after each step" in text


#: Points at elements as a mouse does, and records the text that the page shows.
PROBE = """
<script>
window.addEventListener("load", () => {
  const seen = {};
  for (const id of %s) {
    const box = document.getElementById(id).getBoundingClientRect();
    const x = box.x + box.width / 2, y = box.y + box.height / 2;
    window.scrollTo(0, 0);
    const hit = document.elementFromPoint(x, y);
    const at = {clientX: x, clientY: y, bubbles: true};
    if (hit) hit.dispatchEvent(new MouseEvent("mousemove", at));
    const tip = document.getElementById("tip");
    const chosen = [...document.querySelectorAll(".chosen")].map((e) => e.id);
    seen[id] = [getComputedStyle(tip).display, tip.textContent, chosen];
  }
  const result = document.createElement("script");
  result.type = "application/json";
  result.id = "seen";
  result.textContent = JSON.stringify(seen).replaceAll("<", "\\\\u003c");
  document.body.append(result);
});
</script>
"""


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser",
                                                   "google-chrome"))), None)  # fmt: skip
    if browser is None:
        pytest.skip("no chromium or chrome on the path")
    path = page(tmp_path)
    asked = ["b-1-1-1", "o-1-2", "s-0-1", "b-0-2-1"]
    probed = path.read_text(encoding="utf-8").replace(
        "</body>", PROBE % json.dumps(asked) + "</body>"
    )
    path.write_text(probed, encoding="utf-8")
    process = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND",
         "--window-size=1600,2400", "--virtual-time-budget=5000", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    found = re.search(r'id="seen">(.*?)</script>', process.stdout, re.DOTALL)
    assert found, process.stderr[-2000:]
    seen = json.loads(found[1])
    shown, text, chosen = seen["b-1-1-1"]
    assert shown == "block"
    assert text.splitlines()[:3] == [
        "b", "128 bytes at offset 0", "live from step 1 to 2",
    ]  # fmt: skip
    assert "written by b (1)" in text and "read by </script><b>&c (2)" in text
    assert set(chosen) == {"b-1-1-1", "o-1-1", "o-1-2", "e-1-1-2-1"}
    assert seen["o-1-2"][1].splitlines()[:4] == [
        "</script><b>&c", "step 2", "reads b", "writes c",
    ]  # fmt: skip
    assert "step 1, the peak: 320 bytes live" in seen["s-0-1"][1]
    assert {"b-0-0-0", "b-0-1-0", "b-0-2-1", "o-0-2"} == set(seen["s-0-1"][2])
    assert seen["b-0-2-1"][1].startswith("c\n")


@pytest.mark.parametrize("ending", ["svg", "png", "html"])
def test_files_are_reproducible_and_readable(tmp_path: Path, ending: str) -> None:
    source = tmp_path / "b.csv"
    source.write_text(CSV)
    outputs = [tmp_path / f"{k}.{ending}" for k in range(2)]
    for output in outputs:
        plotting.plot(source, output)
    contents = [output.read_bytes() for output in outputs]
    assert contents[0] == contents[1]
    if ending == "png":
        assert contents[0].startswith(b"\x89PNG\r\n")
        return
    text = contents[0].decode()
    root = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    shown = "".join(root.itertext())
    assert "16 bytes, 4 above the live bytes" in shown
    assert "12 bytes, 0 above the live bytes" in shown
    # A rectangle per buffer and panel.
    marks = [e.get("id", "") for e in root.iter() if e.get("id", "").startswith("b-")]
    assert marks == ["b-0-0-0", "b-0-1-2", "b-0-2-5", "b-1-0-0", "b-1-1-2", "b-1-2-5"]


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
    with pytest.raises(ValueError, match=r"\.svg, \.png or \.html"):
        plotting.plot(good, tmp_path / "x.pdf")
    assert not list(tmp_path.glob("x.*"))


def test_command(tmp_path: Path) -> None:
    path, output = tmp_path / "r.json", tmp_path / "o.svg"
    path.write_text(json.dumps(report()))
    command = [sys.executable, "-m", "serenity_mlir", "plot", str(path), "-o"]
    process = subprocess.run([*command, str(output)], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "as compiled: 256 bytes" in process.stdout
    assert "main: as compiled" in output.read_text()
    process = subprocess.run(
        [*command, str(tmp_path / "o.gif")], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert ".svg, .png or .html" in process.stderr

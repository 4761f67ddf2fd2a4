# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``serenity bench``: records, resuming, failures, other systems, and the text of reports."""

from __future__ import annotations

import dataclasses
import functools
import html.parser
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_support import make_function, make_region, make_report

from serenity_mlir import networks
from serenity_mlir.benchmarking import (
    content,
    document,
    peer_runs,
    quantized,
    reasons,
    report,
    results,
    session,
    timing,
    work,
)
from serenity_mlir.benchmarking.peer_runs import (
    Peer,
    PeerMissingError,
    UnsupportedModelError,
)
from serenity_mlir.errors import SerenityError
from serenity_mlir.reports.traffic import CAPACITIES, FunctionTraffic, Traffic
from serenity_mlir.running import Record

pytestmark = pytest.mark.one_release

# --- counting ----------------------------------------------------------------


def sizes(stock: int, order: int, ours: int, *, external: int = 100, of_set: str = "paper") -> dict:
    return {
        "set": of_set,
        "element_types": ["float32"],
        "external_bytes": external,
        "transient_peak_bytes": {"stock": stock, "order": order, "serenity": ours},
        "order_optimal": True,
        "optimal": ours % 2 == 0,
    }


def answer(**figures: tuple[int | None, int]) -> dict:
    return {
        "figures": {
            name.replace("_", " "): {"without_io": without, "with_io": with_io}
            for name, (without, with_io) in figures.items()
        },
        "versions": {"package": "1.2"},
        "compared_with": "IREE",
        "relative_difference": 1e-7,
        "notes": ["it took two parts"],
    }


def run(stock: int, ours: int, *, faster: float = 2.0, timing: bool = True) -> dict:
    """A run in which serenity is slower in one thread and faster in two."""
    one = {"minimum": 4.0, "median": 9.0, "processor": 2.0, "calls": 15}
    two = {"minimum": 3.0, "median": 9.0, "processor": 6.0, "calls": 15}
    return {
        "stock": {"transient_peak_bytes": stock},
        "serenity": {"transient_peak_bytes": ours},
        "milliseconds": {
            "1 thread": {"stock": one, "serenity": {**one, "minimum": 8.0, "processor": 3.0}},
            "2 threads": {"stock": two, "serenity": {**two, "minimum": 3.0 / faster, "calls": 150}},
        }
        if timing
        else None,
        "compile_seconds": {"stock": 10.0, "serenity": 15.0},
        "compile_processor_seconds": {"stock": 8.0, "serenity": 16.0},
        "load_averages": [1.25, 3.0],
        "disagreements": [],
        "compared_with": None,
        "relative_difference": None,
    }


def quantized_entry(stock: int, order: int, ours: int, **entries: Any) -> dict:
    return {
        "transient_peak_bytes": {"stock": stock, "order": order, "serenity": ours},
        "external_bytes": 10,
        "quantized_values": 3,
        "wide_values": 1,
        "wide_bytes_at_peak": 8,
        "run": None,
        **entries,
    }


@pytest.fixture
def measured() -> results.Results:
    """Two cells and a held-out network; one system is smaller in one place."""
    return results.Results(
        date="2026-01-02",
        versions={"serenity-mlir": "0.1"},
        machine="a machine",
        networks=["swiftnet_a", "swiftnet_b", "googlenet", "missing"],
        sizes={
            "swiftnet_a": sizes(800, 400, 200),
            "swiftnet_b": sizes(900, 600, 301),
            "googlenet": sizes(500, 500, 500, external=1000, of_set="held-out"),
        },
        peers={
            "litert": {
                "swiftnet_a": answer(xnnpack=(400, 450), reference_arena=(None, 600)),
                "googlenet": answer(xnnpack=(499, 1700), reference_arena=(None, 1600)),
            },
            "tvm": {"swiftnet_a": answer(default=(700, 800), zero=(600, 900))},
        },
        failures=[results.Failure("peer-tvm", "Apache TVM (Relax)", "googlenet", "no | luck")],
        skipped={"xla": "XLA (JAX): jax not installed"},
    )


def test_inputs_and_outputs_are_counted_for_all_or_for_none(measured):
    assert measured.systems("swiftnet_a", "without_io") == {
        "IREE default": 800,
        "serenity": 200,
        "LiteRT, XNNPACK": 400,
        "TVM": 600,
    }
    # Ours and IREE's are slab and external; the least setting counts, in each way of counting.
    assert measured.systems("swiftnet_a", "with_io") == {
        "IREE default": 900,
        "serenity": 300,
        "LiteRT, XNNPACK": 450,
        "LiteRT, arena": 600,
        "TVM": 800,
    }
    assert measured.systems("missing", "with_io") == {}


def test_ratios_are_of_networks_where_both_have_a_figure(measured):
    names = measured.networks
    assert measured.ratios("LiteRT, XNNPACK", names, "without_io") == [2.0, 499 / 500]
    assert measured.ratios("LiteRT, arena", names, "without_io") == []
    assert measured.ratios("XLA", names, "with_io") == []
    assert results.geometric_mean([]) is None
    assert results.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


def test_overwritten_inputs_stand_beside_kept_ones(measured, tmp_path):
    overwriting = {**measured.sizes["swiftnet_a"], "overwriting_peak_bytes": 250}
    found = dataclasses.replace(measured, sizes={**measured.sizes, "swiftnet_a": overwriting})
    assert "serenity, inputs overwritten" not in found.systems("swiftnet_a", "without_io")
    assert found.systems("swiftnet_a", "with_io")["serenity, inputs overwritten"] == 250
    # It is no other system, and other systems' ratios to it are those of the network that has it.
    assert found.not_smallest("with_io") == {}
    names = ["swiftnet_a", "swiftnet_b"]
    assert found.ratios("LiteRT, XNNPACK", names, "with_io", results.OVERWRITING) == [450 / 250]
    table = content._systems_table(found, names, "with_io")
    assert table.columns[1:3] == ["serenity", "serenity, inputs overwritten"]
    assert [row[1:3] for row in table.rows[:2]] == [["300", "**250**"], ["**401**", "-"]]
    # LiteRT's 450 over both; no other system has a figure for the second network.
    assert table.columns[-2:] == [
        "least other / serenity",
        "least other / serenity, inputs overwritten",
    ]
    assert [row[-2:] for row in table.rows] == [["1.50", "1.80"], ["-", "-"], ["1.50", "1.80"]]
    report.write(found, tmp_path)
    header = next(
        line
        for line in (tmp_path / "results.md").read_text("utf-8").splitlines()
        if line.startswith("| system |")
    )
    assert "| nine cells, with inputs and outputs, inputs overwritten |" in header


def test_networks_of_every_set_are_in_the_tables(measured, tmp_path):
    of_each = {
        networks.names(of_set)[0]: sizes(800, 400, 200, of_set=of_set) for of_set in networks.SETS
    }
    every = dataclasses.replace(measured, networks=list(of_each), sizes=of_each)
    report.write(every, tmp_path)
    markdown = (tmp_path / "results.md").read_text("utf-8")
    for name in of_each:
        # Slabs; beside others without and with inputs and outputs.
        assert len(re.findall(rf"^\| {name} \|", markdown, re.M)) >= 3, name


def test_whoever_is_smaller_is_listed(measured):
    assert measured.not_smallest("without_io") == {"googlenet": ["LiteRT, XNNPACK"]}
    assert measured.not_smallest("with_io") == {}


# --- reports -----------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """Collects the resources a page would load, its identifiers and references to them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.references: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "xlink:href", "src") and tag != "a":
                (self.references.add(value[1:]) if value[0] == "#" else self.loads.append(value))
            if value and "url(#" in value:
                self.references.update(re.findall(r"url\(#([^)]+)\)", value))


def test_the_report_holds_tables_and_pictures_and_loads_nothing(measured, tmp_path):
    files = {path.name: path.read_text() for path in report.write(measured, tmp_path)}
    markdown = files["results.md"]
    for text in (
        "| IREE default | 3.46 (2) | 1.00 (1) | 1.00 (1) |",  # sqrt(4 * 900 / 301)
        "| swiftnet_a | **200** | 800 | 400 | - | 600 |",
        "| swiftnet_b | 100 | 900 | 600 | 301 * |",
        "| googlenet | without inputs and outputs | no report | 500 | LiteRT, XNNPACK: 499 | 1.0",
        "| googlenet | Apache TVM (Relax) | no \\| luck |",
        "Skipped: XLA (JAX): jax not installed.",
        "LiteRT: it took two parts (swiftnet_a and googlenet).",
        "that ran a network (IREE)",
        "![",
        "552 KB",
    ):
        assert text in markdown, text
    for name in re.findall(r"\]\((\S+\.svg)\)", markdown):
        assert (tmp_path / name).stat().st_size > 1000
    # One line per row, and as many cells as columns.
    for table in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table
    page = Page(files["results.html"])
    assert not page.loads
    assert "@import" not in files["results.html"]
    assert len(page.ids) == len(set(page.ids))
    assert page.references and page.references <= set(page.ids)
    assert "<svg" in files["results.html"]
    data = json.loads(files["results.json"])
    assert data["systems"]["with_io"]["swiftnet_a"]["TVM"] == 800
    again = {path.name: path.read_text() for path in report.write(measured, tmp_path / "again")}
    assert again == files


def test_a_failure_of_ours_counts_and_one_of_a_peer_does_not(measured):
    assert measured.our_failures == {}
    wrong = {"disagreements": ["slab: predicted 1 bytes, the runtime took 2"]}
    failed = results.Results(
        "", {}, "", ["a", "b"], runs={"b": wrong},
        failures=[results.Failure("bytes", "compilation", "a", "it crashed")],
    )  # fmt: skip
    assert failed.our_failures == {"a": "it crashed", "b": wrong["disagreements"][0]}
    told = document.to_markdown(list(content._failures(failed)))
    assert "it crashed" in told and "the runtime took 2" in told


def test_more_with_overwritten_inputs_is_a_failure_of_ours(measured):
    def overwriting(size: int) -> results.Results:
        of = {**measured.sizes["swiftnet_a"], "overwriting_peak_bytes": size}
        return dataclasses.replace(measured, sizes={"swiftnet_a": of})

    assert overwriting(300).our_failures == {}
    told = "301 bytes with inputs overwritten, 300 with kept"
    assert overwriting(301).our_failures == {"swiftnet_a": told}


def test_other_outputs_of_a_quantized_network_are_a_failure_of_ours(measured):
    failed = {**quantized_entry(40, 30, 20), "run": {"disagreements": ["outputs differ by 1"]}}
    found = dataclasses.replace(measured, storage="int8", quantized={"swiftnet_a": failed})
    assert found.our_failures == {"swiftnet_a": "int8: outputs differ by 1"}


def test_latency_and_compile_time_stand_beside_memory():
    runs = {"a": run(800, 400), "b": run(800, 100, faster=0.5), "c": run(5, 0, timing=False)}
    measured = results.Results("", {}, "", list(runs), runs=runs)
    text = document.to_markdown(list(timing.times(measured)))
    for told in (
        "| network | slab, IREE / serenity | ms, 1 thread: IREE | serenity | ratio | "
        "ms, 2 threads: IREE | serenity | ratio | compile, s: IREE | serenity | ratio |",
        "| a | 2.00 | 4.00 / 2.00 | 8.00 / 3.00 | 2.00 / 1.50 | 3.00 / 6.00 | 1.50 / 6.00 | "
        "0.50 / 1.00 | 10.0 / 8.0 | 15.0 / 16.0 | 1.50 / 2.00 |",
        "| c | - | - | - | - | - | - | - | 10.0 / 8.0 |",
        "| geometric mean | 4.00 |  |  | 2.00 / 1.50 |  |  | 1.00 / 1.00 |  |  | 1.50 / 2.00 |",
        "the least of 15 to 150 calls",
        "load average was 1.2 to 3.0",
    ):
        assert told in text, told
    untimed = results.Results("", {}, "", ["c"], runs={"c": runs["c"]})
    text = document.to_markdown(list(timing.times(untimed)))
    assert "No latency was measured" in text and "| c | - | 10.0 / 8.0 |" in text
    nothing = results.Results("", {}, "", [])
    assert "No network was run" in document.to_markdown(list(timing.times(nothing)))


def test_what_peers_cannot_take_is_a_row_and_not_asked_again():
    told = "XLA (JAX): NotImplementedError: Resize is not implemented."
    record = Record("net", "f", 1.0, result={"unsupported": told})
    kept = results.collect(session.Selection(["net"]), {"peer-xla": {"net": record}}, {})
    assert [(f.title, f.reason) for f in kept.failures] == [("XLA (JAX)", told)]
    assert kept.peers == {"xla": {}} and kept.our_failures == {}
    assert kept.systems("net", "without_io") == {}


def a_report(**changes: Any) -> dict[str, Any]:
    """A padded copy of the input, and a convolution of it; five buffers are live at once."""

    def access(buffer: int) -> dict[str, int]:
        return {"buffer": buffer, "offset": 0, "bytes": 64}

    def operation(name: str, step: int, uses: list[int], defs: list[int]) -> dict[str, Any]:
        return {
            "name": name, "location": None, "step": step,
            "uses": [access(of) for of in uses], "defs": [access(of) for of in defs],
            "external_uses": [], "external_defs": [],
        }  # fmt: skip

    sizes = [1024, 2048, 64, 64, 64]
    names = ["@f$async_dispatch_0_slow_memcpy", "@f$async_dispatch_1_conv", "@a", "@b", "@c"]
    region = {
        **make_region(predicted_bytes=3264, slab_bytes=3328, lower_bound_bytes=3264),
        "live_bytes": [64, 128, 192, 1216, 1216, 3264],
        "buffers": [
            {
                "name": name,
                "first": first,
                "last": 5,
                "bytes": size,
                "offset": 0,
                "element_type": None,
            }
            for name, size, first in zip(names, sizes, (3, 5, 0, 1, 2), strict=True)
        ],
        "operations": [
            operation("@a", 0, [], [2]),
            operation("@b", 1, [], [3]),
            operation("@c", 2, [], [4]),
            operation("stream.cmd.fill", 3, [], [0]),
            operation(names[0], 4, [], [0]),
            operation(names[1], 5, [0, 2, 3, 4], [1]),
        ],
        **changes,
    }
    function = make_function(
        name="f$async",
        exported_as="f",
        transient_peak_bytes=3328,
        stock_transient_peak_bytes=4000,
        peak_bytes=3328,
        regions=[region],
    )
    return make_report([function])


@pytest.mark.parametrize(
    ("changes", "proof"),
    [
        ({}, "no order of IREE's dispatches needs less; 64 lost between buffers"),
        ({"optimal": False}, "the search ended at a bound of 3,264; 64 lost between buffers"),
        ({"left_alone": "it loops"}, "the region kept IREE's order: it loops; 64 lost"),
    ],
)
def test_the_reason_names_what_is_live(changes, proof, measured, tmp_path):
    (tmp_path / "googlenet.json").write_text(json.dumps(a_report(**changes)))
    (row,) = next(
        part
        for part in reasons.not_smallest(measured, tmp_path)
        if isinstance(part, document.Table)
    ).rows
    assert row[2].startswith(
        "at conv #1 are live 2,048 of conv #1, 1,024 of slow_memcpy #0 with padding, 64 of a and "
        f"128 of 2 more; {proof}"
    )


def test_who_is_smaller_only_because_of_inputs_is_told_so(measured, tmp_path):
    larger = {"litert": {"swiftnet_a": answer(xnnpack=(201, 299))}}
    found = results.Results("", {}, "", ["swiftnet_a"], sizes=measured.sizes, peers=larger)
    (row,) = next(
        part for part in reasons.not_smallest(found, tmp_path) if isinstance(part, document.Table)
    ).rows
    assert row[:2] == ["swiftnet_a", "with inputs and outputs"]
    assert row[2].startswith("the smallest where they are not counted; IREE holds the 100 bytes")

    overwriting = {**measured.sizes["swiftnet_a"], "overwriting_peak_bytes": 250}
    found = dataclasses.replace(found, sizes={"swiftnet_a": overwriting})
    (row,) = next(
        part for part in reasons.not_smallest(found, tmp_path) if isinstance(part, document.Table)
    ).rows
    assert row[2].startswith("250 with inputs overwritten; the smallest where")


def test_traffic_says_where_it_is_more(measured, tmp_path, monkeypatch):
    ours = {"swiftnet_a": (200, 50, 7, 0), "swiftnet_b": (100, 101, 8, 0)}

    def by_size(sizes: tuple[int, ...]) -> dict[int, Traffic]:
        return {size: Traffic(of, 0) for size, of in zip(CAPACITIES, sizes, strict=True)}

    monkeypatch.setattr(content, "load_function", lambda _, name: name)
    monkeypatch.setattr(
        content,
        "traffic_of_function",
        lambda name: FunctionTraffic(name, by_size((100, 100, 8, 0)), by_size(ours[name])),
    )
    text = document.to_markdown(list(content._traffic(measured, tmp_path, [])))
    assert "| swiftnet_a | 100 | 200 | 100 | 50 | 8 | 7 | 0 | 0 |" in text
    assert "more than IREE on: swiftnet_a (32 KiB) and swiftnet_b (64 KiB)." in text


def test_text_is_escaped_in_pages():
    parts = [document.Heading(1, "a < b"), document.Table(["x"], [["`<i>` **b** | c"]])]
    page = document.to_html(parts, Path())
    assert "<h1>a &lt; b</h1>" in page
    assert "<td class=l><code>&lt;i&gt;</code> <strong>b</strong> | c</td>" in page


# --- sessions ----------------------------------------------------------------


def fake_work(model: str, *, folder: str) -> dict[str, str]:
    """Leaves a mark for every call; the model's name gives the outcome."""
    with open(Path(folder) / "calls", "a") as stream:
        stream.write(f"{model}\n")
    if model == "failing" and not (Path(folder) / "fixed").exists():
        raise SerenityError("not today")
    if model == "killed":
        os.kill(os.getpid(), 9)
    return {"model": model}


def test_a_session_resumes_and_failures_are_rows(tmp_path):
    models = ["one", "failing", "killed", "two"]
    step = session.Step(
        "fake", "fake", functools.partial(fake_work, folder=str(tmp_path)), models, {"version": 1}
    )
    seen: list[tuple[str, bool]] = []

    def run(step: session.Step) -> dict[str, Record]:
        seen.clear()
        notice = lambda _, record: seen.append((record.model, record.resumed))  # noqa: E731
        return session.run([step], tmp_path, 1, notice)["fake"]

    first = run(step)
    assert sorted(name for name, _ in seen) == sorted(models)
    assert first["two"].result == {"model": "two"}
    assert first["failing"].error == "not today"
    assert "killed or crashed" in (first["killed"].error or "")

    (tmp_path / "calls").unlink()
    (tmp_path / "fixed").touch()
    second = run(step)
    assert second["failing"].result == {"model": "failing"}
    assert set((tmp_path / "calls").read_text().split()) == {"failing", "killed"}
    assert {name for name, resumed in seen if resumed} == {"one", "two"}

    # Other versions: all again.
    (tmp_path / "calls").unlink()
    run(session.Step("fake", "fake", step.work, ["one", "two"], {"version": 2}))
    assert (tmp_path / "calls").read_text().split() == ["one", "two"]

    failed = {"killed": second["killed"]}
    kept = results.collect(session.Selection(models), {"peer-tvm": failed, "bytes": {}}, {})
    assert [(f.network, f.step) for f in kept.failures] == [("killed", "peer-tvm")]
    assert kept.our_failures == {}


def test_records_of_peers_outlive_a_change_of_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "peer_versions", lambda peer, python: {peer.name: "1.2"})
    options = session.Selection(["swiftnet_c"], runs=["swiftnet_c"], peers=["tvm"])

    def depends() -> dict:
        return {
            step.name: (step.settings, session._identify("swiftnet_c", step.versions))
            for step in session.plan(options, tmp_path)[0]
        }

    def changed() -> set[str]:
        now = depends()
        return {name for name in now if now[name] != before[name]}

    before = depends()
    assert set(before) == {"bytes", "runs", "overwriting", "scheduling", "peer-tvm"}
    with monkeypatch.context() as patch:
        patch.setattr(session, "native_tool", lambda name: __file__)
        assert changed() == {"bytes", "runs", "overwriting"}
    with monkeypatch.context() as patch:
        patch.setattr(session, "serenity_version", lambda: "99")
        assert changed() == {"bytes", "runs", "overwriting", "scheduling"}
    with monkeypatch.context() as patch:
        patch.setattr(session, "worker_digest", lambda peer: "another way of reading")
        assert changed() == {"peer-tvm"}
    with monkeypatch.context() as patch:
        patch.setattr(session, "_network_digest", lambda name: "another network")
        assert changed() == set(before)
    assert changed() == set()


def test_networks_are_selected_by_name_set_and_family(tmp_path):
    assert session.select_models(sets=["paper"])[:2] == ["swiftnet_a", "swiftnet_b"]
    assert session.select_models(families=["swiftnet"], sets=["paper"]) == [
        "swiftnet_a", "swiftnet_b", "swiftnet_c", "swiftnet",
    ]  # fmt: skip
    assert len(session.select_models()) >= 25
    model = tmp_path / "mine.onnx"
    model.touch()
    chosen = session.select_models(["swiftnet_a", str(model), "swiftnet_a"])
    assert chosen == ["swiftnet_a", str(model)]
    assert session.select_runs(chosen, ["paper"]) == ["swiftnet_a"]
    assert session.select_runs(chosen, []) == chosen
    for arguments, told in (
        ({"names": ["nonet"]}, "neither an ONNX file nor a network"),
        ({"sets": ["rare"]}, "no set 'rare'"),
        ({"families": ["Rare"]}, "no family 'rare'"),
        ({"names": ["swiftnet_a"], "sets": ["paper"]}, "not both"),
    ):
        with pytest.raises(SerenityError, match=told) as caught:
            session.select_models(**arguments)
        assert caught.value.exit_code == 2
    with pytest.raises(SerenityError, match="neither a chosen network nor a set"):
        session.select_runs(chosen, ["swiftnet_b"])


def test_a_time_limit_ends_what_takes_too_long():
    with pytest.raises(SerenityError, match=r"longer than 0\.1 seconds"), work._limit(0.1):
        import time

        time.sleep(20)
    with work._limit(60):
        pass


def test_the_ablation_proves_the_published_optima():
    found = work.measure_scheduling("swiftnet_c", states=5_000_000)
    assert [graph["rewriting"] for graph in found["graphs"]] == ["none", "conv", "all"]
    for graph in found["graphs"]:
        assert list(graph["runs"]) == list(work.ABLATION)
        for run in graph["runs"].values():
            assert run["optimal"]
            assert run["peak_bytes"] == graph["published_optimum"]
        states = [run["states"] for run in graph["runs"].values()]
        assert states[0] >= states[2] > states[3]


# --- other systems -------------------------------------------------------------

FAKE_PEER = """
import os, sys, time
import numpy as np
from . import protocol

def measure(request):
    kind = request.model.stem
    if kind == "unsupported":
        raise protocol.Unsupported("no operator Foo")
    if kind == "wrong":
        raise ValueError("out of range")
    if kind == "crash":
        print("corrupted heap", file=sys.stderr)
        os._exit(3)
    if kind == "slow":
        time.sleep(60)
    assert not os.environ.get("PYTHONPATH")
    (request.directory / "scratch").touch()
    return protocol.Answer(
        {"some": protocol.Figure(10, 20), "all": protocol.Figure(None, 30)},
        [2 * array for array in request.inputs], ["a note"])

if __name__ == "__main__":
    protocol.serve(["numpy"], measure)
"""


@pytest.fixture
def fake_peer(tmp_path, monkeypatch) -> Peer:
    workers = tmp_path / "workers" / "peers"
    workers.mkdir(parents=True)
    (workers / "__init__.py").touch()
    shutil.copy(Path(peer_runs.__file__).parent / "peers" / "protocol.py", workers)
    (workers / "fake.py").write_text(FAKE_PEER)
    monkeypatch.setattr(peer_runs, "_WORKERS", workers.parent)
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    return Peer("fake", "Fake", "fake", ("numpy",), ())


def test_a_worker_answers_with_figures_and_outputs(fake_peer, tmp_path):
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(True)]
    folder = tmp_path / "work"
    folder.mkdir()
    found, outputs = peer_runs.run_peer(
        fake_peer, sys.executable, tmp_path / "fine.onnx", arrays[:1], folder
    )
    assert found["figures"] == {
        "some": {"without_io": 10, "with_io": 20},
        "all": {"without_io": None, "with_io": 30},
    }
    assert found["versions"] == {"numpy": np.__version__}
    assert found["notes"] == ["a note"]
    assert np.array_equal(outputs[0], 2 * arrays[0])
    sent = json.loads((folder / "request.json").read_text())
    assert sent["storage"] == "float32"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("unsupported", "Fake: Unsupported: no operator Foo"),
        ("wrong", "Fake: ValueError: out of range"),
        ("crash", "Fake ended with code 3: corrupted heap"),
        ("slow", "Fake took longer than 2 seconds"),
    ],
)
def test_a_worker_that_fails_says_why(fake_peer, tmp_path, model, told):
    folder = tmp_path / "work"
    folder.mkdir()
    limit = 2.0 if model == "slow" else 300.0
    with pytest.raises(SerenityError, match=told) as caught:
        peer_runs.run_peer(
            fake_peer, sys.executable, tmp_path / f"{model}.onnx", [], folder, timeout=limit
        )
    assert isinstance(caught.value, UnsupportedModelError) == (model == "unsupported")


def test_what_is_not_installed_is_skipped_with_what_to_do(tmp_path):
    absent = Peer("fake", "Fake", "fake", ("numpy", "no-such-package-anywhere"), ())
    with pytest.raises(PeerMissingError, match="no-such-package-anywhere not installed") as caught:
        peer_runs.peer_versions(absent, sys.executable)
    assert "--peer-python fake=PATH" in str(caught.value)
    assert peer_runs.default_python("xla", {"": sys.executable}) == sys.executable
    with pytest.raises(SerenityError, match="no such program"):
        peer_runs.default_python("xla", {"xla": str(tmp_path / "python")})
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(PeerMissingError, match="does not run"):
        peer_runs.peer_versions(absent, str(broken))


def test_other_outputs_are_another_function(tmp_path):
    kept = tmp_path / "outputs" / "m.npz"
    first = [np.array([1.0, 100.0])]
    assert work._compare_outputs(kept, "XLA", first)["compared_with"] is None
    near = work._compare_outputs(kept, "TVM", [np.array([1.0, 100.001])])
    assert near["compared_with"] == "XLA"
    assert near["relative_difference"] == pytest.approx(1e-5)
    with pytest.raises(SerenityError, match=r"differ from XLA's by 0\.5"):
        work._compare_outputs(kept, "TVM", [np.array([1.0, 50.0])])
    with pytest.raises(SerenityError, match="shape"):
        work._compare_outputs(kept, "TVM", [np.array([[1.0, 100.0]])])
    with pytest.raises(SerenityError, match="0 outputs instead of 1"):
        work._compare_outputs(kept, "TVM", [])
    # Asked again, the first one is not compared with itself.
    assert work._compare_outputs(kept, "XLA", first)["compared_with"] is None
    with pytest.raises(SerenityError, match="nan"):
        work._compare_outputs(kept, "TVM", [np.array([np.nan, 100.0])])


# --- quantized versions ----------------------------------------------------------


def tables(parts: Iterable[document.Part]) -> list[document.Table]:
    return [part for part in parts if isinstance(part, document.Table)]


def test_quantized_networks_have_a_table_with_means(measured, tmp_path):
    ran = {**run(86, 43), "bitwise_equal": True}
    rows = {
        "swiftnet_a": quantized_entry(400, 100, 50),
        "swiftnet_b": quantized_entry(86, 86, 43, run=ran),
    }
    changed = dataclasses.replace(measured, quantized=rows, storage="int8")
    table, times = tables(quantized.quantized_networks(changed, tmp_path))
    # 400 / 50 and 86 / 43, float32 200 and 301: means of 8 and 2, of 1/4 and 1/7.
    assert table.rows[0] == [
        "swiftnet_a", "400", "100", "50", "4.00", "8.00", "200", "0.25", "60", "-", "1", "8",
    ]  # fmt: skip
    assert table.rows[1][-3] == "equal"
    assert table.rows[-1][4:8] == ["2.00 (2)", "4.00 (2)", "", "0.19 (2)"]
    # Those that were run have times.
    assert [row[0] for row in times.rows] == ["swiftnet_b", "geometric mean"]
    assert not list(quantized.quantized_networks(measured, tmp_path))


def test_systems_in_int8_stand_beside_quantized_networks_alone(measured, tmp_path):
    rows = {
        "swiftnet_a": quantized_entry(400, 80, 50),
        "swiftnet_b": quantized_entry(400, 150, 150),
    }
    of_peer = {
        "swiftnet_a": answer(head=(None, 120), arena=(None, 180)),
        "swiftnet_b": answer(head=(None, 80), arena=(None, 90)),
    }
    peers = {**measured.peers, "tflite-micro-int8": of_peer}
    changed = dataclasses.replace(measured, quantized=rows, storage="int8", peers=peers)
    (tmp_path / "swiftnet_b_int8.json").write_text(json.dumps(a_report()))
    _, table, smaller, paper = tables(quantized.quantized_networks(changed, tmp_path))
    assert table.columns == ["network", "serenity, int8", "TFLM, int8, head", "TFLM, int8, arena"]
    # 50 and 10 bytes against 120 and 180; 160 against 80 and 90.
    assert table.rows[0] == ["swiftnet_a", "**60**", "120", "180"]
    assert table.rows[1] == ["swiftnet_b", "160", "**80**", "90"]
    assert table.rows[-1][2:] == ["1.00 (2)", "1.30 (2)"]
    ((name, why, *figures),) = smaller.rows
    assert (name, figures) == ("swiftnet_b", ["160", "TFLM, int8, head: 80", "2.00"])
    assert why.startswith("inputs and outputs are 10 bytes; at conv #1 are live 2,048 of conv #1")
    # The paper's 552, 251 and 226 KB beside 120 over 90 and 60.
    assert paper.rows[0] == [
        "swiftnet_a", "120", "90", "60", "1.33", "2.00", "552 KB", "251 KB", "226 KB", "2.20",
        "2.44",
    ]  # fmt: skip
    assert changed.systems("swiftnet_a", "with_io") == measured.systems("swiftnet_a", "with_io")
    assert "TFLM, int8, head" not in {figure.title for figure in changed.figures()}
    unsigned = dataclasses.replace(changed, storage="uint8")
    parts = list(quantized.quantized_networks(unsigned, tmp_path))
    assert "TFLM" not in document.to_markdown(parts)


def test_without_the_quantizer_quantized_versions_are_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(session.importlib.util, "find_spec", lambda name: None)
    steps, skipped = session.plan(session.Selection(["swiftnet_c"], storage="int8"), tmp_path)
    assert "quantized" not in {step.name for step in steps}
    assert "serenity-mlir[quantize]" in skipped["quantized"]

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The history of bytes: the test for worse, the choice of the last line, the committed file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from serenity_mlir import networks

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import history

pytestmark = pytest.mark.one_release


def line(**changes: Any) -> dict[str, Any]:
    return {
        "network": "swiftnet_c",
        "serenity": "1.0.0",
        "iree": "3.13.0",
        "stock_bytes": 400,
        "order_bytes": 300,
        "order_optimal": True,
        "order_states": 50,
        "default_bytes": 200,
        "default_optimal": False,
        "default_states": 70,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"default_bytes": 199, "default_states": 700}, []),
        ({"order_states": 49, "default_optimal": True}, []),
        ({"stock_bytes": 500}, []),
        ({"default_bytes": 201}, ["default: 200 -> 201 bytes"]),
        ({"order_optimal": False}, ["order: was proved optimal"]),
        ({"order_states": 51}, ["order: 50 -> 51 states for the same bytes"]),
        (
            {"order_bytes": 301, "order_optimal": False, "default_states": 71},
            ["order: 300 -> 301", "default: 70 -> 71 states"],
        ),
        # Fewer bytes are those of another candidate, whose order may be harder to prove.
        ({"order_bytes": 299, "order_optimal": False}, []),
    ],
)
def test_what_counts_as_worse(changes, words):
    found = history.regressions(line(), line(**changes))
    assert len(found) == len(words)
    for text, word in zip(found, words, strict=True):
        assert text.startswith(word)


def test_the_last_line_is_the_newest_of_the_same_iree():
    lines = [
        line(serenity="1", default_bytes=1),
        line(serenity="2", default_bytes=2, iree="3.13.1"),
        line(serenity="3", default_bytes=3, iree="3.12.0"),
        line(serenity="4", default_bytes=4, network="swiftnet_b"),
    ]
    assert history.last(lines, "swiftnet_c", "3.13.0") == lines[1]
    assert history.last(lines, "swiftnet_c", "3.12.2") == lines[2]
    assert history.last(lines, "swiftnet_c", "3.14.0") is None
    assert history.last(lines, "swiftnet_a", "3.13.0") is None


def test_check_fails_on_what_got_worse_and_on_what_has_no_line(monkeypatch, capsys, tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps(line()) + "\n")
    monkeypatch.setattr(history, "HISTORY", path)
    monkeypatch.setattr(history, "read", lambda: [json.loads(path.read_text())])
    monkeypatch.setattr(history, "iree_version", lambda: "3.13.0")
    monkeypatch.setattr(
        history, "measure", lambda name, release, reports=None: line(serenity=release)
    )
    assert history.check(["swiftnet_c"]) == 0
    assert "no worse" in capsys.readouterr().out
    assert history.check(["swiftnet_b"]) == 1
    assert "no line for IREE 3.13.0" in capsys.readouterr().out
    monkeypatch.setattr(
        history, "measure", lambda name, release, reports=None: line(default_bytes=201)
    )
    assert history.check(["swiftnet_c"]) == 1
    assert "default: 200 -> 201 bytes" in capsys.readouterr().out


def test_append_writes_a_line_per_release_once(monkeypatch, tmp_path):
    path = tmp_path / "history.jsonl"
    read = history.read
    monkeypatch.setattr(history, "HISTORY", path)
    monkeypatch.setattr(history, "read", lambda: read(path))
    monkeypatch.setattr(history, "iree_version", lambda: "3.13.0")
    monkeypatch.setattr(
        history, "measure", lambda name, release, reports=None: line(network=name, serenity=release)
    )
    for release in ("1.0.0", "1.0.0", "1.1.0"):
        assert history.append(["swiftnet_b", "swiftnet_c"], release) == 0
    assert [(found["network"], found["serenity"]) for found in read(path)] == [
        ("swiftnet_b", "1.0.0"),
        ("swiftnet_c", "1.0.0"),
        ("swiftnet_b", "1.1.0"),
        ("swiftnet_c", "1.1.0"),
    ]
    monkeypatch.setattr(
        history,
        "measure",
        lambda name, release, reports=None: line(network=name, serenity=release, default_bytes=7),
    )
    assert history.append(["swiftnet_b"], "1.0.0", replace=True) == 0
    found = read(path)
    assert len(found) == 4
    assert [entry["default_bytes"] for entry in found if entry["serenity"] == "1.0.0"] == [200, 7]
    assert [entry.name for entry in tmp_path.iterdir()] == ["history.jsonl"]


def test_the_committed_history_is_of_known_networks_and_covers_the_quick_ones():
    lines = history.read()
    assert {found["network"] for found in lines} <= set(networks.names())
    for name in history.QUICK:
        assert history.last(lines, name, "3.13.0") is not None
    for found in lines:
        assert set(found) == set(line())
        assert found["default_bytes"] <= found["order_bytes"] <= found["stock_bytes"]

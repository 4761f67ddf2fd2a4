# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests of graph instances: JSON, NetworkX, errors, and `serenity schedule`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

import serenity_mlir
from serenity_mlir.core.scheduling import Buffer, Operation, Problem, ProblemError, schedule

pytestmark = pytest.mark.one_release

GRAPHS = Path(__file__).resolve().parent.parent / "benchmarks" / "instances" / "graphs"

SMALL = {
    "version": 1,
    "buffers": [{"name": "x", "bytes": 4, "live_in": True}, {"name": "y", "bytes": 2}],
    "operations": [
        {"name": "f", "uses": ["x", "y"]},
        {"name": "g", "uses": ["y"], "after": ["f"], "workspace_bytes": 1},
    ],
}


def edited(*path: Any, value: Any) -> str:
    """`SMALL` as JSON with one value replaced."""
    data = json.loads(json.dumps(SMALL))
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(data)


def test_reads_and_writes_json() -> None:
    problem = Problem.from_json(json.dumps(SMALL))
    assert problem.buffers == (Buffer("x", 4, True, False), Buffer("y", 2))
    assert problem.operations[1] == Operation("g", ("y",), ("f",), 1)
    assert Problem.from_json(problem.to_json()) == problem
    assert schedule(SMALL).peak_bytes == 6


@pytest.mark.parametrize("path", sorted(GRAPHS.glob("swiftnet*.json")), ids=lambda p: p.stem)
def test_corpus_survives_a_round_trip(path: Path) -> None:
    problem = Problem.from_file(path)
    assert Problem.from_json(problem.to_json()) == problem


def test_the_package_names_all_of_it() -> None:
    problem = serenity_mlir.Problem.from_dict(SMALL)
    result = serenity_mlir.schedule(problem, progress=lambda state: state.states >= 0)
    assert isinstance(result, serenity_mlir.Schedule)
    simulation = serenity_mlir.simulate(problem, result.order)
    assert isinstance(simulation, serenity_mlir.Simulation)
    assert simulation.peak_bytes == result.peak_bytes == 6
    with pytest.raises(serenity_mlir.ProblemError, match="has 1 entries"):
        serenity_mlir.simulate(problem, ["f"])


def test_later_operations_may_be_named() -> None:
    text = edited("operations", 0, "after", value=["g"])
    problem = Problem.from_json(text.replace('"after": ["f"]', '"after": []'))
    assert schedule(problem).names == ("g", "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: not JSON"),
        ('{"version": 1,\n "buffers": [}', "line 2, column 14: not JSON"),
        ("[" * 100_000, "nested too deeply|not JSON"),
        ("[]", "top level: expected an object, found list"),
        ("{}", "'version' is missing"),
        (edited("version", value=2), "'version' is 2; known is 1"),
        (edited("buffers", value=None), "'buffers' is missing"),
        (edited("operations", value={}), "'operations' must be a list, not dict"),
        (edited("extra", value=1), "top level: unknown key 'extra'"),
        (edited("buffers", 1, value=7), r"buffers\[1\]: expected an object, found int"),
        (edited("buffers", 1, "name", value=7), r"buffers\[1\]: 'name' must be a string"),
        (edited("buffers", 1, "name", value="x"), r"buffers\[1\] \('x'\): the name is taken by b"),
        (edited("buffers", 1, "bytes", value=-1), r"\('y'\): 'bytes' is negative: -1"),
        (edited("buffers", 1, "bytes", value=1.5), r"\('y'\): 'bytes' must be an integer"),
        (edited("buffers", 1, "bytes", value=True), r"\('y'\): 'bytes' must be an integer"),
        (edited("buffers", 1, "bytes", value=2**63), r"\('y'\): 'bytes' exceeds 2\^63-1"),
        (edited("buffers", 1, "live-in", value=True), r"buffers\[1\]: unknown key 'live-in'"),
        (edited("buffers", 1, "live_in", value=1), r"'live_in' must be true or false, not 1"),
        (edited("operations", 1, "name", value="f"), r"operations\[1\] \('f'\): the name is taken"),
        (edited("operations", 1, "uses", value="y"), r"\('g'\): 'uses' must be a list of names"),
        (edited("operations", 1, "uses", value=[0]), r"\('g'\): 'uses' must hold names, found 0"),
        (edited("operations", 1, "uses", value=["q"]), r"\('g'\): 'uses' names unknown buffer 'q'"),
        (edited("operations", 1, "uses", value=["y", "y"]), "'g' .* names buffer 'y' .* twice"),
        (edited("operations", 1, "after", value=["q"]), "'after' names unknown operation 'q'"),
        (edited("operations", 1, "after", value=["g"]), "'after' names the operation itself"),
        (edited("operations", 1, "workspace_bytes", value=-2), "'workspace_bytes' is negative"),
        (edited("operations", 0, "after", value=["g"]), "cycle of 2 operation"),
        ('{"version": 1, "version": 1}', "key 'version' appears twice"),
    ],
)
def test_errors_name_the_place(text: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        Problem.from_json(text)


def test_missing_keys_are_named() -> None:
    with pytest.raises(ProblemError, match=r"buffers\[0\] \('x'\): 'bytes' is missing"):
        Problem.from_dict({"version": 1, "buffers": [{"name": "x"}], "operations": []})


def test_sum_beyond_64_bits_is_refused() -> None:
    buffers = [Buffer("x", 2**62), Buffer("y", 2**62)]
    with pytest.raises(ProblemError, match=r"buffer 'y' .*: the total of all sizes exceeds"):
        Problem(buffers).check()
    with pytest.raises(ProblemError, match=r"operation 'f' .*: the total of all sizes exceeds"):
        Problem(buffers[:1], [Operation("f", (), (), 2**62)]).check()


def test_cycles_are_named_however_long() -> None:
    count = 50_000
    operations = [Operation(str(i), (), (str((i + 1) % count),)) for i in range(count)]
    with pytest.raises(ProblemError, match=f"cycle of {count} operation"):
        Problem((), [*operations, Operation("tail", (), ("0",))]).check()


def test_file_errors_begin_with_the_path(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text("{")
    with pytest.raises(ProblemError, match=r"bad\.json: line 1, column 2"):
        Problem.from_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ProblemError, match=r"bad\.json: not UTF-8"):
        Problem.from_file(path)


# --- NetworkX --------------------------------------------------------------------------------


def test_networkx_graph() -> None:
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_node("in", bytes=10, live_in=True)
    graph.add_node("a", bytes=4)
    graph.add_node("b", bytes=3, workspace_bytes=1)
    graph.add_node("c", bytes=2, live_out=True)
    graph.add_edges_from([("in", "a"), ("in", "b"), ("a", "c"), ("b", "c")])
    result = schedule(graph)
    # b first: 10+3+1, then a: 10+3+4 = 17; a first: 10+4, then b: 10+4+3+1 = 18.
    assert (result.names, result.peak_bytes) == (("b", "a", "c"), 17)


def test_networkx_in_place() -> None:
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_node(1, bytes=8)
    graph.add_node(2, bytes=1)
    graph.add_node(3, in_place=1, live_out=True)
    graph.add_edges_from([(1, 2), (1, 3)])
    problem = Problem.from_networkx(graph)
    assert [buffer.name for buffer in problem.buffers] == ["1", "2"]
    assert problem.buffers[0].live_out
    # The reader of the old value comes before its overwriter.
    assert problem.operations[2] == Operation("3", ("1",), ("1", "2"))
    assert list(problem.to_networkx().edges) == [("1", "2"), ("1", "3"), ("2", "3")]


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ({1: {}}, [], "node 1: attribute 'bytes' is missing"),
        ({1: {"bytes": -1}}, [], "node 1: 'bytes' is negative"),
        ({1: {"bytes": 1}, "1": {"bytes": 1}}, [], "another node has the same name"),
        ({1: {"bytes": 1}, 2: {"in_place": 1}}, [], "node 2: 'in_place' names 1, no predecessor"),
        (
            {1: {"bytes": 1}, 2: {"in_place": 1}, 3: {"in_place": 1}},
            [(1, 2), (1, 3)],
            "node 3: 'in_place' overwrites 1, and so does 2",
        ),
        ({1: {"in_place": 2}, 2: {"in_place": 1}}, [(1, 2), (2, 1)], "leads in a circle"),
        ({1: {"bytes": 1}, 2: {"bytes": 1, "live_in": True}}, [(1, 2)], "with predecessors"),
        ({1: {"bytes": 1}, 2: {"bytes": 1}}, [(1, 2), (2, 1)], "cycle of 2"),
    ],
)
def test_networkx_errors_name_the_node(
    nodes: dict[Any, dict[str, Any]], edges: list[tuple[Any, Any]], message: str
) -> None:
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_nodes_from(nodes.items())
    graph.add_edges_from(edges)
    with pytest.raises(ProblemError, match=message):
        Problem.from_networkx(graph)


def test_other_types_are_refused() -> None:
    with pytest.raises(ProblemError, match="not directed"):
        schedule(nx.Graph())
    with pytest.raises(TypeError, match=r"expected a Problem, .* not list"):
        schedule([])  # type: ignore[arg-type]


# --- serenity schedule -------------------------------------------------------------------------


def serenity(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serenity_mlir", "schedule", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("scheduler", ["exact", "serenity", "heuristic"])
def test_command_prints_json(scheduler: str) -> None:
    path = GRAPHS / "swiftnet_c_plain.json"
    done = serenity(str(path), "--json", f"--scheduler={scheduler}")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) == {
        "peak_bytes",
        "lower_bound_bytes",
        "optimal",
        "proved_by",
        "order",
        "seconds",
        "states",
    }
    assert sorted(result["order"]) == sorted(op.name for op in Problem.from_file(path).operations)
    if scheduler != "heuristic":
        assert (result["peak_bytes"], result["optimal"]) == (32536, True)


def test_command_reads_standard_input_and_prints_a_table() -> None:
    done = serenity("-", stdin=json.dumps(SMALL))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["6", "f", "<-", "peak"]
    assert lines[1].split() == ["3", "g"]
    assert "peak         6 bytes" in lines
    assert "optimal, proved by" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["-"], "{", "<stdin>: line 1, column 2: not JSON"),
        (["no-such-file.json"], "", "no-such-file.json: No such file"),
        (["-", "--disable=magic"], json.dumps(SMALL), "unknown switch 'magic'"),
        (["-", "--scheduler=best"], json.dumps(SMALL), "--scheduler"),
        (["-", "--time-limit=-1"], json.dumps(SMALL), "--time-limit"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], stdin: str, message: str) -> None:
    done = serenity(*arguments, stdin=stdin)
    assert done.returncode == 2
    assert message in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 1,\n "buffers": [}', "line 2, column 14: not JSON"),
        (
            edited("operations", 0, "after", value=["g"]),
            "cycle of 2 operation(s) in 'after': operation 'f'",
        ),
        (edited("operations", 1, "uses", value=["q"]), "'uses' names unknown buffer 'q'"),
        (edited("operations", 1, "after", value=["q"]), "'after' names unknown operation 'q'"),
        (edited("buffers", 1, "bytes", value=-1), "buffers[1] ('y'): 'bytes' is negative: -1"),
        (edited("buffers", 1, "bytes", value=2**63 - 1), "exceeds"),
        (edited("buffers", 1, "bytes", value=2**63), "('y'): 'bytes' exceeds 2^63-1"),
        (edited("buffers", 1, "name", value="x"), "buffers[1] ('x'): the name is taken by b"),
        (edited("operations", 1, "name", value="f"), "operations[1] ('f'): the name is taken"),
    ],
)
def test_command_names_file_and_place_of_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "graph.json"
    path.write_text(text)
    done = serenity(str(path), "--json")
    assert done.returncode == 2
    line = " ".join(done.stderr.split())
    assert f"{path}: " in done.stderr.replace("\n", "")
    assert message in line
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_interrupt_keeps_the_incumbent(tmp_path: Path) -> None:
    sys.path.insert(0, str(GRAPHS.parent.parent))
    import scheduling_instances as instances

    path = tmp_path / "wide.json"
    path.write_text(instances.layered(400, 40, 0).to_json())
    process = subprocess.Popen(
        [sys.executable, "-m", "serenity_mlir", "schedule", str(path), "--json", "--progress",
         "--time-limit=600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    # The first report of progress says that the search runs.
    deadline = time.monotonic() + 120
    text = b""
    while b"incumbent" not in text and time.monotonic() < deadline:
        text += os.read(process.stderr.fileno(), 4096)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert len(json.loads(stdout)["order"]) == 400

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Off-chip traffic: the replacement against two other programs, the trace of a report, the tool."""

from __future__ import annotations

import dataclasses
import functools
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_support import make_function, make_region, make_report
from typer.testing import CliRunner

from serenity_mlir.cli import app
from serenity_mlir.reports import traffic
from serenity_mlir.reports.reporting import parse_report
from serenity_mlir.reports.traffic import Trace, Traffic, TrafficError, simulate

pytestmark = pytest.mark.one_release


def trace(accesses, sizes, given=(), kept=()):
    """A trace from (block, write) pairs; `given` and `kept` are sets of blocks."""
    return Trace(
        np.array(sizes, dtype=np.int64),
        np.array([block for block, _ in accesses], dtype=np.int64),
        np.array([write for _, write in accesses], dtype=np.bool_),
        np.array([block in given for block in range(len(sizes))], dtype=np.bool_),
        np.array([block in kept for block in range(len(sizes))], dtype=np.bool_),
    )


def next_read(accesses, kept, position, block):
    """The position of the next access that reads the contents that `block` has after `position`."""
    for later in range(position + 1, len(accesses)):
        if accesses[later][0] == block:
            return None if accesses[later][1] else later
    return len(accesses) if block in kept else None


def plainly(accesses, sizes, capacity, given, kept):
    """The model of the module's docstring, scanning all of the trace for every decision."""
    on_chip: dict[int, bool] = {}  # block: whether it is dirty
    off_chip = set(given)
    read = written = 0
    for position, (block, write) in enumerate(accesses):
        if block not in on_chip:
            while sum(sizes[b] for b in on_chip) + sizes[block] > capacity:

                def rank(b, position=position - 1):
                    later = next_read(accesses, kept, position, b)
                    distance = float("inf") if later is None else later
                    return (-distance, on_chip[b], b)

                victim = min(on_chip, key=rank)
                needed = next_read(accesses, kept, position - 1, victim) is not None
                if on_chip.pop(victim) and needed:
                    written += sizes[victim]
                    off_chip.add(victim)
            if not write and block in off_chip:
                read += sizes[block]
            on_chip[block] = False
        if write:
            on_chip[block] = True
            off_chip.discard(block)
    written += sum(sizes[b] for b, dirty in on_chip.items() if dirty and b in kept)
    return Traffic(read, written)


def optimum(accesses, sizes, capacity, given, kept):
    """The least traffic over all choices of the block that leaves, by trying all of them."""

    @functools.cache
    def best(position, on_chip, off_chip):
        held = dict(on_chip)
        if position == len(accesses):
            return sum(sizes[b] for b, dirty in held.items() if dirty and b in kept)
        block, write = accesses[position]
        if block not in held and sum(sizes[b] for b in held) + sizes[block] > capacity:
            found = []
            for victim in held:
                rest = {b: dirty for b, dirty in held.items() if b != victim}
                # Dropping contents that are needed is no option; writing others is no help.
                needed = next_read(accesses, kept, position - 1, victim) is not None
                pays = held[victim] and needed
                after = off_chip | {victim} if pays else off_chip
                cost = sizes[victim] if pays else 0
                found.append(cost + best(position, frozenset(rest.items()), after))
            return min(found)
        cost = 0
        if block not in held and not write and block in off_chip:
            cost = sizes[block]
        held[block] = write or held.get(block, False)
        after = off_chip - {block} if write else off_chip
        return cost + best(position + 1, frozenset(held.items()), after)

    return best(0, frozenset(), frozenset(given))


def cases(count, *, sizes, writes, seed):
    rng = random.Random(seed)
    for _ in range(count):
        blocks = rng.randint(1, 5)
        extents = [rng.choice(sizes) for _ in range(blocks)]
        accesses = [
            (rng.randrange(blocks), writes and rng.random() < 0.4)
            for _ in range(rng.randint(1, 10))
        ]
        given = {b for b in range(blocks) if not writes or rng.random() < 0.3}
        kept = {b for b in range(blocks) if writes and rng.random() < 0.3}
        capacity = rng.randint(max(extents), sum(extents))
        yield accesses, extents, capacity, given, kept


def test_equal_blocks_that_are_only_read_give_the_optimum():
    for accesses, sizes, capacity, given_, kept in cases(150, sizes=[1], writes=False, seed=1):
        found = simulate(trace(accesses, sizes, given_, kept), capacity)
        assert found == Traffic(optimum(accesses, sizes, capacity, given_, kept), 0)


def test_no_choice_of_what_leaves_beats_the_optimum_and_most_traces_reach_it():
    reached = total = 0
    for accesses, sizes, capacity, given_, kept in cases(150, sizes=[1, 2, 3], writes=True, seed=2):
        found = simulate(trace(accesses, sizes, given_, kept), capacity).total_bytes
        best = optimum(accesses, sizes, capacity, given_, kept)
        assert found >= best
        reached += found == best
        total += 1
    assert reached > 0.8 * total


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_agrees_with_a_plain_program(data):
    blocks = data.draw(st.integers(1, 7))
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=blocks, max_size=blocks))
    accesses = data.draw(
        st.lists(st.tuples(st.integers(0, blocks - 1), st.booleans()), max_size=40)
    )
    numbers = st.sets(st.integers(0, blocks - 1))
    given_, kept = data.draw(numbers), data.draw(numbers)
    capacity = data.draw(st.integers(max(sizes), sum(sizes) + 1))
    assert simulate(trace(accesses, sizes, given_, kept), capacity) == plainly(
        accesses, sizes, capacity, given_, kept
    )


def test_by_hand():
    # Room for two. 0 and 1 are written; 2 pushes out 1, which is read later than 0: one
    # write-back and one fetch. 2 is never read again and leaves for free.
    accesses = [(0, True), (1, True), (2, True), (0, False), (1, False)]
    assert simulate(trace(accesses, [8, 8, 8]), 16) == Traffic(8, 8)
    assert simulate(trace(accesses, [8, 8, 8]), 24) == Traffic(0, 0)
    # Contents that are overwritten before they are read need not be saved.
    accesses = [(0, True), (1, True), (0, True), (0, False), (1, False)]
    assert simulate(trace(accesses, [8, 8]), 8) == Traffic(8, 8)
    # Inputs come in, results go out, once.
    assert simulate(trace([(0, False), (1, True)], [8, 4], {0}, {1}), 12) == Traffic(8, 4)


def test_blocks_larger_than_the_chip_are_refused():
    with pytest.raises(TrafficError, match="64 bytes does not fit into 32 bytes"):
        simulate(trace([(0, True)], [64]), 32)


# --- reports -----------------------------------------------------------------


def access(buffer, offset, size):
    return {"buffer": buffer, "offset": offset, "bytes": size}


def operation(name, step, uses=(), defs=(), external_uses=(), external_defs=()):
    return {
        "name": name,
        "location": None,
        "step": step,
        "uses": list(uses),
        "defs": list(defs),
        "external_uses": list(external_uses),
        "external_defs": list(external_defs),
    }


def region(buffers, operations, externals=()):
    """A region from the sizes of its buffers; only fields that the simulation reads are valid."""
    return {
        **make_region(predicted_bytes=sum(buffers), slab_bytes=sum(buffers)),
        "buffers": [
            {
                "name": f"b{i}",
                "first": 0,
                "last": 9,
                "bytes": size,
                "offset": 0,
                "element_type": None,
            }
            for i, size in enumerate(buffers)
        ],
        "operations": operations,
        "externals": [{"name": None, "kind": kind, "bytes": size} for kind, size in externals],
    }


def report(regions, stock):
    function = make_function(regions=regions, stock_regions=stock)
    return make_report([function, {**function, "name": "init", "initializer": True}])


#: Two parts of a concatenation, then one reader of all of it.
JOINED = region(
    [100, 100],
    [
        operation("a", 0, defs=[access(0, 0, 40)], external_uses=[access(0, 0, 10)]),
        operation("b", 1, defs=[access(0, 40, 60)], external_uses=[access(1, 0, 500)]),
        operation("c", 2, uses=[access(0, 0, 100)], defs=[access(1, 0, 100)]),
        operation("d", 3, uses=[access(1, 0, 100)], external_defs=[access(2, 0, 30)]),
    ],
    [("input", 10), ("constant", 500), ("result", 30)],
)


def test_traces_cut_buffers_where_ranges_end():
    (function, _) = parse_report(report([JOINED], [])).functions
    (one,) = function.regions
    found = traffic.trace_of_region(one, block_bytes=64)
    # 100 bytes in blocks of 64, cut at 40 too; the second buffer at 64 alone.
    assert found.bytes.tolist() == [40, 24, 36, 64, 36]
    assert found.block.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 3, 4]
    assert found.write.tolist() == [True] * 3 + [False] * 3 + [True] * 2 + [False] * 2
    whole = traffic.trace_of_region(one, block_bytes=1024, external=True)
    # The input and the result, not the weights.
    assert whole.bytes.tolist() == [40, 60, 100, 10, 30]
    assert whole.given.tolist() == [False, False, False, True, False]
    assert whole.kept.tolist() == [False, False, False, False, True]
    assert whole.block.tolist() == [3, 0, 1, 0, 1, 2, 2, 4]


def test_functions_add_up_their_regions_and_leave_initializers_out():
    parsed = parse_report(report([JOINED, JOINED], [JOINED]))
    (found,) = traffic.traffic_of_report(parsed, capacities=[200, 80], block_bytes=50)
    assert found.name == "main"
    assert found.stock is not None
    assert found.stock[200].total_bytes == 0
    assert found.serenity[200].total_bytes == 0
    assert found.ratio(200) is None
    one = found.stock[80]
    assert one.total_bytes > 0
    assert found.serenity[80] == one + one
    assert found.ratio(80) == 0.5


def test_inputs_and_results_cross_the_edge_once_if_there_is_room():
    parsed = parse_report(report([JOINED], [JOINED]))
    (found,) = traffic.traffic_of_report(parsed, capacities=[1024], external=True)
    assert found.serenity[1024] == Traffic(10, 30)


def test_reports_without_operations_are_refused():
    old = parse_report(report([{**JOINED, "operations": []}], []))
    with pytest.raises(TrafficError, match="main: the report lists no operations"):
        traffic.traffic_of_report(old)
    (function, _) = parse_report(report([JOINED], [])).functions
    (one,) = function.regions
    with pytest.raises(TrafficError, match="at least 1 byte"):
        traffic.trace_of_region(one, block_bytes=0)
    moved = dataclasses.replace(one.operations[2].uses[0], offset=None)
    bad = dataclasses.replace(one.operations[2], uses=(moved,))
    with pytest.raises(TrafficError, match="operation c: a range is not constant"):
        traffic.trace_of_region(dataclasses.replace(one, operations=(bad,)))


def test_stock_that_is_not_known_is_no_number():
    parsed = parse_report(report([JOINED], []))
    (found,) = traffic.traffic_of_report(parsed, capacities=[100], block_bytes=50)
    assert found.stock is None
    assert found.ratio(100) is None


def test_the_tool_prints_what_the_module_finds(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report([JOINED], [JOINED])))
    arguments = ["traffic", str(path), "--capacity", "1KiB", "--capacity", "80", "--block", "50"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.output)
    assert [row["capacity_bytes"] for row in rows] == [1024, 80]
    assert rows[0]["serenity"] == {"read_bytes": 0, "written_bytes": 0}
    (found,) = traffic.traffic_of_report(
        parse_report(report([JOINED], [JOINED])), capacities=[80], block_bytes=50
    )
    assert rows[1]["stock"]["read_bytes"] == found.serenity[80].read_bytes > 0
    table = CliRunner().invoke(app, arguments)
    assert "1 KiB" in table.output
    assert "1.00" in table.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["absent.json"],
        ["empty.json"],
        ["good.json", "--capacity", "many"],
        ["good.json", "--capacity", "0"],
        ["good.json", "--block", "1GiB"],
        ["good.json", "--capacity", "20"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "good.json").write_text(json.dumps(report([JOINED], [JOINED])))
    assert CliRunner().invoke(app, ["traffic", *arguments]).exit_code == 2

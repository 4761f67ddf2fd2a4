# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The distribution of peaks over all orders, against enumeration."""

from __future__ import annotations

import functools
import itertools
import json
import math
import random
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serenity_mlir.cli import app
from serenity_mlir.core.scheduling import (
    Buffer,
    Operation,
    PeakDistribution,
    Problem,
    ProblemError,
    TooManyStatesError,
    peak_distribution,
    schedule,
    simulate,
)
from serenity_mlir.reports import plotting

pytestmark = pytest.mark.one_release

GRAPHS = Path(__file__).resolve().parent.parent / "benchmarks" / "instances" / "graphs"


def enumerate_peaks(problem: Problem) -> Counter[int]:
    """Peaks of all permutations that respect the precedences, by the simulator."""
    index = {operation.name: i for i, operation in enumerate(problem.operations)}
    before = [[index[name] for name in operation.after] for operation in problem.operations]
    found: Counter[int] = Counter()
    for order in itertools.permutations(range(len(before))):
        position = {operation: step for step, operation in enumerate(order)}
        if all(position[b] < position[o] for o in order for b in before[o]):
            found[simulate(problem, order).peak_bytes] += 1
    return found


def random_problem(rng: random.Random) -> Problem:
    buffers = [
        Buffer(f"b{i}", rng.randint(0, 20), rng.random() < 0.2, rng.random() < 0.2)
        for i in range(rng.randint(0, 7))
    ]
    operations = []
    for i in range(rng.randint(0, 6)):
        uses = [buffer.name for buffer in buffers if rng.random() < 0.35]
        after = [f"o{j}" for j in range(i) if rng.random() < 0.25]
        operations.append(
            Operation(f"o{i}", tuple(uses), tuple(after), rng.choice([0, 0, rng.randint(1, 9)]))
        )
    rng.shuffle(operations)
    return Problem(buffers, operations)


@pytest.mark.parametrize("seed", range(60))
def test_equals_enumeration(seed):
    problem = random_problem(random.Random(seed))
    found = peak_distribution(problem)
    assert dict(zip(found.peaks, found.counts, strict=True)) == enumerate_peaks(problem)
    assert found.peaks == tuple(sorted(found.peaks))
    assert found.peaks[0] == schedule(problem).peak_bytes


def test_independent_operations_have_all_orders():
    problem = Problem()
    for i in range(12):
        problem.add_operation(f"o{i}", [problem.add_buffer(f"b{i}", 8)])
    found = peak_distribution(problem)
    assert found.peaks == (8,)
    assert found.counts == (math.factorial(12),)
    assert found.states == 2**12


def test_two_chains_by_hand():
    # big -> small twice. Both bigs first: 200 + 1 bytes; else 100 + 1 + 1.
    problem = Problem()
    for chain in "ab":
        problem.add_buffer(f"big_{chain}", 100)
        problem.add_buffer(f"small_{chain}", 1, live_out=True)
        problem.add_operation(f"grow_{chain}", [f"big_{chain}"])
        problem.add_operation(
            f"shrink_{chain}", [f"big_{chain}", f"small_{chain}"], [f"grow_{chain}"]
        )
    found = peak_distribution(problem)
    assert found.peaks == (102, 201)
    # Of six orders, two finish one chain first.
    assert found.counts == (2, 4)
    assert found.total == 6
    assert found.within(200) == 2
    assert found.share_within(201) == 1.0
    assert found.within(101) == 0


#: Cell, number of orders, optimum in bytes.
CELLS = [
    ("swiftnet_a_plain", 2_522_126_120, 200_704),
    ("swiftnet_b_plain", 497_556_000, 81_536),
    ("swiftnet_c_plain", 1_111_523_212_800, 32_536),
]


@pytest.mark.parametrize(("name", "orders", "optimum"), CELLS)
def test_cells_under_the_papers_model(name, orders, optimum):
    problem = Problem.from_file(GRAPHS / f"{name}.json")
    found = peak_distribution(problem)
    assert found.total == orders
    assert found.peaks[0] == optimum
    given = simulate(problem, range(len(problem.operations))).peak_bytes
    assert given in found.peaks
    # Every order that the solver returns is one of those counted.
    for seed in range(4):
        assert schedule(problem, scheduler="heuristic", seed=seed).peak_bytes in found.peaks


def test_a_sample_of_orders_agrees():
    # Uniform samples of the orders of SwiftNet A cannot be drawn without counting; those of a
    # random walk are not uniform, but each must be among the peaks, and the walk finds the mode.
    problem = Problem.from_file(GRAPHS / "swiftnet_a_plain.json")
    found = peak_distribution(problem)
    index = {operation.name: i for i, operation in enumerate(problem.operations)}
    rng = random.Random(1)
    seen: Counter[int] = Counter()
    for _ in range(400):
        order: list[int] = []
        left = set(range(len(problem.operations)))
        while left:
            ready = sorted(
                i for i in left if not any(index[n] in left for n in problem.operations[i].after)
            )
            order.append(rng.choice(ready))
            left.discard(order[-1])
        seen[simulate(problem, order).peak_bytes] += 1
    assert set(seen) <= set(found.peaks)
    assert len(seen) > len(found.peaks) // 2


def test_limits_and_errors():
    problem = Problem.from_file(GRAPHS / "swiftnet_a_plain.json")
    assert peak_distribution(problem, state_limit=1345).states == 1345
    with pytest.raises(TooManyStatesError, match="more than 1,344 down-sets"):
        peak_distribution(problem, state_limit=1344)
    with pytest.raises(ProblemError, match="unknown"):
        peak_distribution(Problem([], [Operation("o", after=("p",))]))


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_pictures_of_a_distribution(tmp_path, ending):
    found = PeakDistribution((100, 150, 400), (1, 99, 900), 7)
    paths = [tmp_path / f"{i}.{ending}" for i in range(2)]
    for path in paths:
        plotting.save(plotting.draw_distribution(found, {"IREE's order": 150}, "cell"), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if ending == "svg":
        text = paths[0].read_text()
        for words in ("1,000 orders", "optimum: 100 (0.100%)", "IREE's order: 150 (10.000%)"):
            assert words in text
    single = PeakDistribution((100,), (1,), 1)
    plotting.save(plotting.draw_distribution(single), paths[0])


def test_the_tool_counts_and_draws(tmp_path):
    picture = tmp_path / "orders.svg"
    arguments = [
        "schedule",
        str(GRAPHS / "swiftnet_b_plain.json"),
        "--distribution",
        str(picture),
    ]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    counted = json.loads(result.output)["distribution"]
    assert sum(counted["counts"]) == 497_556_000
    assert "the file's order: 119,168" in picture.read_text()
    table = CliRunner().invoke(app, arguments).output
    assert "0.0567%" in table
    assert "100.0000%" in table


def test_the_tool_refuses_wide_graphs_and_other_endings(tmp_path, monkeypatch):
    from serenity_mlir.cli import schedule as tool

    few = functools.partial(peak_distribution, state_limit=1000)
    monkeypatch.setattr(tool, "peak_distribution", few)
    wide = Problem([], [Operation(f"o{i}") for i in range(11)])
    path = tmp_path / "wide.json"
    path.write_text(wide.to_json())
    for output, words in (("a.svg", "down-sets"), ("a.pdf", ".svg or .png")):
        result = CliRunner().invoke(
            app, ["schedule", str(path), "--distribution", str(tmp_path / output)]
        )
        assert result.exit_code == 2
        assert words in result.output
    assert [entry.name for entry in tmp_path.iterdir()] == ["wide.json"]

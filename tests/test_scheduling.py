# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests of the schedulers: exactness, certificates, validity, limits and scale."""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from serenity_mlir.core.offsets import pack
from serenity_mlir.core.scheduling import (
    SWITCHES,
    Buffer,
    Operation,
    Problem,
    ProblemError,
    Progress,
    Schedule,
    schedule,
    simulate,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import scheduling_instances as instances

pytestmark = pytest.mark.one_release

#: Names and optima. A `Problem` that lived as long as the module would be reported as leaked.
CELLS = {name: optimum for name, _, optimum in instances.cells()}


def least_peak(problem: Problem) -> int:
    """Brute force over down-sets, from the definition of liveness alone."""
    operations = problem.operations
    index = {operation.name: i for i, operation in enumerate(operations)}
    users = {buffer.name: 0 for buffer in problem.buffers}
    for i, operation in enumerate(operations):
        for used in operation.uses:
            users[used] |= 1 << i
    before = [sum(1 << index[name] for name in operation.after) for operation in operations]

    def live_bytes(done: int, current: int) -> int:
        total = operations[current].workspace_bytes
        for buffer in problem.buffers:
            mask = users[buffer.name]
            begun = buffer.live_in or mask & (done | 1 << current)
            ended = not buffer.live_out and not mask & ~done
            if mask:
                total += buffer.bytes if begun and not ended else 0
            elif buffer.live_in or buffer.live_out:
                total += buffer.bytes
        return total

    best = {0: 0}
    for _ in operations:
        following: dict[int, int] = {}
        for done, peak in best.items():
            for current in range(len(operations)):
                if done >> current & 1 or before[current] & ~done:
                    continue
                reached = max(peak, live_bytes(done, current))
                key = done | 1 << current
                if reached < following.get(key, reached + 1):
                    following[key] = reached
        best = following
    return next(iter(best.values()))


def random_problem(generator: random.Random, size: int) -> Problem:
    """A DAG with shared and in-place buffers, workspace, live-in and live-out buffers.

    Every other problem has arbitrary uses, unrelated to the edges.
    """
    problem = Problem()
    largest = generator.choice([2, 100, 2**40])
    count = generator.randint(1, size)
    in_place = generator.random() < 0.5
    names: list[str] = []
    holder: dict[str, str] = {}
    readers: dict[str, list[str]] = {}
    for index in range(count):
        name = f"op{index}"
        operands = [other for other in names if generator.random() < 0.3]
        after = dict.fromkeys(operands)
        buffer = None
        if in_place and operands and generator.random() < 0.4:
            buffer = holder[operands[0]]
            after.update(dict.fromkeys(readers[buffer]))
        if buffer is None:
            buffer = problem.add_buffer(
                f"b{index}",
                generator.randint(0, largest),
                live_out=generator.random() < 0.15,
                live_in=generator.random() < 0.1,
            )
            readers[buffer] = []
        uses = dict.fromkeys([*(holder[other] for other in operands), buffer])
        for used in uses:
            # Whoever read a value that was overwritten since comes after the writer.
            after.update(dict.fromkeys(o for o in names if holder[o] == used))
            readers[used].append(name)
        after.pop(name, None)
        if not in_place:
            uses = dict.fromkeys(
                other.name for other in problem.buffers if generator.random() < 0.4
            )
        workspace = generator.choice([0, 0, generator.randint(0, largest)])
        problem.add_operation(name, uses, after, workspace)
        holder[name] = buffer
        names.append(name)
    return problem


def assert_valid(problem: Problem, result: Schedule) -> None:
    """Checks the order with the simulator, and the claims against each other."""
    simulation = simulate(problem, result.order)
    assert simulation.peak_bytes == result.peak_bytes
    assert result.lower_bound_bytes <= result.peak_bytes
    assert result.optimal == (result.lower_bound_bytes == result.peak_bytes)
    assert bool(result.proved_by) == result.optimal
    np.testing.assert_array_equal(simulation.live_bytes, result.live_bytes)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("scheduler", ["exact", "serenity"])
def test_optimum_of_the_papers_cells(name: str, scheduler: str) -> None:
    problem = instances.cell(name)
    result = schedule(problem, scheduler=scheduler, time_limit=60)  # type: ignore[arg-type]
    assert (result.peak_bytes, result.optimal) == (CELLS[name], True)
    assert_valid(problem, result)


def test_optimum_of_the_darts_cell() -> None:
    # Six tensors of 150,528 bytes; five with the next convolution partitioned.
    assert schedule(instances.darts(False)).peak_bytes == 6 * 150528
    assert schedule(instances.darts(True)).peak_bytes == 5 * 150528


def test_corpus_of_networks_is_what_the_generator_makes() -> None:
    for name, problem in instances.corpus_networks():
        stored = (instances.GRAPHS / "networks" / name).read_text(encoding="utf-8")
        assert stored == problem.to_json(), "run python benchmarks/scheduling_instances.py"


@pytest.mark.parametrize(
    "path",
    sorted(instances.GRAPHS.glob("*/*.json")),
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_corpus_is_solved_exactly(path: Path) -> None:
    problem = Problem.from_file(path)
    result = schedule(problem)
    assert result.optimal
    assert_valid(problem, result)
    # The same without the rules that change the graph or the bound.
    others = ["delay_reduction", "advance_reduction", "modules", "live_cut_bound"]
    assert schedule(problem, disable=others).peak_bytes == result.peak_bytes


@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_brute_force(seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(40):
        problem = random_problem(generator, 8)
        expected = least_peak(problem)
        for options in (
            {},
            {"seed": 1},
            {"seed": 2},
            {"scheduler": "serenity"},
            # Without bounds and incumbents everything is left to the search and the modules.
            {"disable": ["heuristics", "footprint_bound", "live_cut_bound"]},
        ):
            result = schedule(problem, **options)  # type: ignore[arg-type]
            assert result.peak_bytes == expected, (options, problem.to_json())
            assert result.optimal
            assert_valid(problem, result)


def test_agrees_with_brute_force_on_all_small_dags() -> None:
    # All 1,024 labelled DAGs with edges upwards on five nodes: every topology up to isomorphism.
    pairs = list(itertools.combinations(range(5), 2))
    generator = random.Random(0)
    for edges in range(1 << len(pairs)):
        chosen = [pair for bit, pair in enumerate(pairs) if edges >> bit & 1]
        problem = Problem([Buffer(str(i), generator.randint(0, 9)) for i in range(5)])
        for i in range(5):
            reads = [str(a) for a, b in chosen if b == i]
            problem.add_operation(str(i), [*reads, str(i)], reads, generator.choice([0, 0, 5]))
        expected = least_peak(problem)
        for disable in ((), ("heuristics", "footprint_bound", "live_cut_bound")):
            assert schedule(problem, disable=disable).peak_bytes == expected


@pytest.mark.parametrize("seed", range(4))
def test_nested_modules_agree_with_brute_force(seed: int) -> None:
    for private in (True, False):
        problem = instances.branches(2, 5, seed, private=private)
        expected = least_peak(problem)
        for disable in ((), ("heuristics", "footprint_bound", "live_cut_bound"), ("modules",)):
            assert schedule(problem, disable=disable).peak_bytes == expected


def test_all_combinations_of_switches_agree() -> None:
    generator = random.Random(11)
    problems = [random_problem(generator, 9) for _ in range(6)]
    problems.append(instances.wiring("ws", 3, 1, nodes=12, equal=False))
    problems.append(instances.branches(2, 5, 0, private=True))
    problems.append(instances.stack("swiftnet_c_plain", 2))
    for problem in problems:
        expected = schedule(problem).peak_bytes
        for count in range(len(SWITCHES) + 1):
            for disable in itertools.combinations(SWITCHES, count):
                result = schedule(problem, disable=disable)
                assert result.peak_bytes == expected, (disable, problem.to_json())
                assert result.optimal, disable


def test_agrees_with_cp_sat() -> None:
    pytest.importorskip("ortools", reason="needs CP-SAT: pip install ortools")
    import scheduling_cpsat

    # Four of each kind; benchmarks/scheduling_cpsat.py compares hundreds.
    for index in range(20):
        problem = scheduling_cpsat.instance(index)
        peak, proved = scheduling_cpsat.least_peak(problem)
        assert proved
        assert schedule(problem).peak_bytes == peak


def test_given_order_stays_if_it_is_optimal() -> None:
    for problem in map(instances.cell, list(CELLS)[:4]):
        for seed in (1, 2, 3, 4):
            optimal = schedule(problem, seed=seed)
            again = schedule(problem, given_order=optimal.order)
            np.testing.assert_array_equal(again.order, optimal.order)
            assert again.optimal


def test_given_order_is_never_made_worse() -> None:
    problem = instances.layered(300, 15, 5)
    good = schedule(problem, time_limit=60, state_limit=30000)
    again = schedule(problem, time_limit=0, given_order=good.order)
    assert again.peak_bytes <= good.peak_bytes


def test_seeds_lead_to_other_orders_of_the_same_peak() -> None:
    problem = instances.network("randwire_c10_a", in_place=True)
    results = [schedule(problem, seed=seed) for seed in range(1, 7)]
    assert {result.peak_bytes for result in results} == {schedule(problem).peak_bytes}
    assert len({result.order.tobytes() for result in results}) > 3
    again = schedule(problem, seed=4)
    np.testing.assert_array_equal(again.order, results[3].order)
    for result in results:
        assert_valid(problem, result)


@pytest.mark.parametrize("name", ["randwire_c100_a", "randwire_c100_b"])
def test_some_order_of_the_same_peak_can_be_packed(name: str) -> None:
    """The first order found leaves memory in pieces; the orders near it need not."""
    problem = Problem.from_file(instances.GRAPHS / "compiler" / f"{name}.region.json")
    peak = schedule(problem).peak_bytes
    size = np.array([buffer.bytes for buffer in problem.buffers])
    heights = set()
    for seed in range(20):
        found = schedule(problem, seed=seed)
        assert found.peak_bytes == peak
        live = simulate(problem, found.order)
        packing = pack(
            live.first, live.last + 1, size, capacity=peak, node_limit=1500, time_limit=600
        )
        heights.add(packing.height_bytes)
    assert min(heights) == peak
    assert max(heights) > peak


def test_state_limit_is_deterministic() -> None:
    problem = instances.layered(200, 20, 1)
    results = [schedule(problem, state_limit=3000, time_limit=600) for _ in range(2)]
    np.testing.assert_array_equal(results[0].order, results[1].order)
    assert results[0].states == results[1].states
    assert results[0].states < 3000 + 3000
    assert_valid(problem, results[0])


@pytest.mark.parametrize("name", ["layered", "random"])
def test_wide_graphs_get_valid_orders_no_worse_than_the_heuristics(name: str) -> None:
    if name == "layered":
        problem = instances.layered(400, 30, 7)
    else:
        problem = instances.random_dag(400, 100, 7)
    heuristic = schedule(problem, scheduler="heuristic", time_limit=600)
    result = schedule(problem, state_limit=20000, time_limit=600)
    assert_valid(problem, heuristic)
    assert_valid(problem, result)
    assert result.peak_bytes < heuristic.peak_bytes
    assert not result.optimal


def test_memory_limit_ends_the_search_not_the_improvement() -> None:
    problem = instances.layered(300, 20, 3)
    result = schedule(problem, memory_limit=1 << 20, state_limit=30000, time_limit=600)
    assert_valid(problem, result)
    assert result.peak_bytes <= schedule(problem, time_limit=0).peak_bytes


def test_time_limit_zero_means_no_search() -> None:
    problem = instances.cell(list(CELLS)[2])
    result = schedule(problem, time_limit=0)
    assert result.states == 0
    assert_valid(problem, result)


def test_progress_is_reported_and_can_stop_the_search() -> None:
    problem = instances.layered(400, 40, 2)
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        return len(seen) < 2

    result = schedule(problem, time_limit=600, progress=watch)
    assert result.interrupted
    assert len(seen) == 2
    assert seen[1].lower_bound_bytes <= seen[1].incumbent_bytes
    assert_valid(problem, result)


def test_exception_in_progress_arrives() -> None:
    def fail(_: Progress) -> bool:
        raise KeyError("from the callback")

    with pytest.raises(KeyError, match="from the callback"):
        schedule(instances.layered(400, 40, 2), time_limit=600, progress=fail)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_stacks_are_solved_exactly(count: int) -> None:
    result = schedule(instances.stack("swiftnet_b_conv_dw", count))
    assert result.optimal
    # The parts meet at single tensors, so one boundary decides from two cells on.
    assert result.peak_bytes == schedule(instances.stack("swiftnet_b_conv_dw", 2)).peak_bytes or (
        count == 1
    )


def test_long_chain_needs_no_recursion() -> None:
    count = 100_000
    problem = Problem()
    for i in range(count):
        problem.add_buffer(f"b{i}", 1)
        reads = [f"b{i - 1}"] if i else []
        problem.add_operation(f"o{i}", [*reads, f"b{i}"], [f"o{i - 1}"] if i else [])
    result = schedule(problem)
    assert (result.peak_bytes, result.optimal) == (2, True)


def test_hundred_thousand_independent_operations() -> None:
    count = 100_000
    problem = Problem(
        [Buffer(f"b{i}", 1 + i % 7) for i in range(count)],
        [Operation(f"o{i}", (f"b{i}",)) for i in range(count)],
    )
    result = schedule(problem, time_limit=30)
    assert (result.peak_bytes, result.optimal) == (7, True)


def test_disconnected_parts_are_merged_exactly() -> None:
    # Three copies of a cell that share nothing: the state space is the cube of one cell's.
    cell = instances.cell(next(iter(CELLS)))
    problem = Problem()
    for copy in range(3):
        for buffer in cell.buffers:
            problem.add_buffer(f"{copy}.{buffer.name}", buffer.bytes, live_in=False)
        for op in cell.operations:
            problem.add_operation(
                f"{copy}.{op.name}",
                [f"{copy}.{used}" for used in op.uses],
                [f"{copy}.{before}" for before in op.after],
            )
    result = schedule(problem)
    assert result.optimal
    # One after the other is best: every copy begins and ends with nothing live.
    single = Problem([Buffer(b.name, b.bytes) for b in cell.buffers], cell.operations)
    assert result.peak_bytes == schedule(single).peak_bytes


def test_no_operations() -> None:
    empty = schedule(Problem())
    assert (empty.peak_bytes, empty.optimal, len(empty.order)) == (0, True, 0)
    held = schedule(Problem([Buffer("x", 5, live_in=True), Buffer("y", 7)]))
    assert (held.peak_bytes, held.optimal) == (5, True)


def test_sizes_beyond_32_bits() -> None:
    big = 2**61
    problem = Problem(
        [Buffer("x", big), Buffer("y", big), Buffer("z", big - 1)],
        [
            Operation("a", ("x",)),
            Operation("b", ("x", "y"), ("a",)),
            Operation("c", ("y", "z"), ("b",)),
        ],
    )
    result = schedule(problem)
    assert (result.peak_bytes, result.optimal) == (2 * big, True)


def test_untouched_buffers_and_zero_bytes() -> None:
    problem = Problem(
        [Buffer("in", 3, live_in=True), Buffer("unused", 9), Buffer("none", 0), Buffer("x", 4)],
        [Operation("a", ("none", "x")), Operation("b", ("none",), ("a",), 6)],
    )
    # in: throughout, since nobody ends it; step a: 3 + 4, step b: 3 + 6.
    result = schedule(problem)
    assert (result.peak_bytes, result.live_bytes.tolist()) == (9, [7, 9])


def test_live_ranges() -> None:
    problem = Problem(
        [Buffer("in", 1, live_in=True), Buffer("mid", 2), Buffer("out", 4, live_out=True)],
        [
            Operation("a", ("in", "mid")),
            Operation("b", ("mid", "out"), ("a",)),
            Operation("c", (), ("b",), 8),
        ],
    )
    simulation = simulate(problem, ["a", "b", "c"])
    assert simulation.live_bytes.tolist() == [3, 6, 12]
    assert simulation.first.tolist() == [0, 0, 1]
    assert simulation.last.tolist() == [0, 1, 2]


def test_unknown_scheduler_and_switch() -> None:
    with pytest.raises(ValueError, match="unknown scheduler 'fast'"):
        schedule(Problem(), scheduler="fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown switch 'x'"):
        schedule(Problem(), disable=["x"])


def test_invalid_orders_are_refused() -> None:
    problem = Problem((), [Operation("a"), Operation("b", (), ("a",))])
    for order, message in (
        ([1, 0], "precedes operation #0"),
        ([0, 0], "appears at step 0 and again at step 1"),
        ([0], "has 1 entries"),
        ([0, 5], "has index 5"),
        (["a", "x"], "unknown operation 'x'"),
    ):
        with pytest.raises(ProblemError, match=message):
            simulate(problem, order)
        with pytest.raises(ProblemError, match=message):
            schedule(problem, given_order=order)

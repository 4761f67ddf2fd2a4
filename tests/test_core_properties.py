# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Invariants of every graph and every set of buffers, on examples that hypothesis looks for.

tests/core/DifferentialTest.cpp compares the optimum itself with brute force; here it is the value
that the exact solvers and the paper's algorithm agree on, seen through Python.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serenity_mlir import Problem, schedule, simulate
from serenity_mlir.core import offsets
from serenity_mlir.core.offsets import Buffers, Gap
from serenity_mlir.core.scheduling import SWITCHES, Buffer, Operation, Schedule

pytestmark = pytest.mark.one_release

#: The same examples in every run.
properties = settings(max_examples=120, derandomize=True, deadline=None)

# --- schedules ------------------------------------------------------------------


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Up to 9 operations: arbitrary edges and uses."""
    numbers = st.integers(0, 2**40) | st.integers(0, 4)
    buffers = [
        Buffer(f"b{i}", draw(numbers), draw(st.booleans()), draw(st.booleans()))
        for i in range(draw(st.integers(0, 7)))
    ]
    names = [buffer.name for buffer in buffers]
    uses = st.lists(st.sampled_from(names), unique=True, max_size=4) if names else st.just([])
    operations: list[Operation] = []
    for i in range(draw(st.integers(1, 9))):
        earlier = [operation.name for operation in operations]
        after = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if i else []
        workspace = draw(st.just(0) | numbers)
        operations.append(Operation(f"o{i}", tuple(draw(uses)), tuple(after), workspace))
    return Problem(buffers, operations)


def assert_accepted(problem: Problem, result: Schedule) -> None:
    """The validator takes the order, and its peak and live bytes are those claimed."""
    simulation = simulate(problem, result.order)
    assert simulation.peak_bytes == result.peak_bytes
    np.testing.assert_array_equal(simulation.live_bytes, result.live_bytes)
    assert result.lower_bound_bytes <= result.peak_bytes
    assert result.optimal == (result.lower_bound_bytes == result.peak_bytes)


@properties
@given(problems(), st.sets(st.sampled_from(SWITCHES)), st.integers(0, 40))
def test_bound_optimum_heuristic(problem: Problem, off: set[str], limit: int) -> None:
    optimum = schedule(problem)
    paper = schedule(problem, scheduler="serenity")
    heuristic = schedule(problem, scheduler="heuristic")
    switched = schedule(problem, disable=sorted(off))
    cut = schedule(problem, state_limit=limit + 1, disable=sorted(off))
    for result in (optimum, paper, heuristic, switched, cut):
        assert_accepted(problem, result)
        assert result.lower_bound_bytes <= optimum.peak_bytes <= result.peak_bytes
    assert optimum.optimal and paper.optimal and switched.optimal
    assert optimum.peak_bytes == paper.peak_bytes == switched.peak_bytes


@properties
@given(problems(), st.randoms(use_true_random=False))
def test_relabelling_does_not_change_the_peak(problem: Problem, rng: random.Random) -> None:
    buffers, operations = list(problem.buffers), list(problem.operations)
    rng.shuffle(buffers)
    rng.shuffle(operations)
    new = {b.name: f"buffer {i}" for i, b in enumerate(buffers)}
    new |= {o.name: f"operation {i}" for i, o in enumerate(operations)}

    def renamed(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(rng.sample([new[name] for name in names], len(names)))

    relabelled = Problem(
        [dataclasses.replace(b, name=new[b.name]) for b in buffers],
        [
            dataclasses.replace(o, name=new[o.name], uses=renamed(o.uses), after=renamed(o.after))
            for o in operations
        ],
    )
    result = schedule(relabelled)
    assert_accepted(relabelled, result)
    assert result.peak_bytes == schedule(problem).peak_bytes


@properties
@given(problems(), st.integers(2, 2**18))
def test_scaling_scales_the_peak(problem: Problem, factor: int) -> None:
    scaled = Problem(
        [dataclasses.replace(b, bytes=b.bytes * factor) for b in problem.buffers],
        [
            dataclasses.replace(o, workspace_bytes=o.workspace_bytes * factor)
            for o in problem.operations
        ],
    )
    assert schedule(scaled).peak_bytes == factor * schedule(problem).peak_bytes


@properties
@given(problems(), st.integers(0, 2**20), st.integers(0, 2**20))
def test_more_memory_never_helps(problem: Problem, more: int, workspace: int) -> None:
    """A larger buffer or workspace cannot lower the least peak, nor raise it by more than that."""
    buffers, operations = list(problem.buffers), list(problem.operations)
    if buffers:
        buffers[0] = dataclasses.replace(buffers[0], bytes=buffers[0].bytes + more)
    last = operations[-1]
    operations[-1] = dataclasses.replace(last, workspace_bytes=last.workspace_bytes + workspace)
    before, after = schedule(problem).peak_bytes, schedule(Problem(buffers, operations)).peak_bytes
    assert before <= after <= before + more + workspace


# --- offsets --------------------------------------------------------------------


@st.composite
def instances(draw: st.DrawFn) -> Buffers:
    """Up to 8 buffers with alignments, gaps and fixed offsets that are out of each other's way."""
    rows = []
    gaps = []
    shelf = 0
    for _ in range(draw(st.integers(1, 8))):
        lower = draw(st.integers(-5, 10))
        upper = lower + draw(st.integers(1, 8))
        size = draw(st.integers(1, 64))
        alignment = draw(st.sampled_from((1, 1, 1, 2, 4, 6)))
        fixed = -1
        if draw(st.integers(0, 5)) == 0:
            fixed = -(-shelf // 12) * 12
            shelf = fixed + size
        between = draw(st.lists(st.integers(lower, upper), unique=True, max_size=2).map(sorted))
        window = sorted((draw(st.integers(0, size)), draw(st.integers(0, size))))
        gaps.append((Gap(*between, *window),) if len(between) == 2 else ())
        rows.append((lower, upper, size, alignment, fixed))
    columns = np.array(rows, dtype=np.int64).T
    ids = tuple(f"b{i}" for i in range(len(rows)))
    return Buffers(ids, *(np.ascontiguousarray(column) for column in columns), tuple(gaps))


@properties
@given(instances(), st.sets(st.sampled_from(offsets.RULES)), st.sampled_from((1, 4)))
def test_bound_optimum_greedy(instance: Buffers, off: set[str], alignment: int) -> None:
    keywords = {"range_alignment": alignment}
    optimum = offsets.pack_buffers(instance, **keywords)
    assert optimum.optimal
    live = offsets.maximum_live_bytes(instance, **keywords)
    for options in (
        {"disable": sorted(off)},
        {"algorithm": "greedy"},
        {"algorithm": "iree"},
        {"node_limit": 3, "disable": sorted(off)},
        {"time_limit": 0.0},
    ):
        packing = offsets.pack_buffers(instance, **keywords, **options)
        assert offsets.verify(instance, packing.offsets, **keywords) is None, options
        assert packing.lower_bound_bytes <= optimum.height_bytes <= packing.height_bytes, options
    assert live <= optimum.height_bytes
    assert offsets.verify(instance, optimum.offsets, **keywords) is None
    less = offsets.pack_buffers(instance, **keywords, capacity=optimum.height_bytes - 1)
    assert less.infeasible


@properties
@given(instances(), st.randoms(use_true_random=False), st.integers(2, 2**30))
def test_relabelling_and_scaling_of_buffers(
    instance: Buffers, rng: random.Random, factor: int
) -> None:
    height = offsets.pack_buffers(instance).height_bytes
    order = list(range(len(instance)))
    rng.shuffle(order)
    shuffled = Buffers(
        tuple(f"x{i}" for i in order),
        *(
            getattr(instance, name)[order]
            for name in ("lower", "upper", "size", "alignment", "fixed_offset")
        ),
        tuple(instance.gaps[i] for i in order),
    )
    assert offsets.pack_buffers(shuffled).height_bytes == height
    scaled = dataclasses.replace(
        instance,
        size=instance.size * factor,
        alignment=instance.alignment * factor,
        fixed_offset=np.where(instance.fixed_offset < 0, -1, instance.fixed_offset * factor),
        gaps=tuple(
            tuple(
                Gap(g.lower, g.upper, g.window_lower * factor, g.window_upper * factor)
                for g in gaps
            )
            for gaps in instance.gaps
        ),
    )
    packing = offsets.pack_buffers(scaled)
    assert packing.height_bytes == factor * height
    assert offsets.verify(scaled, packing.offsets) is None

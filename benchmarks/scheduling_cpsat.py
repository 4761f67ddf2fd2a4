# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares the scheduler with OR-Tools CP-SAT: ``python benchmarks/scheduling_cpsat.py [count]``.

Needs the package ``ortools``. Instances have 15 to 30 operations; one that CP-SAT does not prove
within its time limit is counted as such, and must then not be better than ours.
"""

from __future__ import annotations

import sys

import scheduling_instances as instances
from ortools.sat.python import cp_model

from serenity_mlir.core.scheduling import Problem, schedule


def least_peak(problem: Problem, seconds: float = 60.0) -> tuple[int, bool]:
    """Least peak in bytes as CP-SAT finds it, and whether it proved that.

    Positions are all different; a buffer is an interval of a cumulative resource whose capacity is
    minimised. Every buffer needs a user, and operations no workspace.
    """
    model = cp_model.CpModel()
    count = len(problem.operations)
    at = {op.name: model.new_int_var(0, count - 1, op.name) for op in problem.operations}
    model.add_all_different(at.values())
    for op in problem.operations:
        assert op.workspace_bytes == 0
        for before in op.after:
            model.add(at[before] < at[op.name])
    intervals = []
    for buffer in problem.buffers:
        users = [at[op.name] for op in problem.operations if buffer.name in op.uses]
        first = model.new_int_var(0, count, "")
        end = model.new_int_var(0, count, "")
        if buffer.live_in:
            model.add(first == 0)
        else:
            model.add_min_equality(first, users)
        if buffer.live_out:
            model.add(end == count)
        else:
            last = model.new_int_var(0, count, "")
            model.add_max_equality(last, users)
            model.add(end == last + 1)
        length = model.new_int_var(0, count, "")
        intervals.append(model.new_interval_var(first, length, end, ""))
    sizes = [buffer.bytes for buffer in problem.buffers]
    peak = model.new_int_var(0, sum(sizes), "peak")
    model.add_cumulative(intervals, sizes, peak)
    model.minimize(peak)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = seconds
    status = solver.solve(model)
    return round(solver.objective_value), status == cp_model.OPTIMAL


def instance(index: int) -> Problem:
    """The instances compared, by number, which is their seed; a fifth each of five kinds.

    They have 15 to 30 operations.
    """
    kind, seed = index % 5, index // 5
    if kind == 0:
        return instances.wiring("ws", seed, 1, nodes=14 + seed % 16, equal=False)
    if kind == 1:
        return instances.random_dag(15 + seed % 16, 6, seed)
    if kind == 2:
        return instances.branches(2, 6 + seed % 8, seed, private=seed % 2 == 0)
    if kind == 3:
        return instances.wiring("ba", seed, 2, nodes=7 + seed % 8, equal=seed % 2 == 0)
    return instances.in_place_dag(15 + seed % 16, 6, seed)


def main() -> None:
    """Compares and prints; exits with 1 on a disagreement."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    agreed = unproved = 0
    sizes = []
    for index in range(count):
        problem = instance(index)
        sizes.append(len(problem.operations))
        result = schedule(problem)
        peak, proved = least_peak(problem, 20.0)
        if not result.optimal or peak < result.peak_bytes or (proved and peak != result.peak_bytes):
            print(f"instance {index}: serenity {result.peak_bytes}, CP-SAT {peak}, proved {proved}")
            sys.exit(1)
        agreed += proved
        unproved += not proved
    print(
        f"{count} instances of {min(sizes)} to {max(sizes)} operations: {agreed} agree, "
        f"{unproved} not proved by CP-SAT in 20 s"
    )


if __name__ == "__main__":
    main()

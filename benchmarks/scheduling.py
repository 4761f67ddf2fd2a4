# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures the schedulers: ``python benchmarks/scheduling.py [table ...]``.

Tables: ``networks``, ``compiler`` (what the passes hand over), ``wirings``, ``stacks``, ``large``,
``gap`` (over time), ``ablation`` (states, time and peak per switch). The paper's graphs and its own
algorithm are in ``serenity bench``. Times are CPU time of the thread that calls `schedule` (no
reading, no conversion of the problem), so that other load on the machine counts little; the time
limits of ``large`` and ``gap`` are wall-clock.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import scheduling_instances as instances

import serenity_mlir.networks as networks
from serenity_mlir.core.scheduling import SWITCHES, Problem, Schedule, schedule


def _timed(problem: Problem, **options: object) -> tuple[float, Schedule]:
    problem.check()  # Converts it, once.
    start = time.thread_time()
    result = schedule(problem, **options)  # type: ignore[arg-type]
    return time.thread_time() - start, result


def _median(problem: Problem, repetitions: int = 5, **options: object) -> tuple[float, Schedule]:
    results = [_timed(problem, **options) for _ in range(repetitions)]
    return statistics.median(seconds for seconds, _ in results), results[0][1]


def _proof(result: Schedule) -> str:
    return result.proved_by if result.optimal else "not proved"


def network_table() -> None:
    """All networks of the package, as functions (plain) and as regions (in place, splats)."""
    print("| network | form | operations | peak, bytes | proved by | states | ms |")
    print("|---|---|---:|---:|---|---:|---:|")
    for name in networks.names("paper"):
        for form, options in (
            ("plain", {}),
            ("in place", {"in_place": True}),
            ("in place + splats", {"in_place": True, "splats": True}),
        ):
            problem = instances.network(name, **options)
            seconds, result = _median(problem)
            print(
                f"| {name} | {form} | {len(problem.operations)} | {result.peak_bytes:,} | "
                f"{_proof(result)} | {result.states:,} | {1e3 * seconds:.2f} |"
            )


def compiler() -> None:
    """The problems of the ten networks as the passes hand them to the solver."""
    print("| network | level | operations | buffers | peak, bytes | proved by | states | ms |")
    print("|---|---|---:|---:|---:|---|---:|---:|")
    for name in networks.names("paper"):
        for level in ("flow", "region"):
            problem = Problem.from_file(instances.GRAPHS / "compiler" / f"{name}.{level}.json")
            seconds, result = _median(problem)
            print(
                f"| {name} | {level} | {len(problem.operations)} | {len(problem.buffers)} | "
                f"{result.peak_bytes:,} | {_proof(result)} | {result.states:,} | "
                f"{1e3 * seconds:.2f} |"
            )


def wirings(seeds: int = 50) -> None:
    """Random wirings of 32 nodes."""
    print("| family | sizes | operations per node | proved | median ms | 95 % ms | maximum ms |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for kind in ("ws", "er", "ba"):
        for equal in (True, False):
            for per_node in (1, 2, 3):
                results = [
                    _timed(instances.wiring(kind, seed, per_node, equal=equal))
                    for seed in range(seeds)
                ]
                times = sorted(1e3 * seconds for seconds, _ in results)
                proved = sum(result.optimal for _, result in results)
                sizes = "equal" if equal else "random"
                print(
                    f"| {kind} | {sizes} | {per_node} | {proved}/{seeds} | "
                    f"{statistics.median(times):.1f} | {times[int(0.95 * (seeds - 1))]:.1f} | "
                    f"{times[-1]:.1f} |"
                )


def stacks() -> None:
    """Cells in a row."""
    print("| cell | copies | operations | peak, bytes | proved by | states | ms | us per cell |")
    print("|---|---:|---:|---:|---|---:|---:|---:|")
    for name in ("swiftnet_a_plain", "swiftnet_b_conv_dw", "swiftnet_c_conv"):
        for count in (10, 100, 1000):
            problem = instances.stack(name, count)
            seconds, result = _median(problem, 3)
            print(
                f"| {name} | {count} | {len(problem.operations)} | {result.peak_bytes:,} | "
                f"{_proof(result)} | {result.states:,} | {1e3 * seconds:.1f} | "
                f"{1e6 * seconds / count:.0f} |"
            )


def _large(seed: int) -> list[tuple[str, Problem]]:
    rows = []
    for operations in (1000, 10000):
        for width in (8, 20, 100):
            problem = instances.layered(operations, width, seed)
            rows.append((f"layered, width {width}", problem))
        for reach in (20, 100, 1000):
            problem = instances.random_dag(operations, reach, seed)
            rows.append((f"random, reach {reach}", problem))
    return rows


def large(seconds: float = 2.0) -> None:
    """Graphs too wide to finish: the best heuristic against the anytime search."""
    print("| graph | operations | best heuristic | in time limit | bound | gap % | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    gaps = []
    for seed in (0, 1):
        for name, problem in _large(seed):
            simple = schedule(problem, scheduler="heuristic", time_limit=60.0)
            result = schedule(problem, time_limit=seconds)
            if result.peak_bytes > simple.peak_bytes:
                print(f"worse than a heuristic: {name}", file=sys.stderr)
            gap = 100 * (result.peak_bytes / result.lower_bound_bytes - 1)
            gaps.append(gap)
            print(
                f"| {name} | {len(problem.operations)} | {simple.peak_bytes:,} | "
                f"{result.peak_bytes:,} | {result.lower_bound_bytes:,} | {gap:.1f} | "
                f"{result.seconds:.2f} |"
            )
    print(f"\nmean gap to the bound {statistics.mean(gaps):.1f} %")


def gap_over_time() -> None:
    """Mean gap of the graphs of 1,000 operations, by time limit."""
    problems = [problem for _, problem in _large(0) if len(problem.operations) == 1000]
    print("| time limit, s | mean gap to the bound, % | mean peak over the heuristics', % |")
    print("|---:|---:|---:|")
    base = [schedule(problem, time_limit=0.0).peak_bytes for problem in problems]
    for limit in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0):
        results = [schedule(problem, time_limit=limit) for problem in problems]
        gap = statistics.mean(
            100 * (result.peak_bytes / result.lower_bound_bytes - 1) for result in results
        )
        rel = statistics.mean(
            100 * (result.peak_bytes / peak - 1) for result, peak in zip(results, base, strict=True)
        )
        print(f"| {limit} | {gap:.1f} | {rel:+.1f} |")


def ablation() -> None:
    """The effect of each switch: states, time and peak without it."""
    problems = [(name, problem) for name, problem, _ in instances.cells()]
    problems += [(name, instances.network(name, in_place=True)) for name in networks.names("paper")]
    problems += [(f"ws {seed}", instances.wiring("ws", seed, 2, equal=False)) for seed in range(10)]
    problems += [
        (f"branches {seed}", instances.branches(3, 14, seed, private=True)) for seed in range(5)
    ]
    problems.append(("stack", instances.stack("swiftnet_b_conv_dw", 10)))
    print(f"{len(problems)} problems, 5 s each at most\n")
    print("| switched off | states | s | proved | sum of peaks, bytes |")
    print("|---|---:|---:|---:|---:|")
    # The soft budget is the paper's algorithm's: `serenity bench` has its ablation.
    for switch in ("", *(name for name in SWITCHES if name != "soft_budget")):
        timed = [
            _timed(problem, time_limit=5.0, disable=[switch] if switch else [])
            for _, problem in problems
        ]
        results = [result for _, result in timed]
        print(
            f"| {switch or 'nothing'} | {sum(r.states for r in results):,} | "
            f"{sum(seconds for seconds, _ in timed):.3f} | "
            f"{sum(r.optimal for r in results)}/{len(results)} | "
            f"{sum(r.peak_bytes for r in results):,} |"
        )


TABLES: dict[str, Callable[[], None]] = {
    "networks": network_table,
    "compiler": compiler,
    "wirings": wirings,
    "stacks": stacks,
    "large": large,
    "gap": gap_over_time,
    "ablation": ablation,
}


def main() -> None:
    """Prints the tables asked for, by default all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], help=", ".join(TABLES))
    for name in parser.parse_args().tables or TABLES:
        print(f"\n## {name}\n")
        TABLES[name]()


if __name__ == "__main__":
    main()

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Offset packing beside others: height above the bound, and time.

    python benchmarks/offsets.py [PART ...] [--runs N] [--limit SECONDS] [--cp-sat-limit SECONDS]

hard      the published instances of benchmarks/instances/offsets, deciding their capacity
family    larger ones made of them, mirrored in time and with buffers cut in two
networks  the slabs of the networks: benchmarks/instances/graphs/compiler in the order of least peak
cut       rectangles cut into 50 to 500 buffers: the least height is known
large     1,000, 10,000 and 60,000 buffers with lifetimes like those of activations, and denser

Everything is seeded. Every packing is verified. The limits are wall-clock time; the time printed is
that of the process, so that a busy machine does not show. CP-SAT (NoOverlap2D) is one worker; it
takes part where OR-Tools is installed (pip install serenity-mlir[bench]), up to 1,000 buffers.
"""

from __future__ import annotations

import argparse
import heapq
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serenity_mlir.core.offsets import Buffers, maximum_live_bytes, pack_buffers, read_csv, verify
from serenity_mlir.core.scheduling import Problem, schedule, simulate

INSTANCES = Path(__file__).parent / "instances" / "offsets"
COMPILER = Path(__file__).parent / "instances" / "graphs" / "compiler"
Int64s = npt.NDArray[np.int64]
#: Name, buffers, capacity.
Instance = tuple[str, Buffers, "int | None"]
Packer = Callable[[Buffers, float, int | None], "Int64s | None"]


def make(lower: Int64s, upper: Int64s, size: Int64s) -> Buffers:
    n = len(lower)
    return Buffers(
        tuple(map(str, range(n))),
        np.ascontiguousarray(lower),
        np.ascontiguousarray(upper),
        np.ascontiguousarray(size),
        np.ones(n, dtype=np.int64),
        np.full(n, -1, dtype=np.int64),
        ((),) * n,
    )


# --- the others ---


def first_fit(buffers: Buffers, order: list[int]) -> Int64s:
    """Each buffer at the lowest free place, in the order given."""
    lower, upper, size = buffers.lower, buffers.upper, buffers.size
    offsets = np.full(len(buffers), -1, dtype=np.int64)
    placed = np.zeros(len(buffers), dtype=bool)
    for i in order:
        others = np.nonzero(placed & (lower < upper[i]) & (upper > lower[i]))[0]
        others = others[np.argsort(offsets[others], kind="stable")]
        at = 0
        for begin, end in zip(offsets[others], offsets[others] + size[others], strict=True):
            if at + size[i] <= begin:
                break
            at = max(at, int(end))
        offsets[i] = at
        placed[i] = True
    return offsets


def greedy_by_size(buffers: Buffers, limit: float, capacity: int | None) -> Int64s:
    """Largest first (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
    Inference", 2020, section 5; TFLite's arena planner)."""
    return first_fit(buffers, sorted(range(len(buffers)), key=lambda i: -int(buffers.size[i])))


def greedy_by_breadth(buffers: Buffers, limit: float, capacity: int | None) -> Int64s:
    """Moments of most live bytes first, there the largest first (same paper)."""
    events = sorted({int(time) for time in buffers.lower})
    starts = sorted(range(len(buffers)), key=lambda i: int(buffers.lower[i]))
    alive: list[tuple[int, int]] = []
    profiles: list[tuple[int, list[int]]] = []
    k = 0
    for moment in events:
        while k < len(starts) and buffers.lower[starts[k]] <= moment:
            heapq.heappush(alive, (int(buffers.upper[starts[k]]), starts[k]))
            k += 1
        while alive and alive[0][0] <= moment:
            heapq.heappop(alive)
        members = [i for _, i in alive]
        profiles.append((sum(int(buffers.size[i]) for i in members), members))
    profiles.sort(key=lambda profile: -profile[0])
    order: dict[int, None] = {}
    for _, members in profiles:
        for i in sorted(members, key=lambda i: (-int(buffers.size[i]), i)):
            order.setdefault(i)
    return first_fit(buffers, list(order))


def iree(buffers: Buffers, limit: float, capacity: int | None) -> Int64s:
    """IREE's packer over slices in the order of their lifetimes, as LayoutSlices gets them."""
    order = np.lexsort((buffers.upper, buffers.lower))
    ordered = make(buffers.lower[order], buffers.upper[order], buffers.size[order])
    offsets = np.empty(len(buffers), dtype=np.int64)
    offsets[order] = pack_buffers(ordered, algorithm="iree").offsets
    return offsets


def cp_sat(buffers: Buffers, limit: float, capacity: int | None) -> Int64s | None:
    """OR-Tools CP-SAT: rectangles with fixed times, NoOverlap2D, one worker. It is given the bound,
    the greedy packing as a hint and as an upper bound, the sizes in units of their common divisor,
    and the redundant cumulative constraint; it ends when the capacity or the bound is met."""
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        return None
    unit = int(np.gcd.reduce(buffers.size))
    start = pack_buffers(buffers, algorithm="greedy")
    bound = max(maximum_live_bytes(buffers), capacity or 0) // unit
    top = start.height_bytes // unit
    if top <= bound:
        return start.offsets
    model = cp_model.CpModel()
    height = model.new_int_var(bound, top, "height")
    xs, ys, offsets = [], [], []
    for i in range(len(buffers)):
        size = int(buffers.size[i]) // unit
        offset = model.new_int_var(0, top - size, f"o{i}")
        begin, length = int(buffers.lower[i]), int(buffers.upper[i] - buffers.lower[i])
        xs.append(model.new_fixed_size_interval_var(begin, length, f"x{i}"))
        ys.append(model.new_fixed_size_interval_var(offset, size, f"y{i}"))
        model.add(offset + size <= height)
        model.add_hint(offset, int(start.offsets[i]) // unit)
        offsets.append(offset)
    model.add_hint(height, top)
    model.add_no_overlap_2d(xs, ys)
    model.add_cumulative(xs, [int(size) // unit for size in buffers.size], height)
    model.minimize(height)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = limit
    solver.parameters.num_workers = 1
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return start.offsets
    return np.array([solver.value(offset) * unit for offset in offsets], dtype=np.int64)


def serenity_greedy(buffers: Buffers, limit: float, capacity: int | None) -> Int64s:
    return pack_buffers(buffers, algorithm="greedy").offsets


def serenity(buffers: Buffers, limit: float, capacity: int | None) -> Int64s:
    return pack_buffers(buffers, time_limit=limit, capacity=capacity).offsets


PACKERS: dict[str, Packer] = {
    "iree": iree,
    "by size": greedy_by_size,
    "by breadth": greedy_by_breadth,
    "cp-sat": cp_sat,
    "greedy": serenity_greedy,
    "exact": serenity,
}


# --- instances ---


def cut_rectangle(n: int, seed: int, horizon: int, height: int) -> Buffers:
    """Cuts random rectangles (likelier the larger) at random places until there are n."""
    rng = np.random.default_rng(seed)
    parts = [(0, horizon, 0, height)]
    while len(parts) < n:
        weights = np.array([(b - a) * (d - c) for a, b, c, d in parts], dtype=float)
        k = int(rng.choice(len(parts), p=weights / weights.sum()))
        a, b, c, d = parts[k]
        if rng.random() < 0.5:
            if b - a > 1:
                cut = int(rng.integers(a + 1, b))
                parts[k] = (a, cut, c, d)
                parts.append((cut, b, c, d))
        elif d - c > 1:
            cut = int(rng.integers(c + 1, d))
            parts[k] = (a, b, c, cut)
            parts.append((a, b, cut, d))
    table = np.array(parts, dtype=np.int64)[rng.permutation(n)]
    return make(table[:, 0], table[:, 1], table[:, 3] - table[:, 2])


def spirals(n: int, seed: int, horizon: int, height: int) -> Buffers:
    """Cuts rectangles into five that wind about the fifth, so that no straight cut parts them."""
    rng = np.random.default_rng(seed)
    parts = [(0, horizon, 0, height)]
    while len(parts) < n:
        weights = np.array([(b - a) * (d - c) for a, b, c, d in parts], dtype=float)
        k = int(rng.choice(len(parts), p=weights / weights.sum()))
        a, b, c, d = parts[k]
        if b - a < 3 or d - c < 3:
            continue
        x1, x2 = map(int, np.sort(rng.choice(np.arange(a + 1, b), 2, replace=False)))
        y1, y2 = (int(y) for y in np.sort(rng.integers(c + 1, d, 2)))
        if y1 == y2:
            continue
        parts[k] = (x1, x2, y1, y2)
        parts += [(a, x2, c, y1), (x2, b, c, y2), (x1, b, y2, d), (a, x1, y1, d)]
    table = np.array(parts, dtype=np.int64)[rng.permutation(len(parts))]
    return make(table[:, 0], table[:, 1], table[:, 3] - table[:, 2])


def family(buffers: Buffers, n: int, seed: int) -> Buffers:
    """Cuts buffers in two, in time or in size, until there are n; time runs backwards. What fitted
    into a capacity still does."""
    rng = np.random.default_rng(seed)
    unit = int(np.gcd.reduce(buffers.size))
    parts = [
        (-int(upper), -int(lower), int(size))
        for lower, upper, size in zip(buffers.lower, buffers.upper, buffers.size, strict=True)
    ]
    while len(parts) < n:
        k = int(rng.integers(len(parts)))
        a, b, size = parts[k]
        if rng.random() < 0.5 and b - a > 1:
            cut = int(rng.integers(a + 1, b))
            parts[k] = (a, cut, size)
            parts.append((cut, b, size))
        elif size > unit:
            low = unit * int(rng.integers(1, size // unit))
            parts[k] = (a, b, low)
            parts.append((a, b, size - low))
    table = np.array(parts, dtype=np.int64)[rng.permutation(n)]
    return make(table[:, 0] - table[:, 0].min(), table[:, 1] - table[:, 0].min(), table[:, 2])


def network(path: Path) -> Buffers:
    """Lifetimes in an order of least peak; several have no packing without loss."""
    problem = Problem.from_file(path)
    live = simulate(problem, schedule(problem).order)
    size = np.array([buffer.bytes for buffer in problem.buffers], dtype=np.int64)
    used = (live.first >= 0) & (size > 0)
    return make(live.first[used], live.last[used] + 1, size[used])


def dense(n: int, seed: int) -> Buffers:
    """Forty buffers live at a time on average, of all sizes."""
    rng = np.random.default_rng(seed)
    lower = np.sort(rng.integers(0, n, n))
    return make(lower, lower + rng.geometric(1 / 40, n), rng.integers(1, 1000, n) * 64)


def activations(n: int, seed: int) -> Buffers:
    """One buffer per operation, most of them short-lived, a tenth kept for a skip connection."""
    rng = np.random.default_rng(seed)
    lower = np.arange(n, dtype=np.int64)
    length = 1 + rng.geometric(0.5, n)
    length = np.where(rng.random(n) < 0.1, length + rng.integers(5, 60, n), length)
    channels = 2 ** rng.integers(3, 9, n) * rng.choice([2, 2, 3], n)
    side = rng.choice([7, 14, 28, 56], n)
    size = -(-channels * side * side * 2 // 64) * 64
    return make(lower, np.minimum(lower + length, n + 1), size.astype(np.int64))


# --- tables ---


def run(packer: Packer, buffers: Buffers, limit: float, capacity: int | None) -> tuple[str, float]:
    start = time.process_time()
    offsets = packer(buffers, limit, capacity)
    seconds = time.process_time() - start
    if offsets is None:
        return "-", seconds
    conflict = verify(buffers, offsets)
    assert conflict is None, conflict
    height = int((offsets + buffers.size).max())
    bound = maximum_live_bytes(buffers)
    met = capacity is not None and height <= capacity
    return "fits" if met else f"{100 * (height / bound - 1):.2f}%", seconds


def row(name: str, cells: list[str]) -> None:
    print(f"{name:<24}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


def table(
    instances: list[Instance],
    packers: list[str],
    limit: float,
    cp_sat_limit: float,
) -> None:
    row("instance (buffers)", packers)
    for name, buffers, capacity in instances:
        cells = []
        for packer in packers:
            # The Python ones are quadratic.
            largest = {"cp-sat": 1000, "by size": 10000, "by breadth": 10000}.get(packer)
            if largest is not None and len(buffers) > largest:
                cells.append("")
                continue
            seconds_allowed = cp_sat_limit if packer == "cp-sat" else limit
            answer, seconds = run(PACKERS[packer], buffers, seconds_allowed, capacity)
            cells.append(f"{answer} {seconds:.3f}s")
        row(f"{name} ({len(buffers):,})", cells)


def published() -> list[Instance]:
    return [
        (path.stem.split(".")[0], read_csv(path), int(path.stem.split(".")[1]))
        for path in sorted(INSTANCES.glob("*.csv"))
    ]


def derived() -> list[Instance]:
    result: list[Instance] = []
    for seed, (name, buffers, capacity) in enumerate(published()):
        for n in (310, 450):
            if n > len(buffers):
                made = family(buffers, n, 100 * seed + n)
                result.append((f"{name} cut to {n}", made, capacity))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parts = ["hard", "family", "networks", "cut", "large"]
    parser.add_argument("parts", nargs="*", default=parts, help=", ".join(parts))
    parser.add_argument("--runs", type=int, default=20, help="cut rectangles per size")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds (cut: a tenth of it)")
    parser.add_argument("--cp-sat-limit", type=float, default=20.0, help="seconds; 0: without it")
    options = parser.parse_args()
    packers = [name for name in PACKERS if name != "cp-sat" or options.cp_sat_limit > 0]
    limits = (options.limit, options.cp_sat_limit)

    print("Height above the maximum of live bytes, or that the capacity is kept; CPU time")
    if "hard" in options.parts:
        table(published(), packers, *limits)
    if "family" in options.parts:
        print("\nMade of them")
        table(derived(), packers, *limits)
    if "networks" in options.parts:
        print("\nNetworks, first order of least peak (the compiler tries others where one loses)")
        instances: list[Instance] = [
            (path.name.split(".")[0], network(path), None)
            for path in sorted(COMPILER.glob("*.region.json"))
        ]
        table(instances, packers, *limits)
    if "cut" in options.parts:
        print("\nRectangles cut into n buffers: solved to the bound by the exact search")
        for cutter in (cut_rectangle, spirals):
            for n in (50, 100, 200, 500):
                for horizon, height in ((10 * n, 1 << 20), (50, 1 << 20), (100, 1000)):
                    cut(cutter, n, horizon, height, options.runs, options.limit / 10)
        print("\nTwo of them")
        two: list[Instance] = [
            (f"cut {n}", cut_rectangle(n, 1000 * n, 50, 1 << 20), None) for n in (50, 100)
        ]
        table(two, packers, *limits)
    if "large" in options.parts:
        print("\nLifetimes like those of activations, and dense ones")
        sizes = (1000, 10000, 60000)
        large: list[Instance] = [(f"activations-{n}", activations(n, 1), None) for n in sizes]
        large += [(f"dense-{n}", dense(n, 5), None) for n in sizes]
        table(large, packers, *limits)


def cut(
    cutter: Callable[[int, int, int, int], Buffers],
    n: int,
    horizon: int,
    height: int,
    runs: int,
    limit: float,
) -> None:
    times = []
    for seed in range(runs):
        buffers = cutter(n, 1000 * n + seed, horizon, height)
        start = time.process_time()
        packing = pack_buffers(buffers, time_limit=limit)
        times.append((packing.height_bytes == height, time.process_time() - start))
        assert verify(buffers, packing.offsets) is None
    seconds = [second for _, second in times]
    print(
        f"{cutter.__name__:<14}{n:>4} buffers, times to {horizon:>5}, height {height:>8}: "
        f"{sum(met for met, _ in times):>3} of {runs}, "
        f"CPU median {statistics.median(seconds):.4f} s, most {max(seconds):.3f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Offset packing beside others: height above the bound, and time.

    python benchmarks/offsets.py [hard] [cut] [large] [--runs N] [--limit SECONDS] [--no-cp-sat]

hard   the published instances of benchmarks/instances/offsets, deciding their capacity
cut    rectangles cut into 50 to 500 buffers: the least height is known
large  1,000, 10,000 and 60,000 buffers with lifetimes like those of activations

Everything is seeded. Every packing is verified. The limit is wall-clock time; the time printed is
that of the process, so that a busy machine does not show. CP-SAT (NoOverlap2D) is run on the hard
instances where OR-Tools is installed, on one core.
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

from serenity_mlir.offsets import Buffers, maximum_live_bytes, pack_buffers, read_csv, verify

INSTANCES = Path(__file__).parent / "instances" / "offsets"
Int64s = npt.NDArray[np.int64]
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
    """OR-Tools CP-SAT: rectangles with fixed times, NoOverlap2D, one worker."""
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        return None
    unit = int(np.gcd.reduce(buffers.size))
    bound = maximum_live_bytes(buffers) // unit
    top = int(capacity // unit) if capacity else int(greedy_height(buffers) // unit)
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
        offsets.append(offset)
    model.add_no_overlap_2d(xs, ys)
    if capacity is None:
        model.minimize(height)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = limit
    solver.parameters.num_workers = 1
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return np.array([solver.value(offset) * unit for offset in offsets], dtype=np.int64)


def greedy_height(buffers: Buffers) -> int:
    return pack_buffers(buffers, algorithm="greedy").height_bytes


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
    instances: list[tuple[str, Buffers, int | None]], packers: list[str], limit: float
) -> None:
    row("instance (buffers)", packers)
    for name, buffers, capacity in instances:
        cells = []
        for packer in packers:
            answer, seconds = run(PACKERS[packer], buffers, limit, capacity)
            cells.append(f"{answer} {seconds:.3f}s")
        row(f"{name} ({len(buffers):,})", cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("parts", nargs="*", default=["hard", "cut", "large"])
    parser.add_argument("--runs", type=int, default=20, help="cut rectangles per size")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds (cut: a tenth of it)")
    parser.add_argument("--no-cp-sat", action="store_true")
    options = parser.parse_args()
    packers = [name for name in PACKERS if name != "cp-sat" or not options.no_cp_sat]

    if "hard" in options.parts:
        print("Height above the maximum of live bytes, or whether the capacity is kept; CPU time")
        table(
            [
                (path.stem, read_csv(path), int(path.stem.split(".")[1]))
                for path in sorted(INSTANCES.glob("*.csv"))
            ],
            packers,
            options.limit,
        )
    if "cut" in options.parts:
        print("\nRectangles cut into n buffers: solved to the bound by the exact search")
        for n in (50, 100, 200, 500):
            for horizon in (10 * n, 50):
                times = []
                for seed in range(options.runs):
                    buffers = cut_rectangle(n, 1000 * n + seed, horizon, 1 << 20)
                    start = time.process_time()
                    packing = pack_buffers(buffers, time_limit=options.limit / 10)
                    times.append((packing.height_bytes == 1 << 20, time.process_time() - start))
                    assert verify(buffers, packing.offsets) is None
                solved = sum(met for met, _ in times)
                median = statistics.median(seconds for _, seconds in times)
                print(
                    f"{n:>6} buffers, times to {horizon:>5}: {solved:>3} of {len(times)}, "
                    f"CPU median {median:.4f} s, most {max(seconds for _, seconds in times):.3f} s",
                    flush=True,
                )
    if "large" in options.parts:
        print("\nLifetimes like those of activations")
        large = [name for name in packers if name != "cp-sat"]
        for n in (1000, 10000, 60000):
            # The Python ones are quadratic.
            names = large if n <= 10000 else ["greedy", "exact"]
            table([(f"activations-{n}", activations(n, 1), None)], names, options.limit)


if __name__ == "__main__":
    main()

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Offset packing: optimality against brute force, the validator, IREE's packer, limits."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serenity_mlir.core.offsets import (
    RULES,
    Buffers,
    Gap,
    OffsetsError,
    maximum_live_bytes,
    pack,
    pack_buffers,
    read_csv,
    verify,
)

pytestmark = pytest.mark.one_release

INSTANCES = Path(__file__).parent.parent / "benchmarks" / "instances" / "offsets"


def make(
    rows: Sequence[tuple[int, int, int]],
    alignment: Sequence[int] | None = None,
    fixed: Sequence[int] | None = None,
    gaps: Sequence[Sequence[Gap]] | None = None,
) -> Buffers:
    n = len(rows)
    table = np.array(rows, dtype=np.int64).reshape(n, 3)
    return Buffers(
        tuple(map(str, range(n))),
        *(np.ascontiguousarray(table[:, i]) for i in range(3)),
        alignment=np.array(alignment or [1] * n, dtype=np.int64),
        fixed_offset=np.array(fixed or [-1] * n, dtype=np.int64),
        gaps=tuple(map(tuple, gaps or [()] * n)),
    )


def bytes_in_use(buffers: Buffers, i: int, time: int) -> tuple[int, int]:
    """The bytes of a buffer, from its offset, that are in use at a moment; a naive reading."""
    if not buffers.lower[i] <= time < buffers.upper[i]:
        return 0, 0
    for gap in buffers.gaps[i]:
        if gap.lower <= time < gap.upper:
            return gap.window_lower, gap.window_upper
    return 0, int(buffers.size[i])


def overlaps(buffers: Buffers, offsets: Sequence[int], i: int, j: int) -> bool:
    for time in range(int(buffers.lower.min()), int(buffers.upper.max())):
        a, b = bytes_in_use(buffers, i, time)
        c, d = bytes_in_use(buffers, j, time)
        if a < b and c < d and offsets[i] + a < offsets[j] + d and offsets[j] + c < offsets[i] + b:
            return True
    return False


def fits(buffers: Buffers, height: int) -> bool:
    """Tries every assignment of offsets."""
    n = len(buffers)
    offsets = [0] * n
    order = sorted(range(n), key=lambda i: buffers.fixed_offset[i] < 0)

    def place(k: int) -> bool:
        if k == n:
            return True
        i = order[k]
        free = range(0, height - int(buffers.size[i]) + 1, int(buffers.alignment[i]))
        given = int(buffers.fixed_offset[i])
        for offset in free if given < 0 else [given] if given in free else []:
            offsets[i] = offset
            if not any(overlaps(buffers, offsets, i, order[m]) for m in range(k)) and place(k + 1):
                return True
        return False

    return place(0)


def random_instance(seed: int) -> Buffers:
    """Small enough for brute force; half of them with alignment, fixed offsets or gaps."""
    rng = random.Random(seed)
    n, horizon = rng.randint(2, 6), rng.randint(2, 7)
    rows = []
    gaps: list[list[Gap]] = []
    for _ in range(n):
        lower = rng.randrange(horizon)
        rows.append((lower, rng.randint(lower + 1, horizon), rng.randint(1, 4)))
        gaps.append([])
    alignment = [rng.randint(1, 3) if seed % 4 == 1 else 1 for _ in range(n)]
    if seed % 4 == 2:
        for i, (lower, upper, size) in enumerate(rows):
            if upper - lower >= 2 and rng.random() < 0.6:
                begin = rng.randrange(lower, upper)
                window = sorted(rng.choices(range(size + 1), k=2)) if rng.random() < 0.5 else [0, 0]
                gaps[i].append(Gap(begin, rng.randint(begin + 1, upper), *window))
    buffers = make(rows, alignment, gaps=gaps)
    if seed % 4 == 3:
        fixed = [-1] * n
        for i in range(n):
            fixed[i] = rng.randint(0, 6) if rng.random() < 0.4 else -1
            if any(fixed[j] >= 0 and overlaps(buffers, fixed, i, j) for j in range(i)):
                fixed[i] = -1
        buffers = make(rows, alignment, fixed, gaps)
    return buffers


def guillotine(n: int, seed: int, horizon: int, height: int) -> tuple[Any, Any, Any]:
    """Cuts a rectangle into n buffers, so that the least height is known."""
    rng = random.Random(seed)
    parts = [(0, horizon, 0, height)]
    while len(parts) < n:
        weights = [(b - a) * (d - c) for a, b, c, d in parts]
        k = rng.choices(range(len(parts)), weights)[0]
        a, b, c, d = parts[k]
        if rng.random() < 0.5 and b - a > 1:
            cut = rng.randrange(a + 1, b)
            parts[k] = (a, cut, c, d)
            parts.append((cut, b, c, d))
        elif d - c > 1:
            cut = rng.randrange(c + 1, d)
            parts[k] = (a, b, c, cut)
            parts.append((a, b, cut, d))
    rng.shuffle(parts)
    return (
        [a for a, _, _, _ in parts],
        [b for _, b, _, _ in parts],
        [d - c for _, _, c, d in parts],
    )


@pytest.mark.parametrize("seed", range(120))
def test_exact_is_optimal(seed: int) -> None:
    buffers = random_instance(seed)
    packing = pack_buffers(buffers)
    offsets = [int(offset) for offset in packing.offsets]
    pairs = itertools.combinations(range(len(buffers)), 2)
    assert not any(overlaps(buffers, offsets, i, j) for i, j in pairs)
    assert all(offset % a == 0 for offset, a in zip(offsets, buffers.alignment, strict=True))
    assert verify(buffers, offsets) is None
    assert packing.optimal
    assert packing.lower_bound_bytes == packing.height_bytes == max(offsets + buffers.size)
    assert not fits(buffers, packing.height_bytes - 1)
    below = pack_buffers(buffers, capacity=packing.height_bytes - 1)
    assert below.infeasible
    assert below.proved_by in ("live-bytes", "search")
    assert not pack_buffers(buffers, capacity=packing.height_bytes).infeasible


def needs_search() -> list[Buffers]:
    """Instances that no order packs at the live bytes, or at all without branching."""
    found = []
    for seed in range(4000):
        buffers = random_instance(seed)
        packing = pack_buffers(buffers)
        if packing.proved_by == "search" and packing.nodes > 1:
            found.append(buffers)
        if len(found) == 4:
            break
    return found


def test_rules_do_not_change_the_answer() -> None:
    instances = needs_search()
    assert len(instances) == 4
    for buffers in instances:
        expected = pack_buffers(buffers).height_bytes
        for k in range(len(RULES) + 1):
            for disable in itertools.combinations(RULES, k):
                packing = pack_buffers(buffers, disable=disable)
                assert packing.optimal, disable
                assert packing.height_bytes == expected, disable


@pytest.mark.parametrize(("n", "horizon", "height"), [(20, 60, 64), (50, 500, 1 << 20)])
@pytest.mark.parametrize("seed", range(5))
def test_cut_rectangles_are_packed_tight(n: int, horizon: int, height: int, seed: int) -> None:
    packing = pack(*guillotine(n, seed, horizon, height))
    assert packing.optimal
    assert packing.height_bytes == height


def spirals(n: int, seed: int, horizon: int, height: int) -> tuple[Any, Any, Any]:
    """Cuts rectangles into five that wind about the last of them, which no straight cuts make."""
    rng = random.Random(seed)
    parts = [(0, horizon, 0, height)]
    while len(parts) < n:
        a, b, c, d = parts.pop(rng.randrange(len(parts)))
        if b - a < 3 or d - c < 3:
            parts.append((a, b, c, d))
            continue
        x1, x2 = sorted(rng.sample(range(a + 1, b), 2))
        y1, y2 = sorted(rng.sample(range(c + 1, d), 2))
        parts += [(a, x2, c, y1), (x2, b, c, y2), (x1, b, y2, d), (a, x1, y1, d), (x1, x2, y1, y2)]
    rng.shuffle(parts)
    return (
        [a for a, _, _, _ in parts],
        [b for _, b, _, _ in parts],
        [d - c for _, _, c, d in parts],
    )


@pytest.mark.parametrize("seed", range(3))
def test_many_cuts_at_the_same_times(seed: int) -> None:
    """Without joints none of these is solved within ten times the nodes."""
    arrays = guillotine(400, seed, 40, 1 << 20)
    packing = pack(*arrays, node_limit=20000, time_limit=600)
    assert packing.height_bytes == 1 << 20
    without = pack(*arrays, node_limit=2000, time_limit=600, disable=["joints"])
    assert without.height_bytes > 1 << 20


@pytest.mark.parametrize("seed", range(3))
def test_spirals_are_packed_tight(seed: int) -> None:
    packing = pack(*spirals(150, seed, 400, 1 << 20), node_limit=20000, time_limit=600)
    assert packing.height_bytes == 1 << 20


def test_joints_that_mislead_are_given_up() -> None:
    """Small sizes fit together in many ways, most of which are wrong."""
    for seed in range(20):
        arrays = guillotine(40, seed, 12, 24)
        packing = pack(*arrays, node_limit=50000, time_limit=600)
        assert packing.height_bytes == 24, seed


def test_dense_lifetimes_come_near_the_bound() -> None:
    """Forty live at a time, of all sizes: greedy orders lose several per cent."""
    rng = np.random.default_rng(6)
    lower = np.sort(rng.integers(0, 1000, 1000))
    upper = lower + rng.geometric(1 / 40, 1000)
    size = rng.integers(1, 1000, 1000) * 64
    greedy = pack(lower, upper, size, algorithm="greedy")
    packing = pack(lower, upper, size, node_limit=2000, time_limit=600)
    assert greedy.height_bytes > 1.02 * greedy.lower_bound_bytes
    assert packing.height_bytes <= 1.01 * packing.lower_bound_bytes


@pytest.mark.parametrize("name", ["A", "B", "C", "D", "E", "F"])
def test_published_instances(name: str) -> None:
    buffers = read_csv(INSTANCES / f"{name}.1048576.csv")
    packing = pack_buffers(buffers, capacity=1 << 20, node_limit=20000, time_limit=600)
    assert packing.height_bytes <= 1 << 20
    assert verify(buffers, packing.offsets, capacity=1 << 20) is None
    greedy = pack_buffers(buffers, algorithm="greedy")
    assert verify(buffers, greedy.offsets) is None
    assert greedy.height_bytes > 1 << 20


def test_aligned_live_bytes_are_met() -> None:
    # As the passes call it: sizes rounded to 64, offsets multiples of 64.
    rng = random.Random(5)
    rows = []
    for i in range(80):
        rows.append((i, i + rng.randint(2, 9), rng.randint(1, 5000)))
    buffers = make(rows)
    packing = pack_buffers(buffers, offset_alignment=64, range_alignment=64)
    assert verify(buffers, packing.offsets, offset_alignment=64, range_alignment=64) is None
    assert packing.height_bytes == maximum_live_bytes(buffers, range_alignment=64)


def test_padding_counts_in_the_bound() -> None:
    # Offsets are multiples of 64, sizes are not; only the upper one of two goes without padding:
    # 65 bytes above 65 bytes end at 128 + 65. With 65 and 1, the 65 lie above: 64 + 65.
    packing = pack([0, 0], [1, 1], [65, 65], offset_alignment=64)
    assert (packing.height_bytes, packing.lower_bound_bytes) == (193, 193)
    packing = pack([0, 0], [1, 1], [65, 1], offset_alignment=64)
    assert (packing.height_bytes, packing.lower_bound_bytes) == (129, 129)


def naive_iree(buffers: Buffers, offset_alignment: int, range_alignment: int) -> list[int]:
    """IREE's rule read off its description: the smallest gap between buffers alive together."""

    def up(value: int, multiple: int) -> int:
        return -(-value // multiple) * multiple

    placed: list[tuple[int, int, int]] = []  # offset, end, buffer
    offsets = []
    for i in range(len(buffers)):
        size = up(int(buffers.size[i]), range_alignment)
        gaps: list[tuple[int, int]] = []  # below whom, from where
        end = 0
        for begin, stop, j in placed:
            if buffers.lower[i] < buffers.upper[j] and buffers.lower[j] < buffers.upper[i]:
                gaps.append((begin, end))
                end = max(end, stop)
        chosen, fit = None, None
        for begin, start in gaps:
            offset = up(start, offset_alignment)
            if offset + size <= begin and (fit is None or begin - offset < fit):
                chosen, fit = offset, begin - start
        offset = up(end, offset_alignment) if chosen is None else chosen
        at = next((k for k, entry in enumerate(placed) if entry[0] >= offset), len(placed))
        placed.insert(at, (offset, offset + size, i))
        offsets.append(offset)
    return offsets


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("alignments", [(1, 1), (64, 64), (64, 16), (16, 64)])
def test_iree(seed: int, alignments: tuple[int, int]) -> None:
    rng = random.Random(seed)
    rows = []
    for _ in range(rng.randint(1, 40)):
        lower = rng.randrange(30)
        rows.append((lower, lower + rng.randint(1, 12), rng.randint(1, 300)))
    buffers = make(sorted(rows))
    options = {"offset_alignment": alignments[0], "range_alignment": alignments[1]}
    packing = pack_buffers(buffers, algorithm="iree", **options)
    assert list(packing.offsets) == naive_iree(buffers, *alignments)
    assert verify(buffers, packing.offsets, **options) is None
    assert packing.height_bytes % alignments[1] == 0


def test_iree_takes_the_smallest_gap() -> None:
    # a [0,100) b [100,130) c [130,230) d [230,250) e [250,350); then a, c and e live on, so that
    # the gaps are b's 30 bytes and d's 20: a newcomer of 20 bytes fits both and takes d's.
    rows = [(0, 9, 100), (0, 3, 30), (0, 9, 100), (0, 3, 20), (0, 9, 100), (5, 9, 20)]
    packing = pack_buffers(make(rows), algorithm="iree")
    assert list(packing.offsets) == [0, 100, 130, 230, 250, 230]
    assert packing.height_bytes == 350


@pytest.mark.parametrize(
    ("offsets", "options", "expected"),
    [
        ([0, 4, 0], {}, None),
        ([0, 3, 0], {}, "slices 0 and 1 overlap at time 2"),
        ([0, 4, 7], {}, "slices 1 and 2 overlap at time 4"),
        ([0, -4, 0], {}, "negative"),
        ([0, 5, 0], {"offset_alignment": 4}, "not a multiple"),
        ([0, 4, 0], {"range_alignment": 5}, "slices 0 and 1 overlap"),
        ([0, 4, 0], {"capacity": 7}, "beyond the capacity 7"),
        ([0, 4], {}, "2 offsets for 3 slices"),
    ],
)
def test_validator(offsets: list[int], options: dict[str, int], expected: str | None) -> None:
    # 0 and 1 live together in [2, 4), 1 and 2 in [4, 6), 0 and 2 never.
    buffers = make([(0, 4, 4), (2, 6, 4), (4, 9, 4)])
    conflict = verify(buffers, offsets, **options)
    assert conflict is None if expected is None else expected in (conflict or "")


def test_validator_sees_what_is_special() -> None:
    rows = [(0, 4, 4), (0, 4, 4)]
    assert "fixed at 4" in (verify(make(rows, fixed=[-1, 4]), [8, 0]) or "")
    assert "multiple" in (verify(make(rows, alignment=[1, 3]), [0, 4]) or "")
    # In the gap [1, 3) only byte 0 of the first is in use.
    gapped = make([(0, 4, 4), (1, 3, 3)], gaps=[[Gap(1, 3, 0, 1)], []])
    assert verify(gapped, [0, 1]) is None
    assert "overlap at time 1" in (verify(gapped, [0, 0]) or "")
    assert pack_buffers(gapped).height_bytes == 4


@pytest.mark.parametrize("seed", range(200))
def test_validator_agrees_with_a_naive_one(seed: int) -> None:
    buffers = random_instance(seed)
    rng = random.Random(seed)
    offsets = [rng.randrange(0, 8) for _ in range(len(buffers))]
    pairs = itertools.combinations(range(len(buffers)), 2)
    bad = any(overlaps(buffers, offsets, i, j) for i, j in pairs)
    bad |= any(o % a for o, a in zip(offsets, buffers.alignment, strict=True))
    bad |= any(f >= 0 and f != o for o, f in zip(offsets, buffers.fixed_offset, strict=True))
    assert (verify(buffers, offsets) is not None) == bad


def test_limits_are_reproducible_and_leave_a_valid_packing() -> None:
    buffers = read_csv(INSTANCES / "B.1048576.csv")
    first = pack_buffers(buffers, node_limit=100, time_limit=600)
    second = pack_buffers(buffers, node_limit=100, time_limit=600)
    assert first.interrupted
    assert not first.optimal
    assert first.nodes <= 101
    assert first.lower_bound_bytes < first.height_bytes
    assert list(first.offsets) == list(second.offsets)
    assert verify(buffers, first.offsets) is None
    at_once = pack_buffers(buffers, time_limit=0)
    assert at_once.interrupted
    assert verify(buffers, at_once.offsets) is None


def test_trivial_instances() -> None:
    none = pack([], [], [])
    assert (none.height_bytes, none.optimal, len(none.offsets)) == (0, True, 0)
    one = pack([5], [6], [7], alignment=8)
    assert (list(one.offsets), one.height_bytes, one.optimal) == ([0], 7, True)
    # Never in use, but it has a place.
    unused = pack([0, 0], [4, 4], [9, 2], gaps=[[Gap(0, 4)], []])
    assert unused.height_bytes == 9
    # Times are only compared; the extremes of 64 bits are times like any other.
    extreme = pack([-(2**63), 0], [2**63 - 1, 1], [3, 4])
    assert extreme.height_bytes == 7


def test_large_sizes_do_not_overflow() -> None:
    size = 2**58
    packing = pack([0, 0, 1], [2, 1, 2], [size, size, size])
    assert packing.height_bytes == 2 * size
    with pytest.raises(OffsetsError, match="64-bit"):
        pack([0] * 9, [1] * 9, [2**57] * 9)
    with pytest.raises(OffsetsError, match="too large"):
        pack([0], [1], [1], alignment=2**61 - 1, offset_alignment=2**59)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3], [3], [1]), "slice 0: lifetime .* reversed or empty"),
        (([0, 4], [1, 2], [1, 1]), "slice 1: lifetime .* reversed or empty"),
        (([0], [1], [0]), "slice 0: size 0 is not positive"),
        (([0], [1], [-4]), "slice 0: size -4 is not positive"),
        (([0], [1, 2], [1]), "upper: expected 1 values"),
        (([0.5], [1], [1]), "lower: expected integers"),
        (([[0]], [1], [1]), "lower: expected one dimension"),
    ],
)
def test_malformed_arrays(arguments: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(OffsetsError, match=message):
        pack(*arguments)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"alignment": 0}, "slice 0: alignment 0 is not positive"),
        ({"offset_alignment": 0}, "offset alignment 0 is not positive"),
        ({"range_alignment": -1}, "range alignment -1 is not positive"),
        ({"capacity": -1}, "capacity -1 is negative"),
        ({"fixed_offset": [0, 3]}, "slice 1: fixed offset 3 makes it overlap slice 0"),
        ({"fixed_offset": [2, 9], "alignment": 4}, "slice 0: fixed offset 2 is not a multiple"),
        ({"gaps": [[Gap(1, 1)], []]}, "slice 0: gap .* reversed or empty"),
        ({"gaps": [[Gap(1, 9)], []]}, "slice 0: gap .* leaves the lifetime"),
        ({"gaps": [[Gap(0, 2), Gap(1, 3)], []]}, "slice 0: gaps overlap at time 1"),
        ({"gaps": [[Gap(0, 2, 0, 5)], []]}, "slice 0: window .* not within the 4 bytes"),
        ({"gaps": [[]]}, "gaps: expected 2"),
        ({"algorithm": "best"}, "unknown algorithm 'best'"),
        ({"disable": ["luck"]}, "unknown rule 'luck'"),
        ({"capacity": 2**70}, "does not fit into 64 bits"),
    ],
)
def test_malformed_options(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(OffsetsError, match=message):
        pack([0, 0], [4, 4], [4, 4], **keywords)


def test_fixed_offsets_bound_the_height() -> None:
    packing = pack([0, 0], [2, 2], [4, 4], fixed_offset=[10, -1])
    assert (list(packing.offsets), packing.height_bytes) == ([10, 0], 14)
    assert packing.optimal
    assert pack([0], [2], [4], fixed_offset=[10], capacity=13).infeasible


def test_input_arrays_are_not_changed() -> None:
    lower = np.array([0, 0], dtype=np.int32)
    upper = np.array([2, 2], dtype=np.uint8)
    size = np.arange(1, 5)[::2]
    packing = pack(lower, upper, size)
    assert packing.height_bytes == 4
    assert list(size) == [1, 3]
    assert packing.offsets.dtype == np.int64

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Counts the orders of a graph by their peak; `serenity_mlir.core.scheduling.peak_distribution`.

A set of executed operations that is closed under predecessors (a down-set) decides which buffers
are live, whatever the order within it (Kessler, "Scheduling expression DAGs for minimal register
need", 1998; Ahn et al., MLSys 2020, section 3.1). So the number of orders that lead to a down-set
with a given peak is the sum over its last operations of the numbers for the smaller sets:

    count(S + u, max(p, during(S, u))) += count(S, p)

level by level, a level being the sets of one size. Down-sets and buffers are bit masks, counts
Python's integers, which do not overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["GraphMasks", "TooManyStatesError", "count_orders"]


class TooManyStatesError(RuntimeError):
    """The graph has more down-sets than allowed; no distribution is known."""


@dataclass(frozen=True)
class GraphMasks:
    """A scheduling problem by numbers.

    Attributes:
      before: per operation, the mask of its predecessors.
      uses: per operation, the buffers that it uses.
      workspace: per operation, bytes live only while it runs.
      users: per buffer, the mask of the operations that use it.
      bytes: per buffer, its size.
      live_in: per buffer, whether it is live from the start.
      live_out: per buffer, whether it is live to the end.
    """

    before: Sequence[int]
    uses: Sequence[Sequence[int]]
    workspace: Sequence[int]
    users: Sequence[int]
    bytes: Sequence[int]
    live_in: Sequence[bool]
    live_out: Sequence[bool]


def count_orders(graph: GraphMasks, state_limit: int) -> tuple[dict[int, int], int]:
    """Returns the number of orders by peak in bytes, and the number of down-sets.

    Args:
      graph: acyclic.
      state_limit: largest number of down-sets.

    Raises:
      TooManyStatesError: there are more.
    """
    operations = range(len(graph.before))
    # Live before anything runs: the buffers that the caller counts. Buffers without a user stay to
    # the end.
    start = sum(
        size
        for size, users, live_in, live_out in zip(
            graph.bytes, graph.users, graph.live_in, graph.live_out, strict=True
        )
        if live_in or (live_out and not users)
    )
    # Of a buffer that is live from the start, no user is the first.
    opened = [
        [(graph.users[b], graph.bytes[b]) for b in graph.uses[u] if not graph.live_in[b]]
        for u in operations
    ]
    closed = [
        [(graph.users[b], graph.bytes[b]) for b in graph.uses[u] if not graph.live_out[b]]
        for u in operations
    ]
    # By down-set: live bytes after it, and the number of orders by peak.
    level: dict[int, tuple[int, dict[int, int]]] = {0: (start, {0 if operations else start: 1})}
    states = 1
    for _ in operations:
        following: dict[int, tuple[int, dict[int, int]]] = {}
        for done, (live, counts) in level.items():
            for u in operations:
                bit = 1 << u
                if done & bit or graph.before[u] & ~done:
                    continue
                during = live
                for users, size in opened[u]:
                    if not users & done:
                        during += size
                grown = done | bit
                after = during
                for users, size in closed[u]:
                    if not users & ~grown:
                        after -= size
                during += graph.workspace[u]
                known = following.get(grown)
                if known is None:
                    states += 1
                    if states > state_limit:
                        raise TooManyStatesError(
                            f"more than {state_limit:,} down-sets; raise the limit, or cut the "
                            "graph"
                        )
                    known = following[grown] = (after, {})
                target = known[1]
                for peak, count in counts.items():
                    reached = max(peak, during)
                    target[reached] = target.get(reached, 0) + count
        level = following
    ((_, counts),) = level.values()
    return counts, states

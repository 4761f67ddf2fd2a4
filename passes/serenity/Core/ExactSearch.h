// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_EXACTSEARCH_H
#define SERENITY_CORE_EXACTSEARCH_H

#include "serenity/Core/Graph.h"

#include <functional>

namespace serenity::detail {

struct SearchOptions {
  /// A proved lower bound: orders up to this peak are as good as any.
  int64_t lowerBound = 0;
  /// Only orders of a smaller peak are looked for.
  int64_t upperBound = INT64_MAX;
  /// Take a ready node that neither raises memory nor the threshold at once.
  bool forcedMoves = true;
  /// The same for short chains and sets of nodes.
  bool forcedSets = true;
  /// Cut-offs; 0: none.
  int64_t stateLimit = 0;
  int64_t memoryLimitBytes = 0;
  /// 0: the most promising child first; otherwise a random one.
  uint64_t seed = 0;
  /// Polled with the expanded states and the proved bound; true: give up.
  std::function<bool(int64_t states, int64_t lowerBound)> shouldStop;
};

struct SearchResult {
  enum class Status {
    /// `order` has the least peak, or one within `lowerBound`.
    Found,
    /// No order stays below `upperBound`.
    Exhausted,
    /// A limit was met; `lowerBound` still holds.
    Stopped
  };
  Status status = Status::Stopped;
  std::vector<NodeId> order;
  int64_t lowerBound = 0;
  int64_t states = 0;
  int64_t storeBytes = 0;
};

/// Best-first search on the peak over down-sets (bottleneck shortest path).
/// The threshold rises from `lowerBound` through the step values that were met;
/// at each, all states reachable within it are visited depth first, so the
/// first complete order has the least peak. A state is kept with the least
/// value that would let it go on, and no state above the threshold is stored.
SearchResult searchExact(const Graph &graph, const SearchOptions &options);

} // namespace serenity::detail

#endif // SERENITY_CORE_EXACTSEARCH_H

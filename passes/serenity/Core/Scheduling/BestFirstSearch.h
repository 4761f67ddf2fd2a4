// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_BESTFIRSTSEARCH_H
#define SERENITY_CORE_SCHEDULING_BESTFIRSTSEARCH_H

#include "serenity/Core/Scheduling/Graph.h"

#include <functional>
#include <memory>

namespace serenity::detail {

struct SearchOptions {
  /// A proved lower bound: orders up to this peak are as good as any.
  int64_t lowerBound = 0;
  /// Only orders of a smaller peak are looked for.
  int64_t upperBound = INT64_MAX;
  /// Take a ready node that neither raises memory nor the threshold at once.
  bool forcedMoves = true;
  /// The same for a chain of two or three nodes.
  bool forcedSets = true;
  /// Reaching a state of less memory ends the search, too: `order()` is then
  /// the way to it.
  int64_t valleyBelow = INT64_MIN;
};

/// Best-first search on the peak over down-sets (bottleneck shortest path).
/// The threshold rises from `lowerBound` through the step values that were met;
/// at each, all states reachable within it are visited depth first, so the
/// first complete order has the least peak. A state is kept with the least
/// value that would let it go on, and no state above the threshold is stored.
///
/// The search is resumable, so that several can share the time.
class BestFirstSearch {
public:
  enum class Ending {
    /// `order()` has the least peak, or one within the lower bound given.
    Found,
    /// No order stays below the upper bound.
    Exhausted,
    /// The budget is used up; go on with `run`.
    Paused,
    /// The store is full or the caller's poll said so.
    Stopped
  };

  struct Budget {
    int64_t states = INT64_MAX;
    int64_t memoryBytes = INT64_MAX;
    /// Polled with the expanded states and the proved bound; true: stop.
    std::function<bool(int64_t states, int64_t lowerBound)> shouldStop;
  };

  /// The largest graph that it takes.
  static constexpr int32_t kMaxNodes = 4096;

  static std::unique_ptr<BestFirstSearch> create(const Graph &graph,
                                                 const SearchOptions &options);
  virtual ~BestFirstSearch();

  virtual Ending run(const Budget &budget) = 0;
  /// From now on only orders below `bytes` are looked for.
  virtual void setUpperBound(int64_t bytes) = 0;
  /// A bound proved elsewhere.
  virtual void raiseLowerBound(int64_t bytes) = 0;
  /// Proved so far.
  virtual int64_t lowerBound() const = 0;
  virtual int64_t states() const = 0;
  virtual int64_t storeBytes() const = 0;
  /// After `Found`.
  virtual const std::vector<NodeId> &order() const = 0;
};

} // namespace serenity::detail

#endif // SERENITY_CORE_SCHEDULING_BESTFIRSTSEARCH_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_LOWERBOUND_H
#define SERENITY_CORE_SCHEDULING_LOWERBOUND_H

#include "serenity/Core/Scheduling/Graph.h"

#include <functional>

namespace serenity::detail {

/// Maximum over the operations of the bytes that each must have live: the
/// buffers that it uses, its workspace, and buffers that are live throughout.
int64_t operationFootprintBound(const Problem &problem);

/// The same on a graph.
int64_t footprintBound(const Graph &graph);

struct LiveCutOptions {
  /// Stop as soon as the bound reaches it.
  int64_t target = INT64_MAX;
  /// Polled between and within the cuts; true: give up with the bound so far.
  std::function<bool()> shouldStop;
  /// Deterministic limit: edges looked at; 0: none.
  int64_t workLimit = 0;
  /// Nodes in the order in which to try them; empty: all, as numbered.
  std::vector<NodeId> candidates;
};

/// Maximum over the nodes of the least memory that any down-set leaves live
/// while the node runs: a minimum closure, solved as a minimum cut.
///
/// `numTried`, if given, receives how many candidates were finished.
int64_t liveCutBound(const Graph &graph, const LiveCutOptions &options,
                     size_t *numTried = nullptr);

/// The smallest down-set within `allowed` (a down-set; one flag per node) that
/// leaves the least memory live of all of them.
std::vector<char> leastMemorySubset(const Graph &graph,
                                    const std::vector<char> &allowed);

} // namespace serenity::detail

#endif // SERENITY_CORE_SCHEDULING_LOWERBOUND_H

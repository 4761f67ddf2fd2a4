// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_PAPERDP_H
#define SERENITY_CORE_SCHEDULING_PAPERDP_H

#include "serenity/Core/Scheduling/Graph.h"

#include <functional>

namespace serenity::detail {

struct PaperDpOptions {
  /// Divide and conquer at single nodes.
  bool cutPoints = true;
  /// Adaptive soft budgeting; without it the dynamic programming runs once,
  /// without a budget and without a limit on its steps.
  bool softBudget = true;
  /// A step with more signatures than this counts as timed out. The paper
  /// limits the seconds per step; a count makes the result reproducible.
  int64_t stepLimit = 50000;
  int64_t memoryLimitBytes = int64_t(1) << 30;
  /// Polled with the states expanded so far; true: give up.
  std::function<bool(int64_t states)> shouldStop;
};

struct PaperDpResult {
  /// Always a complete order; Kahn's where the search gave up.
  std::vector<NodeId> order;
  bool isComplete = false;
  int64_t states = 0;
};

/// The scheduler of Ahn et al., "Ordering Chaos" (MLSys 2020), section 3:
///   - dynamic programming over zero-indegree sets, one step per operation
///     (Algorithm 1): of the schedules that lead to the same set the one of the
///     least peak survives;
///   - divide and conquer: cut the graph at single nodes through which every
///     path runs, schedule the parts one by one and concatenate;
///   - adaptive soft budgeting (Algorithm 2): drop schedules above the budget
///     tau, which begins at the peak of Kahn's order, is halved when a step
///     times out, and moves to the middle of its last two values when nothing
///     is left.
/// A result found under any budget has the least peak, since only schedules of
/// a higher peak are dropped.
PaperDpResult schedulePaperDp(const Graph &graph,
                              const PaperDpOptions &options);

} // namespace serenity::detail

#endif // SERENITY_CORE_SCHEDULING_PAPERDP_H

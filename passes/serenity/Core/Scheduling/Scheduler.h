// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_SCHEDULER_H
#define SERENITY_CORE_SCHEDULING_SCHEDULER_H

#include "serenity/Core/Scheduling/Problem.h"

#include <functional>
#include <limits>

namespace serenity {

/// Exact: best-first search with bounds. Paper: the dynamic programming of Ahn
/// et al. (PaperDp.h). Heuristic: the best of several list schedulers.
enum class Algorithm { Exact, Paper, Heuristic };

/// State of a running search, for progress reports.
struct ScheduleProgress {
  int64_t states = 0;
  int64_t lowerBoundBytes = 0;
  int64_t incumbentBytes = 0;
  double seconds = 0;
};

/// One switch per pruning rule, reduction, bound and decomposition; see
/// docs/scheduling.md.
struct SchedulerSwitches {
  /// Search: a node that raises neither memory nor the threshold runs at once.
  bool forcedMoves = true;
  /// Search: so does a small set of nodes (looked for around every ready node).
  bool forcedSets = true;
  /// Reduction: fold nodes that never lower memory into those that need them.
  bool delayReduction = true;
  /// Reduction: fold nodes that never raise memory into those they need.
  bool advanceReduction = true;
  /// Decomposition: solve the parts between forced cuts one by one.
  bool cutPoints = true;
  /// Decomposition: solve nested modules first and replace them by chains.
  bool modules = true;
  /// Search from the end as well as from the start.
  bool bothDirections = true;
  /// Bounds.
  bool footprintBound = true;
  bool liveCutBound = true;
  /// Start from the best of the heuristics instead of the given order alone.
  bool heuristics = true;
  /// The paper's scheduler alone: drop schedules above an adaptive budget.
  bool softBudget = true;
};

struct SchedulerOptions {
  Algorithm algorithm = Algorithm::Exact;
  /// Wall-clock limit; 0 or less: heuristics and bounds only, no search.
  double timeLimitSeconds = 10;
  /// Deterministic cut-off in expanded states; 0: none.
  int64_t stateLimit = 0;
  /// Limit of the state store.
  int64_t memoryLimitBytes = int64_t(1) << 30;
  /// Any valid order, or empty for file order. The answer is never worse; if it
  /// is already of least peak it is returned unchanged.
  std::vector<OpId> givenOrder;
  /// Only orders of less than so many bytes are looked for: the search ends
  /// when there is none, with any order and no proof for it.
  int64_t upperBoundBytes = std::numeric_limits<int64_t>::max();
  /// 0: as above. Otherwise another order of the same peak may be returned, a
  /// different one for different seeds where there are several, and
  /// `givenOrder` is not preferred.
  uint64_t seed = 0;
  /// Called now and then; returning false interrupts: the incumbent is kept.
  std::function<bool(const ScheduleProgress &)> onProgress;
  /// Everything below is on by default and changes the effort, never the peak
  /// of a finished search. For tests and ablations.
  SchedulerSwitches switches;
};

struct ScheduleResult {
  std::vector<OpId> order;
  int64_t peakBytes = 0;
  int64_t lowerBoundBytes = 0;
  /// True only when proved.
  bool optimal = false;
  /// The proof: "search", "operation-footprint", "live-cut", ... or empty.
  std::string provedBy;
  int64_t states = 0;
  double seconds = 0;
  bool interrupted = false;
};

/// Finds an order of least peak memory. `problem` and `givenOrder` must have
/// passed `verifyProblem` and `verifySchedule`. Always returns a valid order;
/// `optimal` tells whether it is proved to be of least peak.
ScheduleResult schedule(const Problem &problem,
                        const SchedulerOptions &options = {});

} // namespace serenity

#endif // SERENITY_CORE_SCHEDULING_SCHEDULER_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_SIMULATOR_H
#define SERENITY_CORE_SCHEDULING_SIMULATOR_H

#include "serenity/Core/Scheduling/Problem.h"

#include <algorithm>
#include <vector>

namespace serenity {

/// First and last step (inclusive) at which a buffer is live, or {-1, -1} if no
/// operation touches it and it is neither live-in nor live-out.
struct LiveRange {
  int64_t first = -1;
  int64_t last = -1;
};

/// The memory of an order, in bytes.
struct Simulation {
  int64_t peakBytes = 0;
  std::vector<int64_t> liveBytes;    // per step, workspace included
  std::vector<LiveRange> liveRanges; // per buffer

  /// The first step at the peak.
  int64_t peakStep() const {
    return std::find(liveBytes.begin(), liveBytes.end(), peakBytes) -
           liveBytes.begin();
  }
};

/// Plays `order` naively. This code shares nothing with the schedulers, so that
/// it can serve to verify them. `order` must be valid (see `verifySchedule`).
Simulation simulate(const Problem &problem, const std::vector<OpId> &order);

/// Fails if `order` is not a topological permutation of the operations of
/// `problem`; the message names the first operation out of place.
Status verifySchedule(const Problem &problem, const std::vector<OpId> &order);

} // namespace serenity

#endif // SERENITY_CORE_SCHEDULING_SIMULATOR_H

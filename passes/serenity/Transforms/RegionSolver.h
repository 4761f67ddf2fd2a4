// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The order and the placements of a region that need the smallest slab, with
/// values computed again and slices made once more where that lowers it.

#ifndef SERENITY_TRANSFORMS_REGIONSOLVER_H
#define SERENITY_TRANSFORMS_REGIONSOLVER_H

#include "serenity/Analysis/ResourceConfig.h"
#include "serenity/Core/Scheduling/Scheduler.h"
#include "serenity/Transforms/Recompute.h"
#include "serenity/Transforms/RegionModel.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace serenity {

/// What a region needs in the order and with the placements that were found.
struct RegionSolution {
  RegionPlan plan;
  ScheduleResult schedule;
  /// The slab, without the buffers that lie in results and inputs.
  int64_t slabBytes = 0;
  int64_t liveBytes = 0;
  /// Held memory is in the problem.
  bool countsHeld = false;
  /// No order of the plan needs a smaller slab; and how that was found.
  int64_t lowerBoundBytes = 0;
  std::string boundProvedBy;
  /// What is computed again, and the multiply-accumulates of the region without
  /// that; 0 if nothing is.
  std::vector<RecomputedValue> recomputed;
  int64_t work = 0;

  bool optimal() const { return liveBytes <= lowerBoundBytes; }
  /// Size of the slab in this order if no memory is lost between buffers.
  int64_t targetBytes() const {
    const int64_t shared = countsHeld ? plan.heldBytes : 0;
    return std::max<int64_t>(0, schedule.peakBytes - shared);
  }
};

/// Solves `model`, to which it adds the commands that are run again; they still
/// share the operations of the first run (`materialize`). `executables` tell
/// which commands may be, and what they cost. Changes no IR.
RegionSolution solveRegion(RegionModel &model, const Options &options,
                           const ResourceConfig &config,
                           const Executables &executables);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_REGIONSOLVER_H

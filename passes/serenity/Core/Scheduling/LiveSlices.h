// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// From an order to the packing problem that it gives rise to.

#ifndef SERENITY_CORE_SCHEDULING_LIVESLICES_H
#define SERENITY_CORE_SCHEDULING_LIVESLICES_H

#include "serenity/Core/Packing/Offsets.h"
#include "serenity/Core/Scheduling/Simulator.h"

namespace serenity {

/// Those of the first `count` buffers of `problem` that are live at some step
/// and have bytes, as slices to be packed, with their numbers.
struct LiveSlices {
  LiveSlices(const Problem &problem, const Simulation &simulation,
             size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const LiveRange &range = simulation.liveRanges[i];
      Slice slice;
      slice.lower = range.first;
      slice.upper = range.last + 1;
      slice.bytes = problem.buffers[i].bytes;
      if (slice.bytes > 0 && slice.lower >= 0) {
        slices.push_back(slice);
        buffers.push_back(i);
      }
    }
  }

  std::vector<Slice> slices;
  std::vector<size_t> buffers; // per slice
};

} // namespace serenity

#endif // SERENITY_CORE_SCHEDULING_LIVESLICES_H

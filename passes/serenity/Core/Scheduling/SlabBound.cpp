// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/SlabBound.h"

#include "serenity/Core/Alignment.h"
#include "serenity/Core/Packing/FixedRegions.h"

#include <algorithm>

namespace serenity {

namespace {

/// Sizes that are tried.
constexpr int maxThresholds = 6;

} // namespace

SlabBound slabLowerBound(const Problem &problem, size_t slabBuffers,
                         const std::vector<int64_t> &regionBytes, int64_t unit,
                         const SchedulerOptions &options, int64_t enough) {
  int64_t largest = 0;
  for (int64_t bytes : regionBytes) {
    largest = std::max(largest, alignUp(bytes, unit));
  }
  std::vector<int64_t> fitting;
  for (size_t i = 0; i < slabBuffers; ++i) {
    const int64_t bytes = alignUp(problem.buffers[i].bytes, unit);
    if (bytes <= largest) {
      fitting.push_back(bytes);
    }
  }
  std::sort(fitting.begin(), fitting.end());
  SlabBound best;
  for (int tried = 0; tried < maxThresholds && best.bytes < enough; ++tried) {
    const int64_t threshold = fitting.empty() ? 0 : fitting.back();
    Problem reduced = problem;
    for (size_t i = 0; i < reduced.buffers.size(); ++i) {
      const int64_t bytes = alignUp(reduced.buffers[i].bytes, unit);
      const bool leftOut =
          i >= slabBuffers || (threshold < bytes && bytes <= largest);
      reduced.buffers[i].bytes = leftOut ? 0 : bytes;
    }
    int64_t outside = 0;
    for (int64_t bytes : regionBytes) {
      outside += fullestSubset(fitting, bytes, unit);
    }
    ScheduleResult found = schedule(reduced, options);
    if (found.lowerBoundBytes - outside > best.bytes) {
      best.bytes = found.lowerBoundBytes - outside;
      best.provedBy = found.provedBy.empty() ? "search" : found.provedBy;
    }
    if (fitting.empty()) {
      break;
    }
    fitting.erase(std::lower_bound(fitting.begin(), fitting.end(), threshold),
                  fitting.end());
  }
  return best;
}

} // namespace serenity

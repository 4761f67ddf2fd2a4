// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_SLABBOUND_H
#define SERENITY_CORE_SCHEDULING_SLABBOUND_H

#include "serenity/Core/Scheduling/Scheduler.h"

namespace serenity {

/// A lower bound in bytes, and the method that proved it.
struct SlabBound {
  int64_t bytes = 0;
  std::string provedBy;
};

/// A lower bound for the slab in every order of `problem`, where each of the
/// first `slabBuffers` buffers lies in the slab or, as a whole, in a region of
/// `regionBytes[i]` bytes outside of it; other buffers do not count. All sizes
/// are rounded up to `unit`.
///
/// For several sizes s, largest first: leave out of the problem the buffers
/// that fit into a region and are larger than s. Each region relieves the slab
/// of at most the bytes of the fullest set of the others that fits into it.
/// Ends when `enough` bytes are proved. `options` holds for each search.
SlabBound slabLowerBound(const Problem &problem, size_t slabBuffers,
                         const std::vector<int64_t> &regionBytes, int64_t unit,
                         const SchedulerOptions &options, int64_t enough);

} // namespace serenity

#endif // SERENITY_CORE_SCHEDULING_SLABBOUND_H

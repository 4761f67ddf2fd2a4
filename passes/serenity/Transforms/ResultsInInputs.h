// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Results in the memory of consumed inputs: the function returns a view of the
// caller's buffer instead of a fresh allocation.
//
//   bytes                                  bytes
//     ^  input       result                  ^  input
//     |  +------+    +------+                |  +------+------+
//     |  | read |    |   ###| written  =>    |  | read |  ####| returned
//     +--+------+----+------+--> time        +--+------+------+--> time

#ifndef SERENITY_TRANSFORMS_RESULTSININPUTS_H
#define SERENITY_TRANSFORMS_RESULTSININPUTS_H

#include "serenity/Transforms/ExternalMemory.h"
#include "serenity/Transforms/Options.h"

#include <vector>

namespace serenity {

/// A result of the function: an allocation of the region, or a view of one.
struct ResultView {
  MlirValue value = {};
  /// Number of the result; of the first one if it is returned several times.
  int64_t number = 0;
  int memory = 0; // of the region, that it lies in
  int64_t at = 0; // bytes from the start of that memory
  int64_t bytes = 0;
  /// When its bytes are in use, at offsets in the view.
  std::vector<Slice> pieces;
  /// The input that it is moved to, and the offset there; -1: not moved.
  int input = -1;
  int64_t offset = 0;
};

/// Where the results lie, and the slab beside them.
struct ResultsPlan {
  std::vector<ResultView> views;
  /// Per memory of the region, with the results in their new places.
  std::vector<FixedRegion> regions;
  /// Bytes of results that are allocated still, and of those that are not.
  int64_t resultBytes = 0;
  int64_t movedBytes = 0;
  BesidePackResult slab;
};

/// Chooses the results that lie in inputs: those that lower the sum of the slab
/// and the allocated results. Only results that the function returns, whose
/// allocation is used for nothing else, and that are not much smaller than the
/// input, which they keep alive. With `options.keepSlab` the slab does not grow
/// for it.
ResultsPlan planResults(const ExternalMemoryModel &region,
                        const PackOptions &packing, const Options &options);

/// Writes the plan into the IR, but for the slab, and updates `region` to it.
void moveResults(ExternalMemoryModel &region, const ResultsPlan &plan);

/// A timepoint before `op` that is reached at once.
MlirValue immediateTimepoint(MlirOperation op);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_RESULTSININPUTS_H

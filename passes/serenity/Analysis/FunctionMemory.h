// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The allocations of a call of a function, read off the IR. The rules are those
// of docs/memory_model.md.

#ifndef SERENITY_ANALYSIS_FUNCTIONMEMORY_H
#define SERENITY_ANALYSIS_FUNCTIONMEMORY_H

#include "serenity/Analysis/AllocationReader.h"
#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace serenity {

/// Memory of one call, in bytes: the least upper bounds over all paths.
struct CallMemory {
  /// Most that all allocations of the call hold together beyond its results:
  /// `peakBytes - resultBytes` on every path.
  int64_t transientPeakBytes = 0;
  /// Most that all allocations of the call hold together, results included.
  int64_t peakBytes = 0;
  /// Allocations that are handed out.
  int64_t resultBytes = 0;
  /// Allocated for good: variables and computed globals of an initializer.
  int64_t persistentBytes = 0;
  /// The bytes of the transient peak in an arena that the caller provides
  /// (`iree.abi.transients`); nothing if the function allocates all by itself.
  std::optional<int64_t> callerArenaBytes;
  /// False if the numbers depend on a branch or a trip count that is not
  /// constant.
  bool exact = true;
  /// The allocations alive at the transient peak.
  std::vector<AllocationReport> live;
};

/// Simulates the allocations (`stream.resource.alloca`, `.alloc`) of `function`
/// (or initializer) over its control flow and calls. An arena of the caller's
/// counts as long as the function runs; its size is in the IR from the commands
/// on, before that the allocations are. Nothing if a size is not constant, if
/// the control flow has other operations with allocations inside, too many
/// states or recursion.
std::optional<CallMemory> callMemory(MlirOperation module,
                                     MlirOperation function,
                                     const SlabLayout &layout);

/// Bytes of the inputs that the exported `function` declares
/// (`iree.abi.declaration`), or that it imports. Nothing if one is dynamic. The
/// caller's arena is no input.
std::optional<int64_t> inputBytes(MlirOperation function);

/// Whether the exported `function` declares its inputs
/// (`iree.abi.declaration` among its reflection attributes).
bool declaresInputs(MlirOperation function);

} // namespace serenity

#endif // SERENITY_ANALYSIS_FUNCTIONMEMORY_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// What a call of a function allocates, read off the allocations in the IR. The
// rules are those of docs/memory_model.md.

#ifndef SERENITY_TRANSFORMS_FUNCTIONMEMORY_H
#define SERENITY_TRANSFORMS_FUNCTIONMEMORY_H

#include "serenity/Core/Packing/Offsets.h"
#include "serenity/IREE/MlirC.h"

#include <cstdint>
#include <optional>

namespace serenity {

/// Memory of one call, in bytes.
struct CallMemory {
  /// Most that transient allocations and new values of variables hold together.
  int64_t transientPeakBytes = 0;
  /// Most that those and the results allocated so far hold together.
  int64_t peakBytes = 0;
  /// Allocations that are handed out.
  int64_t resultBytes = 0;
  /// Allocated for good: variables and computed globals of an initializer.
  int64_t persistentBytes = 0;
  /// What of the transient peak lies in an arena that the caller provides
  /// (`iree.abi.transients`); nothing if the function allocates all by itself.
  std::optional<int64_t> callerArenaBytes;
  /// False if the peak depends on a branch or a trip count; then the numbers
  /// are the largest over the branches, with loops run three times.
  bool exact = true;
};

/// How slabs are laid out that are not constants yet.
struct SlabLayout {
  PackAlgorithm algorithm = PackAlgorithm::Exact;
  int64_t defaultAlignment = 64;
  double timeLimitSeconds = 10;
  int64_t nodeLimit = 5000;
};

/// Plays the allocations (`stream.resource.alloca`, `.alloc`) and releases of
/// `function` (or initializer), following `scf` and `cf` control flow and
/// calls. An arena of the caller's counts as long as the function runs; its
/// size is in the IR from the commands on, before that the allocations are.
/// Nothing if a size is not constant, if the control flow has other operations
/// with allocations inside, too many paths or recursion.
std::optional<CallMemory> callMemory(MlirOperation module,
                                     MlirOperation function,
                                     const SlabLayout &layout);

/// Bytes of the inputs that the exported `function` declares
/// (`iree.abi.declaration`), or that it imports. Nothing if one is dynamic. The
/// caller's arena is no input.
std::optional<int64_t> inputBytes(MlirOperation function);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_FUNCTIONMEMORY_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Reads the allocations and the control flow of a function into a program for
// the simulator (Core/Memory/AllocationProgram.h).

#ifndef SERENITY_ANALYSIS_ALLOCATIONREADER_H
#define SERENITY_ANALYSIS_ALLOCATIONREADER_H

#include "serenity/Core/Memory/AllocationProgram.h"
#include "serenity/Core/Packing/Offsets.h"
#include "serenity/IREE/MlirC.h"
#include "serenity/Transforms/Options.h"

#include <optional>
#include <vector>

namespace serenity {

/// How slabs are laid out that are not constants yet.
struct SlabLayout {
  PackAlgorithm algorithm = PackAlgorithm::Exact;
  int64_t defaultAlignment = 64;
  double timeLimitSeconds = 10;
  int64_t nodeLimit = 5000;
  /// Where sizes are known only at run time: the options whose hints they are
  /// read at. Null: such a function has no numbers.
  const Options *hints = nullptr;
};

struct FunctionAllocations {
  AllocationProgram program;
  std::vector<MlirOperation> sites; // the operations that allocate
};

/// Reads `function` (or initializer) with the functions that it calls in place
/// of the calls, and `scf` operations as blocks. An empty program if nothing is
/// allocated. Nothing if a size is not constant (and there are no hints), at
/// recursion, and where an
/// operation that is not known has allocations inside.
std::optional<FunctionAllocations> readAllocations(MlirOperation module,
                                                   MlirOperation function,
                                                   const SlabLayout &layout);

} // namespace serenity

#endif // SERENITY_ANALYSIS_ALLOCATIONREADER_H

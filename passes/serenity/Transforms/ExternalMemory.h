// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The memory that a region holds beside its slab and does not use all the time:
// results before their first write, consumed inputs after their last read.

#ifndef SERENITY_TRANSFORMS_EXTERNALMEMORY_H
#define SERENITY_TRANSFORMS_EXTERNALMEMORY_H

#include "serenity/Core/Packing/FixedRegions.h"
#include "serenity/Transforms/PackModel.h"
#include "serenity/Transforms/RegionModel.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// A range of a captured resource that a command touches.
struct CommandAccess {
  MlirOperation op = {};
  /// Number of the top-level command; those of a concurrent group share one.
  int64_t command = 0;
  intptr_t capture = 0;
  /// Operand numbers of the resource, its size, and the range's offset and
  /// length.
  intptr_t resource = 0;
  intptr_t size = 0;
  intptr_t offset = 0;
  intptr_t length = 0;
};

/// An access to a buffer of the slab or to an external memory.
struct MemoryUse : CommandAccess {
  int slice = -1;  // in the slab, or
  int memory = -1; // elsewhere
  int64_t at = 0;  // bytes from the start of the buffer or memory
  int64_t bytes = 0;
};

/// A resource captured by the region, whole or in views.
struct ExternalMemory {
  bool isInput = false;
  int64_t argument = -1; // of the function, for inputs
  MlirValue root = {};
  MlirValue size = {};
  int64_t bytes = 0;
  /// Numbers of the captured operands that are the root or views of it, and
  /// where they begin.
  std::vector<intptr_t> captures;
  std::vector<int64_t> offsets;
};

/// The region that works on the slab of one `stream.resource.pack`.
struct SlabRegion {
  MlirOperation execute = {}; // stream.cmd.execute
  MlirOperation slab = {};    // stream.resource.alloca
  intptr_t slabCapture = 0;
};

/// The only region that captures the slab of `pack`, which is released behind
/// it; nothing if it is used in any other way.
std::optional<SlabRegion> findSlabRegion(MlirOperation pack);

/// Whether `alloca` is memory of results of this region alone, of which nothing
/// is read before the region is done.
bool isFreshResult(MlirOperation alloca, const SlabRegion &region);

using AccessVisitor = std::function<bool(const CommandAccess &)>;

/// Visits all accesses of the commands of `execute`, and adds the number of
/// these to `commands`. False if `visit` is somewhere, or if there are commands
/// other than dispatches, copies and fills.
bool visitAccesses(MlirOperation execute, const AccessVisitor &visit,
                   int64_t &commands);

/// The region of one `stream.resource.pack`. Time is counted in commands.
struct ExternalMemoryModel : SlabRegion {
  std::vector<Slice> slices; // as in the pack, lifetimes in commands
  std::vector<MemoryUse> uses;
  std::vector<ExternalMemory> memories;
  std::vector<FixedRegion> regions; // per memory
};

/// Lets a command access another resource of `size` bytes, capture number
/// `capture` of `execute`, from `offset` on.
void redirect(const CommandAccess &access, MlirOperation execute,
              intptr_t capture, MlirValue size, MlirValue offset);

/// Reads the region of `pack`. Nothing if the region holds commands other than
/// dispatches, copies and fills, or if memory is used in a way that is not
/// understood. Inputs count where `stream.tensor.import` says `consume`, or all
/// of them with `InputMode::Overwrite`.
std::optional<ExternalMemoryModel> readExternalMemory(MlirOperation pack,
                                                      const PackModel &model,
                                                      InputMode inputs);

/// Marks the results and inputs of an asynchronous region whose memory
/// `readExternalMemory` will find free part of the time, once the region is
/// allocated.
void markReusable(RegionModel &region, InputMode inputs);

/// The reusable memory of a plan in an order: that of the results as one
/// allocation, one behind the other, and each input.
std::vector<FixedRegion> heldRegions(const RegionModel &model,
                                     const RegionPlan &plan,
                                     const std::vector<OpId> &order,
                                     int64_t alignment);

/// Sizes of `stream.cmd.execute`: the operand with the size of capture `k`.
intptr_t captureSize(MlirOperation execute, intptr_t k);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_EXTERNALMEMORY_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===----------------------------------------------------------------------===//
// serenity-print-memory
//
// Prints the memory of a call of every function, as remarks: the transient
// peak, the results, and the allocations that are alive at the peak. The rules
// are those of docs/memory_model.md. The module stays as it is.
//
// Assumes allocations (`stream.resource.alloca`, `.alloc`) of constant size, as
// they are after iree-stream-schedule-allocation. A slab that has no constant
// size yet is laid out for the purpose, by the algorithm of the option
// `offsets`. The numbers are upper bounds ("at most") where they depend on a
// branch or a trip count that is not constant. Functions that allocate nothing
// are not mentioned; a size that is not constant is named as such.
//
// Place in the pipeline: anywhere after iree-stream-schedule-allocation.
//
//   remark: 'main' needs 8256 bytes of transient memory and returns 64 bytes;
//   alive at the peak: result of 64 bytes (@add), slab of 8256 bytes (@grow_a)
//===----------------------------------------------------------------------===//

#include "serenity/Analysis/FunctionMemory.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Passes.h"

namespace serenity {

static std::string describe(const std::string &name, const CallMemory &memory) {
  std::string text = "'" + name + "' needs " +
                     (memory.exact ? "" : "at most ") +
                     std::to_string(memory.transientPeakBytes) +
                     " bytes of transient memory and returns " +
                     (memory.exact ? "" : "at most ") +
                     std::to_string(memory.resultBytes) + " bytes";
  if (memory.callerArenaBytes) {
    text += "; " + std::to_string(*memory.callerArenaBytes) +
            " bytes lie in the caller's arena";
  }
  for (size_t i = 0; i < memory.live.size(); ++i) {
    const AllocationReport &allocation = memory.live[i];
    text += i == 0 ? "; alive at the peak: " : ", ";
    text +=
        allocation.kind + " of " + std::to_string(allocation.bytes) + " bytes";
    text += allocation.name.empty() ? "" : " (" + allocation.name + ")";
  }
  return text;
}

bool runPrintMemory(MlirOperation module, const Options &options,
                    ModuleReport *) {
  SlabLayout layout;
  layout.algorithm = options.offsets;
  layout.defaultAlignment = options.defaultAlignment;
  layout.timeLimitSeconds = options.searchSeconds();
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (!ir::isa(function, "util.func") && !ir::isa(function, "func.func")) {
      continue;
    }
    std::string name = ir::stringAttr(function, "sym_name").value_or("");
    std::optional<CallMemory> memory = callMemory(module, function, layout);
    if (!memory) {
      ir::emitRemark(mlirOperationGetLocation(function),
                     "cannot tell the memory of '" + name +
                         "': dynamically sized allocation, recursion or "
                         "control flow that is not modelled");
    } else if (memory->peakBytes > 0) {
      ir::emitRemark(mlirOperationGetLocation(function),
                     describe(name, *memory));
    }
  }
  return true;
}

} // namespace serenity

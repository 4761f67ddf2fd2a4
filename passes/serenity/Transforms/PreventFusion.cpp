// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===----------------------------------------------------------------------===//
// serenity-prevent-fusion
//
// Prevents the fusion of producers with their users where an unfused producer
// may need less memory: if a user pads the result, if several users read it, or
// if an elementwise user reads another computed tensor as well (see
// UnfusedProducers.h).
//
// Assumes linalg on tensors. A barrier (`util.optimization_barrier`, marked
// with `serenity.barrier`) is put between the producer and all its users.
//
// Afterwards IREE forms a dispatch of its own for each such producer. The
// barriers have no code and must be removed at flow level, by
// serenity-remove-barriers. The pass takes all sites; the driver finds the
// sites that pay by trial compilation.
//
// Place in the pipeline: after preprocessing and serenity-rewrite, before
// global optimization.
//
//   %a = linalg.generic ins(%x) ...
//   %b = tensor.pad %a ...
// =>
//   %a = linalg.generic ins(%x) ...
//   %0 = util.optimization_barrier {serenity.barrier} %a
//   %b = tensor.pad %0 ...
//===----------------------------------------------------------------------===//

#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/UnfusedProducers.h"

namespace serenity {

bool runPreventFusion(MlirOperation module, const Options &, ModuleReport *) {
  preventFusion(module, findUnfusableProducers(module));
  return true;
}

} // namespace serenity

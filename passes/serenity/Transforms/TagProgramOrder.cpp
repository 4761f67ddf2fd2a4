// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===----------------------------------------------------------------------===//
// serenity-tag-program-order
//
// Writes the position of every linalg and tensor operation into its location,
// so that serenity-restore-program-order can restore the order at flow level.
// Dispatch formation keeps dependences, but sorts blocks anew.
//
// Assumes functions of one block; others are left as they are. Afterwards the
// locations are named `serenity.order.N` around the original ones.
//
// Place in the pipeline: after serenity-rewrite and serenity-prevent-fusion,
// before global optimization.
//
//   %0 = linalg.fill ... loc("a")
// =>
//   %0 = linalg.fill ... loc("serenity.order.0"("a"))
//===----------------------------------------------------------------------===//

#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/ProgramOrder.h"

namespace serenity {

bool runTagProgramOrder(MlirOperation module, const Options &, ModuleReport *) {
  tagProgramOrder(module);
  return true;
}

} // namespace serenity

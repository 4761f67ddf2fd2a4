// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===----------------------------------------------------------------------===//
// serenity-restore-program-order
//
// Puts the dispatches and updates of every function into the order that
// serenity-tag-program-order has written into their locations, as far as one
// does not depend on another, and removes the tags. An operation of several
// tags, as fusion makes them, has the last one; an operation without a tag
// follows its operands.
//
// Assumes that dispatches are formed. Functions of several blocks, or with
// operations other than those of flow between the dispatches, keep their order.
// Afterwards no location has a tag.
//
// Place in the pipeline: after the flow phase and serenity-remove-barriers,
// before serenity-in-place-results.
//
//   %0 = flow.dispatch @b(%x) loc("serenity.order.1"("b"))
//   %1 = flow.dispatch @a(%x) loc("serenity.order.0"("a"))
// =>
//   %1 = flow.dispatch @a(%x) loc("a")
//   %0 = flow.dispatch @b(%x) loc("b")
//===----------------------------------------------------------------------===//

#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/ProgramOrder.h"

namespace serenity {

bool runRestoreProgramOrder(MlirOperation module, const Options &,
                            ModuleReport *) {
  restoreProgramOrder(module);
  return true;
}

} // namespace serenity

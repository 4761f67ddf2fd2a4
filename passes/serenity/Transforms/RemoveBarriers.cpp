// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===----------------------------------------------------------------------===//
// serenity-remove-barriers
//
// Erases the barriers that serenity-rewrite and serenity-prevent-fusion have
// put between operations, and no others: `util.optimization_barrier` with
// `serenity.barrier`. Their results are replaced by their operands.
//
// Assumes that dispatches are formed. Afterwards no barrier of serenity is
// left.
//
// Place in the pipeline: after the flow phase, before
// serenity-restore-program-order.
//
//   %0 = flow.dispatch @a(%x)
//   %1 = util.optimization_barrier {serenity.barrier} %0
//   %2 = flow.dispatch @b(%1)
// =>
//   %0 = flow.dispatch @a(%x)
//   %2 = flow.dispatch @b(%0)
//===----------------------------------------------------------------------===//

#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/Rewrite/Rewrite.h"

namespace serenity {

using namespace ir;

/// Erases the barriers with a mark.
static bool removeMarked(MlirOperation module,
                         bool (*isMarked)(MlirOperation)) {
  std::vector<MlirOperation> barriers;
  walk(module, [&](MlirOperation op) {
    if (isa(op, "util.optimization_barrier") && isMarked(op)) {
      barriers.push_back(op);
    }
  });
  for (MlirOperation op : barriers) {
    for (intptr_t i = 0, e = mlirOperationGetNumResults(op); i < e; ++i) {
      mlirValueReplaceAllUsesOfWith(result(op, i), operand(op, i));
    }
    erase(op);
  }
  return !barriers.empty();
}

bool removeBarriers(MlirOperation module) {
  return removeMarked(module, attributes::isBarrier);
}

bool removeConstantBarriers(MlirOperation module) {
  return removeMarked(module, attributes::isConstantBarrier);
}

bool runRemoveBarriers(MlirOperation module, const Options &, ModuleReport *) {
  removeBarriers(module);
  return true;
}

} // namespace serenity

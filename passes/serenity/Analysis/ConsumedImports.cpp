// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/ConsumedImports.h"

#include "serenity/IREE/Ir.h"

namespace serenity {

static bool isBufferViewArgument(MlirValue value) {
  return mlirValueIsABlockArgument(value) &&
         ir::toString(mlirValueGetType(value)) == "!hal.buffer_view";
}

bool importsArgument(MlirOperation op) {
  return ir::isa(op, "hal.tensor.import") &&
         isBufferViewArgument(ir::operand(op, 0));
}

bool isOnlyImport(MlirOperation import) {
  MlirValue source = ir::operand(import, 0);
  if (!isBufferViewArgument(source)) {
    return false; // storage of results or transients
  }
  MlirOperation function =
      mlirBlockGetParentOperation(mlirBlockArgumentGetOwner(source));
  if (!ir::isa(function, "util.func")) {
    return false;
  }
  for (const ir::Use &use : ir::uses(source)) {
    const bool looks = ir::name(use.owner).rfind("hal.buffer_view.", 0) == 0;
    if (!mlirOperationEqual(use.owner, import) && !looks) {
      return false;
    }
  }
  return true;
}

bool isConsumedImport(MlirOperation op) {
  return importsArgument(op) && !ir::isNull(ir::attr(op, "consume")) &&
         isOnlyImport(op);
}

} // namespace serenity

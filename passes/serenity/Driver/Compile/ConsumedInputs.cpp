// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/ConsumedInputs.h"

#include "serenity/IREE/Ir.h"

#include <algorithm>

namespace serenity {

ConsumedInputs findDonatedInputs(MlirOperation module) {
  ConsumedInputs found;
  for (MlirOperation function : ir::operations(ir::body(module))) {
    MlirAttribute attributes = ir::attr(function, "arg_attrs");
    if (!ir::isa(function, "func.func") || ir::isNull(attributes) ||
        !mlirAttributeIsAArray(attributes)) {
      continue;
    }
    std::string name = ir::stringAttr(function, "sym_name").value_or("");
    for (intptr_t i = 0; i < mlirArrayAttrGetNumElements(attributes); ++i) {
      MlirAttribute of = mlirArrayAttrGetElement(attributes, i);
      if (!mlirAttributeIsADictionary(of)) {
        continue;
      }
      for (const char *mark : {"jax.buffer_donor", "tf.aliasing_output"}) {
        if (!ir::isNull(
                mlirDictionaryAttrGetElementByName(of, ir::strRef(mark)))) {
          found[name].insert(i);
        }
      }
    }
  }
  return found;
}

void markConsumedInputs(MlirOperation module, const ConsumedInputs &inputs,
                        const std::vector<int64_t> &everywhere) {
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (!ir::isa(function, "util.func")) {
      continue;
    }
    auto donated = inputs.find(ir::exportedName(function));
    ir::walk(function, [&](MlirOperation op) {
      if (!ir::isa(op, "hal.tensor.import") ||
          !mlirValueIsABlockArgument(ir::operand(op, 0)) ||
          ir::toString(mlirValueGetType(ir::operand(op, 0))) !=
              "!hal.buffer_view") {
        return;
      }
      const int64_t number = mlirBlockArgumentGetArgNumber(ir::operand(op, 0));
      if ((donated != inputs.end() && donated->second.count(number)) ||
          std::find(everywhere.begin(), everywhere.end(), number) !=
              everywhere.end()) {
        mlirOperationSetAttributeByName(
            op, ir::strRef("consume"),
            mlirUnitAttrGet(mlirOperationGetContext(op)));
      }
    });
  }
}

} // namespace serenity

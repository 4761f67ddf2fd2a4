// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/ConsumedInputs.h"

#include "serenity/Analysis/ConsumedImports.h"
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

std::set<int64_t> markConsumedInputs(MlirOperation module,
                                     const ConsumedInputs &inputs,
                                     const std::vector<int64_t> &everywhere,
                                     InputMode mode) {
  std::set<int64_t> marked;
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (!ir::isa(function, "util.func")) {
      continue;
    }
    auto donated = inputs.find(ir::exportedName(function));
    ir::walk(function, [&](MlirOperation op) {
      if (!importsArgument(op)) {
        return;
      }
      const int64_t number = mlirBlockArgumentGetArgNumber(ir::operand(op, 0));
      const bool asked = std::find(everywhere.begin(), everywhere.end(),
                                   number) != everywhere.end();
      if (asked) {
        marked.insert(number);
      }
      if (asked || (mode == InputMode::Overwrite && isOnlyImport(op)) ||
          (donated != inputs.end() && donated->second.count(number))) {
        mlirOperationSetAttributeByName(
            op, ir::strRef("consume"),
            mlirUnitAttrGet(mlirOperationGetContext(op)));
      }
    });
  }
  return marked;
}

ConsumedInputs takeConsumedInputs(MlirOperation module) {
  ConsumedInputs found;
  for (MlirOperation function : ir::operations(ir::body(module))) {
    ir::walk(function, [&](MlirOperation op) {
      const bool imports = importsArgument(op) ||
                           (ir::isa(op, "stream.tensor.import") &&
                            mlirValueIsABlockArgument(ir::operand(op, 0)));
      if (imports && !ir::isNull(ir::attr(op, "consume"))) {
        found[ir::exportedName(function)].insert(
            mlirBlockArgumentGetArgNumber(ir::operand(op, 0)));
        mlirOperationRemoveAttributeByName(op, ir::strRef("consume"));
      }
    });
  }
  return found;
}

void warnOfIdleConsumption(MlirLocation location,
                           const std::vector<int64_t> &everywhere,
                           const std::set<int64_t> &marked,
                           const ModuleReport &report) {
  for (int64_t number :
       std::set<int64_t>(everywhere.begin(), everywhere.end())) {
    const std::string flag = "--serenity-consume=" + std::to_string(number);
    if (!marked.count(number)) {
      ir::emitWarning(location,
                      flag +
                          " has no effect: no function has a tensor as "
                          "argument " +
                          std::to_string(number) +
                          "; arguments are numbered from 0");
      continue;
    }
    const bool used =
        std::any_of(report.functions.begin(), report.functions.end(),
                    [&](const FunctionReport &function) {
                      const std::vector<int64_t> &inputs =
                          function.overwrittenInputs;
                      return std::find(inputs.begin(), inputs.end(), number) !=
                             inputs.end();
                    });
    if (!used) {
      ir::emitWarning(location, flag +
                                    " has no effect: no value lies in the "
                                    "memory of argument " +
                                    std::to_string(number) + ", which is kept");
    }
  }
}

std::set<std::string> consumingFunctions(MlirOperation module) {
  std::set<std::string> found;
  for (MlirOperation function : ir::operations(ir::body(module))) {
    ir::walk(function, [&](MlirOperation op) {
      if (importsArgument(op) && !ir::isNull(ir::attr(op, "consume"))) {
        found.insert(ir::stringAttr(function, "sym_name").value_or(""));
      }
    });
  }
  return found;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/DynamicSizes.h"

#include "serenity/IREE/Ir.h"

#include <set>
#include <string>
#include <utility>

namespace serenity {

namespace {

bool isDynamic(MlirType type) {
  return mlirTypeIsARankedTensor(type) && !mlirShapedTypeHasStaticShape(type);
}

struct DynamicSizes {
  /// Argument and axis.
  std::set<std::pair<intptr_t, intptr_t>> arguments;
  /// Some dispatch has a result of dynamic size.
  bool computed = false;
};

DynamicSizes findDynamicSizes(MlirOperation function) {
  DynamicSizes found;
  ir::walk(function, [&](MlirOperation op) {
    for (intptr_t i = 0, e = mlirOperationGetNumResults(op); i < e; ++i) {
      MlirType type = mlirValueGetType(mlirOperationGetResult(op, i));
      if (!isDynamic(type)) {
        continue;
      }
      found.computed |= ir::isa(op, "flow.dispatch");
      MlirValue source = {nullptr};
      if (ir::isa(op, "hal.tensor.import")) {
        source = ir::operand(op, 0);
      }
      if (!source.ptr || !mlirValueIsABlockArgument(source)) {
        continue;
      }
      for (intptr_t axis = 0, rank = mlirShapedTypeGetRank(type); axis < rank;
           ++axis) {
        if (mlirShapedTypeGetDimSize(type, axis) < 0) {
          found.arguments.emplace(mlirBlockArgumentGetArgNumber(source), axis);
        }
      }
    }
  });
  return found;
}

/// `main$async` is what is exported as `main`.
std::string exportedName(MlirOperation function) {
  std::string name = ir::stringAttr(function, "sym_name").value_or("");
  return name.substr(0, name.rfind("$async"));
}

} // namespace

void remarkOnDynamicSizes(MlirOperation module) {
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (!ir::isa(function, "util.func") && !ir::isa(function, "func.func")) {
      continue;
    }
    DynamicSizes sizes = findDynamicSizes(function);
    if (!sizes.computed) {
      continue;
    }
    std::string text = "'" + exportedName(function) +
                       "' keeps IREE's order and offsets for tensors of "
                       "dynamic size: ";
    if (sizes.arguments.empty()) {
      text += "their sizes are computed during the call";
    } else {
      std::string flags;
      const char *separator = "";
      for (const auto &[argument, axis] : sizes.arguments) {
        text += separator + std::string("dimension ") + std::to_string(axis) +
                " of argument " + std::to_string(argument);
        flags += " --fix-dim arg" + std::to_string(argument) + ":axis" +
                 std::to_string(axis) + "=SIZE";
        separator = ", ";
      }
      text += (sizes.arguments.size() == 1 ? " is" : " are");
      text += " dynamic; to fix it, use `serenity compile" + flags + "`";
    }
    ir::emitRemark(mlirOperationGetLocation(function), text);
  }
}

} // namespace serenity

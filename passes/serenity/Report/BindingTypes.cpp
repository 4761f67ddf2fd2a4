// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Report/BindingTypes.h"

#include "serenity/IREE/Ir.h"

#include <algorithm>
#include <string_view>

namespace serenity {

/// The element type in `!iree_tensor_ext.dispatch.tensor<ACCESS:tensor<...>>`.
/// The C API has no accessors for the type.
static std::string elementOf(const std::string &type) {
  size_t begin = type.find(":tensor<");
  if (type.find("dispatch.tensor<") == std::string::npos ||
      begin == std::string::npos) {
    return "";
  }
  std::string_view inner = std::string_view(type).substr(begin + 8);
  inner = inner.substr(0, inner.find_first_of(",>")); // before an encoding
  size_t last = inner.rfind('x');
  return std::string(last == std::string_view::npos ? inner
                                                    : inner.substr(last + 1));
}

/// The element type per argument of an entry point; empty where the bindings
/// are not of one tensor type.
static std::vector<std::string> argumentTypes(MlirOperation function) {
  MlirBlock block = ir::body(function);
  std::vector<std::string> found;
  intptr_t count = block.ptr ? mlirBlockGetNumArguments(block) : 0;
  for (intptr_t i = 0; i < count; ++i) {
    std::string element;
    for (const ir::Use &use : ir::uses(mlirBlockGetArgument(block, i))) {
      if (ir::isa(use.owner, "stream.binding.subspan") && element.empty()) {
        element =
            elementOf(ir::toString(mlirValueGetType(ir::result(use.owner))));
      }
    }
    // Bindings come first in the signature; others are scalars.
    if (ir::toString(mlirValueGetType(mlirBlockGetArgument(block, i))) ==
        "!stream.binding") {
      found.push_back(std::move(element));
    }
  }
  return found;
}

static std::string unquoted(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), '"'), text.end());
  return text;
}

BindingTypes::BindingTypes(MlirOperation module) {
  for (MlirOperation executable : ir::operations(ir::body(module))) {
    if (!ir::isa(executable, "stream.executable")) {
      continue;
    }
    std::string symbol = ir::stringAttr(executable, "sym_name").value_or("");
    std::map<std::string, std::string> exported; // by function
    ir::walk(executable, [&](MlirOperation op) {
      if (ir::isa(op, "stream.executable.export")) {
        MlirAttribute target = ir::attr(op, "function_ref");
        if (!ir::isNull(target) && mlirAttributeIsAFlatSymbolRef(target)) {
          exported[std::string(
              ir::view(mlirFlatSymbolRefAttrGetValue(target)))] =
              ir::stringAttr(op, "sym_name").value_or("");
        }
      }
    });
    ir::walk(executable, [&](MlirOperation op) {
      auto entry =
          ir::isa(op, "func.func")
              ? exported.find(ir::stringAttr(op, "sym_name").value_or(""))
              : exported.end();
      if (entry != exported.end()) {
        types["@" + symbol + "::@" + entry->second] = argumentTypes(op);
      }
    });
  }
}

std::string BindingTypes::elementType(MlirOperation dispatch,
                                      size_t index) const {
  MlirAttribute entries = ir::attr(dispatch, "entry_points");
  if (ir::isNull(entries) || !mlirAttributeIsAArray(entries) ||
      mlirArrayAttrGetNumElements(entries) == 0) {
    return "";
  }
  auto found =
      types.find(unquoted(ir::toString(mlirArrayAttrGetElement(entries, 0))));
  return found != types.end() && index < found->second.size()
             ? found->second[index]
             : "";
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===----------------------------------------------------------------------===//
// serenity-share-dispatches
//
// Lets operations that differ in small constants only become one executable.
// IREE copies constants of up to 256 bytes, such as the biases of a part of a
// convolution, into the dispatch that reads them, and the parts of a rewritten
// operation, or its bands, then are executables of their own. A barrier
// (`util.optimization_barrier`, marked with `serenity.barrier`) on such a
// constant makes it an operand of the dispatch, as larger constants are.
//
// Assumes linalg on tensors after global optimization: constants are folded and
// evaluated there. Operations are compared by name, attributes, types and body;
// of a group of equal ones every operand is looked at in which two have
// different constants. Splats are left to IREE, which computes with them.
//
// Afterwards these operations form equal dispatches, of which IREE keeps one
// executable. The barriers have no code and must be removed at flow level, by
// serenity-remove-barriers; the constants lie with the other ones then.
//
// Place in the pipeline: after global optimization, before dispatch creation,
// of modules that are rewritten.
//
//   %0 = linalg.generic ins(%x, %c0 : tensor<4x8xf32>, tensor<4xf32>) ...
//   %1 = linalg.generic ins(%y, %c1 : tensor<4x8xf32>, tensor<4xf32>) ...
// =>
//   %b0 = util.optimization_barrier {serenity.barrier} %c0
//   %b1 = util.optimization_barrier {serenity.barrier} %c1
//   %0 = linalg.generic ins(%x, %b0 : tensor<4x8xf32>, tensor<4xf32>) ...
//   %1 = linalg.generic ins(%y, %b1 : tensor<4x8xf32>, tensor<4xf32>) ...
//===----------------------------------------------------------------------===//

#include "serenity/Transforms/ShareDispatches.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/Rewrite/RewriteSum.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace serenity {

using namespace ir;

namespace {

/// Describes an operation so that two have the same text if they differ in
/// nothing but the values of their operands.
class Signature {
public:
  explicit Signature(MlirOperation op) { add(op); }
  std::string text;

private:
  void add(MlirOperation op);
  void add(MlirBlock block);

  /// Values by the order of their first occurrence.
  std::map<const void *, size_t> numbers;
  size_t number(MlirValue value) {
    return numbers.emplace(key(value), numbers.size()).first->second;
  }
};

void Signature::add(MlirOperation op) {
  text += name(op);
  for (MlirValue value : operands(op)) {
    text += ' ' + std::to_string(number(value)) + ':' +
            toString(mlirValueGetType(value));
  }
  for (intptr_t i = 0, e = mlirOperationGetNumAttributes(op); i < e; ++i) {
    MlirNamedAttribute named = mlirOperationGetAttribute(op, i);
    text += ' ';
    text += view(mlirIdentifierStr(named.name));
    text += '=' + toString(named.attribute);
  }
  for (MlirValue value : results(op)) {
    text += " ->" + std::to_string(number(value)) + ':' +
            toString(mlirValueGetType(value));
  }
  for (MlirBlock block : blocks(op)) {
    add(block);
  }
  text += '\n';
}

void Signature::add(MlirBlock block) {
  text += '{';
  for (intptr_t i = 0, e = mlirBlockGetNumArguments(block); i < e; ++i) {
    text += std::to_string(number(mlirBlockGetArgument(block, i))) + ' ';
  }
  for (MlirOperation op : operations(block)) {
    add(op);
  }
  text += '}';
}

/// The constant that IREE would copy into the dispatch of a reader of `value`;
/// null if it is none.
MlirOperation inlinedConstant(MlirValue value) {
  MlirOperation op = definingOp(value);
  if (isNull(op) || !isa(op, "arith.constant")) {
    return {};
  }
  std::optional<int64_t> bytes = tensorBytes(mlirValueGetType(value));
  MlirAttribute content = attr(op, "value");
  if (!bytes || *bytes > maxInlinedConstantBytes ||
      (mlirAttributeIsADenseElements(content) &&
       mlirDenseElementsAttrIsSplat(content))) {
    return {};
  }
  return op;
}

class Sharing {
public:
  /// Hides the constants in which `group` differs.
  void hideIn(const std::vector<MlirOperation> &group);
  int64_t numBarriers() const { return int64_t(hidden.size()); }

private:
  MlirValue hide(MlirOperation constant);

  std::map<const void *, MlirValue> hidden; // by constant
};

MlirValue Sharing::hide(MlirOperation constant) {
  MlirValue &value = hidden[constant.ptr];
  if (!value.ptr) {
    value = rewrite::insertBarrier(result(constant),
                                   mlirOperationGetNextInBlock(constant));
  }
  return value;
}

void Sharing::hideIn(const std::vector<MlirOperation> &group) {
  const intptr_t count = mlirOperationGetNumOperands(group.front());
  for (intptr_t i = 0; i < count; ++i) {
    std::vector<MlirOperation> constants;
    for (MlirOperation op : group) {
      constants.push_back(inlinedConstant(operand(op, i)));
    }
    auto first =
        std::find_if(constants.begin(), constants.end(),
                     [](MlirOperation constant) { return !isNull(constant); });
    auto differs = [&](MlirOperation constant) {
      return !isNull(constant) && !mlirAttributeEqual(attr(constant, "value"),
                                                      attr(*first, "value"));
    };
    if (std::none_of(first, constants.end(), differs)) {
      continue;
    }
    for (size_t j = 0; j < group.size(); ++j) {
      if (!isNull(constants[j])) {
        mlirOperationSetOperand(group[j], i, hide(constants[j]));
      }
    }
  }
}

} // namespace

int64_t shareDispatches(MlirOperation module) {
  std::vector<std::vector<MlirOperation>> groups; // in program order
  std::map<std::string, size_t> numbers;
  walk(module, [&](MlirOperation op) {
    if (name(op).substr(0, 7) != "linalg." || name(op) == "linalg.yield") {
      return;
    }
    bool readsConstant = false;
    for (MlirValue value : operands(op)) {
      readsConstant = readsConstant || !isNull(inlinedConstant(value));
    }
    if (!readsConstant) {
      return;
    }
    auto [known, added] = numbers.emplace(Signature(op).text, groups.size());
    if (added) {
      groups.emplace_back();
    }
    groups[known->second].push_back(op);
  });
  Sharing sharing;
  for (const std::vector<MlirOperation> &group : groups) {
    sharing.hideIn(group);
  }
  return sharing.numBarriers();
}

bool runShareDispatches(MlirOperation module, const Options &, ModuleReport *) {
  shareDispatches(module);
  return true;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/QuantizedAfterwards.h"

#include "serenity/Transforms/QuantizedOps.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include <algorithm>

namespace serenity::quantized {

using namespace ir;

/// The widest integers that count as quantized: indices and masks of other
/// programs are converted too, to 32 bits and more.
static constexpr unsigned maxStorageWidth = 16;

/// A conversion from floats to integers that store a quantized value.
static bool converts(MlirOperation op) {
  if (!isa(op, "arith.fptosi") && !isa(op, "arith.fptoui")) {
    return false;
  }
  MlirType type = mlirValueGetType(result(op));
  return mlirTypeIsAInteger(type) && mlirIntegerTypeGetWidth(type) > 1 &&
         mlirIntegerTypeGetWidth(type) <= maxStorageWidth;
}

/// The operation directly in the body of `function` around `op`.
static MlirOperation outermost(MlirOperation op, MlirOperation function) {
  for (MlirOperation parent = mlirOperationGetParentOperation(op);
       !isNull(parent) && !mlirOperationEqual(parent, function);
       parent = mlirOperationGetParentOperation(parent)) {
    op = parent;
  }
  return op;
}

/// The operations in the body of `function` that depend on its arguments, as
/// `isComputed` says it of one value. Operations come after what they read.
static std::set<const void *> computedOperations(MlirOperation function) {
  std::set<const void *> computed;
  walk(function, [&](MlirOperation op) {
    if (mlirOperationEqual(op, function)) {
      return;
    }
    MlirOperation outer = outermost(op, function);
    std::vector<MlirValue> values = operands(op);
    if (isa(op, "hal.tensor.import") || isa(op, "util.call") ||
        std::any_of(values.begin(), values.end(), [&](MlirValue value) {
          MlirOperation source = definingOp(value);
          return isNull(source)
                     ? isArgument(value)
                     : computed.count(outermost(source, function).ptr) > 0;
        })) {
      computed.insert(outer.ptr);
    }
  });
  return computed;
}

QuantizedAfterwards::QuantizedAfterwards(MlirOperation function) {
  const std::set<const void *> computed = computedOperations(function);
  std::vector<MlirOperation> work;
  walk(function, [&](MlirOperation op) {
    std::optional<Affine> affine = asAffine(op);
    if (!(affine && affine->quantizes) && !converts(op)) {
      return;
    }
    MlirOperation outer = outermost(op, function);
    if (mlirOperationGetNumResults(outer) > 0 && computed.count(outer.ptr)) {
      work.push_back(outer);
    }
  });
  while (!work.empty()) {
    MlirOperation next = work.back();
    work.pop_back();
    if (!before.insert(next.ptr).second) {
      continue;
    }
    operations.push_back(next);
    // Values that a body captures are read too.
    walk(next, [&](MlirOperation inner) {
      for (MlirValue value : operands(inner)) {
        MlirOperation source = definingOp(value);
        if (!isNull(source)) {
          work.push_back(outermost(source, function));
        }
      }
    });
  }
}

/// Whether the result has floats and a body in `op` has an operation `name`.
static bool computes(MlirOperation op, const char *name) {
  if (mlirOperationGetNumResults(op) == 0) {
    return false;
  }
  MlirType type = mlirValueGetType(result(op));
  if (!mlirTypeIsAShaped(type) ||
      !mlirTypeIsAFloat(mlirShapedTypeGetElementType(type))) {
    return false;
  }
  bool found = false;
  walk(op, [&](MlirOperation inner) { found = found || isa(inner, name); });
  return found;
}

bool QuantizedAfterwards::keepsOrder(MlirOperation op) const {
  return before.count(op.ptr) && computes(op, "arith.addf");
}

bool QuantizedAfterwards::keepsProducts(MlirOperation op) const {
  return keepsOrder(op) && computes(op, "arith.mulf");
}

bool QuantizedAfterwards::keepsAny() const {
  return std::any_of(
      operations.begin(), operations.end(), [&](MlirOperation op) {
        std::optional<rewrite::Structured> loops = rewrite::structured(op);
        return loops && loops->hasReduction() && keepsOrder(op);
      });
}

bool quantizesSumsOfFloats(MlirOperation module) {
  for (MlirOperation op : ir::operations(body(module))) {
    bool function = isa(op, "util.func") || isa(op, "func.func");
    if (function && body(op).ptr && QuantizedAfterwards(op).keepsAny()) {
      return true;
    }
  }
  return false;
}

} // namespace serenity::quantized

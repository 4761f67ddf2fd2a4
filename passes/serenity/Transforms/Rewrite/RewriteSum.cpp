// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Rewrite/RewriteSum.h"

#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/Rewrite/Rewrite.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"
#include "serenity/Transforms/TensorBuilder.h"

namespace serenity::rewrite {

using namespace ir;

namespace {
/// An elementwise addition of two tensors of one type.
struct Addition {
  /// Operand numbers of the two addends.
  int64_t left = 0;
  int64_t right = 1;
};
} // namespace

static std::optional<Addition> asAddition(MlirOperation op) {
  std::optional<Structured> loops = structured(op);
  if (!loops || loops->numInputs < 1 || loops->numInputs > 2) {
    return std::nullopt;
  }
  MlirBlock block = body(op);
  std::vector<MlirOperation> inner = operations(block);
  if (inner.size() != 2 ||
      !(isa(inner[0], "arith.addf") || isa(inner[0], "arith.addi")) ||
      !mlirValueEqual(operand(inner[1], 0), result(inner[0]))) {
    return std::nullopt;
  }
  MlirValue a = operand(inner[0], 0);
  MlirValue b = operand(inner[0], 1);
  if (!mlirValueIsABlockArgument(a) || !mlirValueIsABlockArgument(b) ||
      mlirValueEqual(a, b) ||
      !mlirBlockEqual(mlirBlockArgumentGetOwner(a), block) ||
      !mlirBlockEqual(mlirBlockArgumentGetOwner(b), block)) {
    return std::nullopt;
  }
  Addition found{mlirBlockArgumentGetArgNumber(a),
                 mlirBlockArgumentGetArgNumber(b)};
  MlirType type = mlirValueGetType(result(op));
  for (int64_t index : {found.left, found.right}) {
    if (!mlirTypeEqual(mlirValueGetType(operand(op, index)), type) ||
        !mlirAffineMapEqual(loops->maps[index], loops->maps.back())) {
      return std::nullopt;
    }
  }
  if (!mlirAffineMapIsIdentity(loops->maps.back()) ||
      !denseElementBytes(type)) {
    return std::nullopt;
  }
  return found;
}

/// The addition that `value` comes from if nothing else uses it.
static bool isInnerSum(MlirValue value, MlirOperation user) {
  MlirOperation op = definingOp(value);
  return !isNull(op) && uses(value).size() == 1 && sameBlock(op, user) &&
         asAddition(op).has_value();
}

static void collect(MlirOperation op, std::vector<MlirValue> &leaves) {
  Addition addition = *asAddition(op);
  for (int64_t index : {addition.left, addition.right}) {
    MlirValue value = operand(op, index);
    if (isInnerSum(value, op)) {
      collect(definingOp(value), leaves);
    } else {
      leaves.push_back(value);
    }
  }
}

SumFinder::SumFinder(MlirOperation function) {
  walk(function, [&](MlirOperation op) {
    if (!asAddition(op)) {
      return;
    }
    std::vector<Use> users = uses(result(op));
    if (users.size() == 1 && asAddition(users.front().owner) &&
        isInnerSum(result(op), users.front().owner)) {
      Addition outer = *asAddition(users.front().owner);
      int64_t number = users.front().operandNumber;
      if (number == outer.left || number == outer.right) {
        return;
      }
    }
    Sum sum{op, {}};
    collect(op, sum.leaves);
    if (sum.leaves.size() >= 3) {
      sums[op.ptr] = std::move(sum);
    }
  });
}

const Sum *SumFinder::rootedAt(MlirOperation op) const {
  auto found = sums.find(op.ptr);
  return found == sums.end() ? nullptr : &found->second;
}

Chain rewriteSum(const Sum &sum, const std::vector<int64_t> &order) {
  Addition addition = *asAddition(sum.root);
  MlirType type = mlirValueGetType(result(sum.root));
  Chain chain;
  chain.accumulator = addition.left;
  chain.part = addition.right;
  MlirValue accumulator = sum.leaves[order.front()];
  for (size_t step = 1; step < order.size(); ++step) {
    std::vector<MlirValue> values = operands(sum.root);
    values[addition.left] = accumulator;
    values[addition.right] = sum.leaves[order[step]];
    chain.steps.push_back(cloneStep(sum.root, values, type, sum.root));
    accumulator = result(chain.steps.back());
    if (step + 1 < order.size()) {
      accumulator = insertBarrier(accumulator, sum.root);
    }
  }
  mlirValueReplaceAllUsesOfWith(result(sum.root), accumulator);
  return chain;
}

MlirValue insertBarrier(MlirValue value, MlirOperation before) {
  MlirOperation barrier =
      create("util.optimization_barrier", mlirOperationGetLocation(before),
             {value}, {mlirValueGetType(value)});
  attributes::setBarrier(barrier);
  insertBefore(before, barrier);
  return tieExtents(result(barrier), value, before);
}

void insertBarrierBehind(MlirOperation op) {
  std::vector<Use> users = uses(result(op));
  MlirValue kept = insertBarrier(result(op), mlirOperationGetNextInBlock(op));
  for (const Use &use : users) {
    mlirOperationSetOperand(use.owner, use.operandNumber, kept);
  }
}

} // namespace serenity::rewrite

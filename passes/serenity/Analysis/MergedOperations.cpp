// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/MergedOperations.h"

#include "serenity/Transforms/QuantizedOps.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include <algorithm>

namespace serenity::rewrite {

using namespace ir;

bool isView(MlirOperation op) {
  for (const char *view :
       {"tensor.expand_shape", "tensor.collapse_shape", "tensor.cast",
        "tensor.extract_slice", "util.optimization_barrier",
        "flow.tensor.tie_shape"}) {
    if (isa(op, view)) {
      return true;
    }
  }
  return false;
}

bool isShapeOnly(MlirOperation op) {
  return isa(op, "tensor.dim") || isa(op, "hal.buffer_view.dim");
}

MergedOperations::MergedOperations(
    MlirBlock block, const std::function<bool(MlirOperation)> &isOther,
    const std::function<bool(MlirValue, MlirValue)> &sameElements) {
  const std::vector<MlirOperation> all = operations(block);
  for (MlirOperation op : all) {
    if (quantized::isCopiedToReaders(op)) {
      widened.insert(op.ptr);
    }
  }
  auto isElementwise = [&](MlirOperation op) {
    std::optional<Structured> loops = structured(op);
    return loops && !loops->hasReduction() && !isWidened(op) && !isOther(op);
  };
  for (MlirOperation op : all) {
    if (!isElementwise(op)) {
      continue;
    }
    std::vector<Use> readers = uses(result(op));
    if (readers.empty()) {
      continue;
    }
    MlirOperation reader = readers.front().owner;
    std::optional<Structured> loops = structured(reader);
    const bool merges =
        isElementwise(reader) && sameElements(result(op), result(reader)) &&
        std::all_of(readers.begin(), readers.end(), [&](const Use &use) {
          return mlirOperationEqual(use.owner, reader) &&
                 int64_t(use.operandNumber) < loops->numInputs;
        });
    if (merges) {
      into.emplace(op.ptr, reader);
    }
  }
}

MlirOperation MergedOperations::root(MlirOperation op) const {
  for (auto next = into.find(op.ptr); next != into.end();
       next = into.find(op.ptr)) {
    op = next->second;
  }
  return op;
}

std::vector<MlirOperation> MergedOperations::parts(MlirOperation op) const {
  std::vector<MlirOperation> found;
  for (MlirValue value : operands(op)) {
    MlirOperation source = definingOp(value);
    if (!isMerged(source)) {
      continue;
    }
    for (MlirOperation part : parts(source)) {
      if (std::none_of(found.begin(), found.end(), [&](MlirOperation known) {
            return mlirOperationEqual(known, part);
          })) {
        found.push_back(part);
      }
    }
  }
  found.push_back(op);
  return found;
}

std::vector<MlirValue> MergedOperations::operandsOf(MlirOperation op) const {
  std::vector<MlirValue> values;
  for (MlirValue value : operands(op)) {
    MlirOperation source = definingOp(value);
    if (!isMerged(source)) {
      values.push_back(value);
      continue;
    }
    const std::vector<MlirValue> inner = operandsOf(source);
    values.insert(values.end(), inner.begin(), inner.end());
  }
  return values;
}

void MergedOperations::listReaders(MlirValue value,
                                   std::vector<MlirOperation> &found) const {
  for (const Use &use : uses(value)) {
    if (isView(use.owner) || isWidened(use.owner)) {
      listReaders(result(use.owner), found);
    } else if (!isShapeOnly(use.owner)) {
      found.push_back(use.owner);
    }
  }
}

std::vector<MlirOperation> MergedOperations::readersOf(MlirValue value) const {
  std::vector<MlirOperation> found;
  listReaders(value, found);
  return found;
}

int64_t MergedOperations::numReaders(MlirValue value) const {
  std::set<const void *> roots;
  for (MlirOperation reader : readersOf(value)) {
    roots.insert(root(reader).ptr);
  }
  return int64_t(roots.size());
}

} // namespace serenity::rewrite

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
    MlirBlock block, const TensorSizes &sizes,
    const std::function<bool(MlirOperation)> &isOther)
    : sizes(sizes) {
  const std::vector<MlirOperation> all = operations(block);
  for (MlirOperation op : all) {
    if (isOther(op)) {
      others.insert(op.ptr);
    }
    if (quantized::isCopiedToReaders(op)) {
      widened.insert(op.ptr);
    }
  }
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

bool MergedOperations::isElementwise(MlirOperation op) const {
  std::optional<Structured> loops = structured(op);
  return loops && !loops->hasReduction() && !others.count(op.ptr) &&
         !widened.count(op.ptr);
}

/// Whether the values have as many elements: then an elementwise operation from
/// one to the other has the loops of both, whatever the types.
bool MergedOperations::sameElements(MlirValue a, MlirValue b) const {
  auto count = [&](MlirValue value) {
    const MlirType type = mlirShapedTypeGetElementType(mlirValueGetType(value));
    return sizes.bytes(value).value_or(0) / elementBytes(type).value_or(1);
  };
  return count(a) == count(b);
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
    auto merged = into.find(source.ptr);
    if (merged == into.end() || !mlirOperationEqual(merged->second, op)) {
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
    auto merged = into.find(source.ptr);
    if (merged == into.end() || !mlirOperationEqual(merged->second, op)) {
      values.push_back(value);
      continue;
    }
    for (MlirValue inner : operandsOf(source)) {
      values.push_back(inner);
    }
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

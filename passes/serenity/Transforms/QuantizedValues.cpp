// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The values that a module quantizes, for the report: the operations that
// compute each of them, and why one of these has to store it in 32 bits.

#include "serenity/Transforms/Rewrite/RewriteSplit.h"
#include "serenity/Transforms/StoreQuantized.h"

#include <algorithm>

namespace serenity::quantized {

using namespace ir;
using rewrite::structured;

namespace {

/// The operations that a quantized value is computed by.
struct Computation {
  std::vector<MlirOperation> operations; // the quantization first
  /// A reduction over floats that stays one.
  bool sumsFloats = false;
};

} // namespace

/// The places of elementwise operations, contractions and movements; constants
/// and empty tensors have none of their own.
static bool isStep(MlirOperation op) {
  return asAffine(op) || structured(op) || isa(op, "tensor.pad") ||
         isa(op, "tensor.concat") || isa(op, "tensor.collapse_shape") ||
         isa(op, "tensor.expand_shape") || isa(op, "tensor.extract_slice") ||
         isa(op, "tensor.insert_slice") ||
         isa(op, "util.optimization_barrier") || isa(op, "linalg.softmax");
}

/// Whether the body of a reduction adds; a maximum has no order to keep.
static bool adds(MlirOperation op) {
  std::vector<MlirOperation> inner = operations(body(op));
  return std::any_of(inner.begin(), inner.end(), [](MlirOperation step) {
    return isa(step, "arith.addf");
  });
}

/// Walks from a quantization to the dequantizations and inputs behind it.
static Computation computationOf(const Affine &affine,
                                 const std::map<std::string, int64_t> &raised) {
  Computation found;
  std::set<const void *> seen;
  std::vector<MlirOperation> work = {affine.op};
  while (!work.empty()) {
    MlirOperation op = work.back();
    work.pop_back();
    if (isNull(op) || isa(op, "linalg.fill") || !isStep(op) ||
        !seen.insert(op.ptr).second) {
      continue;
    }
    found.operations.push_back(op);
    bool isEnd = asAffine(op) && !mlirOperationEqual(op, affine.op);
    if (isEnd) {
      continue;
    }
    std::optional<rewrite::Structured> loops = structured(op);
    found.sumsFloats |= loops && loops->hasReduction() &&
                        !raised.count(toString(mlirOperationGetLocation(op))) &&
                        adds(op);
    for (MlirValue value : operands(op)) {
      if (isTensor(value)) {
        work.push_back(definingOp(value));
      }
    }
  }
  return found;
}

std::vector<QuantizedValueReport>
describeValues(MlirOperation module,
               const std::map<std::string, int64_t> &raised, bool moves) {
  std::vector<QuantizedValueReport> values;
  walk(module, [&](MlirOperation op) {
    std::optional<Affine> affine = asAffine(op);
    if (!affine || !affine->quantizes || !isComputed(affine->input)) {
      return;
    }
    Computation computation = computationOf(*affine, raised);
    QuantizedValueReport value;
    value.location = firstPlace(mlirOperationGetLocation(op));
    value.elementType = toString(affine->storage());
    if (affine->isUnsigned) {
      value.elementType.insert(0, "u");
    }
    for (MlirOperation step : computation.operations) {
      std::string place = firstPlace(mlirOperationGetLocation(step));
      if (!place.empty() &&
          std::find(value.computedBy.begin(), value.computedBy.end(), place) ==
              value.computedBy.end()) {
        value.computedBy.push_back(std::move(place));
      }
    }
    if (!moves) {
      value.reason = "moving quantizations would change which contractions "
                     "IREE computes in integers";
    } else if (std::optional<std::string> refusal = refusalToMoveUp(*affine)) {
      value.reason = *refusal;
    }
    if (value.reason.empty() && computation.sumsFloats) {
      value.reason = "it is reduced in floats, whose order has to be kept";
    }
    values.push_back(std::move(value));
  });
  return values;
}

} // namespace serenity::quantized

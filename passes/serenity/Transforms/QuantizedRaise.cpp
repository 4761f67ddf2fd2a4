// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Raising contractions over dequantized values to integer contractions, as
// IREE's global optimization will, in the form that serenity-rewrite reads:
//
//   - a contraction i8 x i8 -> i32 into zeros;
//   - one elementwise operation behind it, which subtracts the zero point's
//     share, scales, adds the bias, joins what is added to it, and quantizes;
//   - constants for the sums of weights that the zero point is multiplied by,
//     and for dequantized biases (QuantizedConstants.cpp);
//   - insertions into tensors of their own rank.
//
// All accumulators come first then, and what quantizes them behind; a value is
// dequantized once for all of its readers. The order that puts together what
// becomes one dispatch is here, too.

#include "serenity/Transforms/ProgramOrder.h"
#include "serenity/Transforms/QuantizedOps.h"
#include "serenity/Transforms/Rewrite/Rewrite.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include <algorithm>
#include <map>
#include <optional>

namespace serenity::quantized {

using namespace ir;
using rewrite::Structured;
using rewrite::structured;

/// The passes of IREE's global optimization that turn contractions over
/// dequantized values into integer contractions.
static const char *const raisePasses =
    "util.func(iree-global-opt-detach-elementwise-from-named-ops,"
    "simplify-depthwise-conv,iree-global-opt-generalize-linalg-named-ops),"
    "iree-dispatch-creation-fold-unit-extent-dims,"
    "util.func(canonicalize,cse,iree-global-opt-propagate-affine-quantization,"
    "iree-global-opt-convert-qdq-to-integer-math,canonicalize,cse)";

static const char *const decomposePasses =
    "util.func(iree-linalg-ext-decompose-aggregated-ops{filter-ops="
    "iree_linalg_ext.quantize_affine,iree_linalg_ext.dequantize_affine},"
    "canonicalize,cse)";

/// Dispatch formation does the same. Done before, a rewrite finds one operation
/// of 8 bits in and out instead of five with values of 32 bits between them.
static const char *const fusePasses =
    "util.func(iree-dispatch-creation-elementwise-op-fusion,canonicalize,cse)";

static bool run(MlirOperation module, const std::string &passes) {
  SilenceDiagnostics silence(mlirOperationGetContext(module));
  return runPipeline(module, "builtin.module(" + passes + ")");
}

// --- insertions -------------------------------------------------------------

// Folding dimensions of one element takes them from the operand of a transposed
// convolution, but not from the zeros that it is spread between. With equal
// ranks such an insertion can be computed in bands.
int64_t expandInserted(MlirOperation module) {
  std::vector<MlirOperation> found;
  walk(module, [&](MlirOperation op) {
    if (isa(op, "tensor.insert_slice") &&
        mlirShapedTypeGetRank(mlirValueGetType(operand(op, 0))) <
            mlirShapedTypeGetRank(mlirValueGetType(result(op)))) {
      found.push_back(op);
    }
  });
  int64_t count = 0;
  for (MlirOperation op : found) {
    MlirValue expanded = rewrite::insertUnitDims(
        operand(op, 0), intArray(attr(op, "static_sizes")), op);
    if (expanded.ptr) {
      mlirOperationSetOperand(op, 0, expanded);
      ++count;
    }
  }
  return count;
}

// --- order ------------------------------------------------------------------

bool widensElements(MlirOperation op) {
  std::optional<Structured> loops = structured(op);
  if (!loops || loops->hasReduction()) {
    return false;
  }
  auto width = [](MlirValue value) {
    return elementBits(mlirShapedTypeGetElementType(mlirValueGetType(value)));
  };
  for (int64_t i = 0; i < loops->numInputs; ++i) {
    MlirValue value = operand(op, i);
    const bool whole =
        mlirTypeIsARankedTensor(mlirValueGetType(value)) &&
        shape(mlirValueGetType(value)) == shape(mlirValueGetType(result(op)));
    if (whole && width(value) > 1 && width(value) < width(result(op))) {
      return true;
    }
  }
  return false;
}

bool isCopiedToReaders(MlirOperation op) {
  if (!widensElements(op) || mlirOperationGetNumResults(op) != 1) {
    return false;
  }
  int64_t tensors = 0;
  for (MlirValue value : operands(op)) {
    MlirOperation source = definingOp(value);
    tensors +=
        isTensor(value) && (isNull(source) || !(isa(source, "tensor.empty") ||
                                                isa(source, "arith.constant")));
  }
  std::vector<Use> readers = uses(result(op));
  return tensors == 1 && isTensor(operand(op, 0)) && !readers.empty() &&
         std::all_of(readers.begin(), readers.end(), [](const Use &use) {
           return structured(use.owner).has_value();
         });
}

/// Gives every reader of widened elements a copy of what widens them, in front
/// of it, from the last operation to the first, for chains of these.
static void copyToReaders(MlirBlock block) {
  std::vector<MlirOperation> all = ir::operations(block);
  for (auto op = all.rbegin(); op != all.rend(); ++op) {
    if (!isCopiedToReaders(*op)) {
      continue;
    }
    std::map<const void *, MlirValue> copies; // by reader
    for (const Use &use : uses(result(*op))) {
      const bool first = copies.empty();
      MlirValue &copy = copies[use.owner.ptr];
      if (!copy.ptr && first) {
        copy = result(*op);
      } else if (!copy.ptr) {
        MlirOperation made = mlirOperationClone(*op);
        insertBefore(use.owner, made);
        copy = result(made);
      }
      mlirOperationSetOperand(use.owner, use.operandNumber, copy);
    }
  }
}

/// The only reader of `op`, if dispatch formation makes one dispatch of both:
/// what quantizes an accumulator, or what reads a dequantized value.
static MlirOperation fusedReader(MlirOperation op) {
  std::optional<Structured> loops = structured(op);
  if (!loops || mlirOperationGetNumResults(op) != 1) {
    return {};
  }
  std::vector<Use> readers = uses(result(op));
  if (readers.size() != 1 || !sameBlock(readers[0].owner, op)) {
    return {};
  }
  MlirOperation reader = readers[0].owner;
  std::optional<Structured> reading = structured(reader);
  const bool fuses =
      reading &&
      (loops->hasReduction() ? !reading->hasReduction() : widensElements(op));
  return fuses ? reader : MlirOperation{};
}

void orderByDispatches(MlirBlock block) {
  copyToReaders(block);
  Reorder reorder(block);
  for (MlirOperation op : ir::operations(block)) {
    if (!isNull(fusedReader(op))) {
      continue; // with its reader
    }
    std::vector<MlirOperation> chain = {op};
    for (size_t i = 0; i < chain.size(); ++i) {
      for (MlirValue value : operands(chain[i])) {
        MlirOperation source = definingOp(value);
        if (isNull(source)) {
          continue;
        }
        MlirOperation reader = fusedReader(source);
        if (!isNull(reader) && mlirOperationEqual(reader, chain[i])) {
          chain.push_back(source);
        } else {
          reorder.emit(source);
        }
      }
    }
    for (auto next = chain.rbegin(); next != chain.rend(); ++next) {
      reorder.emit(*next);
    }
  }
  reorder.apply();
}

// --- raising ----------------------------------------------------------------

OwningOp raisedCopy(MlirOperation module) {
  OwningOp raised = OwningOp::clone(module);
  if (!run(raised.get(), std::string(raisePasses) + "," + decomposePasses)) {
    return {};
  }
  foldWeightSums(raised.get());
  foldDequantizedConstants(raised.get());
  keepConstantsApart(raised.get());
  if (!run(raised.get(), fusePasses)) {
    return {};
  }
  removeConstantBarriers(raised.get());
  expandInserted(raised.get());
  return raised;
}

static bool multipliesIntegers(MlirOperation op) {
  if (!isa(op, "linalg.generic")) {
    return false;
  }
  bool multiplies = false;
  for (MlirOperation inner : operations(body(op))) {
    multiplies |= isa(inner, "arith.muli");
  }
  MlirAttribute iterators = attr(op, "iterator_types");
  return multiplies && !isNull(iterators) &&
         toString(iterators).find("reduction") != std::string::npos;
}

std::map<std::string, int64_t> raisedContractions(MlirOperation module) {
  OwningOp clone = OwningOp::clone(module);
  std::map<std::string, int64_t> counts;
  if (run(clone.get(), raisePasses)) {
    walk(clone.get(), [&](MlirOperation op) {
      if (multipliesIntegers(op)) {
        ++counts[toString(mlirOperationGetLocation(op))];
      }
    });
  }
  return counts;
}

} // namespace serenity::quantized

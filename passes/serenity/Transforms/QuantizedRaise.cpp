// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Raising contractions over dequantized values to integer contractions, as
// IREE's global optimization will, in the form that serenity-rewrite reads:
//
//   - a contraction i8 x i8 -> i32 into zeros;
//   - one elementwise operation behind it, which subtracts the zero point's
//     share, scales, adds the bias, joins what is added to it, and quantizes;
//   - constants for the sums of weights that the zero point is multiplied by;
//   - insertions into tensors of their own rank.
//
// All accumulators come first then, and what quantizes them behind; a value is
// dequantized once for all of its readers. The order that puts together what
// becomes one dispatch is here, too.

#include "serenity/Transforms/ProgramOrder.h"
#include "serenity/Transforms/QuantizedOps.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>

namespace serenity::quantized {

using namespace ir;
using rewrite::isStatic;
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

// --- sums of weights --------------------------------------------------------

namespace {
/// A sum over dimensions of a constant of 8-bit integers.
struct WeightSum {
  MlirOperation op = {};
  MlirAttribute weights = {};
  bool isUnsigned = false;
  std::vector<int64_t> extents;
  /// Per dimension of the weights: the one of the result that it runs along;
  /// -1: it is summed.
  std::vector<int64_t> dims;
};
} // namespace

/// The dimensions that a map of plain loops reads; nothing for another map.
static std::optional<std::vector<int64_t>> plainLoops(MlirAffineMap map) {
  std::vector<int64_t> loops;
  for (intptr_t i = 0, e = mlirAffineMapGetNumResults(map); i < e; ++i) {
    MlirAffineExpr expr = mlirAffineMapGetResult(map, i);
    if (!mlirAffineExprIsADim(expr)) {
      return std::nullopt;
    }
    loops.push_back(mlirAffineDimExprGetPosition(expr));
  }
  return loops;
}

static bool isFilledWithZeros(MlirValue value) {
  MlirOperation fill = definingOp(value);
  MlirOperation constant = !isNull(fill) && isa(fill, "linalg.fill")
                               ? definingOp(operand(fill, 0))
                               : MlirOperation{};
  if (isNull(constant) || !isa(constant, "arith.constant")) {
    return false;
  }
  MlirAttribute zero = attr(constant, "value");
  return mlirAttributeIsAInteger(zero) && mlirIntegerAttrGetValueInt(zero) == 0;
}

/// Whether the body is `out + ext(in)` in 32 bits; sets how `in` is extended.
static bool addsExtended(MlirOperation op, bool &isUnsigned) {
  std::vector<MlirOperation> inner = operations(body(op));
  if (inner.size() != 3 || !isa(inner[1], "arith.addi") ||
      !(isa(inner[0], "arith.extsi") || isa(inner[0], "arith.extui"))) {
    return false;
  }
  isUnsigned = isa(inner[0], "arith.extui");
  MlirValue in = mlirBlockGetArgument(body(op), 0);
  MlirValue out = mlirBlockGetArgument(body(op), 1);
  MlirValue left = operand(inner[1], 0);
  MlirValue right = operand(inner[1], 1);
  MlirValue extended = result(inner[0]);
  return mlirValueEqual(operand(inner[0], 0), in) &&
         ((mlirValueEqual(left, out) && mlirValueEqual(right, extended)) ||
          (mlirValueEqual(right, out) && mlirValueEqual(left, extended))) &&
         mlirValueEqual(operand(inner[2], 0), result(inner[1]));
}

static std::optional<WeightSum> asWeightSum(MlirOperation op) {
  std::optional<Structured> loops = structured(op);
  if (!loops || !loops->hasReduction() || loops->numInputs != 1) {
    return std::nullopt;
  }
  WeightSum sum;
  sum.op = op;
  MlirOperation source = definingOp(operand(op, 0));
  MlirType type = mlirValueGetType(result(op));
  MlirType element = mlirShapedTypeGetElementType(type);
  if (isNull(source) || !isa(source, "arith.constant") || !isStatic(type) ||
      !mlirTypeIsAInteger(element) || mlirIntegerTypeGetWidth(element) != 32 ||
      !isFilledWithZeros(operand(op, 1)) || !addsExtended(op, sum.isUnsigned)) {
    return std::nullopt;
  }
  sum.weights = attr(source, "value");
  MlirType stored = mlirAttributeGetType(sum.weights);
  MlirType small = mlirShapedTypeGetElementType(stored);
  std::optional<std::vector<int64_t>> in = plainLoops(loops->maps[0]);
  std::optional<std::vector<int64_t>> out = plainLoops(loops->maps[1]);
  if (!mlirAttributeIsADenseElements(sum.weights) ||
      !mlirTypeIsAInteger(small) || mlirIntegerTypeGetWidth(small) != 8 ||
      !in || !out) {
    return std::nullopt;
  }
  sum.extents = shape(stored);
  for (int64_t loop : *in) {
    auto at = std::find(out->begin(), out->end(), loop);
    sum.dims.push_back(at == out->end() ? -1 : at - out->begin());
  }
  return sum;
}

/// The sums, in 32 bits as the operation computes them.
static MlirAttribute evaluate(const WeightSum &sum) {
  MlirType type = mlirValueGetType(result(sum.op));
  std::vector<int64_t> extents = shape(type);
  int64_t count = 1;
  for (int64_t extent : extents) {
    count *= extent;
  }
  std::vector<uint32_t> sums(count, 0);
  const auto *data = static_cast<const uint8_t *>(
      mlirDenseElementsAttrGetRawData(sum.weights));
  const bool splat = mlirDenseElementsAttrIsSplat(sum.weights);
  const int64_t total = mlirElementsAttrGetNumElements(sum.weights);
  std::vector<int64_t> index(sum.extents.size(), 0);
  for (int64_t i = 0; i < total; ++i) {
    std::vector<int64_t> own(extents.size(), 0);
    for (size_t d = 0; d < index.size(); ++d) {
      if (sum.dims[d] >= 0) {
        own[sum.dims[d]] = index[d];
      }
    }
    int64_t at = 0;
    for (size_t d = 0; d < own.size(); ++d) {
      at = at * extents[d] + own[d];
    }
    uint8_t weight = data[splat ? 0 : i];
    sums[at] +=
        sum.isUnsigned ? uint32_t(weight) : uint32_t(int32_t(int8_t(weight)));
    for (size_t d = index.size(); d-- > 0 && ++index[d] == sum.extents[d];) {
      index[d] = 0;
    }
  }
  return mlirDenseElementsAttrRawBufferGet(type, count * sizeof(uint32_t),
                                           sums.data());
}

int64_t foldWeightSums(MlirOperation module) {
  std::vector<WeightSum> found;
  walk(module, [&](MlirOperation op) {
    if (std::optional<WeightSum> sum = asWeightSum(op)) {
      found.push_back(*sum);
    }
  });
  for (const WeightSum &sum : found) {
    MlirOperation constant =
        create("arith.constant", mlirOperationGetLocation(sum.op), {},
               {mlirValueGetType(result(sum.op))}, {{"value", evaluate(sum)}});
    insertBefore(sum.op, constant);
    mlirValueReplaceAllUsesOfWith(result(sum.op), result(constant));
    erase(sum.op);
  }
  return int64_t(found.size());
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
  if (!run(raised.get(), fusePasses)) {
    return {};
  }
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

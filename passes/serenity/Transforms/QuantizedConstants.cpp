// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Constants of raised modules that IREE would compute while it compiles: sums
// of weights, dequantized constants, and others.
//
// Floats that are computed from constants alone must not become part of an
// epilogue. The stock pipeline evaluates them while it compiles, and stores
// them rounded to f32. In one body with what reads them, code generation may
// contract a product and a sum into a fused multiply-add, and kernels round a
// square root otherwise than the evaluation.

#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/QuantizedOps.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"
#include "serenity/Transforms/Rewrite/RewriteSum.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace serenity::quantized {

using namespace ir;
using rewrite::isStatic;
using rewrite::Structured;
using rewrite::structured;

/// Moves `index` to the next element of a row-major tensor.
static void advance(std::vector<int64_t> &index,
                    const std::vector<int64_t> &extents) {
  for (size_t d = index.size(); d-- > 0 && ++index[d] == extents[d];) {
    index[d] = 0;
  }
}

static void replaceByConstant(MlirOperation op, MlirAttribute value) {
  MlirOperation constant =
      create("arith.constant", mlirOperationGetLocation(op), {},
             {mlirValueGetType(result(op))}, {{"value", value}});
  insertBefore(op, constant);
  mlirValueReplaceAllUsesOfWith(result(op), result(constant));
  erase(op);
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
    advance(index, sum.extents);
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
    replaceByConstant(sum.op, evaluate(sum));
  }
  return int64_t(found.size());
}

// --- dequantized constants --------------------------------------------------

namespace {

/// A number as an operation on elements reads it: an integer of `bits`, sign
/// extended, or an f32.
struct Scalar {
  int64_t bits = 0; // 0: an f32
  int64_t integer = 0;
  float real = 0;
};

/// A constant operand, element by element.
class ConstantReader {
public:
  /// Reads `value`; `ok` is false if it is no constant of integers or f32.
  explicit ConstantReader(MlirValue value);

  bool ok() const { return count > 0; }
  /// `element`: the row-major number of the element.
  Scalar at(int64_t element) const;

private:
  int64_t elementBytes() const { return bits == 0 ? sizeof(float) : bits / 8; }

  MlirAttribute attribute = {};
  int64_t bits = 0;
  int64_t count = 0; // of the elements in `bytes`; 1: all are equal
  std::string bytes;
};

/// An elementwise operation that converts constants to f32 and scales them.
class DequantizedConstant {
public:
  /// `op` as one; nothing for another operation.
  static std::optional<DequantizedConstant> read(MlirOperation op);

  /// The tensor that it makes; null if its body does anything else.
  MlirAttribute evaluate() const;

private:
  /// A value of the body: a constant, read along `loops`, or what `op` makes of
  /// the terms numbered `operands`.
  struct Term {
    std::optional<ConstantReader> constant;
    std::vector<int64_t> loops;
    MlirOperation op = {};
    std::vector<size_t> operands;
  };

  bool addConstant(MlirValue inBody, MlirValue value,
                   std::vector<int64_t> loops);
  bool addOperation(MlirOperation inner);
  /// The last term's value for the element at `index`.
  std::optional<float> at(const std::vector<int64_t> &index) const;

  MlirType type = {};
  std::vector<Term> terms;
  std::map<const void *, size_t> numbers; // of terms, by value of the body
};

} // namespace

/// `value` as an integer of `bits`, sign extended.
static int64_t signExtended(int64_t value, int64_t bits) {
  const int64_t unused = 64 - bits;
  return int64_t(uint64_t(value) << unused) >> unused;
}

static uint64_t zeroExtended(int64_t value, int64_t bits) {
  return bits == 64 ? uint64_t(value)
                    : uint64_t(value) & ((uint64_t(1) << bits) - 1);
}

static std::optional<int64_t> scalarBits(MlirType type) {
  if (mlirTypeIsAInteger(type)) {
    const int64_t bits = mlirIntegerTypeGetWidth(type);
    return bits == 8 || bits == 16 || bits == 32 || bits == 64
               ? std::optional<int64_t>(bits)
               : std::nullopt;
  }
  return toString(type) == "f32" ? std::optional<int64_t>(0) : std::nullopt;
}

ConstantReader::ConstantReader(MlirValue value) {
  MlirOperation source = definingOp(value);
  if (isNull(source) || !isa(source, "arith.constant")) {
    return;
  }
  MlirType type = mlirValueGetType(value);
  const bool tensor = isTensor(value);
  std::optional<int64_t> width =
      scalarBits(tensor ? mlirShapedTypeGetElementType(type) : type);
  if (!width) {
    return;
  }
  bits = *width;
  attribute = attr(source, "value");
  if (!tensor) {
    count = 1;
    return;
  }
  const int64_t total = mlirElementsAttrGetNumElements(attribute);
  if (mlirAttributeIsADenseElements(attribute)) {
    const int64_t stored = mlirDenseElementsAttrIsSplat(attribute) ? 1 : total;
    bytes.assign(
        static_cast<const char *>(mlirDenseElementsAttrGetRawData(attribute)),
        stored * elementBytes());
    count = stored;
  } else if (std::optional<std::string> resource = resourceBytes(attribute);
             resource && int64_t(resource->size()) == total * elementBytes()) {
    bytes = std::move(*resource);
    count = total;
  }
}

Scalar ConstantReader::at(int64_t element) const {
  Scalar scalar;
  scalar.bits = bits;
  if (bytes.empty()) {
    if (bits == 0) {
      scalar.real = float(mlirFloatAttrGetValueDouble(attribute));
    } else {
      scalar.integer = mlirIntegerAttrGetValueInt(attribute);
    }
    return scalar;
  }
  const char *data = bytes.data() + (count == 1 ? 0 : element) * elementBytes();
  if (bits == 0) {
    std::memcpy(&scalar.real, data, elementBytes());
  } else {
    std::memcpy(&scalar.integer, data,
                elementBytes()); // of a little-endian machine
    scalar.integer = signExtended(scalar.integer, bits);
  }
  return scalar;
}

/// The result of `op`, one of a dequantization's body; nothing for others.
static std::optional<Scalar> evaluate(MlirOperation op,
                                      const std::vector<Scalar> &in) {
  std::optional<int64_t> bits = scalarBits(mlirValueGetType(result(op)));
  if (!bits) {
    return std::nullopt;
  }
  Scalar out;
  out.bits = *bits;
  if (isa(op, "arith.extsi") || isa(op, "arith.trunci")) {
    out.integer = signExtended(in[0].integer, out.bits);
  } else if (isa(op, "arith.extui")) {
    out.integer = int64_t(zeroExtended(in[0].integer, in[0].bits));
  } else if (isa(op, "arith.subi")) {
    out.integer = signExtended(
        int64_t(uint64_t(in[0].integer) - uint64_t(in[1].integer)), out.bits);
  } else if (isa(op, "arith.sitofp")) {
    out.real = float(in[0].integer);
  } else if (isa(op, "arith.uitofp")) {
    out.real = float(zeroExtended(in[0].integer, in[0].bits));
  } else if (isa(op, "arith.mulf")) {
    out.real = in[0].real * in[1].real;
  } else {
    return std::nullopt;
  }
  return out;
}

bool DequantizedConstant::addConstant(MlirValue inBody, MlirValue value,
                                      std::vector<int64_t> loops) {
  Term term;
  term.constant.emplace(value);
  term.loops = std::move(loops);
  numbers.emplace(key(inBody), terms.size());
  terms.push_back(std::move(term));
  return terms.back().constant->ok();
}

bool DequantizedConstant::addOperation(MlirOperation inner) {
  Term term;
  term.op = inner;
  for (MlirValue value : operands(inner)) {
    if (!numbers.count(key(value)) && !addConstant(value, value, {})) {
      return false;
    }
    term.operands.push_back(numbers.at(key(value)));
  }
  numbers.emplace(key(result(inner)), terms.size());
  terms.push_back(std::move(term));
  return true;
}

std::optional<DequantizedConstant> DequantizedConstant::read(MlirOperation op) {
  std::optional<Structured> nest = structured(op);
  if (!nest || nest->hasReduction() ||
      !mlirAffineMapIsIdentity(nest->maps.back())) {
    return std::nullopt;
  }
  DequantizedConstant found;
  found.type = mlirValueGetType(result(op));
  if (!isStatic(found.type) ||
      toString(mlirShapedTypeGetElementType(found.type)) != "f32") {
    return std::nullopt;
  }
  MlirBlock block = body(op);
  for (int64_t i = 0; i < nest->numInputs; ++i) {
    std::optional<std::vector<int64_t>> loops = plainLoops(nest->maps[i]);
    if (!loops || !found.addConstant(mlirBlockGetArgument(block, i),
                                     operand(op, i), std::move(*loops))) {
      return std::nullopt;
    }
  }
  for (MlirOperation inner : operations(block)) {
    if (isa(inner, "linalg.yield")) {
      const bool yieldsLast =
          !found.terms.empty() && !isNull(found.terms.back().op) &&
          mlirValueEqual(operand(inner, 0), result(found.terms.back().op));
      return yieldsLast ? std::optional(std::move(found)) : std::nullopt;
    }
    if (!found.addOperation(inner)) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<float>
DequantizedConstant::at(const std::vector<int64_t> &index) const {
  std::vector<int64_t> extents = shape(type);
  std::vector<Scalar> values;
  for (const Term &term : terms) {
    if (term.constant) {
      int64_t element = 0;
      for (int64_t loop : term.loops) {
        element = element * extents[loop] + index[loop];
      }
      values.push_back(term.constant->at(element));
      continue;
    }
    std::vector<Scalar> operands;
    for (size_t number : term.operands) {
      operands.push_back(values[number]);
    }
    std::optional<Scalar> value = quantized::evaluate(term.op, operands);
    if (!value) {
      return std::nullopt;
    }
    values.push_back(*value);
  }
  return values.back().real;
}

MlirAttribute DequantizedConstant::evaluate() const {
  std::vector<int64_t> extents = shape(type);
  std::vector<int64_t> index(extents.size(), 0);
  std::vector<float> elements(*tensorBytes(type) / sizeof(float));
  for (float &element : elements) {
    std::optional<float> value = at(index);
    if (!value) {
      return {};
    }
    element = *value;
    advance(index, extents);
  }
  return mlirDenseElementsAttrRawBufferGet(
      type, elements.size() * sizeof(float), elements.data());
}

/// Whether `op` makes at most `mostBytes` from constants alone.
static bool isSmallConstant(MlirOperation op, int64_t mostBytes) {
  std::optional<Structured> nest = structured(op);
  std::optional<int64_t> bytes =
      nest ? tensorBytes(mlirValueGetType(result(op))) : std::nullopt;
  if (!bytes || *bytes > mostBytes) {
    return false;
  }
  for (int64_t i = 0; i < nest->numInputs; ++i) {
    MlirOperation source = definingOp(operand(op, i));
    if (isNull(source) || !isa(source, "arith.constant")) {
      return false;
    }
  }
  return true;
}

int64_t foldDequantizedConstants(MlirOperation module) {
  // A larger result stays an operation: IREE would not store it either
  // (`--iree-util-const-expr-max-size-increase-threshold`).
  constexpr int64_t mostBytes = int64_t(1) << 20;
  std::vector<MlirOperation> candidates;
  walk(module, [&](MlirOperation op) {
    if (isa(op, "linalg.generic") && isSmallConstant(op, mostBytes)) {
      candidates.push_back(op);
    }
  });
  int64_t count = 0;
  for (MlirOperation op : candidates) {
    // Only now bytes of constants are read, which may take printing them.
    std::optional<DequantizedConstant> constant = DequantizedConstant::read(op);
    if (!constant) {
      continue;
    }
    MlirAttribute value = constant->evaluate();
    if (!isNull(value)) {
      replaceByConstant(op, value);
      ++count;
    }
  }
  return count;
}

// --- other constants --------------------------------------------------------

/// Whether `op` computes floats, element by element, from constants alone.
static bool computesConstant(MlirOperation op) {
  std::optional<Structured> nest = structured(op);
  if (!nest || nest->hasReduction() || operations(body(op)).size() < 2) {
    return false;
  }
  MlirType element = mlirShapedTypeGetElementType(mlirValueGetType(result(op)));
  return mlirTypeIsAFloat(element) && !isComputed(result(op));
}

int64_t keepConstantsApart(MlirOperation module) {
  std::vector<MlirOperation> found;
  walk(module, [&](MlirOperation op) {
    if (!computesConstant(op)) {
      return;
    }
    std::vector<Use> readers = uses(result(op));
    if (std::any_of(readers.begin(), readers.end(), [](const Use &use) {
          return mlirOperationGetNumResults(use.owner) > 0 &&
                 isComputed(result(use.owner));
        })) {
      found.push_back(op);
    }
  });
  for (MlirOperation op : found) {
    rewrite::insertBarrierBehind(op);
    attributes::setConstantBarrier(mlirOperationGetNextInBlock(op));
  }
  return int64_t(found.size());
}

} // namespace serenity::quantized

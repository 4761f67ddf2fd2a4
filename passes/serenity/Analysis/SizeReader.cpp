// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/SizeReader.h"

#include "serenity/Analysis/SizeExpression.h"
#include "serenity/Analysis/SizeInterval.h"
#include "serenity/Analysis/TensorSizes.h"
#include "serenity/IREE/CmpIPredicate.h"
#include "serenity/IREE/Ir.h"

#include <algorithm>
#include <limits>

namespace serenity {

namespace {

/// Chains of arithmetic are followed so far.
constexpr int maxDepth = 64;

/// The result of an `arith.cmpi` on numbers that are not negative.
bool compare(ir::CmpIPredicate predicate, int64_t left, int64_t right) {
  switch (predicate) {
  case ir::CmpIPredicate::eq:
    return left == right;
  case ir::CmpIPredicate::ne:
    return left != right;
  case ir::CmpIPredicate::slt:
  case ir::CmpIPredicate::ult:
    return left < right;
  case ir::CmpIPredicate::sle:
  case ir::CmpIPredicate::ule:
    return left <= right;
  case ir::CmpIPredicate::sgt:
  case ir::CmpIPredicate::ugt:
    return left > right;
  case ir::CmpIPredicate::sge:
  case ir::CmpIPredicate::uge:
    return left >= right;
  }
  return false;
}

} // namespace

std::optional<int64_t> SizeReader::atHint(MlirValue value) {
  std::optional<SizePolynomial> size = read(value);
  return size ? size->at(hints()) : std::nullopt;
}

std::vector<int64_t> SizeReader::hints() const {
  std::vector<int64_t> values;
  for (const SizeSymbol &symbol : found) {
    values.push_back(symbol.hint);
  }
  return values;
}

int64_t SizeReader::hintFor(MlirValue value, int depth) {
  if (std::optional<int64_t> constant = ir::constantInt(value)) {
    return *constant;
  }
  MlirOperation op = ir::definingOp(value);
  if (ir::isNull(op) || depth > maxDepth) {
    return options.defaultExtent;
  }
  auto operand = [&](intptr_t i) {
    return hintFor(ir::operand(op, i), depth + 1);
  };
  std::string_view name = ir::name(op);
  if (name == "util.assume.int") {
    intptr_t result = mlirOpResultGetResultNumber(value);
    Assumption assumption = readAssumption(op, result);
    int64_t hint = std::clamp(operand(result), assumption.least,
                              std::max(assumption.least, assumption.most));
    int64_t multiple = hint / assumption.divisor * assumption.divisor;
    return multiple >= assumption.least ? multiple : hint;
  }
  if (name == "arith.index_cast" || name == "arith.index_castui") {
    return operand(0);
  }
  int64_t result = 0;
  if (name == "arith.addi" || name == "arith.muli" || name == "arith.subi") {
    int64_t left = operand(0);
    int64_t right = operand(1);
    bool overflow =
        name == "arith.addi"   ? __builtin_add_overflow(left, right, &result)
        : name == "arith.muli" ? __builtin_mul_overflow(left, right, &result)
                               : __builtin_sub_overflow(left, right, &result);
    return overflow ? options.defaultExtent : result;
  }
  if (name == "arith.divui" || name == "arith.divsi" ||
      name == "arith.floordivsi" || name == "arith.ceildivui" ||
      name == "arith.ceildivsi") {
    int64_t left = operand(0);
    int64_t right = operand(1);
    if (left < 0 || right <= 0) {
      return options.defaultExtent;
    }
    bool up = name == "arith.ceildivui" || name == "arith.ceildivsi";
    return left / right + (up && left % right != 0 ? 1 : 0);
  }
  if (name == "arith.maxsi" || name == "arith.maxui") {
    return std::max(operand(0), operand(1));
  }
  if (name == "arith.minsi" || name == "arith.minui") {
    return std::min(operand(0), operand(1));
  }
  if (name == "arith.select") {
    return operand(operand(0) != 0 ? 1 : 2);
  }
  if (name == "arith.cmpi") {
    std::optional<ir::CmpIPredicate> predicate = ir::cmpIPredicate(op);
    return predicate && compare(*predicate, operand(0), operand(1));
  }
  if (name == "util.align") {
    int64_t unit = operand(1);
    int64_t bytes = operand(0);
    return unit > 0 && bytes <= std::numeric_limits<int64_t>::max() - unit
               ? (bytes + unit - 1) / unit * unit
               : bytes;
  }
  if (name == "tensor.dim") {
    std::optional<int64_t> dim = ir::constantInt(ir::operand(op, 1));
    DimSource source = dim ? dimSource(ir::operand(op, 0), *dim) : DimSource();
    return source.extent.ptr ? hintFor(source.extent, depth + 1)
                             : options.defaultExtent;
  }
  std::string dimension = dimensionOf(op);
  if (dimension.empty()) {
    return options.defaultExtent;
  }
  std::optional<int64_t> bound = options.dimBounds.of(dimension);
  int64_t hint = options.dimHints.of(dimension).value_or(
      bound.value_or(options.defaultExtent));
  return std::min(hint, bound.value_or(hint));
}

std::vector<SizeSymbol> SizeReader::expressionDimensions() {
  std::vector<SizeSymbol> dimensions;
  for (const auto &[name, value] : written) {
    SizeSymbol symbol;
    symbol.value = value;
    symbol.dimension = name;
    symbol.hint = std::max<int64_t>(hintFor(value, 0), 0);
    symbol.bound = readInterval(value, options).most;
    dimensions.push_back(symbol);
  }
  return dimensions;
}

SizePolynomial SizeReader::symbolFor(MlirValue value) {
  SizeSymbol symbol;
  symbol.value = value;
  MlirOperation op = ir::definingOp(value);
  // For an assumption about a dimension, the dimension itself.
  while (!ir::isNull(op) && ir::isa(op, "util.assume.int")) {
    intptr_t result = mlirOpResultGetResultNumber(symbol.value);
    symbol.value = ir::operand(op, result);
    op = ir::definingOp(symbol.value);
  }
  auto seen = known.find(ir::key(symbol.value));
  if (seen != known.end()) {
    return seen->second;
  }
  symbol.dimension = ir::isNull(op) ? "" : dimensionOf(op);
  symbol.hint = std::max<int64_t>(hintFor(value, 0), 0);
  SizeInterval interval = readInterval(value, options);
  symbol.bound = interval.most;
  if (interval.most && interval.least && *interval.least < 0) {
    // Products of two negative numbers are positive.
    symbol.bound =
        *interval.least == std::numeric_limits<int64_t>::min()
            ? std::nullopt
            : std::optional(std::max(*interval.most, -*interval.least));
  }
  if (symbol.dimension.empty()) {
    symbol.expression =
        writeExpression(symbol.value, options, written).value_or("");
  }
  // The same dimension may be asked for twice.
  if (!symbol.dimension.empty()) {
    for (size_t i = 0; i < found.size(); ++i) {
      if (found[i].dimension == symbol.dimension) {
        return SizePolynomial::symbol(int(i));
      }
    }
  }
  found.push_back(symbol);
  SizePolynomial made = SizePolynomial::symbol(int(found.size()) - 1);
  known[ir::key(symbol.value)] = made;
  return made;
}

std::optional<SizePolynomial> SizeReader::read(MlirValue value) {
  if (std::optional<int64_t> constant = ir::constantInt(value)) {
    return SizePolynomial::constant(*constant);
  }
  auto seen = known.find(ir::key(value));
  if (seen != known.end()) {
    return seen->second;
  }
  MlirOperation op = ir::definingOp(value);
  std::optional<SizePolynomial> made;
  if (!ir::isNull(op) &&
      (ir::isa(op, "arith.addi") || ir::isa(op, "arith.muli"))) {
    std::optional<SizePolynomial> left = read(ir::operand(op, 0));
    std::optional<SizePolynomial> right = read(ir::operand(op, 1));
    if (!left || !right) {
      return std::nullopt;
    }
    made = ir::isa(op, "arith.addi") ? left->plus(*right) : left->times(*right);
  } else {
    made = symbolFor(value);
  }
  if (made) {
    known[ir::key(value)] = *made;
  }
  return made;
}

} // namespace serenity

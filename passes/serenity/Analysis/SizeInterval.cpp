// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/SizeInterval.h"

#include "serenity/IREE/Ir.h"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace serenity {

namespace {

/// Chains of arithmetic are followed so far.
constexpr int maxDepth = 64;

/// IREE assumes this of every extent, as it fits a double: no bound.
constexpr int64_t anyExtent = (int64_t(1) << 53) - 1;

using End = std::optional<int64_t>;

End add(End a, End b) {
  int64_t sum;
  return a && b && !__builtin_add_overflow(*a, *b, &sum) ? End(sum) : End();
}

End subtract(End a, End b) {
  int64_t difference;
  return a && b && !__builtin_sub_overflow(*a, *b, &difference)
             ? End(difference)
             : End();
}

End multiply(End a, End b) {
  int64_t product;
  return a && b && !__builtin_mul_overflow(*a, *b, &product) ? End(product)
                                                             : End();
}

bool isNatural(const SizeInterval &interval) {
  return interval.least && *interval.least >= 0;
}

/// The smaller end; an open one is the smallest of lower ends.
End lower(End a, End b) { return a && b ? End(std::min(*a, *b)) : End(); }
End upper(End a, End b) { return a && b ? End(std::max(*a, *b)) : End(); }
/// The end that says more.
End stricterUpper(End a, End b) {
  return a && b ? End(std::min(*a, *b)) : a ? a : b;
}
End stricterLower(End a, End b) {
  return a && b ? End(std::max(*a, *b)) : a ? a : b;
}

/// The quotients of all numbers of `a` by those of `b`, which are positive.
/// They grow with the dividend; with the divisor they come closer to 0.
SizeInterval divide(const SizeInterval &a, const SizeInterval &b,
                    std::string_view name) {
  auto quotient = [&](int64_t dividend, End divisor) -> int64_t {
    if (!divisor) {
      divisor = std::numeric_limits<int64_t>::max();
    }
    int64_t towardsZero = dividend / *divisor;
    bool exact = dividend % *divisor == 0;
    return name == "arith.floordivsi" && dividend < 0 && !exact
               ? towardsZero - 1
           : name == "arith.ceildivsi" && dividend > 0 && !exact
               ? towardsZero + 1
               : towardsZero;
  };
  SizeInterval found;
  if (a.least) {
    found.least = quotient(*a.least, *a.least < 0 ? b.least : b.most);
  }
  if (a.most) {
    found.most = quotient(*a.most, *a.most < 0 ? b.most : b.least);
  }
  return found;
}

/// Interval arithmetic over the operations that sizes are computed by. An end
/// that overflows is open.
class IntervalReader {
public:
  explicit IntervalReader(const Options &options) : options(options) {}
  SizeInterval read(MlirValue value, int depth);

private:
  SizeInterval compute(MlirValue value, int depth);
  SizeInterval ofDimension(MlirOperation op);
  SizeInterval ofArithmetic(MlirOperation op, std::string_view name, int depth);

  const Options &options;
  std::map<const void *, SizeInterval> known; // by value
};

SizeInterval IntervalReader::ofDimension(MlirOperation op) {
  std::string dimension = dimensionOf(op);
  if (dimension.empty()) {
    return {};
  }
  return {0, options.dimBounds.of(dimension)};
}

SizeInterval IntervalReader::ofArithmetic(MlirOperation op,
                                          std::string_view name, int depth) {
  auto operand = [&](intptr_t i) {
    return read(ir::operand(op, i), depth + 1);
  };
  if (name == "arith.index_cast" || name == "arith.index_castui") {
    return operand(0);
  }
  if (name == "arith.cmpi") {
    return {0, 1};
  }
  if (name == "arith.select") {
    SizeInterval a = operand(1);
    SizeInterval b = operand(2);
    return {lower(a.least, b.least), upper(a.most, b.most)};
  }
  bool known =
      name == "arith.addi" || name == "arith.subi" || name == "arith.muli" ||
      name == "arith.divui" || name == "arith.divsi" ||
      name == "arith.floordivsi" || name == "arith.ceildivui" ||
      name == "arith.ceildivsi" || name == "arith.remui" ||
      name == "arith.remsi" || name == "arith.maxsi" || name == "arith.maxui" ||
      name == "arith.minsi" || name == "arith.minui" || name == "util.align";
  if (!known) {
    return {};
  }
  SizeInterval a = operand(0);
  SizeInterval b = operand(1);
  if (name == "arith.addi") {
    return {add(a.least, b.least), add(a.most, b.most)};
  }
  if (name == "arith.subi") {
    return {subtract(a.least, b.most), subtract(a.most, b.least)};
  }
  bool divides = name == "arith.floordivsi" || name == "arith.ceildivsi" ||
                 name == "arith.divsi";
  if (divides && b.least && *b.least > 0) {
    return divide(a, b, name);
  }
  // The others are followed for numbers that are not negative, for which
  // signed and unsigned operations are the same.
  if (!isNatural(a) || !isNatural(b)) {
    return {};
  }
  if (name == "arith.muli") {
    return {multiply(a.least, b.least), multiply(a.most, b.most)};
  }
  if (name == "arith.maxsi" || name == "arith.maxui") {
    return {stricterLower(a.least, b.least), upper(a.most, b.most)};
  }
  if (name == "arith.minsi" || name == "arith.minui") {
    return {lower(a.least, b.least), stricterUpper(a.most, b.most)};
  }
  if (name == "util.align") {
    return {a.least, add(a.most, b.most)};
  }
  if (*b.least == 0) {
    return {0, a.most}; // a quotient or a remainder, if there is one
  }
  if (name == "arith.remui" || name == "arith.remsi") {
    return {0, stricterUpper(a.most, subtract(b.most, 1))};
  }
  int64_t divisor = *b.least;
  bool roundsUp = name == "arith.ceildivui" || name == "arith.ceildivsi";
  End most = a.most ? End(*a.most / divisor +
                          (roundsUp && *a.most % divisor != 0 ? 1 : 0))
                    : End();
  return {b.most ? *a.least / *b.most : 0, most};
}

SizeInterval IntervalReader::read(MlirValue value, int depth) {
  auto seen = known.find(ir::key(value));
  if (seen != known.end()) {
    return seen->second;
  }
  SizeInterval interval = compute(value, depth);
  known[ir::key(value)] = interval;
  return interval;
}

SizeInterval IntervalReader::compute(MlirValue value, int depth) {
  if (std::optional<int64_t> constant = ir::constantInt(value)) {
    return {constant, constant};
  }
  MlirOperation op = ir::definingOp(value);
  if (ir::isNull(op) || depth > maxDepth) {
    return {};
  }
  std::string_view name = ir::name(op);
  if (name == "util.assume.int") {
    intptr_t result = mlirOpResultGetResultNumber(value);
    Assumption assumption = readAssumption(op, result);
    SizeInterval of = read(ir::operand(op, result), depth + 1);
    End most = assumption.most < anyExtent ? End(assumption.most) : End();
    return {stricterLower(of.least, assumption.least),
            stricterUpper(of.most, most)};
  }
  SizeInterval dimension = ofDimension(op);
  return dimension.least ? dimension : ofArithmetic(op, name, depth);
}

} // namespace

Assumption readAssumption(MlirOperation op, intptr_t result) {
  Assumption found;
  MlirAttribute all = ir::attr(op, "assumptions");
  if (ir::isNull(all) || !mlirAttributeIsAArray(all) ||
      result >= mlirArrayAttrGetNumElements(all)) {
    return found;
  }
  MlirAttribute own = mlirArrayAttrGetElement(all, result);
  // Several assumptions hold for different callers: no one of them for all.
  if (!mlirAttributeIsAArray(own) || mlirArrayAttrGetNumElements(own) != 1) {
    return found;
  }
  std::string text = ir::toString(mlirArrayAttrGetElement(own, 0));
  auto field = [&](const char *name, int64_t &value) {
    size_t at = text.find(name);
    if (at != std::string::npos) {
      value = std::strtoll(text.c_str() + at + std::string(name).size(),
                           nullptr, 10);
    }
  };
  field("umin = ", found.least);
  field("umax = ", found.most);
  field("udiv = ", found.divisor);
  found.divisor = std::max<int64_t>(found.divisor, 1);
  return found;
}

std::string dimensionOf(MlirOperation op) {
  if (!ir::isa(op, "hal.buffer_view.dim")) {
    return "";
  }
  MlirValue view = ir::operand(op, 0);
  std::optional<int64_t> axis = ir::intAttr(op, "index");
  if (!axis || !mlirValueIsABlockArgument(view)) {
    return "";
  }
  return "arg" + std::to_string(mlirBlockArgumentGetArgNumber(view)) + ":axis" +
         std::to_string(*axis);
}

SizeInterval readInterval(MlirValue value, const Options &options) {
  return IntervalReader(options).read(value, 0);
}

} // namespace serenity

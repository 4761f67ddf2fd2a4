// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/SizeExpression.h"

#include "serenity/Analysis/SizeInterval.h"
#include "serenity/IREE/Ir.h"

#include <string_view>

namespace serenity {

namespace {

/// Chains of arithmetic are followed so far.
constexpr int maxDepth = 64;

/// Longer texts are not readable.
constexpr size_t maxLength = 200;

/// How strongly a text binds; weaker ones get parentheses.
enum class Binding { Sum, Product, Whole };

struct Text {
  std::string text;
  Binding binding = Binding::Whole;

  std::string inside(Binding outer) const {
    return binding < outer ? "(" + text + ")" : text;
  }
};

class ExpressionWriter {
public:
  ExpressionWriter(const Options &options,
                   std::map<std::string, MlirValue> &dimensions)
      : options(options), dimensions(dimensions) {}

  std::optional<Text> write(MlirValue value, int depth) {
    std::optional<Text> text = compute(value, depth);
    return text && text->text.size() <= maxLength ? text : std::nullopt;
  }

private:
  std::optional<Text> compute(MlirValue value, int depth);
  const char *callee(MlirOperation op);

  const Options &options;
  std::map<std::string, MlirValue> &dimensions;
};

/// The function of formulas that `op` computes; null if there is none.
const char *ExpressionWriter::callee(MlirOperation op) {
  std::string_view name = ir::name(op);
  if (name == "arith.floordivsi") {
    return "floordiv";
  }
  if (name == "arith.ceildivsi") {
    return "ceildiv";
  }
  if (name == "util.align") {
    return "align";
  }
  if (name == "arith.maxsi") {
    return "max";
  }
  if (name == "arith.minsi") {
    return "min";
  }
  // The same for numbers that are not negative.
  for (MlirValue operand : ir::operands(op)) {
    SizeInterval interval = readInterval(operand, options);
    if (!interval.least || *interval.least < 0) {
      return nullptr;
    }
  }
  return name == "arith.divui" || name == "arith.divsi" ? "floordiv"
         : name == "arith.ceildivui"                    ? "ceildiv"
         : name == "arith.maxui"                        ? "max"
         : name == "arith.minui"                        ? "min"
                                                        : nullptr;
}

std::optional<Text> ExpressionWriter::compute(MlirValue value, int depth) {
  if (std::optional<int64_t> constant = ir::constantInt(value)) {
    // A negative number is no formula.
    return *constant >= 0 ? std::optional(Text{std::to_string(*constant)})
                          : std::nullopt;
  }
  MlirOperation op = ir::definingOp(value);
  if (ir::isNull(op) || depth > maxDepth) {
    return std::nullopt;
  }
  if (std::string dimension = dimensionOf(op); !dimension.empty()) {
    dimensions[dimension] = value;
    return Text{"{" + dimension + "}"};
  }
  std::string_view name = ir::name(op);
  if (name == "util.assume.int") {
    return write(ir::operand(op, mlirOpResultGetResultNumber(value)),
                 depth + 1);
  }
  if (name == "arith.index_cast") {
    return write(ir::operand(op, 0), depth + 1);
  }
  if (mlirOperationGetNumOperands(op) != 2) {
    return std::nullopt;
  }
  std::optional<Text> left = write(ir::operand(op, 0), depth + 1);
  std::optional<Text> right =
      left ? write(ir::operand(op, 1), depth + 1) : std::nullopt;
  if (!right) {
    return std::nullopt;
  }
  if (name == "arith.addi") {
    return Text{left->text + " + " + right->text, Binding::Sum};
  }
  if (name == "arith.subi") {
    return Text{left->text + " - " + right->inside(Binding::Product),
                Binding::Sum};
  }
  if (name == "arith.muli") {
    return Text{left->inside(Binding::Product) + "*" +
                    right->inside(Binding::Product),
                Binding::Product};
  }
  const char *function = callee(op);
  return function ? std::optional(Text{std::string(function) + "(" +
                                       left->text + ", " + right->text + ")"})
                  : std::nullopt;
}

} // namespace

std::optional<std::string>
writeExpression(MlirValue value, const Options &options,
                std::map<std::string, MlirValue> &dimensions) {
  std::map<std::string, MlirValue> read;
  std::optional<Text> text = ExpressionWriter(options, read).write(value, 0);
  if (!text) {
    return std::nullopt;
  }
  dimensions.insert(read.begin(), read.end());
  return text->inside(Binding::Whole);
}

} // namespace serenity

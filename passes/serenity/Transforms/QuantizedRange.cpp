// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Interval arithmetic over tensors: which values cannot be NaN. Every step is
// one of f32 operations whose operands lie in known intervals, so that a NaN
// could only come of inf - inf, 0 * inf, inf / inf or 0 / 0, and those are
// excluded. Bounds are doubles; a bound that may exceed the range of f32 counts
// as infinite, which leaves a margin far above the rounding of any sum.

#include "serenity/Transforms/QuantizedOps.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"
#include "serenity/Transforms/TensorBuilder.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace serenity::quantized {

using namespace ir;
using rewrite::Structured;
using rewrite::structured;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// All values that an element may have, none of them NaN.
struct Interval {
  double low = 0;
  double high = 0;
};
using Maybe = std::optional<Interval>;

Interval widened(double low, double high) {
  // Half of the largest f32, a margin for rounding.
  constexpr double most = 1.7e38;
  return {low < -most ? -infinity : low, high > most ? infinity : high};
}

bool isFinite(const Interval &a) {
  return std::isfinite(a.low) && std::isfinite(a.high);
}

Interval hull(const Interval &a, const Interval &b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high)};
}

Maybe add(const Interval &a, const Interval &b) {
  if ((a.low == -infinity && b.high == infinity) ||
      (a.high == infinity && b.low == -infinity)) {
    return std::nullopt;
  }
  return widened(a.low + b.low, a.high + b.high);
}

Maybe multiply(const Interval &a, const Interval &b) {
  if (!isFinite(a) || !isFinite(b)) {
    return std::nullopt;
  }
  double products[] = {a.low * b.low, a.low * b.high, a.high * b.low,
                       a.high * b.high};
  return widened(*std::min_element(products, products + 4),
                 *std::max_element(products, products + 4));
}

Maybe divide(const Interval &a, const Interval &b) {
  // A denominator may be infinite, or underflow to zero, but not both be zero.
  if (!isFinite(a) || (b.low <= 1e-30 && b.high >= -1e-30)) {
    return std::nullopt;
  }
  return multiply(a, {1 / b.high, 1 / b.low});
}

class Ranges {
public:
  Maybe of(MlirValue value, int depth = 0);

private:
  Maybe compute(MlirValue value, int depth);
  Maybe ofStructured(const Structured &op, int depth);
  Maybe ofBody(const Structured &op, const std::vector<Maybe> &arguments);

  std::map<const void *, Maybe> known;
};

Maybe constantRange(MlirAttribute value) {
  if (mlirAttributeIsAFloat(value)) {
    double one = mlirFloatAttrGetValueDouble(value);
    return std::isnan(one) ? std::nullopt : Maybe(Interval{one, one});
  }
  if (!mlirAttributeIsADenseElements(value) ||
      toString(mlirShapedTypeGetElementType(mlirAttributeGetType(value))) !=
          "f32") {
    return std::nullopt;
  }
  const auto *data =
      static_cast<const float *>(mlirDenseElementsAttrGetRawData(value));
  int64_t count = mlirDenseElementsAttrIsSplat(value)
                      ? 1
                      : mlirElementsAttrGetNumElements(value);
  if (!data || count < 1) {
    return std::nullopt;
  }
  Interval range{data[0], data[0]};
  for (int64_t i = 0; i < count; ++i) {
    if (std::isnan(data[i])) {
      return std::nullopt;
    }
    range = hull(range, {data[i], data[i]});
  }
  return range;
}

Maybe scalarOperation(MlirOperation op, const std::vector<Interval> &in) {
  std::string_view what = name(op);
  if (what == "arith.addf") {
    return add(in[0], in[1]);
  }
  if (what == "arith.subf") {
    return add(in[0], {-in[1].high, -in[1].low});
  }
  if (what == "arith.mulf") {
    return multiply(in[0], in[1]);
  }
  if (what == "arith.divf") {
    return divide(in[0], in[1]);
  }
  if (what == "arith.negf") {
    return Interval{-in[0].high, -in[0].low};
  }
  if (what == "arith.maximumf" || what == "arith.maxnumf") {
    return Interval{std::max(in[0].low, in[1].low),
                    std::max(in[0].high, in[1].high)};
  }
  if (what == "arith.minimumf" || what == "arith.minnumf") {
    return Interval{std::min(in[0].low, in[1].low),
                    std::min(in[0].high, in[1].high)};
  }
  if (what == "math.exp") {
    return widened(std::exp(in[0].low), std::exp(in[0].high) * 1.01);
  }
  if (what == "math.tanh" || what == "math.erf") {
    return Interval{-1.01, 1.01};
  }
  if (what == "math.absf") {
    return Interval{0, std::max(std::abs(in[0].low), std::abs(in[0].high))};
  }
  return std::nullopt;
}

Maybe Ranges::ofBody(const Structured &op,
                     const std::vector<Maybe> &arguments) {
  std::map<const void *, Maybe> values;
  for (size_t i = 0; i < arguments.size(); ++i) {
    values[key(mlirBlockGetArgument(body(op.op), intptr_t(i)))] = arguments[i];
  }
  auto look = [&](MlirValue value) -> Maybe {
    auto found = values.find(key(value));
    return found != values.end() ? found->second : of(value);
  };
  for (MlirOperation inner : operations(body(op.op))) {
    if (isa(inner, "linalg.yield")) {
      return mlirOperationGetNumOperands(inner) == 1 ? look(operand(inner, 0))
                                                     : std::nullopt;
    }
    if (mlirOperationGetNumResults(inner) != 1) {
      return std::nullopt;
    }
    Maybe range;
    std::vector<MlirValue> sources = operands(inner);
    if (isa(inner, "arith.select") && sources.size() == 3) {
      Maybe a = look(sources[1]);
      Maybe b = look(sources[2]);
      range = a && b ? Maybe(hull(*a, *b)) : std::nullopt;
    } else if (isa(inner, "tensor.extract")) {
      range = of(sources[0]);
    } else {
      std::vector<Interval> in;
      for (MlirValue source : sources) {
        if (Maybe known = look(source)) {
          in.push_back(*known);
        }
      }
      if (in.size() == sources.size() && !in.empty()) {
        range = scalarOperation(inner, in);
      }
    }
    values[key(result(inner))] = range;
  }
  return std::nullopt;
}

Maybe Ranges::ofStructured(const Structured &op, int depth) {
  std::vector<Maybe> arguments;
  for (MlirValue value : operands(op.op)) {
    arguments.push_back(of(value, depth + 1));
  }
  if (!op.hasReduction()) {
    return ofBody(op, arguments);
  }
  double steps = 1;
  for (int64_t loop = 0; loop < op.numLoops; ++loop) {
    if (op.isReduction(loop)) {
      steps *= double(op.extent(loop).value_or(0));
    }
  }
  if (!rewrite::accumulates(op) || !arguments.back() || steps < 1) {
    return std::nullopt;
  }
  Interval init = *arguments.back();
  MlirOperation combiner =
      definingOp(operand(mlirBlockGetTerminator(body(op.op)), 0));
  if (isa(combiner, "arith.addf")) {
    // One term: the body on an accumulator of zero. Every element of the result
    // has `steps` of them.
    arguments.back() = Interval{0, 0};
    Maybe term = ofBody(op, arguments);
    if (!term || !isFinite(*term)) {
      return std::nullopt;
    }
    return add(init, widened(std::min(0.0, term->low) * steps,
                             std::max(0.0, term->high) * steps));
  }
  return ofBody(op, arguments); // a minimum or maximum
}

Maybe Ranges::compute(MlirValue value, int depth) {
  MlirOperation op = definingOp(value);
  if (isNull(op) || depth > 64) {
    return std::nullopt;
  }
  if (isa(op, "arith.constant")) {
    return constantRange(attr(op, "value"));
  }
  if (std::optional<Affine> affine = asAffine(op)) {
    std::optional<std::pair<double, double>> scale = scaleRange(*affine);
    std::optional<int64_t> zero = zeroPointOf(*affine);
    if (affine->quantizes || !scale || !zero) {
      return std::nullopt;
    }
    return multiply({double(affine->min - *zero), double(affine->max - *zero)},
                    {scale->first, scale->second});
  }
  if (isa(op, "iree_linalg_ext.dequantize_affine")) {
    // A bias in 32 bits, of one scale or one for each channel.
    MlirValue scale = operand(op, 1);
    Maybe range = of(scale, depth + 1);
    std::optional<int64_t> min = intAttr(op, "quant_min");
    std::optional<int64_t> max = intAttr(op, "quant_max");
    return range && min && max
               ? multiply({2.0 * double(*min), 2.0 * double(*max)}, *range)
               : std::nullopt;
  }
  if (isa(op, "tensor.empty")) {
    return Interval{0, 0}; // its writer does not read it
  }
  if (isa(op, "tensor.pad")) {
    Maybe inner = of(operand(op, 0), depth + 1);
    Maybe outer = of(operand(mlirBlockGetTerminator(body(op)), 0), depth + 1);
    return inner && outer ? Maybe(hull(*inner, *outer)) : std::nullopt;
  }
  if (isa(op, "tensor.concat")) {
    Maybe all;
    for (MlirValue part : operands(op)) {
      Maybe one = of(part, depth + 1);
      if (!one) {
        return std::nullopt;
      }
      all = all ? hull(*all, *one) : *one;
    }
    return all;
  }
  if (isa(op, "tensor.collapse_shape") || isa(op, "tensor.expand_shape") ||
      isa(op, "tensor.extract_slice")) {
    return of(operand(op, 0), depth + 1);
  }
  if (std::optional<Structured> loops = structured(op)) {
    return ofStructured(*loops, depth);
  }
  return std::nullopt;
}

Maybe Ranges::of(MlirValue value, int depth) {
  auto found = known.find(key(value));
  if (found != known.end()) {
    return found->second;
  }
  Maybe range = compute(value, depth);
  known[key(value)] = range;
  return range;
}

} // namespace

bool isNeverNaN(MlirValue value) { return Ranges().of(value).has_value(); }

} // namespace serenity::quantized

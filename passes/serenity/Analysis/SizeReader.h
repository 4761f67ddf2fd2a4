// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Reads sizes that are known only at run time as polynomials of dimensions.

#ifndef SERENITY_ANALYSIS_SIZEREADER_H
#define SERENITY_ANALYSIS_SIZEREADER_H

#include "serenity/Core/Packing/SymbolicOffsets.h"
#include "serenity/IREE/MlirC.h"
#include "serenity/Transforms/Options.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// A value of index type that sizes are computed from.
struct SizeSymbol {
  MlirValue value;
  /// `argI:axisJ` for a dimension of an argument, else empty.
  std::string dimension;
  /// The extent at which decisions that need a number are made.
  int64_t hint = 0;
  /// No call has a larger value, as far as `util.assume.int` and
  /// `--serenity-dim-bound` promise; nothing if they do not tell.
  std::optional<int64_t> bound;
  /// Of a value that is no dimension: see `writeExpression`; empty if it has
  /// none.
  std::string expression;
};

/// Sums, products and constants become polynomials; any other operation makes
/// a symbol.
class SizeReader {
public:
  explicit SizeReader(const Options &options) : options(options) {}

  /// Nothing if a coefficient overflows.
  std::optional<SizePolynomial> read(MlirValue value);

  /// The value where every dimension is as its hint; nothing on overflow.
  std::optional<int64_t> atHint(MlirValue value);

  const std::vector<SizeSymbol> &symbols() const { return found; }
  /// The dimensions in the expressions of symbols.
  std::vector<SizeSymbol> expressionDimensions();
  std::vector<int64_t> hints() const;

private:
  SizePolynomial symbolFor(MlirValue value);
  /// The value of `value` where every dimension is as its hint.
  int64_t hintFor(MlirValue value, int depth);

  const Options &options;
  std::vector<SizeSymbol> found;
  std::map<const void *, SizePolynomial> known; // by value
  std::map<std::string, MlirValue> written;     // dimensions in expressions
};

} // namespace serenity

#endif // SERENITY_ANALYSIS_SIZEREADER_H

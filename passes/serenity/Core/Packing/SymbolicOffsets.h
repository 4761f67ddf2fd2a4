// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Offsets of slices whose sizes are known only at run time, as expressions
/// over these sizes. No IR here: sizes are polynomials of numbered symbols,
/// which a caller maps to values.
///
/// The slices are packed once at a hint, a number for every symbol. Of that
/// packing only the stacking order is kept: slice j lies above every slice i
/// that is alive with it and had a lower offset. Then
///
///     offset_j = max over the slices i below j (offset_i + align(size_i)),
///
/// so that no two slices that are alive together overlap, whatever the sizes
/// are, and the height at the hint is at most that of the packing.

#ifndef SERENITY_CORE_PACKING_SYMBOLICOFFSETS_H
#define SERENITY_CORE_PACKING_SYMBOLICOFFSETS_H

#include "serenity/Core/Packing/Offsets.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// A sum of products of symbols with constant coefficients. Symbols stand for
/// extents: integers that are not negative.
class SizePolynomial {
public:
  /// Symbols of a product in ascending order, a power repeated.
  using Product = std::vector<int>;

  SizePolynomial() = default; // 0
  static SizePolynomial constant(int64_t value);
  static SizePolynomial symbol(int number);

  /// The coefficients that are not 0.
  const std::map<Product, int64_t> &terms() const { return coefficients; }
  /// The value, if there are no symbols.
  std::optional<int64_t> constantValue() const;
  /// Nothing on overflow of a coefficient.
  std::optional<SizePolynomial> plus(const SizePolynomial &other) const;
  std::optional<SizePolynomial> times(const SizePolynomial &other) const;
  /// The value where symbol i stands for `values[i]`; nothing on overflow.
  std::optional<int64_t> at(const std::vector<int64_t> &values) const;
  /// Whether the value is a multiple of `unit` for all symbols.
  bool isMultipleOf(int64_t unit) const;
  /// Every coefficient rounded up to a multiple of `unit`: at least the value
  /// rounded up. Nothing on overflow.
  std::optional<SizePolynomial> roundedUp(int64_t unit) const;
  /// Whether no coefficient exceeds that of `other`, so that the value never
  /// does. Sufficient, not necessary.
  bool isAtMost(const SizePolynomial &other) const;
  /// `coefficient` is not 0.
  void setCoefficient(const Product &product, int64_t coefficient) {
    coefficients[product] = coefficient;
  }
  bool operator==(const SizePolynomial &other) const {
    return coefficients == other.coefficients;
  }
  bool operator<(const SizePolynomial &other) const {
    return coefficients < other.coefficients;
  }

private:
  std::map<Product, int64_t> coefficients;
};

/// The largest of some polynomials, none of which is at most another one; 0 if
/// there are none.
using SizeMaximum = std::vector<SizePolynomial>;

/// The value of a symbol that `packSymbolic` adds: the maximum of `of`,
/// rounded up to a multiple of `unit`.
struct SizeDefinition {
  SizeMaximum of;
  int64_t unit = 1;
};

/// A buffer to place, live in the half-open interval [lower, upper).
struct SymbolicSlice {
  int64_t lower = 0;
  int64_t upper = 0;
  SizePolynomial bytes;
};

struct SymbolicPacking {
  std::vector<SizeMaximum> offsets; // per slice
  /// Maximum of offset + aligned size.
  SizeMaximum height;
  /// At the hint, in bytes.
  std::vector<int64_t> offsetsAtHint;
  int64_t heightAtHint = 0;
  /// The packing at the hint is of least height.
  bool optimalAtHint = false;
};

/// Packs slices of sizes that are polynomials of `hints.size()` symbols, and of
/// those that it adds behind them.
class SymbolicPacker {
public:
  /// `hints`: a value for each symbol. `options.rangeAlignment` must be a
  /// multiple of `options.offsetAlignment`.
  SymbolicPacker(std::vector<int64_t> hints, const PackOptions &options)
      : symbols(hints.size()), values(std::move(hints)), options(options) {}

  /// Nothing if a number overflows or a slice is invalid (see `verifySlices`).
  std::optional<SymbolicPacking> pack(const std::vector<SymbolicSlice> &slices);

  /// The size rounded up to the range alignment.
  std::optional<SizePolynomial> aligned(const SizePolynomial &size);

  /// Whether every member is at most `bound`, whatever the symbols stand for;
  /// sizes that were rounded up are bounded by polynomials. Sufficient, not
  /// necessary.
  bool isAtMost(const SizeMaximum &maximum, const SizePolynomial &bound) const;

  /// Of the symbols that were added, in order; each refers to earlier ones.
  const std::vector<SizeDefinition> &definitions() const { return added; }
  /// Values at the hint, of the symbols that were added too.
  const std::vector<int64_t> &hints() const { return values; }

private:
  std::optional<SizePolynomial> define(SizeDefinition definition);
  bool isAtMost(const SizePolynomial &left, const SizePolynomial &right) const;
  std::optional<SizePolynomial> bounded(const SizePolynomial &polynomial,
                                        bool above) const;
  bool add(SizeMaximum &maximum, const SizePolynomial &candidate);

  size_t symbols;
  std::vector<int64_t> values;
  PackOptions options;
  std::vector<SizeDefinition> added;
};

/// As text, such as `max(1024 + 64*d0, 48*d0*d1)`; `names` by symbol.
std::string toString(const SizeMaximum &maximum,
                     const std::vector<std::string> &names);

} // namespace serenity

#endif // SERENITY_CORE_PACKING_SYMBOLICOFFSETS_H

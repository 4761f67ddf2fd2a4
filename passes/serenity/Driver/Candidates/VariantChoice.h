// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The choice among the variants of every function. A decision on numbers
/// alone: no IR and no solver.

#ifndef SERENITY_DRIVER_CANDIDATES_VARIANTCHOICE_H
#define SERENITY_DRIVER_CANDIDATES_VARIANTCHOICE_H

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace serenity {

/// Transient peak in bytes of each function, by name; nothing if not static.
using Peaks = std::map<std::string, std::optional<int64_t>>;

/// How far a function is from the stock compiler's result: not at all, with
/// offsets of serenity-pack in IREE's order, or reordered by the passes.
enum class Variant { Stock, Offsets, Reordered };

/// The memory of the stock candidate that others are compared with.
struct StockMemory {
  Peaks peaks;
  /// With results, of the functions of which these may lie in inputs, where
  /// both are exact.
  Peaks withResults;
};

/// The bytes that variants and candidates are compared by: those of `peaks`,
/// less the results that the function does not allocate, as they lie in inputs.
/// `withResults` are the peaks with results. Nothing for a function that saves
/// results at the cost of more transient memory than as stock.
Peaks comparedBytes(const Peaks &peaks, const Peaks &withResults,
                    const StockMemory &stock);

/// The bytes that the choice is made by, as `comparedBytes` has them.
struct VariantPeaks {
  Peaks stock;
  /// With offsets of serenity-pack in IREE's order; null where these must not
  /// be used.
  const Peaks *offsets = nullptr;
  /// Reordered; null if there is no such module.
  const Peaks *reordered = nullptr;
  /// The reordered module is another candidate than the stock one, which is
  /// taken for all functions or none.
  bool reorderedIsWhole = false;
};

struct VariantChoice {
  /// Per function of `VariantPeaks::stock`.
  std::map<std::string, Variant> variants;

  bool any(Variant variant) const;
  /// Whether every function with transient memory is reordered. One without
  /// is the same in every variant.
  bool allReordered(const Peaks &stock) const;
};

/// Per function the variant of fewest bytes, the one that changes less among
/// equals. Without a number offsets can still only gain. `override`, if it is
/// set and returns a variant for a function, decides instead.
VariantChoice chooseVariants(
    const VariantPeaks &peaks,
    const std::function<std::optional<Variant>(const std::string &)> &override =
        nullptr);

} // namespace serenity

#endif // SERENITY_DRIVER_CANDIDATES_VARIANTCHOICE_H

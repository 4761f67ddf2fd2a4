// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Upper bounds of sizes whose symbols are bounded.

#ifndef SERENITY_CORE_PACKING_SIZEBOUNDS_H
#define SERENITY_CORE_PACKING_SIZEBOUNDS_H

#include "serenity/Core/Packing/SymbolicOffsets.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// An upper bound in bytes, or the reason why there is none.
struct SizeBound {
  std::optional<int64_t> bytes;
  std::string reason;
};

/// Bounds sizes over all values of their symbols from 0 to a bound each.
///
/// A polynomial without a negative coefficient (the constant aside) grows with
/// every symbol, and so do maxima and sizes that are rounded up: the value
/// where every symbol is at its bound is the largest. No other size is bounded.
class SizeBounds {
public:
  /// A symbol: the words for it in reasons, and its largest value.
  struct Symbol {
    std::string name;
    std::optional<int64_t> bound;
  };

  /// `definitions` as in `SymbolicPacker::definitions`.
  SizeBounds(const std::vector<Symbol> &symbols,
             const std::vector<SizeDefinition> &definitions);

  SizeBound of(const SizeMaximum &maximum) const;

private:
  SizeBound of(const SizePolynomial &polynomial) const;

  struct Entry {
    std::string name;
    SizeBound bound;
  };
  std::vector<Entry> entries; // by symbol, the defined ones too
};

} // namespace serenity

#endif // SERENITY_CORE_PACKING_SIZEBOUNDS_H

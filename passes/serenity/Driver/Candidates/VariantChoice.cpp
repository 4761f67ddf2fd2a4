// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Candidates/VariantChoice.h"

#include <algorithm>

namespace serenity {

bool VariantChoice::any(Variant variant) const {
  return std::any_of(variants.begin(), variants.end(),
                     [&](const auto &item) { return item.second == variant; });
}

bool VariantChoice::allReordered(const Peaks &stock) const {
  return std::all_of(stock.begin(), stock.end(), [&](const auto &item) {
    return variants.at(item.first) == Variant::Reordered || item.second == 0;
  });
}

static std::optional<int64_t> peakOf(const Peaks &peaks,
                                     const std::string &name) {
  auto known = peaks.find(name);
  return known == peaks.end() ? std::nullopt : known->second;
}

Peaks comparedBytes(const Peaks &peaks, const Peaks &withResults,
                    const StockMemory &stock) {
  Peaks compared = peaks;
  for (auto &[name, bytes] : compared) {
    const std::optional<int64_t> all = peakOf(withResults, name);
    const std::optional<int64_t> stockBytes = peakOf(stock.peaks, name);
    const std::optional<int64_t> stockAll = peakOf(stock.withResults, name);
    if (!bytes || !all || !stockBytes || !stockAll) {
      continue;
    }
    const int64_t saved = (*stockAll - *stockBytes) - (*all - *bytes);
    if (saved > 0) {
      bytes =
          *bytes <= *stockBytes ? std::optional(*bytes - saved) : std::nullopt;
    }
  }
  return compared;
}

VariantChoice
chooseVariants(const VariantPeaks &peaks,
               const std::function<std::optional<Variant>(const std::string &)>
                   &override) {
  VariantChoice choice;
  for (const auto &[name, stock] : peaks.stock) {
    Variant best = Variant::Stock;
    std::optional<int64_t> least = stock;
    if (peaks.offsets) {
      std::optional<int64_t> offsets = peakOf(*peaks.offsets, name);
      if (!stock || (offsets && *offsets < *stock)) {
        best = Variant::Offsets;
        least = offsets;
      }
    }
    if (peaks.reordered) {
      std::optional<int64_t> reordered = peakOf(*peaks.reordered, name);
      if (peaks.reorderedIsWhole ||
          (reordered && least && *reordered < *least)) {
        best = Variant::Reordered;
      }
    }
    if (override) {
      best = override(name).value_or(best);
    }
    choice.variants[name] = best;
  }
  return choice;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Packing/SizeBounds.h"

#include <algorithm>
#include <limits>

namespace serenity {

namespace {

SizeBound tooLarge() {
  return {std::nullopt, "it exceeds 64 bits at the bounds"};
}

} // namespace

SizeBounds::SizeBounds(const std::vector<Symbol> &symbols,
                       const std::vector<SizeDefinition> &definitions) {
  for (const Symbol &symbol : symbols) {
    entries.push_back(
        {symbol.name,
         {symbol.bound, symbol.bound ? "" : symbol.name + " has no bound"}});
  }
  for (const SizeDefinition &definition : definitions) {
    SizeBound bound = of(definition.of);
    if (bound.bytes) {
      int64_t padding = definition.unit - 1;
      bound = *bound.bytes > std::numeric_limits<int64_t>::max() - padding
                  ? tooLarge()
                  : SizeBound{(*bound.bytes + padding) / definition.unit *
                                  definition.unit,
                              ""};
    }
    entries.push_back({"a rounded size", bound});
  }
}

SizeBound SizeBounds::of(const SizePolynomial &polynomial) const {
  int64_t sum = 0;
  for (const auto &[product, coefficient] : polynomial.terms()) {
    if (coefficient < 0 && !product.empty()) {
      return {std::nullopt, "it falls where " +
                                entries[size_t(product.front())].name +
                                " grows"};
    }
    int64_t term = coefficient;
    for (int symbol : product) {
      const SizeBound &factor = entries[size_t(symbol)].bound;
      if (!factor.bytes) {
        return factor;
      }
      if (__builtin_mul_overflow(term, *factor.bytes, &term)) {
        return tooLarge();
      }
    }
    if (__builtin_add_overflow(sum, term, &sum)) {
      return tooLarge();
    }
  }
  return {sum, ""};
}

SizeBound SizeBounds::of(const SizeMaximum &maximum) const {
  SizeBound most = {0, ""};
  for (const SizePolynomial &member : maximum) {
    SizeBound bound = of(member);
    if (!bound.bytes) {
      return bound;
    }
    most.bytes = std::max(*most.bytes, *bound.bytes);
  }
  return most;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Packing/SymbolicOffsets.h"

#include "serenity/Core/Packing/OffsetsInternal.h"

#include <algorithm>
#include <numeric>

namespace serenity {

namespace {

/// A maximum of more members gets a symbol of its own, so that sums of maxima
/// do not multiply.
constexpr size_t maxMembers = 8;

std::optional<int64_t> roundUp(int64_t bytes, int64_t unit) {
  int64_t sum;
  if (__builtin_add_overflow(bytes, unit - 1, &sum)) {
    return std::nullopt;
  }
  return alignUp(bytes, unit);
}

std::optional<int64_t> valueAt(const SizeMaximum &maximum,
                               const std::vector<int64_t> &values) {
  int64_t most = 0;
  for (const SizePolynomial &member : maximum) {
    std::optional<int64_t> value = member.at(values);
    if (!value) {
      return std::nullopt;
    }
    most = std::max(most, *value);
  }
  return most;
}

} // namespace

//===----------------------------------------------------------------------===//
// Polynomials
//===----------------------------------------------------------------------===//

SizePolynomial SizePolynomial::constant(int64_t value) {
  SizePolynomial result;
  if (value != 0) {
    result.coefficients[{}] = value;
  }
  return result;
}

SizePolynomial SizePolynomial::symbol(int number) {
  SizePolynomial result;
  result.coefficients[{number}] = 1;
  return result;
}

std::optional<int64_t> SizePolynomial::constantValue() const {
  if (coefficients.empty()) {
    return 0;
  }
  if (coefficients.size() == 1 && coefficients.begin()->first.empty()) {
    return coefficients.begin()->second;
  }
  return std::nullopt;
}

std::optional<SizePolynomial>
SizePolynomial::plus(const SizePolynomial &other) const {
  SizePolynomial sum = *this;
  for (const auto &[product, coefficient] : other.coefficients) {
    int64_t &total = sum.coefficients[product];
    if (__builtin_add_overflow(total, coefficient, &total)) {
      return std::nullopt;
    }
    if (total == 0) {
      sum.coefficients.erase(product);
    }
  }
  return sum;
}

std::optional<SizePolynomial>
SizePolynomial::times(const SizePolynomial &other) const {
  SizePolynomial result;
  for (const auto &[left, a] : coefficients) {
    for (const auto &[right, b] : other.coefficients) {
      Product product;
      std::merge(left.begin(), left.end(), right.begin(), right.end(),
                 std::back_inserter(product));
      int64_t both;
      int64_t &total = result.coefficients[product];
      if (__builtin_mul_overflow(a, b, &both) ||
          __builtin_add_overflow(total, both, &total)) {
        return std::nullopt;
      }
      if (total == 0) {
        result.coefficients.erase(product);
      }
    }
  }
  return result;
}

std::optional<int64_t>
SizePolynomial::at(const std::vector<int64_t> &values) const {
  int64_t sum = 0;
  for (const auto &[product, coefficient] : coefficients) {
    int64_t term = coefficient;
    for (int symbol : product) {
      if (__builtin_mul_overflow(term, values[size_t(symbol)], &term)) {
        return std::nullopt;
      }
    }
    if (__builtin_add_overflow(sum, term, &sum)) {
      return std::nullopt;
    }
  }
  return sum;
}

bool SizePolynomial::isMultipleOf(int64_t unit) const {
  return std::all_of(
      coefficients.begin(), coefficients.end(),
      [unit](const auto &term) { return term.second % unit == 0; });
}

std::optional<SizePolynomial> SizePolynomial::roundedUp(int64_t unit) const {
  SizePolynomial result = *this;
  for (auto &[product, coefficient] : result.coefficients) {
    std::optional<int64_t> rounded = roundUp(coefficient, unit);
    if (!rounded) {
      return std::nullopt;
    }
    coefficient = *rounded;
  }
  return result;
}

bool SizePolynomial::isAtMost(const SizePolynomial &other) const {
  auto coefficientIn = [](const SizePolynomial &polynomial,
                          const Product &product) {
    auto found = polynomial.coefficients.find(product);
    return found == polynomial.coefficients.end() ? 0 : found->second;
  };
  for (const auto &[product, coefficient] : coefficients) {
    if (coefficient > coefficientIn(other, product)) {
      return false;
    }
  }
  for (const auto &[product, coefficient] : other.coefficients) {
    if (coefficient < coefficientIn(*this, product)) {
      return false;
    }
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Maxima
//===----------------------------------------------------------------------===//

std::string toString(const SizeMaximum &maximum,
                     const std::vector<std::string> &names) {
  auto print = [&](const SizePolynomial &polynomial) {
    std::string text;
    for (const auto &[product, coefficient] : polynomial.terms()) {
      std::string term = coefficient != 1 || product.empty()
                             ? std::to_string(coefficient)
                             : "";
      for (int symbol : product) {
        term += (term.empty() ? "" : "*") + names[size_t(symbol)];
      }
      text += (text.empty() ? "" : " + ") + term;
    }
    return text.empty() ? std::string("0") : text;
  };
  if (maximum.empty()) {
    return "0";
  }
  if (maximum.size() == 1) {
    return print(maximum.front());
  }
  std::string text;
  for (const SizePolynomial &member : maximum) {
    text += (text.empty() ? "max(" : ", ") + print(member);
  }
  return text + ")";
}

//===----------------------------------------------------------------------===//
// Packing
//===----------------------------------------------------------------------===//

std::optional<SizePolynomial>
SymbolicPacker::define(SizeDefinition definition) {
  for (size_t i = 0; i < added.size(); ++i) {
    if (added[i].of == definition.of && added[i].unit == definition.unit) {
      return SizePolynomial::symbol(int(symbols + i));
    }
  }
  std::optional<int64_t> value = valueAt(definition.of, values);
  value = value ? roundUp(*value, definition.unit) : std::nullopt;
  if (!value) {
    return std::nullopt;
  }
  added.push_back(std::move(definition));
  values.push_back(*value);
  return SizePolynomial::symbol(int(values.size()) - 1);
}

std::optional<SizePolynomial>
SymbolicPacker::aligned(const SizePolynomial &size) {
  if (size.isMultipleOf(options.rangeAlignment)) {
    return size;
  }
  if (std::optional<int64_t> bytes = size.constantValue()) {
    std::optional<int64_t> rounded = roundUp(*bytes, options.rangeAlignment);
    return rounded ? std::optional(SizePolynomial::constant(*rounded))
                   : std::nullopt;
  }
  return define({{size}, options.rangeAlignment});
}

/// The polynomial with a bound instead of every size that was rounded up.
std::optional<SizePolynomial>
SymbolicPacker::bounded(const SizePolynomial &polynomial, bool above) const {
  std::optional<SizePolynomial> sum = SizePolynomial();
  for (const auto &[product, coefficient] : polynomial.terms()) {
    std::optional<SizePolynomial> term = SizePolynomial::constant(coefficient);
    for (int symbol : product) {
      std::optional<SizePolynomial> factor = SizePolynomial::symbol(symbol);
      if (size_t(symbol) >= symbols) {
        const SizeDefinition &definition = added[size_t(symbol) - symbols];
        if (definition.unit > 1) {
          const SizePolynomial &size = definition.of.front();
          factor = above ? size.roundedUp(definition.unit) : size;
        }
      }
      term = term && factor ? term->times(*factor) : std::nullopt;
    }
    sum = sum && term ? sum->plus(*term) : std::nullopt;
  }
  return sum;
}

bool SymbolicPacker::isAtMost(const SizePolynomial &left,
                              const SizePolynomial &right) const {
  // Common terms need not be bounded.
  SizePolynomial common;
  for (const auto &[product, coefficient] : left.terms()) {
    auto other = right.terms().find(product);
    if (other != right.terms().end()) {
      common.setCoefficient(product, -std::min(coefficient, other->second));
    }
  }
  std::optional<SizePolynomial> least = left.plus(common);
  std::optional<SizePolynomial> most = right.plus(common);
  least = least ? bounded(*least, /*above=*/true) : std::nullopt;
  most = most ? bounded(*most, /*above=*/false) : std::nullopt;
  return least && most && least->isAtMost(*most);
}

bool SymbolicPacker::isAtMost(const SizeMaximum &maximum,
                              const SizePolynomial &bound) const {
  return std::all_of(
      maximum.begin(), maximum.end(),
      [&](const SizePolynomial &member) { return isAtMost(member, bound); });
}

/// Adds a member, and drops members that are at most another one; replaces all
/// of too many by a symbol that stands for their maximum.
bool SymbolicPacker::add(SizeMaximum &maximum,
                         const SizePolynomial &candidate) {
  for (const SizePolynomial &member : maximum) {
    if (isAtMost(candidate, member)) {
      return true;
    }
  }
  maximum.erase(std::remove_if(maximum.begin(), maximum.end(),
                               [&](const SizePolynomial &member) {
                                 return isAtMost(member, candidate);
                               }),
                maximum.end());
  maximum.insert(std::upper_bound(maximum.begin(), maximum.end(), candidate),
                 candidate);
  if (maximum.size() > maxMembers) {
    std::optional<SizePolynomial> whole = define({maximum, 1});
    if (!whole) {
      return false;
    }
    maximum = {*whole};
  }
  return true;
}

std::optional<SymbolicPacking>
SymbolicPacker::pack(const std::vector<SymbolicSlice> &slices) {
  std::vector<SizePolynomial> sizes;
  std::vector<Slice> atHint;
  for (const SymbolicSlice &slice : slices) {
    std::optional<SizePolynomial> size = aligned(slice.bytes);
    std::optional<int64_t> bytes = size ? size->at(values) : std::nullopt;
    if (!bytes) {
      return std::nullopt;
    }
    sizes.push_back(*size);
    Slice whole;
    whole.lower = slice.lower;
    whole.upper = slice.upper;
    whole.bytes = std::max<int64_t>(*bytes, options.rangeAlignment);
    atHint.push_back(whole);
  }
  if (!verifySlices(atHint, options)) {
    return std::nullopt;
  }
  PackResult packed = serenity::pack(atHint, options);
  std::vector<size_t> order(slices.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return packed.offsets[a] < packed.offsets[b];
  });

  SymbolicPacking result;
  result.optimalAtHint = packed.optimal;
  result.offsets.resize(slices.size());
  for (size_t position = 0; position < order.size(); ++position) {
    size_t j = order[position];
    for (size_t below = 0; below < position; ++below) {
      size_t i = order[below];
      if (slices[i].lower >= slices[j].upper ||
          slices[j].lower >= slices[i].upper) {
        continue;
      }
      for (const SizePolynomial &offset : result.offsets[i].empty()
                                              ? SizeMaximum{SizePolynomial()}
                                              : result.offsets[i]) {
        std::optional<SizePolynomial> end = offset.plus(sizes[i]);
        if (!end || !add(result.offsets[j], *end)) {
          return std::nullopt;
        }
      }
    }
    for (const SizePolynomial &offset : result.offsets[j].empty()
                                            ? SizeMaximum{SizePolynomial()}
                                            : result.offsets[j]) {
      std::optional<SizePolynomial> end = offset.plus(sizes[j]);
      if (!end || !add(result.height, *end)) {
        return std::nullopt;
      }
    }
  }
  for (const SizeMaximum &offset : result.offsets) {
    std::optional<int64_t> bytes = valueAt(offset, values);
    if (!bytes) {
      return std::nullopt;
    }
    result.offsetsAtHint.push_back(*bytes);
  }
  std::optional<int64_t> height = valueAt(result.height, values);
  if (!height) {
    return std::nullopt;
  }
  result.heightAtHint = *height;
  return result;
}

} // namespace serenity

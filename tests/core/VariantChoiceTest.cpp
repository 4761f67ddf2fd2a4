// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// VariantChoiceTest: the variant of every function, on numbers by hand.

#include "Expect.h"

#include "serenity/Driver/Candidates/VariantChoice.h"

#include <cstdio>

using namespace serenity;
using namespace serenity::test;

namespace {

/// Functions with the peaks 100, 100, 100, 0 and of dynamic size as stock;
/// offsets of serenity-pack save in the first two, reordering more in the
/// second.
const Peaks stock = {{"a", 100},
                     {"b", 100},
                     {"c", 100},
                     {"empty", 0},
                     {"dynamic", std::nullopt}};
const Peaks offsets = {
    {"a", 90}, {"b", 90}, {"c", 100}, {"empty", 0}, {"dynamic", std::nullopt}};
const Peaks reordered = {
    {"a", 90}, {"b", 80}, {"c", 120}, {"empty", 0}, {"dynamic", std::nullopt}};

void testLeastPeak() {
  VariantPeaks peaks{stock, &offsets, &reordered, /*reorderedIsWhole=*/false};
  VariantChoice choice = chooseVariants(peaks);
  expect(choice.variants["a"] == Variant::Offsets,
         "among equals, the variant that changes less");
  expect(choice.variants["b"] == Variant::Reordered, "the least peak");
  expect(choice.variants["c"] == Variant::Stock, "stock if nothing needs less");
  expect(choice.variants["empty"] == Variant::Stock, "stock without memory");
  expect(choice.variants["dynamic"] == Variant::Offsets,
         "offsets where sizes are dynamic");
  expect(choice.any(Variant::Reordered) && choice.any(Variant::Offsets),
         "both are used");
  expect(!choice.allReordered(stock), "not all are reordered");
}

void testWholeCandidate() {
  VariantPeaks peaks{stock, &offsets, &reordered, /*reorderedIsWhole=*/true};
  VariantChoice choice = chooseVariants(peaks);
  for (const auto &item : choice.variants) {
    expect(item.second == Variant::Reordered,
           "a whole candidate for all functions");
  }
  expect(choice.allReordered(stock), "all are reordered");
}

void testNothingMayChange() {
  VariantChoice choice = chooseVariants({stock, nullptr, nullptr, false});
  expect(!choice.any(Variant::Reordered) && !choice.any(Variant::Offsets),
         "stock where nothing may change");
}

void testFunctionsWithoutMemory() {
  const Peaks small = {{"a", 100}, {"empty", 0}};
  const Peaks less = {{"a", 50}, {"empty", 0}};
  VariantChoice choice = chooseVariants({small, &small, &less, false});
  expect(choice.variants["empty"] == Variant::Stock &&
             choice.allReordered(small),
         "a function without memory is the same in every variant");
}

void testResultsInInputs() {
  const Peaks peaks = {
      {"none", 100}, {"some", 100}, {"slab", 100}, {"no", 100}};
  const Peaks all = {{"none", 140}, {"some", 140}, {"slab", 140}};
  const Peaks less = {{"none", 90}, {"some", 100}, {"slab", 110}, {"no", 90}};
  const Peaks lessAll = {{"none", 130}, {"some", 110}, {"slab", 120}};
  const Peaks compared = comparedBytes(less, lessAll, {peaks, all});
  expect(compared.at("none") == 90,
         "transient bytes where results are as stock");
  expect(compared.at("some") == 70, "less results that are not allocated");
  expect(!compared.at("slab"), "no transient bytes in exchange for results");
  expect(compared.at("no") == 90, "transient bytes where results do not count");
}

void testOverride() {
  VariantChoice choice =
      chooseVariants({stock, &offsets, &reordered, false},
                     [](const std::string &name) -> std::optional<Variant> {
                       return name == "b"
                                  ? std::optional<Variant>(Variant::Offsets)
                                  : std::nullopt;
                     });
  expect(choice.variants["b"] == Variant::Offsets, "a budget decides");
  expect(choice.variants["a"] == Variant::Offsets, "else the peaks");
  expect(!choice.any(Variant::Reordered), "nothing stays reordered");
}

} // namespace

int main() {
  testLeastPeak();
  testWholeCandidate();
  testNothingMayChange();
  testFunctionsWithoutMemory();
  testResultsInInputs();
  testOverride();
  if (failures == 0) {
    std::puts("variants are chosen as by hand");
  }
  return failures != 0;
}

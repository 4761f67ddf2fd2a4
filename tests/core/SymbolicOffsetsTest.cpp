// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// SymbolicOffsetsTest [instances] [first seed]: offsets that are expressions
// over sizes, evaluated at many sizes. Whatever the sizes are, no two slices
// that are alive together overlap, and what is said to be at most something
// else is; at the hint the height is that of the best packing.

#include "serenity/Core/Packing/SymbolicOffsets.h"
#include "serenity/Core/Packing/SizeBounds.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

using namespace serenity;

namespace {

using Random = std::mt19937_64;

constexpr int64_t unit = 64;

int64_t below(Random &random, int64_t limit) {
  return int64_t(random() % uint64_t(limit));
}

/// The values of all symbols where the first ones are `extents`.
std::vector<int64_t> allValues(const SymbolicPacker &packer,
                               std::vector<int64_t> extents) {
  for (const SizeDefinition &definition : packer.definitions()) {
    int64_t most = 0;
    for (const SizePolynomial &member : definition.of) {
      most = std::max(most, member.at(extents).value());
    }
    extents.push_back((most + definition.unit - 1) / definition.unit *
                      definition.unit);
  }
  return extents;
}

int64_t valueOf(const SizeMaximum &maximum,
                const std::vector<int64_t> &values) {
  int64_t most = 0;
  for (const SizePolynomial &member : maximum) {
    most = std::max(most, member.at(values).value());
  }
  return most;
}

SizePolynomial randomSize(Random &random, int symbols) {
  SizePolynomial size;
  for (int64_t terms = 1 + below(random, 2); terms > 0; --terms) {
    SizePolynomial term = SizePolynomial::constant(4 + 4 * below(random, 60));
    for (int64_t factors = below(random, 3); factors > 0; --factors) {
      term = *term.times(SizePolynomial::symbol(int(below(random, symbols))));
    }
    size = *size.plus(term);
  }
  return size;
}

bool fail(uint64_t seed, const std::string &what) {
  std::printf("MISMATCH at seed %llu: %s\n",
              static_cast<unsigned long long>(seed), what.c_str());
  return false;
}

struct Coverage {
  int64_t sizes = 0;
  int64_t maxima = 0;
  int64_t defined = 0;
  int64_t bounded = 0;
};

bool test(uint64_t seed, Coverage &coverage) {
  Random random(seed);
  const int symbols = 1 + int(below(random, 3));
  std::vector<int64_t> hints;
  for (int i = 0; i < symbols; ++i) {
    hints.push_back(1 + below(random, 100));
  }
  std::vector<SymbolicSlice> slices;
  // Many slices with one large intersection exceed the limit of a maximum.
  const int64_t count = 1 + below(random, seed % 8 == 0 ? 40 : 10);
  for (int64_t i = 0; i < count; ++i) {
    SymbolicSlice slice;
    slice.lower = below(random, 10);
    slice.upper = slice.lower + 1 + below(random, 6);
    slice.bytes = randomSize(random, symbols);
    slices.push_back(slice);
  }
  PackOptions options;
  options.offsetAlignment = seed % 3 == 0 ? 16 : unit;
  options.rangeAlignment = unit;
  options.nodeLimit = 20000;
  SymbolicPacker packer(hints, options);
  std::optional<SymbolicPacking> packing = packer.pack(slices);
  if (!packing) {
    return fail(seed, "small numbers are refused");
  }
  SizePolynomial bound = randomSize(random, symbols);
  for (int64_t i = below(random, 4); i > 0; --i) {
    const SymbolicSlice &slice = slices[size_t(below(random, count))];
    bound = *bound.plus(packer.aligned(slice.bytes).value());
  }
  const bool bounded = packer.isAtMost(packing->height, bound);
  coverage.bounded += bounded;
  coverage.maxima += packing->height.size() > 1;
  for (const SizeDefinition &definition : packer.definitions()) {
    coverage.defined += definition.unit == 1;
  }

  // The extents tried below are less than 1,000.
  std::vector<SizeBounds::Symbol> largest(size_t(symbols), {"d", 1000});
  SizeBound most =
      SizeBounds(largest, packer.definitions()).of(packing->height);
  std::vector<int64_t> corner(size_t(symbols), 1000);
  if (most.bytes != valueOf(packing->height, allValues(packer, corner))) {
    return fail(seed, "the bound is not the height at the bounds");
  }

  for (int trial = 0; trial < 20; ++trial) {
    std::vector<int64_t> extents = hints;
    for (int64_t &extent : extents) {
      if (trial > 0) {
        extent = below(random, trial < 10 ? 4 : 1000);
      }
    }
    std::vector<int64_t> values = allValues(packer, extents);
    std::vector<Slice> atExtents;
    std::vector<int64_t> offsets;
    int64_t height = 0;
    for (size_t i = 0; i < slices.size(); ++i) {
      Slice slice;
      slice.lower = slices[i].lower;
      slice.upper = slices[i].upper;
      slice.bytes = slices[i].bytes.at(values).value();
      const int64_t offset = valueOf(packing->offsets[i], values);
      height =
          std::max(height, offset + (slice.bytes + unit - 1) / unit * unit);
      if (slice.bytes == 0) {
        continue; // no byte of it overlaps anything
      }
      offsets.push_back(offset);
      atExtents.push_back(slice);
    }
    ++coverage.sizes;
    if (Status valid = verifyPacking(atExtents, options, offsets); !valid) {
      return fail(seed, valid.message() + " in trial " + std::to_string(trial));
    }
    if (height != valueOf(packing->height, values)) {
      return fail(seed, "the height is not that of the slices");
    }
    if (height > *most.bytes) {
      return fail(seed, "the height exceeds that at the bounds");
    }
    if (bounded && height > bound.at(values).value()) {
      return fail(seed, "the height exceeds its bound");
    }
    if (trial == 0) {
      PackResult best = pack(atExtents, options);
      if (height != packing->heightAtHint || height > best.heightBytes ||
          (best.optimal && height < best.heightBytes)) {
        return fail(seed, "at the hint " + std::to_string(height) + ", not " +
                              std::to_string(best.heightBytes));
      }
    }
  }
  return true;
}

/// d0 stands for a batch: one size is a multiple of the other.
bool testText() {
  PackOptions options;
  options.offsetAlignment = options.rangeAlignment = unit;
  SymbolicPacker packer({100}, options);
  SizePolynomial batch = SizePolynomial::symbol(0);
  auto rows = [&](int64_t bytes) {
    return *batch.times(SizePolynomial::constant(bytes));
  };
  // 2048 d0 and 1200 d0 exist together, then 1200 d0 and 480 d0.
  std::optional<SymbolicPacking> packing =
      packer.pack({{0, 2, rows(2048)}, {1, 3, rows(1200)}, {2, 4, rows(480)}});
  std::vector<std::string> names = {"d0", "a", "b"};
  if (!packing || toString(packing->height, names) != "2048*d0 + a" ||
      packer.definitions().size() != 2) {
    std::printf("the formula is %s\n",
                packing ? toString(packing->height, names).c_str() : "none");
    return false;
  }
  return true;
}

/// Bounds that do not exist are refused with a reason.
bool testRefusedBounds() {
  SizePolynomial batch = SizePolynomial::symbol(0);
  auto reasonOf = [&](std::optional<int64_t> bound, int64_t factor,
                      int64_t constant) {
    SizePolynomial bytes = *batch.times(SizePolynomial::constant(factor))
                                ->plus(SizePolynomial::constant(constant));
    SizeBound found = SizeBounds({{"N", bound}}, {{{bytes}, unit}})
                          .of(SizeMaximum{SizePolynomial::symbol(1)});
    return found.bytes ? std::to_string(*found.bytes) : found.reason;
  };
  const int64_t huge = int64_t(1) << 60;
  const std::pair<std::string, std::string> expected[] = {
      {reasonOf(10, 4, 0), "64"},
      // A constant that is taken away changes nothing: 4 * 50 - 8 = 192.
      {reasonOf(50, 4, -8), "192"},
      {reasonOf(std::nullopt, 4, 0), "N has no bound"},
      {reasonOf(10, -4, 400), "it falls where N grows"},
      {reasonOf(huge, 64, 0), "it exceeds 64 bits at the bounds"},
      {reasonOf(huge, 7, huge - 1), "it exceeds 64 bits at the bounds"}};
  for (const auto &[found, wanted] : expected) {
    if (found != wanted) {
      std::printf("the bound is %s, not %s\n", found.c_str(), wanted.c_str());
      return false;
    }
  }
  return true;
}

} // namespace

int main(int argc, char **argv) {
  const int64_t count = argc > 1 ? std::atoll(argv[1]) : 2000;
  const uint64_t first =
      argc > 2 ? std::strtoull(argv[2], nullptr, 10) : uint64_t(1);
  if (!testText() || !testRefusedBounds()) {
    return 1;
  }
  Coverage coverage;
  for (int64_t i = 0; i < count; ++i) {
    if (!test(first + uint64_t(i), coverage)) {
      return 1;
    }
  }
  std::printf("%lld instances at %lld sizes; %lld maxima, %lld of them named, "
              "%lld bounded; no mismatch\n",
              static_cast<long long>(count),
              static_cast<long long>(coverage.sizes),
              static_cast<long long>(coverage.maxima),
              static_cast<long long>(coverage.defined),
              static_cast<long long>(coverage.bounded));
  return count >= 500 && (coverage.maxima == 0 || coverage.defined == 0 ||
                          coverage.bounded == 0)
             ? 1
             : 0;
}

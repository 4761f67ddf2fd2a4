// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TESTS_CORE_RANDOMSLICES_H
#define SERENITY_TESTS_CORE_RANDOMSLICES_H

#include "serenity/Core/Packing/Offsets.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace serenity::test {

/// Times run from 0 to this.
constexpr int kHorizon = 9;

/// Slices with their alignments of offsets and ranges.
struct Packing {
  std::vector<Slice> slices;
  PackOptions options;
};

/// Random offset instances of up to 7 slices: plain ones, and such with
/// alignments, fixed offsets and gaps. Equal seeds give equal instances. All
/// is well formed but for fixed offsets, which may overlap each other.
class RandomSlices {
public:
  explicit RandomSlices(uint64_t seed) : random(seed) {}

  Packing make() {
    Packing packing;
    bool isPlain = range(0, 4) == 0;
    bool hasAlignments = !isPlain && range(0, 1) == 0;
    bool hasFixed = !isPlain && range(0, 1) == 0;
    bool hasGaps = !isPlain && range(0, 1) == 0;
    const int64_t alignments[] = {1, 2, 3, 4};
    if (hasAlignments) {
      packing.options.offsetAlignment = alignments[range(0, 3)];
      packing.options.rangeAlignment = alignments[range(0, 3)];
    }
    int count = range(1, 7);
    int largest = range(0, 2) == 0 ? 3 : 6;
    int horizon = range(3, kHorizon);
    for (int i = 0; i < count; ++i) {
      Slice slice;
      slice.lower = range(0, horizon - 1);
      slice.upper = range(static_cast<int>(slice.lower) + 1, horizon);
      slice.bytes = range(1, largest);
      if (hasAlignments && range(0, 2) == 0) {
        slice.alignment = alignments[range(0, 3)];
      }
      if (hasFixed && range(0, 3) == 0) {
        int64_t step = slice.alignment * packing.options.offsetAlignment;
        slice.fixedOffset = range(0, 10) / step * step;
      }
      if (hasGaps && range(0, 1) == 0) {
        addGaps(slice);
      }
      packing.slices.push_back(slice);
    }
    return packing;
  }

private:
  int range(int low, int high) {
    return low + static_cast<int>(random() % (high - low + 1));
  }

  /// One or two gaps, in any order, that may fill the lifetime.
  void addGaps(Slice &slice) {
    int64_t from = slice.lower;
    for (int g = range(1, 2); g > 0 && from < slice.upper; --g) {
      SliceGap gap;
      gap.lower =
          range(static_cast<int>(from), static_cast<int>(slice.upper) - 1);
      gap.upper =
          range(static_cast<int>(gap.lower) + 1, static_cast<int>(slice.upper));
      if (range(0, 1) == 0) {
        gap.windowLower = range(0, static_cast<int>(slice.bytes));
        gap.windowUpper = range(static_cast<int>(gap.windowLower),
                                static_cast<int>(slice.bytes));
      }
      from = gap.upper;
      slice.gaps.push_back(gap);
    }
    if (range(0, 1) == 0) {
      std::reverse(slice.gaps.begin(), slice.gaps.end());
    }
  }

  std::mt19937_64 random;
};

} // namespace serenity::test

#endif // SERENITY_TESTS_CORE_RANDOMSLICES_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Offset instances as they come from Python: any numbers at all. `verifySlices`
// refuses them or the packers give offsets that the validator accepts.

#include "ByteSource.h"

#include "serenity/Core/Packing/Offsets.h"

using namespace serenity;
using namespace serenity::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ByteSource source(data, size);
  PackOptions options;
  options.algorithm = static_cast<PackAlgorithm>(source.upTo(2));
  options.nodeLimit = 300;
  auto alignment = [&] { return source.upTo(3) == 0 ? source.number() : 1; };
  options.offsetAlignment = alignment();
  options.rangeAlignment = alignment();
  if (source.upTo(7) == 0) {
    options.capacity = source.number();
  }
  std::vector<Slice> slices;
  int64_t count = source.upTo(10);
  for (int64_t i = 0; i < count; ++i) {
    Slice slice;
    slice.lower = source.number();
    slice.upper = source.upTo(15) == 0 ? source.number()
                                       : slice.lower / 2 + source.byte();
    slice.bytes = source.number();
    slice.alignment = alignment();
    if (source.upTo(5) == 0) {
      slice.fixedOffset = source.number();
    }
    int64_t numGaps = source.upTo(8) - 6;
    for (int64_t g = 0; g < numGaps; ++g) {
      SliceGap gap;
      gap.lower = source.number();
      gap.upper = source.number();
      gap.windowLower = source.number();
      gap.windowUpper = source.number();
      slice.gaps.push_back(gap);
    }
    slices.push_back(slice);
  }
  if (!verifySlices(slices, options)) {
    return 0;
  }
  PackResult result = pack(slices, options);
  if (!result.infeasible) {
    if (!options.capacity) {
      require(bool(verifyPacking(slices, options, result.offsets)),
              "the offsets are valid");
    }
    require(result.lowerBoundBytes <= result.heightBytes, "bound <= height");
  }
  // Any offsets may be asked about.
  std::vector<int64_t> offsets(slices.size());
  for (int64_t &offset : offsets) {
    offset = source.number();
  }
  (void)verifyPacking(slices, options, offsets);
  (void)maximumLiveBytes(slices, options);
  return 0;
}

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Packing beside memory that exists in any case: a result's before the result
// is first written, an input's after its last read. A buffer lies in the slab
// or, as a whole, in one such region, and the slab is to be of least height.
//
//   bytes
//     ^        region                    slab
//     |   +--------+-------+      +-----+-------------+
//     |   | buffer | the   |      |  a  |             |
//     |   |  of ...| result|      +-----+----+        |
//     |   |        | itself|      |    b     |        |
//     +---+--------+-------+------+----------+--------+--> time
//
// The regions and the slab are separate allocations: no buffer crosses from one
// to the other. Which buffers go into which region is a multi-dimensional
// knapsack, for which a squeaky-wheel search (Joslin and Clements, "Squeaky
// Wheel" Optimization, JAIR 1999) is used; the slab is laid out by `pack`.

#ifndef SERENITY_CORE_PACKING_FIXEDREGIONS_H
#define SERENITY_CORE_PACKING_FIXEDREGIONS_H

#include "serenity/Core/Packing/Offsets.h"

namespace serenity {

/// Memory of a fixed size that is free part of the time.
struct FixedRegion {
  int64_t bytes = 0;
  /// The region's own contents, each at its `fixedOffset`. Disjoint in time or
  /// bytes; the alignments of the options do not apply.
  std::vector<Slice> occupied;
};

/// Where a buffer lies.
struct RegionPlacement {
  int region = -1; // -1: in the slab
  int64_t offset = 0;
};

struct BesidePackResult {
  std::vector<RegionPlacement> placements; // per slice
  /// Height of the slab, as `PackResult::heightBytes`.
  int64_t slabBytes = 0;
  /// Most bytes alive together in the slab.
  int64_t liveBytes = 0;
  /// No placement of these lifetimes needs a smaller slab.
  int64_t lowerBoundBytes = 0;
  bool optimal = false;
};

/// Least height of the slab that any placement needs: the bytes alive less the
/// bytes free in the regions, and those of slices that fit into no region.
int64_t besideLowerBound(const std::vector<Slice> &slices,
                         const std::vector<FixedRegion> &regions,
                         const PackOptions &options);

/// Most bytes of a set of `sizes` that is at most `capacity` bytes together,
/// all rounded up to `unit`; `capacity` where finding it takes too long.
int64_t fullestSubset(const std::vector<int64_t> &sizes, int64_t capacity,
                      int64_t unit);

/// Places the slices, which must have passed `check` and have neither gaps nor
/// fixed offsets, in the regions or the slab. The slab is never higher than
/// that of `pack(slices, options)`, and no slice is moved to a region where
/// that does not lower it. Deterministic for a given node limit.
BesidePackResult packBeside(const std::vector<Slice> &slices,
                            const std::vector<FixedRegion> &regions,
                            const PackOptions &options);

/// Naive verification that shares nothing with `packBeside`: fails at the first
/// conflict with the regions' own contents or between slices.
Status verifyBeside(const std::vector<Slice> &slices,
                    const std::vector<FixedRegion> &regions,
                    const PackOptions &options,
                    const std::vector<RegionPlacement> &placements);

} // namespace serenity

#endif // SERENITY_CORE_PACKING_FIXEDREGIONS_H

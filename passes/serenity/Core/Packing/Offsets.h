// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_PACKING_OFFSETS_H
#define SERENITY_CORE_PACKING_OFFSETS_H

#include "serenity/Core/Status.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// A part of a buffer's lifetime, [lower, upper), in which it is not wholly in
/// use: not at all, or, with a window, only the bytes [windowLower,
/// windowUpper) counted from its offset. Gaps of one buffer do not overlap.
struct SliceGap {
  int64_t lower = 0;
  int64_t upper = 0;
  int64_t windowLower = 0;
  int64_t windowUpper = 0; // == windowLower: no byte is in use
};

/// A buffer to place: live in the half-open interval [lower, upper), `bytes`
/// long. Two buffers whose intervals overlap must not overlap in memory.
struct Slice {
  int64_t lower = 0;
  int64_t upper = 0;
  int64_t bytes = 0;
  int64_t alignment = 1;
  std::optional<int64_t> fixedOffset;
  std::vector<SliceGap> gaps;
};

/// Exact: greedy orders and local improvement, then the search; optimal when
///   proved, else the best found within the limits.
/// Greedy: the best of several first-fit orders; deterministic and fast.
/// Iree: the algorithm of IREE's LayoutSlices pass, slice by slice in the order
/// given
///   (best fit, after TFLite's arena). Slices with a fixed offset, which IREE
///   does not know, are reserved first.
enum class PackAlgorithm { Exact, Greedy, Iree };

/// The inferences of the exact search, each of which can be switched off
/// without changing any answer that is found within the limits.
struct PackRules {
  /// Raise a section's floor (lower its ceiling) to the lowest (highest) place
  /// that any buffer still to be placed in it can take.
  bool sectionInference = true;
  /// Leave a gap below (above) a buffer only where another one supports it.
  bool dominance = true;
  /// Solve parts that share no undecided buffer independently of each other.
  bool decomposition = true;
  /// Fail when the buffers of a section, released at their lowest places, end
  /// above its ceiling, and the mirror image of it.
  bool releaseBound = true;
  /// Order pairs of buffers of which one cannot lie below the other.
  bool precedence = true;
  /// Align the buffers that end with those that begin where no byte is spare.
  bool fullSections = true;
  /// Where no byte is spare, first try smaller instances in which those whose
  /// sizes fit together are one.
  bool joints = true;
  /// Try only one of several interchangeable buffers.
  bool symmetry = true;
  /// Remember the states that were refuted.
  bool memory = true;
};

struct PackOptions {
  PackAlgorithm algorithm = PackAlgorithm::Exact;
  double timeLimitSeconds = 10;
  /// Deterministic cut-off in search nodes; 0: none.
  int64_t nodeLimit = 0;
  /// Every offset is a multiple of it, in addition to `Slice::alignment`.
  int64_t offsetAlignment = 1;
  /// Every size is rounded up to a multiple of it before packing, and every
  /// window of a gap outwards.
  int64_t rangeAlignment = 1;
  /// If set: decide whether a packing of at most this height exists.
  std::optional<int64_t> capacity;
  /// Returning false interrupts: the incumbent is kept.
  std::function<bool()> onProgress;
  PackRules rules;
};

struct PackResult {
  std::vector<int64_t> offsets; // per slice
  /// Maximum of offset + aligned size; rounded to `rangeAlignment` by `Iree`.
  int64_t heightBytes = 0;
  int64_t lowerBoundBytes = 0;
  bool optimal = false; // only when proved
  /// With `capacity`: proved that nothing fits.
  bool infeasible = false;
  int64_t nodes = 0;
  double seconds = 0;
  /// The proof of `optimal` or `infeasible`: "live-bytes" (the height equals
  /// the maximum of live bytes, or that exceeds the capacity), "search", or
  /// empty.
  std::string provedBy;
  /// A limit or `onProgress` ended the search before it was complete.
  bool interrupted = false;
};

/// Checks the input. Fails on a reversed lifetime, a size or alignment that is
/// not positive, fixed offsets that overlap, and overflow; the message names
/// the slice by index.
Status verifySlices(const std::vector<Slice> &slices,
                    const PackOptions &options = {});

/// Assigns offsets of least height. Input must have passed `verifySlices`.
/// Always returns a valid packing (unless `infeasible`).
PackResult pack(const std::vector<Slice> &slices,
                const PackOptions &options = {});

/// Naive verification that shares nothing with `pack`: fails at the first
/// conflict (overlap, misalignment, fixed offset moved).
Status verifyPacking(const std::vector<Slice> &slices,
                     const PackOptions &options,
                     const std::vector<int64_t> &offsets);

/// Maximum over time of live bytes (sizes rounded to `rangeAlignment`).
int64_t maximumLiveBytes(const std::vector<Slice> &slices,
                         const PackOptions &options = {});

} // namespace serenity

#endif // SERENITY_CORE_PACKING_OFFSETS_H

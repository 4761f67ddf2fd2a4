// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Computes values of a region again (rematerialisation).
///
/// A value that is read before and after the peak lives across it. If the
/// operands of its commands are there anyway, the value can be dropped and
/// computed once more for its later readers:
///
///   %p = dispatch @pad(%x)               %p = dispatch @pad(%x)
///   %a = dispatch @conv_a(%p)            %a = dispatch @conv_a(%p)
///   %b = dispatch @other(%a, %x)    =>   %b = dispatch @other(%a, %x)
///   %c = dispatch @conv_b(%p, %b)        %q = dispatch @pad(%x)
///                                        %c = dispatch @conv_b(%q, %b)
///
/// The commands are the same, so the results are bitwise equal. Nothing behind
/// the region level merges equal commands again.

#ifndef SERENITY_TRANSFORMS_RECOMPUTE_H
#define SERENITY_TRANSFORMS_RECOMPUTE_H

#include "serenity/Core/Scheduling/Simulator.h"
#include "serenity/Transforms/RegionModel.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace serenity {

/// A value that is computed once more.
struct RecomputedValue {
  /// Of the last command that makes it.
  std::string location;
  int64_t bytes = 0;
  /// Multiply-accumulates of the commands that are run once more.
  int64_t work = 0;
};

struct RecomputedRegion {
  RegionModel model;
  /// The choice of placements, consistent with `model`.
  std::vector<bool> placements;
  /// Commands of `model` in an order of lower peak.
  std::vector<int> order;
  std::vector<RecomputedValue> values;
  /// Multiply-accumulates of the region as it was.
  int64_t work = 0;
};

/// A region in which every reader of a copied value has a copy of its own.
struct SeparatedRegion {
  RegionModel model;
  /// What is copied once more, by copy.
  std::vector<RecomputedValue> values;
  /// The buffers that the first readers keep.
  std::set<int> copied;
  /// Multiply-accumulates of the region; copies are none.
  int64_t work = 0;
};

/// Makes values that are copies of other memory, such as the rows of a tensor
/// that one band reads, once more for every reader but the first, just before
/// it; nothing if there are none. IREE merges equal slices, so that those of
/// one segment of bands live until the bands of the next one:
///
///   %a = dispatch @slice(%x)             %a = dispatch @slice(%x)
///   %b = dispatch @conv_1(%a)            %b = dispatch @conv_1(%a)
///   ...                             =>   ...
///   %c = dispatch @conv_2(%a, %y)        %d = dispatch @slice(%x)
///                                        %c = dispatch @conv_2(%d, %y)
///
/// Readers that would see other contents keep the value. Changes no IR.
std::optional<SeparatedRegion> separateCopies(const RegionModel &model,
                                              const Executables &executables);

struct RecomputeOptions {
  /// Multiply-accumulates that may be done again, as a share of the region's.
  double maxRecompute = 0.15;
  /// Bytes that buffer sizes are rounded up to.
  int64_t rangeAlignment = 1;
};

/// Looks for values that are computed again for their readers behind the peak
/// of `order`, until the peak does not fall any further; nothing if it does not
/// fall at all. Local search: of the values that live across the first peak
/// step, the one that lowers the peak, or the number of steps that reach it,
/// most. Considers values whose commands are fills, copies and dispatches of
/// known executables. Changes no IR.
std::optional<RecomputedRegion>
recomputeAtPeak(const RegionModel &model, const RegionPlan &plan,
                const std::vector<OpId> &order, const Executables &executables,
                const RecomputeOptions &options);

/// The slab buffers of `plan`, as its problem counts them, that live before and
/// behind a step.
std::vector<size_t> buffersAcross(const RegionPlan &plan,
                                  const Simulation &simulation, int64_t step);

/// Gives the commands that are run once more operations of their own
/// (`applyPlan` moves those of fills and dispatches). To be called once, before
/// `applyPlan`.
void materialize(RegionModel &model);

/// Multiply-accumulates of a command: the iterations of the loop nests with a
/// reduction, as bands count them; 0 for copies and fills. Nothing for a
/// dispatch whose executable is not known or holds other operations.
std::optional<int64_t> workOf(const Command &command,
                              const Executables &executables);
/// The same of all commands of a region that are known.
int64_t workOf(const RegionModel &model, const Executables &executables);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_RECOMPUTE_H

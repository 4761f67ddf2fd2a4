// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Computes segments of a function in bands of rows, so that the tensors inside
/// never exist as a whole.
///
///   for every band [a, b) of the rows of the result, unrolled:
///     x' = extract_slice of the rows of x that the band needs
///     the operations of the segment on these rows, pads at the borders only
///     y = insert_slice of the band into y
///
/// The same additions are done in the same order, so that the result is bitwise
/// equal; rows of the halo are computed twice.

#ifndef SERENITY_TRANSFORMS_REWRITE_REWRITEBAND_H
#define SERENITY_TRANSFORMS_REWRITE_REWRITEBAND_H

#include "serenity/Core/Banding/BandPlan.h"
#include "serenity/IREE/MlirC.h"
#include "serenity/Transforms/Rewrite/RewriteBandGraph.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

struct BandOptions {
  /// Share of the function's multiply-accumulates that may be done again.
  double maxRecompute = 0.15;
  /// Plan as if stream rewrites were applied wherever they can be.
  bool streamed = false;
  /// A segment may end with a reduction over its rows, which accumulates over
  /// the bands: that may take the terms of a sum in another order.
  bool reorderSums = true;
  /// Values may be computed again for bands behind the peak.
  bool recompute = false;
  /// Plan with operations that become one dispatch next to each other.
  bool byDispatches = false;
  /// The number of bands of every segment; 0: as the planner chooses.
  int64_t count = 0;
  /// With the hints of dimensions that are known only at run time.
  TensorSizes sizes;
};

/// One segment of a plan, as the report has it.
struct BandSite {
  std::string function;
  /// Locations of its first and last operation.
  std::string from;
  std::string to;
  int64_t count = 0;
  int64_t height = 0;
  /// Predicted transient bytes while its operations run, as a whole and in
  /// bands.
  int64_t bytesBefore = 0;
  int64_t bytesAfter = 0;
  /// Multiply-accumulates that are done again.
  int64_t extraWork = 0;
};

/// The segments of every function of a module that are computed in bands.
struct BandPlan {
  /// Of the options that it was made with.
  bool streamed = false;
  bool reorderSums = true;
  bool byDispatches = false;
  /// By function, in the order of the module.
  std::vector<std::pair<std::string, bands::Plan>> functions;
  std::vector<BandSite> sites;
  /// Sum of the functions' predicted peaks.
  int64_t predictedBytes = 0;
  int64_t predictedWholeBytes = 0;

  bool empty() const { return sites.empty(); }
  double extraWork() const;
  size_t numRecomputed() const;
};

/// An operation that ends segments, and why.
struct RefusedBand {
  std::string operation;
  MlirLocation location;
  std::string reason;
};

/// Plans bands for `module`, which is as preprocessing leaves it.
/// Deterministic; the plan fits every clone of the module.
BandPlan planBands(MlirOperation module, const BandOptions &options = {},
                   std::vector<RefusedBand> *refused = nullptr);

/// `plan`, which `planBands` has made for this module, with site `site` in
/// `count` bands, or computed as a whole where `count` is 1. Nothing if the
/// site has no bands of that number.
std::optional<BandPlan> changeBands(MlirOperation module, const BandPlan &plan,
                                    size_t site, int64_t count,
                                    const TensorSizes &sizes);

/// Applies a plan that `planBands` has made for this module. Offsets along the
/// rows stand behind barriers (see `removeBarriers`), so that bands share their
/// dispatches.
void applyBands(MlirOperation module, const BandPlan &plan);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_REWRITE_REWRITEBAND_H

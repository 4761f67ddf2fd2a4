// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TRANSFORMS_OPTIONS_H
#define SERENITY_TRANSFORMS_OPTIONS_H

#include "serenity/Core/Packing/Offsets.h"
#include "serenity/Core/Scheduling/Scheduler.h"

#include <cstdint>
#include <functional>

namespace serenity {

enum class RewriteMode { Auto, Off, Always };

/// What the `--serenity-*` flags say to the passes.
struct Options {
  Algorithm scheduler = Algorithm::Exact;
  PackAlgorithm offsets = PackAlgorithm::Exact;
  RewriteMode rewrite = RewriteMode::Auto;
  /// serenity-rewrite alone: take parts of a site together where the model says
  /// that this is free. (The driver finds out what is.)
  bool joinParts = false;
  /// Form waves of concurrent commands again where they cost nothing.
  bool waves = true;
  /// Per function, for ordering and again for offsets.
  double timeLimitSeconds = 10;
  /// Deterministic cut-off of the searches in states; 0: none.
  int64_t stateLimit = 0;
  /// Cut-off of the search for offsets in nodes, where `stateLimit` sets none:
  /// what is worth finding is found in hundreds, what is not proved by then may
  /// take for ever.
  int64_t packNodeLimit = 100000;
  /// Alignment of offsets and sizes in a slab where the IR does not say
  /// (`--iree-stream-resource-min-offset-alignment`).
  int64_t defaultAlignment = 64;
  /// Asked now and then during long searches; true stops them with the best
  /// answer found so far.
  std::function<bool()> cancelled;
};

} // namespace serenity

#endif // SERENITY_TRANSFORMS_OPTIONS_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Transient memory of a module at the end of preprocessing, predicted without
/// running IREE.

#ifndef SERENITY_ANALYSIS_MEMORYPREDICTION_H
#define SERENITY_ANALYSIS_MEMORYPREDICTION_H

#include "serenity/Analysis/FusionModel.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace serenity::rewrite {

/// Predicted transient memory of a module.
struct Prediction {
  /// Bytes of the functions with tensors, by name.
  std::map<std::string, int64_t> peakBytes;
  /// The locations of the operations that run at the peaks or touch a buffer
  /// that lives across one.
  std::set<std::string> placesAtPeak;
  /// Dispatches and copies of all functions.
  int64_t numOperations = 0;

  /// Bytes of all functions together.
  int64_t sum() const;
};

/// The peaks of a module at the end of preprocessing, in the best order that a
/// search of `stateLimit` states finds, with the parts of concatenations made
/// in their place or copied, whichever needs less. With `reuseResults`, buffers
/// may lie in the memory of results before these are written, as
/// `serenity-reuse-external-memory` places them. Nothing if a function has
/// several blocks or an operation that no rule describes.
std::optional<Prediction> predictMemory(MlirOperation module,
                                        const FusionRules &rules,
                                        bool reuseResults, int64_t stateLimit);

} // namespace serenity::rewrite

#endif // SERENITY_ANALYSIS_MEMORYPREDICTION_H

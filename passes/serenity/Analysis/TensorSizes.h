// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Extents and bytes of tensors before dispatches are formed, where some
/// extents are known only at run time.

#ifndef SERENITY_ANALYSIS_TENSORSIZES_H
#define SERENITY_ANALYSIS_TENSORSIZES_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Transforms/Options.h"

#include <cstdint>
#include <optional>

namespace serenity {

/// Where the extent of a dimension comes from.
struct DimSource {
  /// The value of index type that it is; null if there is none.
  MlirValue extent = {};
  /// The first tensor that is known to have it, and the dimension there.
  MlirValue tensor = {};
  int64_t dim = 0;
};

/// Follows dimension `dim` of `tensor` through the operations that keep it to
/// the operation that gives its extent. `extent` and `tensor` of the answer are
/// defined before `tensor`, or are `tensor` itself.
DimSource dimSource(MlirValue tensor, int64_t dim);

/// Sizes at the extents where decisions that need a number are made
/// (`--serenity-dim-hint`). Copies the hints and bounds of the options.
class TensorSizes {
public:
  TensorSizes() = default;
  explicit TensorSizes(const Options &given);

  /// The extent of dimension `dim` of `tensor`.
  int64_t extent(MlirValue tensor, int64_t dim) const;

  /// Bytes of `tensor`; nothing if its type is no ranked tensor without an
  /// encoding whose elements IREE stores densely, or on overflow.
  std::optional<int64_t> bytes(MlirValue tensor) const;

private:
  Options options;
};

} // namespace serenity

#endif // SERENITY_ANALYSIS_TENSORSIZES_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Bounds, known before a call, of the numbers that sizes are computed from.

#ifndef SERENITY_ANALYSIS_SIZEINTERVAL_H
#define SERENITY_ANALYSIS_SIZEINTERVAL_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Transforms/Options.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace serenity {

/// The bounds that `util.assume.int` promises for a value.
struct Assumption {
  int64_t least = 0;
  int64_t most = std::numeric_limits<int64_t>::max();
  int64_t divisor = 1;
};

/// Of the result number `result` of the `util.assume.int` called `op`.
Assumption readAssumption(MlirOperation op, intptr_t result);

/// `argI:axisJ` for the extent of an argument, else empty.
std::string dimensionOf(MlirOperation op);

/// All values that a number may have, both ends included; open where nothing is
/// known.
struct SizeInterval {
  std::optional<int64_t> least;
  std::optional<int64_t> most;
};

/// The interval of a number of index or integer type, from `util.assume.int`
/// and the bounds of dimensions in `options.dimBounds`.
SizeInterval readInterval(MlirValue value, const Options &options);

} // namespace serenity

#endif // SERENITY_ANALYSIS_SIZEINTERVAL_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_ANALYSIS_RESOURCECONFIG_H
#define SERENITY_ANALYSIS_RESOURCECONFIG_H

#include "serenity/IREE/MlirC.h"

#include <cstdint>

namespace serenity {

/// Alignments, in bytes, of the buffers in a slab.
struct ResourceConfig {
  int64_t offsetAlignment = 64;
  int64_t rangeAlignment = 64;
};

/// The constraints that IREE lays slices out with at `op`: those of the closest
/// `stream.resources` attribute, else `defaultAlignment` for both.
ResourceConfig lookupResourceConfig(MlirOperation op, int64_t defaultAlignment);

} // namespace serenity

#endif // SERENITY_ANALYSIS_RESOURCECONFIG_H

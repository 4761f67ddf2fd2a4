// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TRANSFORMS_FUNCTIONMEMORY_H
#define SERENITY_TRANSFORMS_FUNCTIONMEMORY_H

#include "serenity/Core/Offsets.h"
#include "serenity/IREE/MlirC.h"

#include <cstdint>
#include <optional>

namespace serenity {

/// The transient peak of `function` in bytes: the most that its transient
/// allocations (`stream.resource.alloca`) hold together at any time of one
/// call, calls of other functions included. Packs that are not laid out yet are
/// laid out with `algorithm`. Nothing if a size is not constant, if control
/// flow is not structured or if a loop accumulates memory.
std::optional<int64_t> transientPeak(MlirOperation module,
                                     MlirOperation function,
                                     PackAlgorithm algorithm,
                                     int64_t defaultAlignment,
                                     double timeLimitSeconds);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_FUNCTIONMEMORY_H

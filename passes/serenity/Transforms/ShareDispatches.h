// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Makes small constants operands of dispatches where the constants alone tell
/// operations apart, so that these operations share an executable.

#ifndef SERENITY_TRANSFORMS_SHAREDISPATCHES_H
#define SERENITY_TRANSFORMS_SHAREDISPATCHES_H

#include "serenity/IREE/MlirC.h"

#include <cstdint>

namespace serenity {

/// IREE copies constants of up to so many bytes into the dispatches that read
/// them: the default of `--iree-flow-inline-constants-max-byte-length`.
constexpr int64_t maxInlinedConstantBytes = 256;

/// Puts barriers, which `removeBarriers` takes out at flow level, behind the
/// constants of up to `maxInlinedConstantBytes` in which operations differ that
/// are equal otherwise: same operation, attributes, types and body. Splats stay
/// as they are. Returns the number of barriers.
int64_t shareDispatches(MlirOperation module);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_SHAREDISPATCHES_H

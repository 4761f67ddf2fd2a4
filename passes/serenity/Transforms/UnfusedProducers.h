// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Unfused producers: single operations that dispatch formation would merge
/// with their users and that may be prevented from it.
///
/// Fusing saves a buffer where the producer's result is needed by that user
/// alone and at once. It costs memory in three cases, which are the sites:
///   - the user pads: the result is written into the padded buffer, which is
///     larger and lives as long;
///   - there are several users: fused with one of them the producer gives a
///     dispatch with several results, all of them alive together;
///   - the user reads another tensor: then the producer's operands live on
///     until that tensor is there.
/// Which of them pays depends on the order: the driver decides by trial
/// compilation.

#ifndef SERENITY_TRANSFORMS_UNFUSEDPRODUCERS_H
#define SERENITY_TRANSFORMS_UNFUSEDPRODUCERS_H

#include "serenity/IREE/MlirC.h"

#include <set>
#include <string>

namespace serenity {

/// The locations of the producers of `module` (linalg on tensors) that can be
/// left unfused. Operations without a location are not listed.
std::set<std::string> findUnfusableProducers(MlirOperation module);

/// Puts a barrier, which `removeBarriers` takes out at flow level, behind the
/// producers at these locations. Returns how many there were.
int64_t preventFusion(MlirOperation module,
                      const std::set<std::string> &locations);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_UNFUSEDPRODUCERS_H

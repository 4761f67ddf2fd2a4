// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Packings that are asked for again: the passes of one compilation lay out the
/// same slab several times, and candidates often share regions.

#ifndef SERENITY_CORE_PACKING_PACKMEMO_H
#define SERENITY_CORE_PACKING_PACKMEMO_H

#include "serenity/Core/Packing/Offsets.h"

namespace serenity {

/// The same as `pack`, from memory where the process has packed these slices
/// with these options before. A search that ended by itself answers for every
/// limit of nodes that it did not reach; one that a limit of nodes ended, for
/// that limit alone. Searches that the clock or the caller ended are not kept,
/// and `nodes` and `seconds` are those of the first time. May be called from
/// several threads.
PackResult packOnce(const std::vector<Slice> &slices,
                    const PackOptions &options);

} // namespace serenity

#endif // SERENITY_CORE_PACKING_PACKMEMO_H

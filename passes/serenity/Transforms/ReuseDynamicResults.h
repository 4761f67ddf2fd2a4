// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Transient buffers in the memory of results where sizes are known only at run
/// time: the part of `serenity-reuse-external-memory` for such slabs.
///
/// A buffer lies at the beginning of a result, alone at its time, if it is dead
/// before the result is first written, and if no coefficient of its size, as a
/// polynomial of dimensions, exceeds that of the result's: then it fits in
/// every call. Buffers alive at the peak at the hints move first, all others
/// behind them: each makes the slab smaller, or leaves it as it is, for all
/// sizes.

#ifndef SERENITY_TRANSFORMS_REUSEDYNAMICRESULTS_H
#define SERENITY_TRANSFORMS_REUSEDYNAMICRESULTS_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"
#include "serenity/Transforms/PackModel.h"

#include <cstdint>
#include <optional>

namespace serenity {

/// Moves buffers of `pack`, some of whose slices are of dynamic size, to the
/// memory of results; one slice stays in the slab. Sizes in `report` are those
/// at the hints. Returns the bytes alive together in the slab at the hints;
/// nothing where no buffer was moved.
std::optional<int64_t> reuseDynamicResults(MlirOperation pack,
                                           const PackModel &model,
                                           const PackOptions &packing,
                                           const Options &options,
                                           RegionReport *report);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_REUSEDYNAMICRESULTS_H

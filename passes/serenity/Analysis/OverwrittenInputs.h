// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Which inputs a function writes to (docs/memory_model.md, rule 5).

#ifndef SERENITY_ANALYSIS_OVERWRITTENINPUTS_H
#define SERENITY_ANALYSIS_OVERWRITTENINPUTS_H

#include "serenity/IREE/MlirC.h"

#include <cstdint>
#include <vector>

namespace serenity {

/// Numbers of the arguments of `function` whose memory a command of it, or of a
/// function that it calls, writes: a dispatch, a fill or the target of a copy.
/// Storage that the caller gives for results or as an arena is not among them.
/// To be called from iree-stream-schedule-allocation on, where the commands are
/// explicit. Values are followed through branches, loops and calls without
/// regard to conditions.
std::vector<int64_t> overwrittenInputs(MlirOperation module,
                                       MlirOperation function);

} // namespace serenity

#endif // SERENITY_ANALYSIS_OVERWRITTENINPUTS_H

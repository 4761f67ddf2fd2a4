// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The memory that a compiled module will need when it runs.

#ifndef SERENITY_DRIVER_COMPILE_SUMMARY_H
#define SERENITY_DRIVER_COMPILE_SUMMARY_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"

namespace serenity {

/// Writes names, exports and peaks as the runtime will see them into `report`.
/// The module must be past the placement of releases (end of the commands of
/// the stream phase).
void describeFunctions(MlirOperation module, const Options &options,
                       ModuleReport &report);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_SUMMARY_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Warns of serenity flags that cannot act on this compilation.

#ifndef SERENITY_DRIVER_COMPILE_IDLEFLAGS_H
#define SERENITY_DRIVER_COMPILE_IDLEFLAGS_H

#include "serenity/Driver/Compile/Flags.h"
#include "serenity/Driver/Compile/Pipeline.h"
#include "serenity/Driver/Compile/UserFlags.h"

#include <string>

namespace serenity {

/// The part of serenity_mlir that runs between the phases that are compiled
/// from and to.
enum class Reach {
  /// None of it.
  Nothing,
  /// The order of tensors, but no slab: to the flow phase.
  Order,
  /// All but rewriting and fusion: from after preprocessing.
  NoRewriting,
  All,
};

/// Warns of the flags on the command line that have no effect within `reach`,
/// which is due to `cause`, a flag of the user's. A budget that cannot be
/// checked is missed: an error, or a warning under that policy. Returns false
/// if the compilation must fail.
bool checkIdleFlags(const CompileFlags &flags, Reach reach,
                    const std::string &cause, ModuleReport &report,
                    PipelineEvents &events);

/// The last of it alone, for any `reason` (lower case, no full stop).
bool refuseUncheckedBudget(const CompileFlags &flags, const std::string &reason,
                           PipelineEvents &events);

/// Warns where a slab of a function is larger than the user's
/// `--iree-stream-resource-max-allocation-size`, which IREE does not enforce
/// for transient memory.
void checkAllocationLimit(MlirLocation location, const UserFlags &user,
                          const ModuleReport &report);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_IDLEFLAGS_H

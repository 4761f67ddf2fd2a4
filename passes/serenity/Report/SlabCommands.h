// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The commands that work on a slab, read off the IR for the report: each with
// its step and the byte ranges of the buffers it reads and writes.

#ifndef SERENITY_REPORT_SLABCOMMANDS_H
#define SERENITY_REPORT_SLABCOMMANDS_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"

#include <string>
#include <vector>

namespace serenity {

class BindingTypes;

/// Fills `region.operations` and `region.externals` from the
/// `stream.cmd.execute` of `function` that lies in the slab of `pack`, and
/// names `region.buffers` after the commands that write them.
///
/// `slices[i]` is the position among the slices of `pack` of
/// `region.buffers[i]`, whose `first` and `last` must be set. To be called
/// before the results of `pack` are replaced. Works on regions with
/// concurrent dispatch groups too; leaves the region as it is if no commands
/// are found. With `types`, buffers get the element types that dispatches
/// declare for them.
void describeCommands(MlirOperation function, MlirOperation pack,
                      const std::vector<size_t> &slices, RegionReport &region,
                      const BindingTypes *types = nullptr);

/// `@entry_point` of a dispatch, the name of any other operation.
std::string commandName(MlirOperation op);

/// Whether the command `op` writes to its operand `number`, a resource.
bool commandWrites(MlirOperation op, int64_t number);

/// The number of the first operand of a `stream.cmd.execute` that is a captured
/// resource: that of the first argument of its body.
int64_t capturedResources(MlirOperation execute);

} // namespace serenity

#endif // SERENITY_REPORT_SLABCOMMANDS_H

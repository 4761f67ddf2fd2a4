// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TRANSFORMS_PASSES_H
#define SERENITY_TRANSFORMS_PASSES_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Transforms/Options.h"
#include "serenity/Transforms/Report.h"

#include <string>
#include <vector>

namespace serenity {

/// One entry of the table of passes.
struct PassInfo {
  const char *argument;
  const char *description;
  /// Runs the pass on a `builtin.module`; false on failure. `report` may be
  /// null.
  bool (*run)(MlirOperation module, const Options &options,
              ModuleReport *report);
};

/// All passes, in pipeline order: serenity-rewrite, serenity-schedule,
/// serenity-schedule-regions, serenity-waves, serenity-pack,
/// serenity-clone-callees.
const std::vector<PassInfo> &passTable();

/// Creates the pass of that name, or a null pass if there is none. `report` may
/// be null and must outlive the pass.
MlirPass createPass(const std::string &argument, const Options &options,
                    ModuleReport *report);

// One function per pass; see the .cpp file of each for its full description.
bool runRewrite(MlirOperation module, const Options &options,
                ModuleReport *report);
bool runSchedule(MlirOperation module, const Options &options,
                 ModuleReport *report);
bool runScheduleRegions(MlirOperation module, const Options &options,
                        ModuleReport *report);
bool runWaves(MlirOperation module, const Options &options,
              ModuleReport *report);
bool runPack(MlirOperation module, const Options &options,
             ModuleReport *report);
bool runCloneCallees(MlirOperation module, const Options &options,
                     ModuleReport *report);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_PASSES_H

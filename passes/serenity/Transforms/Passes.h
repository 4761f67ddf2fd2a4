// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TRANSFORMS_PASSES_H
#define SERENITY_TRANSFORMS_PASSES_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"

#include <string>
#include <vector>

namespace serenity {

/// One entry of Passes.def.
struct PassInfo {
  const char *argument;
  const char *description;
  /// Runs the pass on a `builtin.module`; false on failure. `report` may be
  /// null.
  bool (*run)(MlirOperation module, const Options &options,
              ModuleReport *report);
};

/// All passes, in pipeline order.
const std::vector<PassInfo> &passTable();

/// The pass called `name`, or null.
const PassInfo *findPass(const std::string &name);

/// Creates the pass of that name, or a null pass if there is none. `report` may
/// be null and must outlive the pass.
MlirPass createPass(const std::string &argument, const Options &options,
                    ModuleReport *report);

// One function per pass; see the .cpp file of each for its full description.
#define SERENITY_PASS(name, run, source, summary, options, level, place)       \
  bool run(MlirOperation module, const Options &passOptions,                   \
           ModuleReport *report);
#include "serenity/Transforms/Passes.def"

} // namespace serenity

#endif // SERENITY_TRANSFORMS_PASSES_H

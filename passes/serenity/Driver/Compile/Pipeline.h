// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_COMPILE_PIPELINE_H
#define SERENITY_DRIVER_COMPILE_PIPELINE_H

#include "serenity/Driver/Compile/Flags.h"
#include "serenity/IREE/IreeC.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Report/Report.h"

#include <string>
#include <vector>

namespace serenity {

/// The requests of iree-compile's main function for one module.
struct InvocationState {
  iree_compiler_session_t *session = nullptr;
  std::string compileFrom = "start";
  std::string compileTo = "end";
  std::string dumpPhasesTo;
  bool verify = true;
  /// The module once it was taken out of the invocation. Destroyed before the
  /// invocation, which has the context.
  ir::OwningOp module;
};

/// Events besides success and failure.
struct PipelineEvents {
  bool budgetMissed = false;
};

/// Runs the standard pipeline with the serenity passes between IREE's phases.
///
/// Every variant of a function (as stock, stock order with exact offsets,
/// reordered) is made on a clone of the module and measured; the function is
/// compiled in the variant of least transient peak, the stock one among equals.
/// A variant that fails is dropped. `arguments` is the command line without
/// serenity flags, to read IREE's global flags.
bool runPipeline(iree_compiler_invocation_t *inv, InvocationState &state,
                 const CompileFlags &flags,
                 const std::vector<std::string> &arguments,
                 ModuleReport &report, PipelineEvents &events);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_PIPELINE_H

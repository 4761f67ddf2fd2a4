// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_COMPILE_FLAGS_H
#define SERENITY_DRIVER_COMPILE_FLAGS_H

#include "serenity/Transforms/Options.h"

#include <string>
#include <utility>
#include <vector>

namespace serenity {

/// The `--serenity-*` flags of one compilation.
struct CompileFlags : DriverOptions {
  Options options;
  /// The flags on the command line, without `--serenity-`, in their order.
  std::vector<std::string> given;
  /// The same with their values.
  std::vector<std::pair<std::string, std::string>> values;

  bool budgetIsError() const { return budgetPolicy == BudgetPolicy::Error; }
};

/// Takes the serenity flags out of `args` (response files expanded; the first
/// is the program). The message of a failure names the known flags.
Status parseFlags(std::vector<std::string> &args, CompileFlags &flags);

/// The section on the serenity flags for `--help`.
std::string flagsHelp();

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_FLAGS_H

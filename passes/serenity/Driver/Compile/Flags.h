// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_COMPILE_FLAGS_H
#define SERENITY_DRIVER_COMPILE_FLAGS_H

#include "serenity/Transforms/Options.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// The `--serenity-*` flags of one compilation.
struct CompileFlags {
  /// False for `--serenity-schedule=off`: compile as stock, still report.
  bool schedule = true;
  Options options;
  std::optional<int64_t> memoryBudgetBytes;
  bool budgetIsError = true;
  std::string reportPath;
  std::vector<std::string> printIrAfter;
  /// The flags on the command line, without `--serenity-`, in their order.
  std::vector<std::string> given;
};

/// Takes the serenity flags out of `args` (response files expanded; the first
/// is the program). Returns an error message that names the known flags, or
/// nothing.
std::optional<std::string> parseFlags(std::vector<std::string> &args,
                                      CompileFlags &flags);

/// The section on our flags for `--help`.
std::string flagsHelp();

/// "256KB" -> 256000, "256KiB" -> 262144, "1024" -> 1024; KB, MB, GB are powers
/// of 1000, KiB, MiB, GiB of 1024. Nothing for anything else, zero or overflow.
std::optional<int64_t> parseBytes(const std::string &text);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_FLAGS_H

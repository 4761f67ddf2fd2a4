// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_OPT_ARGUMENTS_H
#define SERENITY_DRIVER_OPT_ARGUMENTS_H

#include "serenity/Core/Status.h"
#include "serenity/Driver/Opt/PipelineParser.h"
#include "serenity/Transforms/Options.h"

#include <string>
#include <vector>

namespace serenity::opt {

/// The command line of serenity-opt.
struct Config {
  std::string input = "-";
  std::string output = "-";
  std::string report;
  std::vector<Element> elements;
  Options options;
  std::vector<std::string> printAfter;
  bool splitInput = false;
  bool verifyDiagnostics = false;
  bool onlyExpected = false;
  bool allowUnregistered = false;
  bool emitBytecode = false;
  bool verifyEach = true;
  bool printBeforeAll = false;
  bool printAfterAll = false;
  bool printAfterChange = false;
  bool printAfterFailure = false;
  bool printModuleScope = false;
  bool timing = false;
  bool help = false;
  bool listPasses = false;
  /// For IREE's library.
  std::vector<std::string> forwarded;

  bool printsIr() const {
    return printBeforeAll || printAfterAll || printAfterChange ||
           printAfterFailure;
  }
};

/// Reads the command line (response files expanded; the first is the program).
Status parseArguments(const std::vector<std::string> &args, Config &config);

/// The text of `--help`.
std::string helpText();

/// The text of `--list-passes`.
std::string passList();

} // namespace serenity::opt

#endif // SERENITY_DRIVER_OPT_ARGUMENTS_H

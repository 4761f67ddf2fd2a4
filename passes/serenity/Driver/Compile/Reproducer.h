// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The messages of a process that takes the place of a crashed one.

#ifndef SERENITY_DRIVER_COMPILE_REPRODUCER_H
#define SERENITY_DRIVER_COMPILE_REPRODUCER_H

#include "serenity/Driver/Compile/CrashFallback.h"

#include <string>
#include <utility>
#include <vector>

namespace serenity {

struct Reproducer {
  PreviousCrash crash;
  /// The command line, the program first.
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> versions;
  /// The model, if it came from standard input or a pipe: from the descriptor's
  /// offset on, less so many bytes at the end. -1 if it is a file.
  int input = -1;
  size_t inputTerminator = 0;
};

/// Writes `serenity-crash-KEY.txt` (command, versions, signal, step) into the
/// working directory, or the folder for temporary files where that is not
/// possible, and `input` to `serenity-crash-KEY.input` beside it. The
/// key is made of the contents, so that the same crash has the same name; a
/// file of that name with other contents stays, and a number is added. Returns
/// the path of the first; empty if it could not be written.
std::string writeReproducer(const Reproducer &reproducer);

/// "SIGSEGV in ...; compiled as ...", for a warning and the report; `path` as
/// `writeReproducer` gives it. Lower case start, no full stop.
std::string describeCrash(const PreviousCrash &crash, const std::string &path);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_REPRODUCER_H

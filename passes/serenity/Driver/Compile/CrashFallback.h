// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Compiles as stock after a crash in serenity's part of the compiler.
///
/// While serenity's part runs, fatal signals (SIGSEGV, SIGBUS, SIGILL, SIGFPE,
/// SIGABRT; on any thread, stack overflow included) come here instead of to
/// LLVM. The handler lets LLVM remove its temporary files and replaces the
/// process by the same command as `--serenity-schedule=off` would run it: the
/// process id, the output files and standard input stay the caller's. A crash
/// there, in the code that reads the stock module for the report, leads to the
/// bare stock pipeline. The new process says what happened (see Reproducer.h).
///
/// Outside of a `CrashGuard`, LLVM's handlers are in place: where IREE crashes
/// on a module that serenity has not changed, it looks like a crash of IREE.

#ifndef SERENITY_DRIVER_COMPILE_CRASHFALLBACK_H
#define SERENITY_DRIVER_COMPILE_CRASHFALLBACK_H

#include "serenity/Core/Status.h"

#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// How much of serenity runs in this process.
enum class FallbackStage {
  /// No fallback: as the flags ask.
  None = 0,
  /// As with `--serenity-schedule=off`: nothing is changed, all is reported.
  Off = 1,
  /// IREE's pipeline alone: no function is described.
  Plain = 2,
};

/// The crash that this process takes the place of.
struct PreviousCrash {
  FallbackStage stage = FallbackStage::None;
  int signal = 0;
  /// The descriptor of the input's copy (InputCopy.h); -1 without one.
  int inputCopy = -1;
  std::string step;
};

/// Reads the record that a crashed process left in the environment, and takes
/// it out of there; nothing in a process that the user has started. To be
/// called first.
std::optional<PreviousCrash> takePreviousCrash();

/// To be called once, at the start of main. `command` is the command to run
/// again: the arguments with the program, response files expanded where they
/// were pipes; `inputs` are the files among them. Standard input is copied if
/// it is one of them and cannot be read twice; fails if that fails.
Status prepareFallback(const std::vector<std::string> &command,
                       const std::vector<std::string> &inputs,
                       FallbackStage stage);

/// Hands the copy of an input on to the process that takes this one's place.
void keepAcrossFallback(int inputCopy);

/// SIGINT while a fallback is under way: LLVM has removed its files. Returns if
/// none is. Async-signal-safe.
void continueFallback();

/// Fatal signals lead to the fallback while one of these lives.
class CrashGuard {
public:
  /// `step` describes the action: "trial compilation of '...'".
  explicit CrashGuard(const std::string &step);
  ~CrashGuard();
  CrashGuard(const CrashGuard &) = delete;
  CrashGuard &operator=(const CrashGuard &) = delete;

private:
  std::string outerStep;
};

/// For tests of the above: crashes here if the environment variable
/// `SERENITY_TEST_CRASH` is `POINT:KIND`, with the name of a signal without SIG
/// or STACK (an endless recursion) as the kind; `POINT#2:KIND` does it the
/// second time, `POINT:KIND:worker` on another thread.
void crashPoint(const char *point);

/// "SIGSEGV", or "signal 42".
std::string signalName(int signal);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_CRASHFALLBACK_H

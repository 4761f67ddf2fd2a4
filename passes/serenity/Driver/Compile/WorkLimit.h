// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Limits of the search on one module, and its progress on a terminal.

#ifndef SERENITY_DRIVER_COMPILE_WORKLIMIT_H
#define SERENITY_DRIVER_COMPILE_WORKLIMIT_H

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace serenity {

/// Bounds the search on one module. Trial compilations are counted, and the
/// dispatches that they have made, to which IREE's time is proportional: the
/// same on every machine. The clock is the last resort: seconds of the
/// processor, so that a busy machine does not find less, and on any machine no
/// more than four times as many in all. It is read between the phases of a
/// trial compilation and between the pieces of its stream phase too, so that
/// the limit is exceeded by one of them at most.
class WorkLimit {
public:
  /// With `showProgress`, a line on standard error is rewritten once two
  /// seconds are over, if that is a terminal.
  WorkLimit(double seconds, bool showProgress);
  ~WorkLimit();
  WorkLimit(const WorkLimit &) = delete;
  WorkLimit &operator=(const WorkLimit &) = delete;

  /// The clock starts at the first call.
  void start();
  /// Whether the time limit is reached; true from then on.
  bool expired();

  /// Another search on the module begins, which may make as many trial
  /// compilations as the one before; the time that is left is what it is.
  void startSearch();

  /// Counts a trial compilation; false if no more may be made. `bestBytes` is
  /// the peak of the best candidate so far, for the progress line.
  bool takeTrial(const std::optional<int64_t> &bestBytes);
  /// Whether the trial compilation that runs must end before its next phase,
  /// since the time limit is reached.
  bool abandonsTrial();
  /// Adds the dispatches of a trial compilation.
  void addDispatches(int64_t count) { dispatches += count; }

  /// Whether the time limit has ended the search, so that its result depends on
  /// the machine.
  bool reachedTime() const { return timeReached; }

  /// The remark on the limit that ended the search; empty if none did.
  std::string remark() const;

private:
  bool showing = false;
  bool mayShow;
  double seconds;
  std::optional<std::chrono::steady_clock::time_point> began;
  double elapsed() const;
  double processorBegan = 0;
  std::chrono::steady_clock::time_point asked;
  bool timeReached = false;
  bool workReached = false;
  bool abandoned = false;
  int questions = 0;
  int64_t trials = 0;
  int64_t dispatches = 0;
  int64_t trialsBefore = 0; // those of earlier searches
  int64_t dispatchesBefore = 0;
};

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_WORKLIMIT_H

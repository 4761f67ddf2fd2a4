// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Adds the seconds of a step to the report.

#ifndef SERENITY_DRIVER_COMPILE_STOPWATCH_H
#define SERENITY_DRIVER_COMPILE_STOPWATCH_H

#include "serenity/Report/Report.h"

#include <chrono>
#include <string>
#include <utility>

namespace serenity {

/// Adds the seconds of its life to those of `name`.
class Stopwatch {
public:
  Stopwatch(ModuleReport &report, std::string name)
      : report(report), name(std::move(name)),
        start(std::chrono::steady_clock::now()) {}
  ~Stopwatch() {
    double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count();
    for (auto &entry : report.seconds) {
      if (entry.first == name) {
        entry.second += seconds;
        return;
      }
    }
    report.seconds.emplace_back(name, seconds);
  }

private:
  ModuleReport &report;
  std::string name;
  std::chrono::steady_clock::time_point start;
};

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_STOPWATCH_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/IdleFlags.h"

#include "serenity/IREE/Ir.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace serenity {

namespace {

/// Whether a flag acts where no more than `reach` runs. One that is not
/// listed acts wherever anything does.
bool acts(const std::string &flag, Reach reach) {
  if (reach == Reach::All) {
    return true;
  }
  if (reach == Reach::Nothing) {
    return false;
  }
  if (flag == "rewrite" || flag == "max-recompute" || flag == "cache") {
    return false;
  }
  if (reach == Reach::NoRewriting) {
    return true;
  }
  return flag == "schedule" || flag == "scheduler" || flag == "time-limit" ||
         flag == "state-limit" || flag == "dim-hint" || flag == "dim-bound" ||
         flag == "print-ir-after";
}

} // namespace

bool refuseUncheckedBudget(const CompileFlags &flags, const std::string &reason,
                           PipelineEvents &events) {
  if (!flags.memoryBudgetBytes) {
    return true;
  }
  std::fprintf(stderr,
               "serenity-compile: %s: the memory budget of %lld bytes cannot "
               "be checked: %s%s\n",
               flags.budgetIsError() ? "error" : "warning",
               static_cast<long long>(*flags.memoryBudgetBytes), reason.c_str(),
               flags.budgetIsError()
                   ? "; or go on with --serenity-budget-policy=warn"
                   : "");
  events.budgetMissed |= flags.budgetIsError();
  return !flags.budgetIsError();
}

bool checkIdleFlags(const CompileFlags &flags, Reach reach,
                    const std::string &cause, ModuleReport &report,
                    PipelineEvents &events) {
  std::string reason =
      reach == Reach::Nothing
          ? "with " + cause + " no pass of serenity runs"
          : "with " + cause +
                (reach == Reach::Order ? " no memory is laid out"
                                       : " nothing is rewritten or fused");
  bool budgetIdle = reach == Reach::Nothing || reach == Reach::Order;
  if (budgetIdle &&
      !refuseUncheckedBudget(flags,
                             reason + ". Compile from source or from flow, "
                                      "to stream or later",
                             events)) {
    return false;
  }
  std::string idle;
  std::vector<std::string> seen;
  for (const std::string &flag : flags.given) {
    bool budget = flag == "memory-budget" || flag == "budget-policy";
    // Off is the effect anyway.
    bool wanted =
        (flag != "schedule" || flags.schedule) &&
        (flag != "rewrite" || flags.options.rewrite != RewriteMode::Off) &&
        (flag != "waves" || flags.waves == WaveMode::Auto);
    if (budget || !wanted || acts(flag, reach) ||
        std::find(seen.begin(), seen.end(), flag) != seen.end()) {
      continue;
    }
    seen.push_back(flag);
    idle += (idle.empty() ? "--serenity-" : ", --serenity-") + flag;
  }
  if (!idle.empty()) {
    std::string text = reason + ": " + idle +
                       (seen.size() == 1 ? " has" : " have") + " no effect";
    std::fprintf(stderr, "serenity-compile: warning: %s\n", text.c_str());
    report.remarks.push_back(text);
  }
  return true;
}

void checkAllocationLimit(MlirLocation location, const UserFlags &user,
                          const ModuleReport &report) {
  const std::string flag = "iree-stream-resource-max-allocation-size";
  if (!user.has(flag)) {
    return;
  }
  int64_t limit = std::strtoll(user.value(flag).c_str(), nullptr, 10);
  for (const FunctionReport &function : report.functions) {
    int64_t largest = 0;
    for (const RegionReport &region : function.regions) {
      largest = std::max(largest, region.slabBytes);
    }
    if (!function.initializer && limit > 0 && largest > limit) {
      ir::emitWarning(location,
                      "function '" + function.exportedAs + "' has a slab of " +
                          std::to_string(largest) + " bytes, more than --" +
                          flag + "=" + std::to_string(limit) +
                          ", which IREE does not enforce for transient memory; "
                          "--serenity-memory-budget=" +
                          std::to_string(limit) + " does");
    }
  }
}

} // namespace serenity

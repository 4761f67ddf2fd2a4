// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/MemoryPrediction.h"

#include "serenity/Core/Scheduling/Scheduler.h"

#include <algorithm>

namespace serenity::rewrite {

using namespace ir;

namespace {

ScheduleResult solve(const Problem &problem, int64_t stateLimit) {
  SchedulerOptions options;
  options.stateLimit = stateLimit;
  options.timeLimitSeconds = 1e9; // the state limit decides
  // Nothing is to be proved here, and this bound costs more than the search.
  options.switches.liveCutBound = false;
  return schedule(problem, options);
}

/// Whether values are put together from parts, which may be made in place.
bool hasParts(MlirBlock block) {
  for (MlirOperation op : operations(block)) {
    if (isa(op, "tensor.concat") || isa(op, "tensor.insert_slice")) {
      return true;
    }
  }
  return false;
}

} // namespace

std::optional<PredictedPeaks> predictMemory(MlirOperation module,
                                            const FusionRules &given,
                                            int64_t stateLimit) {
  PredictedPeaks prediction;
  for (MlirOperation function : operations(body(module))) {
    if (!isa(function, "util.func") && !isa(function, "func.func")) {
      continue;
    }
    std::vector<MlirBlock> all = blocks(function);
    if (all.empty()) {
      continue; // a declaration
    }
    if (all.size() != 1) {
      return std::nullopt;
    }
    std::optional<int64_t> least;
    for (bool placeParts : {false, true}) {
      if (placeParts && !hasParts(all.front())) {
        break;
      }
      FusionRules rules = given;
      rules.predict = true;
      rules.placeParts = placeParts;
      const std::vector<Chain> chains;
      const PiecewiseOps piecewise;
      const Concats concats;
      FusionModel model(all.front(), chains, piecewise, concats, rules);
      if (!isNull(model.unknown) || !verifyProblem(model.problem)) {
        return std::nullopt;
      }
      if (model.problem.buffers.empty()) {
        break; // no tensors
      }
      ScheduleResult found = solve(model.problem, stateLimit);
      if (!least || found.peakBytes < *least) {
        least = found.peakBytes;
      }
    }
    if (least) {
      std::string name = stringAttr(function, "sym_name").value_or("");
      prediction[name] = *least;
    }
  }
  return prediction;
}

} // namespace serenity::rewrite

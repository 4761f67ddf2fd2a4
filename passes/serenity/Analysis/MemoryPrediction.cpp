// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/MemoryPrediction.h"

#include "serenity/Core/Scheduling/LowerBound.h"
#include "serenity/Core/Scheduling/Scheduler.h"

#include <algorithm>

namespace serenity::rewrite {

using namespace ir;

namespace {

/// Adds the first places of the operations that run at the peak of `order`, or
/// touch a buffer that lives across it.
void addPlaces(const FusionModel &model, const std::vector<OpId> &order,
               std::set<std::string> &places) {
  const Problem &problem = model.problem;
  const int64_t steps = int64_t(order.size());
  std::vector<int64_t> first(problem.buffers.size(), -1);
  std::vector<int64_t> last(problem.buffers.size(), -1);
  for (int64_t step = 0; step < steps; ++step) {
    for (BufferId buffer : problem.operations[order[step]].uses) {
      first[buffer] = first[buffer] < 0 ? step : first[buffer];
      last[buffer] = step;
    }
  }
  std::vector<int64_t> live(order.size() + 1);
  for (size_t i = 0; i < first.size(); ++i) {
    if (first[i] >= 0) {
      live[first[i]] += problem.buffers[i].bytes;
      live[last[i] + 1] -= problem.buffers[i].bytes;
    }
  }
  int64_t peak = 0;
  int64_t most = -1;
  int64_t sum = 0;
  for (int64_t step = 0; step < steps; ++step) {
    sum += live[step];
    int64_t bytes = sum + problem.operations[order[step]].workspaceBytes;
    if (bytes > most) {
      most = bytes;
      peak = step;
    }
  }
  for (int64_t step = 0; step < steps; ++step) {
    const std::vector<BufferId> &uses = problem.operations[order[step]].uses;
    bool touches = std::any_of(uses.begin(), uses.end(), [&](BufferId buffer) {
      return first[buffer] <= peak && peak <= last[buffer];
    });
    if (step == peak || touches) {
      for (MlirOperation member : model.members[order[step]]) {
        places.insert(firstPlace(mlirOperationGetLocation(member)));
      }
    }
  }
}

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

int64_t Prediction::sum() const {
  int64_t total = 0;
  for (const auto &item : peakBytes) {
    total += item.second;
  }
  return total;
}

std::optional<Prediction> predictMemory(MlirOperation module,
                                        const FusionRules &given,
                                        int64_t stateLimit) {
  Prediction prediction;
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
    int64_t numOperations = 0;
    std::set<std::string> places;
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
      if (least && detail::operationFootprintBound(model.problem) >= *least) {
        break; // no order of this model needs less
      }
      ScheduleResult found = solve(model.problem, stateLimit);
      if (!least || found.peakBytes < *least) {
        least = found.peakBytes;
        numOperations = int64_t(model.problem.operations.size());
        places.clear();
        addPlaces(model, found.order, places);
      }
    }
    if (least) {
      std::string name = stringAttr(function, "sym_name").value_or("");
      prediction.peakBytes[name] = *least;
      prediction.numOperations += numOperations;
      prediction.placesAtPeak.insert(places.begin(), places.end());
    }
  }
  return prediction;
}

} // namespace serenity::rewrite

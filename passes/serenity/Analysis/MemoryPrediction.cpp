// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/MemoryPrediction.h"

#include "serenity/Core/Packing/FixedRegions.h"
#include "serenity/Core/Scheduling/LiveSlices.h"
#include "serenity/Core/Scheduling/LowerBound.h"
#include "serenity/Core/Scheduling/Scheduler.h"

#include <algorithm>
#include <utility>

namespace serenity::rewrite {

using namespace ir;

namespace {

/// An order of a function's operations, and the memory it needs.
struct PlannedOrder {
  std::vector<OpId> order;
  /// Most bytes alive together in the slab.
  int64_t peakBytes = 0;
  /// No order with its peak where this one was looked for needs fewer.
  int64_t lowerBoundBytes = 0;
  /// Per buffer, whether it lies in the memory of a result.
  std::vector<bool> inResult;
};

/// Adds the first places of the operations that run at the peak of the slab, or
/// touch a buffer that lives across it.
void addPlaces(const FusionModel &model, const PlannedOrder &planned,
               std::set<std::string> &places) {
  Problem inSlab = model.problem;
  for (size_t i = 0; i < inSlab.buffers.size(); ++i) {
    if (planned.inResult[i]) {
      inSlab.buffers[i].bytes = 0;
    }
  }
  const Simulation simulation = simulate(inSlab, planned.order);
  const int64_t peak = simulation.peakStep();
  for (size_t step = 0; step < planned.order.size(); ++step) {
    const OpId unit = planned.order[step];
    const std::vector<BufferId> &uses = inSlab.operations[unit].uses;
    bool touches = std::any_of(uses.begin(), uses.end(), [&](BufferId buffer) {
      const LiveRange &range = simulation.liveRanges[buffer];
      return range.first <= peak && peak <= range.last;
    });
    if (int64_t(step) == peak || touches) {
      for (MlirOperation member : model.members[unit]) {
        places.insert(firstPlace(mlirOperationGetLocation(member)));
      }
    }
  }
}

/// Takes buffers to the memory of the results before those are written, where
/// that lowers the peak. They are packed greedily there, so the peak may be a
/// little more than that of the exact packing of what is built.
void moveToResults(const FusionModel &model, int64_t alignment,
                   PlannedOrder &planned) {
  const Simulation simulation = simulate(model.problem, planned.order);
  planned.peakBytes = simulation.peakBytes;
  planned.inResult.assign(model.problem.buffers.size(), false);
  std::vector<int64_t> position(planned.order.size());
  for (size_t i = 0; i < planned.order.size(); ++i) {
    position[size_t(planned.order[i])] = int64_t(i);
  }
  const LiveSlices live(model.problem, simulation,
                        model.problem.buffers.size());
  FixedRegion memory; // the results of a region are one allocation
  for (const auto &item : model.resultPieces) {
    for (const FusionModel::Piece &piece : item.second) {
      Slice own;
      own.lower = own.upper = int64_t(planned.order.size());
      for (OpId user : piece.users) {
        own.lower = std::min(own.lower, position[size_t(user)]);
      }
      own.bytes = piece.upper - piece.lower;
      own.fixedOffset = memory.bytes + piece.lower;
      memory.occupied.push_back(own);
    }
    memory.bytes += item.second.back().upper;
  }
  if (live.slices.empty() || memory.bytes == 0) {
    return;
  }
  PackOptions options;
  options.algorithm = PackAlgorithm::Greedy;
  options.offsetAlignment = options.rangeAlignment = alignment;
  const BesidePackResult found = packBeside(live.slices, {memory}, options);
  planned.peakBytes = found.liveBytes;
  for (size_t i = 0; i < live.buffers.size(); ++i) {
    planned.inResult[live.buffers[i]] = found.placements[i].region >= 0;
  }
}

/// The best order for the slab, or with `countResults` for the slab and the
/// results together.
PlannedOrder solveOnce(const FusionModel &model, int64_t alignment,
                       bool reuseResults, bool countResults,
                       int64_t stateLimit) {
  Problem problem = model.problem;
  int64_t outside = 0;
  for (const auto &item : model.resultPieces) {
    if (!countResults) {
      break;
    }
    for (const FusionModel::Piece &piece : item.second) {
      const BufferId id = BufferId(problem.buffers.size());
      problem.buffers.push_back({"", piece.upper - piece.lower, false, true});
      for (OpId user : piece.users) {
        problem.operations[size_t(user)].uses.push_back(id);
      }
      outside += piece.upper - piece.lower;
    }
  }
  SchedulerOptions options;
  options.stateLimit = stateLimit;
  options.timeLimitSeconds = 1e9; // the state limit decides
  // Nothing is to be proved here, and this bound costs more than the search.
  options.switches.liveCutBound = false;
  ScheduleResult found = schedule(problem, options);
  PlannedOrder planned;
  planned.order = std::move(found.order);
  planned.lowerBoundBytes =
      std::max<int64_t>(found.lowerBoundBytes - outside, 0);
  if (reuseResults) {
    moveToResults(model, alignment, planned);
  } else {
    planned.peakBytes = found.peakBytes;
    planned.inResult.assign(model.problem.buffers.size(), false);
  }
  return planned;
}

/// The order of least peak. One that is best for slab and results together may
/// leave pieces of the results that no buffer fits into: then the order that is
/// best for the slab alone may be better.
PlannedOrder solve(const FusionModel &model, int64_t alignment,
                   bool reuseResults, int64_t stateLimit) {
  const bool shared = reuseResults && !model.resultPieces.empty();
  PlannedOrder best = solveOnce(model, alignment, shared, shared, stateLimit);
  if (shared && best.peakBytes > best.lowerBoundBytes) {
    PlannedOrder other = solveOnce(model, alignment, shared, false, stateLimit);
    if (other.peakBytes < best.peakBytes) {
      best = std::move(other);
    }
  }
  return best;
}

/// Bytes that no order of `model` goes below.
int64_t lowerBound(const FusionModel &model, bool reuseResults) {
  int64_t bound = detail::operationFootprintBound(model.problem);
  for (const auto &item : model.resultPieces) {
    bound -= reuseResults ? item.second.back().upper : 0;
  }
  return bound;
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
                                        bool reuseResults, int64_t stateLimit) {
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
      if (least && lowerBound(model, reuseResults) >= *least) {
        break; // no order of this model needs less
      }
      const PlannedOrder found =
          solve(model, rules.alignment, reuseResults, stateLimit);
      if (!least || found.peakBytes < *least) {
        least = found.peakBytes;
        numOperations = int64_t(model.problem.operations.size());
        places.clear();
        addPlaces(model, found, places);
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

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Rewrite/RewriteOrder.h"

#include "serenity/Analysis/FusionModel.h"
#include "serenity/Core/Scheduling/LowerBound.h"
#include "serenity/Core/Scheduling/Scheduler.h"
#include "serenity/Core/Scheduling/Simulator.h"
#include "serenity/Core/Scheduling/StateLimits.h"
#include "serenity/Transforms/ProgramOrder.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>

namespace serenity::rewrite {

using namespace ir;

namespace {

/// Operations that may be moved as long as definitions precede their uses.
bool isPure(MlirOperation op) {
  std::string_view opName = name(op);
  return opName.substr(0, 7) == "linalg." || opName.substr(0, 7) == "tensor." ||
         opName.substr(0, 6) == "arith." || opName == "util.global.load" ||
         opName == "util.optimization_barrier" ||
         opName == "flow.tensor.tie_shape" || opName == "hal.buffer_view.dim" ||
         opName == "hal.tensor.import";
}

} // namespace

/// Threads `chain` anew so that its parts come in `order`.
static void rethread(Chain &chain, const std::vector<int64_t> &order) {
  if (chain.isSum()) {
    std::vector<MlirValue> parts = {
        operand(chain.steps.front(), chain.accumulator)};
    for (MlirOperation step : chain.steps) {
      parts.push_back(operand(step, chain.part));
    }
    mlirOperationSetOperand(chain.steps.front(), chain.accumulator,
                            parts[order[0]]);
    for (size_t i = 0; i < chain.steps.size(); ++i) {
      mlirOperationSetOperand(chain.steps[i], chain.part, parts[order[i + 1]]);
    }
    return;
  }
  // All steps are the same operation, so their operands are exchanged.
  std::vector<std::vector<MlirValue>> parts;
  for (MlirOperation step : chain.steps) {
    parts.push_back(operands(step));
  }
  for (size_t i = 0; i < chain.steps.size(); ++i) {
    for (size_t j = 0; j < parts[i].size(); ++j) {
      if (int64_t(j) != chain.accumulator) {
        mlirOperationSetOperand(chain.steps[i], j, parts[order[i]][j]);
      }
    }
  }
}

/// Whether `model` says all about its chains.
static bool isComplete(const FusionModel &model) {
  if (!verifyProblem(model.problem)) {
    return false;
  }
  for (const std::vector<OpId> &parts : model.accumulates) {
    if (std::count(parts.begin(), parts.end(), -1) != 0) {
      return false; // a step stands in no block of the function
    }
  }
  return true;
}

static bool hasConcat(MlirBlock block) {
  for (MlirOperation op : operations(block)) {
    if (isa(op, "tensor.concat")) {
      return true;
    }
  }
  return false;
}

static ScheduleResult solve(const Problem &problem, int64_t stateLimit) {
  SchedulerOptions options;
  options.stateLimit = stateLimit;
  options.timeLimitSeconds = 1e9; // the state limit decides
  return schedule(problem, options);
}

namespace {
/// A model and an order of its operations.
struct OrderedModel {
  FusionModel model;
  ScheduleResult found;
};
} // namespace

/// The model that has an order of least peak, with the parts of concatenations
/// copied or made in their place, which is for the planner of regions to
/// decide; nothing if no model says all about the chains.
static std::optional<OrderedModel>
bestOrder(MlirBlock block, const std::vector<Chain> &chains,
          const PiecewiseOps &piecewise, const Concats &concats,
          const TensorSizes &sizes, int64_t stateLimit) {
  std::optional<OrderedModel> best;
  for (bool placeParts : {false, true}) {
    if (placeParts && !hasConcat(block)) {
      break;
    }
    FusionRules rules;
    rules.addends = concats.empty() ? Addends::TakeSum : Addends::ComeLast;
    rules.placeParts = placeParts;
    rules.sizes = sizes;
    FusionModel model(block, chains, piecewise, concats, rules);
    if (!isComplete(model)) {
      break;
    }
    if (best && best->found.optimal &&
        detail::operationFootprintBound(model.problem) >=
            best->found.peakBytes) {
      break; // no order of this model needs less
    }
    ScheduleResult found = solve(
        model.problem,
        scaledStates(stateLimit, int64_t(model.problem.operations.size())));
    if (!best || found.peakBytes < best->found.peakBytes) {
      best.emplace(OrderedModel{std::move(model), std::move(found)});
    }
  }
  return best;
}

bool orderChains(MlirOperation function, std::vector<Chain> &chains,
                 const PiecewiseOps &piecewise, const Concats &concats,
                 const TensorSizes &sizes, int64_t stateLimit) {
  std::vector<MlirBlock> all = blocks(function);
  if (chains.empty() || all.size() != 1) {
    return true;
  }
  // Between the first and the last pure operation nothing else may stand.
  std::vector<MlirOperation> ops = operations(all.front());
  size_t first = 0;
  while (first < ops.size() && !isPure(ops[first])) {
    ++first;
  }
  size_t last = ops.size();
  while (last > first && !isPure(ops[last - 1])) {
    --last;
  }
  for (size_t i = first; i < last; ++i) {
    if (!isPure(ops[i])) {
      return true;
    }
  }

  std::optional<OrderedModel> best =
      bestOrder(all.front(), chains, piecewise, concats, sizes, stateLimit);
  if (!best) {
    return true;
  }
  FusionModel &model = best->model;
  const ScheduleResult &found = best->found;

  std::vector<int64_t> when(found.order.size());
  for (size_t i = 0; i < found.order.size(); ++i) {
    when[found.order[i]] = i;
  }
  for (size_t i = 0; i < chains.size(); ++i) {
    std::vector<int64_t> order(chains[i].numParts());
    std::iota(order.begin(), order.end(), 0);
    const std::vector<OpId> &steps = model.accumulates[i];
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return when[steps[a]] < when[steps[b]];
    });
    // The members follow their parts.
    for (size_t position = 0; position < order.size(); ++position) {
      int64_t step = int64_t(position) - (chains[i].isSum() ? 1 : 0);
      if (!chains[i].isSum()) {
        std::vector<MlirOperation> &members =
            model.members[steps[order[position]]];
        members.front() = chains[i].steps[step];
      } else if (step >= 0) {
        model.members[steps[order[position]]].push_back(chains[i].steps[step]);
      }
    }
    rethread(chains[i], order);
  }
  Reorder reorder(all.front());
  // Imports stay in front: one in the middle would cut the function into two
  // execution regions.
  for (size_t i = 0; i < ops.size(); ++i) {
    if (i < first || isa(ops[i], "hal.tensor.import")) {
      reorder.emit(ops[i]);
    }
  }
  // The operations after the last pure one stay there, in their order: a store
  // to a global, say, which must not get in front of a load.
  std::set<const void *> behind;
  for (size_t i = last; i < ops.size(); ++i) {
    behind.insert(ops[i].ptr);
  }
  for (OpId op : found.order) {
    for (MlirOperation member : model.members[op]) {
      if (behind.count(member.ptr) == 0) {
        reorder.emit(member);
      }
    }
  }
  reorder.apply();
  return found.optimal;
}

namespace {
/// Parts of a chain that are taken in one step.
struct Step {
  std::vector<int64_t> parts; // by their place in the concatenation
  OpId unit = -1;
  BufferId buffer = -1;
  int64_t bytes = 0;
};
} // namespace

/// `problem` with the parts of `a` and `b` made side by side in one buffer, and
/// `b` done in the operation of `a`.
static Problem join(const Problem &problem, const Step &a, const Step &b) {
  Problem joined = problem;
  BufferId whole = BufferId(joined.buffers.size());
  joined.buffers.push_back({"", a.bytes + b.bytes, false, false});
  moveUses(joined, a.buffer, whole);
  moveUses(joined, b.buffer, whole);
  auto add = [](std::vector<int32_t> &list, int32_t item) {
    if (std::find(list.begin(), list.end(), item) == list.end()) {
      list.push_back(item);
    }
  };
  Operation gone = joined.operations[b.unit];
  joined.operations[b.unit] = {gone.name, {}, {}, 0};
  Operation &kept = joined.operations[a.unit];
  kept.workspaceBytes = std::max(kept.workspaceBytes, gone.workspaceBytes);
  for (BufferId buffer : gone.uses) {
    add(kept.uses, buffer);
  }
  for (OpId before : gone.after) {
    add(kept.after, before);
  }
  for (size_t i = 0; i < joined.operations.size(); ++i) {
    std::vector<OpId> &after = joined.operations[i].after;
    auto at = std::find(after.begin(), after.end(), b.unit);
    if (at != after.end()) {
      after.erase(at);
      add(after, a.unit);
    }
    after.erase(std::remove(after.begin(), after.end(), OpId(i)), after.end());
  }
  return joined;
}

/// Joins tried per function, and states for each.
static constexpr int maxJoinsTried = 256;
static constexpr int64_t statesPerJoin = 2000;

std::vector<std::vector<std::vector<int64_t>>>
findJoins(MlirOperation function, const std::vector<Chain> &chains,
          const PiecewiseOps &piecewise, const TensorSizes &sizes,
          int64_t stateLimit) {
  std::vector<std::vector<std::vector<int64_t>>> found(chains.size());
  std::vector<MlirBlock> all = blocks(function);
  if (all.size() != 1) {
    return found;
  }
  const Concats none;
  FusionRules rules;
  rules.sizes = sizes;
  FusionModel model(all.front(), chains, piecewise, none, rules);
  if (!isComplete(model)) {
    return found;
  }
  Problem problem = model.problem;
  const int64_t limit = solve(problem, stateLimit).peakBytes;

  std::vector<size_t> order(chains.size());
  std::iota(order.begin(), order.end(), 0);
  auto resultBytes = [&](size_t chain) {
    return sizes.bytes(result(chains[chain].steps.back())).value_or(0);
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return resultBytes(a) > resultBytes(b);
  });
  int tried = 0;
  for (size_t chain : order) {
    const Chain &links = chains[chain];
    std::vector<Step> steps;
    for (size_t i = 0; i < links.taken.size(); ++i) {
      steps.push_back(
          {links.taken[i], model.accumulates[chain][i],
           model.partBuffers[chain][i],
           sizes.bytes(operand(links.steps[i], links.cut)).value_or(0)});
      // It would have to be copied: an argument, a slice, or a part that the
      // join of an earlier chain holds already.
      if (steps.back().buffer < 0 ||
          problem.buffers[steps.back().buffer].bytes != steps.back().bytes) {
        steps.pop_back();
      }
    }
    std::set<std::pair<std::vector<int64_t>, std::vector<int64_t>>> refused;
    for (bool again = true; again && tried < maxJoinsTried;) {
      again = false;
      std::vector<std::pair<size_t, size_t>> pairs;
      for (size_t i = 0; i < steps.size(); ++i) {
        for (size_t j = i + 1; j < steps.size(); ++j) {
          pairs.emplace_back(i, j);
        }
      }
      std::stable_sort(pairs.begin(), pairs.end(),
                       [&](const auto &p, const auto &q) {
                         return steps[p.first].bytes + steps[p.second].bytes <
                                steps[q.first].bytes + steps[q.second].bytes;
                       });
      for (const auto &pair : pairs) {
        Step &a = steps[pair.first];
        Step &b = steps[pair.second];
        if (a.buffer == b.buffer || !refused.emplace(a.parts, b.parts).second) {
          continue;
        }
        if (tried++ >= maxJoinsTried) {
          break;
        }
        Problem joined = join(problem, a, b);
        if (!verifyProblem(joined) ||
            solve(joined, statesPerJoin).peakBytes > limit) {
          continue;
        }
        problem = std::move(joined);
        a.parts.insert(a.parts.end(), b.parts.begin(), b.parts.end());
        std::sort(a.parts.begin(), a.parts.end());
        a.bytes += b.bytes;
        a.buffer = BufferId(problem.buffers.size()) - 1;
        steps.erase(steps.begin() + pair.second);
        again = true;
        break;
      }
    }
    for (const Step &step : steps) {
      if (step.parts.size() > 1) {
        found[chain].push_back(step.parts);
      }
    }
  }
  return found;
}

} // namespace serenity::rewrite

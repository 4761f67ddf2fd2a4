// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/RegionSolver.h"

#include "serenity/Core/Packing/PackMemo.h"
#include "serenity/Core/Scheduling/LiveSlices.h"
#include "serenity/Core/Scheduling/OrderWalk.h"
#include "serenity/Core/Scheduling/SlabBound.h"
#include "serenity/Transforms/ExternalMemory.h"
#include "serenity/Transforms/Recompute.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>

namespace serenity {

namespace {

/// Evaluations of placement choices per region; beyond it, the best so far.
constexpr int maxEvaluations = 192;
/// Under a limit of states, evaluations end when they have taken so many times
/// as many together.
constexpr int64_t evaluationsOfFullLength = 10;
/// Larger regions get the whole-region variants only.
constexpr size_t maxOperationsForLocalChoice = 600;
/// States per evaluation while choosing placements; the final order is solved
/// without this limit.
constexpr int64_t statesPerEvaluation = 200000;
/// Of the states for a region that is compared with others, bounds of its slab
/// and the order for the slab alone get one part in so many.
constexpr int64_t shareOfSideSearches = 8;
/// Other orders of equal peak that are tried when offsets are not tight.
constexpr int maxOtherOrders = 40;
/// Moves from one to the next, and their limit in moves times commands.
constexpr int movesPerOrder = 100;
constexpr int64_t walkWorkPerOrder = 100000;
/// The same for the search for offsets, in nodes times buffers. serenity-pack
/// has more for the one order that remains.
constexpr int64_t packWorkPerOrder = 120000;

/// Slices are made once more only if those that live across the peak are at
/// least one part in so many of the slab.
constexpr int64_t leastShareOfCopies = 100;

double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

class RegionScheduler {
public:
  RegionScheduler(const RegionModel &model, const Options &options,
                  const ResourceConfig &config)
      : model(model), options(options), config(config),
        start(std::chrono::steady_clock::now()) {}

  RegionSolution solve();
  /// An order of lower peak in which some values are computed again, of another
  /// model; nothing if there is none.
  std::optional<std::pair<RecomputedRegion, RegionSolution>>
  recompute(const RegionSolution &solution,
            const Executables &executables) const;
  /// An order of lower peak in which readers of slices have their own, of
  /// another model; nothing if there is none.
  std::optional<std::pair<SeparatedRegion, RegionSolution>>
  separate(const RegionSolution &solution,
           const Executables &executables) const;

private:
  /// Whether commands may be run once more: their sizes have to be known.
  bool mayRepeat() const;
  int evaluations() const { return int(memo.size()); }
  SchedulerOptions schedulerOptions(int64_t stateLimit) const {
    SchedulerOptions result;
    result.algorithm = options.scheduler;
    result.timeLimitSeconds =
        std::max(0.0, options.searchSeconds() - secondsSince(start));
    result.stateLimit = stateLimit;
    if (options.cancelled) {
      const auto &cancelled = options.cancelled;
      result.onProgress = [&cancelled](const ScheduleProgress &) {
        return !cancelled();
      };
    }
    return result;
  }
  PackOptions packOptions(size_t buffers) const {
    const int64_t nodes =
        std::clamp<int64_t>(packWorkPerOrder / int64_t(buffers + 1), 100, 5000);
    PackOptions result;
    result.algorithm = options.offsets;
    result.timeLimitSeconds =
        std::max(0.0, options.searchSeconds() - secondsSince(start));
    result.nodeLimit =
        options.stateLimit ? std::min(options.stateLimit, nodes) : nodes;
    result.offsetAlignment = config.offsetAlignment;
    result.rangeAlignment = config.rangeAlignment;
    return result;
  }
  int64_t evaluationStates() const {
    return options.stateLimit
               ? std::min(options.stateLimit, statesPerEvaluation)
               : statesPerEvaluation;
  }
  /// `states`, or the share of them that a side search gets.
  int64_t searchStates(int64_t states, bool isSide) const {
    return isSide && options.comparesCandidates && states > 0
               ? std::max<int64_t>(1, states / shareOfSideSearches)
               : states;
  }
  bool outOfTime() const {
    return secondsSince(start) >= options.searchSeconds() ||
           (options.stateLimit &&
            spent / evaluationsOfFullLength >= options.stateLimit) ||
           (options.cancelled && options.cancelled());
  }

  struct Evaluation {
    int64_t peakBytes = 0;
    int64_t upperBound = 0;    // of the search that found it
    std::vector<int> commands; // of the model, in the order found
  };
  /// The least peak with these placements if it is below `upperBound`; else any
  /// that is not.
  const Evaluation &evaluate(const std::vector<bool> &wanted,
                             int64_t upperBound);
  /// Per placement of the model: whether its source or its target is live at a
  /// step of the peak, with the placements `wanted` and `commands` in order.
  std::vector<bool> placementsAtPeak(const std::vector<bool> &wanted,
                                     const std::vector<int> &commands) const;
  std::vector<bool> choosePlacements();
  /// Placements, and an order of the commands that remain.
  std::pair<std::vector<bool>, std::vector<int>>
  saveCopies(const RegionSolution &solution);
  /// With `commands`, an order of the commands that remain, to start from, and
  /// without `improve`, to keep.
  RegionSolution solve(const std::vector<bool> &placed,
                       const std::vector<int> &commands = {},
                       bool improve = true);
  /// Proves more than that all bytes of results and inputs are of use.
  void raiseLowerBound(RegionSolution &solution) const;
  /// The best for the present objective, see `countHeld`.
  RegionSolution solveObjective();
  /// With `tight`, looks for a height equal to the peak alone.
  void packSchedule(RegionSolution &solution, bool tight) const;
  void tryOtherOrders(RegionSolution &best) const;

  const RegionModel &model;
  const Options &options;
  ResourceConfig config;
  std::chrono::steady_clock::time_point start;
  /// The objective: the slab if it shares memory with results and inputs, or
  /// the slab alone.
  bool countHeld = false;
  /// What is searched is the second objective.
  bool isSideSearch = false;
  std::map<std::vector<bool>, Evaluation> memo;
  int64_t spent = 0; // states of all evaluations
};

/// The commands of the model that `plan` runs, in `order`.
std::vector<int> inOrder(const RegionPlan &plan,
                         const std::vector<OpId> &order) {
  std::vector<int> commands;
  for (OpId op : order) {
    commands.push_back(plan.commands[op]);
  }
  return commands;
}

/// The order in which `plan` runs those of `commands` that it has. If it has
/// others too, that is no order of all.
std::vector<OpId> orderOf(const RegionPlan &plan,
                          const std::vector<int> &commands) {
  std::vector<OpId> order;
  for (int command : commands) {
    auto at =
        std::lower_bound(plan.commands.begin(), plan.commands.end(), command);
    if (at != plan.commands.end() && *at == command) {
      order.push_back(OpId(at - plan.commands.begin()));
    }
  }
  return order;
}

const RegionScheduler::Evaluation &
RegionScheduler::evaluate(const std::vector<bool> &wanted, int64_t upperBound) {
  RegionPlan plan = planRegion(model, wanted, config.rangeAlignment, countHeld);
  auto [known, isNew] = memo.emplace(plan.chosen, Evaluation());
  Evaluation &evaluation = known->second;
  if (!isNew && (evaluation.peakBytes < evaluation.upperBound ||
                 upperBound <= evaluation.upperBound)) {
    return evaluation;
  }
  SchedulerOptions limits =
      schedulerOptions(searchStates(evaluationStates(), isSideSearch));
  limits.upperBoundBytes = upperBound;
  ScheduleResult found = schedule(plan.problem, limits);
  spent += found.states;
  evaluation = {found.peakBytes, upperBound, inOrder(plan, found.order)};
  return evaluation;
}

std::vector<bool>
RegionScheduler::placementsAtPeak(const std::vector<bool> &wanted,
                                  const std::vector<int> &commands) const {
  const RegionPlan plan =
      planRegion(model, wanted, config.rangeAlignment, countHeld);
  const std::vector<OpId> order = orderOf(plan, commands);
  const Simulation simulation = simulate(plan.problem, order);
  std::vector<int64_t> peakSteps;
  for (size_t step = 0; step < order.size(); ++step) {
    if (simulation.liveBytes[step] == simulation.peakBytes) {
      peakSteps.push_back(int64_t(step));
    }
  }
  std::vector<bool> live(model.buffers.size(), false);
  for (size_t i = 0; i < simulation.liveRanges.size(); ++i) {
    const LiveRange &range = simulation.liveRanges[i];
    auto step =
        std::lower_bound(peakSteps.begin(), peakSteps.end(), range.first);
    const int buffer = i < plan.problemBuffers.size()
                           ? plan.problemBuffers[i]
                           : plan.held[i - plan.problemBuffers.size()].buffer;
    if (step != peakSteps.end() && *step <= range.last) {
      live[buffer] = true;
    }
  }
  std::vector<bool> touches;
  for (const Placement &placement : model.placements) {
    touches.push_back(live[plan.places[placement.source].root] ||
                      live[plan.places[placement.target].root]);
  }
  return touches;
}

/// The whole-region variants first (as IREE placed, all in place, none), then
/// hill climbing: all parts of one target at once, single parts.
std::vector<bool> RegionScheduler::choosePlacements() {
  size_t count = model.placements.size();
  std::vector<bool> best(count);
  for (size_t i = 0; i < count; ++i) {
    best[i] = model.placements[i].stock;
  }
  if (count == 0) {
    return best;
  }
  const Evaluation *least =
      &evaluate(best, std::numeric_limits<int64_t>::max());
  auto consider = [&](const std::vector<bool> &wanted) {
    const Evaluation &found = evaluate(wanted, least->peakBytes);
    if (found.peakBytes < least->peakBytes) {
      least = &found;
      best = wanted;
      return true;
    }
    return false;
  };
  consider(std::vector<bool>(count, true));
  consider(std::vector<bool>(count, false));
  if (model.commands.size() > maxOperationsForLocalChoice) {
    return best;
  }
  std::map<int, std::vector<size_t>> byTarget;
  for (size_t i = 0; i < count; ++i) {
    byTarget[model.placements[i].target].push_back(i);
  }
  // Only a change of what is live at the peak can lower it.
  std::vector<bool> atPeak = placementsAtPeak(best, least->commands);
  auto touchesPeak = [&](size_t placement) { return atPeak[placement]; };
  auto change = [&](const std::vector<bool> &wanted) {
    if (!consider(wanted)) {
      return false;
    }
    atPeak = placementsAtPeak(best, least->commands);
    return true;
  };
  bool improved = true;
  while (improved && evaluations() < maxEvaluations && !outOfTime()) {
    improved = false;
    for (const auto &group : byTarget) {
      if (std::none_of(group.second.begin(), group.second.end(), touchesPeak)) {
        continue;
      }
      for (bool value : {true, false}) {
        std::vector<bool> wanted = best;
        for (size_t i : group.second) {
          wanted[i] = value;
        }
        improved |= change(wanted);
      }
      if (evaluations() >= maxEvaluations || outOfTime()) {
        return best;
      }
    }
    for (size_t i = 0; i < count; ++i) {
      if (!touchesPeak(i)) {
        continue;
      }
      std::vector<bool> wanted = best;
      wanted[i] = !wanted[i];
      improved |= change(wanted);
      if (evaluations() >= maxEvaluations || outOfTime()) {
        return best;
      }
    }
  }
  return best;
}

void RegionScheduler::packSchedule(RegionSolution &solution, bool tight) const {
  const RegionPlan &plan = solution.plan;
  const std::vector<Slice> slices =
      LiveSlices(plan.problem, simulate(plan.problem, solution.schedule.order),
                 plan.slabBuffers)
          .slices;
  PackOptions limits = packOptions(slices.size());
  if (plan.heldBytes > 0) {
    BesidePackResult packing =
        packBeside(slices,
                   heldRegions(model, plan, solution.schedule.order,
                               config.rangeAlignment),
                   limits);
    solution.slabBytes = packing.slabBytes;
    solution.liveBytes = packing.liveBytes;
    return;
  }
  if (tight) {
    limits.capacity = solution.schedule.peakBytes;
  }
  solution.slabBytes = packOnce(slices, limits).heightBytes;
  solution.liveBytes = maximumLiveBytes(slices, limits);
}

/// Where the offsets are not tight, those of another order of the same peak may
/// be: the sequence of the buffers decides whether the memory that one leaves
/// is in one piece when another needs it.
void RegionScheduler::tryOtherOrders(RegionSolution &best) const {
  const int64_t peak = best.targetBytes();
  if (best.slabBytes <= peak || options.offsets != PackAlgorithm::Exact) {
    return;
  }
  const int64_t moves = std::clamp<int64_t>(
      walkWorkPerOrder / int64_t(best.schedule.order.size() + 1), 1,
      movesPerOrder);
  OrderWalk walk(best.plan.problem, best.schedule.order, /*seed=*/1);
  RegionSolution candidate = best;
  const int orders =
      best.plan.heldBytes > 0 ? maxOtherOrders / 4 : maxOtherOrders;
  for (int tried = 0; tried < orders && !outOfTime() && best.slabBytes > peak;
       ++tried) {
    candidate.schedule.order = walk.walk(static_cast<int>(moves));
    packSchedule(candidate, /*tight=*/true);
    if (candidate.slabBytes < best.slabBytes) {
      best = candidate;
    }
  }
}

/// More parts made in their places as long as the peak stays: each saves a
/// copy.
std::pair<std::vector<bool>, std::vector<int>>
RegionScheduler::saveCopies(const RegionSolution &solution) {
  std::vector<bool> placed = solution.plan.chosen;
  std::vector<int> commands = inOrder(solution.plan, solution.schedule.order);
  if (model.commands.size() > maxOperationsForLocalChoice) {
    return {placed, commands};
  }
  const int64_t peak = solution.schedule.peakBytes;
  const int limit = evaluations() + maxEvaluations;
  auto take = [&](const std::vector<bool> &wanted) {
    RegionPlan plan =
        planRegion(model, wanted, config.rangeAlignment, countHeld);
    if (plan.chosen == placed) {
      return;
    }
    // Most often the order may stay.
    std::vector<OpId> order = orderOf(plan, commands);
    if (verifySchedule(plan.problem, order) &&
        simulate(plan.problem, order).peakBytes <= peak) {
      commands = inOrder(plan, order);
    } else {
      const Evaluation &found = evaluate(plan.chosen, peak + 1);
      if (found.peakBytes > peak) {
        return;
      }
      commands = found.commands;
    }
    placed = plan.chosen;
  };
  // All parts of a target, then single ones.
  std::map<int, std::vector<size_t>> byTarget;
  for (size_t i = 0; i < placed.size(); ++i) {
    byTarget[model.placements[i].target].push_back(i);
  }
  for (const auto &group : byTarget) {
    std::vector<bool> wanted = placed;
    for (size_t i : group.second) {
      wanted[i] = true;
    }
    take(wanted);
    for (size_t i : group.second) {
      if (evaluations() >= limit || outOfTime()) {
        return {placed, commands};
      }
      if (!placed[i]) {
        wanted = placed;
        wanted[i] = true;
        take(wanted);
      }
    }
  }
  return {placed, commands};
}

RegionSolution RegionScheduler::solve(const std::vector<bool> &placed,
                                      const std::vector<int> &commands,
                                      bool improve) {
  RegionSolution found;
  found.countsHeld = countHeld;
  found.plan = planRegion(model, placed, config.rangeAlignment, countHeld);
  SchedulerOptions limits =
      schedulerOptions(searchStates(options.stateLimit, isSideSearch));
  limits.givenOrder = orderOf(found.plan, commands);
  if (!improve) {
    limits.timeLimitSeconds = 0;
  }
  found.schedule = schedule(found.plan.problem, limits);
  found.lowerBoundBytes = std::max<int64_t>(0, found.schedule.lowerBoundBytes -
                                                   found.plan.heldBytes);
  found.boundProvedBy =
      found.schedule.optimal ? found.schedule.provedBy : "search";
  packSchedule(found, /*tight=*/false);
  tryOtherOrders(found);
  return found;
}

void RegionScheduler::raiseLowerBound(RegionSolution &solution) const {
  const RegionPlan &plan = solution.plan;
  if (plan.heldBytes == 0 || solution.optimal()) {
    return;
  }
  std::vector<int64_t> regionBytes;
  for (const FixedRegion &region : heldRegions(
           model, plan, solution.schedule.order, config.rangeAlignment)) {
    regionBytes.push_back(region.bytes);
  }
  SlabBound found = slabLowerBound(
      plan.problem, plan.slabBuffers, regionBytes, config.rangeAlignment,
      schedulerOptions(searchStates(evaluationStates(), /*isSide=*/true)),
      solution.liveBytes);
  if (found.bytes > solution.lowerBoundBytes) {
    solution.lowerBoundBytes = found.bytes;
    solution.boundProvedBy = found.provedBy;
  }
}

RegionSolution RegionScheduler::solveObjective() {
  memo.clear();
  RegionSolution best = solve(choosePlacements());
  auto [more, commands] = saveCopies(best);
  if (more != best.plan.chosen) {
    // Of lower peak none was found; only a proof is worth a search.
    RegionSolution other =
        solve(more, commands, /*improve=*/best.schedule.optimal);
    other.schedule.states += best.schedule.states;
    if (other.schedule.peakBytes <= best.schedule.peakBytes &&
        other.slabBytes <= best.slabBytes &&
        (other.schedule.optimal || !best.schedule.optimal) &&
        other.plan.commands.size() < best.plan.commands.size()) {
      best = std::move(other);
    }
  }
  return best;
}

/// An order that is best for slab and held memory together may leave pieces of
/// the latter that no buffer fits into. Then the order that is best for the
/// slab alone may be better.
RegionSolution RegionScheduler::solve() {
  countHeld =
      options.reuse &&
      std::any_of(model.buffers.begin(), model.buffers.end(),
                  [](const RegionBuffer &buffer) { return buffer.isReusable; });
  RegionSolution best = solveObjective();
  raiseLowerBound(best);
  if (countHeld && best.slabBytes > best.lowerBoundBytes && !outOfTime()) {
    countHeld = false;
    isSideSearch = true;
    RegionSolution other = solveObjective();
    other.schedule.states += best.schedule.states;
    if (other.slabBytes < best.slabBytes) {
      best = std::move(other);
      raiseLowerBound(best);
    }
  }
  best.schedule.seconds = secondsSince(start);
  return best;
}

bool RegionScheduler::mayRepeat() const {
  return options.rewrite != RewriteMode::Off &&
         std::none_of(model.buffers.begin(), model.buffers.end(),
                      [](const RegionBuffer &buffer) {
                        return buffer.size.ptr != nullptr;
                      });
}

std::optional<std::pair<SeparatedRegion, RegionSolution>>
RegionScheduler::separate(const RegionSolution &solution,
                          const Executables &executables) const {
  if (!mayRepeat()) {
    return std::nullopt;
  }
  std::optional<SeparatedRegion> separated = separateCopies(model, executables);
  if (!separated) {
    return std::nullopt;
  }
  // Only values that live across the peak can lower it.
  const RegionPlan &plan = solution.plan;
  const Simulation simulation = simulate(plan.problem, solution.schedule.order);
  int64_t bytes = 0;
  for (size_t i : buffersAcross(plan, simulation, simulation.peakStep())) {
    if (separated->copied.count(plan.problemBuffers[i])) {
      bytes += plan.problem.buffers[i].bytes;
    }
  }
  if (bytes * leastShareOfCopies < solution.slabBytes) {
    return std::nullopt;
  }
  RegionScheduler scheduler(separated->model, options, config);
  RegionSolution found = scheduler.solve();
  if (found.slabBytes >= solution.slabBytes) {
    return std::nullopt;
  }
  found.schedule.states += solution.schedule.states;
  found.schedule.seconds = secondsSince(start);
  return std::make_pair(std::move(*separated), std::move(found));
}

std::optional<std::pair<RecomputedRegion, RegionSolution>>
RegionScheduler::recompute(const RegionSolution &solution,
                           const Executables &executables) const {
  RecomputeOptions limits;
  limits.maxRecompute = options.maxRecompute;
  limits.rangeAlignment = config.rangeAlignment;
  if (limits.maxRecompute <= 0 || !mayRepeat()) {
    return std::nullopt;
  }
  std::optional<RecomputedRegion> again = recomputeAtPeak(
      model, solution.plan, solution.schedule.order, executables, limits);
  if (!again) {
    return std::nullopt;
  }
  RegionScheduler scheduler(again->model, options, config);
  scheduler.countHeld = solution.countsHeld;
  RegionSolution found = scheduler.solve(again->placements, again->order);
  if (found.slabBytes >= solution.slabBytes) {
    return std::nullopt;
  }
  scheduler.raiseLowerBound(found);
  found.schedule.states += solution.schedule.states;
  found.schedule.seconds = secondsSince(start);
  return std::make_pair(std::move(*again), std::move(found));
}

} // namespace

RegionSolution solveRegion(RegionModel &model, const Options &options,
                           const ResourceConfig &config,
                           const Executables &executables) {
  RegionScheduler scheduler(model, options, config);
  RegionSolution solution = scheduler.solve();
  auto adopt = [&](auto &changed, RegionSolution &found) {
    std::vector<RecomputedValue> values = std::move(solution.recomputed);
    values.insert(values.end(), changed.values.begin(), changed.values.end());
    model = std::move(changed.model);
    solution = std::move(found);
    solution.recomputed = std::move(values);
    solution.work = changed.work;
  };
  if (auto separated = scheduler.separate(solution, executables)) {
    adopt(separated->first, separated->second);
  }
  if (auto again = scheduler.recompute(solution, executables)) {
    adopt(again->first, again->second);
  }
  return solution;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Recompute.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace serenity {

namespace {

/// Values per region that are computed again.
constexpr int maxValues = 24;
/// The largest values across the peak that are tried in a round.
constexpr size_t maxTried = 8;
/// Values before a value that are computed again with it.
constexpr int maxDepth = 2;
/// Commands that make one value.
constexpr size_t maxCommands = 4;
/// Regions with more commands are left as they are: a trial costs time in
/// proportion to them.
constexpr size_t maxRegionCommands = 1500;
/// A lower peak by less than one part in so many is not worth the commands.
constexpr int64_t leastGain = 100;

/// A region with an order of the commands that remain.
struct State {
  RegionModel model;
  std::vector<bool> wanted;
  std::vector<int> order; // commands of the model
  RegionPlan plan;
  Simulation simulation;
  std::vector<RecomputedValue> values;
  int64_t extraWork = 0;

  int64_t peak() const { return simulation.peakBytes; }
  int64_t stepsAtPeak() const {
    return std::count(simulation.liveBytes.begin(), simulation.liveBytes.end(),
                      simulation.peakBytes);
  }
};

/// Plans `state` again; false if its order is not valid any more.
bool evaluate(State &state, int64_t rangeAlignment) {
  state.plan = planRegion(state.model, state.wanted, rangeAlignment);
  if (state.plan.chosen != state.wanted ||
      state.plan.commands.size() != state.order.size()) {
    return false;
  }
  std::vector<OpId> idOf(state.model.commands.size(), -1);
  for (size_t i = 0; i < state.plan.commands.size(); ++i) {
    idOf[state.plan.commands[i]] = OpId(i);
  }
  std::vector<OpId> order;
  for (int command : state.order) {
    order.push_back(idOf[command]);
  }
  if (!verifySchedule(state.plan.problem, order)) {
    return false;
  }
  state.simulation = simulate(state.plan.problem, order);
  return true;
}

class Search {
public:
  Search(const Executables &executables, const RecomputeOptions &options,
         int64_t maxWork)
      : executables(executables), options(options), maxWork(maxWork) {}

  /// One more value at the peak of `state`; false if none lowers the peak or
  /// the number of steps at it.
  bool step(State &state) const;

private:
  /// Computes `buffer` again for its readers behind position `position` of the
  /// order; false if that is not possible.
  bool split(State &state, int buffer, size_t position, int depth) const;
  /// The commands that make the value of `buffer` before anything reads it;
  /// empty if they cannot be run again.
  std::vector<int> makers(const State &state, int buffer) const;

  /// The commands that read a value behind a position of the order.
  struct Readers {
    std::vector<int> commands;
    size_t first = 0; // the least position of one of them
  };
  /// The readers of `buffer` behind `position`. Nothing if there are none, none
  /// before it, or the value is not finished at `position` or gone by then.
  std::optional<Readers> readersBehind(const State &state, int buffer,
                                       size_t position,
                                       const std::vector<int> &made) const;
  /// Inserts the commands `made` once more, at position `first` of the order,
  /// so that they make the value of `buffer` in `copy`.
  void insertAgain(State &state, int buffer, int copy,
                   const std::vector<int> &made, size_t first) const;
  /// Splits the operands of the inserted commands too, which would live across
  /// the position now; false if none can be.
  bool splitOperands(State &state, int copy, int firstCommand,
                     size_t numCommands, size_t position, int depth) const;
  static void redirect(Command &command, int from, int to);
  bool isSimple(const State &state, int buffer) const;

  const Executables &executables;
  const RecomputeOptions &options;
  int64_t maxWork;
};

/// Whether `buffer` has a place of its own and nothing else lies in it.
bool Search::isSimple(const State &state, int buffer) const {
  if (!state.model.buffers[buffer].local()) {
    return false;
  }
  for (size_t i = 0; i < state.plan.places.size(); ++i) {
    if ((state.plan.places[i].root == buffer) != (int(i) == buffer)) {
      return false;
    }
  }
  return true;
}

std::vector<int> Search::makers(const State &state, int buffer) const {
  std::vector<int> found;
  for (size_t i = 0; i < state.model.commands.size(); ++i) {
    const Command &command = state.model.commands[i];
    const Access *here = nullptr;
    int written = 0;
    int touched = 0;
    for (const Access &access : command.accesses) {
      written += access.writes;
      if (access.buffer == buffer) {
        here = &access;
        ++touched;
      }
    }
    if (!here) {
      continue;
    }
    // The first reader, or the command that overwrites the finished value,
    // which reads it. (A dispatch that is tied to a fill or to another part
    // continues it, but one that follows a reader never does.)
    if (!here->writes) {
      break;
    }
    if (written != 1 || touched != 1 || found.size() == maxCommands ||
        !workOf(command, executables)) {
      return {};
    }
    found.push_back(int(i));
  }
  return found;
}

std::optional<Search::Readers>
Search::readersBehind(const State &state, int buffer, size_t position,
                      const std::vector<int> &made) const {
  std::vector<int> at(state.model.commands.size(), -1);
  for (size_t i = 0; i < state.order.size(); ++i) {
    at[state.order[i]] = int(i);
  }
  Readers readers;
  readers.first = state.order.size();
  bool readBefore = false;
  for (size_t i = 0; i < state.model.commands.size(); ++i) {
    if (std::find(made.begin(), made.end(), int(i)) != made.end()) {
      if (at[i] > int(position)) {
        return std::nullopt;
      }
      continue;
    }
    for (const Access &access : state.model.commands[i].accesses) {
      if (access.buffer != buffer) {
        continue;
      }
      if (at[i] < 0) {
        return std::nullopt;
      }
      if (at[i] <= int(position)) {
        // A command that overwrites the value is its end; later readers mean
        // its result.
        if (access.writes) {
          return std::nullopt;
        }
        readBefore = true;
        continue;
      }
      readers.commands.push_back(int(i));
      readers.first = std::min(readers.first, size_t(at[i]));
    }
  }
  if (readers.commands.empty() || !readBefore) {
    return std::nullopt;
  }
  return readers;
}

void Search::redirect(Command &command, int from, int to) {
  for (Access &access : command.accesses) {
    if (access.buffer == from) {
      access.buffer = to;
    }
  }
}

void Search::insertAgain(State &state, int buffer, int copy,
                         const std::vector<int> &made, size_t first) const {
  RegionModel &model = state.model;
  // New commands stand behind the originals in the model, so that whatever
  // overwrites an operand later comes after them, and just before the first
  // reader in the order.
  const int insertion = made.back() + 1;
  const int count = int(made.size());
  auto shift = [&](int &command) {
    command += command >= insertion ? count : 0;
  };
  for (int &command : state.order) {
    shift(command);
  }
  for (Placement &placement : model.placements) {
    shift(placement.command);
  }
  RecomputedValue value;
  value.bytes = model.buffers[buffer].bytes;
  value.location =
      ir::firstPlace(mlirOperationGetLocation(model.commands[made.back()].op));
  std::vector<Command> again;
  for (int index : made) {
    Command command = model.commands[index];
    command.recomputed = true;
    redirect(command, buffer, copy);
    value.work += *workOf(command, executables);
    again.push_back(std::move(command));
  }
  model.commands.insert(model.commands.begin() + insertion, again.begin(),
                        again.end());
  for (int i = 0; i < count; ++i) {
    state.order.insert(state.order.begin() + int64_t(first) + i, insertion + i);
  }
  state.extraWork += value.work;
  state.values.push_back(value);
}

bool Search::split(State &state, int buffer, size_t position, int depth) const {
  if (!isSimple(state, buffer)) {
    return false;
  }
  const std::vector<int> made = makers(state, buffer);
  if (made.empty()) {
    return false;
  }
  std::optional<Readers> readers = readersBehind(state, buffer, position, made);
  if (!readers) {
    return false;
  }
  // The readers before the position keep the buffer. A reader behind it that
  // overwrites the value overwrites the copy, with all that follows.
  RegionModel &model = state.model;
  const int copy = int(model.buffers.size());
  model.buffers.push_back(model.buffers[buffer]);
  model.buffers[copy].root = MlirValue{nullptr};
  for (int reader : readers->commands) {
    redirect(model.commands[reader], buffer, copy);
  }
  insertAgain(state, buffer, copy, made, readers->first);
  if (state.extraWork > maxWork || !evaluate(state, options.rangeAlignment)) {
    return false;
  }
  return depth == 0 || splitOperands(state, copy, made.back() + 1, made.size(),
                                     position, depth);
}

bool Search::splitOperands(State &state, int copy, int firstCommand,
                           size_t numCommands, size_t position,
                           int depth) const {
  std::set<int> operands;
  for (size_t i = 0; i < numCommands; ++i) {
    for (const Access &access :
         state.model.commands[size_t(firstCommand) + i].accesses) {
      if (access.buffer != copy) {
        operands.insert(access.buffer);
      }
    }
  }
  bool any = false;
  for (int operand : operands) {
    if (state.model.buffers[operand].local()) {
      State deeper = state;
      if (split(deeper, operand, position, depth - 1)) {
        state = std::move(deeper);
        any = true;
      }
    }
  }
  return any;
}

bool Search::step(State &state) const {
  const int64_t peakStep = state.simulation.peakStep();
  // Buffers across the peak step that its command does not touch.
  std::vector<std::pair<int64_t, int>> across;
  for (size_t i : buffersAcross(state.plan, state.simulation, peakStep)) {
    across.emplace_back(-state.plan.problem.buffers[i].bytes,
                        state.plan.problemBuffers[i]);
  }
  if (across.empty()) {
    return false; // the order may be empty, too
  }
  const Command &command = state.model.commands[state.order[peakStep]];
  across.erase(std::remove_if(across.begin(), across.end(),
                              [&](const std::pair<int64_t, int> &item) {
                                return std::any_of(command.accesses.begin(),
                                                   command.accesses.end(),
                                                   [&](const Access &access) {
                                                     return access.buffer ==
                                                            item.second;
                                                   });
                              }),
               across.end());
  std::sort(across.begin(), across.end());
  across.resize(std::min(across.size(), maxTried));
  std::optional<State> best;
  auto cost = [](const State &of) {
    return std::make_tuple(of.peak(), of.stepsAtPeak(), of.extraWork,
                           of.values.size());
  };
  for (const auto &item : across) {
    for (int depth = 0; depth <= maxDepth; ++depth) {
      State trial = state;
      if (!split(trial, item.second, size_t(peakStep), depth)) {
        continue;
      }
      if (std::make_pair(trial.peak(), trial.stepsAtPeak()) <
              std::make_pair(state.peak(), state.stepsAtPeak()) &&
          (!best || cost(trial) < cost(*best))) {
        best = std::move(trial);
      }
    }
  }
  if (!best) {
    return false;
  }
  state = std::move(*best);
  return true;
}

/// Whether a dispatch consists of operations that are known to depend on their
/// bindings alone.
bool isKnown(MlirOperation op) {
  std::string_view opName = ir::name(op);
  std::string_view dialect = opName.substr(0, opName.find('.'));
  return dialect == "linalg" || dialect == "tensor" || dialect == "arith" ||
         dialect == "math" || dialect == "affine" || dialect == "complex" ||
         dialect == "func" ||
         opName == "iree_tensor_ext.dispatch.tensor.load" ||
         opName == "iree_tensor_ext.dispatch.tensor.store" ||
         opName == "iree_tensor_ext.dispatch.workload.ordinal" ||
         dialect == "util" || opName == "stream.binding.subspan";
}

/// Iterations of the loop nest; nothing if they are not constant.
std::optional<int64_t> iterations(const rewrite::Structured &loops) {
  int64_t product = 1;
  for (int64_t loop = 0; loop < loops.numLoops; ++loop) {
    const int64_t extent = loops.extent(loop).value_or(0);
    if (extent <= 0 || product > INT64_MAX / extent) {
      return std::nullopt;
    }
    product *= extent;
  }
  return product;
}

} // namespace

std::optional<int64_t> workOf(const Command &command,
                              const Executables &executables) {
  if (command.kind != CommandKind::Dispatch) {
    return 0;
  }
  MlirOperation function = executables.functionOf(command.op);
  if (!function.ptr) {
    return std::nullopt;
  }
  std::optional<int64_t> work = 0;
  for (MlirOperation op : ir::operations(ir::body(function))) {
    if (!isKnown(op)) {
      return std::nullopt;
    }
    std::optional<rewrite::Structured> loops = rewrite::structured(op);
    if (!loops) {
      if (ir::name(op).substr(0, 7) == "linalg.") {
        return std::nullopt;
      }
      continue;
    }
    if (loops->hasReduction()) {
      std::optional<int64_t> count = iterations(*loops);
      if (!count) {
        return std::nullopt;
      }
      *work += *count;
    }
  }
  return work;
}

int64_t workOf(const RegionModel &model, const Executables &executables) {
  int64_t work = 0;
  for (const Command &command : model.commands) {
    work += workOf(command, executables).value_or(0);
  }
  return work;
}

std::vector<size_t> buffersAcross(const RegionPlan &plan,
                                  const Simulation &simulation, int64_t step) {
  std::vector<size_t> across;
  for (size_t i = 0; i < plan.problemBuffers.size(); ++i) {
    const LiveRange &range = simulation.liveRanges[i];
    if (range.first < step && step < range.last) {
      across.push_back(i);
    }
  }
  return across;
}

std::optional<RecomputedRegion>
recomputeAtPeak(const RegionModel &model, const RegionPlan &plan,
                const std::vector<OpId> &order, const Executables &executables,
                const RecomputeOptions &options) {
  if (model.commands.size() > maxRegionCommands) {
    return std::nullopt;
  }
  RecomputedRegion found;
  found.work = workOf(model, executables);
  State state;
  state.model = model;
  state.wanted = plan.chosen;
  for (OpId id : order) {
    state.order.push_back(plan.commands[id]);
  }
  if (!evaluate(state, options.rangeAlignment)) {
    return std::nullopt;
  }
  const int64_t before = state.peak();
  Search search(executables, options,
                int64_t(options.maxRecompute * double(found.work)));
  std::optional<State> best;
  while (int(state.values.size()) < maxValues && search.step(state)) {
    if (state.peak() < (best ? best->peak() : before)) {
      best = state;
    }
  }
  if (!best || before - best->peak() < (before + leastGain - 1) / leastGain) {
    return std::nullopt;
  }
  found.model = std::move(best->model);
  found.placements = std::move(best->wanted);
  found.order = std::move(best->order);
  found.values = std::move(best->values);
  return found;
}

void materialize(RegionModel &model) {
  for (Command &command : model.commands) {
    if (!command.recomputed) {
      continue;
    }
    command.recomputed = false;
    if (command.kind == CommandKind::Dispatch ||
        command.kind == CommandKind::Splat ||
        command.kind == CommandKind::Fill) {
      MlirOperation clone = mlirOperationClone(command.op);
      ir::insertAfter(command.op, clone);
      command.op = clone;
    }
  }
}

} // namespace serenity

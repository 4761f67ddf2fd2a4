// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/RewriteOrder.h"

#include "serenity/Core/Scheduling/Scheduler.h"
#include "serenity/Core/Scheduling/Simulator.h"
#include "serenity/Transforms/ProgramOrder.h"
#include "serenity/Transforms/RewriteSplit.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace serenity::rewrite {

using namespace ir;

namespace {

bool isTensor(MlirValue value) {
  return mlirTypeIsARankedTensor(mlirValueGetType(value));
}

/// Results are other names for the operand's memory.
bool isView(std::string_view opName) {
  return opName == "tensor.expand_shape" || opName == "tensor.collapse_shape" ||
         opName == "tensor.cast" || opName == "tensor.extract_slice" ||
         opName == "util.optimization_barrier";
}

/// Operations that may be moved as long as definitions precede their uses.
bool isPure(MlirOperation op) {
  std::string_view opName = name(op);
  return opName.substr(0, 7) == "linalg." || opName.substr(0, 7) == "tensor." ||
         opName.substr(0, 6) == "arith." || opName == "util.global.load" ||
         opName == "util.optimization_barrier" || opName == "hal.tensor.import";
}

/// What a model says of a tensor that is added to an accumulation and needed
/// nowhere else: it takes the sum, for which the accumulation is another
/// tensor, or it is computed for the last step of the accumulation, which is
/// the sum. The latter is closer to what dispatch formation does; the former
/// leads to better orders of some networks, so that both are in use.
enum class Addends { TakeSum, ComeLast };

/// A function as a scheduling problem with free accumulations.
class Model {
public:
  Model(MlirBlock block, const std::vector<Chain> &chains,
        const PiecewiseOps &piecewise, const Concats &concats, Addends addends);

  Problem problem;
  /// Per operation of the problem: what it stands for, in program order.
  std::vector<std::vector<MlirOperation>> members;
  /// Per chain and part: the operation of the problem that accumulates it.
  std::vector<std::vector<OpId>> accumulates;
  /// Per chain and part, where its parts can be joined: the buffer of the part,
  /// -1 if it has none of its own.
  std::vector<std::vector<BufferId>> partBuffers;

private:
  /// What is known of a tensor value.
  struct Origin {
    BufferId buffer = -1;
    /// The operations after which it is complete.
    std::set<OpId> ready;
  };

  Origin origin(MlirValue value) const {
    auto found = origins.find(key(value));
    return found == origins.end() ? Origin{} : found->second;
  }
  BufferId addBuffer(MlirValue value);
  OpId addOperation(MlirOperation op);
  void use(OpId op, const Origin &value);
  void read(MlirOperation op, OpId unit);
  void visit(MlirOperation op);
  bool isEpilogueOf(MlirValue value) const;
  void visitSum(size_t chain);
  void visitPartial(size_t chain, size_t step);
  void visitConcat(MlirOperation op);
  BufferId ownBuffer(MlirValue value) const;

  const std::vector<Chain> &chains;
  const PiecewiseOps &piecewise;
  const Concats &concats;
  Addends addends;
  std::set<const void *> piecewisePads;
  std::map<const void *, Origin> origins;
  std::map<const void *, std::pair<size_t, size_t>> stepOf;
  /// Values of which nothing is stored: constants and what folds into users.
  std::set<const void *> foldable;
  std::vector<bool> heavy; // per operation of the problem
};

BufferId Model::addBuffer(MlirValue value) {
  problem.buffers.push_back(
      {"", tensorBytes(mlirValueGetType(value)).value_or(0), false, false});
  return BufferId(problem.buffers.size()) - 1;
}

OpId Model::addOperation(MlirOperation op) {
  problem.operations.push_back({std::string(name(op)), {}, {}, 0});
  members.push_back({op});
  heavy.push_back(false);
  return OpId(problem.operations.size()) - 1;
}

void Model::use(OpId op, const Origin &value) {
  Operation &operation = problem.operations[op];
  if (value.buffer >= 0 &&
      std::find(operation.uses.begin(), operation.uses.end(), value.buffer) ==
          operation.uses.end()) {
    operation.uses.push_back(value.buffer);
  }
  for (OpId before : value.ready) {
    if (before != op &&
        std::find(operation.after.begin(), operation.after.end(), before) ==
            operation.after.end()) {
      operation.after.push_back(before);
    }
  }
}

void Model::read(MlirOperation op, OpId unit) {
  walk(op, [&](MlirOperation inner) {
    for (MlirValue value : operands(inner)) {
      use(unit, origin(value));
    }
  });
}

/// How many operations but views read `value` or a view of it.
static int64_t readers(MlirValue value) {
  int64_t count = 0;
  for (const Use &use : uses(value)) {
    count += isView(name(use.owner)) ? readers(result(use.owner)) : 1;
  }
  return count;
}

void Model::visitPartial(size_t chain, size_t step) {
  const Chain &links = chains[chain];
  MlirOperation op = links.steps[step];
  OpId unit = addOperation(op);
  heavy[unit] = true;
  accumulates[chain][step] = unit;
  if (!links.taken.empty()) {
    partBuffers[chain][step] = ownBuffer(operand(op, links.cut));
  }
  // Everything but the accumulator, which the steps share without an order.
  for (int64_t i = 0; i < mlirOperationGetNumOperands(op); ++i) {
    if (i != links.accumulator) {
      use(unit, origin(operand(op, i)));
    }
  }
  MlirOperation last = links.steps.back();
  Origin &complete = origins[key(result(last))];
  if (complete.buffer < 0) {
    complete.buffer = addBuffer(result(last));
    // What the accumulation starts from.
    use(unit, origin(operand(links.steps.front(), links.accumulator)));
  }
  complete.ready.insert(unit);
  use(unit, Origin{complete.buffer, {}});
}

/// The buffer that holds `value` and nothing else; -1 if there is none.
BufferId Model::ownBuffer(MlirValue value) const {
  BufferId buffer = origin(value).buffer;
  return buffer >= 0 && problem.buffers[buffer].bytes ==
                            tensorBytes(mlirValueGetType(value))
             ? buffer
             : -1;
}

/// Lets the operations of `problem` that use `from` use `to` instead.
static void moveUses(Problem &problem, BufferId from, BufferId to) {
  for (Operation &operation : problem.operations) {
    std::vector<BufferId> &uses = operation.uses;
    auto at = std::find(uses.begin(), uses.end(), from);
    if (at == uses.end()) {
      continue;
    }
    if (std::find(uses.begin(), uses.end(), to) == uses.end()) {
      *at = to;
    } else {
      uses.erase(at);
    }
  }
  problem.buffers[from].bytes = 0;
}

/// The parts of a step: made in their place if they are tensors of their own.
void Model::visitConcat(MlirOperation op) {
  Origin whole;
  whole.buffer = addBuffer(result(op));
  for (MlirValue part : operands(op)) {
    Origin made = origin(part);
    whole.ready.insert(made.ready.begin(), made.ready.end());
    BufferId own = ownBuffer(part);
    if (own < 0 || own == whole.buffer) {
      continue;
    }
    moveUses(problem, own, whole.buffer);
    for (auto &item : origins) {
      if (item.second.buffer == own) {
        item.second.buffer = whole.buffer;
      }
    }
  }
  origins[key(result(op))] = whole;
}

/// Whether an addition of `value` runs as an epilogue of what computes it.
bool Model::isEpilogueOf(MlirValue value) const {
  Origin part = origin(value);
  return part.ready.size() == 1 && heavy[*part.ready.begin()] &&
         readers(value) == 1;
}

void Model::visitSum(size_t chain) {
  const Chain &links = chains[chain];
  std::vector<MlirValue> parts = {
      operand(links.steps.front(), links.accumulator)};
  for (MlirOperation step : links.steps) {
    parts.push_back(operand(step, links.part));
  }
  MlirValue sum = result(links.steps.back());
  Origin complete;
  complete.buffer = addBuffer(sum);
  for (size_t i = 0; i < parts.size(); ++i) {
    Origin part = origin(parts[i]);
    bool fused = isEpilogueOf(parts[i]);
    OpId unit;
    if (fused) {
      // The addition is an epilogue: the part never has a buffer of its own.
      unit = *part.ready.begin();
      std::vector<BufferId> &touched = problem.operations[unit].uses;
      std::replace(touched.begin(), touched.end(), part.buffer,
                   complete.buffer);
      problem.buffers[part.buffer].bytes = 0;
    } else {
      unit = addOperation(links.steps[i == 0 ? 0 : i - 1]);
      members.back().clear();
      use(unit, part);
      use(unit, Origin{complete.buffer, {}});
    }
    accumulates[chain][i] = unit;
    complete.ready.insert(unit);
  }
  origins[key(sum)] = complete;
}

void Model::visit(MlirOperation op) {
  std::string_view opName = name(op);
  auto step = stepOf.find(op.ptr);
  if (step != stepOf.end()) {
    auto [chain, index] = step->second;
    if (!chains[chain].isSum()) {
      visitPartial(chain, index);
    } else if (index + 1 == chains[chain].steps.size()) {
      visitSum(chain);
    }
    return;
  }
  bool producesTensor = false;
  for (MlirValue value : results(op)) {
    producesTensor |= isTensor(value);
  }
  if (opName == "hal.tensor.import" || opName == "tensor.empty" ||
      opName == "arith.constant" || opName == "util.global.load") {
    return;
  }
  auto pieces = piecewise.find(op.ptr);
  if (pieces != piecewise.end()) {
    OpId unit = addOperation(op);
    heavy[unit] = true;
    read(op, unit);
    problem.operations[unit].workspaceBytes = pieces->second.workspaceBytes;
    Origin made;
    made.buffer = pieces->second.inPlace
                      ? origin(operand(pieces->second.pad, 0)).buffer
                      : -1;
    if (made.buffer < 0) {
      made.buffer = addBuffer(result(op));
    }
    made.ready.insert(unit);
    use(unit, made);
    origins[key(result(op))] = made;
    return;
  }
  if (concats.count(op.ptr)) {
    visitConcat(op);
    return;
  }
  if (isView(opName) || piecewisePads.count(op.ptr)) {
    origins[key(result(op))] = origin(operand(op, 0));
    if (foldable.count(key(operand(op, 0)))) {
      foldable.insert(key(result(op)));
    }
    return;
  }
  std::optional<Structured> loops = structured(op);
  bool elementwise = loops && !loops->hasReduction();
  if (elementwise || opName == "tensor.pad") {
    // Computed from constants alone: folded or recomputed in the users.
    bool constant = elementwise;
    for (MlirValue value : operands(op)) {
      MlirOperation source = definingOp(value);
      constant &= !isTensor(value) || foldable.count(key(value)) != 0 ||
                  (!isNull(source) && (isa(source, "tensor.empty") ||
                                       isa(source, "arith.constant") ||
                                       isa(source, "util.global.load")));
    }
    if (constant) {
      foldable.insert(key(result(op)));
      return;
    }
    // An epilogue of the operation that computes its only operand, or a pad
    // around an elementwise operation.
    std::vector<MlirValue> sources = operands(op);
    std::stable_partition(sources.begin(), sources.end(), [&](MlirValue value) {
      return addends == Addends::ComeLast && origin(value).ready.size() > 1;
    });
    for (MlirValue value : sources) {
      Origin source = origin(value);
      if (source.buffer < 0 || readers(value) != 1 || source.ready.empty()) {
        continue;
      }
      int64_t before = problem.buffers[source.buffer].bytes;
      if (tensorBytes(mlirValueGetType(value)).value_or(0) != before) {
        continue; // a slice
      }
      int64_t after = tensorBytes(mlirValueGetType(result(op))).value_or(0);
      bool sameSize = before == after && elementwise;
      bool padsElementwise = opName == "tensor.pad" &&
                             source.ready.size() == 1 &&
                             !heavy[*source.ready.begin()];
      if (!sameSize && !padsElementwise) {
        continue;
      }
      // What is added to an accumulation and not needed elsewhere is computed
      // for its last step.
      std::vector<OpId> late;
      for (MlirValue other : operands(op)) {
        Origin addend = origin(other);
        if (addends != Addends::ComeLast || source.ready.size() < 2 ||
            !sameSize || !isEpilogueOf(other) ||
            addend.buffer == source.buffer || ownBuffer(other) < 0) {
          continue;
        }
        OpId unit = *addend.ready.begin();
        problem.operations[unit].workspaceBytes +=
            problem.buffers[addend.buffer].bytes;
        moveUses(problem, addend.buffer, source.buffer);
        for (OpId step : source.ready) {
          use(unit, Origin{-1, {step}});
        }
        late.push_back(unit);
      }
      // The other operands must be there for the operation that comes last;
      // any of an accumulation's may, so all wait for them.
      for (OpId unit : source.ready) {
        for (MlirValue other : operands(op)) {
          if (!mlirValueEqual(other, value) &&
              (late.empty() || !isEpilogueOf(other))) {
            use(unit, origin(other));
          }
        }
      }
      source.ready.insert(late.begin(), late.end());
      if (source.ready.size() == 1) {
        members[*source.ready.begin()].push_back(op);
      }
      problem.buffers[source.buffer].bytes = after;
      // Of an addition of two products, either takes the other's place.
      for (MlirValue other : operands(op)) {
        Origin addend = origin(other);
        if (!sameSize || mlirValueEqual(other, value) || !isEpilogueOf(value) ||
            !isEpilogueOf(other) ||
            problem.buffers[addend.buffer].bytes != after ||
            name(op).substr(0, 7) != "linalg.") {
          continue;
        }
        OpId second = *addend.ready.begin();
        OpId first = *source.ready.begin();
        std::vector<BufferId> &touched = problem.operations[second].uses;
        std::replace(touched.begin(), touched.end(), addend.buffer,
                     source.buffer);
        problem.buffers[addend.buffer].bytes = 0;
        std::vector<OpId> &waits = problem.operations[first].after;
        waits.erase(std::remove(waits.begin(), waits.end(), second),
                    waits.end());
        std::vector<BufferId> &held = problem.operations[first].uses;
        held.erase(std::remove(held.begin(), held.end(), addend.buffer),
                   held.end());
        members[first].pop_back();
        source.ready.insert(second);
        break;
      }
      origins[key(result(op))] = source;
      return;
    }
  }
  OpId unit = addOperation(op);
  heavy[unit] = loops && loops->hasReduction();
  read(op, unit);
  for (MlirValue value : results(op)) {
    if (!isTensor(value)) {
      origins[key(value)] = Origin{-1, {unit}};
      continue;
    }
    Origin made;
    made.buffer = addBuffer(value);
    made.ready.insert(unit);
    use(unit, made);
    origins[key(value)] = made;
  }
  if (!producesTensor || opName == "hal.tensor.barrier" ||
      opName == "hal.tensor.transients") {
    // Exported: outside of the slab.
    for (MlirValue value : operands(op)) {
      Origin source = origin(value);
      if (source.buffer >= 0) {
        problem.buffers[source.buffer].bytes = 0;
      }
    }
    for (MlirValue value : results(op)) {
      if (origin(value).buffer >= 0) {
        problem.buffers[origin(value).buffer].bytes = 0;
      }
    }
  }
}

Model::Model(MlirBlock block, const std::vector<Chain> &chains,
             const PiecewiseOps &piecewise, const Concats &concats,
             Addends addends)
    : chains(chains), piecewise(piecewise), concats(concats), addends(addends) {
  for (const auto &item : piecewise) {
    piecewisePads.insert(item.second.pad.ptr);
  }
  for (size_t i = 0; i < chains.size(); ++i) {
    accumulates.emplace_back(chains[i].numParts(), -1);
    partBuffers.emplace_back(chains[i].numParts(), -1);
    for (size_t j = 0; j < chains[i].steps.size(); ++j) {
      stepOf[chains[i].steps[j].ptr] = {i, j};
    }
  }
  for (MlirOperation op : operations(block)) {
    visit(op);
  }
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
static bool isComplete(const Model &model) {
  if (check(model.problem)) {
    return false;
  }
  for (const std::vector<OpId> &parts : model.accumulates) {
    if (std::count(parts.begin(), parts.end(), -1) != 0) {
      return false; // a step stands in no block of the function
    }
  }
  return true;
}

static ScheduleResult solve(const Problem &problem, int64_t stateLimit) {
  SchedulerOptions options;
  options.stateLimit = stateLimit;
  options.timeLimitSeconds = 1e9; // the state limit decides
  return schedule(problem, options);
}

bool orderChains(MlirOperation function, std::vector<Chain> &chains,
                 const PiecewiseOps &piecewise, const Concats &concats,
                 int64_t stateLimit) {
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

  Model model(all.front(), chains, piecewise, concats,
              concats.empty() ? Addends::TakeSum : Addends::ComeLast);
  if (!isComplete(model)) {
    return true;
  }
  ScheduleResult found = solve(model.problem, stateLimit);

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
  // What follows the last pure operation stays there, in its order: a store to
  // a global, say, which must not get in front of a load.
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
          const PiecewiseOps &piecewise, int64_t stateLimit) {
  std::vector<std::vector<std::vector<int64_t>>> found(chains.size());
  std::vector<MlirBlock> all = blocks(function);
  if (all.size() != 1) {
    return found;
  }
  const Concats none;
  Model model(all.front(), chains, piecewise, none, Addends::ComeLast);
  if (!isComplete(model)) {
    return found;
  }
  Problem problem = model.problem;
  const int64_t limit = solve(problem, stateLimit).peakBytes;

  std::vector<size_t> order(chains.size());
  std::iota(order.begin(), order.end(), 0);
  auto resultBytes = [&](size_t chain) {
    return tensorBytes(mlirValueGetType(result(chains[chain].steps.back())))
        .value_or(0);
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
           tensorBytes(mlirValueGetType(operand(links.steps[i], links.cut)))
               .value_or(0)});
      // It would have to be copied: an argument, a slice, or what an earlier
      // chain's join holds already.
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
        if (check(joined) || solve(joined, statesPerJoin).peakBytes > limit) {
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

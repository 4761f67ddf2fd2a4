// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/FunctionMemory.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/PackModel.h"
#include "serenity/Transforms/ResourceConfig.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace serenity {

namespace {

/// More states than this at one point are given up.
constexpr size_t maxStates = 256;
/// Loops show their steady state from the second iteration on.
constexpr int loopIterations = 3;
/// Blocks of unstructured control flow and calls that are followed.
constexpr int maxSteps = 4096;

enum class Kind { Transient, Variable, External, Other };

Kind kindOf(MlirType type) {
  std::string text = ir::toString(type);
  if (text.rfind("!stream.resource<transient>", 0) == 0) {
    return Kind::Transient;
  }
  if (text.rfind("!stream.resource<variable>", 0) == 0) {
    return Kind::Variable;
  }
  if (text.rfind("!stream.resource<external>", 0) == 0) {
    return Kind::External;
  }
  return Kind::Other;
}

struct Allocation {
  int64_t bytes = 0;
  Kind kind = Kind::Transient;
  bool alive = true;
  /// Of external type, but made in a loop or by a called function: transient
  /// unless the loop, or whoever is asked about, hands it out in the end.
  bool maybeResult = false;
};

/// Memory at one point of one path.
struct State {
  std::vector<Allocation> allocations;
  std::map<const void *, int> bound; // resource value -> allocation
  int64_t transient = 0;
  int64_t total = 0;
  int64_t transientPeak = 0;
  int64_t totalPeak = 0;
  int loopDepth = 0;
  int callDepth = 0;

  void allocate(MlirValue value, int64_t bytes, Kind kind, bool isResult) {
    bound[ir::key(value)] = int(allocations.size());
    bool maybeResult = kind == Kind::External &&
                       (loopDepth > 0 || (callDepth > 0 && !isResult));
    kind = maybeResult ? Kind::Transient : kind;
    allocations.push_back({bytes, kind, true, maybeResult});
    total += bytes;
    if (kind == Kind::Transient || kind == Kind::Variable) {
      transient += bytes;
    }
    note();
  }
  void release(int index) {
    Allocation &allocation = allocations[index];
    if (!allocation.alive) {
      return;
    }
    allocation.alive = false;
    total -= allocation.bytes;
    if (allocation.kind == Kind::Transient ||
        allocation.kind == Kind::Variable) {
      transient -= allocation.bytes;
    }
  }
  /// The loop, or the function, is left with this value in hand.
  void handOut(int index) {
    Allocation &allocation = allocations[index];
    if (allocation.alive && allocation.maybeResult && loopDepth == 0) {
      allocation.kind = Kind::External;
      allocation.maybeResult = false;
      transient -= allocation.bytes;
    }
  }
  void note() {
    transientPeak = std::max(transientPeak, transient);
    totalPeak = std::max(totalPeak, total);
  }
  int find(MlirValue value) const {
    auto it = bound.find(ir::key(value));
    return it == bound.end() ? -1 : it->second;
  }
  void bind(MlirValue value, int allocation) {
    if (allocation >= 0) {
      bound[ir::key(value)] = allocation;
    } else {
      bound.erase(ir::key(value));
    }
  }
};

using States = std::vector<State>;

class Interpreter {
public:
  Interpreter(MlirOperation module, const SlabLayout &layout)
      : module(module), layout(layout) {}

  std::optional<CallMemory> run(MlirOperation function);

private:
  bool visitRegion(MlirOperation op, intptr_t region, States &states,
                   std::vector<std::vector<int>> *yielded);
  bool visitBlock(MlirBlock block, States &states, States &finished,
                  std::vector<std::vector<int>> *yielded);
  bool visitOperation(MlirOperation op, State &state);
  bool visitBranch(MlirOperation op, States &states);
  bool visitLoop(MlirOperation op, States &states);
  bool visitCall(MlirOperation op, States &states);
  bool jump(MlirOperation terminator, State state, States &finished,
            std::vector<std::vector<int>> *yielded);
  bool enter(MlirBlock block, const std::vector<int> &arguments, State state,
             States &finished, std::vector<std::vector<int>> *yielded);
  std::optional<int64_t> sizeOf(MlirValue value);

  MlirOperation module;
  SlabLayout layout;
  std::map<std::string, MlirOperation> functions; // known from the first call
  std::set<const void *> active;
  std::set<const void *> onPath;
  /// Allocations of called functions, by number, that are handed out in the
  /// end.
  std::set<int> handedOut;
  bool exact = true;
  int branchDepth = 0;
  int steps = 0;
};

/// Whether anything in `op` allocates, directly or by a call.
bool allocatesInside(MlirOperation op) {
  bool found = false;
  ir::walk(op, [&](MlirOperation nested) {
    found |= ir::isa(nested, "stream.resource.alloca") ||
             ir::isa(nested, "stream.resource.alloc") ||
             ir::isa(nested, "util.call");
  });
  return found;
}

/// Whether `value` is a resource, or what the caller gets of one.
bool holdsResource(MlirValue value) {
  std::string type = ir::toString(mlirValueGetType(value));
  return type.rfind("!stream.resource", 0) == 0 || type == "!hal.buffer_view";
}

/// Whether a branch or loop allocates, or hands on what was allocated before.
bool concernsMemory(MlirOperation op) {
  std::vector<MlirValue> results = ir::results(op);
  return allocatesInside(op) ||
         std::any_of(results.begin(), results.end(), holdsResource);
}

std::optional<CallMemory> Interpreter::run(MlirOperation function) {
  CallMemory memory;
  if (ir::blocks(function).empty() || !allocatesInside(function)) {
    return memory;
  }
  if (!active.insert(function.ptr).second) {
    return std::nullopt;
  }
  States states(1);
  std::vector<std::vector<int>> yielded;
  bool ok = visitRegion(function, 0, states, &yielded);
  active.erase(function.ptr);
  if (!ok || states.empty()) {
    return std::nullopt;
  }
  std::set<int> late;
  for (size_t i = 0; i < states.size(); ++i) {
    for (int allocation : yielded[i]) {
      if (allocation >= 0 && states[i].allocations[allocation].maybeResult) {
        late.insert(allocation);
        states[i].handOut(allocation);
      }
    }
  }
  if (states.size() == 1 && !late.empty() && handedOut.empty()) {
    // Again, with what is a result known as one from the beginning.
    handedOut = late;
    exact = true;
    steps = 0;
    return run(function);
  }
  exact &= late.empty(); // counted as transient until the end
  for (size_t i = 0; i < states.size(); ++i) {
    const State &state = states[i];
    int64_t results = 0;
    int64_t persistent = 0;
    for (const Allocation &allocation : state.allocations) {
      if (!allocation.alive) {
        continue;
      }
      if (allocation.kind == Kind::Transient) {
        // Released by whoever drops the last reference, at any time before.
        exact = false;
        continue;
      }
      (allocation.kind == Kind::External ? results : persistent) +=
          allocation.bytes;
    }
    exact &= i == 0 || (state.transientPeak == memory.transientPeakBytes &&
                        state.totalPeak == memory.peakBytes &&
                        results == memory.resultBytes);
    memory.transientPeakBytes =
        std::max(memory.transientPeakBytes, state.transientPeak);
    memory.peakBytes = std::max(memory.peakBytes, state.totalPeak);
    memory.resultBytes = std::max(memory.resultBytes, results);
    memory.persistentBytes = std::max(memory.persistentBytes, persistent);
  }
  memory.exact = exact;
  return memory;
}

std::optional<int64_t> Interpreter::sizeOf(MlirValue value) {
  if (std::optional<int64_t> constant = ir::constantInt(value)) {
    return constant;
  }
  MlirOperation op = ir::definingOp(value);
  if (ir::isNull(op)) {
    return std::nullopt;
  }
  // Sizes of several values in one allocation.
  if (ir::isa(op, "arith.addi")) {
    std::optional<int64_t> left = sizeOf(ir::operand(op, 0));
    std::optional<int64_t> right = sizeOf(ir::operand(op, 1));
    if (left && right) {
      return *left + *right;
    }
    return std::nullopt;
  }
  if (ir::isa(op, "util.align")) {
    std::optional<int64_t> bytes = sizeOf(ir::operand(op, 0));
    std::optional<int64_t> unit = sizeOf(ir::operand(op, 1));
    if (bytes && unit && *unit > 0) {
      return (*bytes + *unit - 1) / *unit * *unit;
    }
    return std::nullopt;
  }
  if (!ir::isa(op, "stream.resource.pack") ||
      mlirOpResultGetResultNumber(value) != 0) {
    return std::nullopt;
  }
  std::optional<PackModel> model = readPack(op);
  if (!model || model->offset || !model->dynamic.empty()) {
    return std::nullopt;
  }
  ResourceConfig config = lookupResourceConfig(op, layout.defaultAlignment);
  PackOptions options;
  options.algorithm = layout.algorithm;
  options.timeLimitSeconds = layout.timeLimitSeconds;
  options.nodeLimit = layout.nodeLimit;
  options.offsetAlignment = config.offsetAlignment;
  options.rangeAlignment = config.rangeAlignment;
  if (check(model->slices, options)) {
    return std::nullopt;
  }
  return pack(model->slices, options).heightBytes;
}

bool Interpreter::visitRegion(MlirOperation op, intptr_t region, States &states,
                              std::vector<std::vector<int>> *yielded) {
  MlirBlock block = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, region));
  if (!block.ptr) {
    if (yielded) {
      yielded->assign(states.size(), {});
    }
    return true;
  }
  States finished;
  if (!visitBlock(block, states, finished, yielded)) {
    return false;
  }
  states = std::move(finished);
  return states.size() <= maxStates;
}

bool Interpreter::visitBlock(MlirBlock block, States &states, States &finished,
                             std::vector<std::vector<int>> *yielded) {
  MlirOperation terminator = mlirBlockGetTerminator(block);
  for (MlirOperation op : ir::operations(block)) {
    if (mlirOperationEqual(op, terminator)) {
      break;
    }
    std::string_view name = ir::name(op);
    if (name == "scf.if" || name == "scf.index_switch") {
      if (concernsMemory(op) && !visitBranch(op, states)) {
        return false;
      }
      continue;
    }
    if (name == "scf.for" || name == "scf.while") {
      if (concernsMemory(op) && !visitLoop(op, states)) {
        return false;
      }
      continue;
    }
    if (name == "util.call") {
      if (!visitCall(op, states)) {
        return false;
      }
      continue;
    }
    for (State &state : states) {
      if (!visitOperation(op, state)) {
        return false;
      }
    }
  }
  for (State &state : states) {
    if (!jump(terminator, std::move(state), finished, yielded)) {
      return false;
    }
  }
  return true;
}

/// Ends a block: leaves the region, or goes on in a successor.
bool Interpreter::jump(MlirOperation terminator, State state, States &finished,
                       std::vector<std::vector<int>> *yielded) {
  std::string_view name = ir::name(terminator);
  std::vector<MlirValue> operands = ir::operands(terminator);
  auto bindings = [&](size_t first, size_t count) {
    std::vector<int> list;
    for (size_t i = first; i < first + count && i < operands.size(); ++i) {
      list.push_back(state.find(operands[i]));
    }
    return list;
  };
  if (name == "cf.br") {
    return enter(mlirOperationGetSuccessor(terminator, 0),
                 bindings(0, operands.size()), std::move(state), finished,
                 yielded);
  }
  if (name == "cf.cond_br") {
    std::vector<int64_t> segments = ir::operandSegments(terminator);
    if (segments.size() != 3) {
      return false;
    }
    std::vector<int> onTrue = bindings(1, segments[1]);
    std::vector<int> onFalse = bindings(1 + segments[1], segments[2]);
    // Constants are mapped from the module, always, on embedded runtimes.
    MlirOperation condition = ir::definingOp(operands[0]);
    bool mapped =
        condition.ptr && ir::isa(condition, "stream.resource.try_map");
    if (!mapped && !enter(mlirOperationGetSuccessor(terminator, 1), onFalse,
                          state, finished, yielded)) {
      return false;
    }
    return enter(mlirOperationGetSuccessor(terminator, 0), onTrue,
                 std::move(state), finished, yielded);
  }
  if (mlirOperationGetNumSuccessors(terminator) > 0) {
    return false;
  }
  if (yielded) {
    yielded->push_back(bindings(0, operands.size()));
  }
  finished.push_back(std::move(state));
  return finished.size() <= maxStates;
}

bool Interpreter::enter(MlirBlock block, const std::vector<int> &arguments,
                        State state, States &finished,
                        std::vector<std::vector<int>> *yielded) {
  // Loops without structure: how often they run and what they drop is unknown.
  if (!onPath.insert(block.ptr).second || ++steps > maxSteps) {
    return false;
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    state.bind(mlirBlockGetArgument(block, intptr_t(i)), arguments[i]);
  }
  States states;
  states.push_back(std::move(state));
  bool ok = visitBlock(block, states, finished, yielded);
  onPath.erase(block.ptr);
  return ok;
}

bool Interpreter::visitOperation(MlirOperation op, State &state) {
  std::string_view name = ir::name(op);
  if (name == "stream.resource.alloca" || name == "stream.resource.alloc") {
    Kind kind = kindOf(mlirValueGetType(ir::result(op)));
    std::optional<int64_t> bytes;
    for (MlirValue operand : ir::operands(op)) {
      if (mlirTypeIsAIndex(mlirValueGetType(operand))) {
        bytes = sizeOf(operand);
        break;
      }
    }
    // Host memory for readbacks does not count.
    if (ir::toString(mlirValueGetType(ir::result(op)))
            .rfind("!stream.resource<staging>", 0) == 0) {
      return true;
    }
    if (!bytes) {
      return false;
    }
    // What a branch makes in the type of a result may be handed out on one path
    // and serve another value on the other.
    exact &= kind != Kind::External || branchDepth == 0;
    state.allocate(ir::result(op), *bytes, kind,
                   handedOut.count(int(state.allocations.size())) != 0);
    return true;
  }
  if (name == "stream.resource.dealloca") {
    for (MlirValue operand : ir::operands(op)) {
      int allocation = state.find(operand);
      if (allocation >= 0) {
        state.release(allocation);
      }
    }
    return true;
  }
  if (name == "stream.resource.subview" || name == "stream.timepoint.await" ||
      name == "stream.resource.retain" || name == "stream.tensor.export" ||
      name == "util.optimization_barrier") {
    // Resources pass through, in order, and into what the caller gets of them.
    std::vector<int> passed;
    for (MlirValue operand : ir::operands(op)) {
      if (holdsResource(operand)) {
        passed.push_back(state.find(operand));
      }
    }
    std::vector<MlirValue> results = ir::results(op);
    for (size_t i = 0; i < results.size() && i < passed.size(); ++i) {
      state.bind(results[i], passed[i]);
    }
    return true;
  }
  // Anything else with allocations inside is not understood.
  return mlirOperationGetNumRegions(op) == 0 || !allocatesInside(op);
}

bool Interpreter::visitBranch(MlirOperation op, States &states) {
  // One path may hand out the caller's own buffer, or another allocation.
  for (MlirValue result : ir::results(op)) {
    exact &= kindOf(mlirValueGetType(result)) != Kind::External;
  }
  States merged;
  MlirOperation condition = ir::definingOp(ir::operand(op, 0));
  bool mapped = condition.ptr && ir::isa(condition, "stream.resource.try_map");
  intptr_t regions = mapped ? 1 : mlirOperationGetNumRegions(op);
  for (intptr_t i = 0; i < regions; ++i) {
    States branch = states;
    std::vector<std::vector<int>> yielded;
    branchDepth += !mapped;
    bool ok = visitRegion(op, i, branch, &yielded);
    branchDepth -= !mapped;
    if (!ok) {
      return false;
    }
    for (size_t s = 0; s < branch.size(); ++s) {
      std::vector<MlirValue> results = ir::results(op);
      for (size_t r = 0; r < results.size() && r < yielded[s].size(); ++r) {
        branch[s].bind(results[r], yielded[s][r]);
      }
      merged.push_back(std::move(branch[s]));
    }
  }
  states = std::move(merged);
  return states.size() <= maxStates;
}

/// Whether `value`, defined outside of `loop`, is needed when the loop is over.
/// What cannot be placed counts as needed: the numbers are upper bounds then.
bool isUsedAfter(MlirValue value, MlirOperation loop) {
  MlirBlock block = mlirOperationGetBlock(loop);
  for (const ir::Use &use : ir::uses(value)) {
    MlirOperation owner = use.owner;
    while (owner.ptr && !mlirBlockEqual(mlirOperationGetBlock(owner), block)) {
      owner = mlirOperationGetParentOperation(owner);
    }
    if (!owner.ptr || mlirOperationIsBeforeInBlock(loop, owner)) {
      return true;
    }
  }
  return false;
}

/// Whether an iteration of `loop` reads `value` other than as a carried one.
bool isUsedInside(MlirValue value, MlirOperation loop) {
  for (const ir::Use &use : ir::uses(value)) {
    for (MlirOperation parent = mlirOperationGetParentOperation(use.owner);
         parent.ptr; parent = mlirOperationGetParentOperation(parent)) {
      if (mlirOperationEqual(parent, loop)) {
        return true;
      }
    }
  }
  return false;
}

bool Interpreter::visitLoop(MlirOperation op, States &states) {
  exact = false;
  bool counted = ir::isa(op, "scf.for");
  size_t firstInit = counted ? 3 : 0; // bounds and step
  size_t firstArgument = counted ? 1 : 0;
  std::vector<MlirValue> operands = ir::operands(op);
  // In another loop or branch more may be needed than this block shows.
  MlirOperation parent = mlirOperationGetParentOperation(op);
  bool nested = !ir::isa(parent, "util.func") && !ir::isa(parent, "func.func");
  States done;
  for (State &start : states) {
    States current = {start};
    ++current[0].loopDepth;
    std::vector<std::vector<int>> carried(1);
    bool fromOutside = false;
    for (size_t i = firstInit; i < operands.size(); ++i) {
      carried[0].push_back(start.find(operands[i]));
      fromOutside |= carried[0].back() >= 0;
    }
    // What was there before the loop stays where something after it has a hold
    // on it, by whatever name.
    std::set<int> held;
    std::set<int> inside; // until the last iteration
    for (const auto &item : start.bound) {
      MlirValue value = {const_cast<void *>(item.first)};
      if (nested || isUsedAfter(value, op)) {
        held.insert(item.second);
      } else if (isUsedInside(value, op)) {
        inside.insert(item.second);
      }
    }
    const std::vector<int> initial = carried[0];
    auto drop = [&](State &state, int allocation,
                    const std::vector<int> &kept) {
      if (allocation >= 0 && !held.count(allocation) &&
          !inside.count(allocation) &&
          std::find(kept.begin(), kept.end(), allocation) == kept.end()) {
        state.release(allocation);
      }
    };
    if (counted && fromOutside) {
      // No iteration at all hands out what was there before.
      State none = start;
      std::vector<MlirValue> results = ir::results(op);
      for (size_t r = 0; r < results.size() && r < carried[0].size(); ++r) {
        none.bind(results[r], carried[0][r]);
      }
      done.push_back(std::move(none));
    }
    for (int iteration = 0; iteration < loopIterations; ++iteration) {
      for (intptr_t region = 0; region < (counted ? 1 : 2); ++region) {
        MlirBlock block =
            mlirRegionGetFirstBlock(mlirOperationGetRegion(op, region));
        size_t offset = region == 0 ? firstArgument : 0;
        States next;
        std::vector<std::vector<int>> nextCarried;
        for (size_t s = 0; s < current.size(); ++s) {
          State state = current[s];
          for (size_t i = 0; i < carried[s].size(); ++i) {
            MlirValue argument =
                mlirBlockGetArgument(block, intptr_t(i + offset));
            if (iteration) {
              // The value of the iteration before.
              drop(state, state.find(argument), carried[s]);
            }
            state.bind(argument, carried[s][i]);
          }
          States after = {std::move(state)};
          std::vector<std::vector<int>> yielded;
          if (!visitRegion(op, region, after, &yielded)) {
            return false;
          }
          for (size_t a = 0; a < after.size(); ++a) {
            // scf.condition passes the condition first.
            if (!counted && region == 0 && !yielded[a].empty()) {
              yielded[a].erase(yielded[a].begin());
            }
            nextCarried.push_back(yielded[a]);
            next.push_back(std::move(after[a]));
          }
        }
        current = std::move(next);
        carried = std::move(nextCarried);
        if (current.size() > maxStates) {
          return false;
        }
      }
    }
    inside.clear();
    for (size_t s = 0; s < current.size(); ++s) {
      State &state = current[s];
      --state.loopDepth;
      for (int allocation : initial) {
        drop(state, allocation, carried[s]);
      }
      for (intptr_t region = 0; region < (counted ? 1 : 2); ++region) {
        MlirBlock block =
            mlirRegionGetFirstBlock(mlirOperationGetRegion(op, region));
        for (intptr_t i = 0, e = mlirBlockGetNumArguments(block); i < e; ++i) {
          drop(state, state.find(mlirBlockGetArgument(block, i)), carried[s]);
        }
      }
      std::vector<MlirValue> results = ir::results(op);
      for (size_t r = 0; r < results.size() && r < carried[s].size(); ++r) {
        state.bind(results[r], carried[s][r]);
        if (carried[s][r] >= 0) {
          state.handOut(carried[s][r]);
        }
      }
      done.push_back(std::move(current[s]));
    }
  }
  states = std::move(done);
  return states.size() <= maxStates;
}

/// The callee as if it were inlined: it may release what it is given, and hand
/// out what it allocates or was given.
bool Interpreter::visitCall(MlirOperation op, States &states) {
  if (functions.empty()) {
    for (MlirOperation function : ir::operations(ir::body(module))) {
      if (ir::isa(function, "util.func")) {
        functions[ir::stringAttr(function, "sym_name").value_or("")] = function;
      }
    }
  }
  auto known = functions.find(ir::calledFunction(op));
  if (known == functions.end() || ir::blocks(known->second).empty()) {
    return true; // an import: allocates nothing of ours
  }
  MlirOperation function = known->second;
  if (++steps > maxSteps || !active.insert(function.ptr).second) {
    return false;
  }
  States returned;
  for (State &state : states) {
    std::map<const void *, int> callers = state.bound;
    size_t before = state.allocations.size();
    std::vector<MlirValue> operands = ir::operands(op);
    for (size_t i = 0; i < operands.size(); ++i) {
      state.bind(mlirBlockGetArgument(ir::body(function), intptr_t(i)),
                 state.find(operands[i]));
    }
    ++state.callDepth;
    States inner = {std::move(state)};
    std::vector<std::vector<int>> yielded;
    if (!visitRegion(function, 0, inner, &yielded)) {
      return false;
    }
    for (size_t s = 0; s < inner.size(); ++s) {
      State &after = inner[s];
      --after.callDepth;
      after.bound = callers;
      std::vector<MlirValue> results = ir::results(op);
      for (size_t r = 0; r < results.size() && r < yielded[s].size(); ++r) {
        after.bind(results[r], yielded[s][r]);
      }
      for (size_t i = before; i < after.allocations.size(); ++i) {
        const Allocation &made = after.allocations[i];
        if (!made.alive || made.kind == Kind::Variable) {
          continue;
        }
        // The caller may keep it to itself, as long as it needs it.
        exact = false;
        if (made.kind == Kind::Transient &&
            !std::count(yielded[s].begin(), yielded[s].end(), int(i))) {
          after.release(int(i)); // the last reference goes
        }
      }
      returned.push_back(std::move(after));
    }
  }
  active.erase(function.ptr);
  states = std::move(returned);
  return states.size() <= maxStates;
}

} // namespace

std::optional<CallMemory> callMemory(MlirOperation module,
                                     MlirOperation function,
                                     const SlabLayout &layout) {
  std::optional<CallMemory> memory = Interpreter(module, layout).run(function);
  MlirAttribute reflection = ir::attr(function, "iree.reflection");
  if (!memory || ir::isNull(reflection) ||
      !mlirAttributeIsADictionary(reflection)) {
    return memory;
  }
  auto find = [&](const char *name) {
    return mlirDictionaryAttrGetElementByName(reflection, ir::strRef(name));
  };
  // The first names the function that tells the size, the second is there if
  // that is a constant.
  if (ir::isNull(find("iree.abi.transients.size"))) {
    return memory;
  }
  MlirAttribute size = find("iree.abi.transients.size.constant");
  if (ir::isNull(size) || !mlirAttributeIsAInteger(size)) {
    return std::nullopt;
  }
  memory->callerArenaBytes = mlirIntegerAttrGetValueInt(size);
  memory->transientPeakBytes += *memory->callerArenaBytes;
  memory->peakBytes += *memory->callerArenaBytes;
  return memory;
}

std::optional<int64_t> inputBytes(MlirOperation function) {
  MlirContext context = mlirOperationGetContext(function);
  MlirAttribute reflection = ir::attr(function, "iree.reflection");
  if (!ir::isNull(reflection) && mlirAttributeIsADictionary(reflection)) {
    MlirAttribute declaration = mlirDictionaryAttrGetElementByName(
        reflection, ir::strRef("iree.abi.declaration"));
    if (!ir::isNull(declaration) && mlirAttributeIsAString(declaration)) {
      // `sync func @f(%input0: tensor<1x2xf32>, ...) -> (...)`
      std::string text(ir::view(mlirStringAttrGetValue(declaration)));
      text = text.substr(0, text.find(") ->"));
      int64_t bytes = 0;
      // The declaration says nothing about what is behind a buffer view.
      bool complete = text.find("!hal.buffer_view") == std::string::npos;
      for (size_t at = text.find("tensor<");
           complete && at != std::string::npos;
           at = text.find("tensor<", at + 1)) {
        // Element types and encodings may have brackets of their own.
        size_t end = text.find('<', at) + 1;
        for (int depth = 1; depth > 0 && end < text.size(); ++end) {
          depth += text[end] == '<' ? 1 : text[end] == '>' ? -1 : 0;
        }
        std::string spelling = text.substr(at, end - at);
        MlirType type = mlirTypeParseGet(context, ir::strRef(spelling));
        std::optional<int64_t> size =
            type.ptr ? ir::tensorBytes(type) : std::nullopt;
        if (!size) {
          return std::nullopt;
        }
        bytes += *size;
      }
      if (complete) {
        return bytes;
      }
    }
  }
  // Without a declaration: what is imported, if that is every buffer view.
  MlirBlock block = ir::body(function);
  intptr_t views = 0;
  for (intptr_t i = 0, e = block.ptr ? mlirBlockGetNumArguments(block) : 0;
       i < e; ++i) {
    views += ir::toString(mlirValueGetType(mlirBlockGetArgument(block, i))) ==
             "!hal.buffer_view";
  }
  int64_t bytes = 0;
  bool known = true;
  std::set<const void *> imported;
  ir::walk(function, [&](MlirOperation op) {
    if (!ir::isa(op, "stream.tensor.import")) {
      return;
    }
    if (kindOf(mlirValueGetType(ir::result(op))) == Kind::Transient) {
      return; // the caller's arena
    }
    known &= imported.insert(ir::key(ir::operand(op, 0))).second;
    --views;
    std::optional<int64_t> size;
    for (MlirValue operand : ir::operands(op)) {
      if (mlirTypeIsAIndex(mlirValueGetType(operand))) {
        size = ir::constantInt(operand); // the last one is the size
      }
    }
    known &= size.has_value();
    bytes += size.value_or(0);
  });
  return known && views == 0 ? std::optional<int64_t>(bytes) : std::nullopt;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// clang-format off
//===----------------------------------------------------------------------===//
// serenity-schedule
//
// Orders the flow operations of every function so that the bytes of the tensors
// that are alive together are least.
//
// Assumes the IR at the end of IREE's flow phase: functions of one block whose
// tensor operations are `flow.dispatch` and `flow.tensor.*`. A function with
// other operations on tensors or with several blocks is left as it is, and a
// remark says so. Tensors of dynamic shape count as large as they are at the
// hint (option `dim-hint`, else 64 per dimension). Operations with regions
// (`scf.if`, `scf.for`) are moved as a whole.
//
// Before that, every `cf.assert` on a condition that is computed from extents and
// other scalars is moved in front of the dispatches that precede it, as IREE
// ends an execution region at an assert, and dimensions that are asserted to be
// equal become one behind it. No assert passes another one or a side effect.
//
// Afterwards operations with side effects stand in their former order among
// themselves, readers of a tensor stand before the operation that overwrites it
// in place, and the function carries `serenity.scheduled`,
// `serenity.estimated_peak_bytes`, `serenity.lower_bound_bytes` and
// `serenity.optimal`. The numbers are those of this level: a buffer per tensor,
// rounded up to the slab's alignment. Concatenations (`flow.tensor.empty` and a
// chain of `flow.tensor.update`) are counted from their first update on;
// serenity-schedule-regions decides on them.
//
// Place in the pipeline: after the flow phase, before
// iree-stream-tensor-transformation-pipeline. Concurrency has to be switched
// off there (`stream.partitioning` = favor-debug), or IREE groups operations
// again.
//
//   %a = flow.dispatch @big(%x)             %a = flow.dispatch @big(%x)
//   %b = flow.dispatch @big(%x)             %0 = flow.dispatch @small(%a)
//   %0 = flow.dispatch @small(%a)     =>    %b = flow.dispatch @big(%x)
//   %1 = flow.dispatch @small(%b)           %1 = flow.dispatch @small(%b)
//===----------------------------------------------------------------------===//
// clang-format on

#include "serenity/Analysis/ConsumedImports.h"
#include "serenity/Analysis/ResourceConfig.h"
#include "serenity/Analysis/SizeReader.h"
#include "serenity/Core/Alignment.h"
#include "serenity/Core/Scheduling/Simulator.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/HoistAsserts.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace serenity {

namespace {

bool startsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

/// Operations that compute nothing of size and may stand anywhere before their
/// users: they are pulled along by the first of them.
bool isFree(MlirOperation op) {
  std::string_view name = ir::name(op);
  if (startsWith(name, "arith.") || startsWith(name, "affine.apply") ||
      name == "tensor.dim" || name == "flow.tensor.reshape" ||
      name == "flow.tensor.bitcast" || name == "flow.tensor.empty" ||
      name == "flow.tensor.splat" || name == "flow.tensor.constant" ||
      name == "util.null" || startsWith(name, "hal.device.resolve")) {
    return true;
  }
  // Loads of globals that never change.
  return name == "util.global.load" &&
         !ir::isNull(ir::attr(op, "is_immutable"));
}

/// A function as a scheduling problem.
class FlowModel {
public:
  FlowModel(MlirOperation function, int64_t alignment, const Options &options)
      : function(function), alignment(alignment),
        defaultExtent(options.defaultExtent), sizes(options) {}

  /// False if the function is not modelled; `reason` and `culprit` say why.
  bool read();
  void apply(const std::vector<OpId> &order);

  Problem problem;
  std::string reason;
  MlirOperation culprit = {};
  bool dynamicSize = false;

private:
  bool fail(MlirOperation op, std::string why) {
    culprit = op;
    reason = std::move(why);
    return false;
  }
  bool failDynamic(MlirOperation op) {
    dynamicSize = true;
    return fail(op, "tensor of dynamic or unknown size");
  }
  /// Bytes of a tensor, those of dynamic size at the hints.
  std::optional<int64_t> bytesOf(MlirValue value);
  bool readNode(MlirOperation op);
  /// Adds the buffers that reading `value` touches.
  bool readOperand(MlirOperation op, OpId node, MlirValue value);
  void use(OpId node, int buffer) {
    if (buffer >= 0) {
      problem.operations[node].uses.push_back(buffer);
    }
  }
  /// A tensor that `op` defines in memory of its own.
  bool define(MlirOperation op, OpId node, MlirValue value);
  bool overwrite(MlirOperation op, OpId node, MlirValue target,
                 MlirValue result);
  bool liesInInput(MlirValue value) const;
  OpId readsOwnTarget(MlirOperation update, MlirValue base) const;
  void addHazards();
  bool escapes(MlirValue value) const;
  /// Whether `to` can be reached from `from` along the dependences known so
  /// far.
  bool reaches(OpId from, OpId to) const;
  void pull(MlirOperation op, MlirOperation before);

  MlirOperation function;
  int64_t alignment;
  int64_t defaultExtent;
  SizeReader sizes;
  std::vector<MlirOperation> nodes;
  std::unordered_map<const void *, OpId> nodeOf;     // by operation
  std::unordered_map<const void *, int> bufferOf;    // by value; -1: none
  std::unordered_set<const void *> undefinedTensors; // of empty or splat
  std::unordered_map<const void *, MlirValue> aliasOf;
  std::unordered_set<const void *> overwritten; // by value
  std::unordered_set<const void *> inInputs;    // by value
  struct Write {
    OpId node;
    MlirValue target;
    OpId selfReader = -1; // see `readsOwnTarget`
  };
  std::vector<Write> writes;
  /// The last operation so far that brings tensors in from the host, and the
  /// operations since the last one that hands a tensor out.
  OpId lastEntry = -1;
  std::vector<OpId> sinceExit;
  std::unordered_set<const void *> placed;
};

MlirValue baseOf(const std::unordered_map<const void *, MlirValue> &aliasOf,
                 MlirValue value) {
  for (auto it = aliasOf.find(ir::key(value)); it != aliasOf.end();
       it = aliasOf.find(ir::key(value))) {
    value = it->second;
  }
  return value;
}

bool FlowModel::read() {
  std::vector<MlirBlock> blocks = ir::blocks(function);
  if (blocks.size() != 1) {
    return fail(function, "function of several blocks");
  }
  MlirBlock block = blocks.front();
  for (intptr_t i = 0, e = mlirBlockGetNumArguments(block); i < e; ++i) {
    bufferOf[ir::key(mlirBlockGetArgument(block, i))] = -1;
  }
  MlirOperation terminator = mlirBlockGetTerminator(block);
  for (MlirOperation op : ir::operations(block)) {
    if (mlirOperationEqual(op, terminator)) {
      break;
    }
    std::string_view name = ir::name(op);
    if (!isFree(op)) {
      if (!readNode(op)) {
        return false;
      }
      continue;
    }
    for (MlirValue value : ir::results(op)) {
      if (!ir::isTensor(value)) {
        continue;
      }
      if (name == "flow.tensor.reshape" || name == "flow.tensor.bitcast") {
        MlirValue source = ir::operand(op, 0);
        aliasOf[ir::key(value)] = source;
        MlirValue base = baseOf(aliasOf, source);
        auto it = bufferOf.find(ir::key(base));
        bufferOf[ir::key(value)] = it == bufferOf.end() ? -1 : it->second;
        if (undefinedTensors.count(ir::key(base))) {
          undefinedTensors.insert(ir::key(value));
        }
      } else {
        bufferOf[ir::key(value)] = -1;
        if (name == "flow.tensor.empty" || name == "flow.tensor.splat") {
          undefinedTensors.insert(ir::key(value));
        }
      }
    }
  }
  addHazards();
  for (Operation &operation : problem.operations) {
    auto unique = [](auto &list) {
      std::sort(list.begin(), list.end());
      list.erase(std::unique(list.begin(), list.end()), list.end());
    };
    unique(operation.uses);
    unique(operation.after);
  }
  return true;
}

/// The operands that give the dynamic extents of `value`, in order; empty if
/// the operation that defines it does not say.
std::vector<MlirValue> dynamicExtents(MlirValue value) {
  MlirOperation op = ir::definingOp(value);
  std::vector<int64_t> segments =
      !ir::isNull(op) && ir::isa(op, "flow.dispatch") ? ir::operandSegments(op)
                                                      : std::vector<int64_t>();
  if (segments.empty()) {
    return {};
  }
  // The extents of the results come last.
  return ir::extentsAmong(ir::results(op), mlirOpResultGetResultNumber(value),
                          ir::segmentOperands(op, segments.size() - 1));
}

std::optional<int64_t> FlowModel::bytesOf(MlirValue value) {
  MlirType type = mlirValueGetType(value);
  if (!mlirTypeIsARankedTensor(type) || mlirShapedTypeHasStaticShape(type)) {
    return ir::tensorBytes(type);
  }
  std::optional<int64_t> bytes =
      ir::elementBytes(mlirShapedTypeGetElementType(type));
  std::vector<MlirValue> extents = dynamicExtents(value);
  size_t next = 0;
  for (intptr_t i = 0, e = mlirShapedTypeGetRank(type); bytes && i < e; ++i) {
    std::optional<int64_t> extent = mlirShapedTypeGetDimSize(type, i);
    if (*extent < 0 && next < extents.size()) {
      extent = sizes.atHint(extents[next++]);
    } else if (*extent < 0) {
      extent = defaultExtent;
    }
    if (!extent || *extent < 0 ||
        __builtin_mul_overflow(*bytes, *extent, &*bytes)) {
      return std::nullopt;
    }
  }
  return bytes;
}

bool FlowModel::define(MlirOperation op, OpId node, MlirValue value) {
  if (escapes(value)) {
    bufferOf[ir::key(value)] = -1;
    return true;
  }
  std::optional<int64_t> bytes = bytesOf(value);
  if (!bytes) {
    return failDynamic(op);
  }
  Buffer buffer;
  buffer.name = "t" + std::to_string(problem.buffers.size());
  buffer.bytes = alignUp(*bytes, alignment);
  int id = int(problem.buffers.size());
  problem.buffers.push_back(buffer);
  bufferOf[ir::key(value)] = id;
  use(node, id);
  return true;
}

bool FlowModel::readOperand(MlirOperation op, OpId node, MlirValue value) {
  // The dependences of the operand, through operations that are pulled along.
  std::vector<MlirValue> open = {value};
  std::unordered_set<const void *> seen;
  while (!open.empty()) {
    MlirValue current = open.back();
    open.pop_back();
    MlirOperation producer = ir::definingOp(current);
    if (ir::isNull(producer) || !seen.insert(producer.ptr).second) {
      continue;
    }
    auto it = nodeOf.find(producer.ptr);
    if (it != nodeOf.end()) {
      problem.operations[node].after.push_back(it->second);
    } else {
      for (MlirValue operand : ir::operands(producer)) {
        open.push_back(operand);
      }
    }
  }
  if (!ir::isTensor(value)) {
    return true;
  }
  if (undefinedTensors.count(ir::key(value))) {
    // IREE materializes it for this user alone.
    std::optional<int64_t> bytes = bytesOf(value);
    if (!bytes) {
      return failDynamic(op);
    }
    problem.operations[node].workspaceBytes += alignUp(*bytes, alignment);
    return true;
  }
  auto it = bufferOf.find(ir::key(baseOf(aliasOf, value)));
  if (it != bufferOf.end()) {
    use(node, it->second);
  }
  return true;
}

bool FlowModel::overwrite(MlirOperation op, OpId node, MlirValue target,
                          MlirValue result) {
  MlirValue base = baseOf(aliasOf, target);
  auto it = bufferOf.find(ir::key(base));
  // Of nothing, of memory outside of the slab but consumed inputs, or of a
  // value that was overwritten before: fresh memory (for the last IREE makes a
  // copy).
  const bool inInput = liesInInput(base);
  const bool fresh = undefinedTensors.count(ir::key(target)) ||
                     it == bufferOf.end() || (it->second < 0 && !inInput) ||
                     !overwritten.insert(ir::key(base)).second;
  const OpId selfReader = readsOwnTarget(op, base);
  if (!fresh || selfReader >= 0) {
    writes.push_back({node, base, selfReader});
  }
  if (fresh) {
    if (!undefinedTensors.count(ir::key(target)) &&
        !readOperand(op, node, target)) {
      return false;
    }
    return define(op, node, result);
  }
  if (!readOperand(op, node, target)) {
    return false;
  }
  bufferOf[ir::key(result)] = it->second;
  if (inInput) {
    inInputs.insert(ir::key(result));
  }
  return true;
}

/// Whether `value` is a consumed input, or was written over one.
bool FlowModel::liesInInput(MlirValue value) const {
  MlirOperation producer = ir::definingOp(value);
  return inInputs.count(ir::key(value)) ||
         (!ir::isNull(producer) && isConsumedImport(producer));
}

/// The dispatch whose result `update` inserts into `base`, if the dispatch
/// reads `base` as well; else -1. IREE lets it write to the place of insertion,
/// over elements it may still have to read, unless a later reader forces a
/// copy.
OpId FlowModel::readsOwnTarget(MlirOperation update, MlirValue base) const {
  if (!ir::isa(update, "flow.tensor.update")) {
    return -1;
  }
  for (MlirValue operand : ir::operands(update)) {
    MlirOperation producer = ir::definingOp(baseOf(aliasOf, operand));
    if (ir::isNull(producer) || !ir::isa(producer, "flow.dispatch") ||
        mlirValueEqual(baseOf(aliasOf, operand), base)) {
      continue;
    }
    for (MlirValue read : ir::operands(producer)) {
      if (mlirValueEqual(baseOf(aliasOf, read), base)) {
        return nodeOf.at(producer.ptr);
      }
    }
  }
  return -1;
}

bool FlowModel::readNode(MlirOperation op) {
  OpId node = OpId(nodes.size());
  nodes.push_back(op);
  nodeOf[op.ptr] = node;
  problem.operations.emplace_back();
  std::string_view name = ir::name(op);
  problem.operations[node].name = std::string(name);
  // Work stays between the operations that bring its tensors in and those that
  // hand its results out: an import, export or assert in its midst would cut
  // the execution region there.
  if (lastEntry >= 0) {
    problem.operations[node].after.push_back(lastEntry);
  }
  if (name == "hal.tensor.import" || name == "util.global.load" ||
      name == "cf.assert") {
    lastEntry = node;
  } else if (name == "hal.tensor.export" || name == "hal.tensor.barrier" ||
             name == "util.global.store") {
    std::vector<OpId> &after = problem.operations[node].after;
    after.insert(after.end(), sinceExit.begin(), sinceExit.end());
    sinceExit.clear();
  }
  sinceExit.push_back(node);
  std::vector<MlirValue> operands = ir::operands(op);

  if (name == "flow.dispatch" || name == "flow.tensor.update") {
    std::vector<int64_t> segments = ir::operandSegments(op);
    std::vector<int64_t> tied;
    size_t first = 0;
    if (name == "flow.dispatch") {
      tied = ir::intArray(ir::attr(op, "tied_operands"));
      first = segments.empty() ? 0 : segments[0];
    } else {
      tied = {0};
    }
    std::vector<MlirValue> results = ir::results(op);
    tied.resize(results.size(), -1);
    std::vector<bool> isTied(operands.size(), false);
    for (int64_t index : tied) {
      if (index >= 0 && first + index < operands.size()) {
        isTied[first + index] = true;
      }
    }
    for (size_t i = 0; i < operands.size(); ++i) {
      if (!isTied[i] && !readOperand(op, node, operands[i])) {
        return false;
      }
    }
    for (size_t i = 0; i < results.size(); ++i) {
      bool ok = tied[i] >= 0 && first + tied[i] < operands.size()
                    ? overwrite(op, node, operands[first + tied[i]], results[i])
                    : define(op, node, results[i]);
      if (!ok) {
        return false;
      }
    }
    return true;
  }
  if (name == "flow.tensor.clone" || name == "flow.tensor.slice") {
    for (MlirValue operand : operands) {
      if (!readOperand(op, node, operand)) {
        return false;
      }
    }
    return define(op, node, ir::result(op));
  }

  // Everything else keeps its place among its like: it may have side effects.
  bool known = startsWith(name, "hal.tensor.") ||
               startsWith(name, "util.global.") || startsWith(name, "scf.") ||
               name == "util.optimization_barrier";
  std::vector<MlirValue> read = operands;
  ir::walk(op, [&](MlirOperation nested) {
    for (MlirValue operand : ir::operands(nested)) {
      read.push_back(operand);
    }
  });
  bool tensors = false;
  for (MlirValue value : read) {
    tensors |= ir::isTensor(value);
  }
  for (MlirValue value : ir::results(op)) {
    tensors |= ir::isTensor(value);
  }
  if (tensors && !known) {
    return fail(op, "operation '" + std::string(name) + "' is not modelled");
  }
  for (MlirValue value : read) {
    if (!readOperand(op, node, value)) {
      return false;
    }
  }
  for (OpId other = node - 1; other >= 0; --other) {
    std::string_view earlier = ir::name(nodes[other]);
    if (!startsWith(earlier, "flow.")) {
      problem.operations[node].after.push_back(other);
      break;
    }
  }
  bool passThrough = name == "hal.tensor.barrier" ||
                     name == "hal.tensor.transients" ||
                     name == "util.optimization_barrier";
  std::vector<MlirValue> results = ir::results(op);
  for (size_t i = 0; i < results.size(); ++i) {
    if (!ir::isTensor(results[i])) {
      continue;
    }
    bufferOf[ir::key(results[i])] = -1;
    if (passThrough && i < operands.size() && ir::isTensor(operands[i])) {
      aliasOf[ir::key(results[i])] = operands[i];
    } else if (startsWith(name, "scf.") && !define(op, node, results[i])) {
      return false;
    }
  }
  return true;
}

/// Whether the tensor lies outside of the slab because its memory is handed
/// out: returned, exported or stored in a global.
bool FlowModel::escapes(MlirValue value) const {
  std::vector<MlirValue> open = {value};
  while (!open.empty()) {
    MlirValue current = open.back();
    open.pop_back();
    for (const ir::Use &use : ir::uses(current)) {
      std::string_view name = ir::name(use.owner);
      if (name == "hal.tensor.export" || name == "hal.tensor.alias" ||
          name == "util.return" || name == "util.global.store") {
        return true;
      }
      if (name == "flow.tensor.reshape" || name == "flow.tensor.bitcast") {
        open.push_back(ir::result(use.owner));
      } else if (name == "hal.tensor.barrier" ||
                 name == "hal.tensor.transients") {
        if (use.operandNumber < mlirOperationGetNumResults(use.owner)) {
          open.push_back(ir::result(use.owner, use.operandNumber));
        }
      } else if (name == "flow.dispatch" || name == "flow.tensor.update") {
        // The same memory, if overwritten in place.
        std::vector<int64_t> tied =
            name == "flow.dispatch"
                ? ir::intArray(ir::attr(use.owner, "tied_operands"))
                : std::vector<int64_t>{0};
        std::vector<int64_t> segments = ir::operandSegments(use.owner);
        int64_t first =
            name == "flow.dispatch" && !segments.empty() ? segments[0] : 0;
        for (size_t i = 0; i < tied.size(); ++i) {
          if (tied[i] >= 0 && first + tied[i] == int64_t(use.operandNumber)) {
            open.push_back(ir::result(use.owner, intptr_t(i)));
          }
        }
      }
    }
  }
  return false;
}

bool FlowModel::reaches(OpId from, OpId to) const {
  // Dependences point backwards, so walk from `to` towards its predecessors.
  std::vector<OpId> open = {to};
  std::unordered_set<OpId> seen = {to};
  while (!open.empty()) {
    OpId current = open.back();
    open.pop_back();
    if (current == from) {
      return true;
    }
    for (OpId previous : problem.operations[current].after) {
      if (seen.insert(previous).second) {
        open.push_back(previous);
      }
    }
  }
  return false;
}

/// Readers of a value come before the operation that overwrites it; where a
/// reader depends on the writer IREE copies, whatever the order. Where a
/// dispatch reads what its result is inserted into, later readers stay later,
/// so that IREE goes on copying.
void FlowModel::addHazards() {
  for (const Write &write : writes) {
    std::vector<MlirValue> open = {write.target};
    while (!open.empty()) {
      MlirValue current = open.back();
      open.pop_back();
      for (const ir::Use &use : ir::uses(current)) {
        MlirOperation owner = use.owner;
        auto it = nodeOf.find(owner.ptr);
        while (it == nodeOf.end() && owner.ptr && !isFree(owner)) {
          owner = mlirOperationGetParentOperation(owner); // nested in a region
          it = nodeOf.find(owner.ptr);
        }
        if (it == nodeOf.end()) {
          if (owner.ptr && isFree(owner) &&
              mlirOperationGetNumResults(owner) == 1) {
            open.push_back(ir::result(owner));
          }
          continue;
        }
        if (it->second == write.node || reaches(write.node, it->second)) {
          continue;
        }
        if (write.selfReader >= 0 && it->second > write.selfReader) {
          problem.operations[it->second].after.push_back(write.node);
        } else {
          problem.operations[write.node].after.push_back(it->second);
        }
      }
    }
  }
}

void FlowModel::pull(MlirOperation op, MlirOperation before) {
  // Free operations nest a few levels deep at most, but do not rely on it.
  std::vector<std::pair<MlirOperation, bool>> open = {{op, false}};
  while (!open.empty()) {
    auto [current, ready] = open.back();
    open.pop_back();
    if (ready) {
      mlirOperationMoveBefore(current, before);
      continue;
    }
    if (!placed.insert(current.ptr).second) {
      continue;
    }
    open.emplace_back(current, true);
    std::vector<MlirValue> operands = ir::operands(current);
    ir::walk(current, [&](MlirOperation nested) {
      for (MlirValue value : ir::operands(nested)) {
        operands.push_back(value);
      }
    });
    for (auto it = operands.rbegin(); it != operands.rend(); ++it) {
      MlirOperation producer = ir::definingOp(*it);
      if (!ir::isNull(producer) && !placed.count(producer.ptr) &&
          ir::sameBlock(producer, before)) {
        open.emplace_back(producer, false);
      }
    }
  }
}

void FlowModel::apply(const std::vector<OpId> &order) {
  MlirBlock block = ir::body(function);
  MlirOperation terminator = mlirBlockGetTerminator(block);
  std::vector<MlirOperation> all = ir::operations(block);
  // Constants and the like first, as they were; then the nodes, each with the
  // free operations that it needs.
  for (MlirOperation op : all) {
    bool leaf = isFree(op) && mlirOperationGetNumOperands(op) == 0;
    if (leaf) {
      pull(op, terminator);
    }
  }
  for (OpId id : order) {
    pull(nodes[id], terminator);
  }
  for (MlirOperation op : all) {
    if (!mlirOperationEqual(op, terminator)) {
      pull(op, terminator);
    }
  }
}

} // namespace

bool runSchedule(MlirOperation module, const Options &options,
                 ModuleReport *report) {
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (!ir::isa(function, "util.func") && !ir::isa(function, "func.func")) {
      continue;
    }
    if (attributes::keepsStockOrder(function)) {
      continue; // the driver has chosen IREE's order
    }
    bool hasFlow = false;
    ir::walk(function, [&](MlirOperation op) {
      hasFlow |= startsWith(ir::name(op), "flow.");
    });
    if (!hasFlow) {
      continue;
    }
    hoistAsserts(function, options);
    ResourceConfig config =
        lookupResourceConfig(function, options.defaultAlignment);
    FlowModel model(function, config.rangeAlignment, options);
    if (!model.read()) {
      if (model.dynamicSize && !options.remarkOnDynamicSizes) {
        continue;
      }
      ir::emitRemark(mlirOperationGetLocation(model.culprit.ptr ? model.culprit
                                                                : function),
                     "function keeps the order that IREE gave it: " +
                         model.reason);
      continue;
    }
    if (Status valid = verifyProblem(model.problem); !valid) {
      ir::emitRemark(mlirOperationGetLocation(function),
                     "function keeps the order that IREE gave it: " +
                         valid.message());
      continue;
    }
    SchedulerOptions schedulerOptions;
    schedulerOptions.algorithm = options.scheduler;
    schedulerOptions.timeLimitSeconds = options.searchSeconds();
    schedulerOptions.stateLimit = options.stateLimit;
    if (options.cancelled) {
      schedulerOptions.onProgress = [&options](const ScheduleProgress &) {
        return !options.cancelled();
      };
    }
    ScheduleResult result = schedule(model.problem, schedulerOptions);
    if (Status valid = verifySchedule(model.problem, result.order); !valid) {
      ir::emitWarning(mlirOperationGetLocation(function),
                      "internal error: invalid order: " + valid.message());
      continue;
    }
    if (!std::is_sorted(result.order.begin(), result.order.end())) {
      model.apply(result.order);
    }
    attributes::setEstimatedOrder(
        function, {result.peakBytes, result.lowerBoundBytes, result.optimal});
    if (report) {
      functionReport(*report,
                     ir::stringAttr(function, "sym_name").value_or(""));
    }
  }
  return true;
}

} // namespace serenity

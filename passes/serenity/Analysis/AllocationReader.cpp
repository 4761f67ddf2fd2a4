// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/AllocationReader.h"

#include "serenity/Analysis/ResourceConfig.h"
#include "serenity/Core/Packing/PackMemo.h"
#include "serenity/IREE/CmpIPredicate.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/PackDynamic.h"
#include "serenity/Transforms/PackModel.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace serenity {

namespace {

using Kind = AllocationInstruction::Kind;

/// Programs of more blocks are given up: calls are read once per call.
constexpr size_t maxBlocks = 8192;

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

bool startsWith(const std::string &text, std::string_view prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

/// Whether `value` is a resource, or a buffer view of one.
bool holdsResource(MlirValue value) {
  std::string type = ir::toString(mlirValueGetType(value));
  return startsWith(type, "!stream.resource") || type == "!hal.buffer_view" ||
         type == "!hal.buffer";
}

/// Whether a branch or loop allocates, or passes on earlier allocations.
bool concernsMemory(MlirOperation op) {
  std::vector<MlirValue> results = ir::results(op);
  return allocatesInside(op) ||
         std::any_of(results.begin(), results.end(), holdsResource);
}

class Reader {
public:
  Reader(MlirOperation module, const SlabLayout &layout)
      : module(module), layout(layout) {}

  std::optional<FunctionAllocations> read(MlirOperation function);

private:
  /// Where a terminator without successors leads.
  struct Exit {
    /// The block that takes its operands; none: the function returns.
    int block = -1;
    /// A counter to advance, and by how much, which comes before the operands.
    ValueId counter = noValue;
    ValueId step = noValue;
  };

  bool readFunction(MlirOperation function, const Exit &exit);
  bool readBlock(MlirBlock block, const Exit &exit);
  bool readTerminator(MlirOperation terminator, const Exit &exit);
  bool readOperation(MlirOperation op);
  bool readBranch(MlirOperation op);
  bool readFor(MlirOperation op);
  bool readWhile(MlirOperation op);
  bool readCall(MlirOperation op);
  bool readAllocation(MlirOperation op);
  void readSelect(MlirOperation op);
  bool readInteger(MlirOperation op);
  void readUse(MlirOperation op);
  std::optional<int64_t> sizeOf(MlirValue value);
  std::optional<int64_t> dynamicSlab(const PackModel &model,
                                     const PackOptions &packing) const;

  /// Reads the first block of a region that becomes the block `into`.
  bool readInto(int into, MlirOperation op, intptr_t region, const Exit &exit) {
    current = into;
    return readBlock(
        mlirRegionGetFirstBlock(mlirOperationGetRegion(op, region)), exit);
  }

  ValueId newValue(bool isReference) {
    program().isReference.push_back(isReference);
    return program().values++;
  }
  ValueId valueOf(MlirValue value) {
    auto [it, fresh] = values.emplace(ir::key(value), noValue);
    if (fresh) {
      it->second = newValue(holdsResource(value));
    }
    return it->second;
  }
  std::vector<ValueId> valuesOf(const std::vector<MlirValue> &list,
                                size_t first = 0) {
    std::vector<ValueId> ids;
    for (size_t i = first; i < list.size(); ++i) {
      ids.push_back(valueOf(list[i]));
    }
    return ids;
  }
  int newBlock(std::vector<ValueId> parameters = {}) {
    program().blocks.emplace_back();
    program().blocks.back().parameters = std::move(parameters);
    return int(program().blocks.size()) - 1;
  }
  AllocationInstruction &emit(Kind kind, ValueId result,
                              std::vector<ValueId> operands,
                              int64_t bytes = 0) {
    AllocationInstruction instruction;
    instruction.kind = kind;
    instruction.result = result;
    instruction.operands = std::move(operands);
    instruction.bytes = bytes;
    auto &instructions = program().blocks[current].instructions;
    instructions.push_back(std::move(instruction));
    return instructions.back();
  }
  void addEdge(int target, std::vector<ValueId> arguments = {}) {
    // Blocks take as many values as they are given; more are not needed.
    arguments.resize(program().blocks[target].parameters.size(), noValue);
    program().blocks[current].edges.push_back({target, std::move(arguments)});
  }
  AllocationProgram &program() { return found.program; }

  MlirOperation module;
  SlabLayout layout;
  FunctionAllocations found;
  std::map<std::string, MlirOperation> functions; // known from the first call
  std::map<std::string, int> globals;
  std::set<const void *> active;
  std::map<const void *, ValueId> values;
  std::map<const void *, int> blocks;
  int current = 0;
};

std::optional<FunctionAllocations> Reader::read(MlirOperation function) {
  if (!ir::blocks(function).empty() && allocatesInside(function) &&
      !readFunction(function, Exit())) {
    return std::nullopt;
  }
  program().globals = int(globals.size());
  return std::move(found);
}

/// Reads a function into new blocks, the first of which is its entry.
bool Reader::readFunction(MlirOperation function, const Exit &exit) {
  if (!active.insert(function.ptr).second) {
    return false;
  }
  MlirRegion region = mlirOperationGetRegion(function, 0);
  std::vector<MlirBlock> order;
  for (MlirBlock block = mlirRegionGetFirstBlock(region); block.ptr;
       block = mlirBlockGetNextInRegion(block)) {
    std::vector<ValueId> parameters;
    for (intptr_t i = 0, e = mlirBlockGetNumArguments(block); i < e; ++i) {
      parameters.push_back(valueOf(mlirBlockGetArgument(block, i)));
    }
    // Nothing enters the function itself: its arguments are not counted.
    bool isEntry = order.empty() && exit.block < 0;
    blocks[block.ptr] =
        newBlock(isEntry ? std::vector<ValueId>() : std::move(parameters));
    order.push_back(block);
  }
  for (MlirBlock block : order) {
    current = blocks[block.ptr];
    if (!readBlock(block, exit)) {
      return false;
    }
  }
  active.erase(function.ptr);
  return true;
}

bool Reader::readBlock(MlirBlock block, const Exit &exit) {
  MlirOperation terminator = mlirBlockGetTerminator(block);
  for (MlirOperation op : ir::operations(block)) {
    if (mlirOperationEqual(op, terminator)) {
      break;
    }
    if (!readOperation(op)) {
      return false;
    }
  }
  return program().blocks.size() <= maxBlocks &&
         readTerminator(terminator, exit);
}

bool Reader::readTerminator(MlirOperation terminator, const Exit &exit) {
  std::string_view name = ir::name(terminator);
  std::vector<ValueId> operands = valuesOf(ir::operands(terminator));
  if (name == "cf.br") {
    addEdge(blocks[mlirOperationGetSuccessor(terminator, 0).ptr], operands);
    return true;
  }
  if (name == "cf.cond_br") {
    std::vector<int64_t> segments = ir::operandSegments(terminator);
    if (segments.size() != 3) {
      return false;
    }
    auto middle = operands.begin() + 1 + segments[1];
    program().blocks[current].condition = operands[0];
    addEdge(blocks[mlirOperationGetSuccessor(terminator, 0).ptr],
            {operands.begin() + 1, middle});
    addEdge(blocks[mlirOperationGetSuccessor(terminator, 1).ptr],
            {middle, operands.end()});
    return true;
  }
  if (mlirOperationGetNumSuccessors(terminator) > 0) {
    return false;
  }
  if (exit.block < 0) {
    program().blocks[current].returned = operands;
    return true;
  }
  if (exit.counter != noValue) {
    ValueId next = newValue(false);
    emit(Kind::Add, next, {exit.counter, exit.step});
    operands.insert(operands.begin(), next);
  }
  addEdge(exit.block, operands);
  return true;
}

bool Reader::readOperation(MlirOperation op) {
  std::string_view name = ir::name(op);
  bool isBranch = name == "scf.if" || name == "scf.index_switch";
  if ((isBranch || name == "scf.for" || name == "scf.while") &&
      concernsMemory(op)) {
    return isBranch            ? readBranch(op)
           : name == "scf.for" ? readFor(op)
                               : readWhile(op);
  }
  if (name == "util.call") {
    return readCall(op);
  }
  if (name == "stream.resource.alloca" || name == "stream.resource.alloc") {
    return readAllocation(op);
  }
  if (name == "stream.resource.dealloca") {
    for (MlirValue operand : ir::operands(op)) {
      if (holdsResource(operand)) {
        emit(Kind::Release, noValue, {valueOf(operand)});
      }
    }
    return true;
  }
  if (name == "stream.resource.subview" || name == "stream.timepoint.await" ||
      name == "stream.resource.retain" ||
      name == "stream.resource.transients" || name == "stream.tensor.export" ||
      name == "util.optimization_barrier") {
    // Resources pass through, in order, also into the results of the caller.
    std::vector<ValueId> passed;
    for (MlirValue operand : ir::operands(op)) {
      if (holdsResource(operand)) {
        passed.push_back(valueOf(operand));
      }
    }
    std::vector<MlirValue> results = ir::results(op);
    for (size_t i = 0; i < results.size() && i < passed.size(); ++i) {
      // No code is left of a wait's result that nothing reads: its operand is
      // not held.
      if (name != "stream.timepoint.await" || ir::hasUses(results[i])) {
        emit(Kind::Alias, valueOf(results[i]), {passed[i]});
      }
    }
    return true;
  }
  if (name == "util.global.store" || name == "util.global.load") {
    MlirAttribute global = ir::attr(op, "global");
    bool isStore = name == "util.global.store";
    MlirValue value = isStore ? ir::operand(op, 0) : ir::result(op);
    if (ir::isNull(global) || !holdsResource(value)) {
      return true;
    }
    int number = globals.emplace(ir::toString(global), int(globals.size()))
                     .first->second;
    if (isStore) {
      emit(Kind::StoreGlobal, noValue, {valueOf(value)}, number);
    } else {
      emit(Kind::LoadGlobal, valueOf(value), {}, number);
    }
    return true;
  }
  if (name == "stream.resource.try_map") {
    // Constants are mapped from the module, always, on embedded runtimes.
    emit(Kind::Constant, valueOf(ir::result(op, 0)), {}, 1);
    return true;
  }
  if (name == "arith.select" && holdsResource(ir::result(op))) {
    readSelect(op);
    return true;
  }
  if (readInteger(op)) {
    return true;
  }
  // Anything else with allocations inside is not understood.
  if (mlirOperationGetNumRegions(op) > 0 && allocatesInside(op)) {
    return false;
  }
  readUse(op);
  return true;
}

/// The values that `op` and the operations in it refer to live until here.
void Reader::readUse(MlirOperation op) {
  std::vector<ValueId> used;
  auto use = [&](MlirOperation user) {
    for (MlirValue operand : ir::operands(user)) {
      if (holdsResource(operand)) {
        used.push_back(valueOf(operand));
      }
    }
  };
  if (ir::isa(op, "stream.cmd.execute")) {
    use(op); // captures all that its commands touch
  } else {
    ir::walk(op, use);
  }
  if (!used.empty()) {
    emit(Kind::Use, noValue, std::move(used));
  }
}

bool Reader::readAllocation(MlirOperation op) {
  MlirValue result = ir::result(op);
  // Host memory for readbacks does not count.
  if (startsWith(ir::toString(mlirValueGetType(result)),
                 "!stream.resource<staging>")) {
    return true;
  }
  std::vector<MlirValue> sizes = ir::indexOperands(op);
  std::optional<int64_t> bytes =
      sizes.empty() ? std::nullopt : sizeOf(sizes.front());
  if (!bytes) {
    return false;
  }
  AllocationInstruction &made =
      emit(Kind::Allocate, valueOf(result), {}, *bytes);
  made.unreleasable = ir::isa(op, "stream.resource.alloc");
  made.site = int(found.sites.size());
  found.sites.push_back(op);
  return true;
}

/// A choice of resources becomes a branch, so that each path has one.
void Reader::readSelect(MlirOperation op) {
  int join = newBlock({valueOf(ir::result(op))});
  program().blocks[current].condition = valueOf(ir::operand(op, 0));
  addEdge(join, {valueOf(ir::operand(op, 1))});
  addEdge(join, {valueOf(ir::operand(op, 2))});
  current = join;
}

/// Integers that trip counts and conditions may depend on.
bool Reader::readInteger(MlirOperation op) {
  static const std::map<std::string_view, Kind> binary = {
      {"arith.addi", Kind::Add},
      {"arith.subi", Kind::Subtract},
      {"arith.muli", Kind::Multiply},
      {"arith.andi", Kind::And},
      {"arith.ori", Kind::Or},
      {"arith.xori", Kind::Xor},
      {"arith.minsi", Kind::Minimum},
      {"arith.maxsi", Kind::Maximum},
      {"arith.select", Kind::Select},
      {"arith.index_cast", Kind::Alias},
      {"arith.index_castui", Kind::Alias},
  };
  std::string_view name = ir::name(op);
  if (name == "arith.constant") {
    if (std::optional<int64_t> value = ir::constantInt(ir::result(op))) {
      MlirType type = mlirValueGetType(ir::result(op));
      bool isBit = ir::toString(type) == "i1"; // `true` reads as -1
      emit(Kind::Constant, valueOf(ir::result(op)), {},
           isBit ? *value & 1 : *value);
    }
    return true;
  }
  auto known = binary.find(name);
  if (known != binary.end()) {
    emit(known->second, valueOf(ir::result(op)), valuesOf(ir::operands(op)));
    return true;
  }
  if (name != "arith.cmpi") {
    return false;
  }
  // Greater is less with the operands exchanged.
  struct Comparison {
    Kind kind;
    bool exchanged;
  };
  using Predicate = ir::CmpIPredicate;
  static const std::map<Predicate, Comparison> comparisons = {
      {Predicate::eq, {Kind::Equal, false}},
      {Predicate::ne, {Kind::NotEqual, false}},
      {Predicate::slt, {Kind::Less, false}},
      {Predicate::sle, {Kind::LessOrEqual, false}},
      {Predicate::sgt, {Kind::Less, true}},
      {Predicate::sge, {Kind::LessOrEqual, true}},
      {Predicate::ult, {Kind::LessUnsigned, false}},
      {Predicate::ule, {Kind::LessOrEqualUnsigned, false}},
      {Predicate::ugt, {Kind::LessUnsigned, true}},
      {Predicate::uge, {Kind::LessOrEqualUnsigned, true}},
  };
  if (std::optional<Predicate> predicate = ir::cmpIPredicate(op)) {
    const Comparison &comparison = comparisons.at(*predicate);
    std::vector<ValueId> operands = valuesOf(ir::operands(op));
    if (comparison.exchanged) {
      std::swap(operands[0], operands[1]);
    }
    emit(comparison.kind, valueOf(ir::result(op)), std::move(operands));
  }
  return true;
}

bool Reader::readBranch(MlirOperation op) {
  int start = current;
  int join = newBlock(valuesOf(ir::results(op)));
  ValueId condition = valueOf(ir::operand(op, 0));
  std::vector<int> targets;
  for (intptr_t i = 0; i < mlirOperationGetNumRegions(op); ++i) {
    if (!mlirRegionGetFirstBlock(mlirOperationGetRegion(op, i)).ptr) {
      targets.push_back(join); // no else
      continue;
    }
    targets.push_back(newBlock());
    Exit exit;
    exit.block = join;
    if (!readInto(targets.back(), op, i, exit)) {
      return false;
    }
  }
  current = start;
  if (ir::isa(op, "scf.if")) {
    program().blocks[start].condition = condition;
  }
  for (int target : targets) {
    addEdge(target);
  }
  current = join;
  return true;
}

/// header(counter, values): counter < bound ? body : exit
bool Reader::readFor(MlirOperation op) {
  MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, 0));
  std::vector<ValueId> operands = valuesOf(ir::operands(op));
  std::vector<ValueId> parameters;
  for (intptr_t i = 0, e = mlirBlockGetNumArguments(body); i < e; ++i) {
    parameters.push_back(valueOf(mlirBlockGetArgument(body, i)));
  }
  int header = newBlock(parameters);
  int inside = newBlock();
  int after = newBlock();
  std::vector<ValueId> initial = {operands.begin() + 3, operands.end()};
  initial.insert(initial.begin(), operands[0]);
  addEdge(header, initial);
  current = header;
  ValueId runs = newValue(false);
  emit(Kind::Less, runs, {parameters[0], operands[1]});
  program().blocks[header].condition = runs;
  addEdge(inside);
  addEdge(after);
  // The results of the loop are the last operands of its header.
  std::vector<MlirValue> results = ir::results(op);
  for (size_t i = 0; i < results.size(); ++i) {
    values[ir::key(results[i])] = parameters[i + 1];
  }
  Exit exit;
  exit.block = header;
  exit.counter = parameters[0];
  exit.step = operands[2];
  if (!readInto(inside, op, 0, exit)) {
    return false;
  }
  current = after;
  return true;
}

/// header(values) with the condition, body(values of the condition), and back.
bool Reader::readWhile(MlirOperation op) {
  std::vector<ValueId> operands = valuesOf(ir::operands(op));
  auto blockFor = [&](intptr_t region) {
    MlirBlock block =
        mlirRegionGetFirstBlock(mlirOperationGetRegion(op, region));
    std::vector<ValueId> parameters;
    for (intptr_t i = 0, e = mlirBlockGetNumArguments(block); i < e; ++i) {
      parameters.push_back(valueOf(mlirBlockGetArgument(block, i)));
    }
    return newBlock(std::move(parameters));
  };
  int header = blockFor(0);
  int inside = blockFor(1);
  int after = newBlock(valuesOf(ir::results(op)));
  addEdge(header, operands);

  // The condition's terminator chooses between the two.
  current = header;
  MlirBlock before = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, 0));
  MlirOperation terminator = mlirBlockGetTerminator(before);
  for (MlirOperation nested : ir::operations(before)) {
    if (!mlirOperationEqual(nested, terminator) && !readOperation(nested)) {
      return false;
    }
  }
  std::vector<ValueId> passed = valuesOf(ir::operands(terminator));
  if (!ir::isa(terminator, "scf.condition") || passed.empty()) {
    return false;
  }
  program().blocks[current].condition = passed.front();
  passed.erase(passed.begin());
  addEdge(inside, passed);
  addEdge(after, passed);
  Exit exit;
  exit.block = header;
  if (!readInto(inside, op, 1, exit)) {
    return false;
  }
  current = after;
  return true;
}

/// The callee as if it were inlined: it may release its arguments, and return
/// them or its own allocations.
bool Reader::readCall(MlirOperation op) {
  if (functions.empty()) {
    for (MlirOperation function : ir::operations(ir::body(module))) {
      if (ir::isa(function, "util.func")) {
        functions[ir::stringAttr(function, "sym_name").value_or("")] = function;
      }
    }
  }
  auto known = functions.find(ir::calledFunction(op));
  if (known == functions.end() || ir::blocks(known->second).empty()) {
    readUse(op);
    return true; // an import: allocates no device memory
  }
  std::vector<ValueId> operands = valuesOf(ir::operands(op));
  int after = newBlock(valuesOf(ir::results(op)));
  int caller = current;
  // Values of the callee are other ones at every call.
  std::map<const void *, ValueId> outer = std::move(values);
  std::map<const void *, int> outerBlocks = std::move(blocks);
  values.clear();
  blocks.clear();
  int entry = int(program().blocks.size());
  Exit exit;
  exit.block = after;
  bool ok = readFunction(known->second, exit);
  values = std::move(outer);
  blocks = std::move(outerBlocks);
  if (!ok) {
    return false;
  }
  current = caller;
  addEdge(entry, operands);
  current = after;
  return true;
}

/// Of a slab with slices of dynamic size, at the hints.
std::optional<int64_t> Reader::dynamicSlab(const PackModel &model,
                                           const PackOptions &packing) const {
  int64_t fixed = packOnce(model.slices, packing).heightBytes;
  std::optional<DynamicLayout> found =
      layOutDynamic(model, fixed, packing, *layout.hints);
  return found ? std::optional(found->bytesAtHint()) : std::nullopt;
}

std::optional<int64_t> Reader::sizeOf(MlirValue value) {
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
  if (!ir::isa(op, "stream.resource.pack")) {
    return layout.hints ? SizeReader(*layout.hints).atHint(value)
                        : std::nullopt;
  }
  if (mlirOpResultGetResultNumber(value) != 0) {
    return std::nullopt;
  }
  std::optional<PackModel> model = readPack(op);
  if (!model || model->offset || (!model->dynamic.empty() && !layout.hints)) {
    return std::nullopt;
  }
  ResourceConfig config = lookupResourceConfig(op, layout.defaultAlignment);
  PackOptions options;
  options.algorithm = layout.algorithm;
  options.timeLimitSeconds = layout.timeLimitSeconds;
  options.nodeLimit = layout.nodeLimit;
  options.offsetAlignment = config.offsetAlignment;
  options.rangeAlignment = config.rangeAlignment;
  if (!verifySlices(model->slices, options)) {
    return std::nullopt;
  }
  return model->dynamic.empty() ? packOnce(model->slices, options).heightBytes
                                : dynamicSlab(*model, options);
}

} // namespace

std::optional<FunctionAllocations> readAllocations(MlirOperation module,
                                                   MlirOperation function,
                                                   const SlabLayout &layout) {
  return Reader(module, layout).read(function);
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Report/SlabCommands.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Report/BindingTypes.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace serenity {

namespace {

/// Operand segments of `stream.cmd.dispatch`, in order.
enum DispatchSegment { Workload, Uniforms, Resources, Sizes, Offsets, Lengths };

/// Bits of `resource_accesses`.
constexpr int64_t reads = 1;
constexpr int64_t writes = 2;

} // namespace

std::string commandName(MlirOperation op) {
  MlirAttribute entries = ir::attr(op, "entry_points");
  if (ir::isNull(entries) || !mlirAttributeIsAArray(entries) ||
      mlirArrayAttrGetNumElements(entries) == 0) {
    return std::string(ir::name(op));
  }
  std::string name = ir::toString(mlirArrayAttrGetElement(entries, 0));
  size_t nested = name.rfind("::");
  return nested == std::string::npos ? name : name.substr(nested + 2);
}

bool commandWrites(MlirOperation op, int64_t number) {
  std::string_view name = ir::name(op);
  if (name == "stream.cmd.fill") {
    return number == 0;
  }
  if (name == "stream.cmd.copy") {
    return number == 3;
  }
  std::vector<int64_t> segments = ir::operandSegments(op);
  if (name != "stream.cmd.dispatch" || segments.size() != 6) {
    return false;
  }
  int64_t resource = number - segments[Workload] - segments[Uniforms];
  std::vector<int64_t> modes = ir::intArray(ir::attr(op, "resource_accesses"));
  modes.resize(size_t(segments[Resources]), reads | writes);
  return resource >= 0 && resource < segments[Resources] &&
         (modes[size_t(resource)] & writes) != 0;
}

int64_t capturedResources(MlirOperation execute) {
  std::vector<MlirValue> operands = ir::operands(execute);
  int64_t first = 0;
  while (first < int64_t(operands.size()) &&
         ir::toString(mlirValueGetType(operands[size_t(first)]))
                 .rfind("!stream.resource", 0) != 0) {
    ++first;
  }
  return first;
}

namespace {

/// The buffers of one pack and the resources beside it.
class Reader {
public:
  Reader(MlirOperation pack, const std::vector<size_t> &slices,
         RegionReport &region)
      : pack(pack), region(region) {
    for (size_t i = 0; i < slices.size(); ++i) {
      bufferOfSlice[slices[i]] = int(i);
    }
  }

  /// Whether any command of `execute` lies in the slab.
  bool uses(MlirOperation execute) const;
  void read(MlirOperation execute, const BindingTypes *types);

private:
  void readOperation(MlirOperation op, int64_t command);
  void readCommand(MlirOperation op, int64_t command);
  void access(OperationReport &operation, MlirValue resource, MlirValue offset,
              std::optional<int64_t> bytes, int64_t mode);
  std::optional<AccessReport> slabAccess(MlirValue offset) const;
  int external(MlirValue argument);
  void assignSteps();
  void nameBuffers();
  void typeBuffers(const BindingTypes &types);
  void countGroups();

  MlirOperation pack;
  RegionReport &region;
  std::map<size_t, int> bufferOfSlice;
  MlirOperation execute = {};
  std::map<const void *, int> externalOf;
  /// Top-level command of every operation; a concurrent dispatch group is one
  /// command.
  std::vector<int64_t> commandOf;
  /// The dispatches of the slab, with the buffer of every binding (-1: none)
  /// and whether they write it.
  struct Bindings {
    MlirOperation dispatch = {};
    std::vector<std::pair<int, bool>> buffers;
  };
  std::vector<Bindings> dispatches;
};

/// An offset into the slab is a result of the pack, plus a constant for parts
/// of a buffer.
std::optional<AccessReport> Reader::slabAccess(MlirValue offset) const {
  MlirOperation op = ir::definingOp(offset);
  if (ir::isNull(op)) {
    return std::nullopt;
  }
  if (mlirOperationEqual(op, pack)) {
    intptr_t number = mlirOpResultGetResultNumber(offset);
    auto found = number > 0 ? bufferOfSlice.find(size_t(number - 1))
                            : bufferOfSlice.end();
    if (found == bufferOfSlice.end()) {
      return std::nullopt;
    }
    AccessReport access;
    access.buffer = found->second;
    return access;
  }
  if (!ir::isa(op, "arith.addi")) {
    return std::nullopt;
  }
  for (int i : {0, 1}) {
    std::optional<AccessReport> access = slabAccess(ir::operand(op, i));
    if (!access) {
      continue;
    }
    std::optional<int64_t> part = ir::constantInt(ir::operand(op, 1 - i));
    if (part && access->offset) {
      *access->offset += *part;
    } else {
      access->offset = std::nullopt;
    }
    return access;
  }
  return std::nullopt;
}

bool Reader::uses(MlirOperation candidate) const {
  bool found = false;
  ir::walk(candidate, [&](MlirOperation op) {
    for (MlirValue value : ir::operands(op)) {
      found = found || (!mlirOperationEqual(op, candidate) &&
                        slabAccess(value).has_value());
    }
  });
  return found;
}

/// The resource behind a captured argument, noted when it is first seen.
int Reader::external(MlirValue argument) {
  if (!mlirValueIsABlockArgument(argument)) {
    return -1;
  }
  // The captured resources are the first operands, one per argument.
  MlirValue value =
      ir::operand(execute, mlirBlockArgumentGetArgNumber(argument));
  auto known = externalOf.find(ir::key(value));
  if (known != externalOf.end()) {
    return known->second;
  }
  ExternalReport external;
  std::string type = ir::toString(mlirValueGetType(value));
  MlirOperation op = ir::definingOp(value);
  std::string_view name = ir::isNull(op) ? "" : ir::name(op);
  if (type.rfind("!stream.resource<constant>", 0) == 0) {
    external.kind = "constant";
  } else if (type.rfind("!stream.resource<variable>", 0) == 0) {
    external.kind = "variable";
  } else if (name == "stream.tensor.import") {
    external.kind = "input";
  } else if (name == "stream.resource.alloca" ||
             name == "stream.resource.alloc") {
    external.kind =
        type.rfind("!stream.resource<transient>", 0) == 0 ? "other" : "result";
  } else {
    external.kind = "other";
  }
  if (name == "util.global.load") {
    MlirAttribute global = ir::attr(op, "global");
    external.name = ir::isNull(global) ? "" : ir::toString(global);
  } else if (name == "stream.tensor.import" &&
             mlirValueIsABlockArgument(ir::operand(op, 0))) {
    external.name =
        "argument " +
        std::to_string(mlirBlockArgumentGetArgNumber(ir::operand(op, 0)));
  }
  // One size per resource, behind the resources.
  std::vector<int64_t> segments = ir::operandSegments(execute);
  if (segments.size() >= 2 && segments[0] == segments[1]) {
    external.bytes = ir::constantInt(ir::operand(
        execute, segments[0] + mlirBlockArgumentGetArgNumber(argument)));
  }
  int index = int(region.externals.size());
  region.externals.push_back(std::move(external));
  externalOf[ir::key(value)] = index;
  return index;
}

void Reader::access(OperationReport &operation, MlirValue resource,
                    MlirValue offset, std::optional<int64_t> bytes,
                    int64_t mode) {
  std::optional<AccessReport> found = slabAccess(offset);
  bool inSlab = found.has_value();
  if (!found) {
    AccessReport outside;
    outside.buffer = external(resource);
    outside.offset = ir::constantInt(offset);
    found = outside;
  }
  if (found->buffer < 0) {
    return;
  }
  found->bytes = bytes;
  if (mode & reads) {
    (inSlab ? operation.uses : operation.externalUses).push_back(*found);
  }
  if (mode & writes) {
    (inSlab ? operation.defs : operation.externalDefs).push_back(*found);
  }
}

void Reader::readCommand(MlirOperation op, int64_t command) {
  OperationReport operation;
  operation.name = commandName(op);
  operation.location = ir::firstPlace(mlirOperationGetLocation(op));
  std::vector<MlirValue> operands = ir::operands(op);
  std::vector<int64_t> segments = ir::operandSegments(op);
  auto constant = [&](size_t i) { return ir::constantInt(operands[i]); };
  if (ir::isa(op, "stream.cmd.dispatch") && segments.size() == 6 &&
      segments[Resources] == segments[Offsets] &&
      segments[Resources] == segments[Lengths]) {
    std::vector<int64_t> modes =
        ir::intArray(ir::attr(op, "resource_accesses"));
    modes.resize(size_t(segments[Resources]), reads | writes);
    size_t resources = size_t(segments[Workload] + segments[Uniforms]);
    size_t offsets = resources + size_t(segments[Resources] + segments[Sizes]);
    size_t lengths = offsets + size_t(segments[Offsets]);
    Bindings bindings{op, {}};
    for (size_t i = 0; i < modes.size(); ++i) {
      access(operation, operands[resources + i], operands[offsets + i],
             constant(lengths + i), modes[i]);
      std::optional<AccessReport> found = slabAccess(operands[offsets + i]);
      bindings.buffers.emplace_back(found ? found->buffer : -1,
                                    (modes[i] & writes) != 0);
    }
    dispatches.push_back(std::move(bindings));
  } else if (ir::isa(op, "stream.cmd.copy") && operands.size() == 7) {
    access(operation, operands[0], operands[2], constant(6), reads);
    access(operation, operands[3], operands[5], constant(6), writes);
  } else if (ir::isa(op, "stream.cmd.fill") && operands.size() == 5) {
    access(operation, operands[0], operands[2], constant(3), writes);
  } else {
    // Collectives, calls: all that they name is in use.
    for (MlirValue value : operands) {
      if (std::optional<AccessReport> found = slabAccess(value)) {
        operation.uses.push_back(*found);
        operation.defs.push_back(*found);
      }
    }
  }
  commandOf.push_back(command);
  region.operations.push_back(std::move(operation));
}

/// Every operation of a concurrent group gets the number of the group.
void Reader::readOperation(MlirOperation op, int64_t command) {
  if (ir::name(op).substr(0, 11) != "stream.cmd.") {
    return; // a constant or a terminator
  }
  std::vector<MlirBlock> blocks = ir::blocks(op);
  if (blocks.empty()) {
    readCommand(op, command);
  }
  for (MlirBlock block : blocks) {
    for (MlirOperation nested : ir::operations(block)) {
      readOperation(nested, command);
    }
  }
}

/// Finds the steps of the pack's lifetimes at which the commands run. A step is
/// a command or the `stream.async.alloca` of a buffer, which has left no
/// command behind; a buffer ends with its last command.
void Reader::assignSteps() {
  if (commandOf.empty()) {
    return;
  }
  size_t count = size_t(commandOf.back()) + 1;
  std::vector<int64_t> earliest(count, 0);
  std::vector<int64_t> latest(count, INT64_MAX);
  std::vector<int64_t> lastCommand(region.buffers.size(), -1);
  auto visit = [&](const std::function<void(size_t, size_t)> &touch) {
    for (size_t i = 0; i < region.operations.size(); ++i) {
      for (const auto *list :
           {&region.operations[i].uses, &region.operations[i].defs}) {
        for (const AccessReport &item : *list) {
          touch(size_t(commandOf[i]), size_t(item.buffer));
        }
      }
    }
  };
  visit([&](size_t command, size_t buffer) {
    earliest[command] =
        std::max(earliest[command], region.buffers[buffer].first);
    latest[command] = std::min(latest[command], region.buffers[buffer].last);
    lastCommand[buffer] = std::max(lastCommand[buffer], int64_t(command));
  });
  visit([&](size_t command, size_t buffer) {
    if (lastCommand[buffer] == int64_t(command)) {
      earliest[command] =
          std::max(earliest[command], region.buffers[buffer].last);
    }
  });
  std::vector<int64_t> steps(count, 0);
  for (size_t i = 0; i < count; ++i) {
    steps[i] = std::max(earliest[i], i ? steps[i - 1] + 1 : 0);
  }
  // A step that is left over is an alloca's; it stands where a buffer begins,
  // before the command.
  std::set<int64_t> begins;
  for (const BufferReport &buffer : region.buffers) {
    begins.insert(buffer.first);
  }
  for (size_t i = count; i-- > 0;) {
    int64_t bound = i + 1 < count ? steps[i + 1] - 1 : steps[i];
    bound = std::min(bound, latest[i]);
    while (steps[i] < bound && begins.count(steps[i]) &&
           !begins.count(steps[i] + 1)) {
      ++steps[i];
    }
  }
  for (size_t i = 0; i < region.operations.size(); ++i) {
    region.operations[i].step = steps[size_t(commandOf[i])];
  }
}

/// A buffer is called like the first entry point that writes it; like the first
/// command that does where none is a dispatch.
void Reader::nameBuffers() {
  std::vector<std::string> dispatches(region.buffers.size());
  std::vector<std::string> others(region.buffers.size());
  for (const OperationReport &operation : region.operations) {
    for (const AccessReport &def : operation.defs) {
      std::string &name = operation.name[0] == '@' ? dispatches[def.buffer]
                                                   : others[def.buffer];
      if (name.empty()) {
        name = operation.name;
      }
    }
  }
  for (size_t i = 0; i < region.buffers.size(); ++i) {
    const std::string &name = dispatches[i].empty() ? others[i] : dispatches[i];
    if (!name.empty()) {
      region.buffers[i].name = name;
    }
  }
}

/// A buffer has the element type that the first dispatch writes into it, or
/// reads from it where copies and fills alone write it.
void Reader::typeBuffers(const BindingTypes &types) {
  for (bool writing : {true, false}) {
    for (const Bindings &bindings : dispatches) {
      for (size_t i = 0; i < bindings.buffers.size(); ++i) {
        auto [buffer, written] = bindings.buffers[i];
        if (buffer >= 0 && written == writing &&
            region.buffers[size_t(buffer)].elementType.empty()) {
          region.buffers[size_t(buffer)].elementType =
              types.elementType(bindings.dispatch, i);
        }
      }
    }
  }
}

void Reader::read(MlirOperation found, const BindingTypes *types) {
  execute = found;
  int64_t command = 0;
  for (MlirOperation op : ir::operations(ir::body(execute))) {
    size_t before = region.operations.size();
    readOperation(op, command);
    command += region.operations.size() > before;
  }
  countGroups();
  assignSteps();
  nameBuffers();
  if (types) {
    typeBuffers(*types);
  }
}

/// Commands with the same number run at the same time.
void Reader::countGroups() {
  region.concurrentGroups = 0;
  region.concurrentOperations = 0;
  for (size_t i = 0; i < commandOf.size();) {
    size_t end = i + 1;
    while (end < commandOf.size() && commandOf[end] == commandOf[i]) {
      ++end;
    }
    if (end - i > 1) {
      ++region.concurrentGroups;
      region.concurrentOperations += int64_t(end - i);
    }
    i = end;
  }
}

} // namespace

void describeCommands(MlirOperation function, MlirOperation pack,
                      const std::vector<size_t> &slices, RegionReport &region,
                      const BindingTypes *types) {
  region.operations.clear();
  region.externals.clear();
  Reader reader(pack, slices, region);
  MlirOperation execute = {nullptr};
  ir::walk(function, [&](MlirOperation op) {
    if (ir::isNull(execute) && ir::isa(op, "stream.cmd.execute") &&
        reader.uses(op)) {
      execute = op;
    }
  });
  if (!ir::isNull(execute)) {
    reader.read(execute, types);
  }
}

} // namespace serenity

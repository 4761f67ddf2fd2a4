// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/RegionModel.h"

#include "serenity/IREE/Ir.h"

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>

namespace serenity {

namespace {

/// Operand segments of `stream.async.dispatch`, in order.
enum DispatchSegment {
  Workload,
  Resources,
  Sizes,
  Offsets,
  Ends,
  Lengths,
  ResultSizes,
  NumDispatchSegments
};

constexpr int64_t unbounded = std::numeric_limits<int64_t>::max();

bool isResource(MlirType type) {
  return ir::toString(type).rfind("!stream.resource<", 0) == 0;
}

/// The operands of a dispatch, taken apart.
struct DispatchOperands {
  std::vector<MlirValue> segments[NumDispatchSegments];
  /// Per result: position in `segments[Resources]`, or -1.
  std::vector<int64_t> tied;
  /// Per entry of `segments[Resources]`: its position among the resources, or
  /// -1 for primitives.
  std::vector<int> resourceIndex;
};

std::optional<DispatchOperands> takeApart(MlirOperation dispatch) {
  DispatchOperands parts;
  std::vector<int64_t> sizes = ir::operandSegments(dispatch);
  std::vector<MlirValue> all = ir::operands(dispatch);
  if (sizes.size() != NumDispatchSegments) {
    return std::nullopt;
  }
  size_t next = 0;
  for (int i = 0; i < NumDispatchSegments; ++i) {
    if (sizes[i] < 0 || next + sizes[i] > all.size()) {
      return std::nullopt;
    }
    parts.segments[i].assign(all.begin() + next, all.begin() + next + sizes[i]);
    next += sizes[i];
  }
  int resources = 0;
  for (MlirValue value : parts.segments[Resources]) {
    bool resource = isResource(mlirValueGetType(value));
    parts.resourceIndex.push_back(resource ? resources++ : -1);
  }
  for (DispatchSegment s : {Sizes, Offsets, Ends, Lengths}) {
    if (parts.segments[s].size() != size_t(resources)) {
      return std::nullopt;
    }
  }
  size_t numResults = mlirOperationGetNumResults(dispatch);
  parts.tied = ir::intArray(ir::attr(dispatch, "tied_operands"));
  parts.tied.resize(numResults, -1);
  if (parts.segments[ResultSizes].size() != numResults) {
    return std::nullopt;
  }
  for (int64_t tied : parts.tied) {
    if (tied >= int64_t(parts.resourceIndex.size()) ||
        (tied >= 0 && parts.resourceIndex[tied] < 0)) {
      return std::nullopt;
    }
  }
  return parts;
}

/// Reads one region.
class Reader {
public:
  Reader(MlirOperation execute, const Executables &executables)
      : executables(executables) {
    model.execute = execute;
  }

  ReadRegionResult read();

private:
  bool readOperation(MlirOperation op);
  bool readDispatch(MlirOperation op);
  bool readCopy(MlirOperation op);
  bool readClone(MlirOperation op);
  bool readYield(MlirOperation op);
  void findPlacements();

  bool fail(MlirOperation op, std::string why) {
    culprit = op;
    reason = std::move(why);
    return false;
  }

  bool failDynamic(MlirOperation op) {
    dynamicSize = true;
    return fail(op, "transient buffer of dynamic size");
  }

  bool failStale(MlirOperation op) {
    return fail(op, "a value is read after it was overwritten");
  }

  int addBuffer(MlirValue root, MlirType type, int64_t bytes) {
    RegionBuffer buffer;
    buffer.root = root;
    buffer.type = type;
    buffer.bytes = bytes;
    model.buffers.push_back(buffer);
    return int(model.buffers.size()) - 1;
  }
  int bufferOf(MlirValue value) const {
    auto it = values.find(ir::key(value));
    return it == values.end() ? -1 : it->second.buffer;
  }
  /// `command` is the one that makes the value, -1 for what was there before.
  void bind(MlirValue value, int buffer, int command) {
    values[ir::key(value)] = {buffer, command};
  }
  int nextCommand() const { return int(model.commands.size()); }

  /// The first command that overwrites what `value` stood for in a range.
  int overwrittenAt(MlirValue value, int64_t lower, int64_t upper) const;
  /// Appends a command whose reads are of `sources`, by access. The command
  /// goes before what overwrites any of them; returns its index, nothing if
  /// there is no such place.
  std::optional<int> addReader(Command command,
                               const std::vector<MlirValue> &sources);
  void insert(Command command, int at);

  /// A buffer of the slab that no value stands for yet.
  int addTransient(int64_t bytes) {
    MlirContext context = mlirOperationGetContext(model.execute);
    MlirType type =
        mlirTypeParseGet(context, ir::strRef("!stream.resource<transient>"));
    int buffer = addBuffer(MlirValue{nullptr}, type, bytes);
    model.buffers[buffer].isAlloca = true;
    return buffer;
  }
  void addCopy(MlirOperation location, Access source, Access target) {
    Command copy;
    copy.kind = CommandKind::Copy;
    copy.op = location;
    copy.synthetic = true;
    source.reads = true;
    source.writes = false;
    target.reads = false;
    target.writes = true;
    source.operand = target.operand = source.result = target.result = -1;
    copy.accesses = {target, source};
    insert(std::move(copy), nextCommand());
  }

  const Executables &executables;
  RegionModel model;
  /// The buffer that a value stands for, and the command that makes it.
  struct Definition {
    int buffer;
    int command;
  };
  std::unordered_map<const void *, Definition> values;
  /// Per buffer, what writes to it, in order.
  struct Write {
    int command;
    int64_t lower;
    int64_t upper;
  };
  std::vector<std::vector<Write>> writes;
  /// Buffers that are captured twice: what is read through one argument after a
  /// write through the other is meant.
  std::set<int> sharedArguments;
  /// Copies that IREE had saved: indices of synthetic commands.
  std::vector<int> stockCopies;
  std::string reason;
  MlirOperation culprit = {};
  bool dynamicSize = false;
};

void Reader::insert(Command command, int at) {
  writes.resize(model.buffers.size());
  for (const Access &access : command.accesses) {
    if (access.writes) {
      writes[access.buffer].push_back({at, access.lower, access.upper});
    }
  }
  model.commands.insert(model.commands.begin() + at, std::move(command));
}

int Reader::overwrittenAt(MlirValue value, int64_t lower, int64_t upper) const {
  int buffer = bufferOf(value);
  int made = values.at(ir::key(value)).command;
  int found = -1;
  if (buffer < int(writes.size()) && sharedArguments.count(buffer) == 0) {
    const std::vector<Write> &list = writes[buffer];
    for (auto it = list.rbegin(); it != list.rend() && it->command > made;
         ++it) {
      if (it->lower < upper && lower < it->upper) {
        found = it->command;
      }
    }
  }
  return found;
}

// IREE's emplacement sorts a block by its operands alone, after it has decided
// where copies are needed: a dispatch that reads a value may come to stand
// behind the one that overwrites it in place. What is meant is the value.
std::optional<int> Reader::addReader(Command command,
                                     const std::vector<MlirValue> &sources) {
  int at = nextCommand();
  for (size_t i = 0; i < command.accesses.size(); ++i) {
    const Access &access = command.accesses[i];
    if (access.reads && sources[i].ptr) {
      int overwritten = overwrittenAt(sources[i], access.lower, access.upper);
      at = overwritten < 0 ? at : std::min(at, overwritten);
    }
  }
  if (at == nextCommand()) {
    insert(std::move(command), at);
    return at;
  }
  for (size_t i = 0; i < command.accesses.size(); ++i) {
    const Access &access = command.accesses[i];
    if (access.reads &&
        (access.writes || values.at(ir::key(sources[i])).command >= at)) {
      return std::nullopt;
    }
  }
  for (std::vector<Write> &list : writes) {
    for (Write &write : list) {
      write.command += write.command >= at;
    }
  }
  for (auto &item : values) {
    item.second.command += item.second.command >= at;
  }
  for (int &copy : stockCopies) {
    copy += copy >= at;
  }
  // What it writes is a buffer of its own, without a write so far.
  insert(std::move(command), at);
  return at;
}

ReadRegionResult Reader::read() {
  MlirBlock block = ir::body(model.execute);
  // The captured resources are the first operands, one per argument.
  // A resource captured twice is one buffer: a write through one argument must
  // keep its order with the reads through the other.
  std::unordered_map<const void *, int> captured;
  for (intptr_t i = 0, e = mlirBlockGetNumArguments(block); i < e; ++i) {
    MlirValue argument = mlirBlockGetArgument(block, i);
    if (isResource(mlirValueGetType(argument))) {
      const void *capture = ir::key(ir::operand(model.execute, i));
      auto known = captured.find(capture);
      if (known != captured.end()) {
        bind(argument, known->second, -1);
        sharedArguments.insert(known->second);
        continue;
      }
      int buffer = addBuffer(argument, mlirValueGetType(argument), 0);
      model.buffers[buffer].isArgument = true;
      bind(argument, buffer, -1);
      captured.emplace(capture, buffer);
    }
  }
  ReadRegionResult result;
  for (MlirOperation op : ir::operations(block)) {
    if (!readOperation(op)) {
      result.reason = reason;
      result.culprit = culprit;
      result.dynamicSize = dynamicSize;
      return result;
    }
  }
  findPlacements();
  result.model = std::move(model);
  return result;
}

bool Reader::readOperation(MlirOperation op) {
  std::string_view opName = ir::name(op);
  if (opName == "arith.constant") {
    return true;
  }
  if (opName == "stream.yield") {
    return readYield(op);
  }
  if (opName == "stream.async.dispatch") {
    return readDispatch(op);
  }
  if (opName == "stream.async.update" || opName == "stream.async.copy" ||
      opName == "stream.async.fill") {
    return readCopy(op);
  }
  if (opName == "stream.async.clone" || opName == "stream.async.slice") {
    return readClone(op);
  }
  if (opName == "stream.async.alloca") {
    std::optional<int64_t> bytes = ir::constantInt(ir::operand(op, 0));
    if (!bytes) {
      return failDynamic(op);
    }
    MlirValue value = ir::result(op);
    int buffer = addBuffer(value, mlirValueGetType(value), *bytes);
    model.buffers[buffer].isAlloca = true;
    bind(value, buffer, nextCommand() - 1);
    return true;
  }
  if (opName == "stream.async.splat") {
    if (mlirOperationGetNumOperands(op) != 2) {
      return fail(op, "splat that awaits a timepoint");
    }
    std::optional<int64_t> bytes = ir::constantInt(ir::operand(op, 1));
    if (!bytes) {
      return failDynamic(op);
    }
    MlirValue value = ir::result(op);
    int buffer = addBuffer(value, mlirValueGetType(value), *bytes);
    bind(value, buffer, nextCommand());
    Command command;
    command.kind = CommandKind::Splat;
    command.op = op;
    Access access;
    access.buffer = buffer;
    access.upper = *bytes;
    access.writes = true;
    access.result = 0;
    command.accesses.push_back(access);
    insert(std::move(command), nextCommand());
    return true;
  }
  return fail(op, "operation '" + std::string(opName) + "' is not modelled");
}

bool Reader::readDispatch(MlirOperation op) {
  std::optional<DispatchOperands> parts = takeApart(op);
  if (!parts) {
    return fail(op, "dispatch with an unexpected operand list");
  }
  Command command;
  command.kind = CommandKind::Dispatch;
  command.op = op;
  size_t numOperands = parts->segments[Resources].size();
  size_t numResults = parts->tied.size();

  // What IREE's emplacement leaves: every result tied to one of the last
  // operands, which the executable only writes.
  bool anyTied = std::any_of(parts->tied.begin(), parts->tied.end(),
                             [](int64_t tied) { return tied >= 0; });
  bool emplaced = numResults > 0 && numResults <= numOperands;
  for (size_t i = 0; emplaced && i < numResults; ++i) {
    size_t operand = numOperands - numResults + i;
    emplaced = parts->tied[i] == int64_t(operand) &&
               executables.isWriteOnly(op, operand);
  }
  command.placeable = emplaced || !anyTied;

  size_t numInputs = emplaced ? numOperands - numResults : numOperands;
  std::vector<int> accessOfOperand(numOperands, -1);
  std::vector<MlirValue> sources; // by access; null for results
  std::vector<Access> emplacedTargets;
  for (size_t i = 0; i < numOperands; ++i) {
    int k = parts->resourceIndex[i];
    if (k < 0) {
      continue;
    }
    Access access;
    access.buffer = bufferOf(parts->segments[Resources][i]);
    access.operand = k;
    if (access.buffer < 0) {
      return fail(op, "resource from outside of the region");
    }
    std::optional<int64_t> lower = ir::constantInt(parts->segments[Offsets][k]);
    std::optional<int64_t> upper = ir::constantInt(parts->segments[Ends][k]);
    if (lower && upper) {
      access.lower = *lower;
      access.upper = *upper;
    } else if (model.buffers[access.buffer].isArgument) {
      access.upper = unbounded;
    } else {
      return fail(op, "access to a part of dynamic offset or size");
    }
    access.reads = true;
    if (i >= numInputs) {
      emplacedTargets.push_back(access);
      continue;
    }
    accessOfOperand[i] = int(command.accesses.size());
    command.accesses.push_back(access);
    sources.push_back(parts->segments[Resources][i]);
  }
  std::vector<std::pair<Access, Access>> copies;
  std::vector<std::pair<MlirValue, int>> made;
  std::vector<std::pair<MlirValue, int>> copied;
  for (size_t i = 0; i < numResults; ++i) {
    MlirValue value = ir::result(op, i);
    if (emplaced) {
      const Access &target = emplacedTargets[i];
      const RegionBuffer &buffer = model.buffers[target.buffer];
      bool fresh = buffer.isAlloca && target.lower == 0 &&
                   target.upper == buffer.bytes &&
                   std::none_of(model.commands.begin(), model.commands.end(),
                                [&](const Command &earlier) {
                                  return std::any_of(earlier.accesses.begin(),
                                                     earlier.accesses.end(),
                                                     [&](const Access &access) {
                                                       return access.buffer ==
                                                              target.buffer;
                                                     });
                                });
      if (!fresh && target.upper == unbounded) {
        return fail(op, "access to a part of dynamic offset or size");
      }
      Access write;
      write.writes = true;
      write.result = int(i);
      write.upper = target.upper - target.lower;
      write.buffer = fresh ? target.buffer : addTransient(write.upper);
      command.accesses.push_back(write);
      sources.push_back(MlirValue{nullptr});
      if (fresh) {
        made.emplace_back(value, target.buffer);
      } else {
        copied.emplace_back(value, target.buffer);
        copies.emplace_back(write, target);
      }
      continue;
    }
    if (parts->tied[i] >= 0) {
      Access &access = command.accesses[accessOfOperand[parts->tied[i]]];
      access.writes = true;
      access.result = int(i);
      made.emplace_back(value, access.buffer);
      continue;
    }
    std::optional<int64_t> bytes =
        ir::constantInt(parts->segments[ResultSizes][i]);
    if (!bytes) {
      return failDynamic(op);
    }
    Access write;
    write.buffer = addBuffer(value, mlirValueGetType(value), *bytes);
    write.upper = *bytes;
    write.writes = true;
    write.result = int(i);
    command.accesses.push_back(write);
    sources.push_back(MlirValue{nullptr});
    made.emplace_back(value, write.buffer);
  }
  std::optional<int> at = addReader(std::move(command), sources);
  if (!at) {
    return failStale(op);
  }
  for (const auto &item : made) {
    bind(item.first, item.second, *at);
  }
  for (size_t i = 0; i < copies.size(); ++i) {
    stockCopies.push_back(nextCommand());
    bind(copied[i].first, copied[i].second, nextCommand());
    addCopy(op, copies[i].first, copies[i].second);
  }
  return true;
}

/// `stream.async.{update,copy,fill}`: the target is tied to the result.
bool Reader::readCopy(MlirOperation op) {
  std::string_view opName = ir::name(op);
  Command command;
  command.op = op;
  command.kind = opName == "stream.async.update" ? CommandKind::Update
                 : opName == "stream.async.copy" ? CommandKind::Copy
                                                 : CommandKind::Fill;
  Access target;
  target.buffer = bufferOf(ir::operand(op, 0));
  target.operand = 0;
  target.result = 0;
  target.writes = true;
  std::optional<int64_t> lower = ir::constantInt(ir::operand(op, 2));
  std::optional<int64_t> upper = ir::constantInt(ir::operand(op, 3));
  if (target.buffer < 0) {
    return fail(op, "resource from outside of the region");
  }
  if (!lower || !upper) {
    return fail(op, "access to a part of dynamic offset or size");
  }
  target.lower = *lower;
  target.upper = *upper;
  command.accesses.push_back(target);
  if (command.kind != CommandKind::Fill) {
    Access source;
    source.buffer = bufferOf(ir::operand(op, 4));
    source.operand = 1;
    source.reads = true;
    if (source.buffer < 0) {
      return fail(op, "resource from outside of the region");
    }
    if (command.kind == CommandKind::Update) {
      source.upper = *upper - *lower;
    } else {
      lower = ir::constantInt(ir::operand(op, 6));
      upper = ir::constantInt(ir::operand(op, 7));
      if (!lower || !upper) {
        return fail(op, "access to a part of dynamic offset or size");
      }
      source.lower = *lower;
      source.upper = *upper;
    }
    command.accesses.push_back(source);
    if (overwrittenAt(ir::operand(op, 4), source.lower, source.upper) >= 0) {
      return failStale(op);
    }
  }
  bind(ir::result(op), target.buffer, nextCommand());
  insert(std::move(command), nextCommand());
  return true;
}

/// `stream.async.{clone,slice}`: a copy into a buffer of its own.
bool Reader::readClone(MlirOperation op) {
  bool clone = ir::isa(op, "stream.async.clone");
  int source = bufferOf(ir::operand(op, 0));
  std::optional<int64_t> bytes =
      ir::constantInt(ir::operand(op, clone ? 2 : 4));
  std::optional<int64_t> lower =
      clone ? std::optional<int64_t>(0) : ir::constantInt(ir::operand(op, 2));
  std::optional<int64_t> upper = clone ? ir::constantInt(ir::operand(op, 1))
                                       : ir::constantInt(ir::operand(op, 3));
  if (source < 0) {
    return fail(op, "resource from outside of the region");
  }
  if (!bytes || !lower || !upper || *upper - *lower != *bytes) {
    return fail(op, "transient buffer of dynamic size");
  }
  MlirValue value = ir::result(op);
  int target = addBuffer(value, mlirValueGetType(value), *bytes);

  // A clone of a partly filled concatenation (the parts that two of them have
  // in common, after CSE) becomes copies of the parts themselves, as long as
  // they are still unchanged: it need not keep the other concatenation alive.
  if (clone && model.buffers[source].isAlloca) {
    std::vector<std::pair<Access, Access>> parts;
    bool replicable = overwrittenAt(ir::operand(op, 0), 0, *bytes) < 0;
    for (size_t i = 0; replicable && i < model.commands.size(); ++i) {
      const Command &writer = model.commands[i];
      bool copies = writer.kind == CommandKind::Update ||
                    writer.kind == CommandKind::Copy;
      for (const Access &access : writer.accesses) {
        if (access.buffer != source || !access.writes) {
          continue;
        }
        if (!copies || writer.accesses[1].buffer == source) {
          replicable = false;
          break;
        }
        const Access &part = writer.accesses[1];
        for (size_t j = i + 1; j < model.commands.size(); ++j) {
          for (const Access &later : model.commands[j].accesses) {
            replicable &= later.buffer != part.buffer || !later.writes;
          }
        }
        parts.emplace_back(part, access);
      }
    }
    if (replicable && !parts.empty()) {
      model.buffers[target].isAlloca = true;
      for (auto &part : parts) {
        part.second.buffer = target;
        addCopy(op, part.first, part.second);
      }
      bind(value, target, nextCommand() - 1);
      return true;
    }
  }

  Command command;
  command.op = op;
  command.kind = clone ? CommandKind::Clone : CommandKind::Slice;
  Access write;
  write.buffer = target;
  write.upper = *bytes;
  write.writes = true;
  write.result = 0;
  Access readAccess;
  readAccess.buffer = source;
  readAccess.lower = *lower;
  readAccess.upper = *upper;
  readAccess.reads = true;
  readAccess.operand = 0;
  command.accesses = {write, readAccess};
  std::optional<int> at =
      addReader(std::move(command), {MlirValue{nullptr}, ir::operand(op, 0)});
  if (!at) {
    return failStale(op);
  }
  bind(value, target, *at);
  return true;
}

bool Reader::readYield(MlirOperation op) {
  std::vector<MlirValue> operands = ir::operands(op);
  for (MlirValue value : operands) {
    int buffer = bufferOf(value);
    model.yields.push_back(buffer);
    if (buffer >= 0) {
      model.buffers[buffer].isResult = true;
    } else if (isResource(mlirValueGetType(value))) {
      return fail(op, "resource from outside of the region");
    }
  }
  return true;
}

void Reader::findPlacements() {
  // A buffer can be made elsewhere if what defines it can write anywhere.
  std::vector<bool> movable(model.buffers.size(), false);
  for (size_t i = 0; i < model.buffers.size(); ++i) {
    movable[i] = model.buffers[i].local() && model.buffers[i].isAlloca;
  }
  for (const Command &command : model.commands) {
    for (const Access &access : command.accesses) {
      bool defines = access.result >= 0 && access.operand < 0;
      if (defines && model.buffers[access.buffer].local()) {
        movable[access.buffer] =
            command.kind != CommandKind::Dispatch || command.placeable;
      }
    }
  }
  for (size_t i = 0; i < model.commands.size(); ++i) {
    const Command &command = model.commands[i];
    if (command.kind != CommandKind::Update &&
        command.kind != CommandKind::Copy) {
      continue;
    }
    const Access &target = command.accesses[0];
    const Access &source = command.accesses[1];
    if (source.buffer == target.buffer || !movable[source.buffer] ||
        source.lower != 0 ||
        source.upper != model.buffers[source.buffer].bytes) {
      continue;
    }
    Placement placement;
    placement.command = int(i);
    placement.source = source.buffer;
    placement.target = target.buffer;
    placement.offset = target.lower;
    placement.stock = std::find(stockCopies.begin(), stockCopies.end(),
                                int(i)) != stockCopies.end();
    model.placements.push_back(placement);
  }
}

} // namespace

ReadRegionResult readRegion(MlirOperation execute,
                            const Executables &executables) {
  return Reader(execute, executables).read();
}

// --- executables ------------------------------------------------------------

Executables::Executables(MlirOperation module) {
  for (MlirOperation executable : ir::operations(ir::body(module))) {
    if (!ir::isa(executable, "stream.executable")) {
      continue;
    }
    std::string symbol = ir::stringAttr(executable, "sym_name").value_or("");
    std::map<std::string, std::string> exported;
    std::map<std::string, MlirOperation> inner;
    for (MlirOperation op : ir::operations(ir::body(executable))) {
      if (ir::isa(op, "stream.executable.export")) {
        MlirAttribute target = ir::attr(op, "function_ref");
        if (!ir::isNull(target) && mlirAttributeIsAFlatSymbolRef(target)) {
          exported[ir::stringAttr(op, "sym_name").value_or("")] =
              ir::view(mlirFlatSymbolRefAttrGetValue(target));
        }
      } else if (ir::isa(op, "builtin.module")) {
        for (MlirOperation function : ir::operations(ir::body(op))) {
          if (ir::isa(function, "func.func")) {
            inner[ir::stringAttr(function, "sym_name").value_or("")] = function;
          }
        }
      }
    }
    for (const auto &item : exported) {
      auto it = inner.find(item.second);
      if (it != inner.end()) {
        // As it stands in `entry_points`: a nested reference, printed.
        functions["@" + symbol + "::@" + item.first] = it->second;
      }
    }
  }
}

/// Drops the quotes that MLIR puts around symbols with unusual characters.
static std::string unquoted(const std::string &reference) {
  std::string plain;
  for (char c : reference) {
    if (c != '"') {
      plain.push_back(c);
    }
  }
  return plain;
}

bool Executables::isWriteOnly(MlirOperation dispatch, size_t index) const {
  MlirAttribute entries = ir::attr(dispatch, "entry_points");
  if (ir::isNull(entries) || !mlirAttributeIsAArray(entries)) {
    return false;
  }
  intptr_t count = mlirArrayAttrGetNumElements(entries);
  for (intptr_t i = 0; i < count; ++i) {
    auto it = functions.find(
        unquoted(ir::toString(mlirArrayAttrGetElement(entries, i))));
    if (it == functions.end()) {
      return false;
    }
    MlirBlock block = ir::body(it->second);
    if (!block.ptr || mlirBlockGetNumArguments(block) <= intptr_t(index)) {
      return false;
    }
    std::vector<ir::Use> uses =
        ir::uses(mlirBlockGetArgument(block, intptr_t(index)));
    for (const ir::Use &use : uses) {
      if (!ir::isa(use.owner, "stream.binding.subspan") ||
          ir::toString(mlirValueGetType(ir::result(use.owner)))
                  .find("<writeonly:") == std::string::npos) {
        return false;
      }
    }
    if (uses.empty()) {
      return false;
    }
  }
  return count > 0;
}

// --- planning ---------------------------------------------------------------

namespace {

/// An access of a root buffer at a position in the original order.
struct PlacedAccess {
  int command = -1;
  int64_t lower = 0;
  int64_t upper = 0;
  bool reads = false;
  bool writes = false;
};

bool overlap(int64_t lower1, int64_t upper1, int64_t lower2, int64_t upper2) {
  return lower1 < upper2 && lower2 < upper1;
}

/// Whether making `source` at [offset, offset + bytes) of its target, without
/// the copy at position `copy`, leaves every reader with what it read before.
bool mayPlace(const std::vector<PlacedAccess> &source,
              const std::vector<PlacedAccess> &target, int copy, int64_t offset,
              int64_t bytes) {
  int firstAccess = std::numeric_limits<int>::max();
  int lastAccess = -1;
  for (const PlacedAccess &access : source) {
    if (access.command == copy) {
      continue;
    }
    if (access.command > copy && access.writes) {
      return false; // the copy would have kept the old contents
    }
    firstAccess = std::min(firstAccess, access.command);
    lastAccess = std::max(lastAccess, access.command);
  }
  for (const PlacedAccess &access : target) {
    if (access.command == copy ||
        !overlap(access.lower, access.upper, offset, offset + bytes)) {
      continue;
    }
    if (access.command < copy && access.command >= firstAccess) {
      return false; // would see the new contents too early, or destroy them
    }
    if (access.command > copy && access.writes &&
        access.command <= lastAccess) {
      return false; // a reader of the source, then or later, would see it
    }
  }
  return true;
}

/// Bytes of the value that a splat or fill repeats.
int64_t patternBytes(const Command &command) {
  for (MlirValue value : ir::operands(command.op)) {
    MlirType type = mlirValueGetType(value);
    if (mlirTypeIsAInteger(type) || mlirTypeIsAFloat(type) ||
        mlirTypeIsAComplex(type)) {
      return ir::elementBytes(type).value_or(1);
    }
  }
  return 1;
}

} // namespace

RegionPlan planRegion(const RegionModel &model, const std::vector<bool> &wanted,
                      int64_t rangeAlignment) {
  RegionPlan plan;
  size_t numBuffers = model.buffers.size();
  plan.chosen.assign(model.placements.size(), false);
  plan.places.resize(numBuffers);
  for (size_t i = 0; i < numBuffers; ++i) {
    plan.places[i] = {int(i), 0};
  }
  std::vector<std::vector<PlacedAccess>> accesses(numBuffers);
  // Bytes of the widest pattern that a buffer is filled with: the runtime fills
  // at multiples of them.
  std::vector<int64_t> patterns(numBuffers, 1);
  for (size_t i = 0; i < model.commands.size(); ++i) {
    const Command &command = model.commands[i];
    if (command.kind == CommandKind::Splat ||
        command.kind == CommandKind::Fill) {
      int64_t &pattern = patterns[command.accesses.front().buffer];
      pattern = std::max(pattern, patternBytes(command));
    }
    for (const Access &access : command.accesses) {
      accesses[access.buffer].push_back(
          {int(i), access.lower, access.upper, access.reads, access.writes});
    }
  }
  auto find = [&](int buffer) {
    PlacedBuffer place = {buffer, 0};
    while (plan.places[place.root].root != place.root) {
      PlacedBuffer next = plan.places[place.root];
      place = {next.root, place.offset + next.offset};
    }
    return place;
  };
  std::vector<bool> saved(model.commands.size(), false);
  for (size_t i = 0; i < model.placements.size(); ++i) {
    const Placement &placement = model.placements[i];
    int source = placement.source;
    PlacedBuffer target = find(placement.target);
    if (!wanted[i] || plan.places[source].root != source ||
        target.root == source) {
      continue;
    }
    int64_t offset = placement.offset + target.offset;
    if (offset % patterns[source] != 0 ||
        !mayPlace(accesses[source], accesses[target.root], placement.command,
                  offset, model.buffers[source].bytes)) {
      continue;
    }
    patterns[target.root] = std::max(patterns[target.root], patterns[source]);
    plan.chosen[i] = true;
    plan.places[source] = {target.root, offset};
    saved[placement.command] = true;
    std::vector<PlacedAccess> &merged = accesses[target.root];
    auto isCopy = [&](const PlacedAccess &access) {
      return access.command == placement.command;
    };
    merged.erase(std::remove_if(merged.begin(), merged.end(), isCopy),
                 merged.end());
    for (PlacedAccess access : accesses[source]) {
      if (!isCopy(access)) {
        access.lower += offset;
        access.upper += offset;
        merged.push_back(access);
      }
    }
    accesses[source].clear();
  }
  for (size_t i = 0; i < numBuffers; ++i) {
    plan.places[i] = find(int(i));
  }

  std::vector<int> operationOf(model.commands.size(), -1);
  for (size_t i = 0; i < model.commands.size(); ++i) {
    if (!saved[i]) {
      operationOf[i] = int(plan.commands.size());
      plan.commands.push_back(int(i));
    }
  }
  Problem &problem = plan.problem;
  problem.operations.resize(plan.commands.size());
  for (size_t i = 0; i < plan.commands.size(); ++i) {
    problem.operations[i].name = std::to_string(plan.commands[i]);
  }
  for (size_t b = 0; b < numBuffers; ++b) {
    if (plan.places[b].root != int(b)) {
      continue;
    }
    std::vector<PlacedAccess> &list = accesses[b];
    std::stable_sort(list.begin(), list.end(),
                     [](const PlacedAccess &a, const PlacedAccess &c) {
                       return a.command < c.command;
                     });
    if (model.buffers[b].local() && !list.empty()) {
      BufferId id = BufferId(problem.buffers.size());
      Buffer buffer;
      buffer.name = "b" + std::to_string(b);
      int64_t bytes = model.buffers[b].bytes;
      buffer.bytes =
          (bytes + rangeAlignment - 1) / rangeAlignment * rangeAlignment;
      problem.buffers.push_back(buffer);
      plan.problemBuffers.push_back(int(b));
      int last = -1;
      for (const PlacedAccess &access : list) {
        if (access.command != last) {
          last = access.command;
          problem.operations[operationOf[last]].uses.push_back(id);
        }
      }
    }
    // Conflicts. What a later write covers completely need not be compared with
    // any more: everything after it is ordered through it.
    std::vector<PlacedAccess> open;
    for (const PlacedAccess &access : list) {
      size_t keep = 0;
      for (size_t i = 0; i < open.size(); ++i) {
        const PlacedAccess &earlier = open[i];
        bool same = earlier.command == access.command;
        bool conflict =
            !same && (earlier.writes || access.writes) &&
            overlap(earlier.lower, earlier.upper, access.lower, access.upper);
        if (conflict) {
          problem.operations[operationOf[access.command]].after.push_back(
              operationOf[earlier.command]);
        }
        bool covered = conflict && access.writes &&
                       access.lower <= earlier.lower &&
                       access.upper >= earlier.upper;
        if (!covered) {
          open[keep++] = earlier;
        }
      }
      open.resize(keep);
      open.push_back(access);
    }
  }
  for (Operation &operation : problem.operations) {
    std::sort(operation.after.begin(), operation.after.end());
    operation.after.erase(
        std::unique(operation.after.begin(), operation.after.end()),
        operation.after.end());
  }
  return plan;
}

// --- writing back -----------------------------------------------------------

namespace {

class Writer {
public:
  Writer(const RegionModel &model, const RegionPlan &plan)
      : model(model), plan(plan), constants(model.execute),
        yield(mlirBlockGetTerminator(ir::body(model.execute))),
        current(model.buffers.size(), MlirValue{nullptr}) {
    context = mlirOperationGetContext(model.execute);
  }

  void write(const std::vector<OpId> &order);

private:
  void writeCommand(const Command &command);
  void writeDispatch(const Command &command);
  void writeCopy(const Command &command);
  MlirValue valueOf(int root, const Command &user);
  MlirOperation insert(MlirOperation op) {
    ir::insertBefore(yield, op);
    return op;
  }
  std::vector<ir::NamedAttr> affinity(const Command &command) const {
    MlirAttribute attr = ir::attr(command.op, "affinity");
    std::vector<ir::NamedAttr> attrs;
    if (!ir::isNull(attr)) {
      attrs.push_back({"affinity", attr});
    }
    return attrs;
  }
  const PlacedBuffer &place(const Access &access) const {
    return plan.places[access.buffer];
  }
  MlirValue size(int root) { return constants.get(model.buffers[root].bytes); }
  /// The size of an argument, which may be dynamic: the execute operation has
  /// the captured resources, then their sizes.
  MlirValue capturedSize(const RegionBuffer &buffer) const {
    intptr_t argument = mlirBlockArgumentGetArgNumber(buffer.root);
    std::vector<int64_t> segments = ir::operandSegments(model.execute);
    return ir::operand(model.execute, segments[0] + argument);
  }

  const RegionModel &model;
  const RegionPlan &plan;
  ir::IndexConstants constants;
  MlirOperation yield;
  MlirContext context;
  /// Per root buffer, the SSA value that holds its contents now.
  std::vector<MlirValue> current;
  std::vector<const void *> kept;
};

/// The value of a buffer, allocating it before its first use.
MlirValue Writer::valueOf(int root, const Command &user) {
  if (!current[root].ptr) {
    MlirOperation alloca =
        ir::create("stream.async.alloca", mlirOperationGetLocation(user.op),
                   {size(root)}, {model.buffers[root].type}, affinity(user));
    insert(alloca);
    current[root] = ir::result(alloca);
  }
  return current[root];
}

void Writer::write(const std::vector<OpId> &order) {
  for (size_t i = 0; i < model.buffers.size(); ++i) {
    if (model.buffers[i].isArgument) {
      current[i] = model.buffers[i].root;
    }
  }
  std::vector<MlirOperation> before = ir::operations(ir::body(model.execute));
  for (OpId id : order) {
    writeCommand(model.commands[plan.commands[id]]);
  }
  for (size_t i = 0; i < model.yields.size(); ++i) {
    if (model.yields[i] >= 0) {
      int root = plan.places[model.yields[i]].root;
      if (!current[root].ptr) {
        // Handed out although nothing was written: the alloca itself stays.
        current[root] = model.buffers[root].root;
        kept.push_back(ir::definingOp(current[root]).ptr);
      }
      mlirOperationSetOperand(yield, intptr_t(i), current[root]);
    }
  }
  // Whatever was not moved is used by nothing any more, last users first.
  std::sort(kept.begin(), kept.end());
  for (auto it = before.rbegin(); it != before.rend(); ++it) {
    if (ir::name(*it).rfind("stream.async.", 0) != 0 ||
        std::binary_search(kept.begin(), kept.end(),
                           static_cast<const void *>(it->ptr))) {
      continue;
    }
    mlirOperationDestroy(*it);
  }
}

void Writer::writeCommand(const Command &command) {
  if (command.kind == CommandKind::Dispatch) {
    writeDispatch(command);
    return;
  }
  if (command.kind == CommandKind::Splat) {
    const Access &access = command.accesses[0];
    PlacedBuffer target = place(access);
    if (target.root == access.buffer) {
      mlirOperationMoveBefore(command.op, yield);
      kept.push_back(command.op.ptr);
      current[target.root] = ir::result(command.op);
      return;
    }
    MlirValue value = valueOf(target.root, command);
    MlirOperation fill =
        ir::create("stream.async.fill", mlirOperationGetLocation(command.op),
                   {value, size(target.root), constants.get(target.offset),
                    constants.get(target.offset + access.upper),
                    constants.get(access.upper), ir::operand(command.op, 0)},
                   {mlirValueGetType(value)}, affinity(command));
    insert(fill);
    current[target.root] = ir::result(fill);
    return;
  }
  if (command.kind == CommandKind::Fill) {
    const Access &access = command.accesses[0];
    PlacedBuffer target = place(access);
    MlirValue value = valueOf(target.root, command);
    mlirOperationSetOperand(command.op, 0, value);
    if (target.root != access.buffer) {
      mlirOperationSetOperand(command.op, 1, size(target.root));
      mlirOperationSetOperand(command.op, 2,
                              constants.get(access.lower + target.offset));
      mlirOperationSetOperand(command.op, 3,
                              constants.get(access.upper + target.offset));
      mlirValueSetType(ir::result(command.op), mlirValueGetType(value));
    }
    mlirOperationMoveBefore(command.op, yield);
    kept.push_back(command.op.ptr);
    current[target.root] = ir::result(command.op);
    return;
  }
  writeCopy(command);
}

/// Copies are made anew: as `clone` where the target is all of a fresh buffer,
/// `update` where the source is all of its buffer, `copy` otherwise.
void Writer::writeCopy(const Command &command) {
  const Access &target = command.accesses[0];
  const Access &source = command.accesses[1];
  PlacedBuffer to = place(target);
  PlacedBuffer from = place(source);
  MlirLocation location = mlirOperationGetLocation(command.op);
  MlirValue sourceValue = valueOf(from.root, command);
  const RegionBuffer &fromBuffer = model.buffers[from.root];
  int64_t length = target.upper - target.lower;
  int64_t sourceLower = source.lower + from.offset;
  MlirValue sourceSize =
      fromBuffer.isArgument ? capturedSize(fromBuffer) : size(from.root);
  bool wholeSource =
      sourceLower == 0 &&
      (fromBuffer.isArgument ? ir::constantInt(sourceSize) == length
                             : fromBuffer.bytes == length);

  bool ownResult =
      command.kind == CommandKind::Clone || command.kind == CommandKind::Slice;
  // A slice has the type of its source, which a placement may have changed.
  MlirType type = model.buffers[to.root].type;
  bool sliceable = mlirTypeEqual(type, mlirValueGetType(sourceValue));
  if (ownResult && to.root == target.buffer && !current[to.root].ptr &&
      (wholeSource || sliceable)) {
    MlirOperation op =
        wholeSource
            ? ir::create("stream.async.clone", location,
                         {sourceValue, sourceSize, constants.get(length)},
                         {type}, affinity(command))
            : ir::create("stream.async.slice", location,
                         {sourceValue, sourceSize, constants.get(sourceLower),
                          constants.get(sourceLower + length),
                          constants.get(length)},
                         {type}, affinity(command));
    insert(op);
    current[to.root] = ir::result(op);
    return;
  }
  MlirValue targetValue = valueOf(to.root, command);
  const RegionBuffer &toBuffer = model.buffers[to.root];
  MlirValue targetSize =
      toBuffer.isArgument ? capturedSize(toBuffer) : size(to.root);
  int64_t lower = target.lower + to.offset;
  MlirOperation op;
  if (wholeSource) {
    op = ir::create("stream.async.update", location,
                    {targetValue, targetSize, constants.get(lower),
                     constants.get(lower + length), sourceValue,
                     constants.get(length)},
                    {mlirValueGetType(targetValue)}, affinity(command));
  } else {
    op =
        ir::create("stream.async.copy", location,
                   {targetValue, targetSize, constants.get(lower),
                    constants.get(lower + length), sourceValue, sourceSize,
                    constants.get(sourceLower),
                    constants.get(sourceLower + length), constants.get(length)},
                   {mlirValueGetType(targetValue)}, affinity(command));
  }
  insert(op);
  current[to.root] = ir::result(op);
}

void Writer::writeDispatch(const Command &command) {
  MlirOperation op = command.op;
  std::optional<DispatchOperands> parts = takeApart(op);
  size_t numResults = parts->tied.size();
  bool inPlace = !command.placeable;
  bool wasEmplaced = command.placeable && numResults > 0 && parts->tied[0] >= 0;

  // Results that all own their buffers need no operand to write to.
  bool ownAll = true;
  for (const Access &access : command.accesses) {
    if (access.result >= 0 && access.operand < 0) {
      ownAll &=
          place(access).root == access.buffer && !current[access.buffer].ptr;
    }
  }
  size_t numInputs = parts->segments[Resources].size();
  if (wasEmplaced) {
    numInputs -= numResults;
  }
  std::vector<MlirValue> lists[NumDispatchSegments];
  lists[Workload] = parts->segments[Workload];
  std::vector<const Access *> byOperand(parts->segments[Sizes].size(), nullptr);
  std::vector<const Access *> byResult(numResults, nullptr);
  for (const Access &access : command.accesses) {
    if (access.operand >= 0) {
      byOperand[access.operand] = &access;
    }
    if (access.result >= 0) {
      byResult[access.result] = &access;
    }
  }
  bool same = !wasEmplaced && (inPlace || ownAll);
  for (size_t i = 0; i < numInputs; ++i) {
    int k = parts->resourceIndex[i];
    if (k < 0) {
      lists[Resources].push_back(parts->segments[Resources][i]);
      continue;
    }
    const Access &access = *byOperand[k];
    PlacedBuffer at = place(access);
    lists[Resources].push_back(valueOf(at.root, command));
    lists[Lengths].push_back(parts->segments[Lengths][k]);
    if (at.root == access.buffer) {
      lists[Sizes].push_back(parts->segments[Sizes][k]);
      lists[Offsets].push_back(parts->segments[Offsets][k]);
      lists[Ends].push_back(parts->segments[Ends][k]);
    } else {
      same = false;
      lists[Sizes].push_back(size(at.root));
      lists[Offsets].push_back(constants.get(access.lower + at.offset));
      lists[Ends].push_back(constants.get(access.upper + at.offset));
    }
  }
  if (same) {
    // Nothing but the values changed.
    std::vector<int64_t> segments = ir::operandSegments(op);
    for (size_t i = 0; i < numInputs; ++i) {
      mlirOperationSetOperand(op, intptr_t(segments[Workload] + i),
                              lists[Resources][i]);
    }
    mlirOperationMoveBefore(op, yield);
    kept.push_back(op.ptr);
    for (size_t i = 0; i < numResults; ++i) {
      current[byResult[i]->buffer] = ir::result(op, intptr_t(i));
    }
    return;
  }

  std::vector<int64_t> tied(numResults, -1);
  std::vector<MlirType> types;
  for (size_t i = 0; i < numResults; ++i) {
    const Access &access = *byResult[i];
    PlacedBuffer at = place(access);
    const RegionBuffer &buffer = model.buffers[at.root];
    if (inPlace) {
      tied[i] = parts->tied[i];
      bool moved = tied[i] >= 0 && at.root != access.buffer;
      types.push_back(buffer.type);
      lists[ResultSizes].push_back(moved ? size(at.root)
                                         : parts->segments[ResultSizes][i]);
      continue;
    }
    types.push_back(buffer.type);
    int64_t length = access.upper - access.lower;
    if (ownAll) {
      lists[ResultSizes].push_back(constants.get(buffer.bytes));
      continue;
    }
    tied[i] = int64_t(lists[Resources].size());
    lists[Resources].push_back(valueOf(at.root, command));
    MlirValue bytes =
        buffer.isArgument && wasEmplaced
            ? parts->segments[Sizes][parts->resourceIndex[parts->tied[i]]]
            : size(at.root);
    lists[Sizes].push_back(bytes);
    lists[Offsets].push_back(constants.get(at.offset));
    lists[Ends].push_back(constants.get(at.offset + length));
    lists[Lengths].push_back(constants.get(length));
    lists[ResultSizes].push_back(bytes);
  }

  std::vector<MlirValue> operands;
  std::vector<int32_t> segments;
  for (const std::vector<MlirValue> &list : lists) {
    segments.push_back(int32_t(list.size()));
    operands.insert(operands.end(), list.begin(), list.end());
  }
  std::vector<ir::NamedAttr> attrs;
  std::vector<std::string> names;
  intptr_t numAttrs = mlirOperationGetNumAttributes(op);
  names.reserve(numAttrs);
  for (intptr_t i = 0; i < numAttrs; ++i) {
    MlirNamedAttribute named = mlirOperationGetAttribute(op, i);
    std::string attrName(ir::view(mlirIdentifierStr(named.name)));
    if (attrName == "operandSegmentSizes" || attrName == "tied_operands") {
      continue;
    }
    names.push_back(std::move(attrName));
    attrs.push_back({names.back(), named.attribute});
  }
  attrs.push_back(
      {"operandSegmentSizes",
       mlirDenseI32ArrayGet(context, segments.size(), segments.data())});
  if (std::any_of(tied.begin(), tied.end(), [](int64_t t) { return t >= 0; })) {
    std::vector<MlirAttribute> elements;
    MlirType index = mlirIndexTypeGet(context);
    for (int64_t t : tied) {
      elements.push_back(mlirIntegerAttrGet(index, t));
    }
    attrs.push_back({"tied_operands", mlirArrayAttrGet(context, elements.size(),
                                                       elements.data())});
  }
  MlirOperation made =
      ir::create("stream.async.dispatch", mlirOperationGetLocation(op),
                 operands, types, attrs);
  insert(made);
  for (size_t i = 0; i < numResults; ++i) {
    current[place(*byResult[i]).root] = ir::result(made, intptr_t(i));
  }
}

} // namespace

void applyPlan(const RegionModel &model, const RegionPlan &plan,
               const std::vector<OpId> &order) {
  Writer(model, plan).write(order);
}

} // namespace serenity

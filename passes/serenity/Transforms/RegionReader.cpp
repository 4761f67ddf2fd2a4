// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Reads execution regions and their executables into the model of
// RegionModel.h.

#include "serenity/Analysis/SizeReader.h"
#include "serenity/Transforms/AsyncDispatch.h"
#include "serenity/Transforms/RegionModel.h"

#include <algorithm>
#include <set>
#include <unordered_map>

namespace serenity {

namespace {

/// Bytes of the value that a splat or fill repeats.
int64_t patternBytesOf(MlirOperation op) {
  for (MlirValue value : ir::operands(op)) {
    MlirType type = mlirValueGetType(value);
    if (mlirTypeIsAInteger(type) || mlirTypeIsAFloat(type) ||
        mlirTypeIsAComplex(type)) {
      return ir::elementBytes(type).value_or(1);
    }
  }
  return 1;
}

/// Reads one region.
class Reader {
public:
  Reader(MlirOperation execute, const Executables &executables,
         const Options &options)
      : executables(executables), sizes(options) {
    model.execute = execute;
  }

  ReadRegionResult read();

private:
  struct Size {
    int64_t bytes = 0;
    MlirValue value = {}; // null if constant
  };
  bool readOperation(MlirOperation op);
  bool readDispatch(MlirOperation op);
  /// A dispatch while its operands and results are read.
  struct DispatchReading {
    Command command;
    bool emplaced = false;
    std::vector<int> accessOfOperand;
    /// By access; null for results.
    std::vector<MlirValue> sources;
    std::vector<Access> emplacedTargets;
    /// Results and their buffers, and those that are copied there.
    std::vector<std::pair<MlirValue, int>> made;
    std::vector<std::pair<MlirValue, int>> copied;
    std::vector<std::pair<Access, Access>> copies;
  };
  bool isEmplaced(MlirOperation op, const DispatchOperands &parts) const;
  bool writesOpenPart(const DispatchOperands &parts);
  bool isFresh(const Access &target) const;
  bool readDispatchOperands(MlirOperation op, const DispatchOperands &parts,
                            DispatchReading &reading);
  bool readDispatchResult(MlirOperation op, const DispatchOperands &parts,
                          size_t i, DispatchReading &reading);
  bool readEmplacedResult(MlirOperation op, size_t i, DispatchReading &reading);
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

  int addBuffer(MlirValue root, MlirType type, Size size) {
    RegionBuffer buffer;
    buffer.root = root;
    buffer.type = type;
    buffer.bytes = size.bytes;
    buffer.size = size.value;
    model.buffers.push_back(buffer);
    return int(model.buffers.size()) - 1;
  }
  /// A constant, or the value at the hint; nothing if that overflows.
  std::optional<Size> sizeOf(MlirValue value) {
    if (std::optional<int64_t> bytes = ir::constantInt(value)) {
      return Size{*bytes, MlirValue{nullptr}};
    }
    std::optional<int64_t> bytes = sizes.atHint(value);
    return bytes ? std::optional(Size{*bytes, value}) : std::nullopt;
  }
  bool isDynamic(int buffer) const {
    return buffer >= 0 && model.buffers[buffer].size.ptr;
  }
  /// Whether both are the same number of bytes in every call.
  bool isSameSize(MlirValue a, MlirValue b) {
    if (mlirValueEqual(a, b)) {
      return true;
    }
    std::optional<SizePolynomial> first = sizes.read(a);
    std::optional<SizePolynomial> second = sizes.read(b);
    return first && second && *first == *second;
  }
  /// Whether [lower, upper) is all of a buffer of dynamic size.
  bool isWhole(int buffer, MlirValue lower, MlirValue upper) {
    return isDynamic(buffer) && ir::constantInt(lower) == 0 &&
           isSameSize(upper, model.buffers[buffer].size);
  }
  int bufferOf(MlirValue value) const {
    auto it = values.find(ir::key(value));
    return it == values.end() ? -1 : it->second.buffer;
  }
  /// `command` is the one that makes the value, -1 for contents from before.
  void bind(MlirValue value, int buffer, int command) {
    values[ir::key(value)] = {buffer, command};
  }
  int nextCommand() const { return int(model.commands.size()); }

  /// The first command that overwrites the contents of `value` in a range.
  int overwrittenAt(MlirValue value, int64_t lower, int64_t upper) const;
  /// Appends a command whose reads are of `sources`, by access. The command
  /// goes before the first one that overwrites any of them; returns its index,
  /// nothing if there is no such place.
  std::optional<int> addReader(Command command,
                               const std::vector<MlirValue> &sources);
  void insert(Command command, int at);

  /// A buffer of the slab that no value stands for yet.
  int addTransient(int64_t bytes) {
    MlirContext context = mlirOperationGetContext(model.execute);
    MlirType type =
        mlirTypeParseGet(context, ir::strRef("!stream.resource<transient>"));
    int buffer = addBuffer(MlirValue{nullptr}, type, {bytes, {}});
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
  SizeReader sizes;
  RegionModel model;
  /// The buffer that a value stands for, and the command that makes it.
  struct Definition {
    int buffer;
    int command;
  };
  std::unordered_map<const void *, Definition> values;
  /// Per buffer, the writes to it, in order.
  struct Write {
    int command;
    int64_t lower;
    int64_t upper;
  };
  std::vector<std::vector<Write>> writes;
  /// Buffers that are captured twice: a read through one argument after a write
  /// through the other is intended to read the new contents.
  std::set<int> sharedArguments;
  /// Buffers that are accessed somewhere in them, at a place that is known only
  /// at run time.
  std::set<int> openBuffers;
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
// behind the one that overwrites it in place. The value is meant, not the
// memory.
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
  // It writes a buffer of its own, which no command has written so far.
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
      int buffer = addBuffer(argument, mlirValueGetType(argument), Size());
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
    std::optional<Size> size = sizeOf(ir::operand(op, 0));
    if (!size) {
      return failDynamic(op);
    }
    MlirValue value = ir::result(op);
    int buffer = addBuffer(value, mlirValueGetType(value), *size);
    model.buffers[buffer].isAlloca = true;
    bind(value, buffer, nextCommand() - 1);
    return true;
  }
  if (opName == "stream.async.splat") {
    if (mlirOperationGetNumOperands(op) != 2) {
      return fail(op, "splat that awaits a timepoint");
    }
    std::optional<Size> size = sizeOf(ir::operand(op, 1));
    if (!size) {
      return failDynamic(op);
    }
    MlirValue value = ir::result(op);
    int buffer = addBuffer(value, mlirValueGetType(value), *size);
    bind(value, buffer, nextCommand());
    Command command;
    command.kind = CommandKind::Splat;
    command.op = op;
    command.patternBytes = patternBytesOf(op);
    Access access;
    access.buffer = buffer;
    access.upper = size->bytes;
    access.writes = true;
    access.result = 0;
    command.accesses.push_back(access);
    insert(std::move(command), nextCommand());
    return true;
  }
  return fail(op, "operation '" + std::string(opName) + "' is not modelled");
}

/// Whether IREE's emplacement left this dispatch: every result tied to one of
/// the last operands, which the executable only writes.
bool Reader::isEmplaced(MlirOperation op, const DispatchOperands &parts) const {
  const size_t numOperands = parts.segments[Resources].size();
  const size_t numResults = parts.tied.size();
  if (numResults == 0 || numResults > numOperands) {
    return false;
  }
  for (size_t i = 0; i < numResults; ++i) {
    size_t operand = numOperands - numResults + i;
    if (parts.tied[i] != int64_t(operand) ||
        !executables.isWriteOnly(op, operand)) {
      return false;
    }
  }
  return true;
}

bool Reader::readDispatchOperands(MlirOperation op,
                                  const DispatchOperands &parts,
                                  DispatchReading &reading) {
  const size_t numOperands = parts.segments[Resources].size();
  const size_t numInputs =
      reading.emplaced ? numOperands - parts.tied.size() : numOperands;
  reading.accessOfOperand.assign(numOperands, -1);
  for (size_t i = 0; i < numOperands; ++i) {
    int k = parts.resourceIndex[i];
    if (k < 0) {
      continue;
    }
    Access access;
    access.buffer = bufferOf(parts.segments[Resources][i]);
    access.operand = k;
    if (access.buffer < 0) {
      return fail(op, "resource from outside of the region");
    }
    std::optional<int64_t> lower = ir::constantInt(parts.segments[Offsets][k]);
    std::optional<int64_t> upper = ir::constantInt(parts.segments[Ends][k]);
    if (isWhole(access.buffer, parts.segments[Offsets][k],
                parts.segments[Ends][k])) {
      access.upper = model.buffers[access.buffer].bytes;
    } else if (lower && upper && !isDynamic(access.buffer)) {
      access.lower = *lower;
      access.upper = *upper;
    } else if (model.buffers[access.buffer].isArgument) {
      access.upper = unbounded;
    } else {
      // Somewhere in the buffer: an access to all of it.
      access.upper = model.buffers[access.buffer].bytes;
      openBuffers.insert(access.buffer);
    }
    access.reads = true;
    if (i >= numInputs) {
      reading.emplacedTargets.push_back(access);
      continue;
    }
    reading.accessOfOperand[i] = int(reading.command.accesses.size());
    reading.command.accesses.push_back(access);
    reading.sources.push_back(parts.segments[Resources][i]);
  }
  return true;
}

/// Whether a dispatch that IREE's emplacement left writes a part of dynamic
/// offset or size.
bool Reader::writesOpenPart(const DispatchOperands &parts) {
  const size_t numOperands = parts.segments[Resources].size();
  for (size_t i = numOperands - parts.tied.size(); i < numOperands; ++i) {
    const int k = parts.resourceIndex[i];
    const int buffer = bufferOf(parts.segments[Resources][i]);
    if (k < 0 || buffer < 0 || model.buffers[buffer].isArgument) {
      continue;
    }
    MlirValue lower = parts.segments[Offsets][k];
    MlirValue upper = parts.segments[Ends][k];
    const bool isStatic =
        ir::constantInt(lower) && ir::constantInt(upper) && !isDynamic(buffer);
    if (!isStatic && !isWhole(buffer, lower, upper)) {
      return true;
    }
  }
  return false;
}

/// Whether `target` is the whole of an allocation that nothing has touched.
bool Reader::isFresh(const Access &target) const {
  const RegionBuffer &buffer = model.buffers[target.buffer];
  if (!buffer.isAlloca || target.lower != 0 || target.upper != buffer.bytes) {
    return false;
  }
  for (const Command &earlier : model.commands) {
    for (const Access &access : earlier.accesses) {
      if (access.buffer == target.buffer) {
        return false;
      }
    }
  }
  return true;
}

bool Reader::readEmplacedResult(MlirOperation op, size_t i,
                                DispatchReading &reading) {
  const Access &target = reading.emplacedTargets[i];
  const bool fresh = isFresh(target);
  if (!fresh && (target.upper == unbounded || isDynamic(target.buffer))) {
    return fail(op, "access to a part of dynamic offset or size");
  }
  Access write;
  write.writes = true;
  write.result = int(i);
  write.upper = target.upper - target.lower;
  write.buffer = fresh ? target.buffer : addTransient(write.upper);
  reading.command.accesses.push_back(write);
  reading.sources.push_back(MlirValue{nullptr});
  MlirValue value = ir::result(op, intptr_t(i));
  if (fresh) {
    reading.made.emplace_back(value, target.buffer);
  } else {
    reading.copied.emplace_back(value, target.buffer);
    reading.copies.emplace_back(write, target);
  }
  return true;
}

bool Reader::readDispatchResult(MlirOperation op, const DispatchOperands &parts,
                                size_t i, DispatchReading &reading) {
  if (reading.emplaced) {
    return readEmplacedResult(op, i, reading);
  }
  MlirValue value = ir::result(op, intptr_t(i));
  if (parts.tied[i] >= 0) {
    Access &access =
        reading.command.accesses[reading.accessOfOperand[parts.tied[i]]];
    if (isDynamic(access.buffer) &&
        !isSameSize(parts.segments[ResultSizes][i],
                    model.buffers[access.buffer].size)) {
      return failDynamic(op);
    }
    if (access.writes) {
      return fail(op, "two results of a dispatch tied to one operand");
    }
    access.writes = true;
    access.result = int(i);
    reading.made.emplace_back(value, access.buffer);
    return true;
  }
  std::optional<Size> size = sizeOf(parts.segments[ResultSizes][i]);
  if (!size) {
    return failDynamic(op);
  }
  Access write;
  write.buffer = addBuffer(value, mlirValueGetType(value), *size);
  write.upper = size->bytes;
  write.writes = true;
  write.result = int(i);
  reading.command.accesses.push_back(write);
  reading.sources.push_back(MlirValue{nullptr});
  reading.made.emplace_back(value, write.buffer);
  return true;
}

bool Reader::readDispatch(MlirOperation op) {
  std::optional<DispatchOperands> parts = takeApart(op);
  if (!parts) {
    return fail(op, "dispatch with an unexpected operand list");
  }
  DispatchReading reading;
  reading.command.kind = CommandKind::Dispatch;
  reading.command.op = op;
  reading.emplaced = isEmplaced(op, *parts) && !writesOpenPart(*parts);
  bool anyTied = std::any_of(parts->tied.begin(), parts->tied.end(),
                             [](int64_t tied) { return tied >= 0; });
  reading.command.placeable = reading.emplaced || !anyTied;
  if (!readDispatchOperands(op, *parts, reading)) {
    return false;
  }
  for (size_t i = 0; i < parts->tied.size(); ++i) {
    if (!readDispatchResult(op, *parts, i, reading)) {
      return false;
    }
  }
  std::optional<int> at =
      addReader(std::move(reading.command), reading.sources);
  if (!at) {
    return failStale(op);
  }
  for (const auto &item : reading.made) {
    bind(item.first, item.second, *at);
  }
  for (const auto &[write, target] : reading.copies) {
    stockCopies.push_back(nextCommand());
    addCopy(op, write, target);
  }
  // Results may lie in one buffer; a reader of one of them reads all of it.
  for (const auto &[value, buffer] : reading.copied) {
    bind(value, buffer, nextCommand() - 1);
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
  if (!lower || !upper || isDynamic(target.buffer)) {
    return fail(op, "access to a part of dynamic offset or size");
  }
  target.lower = *lower;
  target.upper = *upper;
  command.accesses.push_back(target);
  if (command.kind == CommandKind::Fill) {
    command.patternBytes = patternBytesOf(op);
  } else {
    Access source;
    source.buffer = bufferOf(ir::operand(op, 4));
    source.operand = 1;
    source.reads = true;
    if (source.buffer < 0) {
      return fail(op, "resource from outside of the region");
    }
    if (isDynamic(source.buffer)) {
      return fail(op, "access to a part of dynamic offset or size");
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
  MlirValue resultSize = ir::operand(op, clone ? 2 : 4);
  std::optional<int64_t> bytes = ir::constantInt(resultSize);
  std::optional<int64_t> lower =
      clone ? std::optional<int64_t>(0) : ir::constantInt(ir::operand(op, 2));
  std::optional<int64_t> upper = clone ? ir::constantInt(ir::operand(op, 1))
                                       : ir::constantInt(ir::operand(op, 3));
  if (source < 0) {
    return fail(op, "resource from outside of the region");
  }
  Size size;
  if (clone && isDynamic(source) &&
      isSameSize(resultSize, model.buffers[source].size)) {
    size = {model.buffers[source].bytes, resultSize};
    bytes = upper = size.bytes;
  } else if (!bytes || !lower || !upper || *upper - *lower != *bytes ||
             isDynamic(source)) {
    return failDynamic(op);
  } else {
    size.bytes = *bytes;
  }
  MlirValue value = ir::result(op);
  int target = addBuffer(value, mlirValueGetType(value), size);

  // A clone of a partly filled concatenation (the parts that two of them have
  // in common, after CSE) becomes copies of the parts themselves, as long as
  // they are still unchanged: it need not keep the other concatenation alive.
  if (clone && model.buffers[source].isAlloca && !isDynamic(source)) {
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
  // A buffer can be made elsewhere if its definition can write anywhere.
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
        openBuffers.count(source.buffer) || source.lower != 0 ||
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
                            const Executables &executables,
                            const Options &options) {
  return Reader(execute, executables, options).read();
}

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

MlirOperation Executables::functionOf(MlirOperation dispatch) const {
  MlirAttribute entries = ir::attr(dispatch, "entry_points");
  if (ir::isNull(entries) || !mlirAttributeIsAArray(entries) ||
      mlirArrayAttrGetNumElements(entries) != 1) {
    return {nullptr};
  }
  auto it = functions.find(
      unquoted(ir::toString(mlirArrayAttrGetElement(entries, 0))));
  return it != functions.end() && ir::body(it->second).ptr
             ? it->second
             : MlirOperation{nullptr};
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

} // namespace serenity

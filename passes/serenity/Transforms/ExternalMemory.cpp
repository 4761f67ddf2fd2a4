// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/ExternalMemory.h"

#include "serenity/Analysis/ConsumedImports.h"
#include "serenity/Core/Alignment.h"
#include "serenity/IREE/Ir.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string_view>

namespace serenity {

/// Whether everything else that is done with `value`, a fresh allocation or a
/// view of one, follows the region. The values of a region are final when its
/// timepoint is reached, which later readers await.
static bool usesEnd(MlirValue value, MlirOperation execute, bool isRoot) {
  for (const ir::Use &use : ir::uses(value)) {
    if (mlirOperationEqual(use.owner, execute)) {
      continue;
    }
    if (isRoot && ir::isa(use.owner, "stream.resource.subview")) {
      if (!usesEnd(ir::result(use.owner), execute, false)) {
        return false;
      }
      continue;
    }
    if (ir::isa(use.owner, "stream.cmd.execute") ||
        !ir::sameBlock(use.owner, execute) ||
        !mlirOperationIsBeforeInBlock(execute, use.owner)) {
      return false;
    }
  }
  return true;
}

std::optional<SlabRegion> findSlabRegion(MlirOperation pack) {
  SlabRegion found;
  for (const ir::Use &use : ir::uses(ir::result(pack, 0))) {
    if (!ir::isa(use.owner, "stream.resource.alloca")) {
      continue; // the size of the slab where it is used
    }
    if (found.slab.ptr) {
      return std::nullopt;
    }
    found.slab = use.owner;
  }
  if (!found.slab.ptr) {
    return std::nullopt;
  }
  for (const ir::Use &use : ir::uses(ir::result(found.slab, 0))) {
    if (ir::isa(use.owner, "stream.resource.dealloca")) {
      continue;
    }
    if (!ir::isa(use.owner, "stream.cmd.execute") || found.execute.ptr) {
      return std::nullopt;
    }
    found.execute = use.owner;
    found.slabCapture = use.operandNumber;
  }
  if (!found.execute.ptr || !ir::sameBlock(found.slab, found.execute)) {
    return std::nullopt;
  }
  std::vector<int64_t> segments = ir::operandSegments(found.execute);
  if (segments.size() < 2 || segments[0] != segments[1] ||
      mlirBlockGetNumArguments(ir::body(found.execute)) != segments[0]) {
    return std::nullopt;
  }
  return found;
}

bool isFreshResult(MlirOperation alloca, const SlabRegion &region) {
  return ir::isa(alloca, "stream.resource.alloca") &&
         !mlirOperationEqual(alloca, region.slab) &&
         ir::sameBlock(alloca, region.execute) &&
         ir::toString(mlirValueGetType(ir::result(alloca))).find("<staging>") ==
             std::string::npos &&
         usesEnd(ir::result(alloca), region.execute, true);
}

/// Visits the accesses of `op`, the command of that number or a part of it.
static bool visitCommand(MlirOperation execute, MlirOperation op,
                         int64_t command, const AccessVisitor &visit) {
  std::string_view name = ir::name(op);
  if (name == "stream.cmd.concurrent" || name == "stream.cmd.serial") {
    for (MlirBlock block : ir::blocks(op)) {
      for (MlirOperation nested : ir::operations(block)) {
        if (!visitCommand(execute, nested, command, visit)) {
          return false;
        }
      }
    }
    return true;
  }
  auto access = [&](intptr_t resource, intptr_t size, intptr_t offset,
                    intptr_t length) {
    MlirValue value = ir::operand(op, resource);
    if (!mlirValueIsABlockArgument(value) ||
        !mlirBlockEqual(mlirBlockArgumentGetOwner(value), ir::body(execute))) {
      return false;
    }
    return visit({op, command, mlirBlockArgumentGetArgNumber(value), resource,
                  size, offset, length});
  };
  const intptr_t count = mlirOperationGetNumOperands(op);
  if (name == "stream.cmd.fill" && count == 5) {
    return access(0, 1, 2, 3);
  }
  if (name == "stream.cmd.copy" && count == 7) {
    return access(0, 1, 2, 6) && access(3, 4, 5, 6);
  }
  std::vector<int64_t> segments = ir::operandSegments(op);
  if (name == "stream.cmd.dispatch" && segments.size() == 6 &&
      segments[2] == segments[3] && segments[2] == segments[4] &&
      segments[2] == segments[5]) {
    const intptr_t first = intptr_t(segments[0] + segments[1]);
    const intptr_t each = intptr_t(segments[2]);
    for (intptr_t i = first; i < first + each; ++i) {
      if (!access(i, i + each, i + 2 * each, i + 3 * each)) {
        return false;
      }
    }
    return true;
  }
  return name.rfind("stream.cmd.", 0) != 0 &&
         mlirOperationGetNumRegions(op) == 0;
}

bool visitAccesses(MlirOperation execute, const AccessVisitor &visit,
                   int64_t &commands) {
  for (MlirOperation op : ir::operations(ir::body(execute))) {
    if (!visitCommand(execute, op, commands, visit)) {
      return false;
    }
    commands += ir::name(op).rfind("stream.cmd.", 0) == 0;
  }
  return true;
}

namespace {

/// An argument of the function that nothing but this region looks at.
bool isSpareInput(MlirOperation import, MlirOperation execute,
                  InputMode inputs) {
  if (!ir::isa(import, "stream.tensor.import") ||
      !ir::sameBlock(import, execute) ||
      (inputs == InputMode::Keep && ir::isNull(ir::attr(import, "consume")))) {
    return false;
  }
  for (const ir::Use &use : ir::uses(ir::result(import))) {
    if (!mlirOperationEqual(use.owner, execute)) {
      return false;
    }
  }
  return isOnlyImport(import);
}

/// The size of an imported resource; null if there is none.
MlirValue importedSize(MlirOperation import) {
  std::vector<MlirValue> sizes = ir::indexOperands(import);
  return sizes.empty() ? MlirValue{nullptr} : sizes.back();
}

class Reader {
public:
  Reader(MlirOperation pack, const PackModel &model, InputMode inputs)
      : pack(pack), model(model), inputs(inputs) {}

  std::optional<ExternalMemoryModel> read();

private:
  bool findRegion();
  void findMemories();
  void addMemory(intptr_t capture, MlirValue root, int64_t offset);
  bool describeRoot(MlirValue root, ExternalMemory &memory) const;
  bool readUse(const CommandAccess &access);
  struct Part {
    int slice;
    int64_t at;
  };
  std::optional<Part> sliceAt(MlirValue offset) const;
  bool findLifetimes();
  void occupy();

  MlirOperation pack;
  const PackModel &model;
  InputMode inputs;
  ExternalMemoryModel found;
  /// Memory of every captured operand (-1: none of them), and where in it.
  std::vector<int> memoryOf;
  std::vector<int64_t> offsetOf;
  std::set<int> unknown; // memories that are touched at no constant place
  int64_t commands = 0;
};

bool Reader::findRegion() {
  std::optional<SlabRegion> region = findSlabRegion(pack);
  if (region) {
    static_cast<SlabRegion &>(found) = *region;
  }
  return region.has_value();
}

bool Reader::describeRoot(MlirValue root, ExternalMemory &memory) const {
  MlirOperation op = ir::definingOp(root);
  if (ir::isNull(op)) {
    return false;
  }
  memory.root = root;
  if (isFreshResult(op, found)) {
    std::vector<MlirValue> sizes = ir::indexOperands(op);
    memory.size = sizes.empty() ? MlirValue{nullptr} : sizes.front();
  } else if (isSpareInput(op, found.execute, inputs)) {
    memory.isInput = true;
    memory.argument = mlirBlockArgumentGetArgNumber(ir::operand(op, 0));
    memory.size = importedSize(op);
  } else {
    return false;
  }
  std::optional<int64_t> bytes =
      memory.size.ptr ? ir::constantInt(memory.size) : std::nullopt;
  memory.bytes = bytes.value_or(0);
  return memory.bytes > 0;
}

void Reader::addMemory(intptr_t capture, MlirValue root, int64_t offset) {
  for (size_t i = 0; i < found.memories.size(); ++i) {
    if (mlirValueEqual(found.memories[i].root, root)) {
      found.memories[i].captures.push_back(capture);
      found.memories[i].offsets.push_back(offset);
      memoryOf[size_t(capture)] = int(i);
      offsetOf[size_t(capture)] = offset;
      return;
    }
  }
  ExternalMemory memory;
  if (!describeRoot(root, memory)) {
    return;
  }
  found.memories.push_back(memory);
  addMemory(capture, root, offset);
}

void Reader::findMemories() {
  const intptr_t count = mlirBlockGetNumArguments(ir::body(found.execute));
  memoryOf.assign(size_t(count), -1);
  offsetOf.assign(size_t(count), 0);
  for (intptr_t k = 0; k < count; ++k) {
    MlirValue value = ir::operand(found.execute, k);
    MlirOperation op = ir::definingOp(value);
    if (k == found.slabCapture || ir::isNull(op)) {
      continue;
    }
    if (!ir::isa(op, "stream.resource.subview")) {
      addMemory(k, value, 0);
      continue;
    }
    // source, source size, source offset, result size
    std::vector<MlirValue> operands = ir::operands(op);
    std::optional<int64_t> offset =
        operands.size() == 4 ? ir::constantInt(operands[2]) : std::nullopt;
    if (offset) {
      addMemory(k, operands[0], *offset);
    }
  }
}

/// A slice and a constant part of it.
std::optional<Reader::Part> Reader::sliceAt(MlirValue offset) const {
  MlirOperation op = ir::definingOp(offset);
  if (ir::isNull(op)) {
    return std::nullopt;
  }
  if (mlirOperationEqual(op, pack)) {
    const intptr_t number = mlirOpResultGetResultNumber(offset) - 1;
    auto it = std::find(model.fixed.begin(), model.fixed.end(), size_t(number));
    if (number < 0 || it == model.fixed.end()) {
      return std::nullopt;
    }
    return Part{int(it - model.fixed.begin()), 0};
  }
  if (!ir::isa(op, "arith.addi")) {
    return std::nullopt;
  }
  for (int i : {0, 1}) {
    std::optional<Part> part = sliceAt(ir::operand(op, i));
    std::optional<int64_t> more = ir::constantInt(ir::operand(op, 1 - i));
    if (part && more) {
      return Part{part->slice, part->at + *more};
    }
  }
  return std::nullopt;
}

bool Reader::readUse(const CommandAccess &access) {
  MlirOperation op = access.op;
  const intptr_t capture = access.capture;
  MemoryUse use;
  static_cast<CommandAccess &>(use) = access;
  if (capture == found.slabCapture) {
    std::optional<Part> part = sliceAt(ir::operand(op, access.offset));
    if (!part) {
      return false;
    }
    use.slice = part->slice;
    use.at = part->at;
    found.uses.push_back(use);
    return true;
  }
  use.memory = memoryOf[size_t(capture)];
  if (use.memory < 0) {
    return true;
  }
  std::optional<int64_t> at = ir::constantInt(ir::operand(op, access.offset));
  std::optional<int64_t> bytes =
      ir::constantInt(ir::operand(op, access.length));
  if (!at || !bytes) {
    unknown.insert(use.memory);
    return true;
  }
  use.at = *at + offsetOf[size_t(capture)];
  use.bytes = *bytes;
  found.uses.push_back(use);
  return true;
}

bool Reader::findLifetimes() {
  found.slices = model.slices;
  for (Slice &slice : found.slices) {
    slice.lower = std::numeric_limits<int64_t>::max();
    slice.upper = -1;
  }
  for (const MemoryUse &use : found.uses) {
    if (use.slice >= 0) {
      Slice &slice = found.slices[size_t(use.slice)];
      slice.lower = std::min(slice.lower, use.command);
      slice.upper = std::max(slice.upper, use.command + 1);
    }
  }
  return std::all_of(found.slices.begin(), found.slices.end(),
                     [](const Slice &slice) { return slice.upper > 0; });
}

/// Every byte of a result is occupied from its first use on, every byte of an
/// input until its last.
void Reader::occupy() {
  for (size_t m = 0; m < found.memories.size(); ++m) {
    const ExternalMemory &memory = found.memories[m];
    FixedRegion region;
    region.bytes = unknown.count(int(m)) ? 0 : memory.bytes;
    std::set<int64_t> cuts;
    for (const MemoryUse &use : found.uses) {
      if (use.memory == int(m)) {
        cuts.insert({use.at, use.at + use.bytes});
      }
    }
    for (auto cut = cuts.begin();
         cut != cuts.end() && std::next(cut) != cuts.end(); ++cut) {
      const int64_t lower = *cut;
      const int64_t upper = *std::next(cut);
      Slice own;
      own.lower = commands;
      own.upper = -1;
      for (const MemoryUse &use : found.uses) {
        if (use.memory == int(m) && use.at < upper &&
            lower < use.at + use.bytes) {
          own.lower = std::min(own.lower, use.command);
          own.upper = std::max(own.upper, use.command + 1);
        }
      }
      if (own.upper < 0) {
        continue;
      }
      (memory.isInput ? own.lower : own.upper) = memory.isInput ? 0 : commands;
      own.bytes = upper - lower;
      own.fixedOffset = lower;
      region.occupied.push_back(own);
    }
    found.regions.push_back(std::move(region));
  }
}

std::optional<ExternalMemoryModel> Reader::read() {
  if (model.offset || !model.dynamic.empty() || !model.empty.empty() ||
      model.slices.empty() || !findRegion()) {
    return std::nullopt;
  }
  findMemories();
  auto read = [this](const CommandAccess &access) { return readUse(access); };
  if (found.memories.empty() || !visitAccesses(found.execute, read, commands) ||
      !findLifetimes()) {
    return std::nullopt;
  }
  occupy();
  return std::move(found);
}

} // namespace

std::optional<ExternalMemoryModel> readExternalMemory(MlirOperation pack,
                                                      const PackModel &model,
                                                      InputMode inputs) {
  return Reader(pack, model, inputs).read();
}

void markReusable(RegionModel &region, InputMode inputs) {
  // The results of a region share an allocation.
  bool fresh = true;
  for (MlirValue result : ir::results(region.execute)) {
    for (const ir::Use &use : ir::uses(result)) {
      fresh &= !ir::isa(use.owner, "stream.async.execute");
    }
  }
  for (const RegionBuffer &buffer : region.buffers) {
    if (buffer.size.ptr) {
      return; // a size that is known only at run time
    }
  }
  for (RegionBuffer &buffer : region.buffers) {
    if (buffer.isResult) {
      buffer.isReusable = fresh && !buffer.isArgument;
      continue;
    }
    if (!buffer.isArgument) {
      continue;
    }
    MlirOperation import = ir::definingOp(ir::operand(
        region.execute, mlirBlockArgumentGetArgNumber(buffer.root)));
    if (ir::isNull(import) || !isSpareInput(import, region.execute, inputs)) {
      continue;
    }
    std::optional<int64_t> bytes = ir::constantInt(importedSize(import));
    if (bytes && *bytes > 0) {
      buffer.bytes = *bytes;
      buffer.isReusable = true;
    }
  }
}

std::vector<FixedRegion> heldRegions(const RegionModel &model,
                                     const RegionPlan &plan,
                                     const std::vector<OpId> &order,
                                     int64_t alignment) {
  std::vector<int64_t> position(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    position[size_t(order[i])] = int64_t(i);
  }
  std::vector<FixedRegion> regions(1); // the results
  std::vector<std::pair<int, int64_t>> placeOf(model.buffers.size());
  for (size_t b = 0; b < model.buffers.size(); ++b) {
    const RegionBuffer &buffer = model.buffers[b];
    if (!buffer.isReusable) {
      continue;
    }
    const int64_t bytes = alignUp(buffer.bytes, alignment);
    if (buffer.isArgument) {
      placeOf[b] = {int(regions.size()), 0};
      regions.emplace_back();
      regions.back().bytes = bytes;
    } else {
      placeOf[b] = {0, regions[0].bytes};
      regions[0].bytes += bytes;
    }
  }
  for (const HeldPiece &piece : plan.held) {
    Slice own;
    own.lower = int64_t(order.size());
    own.upper = 0;
    for (OpId user : piece.users) {
      own.lower = std::min(own.lower, position[size_t(user)]);
      own.upper = std::max(own.upper, position[size_t(user)] + 1);
    }
    if (model.buffers[size_t(piece.buffer)].isArgument) {
      own.lower = 0;
    } else {
      own.upper = int64_t(order.size());
    }
    const auto &place = placeOf[size_t(piece.buffer)];
    own.bytes = piece.upper - piece.lower;
    own.fixedOffset = place.second + piece.lower;
    regions[size_t(place.first)].occupied.push_back(own);
  }
  return regions;
}

void redirect(const CommandAccess &access, MlirOperation execute,
              intptr_t capture, MlirValue size, MlirValue offset) {
  mlirOperationSetOperand(access.op, access.resource,
                          mlirBlockGetArgument(ir::body(execute), capture));
  mlirOperationSetOperand(access.op, access.size, size);
  mlirOperationSetOperand(access.op, access.offset, offset);
}

intptr_t captureSize(MlirOperation execute, intptr_t k) {
  return k + intptr_t(ir::operandSegments(execute)[0]);
}

} // namespace serenity

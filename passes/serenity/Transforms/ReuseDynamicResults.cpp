// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/ReuseDynamicResults.h"

#include "serenity/Analysis/SizeReader.h"
#include "serenity/Core/Alignment.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Report/SlabCommands.h"
#include "serenity/Transforms/ExternalMemory.h"

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

namespace serenity {

namespace {

constexpr int64_t never = std::numeric_limits<int64_t>::max();

/// A captured result.
struct ResultMemory {
  intptr_t capture = 0;
  MlirValue size = {};
  SizePolynomial bytes;
  int64_t firstUse = never; // a command
  std::vector<size_t> held; // slices
};

/// A slice of the pack. Time is counted in commands.
struct DynamicSlice {
  SizePolynomial bytes;
  int64_t bytesAtHint = 0; // aligned
  int64_t first = never;
  int64_t last = -1;
  int memory = -1; // where it moves
};

/// An access to a slice: the offset is that of the slice, or `rest` behind it.
struct SliceAccess {
  CommandAccess access;
  size_t slice = 0;
  MlirValue rest = {};
};

class Mover {
public:
  Mover(MlirOperation pack, const PackModel &model, const PackOptions &packing,
        const Options &options)
      : pack(pack), model(model), packing(packing), sizes(options) {}

  /// False if the region is not understood, or no buffer can move.
  bool choose();
  void write();
  void describe(RegionReport &report) const;
  int64_t liveBytes() const;

private:
  bool readSizes();
  void findMemories();
  void addMemory(intptr_t capture);
  bool readAccess(const CommandAccess &access);
  bool fits(size_t slice, const ResultMemory &memory) const;
  bool place(size_t slice);
  int64_t liveAt(int64_t command) const;
  bool isAliveAt(size_t slice, int64_t command) const {
    return slices[slice].memory < 0 && slices[slice].first <= command &&
           command <= slices[slice].last;
  }
  bool placeAtPeak();

  MlirOperation pack;
  const PackModel &model;
  const PackOptions &packing;
  SizeReader sizes;
  SlabRegion region;
  std::vector<DynamicSlice> slices; // as in the pack
  std::vector<ResultMemory> memories;
  std::vector<SliceAccess> accesses;
  int64_t commands = 0;
  size_t numLeft = 0;
};

} // namespace

bool Mover::readSizes() {
  for (MlirValue size : model.sizes) {
    std::optional<SizePolynomial> bytes = sizes.read(size);
    std::optional<int64_t> atHint = sizes.atHint(size);
    if (!bytes || !atHint || *atHint < 0 ||
        *atHint > never - packing.rangeAlignment) {
      return false;
    }
    DynamicSlice slice;
    slice.bytes = *bytes;
    slice.bytesAtHint = alignUp(*atHint, packing.rangeAlignment);
    slices.push_back(slice);
  }
  return true;
}

/// Whether `value` is all of a fresh allocation for results, or a view of one
/// beside which the region captures other slices of the same pack alone.
static bool isSoleView(MlirValue value, const SlabRegion &region) {
  MlirOperation op = ir::definingOp(value);
  const bool isView = !ir::isNull(op) && ir::isa(op, "stream.resource.subview");
  MlirOperation alloca = isView ? ir::definingOp(ir::operand(op, 0)) : op;
  if (ir::isNull(alloca) || !isFreshResult(alloca, region)) {
    return false;
  }
  // source, source size, source offset, result size
  auto sliceOf = [](MlirOperation view) {
    MlirValue offset = ir::operand(view, 2);
    MlirOperation from = ir::definingOp(offset);
    return ir::isNull(from) || !ir::isa(from, "stream.resource.pack")
               ? MlirValue{nullptr}
               : offset;
  };
  MlirValue own = isView ? sliceOf(op) : MlirValue{nullptr};
  if (isView && !own.ptr) {
    return false;
  }
  for (intptr_t k = 0; k < mlirBlockGetNumArguments(ir::body(region.execute));
       ++k) {
    MlirValue other = ir::operand(region.execute, k);
    MlirOperation view = ir::definingOp(other);
    if (mlirValueEqual(other, value) || ir::isNull(view)) {
      continue;
    }
    const bool viewed =
        ir::isa(view, "stream.resource.subview") &&
        mlirValueEqual(ir::operand(view, 0), ir::result(alloca));
    MlirValue at = viewed ? sliceOf(view) : MlirValue{nullptr};
    if (mlirOperationEqual(view, alloca) ||
        (viewed &&
         (!isView || !at.ptr || mlirValueEqual(at, own) ||
          !mlirOperationEqual(ir::definingOp(at), ir::definingOp(own))))) {
      return false;
    }
  }
  return true;
}

void Mover::addMemory(intptr_t capture) {
  MlirValue value = ir::operand(region.execute, capture);
  if (!isSoleView(value, region)) {
    return;
  }
  ResultMemory memory;
  memory.capture = capture;
  memory.size =
      ir::operand(region.execute, captureSize(region.execute, capture));
  std::optional<SizePolynomial> bytes = sizes.read(memory.size);
  if (bytes) {
    memory.bytes = *bytes;
    memories.push_back(memory);
  }
}

void Mover::findMemories() {
  const intptr_t count = mlirBlockGetNumArguments(ir::body(region.execute));
  std::set<const void *> twice;
  std::set<const void *> seen;
  for (intptr_t k = 0; k < count; ++k) {
    const void *captured = ir::key(ir::operand(region.execute, k));
    if (!seen.insert(captured).second) {
      twice.insert(captured);
    }
  }
  for (intptr_t k = 0; k < count; ++k) {
    if (k != region.slabCapture &&
        !twice.count(ir::key(ir::operand(region.execute, k)))) {
      addMemory(k);
    }
  }
}

bool Mover::readAccess(const CommandAccess &access) {
  if (access.capture != region.slabCapture) {
    for (ResultMemory &memory : memories) {
      if (memory.capture == access.capture) {
        memory.firstUse = std::min(memory.firstUse, access.command);
      }
    }
    return true;
  }
  MlirValue offset = ir::operand(access.op, access.offset);
  MlirOperation op = ir::definingOp(offset);
  SliceAccess found;
  found.access = access;
  auto isSlice = [&](MlirValue value) {
    MlirOperation from = ir::definingOp(value);
    return !ir::isNull(from) && mlirOperationEqual(from, pack) &&
           mlirOpResultGetResultNumber(value) > 0;
  };
  if (!ir::isNull(op) && ir::isa(op, "arith.addi")) {
    const int base = isSlice(ir::operand(op, 0)) ? 0 : 1;
    offset = ir::operand(op, base);
    found.rest = ir::operand(op, 1 - base);
  }
  if (!isSlice(offset)) {
    return false;
  }
  found.slice = size_t(mlirOpResultGetResultNumber(offset)) - 1;
  DynamicSlice &slice = slices[found.slice];
  slice.first = std::min(slice.first, access.command);
  slice.last = std::max(slice.last, access.command);
  accesses.push_back(found);
  return true;
}

bool Mover::fits(size_t index, const ResultMemory &memory) const {
  const DynamicSlice &slice = slices[index];
  return slice.bytesAtHint > 0 && slice.last >= 0 &&
         slice.last < memory.firstUse && slice.bytes.isAtMost(memory.bytes) &&
         std::all_of(
             memory.held.begin(), memory.held.end(),
             [&](size_t other) {
               return slices[other].last < slice.first ||
                      slice.last < slices[other].first;
             });
}

bool Mover::place(size_t slice) {
  for (size_t m = 0; numLeft > 1 && m < memories.size(); ++m) {
    if (fits(slice, memories[m])) {
      memories[m].held.push_back(slice);
      slices[slice].memory = int(m);
      --numLeft;
      return true;
    }
  }
  return false;
}

int64_t Mover::liveAt(int64_t command) const {
  int64_t sum = 0;
  for (size_t i = 0; i < slices.size(); ++i) {
    if (isAliveAt(i, command) &&
        __builtin_add_overflow(sum, slices[i].bytesAtHint, &sum)) {
      return never;
    }
  }
  return sum;
}

int64_t Mover::liveBytes() const {
  int64_t most = 0;
  for (int64_t command = 0; command < commands; ++command) {
    most = std::max(most, liveAt(command));
  }
  return most;
}

/// Moves the largest slice at the first peak that can move.
bool Mover::placeAtPeak() {
  const int64_t peak = liveBytes();
  int64_t command = 0;
  while (command < commands && liveAt(command) != peak) {
    ++command;
  }
  std::vector<size_t> alive;
  for (size_t i = 0; i < slices.size(); ++i) {
    if (isAliveAt(i, command)) {
      alive.push_back(i);
    }
  }
  std::stable_sort(alive.begin(), alive.end(), [&](size_t a, size_t b) {
    return slices[a].bytesAtHint > slices[b].bytesAtHint;
  });
  return std::any_of(alive.begin(), alive.end(),
                     [&](size_t slice) { return place(slice); });
}

bool Mover::choose() {
  std::optional<SlabRegion> found = findSlabRegion(pack);
  if (model.offset || !found || !readSizes()) {
    return false;
  }
  region = *found;
  findMemories();
  auto visit = [this](const CommandAccess &access) {
    return readAccess(access);
  };
  if (memories.empty() || !visitAccesses(region.execute, visit, commands)) {
    return false;
  }
  numLeft = slices.size();
  const size_t all = numLeft;
  while (placeAtPeak()) {
  }
  // At other sizes the peak is elsewhere.
  std::vector<size_t> order(slices.size());
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return slices[a].bytesAtHint > slices[b].bytesAtHint;
  });
  for (size_t slice : order) {
    if (slices[slice].memory < 0) {
      place(slice);
    }
  }
  return numLeft < all;
}

void Mover::write() {
  ir::IndexConstants constants(region.execute);
  for (const SliceAccess &use : accesses) {
    const int number = slices[use.slice].memory;
    if (number < 0) {
      continue;
    }
    const ResultMemory &memory = memories[size_t(number)];
    redirect(use.access, region.execute, memory.capture, memory.size,
             use.rest.ptr ? use.rest : constants.get(0));
  }
  std::vector<KeptSlice> kept;
  for (size_t i = 0; i < slices.size(); ++i) {
    if (slices[i].memory < 0) {
      kept.push_back({i, model.intervals[2 * i], model.intervals[2 * i + 1]});
    }
  }
  shrinkPack(pack, model, kept);
}

void Mover::describe(RegionReport &report) const {
  for (size_t i = 0; i < slices.size(); ++i) {
    if (slices[i].memory < 0) {
      continue;
    }
    ReusedMemoryReport moved;
    moved.memory = "result";
    moved.bytes = slices[i].bytesAtHint;
    for (const SliceAccess &use : accesses) {
      if (use.slice == i && commandWrites(use.access.op, use.access.resource)) {
        moved.name = commandName(use.access.op);
        break;
      }
    }
    report.reused.push_back(std::move(moved));
  }
  // Proved for a region that has no other memory.
  report.lowerBoundBytes = 0;
}

std::optional<int64_t> reuseDynamicResults(MlirOperation pack,
                                           const PackModel &model,
                                           const PackOptions &packing,
                                           const Options &options,
                                           RegionReport *report) {
  Mover mover(pack, model, packing, options);
  if (!mover.choose()) {
    return std::nullopt;
  }
  if (report) {
    mover.describe(*report);
  }
  const int64_t live = mover.liveBytes();
  mover.write();
  return live;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/ResultsInInputs.h"

#include "serenity/Core/Alignment.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

namespace serenity {

namespace {

/// A result keeps the whole buffer of the input alive. It is not moved where
/// that is more than so many times its bytes, as less would be saved in a call
/// than held after it.
constexpr int64_t maxInputPerResult = 16;
/// Placements of results that are compared, each with a layout of the slab.
constexpr int maxComparisons = 64;

/// The number of the result that `value` is returned as, if that is all that is
/// done with it behind `execute`.
std::optional<int64_t> returnedAs(MlirValue value, MlirOperation execute) {
  std::optional<int64_t> number;
  for (const ir::Use &use : ir::uses(value)) {
    std::optional<int64_t> here;
    if (mlirOperationEqual(use.owner, execute)) {
      continue;
    }
    if (ir::isa(use.owner, "stream.timepoint.await")) {
      // Results of an await are its first operands.
      MlirValue awaited = ir::result(use.owner, use.operandNumber);
      if (!ir::hasUses(awaited)) {
        continue;
      }
      here = returnedAs(awaited, execute);
    } else if (ir::isa(use.owner, "stream.tensor.export")) {
      here = returnedAs(ir::result(use.owner), execute);
    } else if (ir::isa(use.owner, "util.return")) {
      here = use.operandNumber;
    }
    if (!here) {
      return std::nullopt;
    }
    number = number ? std::min(*number, *here) : *here;
  }
  return number;
}

/// The operand of an alloca with its size.
intptr_t sizeOperand(MlirOperation alloca) {
  MlirValue size = ir::indexOperands(alloca).front();
  intptr_t operand = 0;
  while (!mlirValueEqual(ir::operand(alloca, operand), size)) {
    ++operand;
  }
  return operand;
}

/// The results in allocation `m` of the region; none unless all of its uses are
/// understood.
std::vector<ResultView> viewsOf(const ExternalMemoryModel &region, int m) {
  const ExternalMemory &memory = region.memories[size_t(m)];
  std::vector<ResultView> views;
  if (region.regions[size_t(m)].bytes < memory.bytes) {
    return {}; // touched at no constant place
  }
  for (size_t i = 0; i < memory.captures.size(); ++i) {
    ResultView view;
    view.value = ir::operand(region.execute, memory.captures[i]);
    view.memory = m;
    view.at = memory.offsets[i];
    if (std::any_of(views.begin(), views.end(), [&](const ResultView &other) {
          return mlirValueEqual(other.value, view.value);
        })) {
      continue;
    }
    std::optional<int64_t> bytes = ir::constantInt(ir::operand(
        region.execute, captureSize(region.execute, memory.captures[i])));
    std::optional<int64_t> number = returnedAs(view.value, region.execute);
    const bool isRoot = mlirValueEqual(view.value, memory.root);
    if (!bytes || !number || (isRoot && memory.captures.size() > 1)) {
      return {};
    }
    view.bytes = *bytes;
    view.number = *number;
    for (const Slice &own : region.regions[size_t(m)].occupied) {
      if (view.at <= *own.fixedOffset &&
          *own.fixedOffset + own.bytes <= view.at + view.bytes) {
        view.pieces.push_back(own);
        view.pieces.back().fixedOffset = *own.fixedOffset - view.at;
      }
    }
    views.push_back(std::move(view));
  }
  // Nothing else is a part of the allocation, and no two results share bytes.
  for (const ir::Use &use : ir::uses(memory.root)) {
    const bool isView =
        ir::isa(use.owner, "stream.resource.subview") &&
        std::any_of(views.begin(), views.end(), [&](const ResultView &view) {
          return mlirValueEqual(view.value, ir::result(use.owner));
        });
    if (!isView && !mlirValueEqual(views.front().value, memory.root)) {
      return {};
    }
  }
  std::sort(
      views.begin(), views.end(),
      [](const ResultView &a, const ResultView &b) { return a.at < b.at; });
  size_t pieces = 0;
  for (size_t i = 0; i < views.size(); ++i) {
    pieces += views[i].pieces.size();
    if (i > 0 && views[i].at < views[i - 1].at + views[i - 1].bytes) {
      return {};
    }
  }
  if (pieces != region.regions[size_t(m)].occupied.size()) {
    return {};
  }
  return views;
}

class Planner {
public:
  Planner(const ExternalMemoryModel &region, const PackOptions &packing)
      : region(region), packing(packing),
        unit(std::lcm(packing.offsetAlignment, packing.rangeAlignment)) {}

  ResultsPlan run(const Options &options);

private:
  void place(ResultsPlan &plan) const;
  bool evaluate(std::vector<ResultView> views, ResultsPlan &best);
  std::optional<int64_t> findOffset(const std::vector<ResultView> &views,
                                    const ResultView &view, int input) const;
  bool isFree(const std::vector<ResultView> &views, const ResultView &view,
              int input, int64_t offset) const;
  std::vector<ResultView> moveAll(std::vector<ResultView> views) const;
  bool moveOne(ResultsPlan &best);
  bool valid(const ResultsPlan &plan) const;

  const ExternalMemoryModel &region;
  const PackOptions &packing;
  int64_t unit;
  std::optional<int64_t> slabLimit;
  int comparisons = 0;
};

/// Puts the results in their places, and the slab beside them.
void Planner::place(ResultsPlan &plan) const {
  plan.regions = region.regions;
  plan.resultBytes = 0;
  plan.movedBytes = 0;
  for (size_t m = 0; m < region.memories.size(); ++m) {
    if (region.memories[m].isInput) {
      continue;
    }
    std::vector<ResultView *> kept;
    bool moved = false;
    for (ResultView &view : plan.views) {
      if (view.memory == int(m) && view.input >= 0) {
        moved = true;
        plan.movedBytes += view.bytes;
        std::vector<Slice> &occupied =
            plan.regions[size_t(view.input)].occupied;
        for (Slice piece : view.pieces) {
          piece.fixedOffset = *piece.fixedOffset + view.offset;
          occupied.push_back(piece);
        }
      } else if (view.memory == int(m)) {
        kept.push_back(&view);
      }
    }
    if (!moved) {
      plan.resultBytes += region.memories[m].bytes;
      continue;
    }
    FixedRegion rest;
    for (ResultView *view : kept) {
      view->offset = rest.bytes;
      rest.bytes += kept.size() == 1 ? view->bytes : alignUp(view->bytes, unit);
      for (Slice piece : view->pieces) {
        piece.fixedOffset = *piece.fixedOffset + view->offset;
        rest.occupied.push_back(piece);
      }
    }
    plan.resultBytes += rest.bytes;
    plan.regions[m] = std::move(rest);
  }
  plan.slab = packBeside(region.slices, plan.regions, packing);
}

/// Takes `views` if they lower the sum.
bool Planner::evaluate(std::vector<ResultView> views, ResultsPlan &best) {
  ++comparisons;
  ResultsPlan plan;
  plan.views = std::move(views);
  place(plan);
  if ((slabLimit && plan.slab.slabBytes > *slabLimit) ||
      plan.slab.slabBytes + plan.resultBytes >=
          best.slab.slabBytes + best.resultBytes ||
      !valid(plan)) {
    return false;
  }
  best = std::move(plan);
  return true;
}

bool Planner::isFree(const std::vector<ResultView> &views,
                     const ResultView &view, int input, int64_t offset) const {
  auto clash = [&](const Slice &piece, const Slice &own, int64_t at) {
    const int64_t lower = *piece.fixedOffset + offset;
    return piece.lower < own.upper && own.lower < piece.upper &&
           lower < at + own.bytes && at < lower + piece.bytes;
  };
  for (const Slice &piece : view.pieces) {
    for (const Slice &own : region.regions[size_t(input)].occupied) {
      if (clash(piece, own, *own.fixedOffset)) {
        return false;
      }
    }
    for (const ResultView &other : views) {
      if (other.input != input) {
        continue;
      }
      for (const Slice &own : other.pieces) {
        if (clash(piece, own, *own.fixedOffset + other.offset)) {
          return false;
        }
      }
    }
  }
  return true;
}

/// The lowest place for `view` in an input: at its start, at its end, or beside
/// another result.
std::optional<int64_t> Planner::findOffset(const std::vector<ResultView> &views,
                                           const ResultView &view,
                                           int input) const {
  const int64_t bytes = region.regions[size_t(input)].bytes;
  if (!region.memories[size_t(input)].isInput || bytes < view.bytes) {
    return std::nullopt;
  }
  int64_t held = view.bytes;
  std::vector<int64_t> offsets = {0, (bytes - view.bytes) / unit * unit};
  for (const ResultView &other : views) {
    if (other.input == input) {
      held += other.bytes;
      offsets.push_back(alignUp(other.offset + other.bytes, unit));
    }
  }
  if (bytes / maxInputPerResult > held) {
    return std::nullopt;
  }
  std::sort(offsets.begin(), offsets.end());
  for (int64_t offset : offsets) {
    if (offset + view.bytes <= bytes && isFree(views, view, input, offset)) {
      return offset;
    }
  }
  return std::nullopt;
}

/// Moves results to the smallest inputs with room for them, large ones first.
std::vector<ResultView> Planner::moveAll(std::vector<ResultView> views) const {
  std::vector<size_t> order(views.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return views[a].bytes > views[b].bytes;
  });
  for (size_t i : order) {
    int smallest = -1;
    for (size_t m = 0; m < region.memories.size(); ++m) {
      std::optional<int64_t> offset = findOffset(views, views[i], int(m));
      if (offset &&
          (smallest < 0 ||
           region.regions[m].bytes < region.regions[size_t(smallest)].bytes)) {
        smallest = int(m);
        views[i].offset = *offset;
      }
    }
    views[i].input = smallest;
  }
  return views;
}

/// The first move of one result, to or from an input, that lowers the sum.
bool Planner::moveOne(ResultsPlan &best) {
  for (size_t i = 0; i < best.views.size(); ++i) {
    std::vector<ResultView> views = best.views;
    views[i].input = -1;
    for (int m = -1; m < int(region.memories.size()); ++m) {
      if (comparisons >= maxComparisons) {
        return false;
      }
      std::optional<int64_t> offset =
          m < 0 ? 0 : findOffset(views, views[i], m);
      if (!offset || m == best.views[i].input) {
        continue;
      }
      std::vector<ResultView> wanted = views;
      wanted[i].input = m;
      wanted[i].offset = *offset;
      if (evaluate(std::move(wanted), best)) {
        return true;
      }
    }
  }
  return false;
}

/// Judges the places of results by code that did not choose them.
bool Planner::valid(const ResultsPlan &plan) const {
  std::vector<Slice> slices;
  std::vector<RegionPlacement> places;
  for (const ResultView &view : plan.views) {
    if (view.input < 0) {
      continue;
    }
    for (const Slice &piece : view.pieces) {
      // Offsets of pieces are those of commands: not aligned.
      Slice moved = piece;
      moved.alignment = 1;
      moved.fixedOffset = std::nullopt;
      slices.push_back(moved);
      places.push_back({view.input, view.offset + *piece.fixedOffset});
    }
  }
  PackOptions bytewise = packing;
  bytewise.offsetAlignment = 1;
  bytewise.rangeAlignment = 1;
  return bool(verifyBeside(slices, region.regions, bytewise, places));
}

ResultsPlan Planner::run(const Options &options) {
  ResultsPlan best;
  for (size_t m = 0; m < region.memories.size(); ++m) {
    if (!region.memories[m].isInput) {
      std::vector<ResultView> views = viewsOf(region, int(m));
      best.views.insert(best.views.end(), views.begin(), views.end());
    }
  }
  place(best);
  if (!options.resultsInInputs) {
    return best;
  }
  if (options.keepSlab) {
    slabLimit = best.slab.slabBytes;
  }
  std::vector<ResultView> all = moveAll(best.views);
  if (std::all_of(all.begin(), all.end(),
                  [](const ResultView &view) { return view.input < 0; })) {
    return best;
  }
  evaluate(std::move(all), best);
  while (moveOne(best)) {
  }
  return best;
}

} // namespace

ResultsPlan planResults(const ExternalMemoryModel &region,
                        const PackOptions &packing, const Options &options) {
  return Planner(region, packing).run(options);
}

MlirValue immediateTimepoint(MlirOperation op) {
  MlirType type = mlirTypeParseGet(mlirOperationGetContext(op),
                                   ir::strRef("!stream.timepoint"));
  MlirOperation now = ir::create("stream.timepoint.immediate",
                                 mlirOperationGetLocation(op), {}, {type});
  ir::insertBefore(op, now);
  return ir::result(now);
}

namespace {

class Mover {
public:
  Mover(ExternalMemoryModel &region, const ResultsPlan &plan)
      : region(region), plan(plan), constants(region.execute) {}

  void run();

private:
  void moveToInput(const ResultView &view);
  void shrink(int memory);
  void drop(int memory);

  ExternalMemoryModel &region;
  const ResultsPlan &plan;
  ir::IndexConstants constants;
};

void Mover::moveToInput(const ResultView &view) {
  const ExternalMemory &input = region.memories[size_t(view.input)];
  const ExternalMemory &old = region.memories[size_t(view.memory)];
  for (MemoryUse &use : region.uses) {
    if (use.memory == view.memory && view.at <= use.at &&
        use.at + use.bytes <= view.at + view.bytes) {
      use.memory = view.input;
      use.at += view.offset - view.at;
      redirect(use, region.execute, input.captures.front(), input.size,
               constants.get(use.at));
    }
  }
  // The captures become ones that nothing uses, for IREE to drop.
  for (intptr_t capture : old.captures) {
    if (mlirValueEqual(ir::operand(region.execute, capture), view.value)) {
      mlirOperationSetOperand(region.execute, capture, input.root);
      mlirOperationSetOperand(region.execute,
                              captureSize(region.execute, capture), input.size);
    }
  }
  MlirOperation part = ir::create(
      "stream.resource.subview", mlirOperationGetLocation(region.execute),
      {input.root, input.size, constants.get(view.offset),
       constants.get(view.bytes)},
      {mlirValueGetType(view.value)});
  ir::insertBefore(region.execute, part);
  mlirValueReplaceAllUsesOfWith(view.value, ir::result(part));
}

/// Lays out the results that remain in an allocation.
void Mover::shrink(int memory) {
  ExternalMemory &left = region.memories[size_t(memory)];
  MlirOperation alloca = ir::definingOp(left.root);
  ir::IndexConstants early(alloca);
  left.bytes = plan.regions[size_t(memory)].bytes;
  left.size = early.get(left.bytes);
  left.captures.clear();
  left.offsets.clear();
  mlirOperationSetOperand(alloca, sizeOperand(alloca), left.size);
  const intptr_t captures = ir::operandSegments(region.execute)[0];
  std::vector<MemoryUse *> uses;
  for (MemoryUse &use : region.uses) {
    if (use.memory == memory) {
      uses.push_back(&use);
    }
  }
  std::vector<int64_t> before;
  for (MemoryUse *use : uses) {
    before.push_back(use->at);
  }
  for (const ResultView &view : plan.views) {
    if (view.memory != memory) {
      continue;
    }
    MlirOperation part = ir::definingOp(view.value);
    if (view.input >= 0) {
      ir::erase(part);
      continue;
    }
    mlirOperationSetOperand(part, 1, left.size);
    mlirOperationSetOperand(part, 2, early.get(view.offset));
    for (intptr_t k = 0; k < captures; ++k) {
      if (mlirValueEqual(ir::operand(region.execute, k), view.value)) {
        left.captures.push_back(k);
        left.offsets.push_back(view.offset);
      }
    }
    for (size_t i = 0; i < uses.size(); ++i) {
      if (view.at <= before[i] && before[i] < view.at + view.bytes) {
        uses[i]->at = before[i] + view.offset - view.at;
      }
    }
  }
}

/// Removes an allocation that holds nothing any more. Its number stands for the
/// input that took its last result, without room.
void Mover::drop(int memory) {
  ExternalMemory &left = region.memories[size_t(memory)];
  MlirOperation alloca = ir::definingOp(left.root);
  for (const ResultView &view : plan.views) {
    MlirOperation part = ir::definingOp(view.value);
    if (view.memory != memory) {
      continue;
    }
    if (!mlirOperationEqual(part, alloca)) {
      ir::erase(part);
    }
    left = region.memories[size_t(view.input)];
  }
  if (ir::hasUses(ir::result(alloca, 1))) {
    mlirValueReplaceAllUsesOfWith(ir::result(alloca, 1),
                                  immediateTimepoint(alloca));
  }
  ir::erase(alloca);
}

void Mover::run() {
  for (size_t m = 0; m < region.memories.size(); ++m) {
    bool moved = false;
    bool kept = false;
    for (const ResultView &view : plan.views) {
      if (view.memory == int(m)) {
        moved |= view.input >= 0;
        kept |= view.input < 0;
      }
    }
    if (!moved) {
      continue;
    }
    for (const ResultView &view : plan.views) {
      if (view.memory == int(m) && view.input >= 0) {
        moveToInput(view);
      }
    }
    if (kept) {
      shrink(int(m));
    } else {
      drop(int(m));
    }
  }
  region.regions = plan.regions;
}

} // namespace

void moveResults(ExternalMemoryModel &region, const ResultsPlan &plan) {
  Mover(region, plan).run();
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Local improvement of large packings. Items that end too high do so at few
// moments, and the items that live near these decide whether that can be
// repaired: those are packed anew, with everything else where it is.

#include "serenity/Core/Packing/OffsetsInternal.h"

#include <algorithm>

namespace serenity {
namespace offsets {

namespace {

/// Items that are set free at a time: the nearest first, then more.
constexpr size_t kNeighbourhoods[] = {100, 400};
/// Of the squeaky wheel without progress, before the exact search is asked.
constexpr int kIterations = 40;
/// Steps from the height reached towards the bound are 1/2^k of the way.
constexpr int kSmallestStep = 6;

class Repair {
public:
  Repair(const Instance &instance, const PackRules &rules,
         const FirstFit &firstFit, Limits &limits)
      : instance(instance), rules(rules), firstFit(firstFit), limits(limits),
        role(instance.items.size(), Role::Away) {}

  /// Brings everything below `target`, or gives up and returns false.
  bool lower(std::vector<int64_t> &offsets, int64_t target);

private:
  enum class Role : uint8_t { Away, Free, Fixed };

  bool repairOffsets(std::vector<int64_t> &offsets, int64_t target,
                     int32_t item, size_t size);
  Instance restrict(const std::vector<int64_t> &offsets) const;

  const Instance &instance;
  const PackRules &rules;
  const FirstFit &firstFit;
  Limits &limits;
  std::vector<Role> role;
  std::vector<int32_t> freeItems, fixedItems;
};

bool Repair::lower(std::vector<int64_t> &offsets, int64_t target) {
  for (size_t i = 0; i < offsets.size(); ++i) {
    const int32_t item = static_cast<int32_t>(i);
    if (offsets[i] + instance.items[i].size <= target) {
      continue;
    }
    const bool repaired =
        std::any_of(std::begin(kNeighbourhoods), std::end(kNeighbourhoods),
                    [&](size_t size) {
                      return repairOffsets(offsets, target, item, size);
                    });
    if (!repaired) {
      return false;
    }
  }
  return true;
}

bool Repair::repairOffsets(std::vector<int64_t> &offsets, int64_t target,
                           int32_t item, size_t size) {
  // Breadth first, those of nearly the same lifetime first.
  freeItems = {item};
  fixedItems.clear();
  role[item] = Role::Free;
  const int64_t centre = instance.items[item].first + instance.items[item].last;
  auto distance = [&](int32_t i) {
    return std::abs(int64_t(instance.items[i].first) + instance.items[i].last -
                    centre);
  };
  std::vector<int32_t> ring;
  for (size_t k = 0; k < freeItems.size() && freeItems.size() < size; ++k) {
    const int32_t from = freeItems[k];
    ring.assign(firstFit.neighboursBegin(from), firstFit.neighboursEnd(from));
    std::stable_sort(ring.begin(), ring.end(), [&](int32_t a, int32_t b) {
      return distance(a) < distance(b);
    });
    for (int32_t i : ring) {
      if (role[i] == Role::Away && instance.items[i].fixedOffset < 0 &&
          freeItems.size() < size) {
        role[i] = Role::Free;
        freeItems.push_back(i);
      }
    }
  }
  // No item can stay above the target beside those.
  for (size_t k = 0; k < freeItems.size(); ++k) {
    const int32_t from = freeItems[k];
    for (const int32_t *i = firstFit.neighboursBegin(from);
         i != firstFit.neighboursEnd(from); ++i) {
      if (role[*i] == Role::Away) {
        const bool above = offsets[*i] + instance.items[*i].size > target;
        role[*i] = above ? Role::Free : Role::Fixed;
        (above ? freeItems : fixedItems).push_back(*i);
      }
    }
  }
  const Instance part = restrict(offsets);
  for (int32_t i : freeItems) {
    role[i] = Role::Away;
  }
  for (int32_t i : fixedItems) {
    role[i] = Role::Away;
  }
  std::vector<int64_t> found;
  auto take = [&] {
    for (size_t i = 0; i < part.items.size(); ++i) {
      offsets[part.items[i].slice] = found[i];
    }
    return true;
  };
  FirstFit fit(part);
  std::vector<int32_t> order;
  found = bestOfOrders(part, fit, target, limits, &order);
  const int64_t height = heightOf(part, found);
  if (height <= target) {
    return take();
  }
  found = improveOrder(part, fit, order, height, target, kIterations, limits);
  if (!found.empty() && heightOf(part, found) <= target) {
    return take();
  }
  BranchAndBound search(part, rules, limits);
  const int64_t budget = 100 + 2 * static_cast<int64_t>(freeItems.size());
  for (int32_t branchingOrder = 0; branchingOrder < 3 && !limits.stopped();
       ++branchingOrder) {
    const Feasibility answer =
        search.decide(target, branchingOrder, budget, found);
    if (answer == Feasibility::Infeasible) {
      return false;
    }
    if (answer == Feasibility::Feasible) {
      return take();
    }
  }
  return false;
}

/// The free items, and the fixed ones as far as they live beside those.
Instance Repair::restrict(const std::vector<int64_t> &offsets) const {
  int32_t first = instance.numSections;
  int32_t last = -1;
  for (int32_t i : freeItems) {
    first = std::min(first, instance.items[i].first);
    last = std::max(last, instance.items[i].last);
  }
  Instance part;
  part.granule = instance.granule;
  part.grid = instance.grid;
  part.windowed = instance.windowed;
  part.padded = instance.padded;
  part.lowerBound = instance.lowerBound;
  std::vector<int32_t> number(last - first + 2, 0);
  for (const std::vector<int32_t> *items : {&freeItems, &fixedItems}) {
    for (int32_t i : *items) {
      Item item = instance.items[i];
      const int32_t from = item.pieceBegin;
      const int32_t to = item.pieceEnd;
      item.slice = i;
      if (items == &fixedItems) {
        item.fixedOffset = offsets[i];
      }
      item.pieceBegin = static_cast<int32_t>(part.pieces.size());
      for (int32_t p = from; p < to; ++p) {
        Piece piece = instance.pieces[p];
        piece.begin = std::max(piece.begin, first) - first;
        piece.end = std::min(piece.end, last + 1) - first;
        if (piece.begin < piece.end) {
          part.pieces.push_back(piece);
          number[piece.begin] = number[piece.end] = 1;
        }
      }
      item.pieceEnd = static_cast<int32_t>(part.pieces.size());
      part.items.push_back(item);
    }
  }
  // Sections between which nothing changes are one.
  number[0] = 0;
  for (size_t s = 1; s < number.size(); ++s) {
    number[s] += number[s - 1];
  }
  for (Piece &piece : part.pieces) {
    piece.begin = number[piece.begin];
    piece.end = number[piece.end - 1] + 1;
    part.numSections = std::max(part.numSections, piece.end);
  }
  for (Item &item : part.items) {
    item.first = item.pieceBegin < item.pieceEnd ? part.numSections : 0;
    item.last = -1;
    for (int32_t p = item.pieceBegin; p < item.pieceEnd; ++p) {
      item.first = std::min(item.first, part.pieces[p].begin);
      item.last = std::max(item.last, part.pieces[p].end - 1);
    }
  }
  return part;
}

} // namespace

std::vector<int64_t> repair(const Instance &instance, const PackRules &rules,
                            const FirstFit &firstFit,
                            std::vector<int64_t> offsets, int64_t bound,
                            Limits &limits) {
  if (!firstFit.hasNeighbours()) {
    return offsets;
  }
  Repair repair(instance, rules, firstFit, limits);
  int step = 1;
  while (step <= kSmallestStep && !limits.expired()) {
    const int64_t height = heightOf(instance, offsets);
    if (height <= bound) {
      break;
    }
    const int64_t down = std::max<int64_t>((height - bound) >> step, 1);
    const int64_t target =
        std::max(alignDown(height - down, instance.grid), bound);
    std::vector<int64_t> attempt = offsets;
    if (repair.lower(attempt, target)) {
      offsets = std::move(attempt);
      step = 1;
    } else {
      ++step;
    }
  }
  return offsets;
}

} // namespace offsets
} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// State of the branch-and-bound search. Internal to Core/Packing.
//
// docs/offsets.md states the formulation and proves the inferences; in short:
//
// Every item has a domain [low, high] of offsets, every section a floor and a
// ceiling between which its undecided items must find room:
//
//      ceiling  ________
//              |        |____      An item can lie no lower than the highest
//              | room   |    |     floor below it, and a floor is no lower than
//              |    ____|    |     the lowest place of any of its items. Room
//              |___|         |     that is neither floor nor item is slack; it
//      floor       |_________|     runs out, and the search prunes.
//
// A node picks one section and one of its two ends. Either one of the items
// that can reach the floor lies on it, or none does, and then the floor rises
// to the lowest place at which one of them could lie on another item (an item
// that lies on nothing could as well fall to the floor, which is the former
// case). The same holds upside down for ceilings. The section with the fewest
// such cases is taken, so that tight instances hardly branch at all.

#ifndef SERENITY_CORE_PACKING_BRANCHANDBOUNDSTATE_H
#define SERENITY_CORE_PACKING_BRANCHANDBOUNDSTATE_H

#include "serenity/Core/Packing/OffsetsInternal.h"

#include <limits>
#include <optional>
#include <tuple>
#include <unordered_set>

namespace serenity {
namespace offsets {

/// SplitMix64.
inline uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15ull;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

/// 128 bits of a state; two states that agree in them are taken to be equal.
struct Signature {
  uint64_t a = 0;
  uint64_t b = 0;
  void add(uint64_t value) {
    a = mix(a ^ value);
    b = mix(b + value * 0xd6e8feb86659fd93ull);
  }
  bool operator==(const Signature &other) const {
    return a == other.a && b == other.b;
  }
};

struct SignatureHash {
  size_t operator()(const Signature &signature) const { return signature.a; }
};

/// One item in one section.
struct Cell {
  int32_t item;
  int32_t section;
  int32_t id; // index in the list of all cells, which is sorted by item
  int64_t lo;
  int64_t hi;
};

/// How a descent chooses the section to branch on and the item to try first.
struct Strategy {
  enum Sections { FewestThenSlack, FewestThenFailures, FewestPerFailure };
  enum Items { Length, Size, Area, LongArea, Crowd };
  Sections sections;
  Items items;
  bool ceilings; // also branch at ceilings, or only at floors
  bool fit;      // first the items that are flush with their neighbours
};

/// States of more items hardly ever come back.
constexpr size_t kMaxRememberedItems = 300;
constexpr size_t kMaxRemembered = size_t(4) << 20;
/// Pairs of more items in one section take longer to compare than they save.
constexpr size_t kMaxPrecedence = 24;

struct BranchAndBound::Impl {
  const Instance &instance;
  const PackRules rules;
  Limits &limits;
  int32_t numItems;
  int32_t numSections;
  int64_t capacity = -1;

  // Cells by section and by item, in compressed rows.
  std::vector<int64_t> sectionFirst, itemFirst;
  std::vector<Cell> sectionCells, itemCells;
  /// Least height of a cell that shares a section with the item.
  std::vector<int64_t> leastNeighbour;
  /// Most bytes in a section of the item.
  std::vector<int64_t> crowd;
  int64_t capacityScale = 1; // above all sizes
  /// Items of which a piece begins or ends with the section.
  std::vector<std::vector<int32_t>> beginningIn, endingIn;
  std::vector<uint8_t> full; // per section: no byte of the capacity is spare
  /// Interchangeable items have the same class.
  std::vector<int32_t> symmetryClass;

  // State. A cell is retired once the floor or the ceiling has passed it.
  std::vector<int64_t> low, high;      // per item
  std::vector<int64_t> floor, ceiling; // per section
  std::vector<int64_t> room;           // per section: bytes of its live cells
  /// Per section: its live cells are sectionCells[sectionFirst, liveEnd).
  std::vector<int64_t> liveEnd;
  std::vector<uint8_t> retired; // per cell id

  enum Kind : int32_t { Low, High, Floor, Ceiling, Retire };
  struct Change {
    Kind kind;
    int32_t index;
    int64_t before;
  };
  std::vector<Change> trail;

  // Sections to look at: for floors and ceilings, and, when those are at rest,
  // for the inferences that cost more.
  std::vector<int32_t> queue, lateQueue;
  std::vector<uint8_t> queued, lateQueued;

  std::unordered_set<Signature, SignatureHash> refuted;

  // How this descent branches.
  Strategy strategy;
  std::vector<int32_t> rank; // per item, of candidates the least goes first
  int64_t nodesLeft = 0;
  bool outOfNodes = false;
  int32_t depth = 0;
  int32_t maxDepth = 0;

  /// How often a section proved a state contradictory.
  std::vector<int64_t> failures; // per section

  /// The measures of a section for branching; recomputed after a change.
  struct Summary {
    bool valid = false;
    bool undecided = false; // some item is
    bool pending = false;   // a decided item lies between floor and ceiling
    /// At the floor and at the ceiling: items that can lie there, and the least
    /// rise of the floor if none does and they rest flat.
    int32_t candidates[2] = {0, 0};
    int64_t rise[2] = {0, 0};
  };
  std::vector<Summary> summaries;

  // Scratch.
  struct Job {
    int32_t item;
    int64_t height;
    int64_t release; // lowest begin
    int64_t latest;  // highest begin
    int64_t shift;   // from the item's offset to the begin
  };
  std::vector<Job> jobs;
  std::vector<std::tuple<int, int32_t, int32_t>> scores;

  /// Demanded in addition, by the section that they follow.
  std::vector<Joint> joints;
  std::vector<std::vector<int32_t>> jointsAfter;

  Impl(const Instance &instance, const PackRules &rules, Limits &limits,
       std::vector<Joint> demanded)
      : instance(instance), rules(rules), limits(limits),
        numItems(static_cast<int32_t>(instance.items.size())),
        numSections(instance.numSections), joints(std::move(demanded)) {
    build();
    jointsAfter.resize(joints.empty() ? 0 : numSections);
    for (size_t k = 0; k < joints.size(); ++k) {
      jointsAfter[joints[k].section].push_back(static_cast<int32_t>(k));
    }
    failures.assign(numSections, 1);
    // Chains of gaps could otherwise overflow the stack.
    maxDepth = std::min(4 * numItems + 100, 20000);
  }

  void build();
  void choose(int32_t branchingOrder);
  bool reset(int64_t newCapacity);

  void touch(int32_t section) {
    if (!queued[section]) {
      queued[section] = 1;
      queue.push_back(section);
    }
  }
  void touchLate(int32_t section) {
    if (!lateQueued[section]) {
      lateQueued[section] = 1;
      lateQueue.push_back(section);
    }
  }
  bool setLow(int32_t item, int64_t value) {
    value = alignUp(value, instance.items[item].alignment);
    if (value <= low[item]) {
      return true;
    }
    const int64_t before = low[item];
    trail.push_back({Low, item, before});
    low[item] = value;
    for (int64_t c = itemFirst[item]; c < itemFirst[item + 1]; ++c) {
      const Cell &cell = itemCells[c];
      if (!retired[c]) {
        // Only an item that lay on the floor held it down.
        if (before + cell.lo <= floor[cell.section] || value == high[item]) {
          touch(cell.section);
        }
        touchLate(cell.section);
        summaries[cell.section].valid = false;
      }
    }
    return value <= high[item];
  }
  bool setHigh(int32_t item, int64_t value) {
    value = alignDown(value, instance.items[item].alignment);
    if (value >= high[item]) {
      return true;
    }
    const int64_t before = high[item];
    trail.push_back({High, item, before});
    high[item] = value;
    for (int64_t c = itemFirst[item]; c < itemFirst[item + 1]; ++c) {
      const Cell &cell = itemCells[c];
      if (!retired[c]) {
        if (before + cell.hi >= ceiling[cell.section] || value == low[item]) {
          touch(cell.section);
        }
        touchLate(cell.section);
        summaries[cell.section].valid = false;
      }
    }
    return value >= low[item];
  }
  void undo(size_t mark);
  bool propagate();
  bool propagateSection(int32_t section);
  bool propagateLate(int32_t section);
  bool joinFullSections(int32_t section);
  bool keepJoints(int32_t section);
  void invalidate(int32_t item) {
    for (int64_t c = itemFirst[item]; c < itemFirst[item + 1]; ++c) {
      summaries[itemCells[c].section].valid = false;
    }
  }
  const Summary &summarise(int32_t section);
  bool allFlat(int32_t section, bool top);

  /// One end of a section, to branch on.
  struct Choice {
    int32_t section = -1;
    bool top = false;
    /// One of the cases is that no candidate lies there.
    bool gap = false;
    int64_t cases = std::numeric_limits<int64_t>::max();
    int64_t slack = 0;
  };
  std::optional<Choice> casesAt(int32_t section, bool top, int64_t bestCases,
                                bool haveBest);
  bool isBetter(const Choice &choice, const Choice &best) const;
  Choice chooseSection(const std::vector<int32_t> &items);
  std::vector<int32_t> candidatesOf(const Choice &choice) const;
  void sortCandidates(std::vector<int32_t> &candidates, bool top);
  int64_t nearestRest(int32_t item, bool top) const;
  bool excludeAll(const Choice &choice, const std::vector<int32_t> &candidates);
  bool isRepeated(const std::vector<int32_t> &candidates, size_t k) const;

  Feasibility solve(const std::vector<int32_t> &items);
  Feasibility branch(const std::vector<int32_t> &items);
  Signature signatureOf(const std::vector<int32_t> &items);
};

} // namespace offsets
} // namespace serenity

#endif // SERENITY_CORE_PACKING_BRANCHANDBOUNDSTATE_H

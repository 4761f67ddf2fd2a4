// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The exact search. docs/offsets.md states the formulation and proves the
// inferences; in short:
//
// Every item has a domain [low, high] of offsets, every section a floor and a
// ceiling between which its undecided items must find room:
//
//      ceiling  ________
//              |        |____      An item can lie no lower than the highest
//              | room   |    |     floor below it, and a floor is no lower than
//              |    ____|    |     the lowest place of any of its items. Room
//              |___|         |     that is neither floor nor item is slack; it
//      floor       |_________|     runs out, and that is what prunes.
//
// A node picks one section and one of its two ends. Either one of the items
// that can reach the floor lies on it, or none does, and then the floor rises
// to the lowest place at which one of them could lie on another item (an item
// that lies on nothing could as well fall to the floor, which is the former
// case). The same holds upside down for ceilings. The section with the fewest
// such cases is taken, so that tight instances hardly branch at all.

#include "serenity/Core/OffsetsInternal.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <unordered_set>

namespace serenity {
namespace offsets {

namespace {

uint64_t mix(uint64_t value) {
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
  bool fit;      // first who is flush with what lies beside it
};

/// States of more items hardly ever come back.
constexpr size_t kMaxRememberedItems = 300;
constexpr size_t kMaxRemembered = size_t(4) << 20;
/// Pairs of more items in one section take longer to compare than they save.
constexpr size_t kMaxPrecedence = 24;

} // namespace

struct ExactSearch::Impl {
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

  /// What branching wants to know of a section; recomputed after a change.
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
  void choose(int32_t variant);
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
        // Only who lay on the floor held it down.
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
  bool joinSeam(int32_t section);
  bool keepJoints(int32_t section);
  void invalidate(int32_t item) {
    for (int64_t c = itemFirst[item]; c < itemFirst[item + 1]; ++c) {
      summaries[itemCells[c].section].valid = false;
    }
  }
  const Summary &summarise(int32_t section);
  bool allFlat(int32_t section, bool top);

  Outcome solve(const std::vector<int32_t> &items);
  Outcome branch(const std::vector<int32_t> &items);
  Signature signatureOf(const std::vector<int32_t> &items);
};

void ExactSearch::Impl::build() {
  itemFirst.assign(numItems + 1, 0);
  sectionFirst.assign(numSections + 1, 0);
  for (int32_t i = 0; i < numItems; ++i) {
    const Item &item = instance.items[i];
    for (int32_t p = item.pieceBegin; p < item.pieceEnd; ++p) {
      const Piece &piece = instance.pieces[p];
      for (int32_t s = piece.begin; s < piece.end; ++s) {
        ++sectionFirst[s + 1];
        itemCells.push_back(
            {i, s, static_cast<int32_t>(itemCells.size()), piece.lo, piece.hi});
      }
    }
    itemFirst[i + 1] = static_cast<int64_t>(itemCells.size());
  }
  std::partial_sum(sectionFirst.begin(), sectionFirst.end(),
                   sectionFirst.begin());
  sectionCells.resize(itemCells.size());
  std::vector<int64_t> next(sectionFirst.begin(), sectionFirst.end() - 1);
  for (const Cell &cell : itemCells) {
    sectionCells[next[cell.section]++] = cell;
  }
  beginningIn.resize(numSections);
  endingIn.resize(numSections);
  for (int32_t i = 0; i < numItems; ++i) {
    const Item &item = instance.items[i];
    for (int32_t p = item.pieceBegin; p < item.pieceEnd; ++p) {
      beginningIn[instance.pieces[p].begin].push_back(i);
      endingIn[instance.pieces[p].end - 1].push_back(i);
    }
  }
  leastNeighbour.assign(numItems, std::numeric_limits<int64_t>::max());
  crowd.assign(numItems, 0);
  for (const Item &item : instance.items) {
    capacityScale = std::max(capacityScale, item.size + 1);
  }
  for (int32_t s = 0; s < numSections; ++s) {
    int64_t total = 0;
    for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
      total += sectionCells[c].hi - sectionCells[c].lo;
    }
    for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
      crowd[sectionCells[c].item] =
          std::max(crowd[sectionCells[c].item], total);
    }
    // The two lowest cells tell the lowest other one of every cell.
    int64_t least = std::numeric_limits<int64_t>::max();
    int64_t second = least;
    int32_t whose = -1;
    for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
      int64_t height = sectionCells[c].hi - sectionCells[c].lo;
      if (height < least) {
        second = least;
        least = height;
        whose = sectionCells[c].item;
      } else {
        second = std::min(second, height);
      }
    }
    for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
      int32_t i = sectionCells[c].item;
      leastNeighbour[i] =
          std::min(leastNeighbour[i], i == whose ? second : least);
    }
  }

  // Equal in everything but the name.
  std::vector<int32_t> order(numItems);
  std::iota(order.begin(), order.end(), 0);
  auto compare = [&](int32_t a, int32_t b) {
    const Item &x = instance.items[a];
    const Item &y = instance.items[b];
    auto key = [](const Item &item) {
      return std::make_tuple(item.size, item.alignment, item.fixedOffset,
                             item.pieceEnd - item.pieceBegin);
    };
    if (key(x) != key(y)) {
      return key(x) < key(y) ? -1 : 1;
    }
    for (int32_t k = 0; k < x.pieceEnd - x.pieceBegin; ++k) {
      const Piece &p = instance.pieces[x.pieceBegin + k];
      const Piece &q = instance.pieces[y.pieceBegin + k];
      auto pieceKey = [](const Piece &piece) {
        return std::make_tuple(piece.begin, piece.end, piece.lo, piece.hi);
      };
      if (pieceKey(p) != pieceKey(q)) {
        return pieceKey(p) < pieceKey(q) ? -1 : 1;
      }
    }
    return 0;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return compare(a, b) < 0; });
  symmetryClass.assign(numItems, 0);
  for (int32_t k = 0; k < numItems; ++k) {
    symmetryClass[order[k]] = k > 0 && compare(order[k - 1], order[k]) == 0
                                  ? symmetryClass[order[k - 1]]
                                  : k;
  }
}

/// Sets the branching order. The time a descent takes varies by orders of
/// magnitude with it, and on every instance some order is fast, so that many
/// short descents beat a long one.
void ExactSearch::Impl::choose(int32_t variant) {
  static constexpr Strategy kStrategies[] = {
      {Strategy::FewestThenFailures, Strategy::LongArea, false, false},
      {Strategy::FewestThenSlack, Strategy::LongArea, false, true},
      {Strategy::FewestThenSlack, Strategy::Size, false, false},
      {Strategy::FewestThenFailures, Strategy::Length, false, true},
      {Strategy::FewestThenFailures, Strategy::Length, false, false},
      {Strategy::FewestPerFailure, Strategy::Length, false, true},
      {Strategy::FewestPerFailure, Strategy::Crowd, true, false},
      {Strategy::FewestThenSlack, Strategy::Crowd, false, true},
      {Strategy::FewestPerFailure, Strategy::Length, false, false},
      {Strategy::FewestThenSlack, Strategy::Crowd, false, false},
      {Strategy::FewestThenFailures, Strategy::LongArea, false, true},
      {Strategy::FewestThenFailures, Strategy::LongArea, true, false},
      {Strategy::FewestThenSlack, Strategy::Length, false, false},
      {Strategy::FewestThenSlack, Strategy::Length, false, true},
      {Strategy::FewestPerFailure, Strategy::Size, false, false},
      {Strategy::FewestThenFailures, Strategy::Crowd, false, false},
      {Strategy::FewestThenSlack, Strategy::LongArea, false, false},
      {Strategy::FewestPerFailure, Strategy::LongArea, true, false},
      {Strategy::FewestPerFailure, Strategy::LongArea, false, true},
      {Strategy::FewestThenSlack, Strategy::Area, false, false},
  };
  constexpr int32_t kCount = sizeof(kStrategies) / sizeof(kStrategies[0]);
  strategy = kStrategies[variant % kCount];
  const int32_t cycle = variant / kCount;
  std::vector<double> key(numItems);
  for (int32_t i = 0; i < numItems; ++i) {
    const double length = double(itemFirst[i + 1] - itemFirst[i]);
    const double size = double(instance.items[i].size);
    switch (strategy.items) {
    case Strategy::Length:
      key[i] = length * double(capacityScale) + size;
      break;
    case Strategy::Size:
      key[i] = size * (numSections + 1) + length;
      break;
    case Strategy::Area:
      key[i] = length * size;
      break;
    case Strategy::LongArea:
      key[i] = length * length * size;
      break;
    case Strategy::Crowd:
      key[i] = double(crowd[i]) * (numSections + 1) + length;
      break;
    }
    // From the second cycle on, the same with growing noise from a fixed seed.
    const double noise =
        double(mix(uint64_t(cycle) * 0x9e3779b97f4a7c15ull + uint64_t(i)) >>
               11) /
        double(uint64_t(1) << 53);
    key[i] *= 1 + std::min(0.1 * cycle, 1.0) * noise;
  }
  std::vector<int32_t> order(numItems);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return key[a] > key[b]; });
  rank.resize(numItems);
  for (int32_t k = 0; k < numItems; ++k) {
    rank[order[k]] = k;
  }
}

/// Empty memory of the given height; false if that alone is contradictory.
bool ExactSearch::Impl::reset(int64_t newCapacity) {
  if (newCapacity != capacity) {
    refuted.clear();
    capacity = newCapacity;
  }
  trail.clear();
  queue.clear();
  queued.assign(numSections, 0);
  summaries.assign(numSections, Summary());
  lateQueue.clear();
  lateQueued.assign(numSections, 0);
  retired.assign(sectionCells.size(), 0);
  liveEnd.assign(sectionFirst.begin() + 1, sectionFirst.end());
  low.assign(numItems, 0);
  high.assign(numItems, 0);
  floor.assign(numSections, 0);
  ceiling.assign(numSections, alignUp(capacity, instance.granule));
  room.assign(numSections, 0);
  full.assign(numSections, 0);
  for (int32_t s = 0; s < numSections; ++s) {
    for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
      room[s] += sectionCells[c].hi - sectionCells[c].lo;
    }
    // With windows a section is full in parts that need not be contiguous, and
    // with padding a full section may have a spare byte.
    full[s] = !instance.windowed && !instance.padded && room[s] == ceiling[s];
    touch(s);
    touchLate(s);
  }
  for (int32_t i = 0; i < numItems; ++i) {
    const Item &item = instance.items[i];
    high[i] = alignDown(capacity - item.size, item.alignment);
    if (item.fixedOffset >= 0) {
      if (item.fixedOffset > high[i]) {
        return false;
      }
      low[i] = high[i] = item.fixedOffset;
    }
    if (high[i] < 0) {
      return false;
    }
  }
  return true;
}

void ExactSearch::Impl::undo(size_t mark) {
  while (trail.size() > mark) {
    const Change &change = trail.back();
    switch (change.kind) {
    case Low:
      low[change.index] = change.before;
      invalidate(change.index);
      break;
    case High:
      high[change.index] = change.before;
      invalidate(change.index);
      break;
    case Floor:
      floor[change.index] = change.before;
      summaries[change.index].valid = false;
      break;
    case Ceiling:
      ceiling[change.index] = change.before;
      summaries[change.index].valid = false;
      break;
    case Retire: {
      // It is the last one that was moved behind the live ones.
      const Cell &cell = sectionCells[liveEnd[change.index]++];
      retired[cell.id] = 0;
      summaries[change.index].valid = false;
      room[change.index] += cell.hi - cell.lo;
      break;
    }
    }
    trail.pop_back();
  }
  for (int32_t section : queue) {
    queued[section] = 0;
  }
  queue.clear();
  for (int32_t section : lateQueue) {
    lateQueued[section] = 0;
  }
  lateQueue.clear();
}

bool ExactSearch::Impl::propagate() {
  while (true) {
    while (!queue.empty()) {
      int32_t section = queue.back();
      queue.pop_back();
      queued[section] = 0;
      if (!propagateSection(section)) {
        ++failures[section];
        return false;
      }
    }
    if (lateQueue.empty()) {
      return true;
    }
    int32_t section = lateQueue.back();
    lateQueue.pop_back();
    lateQueued[section] = 0;
    if (!propagateLate(section)) {
      ++failures[section];
      return false;
    }
  }
}

bool ExactSearch::Impl::propagateSection(int32_t s) {
  summaries[s].valid = false;
  const int64_t begin = sectionFirst[s];
  for (bool again = true; again;) {
    again = false;
    int64_t lowest = std::numeric_limits<int64_t>::max();
    int64_t highest = std::numeric_limits<int64_t>::min();
    for (int64_t c = begin; c < liveEnd[s]; ++c) {
      const Cell &cell = sectionCells[c];
      int32_t i = cell.item;
      if (low[i] + cell.lo < floor[s] && !setLow(i, floor[s] - cell.lo)) {
        return false;
      }
      if (high[i] + cell.hi > ceiling[s] && !setHigh(i, ceiling[s] - cell.hi)) {
        return false;
      }
      lowest = std::min(lowest, low[i] + cell.lo);
      highest = std::max(highest, high[i] + cell.hi);
    }
    if (begin == liveEnd[s]) {
      return true;
    }
    if (rules.sectionInference) {
      if (lowest > floor[s]) {
        trail.push_back({Floor, s, floor[s]});
        floor[s] = lowest;
      }
      if (highest < ceiling[s]) {
        trail.push_back({Ceiling, s, ceiling[s]});
        ceiling[s] = highest;
      }
    }
    if (floor[s] + room[s] > ceiling[s]) {
      return false;
    }
    // A decided item at either end becomes part of it.
    for (int64_t c = begin; c < liveEnd[s]; ++c) {
      const Cell cell = sectionCells[c];
      const int64_t offset = low[cell.item];
      if (offset != high[cell.item]) {
        continue;
      }
      if (offset + cell.lo == lowest) {
        trail.push_back({Floor, s, floor[s]});
        floor[s] = offset + cell.hi;
      } else if (offset + cell.hi == highest) {
        trail.push_back({Ceiling, s, ceiling[s]});
        ceiling[s] = offset + cell.lo;
      } else {
        continue;
      }
      trail.push_back({Retire, s, 0});
      retired[cell.id] = 1;
      room[s] -= cell.hi - cell.lo;
      std::swap(sectionCells[c], sectionCells[--liveEnd[s]]);
      again = true;
      break;
    }
  }
  return true;
}

/// A section is a machine and its items are jobs, released at their lowest and
/// due at their highest place. Both inferences are made in either direction.
bool ExactSearch::Impl::propagateLate(int32_t s) {
  const int64_t first = sectionFirst[s];
  const size_t count = static_cast<size_t>(liveEnd[s] - first);
  if (count < 2) {
    return true;
  }
  jobs.resize(count);
  for (bool mirrored : {false, true}) {
    // Nearly sorted already, since the domains of few items change at a time.
    for (size_t k = 0; k < count; ++k) {
      const Cell &cell = sectionCells[first + static_cast<int64_t>(k)];
      const int64_t height = cell.hi - cell.lo;
      const int64_t lowest = low[cell.item] + cell.lo;
      const int64_t highest = high[cell.item] + cell.lo;
      Job job;
      job.item = cell.item;
      job.height = height;
      job.release = mirrored ? -(highest + height) : lowest;
      job.latest = mirrored ? -(lowest + height) : highest;
      job.shift = mirrored ? cell.hi : cell.lo;
      size_t where = k;
      for (; where > 0 && jobs[where - 1].release > job.release; --where) {
        jobs[where] = jobs[where - 1];
      }
      jobs[where] = job;
    }

    // Stacked in the order of release, which is the best one, they must end
    // below the ceiling.
    int64_t top = mirrored ? -ceiling[s] : floor[s];
    int64_t least = std::numeric_limits<int64_t>::max();
    int64_t second = least;
    int32_t whose = -1;
    for (const Job &job : jobs) {
      top = std::max(top, job.release) + job.height;
      if (job.latest < least) {
        second = least;
        least = job.latest;
        whose = job.item;
      } else {
        second = std::min(second, job.latest);
      }
    }
    if (rules.releaseBound && top > (mirrored ? -floor[s] : ceiling[s])) {
      return false;
    }
    if (!rules.precedence || count > kMaxPrecedence) {
      continue;
    }

    // Who cannot begin after the earliest end of `job` lies below it; and all
    // who lie below it do so on top of each other.
    for (const Job &job : jobs) {
      const int64_t end = job.release + job.height;
      if (end <= (job.item == whose ? second : least)) {
        continue;
      }
      int64_t stack = std::numeric_limits<int64_t>::min();
      for (const Job &other : jobs) {
        if (other.latest >= end || other.item == job.item) {
          continue;
        }
        if (other.release + other.height > job.latest) {
          return false; // neither can lie below the other
        }
        stack = std::max(stack, other.release) + other.height;
      }
      if (stack <= job.release) {
        continue;
      }
      if (!(mirrored ? setHigh(job.item, -stack - job.shift)
                     : setLow(job.item, stack - job.shift))) {
        return false;
      }
    }
  }
  return (!rules.seams || (joinSeam(s - 1) && joinSeam(s))) &&
         (joints.empty() || (keepJoints(s - 1) && keepJoints(s)));
}

bool ExactSearch::Impl::keepJoints(int32_t s) {
  if (s < 0) {
    return true;
  }
  for (int32_t k : jointsAfter[s]) {
    const Joint &joint = joints[k];
    int64_t begin = std::numeric_limits<int64_t>::min();  // lowest
    int64_t latest = std::numeric_limits<int64_t>::max(); // highest begin
    for (const std::vector<int32_t> *group :
         {&joint.ending, &joint.beginning}) {
      int64_t lowest = std::numeric_limits<int64_t>::max();
      int64_t highest = std::numeric_limits<int64_t>::min();
      for (int32_t i : *group) {
        const int64_t size = instance.items[i].size;
        lowest = std::min(lowest, low[i]);
        highest = std::max(highest, high[i] + size);
        begin = std::max(begin, low[i] + size - joint.sum);
        latest = std::min(latest, high[i]);
      }
      begin = std::max(begin, lowest);
      latest = std::min(latest, highest - joint.sum);
    }
    if (begin > latest) {
      return false;
    }
    for (const std::vector<int32_t> *group :
         {&joint.ending, &joint.beginning}) {
      for (int32_t i : *group) {
        if (!setLow(i, begin) ||
            !setHigh(i, latest + joint.sum - instance.items[i].size)) {
          return false;
        }
      }
    }
  }
  return true;
}

/// Where the sections `s` and `s + 1` are full to the last byte, those who end
/// between them leave exactly the bytes that those who begin there take: both
/// groups have the same lowest and the same highest byte.
bool ExactSearch::Impl::joinSeam(int32_t s) {
  if (s < 0 || s + 1 >= numSections || !full[s] || !full[s + 1]) {
    return true;
  }
  const std::vector<int32_t> *groups[2] = {&endingIn[s], &beginningIn[s + 1]};
  int64_t begin = std::numeric_limits<int64_t>::min();
  int64_t end = std::numeric_limits<int64_t>::max();
  for (const std::vector<int32_t> *group : groups) {
    int64_t lowest = std::numeric_limits<int64_t>::max();
    int64_t highest = std::numeric_limits<int64_t>::min();
    for (int32_t i : *group) {
      lowest = std::min(lowest, low[i]);
      highest = std::max(highest, high[i] + instance.items[i].size);
    }
    begin = std::max(begin, lowest);
    end = std::min(end, highest);
  }
  for (const std::vector<int32_t> *group : groups) {
    for (int32_t i : *group) {
      if (!setLow(i, begin) || !setHigh(i, end - instance.items[i].size)) {
        return false;
      }
    }
  }
  return true;
}

const ExactSearch::Impl::Summary &ExactSearch::Impl::summarise(int32_t s) {
  Summary &summary = summaries[s];
  if (summary.valid) {
    return summary;
  }
  summary = Summary();
  summary.valid = true;
  summary.rise[0] = summary.rise[1] = std::numeric_limits<int64_t>::max();
  for (int64_t c = sectionFirst[s]; c < liveEnd[s]; ++c) {
    const Cell &cell = sectionCells[c];
    const int32_t i = cell.item;
    const bool open = low[i] != high[i];
    summary.undecided |= open;
    summary.pending |= !open;
    const int64_t away[2] = {low[i] + cell.lo - floor[s],
                             ceiling[s] - high[i] - cell.hi};
    for (int top = 0; top < 2; ++top) {
      const bool candidate = open && away[top] == 0;
      summary.candidates[top] += candidate;
      summary.rise[top] = std::min(summary.rise[top],
                                   candidate ? leastNeighbour[i] : away[top]);
    }
  }
  return summary;
}

/// An item at its lowest place rests flat if nothing can come to lie below it
/// any more. If all candidates do, a gap below them has a least height.
bool ExactSearch::Impl::allFlat(int32_t s, bool top) {
  for (int64_t c = sectionFirst[s]; c < liveEnd[s]; ++c) {
    const int32_t i = sectionCells[c].item;
    if (low[i] == high[i] || (top ? high[i] + sectionCells[c].hi != ceiling[s]
                                  : low[i] + sectionCells[c].lo != floor[s])) {
      continue;
    }
    for (int64_t d = itemFirst[i]; d < itemFirst[i + 1]; ++d) {
      const Cell &cell = itemCells[d];
      if (top ? ceiling[cell.section] > high[i] + cell.hi
              : floor[cell.section] < low[i] + cell.lo) {
        return false;
      }
    }
  }
  return true;
}

Signature ExactSearch::Impl::signatureOf(const std::vector<int32_t> &items) {
  // The domains of the undecided items follow from floors, ceilings and
  // earlier decisions; together with the decided items that still lie between
  // floor and ceiling they are all that the future depends on.
  Signature signature;
  int32_t sectionsDone = -1;
  for (int32_t i : items) {
    signature.add(uint64_t(i) << 1);
    signature.add(uint64_t(low[i]));
    signature.add(uint64_t(high[i]));
    const Item &item = instance.items[i];
    for (int32_t s = std::max(item.first, sectionsDone + 1); s <= item.last;
         ++s) {
      signature.add(uint64_t(floor[s]));
      signature.add(uint64_t(ceiling[s]));
      uint64_t decided = 0; // the order of the cells must not matter
      if (!summarise(s).pending) {
        signature.add(decided);
        continue;
      }
      for (int64_t c = sectionFirst[s]; c < liveEnd[s]; ++c) {
        int32_t j = sectionCells[c].item;
        if (low[j] == high[j]) {
          decided += mix(mix(uint64_t(j)) ^ uint64_t(low[j]));
        }
      }
      signature.add(decided);
    }
    sectionsDone = std::max(sectionsDone, item.last);
  }
  return signature;
}

/// Solves the items that are still undecided among `items` (ascending by first
/// section), part by part.
Outcome ExactSearch::Impl::solve(const std::vector<int32_t> &items) {
  std::vector<std::vector<int32_t>> parts;
  int32_t reach = -1;
  for (int32_t i : items) {
    if (low[i] == high[i]) {
      continue;
    }
    if (parts.empty() ||
        (rules.decomposition && instance.items[i].first > reach)) {
      parts.emplace_back();
    }
    reach = std::max(reach, instance.items[i].last);
    parts.back().push_back(i);
  }
  std::stable_sort(
      parts.begin(), parts.end(),
      [](const auto &a, const auto &b) { return a.size() < b.size(); });
  for (const std::vector<int32_t> &part : parts) {
    Outcome outcome = branch(part);
    if (outcome != Outcome::Feasible) {
      return outcome;
    }
  }
  return Outcome::Feasible;
}

Outcome ExactSearch::Impl::branch(const std::vector<int32_t> &items) {
  if (limits.countNode() || --nodesLeft < 0) {
    outOfNodes = true;
    return Outcome::Unknown;
  }
  if (depth >= maxDepth) {
    return Outcome::Unknown;
  }
  struct Deeper {
    int32_t &depth;
    explicit Deeper(int32_t &depth) : depth(++depth) {}
    ~Deeper() { --depth; }
  } deeper(depth);
  // The section and end with the fewest cases.
  int32_t bestSection = -1;
  bool bestTop = false;
  bool bestGap = false;
  int64_t bestFailures = 0;
  int64_t bestCases = std::numeric_limits<int64_t>::max();
  int64_t bestTie = 0;
  int32_t sectionsDone = -1;
  for (int32_t i : items) {
    const Item &item = instance.items[i];
    for (int32_t s = std::max(item.first, sectionsDone + 1);
         s <= item.last && bestCases > 1; ++s) {
      const Summary &summary = summarise(s);
      if (!summary.undecided) {
        continue;
      }
      const int64_t slack = ceiling[s] - floor[s] - room[s];
      for (int top = 0; top < 2; ++top) {
        if (top != 0 && !strategy.ceilings) {
          continue;
        }
        int64_t cases = summary.candidates[top];
        bool gap = slack > 0;
        if (gap) {
          const bool rises = slack >= summary.rise[top] || !rules.dominance;
          if (bestSection >= 0 && cases + rises > bestCases &&
              strategy.sections != Strategy::FewestPerFailure) {
            continue; // whether flat or not
          }
          if (allFlat(s, top != 0)) {
            gap = rises;
          } else {
            cases += numItems; // only if there is nothing better
          }
        }
        cases += gap ? 1 : 0;
        bool better = false;
        switch (strategy.sections) {
        case Strategy::FewestThenSlack:
          better = cases < bestCases || (cases == bestCases && slack < bestTie);
          break;
        case Strategy::FewestThenFailures:
          better = cases < bestCases ||
                   (cases == bestCases && failures[s] > bestFailures);
          break;
        case Strategy::FewestPerFailure: {
          // No case, or one, is always best.
          const int64_t mine = (cases <= 1 ? 0 : cases) * bestFailures;
          const int64_t best = bestSection < 0 ? 0 : bestCases * failures[s];
          better = bestSection < 0 || mine < best ||
                   (mine == best && slack < bestTie);
          break;
        }
        }
        if (better) {
          bestFailures = failures[s];
          bestSection = s;
          bestTop = top != 0;
          bestGap = gap;
          bestCases = cases;
          bestTie = slack;
        }
      }
    }
    sectionsDone = std::max(sectionsDone, item.last);
  }

  const int32_t s = bestSection;
  const bool top = bestTop;
  std::vector<int32_t> candidates;
  for (int64_t c = sectionFirst[s]; c < liveEnd[s]; ++c) {
    const Cell &cell = sectionCells[c];
    int32_t j = cell.item;
    if (low[j] != high[j] && (top ? high[j] + cell.hi == ceiling[s]
                                  : low[j] + cell.lo == floor[s])) {
      candidates.push_back(j);
    }
  }

  // A single case is no decision: nothing to remember.
  Signature signature;
  const bool remember =
      rules.memory && bestCases > 1 && items.size() <= kMaxRememberedItems;
  if (remember) {
    signature = signatureOf(items);
    if (refuted.count(signature)) {
      return Outcome::Infeasible;
    }
  }

  std::sort(candidates.begin(), candidates.end(),
            [&](int32_t a, int32_t b) { return rank[a] < rank[b]; });
  if (strategy.fit && !top) {
    scores.clear();
    auto score = [&](int32_t i) {
      const Item &item = instance.items[i];
      const int64_t bottom = low[i];
      const int64_t end = low[i] + item.size;
      const int64_t left = item.first == 0 ? INT64_MAX : floor[item.first - 1];
      const int64_t right =
          item.last + 1 == numSections ? INT64_MAX : floor[item.last + 1];
      int score = 0;
      score += left > bottom;
      score += right > bottom;
      score += left == end;
      score += right == end;
      return score;
    };
    for (int32_t i : candidates) {
      scores.push_back({-score(i), rank[i], i});
    }
    std::sort(scores.begin(), scores.end());
    for (size_t k = 0; k < candidates.size(); ++k) {
      candidates[k] = std::get<2>(scores[k]);
    }
  }

  bool known = true;
  size_t mark = trail.size();
  for (size_t k = 0; k < candidates.size(); ++k) {
    int32_t i = candidates[k];
    if (rules.symmetry) {
      bool repeated = false;
      for (size_t m = 0; m < k && !repeated; ++m) {
        int32_t j = candidates[m];
        repeated = symmetryClass[i] == symmetryClass[j] && low[i] == low[j] &&
                   high[i] == high[j];
      }
      if (repeated) {
        continue;
      }
    }
    bool consistent =
        (top ? setLow(i, high[i]) : setHigh(i, low[i])) && propagate();
    if (consistent) {
      Outcome outcome = solve(items);
      if (outcome == Outcome::Feasible) {
        return outcome;
      }
      known &= outcome == Outcome::Infeasible;
    }
    undo(mark);
    if (outOfNodes) {
      return Outcome::Unknown;
    }
  }

  // None of them: each candidate lies on some other item.
  if (bestGap) {
    std::vector<std::pair<int32_t, int64_t>> bounds;
    for (int32_t i : candidates) {
      const Item &item = instance.items[i];
      int64_t nearest = top ? std::numeric_limits<int64_t>::min()
                            : std::numeric_limits<int64_t>::max();
      if (rules.dominance) {
        for (int64_t c = itemFirst[i]; c < itemFirst[i + 1]; ++c) {
          const Cell &mine = itemCells[c];
          const int32_t t = mine.section;
          for (int64_t d = sectionFirst[t]; d < liveEnd[t]; ++d) {
            const Cell &theirs = sectionCells[d];
            const int32_t j = theirs.item;
            if (j == i) {
              continue;
            }
            if (top) {
              nearest = std::max(nearest, high[j] + theirs.lo - mine.hi);
            } else {
              nearest = std::min(nearest, low[j] + theirs.hi - mine.lo);
            }
          }
        }
      }
      if (top) {
        nearest = rules.dominance ? std::min(nearest, high[i] - item.alignment)
                                  : high[i] - item.alignment;
      } else {
        nearest = rules.dominance ? std::max(nearest, low[i] + item.alignment)
                                  : low[i] + item.alignment;
      }
      bounds.push_back({i, nearest});
    }
    bool consistent = true;
    for (const auto &bound : bounds) {
      // No item to lie on: the bound is at infinity.
      if (top ? bound.second < 0 : bound.second > capacity) {
        consistent = false;
        break;
      }
      consistent = consistent && (top ? setHigh(bound.first, bound.second)
                                      : setLow(bound.first, bound.second));
    }
    if (!rules.sectionInference) {
      // The floor has to rise here, or nothing would have changed.
      int64_t nearest = top ? std::numeric_limits<int64_t>::min()
                            : std::numeric_limits<int64_t>::max();
      for (int64_t c = sectionFirst[s]; c < liveEnd[s]; ++c) {
        const Cell &cell = sectionCells[c];
        nearest = top ? std::max(nearest, high[cell.item] + cell.hi)
                      : std::min(nearest, low[cell.item] + cell.lo);
      }
      summaries[s].valid = false;
      trail.push_back({top ? Ceiling : Floor, s, top ? ceiling[s] : floor[s]});
      (top ? ceiling : floor)[s] = nearest;
      touch(s);
    }
    if (consistent && propagate()) {
      Outcome outcome = solve(items);
      if (outcome == Outcome::Feasible) {
        return outcome;
      }
      known &= outcome == Outcome::Infeasible;
    }
    undo(mark);
  }
  if (!known || outOfNodes) {
    return Outcome::Unknown;
  }
  if (remember && refuted.size() < kMaxRemembered) {
    refuted.insert(signature);
  }
  return Outcome::Infeasible;
}

ExactSearch::ExactSearch(const Instance &instance, const PackRules &rules,
                         Limits &limits, std::vector<Joint> joints)
    : impl(new Impl(instance, rules, limits, std::move(joints))) {}

ExactSearch::~ExactSearch() { delete impl; }

Outcome ExactSearch::decide(int64_t capacity, int32_t variant,
                            int64_t nodeBudget, std::vector<int64_t> &offsets) {
  impl->choose(variant);
  impl->nodesLeft = nodeBudget;
  impl->outOfNodes = false;
  if (!impl->reset(capacity) || !impl->propagate()) {
    return Outcome::Infeasible;
  }
  std::vector<int32_t> items;
  for (int32_t i = 0; i < impl->numItems; ++i) {
    if (impl->itemFirst[i] < impl->itemFirst[i + 1]) { // else never in use
      items.push_back(i);
    }
  }
  std::stable_sort(items.begin(), items.end(), [&](int32_t a, int32_t b) {
    return impl->instance.items[a].first < impl->instance.items[b].first;
  });
  Outcome outcome = impl->solve(items);
  if (outcome == Outcome::Feasible) {
    offsets = impl->low;
  }
  return outcome;
}

} // namespace offsets
} // namespace serenity

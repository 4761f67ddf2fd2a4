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
  int32_t other;  // the item, or the section, whichever the list is not of
  int32_t mirror; // position in the list of the other kind
  int64_t lo;
  int64_t hi;
};

constexpr size_t kMaxRemembered = size_t(4) << 20;

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
  /// Interchangeable items have the same class.
  std::vector<int32_t> symmetryClass;

  // State. A cell is retired once the floor or the ceiling has passed it.
  std::vector<int64_t> low, high;      // per item
  std::vector<int64_t> floor, ceiling; // per section
  std::vector<int64_t> room;           // per section: bytes of its live cells
  std::vector<uint8_t> retired;        // per cell of `sectionCells`

  enum Kind : int32_t { Low, High, Floor, Ceiling, Retire };
  struct Change {
    Kind kind;
    int32_t index;
    int64_t before;
  };
  std::vector<Change> trail;

  std::vector<int32_t> queue;
  std::vector<uint8_t> queued;

  std::unordered_set<Signature, SignatureHash> refuted;

  // How this descent branches.
  int32_t variant = 0;
  int64_t nodesLeft = 0;
  bool outOfNodes = false;
  int32_t depth = 0;
  int32_t maxDepth = 0;

  // Scratch.
  std::vector<uint8_t> restsFlat, hangsFlat; // per item
  struct Release {
    int64_t at;
    int64_t height;
  };
  std::vector<Release> releases;

  Impl(const Instance &instance, const PackRules &rules, Limits &limits)
      : instance(instance), rules(rules), limits(limits),
        numItems(static_cast<int32_t>(instance.items.size())),
        numSections(instance.numSections) {
    build();
    restsFlat.resize(numItems);
    hangsFlat.resize(numItems);
    // Chains of gaps could otherwise overflow the stack.
    maxDepth = std::min(4 * numItems + 100, 20000);
  }

  void build();
  bool reset(int64_t newCapacity);

  void touch(int32_t section) {
    if (!queued[section]) {
      queued[section] = 1;
      queue.push_back(section);
    }
  }
  void touchItem(int32_t item) {
    for (int64_t c = itemFirst[item]; c < itemFirst[item + 1]; ++c) {
      if (!retired[itemCells[c].mirror]) {
        touch(itemCells[c].other);
      }
    }
  }
  bool setLow(int32_t item, int64_t value) {
    value = alignUp(value, instance.items[item].alignment);
    if (value <= low[item]) {
      return true;
    }
    trail.push_back({Low, item, low[item]});
    low[item] = value;
    touchItem(item);
    return value <= high[item];
  }
  bool setHigh(int32_t item, int64_t value) {
    value = alignDown(value, instance.items[item].alignment);
    if (value >= high[item]) {
      return true;
    }
    trail.push_back({High, item, high[item]});
    high[item] = value;
    touchItem(item);
    return value >= low[item];
  }
  void undo(size_t mark);
  bool propagate();
  bool propagateSection(int32_t section);
  bool checkReleases(int32_t section);
  bool orderPairs(int32_t section);

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
        itemCells.push_back({s, 0, piece.lo, piece.hi});
      }
    }
    itemFirst[i + 1] = static_cast<int64_t>(itemCells.size());
  }
  std::partial_sum(sectionFirst.begin(), sectionFirst.end(),
                   sectionFirst.begin());
  sectionCells.resize(itemCells.size());
  std::vector<int64_t> next(sectionFirst.begin(), sectionFirst.end() - 1);
  for (int32_t i = 0; i < numItems; ++i) {
    for (int64_t c = itemFirst[i]; c < itemFirst[i + 1]; ++c) {
      Cell &cell = itemCells[c];
      cell.mirror = static_cast<int32_t>(next[cell.other]++);
      sectionCells[cell.mirror] = {i, static_cast<int32_t>(c), cell.lo,
                                   cell.hi};
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

/// Empty memory of the given height; false if that alone is contradictory.
bool ExactSearch::Impl::reset(int64_t newCapacity) {
  if (newCapacity != capacity) {
    refuted.clear();
    capacity = newCapacity;
  }
  trail.clear();
  queue.clear();
  queued.assign(numSections, 0);
  retired.assign(sectionCells.size(), 0);
  low.assign(numItems, 0);
  high.assign(numItems, 0);
  floor.assign(numSections, 0);
  ceiling.assign(numSections, alignUp(capacity, instance.granule));
  room.assign(numSections, 0);
  for (int32_t s = 0; s < numSections; ++s) {
    for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
      room[s] += sectionCells[c].hi - sectionCells[c].lo;
    }
    touch(s);
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
      break;
    case High:
      high[change.index] = change.before;
      break;
    case Floor:
      floor[change.index] = change.before;
      break;
    case Ceiling:
      ceiling[change.index] = change.before;
      break;
    case Retire: {
      const Cell &cell = sectionCells[change.index];
      retired[change.index] = 0;
      room[itemCells[cell.mirror].other] += cell.hi - cell.lo;
      break;
    }
    }
    trail.pop_back();
  }
  for (int32_t section : queue) {
    queued[section] = 0;
  }
  queue.clear();
}

bool ExactSearch::Impl::propagate() {
  while (!queue.empty()) {
    int32_t section = queue.back();
    queue.pop_back();
    queued[section] = 0;
    if (!propagateSection(section)) {
      return false;
    }
  }
  return true;
}

bool ExactSearch::Impl::propagateSection(int32_t s) {
  const int64_t begin = sectionFirst[s];
  const int64_t end = sectionFirst[s + 1];
  for (bool again = true; again;) {
    again = false;
    int64_t lowest = std::numeric_limits<int64_t>::max();
    int64_t highest = std::numeric_limits<int64_t>::min();
    for (int64_t c = begin; c < end; ++c) {
      if (retired[c]) {
        continue;
      }
      const Cell &cell = sectionCells[c];
      int32_t i = cell.other;
      if (low[i] + cell.lo < floor[s] && !setLow(i, floor[s] - cell.lo)) {
        return false;
      }
      if (high[i] + cell.hi > ceiling[s] && !setHigh(i, ceiling[s] - cell.hi)) {
        return false;
      }
      lowest = std::min(lowest, low[i] + cell.lo);
      highest = std::max(highest, high[i] + cell.hi);
    }
    if (lowest == std::numeric_limits<int64_t>::max()) {
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
    // Decided items at either end become part of it. Without section inference
    // a floor may be below the lowest of them; it may rise if nothing fits
    // between, which is left to the decided item being the lowest.
    for (int64_t c = begin; c < end; ++c) {
      const Cell &cell = sectionCells[c];
      if (retired[c] || low[cell.other] != high[cell.other]) {
        continue;
      }
      int64_t offset = low[cell.other];
      if (offset + cell.lo == lowest) {
        trail.push_back({Floor, s, floor[s]});
        floor[s] = offset + cell.hi;
      } else if (offset + cell.hi == highest) {
        trail.push_back({Ceiling, s, ceiling[s]});
        ceiling[s] = offset + cell.lo;
      } else {
        continue;
      }
      trail.push_back({Retire, static_cast<int32_t>(c), 0});
      retired[c] = 1;
      room[s] -= cell.hi - cell.lo;
      again = true;
      break;
    }
  }
  if (rules.releaseBound && !checkReleases(s)) {
    return false;
  }
  return !rules.precedence || orderPairs(s);
}

/// The items of a section, each released at its lowest place, are stacked
/// without regard to anything else: the top must stay below the ceiling. (As
/// on a single machine, the order of release is optimal.) And upside down.
bool ExactSearch::Impl::checkReleases(int32_t s) {
  releases.clear();
  for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
    if (!retired[c]) {
      const Cell &cell = sectionCells[c];
      releases.push_back({low[cell.other] + cell.lo, cell.hi - cell.lo});
    }
  }
  auto byRelease = [](const Release &a, const Release &b) {
    return a.at < b.at;
  };
  std::sort(releases.begin(), releases.end(), byRelease);
  int64_t top = floor[s];
  for (const Release &release : releases) {
    top = std::max(top, release.at) + release.height;
  }
  if (top > ceiling[s]) {
    return false;
  }
  releases.clear();
  for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
    if (!retired[c]) {
      const Cell &cell = sectionCells[c];
      releases.push_back({-(high[cell.other] + cell.hi), cell.hi - cell.lo});
    }
  }
  std::sort(releases.begin(), releases.end(), byRelease);
  top = -ceiling[s];
  for (const Release &release : releases) {
    top = std::max(top, release.at) + release.height;
  }
  return top <= -floor[s];
}

/// Of two items in a section one lies below the other; where only one of the
/// two ways is left, it bounds both.
bool ExactSearch::Impl::orderPairs(int32_t s) {
  for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
    if (retired[c]) {
      continue;
    }
    const Cell &x = sectionCells[c];
    for (int64_t d = c + 1; d < sectionFirst[s + 1]; ++d) {
      if (retired[d]) {
        continue;
      }
      const Cell &y = sectionCells[d];
      bool below = low[x.other] + x.hi <= high[y.other] + y.lo;
      bool above = low[y.other] + y.hi <= high[x.other] + x.lo;
      if (below && above) {
        continue;
      }
      if (!below && !above) {
        return false;
      }
      const Cell &under = below ? x : y;
      const Cell &over = below ? y : x;
      if (!setLow(over.other, low[under.other] + under.hi - over.lo) ||
          !setHigh(under.other, high[over.other] + over.lo - under.hi)) {
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
      for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
        int32_t j = sectionCells[c].other;
        if (!retired[c] && low[j] == high[j]) {
          signature.add(uint64_t(j) << 1 | 1);
          signature.add(uint64_t(low[j]));
        }
      }
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
  Signature signature;
  if (rules.memory) {
    signature = signatureOf(items);
    if (refuted.count(signature)) {
      return Outcome::Infeasible;
    }
  }

  // An item at its lowest place rests flat if nothing can come to lie below it
  // any more. If all candidates do, a gap below them has a least height.
  for (int32_t i : items) {
    restsFlat[i] = hangsFlat[i] = true;
    for (int64_t c = itemFirst[i]; c < itemFirst[i + 1]; ++c) {
      const Cell &cell = itemCells[c];
      restsFlat[i] &= floor[cell.other] >= low[i] + cell.lo;
      hangsFlat[i] &= ceiling[cell.other] <= high[i] + cell.hi;
    }
  }

  // The section and end with the fewest cases.
  const bool useFloors = variant % 3 != 2;
  const bool useCeilings = variant % 3 != 1;
  int32_t bestSection = -1;
  bool bestTop = false;
  int64_t bestCases = std::numeric_limits<int64_t>::max();
  int64_t bestTie = 0;
  int32_t sectionsDone = -1;
  for (int32_t i : items) {
    const Item &item = instance.items[i];
    for (int32_t s = std::max(item.first, sectionsDone + 1); s <= item.last;
         ++s) {
      int32_t down = 0;
      int32_t up = 0;
      bool undecided = false;
      bool downFlat = true;
      bool upFlat = true;
      for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
        const Cell &cell = sectionCells[c];
        int32_t j = cell.other;
        if (retired[c] || low[j] == high[j]) {
          continue;
        }
        undecided = true;
        if (low[j] + cell.lo == floor[s]) {
          ++down;
          downFlat &= restsFlat[j] != 0;
        }
        if (high[j] + cell.hi == ceiling[s]) {
          ++up;
          upFlat &= hangsFlat[j] != 0;
        }
      }
      if (!undecided) {
        continue;
      }
      int64_t slack = ceiling[s] - floor[s] - room[s];
      for (bool top : {false, true}) {
        if (top ? !useCeilings : !useFloors) {
          continue;
        }
        int64_t cases = (top ? up : down) + (slack > 0 ? 1 : 0);
        if (slack > 0 && !(top ? upFlat : downFlat)) {
          cases += numItems; // only if there is nothing better
        }
        // Ties: the section with least slack, then the fullest.
        int64_t tie = slack;
        if (cases < bestCases || (cases == bestCases && tie < bestTie)) {
          bestSection = s;
          bestTop = top;
          bestCases = cases;
          bestTie = tie;
        }
      }
    }
    sectionsDone = std::max(sectionsDone, item.last);
  }

  const int32_t s = bestSection;
  const bool top = bestTop;
  std::vector<int32_t> candidates;
  for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
    const Cell &cell = sectionCells[c];
    int32_t j = cell.other;
    if (!retired[c] && low[j] != high[j] &&
        (top ? high[j] + cell.hi == ceiling[s]
             : low[j] + cell.lo == floor[s])) {
      candidates.push_back(j);
    }
  }
  // Long items first: they are the hardest to place later.
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](int32_t a, int32_t b) {
                     const Item &x = instance.items[a];
                     const Item &y = instance.items[b];
                     int64_t p = x.last - x.first;
                     int64_t q = y.last - y.first;
                     if (variant / 3 % 2 == 1) {
                       return std::tie(x.size, p) > std::tie(y.size, q);
                     }
                     return std::tie(p, x.size) > std::tie(q, y.size);
                   });

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
  if (ceiling[s] - floor[s] > room[s]) {
    std::vector<std::pair<int32_t, int64_t>> bounds;
    for (int32_t i : candidates) {
      const Item &item = instance.items[i];
      int64_t nearest = top ? std::numeric_limits<int64_t>::min()
                            : std::numeric_limits<int64_t>::max();
      if (rules.dominance) {
        for (int64_t c = itemFirst[i]; c < itemFirst[i + 1]; ++c) {
          const Cell &mine = itemCells[c];
          int32_t t = mine.other;
          for (int64_t d = sectionFirst[t]; d < sectionFirst[t + 1]; ++d) {
            const Cell &theirs = sectionCells[d];
            int32_t j = theirs.other;
            if (retired[d] || j == i) {
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
      for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
        const Cell &cell = sectionCells[c];
        if (!retired[c]) {
          nearest = top ? std::max(nearest, high[cell.other] + cell.hi)
                        : std::min(nearest, low[cell.other] + cell.lo);
        }
      }
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
  if (rules.memory && refuted.size() < kMaxRemembered) {
    refuted.insert(signature);
  }
  return Outcome::Infeasible;
}

ExactSearch::ExactSearch(const Instance &instance, const PackRules &rules,
                         Limits &limits)
    : impl(new Impl(instance, rules, limits)) {}

ExactSearch::~ExactSearch() { delete impl; }

Outcome ExactSearch::decide(int64_t capacity, int32_t variant,
                            int64_t nodeBudget, std::vector<int64_t> &offsets) {
  impl->variant = variant;
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

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Where no byte is spare, buffers that end leave exactly the bytes that buffers
// that begin then take. If some that end have the sizes of some that begin, it
// is likely that these take the bytes of those:
//
//      _______ ___                          _______ ___
//     |   a   |   |                        |           |
//     |_______| c |    a + b = c, and      |   block   |
//     |   b   |   |    a, b begin together |           |
//     |_______|___|                        |_______ ___|
//
// Joined, they are one item; joined again and again, an instance that was cut
// out of a rectangle falls together the way it was cut. It is a guess: items
// that fit together need not lie together, and so a joined instance that has no
// packing says nothing, but one that has says it for the original.

#include "serenity/Core/Packing/OffsetsInternal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <tuple>

namespace serenity {
namespace offsets {

namespace {

/// Combinations of blocks that are enumerated at a time.
constexpr double kMaxSubsets = 5000;
/// Most blocks that are joined to one, or lie side by side.
constexpr int kMaxInJoint = 14;
constexpr int kMaxSideBySide = 6;
/// Equal sums that are expected by accident where a joint is made.
constexpr double kMaxAccidents = 0.2;

using Block = JoinedInstance::Block;

/// Slices that could be joined at a section's end: some that end, some that
/// begin.
struct Candidate {
  /// Equal sums of so many sizes of this magnitude to be expected by accident.
  double accidents = std::numeric_limits<double>::infinity();
  /// The lower, the likelier that they belong together. Two that fit together
  /// imply that all the others do, so that a few say more than many.
  double score = std::numeric_limits<double>::infinity();
  int64_t sum = 0;
  std::vector<int32_t> ending, beginning;
};

struct Subset {
  int64_t sum;
  int32_t group;
  uint64_t members; // of the group
};

/// Blocks that end (or begin) together, grouped by where they begin (or end).
class Groups {
public:
  enum Key { ByBegin, ByEnd, Together };

  Groups(const std::vector<Block> &blocks, std::vector<int32_t> members, Key by)
      : blocks(blocks) {
    auto key = [&](int32_t b) {
      return by == Together  ? 0
             : by == ByBegin ? blocks[b].first
                             : blocks[b].last;
    };
    std::sort(members.begin(), members.end(), [&](int32_t a, int32_t b) {
      return std::make_tuple(key(a), -blocks[a].size, a) <
             std::make_tuple(key(b), -blocks[b].size, b);
    });
    for (size_t k = 0; k < members.size(); ++k) {
      if (k == 0 || key(members[k - 1]) != key(members[k])) {
        groups.emplace_back();
      }
      if (groups.back().size() < 64) {
        groups.back().push_back(members[k]);
      }
    }
  }

  /// Subsets of `size` blocks of one group.
  double count(int size) const {
    double sum = 0;
    for (const std::vector<int32_t> &group : groups) {
      double product = group.size() < static_cast<size_t>(size) ? 0 : 1;
      for (int k = 0; product > 0 && k < size; ++k) {
        product = product * double(group.size() - size_t(k)) / (k + 1);
      }
      sum += product;
    }
    return sum;
  }

  std::vector<Subset> subsets(int size) const {
    std::vector<Subset> result;
    for (size_t g = 0; g < groups.size(); ++g) {
      choose(static_cast<int32_t>(g), 0, size, {0, int32_t(g), 0}, result);
    }
    return result;
  }

  std::vector<int32_t> members(const Subset &subset) const {
    std::vector<int32_t> result;
    for (size_t k = 0; k < groups[subset.group].size(); ++k) {
      if (subset.members >> k & 1) {
        result.push_back(groups[subset.group][k]);
      }
    }
    return result;
  }

private:
  void choose(int32_t g, size_t from, int size, Subset subset,
              std::vector<Subset> &result) const {
    if (size == 0) {
      result.push_back(subset);
      return;
    }
    const std::vector<int32_t> &group = groups[g];
    for (size_t k = from; k + size_t(size) <= group.size(); ++k) {
      if (k > from && blocks[group[k]].size == blocks[group[k - 1]].size) {
        continue; // interchangeable
      }
      choose(g, k + 1, size - 1,
             {subset.sum + blocks[group[k]].size, g,
              subset.members | uint64_t(1) << k},
             result);
    }
  }

  const std::vector<Block> &blocks;
  std::vector<std::vector<int32_t>> groups;
};

/// Replaces `best` by `left` blocks that end and `right` that begin, of equal
/// sums, if that is likelier to be meant.
void findMatch(const Groups &ends, const Groups &begins, int left, int right,
               int64_t grid, std::mt19937_64 *random, Candidate &best) {
  const double leftCount = ends.count(left);
  const double rightCount = begins.count(right);
  if (leftCount < 1 || rightCount < 1 || leftCount > kMaxSubsets ||
      rightCount > kMaxSubsets) {
    return;
  }
  std::vector<Subset> ending = ends.subsets(left);
  std::vector<Subset> beginning = begins.subsets(right);
  auto bySum = [](const Subset &a, const Subset &b) { return a.sum < b.sum; };
  std::stable_sort(ending.begin(), ending.end(), bySum);
  std::stable_sort(beginning.begin(), beginning.end(), bySum);
  // Sums of the same magnitude.
  auto near = [&](const std::vector<Subset> &subsets, int64_t sum) {
    auto begin = std::lower_bound(subsets.begin(), subsets.end(),
                                  Subset{sum / 2, 0, 0}, bySum);
    auto end =
        std::upper_bound(begin, subsets.end(), Subset{2 * sum, 0, 0}, bySum);
    return double(end - begin);
  };
  Candidate found;
  std::pair<size_t, size_t> match;
  for (size_t i = 0, j = 0; i < ending.size(); ++i) {
    while (j < beginning.size() && beginning[j].sum < ending[i].sum) {
      ++j;
    }
    if (j == beginning.size() || beginning[j].sum != ending[i].sum) {
      continue;
    }
    const int64_t sum = ending[i].sum;
    double accidents = near(ending, sum) * near(beginning, sum) /
                       (1.5 * double(sum) / double(grid) + 1);
    if (random) {
      accidents *= 0.5 + double((*random)() >> 11) / double(uint64_t(1) << 53);
    }
    if (accidents < found.accidents) {
      found.accidents = accidents;
      match = {i, j};
    }
  }
  found.score =
      left + right + 4 * std::log10(1000 * std::max(found.accidents, 1e-3));
  if (found.score >= best.score || found.accidents > kMaxAccidents) {
    return;
  }
  best = found;
  best.sum = ending[match.first].sum;
  best.ending = ends.members(ending[match.first]);
  best.beginning = begins.members(beginning[match.second]);
}

/// Joins the likeliest pairs, until no pair is likely.
class Joiner {
public:
  Joiner(const Instance &instance, int64_t capacity, uint64_t seed,
         std::vector<Block> &blocks, std::vector<uint8_t> &alive,
         Limits &limits);

  void join();
  /// Buffers that take each other's bytes without being one rectangle together,
  /// by the section that they follow.
  std::vector<std::pair<int32_t, Candidate>> sideBySide();

private:
  void look(int32_t boundary);
  Candidate search(const Groups &ends, const Groups &begins, int maxTotal,
                   double maxScore);
  static void erase(std::vector<int32_t> &from, int32_t value) {
    from.erase(std::find(from.begin(), from.end(), value));
  }

  const Instance &instance;
  const uint64_t seed;
  std::vector<Block> &blocks;
  std::vector<uint8_t> &alive;
  Limits &limits;
  std::mt19937_64 random;
  double maxScore = 0;
  /// Blocks by the section that they begin or end in.
  std::vector<std::vector<int32_t>> beginning, ending;
  std::vector<uint8_t>
      boundary;                // no byte is spare in this section and the next
  std::vector<Candidate> best; // per boundary
  std::set<std::pair<double, int32_t>> queue; // boundaries by score
};

Joiner::Joiner(const Instance &instance, int64_t capacity, uint64_t seed,
               std::vector<Block> &blocks, std::vector<uint8_t> &alive,
               Limits &limits)
    : instance(instance), seed(seed), blocks(blocks), alive(alive),
      limits(limits), random(seed) {
  // How far to go is a guess as well.
  static constexpr double kMaxScores[] = {30, 8, 12, 6, 20, 10};
  maxScore = kMaxScores[seed % 6];
  const int32_t n = static_cast<int32_t>(instance.items.size());
  const int32_t sections = instance.numSections;
  std::vector<int64_t> live(sections + 1, 0);
  for (const Piece &piece : instance.pieces) {
    live[piece.begin] += piece.hi - piece.lo;
    live[piece.end] -= piece.hi - piece.lo;
  }
  std::partial_sum(live.begin(), live.end(), live.begin());
  boundary.assign(sections, 0);
  for (int32_t s = 0; s + 1 < sections; ++s) {
    // Where bytes are spare, sizes may fit together for the same reason.
    boundary[s] =
        seed % 2 == 1 || (live[s] == capacity && live[s + 1] == capacity);
  }
  beginning.resize(sections);
  ending.resize(sections);
  best.resize(sections);
  for (int32_t i = 0; i < n; ++i) {
    const Item &item = instance.items[i];
    blocks.push_back({item.first, item.last, item.size, {}, {}});
    if (item.fixedOffset < 0 && item.alignment == instance.granule &&
        item.pieceEnd == item.pieceBegin + 1) {
      beginning[item.first].push_back(i);
      ending[item.last].push_back(i);
    }
  }
  alive.assign(n, 1);
}

Candidate Joiner::search(const Groups &ends, const Groups &begins, int maxTotal,
                         double maxScore) {
  Candidate found;
  // The score is never below the number of blocks.
  for (int total = 2;
       total <= maxTotal && total < found.score && total <= maxScore; ++total) {
    for (int left = 1; left < total; ++left) {
      findMatch(ends, begins, left, total - left, instance.grid,
                seed == 0 ? nullptr : &random, found);
    }
  }
  return found;
}

void Joiner::look(int32_t s) {
  queue.erase({best[s].score, s});
  best[s] = search(Groups(blocks, ending[s], Groups::ByBegin),
                   Groups(blocks, beginning[s + 1], Groups::ByEnd), kMaxInJoint,
                   maxScore);
  if (best[s].score <= maxScore) {
    queue.insert({best[s].score, s});
  }
}

void Joiner::join() {
  for (int32_t s = 0; s < instance.numSections; ++s) {
    if (boundary[s]) {
      look(s);
    }
  }
  while (!queue.empty() && !limits.countNode()) {
    const int32_t where = queue.begin()->second;
    Candidate found = std::move(best[where]);
    const int32_t block = static_cast<int32_t>(blocks.size());
    const int32_t first = blocks[found.ending[0]].first;
    const int32_t last = blocks[found.beginning[0]].last;
    for (const std::vector<int32_t> *members :
         {&found.ending, &found.beginning}) {
      for (int32_t i : *members) {
        alive[i] = 0;
        erase(beginning[blocks[i].first], i);
        erase(ending[blocks[i].last], i);
      }
    }
    blocks.push_back({first, last, found.sum, std::move(found.ending),
                      std::move(found.beginning)});
    alive.push_back(1);
    beginning[first].push_back(block);
    ending[last].push_back(block);
    for (int32_t s : {where, first - 1, last}) {
      if (s >= 0 && boundary[s]) {
        look(s);
      }
    }
  }
}

std::vector<std::pair<int32_t, Candidate>> Joiner::sideBySide() {
  std::vector<std::pair<int32_t, Candidate>> result;
  static constexpr double kMaxAccidentsHere[] = {0.002, 0.02, 0};
  const double maxAccidents = kMaxAccidentsHere[seed % 3];
  for (int32_t s = 0; s < instance.numSections && maxAccidents > 0; ++s) {
    if (!boundary[s]) {
      continue;
    }
    std::vector<int32_t> ends = ending[s];
    std::vector<int32_t> begins = beginning[s + 1];
    while (!ends.empty() && !begins.empty() && !limits.countNode()) {
      Candidate found = search(Groups(blocks, ends, Groups::Together),
                               Groups(blocks, begins, Groups::Together),
                               kMaxSideBySide, maxScore);
      if (found.ending.empty() || found.accidents > maxAccidents) {
        break;
      }
      for (int32_t i : found.ending) {
        erase(ends, i);
      }
      for (int32_t i : found.beginning) {
        erase(begins, i);
      }
      result.push_back({s, std::move(found)});
    }
  }
  return result;
}

} // namespace

JoinedInstance::JoinedInstance(const Instance &original, int64_t capacity,
                               uint64_t seed, Limits &limits)
    : original(original) {
  if (original.windowed || original.padded) {
    return;
  }
  Joiner joiner(original, capacity, seed, blocks, alive, limits);
  joiner.join();
  const std::vector<std::pair<int32_t, Candidate>> flush = joiner.sideBySide();
  const size_t n = original.items.size();
  if (blocks.size() == n && flush.empty()) {
    return;
  }

  // Between sections of the same blocks there is nothing to distinguish.
  std::vector<uint8_t> changes(original.numSections + 1, 0);
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (!alive[b]) {
      continue;
    }
    if (b >= n) {
      changes[blocks[b].first] = changes[blocks[b].last + 1] = 1;
      continue;
    }
    const Item &item = original.items[b];
    for (int32_t p = item.pieceBegin; p < item.pieceEnd; ++p) {
      changes[original.pieces[p].begin] = changes[original.pieces[p].end] = 1;
    }
  }
  std::vector<int32_t> number(original.numSections, 0);
  for (int32_t s = 1; s < original.numSections; ++s) {
    number[s] = number[s - 1] + changes[s];
  }
  joined.numSections = number.empty() ? 0 : number.back() + 1;
  joined.granule = original.granule;
  joined.grid = original.grid;
  joined.lowerBound = original.lowerBound;
  std::vector<int32_t> itemOf(blocks.size(), -1);
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (!alive[b]) {
      continue;
    }
    itemOf[b] = static_cast<int32_t>(joined.items.size());
    Item item;
    item.size = blocks[b].size;
    item.alignment = original.granule;
    item.pieceBegin = static_cast<int32_t>(joined.pieces.size());
    if (b < n) {
      const Item &mine = original.items[b];
      item.alignment = mine.alignment;
      item.fixedOffset = mine.fixedOffset;
      for (int32_t p = mine.pieceBegin; p < mine.pieceEnd; ++p) {
        const Piece &piece = original.pieces[p];
        joined.pieces.push_back({number[piece.begin], number[piece.end - 1] + 1,
                                 piece.lo, piece.hi});
      }
    } else {
      joined.pieces.push_back(
          {number[blocks[b].first], number[blocks[b].last] + 1, 0, item.size});
    }
    item.slice = static_cast<int32_t>(b);
    item.pieceEnd = static_cast<int32_t>(joined.pieces.size());
    item.first = number[blocks[b].first];
    item.last = blocks[b].last < 0 ? -1 : number[blocks[b].last];
    joined.items.push_back(item);
  }
  for (const auto &entry : flush) {
    Joint joint;
    joint.section = number[entry.first];
    joint.sum = entry.second.sum;
    for (int32_t b : entry.second.ending) {
      joint.ending.push_back(itemOf[b]);
    }
    for (int32_t b : entry.second.beginning) {
      joint.beginning.push_back(itemOf[b]);
    }
    joints.push_back(std::move(joint));
  }
}

std::vector<int64_t>
JoinedInstance::expand(const std::vector<int64_t> &offsets) const {
  std::vector<int64_t> at(blocks.size(), 0);
  for (size_t i = 0; i < joined.items.size(); ++i) {
    at[joined.items[i].slice] = offsets[i];
  }
  // A block comes after its parts.
  for (size_t b = blocks.size(); b-- > original.items.size();) {
    for (const std::vector<int32_t> *members :
         {&blocks[b].ending, &blocks[b].beginning}) {
      int64_t offset = at[b];
      for (int32_t i : *members) {
        at[i] = offset;
        offset += blocks[i].size;
      }
    }
  }
  at.resize(original.items.size());
  return at;
}

} // namespace offsets
} // namespace serenity

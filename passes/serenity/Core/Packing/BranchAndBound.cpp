// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Set-up and branching of the branch-and-bound search.

#include "serenity/Core/Packing/BranchAndBoundState.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace serenity {
namespace offsets {

void BranchAndBound::Impl::build() {
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
void BranchAndBound::Impl::choose(int32_t branchingOrder) {
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
  strategy = kStrategies[branchingOrder % kCount];
  const int32_t cycle = branchingOrder / kCount;
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

const BranchAndBound::Impl::Summary &
BranchAndBound::Impl::summarise(int32_t s) {
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
bool BranchAndBound::Impl::allFlat(int32_t s, bool top) {
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

Signature BranchAndBound::Impl::signatureOf(const std::vector<int32_t> &items) {
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
Feasibility BranchAndBound::Impl::solve(const std::vector<int32_t> &items) {
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
    Feasibility answer = branch(part);
    if (answer != Feasibility::Feasible) {
      return answer;
    }
  }
  return Feasibility::Feasible;
}

/// The number of cases of one end of a section, if it is to be branched on:
/// `bestCases` is the least number found so far.
std::optional<BranchAndBound::Impl::Choice>
BranchAndBound::Impl::casesAt(int32_t s, bool top, int64_t bestCases,
                              bool haveBest) {
  const Summary &summary = summaries[s];
  Choice choice;
  choice.section = s;
  choice.top = top;
  choice.slack = ceiling[s] - floor[s] - room[s];
  choice.cases = summary.candidates[top];
  choice.gap = choice.slack > 0;
  if (choice.gap) {
    const bool rises = choice.slack >= summary.rise[top] || !rules.dominance;
    if (haveBest && choice.cases + rises > bestCases &&
        strategy.sections != Strategy::FewestPerFailure) {
      return std::nullopt; // whether flat or not
    }
    if (allFlat(s, top)) {
      choice.gap = rises;
    } else {
      choice.cases += numItems; // only if there is nothing better
    }
  }
  choice.cases += choice.gap ? 1 : 0;
  return choice;
}

bool BranchAndBound::Impl::isBetter(const Choice &choice,
                                    const Choice &best) const {
  const int64_t mineFailed = failures[choice.section];
  const int64_t bestFailed = best.section < 0 ? 0 : failures[best.section];
  switch (strategy.sections) {
  case Strategy::FewestThenSlack:
    return choice.cases < best.cases ||
           (choice.cases == best.cases && choice.slack < best.slack);
  case Strategy::FewestThenFailures:
    return choice.cases < best.cases ||
           (choice.cases == best.cases && mineFailed > bestFailed);
  case Strategy::FewestPerFailure: {
    if (best.section < 0) {
      return true;
    }
    // No case, or one, is always best.
    const int64_t mine = (choice.cases <= 1 ? 0 : choice.cases) * bestFailed;
    const int64_t theirs = best.cases * mineFailed;
    return mine < theirs || (mine == theirs && choice.slack < best.slack);
  }
  }
  return false;
}

/// Picks the section and the end of it with the fewest cases.
BranchAndBound::Impl::Choice
BranchAndBound::Impl::chooseSection(const std::vector<int32_t> &items) {
  Choice best;
  int32_t sectionsDone = -1;
  for (int32_t i : items) {
    const Item &item = instance.items[i];
    for (int32_t s = std::max(item.first, sectionsDone + 1);
         s <= item.last && best.cases > 1; ++s) {
      if (!summarise(s).undecided) {
        continue;
      }
      for (bool top : {false, true}) {
        if (top && !strategy.ceilings) {
          continue;
        }
        std::optional<Choice> choice =
            casesAt(s, top, best.cases, best.section >= 0);
        if (choice && isBetter(*choice, best)) {
          best = *choice;
        }
      }
    }
    sectionsDone = std::max(sectionsDone, item.last);
  }
  return best;
}

/// The undecided items that can lie at the chosen end.
std::vector<int32_t>
BranchAndBound::Impl::candidatesOf(const Choice &choice) const {
  const int32_t s = choice.section;
  std::vector<int32_t> candidates;
  for (int64_t c = sectionFirst[s]; c < liveEnd[s]; ++c) {
    const Cell &cell = sectionCells[c];
    int32_t j = cell.item;
    if (low[j] != high[j] && (choice.top ? high[j] + cell.hi == ceiling[s]
                                         : low[j] + cell.lo == floor[s])) {
      candidates.push_back(j);
    }
  }
  return candidates;
}

/// By rank; with `Strategy::fit` the items first that are flush with the
/// floors beside them.
void BranchAndBound::Impl::sortCandidates(std::vector<int32_t> &candidates,
                                          bool top) {
  std::sort(candidates.begin(), candidates.end(),
            [&](int32_t a, int32_t b) { return rank[a] < rank[b]; });
  if (!strategy.fit || top) {
    return;
  }
  scores.clear();
  for (int32_t i : candidates) {
    const Item &item = instance.items[i];
    const int64_t bottom = low[i];
    const int64_t end = low[i] + item.size;
    const int64_t left = item.first == 0 ? INT64_MAX : floor[item.first - 1];
    const int64_t right =
        item.last + 1 == numSections ? INT64_MAX : floor[item.last + 1];
    const int score =
        (left > bottom) + (right > bottom) + (left == end) + (right == end);
    scores.push_back({-score, rank[i], i});
  }
  std::sort(scores.begin(), scores.end());
  for (size_t k = 0; k < candidates.size(); ++k) {
    candidates[k] = std::get<2>(scores[k]);
  }
}

/// The nearest place at which item `i`, which does not lie at the chosen end,
/// lies on another item.
int64_t BranchAndBound::Impl::nearestRest(int32_t i, bool top) const {
  const int64_t alignment = instance.items[i].alignment;
  int64_t nearest = top ? std::numeric_limits<int64_t>::min()
                        : std::numeric_limits<int64_t>::max();
  if (!rules.dominance) {
    return top ? high[i] - alignment : low[i] + alignment;
  }
  for (int64_t c = itemFirst[i]; c < itemFirst[i + 1]; ++c) {
    const Cell &mine = itemCells[c];
    const int32_t t = mine.section;
    for (int64_t d = sectionFirst[t]; d < liveEnd[t]; ++d) {
      const Cell &theirs = sectionCells[d];
      const int32_t j = theirs.item;
      if (j == i) {
        continue;
      }
      nearest = top ? std::max(nearest, high[j] + theirs.lo - mine.hi)
                    : std::min(nearest, low[j] + theirs.hi - mine.lo);
    }
  }
  return top ? std::min(nearest, high[i] - alignment)
             : std::max(nearest, low[i] + alignment);
}

/// The case that no candidate lies at the chosen end: each lies on some other
/// item. False if that is contradictory.
bool BranchAndBound::Impl::excludeAll(const Choice &choice,
                                      const std::vector<int32_t> &candidates) {
  const bool top = choice.top;
  std::vector<std::pair<int32_t, int64_t>> bounds;
  bounds.reserve(candidates.size());
  for (int32_t i : candidates) {
    bounds.push_back({i, nearestRest(i, top)});
  }
  for (const auto &bound : bounds) {
    // No item to lie on: the bound is at infinity.
    if (top ? bound.second < 0 : bound.second > capacity) {
      return false;
    }
    if (!(top ? setHigh(bound.first, bound.second)
              : setLow(bound.first, bound.second))) {
      return false;
    }
  }
  if (!rules.sectionInference) {
    // The floor has to rise here, or nothing would have changed.
    const int32_t s = choice.section;
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
  return true;
}

/// Whether an interchangeable candidate was tried before the `k`th.
bool BranchAndBound::Impl::isRepeated(const std::vector<int32_t> &candidates,
                                      size_t k) const {
  const int32_t i = candidates[k];
  for (size_t m = 0; m < k; ++m) {
    const int32_t j = candidates[m];
    if (symmetryClass[i] == symmetryClass[j] && low[i] == low[j] &&
        high[i] == high[j]) {
      return true;
    }
  }
  return false;
}

Feasibility BranchAndBound::Impl::branch(const std::vector<int32_t> &items) {
  if (limits.countNode() || --nodesLeft < 0) {
    outOfNodes = true;
    return Feasibility::Unknown;
  }
  if (depth >= maxDepth) {
    return Feasibility::Unknown;
  }
  struct Deeper {
    int32_t &depth;
    explicit Deeper(int32_t &depth) : depth(++depth) {}
    ~Deeper() { --depth; }
  } deeper(depth);
  const Choice choice = chooseSection(items);
  std::vector<int32_t> candidates = candidatesOf(choice);

  // A single case is no decision: nothing to remember.
  Signature signature;
  const bool remember =
      rules.memory && choice.cases > 1 && items.size() <= kMaxRememberedItems;
  if (remember) {
    signature = signatureOf(items);
    if (refuted.count(signature)) {
      return Feasibility::Infeasible;
    }
  }
  sortCandidates(candidates, choice.top);

  bool known = true;
  const size_t mark = trail.size();
  // One case per candidate, and one more for none of them.
  const size_t numCases = candidates.size() + (choice.gap ? 1 : 0);
  for (size_t k = 0; k < numCases; ++k) {
    bool consistent;
    if (k == candidates.size()) {
      consistent = excludeAll(choice, candidates);
    } else if (rules.symmetry && isRepeated(candidates, k)) {
      continue;
    } else {
      const int32_t i = candidates[k];
      consistent = choice.top ? setLow(i, high[i]) : setHigh(i, low[i]);
    }
    if (consistent && propagate()) {
      Feasibility answer = solve(items);
      if (answer == Feasibility::Feasible) {
        return answer;
      }
      known &= answer == Feasibility::Infeasible;
    }
    undo(mark);
    if (outOfNodes) {
      return Feasibility::Unknown;
    }
  }
  if (!known) {
    return Feasibility::Unknown;
  }
  if (remember && refuted.size() < kMaxRemembered) {
    refuted.insert(signature);
  }
  return Feasibility::Infeasible;
}

BranchAndBound::BranchAndBound(const Instance &instance, const PackRules &rules,
                               Limits &limits, std::vector<Joint> joints)
    : impl(new Impl(instance, rules, limits, std::move(joints))) {}

BranchAndBound::~BranchAndBound() { delete impl; }

Feasibility BranchAndBound::decide(int64_t capacity, int32_t branchingOrder,
                                   int64_t nodeBudget,
                                   std::vector<int64_t> &offsets) {
  impl->choose(branchingOrder);
  impl->nodesLeft = nodeBudget;
  impl->outOfNodes = false;
  if (!impl->reset(capacity) || !impl->propagate()) {
    return Feasibility::Infeasible;
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
  Feasibility answer = impl->solve(items);
  if (answer == Feasibility::Feasible) {
    offsets = impl->low;
  }
  return answer;
}

} // namespace offsets
} // namespace serenity

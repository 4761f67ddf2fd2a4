// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Packing/OffsetsInternal.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace serenity {
namespace offsets {

//===----------------------------------------------------------------------===//
// IREE
//===----------------------------------------------------------------------===//

namespace {

/// The slices placed so far, found by time. A segment tree over the moments at
/// which lifetimes begin or end holds each slice at the nodes that its lifetime
/// consists of; slices that begin later than the moment asked for come from a
/// list sorted by their beginning.
class PlacedSlices {
public:
  explicit PlacedSlices(const std::vector<Slice> &slices)
      : slices(slices), age(slices.size(), -1), byLower(slices.size()) {
    for (const Slice &slice : slices) {
      times.push_back(slice.lower);
      times.push_back(slice.upper);
    }
    std::sort(times.begin(), times.end());
    times.erase(std::unique(times.begin(), times.end()), times.end());
    nodes.resize(2 * times.size());
    std::iota(byLower.begin(), byLower.end(), 0);
    std::stable_sort(byLower.begin(), byLower.end(), [&](size_t a, size_t b) {
      return slices[a].lower < slices[b].lower;
    });
  }

  void insert(size_t slice) {
    age[slice] = count++;
    size_t begin = indexOf(slices[slice].lower) + times.size();
    size_t end = indexOf(slices[slice].upper) + times.size();
    for (; begin < end; begin /= 2, end /= 2) {
      if (begin % 2 != 0) {
        nodes[begin++].push_back(slice);
      }
      if (end % 2 != 0) {
        nodes[--end].push_back(slice);
      }
    }
  }

  /// Those that are live at some moment of the lifetime of `slice`.
  void collect(const Slice &slice, std::vector<size_t> &result) const {
    result.clear();
    for (size_t node = indexOf(slice.lower) + times.size(); node > 0;
         node /= 2) {
      result.insert(result.end(), nodes[node].begin(), nodes[node].end());
    }
    auto later = std::upper_bound(
        byLower.begin(), byLower.end(), slice.lower,
        [&](int64_t time, size_t other) { return time < slices[other].lower; });
    for (; later != byLower.end() && slices[*later].lower < slice.upper;
         ++later) {
      if (age[*later] >= 0) {
        result.push_back(*later);
      }
    }
  }

  /// The larger, the later it was placed.
  int64_t ageOf(size_t slice) const { return age[slice]; }

private:
  size_t indexOf(int64_t time) const {
    return static_cast<size_t>(
        std::lower_bound(times.begin(), times.end(), time) - times.begin());
  }

  const std::vector<Slice> &slices;
  std::vector<int64_t> age; // -1: not placed
  int64_t count = 0;
  std::vector<size_t> byLower;
  std::vector<int64_t> times;
  std::vector<std::vector<size_t>> nodes; // leaves from times.size() on
};

} // namespace

std::vector<int64_t> packLikeIree(const std::vector<Slice> &slices,
                                  const PackOptions &options) {
  // Gaps are unknown to IREE; using the whole lifetime is safe.
  std::vector<int64_t> offsets(slices.size(), 0);
  auto sizeOf = [&](size_t i) {
    return alignUp(slices[i].bytes, options.rangeAlignment);
  };
  PlacedSlices placed(slices);
  for (size_t i = 0; i < slices.size(); ++i) {
    if (slices[i].fixedOffset) {
      offsets[i] = *slices[i].fixedOffset;
      placed.insert(i);
    }
  }
  std::vector<size_t> together;
  for (size_t i = 0; i < slices.size(); ++i) {
    const Slice &slice = slices[i];
    if (slice.fixedOffset) {
      continue;
    }
    const int64_t alignment =
        slice.alignment / std::gcd(slice.alignment, options.offsetAlignment) *
        options.offsetAlignment;
    const int64_t size = sizeOf(i);
    placed.collect(slice, together);
    // Of equal offsets IREE sees the newest first.
    std::sort(together.begin(), together.end(), [&](size_t a, size_t b) {
      return offsets[a] != offsets[b] ? offsets[a] < offsets[b]
                                      : placed.ageOf(a) > placed.ageOf(b);
    });
    int64_t best = -1;
    int64_t bestGap = std::numeric_limits<int64_t>::max();
    int64_t free = 0; // end of the used range below
    for (size_t other : together) {
      const int64_t candidate = alignUp(free, alignment);
      // IREE compares the gap after alignment with gaps before alignment; the
      // difference decides between gaps and has to be kept.
      if (candidate + size <= offsets[other] &&
          offsets[other] - candidate < bestGap) {
        best = candidate;
        bestGap = offsets[other] - free;
      }
      free = std::max(free, offsets[other] + sizeOf(other));
    }
    offsets[i] = best >= 0 ? best : alignUp(free, alignment);
    placed.insert(i);
  }
  return offsets;
}

//===----------------------------------------------------------------------===//
// First fit
//===----------------------------------------------------------------------===//

FirstFit::FirstFit(const Instance &instance) : instance(instance) {
  constexpr size_t kMaxPairs = size_t(48) << 20;
  int32_t n = static_cast<int32_t>(instance.items.size());
  // Sweep over sections; the pieces alive when another begins overlap it.
  std::vector<std::pair<int32_t, int32_t>> starts; // (section, item)
  for (int32_t i = 0; i < n; ++i) {
    const Item &item = instance.items[i];
    for (int32_t p = item.pieceBegin; p < item.pieceEnd; ++p) {
      starts.push_back({instance.pieces[p].begin, p});
    }
  }
  std::vector<int32_t> owner(instance.pieces.size());
  for (int32_t i = 0; i < n; ++i) {
    for (int32_t p = instance.items[i].pieceBegin;
         p < instance.items[i].pieceEnd; ++p) {
      owner[p] = i;
    }
  }
  std::sort(starts.begin(), starts.end());
  std::vector<std::pair<int32_t, int32_t>> pairs;
  std::vector<int32_t> active;
  for (const auto &start : starts) {
    active.erase(std::remove_if(active.begin(), active.end(),
                                [&](int32_t p) {
                                  return instance.pieces[p].end <= start.first;
                                }),
                 active.end());
    int32_t item = owner[start.second];
    for (int32_t p : active) {
      if (owner[p] != item) {
        pairs.push_back({std::min(item, owner[p]), std::max(item, owner[p])});
      }
    }
    active.push_back(start.second);
    if (pairs.size() > kMaxPairs) {
      listed = false;
      return;
    }
  }
  bool mayRepeat = instance.pieces.size() > instance.items.size();
  if (mayRepeat) {
    std::sort(pairs.begin(), pairs.end());
    pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  }
  first.assign(n + 1, 0);
  for (const auto &pair : pairs) {
    ++first[pair.first + 1];
    ++first[pair.second + 1];
  }
  std::partial_sum(first.begin(), first.end(), first.begin());
  neighbours.resize(2 * pairs.size());
  std::vector<int64_t> next(first.begin(), first.end() - 1);
  for (const auto &pair : pairs) {
    neighbours[next[pair.first]++] = pair.second;
    neighbours[next[pair.second]++] = pair.first;
  }
  for (int32_t i = 0; i < n; ++i) {
    std::sort(neighbours.begin() + first[i], neighbours.begin() + first[i + 1]);
  }
}

/// Adds the offsets of `item` that `other` excludes to `forbidden`.
void FirstFit::collect(int32_t item, int32_t other, int64_t otherOffset) {
  const Item &a = instance.items[item];
  const Item &b = instance.items[other];
  if (!instance.windowed) {
    forbidden.push_back({otherOffset - instance.pieces[a.pieceBegin].hi,
                         otherOffset + instance.pieces[b.pieceBegin].hi});
    return;
  }
  for (int32_t p = a.pieceBegin; p < a.pieceEnd; ++p) {
    for (int32_t q = b.pieceBegin; q < b.pieceEnd; ++q) {
      const Piece &mine = instance.pieces[p];
      const Piece &theirs = instance.pieces[q];
      if (mine.begin < theirs.end && theirs.begin < mine.end) {
        forbidden.push_back({otherOffset + theirs.lo - mine.hi,
                             otherOffset + theirs.hi - mine.lo});
      }
    }
  }
}

std::vector<int64_t> FirstFit::place(const std::vector<int32_t> &order,
                                     int64_t limit) {
  std::vector<int64_t> offsets(instance.items.size(), -1);
  std::vector<int32_t> placed; // only where neighbours are not listed
  for (int32_t i : order) {
    if (instance.items[i].fixedOffset >= 0) {
      offsets[i] = instance.items[i].fixedOffset;
      placed.push_back(i);
    }
  }
  for (int32_t i : order) {
    const Item &item = instance.items[i];
    if (item.fixedOffset >= 0) {
      continue;
    }
    forbidden.clear();
    if (listed) {
      for (const int32_t *j = neighboursBegin(i); j != neighboursEnd(i); ++j) {
        if (offsets[*j] >= 0) {
          collect(i, *j, offsets[*j]);
        }
      }
    } else {
      for (int32_t j : placed) {
        const Item &other = instance.items[j];
        if (other.first > item.last || other.last < item.first) {
          continue;
        }
        bool overlap = false;
        for (int32_t p = item.pieceBegin; p < item.pieceEnd; ++p) {
          for (int32_t q = other.pieceBegin; q < other.pieceEnd; ++q) {
            overlap |= instance.pieces[p].begin < instance.pieces[q].end &&
                       instance.pieces[q].begin < instance.pieces[p].end;
          }
        }
        if (overlap) {
          collect(i, j, offsets[j]);
        }
      }
    }
    std::sort(forbidden.begin(), forbidden.end());
    int64_t offset = 0;
    for (const auto &interval : forbidden) {
      if (offset <= interval.first) {
        break;
      }
      if (offset < interval.second) {
        offset = alignUp(interval.second, item.alignment);
      }
    }
    if (offset + item.size > limit) {
      return {};
    }
    offsets[i] = offset;
    placed.push_back(i);
  }
  return offsets;
}

//===----------------------------------------------------------------------===//
// Orders
//===----------------------------------------------------------------------===//

namespace {

/// Sorts the items by descending keys, the later ones breaking ties.
std::vector<int32_t> orderBy(const Instance &instance,
                             const std::vector<std::vector<int64_t>> &keys) {
  std::vector<int32_t> order(instance.items.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    for (const std::vector<int64_t> &key : keys) {
      if (key[a] != key[b]) {
        return key[a] > key[b];
      }
    }
    return false;
  });
  return order;
}

} // namespace

std::vector<int64_t> bestOfOrders(const Instance &instance, FirstFit &firstFit,
                                  int64_t target, Limits &limits,
                                  std::vector<int32_t> *bestOrder) {
  size_t n = instance.items.size();
  std::vector<int64_t> live(instance.numSections, 0);
  for (const Piece &piece : instance.pieces) {
    live[piece.begin] += piece.hi - piece.lo;
    if (piece.end < instance.numSections) {
      live[piece.end] -= piece.hi - piece.lo;
    }
  }
  std::partial_sum(live.begin(), live.end(), live.begin());
  // Highest section that an item crosses, by sparse table.
  std::vector<std::vector<int64_t>> highest{live};
  for (int32_t step = 1; 2 * step <= instance.numSections; step *= 2) {
    const std::vector<int64_t> &half = highest.back();
    std::vector<int64_t> whole(half.size() - step);
    for (size_t s = 0; s < whole.size(); ++s) {
      whole[s] = std::max(half[s], half[s + step]);
    }
    highest.push_back(std::move(whole));
  }
  std::vector<int64_t> size(n), length(n), area(n), first(n), last(n),
      breadth(n);
  for (size_t i = 0; i < n; ++i) {
    const Item &item = instance.items[i];
    size[i] = item.size;
    length[i] = item.last - item.first + 1;
    area[i] = 0;
    for (int32_t p = item.pieceBegin; p < item.pieceEnd; ++p) {
      const Piece &piece = instance.pieces[p];
      __int128 sum = __int128(area[i]) +
                     __int128(piece.hi - piece.lo) * (piece.end - piece.begin);
      area[i] = static_cast<int64_t>(
          std::min<__int128>(sum, std::numeric_limits<int64_t>::max()));
      int level = 0;
      while ((2 << level) <= piece.end - piece.begin) {
        ++level;
      }
      breadth[i] =
          std::max({breadth[i], highest[level][piece.begin],
                    highest[level][piece.end - (int32_t(1) << level)]});
    }
    first[i] = -int64_t(item.first);
    last[i] = item.last;
  }
  const std::vector<std::vector<std::vector<int64_t>>> keys = {
      {size, length},  {area, size},          {length, size},
      {breadth, size}, {breadth, area},       {breadth, length, size},
      {first, size},   {first, length, size}, {last, size},
  };
  std::vector<int64_t> best;
  int64_t bestHeight = std::numeric_limits<int64_t>::max();
  for (const auto &key : keys) {
    if (!best.empty() && limits.expired()) {
      break;
    }
    std::vector<int32_t> order = orderBy(instance, key);
    std::vector<int64_t> offsets = firstFit.place(order, bestHeight);
    if (offsets.empty()) {
      continue;
    }
    int64_t height = heightOf(instance, offsets);
    if (best.empty() || height < bestHeight) {
      best = std::move(offsets);
      bestHeight = height;
      if (bestOrder) {
        *bestOrder = std::move(order);
      }
    }
    if (bestHeight <= target) {
      break;
    }
  }
  return best;
}

std::vector<int64_t> improveOrder(const Instance &instance, FirstFit &firstFit,
                                  std::vector<int32_t> order, int64_t height,
                                  int64_t target, int iterations,
                                  Limits &limits) {
  const size_t n = instance.items.size();
  std::vector<int64_t> best;
  std::vector<double> place(n);
  for (size_t k = 0; k < n; ++k) {
    place[order[k]] = static_cast<double>(k) + 1;
  }
  for (int since = 0; since < iterations && height > target; ++since) {
    if (limits.countNode() || limits.expired()) {
      break;
    }
    std::vector<int64_t> offsets = firstFit.place(order);
    const int64_t reached = heightOf(instance, offsets);
    if (reached < height) {
      height = reached;
      best = offsets;
      since = -1;
    }
    // The higher above the target, the further forward.
    for (size_t i = 0; i < n; ++i) {
      const int64_t end = offsets[i] + instance.items[i].size;
      if (end > target) {
        const double excess = static_cast<double>(end - target) /
                              static_cast<double>(reached - target);
        place[i] *= 1 - 0.5 * excess;
      }
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return place[a] < place[b]; });
    for (size_t k = 0; k < n; ++k) {
      place[order[k]] = static_cast<double>(k) + 1;
    }
  }
  return best;
}

} // namespace offsets
} // namespace serenity

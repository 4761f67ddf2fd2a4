// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Packing/FixedRegions.h"

#include "serenity/Core/Alignment.h"
#include "serenity/Core/Packing/PackMemo.h"

#include <algorithm>
#include <numeric>

namespace serenity {

namespace {

/// Rounds of the search per initial order, and the steps of time that all of
/// them may look at.
constexpr int maxRounds = 24;
constexpr int64_t maxWork = int64_t(1) << 25;
/// Assignments whose slab is laid out.
constexpr size_t maxLayouts = 4;
/// Sums of bytes that `fullestSubset` looks at.
constexpr int64_t maxSubsetWork = int64_t(1) << 24;

/// An interval of bytes.
struct Range {
  int64_t lower;
  int64_t upper;
};

/// Free bytes of `region` while `busy` is occupied, as slices at multiples of
/// `unit` can use them. `busy` is sorted by address.
int64_t freeBytes(const FixedRegion &region, const std::vector<Range> &busy,
                  int64_t unit) {
  int64_t bytes = 0;
  int64_t from = 0;
  auto count = [&](int64_t to) {
    bytes += std::max<int64_t>(alignUp(to, unit) - alignUp(from, unit), 0);
  };
  for (const Range &range : busy) {
    count(range.lower);
    from = std::max(from, range.upper);
  }
  count(region.bytes);
  return bytes;
}

/// Offset of the smallest free gap of `region` that holds `bytes` at a multiple
/// of `unit`; -1 if there is none. `high` takes its upper end.
int64_t findGap(const FixedRegion &region, std::vector<Range> busy,
                int64_t bytes, int64_t unit, bool high) {
  std::sort(busy.begin(), busy.end(),
            [](const Range &a, const Range &b) { return a.lower < b.lower; });
  busy.push_back({region.bytes, region.bytes});
  int64_t best = -1;
  int64_t bestRoom = 0;
  int64_t from = 0;
  for (const Range &range : busy) {
    const int64_t lower = alignUp(from, unit);
    const int64_t room = range.lower - lower;
    if (room >= bytes && (best < 0 || room < bestRoom)) {
      best = high ? (range.lower - bytes) / unit * unit : lower;
      bestRoom = room;
    }
    from = std::max(from, range.upper);
  }
  return best;
}

bool overlapInTime(const Slice &a, const Slice &b) {
  return a.lower < b.upper && b.lower < a.upper;
}

class Search {
public:
  Search(const std::vector<Slice> &slices,
         const std::vector<FixedRegion> &regions, const PackOptions &options);

  BesidePackResult run();

private:
  struct Assignment {
    std::vector<RegionPlacement> placements;
    int64_t liveBytes = 0;
    int moved = 0;
  };
  /// Moves slices in the order of their weights, as long as more than `target`
  /// is alive.
  Assignment assign(int64_t target, bool high);
  bool place(Assignment &assignment, int slice, bool high) const;
  int64_t liveOver(const Slice &slice) const;
  void changeLive(int slice, int64_t sign);
  void squeak(const Assignment &assignment);
  void note(Assignment assignment);
  std::vector<int64_t> initialWeights(int rule) const;
  void search();
  /// Lays the slab out.
  PackResult layOut(const Assignment &assignment) const;
  bool putBack(Assignment &assignment, int64_t slabBytes);

  const std::vector<Slice> &slices;
  const std::vector<FixedRegion> &regions;
  const PackOptions &options;
  int64_t unit;              // of offsets
  std::vector<int64_t> size; // rounded up, per slice
  std::vector<bool> fits;    // into some region that has nothing else in it
  std::vector<int64_t> live; // of the slab, per step
  std::vector<int64_t> weights;
  std::vector<Assignment> found; // least live bytes first
  int64_t bound = 0;
  int64_t work = 0;
};

Search::Search(const std::vector<Slice> &slices,
               const std::vector<FixedRegion> &regions,
               const PackOptions &options)
    : slices(slices), regions(regions), options(options),
      unit(std::lcm(options.offsetAlignment, options.rangeAlignment)) {
  int64_t steps = 0;
  Assignment none;
  none.placements.resize(slices.size());
  for (const Slice &slice : slices) {
    size.push_back(alignUp(slice.bytes, options.rangeAlignment));
    steps = std::max(steps, slice.upper);
  }
  live.assign(size_t(steps), 0);
  for (size_t i = 0; i < slices.size(); ++i) {
    changeLive(int(i), 1);
    Assignment alone = none;
    fits.push_back(place(alone, int(i), false));
  }
  bound = besideLowerBound(slices, regions, options);
}

void Search::changeLive(int slice, int64_t sign) {
  for (int64_t t = slices[size_t(slice)].lower; t < slices[size_t(slice)].upper;
       ++t) {
    live[size_t(t)] += sign * size[size_t(slice)];
  }
}

int64_t Search::liveOver(const Slice &slice) const {
  return *std::max_element(live.begin() + slice.lower,
                           live.begin() + slice.upper);
}

bool Search::place(Assignment &assignment, int slice, bool high) const {
  const Slice &wanted = slices[size_t(slice)];
  for (size_t r = 0; r < regions.size(); ++r) {
    if (regions[r].bytes < wanted.bytes) {
      continue;
    }
    std::vector<Range> busy;
    for (const Slice &own : regions[r].occupied) {
      if (overlapInTime(own, wanted)) {
        busy.push_back({*own.fixedOffset, *own.fixedOffset + own.bytes});
      }
    }
    for (size_t i = 0; i < slices.size(); ++i) {
      const RegionPlacement &other = assignment.placements[i];
      if (other.region == int(r) && overlapInTime(slices[i], wanted)) {
        busy.push_back({other.offset, other.offset + size[i]});
      }
    }
    const int64_t multiple = std::lcm(unit, wanted.alignment);
    int64_t offset =
        findGap(regions[r], std::move(busy), wanted.bytes, multiple, high);
    if (offset >= 0) {
      assignment.placements[size_t(slice)] = {int(r), offset};
      return true;
    }
  }
  return false;
}

Search::Assignment Search::assign(int64_t target, bool high) {
  std::vector<int> order(slices.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return weights[size_t(a)] > weights[size_t(b)];
  });
  Assignment assignment;
  assignment.placements.resize(slices.size());
  const std::vector<int64_t> before = live;
  for (int i : order) {
    const Slice &slice = slices[size_t(i)];
    if (!fits[size_t(i)]) {
      continue;
    }
    work += slice.upper - slice.lower;
    if (liveOver(slice) <= target) {
      continue;
    }
    work += int64_t(slices.size());
    if (place(assignment, i, high)) {
      changeLive(i, -1);
      ++assignment.moved;
    }
  }
  assignment.liveBytes = *std::max_element(live.begin(), live.end());
  squeak(assignment);
  live = before;
  return assignment;
}

/// Slices that remain in the slab at its peak come earlier in the next round.
void Search::squeak(const Assignment &assignment) {
  const int64_t most =
      *std::max_element(weights.begin(), weights.end()) / 4 + 1;
  for (size_t i = 0; i < slices.size(); ++i) {
    if (fits[i] && assignment.placements[i].region < 0 &&
        liveOver(slices[i]) == assignment.liveBytes) {
      weights[i] += weights[i] / 2 + most;
    }
  }
  // Weights grow by less than the factor three per round: no overflow within
  // `maxRounds` from 2^20.
}

void Search::note(Assignment assignment) {
  auto worse =
      std::find_if(found.begin(), found.end(), [&](const Assignment &other) {
        return std::tie(other.liveBytes, other.moved) >
               std::tie(assignment.liveBytes, assignment.moved);
      });
  for (const Assignment &other : found) {
    if (other.liveBytes == assignment.liveBytes &&
        std::equal(other.placements.begin(), other.placements.end(),
                   assignment.placements.begin(),
                   [](const RegionPlacement &a, const RegionPlacement &b) {
                     return (a.region < 0) == (b.region < 0);
                   })) {
      return; // the same slab
    }
  }
  found.insert(worse, std::move(assignment));
  if (found.size() > maxLayouts) {
    found.pop_back();
  }
}

/// By bytes, by bytes and time together, short lives first.
std::vector<int64_t> Search::initialWeights(int rule) const {
  std::vector<int> order(slices.size());
  std::iota(order.begin(), order.end(), 0);
  auto key = [&](int i) {
    const int64_t length = slices[size_t(i)].upper - slices[size_t(i)].lower;
    return rule == 0   ? double(size[size_t(i)])
           : rule == 1 ? double(size[size_t(i)]) * double(length)
                       : -double(length);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return key(a) < key(b); });
  std::vector<int64_t> result(slices.size());
  for (size_t rank = 0; rank < order.size(); ++rank) {
    result[size_t(order[rank])] = int64_t(rank) + 1;
  }
  return result;
}

void Search::search() {
  const int64_t all = *std::max_element(live.begin(), live.end());
  int64_t least = all;
  for (int rule = 0; rule < 3; ++rule) {
    weights = initialWeights(rule);
    for (int round = 0; round < maxRounds && work < maxWork; ++round) {
      if (options.onProgress && !options.onProgress()) {
        return;
      }
      // The bound may be out of reach, and slices moved for it may take the
      // place of slices that would lower the peak: every other round aims
      // halfway to the bound.
      const int64_t target = round % 2 == 0 ? bound : (bound + least) / 2;
      Assignment next = assign(target, /*high=*/round % 4 >= 2);
      if (next.liveBytes < all) {
        least = std::min(least, next.liveBytes);
        note(std::move(next));
      }
      if (least <= bound) {
        return;
      }
    }
  }
}

PackResult Search::layOut(const Assignment &assignment) const {
  std::vector<Slice> rest;
  for (size_t i = 0; i < slices.size(); ++i) {
    if (assignment.placements[i].region < 0) {
      rest.push_back(slices[i]);
    }
  }
  return packOnce(rest, options);
}

/// Returns slices to the slab that do not raise its peak; false if there are
/// none.
bool Search::putBack(Assignment &assignment, int64_t slabBytes) {
  for (size_t i = 0; i < slices.size(); ++i) {
    if (assignment.placements[i].region >= 0) {
      changeLive(int(i), -1);
    }
  }
  bool any = false;
  for (size_t i = 0; i < slices.size(); ++i) {
    if (assignment.placements[i].region >= 0 &&
        liveOver(slices[i]) + size[i] <= slabBytes) {
      changeLive(int(i), 1);
      assignment.placements[i] = {};
      --assignment.moved;
      any = true;
    }
  }
  assignment.liveBytes = *std::max_element(live.begin(), live.end());
  for (size_t i = 0; i < slices.size(); ++i) {
    if (assignment.placements[i].region >= 0) {
      changeLive(int(i), 1);
    }
  }
  return any;
}

BesidePackResult Search::run() {
  Assignment best;
  best.placements.resize(slices.size());
  best.liveBytes =
      live.empty() ? 0 : *std::max_element(live.begin(), live.end());
  int64_t height = layOut(best).heightBytes;
  if (std::find(fits.begin(), fits.end(), true) != fits.end() &&
      height > bound) {
    search();
  }
  for (const Assignment &candidate : found) {
    if (candidate.liveBytes >= height || height == bound) {
      break;
    }
    int64_t slab = layOut(candidate).heightBytes;
    if (slab < height) {
      height = slab;
      best = candidate;
    }
  }
  Assignment fewer = best;
  if (best.moved > 0 && putBack(fewer, height)) {
    int64_t slab = layOut(fewer).heightBytes;
    if (slab <= height) {
      height = slab;
      best = std::move(fewer);
    }
  }
  BesidePackResult result;
  result.placements = std::move(best.placements);
  result.slabBytes = height;
  result.liveBytes = best.liveBytes;
  result.lowerBoundBytes = bound;
  result.optimal = height <= bound;
  return result;
}

} // namespace

int64_t besideLowerBound(const std::vector<Slice> &slices,
                         const std::vector<FixedRegion> &regions,
                         const PackOptions &options) {
  const int64_t unit =
      std::lcm(options.offsetAlignment, options.rangeAlignment);
  int64_t largest = 0;
  std::vector<int64_t> times;
  for (const FixedRegion &region : regions) {
    largest = std::max(largest, region.bytes);
    for (const Slice &own : region.occupied) {
      times.push_back(own.lower);
      times.push_back(own.upper);
    }
  }
  for (const Slice &slice : slices) {
    times.push_back(slice.lower);
  }
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  int64_t bound = 0;
  for (int64_t time : times) {
    int64_t live = 0;
    int64_t tooLarge = 0;
    for (const Slice &slice : slices) {
      if (slice.lower <= time && time < slice.upper) {
        const int64_t bytes = alignUp(slice.bytes, options.rangeAlignment);
        live += bytes;
        tooLarge += slice.bytes > largest ? bytes : 0;
      }
    }
    int64_t room = 0;
    for (const FixedRegion &region : regions) {
      std::vector<Range> busy;
      for (const Slice &own : region.occupied) {
        if (own.lower <= time && time < own.upper) {
          busy.push_back({*own.fixedOffset, *own.fixedOffset + own.bytes});
        }
      }
      std::sort(busy.begin(), busy.end(), [](const Range &a, const Range &b) {
        return a.lower < b.lower;
      });
      room += freeBytes(region, busy, unit);
    }
    bound = std::max({bound, live - room, tooLarge});
  }
  return bound;
}

int64_t fullestSubset(const std::vector<int64_t> &sizes, int64_t capacity,
                      int64_t unit) {
  const size_t units = size_t(alignUp(capacity, unit) / unit);
  if (int64_t(units) > maxSubsetWork / int64_t(sizes.size() + 1)) {
    return int64_t(units) * unit;
  }
  std::vector<bool> reached(units + 1, false);
  reached[0] = true;
  for (int64_t bytes : sizes) {
    const size_t size = size_t(alignUp(bytes, unit) / unit);
    for (size_t sum = units; sum >= size && size > 0; --sum) {
      reached[sum] = reached[sum] || reached[sum - size];
    }
  }
  size_t most = units;
  while (!reached[most]) {
    --most;
  }
  return int64_t(most) * unit;
}

BesidePackResult packBeside(const std::vector<Slice> &slices,
                            const std::vector<FixedRegion> &regions,
                            const PackOptions &options) {
  return Search(slices, regions, options).run();
}

Status verifyBeside(const std::vector<Slice> &slices,
                    const std::vector<FixedRegion> &regions,
                    const PackOptions &options,
                    const std::vector<RegionPlacement> &placements) {
  if (placements.size() != slices.size()) {
    return Status::failure(std::to_string(placements.size()) +
                           " placements for " + std::to_string(slices.size()) +
                           " slices");
  }
  auto apart = [](const Slice &a, int64_t at, const Slice &b, int64_t bAt) {
    return a.upper <= b.lower || b.upper <= a.lower || at + a.bytes <= bAt ||
           bAt + b.bytes <= at;
  };
  for (size_t i = 0; i < slices.size(); ++i) {
    const RegionPlacement &place = placements[i];
    if (place.region < 0) {
      continue;
    }
    const std::string subject = "slice " + std::to_string(i) + " at offset " +
                                std::to_string(place.offset) + " of region " +
                                std::to_string(place.region);
    if (place.region >= int(regions.size())) {
      return Status::failure(subject + ": there is no such region");
    }
    const FixedRegion &region = regions[size_t(place.region)];
    if (place.offset < 0 || place.offset + slices[i].bytes > region.bytes) {
      return Status::failure(subject + ": leaves the region");
    }
    if (place.offset % options.offsetAlignment != 0 ||
        place.offset % slices[i].alignment != 0) {
      return Status::failure(subject + ": offset is not aligned");
    }
    for (const Slice &own : region.occupied) {
      if (!apart(slices[i], place.offset, own, *own.fixedOffset)) {
        return Status::failure(subject +
                               ": overlaps the region's own contents");
      }
    }
    for (size_t j = 0; j < i; ++j) {
      if (placements[j].region == place.region &&
          !apart(slices[i], place.offset, slices[j], placements[j].offset)) {
        return Status::failure(subject + ": overlaps slice " +
                               std::to_string(j));
      }
    }
  }
  return Status::success();
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Packing/Offsets.h"

#include "serenity/Core/Packing/OffsetsInternal.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace serenity {

using namespace offsets;

namespace {

/// Sums stay below this, so that no intermediate value can overflow.
constexpr int64_t kMaxTotal = std::numeric_limits<int64_t>::max() / 8;

/// Least common multiple, or nothing beyond `kMaxTotal`.
std::optional<int64_t> checkedLcm(int64_t a, int64_t b) {
  int64_t factor = b / std::gcd(a, b);
  if (a > kMaxTotal / factor) {
    return std::nullopt;
  }
  return a * factor;
}

std::string name(size_t index) { return "slice " + std::to_string(index); }

/// A part of the lifetime with the bytes in use, before sections are known.
struct TimePiece {
  int32_t item;
  int64_t lower;
  int64_t upper;
  int64_t lo;
  int64_t hi;
};

/// Cuts a lifetime at its gaps. `size` is the rounded size.
void cutAtGaps(const Slice &slice, int32_t item, int64_t size,
               int64_t rangeAlignment, std::vector<TimePiece> &pieces) {
  std::vector<SliceGap> gaps = slice.gaps;
  std::sort(gaps.begin(), gaps.end(), [](const SliceGap &a, const SliceGap &b) {
    return a.lower < b.lower;
  });
  int64_t time = slice.lower;
  for (const SliceGap &gap : gaps) {
    if (gap.lower > time) {
      pieces.push_back({item, time, gap.lower, 0, size});
    }
    if (gap.windowUpper > gap.windowLower) {
      int64_t lo = alignDown(gap.windowLower, rangeAlignment);
      int64_t hi = std::min(alignUp(gap.windowUpper, rangeAlignment), size);
      pieces.push_back({item, gap.lower, gap.upper, lo, hi});
    }
    time = gap.upper;
  }
  if (time < slice.upper) {
    pieces.push_back({item, time, slice.upper, 0, size});
  }
}

Status checkGaps(const Slice &slice, size_t index) {
  std::vector<SliceGap> gaps = slice.gaps;
  std::sort(gaps.begin(), gaps.end(), [](const SliceGap &a, const SliceGap &b) {
    return a.lower < b.lower;
  });
  for (size_t i = 0; i < gaps.size(); ++i) {
    const SliceGap &gap = gaps[i];
    if (gap.lower >= gap.upper) {
      return Status::failure(
          name(index) + ": gap [" + std::to_string(gap.lower) + ", " +
          std::to_string(gap.upper) + ") is reversed or empty");
    }
    if (gap.lower < slice.lower || gap.upper > slice.upper) {
      return Status::failure(
          name(index) + ": gap [" + std::to_string(gap.lower) + ", " +
          std::to_string(gap.upper) + ") leaves the lifetime [" +
          std::to_string(slice.lower) + ", " + std::to_string(slice.upper) +
          ")");
    }
    if (gap.windowLower < 0 || gap.windowUpper < gap.windowLower ||
        gap.windowUpper > slice.bytes) {
      return Status::failure(
          name(index) + ": window [" + std::to_string(gap.windowLower) + ", " +
          std::to_string(gap.windowUpper) + ") of a gap is not within the " +
          std::to_string(slice.bytes) + " bytes of the slice");
    }
    if (i > 0 && gaps[i - 1].upper > gap.lower) {
      return Status::failure(name(index) + ": gaps overlap at time " +
                             std::to_string(gap.lower));
    }
  }
  return Status::success();
}

/// First pair of fixed slices that collide, if any.
Status checkFixed(const std::vector<Slice> &slices,
                  const PackOptions &options) {
  std::vector<TimePiece> pieces;
  for (size_t i = 0; i < slices.size(); ++i) {
    if (slices[i].fixedOffset) {
      cutAtGaps(slices[i], static_cast<int32_t>(i),
                alignUp(slices[i].bytes, options.rangeAlignment),
                options.rangeAlignment, pieces);
    }
  }
  std::sort(pieces.begin(), pieces.end(),
            [](const TimePiece &a, const TimePiece &b) {
              return std::tie(a.lower, a.item) < std::tie(b.lower, b.item);
            });
  std::vector<TimePiece> active;
  for (const TimePiece &piece : pieces) {
    active.erase(std::remove_if(active.begin(), active.end(),
                                [&](const TimePiece &other) {
                                  return other.upper <= piece.lower;
                                }),
                 active.end());
    int64_t offset = *slices[piece.item].fixedOffset;
    for (const TimePiece &other : active) {
      int64_t otherOffset = *slices[other.item].fixedOffset;
      if (offset + piece.lo < otherOffset + other.hi &&
          otherOffset + other.lo < offset + piece.hi) {
        return Status::failure(
            name(std::max(piece.item, other.item)) + ": fixed offset " +
            std::to_string(
                *slices[std::max(piece.item, other.item)].fixedOffset) +
            " makes it overlap " + name(std::min(piece.item, other.item)) +
            " at time " + std::to_string(piece.lower));
      }
    }
    active.push_back(piece);
  }
  return Status::success();
}

} // namespace

Status verifySlices(const std::vector<Slice> &slices,
                    const PackOptions &options) {
  if (options.offsetAlignment <= 0 || options.offsetAlignment > kMaxTotal) {
    return Status::failure("offset alignment " +
                           std::to_string(options.offsetAlignment) +
                           " is not positive or too large");
  }
  if (options.rangeAlignment <= 0 || options.rangeAlignment > kMaxTotal) {
    return Status::failure("range alignment " +
                           std::to_string(options.rangeAlignment) +
                           " is not positive or too large");
  }
  if (options.capacity && *options.capacity < 0) {
    return Status::failure("capacity " + std::to_string(*options.capacity) +
                           " is negative");
  }
  if (slices.size() > size_t(std::numeric_limits<int32_t>::max() / 2)) {
    return Status::failure("more slices than can be indexed");
  }
  // An upper bound of any height that a packer without back-tracking produces.
  __int128 total = 0;
  int64_t maxFixedEnd = 0;
  for (size_t i = 0; i < slices.size(); ++i) {
    const Slice &slice = slices[i];
    if (slice.lower >= slice.upper) {
      return Status::failure(
          name(i) + ": lifetime [" + std::to_string(slice.lower) + ", " +
          std::to_string(slice.upper) + ") is reversed or empty");
    }
    if (slice.bytes <= 0) {
      return Status::failure(name(i) + ": size " + std::to_string(slice.bytes) +
                             " is not positive");
    }
    if (slice.alignment <= 0) {
      return Status::failure(name(i) + ": alignment " +
                             std::to_string(slice.alignment) +
                             " is not positive");
    }
    std::optional<int64_t> alignment =
        slice.alignment > kMaxTotal
            ? std::nullopt
            : checkedLcm(slice.alignment, options.offsetAlignment);
    if (!alignment || slice.bytes > kMaxTotal) {
      return Status::failure(
          name(i) + ": size or alignment is too large for 64-bit offsets");
    }
    total += __int128(slice.bytes) + options.rangeAlignment + *alignment;
    if (slice.fixedOffset) {
      int64_t offset = *slice.fixedOffset;
      if (offset < 0 || offset > kMaxTotal) {
        return Status::failure(name(i) + ": fixed offset " +
                               std::to_string(offset) +
                               " is negative or too large");
      }
      if (offset % *alignment != 0) {
        return Status::failure(name(i) + ": fixed offset " +
                               std::to_string(offset) +
                               " is not a multiple of the alignment " +
                               std::to_string(*alignment));
      }
      maxFixedEnd = std::max(maxFixedEnd, offset);
    }
    if (Status status = checkGaps(slice, i); !status) {
      return status;
    }
  }
  if (total + maxFixedEnd > kMaxTotal) {
    return Status::failure(
        "the sizes add up to more than 64-bit offsets can hold");
  }
  return checkFixed(slices, options);
}

int64_t maximumLiveBytes(const std::vector<Slice> &slices,
                         const PackOptions &options) {
  // Ends sort before starts of the same time: lifetimes are half-open.
  std::vector<std::pair<int64_t, int64_t>> events;
  std::vector<TimePiece> pieces;
  for (const Slice &slice : slices) {
    cutAtGaps(slice, 0, alignUp(slice.bytes, options.rangeAlignment),
              options.rangeAlignment, pieces);
  }
  events.reserve(2 * pieces.size());
  for (const TimePiece &piece : pieces) {
    events.push_back({piece.lower, piece.hi - piece.lo});
    events.push_back({piece.upper, piece.lo - piece.hi});
  }
  std::sort(events.begin(), events.end());
  int64_t live = 0;
  int64_t peak = 0;
  for (const auto &event : events) {
    live += event.second;
    peak = std::max(peak, live);
  }
  return peak;
}

namespace {

/// Makes an item of every slice, cut at its gaps into pieces. Returns the grid
/// of sizes and bounds; 0 if there are none.
int64_t addItems(const std::vector<Slice> &slices, const PackOptions &options,
                 Instance &instance, std::vector<TimePiece> &timePieces) {
  // Bottom-justified offsets are sums of sizes, of bounds of windows and of
  // fixed offsets, rounded up to alignments: multiples of `grid`.
  int64_t grid = 0;
  for (size_t i = 0; i < slices.size(); ++i) {
    const Slice &slice = slices[i];
    Item item;
    item.slice = static_cast<int32_t>(i);
    item.size = alignUp(slice.bytes, options.rangeAlignment);
    item.alignment = slice.alignment /
                     std::gcd(slice.alignment, options.offsetAlignment) *
                     options.offsetAlignment;
    item.fixedOffset = slice.fixedOffset.value_or(-1);
    item.pieceBegin = static_cast<int32_t>(timePieces.size());
    cutAtGaps(slice, item.slice, item.size, options.rangeAlignment, timePieces);
    item.pieceEnd = static_cast<int32_t>(timePieces.size());
    grid = std::gcd(grid, item.size);
    grid = std::gcd(grid, slice.fixedOffset.value_or(0));
    for (int32_t p = item.pieceBegin; p < item.pieceEnd; ++p) {
      grid = std::gcd(grid, std::gcd(timePieces[p].lo, timePieces[p].hi));
      instance.windowed |=
          timePieces[p].lo != 0 || timePieces[p].hi != item.size;
    }
    instance.items.push_back(item);
  }
  return grid;
}

/// Sets grid, granule and the alignments of the items from the grid of sizes.
void setGranule(const std::vector<TimePiece> &timePieces, int64_t grid,
                Instance &instance) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const Item &item : instance.items) {
      if (grid % item.alignment != 0) {
        int64_t finer = std::gcd(grid, item.alignment);
        changed |= finer != grid;
        grid = finer;
      }
    }
  }
  instance.grid = std::max<int64_t>(grid, 1);
  instance.granule = 0;
  for (Item &item : instance.items) {
    if (grid % item.alignment == 0) {
      item.alignment = grid;
    }
    instance.granule = std::gcd(instance.granule, item.alignment);
  }
  // A slice that ends below a window off the granule needs no padding.
  for (const TimePiece &piece : timePieces) {
    instance.granule = std::gcd(instance.granule, piece.lo);
  }
  instance.granule = std::max<int64_t>(instance.granule, 1);
}

/// Sets the sections of pieces and items.
void formSections(const std::vector<TimePiece> &timePieces,
                  Instance &instance) {
  // Walk through time; a section is closed by an end that follows a start.
  struct Event {
    int64_t time;
    bool start;
    int32_t piece;
  };
  std::vector<Event> events;
  events.reserve(2 * timePieces.size());
  for (size_t i = 0; i < timePieces.size(); ++i) {
    events.push_back({timePieces[i].lower, true, static_cast<int32_t>(i)});
    events.push_back({timePieces[i].upper, false, static_cast<int32_t>(i)});
  }
  std::sort(events.begin(), events.end(), [](const Event &a, const Event &b) {
    return std::tie(a.time, a.start, a.piece) <
           std::tie(b.time, b.start, b.piece);
  });
  instance.pieces.resize(timePieces.size());
  bool open = false;
  for (const Event &event : events) {
    Piece &piece = instance.pieces[event.piece];
    if (event.start) {
      open = true;
      piece.begin = instance.numSections;
      piece.lo = timePieces[event.piece].lo;
      piece.hi = alignUp(timePieces[event.piece].hi, instance.granule);
      continue;
    }
    if (open) {
      open = false;
      ++instance.numSections;
    }
    piece.end = instance.numSections;
  }

  // Merge neighbours that sections made equal; take the hull.
  for (Item &item : instance.items) {
    item.first = std::numeric_limits<int32_t>::max();
    item.last = -1;
    for (int32_t p = item.pieceBegin; p < item.pieceEnd; ++p) {
      item.first = std::min(item.first, instance.pieces[p].begin);
      item.last = std::max(item.last, instance.pieces[p].end - 1);
    }
    if (item.last < 0) { // All of the lifetime is gap.
      item.first = 0;
    }
  }
}

/// Returns the largest sum of heights of live pieces, in bytes; notes whether
/// any piece is padded.
int64_t boundStacks(const std::vector<TimePiece> &timePieces,
                    Instance &instance) {
  // Stacked pieces pad each other to the granule; the uppermost is not padded.
  std::vector<std::pair<int32_t, int32_t>> sweep; // (section, piece or ~piece)
  for (size_t i = 0; i < instance.pieces.size(); ++i) {
    sweep.push_back({instance.pieces[i].begin, static_cast<int32_t>(i)});
    sweep.push_back({instance.pieces[i].end, ~static_cast<int32_t>(i)});
  }
  std::sort(sweep.begin(), sweep.end());
  // Counts of live pieces by padding: the largest padding may be saved.
  std::vector<int64_t> padding(instance.pieces.size());
  for (size_t i = 0; i < padding.size(); ++i) {
    padding[i] = instance.pieces[i].hi - timePieces[i].hi;
  }
  std::vector<int32_t> byPadding(padding.size());
  std::iota(byPadding.begin(), byPadding.end(), 0);
  std::sort(byPadding.begin(), byPadding.end(), [&](int32_t a, int32_t b) {
    return std::tie(padding[b], a) < std::tie(padding[a], b);
  });
  std::vector<int32_t> rank(padding.size());
  for (size_t i = 0; i < byPadding.size(); ++i) {
    rank[byPadding[i]] = static_cast<int32_t>(i);
  }
  instance.padded = std::any_of(padding.begin(), padding.end(),
                                [](int64_t value) { return value > 0; });
  std::vector<int32_t> heap; // ranks of live pieces, smallest first, lazy
  std::vector<bool> live(padding.size(), false);
  auto later = [](int32_t a, int32_t b) { return a > b; };
  int64_t bytes = 0;
  int64_t bound = 0;
  for (size_t i = 0; i < sweep.size(); ++i) {
    int32_t code = sweep[i].second;
    int32_t p = code >= 0 ? code : ~code;
    int64_t height = instance.pieces[p].hi - instance.pieces[p].lo;
    bytes += code >= 0 ? height : -height;
    live[p] = code >= 0;
    if (code >= 0 && instance.padded) {
      heap.push_back(rank[p]);
      std::push_heap(heap.begin(), heap.end(), later);
    }
    if (i + 1 < sweep.size() && sweep[i + 1].first == sweep[i].first) {
      continue;
    }
    while (!heap.empty() && !live[byPadding[heap.front()]]) {
      std::pop_heap(heap.begin(), heap.end(), later);
      heap.pop_back();
    }
    int64_t saved = heap.empty() ? 0 : padding[byPadding[heap.front()]];
    bound = std::max(bound, bytes - saved);
  }
  return bound;
}

} // namespace

Instance offsets::buildInstance(const std::vector<Slice> &slices,
                                const PackOptions &options) {
  Instance instance;
  std::vector<TimePiece> timePieces;
  int64_t grid = addItems(slices, options, instance, timePieces);
  setGranule(timePieces, grid, instance);
  formSections(timePieces, instance);
  instance.lowerBound = boundStacks(timePieces, instance);
  for (const Item &item : instance.items) {
    instance.lowerBound =
        std::max(instance.lowerBound,
                 std::max<int64_t>(item.fixedOffset, 0) + item.size);
  }
  return instance;
}

int64_t offsets::heightOf(const Instance &instance,
                          const std::vector<int64_t> &offsets) {
  int64_t height = 0;
  for (size_t i = 0; i < instance.items.size(); ++i) {
    height = std::max(height, offsets[i] + instance.items[i].size);
  }
  return height;
}

namespace {

/// The interval of heights that the exact search still has to decide.
class ExactDriver {
public:
  ExactDriver(const Instance &instance, const PackOptions &options,
              Limits &limits)
      : instance(instance), options(options), limits(limits) {}

  PackResult run();

private:
  /// Improves on the incumbent until a bound or a limit is met.
  void minimise();
  void searchJoined(int64_t target, int32_t branchingOrder, uint64_t seed);
  void accept(const std::vector<int64_t> &offsets);

  const Instance &instance;
  const PackOptions &options;
  Limits &limits;
  PackResult result;
  std::string boundProof = "live-bytes";
  /// Something could be joined when it was last tried.
  bool joinable = true;
};

void ExactDriver::accept(const std::vector<int64_t> &offsets) {
  int64_t height = heightOf(instance, offsets);
  if (result.offsets.empty() || height < result.heightBytes) {
    result.offsets = offsets;
    result.heightBytes = height;
  }
}

PackResult ExactDriver::run() {
  result.lowerBoundBytes = instance.lowerBound;
  int64_t target = instance.lowerBound;
  if (options.capacity) {
    if (instance.lowerBound > *options.capacity) {
      result.infeasible = true;
      result.provedBy = boundProof;
      target = std::numeric_limits<int64_t>::max();
    } else {
      target = *options.capacity;
    }
  }
  FirstFit firstFit(instance);
  std::vector<int32_t> order;
  accept(bestOfOrders(instance, firstFit, target, limits, &order));
  if (!result.infeasible && result.heightBytes > target) {
    // The search alone solves small instances faster.
    if (instance.items.size() > 600) {
      std::vector<int64_t> better =
          improveOrder(instance, firstFit, order, result.heightBytes, target,
                       /*iterations=*/100000 / int(order.size()), limits);
      if (!better.empty()) {
        accept(better);
      }
      accept(repair(instance, options.rules, firstFit, result.offsets, target,
                    limits));
    }
    minimise();
  }
  result.optimal = result.heightBytes == result.lowerBoundBytes;
  if (result.optimal) {
    result.provedBy = boundProof;
  }
  return result;
}

void ExactDriver::minimise() {
  // One search at the bound, which is usually met, and one in the middle of the
  // open interval, which narrows it where the bound is out of reach.
  BranchAndBound low(instance, options.rules, limits);
  BranchAndBound middle(instance, options.rules, limits);
  const int64_t wanted =
      options.capacity.value_or(std::numeric_limits<int64_t>::min());
  std::vector<int64_t> found;
  int step = 1;
  // A descent that meets no contradiction takes a node per item.
  int64_t budget = 300 + 2 * static_cast<int64_t>(instance.items.size());
  uint64_t seed = 0;
  for (int32_t branchingOrder = 0;; ++branchingOrder, budget += budget / 16) {
    const int64_t lowest = std::max(result.lowerBoundBytes, wanted);
    for (int k = 0; k < 3 && joinable && options.rules.joints &&
                    result.heightBytes > lowest && !limits.stopped();
         ++k) {
      searchJoined(lowest, branchingOrder, seed++);
    }
    for (bool atBound : {true, false}) {
      const int64_t bound = std::max(result.lowerBoundBytes, wanted);
      if (result.heightBytes <= bound) {
        return;
      }
      int64_t target = bound;
      if (!atBound) {
        if (options.capacity) {
          continue;
        }
        // Nearer to the incumbent each time that the middle stays undecided.
        const int64_t open = result.heightBytes - bound;
        target =
            alignDown(result.heightBytes - std::max<int64_t>(open >> step, 1),
                      instance.grid);
        if (target <= bound) {
          continue;
        }
      }
      switch ((atBound ? low : middle)
                  .decide(target, branchingOrder, budget, found)) {
      case Feasibility::Feasible:
        accept(found);
        step = 1;
        break;
      case Feasibility::Infeasible:
        boundProof = "search";
        result.lowerBoundBytes = alignUp(target + 1, instance.grid);
        if (target == wanted) {
          result.infeasible = true;
          result.provedBy = boundProof;
          return;
        }
        break;
      case Feasibility::Unknown:
        if (limits.stopped()) {
          result.interrupted = true;
          return;
        }
        if (!atBound) {
          step = step % 6 + 1;
        }
        break;
      }
    }
  }
}

/// Looks for a packing of the target in an instance that is smaller and tells
/// nothing when it has none.
void ExactDriver::searchJoined(int64_t target, int32_t branchingOrder,
                               uint64_t seed) {
  JoinedInstance joined(instance, target, seed, limits);
  joinable = seed == 0 || !joined.isEmpty(); // seed 0 is the most cautious
  if (joined.isEmpty()) {
    return;
  }
  const int64_t budget =
      300 + 2 * static_cast<int64_t>(joined.instance().items.size());
  BranchAndBound search(joined.instance(), options.rules, limits,
                        joined.sideBySide());
  std::vector<int64_t> found;
  for (int32_t descent = 0; descent < 3; ++descent) {
    switch (search.decide(target, branchingOrder + descent, budget, found)) {
    case Feasibility::Feasible:
      accept(joined.expand(found));
      return;
    case Feasibility::Infeasible:
      return;
    case Feasibility::Unknown:
      break;
    }
    if (limits.stopped()) {
      return;
    }
  }
}

} // namespace

PackResult pack(const std::vector<Slice> &slices, const PackOptions &options) {
  Limits limits(options);
  PackResult result;
  Instance instance = buildInstance(slices, options);
  if (slices.empty()) {
    result.optimal = true;
    result.provedBy = "live-bytes";
    return result;
  }
  if (options.algorithm == PackAlgorithm::Exact) {
    result = ExactDriver(instance, options, limits).run();
  } else {
    if (options.algorithm == PackAlgorithm::Iree) {
      result.offsets = packLikeIree(slices, options);
    } else {
      FirstFit firstFit(instance);
      result.offsets =
          bestOfOrders(instance, firstFit, instance.lowerBound, limits);
    }
    result.heightBytes = heightOf(instance, result.offsets);
    result.lowerBoundBytes = instance.lowerBound;
    if (options.algorithm == PackAlgorithm::Iree) {
      // The slab itself is rounded as well.
      result.heightBytes = alignUp(result.heightBytes, options.rangeAlignment);
    }
    result.optimal = result.heightBytes == result.lowerBoundBytes;
    result.infeasible =
        options.capacity && instance.lowerBound > *options.capacity;
    if (result.optimal || result.infeasible) {
      result.provedBy = "live-bytes";
    }
  }
  result.nodes = limits.nodes;
  result.seconds = limits.seconds();
  return result;
}

} // namespace serenity

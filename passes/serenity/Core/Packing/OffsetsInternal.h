// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Shared by the packing algorithms. Not part of the public interface.

#ifndef SERENITY_CORE_PACKING_OFFSETSINTERNAL_H
#define SERENITY_CORE_PACKING_OFFSETSINTERNAL_H

#include "serenity/Core/Alignment.h"
#include "serenity/Core/Packing/Offsets.h"

#include <chrono>

namespace serenity {
namespace offsets {

inline int64_t alignDown(int64_t value, int64_t alignment) {
  int64_t rest = value % alignment;
  return value - rest - (rest < 0 ? alignment : 0);
}

/// The part of an item that is in use in the sections [begin, end): the bytes
/// [lo, hi) from its offset.
struct Piece {
  int32_t begin = 0;
  int32_t end = 0;
  int64_t lo = 0;
  int64_t hi = 0;
};

/// A slice after normalisation.
struct Item {
  int32_t slice = 0;     // index in the caller's vector
  int64_t size = 0;      // rounded to the range alignment
  int64_t alignment = 1; // least common multiple of all that apply
  int64_t fixedOffset = -1;
  int32_t pieceBegin = 0; // its pieces in `Instance::pieces`
  int32_t pieceEnd = 0;
  int32_t first = 0; // hull of its pieces, in sections
  int32_t last = 0;  // inclusive
};

/// Slices over sections. A section is a moment at which a maximal set of
/// slices is live: two slices overlap in time if and only if they share one.
///
///     slices      a ####          sections   0: a b
///                 b   ######                 1: b c d
///                 c      ####                (the moment at which only a, or
///                 d      ##                  only b, lives says nothing new)
///
/// All offsets are multiples of `granule`, so whatever is stacked on a piece
/// begins at `granule`-rounded `hi`; the pieces hold the rounded values.
struct Instance {
  std::vector<Item> items;
  std::vector<Piece> pieces;
  int32_t numSections = 0;
  int64_t granule = 1;
  /// Some packing of least height has offsets that are multiples of it, and so
  /// are all sizes; a multiple of it is therefore the least height.
  int64_t grid = 1;
  /// Some piece is not as high as its item.
  bool windowed = false;
  /// Some size is not a multiple of the granule.
  bool padded = false;
  /// No packing is lower: maximum over sections, granule padding considered.
  int64_t lowerBound = 0;
};

Instance buildInstance(const std::vector<Slice> &slices,
                       const PackOptions &options);

/// Wall clock, caller's wish and node count in one place.
class Limits {
public:
  explicit Limits(const PackOptions &options)
      : options(options), start(std::chrono::steady_clock::now()) {}

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         start)
        .count();
  }
  /// Asks clock and caller. Once true, always true.
  bool expired() {
    if (!stop) {
      stop = seconds() >= options.timeLimitSeconds ||
             (options.onProgress && !options.onProgress());
    }
    return stop;
  }
  /// Counts one node; true if the search must end.
  bool countNode() {
    ++nodes;
    if (options.nodeLimit > 0 && nodes >= options.nodeLimit) {
      stop = true;
    }
    return stop || ((nodes & 63) == 0 && expired());
  }
  bool stopped() const { return stop; }

  int64_t nodes = 0;

private:
  const PackOptions &options;
  std::chrono::steady_clock::time_point start;
  bool stop = false;
};

/// Height of `offsets` (indexed like `Instance::items`).
int64_t heightOf(const Instance &instance, const std::vector<int64_t> &offsets);

/// IREE's packer over the caller's slices.
std::vector<int64_t> packLikeIree(const std::vector<Slice> &slices,
                                  const PackOptions &options);

/// Places items one by one, each at the lowest place that is free. Holds
/// the pairs of items that are live together, so that an order is tried
/// cheaply.
class FirstFit {
public:
  explicit FirstFit(const Instance &instance);

  /// Items with a fixed offset come first whatever `order` says. Gives up, with
  /// an empty answer, when the height exceeds `limit`.
  std::vector<int64_t> place(const std::vector<int32_t> &order,
                             int64_t limit = INT64_MAX);
  /// Items live together with `item`, ascending; only if `hasNeighbours()`.
  const int32_t *neighboursBegin(int32_t item) const {
    return neighbours.data() + first[item];
  }
  const int32_t *neighboursEnd(int32_t item) const {
    return neighbours.data() + first[item + 1];
  }
  /// False where there are too many pairs to list.
  bool hasNeighbours() const { return listed; }

private:
  void collect(int32_t item, int32_t other, int64_t otherOffset);

  const Instance &instance;
  bool listed = true;
  std::vector<int64_t> first;
  std::vector<int32_t> neighbours;
  std::vector<std::pair<int64_t, int64_t>> forbidden; // scratch, open intervals
};

/// Best of the static orders; stops at `target`, and after the first order once
/// the limits say so.
std::vector<int64_t> bestOfOrders(const Instance &instance, FirstFit &firstFit,
                                  int64_t target, Limits &limits,
                                  std::vector<int32_t> *order = nullptr);

/// Moves those that end too high forward in `order`, again and again, and
/// returns the best packing met, or nothing if none is lower than `height`
/// (squeaky wheel optimisation, Joslin and Clements 1999). Ends at `target`,
/// after `iterations` without progress, or when the limits say so.
std::vector<int64_t> improveOrder(const Instance &instance, FirstFit &firstFit,
                                  std::vector<int32_t> order, int64_t height,
                                  int64_t target, int iterations,
                                  Limits &limits);

/// The items that end with a section and those that begin with the next one
/// take the same, contiguous bytes.
struct Joint {
  int32_t section = 0;
  int64_t sum = 0;
  std::vector<int32_t> ending, beginning;
};

/// An instance in which items that seem to belong together are one item.
/// A packing of it is one of the original; nothing else is the same.
class JoinedInstance {
public:
  /// Joins items across sections without a spare byte of the capacity; odd
  /// seeds also across others. Seeds other than 0 choose otherwise where
  /// several ways are equally likely.
  JoinedInstance(const Instance &original, int64_t capacity, uint64_t seed,
                 Limits &limits);

  bool isEmpty() const { return joined.items.empty(); }
  const Instance &instance() const { return joined; }
  /// To be demanded of a packing of `instance`.
  const std::vector<Joint> &sideBySide() const { return joints; }
  /// The offsets of the original's items.
  std::vector<int64_t> expand(const std::vector<int64_t> &offsets) const;

  struct Block {
    int32_t first;
    int32_t last;
    int64_t size;
    /// Blocks stacked on each other until the joint, and from it on.
    std::vector<int32_t> ending, beginning;
  };

private:
  const Instance &original;
  Instance joined;
  std::vector<Joint> joints;
  std::vector<Block> blocks; // the items first
  std::vector<uint8_t> alive;
};

enum class Feasibility { Feasible, Infeasible, Unknown };

/// Decides whether everything fits into `capacity`, in at most `nodeBudget`
/// nodes from the `branchingOrder`th deterministic branching order. Refutations
/// are remembered from call to call at equal capacity.
class BranchAndBound {
public:
  BranchAndBound(const Instance &instance, const PackRules &rules,
                 Limits &limits, std::vector<Joint> joints = {});
  ~BranchAndBound();
  Feasibility decide(int64_t capacity, int32_t branchingOrder,
                     int64_t nodeBudget, std::vector<int64_t> &offsets);

private:
  struct Impl;
  Impl *impl;
};

/// Lowers a packing by solving the neighbourhoods of the items that end
/// highest, until `bound` is met, nothing helps, or the limits say so.
std::vector<int64_t> repair(const Instance &instance, const PackRules &rules,
                            const FirstFit &firstFit,
                            std::vector<int64_t> offsets, int64_t bound,
                            Limits &limits);

} // namespace offsets
} // namespace serenity

#endif // SERENITY_CORE_PACKING_OFFSETSINTERNAL_H

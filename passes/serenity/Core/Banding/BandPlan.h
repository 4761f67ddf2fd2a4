// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Chooses which segments of a function are computed in bands of rows, and in
/// bands of which height. No IR here: the graph is read by RewriteBandGraph and
/// the plan is applied by RewriteBand.
///
///     whole                        in two bands
///
///     x ########                   x ####....      x ...#####   halo: row 4
///         | conv                       | conv          | conv   is computed
///     y ########                   y ####          y     ####   from x twice
///         | conv                       | conv          | conv
///     z ########                   z ###.....      z ...#####
///
/// A segment is a contiguous range of operations, in program order, of which
/// one value leaves. A band of its result needs an interval of rows of every
/// value before it, found by walking the operations backwards; only these rows
/// are computed, those that two bands need twice. While a segment runs, the
/// values that enter it and its result are alive as a whole, and of everything
/// between them one band. A value that leaves a segment for another one far
/// behind it can be computed once more there (`Recomputed`).
///
/// J. Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for Tiny
/// Deep Learning", NeurIPS 2021, computes the first layers of a network by
/// patches in this way.

#ifndef SERENITY_CORE_BANDING_BANDPLAN_H
#define SERENITY_CORE_BANDING_BANDPLAN_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace serenity::bands {

/// Rows [begin, end) of a value.
struct Rows {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  bool operator==(const Rows &other) const {
    return begin == other.begin && end == other.end;
  }
};

/// How an operation reads a value: rows [b, e) of its result are computed from
/// rows [b * stride - before, (e - 1) * stride - before + window) of the value,
/// as far as that has them.
struct Read {
  size_t value = 0;
  int64_t stride = 1;
  int64_t before = 0;
  int64_t window = 1;
  /// The rows of the value are so many rows apart in these coordinates, with
  /// constants between them, as in the operand of a transposed convolution.
  int64_t spread = 1;
  /// Every band reads the whole value.
  bool whole = false;
};

struct Value {
  /// Of the whole value.
  int64_t bytes = 0;
  /// The extent of the dimension that bands cut; 0: cannot be cut.
  int64_t rows = 0;
  /// Whether it takes transient memory. Arguments and results do not.
  bool counted = true;
  /// It is computed in so many pieces (by another rewrite), of which one exists
  /// at a time, while its group runs.
  int64_t pieces = 1;
};

struct Operation {
  std::vector<Read> reads;
  std::vector<size_t> writes;
  /// Multiply-accumulates of the whole operation.
  int64_t work = 0;
  /// It can be computed in bands of rows; it writes one value then.
  bool bandable = false;
  /// It accumulates all rows of its first read into its result, as a global
  /// pool does: a segment may end with it, and its bands are then rows of the
  /// value it reads.
  bool accumulates = false;
  /// It copies the rows it reads itself, as a pad does, so that these need no
  /// tensor of their own.
  bool copies = false;
  /// It is a copy that computes a value again; its work is extra work.
  bool again = false;
  /// Operations of one group become one dispatch: a value that only its own
  /// group reads is not stored. Groups are contiguous.
  size_t group = 0;
};

/// A function in program order.
struct Graph {
  std::vector<Value> values;
  std::vector<Operation> operations;
};

/// Operations [first, last) in bands of `height` rows of `cutValue`; the last
/// band may have fewer.
struct Segment {
  size_t first = 0;
  size_t last = 0;
  int64_t height = 0;
  int64_t count = 0;
  /// Transient bytes while it runs, with the values that live beside it.
  int64_t bytes = 0;
  /// The same of its operations as a whole.
  int64_t bytesWhole = 0;
  /// Multiply-accumulates that are done again.
  int64_t extraWork = 0;
};

/// A value that is computed once more, in front of operation `reader`, for that
/// and the readers behind it. It need not be kept for them then.
struct Recomputed {
  size_t value = 0;
  size_t reader = 0;
  /// It is computed again from values that are smaller, if there are any: these
  /// are kept for it then. Otherwise from values that are there anyway.
  bool keepsSmaller = false;
};

struct Plan {
  /// Values that are computed again, one after the other: the numbers of each
  /// are those of the graph with the copies of those before it, and those of
  /// the segments of the graph with all.
  std::vector<Recomputed> recomputed;
  std::vector<Segment> segments;
  /// Predicted transient bytes at the peak in program order, with the plan and
  /// without any bands.
  int64_t peakBytes = 0;
  int64_t wholePeakBytes = 0;
  int64_t extraWork = 0;
  int64_t work = 0;
  /// Operations that need more than `PlanOptions::target` bytes in any segment.
  size_t numAboveTarget = 0;
};

struct PlanOptions {
  /// Of all multiply-accumulates of the function; 0: none may be done again.
  double maxRecompute = 0.15;
  int64_t maxBands = 64;
  /// Judge this number of bands per segment alone; 0: all up to `maxBands`.
  int64_t count = 0;
  /// Of one segment, in operations.
  size_t maxLength = 96;
  /// The part of the least peak by which it may be larger for fewer bands, in
  /// the same segments.
  double slack = 0;
  /// Bytes that `Plan::numAboveTarget` compares with.
  int64_t target = 0;
};

/// The plan of least peak within the limit of extra work; among plans of equal
/// peak of least extra work, then of fewest bands. Without segments if bands
/// lower nothing. Dynamic programming over the cut points.
Plan plan(const Graph &graph, const PlanOptions &options = {});

/// `plan` with segment `index` in `count` bands, or computed as a whole where
/// `count` is 1; bytes and work are those of the new plan. Nothing if the
/// segment has no bands of that number, or computes values again, which pays in
/// bands alone.
std::optional<Plan> withCount(const Graph &graph, const Plan &plan,
                              size_t index, int64_t count);

/// The rows that operations [first, last) read and write for rows `wanted` of
/// the result: by value, empty intervals for values that are not concerned or
/// read as a whole. For a value that several operations read, the hull of the
/// rows they need. Returns false if an operation would need no row at all (a
/// band that consists of padding).
bool neededRows(const Graph &graph, size_t first, size_t last, Rows wanted,
                std::vector<Rows> &rows);

/// Whether all copies of operations in `graph` are in segments of `plan`.
/// Others would be merged with their originals.
bool copiesAreInBands(const Graph &graph, const Plan &plan);

/// The operations that compute a value again, in program order, from values
/// that are there at its reader anyway. Empty if one of them cannot be copied.
std::vector<size_t> makersOf(const Graph &graph, const Recomputed &again);

/// Values that exist as a whole in `plan`, and wait for a reader behind others
/// longest: those that can be computed again within the limit of extra work,
/// the largest first.
std::vector<Recomputed> recomputable(const Graph &graph, const Plan &plan,
                                     const PlanOptions &options);

/// The value whose rows the bands of a segment cut that ends before `last`.
size_t cutValue(const Graph &graph, size_t last);

/// The rows of `read.value`, which has `extent` of them, for rows `wanted` of
/// the result.
Rows rowsRead(const Read &read, int64_t extent, Rows wanted);

/// The bands of `rows` rows of a height.
std::vector<Rows> bandsOf(int64_t rows, int64_t height);

} // namespace serenity::bands

#endif // SERENITY_CORE_BANDING_BANDPLAN_H

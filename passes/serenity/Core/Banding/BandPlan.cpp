// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Banding/BandPlan.h"

#include "serenity/Core/Alignment.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>

namespace serenity::bands {

namespace {

constexpr size_t never = std::numeric_limits<size_t>::max();

/// IREE rounds the sizes of buffers up to multiples of this.
constexpr int64_t alignment = 64;

int64_t aligned(int64_t bytes) { return alignUp(bytes, alignment); }

class Planner {
public:
  Planner(const Graph &graph, const PlanOptions &options);
  Plan run();
  std::optional<Plan> withCount(const Plan &plan, size_t index,
                                int64_t count) const;

private:
  void addPieces();
  bool isSegment(size_t first, size_t last) const;
  bool mayCutBefore(size_t operation) const;
  int64_t countAliveBefore(size_t operation) const;
  int64_t workOf(size_t first, size_t last,
                 const std::vector<Rows> &rows) const;
  int64_t wholeBytes(size_t first, size_t last) const;
  int64_t bandBytes(size_t first, size_t last,
                    const std::vector<Rows> &rows) const;
  int64_t bytesInGroups(size_t first, size_t last) const;
  std::optional<Segment> inBands(size_t first, size_t last,
                                 int64_t count) const;
  void addBands(size_t first, size_t last);
  std::optional<std::vector<const Segment *>> cheapest(int64_t limit) const;
  const Segment *fewestBands(const Segment &segment, int64_t limit) const;
  size_t countAbove(int64_t bytes) const;

  const Graph &graph;
  const PlanOptions &options;
  std::vector<size_t> defined; // per value; `never`: before the function
  std::vector<size_t> lastUse; // per value: the definition if there is none
  std::vector<int64_t> aliveBefore; // per operation, bytes
  /// Ranges of operations in bands, or whole (`count` 1).
  std::vector<Segment> pieces;
  std::vector<std::vector<size_t>> endingAt; // pieces by their `last`
  int64_t work = 0;
  int64_t workAgain = 0; // of copies, which is no part of `work`
};

Planner::Planner(const Graph &graph, const PlanOptions &options)
    : graph(graph), options(options), defined(graph.values.size(), never),
      lastUse(graph.values.size(), 0) {
  for (size_t i = 0; i < graph.operations.size(); ++i) {
    const Operation &op = graph.operations[i];
    for (const Read &read : op.reads) {
      lastUse[read.value] = i;
    }
    for (size_t value : op.writes) {
      defined[value] = i;
      lastUse[value] = i;
    }
    (op.again ? workAgain : work) += op.work;
  }
  endingAt.resize(graph.operations.size() + 1);
  for (size_t i = 0; i < graph.operations.size(); ++i) {
    aliveBefore.push_back(countAliveBefore(i));
  }
}

/// Bytes of the values that exist before `operation` and are still needed.
int64_t Planner::countAliveBefore(size_t operation) const {
  int64_t bytes = 0;
  for (size_t v = 0; v < graph.values.size(); ++v) {
    bool exists = defined[v] == never || defined[v] < operation;
    if (graph.values[v].counted && exists && lastUse[v] >= operation) {
      bytes += aligned(graph.values[v].bytes);
    }
  }
  return bytes;
}

/// Bytes while operations [first, last) of one group run as a whole.
int64_t Planner::wholeBytes(size_t first, size_t last) const {
  int64_t bytes = aliveBefore[first];
  int64_t inner = 0;
  int64_t largest = 0;
  for (size_t i = first; i < last; ++i) {
    for (size_t v : graph.operations[i].writes) {
      const Value &value = graph.values[v];
      if (!value.counted) {
        continue;
      }
      if (lastUse[v] >= last || lastUse[v] == i) {
        bytes += aligned(value.bytes);
      } else if (value.pieces > 1) {
        // Of neighbours in the chain of pieces two exist together.
        int64_t piece = aligned(value.bytes / value.pieces);
        inner = std::max(inner, largest + piece);
        largest = piece;
      }
    }
  }
  return bytes + inner;
}

bool Planner::mayCutBefore(size_t i) const {
  if (i == 0 || i >= graph.operations.size()) {
    return true;
  }
  // A copy can always be made later than its source.
  return graph.operations[i].group != graph.operations[i - 1].group ||
         graph.operations[i].copies || graph.operations[i - 1].accumulates;
}

/// Whether [first, last) can be computed in bands: one value leaves it.
bool Planner::isSegment(size_t first, size_t last) const {
  for (size_t i = first; i < last; ++i) {
    const Operation &op = graph.operations[i];
    bool ends = i + 1 == last && op.accumulates;
    if (!op.bandable && !ends) {
      return false;
    }
    if (ends && (defined[op.reads[0].value] == never ||
                 defined[op.reads[0].value] < first)) {
      return false; // nothing is computed in bands
    }
    for (const Read &read : op.reads) {
      size_t from = defined[read.value];
      if (read.whole && from != never && from >= first) {
        return false;
      }
    }
    if (i + 1 < last && lastUse[op.writes[0]] >= last) {
      return false;
    }
  }
  return true;
}

/// Bytes of a band, without the values that live around the segment.
int64_t Planner::bandBytes(size_t first, size_t last,
                           const std::vector<Rows> &rows) const {
  size_t exit = graph.operations[last - 1].writes[0];
  bool accumulates = graph.operations[last - 1].accumulates;
  auto bytesOf = [&](size_t v) {
    const Value &value = graph.values[v];
    return aligned(value.bytes / value.rows * rows[v].size() / value.pieces);
  };
  // Sweep over groups: a value that is stored lives from its own group to the
  // last one that reads it.
  int64_t alive = 0;
  int64_t most = 0;
  std::map<size_t, int64_t> endsAfter; // group -> bytes
  size_t i = first;
  while (i < last) {
    size_t group = graph.operations[i].group;
    int64_t copied = 0;
    int64_t inner = 0;
    int64_t largest = 0;
    std::set<size_t> slices;
    for (; i < last && graph.operations[i].group == group; ++i) {
      const Operation &op = graph.operations[i];
      if (accumulates && i + 1 == last) {
        continue; // its result is there as a whole
      }
      for (const Read &read : op.reads) {
        bool enters =
            defined[read.value] == never || defined[read.value] < first;
        if (enters && !read.whole && !op.copies &&
            slices.insert(read.value).second) {
          Rows own =
              rowsRead(read, graph.values[read.value].rows, rows[op.writes[0]]);
          const Value &value = graph.values[read.value];
          copied += aligned(value.bytes / value.rows * own.size());
        }
      }
      size_t v = op.writes[0];
      size_t end = v == exit ? i : lastUse[v];
      if (v == exit || graph.operations[end].group != group) {
        alive += bytesOf(v);
        endsAfter[graph.operations[end].group] += bytesOf(v);
      } else if (graph.values[v].pieces > 1) {
        inner = std::max(inner, largest + bytesOf(v));
        largest = bytesOf(v);
      }
    }
    most = std::max(most, alive + copied + inner);
    alive -= endsAfter[group];
  }
  return most;
}

/// Multiply-accumulates of a band.
int64_t Planner::workOf(size_t first, size_t last,
                        const std::vector<Rows> &rows) const {
  int64_t sum = 0;
  for (size_t i = first; i < last; ++i) {
    const Operation &op = graph.operations[i];
    size_t v = op.accumulates ? op.reads[0].value : op.writes[0];
    sum += op.work / graph.values[v].rows * rows[v].size();
  }
  return sum;
}

/// The most bytes while operations [first, last) run as a whole, group by
/// group.
int64_t Planner::bytesInGroups(size_t first, size_t last) const {
  int64_t bytes = 0;
  for (size_t i = first; i < last;) {
    size_t end = i + 1;
    while (end < last &&
           graph.operations[end].group == graph.operations[i].group) {
      ++end;
    }
    bytes = std::max(bytes, wholeBytes(i, end));
    i = end;
  }
  return bytes;
}

/// Operations [first, last) in `count` bands; nothing if there are no bands of
/// that number, or one would consist of padding.
std::optional<Segment> Planner::inBands(size_t first, size_t last,
                                        int64_t count) const {
  size_t exit = graph.operations[last - 1].writes[0];
  const Value &result = graph.values[exit];
  const int64_t extent = graph.values[cutValue(graph, last)].rows;
  int64_t height = (extent + count - 1) / count;
  std::vector<Rows> all = bandsOf(extent, height);
  if (count < 2 || int64_t(all.size()) != count) {
    return std::nullopt; // the same height as with fewer bands
  }
  Segment piece = {first, last, height, count, 0, bytesInGroups(first, last),
                   0};
  for (size_t i = first; i < last; ++i) {
    piece.extraWork -= graph.operations[i].work;
  }
  // Bands inside differ by where they are. Those at the ends need less.
  std::map<size_t, int64_t> judged;
  for (size_t band : {size_t(0), size_t(count) / 2, size_t(count) - 1}) {
    judged[band] = 1;
  }
  judged[size_t(count) / 2] += count - int64_t(judged.size());
  int64_t most = 0;
  std::vector<Rows> rows;
  for (const auto &[band, times] : judged) {
    if (!neededRows(graph, first, last, all[band], rows)) {
      return std::nullopt;
    }
    most = std::max(most, bandBytes(first, last, rows));
    piece.extraWork += times * workOf(first, last, rows);
  }
  piece.extraWork = std::max<int64_t>(piece.extraWork, 0);
  piece.bytes =
      aliveBefore[first] + most + (result.counted ? aligned(result.bytes) : 0);
  return piece;
}

void Planner::addBands(size_t first, size_t last) {
  const int64_t extent = graph.values[cutValue(graph, last)].rows;
  int64_t least = extent < 2 ? 0 : bytesInGroups(first, last);
  for (int64_t count = 2; count <= std::min(extent, options.maxBands);
       ++count) {
    if (options.count > 0 && count != std::min(options.count, extent)) {
      continue;
    }
    std::optional<Segment> piece = inBands(first, last, count);
    if (!piece) {
      continue;
    }
    if (double(workAgain + piece->extraWork) >
        options.maxRecompute * double(work)) {
      break; // more bands, more work
    }
    if (piece->bytes < least) {
      least = piece->bytes;
      endingAt[last].push_back(pieces.size());
      pieces.push_back(*piece);
    }
  }
}

void Planner::addPieces() {
  size_t count = graph.operations.size();
  for (size_t first = 0; first < count; ++first) {
    if (!mayCutBefore(first)) {
      continue;
    }
    size_t end = first + 1;
    for (; end < count && !mayCutBefore(end); ++end) {
    }
    // The rest of a group, or up to the next copy in it.
    for (size_t last = end;; ++last) {
      if (last == count || mayCutBefore(last)) {
        endingAt[last].push_back(pieces.size());
        pieces.push_back({first, last, 0, 1, wholeBytes(first, last), 0, 0});
      }
      if (last == count ||
          graph.operations[last].group != graph.operations[first].group) {
        break;
      }
    }
    for (size_t last = first + 1;
         last <= std::min(count, first + options.maxLength); ++last) {
      const Operation &end = graph.operations[last - 1];
      if (!end.bandable && !end.accumulates) {
        break;
      }
      if (last - first > 1 && mayCutBefore(last) && isSegment(first, last)) {
        addBands(first, last);
      }
      if (!end.bandable) {
        break;
      }
    }
  }
}

/// The pieces of least extra work, then of fewest bands, that cover all
/// operations with no more than `limit` bytes each; nothing if there are none.
std::optional<std::vector<const Segment *>>
Planner::cheapest(int64_t limit) const {
  using Cost = std::pair<int64_t, int64_t>;
  size_t count = graph.operations.size();
  std::vector<std::optional<Cost>> best(count + 1);
  std::vector<const Segment *> from(count + 1, nullptr);
  best[0] = Cost{0, 0};
  for (size_t end = 1; end <= count; ++end) {
    for (size_t index : endingAt[end]) {
      const Segment &segment = pieces[index];
      if (segment.bytes > limit || !best[segment.first]) {
        continue;
      }
      Cost cost = *best[segment.first];
      cost.first += segment.extraWork;
      cost.second += segment.count;
      if (!best[end] || cost < *best[end]) {
        best[end] = cost;
        from[end] = &pieces[index];
      }
    }
  }
  double allowed = options.maxRecompute * double(work);
  if (!best[count] || double(workAgain + best[count]->first) > allowed) {
    return std::nullopt;
  }
  std::vector<const Segment *> chosen;
  for (size_t end = count; end > 0; end = chosen.back()->first) {
    chosen.push_back(from[end]);
  }
  std::reverse(chosen.begin(), chosen.end());
  return chosen;
}

/// `segment` in the fewest bands that need no more than `limit` bytes and no
/// more work; as it is where it has none.
const Segment *Planner::fewestBands(const Segment &segment,
                                    int64_t limit) const {
  const Segment *fewest = &segment;
  for (size_t index : endingAt[segment.last]) {
    const Segment &other = pieces[index];
    if (other.first == segment.first && other.bytes <= limit &&
        other.extraWork <= segment.extraWork && other.count > 1 &&
        other.count < fewest->count) {
      fewest = &other;
    }
  }
  return fewest;
}

/// The operations that need more than `bytes` in every piece they are part of.
size_t Planner::countAbove(int64_t bytes) const {
  std::vector<bool> fits(graph.operations.size());
  for (const Segment &piece : pieces) {
    if (piece.bytes <= bytes) {
      std::fill(fits.begin() + piece.first, fits.begin() + piece.last, true);
    }
  }
  return std::count(fits.begin(), fits.end(), false);
}

Plan Planner::run() {
  Plan found;
  found.work = work;
  found.extraWork = workAgain;
  found.wholePeakBytes = bytesInGroups(0, graph.operations.size());
  found.peakBytes = found.wholePeakBytes;
  found.numAboveTarget = graph.operations.size();
  if (graph.operations.empty() ||
      double(workAgain) > options.maxRecompute * double(work)) {
    return found;
  }
  addPieces();
  found.numAboveTarget = countAbove(options.target);
  std::set<int64_t> distinct;
  for (const Segment &piece : pieces) {
    distinct.insert(piece.bytes);
  }
  std::vector<int64_t> limits(distinct.begin(), distinct.end());
  // The least limit that can be met; the largest one is met without bands.
  size_t low = 0;
  size_t high = limits.size() - 1;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (cheapest(limits[middle])) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  const int64_t limit =
      limits[low] + int64_t(options.slack * double(limits[low]));
  std::vector<const Segment *> chosen = *cheapest(limits[low]);
  for (const Segment *&piece : chosen) {
    piece = fewestBands(*piece, limit);
  }
  found.peakBytes = 0;
  for (const Segment *piece : chosen) {
    found.peakBytes = std::max(found.peakBytes, piece->bytes);
    if (piece->count > 1) {
      found.segments.push_back(*piece);
      found.extraWork += piece->extraWork;
    }
  }
  if (found.peakBytes >= found.wholePeakBytes) {
    found.segments.clear();
    found.peakBytes = found.wholePeakBytes;
    found.extraWork = workAgain;
  }
  return found;
}

/// `plan` with one segment in another number of bands.
std::optional<Plan> Planner::withCount(const Plan &plan, size_t index,
                                       int64_t count) const {
  Plan changed = plan;
  std::vector<Segment> &segments = changed.segments;
  if (count == 1) {
    for (size_t i = segments[index].first; i < segments[index].last; ++i) {
      if (graph.operations[i].again) {
        return std::nullopt;
      }
    }
    segments.erase(segments.begin() + index);
  } else {
    std::optional<Segment> other =
        inBands(segments[index].first, segments[index].last, count);
    if (!other) {
      return std::nullopt;
    }
    segments[index] = *other;
  }
  changed.extraWork = workAgain;
  changed.peakBytes = 0;
  size_t next = 0; // the first operation behind the segments so far
  for (const Segment &segment : segments) {
    changed.extraWork += segment.extraWork;
    changed.peakBytes = std::max(
        {changed.peakBytes, segment.bytes, bytesInGroups(next, segment.first)});
    next = segment.last;
  }
  changed.peakBytes =
      std::max(changed.peakBytes, bytesInGroups(next, graph.operations.size()));
  return changed;
}

} // namespace

size_t cutValue(const Graph &graph, size_t last) {
  const Operation &end = graph.operations[last - 1];
  return end.accumulates ? end.reads[0].value : end.writes[0];
}

Rows rowsRead(const Read &read, int64_t extent, Rows wanted) {
  Rows rows = {wanted.begin * read.stride - read.before,
               (wanted.end - 1) * read.stride - read.before + read.window};
  // How many rows of the value lie before `row`.
  auto rowsBefore = [&](int64_t row) {
    row = std::max<int64_t>(row, 0) + read.spread - 1;
    return std::min(row / read.spread, extent);
  };
  return {rowsBefore(rows.begin), rowsBefore(rows.end)};
}

bool neededRows(const Graph &graph, size_t first, size_t last, Rows wanted,
                std::vector<Rows> &rows) {
  rows.assign(graph.values.size(), Rows());
  rows[cutValue(graph, last)] = wanted;
  if (graph.operations[last - 1].accumulates) {
    --last;
  }
  for (size_t i = last; i-- > first;) {
    const Operation &op = graph.operations[i];
    Rows own = rows[op.writes[0]];
    for (const Read &read : op.reads) {
      if (read.whole) {
        continue;
      }
      Rows need = rowsRead(read, graph.values[read.value].rows, own);
      // A band that is smaller than the spread may lie between two rows.
      if (own.size() < read.spread || need.size() <= 0) {
        return false;
      }
      Rows &known = rows[read.value];
      known = known.size() == 0 ? need
                                : Rows{std::min(known.begin, need.begin),
                                       std::max(known.end, need.end)};
    }
  }
  return true;
}

std::vector<Rows> bandsOf(int64_t rows, int64_t height) {
  std::vector<Rows> found;
  for (int64_t begin = 0; begin < rows; begin += height) {
    found.push_back({begin, std::min(rows, begin + height)});
  }
  return found;
}

Plan plan(const Graph &graph, const PlanOptions &options) {
  return Planner(graph, options).run();
}

std::optional<Plan> withCount(const Graph &graph, const Plan &plan,
                              size_t index, int64_t count) {
  const PlanOptions options;
  return Planner(graph, options).withCount(plan, index, count);
}

} // namespace serenity::bands

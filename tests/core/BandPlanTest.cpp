// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// BandPlanTest: plans of bands whose numbers are worked out by hand, and of
// random chains against the rows that a plain simulation marks.

#include "Expect.h"

#include "serenity/Core/Banding/BandPlan.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <random>
#include <set>
#include <vector>

using namespace serenity::bands;
using namespace serenity::test;

namespace {

/// A chain of windows of `window` rows and stride 1 without padding; value i
/// has `rows` - i * (window - 1) rows of `rowBytes`. The first and the last are
/// argument and result, which take no transient memory.
Graph chain(size_t length, int64_t rows, int64_t rowBytes, int64_t window) {
  Graph graph;
  for (size_t i = 0; i <= length; ++i) {
    int64_t extent = rows - int64_t(i) * (window - 1);
    Value value;
    value.rows = extent;
    value.bytes = extent * rowBytes;
    value.counted = i > 0 && i < length;
    graph.values.push_back(value);
  }
  for (size_t i = 0; i < length; ++i) {
    Operation op;
    Read read;
    read.value = i;
    read.window = window;
    op.reads = {read};
    op.writes = {i + 1};
    op.work = graph.values[i + 1].rows;
    op.bandable = true;
    op.copies = i == 0; // reads its rows where they are
    op.group = i;
    graph.operations.push_back(op);
  }
  return graph;
}

/// Two windows of 1 row: bands of one row need no row twice. Whole, the value
/// between has 8 rows of 64 bytes. In bands of one row it has one row, and the
/// band of the result has one until it is copied.
void testNoHalo() {
  PlanOptions options;
  options.maxRecompute = 0;
  Plan found = plan(chain(2, 8, 64, 1), options);
  expect(found.wholePeakBytes == 512, "the whole value between is 512 bytes");
  expect(found.segments.size() == 1 && found.segments[0].count == 8,
         "one segment in eight bands");
  expect(found.peakBytes == 128, "two rows are alive");
  expect(found.extraWork == 0, "nothing is done again");
}

/// Two windows of 3 rows; 20, 18 and 16 rows, 34 rows of work. Bands of h rows
/// compute h + 2 rows of the value between: n of them 2 (n - 1) rows again. Two
/// bands of 8 rows have 10 and 8 rows alive, no less than the 18 of the whole.
void testLimitOfWork() {
  Graph graph = chain(2, 20, 64, 3);
  PlanOptions options;
  options.maxRecompute = 0;
  expect(plan(graph, options).segments.empty(), "no work, no bands");
  // 4 of 34 rows: bands of 6, 6 and 4 rows.
  options.maxRecompute = 0.12;
  Plan three = plan(graph, options);
  expect(three.segments.size() == 1 && three.segments[0].count == 3 &&
             three.segments[0].height == 6,
         "three bands within 12 %");
  expect(three.extraWork == 4, "four rows again");
  expect(three.peakBytes == 64 * (8 + 6), "8 rows between, 6 of the result");
  // All: 16 bands of 1 and 3 rows, 30 rows again.
  options.maxRecompute = 1;
  Plan all = plan(graph, options);
  expect(all.segments.size() == 1 && all.segments[0].count == 16,
         "sixteen bands without a limit");
  expect(all.extraWork == 30 && all.peakBytes == 64 * 4, "3 rows and 1");
  // Up to twice the least: bands of 3 rows from 5.
  options.slack = 1;
  Plan loose = plan(graph, options);
  expect(loose.segments.size() == 1 && loose.segments[0].count == 6 &&
             loose.peakBytes == 64 * 8,
         "fewer bands for a larger peak");
}

/// What lives beside a segment counts, and ends the search: no bands are made
/// where another operation, which has none, needs as much.
void testPeakElsewhere() {
  Graph graph = chain(2, 8, 64, 1);
  Value large;
  large.bytes = 4096;
  graph.values.push_back(large);
  Operation op;
  op.writes = {3};
  op.group = 2;
  graph.operations.push_back(op);
  Plan found = plan(graph);
  expect(found.segments.empty() && found.peakBytes == 4096,
         "no bands where they do not lower the peak");
}

/// The plan of 3 bands of `testLimitOfWork` in 2 bands of 8 rows, of which each
/// but the last computes 2 rows again, with 10 rows between and 8 of the
/// result; and as a whole: 18 rows.
void testOtherCount() {
  Graph graph = chain(2, 20, 64, 3);
  PlanOptions options;
  options.maxRecompute = 0.12;
  Plan three = plan(graph, options);
  std::optional<Plan> two = withCount(graph, three, 0, 2);
  expect(two && two->segments.size() == 1 && two->segments[0].height == 8 &&
             two->segments[0].count == 2,
         "two bands of eight rows");
  expect(two && two->extraWork == 2 && two->peakBytes == 64 * (10 + 8),
         "two rows again, 18 alive");
  std::optional<Plan> whole = withCount(graph, three, 0, 1);
  expect(whole && whole->segments.empty() && whole->extraWork == 0 &&
             whole->peakBytes == 64 * 18,
         "no bands");
  // 16 rows: 9 bands would have 2 rows each, as 8 have.
  expect(!withCount(graph, three, 0, 9), "no bands of that number");
  expect(!withCount(graph, three, 0, 17), "no more bands than rows");
}

/// A value that leaves in the middle is no segment's inside.
void testTwoResults() {
  Graph graph = chain(2, 8, 64, 1);
  Operation op;
  Read read;
  read.value = 1;
  read.whole = true;
  op.reads = {read};
  op.group = 2;
  graph.operations.push_back(op);
  expect(plan(graph).segments.empty(), "the value between is needed whole");
}

/// A reduction over all rows ends a segment: its operand, 8 rows of 64 bytes,
/// is there one row at a time. The result, 64 bytes, is there from the first
/// on.
void testAccumulation() {
  Graph graph = chain(2, 8, 64, 1);
  graph.values[2].counted = true;
  graph.values.push_back({64, 0, true, 1});
  Operation sum;
  Read read;
  read.value = 2;
  sum.reads = {read};
  sum.writes = {3};
  sum.work = 8;
  sum.accumulates = true;
  sum.group = 2;
  graph.operations.push_back(sum);
  PlanOptions options;
  options.maxRecompute = 0;
  Plan found = plan(graph, options);
  expect(found.wholePeakBytes == 1024, "two values of 8 rows");
  expect(found.segments.size() == 1 && found.segments[0].last == 3 &&
             found.segments[0].count == 8,
         "one segment to the end of the reduction");
  expect(found.peakBytes == 64 + 2 * 64, "the result and a row of each");
  expect(cutValue(graph, 3) == 2, "its bands are rows of what it reduces");
}

/// A band in the padding needs no row at all.
void testPaddingAlone() {
  Graph graph = chain(2, 8, 64, 1);
  graph.operations[0].reads[0].before = 4; // rows 0 to 3 are padding
  std::vector<Rows> rows;
  expect(!neededRows(graph, 0, 2, {0, 2}, rows), "rows 0 and 1 are padding");
  expect(neededRows(graph, 0, 2, {3, 6}, rows) && rows[0] == Rows{0, 2},
         "rows 3 to 5 are padding and rows 0 and 1");
}

/// Rows 0 to 3 of a value are rows 1, 3, 5 and 7 of nine, constants the others.
void testSpread() {
  Graph graph = chain(1, 4, 64, 1);
  graph.values[1].rows = 9;
  Read &read = graph.operations[0].reads[0];
  read.before = 1;
  read.spread = 2;
  std::vector<Rows> rows;
  expect(neededRows(graph, 0, 1, {0, 2}, rows) && rows[0] == Rows{0, 1},
         "rows 0 and 1 hold row 0");
  expect(neededRows(graph, 0, 1, {2, 5}, rows) && rows[0] == Rows{1, 2},
         "rows 2 to 4 hold row 1");
  expect(neededRows(graph, 0, 1, {7, 9}, rows) && rows[0] == Rows{3, 4},
         "rows 7 and 8 hold row 3");
  expect(!neededRows(graph, 0, 1, {1, 2}, rows),
         "a band of one row may lie between two");
}

/// x -> a -> b in rows of 64 bytes, then c = g(b) as a whole, and the result of
/// a and c in rows. `copied` computes a again for it.
Graph waiting(bool copied) {
  Graph graph = chain(2, 8, 64, 1);
  graph.values[2].counted = true;
  auto add = [&](std::vector<Read> reads, bool bandable, bool counted) {
    graph.values.push_back({512, 8, counted, 1});
    Operation op;
    op.reads = std::move(reads);
    op.writes = {graph.values.size() - 1};
    op.work = 8;
    op.bandable = bandable;
    op.copies = true; // reads its rows where they are
    op.group = graph.operations.size();
    graph.operations.push_back(op);
    return graph.values.size() - 1;
  };
  auto reading = [](size_t value) {
    Read read;
    read.value = value;
    return read;
  };
  Read whole = reading(2);
  whole.whole = true;
  const size_t c = add({whole}, /*bandable=*/false, /*counted=*/true);
  graph.values[2].bytes = 64; // 8 bytes in a row
  graph.values[c].bytes = 64;
  size_t a = 1;
  if (copied) {
    a = add({reading(0)}, /*bandable=*/true, /*counted=*/true);
    graph.operations.back().again = true;
  }
  add({reading(a), reading(c)}, /*bandable=*/true, /*counted=*/false);
  return graph;
}

/// a waits for the last operation: 512 bytes. Computed again, it exists in
/// bands of one row alone: beside b or c a row of a and of what is made of it.
void testRecomputed() {
  const Graph graph = waiting(/*copied=*/false);
  PlanOptions options;
  options.maxRecompute = 0.25;
  const Plan kept = plan(graph, options);
  expect(kept.peakBytes >= 512, "a is kept as a whole");
  const std::vector<Recomputed> values = recomputable(graph, kept, options);
  expect(values.size() == 1 && values[0].value == 1 && values[0].reader == 3,
         "a can be computed again for the last operation");
  expect(makersOf(graph, {1, 3}) == std::vector<size_t>{0}, "from x alone");
  options.maxRecompute = 0.2; // 8 of 32
  expect(recomputable(graph, kept, options).empty(), "within the limit");
  options.maxRecompute = 0.25;

  const Graph copied = waiting(/*copied=*/true);
  const Plan found = plan(copied, options);
  expect(found.segments.size() == 2 && copiesAreInBands(copied, found),
         "a segment before and one behind");
  expect(found.peakBytes == 64 + 2 * 64, "b or c, and two rows");
  expect(found.work == 32 && found.extraWork == 8, "a is computed twice");
  expect(!withCount(copied, found, 1, 1), "values are computed again in bands");
  expect(!copiesAreInBands(copied, Plan()), "not without segments");
}

/// What a value is made of must be there, and known.
void testNotRecomputed() {
  Graph graph = waiting(/*copied=*/false);
  expect(makersOf(graph, {2, 3}) == (std::vector<size_t>{1}),
         "b from a, which lives until then");
  graph.operations[3].reads.erase(graph.operations[3].reads.begin());
  expect(makersOf(graph, {2, 3}) == (std::vector<size_t>{0, 1}),
         "b from a from x");
  graph.operations[0].bandable = false;
  expect(makersOf(graph, {2, 3}).empty(), "an unknown operation");
}

/// What is smaller can be kept for a value that is computed again.
void testFromSmaller() {
  Graph graph = waiting(/*copied=*/false);
  graph.operations[3].reads.erase(graph.operations[3].reads.begin());
  const Recomputed fromSmaller = {2, 3, /*keepsSmaller=*/true};
  expect(makersOf(graph, fromSmaller) == (std::vector<size_t>{0, 1}),
         "b from x, since a is larger");
  graph.values[1].bytes = 32;
  graph.operations[0].copies = false;
  expect(makersOf(graph, fromSmaller) == std::vector<size_t>{1},
         "b from a, which is kept");
  graph.operations[0].copies = true;
  expect(makersOf(graph, fromSmaller) == (std::vector<size_t>{0, 1}),
         "no copy is kept");
}

/// With 192 bytes each operation of `waiting` fits into a segment, but while a
/// is kept all that run beside it.
void testAboveTarget() {
  PlanOptions options;
  options.maxRecompute = 0.25;
  options.target = 192;
  expect(plan(waiting(/*copied=*/true), options).numAboveTarget == 0,
         "a, b and c in rows");
  expect(plan(waiting(/*copied=*/false), options).numAboveTarget == 4,
         "a lives until the last operation");
}

/// On random chains: the rows of every value, against those that are marked
/// one by one from the wanted rows backwards.
void testRandomRows() {
  std::mt19937 random(1);
  for (int trial = 0; trial < 2000; ++trial) {
    size_t length = 1 + random() % 5;
    Graph graph = chain(length, 9000, 4, 1); // never past the end
    for (size_t i = length; i-- > 0;) {
      Read &read = graph.operations[i].reads[0];
      switch (random() % 3) {
      case 0: // a window, which may leave rows out
        read.stride = 1 + random() % 3;
        read.window = 1 + random() % 4;
        break;
      case 1: // a pad or a crop
        read.before = int64_t(random() % 7) - 3;
        break;
      default: // constants between the rows
        read.spread = 2 + random() % 2;
        read.before = int64_t(random() % 3);
      }
    }
    int64_t begin = int64_t(random() % 12);
    Rows wanted = {begin, begin + 1 + int64_t(random() % 4)};
    std::vector<Rows> rows;
    bool given = neededRows(graph, 0, length, wanted, rows);
    std::set<int64_t> marked;
    for (int64_t row = wanted.begin; row < wanted.end; ++row) {
      marked.insert(row);
    }
    bool possible = true;
    for (size_t i = length; i-- > 0 && possible;) {
      const Read &read = graph.operations[i].reads[0];
      std::set<int64_t> before;
      // Every row between: a slice has no holes.
      for (int64_t row = *marked.begin(); row <= *marked.rbegin(); ++row) {
        for (int64_t k = 0; k < read.window; ++k) {
          int64_t at = row * read.stride - read.before + k;
          if (at >= 0 && at % read.spread == 0 &&
              at / read.spread < graph.values[i].rows) {
            before.insert(at / read.spread);
          }
        }
      }
      possible = !before.empty() &&
                 *marked.rbegin() - *marked.begin() + 1 >= read.spread;
      marked = before;
      if (possible && given) {
        expect(rows[i].begin == *marked.begin() &&
                   rows[i].end == *marked.rbegin() + 1,
               "the interval holds the marked rows and no more");
      }
    }
    expect(possible == given, "refused exactly where no row is needed");
  }
}

void testBands() {
  std::vector<Rows> found = bandsOf(7, 3);
  expect(found.size() == 3 && found[2] == Rows{6, 7}, "3, 3 and 1 rows");
}

} // namespace

int main() {
  testNoHalo();
  testLimitOfWork();
  testPeakElsewhere();
  testOtherCount();
  testTwoResults();
  testAccumulation();
  testPaddingAlone();
  testSpread();
  testRecomputed();
  testNotRecomputed();
  testFromSmaller();
  testAboveTarget();
  testRandomRows();
  testBands();
  if (failures) {
    return 1;
  }
  std::puts("bands are planned as by hand");
  return 0;
}

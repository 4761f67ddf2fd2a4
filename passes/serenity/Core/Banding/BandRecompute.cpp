// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Values that bands compute once more instead of keeping them.

#include "serenity/Core/Banding/BandPlan.h"

#include <algorithm>
#include <optional>

namespace serenity::bands {

namespace {

constexpr size_t none = size_t(-1);

/// The operations that write and read the values of a graph.
struct Uses {
  explicit Uses(const Graph &graph)
      : writer(graph.values.size(), none), readers(graph.values.size()) {
    for (size_t i = 0; i < graph.operations.size(); ++i) {
      for (size_t value : graph.operations[i].writes) {
        writer[value] = i;
      }
      for (const Read &read : graph.operations[i].reads) {
        std::vector<size_t> &known = readers[read.value];
        if (known.empty() || known.back() != i) {
          known.push_back(i);
        }
      }
    }
  }

  std::vector<size_t> writer; // per value; `none`: there is none
  std::vector<std::vector<size_t>> readers;
};

/// The reader behind the longest wait of `value` for one; nothing if it is
/// always the next operation that reads it.
std::optional<size_t> longestWait(const Uses &uses, size_t value) {
  const std::vector<size_t> &readers = uses.readers[value];
  std::optional<size_t> found;
  size_t longest = 1;
  for (size_t i = 1; i < readers.size(); ++i) {
    if (readers[i] - readers[i - 1] > longest) {
      longest = readers[i] - readers[i - 1];
      found = readers[i];
    }
  }
  return found;
}

std::vector<size_t> makersOf(const Graph &graph, const Uses &uses,
                             const Recomputed &again) {
  std::vector<bool> wanted(graph.values.size());
  wanted[again.value] = true;
  std::vector<size_t> makers;
  for (size_t i = again.reader; i-- > 0;) {
    const Operation &op = graph.operations[i];
    if (std::none_of(op.writes.begin(), op.writes.end(),
                     [&](size_t value) { return wanted[value]; })) {
      continue;
    }
    if (!op.bandable) {
      return {};
    }
    makers.push_back(i);
    for (const Read &read : op.reads) {
      const std::vector<size_t> &readers = uses.readers[read.value];
      const size_t writer = uses.writer[read.value];
      const bool isKept =
          again.keepsSmaller && writer != none &&
          !graph.operations[writer].copies &&
          graph.values[read.value].bytes < graph.values[again.value].bytes;
      const bool isThere = !graph.values[read.value].counted || isKept ||
                           writer == none ||
                           (!readers.empty() && readers.back() >= again.reader);
      wanted[read.value] = wanted[read.value] || !isThere;
    }
  }
  std::reverse(makers.begin(), makers.end());
  return makers;
}

} // namespace

std::vector<size_t> makersOf(const Graph &graph, const Recomputed &again) {
  return makersOf(graph, Uses(graph), again);
}

bool copiesAreInBands(const Graph &graph, const Plan &plan) {
  for (size_t i = 0; i < graph.operations.size(); ++i) {
    if (graph.operations[i].again &&
        std::none_of(plan.segments.begin(), plan.segments.end(),
                     [&](const Segment &segment) {
                       return segment.first <= i && i < segment.last;
                     })) {
      return false;
    }
  }
  return true;
}

std::vector<Recomputed> recomputable(const Graph &graph, const Plan &plan,
                                     const PlanOptions &options) {
  const Uses uses(graph);
  int64_t left = int64_t(options.maxRecompute * double(plan.work));
  for (const Operation &op : graph.operations) {
    left -= op.again ? op.work : 0;
  }
  std::vector<Recomputed> found;
  for (size_t value = 0; value < graph.values.size(); ++value) {
    std::optional<size_t> reader = longestWait(uses, value);
    if (!graph.values[value].counted || uses.writer[value] == none || !reader) {
      continue;
    }
    const bool existsInBandsAlone = std::any_of(
        plan.segments.begin(), plan.segments.end(),
        [&](const Segment &segment) {
          return segment.first <= uses.writer[value] && *reader < segment.last;
        });
    if (existsInBandsAlone) {
      continue;
    }
    std::vector<size_t> others;
    for (bool keepsSmaller : {false, true}) {
      const Recomputed again = {value, *reader, keepsSmaller};
      std::vector<size_t> makers = makersOf(graph, uses, again);
      int64_t work = 0;
      for (size_t i : makers) {
        work += graph.operations[i].work;
      }
      if (!makers.empty() && makers != others && work <= left) {
        found.push_back(again);
      }
      others = std::move(makers);
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [&](const Recomputed &a, const Recomputed &b) {
                     return graph.values[a.value].bytes >
                            graph.values[b.value].bytes;
                   });
  return found;
}

} // namespace serenity::bands

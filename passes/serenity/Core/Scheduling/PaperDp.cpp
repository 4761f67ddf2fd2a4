// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/PaperDp.h"

#include "serenity/Core/Scheduling/Heuristics.h"

#include <algorithm>
#include <cstddef>
#include <limits>

using namespace serenity;
using namespace serenity::detail;

namespace {

enum class Flag { Solution, NoSolution, Timeout, Stopped };

/// Algorithm 1 of the paper on one part of the graph.
class Dp {
public:
  Dp(const Graph &graph, const PaperDpOptions &options, int64_t stepLimit,
     int64_t &states)
      : graph(graph), options(options), stepLimit(stepLimit), states(states),
        n(graph.size()), words((graph.nodes.size() + 63) / 64) {}

  Flag run(int64_t budget, std::vector<NodeId> &order) {
    std::vector<std::vector<Entry>> memo(n + 1);
    std::vector<uint64_t> masks(words, 0);
    std::vector<uint64_t> nextMasks;
    int64_t start = graph.baseBytes;
    for (const GraphBuffer &buffer : graph.buffers) {
      start += buffer.liveIn ? buffer.bytes : 0;
    }
    memo[0].push_back({start, start, -1, -1});
    int64_t traceBytes = 0;
    for (int32_t step = 0; step < n; ++step) {
      std::vector<Entry> &next = memo[step + 1];
      nextMasks.clear();
      std::vector<int32_t> table(1024, -1);
      for (size_t s = 0; s < memo[step].size(); ++s) {
        if (options.shouldStop && states % 256 == 0 &&
            options.shouldStop(states)) {
          return Flag::Stopped;
        }
        ++states;
        const Entry entry = memo[step][s];
        const uint64_t *mask = &masks[s * words];
        for (NodeId u = 0; u < n; ++u) {
          if (!isReady(mask, u)) {
            continue;
          }
          int64_t allocated = 0;
          int64_t freed = 0;
          cost(mask, u, allocated, freed);
          int64_t peak = std::max(entry.peak, entry.live + allocated +
                                                  graph.nodes[u].stepBytes);
          if (peak > budget) {
            continue;
          }
          if ((next.size() + 1) * 2 > table.size()) {
            rehash(table, next.size(), nextMasks);
          }
          scratch.assign(mask, mask + words);
          scratch[u / 64] |= uint64_t(1) << (u % 64);
          size_t slot = hash(scratch.data()) & (table.size() - 1);
          while (table[slot] >= 0 &&
                 !std::equal(scratch.begin(), scratch.end(),
                             &nextMasks[table[slot] * words])) {
            slot = (slot + 1) & (table.size() - 1);
          }
          Entry candidate{peak, entry.live + allocated - freed,
                          static_cast<int32_t>(s), u};
          if (table[slot] < 0) {
            table[slot] = static_cast<int32_t>(next.size());
            next.push_back(candidate);
            nextMasks.insert(nextMasks.end(), scratch.begin(), scratch.end());
          } else if (peak < next[table[slot]].peak) {
            next[table[slot]] = candidate;
          }
        }
        if (static_cast<int64_t>(next.size()) > stepLimit) {
          return Flag::Timeout;
        }
        int64_t bytes =
            traceBytes + static_cast<int64_t>(
                             (masks.size() + nextMasks.size()) * 8 +
                             next.size() * sizeof(Entry) + table.size() * 4);
        if (bytes > options.memoryLimitBytes) {
          return Flag::Timeout;
        }
      }
      if (next.empty()) {
        return Flag::NoSolution;
      }
      traceBytes += static_cast<int64_t>(next.size() * sizeof(Entry));
      masks.swap(nextMasks);
    }
    order.assign(n, 0);
    int32_t at = 0;
    for (int32_t step = n; step > 0; --step) {
      order[step - 1] = memo[step][at].node;
      at = memo[step][at].parent;
    }
    return Flag::Solution;
  }

private:
  struct Entry {
    int64_t peak;
    int64_t live;
    int32_t parent;
    NodeId node;
  };

  static bool isDone(const uint64_t *mask, NodeId v) {
    return (mask[v / 64] >> (v % 64)) & 1;
  }

  bool isReady(const uint64_t *mask, NodeId u) const {
    if (isDone(mask, u)) {
      return false;
    }
    for (NodeId pred : graph.nodes[u].preds) {
      if (!isDone(mask, pred)) {
        return false;
      }
    }
    return true;
  }

  void cost(const uint64_t *mask, NodeId u, int64_t &allocated,
            int64_t &freed) const {
    for (const Touch &touch : graph.nodes[u].opens) {
      const GraphBuffer &buffer = graph.buffers[touch.buffer];
      if (std::none_of(buffer.openers.begin(), buffer.openers.end(),
                       [&](NodeId v) { return isDone(mask, v); })) {
        allocated += buffer.bytes;
      }
    }
    for (const Touch &touch : graph.nodes[u].closes) {
      const GraphBuffer &buffer = graph.buffers[touch.buffer];
      if (std::all_of(buffer.closers.begin(), buffer.closers.end(),
                      [&](NodeId v) { return v == u || isDone(mask, v); })) {
        freed += buffer.bytes;
      }
    }
  }

  size_t hash(const uint64_t *mask) const {
    uint64_t h = 0;
    for (size_t w = 0; w < words; ++w) {
      h = (h ^ mask[w]) * 0x9e3779b97f4a7c15ull;
      h ^= h >> 29;
    }
    return static_cast<size_t>(h ^ (h >> 32));
  }

  void rehash(std::vector<int32_t> &table, size_t count,
              const std::vector<uint64_t> &masks) const {
    table.assign(table.size() * 2, -1);
    for (size_t i = 0; i < count; ++i) {
      size_t slot = hash(&masks[i * words]) & (table.size() - 1);
      while (table[slot] >= 0) {
        slot = (slot + 1) & (table.size() - 1);
      }
      table[slot] = static_cast<int32_t>(i);
    }
  }

  const Graph &graph;
  const PaperDpOptions &options;
  int64_t stepLimit;
  int64_t &states;
  int32_t n;
  size_t words;
  std::vector<uint64_t> scratch;
};

/// Algorithm 2 of the paper. Nothing if the caller gave up.
bool searchBudget(const Graph &graph, const PaperDpOptions &options,
                  int64_t &states, std::vector<NodeId> &order) {
  order = breadthFirstOrder(graph);
  if (!options.softBudget) {
    constexpr int64_t none = std::numeric_limits<int64_t>::max();
    Flag flag = Dp(graph, options, none, states).run(none, order);
    return flag == Flag::Solution;
  }
  int64_t hardBudget = evaluate(graph, order);
  int64_t stepLimit = options.stepLimit;
  while (true) {
    int64_t previous = hardBudget;
    int64_t budget = hardBudget;
    while (true) {
      Flag flag = Dp(graph, options, stepLimit, states).run(budget, order);
      if (flag == Flag::Solution) {
        return true;
      }
      if (flag == Flag::Stopped) {
        order = breadthFirstOrder(graph);
        return false;
      }
      int64_t last = budget;
      budget =
          flag == Flag::Timeout ? budget / 2 : budget + (previous - budget) / 2;
      // The paper does not treat the case that the two values meet: no budget
      // passes within this step limit. A larger limit, then.
      if (budget == last || (flag == Flag::Timeout && budget == 0)) {
        break;
      }
      if (flag == Flag::Timeout) {
        previous = last;
      }
    }
    stepLimit *= 2;
  }
}

} // namespace

PaperDpResult serenity::detail::schedulePaperDp(const Graph &graph,
                                                const PaperDpOptions &options) {
  PaperDpResult result;
  result.isComplete = true;
  std::vector<NodeId> topo = topologicalOrder(graph);
  std::vector<int32_t> cuts{0};
  if (options.cutPoints) {
    cuts = findCuts(graph, topo, /*singleNodes=*/true);
  }
  std::vector<Part> parts = extractParts(graph, topo, cuts);
  for (const Part &part : parts) {
    std::vector<NodeId> order;
    if (!searchBudget(part.graph, options, result.states, order)) {
      result.isComplete = false;
    }
    for (NodeId v : order) {
      result.order.push_back(part.nodes[v]);
    }
  }
  return result;
}

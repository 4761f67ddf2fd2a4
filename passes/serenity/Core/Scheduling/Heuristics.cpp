// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/Heuristics.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <queue>
#include <set>
#include <tuple>

using namespace serenity;
using namespace serenity::detail;

namespace {

/// Counts unfinished predecessors.
class ReadyTracker {
public:
  explicit ReadyTracker(const Graph &graph) : graph(graph) {
    numPending.assign(graph.nodes.size(), 0);
    for (NodeId v = 0; v < graph.size(); ++v) {
      if (!graph.isAlive(v)) {
        continue;
      }
      numPending[v] = static_cast<int32_t>(graph.nodes[v].preds.size());
      if (numPending[v] == 0) {
        sources.push_back(v);
      }
    }
  }

  /// Calls `onReady` for every node that `v` makes ready.
  template <typename Callback> void finish(NodeId v, Callback onReady) {
    for (NodeId succ : graph.nodes[v].succs) {
      if (--numPending[succ] == 0) {
        onReady(succ);
      }
    }
  }

  std::vector<NodeId> sources;

private:
  const Graph &graph;
  std::vector<int32_t> numPending;
};

/// The bytes that `v` opens in any state; a measure of its outputs.
int64_t openedBytes(const Graph &graph, NodeId v) {
  int64_t bytes = 0;
  for (const Touch &touch : graph.nodes[v].opens) {
    bytes += graph.buffers[touch.buffer].bytes;
  }
  return bytes;
}

/// SplitMix64: a well mixed function of (seed, node), the same everywhere.
uint64_t mix(uint64_t seed, uint64_t value) {
  uint64_t z = seed * 0x9e3779b97f4a7c15ull + value + 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

/// List scheduling with priorities that follow the state. A priority changes
/// when a buffer opens (its other openers get cheaper) or has one closer left
/// (that one gets to free it); each happens once per buffer.
class ListScheduler {
public:
  ListScheduler(const Graph &graph, uint64_t seed, bool limitPeak)
      : graph(graph), player(graph), tracker(graph), seed(seed),
        limitPeak(limitPeak) {
    costs.resize(graph.nodes.size());
    isReady.assign(graph.nodes.size(), 0);
    // The sum of the closers that have not run; when one is left it is that.
    closerSum.assign(graph.buffers.size(), 0);
    for (size_t b = 0; b < graph.buffers.size(); ++b) {
      for (NodeId v : graph.buffers[b].closers) {
        closerSum[b] += v;
      }
    }
  }

  std::vector<NodeId> run() {
    for (NodeId v : tracker.sources) {
      insert(v);
    }
    std::vector<NodeId> order;
    while (!byNet.empty()) {
      NodeId v = pick();
      remove(v);
      // Save the state that playing it changes.
      affected.clear();
      for (const Touch &touch : graph.nodes[v].opens) {
        if (!player.isOpen(touch.buffer)) {
          for (NodeId other : graph.buffers[touch.buffer].openers) {
            affected.push_back(other);
          }
        }
      }
      player.play(v);
      order.push_back(v);
      for (const Touch &touch : graph.nodes[v].closes) {
        closerSum[touch.buffer] -= v;
        if (!graph.buffers[touch.buffer].liveOut &&
            player.closersLeft(touch.buffer) == 1) {
          affected.push_back(static_cast<NodeId>(closerSum[touch.buffer]));
        }
      }
      for (NodeId other : affected) {
        if (isReady[other]) {
          remove(other);
          insert(other);
        }
      }
      tracker.finish(v, [&](NodeId succ) { insert(succ); });
    }
    return order;
  }

private:
  using Key = std::tuple<int64_t, int64_t, uint64_t, NodeId>;

  Key netKey(NodeId v) const {
    return {costs[v].net, costs[v].step, tie(v), v};
  }
  Key stepKey(NodeId v) const {
    return {costs[v].step, costs[v].net, tie(v), v};
  }
  uint64_t tie(NodeId v) const { return seed ? mix(seed, v) : 0; }

  void insert(NodeId v) {
    costs[v] = player.cost(v);
    isReady[v] = 1;
    byNet.insert(netKey(v));
    if (limitPeak) {
      byStep.insert(stepKey(v));
    }
  }

  void remove(NodeId v) {
    isReady[v] = 0;
    byNet.erase(netKey(v));
    if (limitPeak) {
      byStep.erase(stepKey(v));
    }
  }

  NodeId pick() const {
    if (!limitPeak) {
      return std::get<3>(*byNet.begin());
    }
    constexpr int kMaxTries = 32;
    int tries = 0;
    for (const Key &key : byNet) {
      NodeId v = std::get<3>(key);
      if (player.live() + costs[v].step <= player.peak()) {
        return v;
      }
      if (++tries == kMaxTries) {
        break;
      }
    }
    return std::get<3>(*byStep.begin());
  }

  const Graph &graph;
  Player player;
  ReadyTracker tracker;
  uint64_t seed;
  bool limitPeak;
  std::vector<Player::Cost> costs;
  std::vector<char> isReady;
  std::vector<int64_t> closerSum;
  std::vector<NodeId> affected;
  std::set<Key> byNet;
  std::set<Key> byStep;
};

} // namespace

std::vector<NodeId> serenity::detail::depthFirstOrder(const Graph &graph) {
  ReadyTracker tracker(graph);
  std::vector<NodeId> stack;
  auto push = [&](std::vector<NodeId> &batch) {
    std::sort(batch.begin(), batch.end(), [&](NodeId a, NodeId b) {
      int64_t bytesA = openedBytes(graph, a);
      int64_t bytesB = openedBytes(graph, b);
      return bytesA != bytesB ? bytesA < bytesB : a > b;
    });
    stack.insert(stack.end(), batch.begin(), batch.end());
    batch.clear();
  };
  std::vector<NodeId> batch = tracker.sources;
  push(batch);
  std::vector<NodeId> order;
  order.reserve(graph.nodes.size());
  while (!stack.empty()) {
    NodeId v = stack.back();
    stack.pop_back();
    order.push_back(v);
    tracker.finish(v, [&](NodeId succ) { batch.push_back(succ); });
    push(batch);
  }
  return order;
}

std::vector<NodeId> serenity::detail::breadthFirstOrder(const Graph &graph) {
  ReadyTracker tracker(graph);
  std::vector<NodeId> order = tracker.sources;
  order.reserve(graph.nodes.size());
  for (size_t i = 0; i < order.size(); ++i) {
    tracker.finish(order[i], [&](NodeId succ) { order.push_back(succ); });
  }
  return order;
}

std::vector<NodeId> serenity::detail::leastGrowthOrder(const Graph &graph,
                                                       uint64_t seed) {
  return ListScheduler(graph, seed, /*limitPeak=*/false).run();
}

std::vector<NodeId> serenity::detail::lowestPeakOrder(const Graph &graph,
                                                      uint64_t seed) {
  return ListScheduler(graph, seed, /*limitPeak=*/true).run();
}

std::vector<NodeId> serenity::detail::postOrder(const Graph &graph) {
  // Sethi-Ullman numbers as if the graph were a forest of trees rooted in the
  // sinks: every operand is charged to all its users.
  size_t n = graph.nodes.size();
  std::vector<NodeId> topo = topologicalOrder(graph);
  std::vector<int64_t> need(n, 0);
  std::vector<int64_t> left(n, 0);
  std::vector<std::vector<NodeId>> operands(n);
  for (NodeId v : topo) {
    operands[v] = graph.nodes[v].preds;
    std::sort(operands[v].begin(), operands[v].end(), [&](NodeId a, NodeId b) {
      int64_t excessA = need[a] - left[a];
      int64_t excessB = need[b] - left[b];
      return excessA != excessB ? excessA > excessB : a < b;
    });
    left[v] = openedBytes(graph, v);
    // Saturate: shared operands are counted many times over.
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 4;
    int64_t held = 0;
    for (NodeId operand : operands[v]) {
      need[v] = std::max(need[v], std::min(kMax, held + need[operand]));
      held = std::min(kMax, held + left[operand]);
    }
    need[v] = std::max(
        need[v], std::min(kMax, held + std::min(kMax, left[v]) +
                                    std::min(kMax, graph.nodes[v].stepBytes)));
    left[v] = std::min(kMax, left[v]);
  }
  std::vector<NodeId> sinks;
  for (NodeId v : topo) {
    if (graph.nodes[v].succs.empty()) {
      sinks.push_back(v);
    }
  }
  std::stable_sort(sinks.begin(), sinks.end(), [&](NodeId a, NodeId b) {
    return need[a] - left[a] > need[b] - left[b];
  });
  std::vector<char> isVisited(n, 0);
  std::vector<std::pair<NodeId, size_t>> stack;
  std::vector<NodeId> order;
  order.reserve(topo.size());
  for (NodeId sink : sinks) {
    isVisited[sink] = 1;
    stack.push_back({sink, 0});
    while (!stack.empty()) {
      auto &[v, next] = stack.back();
      if (next == operands[v].size()) {
        order.push_back(v);
        stack.pop_back();
        continue;
      }
      NodeId operand = operands[v][next++];
      if (!isVisited[operand]) {
        isVisited[operand] = 1;
        stack.push_back({operand, 0});
      }
    }
  }
  return order;
}

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/Improve.h"

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

using namespace serenity;
using namespace serenity::detail;

namespace {

uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15ull;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

class Beam {
public:
  Beam(const Graph &graph, const BeamOptions &options)
      : graph(graph), options(options),
        numWords((graph.nodes.size() + 63) / 64) {
    for (NodeId v = 0; v < graph.size(); ++v) {
      numAlive += graph.isAlive(v);
    }
  }

  BeamResult run() {
    levels.resize(numAlive + 1);
    seen.resize(numAlive + 1);
    stamps.assign(graph.nodes.size(), 0);
    State start;
    start.mask.assign(numWords, 0);
    start.live = graph.baseBytes;
    for (const GraphBuffer &buffer : graph.buffers) {
      start.live += buffer.liveIn ? buffer.bytes : 0;
    }
    for (NodeId v = 0; v < graph.size(); ++v) {
      if (graph.isAlive(v) && graph.nodes[v].preds.empty()) {
        addReady(start, v);
      }
    }
    settle(start);
    BeamResult result;
    if (start.count == numAlive) {
      result.order = trace(start.traceEnd);
      return result;
    }
    size_t first = start.count;
    levels[first].push_back(std::move(start));
    for (size_t level = first; level < numAlive; ++level) {
      for (State &state : levels[level]) {
        if (options.shouldStop && result.states % 16 == 0 &&
            options.shouldStop(result.states)) {
          return result;
        }
        ++result.states;
        expand(state);
      }
      levels[level].clear();
      levels[level].shrink_to_fit();
      seen[level] = {};
      if (!levels[numAlive].empty()) {
        result.order = trace(levels[numAlive].front().traceEnd);
        return result;
      }
    }
    return result;
  }

private:
  struct Ready {
    NodeId node;
    int64_t step;
    int64_t net;
  };
  struct State {
    std::vector<uint64_t> mask;
    std::vector<Ready> ready;
    int64_t live = 0;
    uint64_t hash = 0;
    size_t count = 0;
    int32_t traceEnd = -1;
  };
  struct TraceEntry {
    int32_t parent;
    NodeId node;
  };

  static bool isDone(const State &state, NodeId v) {
    return (state.mask[v / 64] >> (v % 64)) & 1;
  }

  void updateCost(const State &state, Ready &entry) const {
    const GraphNode &node = graph.nodes[entry.node];
    entry.step = node.stepBytes;
    entry.net = 0;
    for (const Touch &touch : node.opens) {
      const GraphBuffer &buffer = graph.buffers[touch.buffer];
      bool isOpen = std::any_of(buffer.openers.begin(), buffer.openers.end(),
                                [&](NodeId v) { return isDone(state, v); });
      if (!isOpen) {
        entry.net += buffer.bytes;
        entry.step += touch.early ? buffer.bytes : 0;
      }
    }
    for (const Touch &touch : node.closes) {
      const GraphBuffer &buffer = graph.buffers[touch.buffer];
      bool isLast = std::all_of(
          buffer.closers.begin(), buffer.closers.end(),
          [&](NodeId v) { return v == entry.node || isDone(state, v); });
      if (isLast) {
        entry.net -= buffer.bytes;
        entry.step -= touch.early ? buffer.bytes : 0;
      }
    }
  }

  void addReady(State &state, NodeId v) const {
    Ready entry{v, 0, 0};
    updateCost(state, entry);
    state.ready.push_back(entry);
  }

  void apply(State &state, size_t index) {
    NodeId v = state.ready[index].node;
    state.live += state.ready[index].net;
    state.ready[index] = state.ready.back();
    state.ready.pop_back();
    state.mask[v / 64] |= uint64_t(1) << (v % 64);
    state.hash ^= mix(static_cast<uint64_t>(v));
    ++state.count;
    traces.push_back({state.traceEnd, v});
    state.traceEnd = static_cast<int32_t>(traces.size()) - 1;
    // Only nodes that share a buffer with `v` change their cost.
    ++stamp;
    for (const Touch &touch : graph.nodes[v].opens) {
      for (NodeId other : graph.buffers[touch.buffer].openers) {
        stamps[other] = stamp;
      }
    }
    for (const Touch &touch : graph.nodes[v].closes) {
      for (NodeId other : graph.buffers[touch.buffer].closers) {
        stamps[other] = stamp;
      }
    }
    for (Ready &entry : state.ready) {
      if (stamps[entry.node] == stamp) {
        updateCost(state, entry);
      }
    }
    for (NodeId succ : graph.nodes[v].succs) {
      const std::vector<NodeId> &preds = graph.nodes[succ].preds;
      if (std::all_of(preds.begin(), preds.end(),
                      [&](NodeId pred) { return isDone(state, pred); })) {
        addReady(state, succ);
      }
    }
  }

  /// Makes the forced moves.
  void settle(State &state) {
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t i = 0; i < state.ready.size();) {
        const Ready &entry = state.ready[i];
        if (entry.net <= 0 && state.live + entry.step <= options.threshold) {
          apply(state, i); // Another node takes the place.
          changed = true;
        } else {
          ++i;
        }
      }
    }
  }

  uint64_t rank(const State &state) const {
    return options.seed ? mix(state.hash ^ options.seed) : 0;
  }

  bool isBetter(const State &a, const State &b) const {
    if (a.live != b.live) {
      return a.live < b.live;
    }
    uint64_t rankA = rank(a);
    uint64_t rankB = rank(b);
    return rankA != rankB ? rankA < rankB : a.hash < b.hash;
  }

  void expand(const State &state) {
    order.clear();
    for (size_t i = 0; i < state.ready.size(); ++i) {
      if (state.live + state.ready[i].step <= options.threshold) {
        order.push_back(i);
      }
    }
    size_t keep =
        std::min(order.size(), static_cast<size_t>(options.branching));
    auto key = [&](size_t i) {
      const Ready &entry = state.ready[i];
      uint64_t tie = options.seed
                         ? mix(static_cast<uint64_t>(entry.node) ^ options.seed)
                         : static_cast<uint64_t>(entry.node);
      return std::make_tuple(entry.net, entry.step, tie, entry.node);
    };
    std::partial_sort(order.begin(), order.begin() + keep, order.end(),
                      [&](size_t a, size_t b) { return key(a) < key(b); });
    for (size_t k = 0; k < keep; ++k) {
      State child = state;
      size_t traceSize = traces.size();
      apply(child, order[k]);
      settle(child);
      if (!offer(std::move(child))) {
        traces.resize(traceSize);
      }
    }
  }

  /// Adds the state to its level unless that is full of better ones.
  bool offer(State child) {
    std::vector<State> &level = levels[child.count];
    // A set that was here before is here still, or was too bad. (That two sets
    // have the same hash would only lose one of them.)
    if (seen[child.count].count(child.hash)) {
      return false;
    }
    auto worse = [&](const State &a, const State &b) { return isBetter(a, b); };
    // A heap with the worst state on top.
    if (level.size() == static_cast<size_t>(options.width)) {
      if (!isBetter(child, level.front())) {
        return false;
      }
      std::pop_heap(level.begin(), level.end(), worse);
      level.pop_back();
    }
    seen[child.count].insert(child.hash);
    level.push_back(std::move(child));
    std::push_heap(level.begin(), level.end(), worse);
    return true;
  }

  std::vector<NodeId> trace(int32_t last) const {
    std::vector<NodeId> result;
    for (int32_t t = last; t >= 0; t = traces[t].parent) {
      result.push_back(traces[t].node);
    }
    std::reverse(result.begin(), result.end());
    return result;
  }

  const Graph &graph;
  const BeamOptions &options;
  size_t numWords;
  size_t numAlive = 0;
  std::vector<std::vector<State>> levels;
  std::vector<std::unordered_set<uint64_t>> seen;
  std::vector<TraceEntry> traces;
  std::vector<int64_t> stamps;
  int64_t stamp = 0;
  std::vector<size_t> order;
};

} // namespace

BeamResult serenity::detail::beamSearch(const Graph &graph,
                                        const BeamOptions &options) {
  return Beam(graph, options).run();
}

Part serenity::detail::extractWindow(const Graph &graph,
                                     const std::vector<NodeId> &order,
                                     const std::vector<int32_t> &position,
                                     int32_t begin, int32_t end,
                                     int64_t liveBefore) {
  Part part;
  part.nodes.assign(order.begin() + begin, order.begin() + end);
  std::sort(part.nodes.begin(), part.nodes.end());
  auto isInside = [&](NodeId v) {
    return position[v] >= begin && position[v] < end;
  };
  auto local = [&](NodeId v) {
    return static_cast<NodeId>(
        std::lower_bound(part.nodes.begin(), part.nodes.end(), v) -
        part.nodes.begin());
  };
  part.graph.nodes.resize(part.nodes.size());
  part.graph.isEliminated.assign(part.nodes.size(), 0);
  part.graph.baseBytes = liveBefore;
  std::unordered_map<int32_t, int32_t> buffers; // -1: not live in the window
  auto bufferOf = [&](int32_t b) {
    auto [it, isNew] = buffers.insert({b, -1});
    if (!isNew) {
      return it->second;
    }
    const GraphBuffer &buffer = graph.buffers[b];
    GraphBuffer copy;
    copy.bytes = buffer.bytes;
    copy.liveIn = buffer.liveIn;
    copy.liveOut = buffer.liveOut;
    for (NodeId v : buffer.openers) {
      copy.liveIn |= position[v] < begin;
    }
    bool isClosed = !buffer.liveOut;
    for (NodeId v : buffer.closers) {
      copy.liveOut |= position[v] >= end;
      isClosed &= position[v] < begin;
    }
    if (isClosed) {
      return -1;
    }
    for (NodeId v : buffer.openers) {
      if (!copy.liveIn && isInside(v)) {
        copy.openers.push_back(local(v));
      }
    }
    for (NodeId v : buffer.closers) {
      if (!copy.liveOut && isInside(v)) {
        copy.closers.push_back(local(v));
      }
    }
    if (copy.liveIn && copy.liveOut) {
      return -1; // Part of the base.
    }
    if (copy.liveIn) {
      part.graph.baseBytes -= copy.bytes;
    }
    it->second = static_cast<int32_t>(part.graph.buffers.size());
    part.graph.buffers.push_back(std::move(copy));
    return it->second;
  };
  for (size_t i = 0; i < part.nodes.size(); ++i) {
    const GraphNode &from = graph.nodes[part.nodes[i]];
    GraphNode &to = part.graph.nodes[i];
    to.stepBytes = from.stepBytes;
    for (NodeId pred : from.preds) {
      if (isInside(pred)) {
        to.preds.push_back(local(pred));
      }
    }
    for (NodeId succ : from.succs) {
      if (isInside(succ)) {
        to.succs.push_back(local(succ));
      }
    }
    for (const Touch &touch : from.opens) {
      int32_t b = bufferOf(touch.buffer);
      if (b >= 0 && !part.graph.buffers[b].liveIn) {
        to.opens.push_back({b, touch.early});
      }
    }
    for (const Touch &touch : from.closes) {
      int32_t b = bufferOf(touch.buffer);
      if (b >= 0 && !part.graph.buffers[b].liveOut) {
        to.closes.push_back({b, touch.early});
      }
    }
  }
  return part;
}

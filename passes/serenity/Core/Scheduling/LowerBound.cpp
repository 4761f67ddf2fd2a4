// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/LowerBound.h"

#include <algorithm>
#include <cstddef>
#include <limits>

using namespace serenity;
using namespace serenity::detail;

int64_t serenity::detail::operationFootprintBound(const Problem &problem) {
  std::vector<char> isConstant(problem.buffers.size(), 0);
  std::vector<char> isTouched(problem.buffers.size(), 0);
  for (const Operation &op : problem.operations) {
    for (BufferId b : op.uses) {
      isTouched[b] = 1;
    }
  }
  int64_t base = 0;
  for (size_t b = 0; b < problem.buffers.size(); ++b) {
    const Buffer &buffer = problem.buffers[b];
    isConstant[b] = (buffer.liveIn && buffer.liveOut) ||
                    (!isTouched[b] && (buffer.liveIn || buffer.liveOut));
    base += isConstant[b] ? buffer.bytes : 0;
  }
  // The first step sees all that comes in, the last all that goes out.
  int64_t in = base;
  int64_t out = base;
  for (size_t b = 0; b < problem.buffers.size(); ++b) {
    const Buffer &buffer = problem.buffers[b];
    if (!isConstant[b]) {
      in += buffer.liveIn ? buffer.bytes : 0;
      out += buffer.liveOut ? buffer.bytes : 0;
    }
  }
  int64_t bound = std::max(in, out);
  for (const Operation &op : problem.operations) {
    int64_t bytes = base + op.workspaceBytes;
    for (BufferId b : op.uses) {
      bytes += isConstant[b] ? 0 : problem.buffers[b].bytes;
    }
    bound = std::max(bound, bytes);
  }
  return bound;
}

int64_t serenity::detail::footprintBound(const Graph &graph) {
  auto find = [](const std::vector<Touch> &touches, int32_t b) {
    auto it = std::find_if(touches.begin(), touches.end(),
                           [&](const Touch &t) { return t.buffer == b; });
    return it == touches.end() ? nullptr : &*it;
  };
  int64_t bound = graph.baseBytes;
  for (NodeId v = 0; v < graph.size(); ++v) {
    if (!graph.isAlive(v)) {
      continue;
    }
    // A sole opener's buffer is live at its step, and so is a sole closer's.
    // One of several may come when the buffer has closed or has yet to open.
    const GraphNode &node = graph.nodes[v];
    int64_t bytes = graph.baseBytes + node.stepBytes;
    for (const Touch &touch : node.opens) {
      const GraphBuffer &buffer = graph.buffers[touch.buffer];
      auto close = find(node.closes, touch.buffer);
      bool isEnough =
          buffer.openers.size() == 1 || (close && buffer.closers.size() == 1);
      if (isEnough && touch.early && !(close && close->early)) {
        bytes += buffer.bytes;
      }
    }
    for (const Touch &touch : node.closes) {
      const GraphBuffer &buffer = graph.buffers[touch.buffer];
      if (buffer.closers.size() == 1 && !touch.early &&
          !find(node.opens, touch.buffer)) {
        bytes += buffer.bytes;
      }
    }
    bound = std::max(bound, bytes);
  }
  return bound;
}

namespace {

/// Minimum cuts on one network with changing terminals (Dinic's algorithm).
///
///   source side = the down-set T that has run. For a buffer b:
///     opener --inf--> x_b --bytes--> y_b --inf--> closer
///   x_b is on the source side as soon as an opener is; y_b may stay there only
///   if all closers are; the middle edge is cut exactly if b is live. Edges
///   node --inf--> predecessor keep T closed.
class CutNetwork {
public:
  explicit CutNetwork(const Graph &graph) : graph(graph) {
    int32_t n = graph.size();
    numVertices = n + 2 * static_cast<int32_t>(graph.buffers.size());
    auto inVertex = [&](size_t b) { return n + 2 * static_cast<int32_t>(b); };
    for (NodeId v = 0; v < n; ++v) {
      for (NodeId pred : graph.nodes[v].preds) {
        addEdge(v, pred, kInfinite);
      }
    }
    for (size_t b = 0; b < graph.buffers.size(); ++b) {
      const GraphBuffer &buffer = graph.buffers[b];
      if (buffer.openers.empty() && buffer.closers.empty()) {
        continue;
      }
      addEdge(inVertex(b), inVertex(b) + 1, buffer.bytes);
      for (NodeId v : buffer.openers) {
        addEdge(v, inVertex(b), kInfinite);
      }
      for (NodeId v : buffer.closers) {
        addEdge(inVertex(b) + 1, v, kInfinite);
      }
    }
    buildAdjacency();
    initialCapacity = capacity;
  }

  /// Least bytes live at the step of `v`, over all down-sets that may precede
  /// it. Returns early with a valid smaller value when `shouldStop`.
  int64_t minimumAt(NodeId v, const std::function<bool()> &shouldStop) {
    capacity = initialCapacity;
    work += static_cast<int64_t>(capacity.size());
    isSource.assign(numVertices, 0);
    isSink.assign(numVertices, 0);
    int32_t n = graph.size();
    markBoundary();
    for (NodeId pred : graph.nodes[v].preds) {
      isSource[pred] = 1;
    }
    isSink[v] = 1;
    // At the step itself, early openings have happened and so have early
    // closings.
    for (const Touch &touch : graph.nodes[v].opens) {
      if (touch.early) {
        isSource[n + 2 * touch.buffer] = 1;
      }
    }
    for (const Touch &touch : graph.nodes[v].closes) {
      if (touch.early) {
        // The edge y_b -> v must not force b to be live.
        int32_t y = n + 2 * touch.buffer + 1;
        for (int32_t i = first[y]; i < first[y + 1]; ++i) {
          if (target[adjacent[i]] == v) {
            capacity[adjacent[i]] = 0;
          }
        }
      }
    }
    int64_t flow = graph.nodes[v].stepBytes + graph.baseBytes;
    while (buildLevels()) {
      iterator.assign(first.begin(), first.end() - 1);
      for (int32_t s : sources) {
        flow += pushFrom(s, shouldStop);
        if (isStopped) {
          return flow;
        }
      }
    }
    return flow;
  }

  /// The smallest set that a minimum cut leaves on the source side when all
  /// nodes outside of `allowed` are sinks.
  std::vector<char> smallestMinimizer(const std::vector<char> &allowed) {
    capacity = initialCapacity;
    isSource.assign(numVertices, 0);
    isSink.assign(numVertices, 0);
    markBoundary();
    for (NodeId v = 0; v < graph.size(); ++v) {
      isSink[v] = !allowed[v];
    }
    while (buildLevels()) {
      iterator.assign(first.begin(), first.end() - 1);
      for (int32_t s : sources) {
        pushFrom(s, nullptr);
      }
    }
    std::vector<char> result(graph.nodes.size());
    for (NodeId v = 0; v < graph.size(); ++v) {
      result[v] = level[v] >= 0;
    }
    return result;
  }

  bool isStopped = false;
  /// Edges looked at so far, and how many may be.
  int64_t work = 0;
  int64_t workLimit = std::numeric_limits<int64_t>::max();

private:
  static constexpr int64_t kInfinite = std::numeric_limits<int64_t>::max();

  void markBoundary() {
    size_t n = graph.nodes.size();
    for (size_t b = 0; b < graph.buffers.size(); ++b) {
      if (graph.buffers[b].liveIn) {
        isSource[n + 2 * b] = 1;
      }
      if (graph.buffers[b].liveOut) {
        isSink[n + 2 * b + 1] = 1;
      }
    }
  }

  void addEdge(int32_t from, int32_t to, int64_t bytes) {
    source.push_back(from);
    target.push_back(to);
    capacity.push_back(bytes);
    source.push_back(to);
    target.push_back(from);
    capacity.push_back(0);
  }

  void buildAdjacency() {
    first.assign(numVertices + 1, 0);
    for (int32_t v : source) {
      ++first[v + 1];
    }
    for (int32_t v = 0; v < numVertices; ++v) {
      first[v + 1] += first[v];
    }
    adjacent.resize(source.size());
    std::vector<int32_t> next(first.begin(), first.end() - 1);
    for (size_t e = 0; e < source.size(); ++e) {
      adjacent[next[source[e]]++] = static_cast<int32_t>(e);
    }
  }

  bool buildLevels() {
    level.assign(numVertices, -1);
    sources.clear();
    fifo.clear();
    for (int32_t v = 0; v < numVertices; ++v) {
      if (isSource[v]) {
        level[v] = 0;
        fifo.push_back(v);
      }
    }
    sources = fifo;
    bool isReached = false;
    for (size_t i = 0; i < fifo.size(); ++i) {
      int32_t v = fifo[i];
      if (isSink[v]) {
        isReached = true;
        continue;
      }
      work += first[v + 1] - first[v];
      for (int32_t k = first[v]; k < first[v + 1]; ++k) {
        int32_t e = adjacent[k];
        if (capacity[e] > 0 && level[target[e]] < 0) {
          level[target[e]] = level[v] + 1;
          fifo.push_back(target[e]);
        }
      }
    }
    return isReached;
  }

  /// Blocking flow from `s`, with an explicit stack.
  int64_t pushFrom(int32_t s, const std::function<bool()> &shouldStop) {
    int64_t total = 0;
    path.clear();
    int32_t v = s;
    while (true) {
      if (isSink[v]) {
        int64_t amount = kInfinite;
        for (int32_t e : path) {
          amount = std::min(amount, capacity[e]);
        }
        total += amount;
        work += static_cast<int64_t>(path.size());
        size_t cutAt = path.size();
        for (size_t i = path.size(); i-- > 0;) {
          int32_t e = path[i];
          if (capacity[e] != kInfinite) {
            capacity[e] -= amount;
          }
          if (capacity[e ^ 1] != kInfinite) {
            capacity[e ^ 1] += amount;
          }
          if (capacity[e] == 0) {
            cutAt = i;
          }
        }
        v = source[path[cutAt]];
        path.resize(cutAt);
        if (work > workLimit ||
            (shouldStop && (++numPaths & 63) == 0 && shouldStop())) {
          isStopped = true;
          return total;
        }
        continue;
      }
      bool advanced = false;
      for (int32_t &k = iterator[v]; k < first[v + 1]; ++k) {
        int32_t e = adjacent[k];
        ++work;
        if (capacity[e] > 0 && level[target[e]] == level[v] + 1) {
          path.push_back(e);
          v = target[e];
          advanced = true;
          break;
        }
      }
      if (advanced) {
        continue;
      }
      if (path.empty()) {
        return total;
      }
      v = source[path.back()];
      path.pop_back();
      ++iterator[v];
    }
  }

  const Graph &graph;
  int32_t numVertices = 0;
  std::vector<int32_t> source, target;
  std::vector<int64_t> capacity, initialCapacity;
  std::vector<int32_t> first, adjacent, iterator, level, fifo, sources, path;
  std::vector<char> isSource, isSink;
  int64_t numPaths = 0;
};

} // namespace

int64_t serenity::detail::liveCutBound(const Graph &graph,
                                       const LiveCutOptions &options,
                                       size_t *numTried) {
  if (numTried) {
    *numTried = 0;
  }
  int64_t bound = footprintBound(graph);
  if (bound >= options.target) {
    return bound;
  }
  std::vector<NodeId> candidates = options.candidates;
  if (candidates.empty()) {
    for (NodeId v = 0; v < graph.size(); ++v) {
      if (graph.isAlive(v)) {
        candidates.push_back(v);
      }
    }
  }
  CutNetwork network(graph);
  if (options.workLimit > 0) {
    network.workLimit = options.workLimit;
  }
  for (NodeId v : candidates) {
    if (options.shouldStop && options.shouldStop()) {
      break;
    }
    bound = std::max(bound, network.minimumAt(v, options.shouldStop));
    if (network.isStopped || bound >= options.target) {
      break;
    }
    if (numTried) {
      ++*numTried;
    }
  }
  return bound;
}

std::vector<char>
serenity::detail::leastMemorySubset(const Graph &graph,
                                    const std::vector<char> &allowed) {
  return CutNetwork(graph).smallestMinimizer(allowed);
}

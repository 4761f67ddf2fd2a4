// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/Reductions.h"

#include <algorithm>
#include <cstddef>
#include <limits>

using namespace serenity;
using namespace serenity::detail;

namespace {

/// Reachability as one bit set per node. Eliminations never change it among the
/// nodes that remain, so it is computed once.
class Closure {
public:
  Closure(const Graph &graph, const std::vector<NodeId> &topo)
      : numWords((graph.nodes.size() + 63) / 64),
        bits(numWords * graph.nodes.size(), 0) {
    for (NodeId v : topo) {
      uint64_t *row = &bits[v * numWords];
      for (NodeId pred : graph.nodes[v].preds) {
        const uint64_t *predRow = &bits[pred * numWords];
        for (size_t w = 0; w < numWords; ++w) {
          row[w] |= predRow[w];
        }
        row[pred / 64] |= uint64_t(1) << (pred % 64);
      }
    }
  }

  bool precedes(NodeId first, NodeId second) const {
    return (bits[second * numWords + first / 64] >> (first % 64)) & 1;
  }

  /// Marks (1) the values that precede another one: not maximal.
  void markPreceding(const std::vector<NodeId> &values,
                     std::vector<char> &marks) {
    scratch.assign(numWords, 0);
    for (NodeId v : values) {
      const uint64_t *row = &bits[v * numWords];
      for (size_t w = 0; w < numWords; ++w) {
        scratch[w] |= row[w];
      }
    }
    marks.clear();
    for (NodeId v : values) {
      marks.push_back((scratch[v / 64] >> (v % 64)) & 1);
    }
  }

  /// Marks (1) the values that follow another one: not minimal.
  void markFollowing(const std::vector<NodeId> &values,
                     std::vector<char> &marks) {
    scratch.assign(numWords, 0);
    for (NodeId v : values) {
      scratch[v / 64] |= uint64_t(1) << (v % 64);
    }
    marks.clear();
    for (NodeId v : values) {
      const uint64_t *row = &bits[v * numWords];
      uint64_t common = 0;
      for (size_t w = 0; w < numWords; ++w) {
        common |= row[w] & scratch[w];
      }
      marks.push_back(common != 0);
    }
  }

private:
  size_t numWords;
  std::vector<uint64_t> bits;
  std::vector<uint64_t> scratch;
};

template <typename T> void eraseValue(std::vector<T> &values, T value) {
  values.erase(std::remove(values.begin(), values.end(), value), values.end());
}

bool contains(const std::vector<NodeId> &values, NodeId value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

class Reducer {
public:
  Reducer(Graph &graph, const ReductionOptions &options,
          const std::vector<NodeId> &topo)
      : graph(graph), options(options), closure(graph, topo) {}

  void run(const std::vector<NodeId> &topo) {
    removeImpliedEdges(topo);
    for (size_t b = 0; b < graph.buffers.size(); ++b) {
      pruneTouches(static_cast<int32_t>(b));
    }
    for (NodeId v : topo) {
      foldInner(v);
    }
    isQueued.assign(graph.nodes.size(), 1);
    queue.assign(topo.rbegin(), topo.rend());
    while (!queue.empty()) {
      NodeId v = queue.back();
      queue.pop_back();
      isQueued[v] = 0;
      if (!graph.isAlive(v)) {
        continue;
      }
      if (options.delay && tryDelay(v)) {
        continue;
      }
      if (options.advance) {
        tryAdvance(v);
      }
    }
  }

private:
  /// The changes that a node makes in the best and the worst state that it can
  /// run in. A sole opener always opens; one of several opens in some states
  /// only.
  struct Bounds {
    int64_t sureOpen = 0, mayOpen = 0, sureClose = 0, mayClose = 0;
    int64_t minForward = 0, maxForward = 0; // step over memory before
    int64_t minBack = 0, maxBack = 0;       // step over memory after
  };

  Bounds boundsOf(NodeId v) const {
    const GraphNode &node = graph.nodes[v];
    Bounds bounds;
    bounds.minForward = bounds.maxForward = node.stepBytes;
    bounds.minBack = bounds.maxBack = node.stepBytes;
    for (const Touch &touch : node.opens) {
      const GraphBuffer &buffer = graph.buffers[touch.buffer];
      int64_t sure = buffer.openers.size() == 1 ? buffer.bytes : 0;
      bounds.sureOpen += sure;
      bounds.mayOpen += buffer.bytes;
      if (touch.early) {
        bounds.minForward += sure;
        bounds.maxForward += buffer.bytes;
      } else {
        bounds.maxBack -= sure;
        bounds.minBack -= buffer.bytes;
      }
    }
    for (const Touch &touch : node.closes) {
      const GraphBuffer &buffer = graph.buffers[touch.buffer];
      int64_t sure = buffer.closers.size() == 1 ? buffer.bytes : 0;
      bounds.sureClose += sure;
      bounds.mayClose += buffer.bytes;
      if (touch.early) {
        bounds.minForward -= buffer.bytes;
        bounds.maxForward -= sure;
      } else {
        bounds.maxBack += buffer.bytes;
        bounds.minBack += sure;
      }
    }
    return bounds;
  }

  /// Delaying `v` to just before its first successor lowers the memory of all
  /// steps between, and `v`'s own step there is hidden by the successor's.
  bool tryDelay(NodeId v) {
    const GraphNode &node = graph.nodes[v];
    if (node.succs.empty()) {
      return false;
    }
    Bounds bounds = boundsOf(v);
    if (bounds.sureOpen < bounds.mayClose) {
      return false;
    }
    // With several successors the closings cannot be handed on.
    if (node.succs.size() > 1 && (!node.closes.empty() || isDense(node))) {
      return false;
    }
    for (NodeId succ : node.succs) {
      if (bounds.maxBack > boundsOf(succ).minForward) {
        return false;
      }
    }
    for (const Touch &touch : node.opens) {
      GraphBuffer &buffer = graph.buffers[touch.buffer];
      eraseValue(buffer.openers, v);
      for (NodeId succ : node.succs) {
        setOpener(succ, touch.buffer, /*early=*/true);
      }
      touchedBuffers.push_back(touch.buffer);
    }
    for (const Touch &touch : node.closes) {
      GraphBuffer &buffer = graph.buffers[touch.buffer];
      eraseValue(buffer.closers, v);
      // If the successor closes it too, it comes later and decides.
      NodeId succ = node.succs.front();
      if (!contains(buffer.closers, succ)) {
        buffer.closers.push_back(succ);
        graph.nodes[succ].closes.push_back({touch.buffer, /*early=*/true});
      }
      touchedBuffers.push_back(touch.buffer);
    }
    eliminate(v, Elimination::Kind::BeforeFirst);
    return true;
  }

  /// `tryDelay` with time running backwards.
  bool tryAdvance(NodeId v) {
    const GraphNode &node = graph.nodes[v];
    if (node.preds.empty()) {
      return false;
    }
    Bounds bounds = boundsOf(v);
    if (bounds.mayOpen > bounds.sureClose) {
      return false;
    }
    if (node.preds.size() > 1 && (!node.opens.empty() || isDense(node))) {
      return false;
    }
    for (NodeId pred : node.preds) {
      if (bounds.maxForward > boundsOf(pred).minBack) {
        return false;
      }
    }
    for (const Touch &touch : node.closes) {
      GraphBuffer &buffer = graph.buffers[touch.buffer];
      eraseValue(buffer.closers, v);
      for (NodeId pred : node.preds) {
        setCloser(pred, touch.buffer, /*early=*/false);
      }
      touchedBuffers.push_back(touch.buffer);
    }
    for (const Touch &touch : node.opens) {
      GraphBuffer &buffer = graph.buffers[touch.buffer];
      eraseValue(buffer.openers, v);
      NodeId pred = node.preds.front();
      if (!contains(buffer.openers, pred)) {
        buffer.openers.push_back(pred);
        graph.nodes[pred].opens.push_back({touch.buffer, /*early=*/false});
      }
      touchedBuffers.push_back(touch.buffer);
    }
    eliminate(v, Elimination::Kind::AfterLast);
    return true;
  }

  /// Too many edges would come of eliminating it.
  static bool isDense(const GraphNode &node) {
    size_t numPreds = node.preds.size();
    size_t numSuccs = node.succs.size();
    return numPreds * numSuccs > 2 * (numPreds + numSuccs) + 8;
  }

  void setOpener(NodeId v, int32_t b, bool early) {
    for (Touch &touch : graph.nodes[v].opens) {
      if (touch.buffer == b) {
        touch.early |= early;
        return;
      }
    }
    graph.nodes[v].opens.push_back({b, early});
    graph.buffers[b].openers.push_back(v);
  }

  void setCloser(NodeId v, int32_t b, bool early) {
    for (Touch &touch : graph.nodes[v].closes) {
      if (touch.buffer == b) {
        touch.early &= early;
        return;
      }
    }
    graph.nodes[v].closes.push_back({b, early});
    graph.buffers[b].closers.push_back(v);
  }

  /// Removes `v` from the graph; its touches have been handed on.
  void eliminate(NodeId v, Elimination::Kind kind) {
    GraphNode node = std::move(graph.nodes[v]);
    graph.nodes[v] = GraphNode();
    graph.isEliminated[v] = 1;
    Elimination record;
    record.node = v;
    record.kind = kind;
    record.anchors =
        kind == Elimination::Kind::BeforeFirst ? node.succs : node.preds;
    graph.eliminations.push_back(std::move(record));
    for (NodeId pred : node.preds) {
      eraseValue(graph.nodes[pred].succs, v);
    }
    for (NodeId succ : node.succs) {
      eraseValue(graph.nodes[succ].preds, v);
    }
    for (NodeId pred : node.preds) {
      for (NodeId succ : node.succs) {
        addEdge(pred, succ);
      }
    }
    for (NodeId pred : node.preds) {
      enqueue(pred);
    }
    for (NodeId succ : node.succs) {
      enqueue(succ);
    }
    std::vector<int32_t> buffers = std::move(touchedBuffers);
    touchedBuffers.clear();
    for (int32_t b : buffers) {
      pruneTouches(b);
      for (NodeId user : graph.buffers[b].openers) {
        enqueue(user);
      }
      for (NodeId user : graph.buffers[b].closers) {
        enqueue(user);
      }
    }
    for (NodeId pred : node.preds) {
      foldInner(pred);
    }
    for (NodeId succ : node.succs) {
      foldInner(succ);
    }
  }

  void enqueue(NodeId v) {
    if (!isQueued[v]) {
      isQueued[v] = 1;
      queue.push_back(v);
    }
    // The moves of a neighbour depend on this node's bounds.
    for (const std::vector<NodeId> *list :
         {&graph.nodes[v].preds, &graph.nodes[v].succs}) {
      for (NodeId other : *list) {
        if (!isQueued[other]) {
          isQueued[other] = 1;
          queue.push_back(other);
        }
      }
    }
  }

  /// Adds the edge unless a path implies it.
  void addEdge(NodeId pred, NodeId succ) {
    for (NodeId other : graph.nodes[pred].succs) {
      if (other == succ || closure.precedes(other, succ)) {
        return;
      }
    }
    graph.nodes[pred].succs.push_back(succ);
    graph.nodes[succ].preds.push_back(pred);
  }

  void removeImpliedEdges(const std::vector<NodeId> &topo) {
    for (NodeId v : topo) {
      std::vector<NodeId> &preds = graph.nodes[v].preds;
      closure.markPreceding(preds, marks);
      std::vector<NodeId> kept;
      for (size_t i = 0; i < preds.size(); ++i) {
        if (marks[i]) {
          eraseValue(graph.nodes[preds[i]].succs, v);
        } else {
          kept.push_back(preds[i]);
        }
      }
      preds = std::move(kept);
    }
  }

  /// Keeps the minimal openers and the maximal closers.
  void pruneTouches(int32_t b) {
    GraphBuffer &buffer = graph.buffers[b];
    auto prune = [&](std::vector<NodeId> &users, bool isOpener) {
      if (users.size() < 2) {
        return;
      }
      if (isOpener) {
        closure.markFollowing(users, marks);
      } else {
        closure.markPreceding(users, marks);
      }
      std::vector<NodeId> kept;
      for (size_t i = 0; i < users.size(); ++i) {
        NodeId v = users[i];
        if (!marks[i]) {
          kept.push_back(v);
          continue;
        }
        std::vector<Touch> &touches =
            isOpener ? graph.nodes[v].opens : graph.nodes[v].closes;
        touches.erase(
            std::remove_if(touches.begin(), touches.end(),
                           [&](const Touch &t) { return t.buffer == b; }),
            touches.end());
      }
      users = std::move(kept);
    };
    prune(buffer.openers, /*isOpener=*/true);
    prune(buffer.closers, /*isOpener=*/false);
  }

  /// Turns buffers that begin and end within `v` into bytes of its step.
  void foldInner(NodeId v) {
    if (!graph.isAlive(v)) {
      return;
    }
    GraphNode &node = graph.nodes[v];
    for (size_t i = 0; i < node.opens.size();) {
      Touch open = node.opens[i];
      GraphBuffer &buffer = graph.buffers[open.buffer];
      if (buffer.openers.size() != 1 || buffer.closers.size() != 1 ||
          buffer.closers.front() != v) {
        ++i;
        continue;
      }
      auto close =
          std::find_if(node.closes.begin(), node.closes.end(),
                       [&](const Touch &t) { return t.buffer == open.buffer; });
      if (open.early && !close->early) {
        node.stepBytes += buffer.bytes;
      }
      node.closes.erase(close);
      node.opens.erase(node.opens.begin() + i);
      buffer.openers.clear();
      buffer.closers.clear();
    }
  }

  Graph &graph;
  const ReductionOptions &options;
  Closure closure;
  std::vector<NodeId> queue;
  std::vector<char> isQueued;
  std::vector<int32_t> touchedBuffers;
  std::vector<char> marks;
};

} // namespace

void serenity::detail::reduce(Graph &graph, const ReductionOptions &options) {
  std::vector<NodeId> topo = topologicalOrder(graph);
  if (topo.empty() ||
      static_cast<int64_t>(graph.nodes.size()) > options.closureLimit) {
    return;
  }
  Reducer(graph, options, topo).run(topo);
}

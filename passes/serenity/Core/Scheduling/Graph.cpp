// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/Graph.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <limits>
#include <queue>

using namespace serenity;
using namespace serenity::detail;

namespace {

/// Finds, for every operation and buffer that it uses, whether a direct
/// predecessor (successor) uses the buffer too. Since users of a buffer are
/// compared with neighbours only, the cost stays linear; longer paths are left
/// to the reductions, which have the transitive closure.
class NeighbourUse {
public:
  explicit NeighbourUse(const Problem &problem)
      : problem(problem), successors(problem.operations.size()) {
    usedBy.assign(problem.buffers.size(), -1);
    isNeighbour.assign(problem.operations.size(), -1);
    users.resize(problem.buffers.size());
    for (size_t o = 0; o < problem.operations.size(); ++o) {
      for (OpId pred : problem.operations[o].after) {
        successors[pred].push_back(static_cast<OpId>(o));
      }
      for (BufferId b : problem.operations[o].uses) {
        users[b].push_back(static_cast<OpId>(o));
      }
    }
  }

  /// Calls `found(buffer)` for every buffer of `o` that a neighbour in
  /// `neighbours` uses as well.
  template <typename Callback>
  void forEachShared(OpId o, const std::vector<OpId> &neighbours,
                     Callback found) {
    ++stamp;
    const std::vector<BufferId> &uses = problem.operations[o].uses;
    // Either look through the neighbours' buffers or through the buffers'
    // users, whichever is less.
    size_t costOfNeighbours = 0;
    for (OpId n : neighbours) {
      costOfNeighbours += problem.operations[n].uses.size();
    }
    size_t costOfUsers = neighbours.size();
    for (BufferId b : uses) {
      costOfUsers += users[b].size();
    }
    if (costOfNeighbours <= costOfUsers) {
      for (BufferId b : uses) {
        usedBy[b] = stamp;
      }
      for (OpId n : neighbours) {
        for (BufferId b : problem.operations[n].uses) {
          if (usedBy[b] == stamp) {
            usedBy[b] = stamp - 1; // Report once.
            found(b);
          }
        }
      }
      // Keep marks of this call from matching the next one.
      ++stamp;
      return;
    }
    for (OpId n : neighbours) {
      isNeighbour[n] = stamp;
    }
    for (BufferId b : uses) {
      for (OpId user : users[b]) {
        if (isNeighbour[user] == stamp) {
          found(b);
          break;
        }
      }
    }
  }

  const Problem &problem;
  std::vector<std::vector<OpId>> successors;
  std::vector<std::vector<OpId>> users;

private:
  std::vector<int64_t> usedBy;
  std::vector<int64_t> isNeighbour;
  int64_t stamp = 1;
};

} // namespace

Graph serenity::detail::buildGraph(const Problem &problem) {
  Graph graph;
  size_t numOps = problem.operations.size();
  NeighbourUse neighbourUse(problem);

  // Buffers that are live throughout, and those without bytes, need no events.
  std::vector<int32_t> index(problem.buffers.size(), -1);
  for (size_t b = 0; b < problem.buffers.size(); ++b) {
    const Buffer &buffer = problem.buffers[b];
    bool isTouched = !neighbourUse.users[b].empty();
    bool isConstant = (buffer.liveIn && buffer.liveOut) ||
                      (!isTouched && (buffer.liveIn || buffer.liveOut));
    if (isConstant) {
      graph.baseBytes += buffer.bytes;
    }
    if (isConstant || !isTouched || buffer.bytes == 0) {
      continue;
    }
    index[b] = static_cast<int32_t>(graph.buffers.size());
    GraphBuffer copy;
    copy.bytes = buffer.bytes;
    copy.liveIn = buffer.liveIn;
    copy.liveOut = buffer.liveOut;
    graph.buffers.push_back(std::move(copy));
  }

  graph.nodes.resize(numOps);
  graph.isEliminated.assign(numOps, 0);
  std::vector<int64_t> hidden(problem.buffers.size(), -1);
  for (size_t o = 0; o < numOps; ++o) {
    const Operation &op = problem.operations[o];
    GraphNode &node = graph.nodes[o];
    NodeId id = static_cast<NodeId>(o);
    node.preds.assign(op.after.begin(), op.after.end());
    std::sort(node.preds.begin(), node.preds.end());
    node.succs.assign(neighbourUse.successors[o].begin(),
                      neighbourUse.successors[o].end());
    node.stepBytes = op.workspaceBytes;

    neighbourUse.forEachShared(id, op.after,
                               [&](BufferId b) { hidden[b] = id; });
    for (BufferId b : op.uses) {
      if (index[b] >= 0 && hidden[b] != id && !problem.buffers[b].liveIn) {
        node.opens.push_back({index[b], /*early=*/true});
        graph.buffers[index[b]].openers.push_back(id);
      }
      if (hidden[b] == id) {
        hidden[b] = -1;
      }
    }
    neighbourUse.forEachShared(id, neighbourUse.successors[o],
                               [&](BufferId b) { hidden[b] = id; });
    for (BufferId b : op.uses) {
      if (index[b] >= 0 && hidden[b] != id && !problem.buffers[b].liveOut) {
        node.closes.push_back({index[b], /*early=*/false});
        graph.buffers[index[b]].closers.push_back(id);
      }
      if (hidden[b] == id) {
        hidden[b] = -1;
      }
    }
  }
  return graph;
}

std::vector<NodeId> serenity::detail::topologicalOrder(const Graph &graph) {
  std::vector<int32_t> numPending(graph.nodes.size(), 0);
  std::priority_queue<NodeId, std::vector<NodeId>, std::greater<NodeId>> ready;
  for (NodeId v = 0; v < graph.size(); ++v) {
    if (!graph.isAlive(v)) {
      continue;
    }
    numPending[v] = static_cast<int32_t>(graph.nodes[v].preds.size());
    if (numPending[v] == 0) {
      ready.push(v);
    }
  }
  std::vector<NodeId> topo;
  topo.reserve(graph.nodes.size());
  while (!ready.empty()) {
    NodeId v = ready.top();
    ready.pop();
    topo.push_back(v);
    for (NodeId succ : graph.nodes[v].succs) {
      if (--numPending[succ] == 0) {
        ready.push(succ);
      }
    }
  }
  return topo;
}

std::vector<int32_t> serenity::detail::findCuts(const Graph &graph,
                                                const std::vector<NodeId> &topo,
                                                bool singleNodes) {
  // A prefix A of `topo` is forced if every maximal node of A has an edge to
  // every minimal node of the rest B: a path between them could have no inner
  // node, which would belong to A or to B and contradict one of the two. All
  // three counts are sums over intervals of cut positions.
  int32_t n = static_cast<int32_t>(topo.size());
  std::vector<int32_t> cuts;
  if (n == 0) {
    return cuts;
  }
  std::vector<int32_t> position(graph.nodes.size(), -1);
  for (int32_t i = 0; i < n; ++i) {
    position[topo[i]] = i;
  }
  std::vector<int32_t> firstSucc(n, n);
  std::vector<int32_t> lastPred(n, -1);
  for (int32_t i = 0; i < n; ++i) {
    for (NodeId succ : graph.nodes[topo[i]].succs) {
      firstSucc[i] = std::min(firstSucc[i], position[succ]);
    }
    for (NodeId pred : graph.nodes[topo[i]].preds) {
      lastPred[i] = std::max(lastPred[i], position[pred]);
    }
  }
  // Index k: the cut between positions k-1 and k.
  std::vector<int64_t> maximal(n + 2, 0);
  std::vector<int64_t> minimal(n + 2, 0);
  std::vector<int64_t> edges(n + 2, 0);
  for (int32_t i = 0; i < n; ++i) {
    // i is in A for k > i and maximal while k <= firstSucc.
    maximal[i + 1] += 1;
    maximal[firstSucc[i] + 1] -= 1;
    // i is in B for k <= i and minimal while k > lastPred.
    minimal[lastPred[i] + 1] += 1;
    minimal[i + 1] -= 1;
    for (NodeId succ : graph.nodes[topo[i]].succs) {
      int32_t j = position[succ];
      // Both hold for lastPred(j) < k <= firstSucc(i).
      if (lastPred[j] + 1 <= firstSucc[i]) {
        edges[lastPred[j] + 1] += 1;
        edges[firstSucc[i] + 1] -= 1;
      }
    }
  }
  cuts.push_back(0);
  int64_t numMaximal = maximal[0];
  int64_t numMinimal = minimal[0];
  int64_t numEdges = edges[0];
  for (int32_t k = 1; k < n; ++k) {
    numMaximal += maximal[k];
    numMinimal += minimal[k];
    numEdges += edges[k];
    if (numEdges == numMaximal * numMinimal &&
        (!singleNodes || numMaximal == 1)) {
      cuts.push_back(k);
    }
  }
  return cuts;
}

std::vector<Part>
serenity::detail::extractParts(const Graph &graph,
                               const std::vector<NodeId> &topo,
                               const std::vector<int32_t> &cuts) {
  int32_t numParts = static_cast<int32_t>(cuts.size());
  std::vector<Part> parts(numParts);
  std::vector<int32_t> partOf(graph.nodes.size(), -1);
  std::vector<NodeId> local(graph.nodes.size(), -1);
  for (int32_t p = 0; p < numParts; ++p) {
    int32_t end =
        p + 1 < numParts ? cuts[p + 1] : static_cast<int32_t>(topo.size());
    Part &part = parts[p];
    part.nodes.assign(topo.begin() + cuts[p], topo.begin() + end);
    // Local numbers follow the parent's, so that "file order" keeps its sense.
    std::sort(part.nodes.begin(), part.nodes.end());
    for (size_t i = 0; i < part.nodes.size(); ++i) {
      partOf[part.nodes[i]] = p;
      local[part.nodes[i]] = static_cast<NodeId>(i);
    }
    part.graph.nodes.resize(part.nodes.size());
    part.graph.isEliminated.assign(part.nodes.size(), 0);
    part.graph.baseBytes = graph.baseBytes;
  }
  for (NodeId v : topo) {
    int32_t p = partOf[v];
    GraphNode &node = parts[p].graph.nodes[local[v]];
    node.stepBytes = graph.nodes[v].stepBytes;
    for (NodeId pred : graph.nodes[v].preds) {
      if (partOf[pred] == p) {
        node.preds.push_back(local[pred]);
      }
    }
    for (NodeId succ : graph.nodes[v].succs) {
      if (partOf[succ] == p) {
        node.succs.push_back(local[succ]);
      }
    }
  }

  // Touches of the parent by (buffer, node), to copy the `early` flags.
  std::vector<std::vector<std::pair<NodeId, bool>>> openFlags(
      graph.buffers.size());
  std::vector<std::vector<std::pair<NodeId, bool>>> closeFlags(
      graph.buffers.size());
  for (NodeId v : topo) {
    for (const Touch &touch : graph.nodes[v].opens) {
      openFlags[touch.buffer].push_back({v, touch.early});
    }
    for (const Touch &touch : graph.nodes[v].closes) {
      closeFlags[touch.buffer].push_back({v, touch.early});
    }
  }

  std::vector<int64_t> baseChange(numParts + 1, 0);
  for (size_t b = 0; b < graph.buffers.size(); ++b) {
    const GraphBuffer &buffer = graph.buffers[b];
    if (openFlags[b].empty() && closeFlags[b].empty() &&
        !(buffer.liveIn && buffer.liveOut)) {
      continue;
    }
    int32_t first = -1; // The part in which it opens; -1: before all.
    int32_t last = numParts;
    if (!buffer.liveIn) {
      first = numParts;
      for (auto &[node, early] : openFlags[b]) {
        first = std::min(first, partOf[node]);
      }
    }
    if (!buffer.liveOut) {
      last = -1;
      for (auto &[node, early] : closeFlags[b]) {
        last = std::max(last, partOf[node]);
      }
    }
    assert(first <= last && "a buffer closes before it opens");
    if (last - first > 1) {
      baseChange[first + 1] += buffer.bytes;
      baseChange[last] -= buffer.bytes;
    }
    auto addTo = [&](int32_t p) {
      Graph &target = parts[p].graph;
      int32_t id = static_cast<int32_t>(target.buffers.size());
      GraphBuffer copy;
      copy.bytes = buffer.bytes;
      copy.liveIn = first < p;
      copy.liveOut = last > p;
      if (first == p) {
        for (auto &[node, early] : openFlags[b]) {
          if (partOf[node] == p) {
            copy.openers.push_back(local[node]);
            target.nodes[local[node]].opens.push_back({id, early});
          }
        }
      }
      if (last == p) {
        for (auto &[node, early] : closeFlags[b]) {
          if (partOf[node] == p) {
            copy.closers.push_back(local[node]);
            target.nodes[local[node]].closes.push_back({id, early});
          }
        }
      }
      target.buffers.push_back(std::move(copy));
    };
    if (first >= 0 && first < numParts) {
      addTo(first);
    }
    if (last >= 0 && last < numParts && last != first) {
      addTo(last);
    }
  }
  int64_t base = 0;
  for (int32_t p = 0; p < numParts; ++p) {
    base += baseChange[p];
    parts[p].graph.baseBytes += base;
  }
  return parts;
}

Player::Player(const Graph &graph) : graph(graph) {
  openFlags.assign(graph.buffers.size(), 0);
  numClosers.assign(graph.buffers.size(), 0);
  liveBytes = graph.baseBytes;
  for (size_t b = 0; b < graph.buffers.size(); ++b) {
    const GraphBuffer &buffer = graph.buffers[b];
    numClosers[b] = buffer.liveOut
                        ? std::numeric_limits<int32_t>::max()
                        : static_cast<int32_t>(buffer.closers.size());
    if (buffer.liveIn) {
      openFlags[b] = 1;
      liveBytes += buffer.bytes;
    }
  }
  peakBytes = liveBytes;
}

Player::Cost Player::cost(NodeId node) const {
  Cost result;
  result.step = graph.nodes[node].stepBytes;
  for (const Touch &touch : graph.nodes[node].opens) {
    if (!openFlags[touch.buffer]) {
      int64_t bytes = graph.buffers[touch.buffer].bytes;
      result.net += bytes;
      if (touch.early) {
        result.step += bytes;
      }
    }
  }
  for (const Touch &touch : graph.nodes[node].closes) {
    if (numClosers[touch.buffer] == 1) {
      int64_t bytes = graph.buffers[touch.buffer].bytes;
      result.net -= bytes;
      if (touch.early) {
        result.step -= bytes;
      }
    }
  }
  return result;
}

void Player::play(NodeId node) {
  Cost change = cost(node);
  peakBytes = std::max(peakBytes, liveBytes + change.step);
  liveBytes += change.net;
  for (const Touch &touch : graph.nodes[node].opens) {
    openFlags[touch.buffer] = 1;
  }
  for (const Touch &touch : graph.nodes[node].closes) {
    --numClosers[touch.buffer];
  }
}

int64_t serenity::detail::evaluate(const Graph &graph,
                                   const std::vector<NodeId> &order,
                                   std::vector<int64_t> *stepPeaks) {
  Player player(graph);
  if (stepPeaks) {
    stepPeaks->clear();
  }
  for (NodeId v : order) {
    if (stepPeaks) {
      stepPeaks->push_back(player.live() + player.cost(v).step);
    }
    player.play(v);
  }
  return player.peak();
}

std::vector<NodeId>
serenity::detail::expandOrder(const Graph &graph,
                              const std::vector<NodeId> &order) {
  // A linked list with sparse labels, which tell which of two nodes is first.
  constexpr int64_t kGap = int64_t(1) << 20;
  int32_t n = graph.size();
  int32_t sentinel = n;
  std::vector<int32_t> next(n + 1, -1);
  std::vector<int32_t> prev(n + 1, -1);
  std::vector<int64_t> label(n + 1, 0);
  next[sentinel] = sentinel;
  prev[sentinel] = sentinel;
  auto relabel = [&] {
    int64_t value = kGap;
    for (int32_t v = next[sentinel]; v != sentinel; v = next[v]) {
      label[v] = value;
      value += kGap;
    }
  };
  auto link = [&](int32_t v, int32_t before) {
    int32_t left = prev[before];
    next[left] = v;
    prev[v] = left;
    next[v] = before;
    prev[before] = v;
    int64_t low = left == sentinel ? 0 : label[left];
    int64_t high = before == sentinel ? low + 2 * kGap : label[before];
    label[v] = low + (high - low) / 2;
    if (label[v] == low) {
      relabel();
    }
  };
  for (NodeId v : order) {
    link(v, sentinel);
  }
  for (auto it = graph.eliminations.rbegin(); it != graph.eliminations.rend();
       ++it) {
    bool isBefore = it->kind == Elimination::Kind::BeforeFirst;
    NodeId anchor = it->anchors.front();
    for (NodeId other : it->anchors) {
      if (isBefore ? label[other] < label[anchor]
                   : label[other] > label[anchor]) {
        anchor = other;
      }
    }
    link(it->node, isBefore ? anchor : next[anchor]);
  }
  std::vector<NodeId> result;
  result.reserve(n);
  for (int32_t v = next[sentinel]; v != sentinel; v = next[v]) {
    result.push_back(v);
  }
  return result;
}

Graph serenity::detail::reverseGraph(const Graph &graph) {
  Graph reversed;
  reversed.baseBytes = graph.baseBytes;
  reversed.isEliminated = graph.isEliminated;
  reversed.nodes.resize(graph.nodes.size());
  for (NodeId v = 0; v < graph.size(); ++v) {
    const GraphNode &from = graph.nodes[v];
    GraphNode &to = reversed.nodes[v];
    to.preds = from.succs;
    to.succs = from.preds;
    to.stepBytes = from.stepBytes;
    to.opens = from.closes;
    to.closes = from.opens;
    for (Touch &touch : to.opens) {
      touch.early = !touch.early;
    }
    for (Touch &touch : to.closes) {
      touch.early = !touch.early;
    }
  }
  reversed.buffers.resize(graph.buffers.size());
  for (size_t b = 0; b < graph.buffers.size(); ++b) {
    const GraphBuffer &from = graph.buffers[b];
    GraphBuffer &to = reversed.buffers[b];
    to.bytes = from.bytes;
    to.liveIn = from.liveOut;
    to.liveOut = from.liveIn;
    to.openers = from.closers;
    to.closers = from.openers;
  }
  return reversed;
}

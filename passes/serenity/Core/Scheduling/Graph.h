// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_GRAPH_H
#define SERENITY_CORE_SCHEDULING_GRAPH_H

#include "serenity/Core/Scheduling/Problem.h"

#include <cstdint>
#include <utility>
#include <vector>

/// The schedulers' own view of a problem. Internal to the core library.
///
/// A buffer is *open* as soon as one of its openers has run and *closed* once
/// all its closers have. In a fresh problem both sets are the buffer's users;
/// the pair is worth having because
///   - openers that follow another opener, and closers that precede another
///     closer, change nothing and are dropped, so that one opener means "always
///     opened here" and membership means "may be opened here", and
///   - an operation can be folded into its neighbours (see Reductions.h) by
///     handing them its openings and closings.
///
///         step of the node
///   early opens |       | late opens
///  -------------+ step  +------------->  time
///  early closes |       | late closes
///
/// An original operation opens early (the buffers it writes are live while it
/// runs) and closes late (so are those it reads). Nodes that stand for several
/// operations keep only their highest step; the others open or close before or
/// after it.
///
/// The memory of a down-set S is M(S) = base + sum of bytes of the buffers that
/// are open and not closed. M is submodular: the indicator of "open" is a
/// coverage function and that of "closed" a containment function. Every
/// exchange argument in this library rests on that.
namespace serenity::detail {

/// Index of a node in `Graph::nodes`.
using NodeId = int32_t;

/// A node's part in opening or closing a buffer; `early`: before its step.
struct Touch {
  int32_t buffer = 0;
  bool early = false;
};

struct GraphNode {
  std::vector<NodeId> preds;
  std::vector<NodeId> succs;
  std::vector<Touch> opens;
  std::vector<Touch> closes;
  /// Bytes live at the step alone: workspace, and buffers that begin and end
  /// inside.
  int64_t stepBytes = 0;
};

struct GraphBuffer {
  int64_t bytes = 0;
  bool liveIn = false;
  bool liveOut = false;
  std::vector<NodeId> openers;
  std::vector<NodeId> closers;
};

/// A node and the groups of nodes that undo a reduction.
struct Elimination {
  enum class Kind {
    /// The node goes immediately before the first of `anchors`.
    BeforeFirst,
    /// The node goes immediately after the last of `anchors`.
    AfterLast
  };
  NodeId node = 0;
  Kind kind = Kind::BeforeFirst;
  std::vector<NodeId> anchors;
};

struct Graph {
  std::vector<GraphNode> nodes;
  std::vector<GraphBuffer> buffers;
  /// Bytes live throughout.
  int64_t baseBytes = 0;
  /// Nodes that reductions took out (they have no edges and touch nothing).
  std::vector<char> isEliminated;
  std::vector<Elimination> eliminations;

  int32_t size() const { return static_cast<int32_t>(nodes.size()); }
  bool isAlive(NodeId node) const { return !isEliminated[node]; }
};

/// Builds the graph of a whole problem: node i is operation i.
Graph buildGraph(const Problem &problem);

/// A topological order of the nodes that are not eliminated; smallest index
/// first among the ready ones.
std::vector<NodeId> topologicalOrder(const Graph &graph);

/// Splits `topo` at every position where all that precedes must precede all
/// that follows. Returns the begin of every part; linear in nodes and edges.
/// `singleNodes`: only behind a node that all that precedes it leads to.
std::vector<int32_t> findCuts(const Graph &graph,
                              const std::vector<NodeId> &topo,
                              bool singleNodes = false);

/// The subproblem of one part. `nodes[i]` of the parent becomes node i.
struct Part {
  Graph graph;
  std::vector<NodeId> nodes;
};

/// Extracts the parts between `cuts`; buffers that cross a cut are live-in or
/// live-out there, or part of the base where no node of the part touches them.
std::vector<Part> extractParts(const Graph &graph,
                               const std::vector<NodeId> &topo,
                               const std::vector<int32_t> &cuts);

/// Peak over the steps of `order` (of the nodes that are not eliminated).
/// `stepPeaks`, if given, receives the bytes of every step.
int64_t evaluate(const Graph &graph, const std::vector<NodeId> &order,
                 std::vector<int64_t> *stepPeaks = nullptr);

/// Undoes the eliminations of `graph`: the order of all its nodes.
std::vector<NodeId> expandOrder(const Graph &graph,
                                const std::vector<NodeId> &order);

/// The same problem with time running backwards.
Graph reverseGraph(const Graph &graph);

/// Plays nodes one by one, for the heuristics. Linear over a whole order.
class Player {
public:
  explicit Player(const Graph &graph);

  int64_t live() const { return liveBytes; }
  int64_t peak() const { return peakBytes; }
  bool isOpen(int32_t buffer) const { return openFlags[buffer]; }
  int32_t closersLeft(int32_t buffer) const { return numClosers[buffer]; }

  /// Bytes above the current memory at the node's step, and after it.
  struct Cost {
    int64_t step = 0;
    int64_t net = 0;
  };
  Cost cost(NodeId node) const;
  void play(NodeId node);

private:
  const Graph &graph;
  int64_t liveBytes = 0;
  int64_t peakBytes = 0;
  std::vector<char> openFlags;
  std::vector<int32_t> numClosers;
};

} // namespace serenity::detail

#endif // SERENITY_CORE_SCHEDULING_GRAPH_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/ModularDecomposition.h"

#include "serenity/Core/Scheduling/BestFirstSearch.h"
#include "serenity/Core/Scheduling/Improve.h"
#include "serenity/Core/Scheduling/LowerBound.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

using namespace serenity;
using namespace serenity::detail;

namespace {

/// A stretch of an order that is best run without a break.
struct Segment {
  std::vector<NodeId> nodes;
  int64_t hill = 0; // highest step over the memory before
  int64_t net = 0;  // memory after over the memory before
};

int64_t startBytes(const Graph &graph) {
  int64_t bytes = graph.baseBytes;
  for (const GraphBuffer &buffer : graph.buffers) {
    bytes += buffer.liveIn ? buffer.bytes : 0;
  }
  return bytes;
}

std::vector<int32_t> positionsOf(const Graph &graph,
                                 const std::vector<NodeId> &order) {
  std::vector<int32_t> position(graph.nodes.size(), -1);
  for (size_t i = 0; i < order.size(); ++i) {
    position[order[i]] = static_cast<int32_t>(i);
  }
  return position;
}

/// The rest of `graph` once `done` (a down-set) has run.
Part restAfter(const Graph &graph, const std::vector<char> &done) {
  std::vector<NodeId> order;
  std::vector<NodeId> rest;
  for (NodeId v : topologicalOrder(graph)) {
    (done[v] ? order : rest).push_back(v);
  }
  Player player(graph);
  for (NodeId v : order) {
    player.play(v);
  }
  int32_t begin = static_cast<int32_t>(order.size());
  order.insert(order.end(), rest.begin(), rest.end());
  return extractWindow(graph, order, positionsOf(graph, order), begin,
                       static_cast<int32_t>(order.size()), player.live());
}

/// The part of `graph` within the down-set `inside`.
Part restrictTo(const Graph &graph, const std::vector<char> &inside) {
  std::vector<NodeId> order;
  std::vector<NodeId> rest;
  for (NodeId v : topologicalOrder(graph)) {
    (inside[v] ? order : rest).push_back(v);
  }
  int32_t end = static_cast<int32_t>(order.size());
  order.insert(order.end(), rest.begin(), rest.end());
  return extractWindow(graph, order, positionsOf(graph, order), 0, end,
                       startBytes(graph));
}

/// Segments of a graph whose end has the least memory of all its down-sets.
std::optional<std::vector<Segment>>
fallingSegments(const Graph &whole, const DecompositionOptions &options) {
  std::vector<Segment> segments;
  std::vector<NodeId> names(whole.nodes.size());
  std::iota(names.begin(), names.end(), 0);
  Graph graph = whole;
  int64_t lastTop = INT64_MIN;
  while (graph.size() > 0) {
    if (options.shouldStop && options.shouldStop()) {
      return std::nullopt;
    }
    int64_t start = startBytes(graph);
    SearchOptions searchOptions;
    searchOptions.valleyBelow = start;
    std::unique_ptr<BestFirstSearch> search =
        BestFirstSearch::create(graph, searchOptions);
    BestFirstSearch::Budget budget;
    // The larger the graph, the dearer a state and the slimmer the chance.
    budget.states =
        std::min<int64_t>(options.stateLimit, 1 + 200000 / graph.size());
    BestFirstSearch::Ending status = search->run(budget);
    if (options.states) {
      *options.states += search->states();
    }
    if (status != BestFirstSearch::Ending::Found) {
      return std::nullopt;
    }
    // A lower valley may lie inside of the set found; the way to it is the way
    // found without the other nodes.
    std::vector<char> reached(graph.nodes.size(), 0);
    for (NodeId v : search->order()) {
      reached[v] = 1;
    }
    std::vector<char> valley = leastMemorySubset(graph, reached);
    if (std::none_of(valley.begin(), valley.end(), [](char c) { return c; })) {
      valley = reached; // Only at the end, where memory may stay the same.
    }
    Segment segment;
    Player player(graph);
    int64_t top = start;
    for (NodeId v : search->order()) {
      if (valley[v]) {
        top = std::max(top, player.live() + player.cost(v).step);
        player.play(v);
        segment.nodes.push_back(names[v]);
      }
    }
    segment.hill = top - start;
    segment.net = player.live() - start;
    if (!segments.empty() && top <= lastTop) {
      // No higher than the climb just before: go on without a break.
      Segment &last = segments.back();
      last.nodes.insert(last.nodes.end(), segment.nodes.begin(),
                        segment.nodes.end());
      last.net += segment.net;
    } else {
      segments.push_back(std::move(segment));
      lastTop = top;
    }
    Part rest = restAfter(graph, valley);
    std::vector<NodeId> restNames;
    for (NodeId v : rest.nodes) {
      restNames.push_back(names[v]);
    }
    names = std::move(restNames);
    graph = std::move(rest.graph);
  }
  return segments;
}

struct Profile {
  std::vector<Segment> falling;
  /// As seen from the end: the last one first, nodes in reverse.
  std::vector<Segment> risingBackwards;
};

std::optional<Profile> profileOf(const Graph &graph,
                                 const DecompositionOptions &options) {
  std::vector<char> all(graph.nodes.size(), 1);
  std::vector<char> lowest = leastMemorySubset(graph, all);
  Part first = restrictTo(graph, lowest);
  Part second = restAfter(graph, lowest);
  auto rename = [](std::vector<Segment> &segments, const Part &part) {
    for (Segment &segment : segments) {
      for (NodeId &v : segment.nodes) {
        v = part.nodes[v];
      }
    }
  };
  std::optional<std::vector<Segment>> falling =
      fallingSegments(first.graph, options);
  if (!falling) {
    return std::nullopt;
  }
  std::optional<std::vector<Segment>> rising =
      fallingSegments(reverseGraph(second.graph), options);
  if (!rising) {
    return std::nullopt;
  }
  rename(*falling, first);
  rename(*rising, second);
  return Profile{std::move(*falling), std::move(*rising)};
}

std::vector<NodeId> mergeProfiles(const std::vector<Profile> &profiles) {
  auto merge = [&](auto member) {
    std::vector<const Segment *> segments;
    for (const Profile &profile : profiles) {
      for (const Segment &segment : profile.*member) {
        segments.push_back(&segment);
      }
    }
    // Hills rise along every profile, so a stable sort keeps its order.
    std::stable_sort(
        segments.begin(), segments.end(),
        [](const Segment *a, const Segment *b) { return a->hill < b->hill; });
    std::vector<NodeId> nodes;
    for (const Segment *segment : segments) {
      nodes.insert(nodes.end(), segment->nodes.begin(), segment->nodes.end());
    }
    return nodes;
  };
  std::vector<NodeId> order = merge(&Profile::falling);
  std::vector<NodeId> rising = merge(&Profile::risingBackwards);
  order.insert(order.end(), rising.rbegin(), rising.rend());
  return order;
}

} // namespace

std::optional<std::vector<NodeId>>
serenity::detail::mergeComponents(const Graph &graph,
                                  const DecompositionOptions &options) {
  // Union-find over edges and shared buffers.
  std::vector<NodeId> parent(graph.nodes.size());
  std::iota(parent.begin(), parent.end(), 0);
  auto find = [&](NodeId v) {
    while (parent[v] != v) {
      parent[v] = parent[parent[v]];
      v = parent[v];
    }
    return v;
  };
  auto join = [&](NodeId a, NodeId b) { parent[find(a)] = find(b); };
  std::vector<NodeId> firstUser(graph.buffers.size(), -1);
  for (NodeId v = 0; v < graph.size(); ++v) {
    for (NodeId succ : graph.nodes[v].succs) {
      join(v, succ);
    }
    for (auto *touches : {&graph.nodes[v].opens, &graph.nodes[v].closes}) {
      for (const Touch &touch : *touches) {
        NodeId &user = firstUser[touch.buffer];
        if (user < 0) {
          user = v;
        }
        join(v, user);
      }
    }
  }
  std::vector<NodeId> topo = topologicalOrder(graph);
  std::vector<int32_t> componentOf(graph.nodes.size(), -1);
  std::vector<std::vector<NodeId>> components;
  for (NodeId v : topo) {
    NodeId root = find(v);
    if (componentOf[root] < 0) {
      componentOf[root] = static_cast<int32_t>(components.size());
      components.emplace_back();
    }
    components[componentOf[root]].push_back(v);
  }
  if (components.size() < 2) {
    return std::nullopt;
  }
  std::vector<Profile> profiles;
  for (const std::vector<NodeId> &component : components) {
    if (static_cast<int32_t>(component.size()) > BestFirstSearch::kMaxNodes) {
      return std::nullopt;
    }
    // Components do not see each other, so each may be taken as the first.
    std::vector<int32_t> position(graph.nodes.size(), -2);
    for (size_t i = 0; i < component.size(); ++i) {
      position[component[i]] = static_cast<int32_t>(i);
    }
    Part part = extractWindow(graph, component, position, 0,
                              static_cast<int32_t>(component.size()),
                              /*liveBefore=*/startBytes(graph));
    std::optional<Profile> profile = profileOf(part.graph, options);
    if (!profile) {
      return std::nullopt;
    }
    for (auto *segments : {&profile->falling, &profile->risingBackwards}) {
      for (Segment &segment : *segments) {
        for (NodeId &v : segment.nodes) {
          v = part.nodes[v];
        }
      }
    }
    profiles.push_back(std::move(*profile));
  }
  return mergeProfiles(profiles);
}

namespace {

/// Bit sets over the nodes of a graph.
class Sets {
public:
  explicit Sets(size_t n) : words((n + 63) / 64), bits(words * n, 0) {}
  uint64_t *row(NodeId v) { return &bits[v * words]; }
  bool has(NodeId v, NodeId member) const {
    return (bits[v * words + member / 64] >> (member % 64)) & 1;
  }
  void add(NodeId v, NodeId member) {
    row(v)[member / 64] |= uint64_t(1) << (member % 64);
  }
  size_t words;

private:
  std::vector<uint64_t> bits;
};

/// Nodes between two that are each other's immediate dominators.
struct NestedRegion {
  NodeId entry;
  NodeId exit;
  std::vector<NodeId> inner; // in topological order
};

/// Dominators of every node along the edges that `preds` returns, in an order
/// in which they come first.
template <typename Preds>
Sets dominators(const Graph &graph, const std::vector<NodeId> &order,
                Preds preds) {
  Sets sets(graph.nodes.size());
  for (NodeId v : order) {
    bool isFirst = true;
    for (NodeId pred : preds(v)) {
      for (size_t w = 0; w < sets.words; ++w) {
        uint64_t value = sets.row(pred)[w];
        sets.row(v)[w] = isFirst ? value : sets.row(v)[w] & value;
      }
      isFirst = false;
    }
    sets.add(v, v);
  }
  return sets;
}

/// All predecessors of every node, direct or not.
Sets allPredecessors(const Graph &graph, const std::vector<NodeId> &topo) {
  Sets before(graph.nodes.size());
  for (NodeId v : topo) {
    for (NodeId pred : graph.nodes[v].preds) {
      for (size_t w = 0; w < before.words; ++w) {
        before.row(v)[w] |= before.row(pred)[w];
      }
      before.add(v, pred);
    }
  }
  return before;
}

/// The regions of `graph`, inner ones first.
std::vector<NestedRegion> findNestedRegions(const Graph &graph,
                                            const std::vector<NodeId> &topo,
                                            const Sets &before) {
  std::vector<NodeId> backwards(topo.rbegin(), topo.rend());
  std::vector<int32_t> rank = positionsOf(graph, topo);
  Sets dom = dominators(graph, topo, [&](NodeId v) -> const auto & {
    return graph.nodes[v].preds;
  });
  Sets postDom = dominators(graph, backwards, [&](NodeId v) -> const auto & {
    return graph.nodes[v].succs;
  });
  // Pairs (entry, exit) such that each is the other's immediate dominator. A
  // node without predecessors (successors) is dominated by itself alone.
  std::vector<NestedRegion> regions;
  for (NodeId entry : topo) {
    NodeId exit = -1;
    for (NodeId v = 0; v < graph.size(); ++v) {
      if (v != entry && postDom.has(entry, v) &&
          (exit < 0 || rank[v] < rank[exit])) {
        exit = v;
      }
    }
    if (exit < 0) {
      continue;
    }
    NodeId immediate = -1;
    for (NodeId v = 0; v < graph.size(); ++v) {
      if (v != exit && dom.has(exit, v) &&
          (immediate < 0 || rank[v] > rank[immediate])) {
        immediate = v;
      }
    }
    if (immediate != entry) {
      continue;
    }
    NestedRegion region{entry, exit, {}};
    for (int32_t i = rank[entry] + 1; i < rank[exit]; ++i) {
      if (before.has(topo[i], entry) && before.has(exit, topo[i])) {
        region.inner.push_back(topo[i]);
      }
    }
    // A region of all but the two ends is the search's own business.
    if (region.inner.size() >= 2 &&
        static_cast<int32_t>(region.inner.size()) + 2 < graph.size()) {
      regions.push_back(std::move(region));
    }
  }
  // Inner regions first: the outer ones then contain chains.
  std::stable_sort(regions.begin(), regions.end(),
                   [](const NestedRegion &a, const NestedRegion &b) {
                     return a.inner.size() < b.inner.size();
                   });
  return regions;
}

/// Whether the inner nodes already have one order only.
bool isChain(const NestedRegion &region, const Sets &before) {
  for (size_t i = 1; i < region.inner.size(); ++i) {
    if (!before.has(region.inner[i], region.inner[i - 1])) {
      return false;
    }
  }
  return true;
}

/// Whether memory inside `region` does not depend on the nodes that run beside
/// it: a buffer is opened by inner nodes alone or before the entry, and closed
/// by inner nodes alone or after the exit.
bool isIndependent(const Graph &graph, const NestedRegion &region,
                   const Sets &before) {
  std::vector<char> isInner(graph.size(), 0);
  for (NodeId v : region.inner) {
    isInner[v] = 1;
  }
  auto isOwn = [&](const std::vector<NodeId> &users) {
    return std::all_of(users.begin(), users.end(),
                       [&](NodeId v) { return isInner[v]; });
  };
  bool isIndependent = true;
  for (NodeId v : region.inner) {
    for (const Touch &touch : graph.nodes[v].opens) {
      const GraphBuffer &buffer = graph.buffers[touch.buffer];
      bool staysOpen =
          buffer.liveOut || isOwn(buffer.closers) ||
          std::any_of(buffer.closers.begin(), buffer.closers.end(),
                      [&](NodeId c) {
                        return c == region.exit || before.has(c, region.exit);
                      });
      isIndependent &= isOwn(buffer.openers) && staysOpen;
    }
    for (const Touch &touch : graph.nodes[v].closes) {
      const GraphBuffer &buffer = graph.buffers[touch.buffer];
      bool wasOpen =
          buffer.liveIn || isOwn(buffer.openers) ||
          std::any_of(buffer.openers.begin(), buffer.openers.end(),
                      [&](NodeId o) {
                        return o == region.entry || before.has(region.entry, o);
                      });
      isIndependent &= isOwn(buffer.closers) && wasOpen;
    }
  }
  return isIndependent;
}

/// Chains the inner nodes in an order of least peak; false if none was proved.
bool linearize(Graph &graph, const std::vector<NodeId> &topo,
               const NestedRegion &region, const DecompositionOptions &options,
               Sets &before) {
  // Whatever leads to the entry, the region, the rest.
  std::vector<NodeId> order;
  for (NodeId v : topo) {
    if (v == region.entry || before.has(region.entry, v)) {
      order.push_back(v);
    }
  }
  int32_t begin = static_cast<int32_t>(order.size());
  order.insert(order.end(), region.inner.begin(), region.inner.end());
  int32_t end = static_cast<int32_t>(order.size());
  std::vector<int32_t> position = positionsOf(graph, order);
  for (NodeId v : topo) {
    if (position[v] < 0) {
      position[v] = static_cast<int32_t>(order.size());
      order.push_back(v);
    }
  }
  Player player(graph);
  for (int32_t i = 0; i < begin; ++i) {
    player.play(order[i]);
  }
  Part part = extractWindow(graph, order, position, begin, end, player.live());
  std::optional<Profile> profile = profileOf(part.graph, options);
  if (!profile) {
    return false;
  }
  std::vector<NodeId> chain = mergeProfiles({*profile});
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    NodeId pred = part.nodes[chain[i]];
    NodeId succ = part.nodes[chain[i + 1]];
    std::vector<NodeId> &succs = graph.nodes[pred].succs;
    if (std::find(succs.begin(), succs.end(), succ) == succs.end()) {
      succs.push_back(succ);
      graph.nodes[succ].preds.push_back(pred);
    }
    // Everything that precedes one precedes the next.
    for (size_t w = 0; w < before.words; ++w) {
      before.row(succ)[w] |= before.row(pred)[w];
    }
    before.add(succ, pred);
  }
  return chain.size() > 1;
}

} // namespace

bool serenity::detail::linearizeModules(Graph &graph,
                                        const DecompositionOptions &options) {
  if (graph.size() < 4 || graph.size() > options.maxNodes) {
    return false;
  }
  std::vector<NodeId> topo = topologicalOrder(graph);
  Sets before = allPredecessors(graph, topo);
  bool changed = false;
  for (const NestedRegion &region : findNestedRegions(graph, topo, before)) {
    if (options.shouldStop && options.shouldStop()) {
      break;
    }
    if (isIndependent(graph, region, before) && !isChain(region, before)) {
      changed |= linearize(graph, topo, region, options, before);
    }
  }
  return changed;
}

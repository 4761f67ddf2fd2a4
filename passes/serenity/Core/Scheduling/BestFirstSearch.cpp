// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/BestFirstSearch.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>

using namespace serenity;
using namespace serenity::detail;

namespace {

/// Some nodes, as a mask and as a list: the shorter one is looked at.
struct NodeSet {
  int32_t maskOffset; // into `masks`
  int32_t listOffset; // into `lists`
  int32_t numNodes;
};

/// A buffer whose opening (closing) by a node depends on the state.
struct DynamicTouch {
  int64_t bytes;
  NodeSet others;
  bool early;
};

/// The graph with consecutive numbers, bit masks and the parts of each node's
/// cost that do not depend on the state summed up.
template <int W> class Search final : public BestFirstSearch {
public:
  Search(const Graph &graph, const SearchOptions &options)
      : graph(graph), options(options) {
    nodeOf = topologicalOrder(graph);
    n = static_cast<int32_t>(nodeOf.size());
    words = W > 0 ? W : (n + 63) / 64;
    stride = words + 3;
    compile();
    upperBound = options.upperBound;
    threshold = std::max(options.lowerBound, startBytes);
    // With long masks looking for chains costs more than it saves.
    useForcedChains = options.forcedSets && n <= 256;
  }

  Ending run(const Budget &budget) override {
    if (!isStarted) {
      start();
    }
    int64_t end = budget.states > INT64_MAX - numExpanded
                      ? INT64_MAX
                      : numExpanded + budget.states;
    while (goal == kNone) {
      if (threshold >= upperBound) {
        return Ending::Exhausted;
      }
      if (stack.empty()) {
        if (pending.empty() || pending.begin()->first >= upperBound) {
          threshold = upperBound;
          return Ending::Exhausted;
        }
        raiseThreshold(pending.begin()->first);
      }
      if (numExpanded >= end) {
        return Ending::Paused;
      }
      // One expansion adds at most n states.
      if (storeBytes() > budget.memoryBytes ||
          numStates >= kNone - 2 * kChunkStates ||
          (budget.shouldStop && numExpanded % 64 == 0 &&
           budget.shouldStop(numExpanded, threshold))) {
        return Ending::Stopped;
      }
      uint32_t state = stack.back();
      stack.pop_back();
      ++numExpanded;
      goal = expand(state);
    }
    if (foundOrder.empty()) {
      reconstruct(goal, foundOrder);
    }
    return Ending::Found;
  }

  void setUpperBound(int64_t bytes) override { upperBound = bytes; }

  void raiseLowerBound(int64_t bytes) override {
    if (!isStarted) {
      threshold = std::max(threshold, bytes);
    } else if (bytes > threshold && goal == kNone) {
      raiseThreshold(bytes);
    }
  }

  int64_t lowerBound() const override { return threshold; }
  int64_t states() const override { return numExpanded; }
  const std::vector<NodeId> &order() const override { return foundOrder; }

  int64_t storeBytes() const override {
    // Twice and a half the table: growing it needs the old and the new one.
    return static_cast<int64_t>(chunks.size() * kChunkStates * stride * 8 +
                                table.size() * 4 * 5 / 2 +
                                (pendingCount + stack.size()) * 8);
  }

private:
  static constexpr uint32_t kNone = ~uint32_t(0);
  static constexpr size_t kChunkStates = size_t(1) << 9;

  void start() {
    isStarted = true;
    thresholds.push_back(threshold);
    std::vector<uint64_t> mask(words, 0);
    std::vector<int32_t> ready;
    collectReady(mask.data(), ready);
    int64_t mem = startBytes;
    stabilize(mask.data(), mem, ready, nullptr);
    bool isNew = false;
    uint32_t root = insert(mask.data(), mem, kNone, -1, isNew);
    stack.push_back(root);
    if (isGoal(mask.data(), mem)) {
      goal = root;
    }
  }

  /// Lets all states go on that a threshold of `bytes` sets free.
  void raiseThreshold(int64_t bytes) {
    threshold = bytes;
    thresholds.push_back(threshold);
    while (!pending.empty() && pending.begin()->first <= threshold) {
      const std::vector<uint32_t> &states = pending.begin()->second;
      stack.insert(stack.end(), states.begin(), states.end());
      pendingCount -= states.size();
      pending.erase(pending.begin());
    }
  }

  int32_t numWords() const { return W > 0 ? W : words; }

  static bool testBit(const uint64_t *mask, int32_t bit) {
    return (mask[bit >> 6] >> (bit & 63)) & 1;
  }
  static void setBit(uint64_t *mask, int32_t bit) {
    mask[bit >> 6] |= uint64_t(1) << (bit & 63);
  }

  bool isFull(const uint64_t *mask) const {
    for (int32_t w = 0; w < numWords(); ++w) {
      if (mask[w] != full[w]) {
        return false;
      }
    }
    return true;
  }

  bool isGoal(const uint64_t *mask, int64_t mem) const {
    return mem < options.valleyBelow || isFull(mask);
  }

  bool isListed(const NodeSet &set) const {
    return W != 1 && set.numNodes <= numWords();
  }

  /// True if `mask` contains all nodes of `set`.
  bool containsAll(const uint64_t *mask, const NodeSet &set) const {
    if (isListed(set)) {
      const int32_t *nodes = lists.data() + set.listOffset;
      return std::all_of(nodes, nodes + set.numNodes,
                         [&](int32_t v) { return testBit(mask, v); });
    }
    const uint64_t *other = &masks[set.maskOffset];
    for (int32_t w = 0; w < numWords(); ++w) {
      if (other[w] & ~mask[w]) {
        return false;
      }
    }
    return true;
  }
  bool intersects(const uint64_t *mask, const NodeSet &set) const {
    if (isListed(set)) {
      const int32_t *nodes = lists.data() + set.listOffset;
      return std::any_of(nodes, nodes + set.numNodes,
                         [&](int32_t v) { return testBit(mask, v); });
    }
    const uint64_t *other = &masks[set.maskOffset];
    for (int32_t w = 0; w < numWords(); ++w) {
      if (other[w] & mask[w]) {
        return true;
      }
    }
    return false;
  }

  void compile() {
    indexOf.assign(graph.nodes.size(), -1);
    for (int32_t i = 0; i < n; ++i) {
      indexOf[nodeOf[i]] = i;
    }
    full.assign(words, 0);
    for (int32_t i = 0; i < n; ++i) {
      setBit(full.data(), i);
    }
    startBytes = graph.baseBytes;
    for (const GraphBuffer &buffer : graph.buffers) {
      startBytes += buffer.liveIn ? buffer.bytes : 0;
    }
    auto addSet = [&](const std::vector<NodeId> &nodes, NodeId except) {
      NodeSet set = {static_cast<int32_t>(masks.size()),
                     static_cast<int32_t>(lists.size()), 0};
      masks.resize(masks.size() + words, 0);
      for (NodeId v : nodes) {
        if (v != except) {
          setBit(&masks[set.maskOffset], indexOf[v]);
          lists.push_back(indexOf[v]);
          ++set.numNodes;
        }
      }
      return set;
    };
    infos.resize(n);
    for (int32_t i = 0; i < n; ++i) {
      const GraphNode &node = graph.nodes[nodeOf[i]];
      NodeInfo &info = infos[i];
      info.preds = addSet(node.preds, -1);
      for (NodeId succ : node.succs) {
        info.succs.push_back(indexOf[succ]);
      }
      info.step = node.stepBytes;
      for (const Touch &touch : node.opens) {
        const GraphBuffer &buffer = graph.buffers[touch.buffer];
        if (buffer.openers.size() == 1) {
          info.net += buffer.bytes;
          info.step += touch.early ? buffer.bytes : 0;
          continue;
        }
        info.opens.push_back(
            {buffer.bytes, addSet(buffer.openers, nodeOf[i]), touch.early});
      }
      for (const Touch &touch : node.closes) {
        const GraphBuffer &buffer = graph.buffers[touch.buffer];
        if (buffer.closers.size() == 1) {
          info.net -= buffer.bytes;
          info.step -= touch.early ? buffer.bytes : 0;
          continue;
        }
        info.closes.push_back(
            {buffer.bytes, addSet(buffer.closers, nodeOf[i]), touch.early});
      }
    }
  }

  struct Cost {
    int64_t step;
    int64_t net;
  };

  Cost cost(const uint64_t *mask, int32_t v) const {
    const NodeInfo &info = infos[v];
    Cost result{info.step, info.net};
    for (const DynamicTouch &touch : info.opens) {
      if (!intersects(mask, touch.others)) {
        result.net += touch.bytes;
        result.step += touch.early ? touch.bytes : 0;
      }
    }
    for (const DynamicTouch &touch : info.closes) {
      if (containsAll(mask, touch.others)) {
        result.net -= touch.bytes;
        result.step -= touch.early ? touch.bytes : 0;
      }
    }
    return result;
  }

  void collectReady(const uint64_t *mask, std::vector<int32_t> &ready) const {
    ready.clear();
    for (int32_t w = 0; w < numWords(); ++w) {
      for (uint64_t left = full[w] & ~mask[w]; left != 0; left &= left - 1) {
        const int32_t v = w * 64 + __builtin_ctzll(left);
        if (containsAll(mask, infos[v].preds)) {
          ready.push_back(v);
        }
      }
    }
  }

  /// Runs `v`, which is ready, and keeps `ready` up to date.
  void apply(uint64_t *mask, int32_t v, std::vector<int32_t> &ready) const {
    setBit(mask, v);
    auto it = std::find(ready.begin(), ready.end(), v);
    *it = ready.back();
    ready.pop_back();
    for (int32_t succ : infos[v].succs) {
      if (containsAll(mask, infos[succ].preds)) {
        ready.push_back(succ);
      }
    }
  }

  /// Makes all forced moves. `log`, if given, receives the nodes.
  void stabilize(uint64_t *mask, int64_t &mem, std::vector<int32_t> &ready,
                 std::vector<int32_t> *log) {
    if (!options.forcedMoves) {
      return;
    }
    do {
      for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < ready.size();) {
          int32_t v = ready[i];
          Cost change = cost(mask, v);
          if (change.net <= 0 && mem + change.step <= threshold) {
            mem += change.net;
            apply(mask, v, ready); // Another node takes the place.
            if (log) {
              log->push_back(v);
            }
            changed = true;
          } else {
            ++i;
          }
        }
      }
    } while (useForcedChains && makeForcedChain(mask, mem, ready, log));
  }

  /// Looks for a chain v, q, r ... of which each node becomes ready by the one
  /// before, whose end has no more memory than the start, and runs it. The only
  /// down-sets between start and end are the chain's prefixes, all of which
  /// have more memory; so no order loses by running the chain at once.
  bool makeForcedChain(uint64_t *mask, int64_t &mem,
                       std::vector<int32_t> &ready, std::vector<int32_t> *log) {
    constexpr size_t kMaxLength = 4;
    int64_t room = threshold - mem;
    for (int32_t v : ready) {
      Cost first = cost(mask, v);
      if (first.step > room) {
        continue;
      }
      chainMask.assign(mask, mask + words);
      chain.assign(1, v);
      setBit(chainMask.data(), v);
      int64_t rise = first.net;
      while (rise > 0 && chain.size() < kMaxLength) {
        int32_t best = -1;
        Cost bestCost{0, 0};
        for (int32_t succ : infos[chain.back()].succs) {
          if (!containsAll(chainMask.data(), infos[succ].preds)) {
            continue;
          }
          Cost change = cost(chainMask.data(), succ);
          if (rise + change.step <= room &&
              (best < 0 || change.net < bestCost.net)) {
            best = succ;
            bestCost = change;
          }
        }
        if (best < 0) {
          break;
        }
        rise += bestCost.net;
        setBit(chainMask.data(), best);
        chain.push_back(best);
      }
      if (rise > 0) {
        continue;
      }
      mem += rise;
      for (int32_t node : chain) {
        apply(mask, node, ready);
        if (log) {
          log->push_back(node);
        }
      }
      return true;
    }
    return false;
  }

  /// Generates the children of `state` within the threshold. Returns the goal
  /// if it was reached.
  uint32_t expand(uint32_t state) {
    curMask.assign(record(state), record(state) + words);
    int64_t mem = memOf(state);
    collectReady(curMask.data(), curReady);
    // The threshold may have risen since the state was stored.
    if (thresholds[thresholdOf(state)] != threshold) {
      childMask = curMask;
      childReady = curReady;
      int64_t childMem = mem;
      stabilize(childMask.data(), childMem, childReady, nullptr);
      if (childMask != curMask) {
        bool isNew = false;
        uint32_t child = insert(childMask.data(), childMem, state, -1, isNew);
        if (isNew) {
          stack.push_back(child);
          if (isGoal(childMask.data(), childMem)) {
            return child;
          }
        }
        return kNone;
      }
    }
    int64_t blocked = INT64_MAX;
    children.clear();
    for (int32_t v : curReady) {
      Cost change = cost(curMask.data(), v);
      int64_t step = mem + change.step;
      if (step > threshold) {
        blocked = std::min(blocked, step);
        continue;
      }
      childMask = curMask;
      childReady = curReady;
      int64_t childMem = mem + change.net;
      apply(childMask.data(), v, childReady);
      stabilize(childMask.data(), childMem, childReady, nullptr);
      bool isNew = false;
      uint32_t child = insert(childMask.data(), childMem, state, v, isNew);
      if (!isNew) {
        continue;
      }
      if (isGoal(childMask.data(), childMem)) {
        return child;
      }
      children.push_back({childMem, child});
    }
    if (blocked < upperBound) {
      pending[blocked].push_back(state);
      ++pendingCount;
    }
    // Least memory on top of the stack.
    std::stable_sort(
        children.begin(), children.end(),
        [](const Child &a, const Child &b) { return a.mem > b.mem; });
    for (const Child &child : children) {
      stack.push_back(child.state);
    }
    return kNone;
  }

  // --- store ----------------------------------------------------------------
  // A record: mask, memory, parent and node, number of the threshold.

  uint64_t *record(uint32_t state) {
    return &chunks[state / kChunkStates][(state % kChunkStates) * stride];
  }
  const uint64_t *record(uint32_t state) const {
    return &chunks[state / kChunkStates][(state % kChunkStates) * stride];
  }
  int64_t memOf(uint32_t state) const {
    return static_cast<int64_t>(record(state)[words]);
  }
  uint32_t parentOf(uint32_t state) const {
    return static_cast<uint32_t>(record(state)[words + 1] >> 32);
  }
  int32_t viaOf(uint32_t state) const {
    return static_cast<int32_t>(record(state)[words + 1] & 0xffffffffu);
  }
  size_t thresholdOf(uint32_t state) const {
    return static_cast<size_t>(record(state)[words + 2]);
  }

  size_t hashOf(const uint64_t *mask) const {
    uint64_t h = 0x9e3779b97f4a7c15ull;
    for (int32_t w = 0; w < numWords(); ++w) {
      h = (h ^ mask[w]) * 0xff51afd7ed558ccdull;
      h ^= h >> 32;
    }
    return static_cast<size_t>(h);
  }

  uint32_t insert(const uint64_t *mask, int64_t mem, uint32_t parent,
                  int32_t via, bool &isNew) {
    if ((numStates + 1) * 5 > table.size() * 3) {
      grow();
    }
    size_t slotMask = table.size() - 1;
    size_t slot = hashOf(mask) & slotMask;
    while (table[slot] != kNone) {
      uint32_t other = table[slot];
      if (std::equal(mask, mask + numWords(), record(other))) {
        isNew = false;
        return other;
      }
      slot = (slot + 1) & slotMask;
    }
    isNew = true;
    uint32_t state = static_cast<uint32_t>(numStates++);
    if (state / kChunkStates == chunks.size()) {
      chunks.push_back(
          std::make_unique<uint64_t[]>(kChunkStates * size_t(stride)));
    }
    table[slot] = state;
    uint64_t *data = record(state);
    std::copy(mask, mask + numWords(), data);
    data[words] = static_cast<uint64_t>(mem);
    data[words + 1] = (uint64_t(parent) << 32) | static_cast<uint32_t>(via);
    data[words + 2] = thresholds.size() - 1;
    return state;
  }

  void grow() {
    std::vector<uint32_t> old = std::move(table);
    table.assign(std::max<size_t>(1024, old.size() * 2), kNone);
    size_t slotMask = table.size() - 1;
    for (uint32_t state : old) {
      if (state == kNone) {
        continue;
      }
      size_t slot = hashOf(record(state)) & slotMask;
      while (table[slot] != kNone) {
        slot = (slot + 1) & slotMask;
      }
      table[slot] = state;
    }
  }

  /// Replays the path to `last`, forced moves included.
  void reconstruct(uint32_t last, std::vector<NodeId> &order) {
    std::vector<uint32_t> path;
    for (uint32_t s = last; s != kNone; s = parentOf(s)) {
      path.push_back(s);
    }
    std::reverse(path.begin(), path.end());
    std::vector<uint64_t> mask(words, 0);
    std::vector<int32_t> ready;
    std::vector<int32_t> log;
    int64_t mem = startBytes;
    for (uint32_t s : path) {
      collectReady(mask.data(), ready);
      threshold = thresholds[thresholdOf(s)];
      int32_t via = viaOf(s);
      if (via >= 0) {
        mem += cost(mask.data(), via).net;
        apply(mask.data(), via, ready);
        log.push_back(via);
      }
      stabilize(mask.data(), mem, ready, &log);
      assert(std::equal(mask.begin(), mask.end(), record(s)) &&
             "a replayed path leads elsewhere");
    }
    threshold = thresholds.back();
    order.clear();
    for (int32_t v : log) {
      order.push_back(nodeOf[v]);
    }
  }

  struct NodeInfo {
    int64_t step = 0;
    int64_t net = 0;
    NodeSet preds;
    std::vector<DynamicTouch> opens;
    std::vector<DynamicTouch> closes;
    std::vector<int32_t> succs;
  };
  struct Child {
    int64_t mem;
    uint32_t state;
  };

  const Graph &graph;
  const SearchOptions options;
  int32_t n = 0;
  int32_t words = 0;
  int32_t stride = 0;
  std::vector<NodeId> nodeOf;
  std::vector<int32_t> indexOf;
  std::vector<uint64_t> full;
  std::vector<uint64_t> masks;
  std::vector<int32_t> lists;
  std::vector<NodeInfo> infos;
  int64_t startBytes = 0;
  int64_t threshold = 0;
  std::vector<int64_t> thresholds;
  int64_t upperBound = 0;
  bool isStarted = false;
  bool useForcedChains = false;
  uint32_t goal = kNone;
  std::vector<uint32_t> stack;
  std::vector<NodeId> foundOrder;

  std::vector<std::unique_ptr<uint64_t[]>> chunks;
  std::vector<uint32_t> table;
  size_t numStates = 0;
  int64_t numExpanded = 0;
  std::map<int64_t, std::vector<uint32_t>> pending;
  size_t pendingCount = 0;

  std::vector<uint64_t> curMask, childMask, chainMask;
  std::vector<int32_t> chain;
  std::vector<int32_t> curReady, childReady;
  std::vector<Child> children;
};

} // namespace

BestFirstSearch::~BestFirstSearch() = default;

std::unique_ptr<BestFirstSearch>
BestFirstSearch::create(const Graph &graph, const SearchOptions &options) {
  size_t numAlive = static_cast<size_t>(
      std::count(graph.isEliminated.begin(), graph.isEliminated.end(), 0));
  switch ((numAlive + 63) / 64) {
  case 0:
  case 1:
    return std::make_unique<Search<1>>(graph, options);
  case 2:
    return std::make_unique<Search<2>>(graph, options);
  case 3:
    return std::make_unique<Search<3>>(graph, options);
  case 4:
    return std::make_unique<Search<4>>(graph, options);
  default:
    return std::make_unique<Search<0>>(graph, options);
  }
}

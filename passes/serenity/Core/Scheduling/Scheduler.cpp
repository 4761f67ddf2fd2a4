// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/Scheduler.h"

#include "serenity/Core/Scheduling/BestFirstSearch.h"
#include "serenity/Core/Scheduling/Graph.h"
#include "serenity/Core/Scheduling/Heuristics.h"
#include "serenity/Core/Scheduling/Improve.h"
#include "serenity/Core/Scheduling/LowerBound.h"
#include "serenity/Core/Scheduling/ModularDecomposition.h"
#include "serenity/Core/Scheduling/OrderWalk.h"
#include "serenity/Core/Scheduling/PaperDp.h"
#include "serenity/Core/Scheduling/Reductions.h"
#include "serenity/Core/Scheduling/Simulator.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <numeric>
#include <queue>
#include <utility>

using namespace serenity;
using namespace serenity::detail;

namespace {

/// An order of `nodes` as an order of their positions in the sorted `nodes`.
std::vector<NodeId> toLocal(const std::vector<NodeId> &nodes,
                            std::vector<NodeId>::const_iterator begin) {
  std::vector<NodeId> local(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    local[i] = static_cast<NodeId>(
        std::lower_bound(nodes.begin(), nodes.end(), *(begin + i)) -
        nodes.begin());
  }
  return local;
}

/// A part of the graph that is searched as a whole, with everything that works
/// on it. Two exact searches, one from each end, and a beam search with growing
/// width take turns; each profits from the orders that the others find.
struct Leaf {
  Graph graph;
  std::vector<NodeId> nodes; // in the reduced graph of the part
  std::vector<NodeId> best;
  int64_t peak = 0;
  /// An order as high as this is of no use: the part has one from elsewhere, or
  /// the caller does.
  int64_t cap = std::numeric_limits<int64_t>::max();
  bool isFinished = false;
  bool isPrepared = false;

  std::unique_ptr<Graph> reversed;
  std::unique_ptr<BestFirstSearch> searches[2]; // forwards, backwards
  int64_t slice = 0;
  int64_t statesOfSearches = 0;

  /// Orders have to be lower than this.
  int64_t upperBound() const { return std::min(peak, cap); }

  /// A state of a large graph is dear, and a search less likely to end.
  int64_t scale() const {
    return std::max<int64_t>(1, std::min<int64_t>(graph.size() / 64, 64));
  }

  // State of the improvement by windows and by beams.
  bool hasBeam = false;
  int32_t window = 24;
  int64_t windowStates = 1000;
  int32_t width = 2;
  int32_t direction = 0;
  int32_t fruitless = 0;
  double reach = 0.08;
  uint64_t seed = 0;
  int64_t statesOfBeams = 0;
  std::vector<NodeId> cutCandidates;
  size_t cutsTried = 0;
};

/// A part between forced cuts of the whole problem.
struct TopPart {
  Part part;
  Graph reduced;
  std::vector<std::unique_ptr<Leaf>> leaves; // in the order of execution
  bool isPrepared = false;
  /// Peak of the order that was there before.
  int64_t incumbentPeak = 0;
};

class Solver {
public:
  Solver(const Problem &problem, const SchedulerOptions &options)
      : problem(problem), options(options), switches(options.switches),
        startTime(std::chrono::steady_clock::now()) {}

  ScheduleResult run() {
    graph = buildGraph(problem);
    if (switches.footprintBound || options.algorithm != Algorithm::Exact) {
      raiseBound(operationFootprintBound(problem), "operation-footprint");
    }
    topo = topologicalOrder(graph);
    std::vector<OpId> given =
        options.givenOrder.empty() ? topo : options.givenOrder;
    cuts = {0};
    if (topo.empty()) {
      cuts.clear();
    } else if (switches.cutPoints) {
      cuts = findCuts(graph, topo);
    }
    bestOrder = given;
    bestPeaks = partPeaks(given);
    int64_t givenPeak = maximum(bestPeaks);
    incumbentPeak = givenPeak;

    switch (options.algorithm) {
    case Algorithm::Heuristic:
      considerHeuristics();
      considerBeam();
      boundByCuts();
      break;
    case Algorithm::Paper:
      runSerenity();
      break;
    case Algorithm::Exact:
      if (!isSolved() || options.seed) {
        if (switches.heuristics) {
          considerHeuristics();
        }
        solve();
      }
      if (options.seed) {
        diversify();
      }
      break;
    }

    ScheduleResult result;
    result.order = std::move(bestOrder);
    if (!options.seed && givenPeak <= maximum(bestPeaks)) {
      result.order = std::move(given);
    }
    result.peakBytes = simulate(problem, result.order).peakBytes;
    if (result.peakBytes == 0) {
      raiseBound(0, "operation-footprint");
    }
    result.lowerBoundBytes =
        std::max<int64_t>(0, std::min(lowerBound, result.peakBytes));
    result.optimal = result.peakBytes == lowerBound;
    result.provedBy = result.optimal ? provedBy : "";
    result.states = numStates;
    result.seconds = elapsed();
    result.interrupted = isInterrupted;
    return result;
  }

private:
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         startTime)
        .count();
  }

  static int64_t maximum(const std::vector<int64_t> &values) {
    return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  }

  void raiseBound(int64_t bytes, const char *by) {
    if (bytes > lowerBound) {
      lowerBound = bytes;
      provedBy = by;
    }
  }

  /// Whether no order is lower than `peak` and the caller's bound.
  bool isSettled(int64_t peak) const {
    return std::min(peak, options.upperBoundBytes) <= lowerBound;
  }

  bool isSolved() const { return isSettled(maximum(bestPeaks)); }

  /// Polled by everything that takes long.
  bool shouldStop(int64_t states = 0, int64_t bound = 0) {
    if (isInterrupted || elapsed() > options.timeLimitSeconds) {
      return true;
    }
    if (options.onProgress) {
      ScheduleProgress progress;
      progress.states = numStates + states;
      progress.lowerBoundBytes = std::max(lowerBound, bound);
      progress.incumbentBytes = incumbentPeak;
      progress.seconds = elapsed();
      if (!options.onProgress(progress)) {
        isInterrupted = true;
        return true;
      }
    }
    return false;
  }

  bool isOutOfStates() const {
    return options.stateLimit > 0 && numStates >= options.stateLimit;
  }

  int64_t statesLeft() const {
    return options.stateLimit > 0
               ? std::max<int64_t>(0, options.stateLimit - numStates)
               : std::numeric_limits<int64_t>::max();
  }

  // --- heuristics -----------------------------------------------------------

  /// Parts are separated by forced cuts, so each of them takes the same steps
  /// in every order.
  std::vector<int64_t> partPeaks(const std::vector<NodeId> &order) const {
    std::vector<int64_t> steps;
    evaluate(graph, order, &steps);
    std::vector<int64_t> peaks(cuts.size(), 0);
    for (size_t p = 0; p < cuts.size(); ++p) {
      size_t end = p + 1 < cuts.size() ? cuts[p + 1] : steps.size();
      for (size_t i = cuts[p]; i < end; ++i) {
        peaks[p] = std::max(peaks[p], steps[i]);
      }
    }
    return peaks;
  }

  /// Takes over the parts of `order` that are better than the incumbent's.
  void consider(const std::vector<NodeId> &order) {
    std::vector<int64_t> peaks = partPeaks(order);
    for (size_t p = 0; p < cuts.size(); ++p) {
      if (peaks[p] < bestPeaks[p]) {
        size_t end = p + 1 < cuts.size() ? cuts[p + 1] : order.size();
        std::copy(order.begin() + cuts[p], order.begin() + end,
                  bestOrder.begin() + cuts[p]);
        bestPeaks[p] = peaks[p];
      }
    }
  }

  void considerHeuristics() {
    consider(topo);
    consider(depthFirstOrder(graph));
    consider(breadthFirstOrder(graph));
    consider(leastGrowthOrder(graph));
    consider(lowestPeakOrder(graph));
    consider(postOrder(graph));
    incumbentPeak = maximum(bestPeaks);
  }

  /// The heuristic scheduler's last word; the exact one has beams of its own.
  void considerBeam() {
    if (isSolved()) {
      return;
    }
    BeamOptions beam;
    beam.threshold = maximum(bestPeaks) - 1;
    beam.shouldStop = [&](int64_t states) { return shouldStop(states); };
    BeamResult result = beamSearch(graph, beam);
    numStates += result.states;
    if (!result.order.empty()) {
      consider(result.order);
    }
  }

  /// Live cuts at the steps of the incumbent, the highest first.
  void boundByCuts() {
    if (isSolved()) {
      return;
    }
    LiveCutOptions cutOptions;
    cutOptions.target = maximum(bestPeaks);
    cutOptions.workLimit = kCutWork;
    cutOptions.shouldStop = [&] { return shouldStop(); };
    cutOptions.candidates = byHeight(graph, bestOrder);
    raiseBound(liveCutBound(graph, cutOptions), "live-cut");
  }

  /// The nodes of `order`, those with the highest steps first.
  static std::vector<NodeId> byHeight(const Graph &graph,
                                      const std::vector<NodeId> &order) {
    std::vector<int64_t> steps;
    evaluate(graph, order, &steps);
    std::vector<size_t> sequence(order.size());
    std::iota(sequence.begin(), sequence.end(), size_t(0));
    std::stable_sort(sequence.begin(), sequence.end(),
                     [&](size_t a, size_t b) { return steps[a] > steps[b]; });
    std::vector<NodeId> nodes;
    for (size_t i : sequence) {
      nodes.push_back(order[i]);
    }
    return nodes;
  }

  // --- the paper's scheduler ------------------------------------------------

  void runSerenity() {
    PaperDpOptions paperOptions;
    paperOptions.cutPoints = switches.cutPoints;
    paperOptions.softBudget = switches.softBudget;
    paperOptions.memoryLimitBytes = options.memoryLimitBytes;
    paperOptions.shouldStop = [&](int64_t states) {
      return (options.stateLimit > 0 && states >= options.stateLimit) ||
             shouldStop(states);
    };
    PaperDpResult result = schedulePaperDp(graph, paperOptions);
    numStates += result.states;
    // The order stands for itself: no other heuristic is mixed in.
    bestOrder = result.order;
    bestPeaks = partPeaks(bestOrder);
    if (result.isComplete) {
      raiseBound(maximum(bestPeaks), "dynamic-programming");
    }
  }

  // --- exact and anytime ----------------------------------------------------

  /// Always works on the part that makes the peak. Once that is proved, so is
  /// the whole.
  void solve() {
    if (isSolved()) {
      return;
    }
    std::vector<Part> parts = extractParts(graph, topo, cuts);
    tops.resize(parts.size());
    std::priority_queue<std::pair<int64_t, int64_t>> queue;
    for (size_t p = 0; p < parts.size(); ++p) {
      tops[p].part = std::move(parts[p]);
      if (switches.footprintBound) {
        raiseBound(footprintBound(tops[p].part.graph), "operation-footprint");
      }
      // Ties: the first part first.
      queue.push({bestPeaks[p], -static_cast<int64_t>(p)});
    }
    while (!queue.empty()) {
      size_t p = static_cast<size_t>(-queue.top().second);
      queue.pop();
      incumbentPeak = bestPeaks[p]; // The highest of all.
      if (isSettled(bestPeaks[p])) {
        break;
      }
      if (options.timeLimitSeconds > 0 && shouldStop()) {
        break;
      }
      TopPart &top = tops[p];
      if (!top.isPrepared) {
        prepare(p);
      } else {
        Leaf &leaf = highestLeaf(top);
        if (leaf.isFinished || isOutOfStates()) {
          break;
        }
        work(leaf);
      }
      bestPeaks[p] = std::min(top.incumbentPeak, highestLeaf(top).peak);
      queue.push({bestPeaks[p], -static_cast<int64_t>(p)});
    }
    for (size_t p = 0; p < tops.size(); ++p) {
      TopPart &top = tops[p];
      if (top.isPrepared && highestLeaf(top).peak <= top.incumbentPeak) {
        assemble(p);
      }
    }
  }

  static Leaf &highestLeaf(TopPart &top) {
    Leaf *highest = top.leaves.front().get();
    for (const std::unique_ptr<Leaf> &leaf : top.leaves) {
      if (leaf->peak > highest->peak) {
        highest = leaf.get();
      }
    }
    return *highest;
  }

  ReductionOptions reductionOptions() const {
    ReductionOptions reduction;
    reduction.delay = switches.delayReduction;
    reduction.advance = switches.advanceReduction;
    return reduction;
  }

  DecompositionOptions moduleOptions() {
    DecompositionOptions modules;
    modules.shouldStop = [&] { return shouldStop(); };
    modules.states = &numStates;
    return modules;
  }

  /// Reduces a part and cuts it further.
  void prepare(size_t p) {
    TopPart &top = tops[p];
    top.isPrepared = true;
    const std::vector<NodeId> &nodes = top.part.nodes;
    std::vector<NodeId> incumbent =
        toLocal(nodes, bestOrder.cbegin() + cuts[p]);
    top.incumbentPeak = bestPeaks[p];
    top.reduced = top.part.graph;
    reduce(top.reduced, reductionOptions());
    std::vector<NodeId> order;
    bool isLinearized = switches.modules && options.timeLimitSeconds > 0 &&
                        linearizeModules(top.reduced, moduleOptions());
    if (isLinearized) {
      // The incumbent may run the modules otherwise.
      reduce(top.reduced, reductionOptions());
      order = lowestPeakOrder(top.reduced);
      std::vector<NodeId> other = leastGrowthOrder(top.reduced);
      if (evaluate(top.reduced, other) < evaluate(top.reduced, order)) {
        order = std::move(other);
      }
    } else {
      for (NodeId v : incumbent) {
        if (top.reduced.isAlive(v)) {
          order.push_back(v);
        }
      }
    }
    std::vector<NodeId> partTopo = topologicalOrder(top.reduced);
    std::vector<int32_t> partCuts{0};
    if (switches.cutPoints) {
      partCuts = findCuts(top.reduced, partTopo);
    }
    std::vector<Part> parts = extractParts(top.reduced, partTopo, partCuts);
    for (size_t i = 0; i < parts.size(); ++i) {
      auto leaf = std::make_unique<Leaf>();
      leaf->nodes = std::move(parts[i].nodes);
      leaf->graph = std::move(parts[i].graph);
      leaf->best = toLocal(leaf->nodes, order.cbegin() + partCuts[i]);
      leaf->peak = evaluate(leaf->graph, leaf->best);
      leaf->cap = options.upperBoundBytes;
      if (isLinearized) {
        leaf->cap = std::min(leaf->cap, top.incumbentPeak);
      }
      top.leaves.push_back(std::move(leaf));
    }
  }

  /// Writes the leaves' orders into the order of the whole.
  void assemble(size_t p) {
    TopPart &top = tops[p];
    std::vector<NodeId> order;
    for (const std::unique_ptr<Leaf> &leaf : top.leaves) {
      for (NodeId v : leaf->best) {
        order.push_back(leaf->nodes[v]);
      }
    }
    order = expandOrder(top.reduced, order);
    for (size_t i = 0; i < order.size(); ++i) {
      bestOrder[cuts[p] + i] = top.part.nodes[order[i]];
    }
  }

  void offer(Leaf &leaf, std::vector<NodeId> order) {
    int64_t peak = evaluate(leaf.graph, order);
    if (peak < leaf.peak) {
      leaf.best = std::move(order);
      leaf.peak = peak;
    }
  }

  /// One turn on a leaf that is above the bound.
  void work(Leaf &leaf) {
    if (!leaf.isPrepared) {
      leaf.isPrepared = true;
      begin(leaf);
      return;
    }
    if (options.timeLimitSeconds <= 0) {
      leaf.isFinished = true;
      return;
    }
    bool isSearching = false;
    for (int direction = 0; direction < 2; ++direction) {
      std::unique_ptr<BestFirstSearch> &search = leaf.searches[direction];
      if (!search) {
        continue;
      }
      isSearching = true;
      search->setUpperBound(leaf.upperBound());
      search->raiseLowerBound(lowerBound);
      int64_t before = search->states();
      storeBytes -= search->storeBytes();
      BestFirstSearch::Budget budget;
      budget.states = std::min(leaf.slice, statesLeft());
      // The two directions share the store.
      budget.memoryBytes = options.memoryLimitBytes - storeBytes;
      if (leaf.searches[1 - direction]) {
        budget.memoryBytes =
            std::min(budget.memoryBytes, options.memoryLimitBytes / 2);
      }
      budget.shouldStop = [&](int64_t states, int64_t bound) {
        return shouldStop(states - before, bound);
      };
      BestFirstSearch::Ending status = search->run(budget);
      numStates += search->states() - before;
      leaf.statesOfSearches += search->states() - before;
      storeBytes += search->storeBytes();
      raiseBound(search->lowerBound(), "search");
      switch (status) {
      case BestFirstSearch::Ending::Found: {
        std::vector<NodeId> order = search->order();
        if (direction == 1) {
          std::reverse(order.begin(), order.end());
        }
        offer(leaf, std::move(order));
        leaf.isFinished = true;
        break;
      }
      case BestFirstSearch::Ending::Exhausted:
        leaf.isFinished = true;
        break;
      case BestFirstSearch::Ending::Stopped:
        drop(search);
        break;
      case BestFirstSearch::Ending::Paused:
        break;
      }
      if (leaf.isFinished || leaf.upperBound() <= lowerBound) {
        drop(leaf.searches[0]);
        drop(leaf.searches[1]);
        return;
      }
    }
    leaf.slice = std::min<int64_t>(leaf.slice * 2, (1 << 16) / leaf.scale());
    // Most graphs are solved before it pays to look for better incumbents; one
    // beam is due early, lest the answer be worse than a heuristic's.
    constexpr int64_t kStatesBeforeFirstBeam = 1024;
    if (isSearching && !leaf.hasBeam &&
        leaf.statesOfSearches >= kStatesBeforeFirstBeam / leaf.scale() &&
        !shouldStop()) {
      improve(leaf);
    }
    const int64_t statesBeforeBeams = 8192 / leaf.scale();
    while (!isOutOfStates() && !shouldStop() &&
           (!isSearching || (leaf.statesOfSearches >= statesBeforeBeams &&
                             leaf.statesOfBeams < 3 * leaf.statesOfSearches))) {
      improve(leaf);
      if (!isSearching || leaf.upperBound() <= lowerBound) {
        return;
      }
    }
  }

  void drop(std::unique_ptr<BestFirstSearch> &search) {
    if (search) {
      storeBytes -= search->storeBytes();
      search.reset();
    }
  }

  /// Heuristics and bounds of a leaf, and its searches.
  void begin(Leaf &leaf) {
    if (switches.footprintBound) {
      raiseBound(footprintBound(leaf.graph), "operation-footprint");
    }
    if (leaf.upperBound() <= lowerBound) {
      return;
    }
    leaf.reversed = std::make_unique<Graph>(reverseGraph(leaf.graph));
    if (switches.heuristics) {
      if (leaf.graph.size() < graph.size()) { // Else they have been tried.
        offer(leaf, leastGrowthOrder(leaf.graph));
        offer(leaf, lowestPeakOrder(leaf.graph));
        offer(leaf, postOrder(leaf.graph));
      }
      for (auto *heuristic : {&leastGrowthOrder, &lowestPeakOrder}) {
        std::vector<NodeId> order = heuristic(*leaf.reversed, 0);
        std::reverse(order.begin(), order.end());
        offer(leaf, std::move(order));
      }
    }
    if (leaf.upperBound() <= lowerBound) {
      return;
    }
    if (switches.liveCutBound) {
      leaf.cutCandidates = byHeight(leaf.graph, leaf.best);
      cut(leaf);
    }
    if (leaf.upperBound() <= lowerBound) {
      return;
    }
    if (switches.modules && options.timeLimitSeconds > 0) {
      if (std::optional<std::vector<NodeId>> order =
              mergeComponents(leaf.graph, moduleOptions())) {
        int64_t optimum = evaluate(leaf.graph, *order);
        offer(leaf, std::move(*order));
        raiseBound(optimum, "modules");
        leaf.isFinished = true;
        return;
      }
    }
    if (leaf.upperBound() <= lowerBound || options.timeLimitSeconds <= 0 ||
        leaf.graph.size() > BestFirstSearch::kMaxNodes) {
      return;
    }
    SearchOptions searchOptions;
    searchOptions.lowerBound = lowerBound;
    searchOptions.upperBound = leaf.upperBound();
    searchOptions.forcedMoves = switches.forcedMoves;
    searchOptions.forcedSets = switches.forcedSets;
    leaf.slice = 512 / leaf.scale();
    leaf.searches[0] = BestFirstSearch::create(leaf.graph, searchOptions);
    if (switches.bothDirections) {
      leaf.searches[1] = BestFirstSearch::create(*leaf.reversed, searchOptions);
    }
  }

  /// Tries live cuts at nodes that have not been tried.
  void cut(Leaf &leaf) {
    if (leaf.cutsTried >= leaf.cutCandidates.size()) {
      return;
    }
    LiveCutOptions cutOptions;
    cutOptions.target = leaf.upperBound();
    cutOptions.workLimit = kCutWork;
    cutOptions.shouldStop = [&] {
      return options.timeLimitSeconds > 0 && shouldStop();
    };
    cutOptions.candidates.assign(leaf.cutCandidates.begin() + leaf.cutsTried,
                                 leaf.cutCandidates.end());
    size_t numTried = 0;
    raiseBound(liveCutBound(leaf.graph, cutOptions, &numTried), "live-cut");
    leaf.cutsTried += std::max<size_t>(1, numTried);
  }

  /// One attempt at a better incumbent: windows around the highest step as long
  /// as they are small, then a beam over all.
  void improve(Leaf &leaf) {
    if (!leaf.hasBeam) {
      leaf.hasBeam = true;
      BeamOptions beam;
      beam.threshold = leaf.peak - 1;
      runBeam(leaf, beam, leaf.graph);
      return;
    }
    if (leaf.window < leaf.graph.size() && leaf.window <= kLargestWindow) {
      improveWindow(leaf);
    } else {
      improveByBeam(leaf);
    }
  }

  /// Searches the steps around the highest step of the incumbent exactly, with
  /// a limit; a larger window if nothing is found.
  void improveWindow(Leaf &leaf) {
    int32_t n = leaf.graph.size();
    Player player(leaf.graph);
    std::vector<int64_t> liveBefore(n);
    std::vector<int32_t> position(n);
    int32_t highest = 0;
    int64_t height = -1;
    for (int32_t i = 0; i < n; ++i) {
      NodeId v = leaf.best[i];
      position[v] = i;
      liveBefore[i] = player.live();
      int64_t step = player.live() + player.cost(v).step;
      if (step > height) {
        height = step;
        highest = i;
      }
      player.play(v);
    }
    int32_t begin =
        std::max(0, std::min(highest - leaf.window / 2, n - leaf.window));
    int32_t end = std::min(n, begin + leaf.window);
    Part part = extractWindow(leaf.graph, leaf.best, position, begin, end,
                              liveBefore[begin]);
    Graph reduced = part.graph;
    reduce(reduced, reductionOptions());
    SearchOptions searchOptions;
    searchOptions.lowerBound = std::max(lowerBound, footprintBound(reduced));
    searchOptions.upperBound = leaf.peak;
    searchOptions.forcedMoves = switches.forcedMoves;
    searchOptions.forcedSets = switches.forcedSets;
    std::unique_ptr<BestFirstSearch> search =
        BestFirstSearch::create(reduced, searchOptions);
    BestFirstSearch::Budget budget;
    budget.states = std::min(statesLeft(), leaf.windowStates);
    budget.memoryBytes = std::max<int64_t>(
        int64_t(1) << 20, options.memoryLimitBytes - storeBytes);
    budget.shouldStop = [&](int64_t states, int64_t) {
      return shouldStop(states);
    };
    BestFirstSearch::Ending status = search->run(budget);
    numStates += search->states();
    leaf.statesOfBeams += search->states() + 1;
    if (status == BestFirstSearch::Ending::Found) {
      std::vector<NodeId> order = expandOrder(reduced, search->order());
      std::vector<NodeId> whole = leaf.best;
      for (size_t i = 0; i < order.size(); ++i) {
        whole[begin + i] = part.nodes[order[i]];
      }
      // The window's peak is lower, but another step as high may remain.
      leaf.best = std::move(whole);
      leaf.peak = evaluate(leaf.graph, leaf.best);
      return;
    }
    leaf.window *= 2;
  }

  /// Offers the order that a beam finds on the leaf's graph, or on the reversed
  /// one; false if it finds none.
  bool runBeam(Leaf &leaf, BeamOptions beam, const Graph &graph) {
    beam.shouldStop = [&](int64_t states) {
      return states >= statesLeft() || shouldStop(states);
    };
    BeamResult result = beamSearch(graph, beam);
    numStates += result.states;
    leaf.statesOfBeams += result.states + 1;
    if (result.order.empty()) {
      return false;
    }
    if (&graph != &leaf.graph) {
      std::reverse(result.order.begin(), result.order.end());
    }
    offer(leaf, std::move(result.order));
    return true;
  }

  /// One beam below the incumbent.
  void improveByBeam(Leaf &leaf) {
    // Bounds of wide graphs are weak, so the aim is relative to the peak.
    int64_t gap = leaf.peak - lowerBound;
    int64_t aim =
        static_cast<int64_t>(static_cast<double>(leaf.peak) * leaf.reach);
    BeamOptions beam;
    beam.threshold = leaf.peak - std::max<int64_t>(1, std::min(aim, gap));
    beam.width = leaf.width;
    beam.branching = leaf.width < 8 ? 4 : 8;
    beam.seed = leaf.seed;
    const Graph &graph = leaf.direction == 0 ? leaf.graph : *leaf.reversed;
    if (runBeam(leaf, beam, graph)) {
      leaf.fruitless = 0;
      leaf.reach = std::min(0.25, leaf.reach * 2);
      leaf.window = 24;
      return;
    }
    leaf.direction = 1 - leaf.direction;
    if (++leaf.fruitless % 2 != 0) {
      return; // The same from the other end.
    }
    constexpr double kLeastReach = 0.001;
    leaf.reach /= 4;
    if (leaf.reach >= kLeastReach) {
      return;
    }
    leaf.reach = 0.02;
    if (leaf.width < (1 << 16)) {
      leaf.width *= 2;
    }
    ++leaf.seed;
    leaf.window = 24;
    // Some 25 fruitless rounds on a small graph would leave 64 bits.
    constexpr int64_t kMaxWindowStates = int64_t(1) << 40;
    leaf.windowStates = std::min(leaf.windowStates * 4, kMaxWindowStates);
    if (switches.liveCutBound) {
      cut(leaf);
    }
  }

  // --- other orders of the same peak ---------------------------------------

  /// Walks from the order found to others within its peak.
  void diversify() {
    constexpr int kMovesPerOperation = 4;
    OrderWalk walk(problem, bestOrder, options.seed);
    const int operations =
        static_cast<int>(std::min<size_t>(bestOrder.size(), 1000));
    bestOrder = walk.walk(kMovesPerOperation * operations);
  }

  static constexpr int32_t kLargestWindow = 1024;
  /// Edges that one round of live cuts may look at; some tens of milliseconds.
  static constexpr int64_t kCutWork = 6000000;

  const Problem &problem;
  const SchedulerOptions &options;
  const SchedulerSwitches &switches;
  std::chrono::steady_clock::time_point startTime;
  Graph graph;
  std::vector<NodeId> topo;
  std::vector<int32_t> cuts;
  std::vector<TopPart> tops;
  std::vector<NodeId> bestOrder;
  std::vector<int64_t> bestPeaks; // per part
  int64_t incumbentPeak = 0;      // for reports
  int64_t lowerBound = -1;
  const char *provedBy = "";
  int64_t numStates = 0;
  int64_t storeBytes = 0;
  bool isInterrupted = false;
};

} // namespace

ScheduleResult serenity::schedule(const Problem &problem,
                                  const SchedulerOptions &options) {
  return Solver(problem, options).run();
}

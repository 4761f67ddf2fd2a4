// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduler.h"

#include "serenity/Core/ExactSearch.h"
#include "serenity/Core/Graph.h"
#include "serenity/Core/Heuristics.h"
#include "serenity/Core/LowerBound.h"
#include "serenity/Core/Reductions.h"
#include "serenity/Core/Simulator.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <numeric>

using namespace serenity;
using namespace serenity::detail;

namespace {

/// The largest graph that the exact search compiles bit masks for.
constexpr int32_t kMaxSearchNodes = 2048;

class Solver {
public:
  Solver(const Problem &problem, const SchedulerOptions &options)
      : problem(problem), options(options),
        startTime(std::chrono::steady_clock::now()) {}

  ScheduleResult run() {
    Graph graph = buildGraph(problem);
    raiseBound(operationFootprintBound(problem), "operation-footprint");

    std::vector<NodeId> topo = topologicalOrder(graph);
    std::vector<OpId> given =
        options.givenOrder.empty() ? topo : options.givenOrder;
    std::vector<int32_t> cuts = findCuts(graph, topo);
    bestOrder = given;
    bestPeaks = partPeaks(graph, given, cuts);
    int64_t givenPeak = maximum(bestPeaks);
    if (!isSolved() || options.variant) {
      considerHeuristics(graph, topo, cuts);
      solveParts(graph, topo, cuts);
    }
    if (options.variant) {
      diversify(graph, topo, cuts);
    }

    ScheduleResult result;
    result.order = std::move(bestOrder);
    if (!options.variant && givenPeak <= maximum(bestPeaks)) {
      result.order = std::move(given);
    }
    result.peakBytes = simulate(problem, result.order).peakBytes;
    result.lowerBoundBytes = std::min(lowerBound, result.peakBytes);
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

  bool isSolved() const { return maximum(bestPeaks) <= lowerBound; }

  bool shouldStop(int64_t states, int64_t bound) {
    if (isInterrupted || elapsed() > options.timeLimitSeconds) {
      return true;
    }
    if (options.onProgress) {
      ScheduleProgress progress;
      progress.states = numStates + states;
      progress.lowerBoundBytes = std::max(lowerBound, bound);
      progress.incumbentBytes = maximum(bestPeaks);
      progress.seconds = elapsed();
      if (!options.onProgress(progress)) {
        isInterrupted = true;
        return true;
      }
    }
    return false;
  }

  /// Parts are separated by forced cuts, so each of them takes the same steps
  /// in every order.
  static std::vector<int64_t> partPeaks(const Graph &graph,
                                        const std::vector<NodeId> &order,
                                        const std::vector<int32_t> &cuts) {
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
  void consider(const Graph &graph, const std::vector<NodeId> &order,
                const std::vector<int32_t> &cuts) {
    std::vector<int64_t> peaks = partPeaks(graph, order, cuts);
    for (size_t p = 0; p < cuts.size(); ++p) {
      if (peaks[p] < bestPeaks[p]) {
        size_t end = p + 1 < cuts.size() ? cuts[p + 1] : order.size();
        std::copy(order.begin() + cuts[p], order.begin() + end,
                  bestOrder.begin() + cuts[p]);
        bestPeaks[p] = peaks[p];
      }
    }
  }

  void considerHeuristics(const Graph &graph, const std::vector<NodeId> &topo,
                          const std::vector<int32_t> &cuts) {
    consider(graph, topo, cuts);
    consider(graph, depthFirstOrder(graph), cuts);
    consider(graph, breadthFirstOrder(graph), cuts);
    consider(graph, leastGrowthOrder(graph), cuts);
    consider(graph, lowestPeakOrder(graph), cuts);
    consider(graph, postOrder(graph), cuts);
  }

  void solveParts(const Graph &graph, const std::vector<NodeId> &topo,
                  const std::vector<int32_t> &cuts) {
    if (isSolved()) {
      return;
    }
    std::vector<Part> parts = extractParts(graph, topo, cuts);
    // The part with the highest peak first: what is proved for it lets most of
    // the others pass without search.
    std::vector<size_t> sequence(parts.size());
    std::iota(sequence.begin(), sequence.end(), size_t(0));
    std::stable_sort(sequence.begin(), sequence.end(), [&](size_t a, size_t b) {
      return bestPeaks[a] > bestPeaks[b];
    });
    for (const Part &part : parts) {
      raiseBound(footprintBound(part.graph), "operation-footprint");
    }
    for (size_t p : sequence) {
      if (bestPeaks[p] <= lowerBound) {
        continue;
      }
      Part &part = parts[p];
      std::vector<NodeId> local(part.nodes.size());
      std::vector<NodeId> incumbent;
      for (size_t i = 0; i < part.nodes.size(); ++i) {
        NodeId v = bestOrder[cuts[p] + i];
        incumbent.push_back(static_cast<NodeId>(
            std::lower_bound(part.nodes.begin(), part.nodes.end(), v) -
            part.nodes.begin()));
      }
      std::vector<NodeId> order = solveReduced(part.graph, incumbent, 0);
      int64_t peak = evaluate(part.graph, order);
      if (peak < bestPeaks[p]) {
        bestPeaks[p] = peak;
        for (size_t i = 0; i < order.size(); ++i) {
          bestOrder[cuts[p] + i] = part.nodes[order[i]];
        }
      }
    }
  }

  /// An order of `graph` at most as high as `incumbent`. With `seed`: any order
  /// within the bound, chosen by it.
  std::vector<NodeId> solveReduced(const Graph &graph,
                                   const std::vector<NodeId> &incumbent,
                                   uint64_t seed) {
    Graph reduced = graph;
    reduce(reduced, ReductionOptions());
    std::vector<NodeId> order;
    for (NodeId v : incumbent) {
      if (reduced.isAlive(v)) {
        order.push_back(v);
      }
    }
    std::vector<NodeId> topo = topologicalOrder(reduced);
    std::vector<int32_t> cuts = findCuts(reduced, topo);
    std::vector<Part> parts = extractParts(reduced, topo, cuts);
    for (size_t p = 0; p < parts.size(); ++p) {
      const Part &part = parts[p];
      std::vector<NodeId> local;
      for (size_t i = 0; i < part.nodes.size(); ++i) {
        NodeId v = order[cuts[p] + i];
        local.push_back(static_cast<NodeId>(
            std::lower_bound(part.nodes.begin(), part.nodes.end(), v) -
            part.nodes.begin()));
      }
      local = search(part.graph, local, seed);
      for (size_t i = 0; i < local.size(); ++i) {
        order[cuts[p] + i] = part.nodes[local[i]];
      }
    }
    return expandOrder(reduced, order);
  }

  std::vector<NodeId> search(const Graph &graph, std::vector<NodeId> best,
                             uint64_t seed) {
    int64_t bestPeak = evaluate(graph, best);
    raiseBound(footprintBound(graph), "operation-footprint");
    auto consider = [&](std::vector<NodeId> order) {
      int64_t peak = evaluate(graph, order);
      if (peak < bestPeak) {
        best = std::move(order);
        bestPeak = peak;
      }
    };
    if (!seed && bestPeak > lowerBound) {
      consider(leastGrowthOrder(graph));
      consider(lowestPeakOrder(graph));
      consider(postOrder(graph));
    }
    if (!seed && bestPeak > lowerBound) {
      LiveCutOptions cutOptions;
      cutOptions.target = bestPeak;
      cutOptions.shouldStop = [&] { return shouldStop(0, 0); };
      raiseBound(liveCutBound(graph, cutOptions), "live-cut");
    }
    if ((!seed && bestPeak <= lowerBound) || graph.size() > kMaxSearchNodes ||
        options.timeLimitSeconds <= 0) {
      return best;
    }
    SearchOptions searchOptions;
    searchOptions.lowerBound = lowerBound;
    searchOptions.upperBound = bestPeak;
    searchOptions.memoryLimitBytes = options.memoryLimitBytes;
    searchOptions.seed = seed;
    if (seed) {
      searchOptions.lowerBound = std::max(lowerBound, maximum(bestPeaks));
      searchOptions.upperBound = searchOptions.lowerBound + 1;
    }
    if (options.stateLimit > 0) {
      searchOptions.stateLimit =
          std::max<int64_t>(1, options.stateLimit - numStates);
    }
    searchOptions.shouldStop = [&](int64_t states, int64_t bound) {
      return shouldStop(states, bound);
    };
    SearchResult result = searchExact(graph, searchOptions);
    numStates += result.states;
    if (!seed) {
      raiseBound(result.lowerBound, "search");
    }
    if (result.status == SearchResult::Status::Found) {
      best = std::move(result.order);
    }
    return best;
  }

  /// Replaces every part by another order within the peak found.
  void diversify(const Graph &graph, const std::vector<NodeId> &topo,
                 const std::vector<int32_t> &cuts) {
    std::vector<Part> parts = extractParts(graph, topo, cuts);
    int64_t peak = maximum(bestPeaks);
    for (size_t p = 0; p < parts.size(); ++p) {
      const Part &part = parts[p];
      std::vector<NodeId> incumbent;
      for (size_t i = 0; i < part.nodes.size(); ++i) {
        NodeId v = bestOrder[cuts[p] + i];
        incumbent.push_back(static_cast<NodeId>(
            std::lower_bound(part.nodes.begin(), part.nodes.end(), v) -
            part.nodes.begin()));
      }
      std::vector<NodeId> order = solveReduced(
          part.graph, incumbent, options.variant * 1000003 + p + 1);
      if (evaluate(part.graph, order) <= peak) {
        for (size_t i = 0; i < order.size(); ++i) {
          bestOrder[cuts[p] + i] = part.nodes[order[i]];
        }
      }
    }
  }

  const Problem &problem;
  const SchedulerOptions &options;
  std::chrono::steady_clock::time_point startTime;
  std::vector<NodeId> bestOrder;
  std::vector<int64_t> bestPeaks; // per part
  int64_t lowerBound = -1;
  const char *provedBy = "";
  int64_t numStates = 0;
  bool isInterrupted = false;
};

} // namespace

ScheduleResult serenity::schedule(const Problem &problem,
                                  const SchedulerOptions &options) {
  return Solver(problem, options).run();
}

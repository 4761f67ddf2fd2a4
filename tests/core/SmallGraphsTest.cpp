// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// SmallGraphsTest [one in] [seed]: every dataflow graph of up to 7 operations,
// up to isomorphism, against brute force over all orders. Sizes, in-place
// relations, inputs, outputs and workspace are drawn at random. `one in` = n
// takes every n-th graph of 7 operations, for runs under sanitizers.

#include "serenity/Core/Scheduling/Scheduler.h"
#include "serenity/Core/Scheduling/Simulator.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace serenity;

namespace {

constexpr int kMaxOps = 7;

/// Directed acyclic graphs of 1 to 7 unlabelled nodes (OEIS A003087).
constexpr unsigned kNumGraphs[] = {0, 1, 2, 6, 31, 302, 5984, 243668};

/// Predecessors of each operation as bits; the operations are in topological
/// order.
struct Graph {
  int numOps = 0;
  unsigned before[kMaxOps] = {};
};

Graph makeGraph(int numOps, unsigned edges) {
  Graph graph;
  graph.numOps = numOps;
  for (int o = 1; o < numOps; ++o) {
    graph.before[o] = edges & ((1u << o) - 1);
    edges >>= o;
  }
  return graph;
}

/// Whether no other topological order of the graph makes its rows smaller, so
/// that one numbering of each graph passes. `place` maps the operations that
/// have been renumbered; the rows before the current one are equal.
bool isSmallest(const Graph &graph, unsigned done, int count,
                int (&place)[kMaxOps]) {
  for (int o = 0; o < graph.numOps; ++o) {
    if ((done >> o & 1) || (graph.before[o] & ~done)) {
      continue;
    }
    unsigned row = 0;
    for (int p = 0; p < graph.numOps; ++p) {
      row |= graph.before[o] >> p & 1 ? 1u << place[p] : 0;
    }
    if (row < graph.before[count]) {
      return false;
    }
    if (row > graph.before[count]) {
      continue;
    }
    place[o] = count;
    if (!isSmallest(graph, done | 1u << o, count + 1, place)) {
      return false;
    }
  }
  return true;
}

/// Least peak over all orders, from the definition of liveness. Orders are
/// enumerated one by one: nothing is shared with a search over states.
class BruteForce {
public:
  explicit BruteForce(const Problem &problem)
      : problem(problem), users(problem.buffers.size(), 0),
        before(problem.operations.size(), 0) {
    for (size_t o = 0; o < before.size(); ++o) {
      for (BufferId b : problem.operations[o].uses) {
        users[b] |= 1u << o;
      }
      for (OpId p : problem.operations[o].after) {
        before[o] |= 1u << p;
      }
    }
  }

  int64_t leastPeak() {
    best = INT64_MAX;
    visit(0, 0);
    return best;
  }

private:
  void visit(unsigned done, int64_t peak) {
    if (done + 1 == 1u << before.size()) {
      best = std::min(best, peak);
      return;
    }
    for (size_t o = 0; o < before.size(); ++o) {
      if (!(done >> o & 1) && !(before[o] & ~done)) {
        int64_t live = std::max(peak, liveBytes(done, o));
        if (live < best) {
          visit(done | 1u << o, live);
        }
      }
    }
  }

  int64_t liveBytes(unsigned done, size_t current) const {
    int64_t live = problem.operations[current].workspaceBytes;
    for (size_t b = 0; b < users.size(); ++b) {
      const Buffer &buffer = problem.buffers[b];
      bool hasBegun = buffer.liveIn || (users[b] & (done | 1u << current));
      bool isNeeded = buffer.liveOut || (users[b] & ~done);
      live += hasBegun && isNeeded ? buffer.bytes : 0;
    }
    return live;
  }

  const Problem &problem;
  std::vector<unsigned> users;
  std::vector<unsigned> before;
  int64_t best = 0;
};

/// Counts the outcomes of random choices: the test fails without any.
struct Coverage {
  int64_t problems = 0;
  int64_t inPlace = 0;
  int64_t optimumBelowHeuristics = 0;
  int64_t provedBySearch = 0;
};

class Generator {
public:
  explicit Generator(unsigned seed) : random(seed) {}

  /// Operation o writes a value and reads those of its predecessors. It may
  /// overwrite one of them in place, after the other readers of that value,
  /// whatever their numbers, if that makes no cycle.
  Problem make(const Graph &graph, Coverage &coverage) {
    const int numOps = graph.numOps;
    Problem problem;
    int largest = range(0, 3) == 0 ? 2 : 100;
    int64_t unit = range(0, 7) == 0 ? int64_t(1) << 33 : 1;
    bool hasWorkspace = range(0, 3) == 0;
    int inPlacePercent = 25 * range(0, 2);
    std::vector<unsigned> after(graph.before, graph.before + numOps);
    std::vector<BufferId> resultOf(numOps);
    unsigned overwritten = 0;
    bool isAnyInPlace = false;
    for (int o = 0; o < numOps; ++o) {
      int source = -1;
      for (int p = 0; p < o && source < 0; ++p) {
        if ((graph.before[o] >> p & 1) && !(overwritten >> p & 1) &&
            range(0, 99) < inPlacePercent) {
          unsigned others = 0;
          for (int reader = p + 1; reader < numOps; ++reader) {
            others |= graph.before[reader] >> p & 1 ? 1u << reader : 0;
          }
          others &= ~(1u << o);
          if (!(others & descendants(after, o))) {
            after[o] |= others;
            source = p;
          }
        }
      }
      if (source >= 0) {
        overwritten |= 1u << source;
        resultOf[o] = resultOf[source];
        isAnyInPlace = true;
        continue;
      }
      Buffer buffer;
      buffer.bytes = range(0, largest) * unit;
      buffer.liveOut = range(0, 9) == 0;
      buffer.liveIn = range(0, 19) == 0;
      resultOf[o] = static_cast<BufferId>(problem.buffers.size());
      problem.buffers.push_back(buffer);
    }
    BufferId input = -1;
    if (range(0, 2) == 0) {
      Buffer buffer;
      buffer.bytes = range(0, largest) * unit;
      buffer.liveIn = true;
      input = static_cast<BufferId>(problem.buffers.size());
      problem.buffers.push_back(buffer);
    }
    for (int o = 0; o < numOps; ++o) {
      Operation op;
      op.uses.push_back(resultOf[o]);
      for (int p = 0; p < numOps; ++p) {
        if ((graph.before[o] >> p & 1) &&
            std::find(op.uses.begin(), op.uses.end(), resultOf[p]) ==
                op.uses.end()) {
          op.uses.push_back(resultOf[p]);
        }
        if (after[o] >> p & 1) {
          op.after.push_back(p);
        }
      }
      if (input >= 0 && !graph.before[o]) {
        op.uses.push_back(input);
      }
      op.workspaceBytes =
          hasWorkspace && range(0, 2) == 0 ? range(0, largest) * unit : 0;
      problem.operations.push_back(op);
    }
    ++coverage.problems;
    coverage.inPlace += isAnyInPlace;
    return problem;
  }

private:
  int range(int low, int high) {
    return low + static_cast<int>(random() % (high - low + 1));
  }

  /// The operations that come after `op`, as bits.
  static unsigned descendants(const std::vector<unsigned> &after, int op) {
    unsigned found = 1u << op;
    for (unsigned old = 0; old != found;) {
      old = found;
      for (size_t o = 0; o < after.size(); ++o) {
        found |= after[o] & found ? 1u << o : 0;
      }
    }
    return found & ~(1u << op);
  }

  std::mt19937 random;
};

bool test(const Graph &graph, unsigned edges, unsigned seed,
          Coverage &coverage) {
  Problem problem =
      Generator(seed ^ (edges << 3 | graph.numOps)).make(graph, coverage);
  if (Status status = verifyProblem(problem); !status) {
    std::printf("%d operations, edges %#x: %s\n", graph.numOps, edges,
                status.message().c_str());
    return false;
  }
  int64_t expected = BruteForce(problem).leastPeak();
  for (bool isSearchAlone : {false, true}) {
    SchedulerOptions options;
    if (isSearchAlone) {
      options.switches.heuristics = false;
      options.switches.footprintBound = false;
      options.switches.liveCutBound = false;
      // Half of them without anything but the search.
      if (edges & 1) {
        options.switches.cutPoints = false;
        options.switches.modules = false;
      }
    } else {
      ScheduleResult simple = [&] {
        SchedulerOptions limited;
        limited.timeLimitSeconds = 0;
        return schedule(problem, limited);
      }();
      if (simple.peakBytes < expected || simple.lowerBoundBytes > expected) {
        std::printf("%d operations, edges %#x: heuristics give %lld, bounds "
                    "%lld, but the optimum is %lld\n",
                    graph.numOps, edges,
                    static_cast<long long>(simple.peakBytes),
                    static_cast<long long>(simple.lowerBoundBytes),
                    static_cast<long long>(expected));
        return false;
      }
      coverage.optimumBelowHeuristics += simple.peakBytes > expected;
    }
    ScheduleResult result = schedule(problem, options);
    Status status = verifySchedule(problem, result.order);
    if (!status || result.peakBytes != expected || !result.optimal ||
        simulate(problem, result.order).peakBytes != expected) {
      std::printf("%d operations, edges %#x, %s: expected %lld, got %lld "
                  "(bound %lld, optimal %d, %s) %s\n",
                  graph.numOps, edges, isSearchAlone ? "search alone" : "all",
                  static_cast<long long>(expected),
                  static_cast<long long>(result.peakBytes),
                  static_cast<long long>(result.lowerBoundBytes),
                  result.optimal, result.provedBy.c_str(),
                  status.message().c_str());
      return false;
    }
    coverage.provedBySearch += result.provedBy == "search";
  }
  return true;
}

} // namespace

int main(int argc, char **argv) {
  unsigned oneIn = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1;
  unsigned seed = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1;
  if (oneIn == 0) {
    std::fprintf(stderr, "usage: %s [one in] [seed]\n", argv[0]);
    return 2;
  }
  Coverage coverage;
  for (int numOps = 1; numOps <= kMaxOps; ++numOps) {
    unsigned numGraphs = 0;
    for (unsigned edges = 0; edges < 1u << numOps * (numOps - 1) / 2; ++edges) {
      Graph graph = makeGraph(numOps, edges);
      int place[kMaxOps] = {};
      if (!isSmallest(graph, 0, 0, place)) {
        continue;
      }
      bool isTaken = numOps < kMaxOps || numGraphs % oneIn == seed % oneIn;
      ++numGraphs;
      if (isTaken && !test(graph, edges, seed, coverage)) {
        return 1;
      }
    }
    if (numGraphs != kNumGraphs[numOps]) {
      std::printf("%u graphs of %d operations instead of %u\n", numGraphs,
                  numOps, kNumGraphs[numOps]);
      return 1;
    }
  }
  std::printf("%lld problems agree with brute force: %lld with operations in "
              "place, %lld beyond the heuristics, %lld proved by search\n",
              static_cast<long long>(coverage.problems),
              static_cast<long long>(coverage.inPlace),
              static_cast<long long>(coverage.optimumBelowHeuristics),
              static_cast<long long>(coverage.provedBySearch));
  if (coverage.inPlace * 4 < coverage.problems ||
      coverage.optimumBelowHeuristics == 0 || coverage.provedBySearch == 0) {
    std::printf("the problems are too easy to show anything\n");
    return 1;
  }
  return 0;
}

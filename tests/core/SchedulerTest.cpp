// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Random problems against brute force: SchedulerTest [problems] [first seed].
// Meant for long runs and sanitizers; pytest covers the same through Python.

#include "serenity/Core/Scheduler.h"
#include "serenity/Core/Simulator.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

using namespace serenity;

namespace {

/// Least peak over all orders, from the definition of liveness.
int64_t leastPeak(const Problem &problem) {
  int numOps = static_cast<int>(problem.operations.size());
  std::vector<unsigned> users(problem.buffers.size(), 0);
  std::vector<unsigned> before(numOps, 0);
  for (int o = 0; o < numOps; ++o) {
    for (BufferId b : problem.operations[o].uses) {
      users[b] |= 1u << o;
    }
    for (OpId pred : problem.operations[o].after) {
      before[o] |= 1u << pred;
    }
  }
  std::vector<int64_t> best(size_t(1) << numOps, INT64_MAX);
  best[0] = 0;
  for (unsigned done = 0; done + 1 < best.size(); ++done) {
    if (best[done] == INT64_MAX) {
      continue;
    }
    for (int o = 0; o < numOps; ++o) {
      if ((done >> o & 1) || (before[o] & ~done)) {
        continue;
      }
      int64_t live = problem.operations[o].workspaceBytes;
      for (size_t b = 0; b < users.size(); ++b) {
        const Buffer &buffer = problem.buffers[b];
        bool hasBegun = buffer.liveIn || (users[b] & (done | 1u << o));
        bool hasEnded = !buffer.liveOut && !(users[b] & ~done);
        bool isLive =
            users[b] ? hasBegun && !hasEnded : buffer.liveIn || buffer.liveOut;
        live += isLive ? buffer.bytes : 0;
      }
      unsigned next = done | 1u << o;
      best[next] = std::min(best[next], std::max(best[done], live));
    }
  }
  return best.back();
}

class Generator {
public:
  explicit Generator(unsigned seed) : random(seed) {}

  Problem make() {
    problem = Problem();
    largest = range(0, 2) == 0 ? 3 : 100;
    switch (range(0, 2)) {
    case 0:
      makeArbitrary();
      break;
    case 1:
      makeDataflow();
      break;
    default:
      makeNested();
      break;
    }
    return problem;
  }

private:
  int range(int low, int high) {
    return low + static_cast<int>(random() % (high - low + 1));
  }

  static void addOnce(std::vector<int32_t> &values, int32_t value) {
    if (std::find(values.begin(), values.end(), value) == values.end()) {
      values.push_back(value);
    }
  }

  BufferId addBuffer() {
    Buffer buffer;
    buffer.bytes = range(0, largest);
    buffer.liveIn = range(0, 9) == 0;
    buffer.liveOut = range(0, 9) == 0;
    problem.buffers.push_back(buffer);
    return static_cast<BufferId>(problem.buffers.size()) - 1;
  }

  /// Uses that have nothing to do with the edges.
  void makeArbitrary() {
    int numOps = range(1, 10);
    int numBuffers = range(1, 12);
    int density = range(5, 60);
    for (int b = 0; b < numBuffers; ++b) {
      addBuffer();
    }
    for (int o = 0; o < numOps; ++o) {
      Operation op;
      op.workspaceBytes = range(0, 3) == 0 ? range(0, largest) : 0;
      for (int p = 0; p < o; ++p) {
        if (range(0, 99) < density) {
          op.after.push_back(p);
        }
      }
      for (int b = 0; b < numBuffers; ++b) {
        if (range(0, 99) < 30) {
          op.uses.push_back(b);
        }
      }
      problem.operations.push_back(op);
    }
  }

  /// Results that are read, some overwritten in place.
  void makeDataflow() {
    int numOps = range(1, 10);
    std::vector<BufferId> resultOf;
    for (int o = 0; o < numOps; ++o) {
      Operation op;
      std::vector<int> operands;
      for (int p = std::max(0, o - range(1, 5)); p < o; ++p) {
        if (range(0, 2) == 0) {
          operands.push_back(p);
        }
      }
      bool isInPlace = !operands.empty() && range(0, 2) == 0;
      BufferId result = isInPlace ? resultOf[operands[0]] : addBuffer();
      addOnce(op.uses, result);
      for (int p : operands) {
        addOnce(op.uses, resultOf[p]);
        addOnce(op.after, p);
      }
      // Whoever touched a buffer before comes before its overwriter, and the
      // overwriter before whoever reads the new value.
      for (int p = 0; p < o; ++p) {
        const std::vector<BufferId> &uses = problem.operations[p].uses;
        bool touchesResult =
            std::find(uses.begin(), uses.end(), result) != uses.end();
        bool writesOperand = std::find(op.uses.begin(), op.uses.end(),
                                       resultOf[p]) != op.uses.end();
        if ((isInPlace && touchesResult) || writesOperand) {
          addOnce(op.after, p);
        }
      }
      resultOf.push_back(result);
      problem.operations.push_back(op);
    }
  }

  OpId addReader(const std::vector<OpId> &operands) {
    Operation op;
    for (OpId p : operands) {
      addOnce(op.after, p);
      addOnce(op.uses, problem.operations[p].uses.back());
    }
    Buffer buffer;
    buffer.bytes = range(1, largest);
    problem.buffers.push_back(buffer);
    op.uses.push_back(static_cast<BufferId>(problem.buffers.size()) - 1);
    op.workspaceBytes = range(0, 4) == 0 ? range(0, largest) : 0;
    problem.operations.push_back(op);
    return static_cast<OpId>(problem.operations.size()) - 1;
  }

  /// Modules with one entry and one exit beside other operations.
  void makeNested() {
    OpId source = addReader({});
    std::vector<OpId> ends;
    int numModules = range(1, 2);
    for (int m = 0; m < numModules; ++m) {
      OpId entry = addReader({source});
      std::vector<OpId> inner;
      std::vector<char> isRead;
      int numInner = range(2, 3);
      for (int i = 0; i < numInner; ++i) {
        std::vector<OpId> operands;
        for (size_t k = 0; k < inner.size(); ++k) {
          if (range(0, 2) == 0) {
            operands.push_back(inner[k]);
            isRead[k] = 1;
          }
        }
        if (operands.empty() || range(0, 2) == 0) {
          operands.push_back(entry);
        }
        inner.push_back(addReader(operands));
        isRead.push_back(0);
      }
      std::vector<OpId> sinks;
      for (size_t k = 0; k < inner.size(); ++k) {
        if (!isRead[k]) {
          sinks.push_back(inner[k]);
        }
      }
      ends.push_back(addReader(sinks));
    }
    int numOthers = range(0, 2);
    OpId last = source;
    for (int i = 0; i < numOthers; ++i) {
      last = addReader({range(0, 1) ? last : source});
    }
    if (numOthers > 0) {
      ends.push_back(last);
    }
    addReader(ends);
  }

  std::mt19937 random;
  Problem problem;
  int largest = 1;
};

bool test(unsigned seed) {
  Problem problem = Generator(seed).make();
  if (std::optional<std::string> error = check(problem)) {
    std::printf("seed %u: %s\n", seed, error->c_str());
    return false;
  }
  int64_t expected = leastPeak(problem);
  for (int run = 0; run < 5; ++run) {
    SchedulerOptions options;
    options.variant = run == 1 || run == 2 ? run : 0;
    if (run >= 3) {
      // Leave all to search and modules, or to the search alone.
      options.switches.heuristics = false;
      options.switches.footprintBound = false;
      options.switches.liveCutBound = false;
      options.switches.modules = run == 3;
    }
    ScheduleResult result = schedule(problem, options);
    std::optional<std::string> error = verifyOrder(problem, result.order);
    if (error || result.peakBytes != expected || !result.optimal ||
        simulate(problem, result.order).peakBytes != expected) {
      std::printf("seed %u, run %d: expected %lld, got %lld (bound %lld, "
                  "optimal %d, %s) %s\n",
                  seed, run, static_cast<long long>(expected),
                  static_cast<long long>(result.peakBytes),
                  static_cast<long long>(result.lowerBoundBytes),
                  result.optimal, result.provedBy.c_str(),
                  error ? error->c_str() : "");
      return false;
    }
  }
  return true;
}

} // namespace

int main(int argc, char **argv) {
  unsigned count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 3000;
  unsigned first = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1;
  for (unsigned seed = first; seed < first + count; ++seed) {
    if (!test(seed)) {
      return 1;
    }
  }
  std::printf("%u problems agree with brute force\n", count);
  return 0;
}

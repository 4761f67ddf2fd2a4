// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TESTS_CORE_RANDOMPROBLEM_H
#define SERENITY_TESTS_CORE_RANDOMPROBLEM_H

#include "serenity/Core/Scheduling/Problem.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace serenity::test {

/// Random problems of three kinds: arbitrary uses, dataflow with values that
/// are overwritten in place, and nested modules. Equal seeds give equal
/// problems.
class RandomProblem {
public:
  /// The first two kinds have up to `maxOps` operations, the third up to 14.
  RandomProblem(uint64_t seed, int maxOps) : random(seed), maxOps(maxOps) {}

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
    int numOps = range(maxOps > 10 ? 11 : 1, maxOps);
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
    int numOps = range(maxOps > 10 ? 11 : 1, maxOps);
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

  std::mt19937_64 random;
  int maxOps;
  Problem problem;
  int largest = 1;
};

} // namespace serenity::test

#endif // SERENITY_TESTS_CORE_RANDOMPROBLEM_H

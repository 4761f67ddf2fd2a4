// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/Problem.h"

#include <algorithm>
#include <cstddef>
#include <limits>

using namespace serenity;

namespace {

std::string describe(const char *kind, const std::string &name, size_t index) {
  std::string text = std::string(kind) + " ";
  if (name.empty()) {
    return text + "#" + std::to_string(index);
  }
  return text + "'" + name + "' (#" + std::to_string(index) + ")";
}

/// Adds `bytes` (not negative) to `total`; false if the sum leaves int64.
bool addChecked(int64_t &total, int64_t bytes) {
  if (bytes > std::numeric_limits<int64_t>::max() - total) {
    return false;
  }
  total += bytes;
  return true;
}

/// Names a few operations of one cycle among those that Kahn's algorithm left
/// over. Every one of them has an unfinished predecessor, so walking backwards
/// must come around.
std::string describeCycle(const Problem &problem,
                          const std::vector<char> &isDone) {
  size_t numOps = problem.operations.size();
  size_t start = 0;
  while (isDone[start]) {
    ++start;
  }
  std::vector<int64_t> visitedAt(numOps, -1);
  std::vector<size_t> walk;
  size_t current = start;
  while (visitedAt[current] < 0) {
    visitedAt[current] = static_cast<int64_t>(walk.size());
    walk.push_back(current);
    for (OpId pred : problem.operations[current].after) {
      if (!isDone[pred]) {
        current = static_cast<size_t>(pred);
        break;
      }
    }
  }
  std::vector<size_t> cycle(walk.begin() + visitedAt[current], walk.end());
  std::string text =
      "cycle of " + std::to_string(cycle.size()) + " operation(s) in 'after': ";
  constexpr size_t kMaxNamed = 6;
  for (size_t i = 0; i < std::min(cycle.size(), kMaxNamed); ++i) {
    text += describe("operation", problem.operations[cycle[i]].name, cycle[i]);
    text += " after ";
  }
  if (cycle.size() > kMaxNamed) {
    return text + "...";
  }
  return text +
         describe("operation", problem.operations[cycle[0]].name, cycle[0]);
}

} // namespace

Status serenity::verifyProblem(const Problem &problem) {
  size_t numBuffers = problem.buffers.size();
  size_t numOps = problem.operations.size();
  size_t maxIndex = static_cast<size_t>(std::numeric_limits<int32_t>::max());
  if (numBuffers > maxIndex || numOps > maxIndex) {
    return Status::failure("more than 2^31-1 buffers or operations");
  }

  // Every sum that a solver forms is a sum of distinct sizes, so this one check
  // rules out overflow everywhere.
  int64_t total = 0;
  for (size_t b = 0; b < numBuffers; ++b) {
    const Buffer &buffer = problem.buffers[b];
    if (buffer.bytes < 0) {
      return Status::failure(describe("buffer", buffer.name, b) +
                             ": negative size " + std::to_string(buffer.bytes));
    }
    if (!addChecked(total, buffer.bytes)) {
      return Status::failure(describe("buffer", buffer.name, b) +
                             ": the total of all sizes exceeds 2^63-1");
    }
  }

  // The last operation that named an index, to find duplicates in linear time.
  std::vector<size_t> usedBy(numBuffers, numOps);
  std::vector<size_t> namedBy(numOps, numOps);
  std::vector<std::vector<OpId>> successors(numOps);
  std::vector<size_t> numPending(numOps, 0);
  for (size_t o = 0; o < numOps; ++o) {
    const Operation &op = problem.operations[o];
    auto where = [&] { return describe("operation", op.name, o); };
    if (op.workspaceBytes < 0) {
      return Status::failure(where() + ": negative workspace size " +
                             std::to_string(op.workspaceBytes));
    }
    if (!addChecked(total, op.workspaceBytes)) {
      return Status::failure(where() +
                             ": the total of all sizes exceeds 2^63-1");
    }
    for (BufferId b : op.uses) {
      if (b < 0 || static_cast<size_t>(b) >= numBuffers) {
        return Status::failure(where() + ": 'uses' has index " +
                               std::to_string(b) + ", but there are " +
                               std::to_string(numBuffers) + " buffers");
      }
      if (usedBy[b] == o) {
        return Status::failure(where() + ": 'uses' names " +
                               describe("buffer", problem.buffers[b].name, b) +
                               " twice");
      }
      usedBy[b] = o;
    }
    for (OpId pred : op.after) {
      if (pred < 0 || static_cast<size_t>(pred) >= numOps) {
        return Status::failure(where() + ": 'after' has index " +
                               std::to_string(pred) + ", but there are " +
                               std::to_string(numOps) + " operations");
      }
      if (static_cast<size_t>(pred) == o) {
        return Status::failure(where() +
                               ": 'after' names the operation itself");
      }
      if (namedBy[pred] == o) {
        return Status::failure(
            where() + ": 'after' names " +
            describe("operation", problem.operations[pred].name, pred) +
            " twice");
      }
      namedBy[pred] = o;
      successors[pred].push_back(static_cast<OpId>(o));
    }
    numPending[o] = op.after.size();
  }

  std::vector<char> isDone(numOps, 0);
  std::vector<OpId> ready;
  for (size_t o = 0; o < numOps; ++o) {
    if (numPending[o] == 0) {
      ready.push_back(static_cast<OpId>(o));
    }
  }
  size_t numDone = 0;
  while (!ready.empty()) {
    OpId o = ready.back();
    ready.pop_back();
    isDone[o] = 1;
    ++numDone;
    for (OpId succ : successors[o]) {
      if (--numPending[succ] == 0) {
        ready.push_back(succ);
      }
    }
  }
  if (numDone != numOps) {
    return Status::failure(describeCycle(problem, isDone));
  }
  return Status::success();
}

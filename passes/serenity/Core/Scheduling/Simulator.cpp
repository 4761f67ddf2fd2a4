// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/Simulator.h"

#include <algorithm>
#include <cstddef>

using namespace serenity;

Simulation serenity::simulate(const Problem &problem,
                              const std::vector<OpId> &order) {
  Simulation result;
  int64_t numSteps = static_cast<int64_t>(order.size());
  result.liveBytes.assign(order.size(), 0);
  result.liveRanges.assign(problem.buffers.size(), LiveRange());

  for (int64_t step = 0; step < numSteps; ++step) {
    for (BufferId b : problem.operations[order[step]].uses) {
      LiveRange &range = result.liveRanges[b];
      if (range.first < 0) {
        range.first = step;
      }
      range.last = step;
    }
  }

  // change[t]: bytes that become live at step t less those that ended at t-1.
  std::vector<int64_t> change(order.size() + 1, 0);
  for (size_t b = 0; b < problem.buffers.size(); ++b) {
    const Buffer &buffer = problem.buffers[b];
    LiveRange &range = result.liveRanges[b];
    bool isTouched = range.first >= 0;
    if (!isTouched && !buffer.liveIn && !buffer.liveOut) {
      continue;
    }
    if (numSteps == 0) {
      // Nothing runs: there is no step to be live at.
      result.peakBytes += buffer.bytes;
      continue;
    }
    // A buffer that no operation touches has no first or last user to end its
    // life.
    if (!isTouched || buffer.liveIn) {
      range.first = 0;
    }
    if (!isTouched || buffer.liveOut) {
      range.last = numSteps - 1;
    }
    change[range.first] += buffer.bytes;
    change[range.last + 1] -= buffer.bytes;
  }

  int64_t live = 0;
  for (int64_t step = 0; step < numSteps; ++step) {
    live += change[step];
    result.liveBytes[step] =
        live + problem.operations[order[step]].workspaceBytes;
    result.peakBytes = std::max(result.peakBytes, result.liveBytes[step]);
  }
  return result;
}

Status serenity::verifySchedule(const Problem &problem,
                                const std::vector<OpId> &order) {
  size_t numOps = problem.operations.size();
  if (order.size() != numOps) {
    return Status::failure("the order has " + std::to_string(order.size()) +
                           " entries, but there are " + std::to_string(numOps) +
                           " operations");
  }
  std::vector<int64_t> position(numOps, -1);
  for (size_t step = 0; step < order.size(); ++step) {
    OpId o = order[step];
    if (o < 0 || static_cast<size_t>(o) >= numOps) {
      return Status::failure("step " + std::to_string(step) + " has index " +
                             std::to_string(o) + ", but there are " +
                             std::to_string(numOps) + " operations");
    }
    if (position[o] >= 0) {
      return Status::failure("operation #" + std::to_string(o) +
                             " appears at step " + std::to_string(position[o]) +
                             " and again at step " + std::to_string(step));
    }
    position[o] = static_cast<int64_t>(step);
  }
  for (size_t o = 0; o < numOps; ++o) {
    for (OpId pred : problem.operations[o].after) {
      if (position[pred] > position[o]) {
        return Status::failure("operation #" + std::to_string(o) + " ('" +
                               problem.operations[o].name + "') at step " +
                               std::to_string(position[o]) +
                               " precedes operation #" + std::to_string(pred) +
                               " ('" + problem.operations[pred].name +
                               "') at step " + std::to_string(position[pred]) +
                               ", which it must follow");
      }
    }
  }
  return Status::success();
}

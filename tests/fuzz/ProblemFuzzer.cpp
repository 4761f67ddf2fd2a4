// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Problems as they come from Python: any numbers at all. `verifyProblem`
// refuses them or the schedulers give a valid order.

#include "ByteSource.h"

#include "serenity/Core/Scheduling/Scheduler.h"
#include "serenity/Core/Scheduling/Simulator.h"

using namespace serenity;
using namespace serenity::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ByteSource source(data, size);
  SchedulerOptions options;
  options.algorithm = static_cast<Algorithm>(source.upTo(2));
  options.stateLimit = 300;
  options.seed = source.upTo(3);
  int64_t switches = source.byte();
  options.switches.modules = switches & 1;
  options.switches.heuristics = switches & 2;
  options.switches.liveCutBound = switches & 4;
  options.switches.delayReduction = switches & 8;
  options.switches.cutPoints = switches & 16;

  Problem problem;
  int64_t numBuffers = source.upTo(12);
  for (int64_t b = 0; b < numBuffers; ++b) {
    Buffer buffer;
    buffer.bytes = source.number();
    int64_t flags = source.byte();
    buffer.liveIn = flags % 8 == 0;
    buffer.liveOut = flags % 8 == 1;
    problem.buffers.push_back(buffer);
  }
  int64_t numOps = source.upTo(14);
  for (int64_t o = 0; o < numOps; ++o) {
    Operation op;
    int64_t numUses = source.upTo(4);
    for (int64_t i = 0; i < numUses; ++i) {
      // Now and then an index out of range; else most inputs would be refused.
      int64_t index = source.byte();
      op.uses.push_back(static_cast<BufferId>(
          index >= 250 ? index - 253 : index % (numBuffers + 1)));
    }
    int64_t numAfter = source.upTo(3);
    for (int64_t i = 0; i < numAfter; ++i) {
      int64_t index = source.byte();
      op.after.push_back(
          static_cast<OpId>(index >= 250 ? index - 253 : index % (o + 1)));
    }
    op.workspaceBytes = source.upTo(7) == 0 ? source.number() : 0;
    problem.operations.push_back(op);
  }
  if (!verifyProblem(problem)) {
    return 0;
  }
  ScheduleResult result = schedule(problem, options);
  require(bool(verifySchedule(problem, result.order)), "the order is valid");
  require(simulate(problem, result.order).peakBytes == result.peakBytes,
          "the peak is that of the order");
  require(result.lowerBoundBytes <= result.peakBytes, "bound <= peak");
  return 0;
}

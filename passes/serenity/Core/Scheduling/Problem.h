// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_PROBLEM_H
#define SERENITY_CORE_SCHEDULING_PROBLEM_H

#include "serenity/Core/Status.h"

#include <cstdint>
#include <string>
#include <vector>

namespace serenity {

/// Index of a buffer in `Problem::buffers`.
using BufferId = int32_t;
/// Index of an operation in `Problem::operations`.
using OpId = int32_t;

/// A piece of memory. It is live from its first to its last user inclusive;
/// from the start of the schedule if `liveIn`, to its end if `liveOut`.
struct Buffer {
  std::string name;
  int64_t bytes = 0;
  bool liveIn = false;
  bool liveOut = false;
};

/// A unit of execution. `uses` lists the buffers it touches (reads, writes or
/// updates in place) without duplicates; `after` the operations that must
/// precede it: its producers and, where it writes in place, the readers of the
/// value that it overwrites. `workspaceBytes` is live only during it.
struct Operation {
  std::string name;
  std::vector<BufferId> uses;
  std::vector<OpId> after;
  int64_t workspaceBytes = 0;
};

/// A minimum-peak scheduling problem: buffers and a precedence DAG.
struct Problem {
  std::vector<Buffer> buffers;
  std::vector<Operation> operations;
};

/// Fails if `problem` is not well formed (index out of range, duplicate entry
/// in `uses` or `after`, negative size, cycle, total size beyond int64); the
/// message names the operation or buffer.
Status verifyProblem(const Problem &problem);

} // namespace serenity

#endif // SERENITY_CORE_SCHEDULING_PROBLEM_H

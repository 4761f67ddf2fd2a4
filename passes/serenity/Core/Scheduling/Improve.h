// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_IMPROVE_H
#define SERENITY_CORE_SCHEDULING_IMPROVE_H

#include "serenity/Core/Scheduling/Graph.h"

#include <functional>
#include <optional>

namespace serenity::detail {

struct BeamOptions {
  /// States kept per number of executed nodes.
  int32_t width = 8;
  /// Children tried per state, those of least growth first.
  int32_t branching = 4;
  /// Only orders up to this peak are looked for.
  int64_t threshold = INT64_MAX;
  uint64_t seed = 0;
  /// Polled with the states expanded so far; true: give up.
  std::function<bool(int64_t states)> shouldStop;
};

struct BeamResult {
  /// Empty if the beam died out or was stopped.
  std::vector<NodeId> order;
  int64_t states = 0;
};

/// Beam search below a threshold: for every number of executed nodes the states
/// of least memory survive; forced moves are made on the way. The lower the
/// threshold, the sooner bad states die; the higher, the more moves are forced.
BeamResult beamSearch(const Graph &graph, const BeamOptions &options);

/// The nodes between positions `begin` and `end` of `order`, all that precedes
/// having run, as a problem of its own. `position` inverts `order`;
/// `liveBefore` is the memory before `begin`. `nodes[i]` of the parent becomes
/// node i.
Part extractWindow(const Graph &graph, const std::vector<NodeId> &order,
                   const std::vector<int32_t> &position, int32_t begin,
                   int32_t end, int64_t liveBefore);

} // namespace serenity::detail

#endif // SERENITY_CORE_SCHEDULING_IMPROVE_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_REDUCTIONS_H
#define SERENITY_CORE_SCHEDULING_REDUCTIONS_H

#include "serenity/Core/Scheduling/Graph.h"

namespace serenity::detail {

/// Which reductions to apply; see docs/scheduling.md for the proofs.
struct ReductionOptions {
  /// A node that never lowers memory, right before the first that needs it.
  bool delay = true;
  /// A node that never raises memory, right after the last that it needs.
  bool advance = true;
  /// Graphs of more nodes than this skip the rules that need the transitive
  /// closure.
  int32_t closureLimit = 16384;
};

/// Eliminates nodes from `graph` (recorded in `graph.eliminations`) such that
/// the least peak stays the same and every order of the remaining nodes expands
/// (`expandOrder`) to one of the same peak. Also drops edges that others imply.
void reduce(Graph &graph, const ReductionOptions &options);

} // namespace serenity::detail

#endif // SERENITY_CORE_SCHEDULING_REDUCTIONS_H

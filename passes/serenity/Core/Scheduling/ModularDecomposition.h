// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_MODULARDECOMPOSITION_H
#define SERENITY_CORE_SCHEDULING_MODULARDECOMPOSITION_H

#include "serenity/Core/Scheduling/Graph.h"

#include <functional>
#include <optional>

namespace serenity::detail {

struct DecompositionOptions {
  /// States per search within a module; a module that needs more is left alone.
  int64_t stateLimit = 4000;
  /// Larger graphs are not looked at.
  int32_t maxNodes = 1024;
  std::function<bool()> shouldStop;
  /// Incremented by the states expanded.
  int64_t *states = nullptr;
};

/// If `graph` falls into components that share no buffer, an order of least
/// peak of the whole; nothing if it does not, or if a component is too hard.
///
/// Since memory is submodular, every component has a sequence of segments that
/// no schedule of it can beat: down to its least memory through ever lower
/// valleys behind ever higher hills, and up from there like that in reverse
/// (Liu's hill-valley segments, which are thus not limited to trees). The
/// segments of all components are merged: falling ones by rising hill, then
/// rising ones by falling hill seen from the end.
std::optional<std::vector<NodeId>>
mergeComponents(const Graph &graph, const DecompositionOptions &options);

/// Finds nested single-entry/single-exit modules whose memory does not depend
/// on the nodes that run beside them, and fixes their inner order by adding
/// edges (which keeps the least peak). Returns whether edges were added.
bool linearizeModules(Graph &graph, const DecompositionOptions &options);

} // namespace serenity::detail

#endif // SERENITY_CORE_SCHEDULING_MODULARDECOMPOSITION_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_HEURISTICS_H
#define SERENITY_CORE_SCHEDULING_HEURISTICS_H

#include "serenity/Core/Scheduling/Graph.h"

namespace serenity::detail {

/// All of these return a topological order of the nodes that are not
/// eliminated and take time about linear in nodes, edges and touches.

/// Depth first: always a node made ready by the most recent one, the one with
/// the larger outputs first.
std::vector<NodeId> depthFirstOrder(const Graph &graph);
/// Breadth first (Kahn's order with a queue).
std::vector<NodeId> breadthFirstOrder(const Graph &graph);
/// Least growth first: the ready node with the least net change of memory.
/// `seed` other than 0 perturbs ties.
std::vector<NodeId> leastGrowthOrder(const Graph &graph, uint64_t seed = 0);
/// Lowest peak first: among the ready nodes that do not raise the peak so far
/// the one of least growth; if there is none, the one with the lowest step.
std::vector<NodeId> lowestPeakOrder(const Graph &graph, uint64_t seed = 0);
/// Post-order from the sinks: the operand whose subtree has the larger excess
/// of its peak over the memory it leaves comes first (Liu's and Sethi-Ullman's
/// rule, exact on trees).
std::vector<NodeId> postOrder(const Graph &graph);

} // namespace serenity::detail

#endif // SERENITY_CORE_SCHEDULING_HEURISTICS_H

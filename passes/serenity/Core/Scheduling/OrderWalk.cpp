// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/OrderWalk.h"

#include "serenity/Core/Scheduling/Simulator.h"

#include <algorithm>

namespace serenity {

OrderWalk::OrderWalk(const Problem &problem, std::vector<OpId> first,
                     uint64_t seed)
    : problem(problem), order(std::move(first)),
      successors(problem.operations.size()),
      position(problem.operations.size()),
      peakBytes(simulate(problem, order).peakBytes), state(seed) {
  for (size_t i = 0; i < problem.operations.size(); ++i) {
    for (OpId before : problem.operations[i].after) {
      successors[before].push_back(static_cast<OpId>(i));
    }
  }
  orderCost = *cost(order);
}

uint64_t OrderWalk::random() { // splitmix64
  state += 0x9e3779b97f4a7c15ull;
  uint64_t value = state;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

std::optional<double>
OrderWalk::cost(const std::vector<OpId> &candidate) const {
  const Simulation simulation = simulate(problem, candidate);
  if (simulation.peakBytes > peakBytes) {
    return std::nullopt;
  }
  double sum = 0;
  for (int64_t bytes : simulation.liveBytes) {
    const double fill = static_cast<double>(bytes) /
                        static_cast<double>(std::max<int64_t>(peakBytes, 1));
    const double cube = fill * fill * fill;
    sum += (bytes == peakBytes ? 1.0 : 0.0) + 0.05 * cube * cube;
  }
  return sum;
}

const std::vector<OpId> &OrderWalk::walk(int moves) {
  const size_t n = order.size();
  if (n < 2) {
    return order;
  }
  for (size_t i = 0; i < n; ++i) {
    position[order[i]] = i;
  }
  for (int move = 0; move < moves; ++move) {
    const size_t from = random() % n;
    const OpId operation = order[from];
    size_t lowest = 0;
    size_t highest = n - 1;
    for (OpId before : problem.operations[operation].after) {
      lowest = std::max(lowest, position[before] + 1);
    }
    for (OpId after : successors[operation]) {
      highest = std::min(highest, position[after] - 1);
    }
    const size_t to = lowest + random() % (highest - lowest + 1);
    // A square, so that small steps back are likelier than large ones.
    const double luck = static_cast<double>(random() >> 11) * 0x1p-53;
    const double patience = 2 * luck * luck;
    if (from == to) {
      continue;
    }
    std::vector<OpId> candidate = order;
    if (from < to) {
      std::rotate(candidate.begin() + from, candidate.begin() + from + 1,
                  candidate.begin() + to + 1);
    } else {
      std::rotate(candidate.begin() + to, candidate.begin() + from,
                  candidate.begin() + from + 1);
    }
    const std::optional<double> candidateCost = cost(candidate);
    if (!candidateCost || *candidateCost > orderCost + patience) {
      continue;
    }
    orderCost = *candidateCost;
    order = std::move(candidate);
    for (size_t i = std::min(from, to); i <= std::max(from, to); ++i) {
      position[order[i]] = i;
    }
  }
  return order;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_SCHEDULING_ORDERWALK_H
#define SERENITY_CORE_SCHEDULING_ORDERWALK_H

#include "serenity/Core/Scheduling/Problem.h"

#include <optional>

namespace serenity {

/// A random walk over the orders that need no more memory than the first one,
/// one operation moved at a time. It prefers orders in which memory is full at
/// few steps: those leave a packing the most freedom. The same seed gives the
/// same walk.
class OrderWalk {
public:
  /// `problem` must outlive the walk and `order` must be valid for it.
  OrderWalk(const Problem &problem, std::vector<OpId> order, uint64_t seed);

  /// Tries so many moves and returns the order reached. Linear in the problem
  /// per move.
  const std::vector<OpId> &walk(int moves);

private:
  /// Nothing if the order exceeds the peak.
  std::optional<double> cost(const std::vector<OpId> &candidate) const;
  uint64_t random();

  const Problem &problem;
  std::vector<OpId> order;
  std::vector<std::vector<OpId>> successors;
  std::vector<size_t> position; // scratch
  int64_t peakBytes;
  double orderCost;
  uint64_t state;
};

} // namespace serenity

#endif // SERENITY_CORE_SCHEDULING_ORDERWALK_H

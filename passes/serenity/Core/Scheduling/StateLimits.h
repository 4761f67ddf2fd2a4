// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Limits of searches that bound the time, not only the states.

#ifndef SERENITY_CORE_SCHEDULING_STATELIMITS_H
#define SERENITY_CORE_SCHEDULING_STATELIMITS_H

#include <algorithm>
#include <cstdint>

namespace serenity {

/// `states`, which is meant for up to 100 operations, for a graph of
/// `operations`: a state of a graph of n operations costs about n steps, and
/// there are more of them to try. Never scaled below 2,000.
inline int64_t scaledStates(int64_t states, int64_t operations) {
  constexpr int64_t fullUpTo = 100;
  constexpr int64_t leastStates = 2000;
  if (operations <= fullUpTo) {
    return states;
  }
  return std::max(states * fullUpTo / operations * fullUpTo / operations,
                  std::min(states, leastStates));
}

} // namespace serenity

#endif // SERENITY_CORE_SCHEDULING_STATELIMITS_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_ALIGNMENT_H
#define SERENITY_CORE_ALIGNMENT_H

#include <cstdint>

namespace serenity {

/// The least multiple of `alignment` (in bytes, positive) that is at least
/// `value`.
inline int64_t alignUp(int64_t value, int64_t alignment) {
  int64_t rest = value % alignment;
  if (rest == 0) {
    return value;
  }
  return value - rest + (rest > 0 ? alignment : 0);
}

} // namespace serenity

#endif // SERENITY_CORE_ALIGNMENT_H

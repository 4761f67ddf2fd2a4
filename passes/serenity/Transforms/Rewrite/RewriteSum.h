// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Sums of several tensors as accumulations, and the barriers between partial
// results.

#ifndef SERENITY_TRANSFORMS_REWRITE_REWRITESUM_H
#define SERENITY_TRANSFORMS_REWRITE_REWRITESUM_H

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Rewrite/RewriteOrder.h"

#include <map>
#include <vector>

namespace serenity::rewrite {

/// A tree of binary additions whose inner sums have no other user.
struct Sum {
  MlirOperation root;
  /// In the order of the tree, left to right; at least three.
  std::vector<MlirValue> leaves;
};

/// All sums of a function.
class SumFinder {
public:
  explicit SumFinder(MlirOperation function);
  /// The sum whose last addition is `op`; null if there is none.
  const Sum *rootedAt(MlirOperation op) const;

private:
  std::map<const void *, Sum> sums;
};

/// Replaces `sum` by a chain of additions in the given order of its leaves,
/// with a barrier behind every partial sum but the last.
Chain rewriteSum(const Sum &sum, const std::vector<int64_t> &order);

/// Inserts a barrier on `value` before `before` and returns its result, with
/// the extents of a dynamic shape.
MlirValue insertBarrier(MlirValue value, MlirOperation before);

/// Inserts a barrier behind `op`, between its result and all that read it.
void insertBarrierBehind(MlirOperation op);

} // namespace serenity::rewrite

#endif // SERENITY_TRANSFORMS_REWRITE_REWRITESUM_H

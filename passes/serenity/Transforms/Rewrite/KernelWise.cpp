// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Kernel-wise sites: an operation that treats the concatenated channels alone
// is computed part by part.
//
//   depthwise(concat(x_1, ..., x_n), W)
//     -> concat(depthwise(x_1, W_1), ..., depthwise(x_n, W_n))

#include "serenity/Transforms/Rewrite/Patterns.h"

namespace serenity::rewrite {

using namespace ir;

bool findKernelWise(const SiteQuery &query, RewriteSite &site) {
  const std::optional<StructuredSplit> &split = query.split.split;
  if (!split || split->resultDim < 0) {
    return false;
  }
  site.parts = split->sizes.size();
  estimate(query.splitter, *query.loops, *split, site);
  return true;
}

void rewriteKernelWise(const Structured &op, const StructuredSplit &split,
                       Splitter &splitter) {
  MlirType type = mlirValueGetType(result(op.op));
  std::vector<MlirValue> parts;
  for (size_t i = 0; i < split.sizes.size(); ++i) {
    parts.push_back(result(
        clonePart(op.op, splitter.partOperands(op, split, {int64_t(i)}),
                  withDim(type, split.resultDim, split.sizes[i]), op.op)));
  }
  MlirOperation concat = concatenate(parts, split.resultDim, type, op.op);
  mlirValueReplaceAllUsesOfWith(result(op.op), result(concat));
}

} // namespace serenity::rewrite

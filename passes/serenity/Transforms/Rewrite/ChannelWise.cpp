// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Channel-wise sites: a convolution or product over a concatenation of its
// channels becomes an accumulation over the parts.
//
//   conv(concat(x_1, ..., x_n), W)
//     -> y = conv(x_1, W_1); y += conv(x_2, W_2); ...

#include "serenity/Transforms/Rewrite/FunctionRewriter.h"

namespace serenity::rewrite {

using namespace ir;

bool findChannelWise(const SiteQuery &query, RewriteSite &site) {
  const std::optional<StructuredSplit> &split = query.split.split;
  if (!split || split->resultDim >= 0) {
    return false;
  }
  site.parts = split->sizes.size();
  estimate(query.splitter, *query.loops, *split, site);
  return true;
}

int64_t splitOverConcatenation(FunctionRewriter &rewriter, const SiteOp &site,
                               size_t index) {
  Structured loops = *structured(site.op);
  Splitter::OpSplit found = rewriter.splitter.split(loops);
  if (!found.split) {
    return 0;
  }
  size_t parts = found.split->sizes.size();
  if (found.split->resultDim >= 0) {
    rewriteKernelWise(loops, *found.split, rewriter.splitter);
  } else {
    const std::vector<int64_t> &given = rewriter.givenOrder(index);
    std::vector<std::vector<int64_t>> steps = rewriter.stepsOf(index, parts);
    rewriter.addChain(
        site.op, rewriter.accumulateParts(loops, *found.split, given, steps),
        /*isFree=*/given.empty());
    parts = steps.size();
  }
  rewriter.replaced(site.op);
  return int64_t(parts);
}

} // namespace serenity::rewrite

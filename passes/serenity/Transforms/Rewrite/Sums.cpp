// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Sum sites: a tree of additions becomes an accumulation whose order is free.
//
//   x_1 + ... + x_n  ->  y = x_a; y += x_b; ...

#include "serenity/Transforms/Rewrite/FunctionRewriter.h"

namespace serenity::rewrite {

using namespace ir;

bool findSum(const SiteQuery &query, RewriteSite &site) {
  const Sum *sum = query.sums.rootedAt(query.op);
  if (!sum) {
    return false;
  }
  int64_t bytes = query.splitter.bytesOf(result(query.op));
  site.parts = sum->leaves.size();
  site.bytesBefore = bytes * int64_t(sum->leaves.size() + 1);
  site.bytesAfter = bytes * 2;
  return true;
}

int64_t splitSum(FunctionRewriter &rewriter, const SiteOp &site, size_t index) {
  SumFinder sums(rewriter.getFunction());
  const Sum *sum = sums.rootedAt(site.op);
  if (!sum) {
    return 0;
  }
  const std::vector<int64_t> &given = rewriter.givenOrder(index);
  std::vector<int64_t> order =
      partOrder(sum->leaves.size(), given, [&](size_t leaf) {
        return rewriter.availability(sum->leaves[leaf]);
      });
  rewriter.addChain(site.op, rewriteSum(*sum, order),
                    /*isFree=*/given.empty());
  rewriter.replaced(site.op);
  return int64_t(sum->leaves.size());
}

} // namespace serenity::rewrite

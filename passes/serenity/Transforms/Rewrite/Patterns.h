// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The patterns of serenity-rewrite. RewriteKinds.def names, for every kind, a
/// function that recognises a site at an operation and one that splits it; each
/// kind has its file in this folder.

#ifndef SERENITY_TRANSFORMS_REWRITE_PATTERNS_H
#define SERENITY_TRANSFORMS_REWRITE_PATTERNS_H

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Rewrite/Rewrite.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"
#include "serenity/Transforms/Rewrite/RewriteSum.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace serenity::rewrite {

class FunctionRewriter;

/// A site and its operation.
struct SiteOp {
  RewriteSite site;
  MlirOperation op;
};

/// An operation at which finders are asked for sites: the root of a sum, or a
/// structured operation with a reduction.
struct SiteQuery {
  MlirOperation op;
  const SumFinder &sums;
  Splitter &splitter;
  /// The loop nest, if `op` is one with a reduction.
  std::optional<Structured> loops;
  /// How it would be split along a concatenated operand.
  Splitter::OpSplit split;
};

/// Recognises a site of one kind at `query.op`. Fills in `site.parts`,
/// `site.bytesBefore` and `site.bytesAfter`; false if there is none.
using SiteFinder = bool (*)(const SiteQuery &query, RewriteSite &site);

/// Splits the site with number `index`, whose operation may have been replaced
/// by an earlier stage. Returns the number of parts that took its place; 0 if
/// it does not apply any more, and then nothing is changed.
using SiteSplitter = int64_t (*)(FunctionRewriter &rewriter, const SiteOp &site,
                                 size_t index);

/// The functions of a rewrite kind.
struct RewritePattern {
  SiteFinder find;
  SiteSplitter split;
};
const RewritePattern &rewritePattern(RewriteKind kind);

#define SERENITY_REWRITE_KIND(enumerator, name, anchor, inPieces, stage,       \
                              finder, splitter, summary, limits)               \
  bool finder(const SiteQuery &query, RewriteSite &site);                      \
  int64_t splitter(FunctionRewriter &rewriter, const SiteOp &site,             \
                   size_t index);
#include "serenity/Transforms/Rewrite/RewriteKinds.def"

/// The number of pieces that finders assume: the bytes that a site reports do
/// not depend on the options of its application.
inline constexpr int64_t defaultPieces = 4;

/// Bytes of the values of `op` that are cut: its parts and its result, all of
/// them before the rewrite and the largest part after it.
void estimate(const Splitter &splitter, const Structured &op,
              const StructuredSplit &split, RewriteSite &site);

/// The order of `count` parts: the given one, or by the position at which each
/// becomes available.
std::vector<int64_t> partOrder(size_t count, const std::vector<int64_t> &given,
                               const std::function<int64_t(size_t)> &available);

/// Replaces `op` by a concatenation of its parts (KernelWise.cpp).
void rewriteKernelWise(const Structured &op, const StructuredSplit &split,
                       Splitter &splitter);

/// The pieces of an overwrite site, for the search for an order; nothing if the
/// site does not apply any more (Overwrite.cpp).
std::optional<Piecewise> piecewiseOf(FunctionRewriter &rewriter,
                                     const SiteOp &site);

} // namespace serenity::rewrite

#endif // SERENITY_TRANSFORMS_REWRITE_PATTERNS_H

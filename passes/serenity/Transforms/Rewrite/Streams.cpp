// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Stream sites: values that are computed for one operation alone are computed
// in slices of their channels, so that none exists as a whole.
//
//   conv(f(x)) -> y = conv(f_1(x), W_1); y += conv(f_2(x), W_2); ...
//   depthwise(f(x)) -> concat(depthwise(f_1(x)), ...)

#include "serenity/Transforms/Rewrite/FunctionRewriter.h"

#include <algorithm>
#include <set>

namespace serenity::rewrite {

using namespace ir;

/// For a site whose operands are only padded or activated: the operation before
/// it also needs the sources of the pads and activations, and these are kept
/// until the last piece.
static void estimatePadded(const Splitter &splitter, const Structured &op,
                           const StructuredSplit &split, RewriteSite &site) {
  int64_t produced = splitter.bytesOf(result(op.op));
  int64_t made = site.bytesBefore - produced;
  int64_t kept = 0;   // as long as the operation runs, before as after
  int64_t longer = 0; // only after
  std::set<const void *> seen;
  for (const auto &item : split.region) {
    for (const auto &[source, dim] : item.second.sources) {
      if (isGiven(source) || split.region.count(source.ptr) != 0 ||
          !seen.insert(source.ptr).second) {
        continue;
      }
      (uses(source).size() > 1 ? kept : longer) += splitter.bytesOf(source);
    }
  }
  site.bytesBefore = std::max(kept + made + produced, kept + longer + made);
  site.bytesAfter += kept + longer;
}

using StreamFinder = std::optional<StructuredSplit> (Splitter::*)(
    const Structured &, int64_t, bool);

/// A site may be there with deep streams alone.
static std::optional<StructuredSplit> shallowOrDeep(const SiteQuery &query,
                                                    StreamFinder find) {
  std::optional<StructuredSplit> plan =
      (query.splitter.*find)(*query.loops, defaultPieces, /*deep=*/false);
  return plan ? plan
              : (query.splitter.*find)(*query.loops, defaultPieces,
                                       /*deep=*/true);
}

bool findStream(const SiteQuery &query, RewriteSite &site) {
  if (!query.loops) {
    return false;
  }
  std::optional<StructuredSplit> pieces =
      shallowOrDeep(query, &Splitter::streamSplit);
  if (!pieces) {
    return false;
  }
  site.parts = pieces->sizes.size();
  estimate(query.splitter, *query.loops, *pieces, site);
  site.padsOnly = onlyPads(pieces->region);
  if (reduces(pieces->region)) {
    return true;
  }
  estimatePadded(query.splitter, *query.loops, *pieces, site);
  return site.bytesAfter < site.bytesBefore;
}

/// Replaces `op` by an accumulation over pieces; nothing if it has none.
static std::optional<Chain> streamOne(FunctionRewriter &rewriter,
                                      MlirOperation op) {
  Structured loops = *structured(op);
  std::optional<StructuredSplit> pieces = rewriter.splitter.streamSplit(
      loops, rewriter.options.pieces, rewriter.options.deepStreams);
  if (!pieces) {
    return std::nullopt;
  }
  std::vector<std::vector<int64_t>> single;
  for (size_t i = 0; i < pieces->sizes.size(); ++i) {
    single.push_back({int64_t(i)});
  }
  Chain chain = rewriter.accumulateParts(loops, *pieces, {}, single);
  rewriter.replaced(op);
  return chain;
}

int64_t splitStream(FunctionRewriter &rewriter, const SiteOp &site, size_t) {
  Chain *whole = rewriter.chainFor(site.op);
  if (!whole) {
    std::optional<Chain> chain = streamOne(rewriter, site.op);
    if (!chain) {
      return 0;
    }
    int64_t steps = chain->steps.size();
    rewriter.addChain(site.op, std::move(*chain), /*isFree=*/true);
    return steps;
  }
  // The parts of a channel-wise site are cut further.
  std::vector<MlirOperation> steps;
  bool any = false;
  for (MlirOperation step : whole->steps) {
    std::optional<Chain> chain = streamOne(rewriter, step);
    if (!chain) {
      steps.push_back(step);
      continue;
    }
    any = true;
    steps.insert(steps.end(), chain->steps.begin(), chain->steps.end());
  }
  whole->steps = steps;
  if (!any) {
    return 0;
  }
  whole->cut = -1;
  whole->taken.clear();
  return steps.size();
}

bool findKernelStream(const SiteQuery &query, RewriteSite &site) {
  if (!query.loops || query.split.split) {
    return false;
  }
  std::optional<StructuredSplit> kernels =
      shallowOrDeep(query, &Splitter::kernelStreamSplit);
  if (!kernels) {
    return false;
  }
  site.parts = kernels->sizes.size();
  estimate(query.splitter, *query.loops, *kernels, site);
  return true;
}

int64_t splitKernelStream(FunctionRewriter &rewriter, const SiteOp &site,
                          size_t) {
  // Another site may have taken it.
  if (!rewriter.stands(site.op) || !hasUses(result(site.op))) {
    return 0;
  }
  Structured loops = *structured(site.op);
  std::optional<StructuredSplit> pieces = rewriter.splitter.kernelStreamSplit(
      loops, rewriter.options.pieces, rewriter.options.deepStreams);
  if (!pieces) {
    return 0;
  }
  rewriteKernelWise(loops, *pieces, rewriter.splitter);
  rewriter.replaced(site.op);
  return pieces->sizes.size();
}

} // namespace serenity::rewrite

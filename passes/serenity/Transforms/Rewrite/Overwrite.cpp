// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Overwrite sites: a depthwise operation over a padded value is computed piece
// by piece, in the place of that value where it dies with the operation.
//
//   depthwise(pad(x)) -> x_1 = depthwise(pad(x_1)); x_2 = ...

#include "serenity/Transforms/Rewrite/FunctionRewriter.h"

#include <algorithm>
#include <numeric>

namespace serenity::rewrite {

using namespace ir;

/// The pad in front of the operand that is cut piece by piece.
static MlirOperation padOf(const Structured &op, const StructuredSplit &plan) {
  auto at = std::find(plan.cuts.begin(), plan.cuts.end(), OperandCut::Stream);
  return definingOp(operand(op.op, at - plan.cuts.begin()));
}

/// Whether the result can take the place of the padded value: nothing else
/// reads that, it is computed here (not before a loop), and of the same type.
static bool takesPlace(const Structured &op, MlirOperation pad) {
  MlirValue source = operand(pad, 0);
  MlirOperation producer = definingOp(source);
  return !isNull(producer) && structured(producer) &&
         sameBlock(producer, pad) && uses(source).size() == 1 &&
         mlirTypeEqual(mlirValueGetType(source),
                       mlirValueGetType(result(op.op)));
}

/// The largest piece of the padded value and of the result.
static int64_t pieceBytes(const Splitter &splitter, const Structured &op,
                          const StructuredSplit &plan) {
  int64_t extent =
      std::accumulate(plan.sizes.begin(), plan.sizes.end(), int64_t(0));
  int64_t widest = *std::max_element(plan.sizes.begin(), plan.sizes.end());
  return (splitter.bytesOf(result(padOf(op, plan))) +
          splitter.bytesOf(result(op.op))) /
         extent * widest;
}

/// Of an overwrite site: the operand of the pad (if it lives on), the padded
/// value and the result before; that operand, the result (if it is another
/// tensor) and a piece of both after.
static void estimateOverwrite(const Splitter &splitter, const Structured &op,
                              const StructuredSplit &plan, RewriteSite &site) {
  MlirOperation pad = padOf(op, plan);
  MlirValue source = operand(pad, 0);
  int64_t produced = splitter.bytesOf(result(op.op));
  int64_t padded = splitter.bytesOf(result(pad));
  int64_t kept = splitter.bytesOf(source);
  site.bytesBefore = (uses(source).size() > 1 ? kept : 0) + padded + produced;
  site.bytesAfter = kept + (takesPlace(op, pad) ? 0 : produced) +
                    pieceBytes(splitter, op, plan);
}

bool findOverwrite(const SiteQuery &query, RewriteSite &site) {
  if (!query.loops || query.split.split) {
    return false;
  }
  std::optional<StructuredSplit> window =
      query.splitter.windowSplit(*query.loops, defaultPieces);
  if (!window) {
    return false;
  }
  site.parts = window->sizes.size();
  estimateOverwrite(query.splitter, *query.loops, *window, site);
  return site.bytesAfter < site.bytesBefore;
}

static std::optional<StructuredSplit> windowOf(FunctionRewriter &rewriter,
                                               const SiteOp &site) {
  // A chain may have taken the place of the operation.
  if (!rewriter.stands(site.op)) {
    return std::nullopt;
  }
  return rewriter.splitter.windowSplit(*structured(site.op),
                                       rewriter.options.pieces);
}

std::optional<Piecewise> piecewiseOf(FunctionRewriter &rewriter,
                                     const SiteOp &site) {
  if (site.site.kind != RewriteKind::Overwrite) {
    return std::nullopt;
  }
  std::optional<StructuredSplit> plan = windowOf(rewriter, site);
  if (!plan) {
    return std::nullopt;
  }
  Structured loops = *structured(site.op);
  MlirOperation pad = padOf(loops, *plan);
  return Piecewise{pad, takesPlace(loops, pad),
                   pieceBytes(rewriter.splitter, loops, *plan)};
}

static void rewriteOverwrite(const Structured &op, const StructuredSplit &plan,
                             Splitter &splitter) {
  MlirOperation pad = padOf(op, plan);
  bool inPlace = takesPlace(op, pad);
  MlirValue whole = operand(pad, 0);
  if (inPlace) {
    // It must exist as a whole: if its producer were fused into its slices, the
    // operands of the producer would live on.
    whole = insertBarrier(whole, op.op);
  }
  MlirType type = mlirValueGetType(result(op.op));
  std::vector<MlirValue> parts;
  int64_t offset = 0;
  for (int64_t size : plan.sizes) {
    std::vector<MlirValue> values;
    for (size_t i = 0; i < op.maps.size(); ++i) {
      MlirValue value = operand(op.op, i);
      int64_t dim = plan.dims[i];
      if (plan.cuts[i] == OperandCut::Stream) {
        MlirValue piece = extractSlice(whole, dim, offset, size, op.op);
        value = result(clonePart(
            pad, {piece}, withDim(mlirValueGetType(value), dim, size), op.op));
      } else if (plan.cuts[i] == OperandCut::Slice) {
        value = splitter.slice(value, dim, {{offset, size}}, op.op);
      }
      values.push_back(value);
    }
    MlirValue part = result(
        clonePart(op.op, values, withDim(type, plan.resultDim, size), op.op));
    if (inPlace) {
      // The next piece is read from here, so that no operation reads the old
      // value any more.
      whole = insertSlice(part, whole, plan.resultDim, offset, op.op);
    }
    parts.push_back(part);
    offset += size;
  }
  if (!inPlace) {
    whole = result(concatenate(parts, plan.resultDim, type, op.op));
  }
  mlirValueReplaceAllUsesOfWith(result(op.op), whole);
}

int64_t splitOverwrite(FunctionRewriter &rewriter, const SiteOp &site, size_t) {
  std::optional<StructuredSplit> plan = windowOf(rewriter, site);
  if (!plan) {
    return 0;
  }
  rewriteOverwrite(*structured(site.op), *plan, rewriter.splitter);
  rewriter.replaced(site.op);
  return plan->sizes.size();
}

} // namespace serenity::rewrite

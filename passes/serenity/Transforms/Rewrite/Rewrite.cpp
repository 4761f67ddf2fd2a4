// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// serenity-rewrite: splits convolutions, products and pools over
// concatenations into parts, and sums into accumulations.
//
// It assumes linalg on tensors, as after IREE's preprocessing phase. Dimensions
// of static extent are split; others may be dynamic. Afterwards the module
// computes the same function: integers bit by bit, floats up to the rounding of
// reordered sums. Partial results stand behind `util.optimization_barrier`s,
// without which IREE's dispatch formation would fuse the partial sums again and
// keep all of them alive at once; `removeBarriers` takes them out at flow
// level.
//
//   %c = tensor.concat dim(1) %x, %y
//   %r = linalg.conv_2d_nchw_fchw ins(%c, %w) outs(%bias)
// becomes
//   %0 = linalg.conv_2d_nchw_fchw ins(%x, %w_x) outs(%bias)
//   %1 = util.optimization_barrier {serenity.barrier} %0
//   %r = linalg.conv_2d_nchw_fchw ins(%y, %w_y) outs(%1)
//
// Segments are computed in bands of rows before that (RewriteBand.h).
//
// The barrier also keeps the accumulator the init of the next part: an init
// that another linalg operation defines would be detached into a separate
// addition.

#include "serenity/Transforms/Rewrite/Rewrite.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/QuantizedAfterwards.h"
#include "serenity/Transforms/Rewrite/Erasable.h"
#include "serenity/Transforms/Rewrite/FunctionRewriter.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace serenity {

using namespace ir;
using namespace rewrite;

const RewriteKindInfo &rewriteKindInfo(RewriteKind kind) {
  static const RewriteKindInfo table[] = {
#define SERENITY_REWRITE_KIND(enumerator, name, anchor, inPieces, stage,       \
                              finder, splitter, summary, limits)               \
  {RewriteKind::enumerator, name, anchor, inPieces, stage},
#include "serenity/Transforms/Rewrite/RewriteKinds.def"
  };
  return table[static_cast<size_t>(kind)];
}

const RewritePattern &rewrite::rewritePattern(RewriteKind kind) {
  static const RewritePattern table[] = {
#define SERENITY_REWRITE_KIND(enumerator, name, anchor, inPieces, stage,       \
                              finder, splitter, summary, limits)               \
  {finder, splitter},
#include "serenity/Transforms/Rewrite/RewriteKinds.def"
  };
  return table[static_cast<size_t>(kind)];
}

const char *rewriteKindName(RewriteKind kind) {
  return rewriteKindInfo(kind).name;
}

const char *refusalText(RewriteRefusal refusal) {
  static const char *const texts[] = {
      "",
#define SERENITY_REWRITE_REFUSAL(enumerator, text) text,
#include "serenity/Transforms/Rewrite/RewriteRefusals.def"
  };
  return texts[static_cast<size_t>(refusal)];
}

void rewrite::estimate(const Splitter &splitter, const Structured &op,
                       const StructuredSplit &split, RewriteSite &site) {
  int64_t whole = 0;
  int64_t largest = 0;
  int64_t extent =
      std::accumulate(split.sizes.begin(), split.sizes.end(), int64_t(0));
  int64_t widest = *std::max_element(split.sizes.begin(), split.sizes.end());
  for (int64_t i = 0; i < op.numInputs; ++i) {
    if (split.cuts[i] == OperandCut::Parts ||
        split.cuts[i] == OperandCut::Stream) {
      int64_t bytes = splitter.bytesOf(operand(op.op, i));
      whole += bytes;
      largest += bytes / extent * widest;
    }
  }
  int64_t produced = splitter.bytesOf(result(op.op));
  site.bytesBefore = whole + produced;
  // The parts of a kernel-wise result are values of their own.
  bool parts = split.resultDim >= 0 && split.region.empty();
  site.bytesAfter = largest + (parts ? produced / extent * widest : produced);
}

/// The symbol of the function around `op`.
static std::string functionOf(MlirOperation op) {
  for (MlirOperation parent = mlirOperationGetParentOperation(op);
       !isNull(parent); parent = mlirOperationGetParentOperation(parent)) {
    if (std::optional<std::string> symbol = stringAttr(parent, "sym_name")) {
      return *symbol;
    }
  }
  return "";
}

/// The element type of the first result; empty if it is no tensor.
static std::string elementOf(MlirOperation op) {
  if (mlirOperationGetNumResults(op) == 0 ||
      !mlirTypeIsARankedTensor(mlirValueGetType(result(op)))) {
    return "";
  }
  return toString(mlirShapedTypeGetElementType(mlirValueGetType(result(op))));
}

/// All functions of `module`: its direct children with a body.
static std::vector<MlirOperation> functions(MlirOperation module) {
  std::vector<MlirOperation> found;
  for (MlirOperation op : operations(body(module))) {
    if ((isa(op, "util.func") || isa(op, "func.func")) && body(op).ptr) {
      found.push_back(op);
    }
  }
  return found;
}

/// The operations of `function` without a user other than operations of this
/// set: barriers would keep their parts.
static std::set<const void *> deadOperations(MlirOperation function) {
  std::vector<MlirOperation> ops;
  walk(function, [&](MlirOperation op) { ops.push_back(op); });
  std::set<const void *> dead;
  auto isDead = [&](MlirOperation op) {
    for (; op.ptr; op = mlirOperationGetParentOperation(op)) {
      if (dead.count(op.ptr)) {
        return true;
      }
    }
    return false;
  };
  // Users come later.
  for (auto op = ops.rbegin(); op != ops.rend(); ++op) {
    bool used = !isErasable(*op);
    for (MlirValue value : results(*op)) {
      for (const Use &use : uses(value)) {
        used |= !isDead(use.owner);
      }
    }
    if (!used && mlirOperationGetNumResults(*op) > 0) {
      dead.insert(op->ptr);
    }
  }
  return dead;
}

/// All kinds in the order of the table, which is that of the sites of one
/// operation.
static constexpr RewriteKind allKinds[] = {
#define SERENITY_REWRITE_KIND(enumerator, name, anchor, inPieces, stage,       \
                              finder, splitter, summary, limits)               \
  RewriteKind::enumerator,
#include "serenity/Transforms/Rewrite/RewriteKinds.def"
};

/// Whether a rewrite of `kind` takes the sum of floats at `op` in another
/// order, or splits what IREE may compute in integers.
static bool mayRound(const quantized::QuantizedAfterwards &quantizations,
                     MlirOperation op, RewriteKind kind) {
  bool accumulates = kind == RewriteKind::ChannelWise ||
                     kind == RewriteKind::Sum || kind == RewriteKind::Stream;
  return accumulates ? quantizations.keepsOrder(op)
                     : quantizations.keepsProducts(op);
}

/// Appends the sites at `op`, and to `refused`, if it is not null, the reason
/// why an operation over a concatenation has none.
static void findSitesAt(MlirOperation op, const SumFinder &sums,
                        const quantized::QuantizedAfterwards &quantizations,
                        Splitter &splitter, std::vector<SiteOp> &found,
                        std::vector<RefusedSite> *refused) {
  SiteQuery query{op, sums, splitter, std::nullopt, {}};
  if (!sums.rootedAt(op)) {
    query.loops = structured(op);
    if (!query.loops || !query.loops->hasReduction()) {
      return;
    }
    query.split = splitter.split(*query.loops);
  }
  RewriteSite described;
  described.function = functionOf(op);
  described.location = toString(mlirOperationGetLocation(op));
  described.operation = name(op);
  described.element = elementOf(op);
  RewriteRefusal refusal =
      query.split.split ? RewriteRefusal::None : query.split.refusal;
  for (RewriteKind kind : allKinds) {
    RewriteSite site = described;
    site.kind = kind;
    if (!rewritePattern(kind).find(query, site)) {
      continue;
    }
    if (mayRound(quantizations, op, kind)) {
      refusal = RewriteRefusal::QuantizedAfterwards;
    } else {
      found.push_back({std::move(site), op});
    }
  }
  if (refused && refusal != RewriteRefusal::None) {
    refused->push_back({described.function, described.operation,
                        mlirOperationGetLocation(op), refusal});
  }
}

static std::vector<SiteOp> findSites(MlirOperation module,
                                     const TensorSizes &sizes,
                                     std::vector<RefusedSite> *refused) {
  std::vector<SiteOp> found;
  for (MlirOperation function : functions(module)) {
    Splitter splitter(module, /*throughReductions=*/true, sizes);
    bool fusible = true;
    walk(function, [&](MlirOperation op) {
      fusible = fusible && !readsOwnInitialValue(op);
    });
    if (!fusible) {
      continue;
    }
    SumFinder sums(function);
    quantized::QuantizedAfterwards quantizations(function);
    std::set<const void *> dead = deadOperations(function);
    walk(function, [&](MlirOperation op) {
      if (dead.count(op.ptr) == 0) {
        findSitesAt(op, sums, quantizations, splitter, found, refused);
      }
    });
  }
  return found;
}

std::vector<RewriteSite> findRewriteSites(MlirOperation module,
                                          const TensorSizes &sizes,
                                          std::vector<RefusedSite> *refused) {
  std::vector<RewriteSite> sites;
  for (SiteOp &found : findSites(module, sizes, refused)) {
    sites.push_back(std::move(found.site));
  }
  return sites;
}

bool applyRewrites(MlirOperation module, const std::vector<bool> &enabled,
                   const RewriteOptions &options, RewriteOutcome *outcome) {
  std::vector<SiteOp> sites = findSites(module, options.sizes, nullptr);
  if (sites.size() != enabled.size()) {
    emitError(mlirOperationGetLocation(module),
              "there are " + std::to_string(sites.size()) +
                  " rewrite sites, but a choice was made for " +
                  std::to_string(enabled.size()) +
                  "; pass what findRewriteSites gives for this module");
    return false;
  }
  if (outcome) {
    outcome->parts.assign(enabled.size(), 0);
    outcome->ordersProved = true;
  }
  for (MlirOperation function : functions(module)) {
    FunctionRewriter(module, function, options)
        .run(sites, enabled, outcome, /*joins=*/nullptr);
  }
  if (std::optional<RefusedTensor> refused = refusedTensor(module)) {
    emitRemark(refused->location, "serenity-rewrite: " + refused->reason +
                                      "; these rewrites are not applied "
                                      "(please report this)");
    if (outcome) {
      outcome->refusal = refused->reason;
    }
    return false;
  }
  return true;
}

PartGroups findPartJoins(MlirOperation module, const std::vector<bool> &enabled,
                         const RewriteOptions &options) {
  PartGroups joins;
  std::vector<SiteOp> sites = findSites(module, options.sizes, nullptr);
  if (sites.size() == enabled.size()) {
    for (MlirOperation function : functions(module)) {
      FunctionRewriter(module, function, options)
          .run(sites, enabled, nullptr, &joins);
    }
  }
  return joins;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The pass serenity-rewrite: chooses sites and applies them.

#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/Rewrite/Rewrite.h"
#include "serenity/Transforms/Rewrite/RewriteBand.h"

#include <utility>

namespace serenity {

using namespace ir;

/// Bands first: the other rewrites apply inside of them. Of two orders of the
/// module, the one that they lower the peak of further.
static void runBands(MlirOperation module, const Options &options,
                     ModuleReport *report) {
  BandOptions planning;
  planning.maxRecompute = options.maxRecompute;
  planning.reorderSums = options.rewrite != RewriteMode::Off;
  planning.sizes = TensorSizes(options);
  planning.count = options.bands > 1 ? options.bands : 0;
  planning.recompute = planning.count == 0;
  std::vector<RefusedBand> refused;
  BandPlan plan = planBands(module, planning, &refused);
  planning.byDispatches = true;
  BandPlan other = planBands(module, planning);
  if (other.predictedBytes < plan.predictedBytes) {
    plan = std::move(other);
  }
  for (const RefusedBand &refusal : refused) {
    emitRemark(refusal.location,
               "serenity-rewrite: " + refusal.operation +
                   " is not computed in bands of rows: " + refusal.reason);
  }
  applyBands(module, plan);
  if (!report) {
    return;
  }
  for (const BandSite &site : plan.sites) {
    report->rewrites.push_back({site.from, site.function, "band", site.count,
                                site.bytesBefore, site.bytesAfter,
                                /*element=*/""});
  }
}

bool runRewrite(MlirOperation module, const Options &options,
                ModuleReport *report) {
  if (options.bands != 0) {
    runBands(module, options, report);
  }
  if (options.rewrite == RewriteMode::Off) {
    return true;
  }
  const TensorSizes sizes(options);
  std::vector<RefusedSite> refused;
  std::vector<RewriteSite> sites = findRewriteSites(module, sizes, &refused);
  std::vector<bool> enabled;
  for (const RewriteSite &site : sites) {
    // Without a prediction of the peak, the site's own numbers decide. Pieces
    // trade a temporary for more dispatches and, in streams, a longer life of
    // their accumulator, which only a prediction can judge.
    bool pieces = rewriteKindInfo(site.kind).inPieces;
    enabled.push_back(options.rewrite == RewriteMode::Always ||
                      (!pieces && site.bytesAfter < site.bytesBefore));
  }
  RewriteOptions rewriting;
  rewriting.sizes = sizes;
  if (options.joinParts) {
    OwningOp clone = OwningOp::clone(module);
    rewriting.joins = findPartJoins(clone.get(), enabled, rewriting);
  }
  // On a copy first: a refused site leaves the module as it was.
  RewriteOutcome outcome;
  OwningOp trial = OwningOp::clone(module);
  if (!applyRewrites(trial.get(), enabled, rewriting, &outcome)) {
    return true;
  }
  trial.reset();
  applyRewrites(module, enabled, rewriting, &outcome);
  for (const RefusedSite &site : refused) {
    emitRemark(site.location, "serenity-rewrite: " + site.operation +
                                  " over a concatenation is not rewritten: " +
                                  refusalText(site.reason));
  }
  for (size_t i = 0; report && i < sites.size(); ++i) {
    if (outcome.parts[i] > 0) {
      report->rewrites.push_back({sites[i].location, sites[i].function,
                                  rewriteKindName(sites[i].kind),
                                  outcome.parts[i], sites[i].bytesBefore,
                                  sites[i].bytesAfter, sites[i].element});
    }
  }
  return true;
}

} // namespace serenity

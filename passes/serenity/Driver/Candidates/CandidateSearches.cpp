// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Candidates/CandidateSearches.h"

#include "serenity/Driver/Compile/ConsumedInputs.h"

#include <utility>

namespace serenity {

void CandidateSearches::startFrom(MlirOperation module) {
  if (!consumingFunctions(module).empty()) {
    ir::OwningOp unmarked = ir::OwningOp::clone(module);
    takeConsumedInputs(unmarked.get());
    kept.startFrom(std::move(unmarked), formed);
  }
  given.startFrom(ir::OwningOp::clone(module), formed);
}

void CandidateSearches::placeStock(MlirOperation flow,
                                   const CandidateSearch::Stock &stock,
                                   const CandidateSearch::Stock *whereKept) {
  searchesKept = whereKept != nullptr;
  if (searchesKept) {
    ir::OwningOp unmarked = ir::OwningOp::clone(flow);
    takeConsumedInputs(unmarked.get());
    kept.placeStock(unmarked.get(), *whereKept);
  }
  given.placeStock(flow, stock);
}

/// The answer of `search`, solved once more if wanted. What the cache keeps is
/// as before that.
static CandidateSearches::Answer
answer(CandidateSearch &search, const Configuration &config, bool refine) {
  CandidateSearches::Answer found{config, &search, search.choiceOf(config)};
  CandidateSearch::Candidate *candidate = search.placed(config);
  if (candidate && refine) {
    search.refine(*candidate);
  }
  return found;
}

CandidateSearches::Answer CandidateSearches::search(RewriteMode mode,
                                                    bool refine) {
  Answer best = answer(given, given.search(mode), refine);
  if (!searchesKept) {
    return best;
  }
  limit.startSearch();
  Answer other = answer(kept, kept.search(mode), refine);
  if (other.choice) {
    const Configuration same = given.leastWith(best.config, *other.choice);
    if (same < best.config || best.config < same) {
      best = answer(given, same, refine);
    }
    other.choice->keepsInputs = true;
  }
  const CandidateSearch::Candidate *whole = kept.placed(other.config);
  if (whole && whole->cost && *whole->cost < given.bytesOf(best.config)) {
    best = std::move(other);
  }
  if (limit.reachedTime()) {
    best.choice.reset(); // the other search may find more on another machine
  }
  return best;
}

std::optional<CandidateSearches::Answer>
CandidateSearches::replay(const CachedChoice &choice, bool refine) {
  if (choice.keepsInputs && !searchesKept) {
    return std::nullopt;
  }
  CandidateSearch &search = choice.keepsInputs ? kept : given;
  const std::optional<Configuration> config = search.replay(choice);
  return config ? std::optional(answer(search, *config, refine)) : std::nullopt;
}

void CandidateSearches::forget() {
  given.forget();
  kept.forget();
  formed.clear();
}

} // namespace serenity

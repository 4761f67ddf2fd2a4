// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Fewer rewrites, and fewer parts of those that stay, where neither costs
// bytes.

#include "serenity/Driver/Candidates/CandidateSearch.h"

#include "serenity/Driver/Compile/Stopwatch.h"
#include "serenity/IREE/Ir.h"

#include <algorithm>

namespace serenity {

/// Single sites that are taken back at most, and candidates with joined parts
/// that are taken to their slabs.
static constexpr size_t maxDropRounds = 4;
static constexpr int maxJoinRounds = 8;

/// Dispatches, copies and fills of all regions of a candidate in its slabs.
static int64_t numCommands(const CandidateSearch::Candidate &entry) {
  int64_t count = 0;
  ir::walk(entry.placed.get(), [&](MlirOperation op) {
    count += ir::isa(op, "stream.cmd.dispatch") ||
             ir::isa(op, "stream.cmd.copy") || ir::isa(op, "stream.cmd.fill");
  });
  return count;
}

/// Whether `config` has fewer commands, and no function needs more bytes.
bool CandidateSearch::isNarrower(const Configuration &config,
                                 const Configuration &than) {
  if (!measure(config)) {
    return false;
  }
  if (judge == Judge::Predictions) {
    const rewrite::Prediction &now = *candidates.at(config).prediction;
    const rewrite::Prediction &old = *candidates.at(than).prediction;
    return now.numOperations < old.numOperations &&
           std::all_of(
               old.peakBytes.begin(), old.peakBytes.end(),
               [&](const auto &item) {
                 auto known = now.peakBytes.find(item.first);
                 return known == now.peakBytes.end() ||
                        known->second <= item.second;
               });
  }
  if (numCommands(candidates[config]) >= numCommands(candidates[than])) {
    return false;
  }
  const Peaks &old = candidates[than].compared;
  for (const auto &item : candidates[config].compared) {
    auto known = old.find(item.first);
    if (known != old.end() && known->second &&
        (!item.second || *item.second > *known->second)) {
      return false;
    }
  }
  return true;
}

/// Single sites that the peak does not need, those of most parts first.
Configuration CandidateSearch::dropSites(Configuration best) {
  if (costOf(best) == INT64_MAX) {
    return best;
  }
  std::vector<std::pair<int64_t, size_t>> sites;
  const std::vector<int64_t> parts = candidates.at(best).rewrites.parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] > 0) {
      sites.emplace_back(-parts[i], i);
    }
  }
  std::sort(sites.begin(), sites.end());
  sites.resize(std::min<size_t>(sites.size(), maxDropRounds));
  for (const auto &site : sites) {
    Configuration config = best;
    config.sites[site.second] = false;
    std::optional<int64_t> estimate = estimateCandidate(config);
    std::optional<int64_t> old = bytesBefore(best);
    if (estimate && old && *estimate <= *old && isNarrower(config, best)) {
      best = config;
      asked.insert(config);
    }
  }
  return best;
}

/// Fewer parts of the rewritten sites where this costs no byte: every part is
/// an operation over the whole result. Tries all joins that the model of
/// accumulations allows at once; if they are refused, those of each site, and
/// of a refused site each group.
Configuration CandidateSearch::joinParts(Configuration best) {
  if (costOf(best) == INT64_MAX || numRewrites(best) == 0 || limit.expired()) {
    return best;
  }
  PartGroups found;
  {
    ir::SilenceDiagnostics silence(context);
    Stopwatch watch(report, "candidate_flow");
    found = maker->findJoins(best, statesPerOrder);
  }
  int tried = 0;
  auto take = [&](const PartGroups &joins) {
    Configuration config = best;
    for (const auto &site : joins) {
      auto &groups = config.joins[site.first];
      groups.insert(groups.end(), site.second.begin(), site.second.end());
    }
    if (tried++ >= maxJoinRounds || !isNarrower(config, best)) {
      return false;
    }
    best = config;
    asked.insert(config);
    return true;
  };
  if (found.empty() || take(found)) {
    return best;
  }
  for (const auto &site : found) {
    if (found.size() > 1 && take({site})) {
      continue;
    }
    for (size_t i = 0; site.second.size() > 1 && i < site.second.size(); ++i) {
      take({{site.first, {site.second[i]}}});
    }
  }
  return best;
}

} // namespace serenity

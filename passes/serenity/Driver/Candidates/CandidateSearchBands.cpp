// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Bands of rows in the search for a candidate. They are planned on the graph at
// the end of preprocessing, which takes milliseconds, and only plans that
// promise to need less than the best candidate so far are compiled.

#include "serenity/Driver/Candidates/CandidateSearch.h"

#include "serenity/Driver/Compile/Stopwatch.h"

#include <algorithm>

namespace serenity {

/// Banded candidates that are taken to their slabs before the best is refined.
static constexpr size_t maxPlacedBands = 2;

const BandPlan *CandidateSearch::bandPlan(const Configuration &config) const {
  return maker && config.bands > 0 ? &maker->bandPlan(config.bands) : nullptr;
}

/// The plans of least peak: as the network is, and with expansions computed in
/// pieces of their channels inside the bands.
const std::vector<size_t> &
CandidateSearch::planBands(Configuration::Storage storage) {
  auto inserted = bandPlans.emplace(storage, std::vector<size_t>());
  std::vector<size_t> &numbers = inserted.first->second;
  if (!inserted.second) {
    return numbers;
  }
  Stopwatch watch(report, "band_planning");
  for (bool streamed : {false, true}) {
    BandOptions planning;
    planning.maxRecompute = options.maxRecompute;
    planning.streamed = streamed;
    BandPlan plan = maker->planBands(storage, planning);
    auto same = [&](size_t number) {
      const BandPlan &other = maker->bandPlan(number);
      return other.sites.size() == plan.sites.size() &&
             std::equal(other.sites.begin(), other.sites.end(),
                        plan.sites.begin(),
                        [](const BandSite &a, const BandSite &b) {
                          return a.from == b.from && a.to == b.to &&
                                 a.height == b.height;
                        });
    };
    if (!plan.empty() && std::none_of(numbers.begin(), numbers.end(), same)) {
      numbers.push_back(maker->addBandPlan(storage, std::move(plan)));
    }
  }
  return numbers;
}

/// Candidates in bands where a plan promises less than `best` needs; the best
/// of them is refined as `best` was.
Configuration CandidateSearch::tryBands(Configuration best) {
  if (costOf(best) == INT64_MAX) {
    return best;
  }
  std::vector<Configuration> configs;
  for (size_t number : planBands(best.storage)) {
    if (maker->bandPlan(number).predictedBytes >= costOf(best)) {
      continue;
    }
    Configuration config;
    config.storage = best.storage;
    config.bands = number;
    config.inPlace = Configuration::LastUse;
    const std::vector<RewriteSite> &sites = maker->sites(config);
    std::vector<Configuration> variants = {config};
    // The same choice for all bands: by kind.
    config.sites.resize(sites.size());
    for (size_t i = 0; i < sites.size(); ++i) {
      config.sites[i] =
          sites[i].kind == RewriteKind::Stream && !sites[i].padsOnly;
    }
    if (numRewrites(config) > 0) {
      variants.push_back(config);
    }
    for (const Configuration &variant : variants) {
      if (asked.insert(variant).second && estimateCandidate(variant)) {
        configs.push_back(variant);
      }
    }
  }
  Configuration least = leastOf(best, std::move(configs), maxPlacedBands);
  return least.bands == best.bands ? best : unfuseAtPeak(rewriteAtPeak(least));
}

} // namespace serenity

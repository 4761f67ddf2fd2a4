// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Bands of rows in the search for a candidate. They are planned on the graph at
// the end of preprocessing, which takes milliseconds, and only plans that
// promise to need less than the best candidate so far are compiled.

#include "serenity/Driver/Candidates/CandidateSearch.h"

#include "serenity/Driver/Compile/Stopwatch.h"

#include <algorithm>
#include <set>
#include <utility>

namespace serenity {

/// Banded candidates that are taken to their slabs before the best is refined.
static constexpr size_t maxPlacedBands = 2;

const BandPlan *CandidateSearch::bandPlan(const Configuration &config) const {
  return maker && config.bands > 0 ? &maker->bandPlan(config.bands) : nullptr;
}

/// The plans of least peak: as the network is, and with expansions computed in
/// pieces of their channels inside the bands; and those that compute values
/// again for later bands.
const std::vector<size_t> &
CandidateSearch::planBands(Configuration::Storage storage) {
  auto inserted = bandPlans.emplace(storage, std::vector<size_t>());
  std::vector<size_t> &numbers = inserted.first->second;
  if (!inserted.second) {
    return numbers;
  }
  Stopwatch watch(report, "band_planning");
  // Raising to integers separates accumulators from what quantizes them, but
  // either order may be the better one.
  const int numKinds = storage == Configuration::Raised ? 8 : 4;
  for (int kind = 0; kind < numKinds; ++kind) {
    const bool streamed = (kind & 1) != 0;
    const bool recompute = (kind & 2) != 0;
    BandOptions planning;
    planning.byDispatches = (kind & 4) != 0;
    planning.maxRecompute = options.maxRecompute;
    planning.recompute = recompute;
    planning.streamed = streamed;
    // Quantized networks keep their results bit for bit.
    planning.reorderSums = storage == Configuration::AsGiven;
    planning.sizes = TensorSizes(options);
    BandPlan plan = maker->planBands(storage, planning);
    auto same = [&](size_t number) {
      const BandPlan &other = maker->bandPlan(number);
      return other.numRecomputed() == plan.numRecomputed() &&
             other.sites.size() == plan.sites.size() &&
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

/// Adds the candidates of one storage whose plan promises less than `best`
/// needs: in bands alone, and with streams in all bands.
void CandidateSearch::addBanded(const Configuration &best,
                                Configuration::Storage storage,
                                std::vector<Configuration> &configs) {
  for (size_t number : planBands(storage)) {
    if (maker->bandPlan(number).predictedBytes >= costOf(best)) {
      continue;
    }
    Configuration config;
    config.storage = storage;
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
}

/// Candidates in bands where a plan promises less than `best` needs; the best
/// of them is refined as `best` was.
Configuration CandidateSearch::tryBands(Configuration best) {
  if (costOf(best) == INT64_MAX) {
    return best;
  }
  std::vector<Configuration> configs;
  // Bands of integer arithmetic need no wide accumulator, so they may pay where
  // the other rewrites of it do not.
  std::set<Configuration::Storage> storages = {best.storage, furthest};
  for (Configuration::Storage storage : storages) {
    addBanded(best, storage, configs);
  }
  Configuration least = leastOf(best, std::move(configs), maxPlacedBands);
  return least.bands == best.bands ? best : unfuseAtPeak(rewriteAtPeak(least));
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The choice of an earlier search, from the cache: it is built as that search
// has built it, and taken if it has the same peaks.

#include "serenity/Driver/Candidates/CandidateSearch.h"

#include <algorithm>

namespace serenity {

std::optional<CachedChoice>
CandidateSearch::choiceOf(const Configuration &config) const {
  auto known = candidates.find(config);
  if (known == candidates.end() || !known->second.placed ||
      limit.reachedTime()) {
    return std::nullopt;
  }
  const Candidate &entry = known->second;
  CachedChoice choice;
  choice.config = config;
  choice.orderStates = entry.orderStates;
  choice.evaluated = entry.thorough;
  choice.layoutStates = entry.layoutStates;
  choice.peaks = entry.peaks;
  if (config.bands > 0) {
    // The numbers of plans depend on the order in which they were made.
    size_t number = config.bands;
    for (auto before = plansBefore.find(number); before != plansBefore.end();
         before = plansBefore.find(number)) {
      choice.bandChanges.push_back(before->second.second);
      number = before->second.first;
    }
    std::reverse(choice.bandChanges.begin(), choice.bandChanges.end());
    const std::vector<size_t> &plans = bandPlans.at(config.storage);
    auto at = std::find(plans.begin(), plans.end(), number);
    if (at == plans.end()) {
      return std::nullopt;
    }
    choice.config.bands = size_t(at - plans.begin()) + 1;
  }
  return choice;
}

/// Gives the band plan of `choice` the number that it has in this search; false
/// if the module has no such plan.
bool CandidateSearch::adaptBands(const CachedChoice &choice,
                                 Configuration &config) {
  if (!maker->has(config.storage)) {
    return false;
  }
  if (config.bands > 0) {
    const std::vector<size_t> &plans = planBands(config.storage);
    if (choice.config.bands > plans.size()) {
      return false;
    }
    config.bands = plans[choice.config.bands - 1];
    for (const BandChange &change : choice.bandChanges) {
      if (change.site >= maker->bandPlan(config.bands).sites.size() ||
          change.count < 1) {
        return false;
      }
      config.bands = changeBands(config.bands, change);
      if (config.bands == 0) {
        return false;
      }
    }
  }
  return true;
}

/// Whether the module has the sites and producers of a configuration.
bool CandidateSearch::fits(const Configuration &config) const {
  const size_t numSites = maker->sites(config).size();
  const std::set<std::string> &producers = maker->unfusableProducers(config);
  return (config.sites.empty() || config.sites.size() == numSites) &&
         std::all_of(config.joins.begin(), config.joins.end(),
                     [&](const auto &item) { return item.first < numSites; }) &&
         std::all_of(config.unfused.begin(), config.unfused.end(),
                     [&](const std::string &producer) {
                       return producers.count(producer) > 0;
                     });
}

/// The configuration of `choice` in this search; nothing if the module does not
/// have what it names.
std::optional<Configuration>
CandidateSearch::adapt(const CachedChoice &choice) {
  Configuration config = choice.config;
  return maker && adaptBands(choice, config) && fits(config)
             ? std::optional(config)
             : std::nullopt;
}

/// Builds `config` with the states and constants of `choice`. What it takes
/// does not count in the search.
bool CandidateSearch::buildAs(const CachedChoice &choice,
                              const Configuration &config) {
  if (config.isStock()) {
    return placed(config); // already
  }
  predict(config); // for the report
  const int64_t statesBefore = placedStates;
  replayedStates = choice.layoutStates;
  const bool built =
      (choice.evaluated ? compile(config, choice.orderStates,
                                  CandidateBuilder::Constants::Evaluated)
                        : compile(config)) &&
      placeCandidate(config).has_value();
  replayedStates.reset();
  placedStates = statesBefore;
  return built;
}

std::optional<Configuration>
CandidateSearch::replay(const CachedChoice &choice) {
  const std::optional<Configuration> config = adapt(choice);
  if (!config) {
    return std::nullopt;
  }
  if (buildAs(choice, *config) &&
      candidates.at(*config).peaks == choice.peaks) {
    return config;
  }
  if (!config->isStock()) {
    candidates.erase(*config);
    placedFrom.clear();
  }
  return std::nullopt;
}

Configuration CandidateSearch::leastWith(const Configuration &best,
                                         const CachedChoice &choice) {
  const std::optional<Configuration> config = adapt(choice);
  return config && buildAs(choice, *config) && costOf(*config) < costOf(best)
             ? *config
             : best;
}

} // namespace serenity

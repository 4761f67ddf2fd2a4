// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Dynamic sizes: of candidates that need the same at the hints, one that needs
// less where the dimensions are smaller or larger. There the peak is elsewhere:
// in an encoder, short sequences have it in the feed-forward block, long ones
// in the attention.

#include "serenity/Driver/Candidates/CandidateSearch.h"

#include "serenity/Driver/Compile/CrashFallback.h"
#include "serenity/Driver/Compile/Stopwatch.h"
#include "serenity/IREE/Ir.h"

#include <algorithm>

namespace serenity {

namespace {

/// The extents that are looked at, as multiples of the hints.
constexpr double factors[] = {0.125, 8};

/// Rounds in which sites at the peak there are rewritten.
constexpr int maxRounds = 6;

/// Candidates that are built for each.
constexpr size_t maxBuilt = 2;

/// Sites at the peak that are tried one by one.
constexpr size_t maxSingleSites = 8;

constexpr int64_t statesPerPrediction = 1000;

/// `groups`, and `best` with each site that one of them rewrites alone.
std::vector<Configuration> withSingleSites(const Configuration &best,
                                           std::vector<Configuration> groups) {
  std::vector<bool> sites;
  bool deep = false;
  for (const Configuration &config : groups) {
    sites.resize(std::max(sites.size(), config.sites.size()));
    for (size_t i = 0; i < config.sites.size(); ++i) {
      sites[i] = sites[i] ||
                 (config.sites[i] && !(i < best.sites.size() && best.sites[i]));
    }
    deep |= config.deepStreams;
  }
  std::vector<size_t> single;
  for (size_t i = 0; i < sites.size(); ++i) {
    if (sites[i]) {
      single.push_back(i);
    }
  }
  if (single.size() < 2 || single.size() > maxSingleSites) {
    return groups;
  }
  for (size_t site : single) {
    Configuration config = best;
    config.inPlace = Configuration::LastUse;
    config.sites.resize(sites.size());
    config.sites[site] = true;
    groups.push_back(config);
    if (deep && !best.deepStreams) {
      config.deepStreams = true;
      groups.push_back(config);
    }
  }
  return groups;
}

} // namespace

/// The fusion model's prediction where dimensions are at the hints of
/// `extents`.
std::optional<rewrite::Prediction>
CandidateSearch::predictAt(const Configuration &config,
                           const Options &extents) {
  if (limit.expired()) {
    return std::nullopt;
  }
  ir::SilenceDiagnostics silence(context);
  Stopwatch watch(report, "predictions");
  CrashGuard guard("the prediction of '" + config.name() + "'");
  ++report.search.predictions;
  const TensorSizes sizes(extents);
  return maker
      ->predict(config, fusesMultiUse(), options.defaultAlignment, reuseResults,
                statesPerOrder, statesPerPrediction, &sizes)
      .memory;
}

/// Candidates with the rewrites of `best` and others at the peak where
/// dimensions are at the hints of `extents`, each of which promises less there
/// than the one before.
std::vector<Configuration>
CandidateSearch::rewriteFor(const Options &extents, const Configuration &best) {
  std::vector<Configuration> found;
  Configuration current = best;
  std::optional<rewrite::Prediction> bytes = predictAt(current, extents);
  for (int round = 0; bytes && round < maxRounds; ++round) {
    std::optional<rewrite::Prediction> least;
    Configuration next;
    for (const Configuration &config :
         withSingleSites(current, rewrittenAt(current, bytes->placesAtPeak))) {
      std::optional<rewrite::Prediction> promised = predictAt(config, extents);
      if (promised && promised->sum() < bytes->sum() &&
          (!least || promised->sum() < least->sum() ||
           (promised->sum() == least->sum() &&
            numRewrites(config) < numRewrites(next)))) {
        least = std::move(promised);
        next = config;
      }
    }
    if (!least) {
      break;
    }
    bytes = std::move(least);
    current = next;
    found.push_back(current);
  }
  return found;
}

/// Whether `config`, built, needs no more than `than` at the hints and at all
/// of `places`, and less at one of these.
bool CandidateSearch::isBetterElsewhere(const Configuration &config,
                                        const Configuration &than,
                                        const std::vector<Options> &places) {
  if (costOf(config) > costOf(than)) {
    return false;
  }
  bool better = false;
  for (const Options &place : places) {
    const Peaks old =
        transientPeaks(candidates.at(than).placed.get(), place, place.offsets);
    Peaks now = transientPeaks(candidates.at(config).placed.get(), place,
                               place.offsets);
    for (const auto &[name, bytes] : old) {
      if (bytes && (!now[name] || *now[name] > *bytes)) {
        return false;
      }
      better |= bytes && *now[name] < *bytes;
    }
  }
  return better;
}

/// A candidate that needs no more than `best` at the hints, and less at smaller
/// or larger extents; `best` if none is found.
Configuration CandidateSearch::improveElsewhere(Configuration best) {
  if (costOf(best) == INT64_MAX) {
    return best;
  }
  std::vector<Options> places;
  for (double factor : factors) {
    places.push_back(atScaledHints(options, factor));
  }
  for (const Options &place : places) {
    std::vector<Configuration> found = rewriteFor(place, best);
    const size_t count = std::min(found.size(), maxBuilt);
    for (size_t i = 0; i < count; ++i) {
      const Configuration &config = found[found.size() - 1 - i];
      if (predict(config) && compileToPlace(config) && placeCandidate(config) &&
          isBetterElsewhere(config, best, places)) {
        best = config;
        break;
      }
    }
  }
  return best;
}

} // namespace serenity

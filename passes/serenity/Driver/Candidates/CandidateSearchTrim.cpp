// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Takes back the rewrites and the bands that the peak of a candidate does not
// need. Band plans are made before the other rewrites, which lower the peak
// further, and by a coarser model, so segments may be in more bands than they
// need, and rewrites of one round may make those of an earlier one idle.

#include "serenity/Driver/Candidates/CandidateSearch.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace serenity {

/// Operations of all predictions that are made to trim a candidate: a
/// prediction takes time in proportion to its operations.
static constexpr int64_t maxTrimOperations = 8000;

/// Whether `config` needs fewer bytes than `than`, or costs less, and no
/// function needs more bytes than there, or than `allowed` where there is one
/// function.
bool CandidateSearch::improvesOn(const Configuration &config,
                                 const Configuration &than, int64_t allowed) {
  trimSteps.insert(config);
  if (!predict(config)) {
    return false;
  }
  const rewrite::Prediction &now = *candidates.at(config).prediction;
  const rewrite::Prediction &old = *candidates.at(than).prediction;
  trimOperations += now.numOperations;
  const bool fits = std::all_of(
      old.peakBytes.begin(), old.peakBytes.end(), [&](const auto &item) {
        auto known = now.peakBytes.find(item.first);
        return known == now.peakBytes.end() || known->second <= item.second ||
               (old.peakBytes.size() == 1 && known->second <= allowed);
      });
  return fits && (now.sum() < old.sum() || burdenOf(config) < burdenOf(than));
}

/// The costs of a candidate beside its bytes, the weightiest first: the share
/// of work that is done twice, the operations that dispatch formation forms,
/// the rewrites.
CandidateSearch::Burden
CandidateSearch::burdenOf(const Configuration &config) const {
  const BandPlan *plan = bandPlan(config);
  return {plan ? plan->extraWork() : 0.0,
          candidates.at(config).prediction->numOperations, numRewrites(config)};
}

/// The number of the plan that differs from plan `number` in the bands of one
/// site; 0 if there is none.
size_t CandidateSearch::changeBands(size_t number, const BandChange &change) {
  auto [known, added] =
      changedPlans.try_emplace(std::make_pair(number, change), 0);
  if (added) {
    known->second = maker->changeBandPlan(number, change.site, change.count);
    if (known->second > 0) {
      plansBefore[known->second] = {number, change};
    }
  }
  return known->second;
}

/// `config` with the bands of another plan: the rewrites are those of the same
/// kind at the same operations.
Configuration CandidateSearch::inBandsOf(const Configuration &config,
                                         size_t number) {
  using Place = std::pair<RewriteKind, std::string>;
  std::set<Place> chosen;
  const std::vector<RewriteSite> &before = maker->sites(config);
  for (size_t i = 0; i < config.sites.size(); ++i) {
    if (config.sites[i]) {
      chosen.insert({before[i].kind, before[i].location});
    }
  }
  Configuration changed = config;
  changed.bands = number;
  const std::vector<RewriteSite> &now = maker->sites(changed);
  changed.sites.assign(chosen.empty() ? 0 : now.size(), false);
  for (size_t i = 0; i < changed.sites.size(); ++i) {
    changed.sites[i] = chosen.count({now[i].kind, now[i].location}) > 0;
  }
  return changed;
}

/// Fewer bands where the peak does not need them: none, or the least number
/// that is found by halving.
Configuration CandidateSearch::trimBands(Configuration best, int64_t allowed) {
  auto take = [&](size_t site, int64_t count) {
    if (trimOperations > maxTrimOperations) {
      return false;
    }
    size_t number = changeBands(best.bands, {site, count});
    if (number == 0) {
      return false;
    }
    const bool whole = maker->bandPlan(number).empty();
    Configuration config = inBandsOf(best, whole ? 0 : number);
    if (!improvesOn(config, best, allowed)) {
      return false;
    }
    best = config;
    return true;
  };
  for (size_t site = 0;
       best.bands > 0 && site < maker->bandPlan(best.bands).sites.size();) {
    int64_t enough = maker->bandPlan(best.bands).sites[site].count;
    if (take(site, 1)) {
      continue; // the next site has its number now
    }
    for (int64_t few = 1; few + 1 < enough;) {
      const int64_t middle = (few + enough) / 2;
      (take(site, middle) ? enough : few) = middle;
    }
    ++site;
  }
  return best;
}

/// Without the rewrites of one operation, in all bands, where the peak does not
/// need them; those of most parts first.
Configuration CandidateSearch::trimSites(Configuration best, int64_t allowed) {
  std::map<std::pair<RewriteKind, std::string>, std::vector<size_t>> groups;
  const std::vector<RewriteSite> &sites = maker->sites(best);
  for (size_t i = 0; i < best.sites.size(); ++i) {
    if (best.sites[i]) {
      groups[{sites[i].kind, sites[i].location}].push_back(i);
    }
  }
  std::vector<std::pair<int64_t, std::vector<size_t>>> order;
  const std::vector<int64_t> parts = candidates.at(best).rewrites.parts;
  for (auto &[place, members] : groups) {
    int64_t count = 0;
    for (size_t i : members) {
      count += i < parts.size() ? parts[i] : 0;
    }
    order.emplace_back(-count, std::move(members));
  }
  std::sort(order.begin(), order.end());
  for (const auto &[count, members] : order) {
    if (trimOperations > maxTrimOperations) {
      break;
    }
    Configuration config = best;
    for (size_t i : members) {
      config.sites[i] = false;
    }
    if (improvesOn(config, best, allowed)) {
      best = config;
    }
  }
  return best;
}

/// The same peak, or up to `allowed` bytes, with less: predictions tell.
Configuration CandidateSearch::trimTo(const Configuration &best,
                                      int64_t allowed) {
  trimOperations = 0;
  return trimSites(trimBands(best, allowed), allowed);
}

Configuration CandidateSearch::trim(Configuration best) {
  if (judge == Judge::Compilations) {
    return dropSites(best);
  }
  if (best.isStock() || !predict(best)) {
    return best;
  }
  const Configuration dropped = dropSites(best);
  if (!ranksCandidates(costOf(best))) {
    return dropped; // it is not trusted, and trial compilations are few
  }
  const Configuration light = trimTo(best, /*allowed=*/0);
  if (dropped < light || light < dropped) {
    trimmed.emplace(light, dropped);
  }
  asked.insert(light);
  return light;
}

/// Where `best` needs other bytes than predicted, the model may be wrong about
/// the bands and rewrites that were taken back. Builds the candidate before
/// that, and, where that needs more than predicted too, one that is lighter and
/// promises no more than it needs.
Configuration CandidateSearch::buildTrimmed(const Configuration &best) {
  if (best.isStock()) {
    return best;
  }
  Configuration least = best;
  int64_t bytes = *candidates.at(best).builtBytes();
  const int64_t predicted = candidates.at(best).prediction->sum();
  auto before = trimmed.find(best);
  if (before != trimmed.end() &&
      (bytes > predicted || !agrees(predicted, bytes))) {
    std::optional<int64_t> given = build(before->second);
    if (given && *given < bytes) {
      least = before->second;
      bytes = *given;
    }
  }
  if (bytes <= candidates.at(least).prediction->sum()) {
    return least;
  }
  judge = Judge::Predictions;
  const Configuration light = trimTo(least, bytes);
  judge = Judge::Compilations;
  std::optional<int64_t> given = build(light);
  return given && *given <= bytes ? light : least;
}

} // namespace serenity

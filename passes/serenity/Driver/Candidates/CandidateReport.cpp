// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Candidates/CandidateReport.h"

#include <map>

namespace serenity {

namespace {

const char *storageName(Configuration::Storage storage) {
  switch (storage) {
  case Configuration::AsGiven:
    return "as-given";
  case Configuration::Integers:
    return "integers";
  case Configuration::Raised:
    return "raised";
  }
  return "";
}

const char *inPlaceName(Configuration::InPlace inPlace) {
  switch (inPlace) {
  case Configuration::None:
    return "none";
  case Configuration::SingleUse:
    return "single-use";
  case Configuration::LastUse:
    return "last-use";
  }
  return "";
}

/// The sites that `config` rewrites, per kind in the order of the table.
std::vector<std::pair<std::string, int64_t>>
countRewrites(const Configuration &config, const CandidateSearch &search) {
  if (numRewrites(config) == 0) {
    return {};
  }
  const std::vector<RewriteSite> &sites = search.sites(config);
  std::map<RewriteKind, int64_t> counts;
  for (size_t i = 0; i < sites.size() && i < config.sites.size(); ++i) {
    if (config.sites[i]) {
      ++counts[sites[i].kind];
    }
  }
  std::vector<std::pair<std::string, int64_t>> named;
  for (const auto &[kind, count] : counts) {
    named.emplace_back(rewriteKindName(kind), count);
  }
  return named;
}

CandidateReport ofStock(const char *kind, const std::optional<int64_t> &peak) {
  CandidateReport report;
  report.kind = kind;
  report.transientPeakBytes = peak;
  return report;
}

} // namespace

CandidateReport describe(const Configuration &config,
                         const CandidateSearch &search) {
  CandidateReport report;
  report.kind = "serenity";
  report.storage = storageName(config.storage);
  report.multiUseFusion = config.fuseMultiUse;
  report.inPlace = inPlaceName(config.inPlace);
  report.unfusedProducers = int64_t(config.unfused.size());
  report.deepStreams = config.deepStreams;
  report.rewrites = countRewrites(config, search);
  if (const BandPlan *plan = search.bandPlan(config)) {
    for (const BandSite &site : plan->sites) {
      report.bands.push_back({site.from, site.to, site.count});
    }
    report.extraWork = plan->extraWork();
  }
  report.mergedAccumulations = int64_t(numJoins(config));
  return report;
}

std::vector<CandidateReport>
describeCandidates(const std::string &function,
                   const std::optional<int64_t> &stockPeak,
                   const std::optional<std::optional<int64_t>> &offsetPeak,
                   const CandidateSearch *search, Variant variant,
                   const Configuration &config) {
  std::vector<CandidateReport> reports = {ofStock("stock", stockPeak)};
  reports.back().chosen = variant == Variant::Stock;
  if (offsetPeak) {
    reports.push_back(ofStock("stock-order", *offsetPeak));
    reports.back().chosen = variant == Variant::Offsets;
  }
  if (!search) {
    return reports;
  }
  const Configuration &chosen = config;
  for (const auto &[config, candidate] : search->tried()) {
    if (!candidate.tried && !candidate.placed) {
      continue; // predicted alone
    }
    CandidateReport report = describe(config, *search);
    report.predictedBytes = candidate.estimate;
    report.built = bool(candidate.placed);
    if (candidate.prediction) {
      report.predictedBytes = candidate.prediction->sum();
      std::optional<int64_t> bytes = candidate.builtBytes();
      report.mispredicted = bytes && *bytes != *report.predictedBytes;
    }
    auto peak = candidate.peaks.find(function);
    if (report.built && peak != candidate.peaks.end()) {
      report.transientPeakBytes = peak->second;
    }
    bool same = !(config < chosen) && !(chosen < config);
    report.chosen = variant == Variant::Reordered && same;
    reports.push_back(std::move(report));
  }
  return reports;
}

} // namespace serenity

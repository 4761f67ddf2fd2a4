// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The strategies of the search for a candidate, and the tables that say in
// which order they run. They are the same whether candidates are judged by
// predictions or by trial compilations. Those of the first table improve on the
// incumbent by estimates. Those of the second start from the best candidate so
// far and return one that needs less, or the same.

#include "serenity/Driver/Candidates/CandidateSearch.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>

namespace serenity {

namespace {

/// Candidates per search at most; the search ends there with the best.
constexpr size_t maxCandidates = 18;

/// IREE's time for a candidate grows with its dispatches. Of large modules
/// fewer candidates are tried: none after so many dispatches in all, but always
/// a few.
constexpr int64_t maxDispatches = 5000;
constexpr size_t minCandidates = 8;

/// The same for predictions.
constexpr size_t maxPredicted = 160;
constexpr int64_t maxOperations = 16000;

/// Rounds in which sites at the peak are rewritten, and how many candidates of
/// each are taken to their slabs.
constexpr int maxPeakRounds = 6;
constexpr size_t maxPlacedPerRound = 2;

/// Rounds in which sites at all steps at the peak are rewritten.
constexpr int maxEveryPeakRounds = 3;

/// Rounds in which producers are left unfused.
constexpr int maxUnfuseRounds = 3;

constexpr const char *multiUseFlag = "iree-dispatch-creation-fuse-multi-use";

bool isPaperKind(const RewriteSite &site) {
  return site.kind == RewriteKind::ChannelWise ||
         site.kind == RewriteKind::KernelWise || site.kind == RewriteKind::Sum;
}

/// Groups of sites at the peak that are rewritten together.
using Wanted = bool (*)(const RewriteSite &);
constexpr Wanted groupsAtPeak[] = {
    isPaperKind,
    [](const RewriteSite &site) { return site.kind == RewriteKind::Overwrite; },
    [](const RewriteSite &site) {
      return site.kind == RewriteKind::Stream && !site.padsOnly;
    },
    [](const RewriteSite &site) { return site.padsOnly; },
    [](const RewriteSite &site) {
      return site.kind == RewriteKind::KernelStream;
    },
    [](const RewriteSite &) { return true; },
};

/// Whether the operation at `location` is part of a dispatch at one of
/// `places`: that may carry the locations of all that it is made of.
bool isAt(const std::string &location, const std::set<std::string> &places) {
  std::string bare = location.substr(4, location.size() - 5); // in "loc()"
  // Reports name the place in a callee that was inlined, not the call.
  const std::string call = "callsite(";
  while (bare.compare(0, call.size(), call) == 0) {
    bare = bare.substr(call.size());
    bare = bare.substr(0, bare.find(" at "));
  }
  return std::any_of(places.begin(), places.end(),
                     [&](const std::string &place) {
                       return place.find(bare) != std::string::npos;
                     });
}

/// Adds the locations of the operations that run at `step` of a region or touch
/// a buffer that lives across it.
void addPlacesAt(const RegionReport &region, int64_t step,
                 std::set<std::string> &places) {
  auto touches = [&](const std::vector<AccessReport> &accesses) {
    return std::any_of(
        accesses.begin(), accesses.end(), [&](const AccessReport &access) {
          const BufferReport &buffer = region.buffers[access.buffer];
          return buffer.first <= step && step <= buffer.last;
        });
  };
  for (const OperationReport &operation : region.operations) {
    if (operation.step == step || touches(operation.defs) ||
        touches(operation.uses)) {
      places.insert(operation.location);
    }
  }
}

} // namespace

bool CandidateSearch::fusesMultiUse() const {
  auto flag = user.session.find(multiUseFlag);
  return flag != user.session.end() && flag->second != "false";
}

bool CandidateSearch::enough() const {
  if (judge == Judge::Predictions) {
    return asked.size() >= maxPredicted ||
           (asked.size() >= minCandidates && askedDispatches > maxOperations);
  }
  return asked.size() >= maxCandidates ||
         (asked.size() >= minCandidates && askedDispatches > maxDispatches);
}

/// Makes `config` the incumbent where its estimate is less, or as much with
/// fewer rewrites.
bool CandidateSearch::improve(const Configuration &config) {
  if (enough() && !asked.count(config)) {
    return false;
  }
  std::optional<int64_t> known = estimateCandidate(config);
  if (asked.insert(config).second) {
    auto tried = candidates.find(config);
    if (tried != candidates.end()) {
      askedDispatches +=
          judge == Judge::Compilations ? tried->second.numDispatches
          : tried->second.prediction   ? tried->second.prediction->numOperations
                                       : 0;
    }
  }
  if (!known) {
    return false;
  }
  if (incumbentEstimate && (*known > *incumbentEstimate ||
                            (*known == *incumbentEstimate &&
                             numRewrites(config) >= numRewrites(incumbent)))) {
    return false;
  }
  incumbent = config;
  incumbentEstimate = known;
  return true;
}

/// The sites of these kinds; those that pay in few places are left to
/// rewriteAtPeak.
std::vector<bool>
CandidateSearch::sitesOf(const std::vector<RewriteKind> &kinds) const {
  const std::vector<RewriteSite> &all = maker->sites(furthest);
  std::vector<bool> chosen(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    chosen[i] = !all[i].padsOnly && std::find(kinds.begin(), kinds.end(),
                                              all[i].kind) != kinds.end();
  }
  return chosen;
}

/// With multi-use fusion as given and without.
void CandidateSearch::tryFusions(const std::vector<bool> &sites,
                                 Configuration::Storage storage) {
  Configuration config;
  config.storage = storage;
  config.sites = sites;
  config.inPlace = Configuration::LastUse;
  improve(config);
  if (fusesMultiUse() && !user.has(multiUseFlag)) { // the user's choice wins
    config.fuseMultiUse = false;
    improve(config);
  }
}

/// All sites of every kind, whatever the bytes say.
void CandidateSearch::rewriteEverything() {
  incumbentEstimate = std::nullopt;
  tryFusions(std::vector<bool>(maker->sites(furthest).size(), true), furthest);
}

void CandidateSearch::storeIntegers() {
  if (maker->has(Configuration::Integers)) {
    tryFusions({}, Configuration::Integers);
  }
}

/// All sites of a kind together: the paper's kinds and sums first, then
/// products piece by piece too.
void CandidateSearch::rewriteKinds() {
  const std::vector<bool> split = sitesOf(
      {RewriteKind::ChannelWise, RewriteKind::KernelWise, RewriteKind::Sum});
  tryFusions(split, furthest);
  promising.push_back(incumbent);
  // Also where these alone were not better: pieces may make them so.
  for (const std::vector<RewriteKind> &kinds :
       {std::vector<RewriteKind>{RewriteKind::Overwrite},
        {RewriteKind::Stream},
        {RewriteKind::Stream, RewriteKind::Overwrite}}) {
    std::vector<bool> pieces = sitesOf(kinds);
    if (std::find(pieces.begin(), pieces.end(), true) == pieces.end()) {
      continue;
    }
    Configuration config = incumbent;
    config.storage = furthest;
    config.inPlace = Configuration::LastUse;
    config.sites = split;
    for (size_t i = 0; i < pieces.size(); ++i) {
      config.sites[i] = config.sites[i] || pieces[i];
    }
    config.deepStreams = false;
    improve(config);
    if (kinds.front() == RewriteKind::Overwrite) {
      promising.push_back(config);
    } else {
      config.deepStreams = true;
      improve(config);
    }
  }
}

void CandidateSearch::rewriteNothing() {
  if (!rewrites || numRewrites(incumbent) == 0) {
    tryFusions({}, furthest);
  }
}

/// Fewer in-place results.
void CandidateSearch::restrictInPlace() {
  for (Configuration::InPlace inPlace :
       {Configuration::SingleUse, Configuration::None}) {
    Configuration config = incumbent;
    config.inPlace = inPlace;
    improve(config);
  }
}

/// The incumbent without the rewrites of `drop`.
void CandidateSearch::leaveOut(const std::vector<size_t> &drop) {
  Configuration config = incumbent;
  bool any = false;
  for (size_t i : drop) {
    if (i < config.sites.size() && config.sites[i]) {
      config.sites[i] = false;
      any = true;
    }
  }
  if (any) {
    improve(config);
  }
}

/// Fewer rewrites at the same peak, or a lower peak with fewer.
void CandidateSearch::dropKinds() {
  for (RewriteKind kind :
       {RewriteKind::Stream, RewriteKind::Overwrite, RewriteKind::Sum,
        RewriteKind::KernelWise, RewriteKind::ChannelWise}) {
    std::vector<bool> ofKind = sitesOf({kind});
    std::vector<size_t> group;
    for (size_t i = 0; i < ofKind.size(); ++i) {
      if (ofKind[i]) {
        group.push_back(i);
      }
    }
    leaveOut(group);
  }
}

/// Without halves, quarters, ... of the sites that are left.
void CandidateSearch::dropHalves() {
  for (size_t parts = 2; !enough(); parts *= 2) {
    std::vector<size_t> left;
    for (size_t i = 0; i < incumbent.sites.size(); ++i) {
      if (incumbent.sites[i]) {
        left.push_back(i);
      }
    }
    if (left.empty()) {
      break;
    }
    size_t length = std::max<size_t>(1, (left.size() + parts - 1) / parts);
    for (size_t first = 0; first < left.size(); first += length) {
      leaveOut(std::vector<size_t>(left.begin() + first,
                                   left.begin() +
                                       std::min(first + length, left.size())));
    }
    if (length == 1) {
      break;
    }
  }
}

/// The same candidate of the module that rewrites reach, rewritten at its peak;
/// `best` where that needs no less.
Configuration CandidateSearch::rewriteRaised(Configuration best) {
  if (best.storage == Configuration::AsGiven || best.storage == furthest ||
      numRewrites(best) > 0) {
    return best;
  }
  Configuration raised = best;
  raised.storage = furthest;
  raised.sites.clear();
  raised.unfused.clear();
  asked.insert(raised);
  if (!measure(raised)) {
    return best;
  }
  raised = rewriteAtPeak(raised);
  return costOf(raised) < costOf(best) ? raised : best;
}

/// The locations of the operations that run at the peak of a region or touch a
/// buffer that lives across it: at the first step that needs so much, or with
/// `everyStep` at any; of predictions always the first.
std::set<std::string> CandidateSearch::placesAtPeak(const Configuration &config,
                                                    bool everyStep) {
  const Candidate &entry = candidates.at(config);
  if (judge == Judge::Predictions) {
    return entry.prediction->placesAtPeak;
  }
  ir::OwningOp module = ir::OwningOp::clone(entry.placed.get());
  ModuleReport packed;
  runPack(module.get(), options, &packed);
  std::set<std::string> places;
  for (const FunctionReport &function : packed.functions) {
    for (const RegionReport &region : function.regions) {
      const std::vector<int64_t> &live = region.liveBytes;
      const auto peak = std::max_element(live.begin(), live.end());
      for (int64_t step = peak - live.begin(); step < int64_t(live.size());
           ++step) {
        if (live[step] == *peak) {
          addPlacesAt(region, step, places);
        }
        if (!everyStep) {
          break;
        }
      }
    }
  }
  return places;
}

/// `best` with the sites at `places` rewritten, kind by kind and all together.
std::vector<Configuration>
CandidateSearch::rewrittenAt(const Configuration &best,
                             const std::set<std::string> &places) const {
  const std::vector<RewriteSite> &all = maker->sites(best);
  std::vector<bool> atPeak;
  for (const RewriteSite &site : all) {
    atPeak.push_back(isAt(site.location, places));
  }
  std::vector<Configuration> configs;
  for (Wanted wanted : groupsAtPeak) {
    Configuration config = best;
    config.inPlace = Configuration::LastUse;
    config.sites.resize(all.size());
    bool streams = false;
    for (size_t i = 0; i < all.size(); ++i) {
      if (!config.sites[i] && atPeak[i] && wanted(all[i])) {
        config.sites[i] = true;
        streams |= all[i].kind == RewriteKind::Stream ||
                   all[i].kind == RewriteKind::KernelStream;
      }
    }
    for (bool deep : {best.deepStreams, true}) {
      config.deepStreams = deep;
      if (deep && !best.deepStreams && !streams) {
        continue;
      }
      if (numRewrites(config) > numRewrites(best)) {
        configs.push_back(config);
      }
    }
  }
  return configs;
}

/// Rewrites the sites that have to do with the peak, kind by kind and all
/// together, as long as that lowers it. Of large networks this finds the few
/// sites that matter, which groups of all sites do not single out.
Configuration CandidateSearch::rewriteAtPeak(Configuration best) {
  for (int round = 0; round < maxPeakRounds; ++round) {
    if (costOf(best) == INT64_MAX) {
      break;
    }
    std::vector<Configuration> configs;
    for (Configuration &config : rewrittenAt(best, placesAtPeak(best))) {
      if (asked.insert(config).second && estimateCandidate(config)) {
        configs.push_back(std::move(config));
      }
    }
    Configuration least = leastOf(best, std::move(configs), maxPlacedPerRound);
    if (numRewrites(least) == numRewrites(best)) {
      break;
    }
    best = least;
  }
  return best;
}

/// Rewrites the sites at all steps that need as much as the peak of a candidate
/// that is built, kind by kind and all together, as long as that lowers it. In
/// a network that repeats a block many steps do, and a rewrite at one of them
/// lowers nothing. Only what promises no more than `best` does is built.
Configuration CandidateSearch::rewriteAtEveryPeak(Configuration best) {
  for (int round = 0; round < maxEveryPeakRounds; ++round) {
    if (best.isStock() || costOf(best) == INT64_MAX || !predict(best)) {
      break;
    }
    const int64_t bytes = *candidates.at(best).builtBytes();
    const int64_t promised = candidates.at(best).prediction->sum();
    std::set<Configuration> configs;
    for (const Configuration &config :
         rewrittenAt(best, placesAtPeak(best, /*everyStep=*/true))) {
      for (Configuration::InPlace inPlace : {config.inPlace, best.inPlace}) {
        Configuration next = config;
        next.inPlace = inPlace;
        if (!placed(next) && predict(next) &&
            candidates.at(next).prediction->sum() <= promised) {
          configs.insert(next);
        }
      }
    }
    const std::vector<Ranked> ranked = rankPredictions(configs);
    int64_t least = bytes;
    for (size_t i = 0; i < std::min(ranked.size(), maxPlacedPerRound); ++i) {
      std::optional<int64_t> built = build(ranked[i].config);
      if (built && *built < least) {
        best = ranked[i].config;
        least = *built;
      }
    }
    if (least == bytes) {
      break;
    }
  }
  return best;
}

/// Every site at once, with in-place results at single and at last uses. Pieces
/// of one operation may pay only where those before it are taken, too, which
/// neither the kinds one by one nor the sites at the peak show. Predictions see
/// that for all candidates; where they are not trusted, it has to be built.
Configuration CandidateSearch::rewriteAllSites(Configuration best) {
  const size_t count = maker->sites(best).size();
  if (!rewrites || judge == Judge::Predictions || numRewrites(best) == count) {
    return best;
  }
  std::vector<Configuration> configs;
  for (Configuration::InPlace inPlace :
       {Configuration::SingleUse, Configuration::LastUse}) {
    Configuration config;
    config.storage = best.storage;
    config.bands = best.bands;
    config.sites.assign(count, true);
    config.inPlace = inPlace;
    if (asked.insert(config).second && estimateCandidate(config)) {
      configs.push_back(config);
    }
  }
  return leastOf(best, std::move(configs), maxPlacedPerRound);
}

/// Fusion at the level of single operations: leaves producers unfused that have
/// to do with the peak, as long as that lowers it.
Configuration CandidateSearch::unfuseAtPeak(Configuration best) {
  // A flag of the user's own about fusion wins.
  for (const auto &flag : user.session) {
    if (flag.first.compare(0, 23, "iree-dispatch-creation-") == 0 &&
        flag.first.find("fus") != std::string::npos && user.has(flag.first)) {
      return best;
    }
  }
  for (int round = 0; round < maxUnfuseRounds; ++round) {
    if (costOf(best) == INT64_MAX) {
      break;
    }
    Configuration config = best;
    std::set<std::string> places = placesAtPeak(best);
    for (const std::string &site : maker->unfusableProducers(best)) {
      if (isAt(site, places)) {
        config.unfused.insert(site);
      }
    }
    if (config.unfused.size() == best.unfused.size() ||
        !asked.insert(config).second) {
      break;
    }
    std::optional<int64_t> bytes = measure(config);
    if (!bytes || *bytes >= costOf(best)) {
      break;
    }
    best = config;
  }
  return best;
}

const CandidateSearch::EstimateStrategy CandidateSearch::byEstimate[] = {
    {&CandidateSearch::rewriteEverything, When::RewritingAlways},
    {&CandidateSearch::storeIntegers, When::NotRewritingAlways},
    {&CandidateSearch::rewriteKinds, When::RewritingAuto},
    {&CandidateSearch::rewriteNothing, When::NotRewritingAlways},
    {&CandidateSearch::restrictInPlace, When::Any},
    {&CandidateSearch::dropKinds, When::RewritingAuto},
    {&CandidateSearch::dropHalves, When::RewritingAuto},
};

const CandidateSearch::CostStrategy CandidateSearch::byCost[] = {
    &CandidateSearch::rewriteAtPeak,
    &CandidateSearch::rewriteRaised,
    &CandidateSearch::unfuseAtPeak,
    &CandidateSearch::rewriteAllSites,
};

bool CandidateSearch::applies(When when, bool always) const {
  switch (when) {
  case When::Any:
    return true;
  case When::RewritingAuto:
    return rewrites && !always;
  case When::RewritingAlways:
    return rewrites && always;
  case When::NotRewritingAlways:
    return !rewrites || !always;
  }
  return false;
}

Configuration CandidateSearch::runStrategies(RewriteMode mode) {
  incumbent = Configuration(); // the stock candidate, placed already
  asked = {incumbent};
  trimSteps.clear();
  askedDispatches = 0;
  promising.clear();
  incumbentEstimate = bytesBefore(incumbent);
  // Of a quantized network the rewrites are those of its integer arithmetic.
  furthest = maker->furthestStorage();
  // Bands of them need no site.
  rewrites = mode != RewriteMode::Off && (furthest == Configuration::Raised ||
                                          !maker->sites(furthest).empty());
  const bool always = mode == RewriteMode::Always;
  for (const EstimateStrategy &strategy : byEstimate) {
    if (applies(strategy.when, always)) {
      (this->*strategy.run)();
    }
  }
  if (!rewrites || always) {
    return unfuseAtPeak(placeBest(rewrites));
  }
  // Bands first, while trial compilations are left: where they halve the peak,
  // other rewrites of the whole network do not reach them.
  Configuration best = placeBest(false);
  Configuration banded = tryBands(best);
  if (banded.bands > 0 && costOf(banded) <= costOf(best) / 2) {
    // No joins: each would be made in every band, at the cost of a trial.
    return trim(banded);
  }
  for (CostStrategy strategy : byCost) {
    best = (this->*strategy)(best);
  }
  best = costOf(banded) < costOf(best) ? trim(banded) : joinParts(trim(best));
  return leastPlaced(best);
}

Configuration CandidateSearch::searchAtHints(RewriteMode mode) {
  predictWithResults(false);
  // Without rewriting few candidates are left: all are compiled.
  if (mode == RewriteMode::Auto && canPredict()) {
    judge = Judge::Predictions;
    runStrategies(mode);
    judge = Judge::Compilations;
    auto [predicted, trusted] = buildBest();
    if (!trusted && options.reuse) {
      std::tie(predicted, trusted) = searchWithResults(mode, predicted);
    }
    if (trusted) {
      return predicted;
    }
    predicted = rewriteAtEveryPeak(predicted);
    Configuration compiled = runStrategies(mode);
    return costOf(predicted) < costOf(compiled) ? predicted : compiled;
  }
  return runStrategies(mode);
}

Configuration CandidateSearch::search(RewriteMode mode) {
  if (!maker) {
    return Configuration(); // placed already
  }
  Configuration best = searchAtHints(mode);
  return mode == RewriteMode::Auto && rewrites && !stock->elsewhere.empty()
             ? improveElsewhere(best)
             : best;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/CandidateSearch.h"

#include "serenity/Driver/Compile/CrashFallback.h"
#include "serenity/Driver/Compile/Stopwatch.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

namespace serenity {

namespace {

/// Candidates that are candidates per module at most; the search ends there
/// with the best.
constexpr size_t maxCandidates = 18;

/// IREE's time for a candidate grows with its dispatches. Of large modules
/// fewer candidates are tried: none after so many dispatches in all, but always
/// a few.
constexpr int64_t maxDispatches = 5000;
constexpr size_t minCandidates = 8;

/// So many of the best by the estimate at flow level are taken to their slabs.
constexpr size_t maxPlacedForms = 6;

/// Rounds in which sites at the peak are rewritten, and how many candidates of
/// each are taken to their slabs.
constexpr int maxPeakRounds = 6;
constexpr size_t maxPlacedPerRound = 2;

/// Rounds in which producers are left unfused.
constexpr int maxApartRounds = 3;

/// States per estimate; the chosen candidate is solved without this limit.
constexpr int64_t statesPerEstimate = 10000;

/// States of the search for the order of accumulations, for the few candidates
/// that are taken further than their estimate.
constexpr int64_t statesPerPlacedOrder = 200000;

/// States per region while candidates are compared.
constexpr int64_t statesPerPlacedCandidate = 100000;

/// States per region of the chosen candidate, if its order is not proved yet.
constexpr int64_t statesOfChosenCandidate = 1000000;

/// States of all candidates that are taken to their slabs; after that each has
/// those of an estimate. Most regions are proved in far fewer.
constexpr int64_t statesOfPlacedCandidates = 200000;

int64_t countDispatches(MlirOperation flow) {
  int64_t count = 0;
  ir::walk(flow,
           [&](MlirOperation op) { count += ir::isa(op, "flow.dispatch"); });
  return count;
}

/// No limit is scaled below this.
constexpr int64_t leastStates = 2000;

/// The limit for a module of `dispatches`: a state of a graph of n operations
/// costs about n steps, and there are more of them to try.
int64_t scaledStates(int64_t states, int64_t dispatches) {
  constexpr int64_t fullUpTo = 100;
  if (dispatches <= fullUpTo) {
    return states;
  }
  return std::max(states * fullUpTo / dispatches * fullUpTo / dispatches,
                  std::min(states, leastStates));
}

/// Options for comparing candidates: limited in states, so that the choice does
/// not depend on how busy the machine is, unless the user is in a hurry.
Options limited(const Options &options, int64_t states) {
  Options quick = options;
  quick.stateLimit =
      options.stateLimit ? std::min(options.stateLimit, states) : states;
  if (options.timeLimitSeconds >= options.maxSearchSeconds) {
    quick.timeLimitSeconds = quick.maxSearchSeconds = 1e9;
  }
  return quick;
}

/// Standard error goes nowhere while it lives: flags that print IR or times
/// speak of the compilation, not of what was candidates on the way.
class HushStandardError {
public:
  explicit HushStandardError(bool active) {
    if (active) {
      std::fflush(stderr);
      saved = dup(STDERR_FILENO);
      int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
      if (saved >= 0 && nowhere >= 0) {
        dup2(nowhere, STDERR_FILENO);
      }
      if (nowhere >= 0) {
        close(nowhere);
      }
    }
  }
  ~HushStandardError() {
    if (saved >= 0) {
      std::fflush(stderr);
      dup2(saved, STDERR_FILENO);
      close(saved);
    }
  }

private:
  int saved = -1;
};

bool hasInitializer(MlirOperation module) {
  for (MlirOperation op : ir::operations(ir::body(module))) {
    if (ir::isa(op, "util.initializer")) {
      return true;
    }
  }
  return false;
}

} // namespace

CandidateSearch::~CandidateSearch() { forget(); }

void CandidateSearch::forget() {
  for (auto &item : candidates) {
    for (MlirOperation module : {item.second.flow, item.second.placed}) {
      if (module.ptr) {
        mlirOperationDestroy(module);
      }
    }
  }
  candidates.clear();
  placedFrom.clear();
  promising.clear();
  maker.reset();
  bandPlans.clear();
  if (preprocessed.ptr) {
    mlirOperationDestroy(preprocessed);
    preprocessed.ptr = nullptr;
  }
}

void CandidateSearch::startFrom(MlirOperation module) {
  preprocessed = module;
  maker.emplace(session, user.session, preprocessed);
}

const std::vector<RewriteSite> &
CandidateSearch::sites(const Configuration &config) const {
  static const std::vector<RewriteSite> none;
  return maker ? maker->sites(config) : none;
}

CandidateSearch::Candidate *
CandidateSearch::placed(const Configuration &config) {
  auto it = candidates.find(config);
  return it != candidates.end() && it->second.placed.ptr ? &it->second
                                                         : nullptr;
}

CandidateSearch::Candidate *
CandidateSearch::place(const Configuration &config) {
  if (!maker) {
    return nullptr;
  }
  estimateCandidate(config);
  placeCandidate(config);
  return placed(config);
}

void CandidateSearch::placeStock(MlirOperation flow, const Peaks &leastStock) {
  Stopwatch watch(report, "reordered_candidate");
  context = mlirOperationGetContext(flow);
  bestStock = leastStock;
  std::optional<ir::SilenceDiagnostics> quiet;
  if (watched) {
    quiet.emplace(context);
  }
  Candidate &entry = candidates[Configuration()];
  entry.placed = mlirOperationClone(flow);
  if (stream.toSlabs(entry.placed, &options, &entry.report, false)) {
    entry.peaks = stream.peaks(entry.placed, options, options.offsets);
    entry.cost = cost(entry.peaks);
    MlirOperation copy = mlirOperationClone(flow);
    ir::SilenceDiagnostics silence(context);
    entry.estimate = estimate(copy);
    mlirOperationDestroy(copy);
  } else {
    ir::emitWarning(
        mlirOperationGetLocation(flow),
        "IREE refuses the module in the order of serenity-schedule; "
        "keeping the stock order (please report this)");
    mlirOperationDestroy(entry.placed);
    entry.placed.ptr = nullptr;
  }
}

/// What a candidate costs: first whether no function is worse off than without
/// us, then the bytes of all functions, then the number of rewrites.
std::optional<int64_t> CandidateSearch::cost(const Peaks &peaks) const {
  int64_t sum = 0;
  for (const auto &item : bestStock) {
    auto it = peaks.find(item.first);
    if (it == peaks.end()) {
      return std::nullopt;
    }
    if (item.second && (!it->second || *it->second > *item.second)) {
      return std::nullopt;
    }
    sum += it->second.value_or(0);
  }
  return sum;
}

/// The bytes of the best candidate so far.
std::optional<int64_t> CandidateSearch::leastCost() const {
  std::optional<int64_t> least;
  for (const auto &item : candidates) {
    const std::optional<int64_t> &cost = item.second.cost;
    if (cost && (!least || *cost < *least)) {
      least = cost;
    }
  }
  return least;
}

/// Makes a candidate and estimates its bytes by the model of the flow level,
/// which leaves out what placement in concatenations saves.
std::optional<int64_t>
CandidateSearch::estimateCandidate(const Configuration &config) {
  auto known = candidates.find(config);
  if (known != candidates.end()) {
    return known->second.estimate;
  }
  if (!limit.takeTrial(leastCost())) {
    return std::nullopt;
  }
  Candidate &entry = candidates[config];
  ir::SilenceDiagnostics silence(context);
  HushStandardError hush(watched);
  Stopwatch watch(report, "candidate_flow");
  CrashGuard guard("the trial compilation of '" + config.name() + "'");
  crashPoint("estimate");
  entry.flow = maker->make(config, statesPerOrder, &entry.rewrites,
                           CandidateBuilder::Constants::Symbolic);
  if (entry.flow.ptr) {
    entry.numDispatches = countDispatches(entry.flow);
    limit.addDispatches(entry.numDispatches);
    entry.symbolic = maker->evaluates() && hasInitializer(entry.flow);
    entry.estimate = estimate(entry.flow);
  }
  return entry.estimate;
}

/// The sum of the functions' peaks in our order at flow level; nothing if a
/// function with tensors is not modelled. The order is written into the module.
std::optional<int64_t> CandidateSearch::estimate(MlirOperation flow) {
  Options quick =
      limited(options, scaledStates(statesPerEstimate, countDispatches(flow)));
  if (!runSchedule(flow, quick, nullptr)) {
    return std::nullopt;
  }
  int64_t sum = 0;
  for (MlirOperation function : ir::operations(ir::body(flow))) {
    std::optional<int64_t> peak = attributes::estimatedPeakBytes(function);
    bool hasFlow = false;
    if (!peak && !ir::isa(function, "flow.executable")) {
      ir::walk(function, [&](MlirOperation op) {
        hasFlow |= ir::name(op).substr(0, 5) == "flow.";
      });
    }
    if (hasFlow && !ir::isa(function, "util.initializer")) {
      return std::nullopt; // not modelled: nothing to compare by
    }
    sum += peak.value_or(0);
  }
  return sum;
}

/// Makes a candidate once more, with its constants evaluated, and keeps that if
/// it is no worse than the estimate.
bool CandidateSearch::remake(const Configuration &config, Candidate &entry,
                             int64_t stateLimit) {
  RewriteOutcome rewrites;
  MlirOperation module = maker->make(config, stateLimit, &rewrites);
  if (!module.ptr) {
    return false;
  }
  std::optional<int64_t> bytes = estimate(module);
  bool keep = bytes && entry.estimate && *bytes <= *entry.estimate;
  if (keep) {
    std::swap(module, entry.flow);
    entry.estimate = bytes;
    entry.rewrites = rewrites;
    entry.symbolic = false;
  }
  mlirOperationDestroy(module);
  return keep;
}

/// Takes a candidate through our stream prefix to the bytes of its slabs.
std::optional<int64_t>
CandidateSearch::placeCandidate(const Configuration &config) {
  auto known = candidates.find(config);
  if (known == candidates.end()) {
    return std::nullopt; // not tried: a limit was met
  }
  Candidate &entry = known->second;
  if (entry.placed.ptr || !entry.flow.ptr || limit.expired()) {
    return entry.cost;
  }
  ir::SilenceDiagnostics silence(context);
  HushStandardError hush(watched);
  Stopwatch watch(report, "candidate_slabs");
  CrashGuard guard("the layout of '" + config.name() + "'");
  crashPoint("place");
  // More states, unless they would change nothing.
  if (numRewrites(config) > 0 && !entry.rewrites.ordersProved) {
    remake(config, entry,
           scaledStates(statesPerPlacedOrder, entry.numDispatches));
  }
  if (entry.symbolic && !remake(config, entry, statesPerOrder)) {
    return entry.cost;
  }
  // Other configurations may lead to the same module.
  auto same = placedFrom.emplace(ir::toString(entry.flow), config);
  if (!same.second) {
    const Candidate &twin = candidates.at(same.first->second);
    if (twin.placed.ptr) {
      entry.placed = mlirOperationClone(twin.placed);
      entry.report = twin.report;
      entry.peaks = twin.peaks;
      entry.cost = twin.cost;
      return entry.cost;
    }
  }
  layOut(entry);
  return entry.cost;
}

/// From the flow phase to the slabs.
void CandidateSearch::layOut(Candidate &entry) {
  entry.placed = mlirOperationClone(entry.flow);
  Options quick = limited(
      options,
      scaledStates(std::clamp(statesOfPlacedCandidates - placedStates,
                              statesPerEstimate, statesPerPlacedCandidate),
                   entry.numDispatches));
  entry.report = ModuleReport();
  bool ok = stream.toSlabs(entry.placed, &quick, &entry.report, false);
  for (const FunctionReport &function : entry.report.functions) {
    for (const RegionReport &region : function.regions) {
      placedStates += region.states;
    }
  }
  entry.cost = std::nullopt;
  if (ok) {
    entry.peaks = stream.peaks(entry.placed, quick, options.offsets);
    entry.cost = cost(entry.peaks);
  }
}

/// Solves the chosen candidate once more without the limit of the comparison,
/// where that limit was what ended the search.
void CandidateSearch::refine(Candidate &entry) {
  bool proved = true;
  for (const FunctionReport &function : entry.report.functions) {
    for (const RegionReport &region : function.regions) {
      proved &= region.optimal || !region.leftAlone.empty();
    }
  }
  if (proved || !entry.flow.ptr || limit.expired()) {
    return;
  }
  ir::SilenceDiagnostics silence(context);
  Stopwatch watch(report, "refined_candidate");
  Candidate again;
  MlirOperation module = mlirOperationClone(entry.flow);
  Options thorough = limited(
      options, scaledStates(statesOfChosenCandidate, entry.numDispatches));
  if (stream.toSlabs(module, &thorough, &again.report, false)) {
    again.peaks = stream.peaks(module, thorough, options.offsets);
    again.cost = cost(again.peaks);
    if (again.cost && entry.cost && *again.cost <= *entry.cost) {
      std::swap(module, entry.placed);
      entry.report = again.report;
      entry.peaks = again.peaks;
      entry.cost = again.cost;
    }
  }
  mlirOperationDestroy(module);
}

/// Looks for the candidate of least cost: dispatch formation and all rewrites
/// or none together first, then groups of sites, then single sites.
Configuration CandidateSearch::search(RewriteMode mode) {
  Configuration best; // the stock candidate, placed already
  asked = {best};
  askedDispatches = 0;
  promising.clear();
  if (!maker) {
    return best;
  }
  std::optional<int64_t> bestEstimate = candidates[best].estimate;
  auto enough = [&] {
    return asked.size() >= maxCandidates ||
           (asked.size() >= minCandidates && askedDispatches > maxDispatches);
  };
  auto better = [&](const Configuration &config) {
    if (enough() && !asked.count(config)) {
      return false;
    }
    std::optional<int64_t> known = estimateCandidate(config);
    if (asked.insert(config).second) {
      askedDispatches += candidates[config].numDispatches;
    }
    if (!known || (bestEstimate && *known > *bestEstimate) ||
        (bestEstimate && *known == *bestEstimate &&
         numRewrites(config) >= numRewrites(best))) {
      return false;
    }
    best = config;
    bestEstimate = known;
    return true;
  };
  // Of a quantized network the rewrites are those of its integer arithmetic.
  Configuration::Storage storage = maker->furthestStorage();
  size_t numSites = maker->sites(storage).size();
  bool rewrite = mode != RewriteMode::Off && numSites > 0;
  // A flag of the user's own is not ours to vary.
  bool multiUse =
      !user.has("iree-dispatch-creation-fuse-multi-use") &&
      user.session.count("iree-dispatch-creation-fuse-multi-use") &&
      user.session.at("iree-dispatch-creation-fuse-multi-use") != "false";
  // Sites of these kinds; those that pay in few places are left to
  // rewriteAtPeak.
  auto sitesOf = [&](std::vector<RewriteKind> kinds) {
    std::vector<bool> chosen(numSites);
    for (size_t i = 0; i < numSites; ++i) {
      const RewriteSite &site = maker->sites(storage)[i];
      chosen[i] = !site.padsOnly && std::find(kinds.begin(), kinds.end(),
                                              site.kind) != kinds.end();
    }
    return chosen;
  };
  auto tryFusions = [&](const std::vector<bool> &sites,
                        Configuration::Storage storage) {
    for (bool separate : {false, true}) {
      Configuration config;
      config.storage = storage;
      config.sites = sites;
      config.inPlace = Configuration::LastUse;
      if (separate) {
        if (!multiUse) {
          continue;
        }
        config.fuseMultiUse = false;
      }
      better(config);
    }
  };
  if (rewrite && mode == RewriteMode::Always) {
    bestEstimate = std::nullopt; // whatever the bytes say
    tryFusions(std::vector<bool>(numSites, true), storage);
  } else {
    if (maker->has(Configuration::Integers)) {
      tryFusions({}, Configuration::Integers);
    }
    if (rewrite) {
      // The paper's kinds and sums first, then products piece by piece too.
      tryFusions(sitesOf({RewriteKind::ChannelWise, RewriteKind::KernelWise,
                          RewriteKind::Sum}),
                 storage);
      promising.push_back(best);
      // Also where these alone were not better: pieces may make them so.
      const std::vector<bool> split =
          sitesOf({RewriteKind::ChannelWise, RewriteKind::KernelWise,
                   RewriteKind::Sum});
      for (std::vector<RewriteKind> kinds :
           {std::vector<RewriteKind>{RewriteKind::Overwrite},
            {RewriteKind::Stream},
            {RewriteKind::Stream, RewriteKind::Overwrite}}) {
        std::vector<bool> pieces = sitesOf(kinds);
        Configuration config = best;
        config.storage = storage;
        config.inPlace = Configuration::LastUse;
        config.sites = split;
        bool any = false;
        for (size_t i = 0; i < numSites; ++i) {
          any |= pieces[i];
          config.sites[i] = config.sites[i] || pieces[i];
        }
        if (any) {
          config.deepStreams = false;
          better(config);
          if (kinds.front() == RewriteKind::Overwrite) {
            promising.push_back(config);
          } else {
            config.deepStreams = true;
            better(config);
          }
        }
      }
    }
    if (!rewrite || numRewrites(best) == 0) {
      tryFusions({}, storage);
    }
  }
  for (Configuration::InPlace inPlace :
       {Configuration::SingleUse, Configuration::None}) {
    Configuration config = best;
    config.inPlace = inPlace;
    better(config);
  }
  if (!rewrite || mode == RewriteMode::Always) {
    return unfuseAtPeak(placeBest(rewrite));
  }
  // Fewer rewrites at the same peak, or a lower peak with fewer.
  auto without = [&](const std::vector<size_t> &drop) {
    Configuration config = best;
    bool any = false;
    for (size_t i : drop) {
      if (i < config.sites.size() && config.sites[i]) {
        config.sites[i] = false;
        any = true;
      }
    }
    return any && better(config);
  };
  for (RewriteKind kind :
       {RewriteKind::Stream, RewriteKind::Overwrite, RewriteKind::Sum,
        RewriteKind::KernelWise, RewriteKind::ChannelWise}) {
    std::vector<bool> ofKind = sitesOf({kind});
    std::vector<size_t> group;
    for (size_t i = 0; i < numSites; ++i) {
      if (ofKind[i]) {
        group.push_back(i);
      }
    }
    without(group);
  }
  // Halves, quarters, ... of the sites that are left.
  for (size_t parts = 2; !enough(); parts *= 2) {
    std::vector<size_t> left;
    for (size_t i = 0; i < best.sites.size(); ++i) {
      if (best.sites[i]) {
        left.push_back(i);
      }
    }
    if (left.empty()) {
      break;
    }
    size_t length = std::max<size_t>(1, (left.size() + parts - 1) / parts);
    for (size_t first = 0; first < left.size(); first += length) {
      without(std::vector<size_t>(left.begin() + first,
                                  left.begin() +
                                      std::min(first + length, left.size())));
    }
    if (length == 1) {
      break;
    }
  }
  // Bands first, while trial compilations are left: where they halve the peak,
  // other rewrites of the whole network do not reach them.
  Configuration placedBest = placeBest(false);
  Configuration banded = tryBands(placedBest);
  auto costOf = [&](const Configuration &config) {
    Candidate *entry = placed(config);
    return entry ? entry->cost.value_or(INT64_MAX) : INT64_MAX;
  };
  if (banded.bands > 0 && costOf(banded) <= costOf(placedBest) / 2) {
    // No joins: each would be made in every band, at the cost of a trial.
    return dropSites(banded);
  }
  best = rewriteAtPeak(placedBest);
  if (placedBest.storage != Configuration::AsGiven &&
      placedBest.storage != storage && numRewrites(best) == 0) {
    best = rewriteRaised(best, storage);
  }
  best = unfuseAtPeak(best);
  return costOf(banded) < costOf(best) ? dropSites(banded)
                                       : joinParts(dropSites(best));
}

/// The same candidate of the module that rewrites reach, rewritten at its peak;
/// `best` where that needs no less.
Configuration CandidateSearch::rewriteRaised(const Configuration &best,
                                             Configuration::Storage storage) {
  Configuration raised = best;
  raised.storage = storage;
  raised.sites.clear();
  raised.unfused.clear();
  asked.insert(raised);
  estimateCandidate(raised);
  if (!placeCandidate(raised)) {
    return best;
  }
  raised = rewriteAtPeak(raised);
  return *placed(raised)->cost < *placed(best)->cost ? raised : best;
}

/// Where the operations come from that have to do with what is live at the
/// peak of a region: they run there or touch a buffer that lives across it.
std::set<std::string>
CandidateSearch::placesAtPeak(const Candidate &entry) const {
  MlirOperation module = mlirOperationClone(entry.placed);
  ModuleReport packed;
  runPack(module, options, &packed);
  mlirOperationDestroy(module);
  std::set<std::string> places;
  for (const FunctionReport &function : packed.functions) {
    for (const RegionReport &region : function.regions) {
      auto peak =
          std::max_element(region.liveBytes.begin(), region.liveBytes.end());
      int64_t step = peak - region.liveBytes.begin();
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
  }
  return places;
}

/// Whether the operation at `location` is part of a dispatch at one of
/// `places`: that may carry the locations of all that it is made of.
static bool isAt(const std::string &location,
                 const std::set<std::string> &places) {
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

bool CandidateSearch::promisesMore(const Configuration &a,
                                   const Configuration &b) const {
  int64_t costA = *candidates.at(a).estimate;
  int64_t costB = *candidates.at(b).estimate;
  return costA != costB ? costA < costB : numRewrites(a) < numRewrites(b);
}

/// Takes up to `limit` of `configs` to their slabs, those of least estimate
/// first; the one of least cost, or `best`, which is there already.
Configuration CandidateSearch::leastOf(const Configuration &best,
                                       std::vector<Configuration> configs,
                                       size_t limit) {
  std::stable_sort(configs.begin(), configs.end(),
                   [&](const Configuration &a, const Configuration &b) {
                     return promisesMore(a, b);
                   });
  configs.resize(std::min(configs.size(), limit));
  Configuration least = best;
  int64_t leastCost = *placed(best)->cost;
  for (const Configuration &config : configs) {
    std::optional<int64_t> bytes = placeCandidate(config);
    if (bytes && *bytes < leastCost) {
      least = config;
      leastCost = *bytes;
    }
  }
  return least;
}

/// Rewrites what has to do with the peak, kind by kind and all together, as
/// long as that lowers it. Of large networks this finds the few sites that
/// matter, which groups of all sites do not single out.
Configuration CandidateSearch::rewriteAtPeak(Configuration best) {
  for (int round = 0; round < maxPeakRounds; ++round) {
    Candidate *known = placed(best);
    if (!known || !known->cost) {
      break;
    }
    std::set<std::string> places = placesAtPeak(*known);
    const std::vector<RewriteSite> &all = maker->sites(best);
    using Wanted = bool (*)(const RewriteSite &);
    static constexpr Wanted groups[] = {
        [](const RewriteSite &site) {
          return site.kind == RewriteKind::ChannelWise ||
                 site.kind == RewriteKind::KernelWise ||
                 site.kind == RewriteKind::Sum;
        },
        [](const RewriteSite &site) {
          return site.kind == RewriteKind::Overwrite;
        },
        [](const RewriteSite &site) {
          return site.kind == RewriteKind::Stream && !site.padsOnly;
        },
        [](const RewriteSite &site) { return site.padsOnly; },
        [](const RewriteSite &site) {
          return site.kind == RewriteKind::KernelStream;
        },
        [](const RewriteSite &) { return true; },
    };
    std::vector<bool> atPeak;
    for (const RewriteSite &site : all) {
      atPeak.push_back(isAt(site.location, places));
    }
    std::vector<Configuration> configs;
    for (Wanted wanted : groups) {
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
        if (numRewrites(config) > numRewrites(best) &&
            asked.insert(config).second && estimateCandidate(config)) {
          configs.push_back(config);
        }
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
  for (int round = 0; round < maxApartRounds; ++round) {
    Candidate *known = placed(best);
    if (!known || !known->cost) {
      break;
    }
    Configuration config = best;
    std::set<std::string> places = placesAtPeak(*known);
    for (const std::string &site : maker->unfusableProducers(best)) {
      if (isAt(site, places)) {
        config.unfused.insert(site);
      }
    }
    if (config.unfused.size() == best.unfused.size() ||
        !asked.insert(config).second) {
      break;
    }
    estimateCandidate(config);
    std::optional<int64_t> bytes = placeCandidate(config);
    if (!bytes || *bytes >= *known->cost) {
      break;
    }
    best = config;
  }
  return best;
}

/// The candidate of least cost among the best estimates and the stock
/// candidate; with `rewritten` among those with rewrites only.
Configuration CandidateSearch::placeBest(bool rewritten) {
  std::vector<const Configuration *> order;
  for (const auto &item : candidates) {
    if (asked.count(item.first) && item.second.estimate &&
        (!rewritten || numRewrites(item.first) > 0)) {
      order.push_back(&item.first);
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](const Configuration *a, const Configuration *b) {
                     return promisesMore(*a, *b);
                   });
  for (const Configuration &config : promising) {
    auto known = candidates.find(config);
    auto at = known != candidates.end()
                  ? std::find(order.begin(), order.end(), &known->first)
                  : order.end();
    if (at != order.end() && at - order.begin() >= int(maxPlacedForms)) {
      std::rotate(order.begin(), at, at + 1);
    }
  }
  Configuration best;
  std::optional<int64_t> bestCost;
  if (!rewritten) {
    bestCost = candidates[best].cost;
  }
  for (size_t i = 0; i < order.size() && i < maxPlacedForms; ++i) {
    std::optional<int64_t> known = placeCandidate(*order[i]);
    if (known &&
        (!bestCost || *known < *bestCost ||
         (*known == *bestCost && numRewrites(*order[i]) < numRewrites(best)))) {
      best = *order[i];
      bestCost = known;
    }
  }
  return best;
}

} // namespace serenity

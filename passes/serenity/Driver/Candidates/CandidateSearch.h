// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Looks for the candidate of a module (fusion, rewriting, updates in place)
/// that needs the least transient memory in the order of the serenity passes.

#ifndef SERENITY_DRIVER_CANDIDATES_CANDIDATESEARCH_H
#define SERENITY_DRIVER_CANDIDATES_CANDIDATESEARCH_H

#include "serenity/Driver/Candidates/CandidateBuilder.h"
#include "serenity/Driver/Candidates/ConfigurationCache.h"
#include "serenity/Driver/Compile/DynamicSizes.h"
#include "serenity/Driver/Compile/StreamPhase.h"
#include "serenity/Driver/Compile/UserFlags.h"
#include "serenity/Driver/Compile/WorkLimit.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace serenity {

class CandidateSearch {
public:
  struct Candidate {
    bool tried = false;        // IREE was asked
    ir::OwningOp flow;         // empty if not, or if IREE refused the candidate
    bool symbolic = false;     // flow has constants left to evaluate
    bool thorough = false;     // its accumulations had the states of a layout
    int64_t orderStates = 0;   // of their search, in the first trial
    int64_t layoutStates = 0;  // per region, when the slabs were laid out
    int64_t numDispatches = 0; // in flow
    /// With execution regions, and the text of `flow` in the order that led
    /// there: another search may start from them.
    ir::OwningOp regions;
    std::string regionsFrom;
    ir::OwningOp placed; // with laid out slabs; empty if not taken so far
    Peaks peaks;
    Peaks withResults; // of transient memory and results, where exact
    Peaks compared;    // the bytes that candidates are compared by
    /// Bytes of all functions: by the fusion model, without IREE; at flow
    /// level; and of the slabs, as they are compared, nothing if a function is
    /// worse off than stock.
    std::optional<rewrite::Prediction> prediction;
    std::optional<int64_t> estimate;
    std::optional<int64_t> cost;
    ModuleReport report;
    RewriteOutcome rewrites;

    /// Bytes of all functions that the model predicts, as they are compared;
    /// nothing if one is not static.
    std::optional<int64_t> builtBytes() const;
  };

  /// The module as stock.
  struct Stock {
    StockMemory memory;
    Peaks withResults; // of all functions, where exact
    /// Bytes that no function may exceed, as they are compared.
    Peaks least;
    /// Peaks at other extents of dynamic dimensions.
    std::vector<OtherExtents> elsewhere;
  };

  /// Everything must outlive the search. With `watched`, the output that the
  /// user has asked for on standard error does not show the tries.
  CandidateSearch(iree_compiler_session_t *session, const UserFlags &user,
                  const Options &options, StreamPhase &stream, bool watched,
                  ModuleReport &report, WorkLimit &limit)
      : session(session), user(user), options(options), stream(stream),
        watched(watched), report(report), limit(limit) {}
  CandidateSearch(const CandidateSearch &) = delete;
  CandidateSearch &operator=(const CandidateSearch &) = delete;

  /// Makes other candidates from `module`, at the end of the preprocessing
  /// phase; without it the stock candidate is all there is. `formed` outlives
  /// the search.
  void startFrom(ir::OwningOp module, FormedModules &formed);

  /// The stock candidate reordered, first of all. `given` outlives the search.
  void placeStock(MlirOperation flow, const Stock &given);

  /// The candidate of least cost. All are judged by the fusion model, and few
  /// are built; where the model does not describe the module, or is wrong about
  /// those, candidates are compared by trial compilations. Dispatch formation
  /// and all rewrites or none together come first, then groups of sites, then
  /// single sites. The result does not depend on earlier searches, with or
  /// without rewriting.
  Configuration search(RewriteMode mode);

  /// What a later compilation of the same module needs to build `config` as
  /// this search did; nothing if it is not built, or time has ended the search.
  std::optional<CachedChoice> choiceOf(const Configuration &config) const;

  /// Builds the choice of an earlier search in the place of a search; nothing,
  /// with no trace left, if it is of another module or leads to other peaks.
  std::optional<Configuration> replay(const CachedChoice &choice);

  /// Builds the choice of a search on the same module with other marks of
  /// inputs that may be overwritten: `best`, or that if it needs less.
  Configuration leastWith(const Configuration &best,
                          const CachedChoice &choice);

  /// Takes one candidate to its slabs; null if that is not possible.
  Candidate *place(const Configuration &config);

  /// Null if the candidate was not tried, or not down to its slabs.
  Candidate *placed(const Configuration &config);

  /// Solves a candidate once more without the limit of the comparison, where
  /// that limit has ended the search.
  void refine(Candidate &entry);

  /// Bytes of all functions in a candidate, as they are compared; of the stock
  /// configuration in the best variant of each.
  int64_t bytesOf(const Configuration &config) const;

  const std::map<Configuration, Candidate> &tried() const { return candidates; }
  /// The sites that `candidate` chooses from.
  const std::vector<RewriteSite> &sites(const Configuration &config) const;

  /// Why a candidate could not be rewritten, of the first one; empty if all
  /// could.
  std::string refusal() const;

  /// The values that the module quantizes; none before `startFrom`.
  std::vector<QuantizedValueReport> quantizedValues() const;

  /// The band plan of a candidate that has one.
  const BandPlan *bandPlan(const Configuration &config) const;

  /// The times that IREE has compiled a candidate to the flow phase.
  int64_t numCompilations() const {
    return maker ? maker->numCompilations() : 0;
  }

  /// Drops all modules, and the one to make candidates from.
  void forget();

private:
  /// States of the search for the order of accumulations of a candidate.
  static constexpr int64_t statesPerOrder = 20000;

  /// How candidates are compared: by the fusion model, which takes
  /// milliseconds, or trial compilations.
  enum class Judge { Predictions, Compilations };

  bool predict(const Configuration &config);
  bool compile(const Configuration &config);
  bool compileToPlace(const Configuration &config);
  bool compile(const Configuration &config, int64_t orderStates,
               CandidateBuilder::Constants constants);
  std::optional<int64_t> estimateCandidate(const Configuration &config);
  std::optional<int64_t> bytesBefore(const Configuration &config) const;
  std::optional<int64_t> estimate(MlirOperation flow);
  bool remake(const Configuration &config, Candidate &entry,
              int64_t stateLimit);
  bool toSlabs(Candidate &entry, const Options &limits,
               const Candidate *earlier);
  void layOut(Candidate &entry);
  bool adaptBands(const CachedChoice &choice, Configuration &config);
  std::optional<Configuration> adapt(const CachedChoice &choice);
  bool buildAs(const CachedChoice &choice, const Configuration &config);
  void notePeaks(Candidate &entry, const Options &limits) const;
  bool fits(const Configuration &config) const;
  std::optional<int64_t> placeCandidate(const Configuration &config);
  std::optional<int64_t> measure(const Configuration &config);
  Configuration placeBest(bool rewritten);
  struct Ranked {
    int64_t bytes;
    std::tuple<double, int64_t, size_t> burden;
    Configuration config;
  };
  bool canPredict();
  /// Predictions are trusted within this part of the bytes.
  static constexpr int64_t trustedParts = 16;
  /// Whether a prediction is near enough to the bytes that are built to be
  /// trusted: within one of so many parts.
  static bool agrees(int64_t predicted, int64_t built,
                     int64_t parts = trustedParts);
  bool ranksCandidates(int64_t least) const;
  std::vector<Ranked>
  rankPredictions(const std::set<Configuration> &configs) const;
  std::optional<int64_t> build(const Configuration &config);
  std::pair<Configuration, bool> buildBest();
  /// Storage, band plan, whether it has rewrites, whether it sets the fusion.
  using Group = std::tuple<Configuration::Storage, size_t, bool, bool>;
  Configuration buildBestOfEach(
      const std::vector<Ranked> &ranked, const Configuration &best, int limit,
      std::set<Group> built,
      const std::function<Group(const Configuration &)> &groupOf,
      const std::function<bool(int64_t promised, int64_t least)> &mayNeedLess);
  Configuration buildFamilies(const std::vector<Ranked> &ranked,
                              const Configuration &best);
  Configuration buildPlans(const std::vector<Ranked> &ranked,
                           const Configuration &best);
  Configuration buildLightest(const std::vector<Ranked> &ranked,
                              const Configuration &best);
  Configuration buildTrimmed(const Configuration &best);
  Configuration leastOf(const Configuration &best,
                        std::vector<Configuration> configs, size_t limit);
  /// The order in which candidates that were estimated are taken to their
  /// slabs: of least estimate, then of fewest rewrites.
  bool promisesMore(const Configuration &a, const Configuration &b) const;
  std::set<std::string> placesAtPeak(const Configuration &config,
                                     bool everyStep = false);
  int64_t costOf(const Configuration &config);
  Configuration leastPlaced(Configuration best);
  std::optional<int64_t> leastCost() const;
  bool isNarrower(const Configuration &config, const Configuration &than);
  Configuration runStrategies(RewriteMode mode);
  std::pair<Configuration, bool> searchWithResults(RewriteMode mode,
                                                   const Configuration &before);
  void predictWithResults(bool reuse);
  bool predictsBuilt();
  Configuration searchAtHints(RewriteMode mode);
  std::optional<int64_t> cost(const Candidate &entry) const;
  std::optional<int64_t> costAnywhere(const Candidate &entry);

  // --- strategies by estimate: they improve on the incumbent ---
  /// In which modes a strategy runs.
  enum class When { Any, RewritingAuto, RewritingAlways, NotRewritingAlways };
  bool applies(When when, bool always) const;
  struct EstimateStrategy {
    void (CandidateSearch::*run)();
    When when;
  };
  static const EstimateStrategy byEstimate[];
  void rewriteEverything();
  void storeIntegers();
  void rewriteKinds();
  void rewriteNothing();
  void restrictInPlace();
  void dropKinds();
  void dropHalves();
  bool fusesMultiUse() const;
  bool enough() const;
  bool improve(const Configuration &config);
  void tryFusions(const std::vector<bool> &sites,
                  Configuration::Storage storage);
  void leaveOut(const std::vector<size_t> &drop);
  std::vector<bool> sitesOf(const std::vector<RewriteKind> &kinds) const;

  // --- strategies by cost: they return a candidate that needs less, or `best`
  using CostStrategy = Configuration (CandidateSearch::*)(Configuration best);
  static const CostStrategy byCost[];
  std::vector<Configuration>
  rewrittenAt(const Configuration &best,
              const std::set<std::string> &places) const;
  Configuration rewriteAtPeak(Configuration best);
  Configuration rewriteAtEveryPeak(Configuration best);
  Configuration rewriteRaised(Configuration best);
  Configuration unfuseAtPeak(Configuration best);
  Configuration rewriteAllSites(Configuration best);
  Configuration tryBands(Configuration best);
  const std::vector<size_t> &planBands(Configuration::Storage storage);
  void addBanded(const Configuration &best, Configuration::Storage storage,
                 std::vector<Configuration> &configs);
  Configuration dropSites(Configuration best);
  Configuration trim(Configuration best);
  Configuration trimTo(const Configuration &best, int64_t allowed);
  Configuration trimBands(Configuration best, int64_t allowed);
  Configuration trimSites(Configuration best, int64_t allowed);
  using Burden = std::tuple<double, int64_t, size_t>;
  Burden burdenOf(const Configuration &config) const;
  bool improvesOn(const Configuration &config, const Configuration &than,
                  int64_t allowed);
  size_t changeBands(size_t number, const BandChange &change);
  Configuration inBandsOf(const Configuration &config, size_t number);
  Configuration joinParts(Configuration best);

  // --- dynamic sizes: candidates that need less at other extents ---
  std::optional<rewrite::Prediction> predictAt(const Configuration &config,
                                               const Options &extents);
  std::vector<Configuration> rewriteFor(const Options &extents,
                                        const Configuration &best);
  bool isBetterElsewhere(const Configuration &config, const Configuration &than,
                         const std::vector<Options> &places);
  Configuration improveElsewhere(Configuration best);

  iree_compiler_session_t *session;
  const UserFlags &user;
  const Options &options;
  StreamPhase &stream;
  bool watched;
  ModuleReport &report;
  WorkLimit &limit;
  MlirContext context = {};
  mutable std::optional<CandidateBuilder> maker;
  /// Numbers of the band plans, once they are made, by the module they are for.
  std::map<Configuration::Storage, std::vector<size_t>> bandPlans;
  /// Plans that were made by changing another, by its number and the change
  /// (0: there is none), and the way back.
  std::map<std::pair<size_t, BandChange>, size_t> changedPlans;
  std::map<size_t, std::pair<size_t, BandChange>> plansBefore;
  /// Candidates that were trimmed, by those that they were trimmed to.
  std::map<Configuration, Configuration> trimmed;
  /// Those that were judged on the way there.
  std::set<Configuration> trimSteps;
  /// Operations of the predictions of the present trimming.
  int64_t trimOperations = 0;
  const Stock *stock = nullptr;
  std::map<Configuration, Candidate> candidates;
  /// Candidates with laid out slabs, by the text of their module at the flow
  /// phase.
  std::map<std::string, Configuration> placedFrom;
  /// Those that the present search has asked for, and their dispatches.
  std::set<Configuration> asked;
  int64_t askedDispatches = 0; // predicted ones, while the model is the judge
  Judge judge = Judge::Compilations;
  /// Whether predictions let buffers lie in the memory of results.
  bool reuseResults = false;
  /// The candidate of least estimate in the present search.
  Configuration incumbent;
  std::optional<int64_t> incumbentEstimate;
  /// The module that rewrites reach, and whether there are any.
  Configuration::Storage furthest = Configuration::AsGiven;
  bool rewrites = false;
  /// States of the searches for the slabs of candidates so far.
  int64_t placedStates = 0;
  /// The states per region of a choice that is replayed.
  std::optional<int64_t> replayedStates;
  /// Candidates whose order of accumulations may improve with more states than
  /// an estimate has: all sites of the paper's kinds and sums in the better
  /// fusion, and with operands overwritten piece by piece too.
  std::vector<Configuration> promising;
};

} // namespace serenity

#endif // SERENITY_DRIVER_CANDIDATES_CANDIDATESEARCH_H

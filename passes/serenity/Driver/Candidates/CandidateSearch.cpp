// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Candidates/CandidateSearch.h"

#include "serenity/Core/Scheduling/StateLimits.h"
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

/// States per prediction.
constexpr int64_t statesPerPrediction = 1000;

/// States per estimate; the chosen candidate is solved without this limit.
constexpr int64_t statesPerEstimate = 10000;

/// States of the search for the order of accumulations, for the few candidates
/// that are taken further than their estimate.
constexpr int64_t statesPerPlacedOrder = 200000;

/// States per region while candidates are compared.
constexpr int64_t statesPerPlacedCandidate = 100000;

/// States per region of the chosen candidate, if its order is not proved yet.
constexpr int64_t statesOfChosenCandidate = 200000;

/// States of all candidates that are taken to their slabs; after that each has
/// those of an estimate. Most regions are proved in far fewer.
constexpr int64_t statesOfPlacedCandidates = 200000;

int64_t countDispatches(MlirOperation flow) {
  int64_t count = 0;
  ir::walk(flow,
           [&](MlirOperation op) { count += ir::isa(op, "flow.dispatch"); });
  return count;
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
/// describe the compilation, not its trial compilations.
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

void CandidateSearch::forget() {
  candidates.clear();
  placedFrom.clear();
  promising.clear();
  maker.reset();
  bandPlans.clear();
  changedPlans.clear();
  plansBefore.clear();
  trimmed.clear();
  trimSteps.clear();
}

void CandidateSearch::startFrom(ir::OwningOp module, FormedModules &formed) {
  maker.emplace(
      session, user.session, std::move(module), TensorSizes(options),
      [this] { return limit.abandonsTrial(); }, formed);
}

const std::vector<RewriteSite> &
CandidateSearch::sites(const Configuration &config) const {
  static const std::vector<RewriteSite> none;
  return maker ? maker->sites(config) : none;
}

std::string CandidateSearch::refusal() const {
  return maker ? maker->refusal() : "";
}

std::vector<QuantizedValueReport> CandidateSearch::quantizedValues() const {
  return maker ? maker->quantizedValues() : std::vector<QuantizedValueReport>();
}

CandidateSearch::Candidate *
CandidateSearch::placed(const Configuration &config) {
  auto it = candidates.find(config);
  return it != candidates.end() && it->second.placed ? &it->second : nullptr;
}

CandidateSearch::Candidate *
CandidateSearch::place(const Configuration &config) {
  if (!maker) {
    return nullptr;
  }
  placeCandidate(config);
  return placed(config);
}

/// Notes the peaks of a candidate in its slabs.
void CandidateSearch::notePeaks(Candidate &entry, const Options &limits) const {
  entry.peaks = stream.peaks(entry.placed.get(), limits, options.offsets,
                             &entry.withResults);
  entry.compared = comparedBytes(entry.peaks, entry.withResults, stock->memory);
}

void CandidateSearch::placeStock(MlirOperation flow, const Stock &given) {
  Stopwatch watch(report, "reordered_candidate");
  context = mlirOperationGetContext(flow);
  stock = &given;
  std::optional<ir::SilenceDiagnostics> quiet;
  if (watched) {
    quiet.emplace(context);
  }
  Candidate &entry = candidates[Configuration()];
  entry.placed = ir::OwningOp::clone(flow);
  MlirOperation placed = entry.placed.get();
  if (stream.toSlabs(placed, &options, &entry.report, false)) {
    notePeaks(entry, options);
    entry.cost = cost(entry);
    ir::OwningOp copy = ir::OwningOp::clone(flow);
    ir::SilenceDiagnostics silence(context);
    entry.estimate = estimate(copy.get());
  } else {
    ir::emitWarning(
        mlirOperationGetLocation(flow),
        "IREE refuses the module in the order of serenity-schedule; "
        "keeping the stock order (please report this)");
    entry.placed.reset();
  }
}

/// The cost of a candidate: first whether no function is worse off than as
/// stock, without its results or with them, then the bytes of all functions.
std::optional<int64_t> CandidateSearch::cost(const Candidate &entry) const {
  int64_t sum = 0;
  for (const auto &item : stock->least) {
    auto it = entry.compared.find(item.first);
    if (it == entry.compared.end()) {
      return std::nullopt;
    }
    if (item.second && (!it->second || *it->second > *item.second)) {
      return std::nullopt;
    }
    sum += it->second.value_or(0);
  }
  for (const auto &[name, least] : stock->withResults) {
    // A loop's values may become results in another candidate.
    auto own = entry.withResults.find(name);
    if (own != entry.withResults.end() && least && own->second &&
        *own->second > *least) {
      return std::nullopt;
    }
  }
  return sum;
}

int64_t CandidateSearch::bytesOf(const Configuration &config) const {
  auto known = candidates.find(config);
  const bool built = known != candidates.end() && known->second.placed;
  if (built && known->second.cost && !config.isStock()) {
    return *known->second.cost;
  }
  int64_t sum = 0;
  for (const auto &[name, least] : stock->least) {
    int64_t bytes = least.value_or(0);
    if (built && config.isStock()) {
      auto own = known->second.compared.find(name);
      if (own != known->second.compared.end() && own->second) {
        bytes = std::min(bytes, *own->second);
      }
    }
    sum += bytes;
  }
  return sum;
}

/// The cost of a candidate of another configuration, which is taken for all
/// functions or none: nothing, after a remark for the report, if one of them is
/// worse off than as stock at other extents of its dynamic dimensions.
std::optional<int64_t> CandidateSearch::costAnywhere(const Candidate &entry) {
  std::optional<int64_t> bytes = cost(entry);
  if (!bytes || stock->elsewhere.empty()) {
    return bytes;
  }
  auto larger = findLargerElsewhere(stock->elsewhere, entry.placed.get());
  if (larger.empty()) {
    return bytes;
  }
  const auto &[name, found] = *larger.begin();
  std::string text = "'" + name +
                     "' is not rewritten by a candidate that needs " +
                     std::to_string(entry.peaks.at(name).value_or(0)) +
                     " bytes at the hints: " + found.where + ", it needs " +
                     std::to_string(found.bytes) + " bytes, more than " +
                     std::to_string(found.stockBytes);
  std::vector<std::string> &remarks = report.remarks;
  if (std::find(remarks.begin(), remarks.end(), text) == remarks.end()) {
    remarks.push_back(text);
  }
  return std::nullopt;
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

/// Judges a candidate by the fusion model; false if that does not describe the
/// module.
bool CandidateSearch::predict(const Configuration &config) {
  auto known = candidates.find(config);
  if (known != candidates.end() && known->second.prediction) {
    return true;
  }
  if (limit.expired()) {
    return false;
  }
  ir::SilenceDiagnostics silence(context);
  HushStandardError hush(watched);
  Stopwatch watch(report, "predictions");
  CrashGuard guard("the prediction of '" + config.name() + "'");
  crashPoint("predict");
  CandidateBuilder::Forecast forecast =
      maker->predict(config, fusesMultiUse(), options.defaultAlignment,
                     reuseResults, statesPerOrder, statesPerPrediction);
  if (!forecast.memory) {
    return false;
  }
  ++report.search.predictions;
  Candidate &entry = candidates[config];
  entry.prediction = std::move(forecast.memory);
  if (!entry.tried) {
    entry.rewrites = std::move(forecast.rewrites);
  }
  return true;
}

/// Has IREE bring a candidate to the flow phase, and estimates its bytes by the
/// model of that level, which ignores the bytes that concatenation placement
/// saves. False if it is not to be used.
bool CandidateSearch::compile(const Configuration &config) {
  return compile(config, statesPerOrder, CandidateBuilder::Constants::Symbolic);
}

/// The same for a candidate that is certain to be taken to its slabs: with the
/// states and the constants that this needs, in one trial compilation.
bool CandidateSearch::compileToPlace(const Configuration &config) {
  const Candidate &known = candidates.at(config);
  const int64_t orderStates =
      numRewrites(config) == 0 || known.rewrites.ordersProved
          ? statesPerOrder
          : statesPerPlacedOrder;
  return compile(config, orderStates, CandidateBuilder::Constants::Evaluated);
}

bool CandidateSearch::compile(const Configuration &config, int64_t orderStates,
                              CandidateBuilder::Constants constants) {
  auto known = candidates.find(config);
  if (known != candidates.end() &&
      (known->second.tried || known->second.placed)) {
    return bool(known->second.flow);
  }
  if (!limit.takeTrial(leastCost())) {
    return false;
  }
  Candidate &entry = candidates[config];
  entry.tried = true;
  ir::SilenceDiagnostics silence(context);
  HushStandardError hush(watched);
  Stopwatch watch(report, "candidate_flow");
  CrashGuard guard("the trial compilation of '" + config.name() + "'");
  crashPoint("estimate");
  entry.orderStates = orderStates;
  entry.flow = maker->make(config, orderStates, &entry.rewrites, constants);
  if (MlirOperation flow = entry.flow.get(); flow.ptr) {
    entry.numDispatches = countDispatches(flow);
    limit.addDispatches(entry.numDispatches);
    entry.symbolic = constants == CandidateBuilder::Constants::Symbolic &&
                     maker->evaluates() && hasInitializer(flow);
    entry.thorough = constants == CandidateBuilder::Constants::Evaluated;
    entry.estimate = estimate(flow);
  }
  return bool(entry.flow);
}

/// The bytes of a candidate that is not built.
std::optional<int64_t>
CandidateSearch::estimateCandidate(const Configuration &config) {
  if (judge == Judge::Predictions) {
    predict(config);
  } else {
    compile(config);
  }
  return bytesBefore(config);
}

/// The same, if it is known.
std::optional<int64_t>
CandidateSearch::bytesBefore(const Configuration &config) const {
  auto known = candidates.find(config);
  if (known == candidates.end()) {
    return std::nullopt;
  }
  if (judge == Judge::Compilations) {
    return known->second.estimate;
  }
  const std::optional<rewrite::Prediction> &prediction =
      known->second.prediction;
  return prediction ? std::optional<int64_t>(prediction->sum()) : std::nullopt;
}

/// The bytes of a candidate by the trusted judge: the model, or its slabs.
std::optional<int64_t> CandidateSearch::measure(const Configuration &config) {
  return judge == Judge::Predictions ? estimateCandidate(config)
                                     : placeCandidate(config);
}

/// The sum of the functions' peaks at flow level after serenity-schedule;
/// nothing if a function with tensors is not modelled. The order is written
/// into the module.
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
  ir::OwningOp module = maker->make(config, stateLimit, &rewrites);
  if (!module) {
    return false;
  }
  std::optional<int64_t> bytes = estimate(module.get());
  if (!bytes || !entry.estimate || *bytes > *entry.estimate) {
    return false;
  }
  entry.flow = std::move(module);
  entry.estimate = bytes;
  entry.rewrites = std::move(rewrites);
  entry.symbolic = false;
  return true;
}

/// Takes a candidate through the stream phase with the serenity passes to the
/// bytes of its slabs.
std::optional<int64_t>
CandidateSearch::placeCandidate(const Configuration &config) {
  if (!compile(config)) {
    Candidate *stock = placed(config); // has no module at the flow phase
    return stock ? stock->cost : std::nullopt;
  }
  Candidate &entry = candidates.at(config);
  if (entry.placed || limit.expired()) {
    return entry.cost;
  }
  ir::SilenceDiagnostics silence(context);
  HushStandardError hush(watched);
  Stopwatch watch(report, "candidate_slabs");
  CrashGuard guard("the layout of '" + config.name() + "'");
  crashPoint("place");
  // More states, unless they would change nothing.
  if (numRewrites(config) > 0 && !entry.rewrites.ordersProved &&
      !entry.thorough) {
    remake(config, entry, statesPerPlacedOrder);
  }
  if (entry.symbolic && !remake(config, entry, statesPerOrder)) {
    return entry.cost;
  }
  // Other configurations may lead to the same module.
  auto same = placedFrom.emplace(ir::toString(entry.flow.get()), config);
  if (!same.second) {
    const Candidate &twin = candidates.at(same.first->second);
    if (twin.placed) {
      entry.placed = ir::OwningOp::clone(twin.placed.get());
      entry.layoutStates = twin.layoutStates;
      entry.report = twin.report;
      entry.peaks = twin.peaks;
      entry.withResults = twin.withResults;
      entry.compared = twin.compared;
      entry.cost = twin.cost;
      return entry.cost;
    }
  }
  layOut(entry);
  if (candidates.at(Configuration()).prediction) {
    predict(config); // for the report
  }
  return entry.cost;
}

/// From the flow phase to the slabs, with the report. The execution regions of
/// `earlier`, a search of the same module with fewer states, are used again
/// where the order of the tensors is the same.
bool CandidateSearch::toSlabs(Candidate &entry, const Options &limits,
                              const Candidate *earlier) {
  auto abandons = [this] { return limit.abandonsTrial(); };
  MlirOperation flow = earlier ? earlier->flow.get() : entry.flow.get();
  entry.placed = ir::OwningOp::clone(flow);
  entry.report = ModuleReport();
  if (!stream.runOwn("serenity-schedule", entry.placed.get(), limits,
                     &entry.report, false)) {
    return false;
  }
  ir::OwningOp ordered = ir::OwningOp::clone(entry.placed.get());
  attributes::removeAll(ordered.get()); // what was proved is no difference
  entry.regionsFrom = ir::toString(ordered.get());
  if (earlier && earlier->regions &&
      earlier->regionsFrom == entry.regionsFrom) {
    entry.placed = ir::OwningOp::clone(earlier->regions.get());
  } else if (!stream.toRegions(entry.placed.get(), /*scheduled=*/true, false,
                               abandons)) {
    return false;
  }
  if (!earlier) {
    entry.regions = ir::OwningOp::clone(entry.placed.get());
  }
  return stream.fromRegions(entry.placed.get(), &limits, &entry.report, false,
                            abandons);
}

/// Takes a candidate to its slabs for comparison with others.
void CandidateSearch::layOut(Candidate &entry) {
  entry.layoutStates = replayedStates.value_or(
      scaledStates(std::clamp(statesOfPlacedCandidates - placedStates,
                              statesPerEstimate, statesPerPlacedCandidate),
                   entry.numDispatches));
  Options quick = limited(options, entry.layoutStates);
  quick.comparesCandidates = true;
  bool ok = toSlabs(entry, quick, /*earlier=*/nullptr);
  for (const FunctionReport &function : entry.report.functions) {
    for (const RegionReport &region : function.regions) {
      placedStates += region.states;
    }
  }
  entry.cost = std::nullopt;
  if (ok) {
    notePeaks(entry, quick);
    entry.cost = costAnywhere(entry);
  } else if (limit.expired()) {
    entry.placed.reset(); // abandoned between two pieces of the stream phase
  }
}

/// Solves the chosen candidate once more without the limit of the comparison,
/// where that limit ended the search.
void CandidateSearch::refine(Candidate &entry) {
  bool proved = true;
  for (const FunctionReport &function : entry.report.functions) {
    for (const RegionReport &region : function.regions) {
      proved &= region.optimal || !region.leftAlone.empty();
    }
  }
  if (proved || !entry.flow || limit.expired()) {
    return;
  }
  ir::SilenceDiagnostics silence(context);
  Stopwatch watch(report, "refined_candidate");
  Candidate again;
  Options thorough = limited(
      options, scaledStates(statesOfChosenCandidate, entry.numDispatches));
  if (!toSlabs(again, thorough, &entry)) {
    return;
  }
  notePeaks(again, thorough);
  again.cost = costAnywhere(again);
  if (again.cost && entry.cost && *again.cost <= *entry.cost) {
    entry.placed = std::move(again.placed);
    entry.report = std::move(again.report);
    entry.peaks = std::move(again.peaks);
    entry.withResults = std::move(again.withResults);
    entry.compared = std::move(again.compared);
    entry.cost = again.cost;
  }
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/Pipeline.h"

#include "serenity/Analysis/OverwrittenInputs.h"
#include "serenity/Driver/Candidates/CandidateReport.h"
#include "serenity/Driver/Candidates/CandidateSearches.h"
#include "serenity/Driver/Candidates/ConfigurationCache.h"
#include "serenity/Driver/Candidates/VariantChoice.h"
#include "serenity/Driver/Compile/Budget.h"
#include "serenity/Driver/Compile/ConsumedInputs.h"
#include "serenity/Driver/Compile/CrashFallback.h"
#include "serenity/Driver/Compile/DynamicSizes.h"
#include "serenity/Driver/Compile/IdleFlags.h"
#include "serenity/Driver/Compile/OrderProofs.h"
#include "serenity/Driver/Compile/Real.h"
#include "serenity/Driver/Compile/Stopwatch.h"
#include "serenity/Driver/Compile/StreamPhase.h"
#include "serenity/Driver/Compile/Summary.h"
#include "serenity/Driver/Compile/UserFlags.h"
#include "serenity/Driver/Compile/WorkLimit.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/CloneCallees.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>

namespace serenity {

namespace {

/// Phases in pipeline order.
const char *const phases[] = {"start",
                              "input",
                              "abi",
                              "preprocessing",
                              "global-optimization",
                              "dispatch-creation",
                              "flow",
                              "stream",
                              "executable-sources",
                              "executable-configurations",
                              "executable-targets",
                              "hal",
                              "vm",
                              "end"};

int phaseIndex(const std::string &name) {
  for (size_t i = 0; i < sizeof(phases) / sizeof(*phases); ++i) {
    if (name == phases[i]) {
      return int(i);
    }
  }
  return -1;
}

/// The time limit of all work on a module. Searches are replaced by heuristics
/// where it is 0, and the number of trial compilations bounds the work.
double moduleSeconds(const Options &options) {
  return options.timeLimitSeconds > 0 ? options.timeLimitSeconds
                                      : Options().timeLimitSeconds;
}

class Pipeline {
public:
  Pipeline(iree_compiler_invocation_t *inv, InvocationState &state,
           const CompileFlags &flags, const std::vector<std::string> &arguments,
           ModuleReport &report, PipelineEvents &events)
      : inv(inv), state(state), flags(flags), options(flags.options),
        user(state.session, arguments), arguments(arguments), report(report),
        events(events), stream(inv, user, state.verify, flags.printIrAfter),
        watched(!flags.printIrAfter.empty() || user.watched()),
        limit(moduleSeconds(flags.options), !watched) {
    options.cancelled = [this] { return limit.expired(); };
    options.remarkOnDynamicSizes = false;
    options.reuse = true;
    options.keepSlab = flags.memoryBudgetBytes.has_value() &&
                       flags.budgetCounts == BudgetCounts::Transient;
    std::string alignment =
        user.value("iree-stream-resource-min-offset-alignment");
    if (!alignment.empty()) {
      options.defaultAlignment =
          std::max<int64_t>(1, std::strtoll(alignment.c_str(), nullptr, 10));
    }
  }

  bool run();

private:
  bool runStock(const std::string &from, const std::string &to);
  void markInputs(const ConsumedInputs &donated);
  bool runStream(CandidateSearches &searches, std::string &error);
  bool lowerSlabs();
  bool describe();
  bool attempt(std::string &error, const std::function<bool()> &step);
  /// The module as stock, with laid out slabs, and its peaks.
  struct StockCandidate {
    ir::OwningOp module;
    Peaks peaks;
    Peaks withResults;
    Peaks offsetPeaks; // with serenity's offsets
    Peaks comparedOffsets;
    ModuleReport slabs;
    CandidateSearch::Stock asMarked;
    /// With inputs kept that may be overwritten, if there are any.
    std::optional<CandidateSearch::Stock> whereKept;
  };
  bool makeStock(StockCandidate &stock);
  void measureOffsets(MlirOperation slabs, StockCandidate &stock,
                      CandidateSearch::Stock &limits);
  /// The reordered module, if there is one.
  struct OwnCandidate {
    bool mayChange = false; // otherwise the module is compiled as stock
    bool searched = false;
    std::optional<BudgetLadder> ladder; // under a budget
    Configuration config;
    CandidateSearch *search = nullptr;
    bool keepsInputs = false; // that may be overwritten
    CandidateSearch::Candidate *candidate = nullptr;

    /// Whether the candidate is taken for all functions or none.
    bool isWhole() const {
      return candidate && (!config.isStock() || keepsInputs);
    }
  };
  void openCache();
  CandidateSearches::Answer searchOrReplay(CandidateSearches &searches);
  void keepChoice();
  void searchCandidate(const StockCandidate &stock, OwnCandidate &own,
                       CandidateSearches &searches);
  void describeChoice(const StockCandidate &stock, const OwnCandidate &own,
                      const VariantChoice &choice);
  void describeRewrites(const OwnCandidate &own);
  void keepRegions(const ModuleReport &from, const VariantChoice &choice);
  bool applyChoice(StockCandidate &stock, const OwnCandidate &own,
                   const VariantChoice &choice);
  bool scheduleStream(CandidateSearches &searches);
  void remarkOnUserFlags();
  void remarkOnLimits();
  ModuleReport describeStock(MlirOperation stock) const;
  bool finishSlabs(MlirOperation module, bool visible);
  void adopt(ir::OwningOp clone);
  void takeModule();

  iree_compiler_invocation_t *inv;
  InvocationState &state;
  const CompileFlags &flags;
  Options options;
  UserFlags user;
  const std::vector<std::string> &arguments;
  ModuleReport &report;
  PipelineEvents &events;
  StreamPhase stream;
  /// The chosen candidate is run again where the user can see it; the module of
  /// its trial compilation is not taken over.
  bool watched;
  WorkLimit limit;
  /// Which changes the module may undergo; fewer after IREE has refused it.
  enum class Freedom { Candidates, Order, None };
  Freedom freedom = Freedom::None;
  std::set<int64_t> consumed; // arguments that `flags.consume` marks
  /// The module holds operations or attributes of the serenity passes.
  bool changed = false;
  /// The entry of the module in the cache, if there is a cache, and the choice
  /// to write there once the module is compiled.
  std::optional<ConfigurationCache> cache;
  std::optional<CachedChoice> choiceToKeep;
  /// The candidate that the module is in, if it is not the stock one.
  std::optional<Configuration> chosenConfiguration;
};

bool Pipeline::runStock(const std::string &from, const std::string &to) {
  if (phaseIndex(from) >= phaseIndex(to)) {
    return true;
  }
  real::setCompileFromPhase(inv, from.c_str());
  real::setCompileToPhase(inv, to.c_str());
  crashPoint("iree");
  bool ok = real::pipeline(inv, IREE_COMPILER_PIPELINE_STD);
  real::setCompileFromPhase(inv, state.compileFrom.c_str());
  real::setCompileToPhase(inv, state.compileTo.c_str());
  return ok;
}

/// Notes the slabs of the stock candidate for the report, laid out as IREE
/// does.
ModuleReport Pipeline::describeStock(MlirOperation stock) const {
  ir::SilenceDiagnostics silence(mlirOperationGetContext(stock));
  Options asIree = options;
  asIree.offsets = PackAlgorithm::Iree; // changes nothing in the module
  ModuleReport found;
  for (MlirOperation function : ir::operations(ir::body(stock))) {
    if (ir::isa(function, "util.func")) {
      std::string name = ir::stringAttr(function, "sym_name").value_or("");
      functionReport(found, name).overwrittenInputs =
          overwrittenInputs(stock, function);
    }
  }
  runPack(stock, asIree, &found);
  return found;
}

/// Moves the contents of `clone` into the invocation's module.
void Pipeline::adopt(ir::OwningOp owned) {
  MlirOperation module = state.module.get();
  MlirOperation clone = owned.get();
  std::vector<MlirOperation> old = ir::operations(ir::body(module));
  for (auto it = old.rbegin(); it != old.rend(); ++it) {
    ir::erase(*it);
  }
  for (MlirOperation op : ir::operations(ir::body(clone))) {
    mlirOperationRemoveFromParent(op);
    mlirBlockAppendOwnedOperation(ir::body(module), op);
  }
  // A pass that failed may have left attributes of its own.
  for (intptr_t i = mlirOperationGetNumAttributes(module); i-- > 0;) {
    MlirStringRef name =
        mlirIdentifierStr(mlirOperationGetAttribute(module, i).name);
    if (ir::isNull(ir::attr(clone, ir::view(name)))) {
      mlirOperationRemoveAttributeByName(module, name);
    }
  }
  intptr_t count = mlirOperationGetNumAttributes(clone);
  for (intptr_t i = 0; i < count; ++i) {
    MlirNamedAttribute named = mlirOperationGetAttribute(clone, i);
    mlirOperationSetAttributeByName(module, mlirIdentifierStr(named.name),
                                    named.attribute);
  }
}

/// Says which limit ended the search, if one did.
void Pipeline::remarkOnLimits() {
  std::string text = limit.remark();
  if (!text.empty()) {
    ir::emitRemark(mlirOperationGetLocation(state.module.get()), text);
    report.remarks.push_back(text);
  }
}

/// A flag of the user's own wins over the choice of serenity; a remark says so.
void Pipeline::remarkOnUserFlags() {
  const std::pair<const char *, const char *> known[] = {
      {"iree-stream-partitioning-favor", "concurrency"},
      {"iree-dispatch-creation-fuse-multi-use", "fusion of shared producers"}};
  for (const auto &item : known) {
    if (user.has(item.first)) {
      ir::emitRemark(mlirOperationGetLocation(state.module.get()),
                     std::string("--") + item.first + " is given: " +
                         item.second + " is not chosen by serenity");
    }
  }
}

/// Notes the peaks of `slabs`, the stock candidate, with serenity's offsets,
/// and in `limits` what candidates must not exceed, therefore.
void Pipeline::measureOffsets(MlirOperation slabs, StockCandidate &stock,
                              CandidateSearch::Stock &limits) {
  ir::OwningOp laidOut = stream.withOffsets(slabs, options);
  Peaks withResults;
  stock.offsetPeaks =
      stream.peaks(laidOut.get(), options, options.offsets, &withResults);
  stock.comparedOffsets =
      comparedBytes(stock.offsetPeaks, withResults, limits.memory);
  limits.least = stock.peaks;
  for (auto &[name, bytes] : limits.least) {
    const std::optional<int64_t> &offsets = stock.comparedOffsets.at(name);
    if (bytes && offsets) {
      bytes = std::min(*bytes, *offsets);
    }
  }
}

/// As stock, on a clone; false if IREE refuses the module.
bool Pipeline::makeStock(StockCandidate &stock) {
  Stopwatch watch(report, "stock_candidate");
  MlirOperation flow = state.module.get();
  // IREE's messages about the module are printed once: by the run that the
  // user watches, else by the last of these candidates.
  std::optional<ir::SilenceDiagnostics> silence;
  if (flags.schedule || watched) {
    silence.emplace(mlirOperationGetContext(flow));
  }
  stock.module = ir::OwningOp::clone(flow);
  MlirOperation module = stock.module.get();
  if (!stream.toSlabs(module, nullptr, nullptr, false)) {
    return false;
  }
  CrashGuard guard("the layout of the stock candidate");
  crashPoint("stock");
  stock.peaks =
      stream.peaks(module, options, PackAlgorithm::Iree, &stock.withResults);
  stock.slabs = describeStock(module);
  const std::set<std::string> consuming = consumingFunctions(flow);
  stock.asMarked.memory.peaks = stock.peaks;
  stock.asMarked.withResults = stock.withResults;
  stock.asMarked.elsewhere = stockElsewhere(module, options);
  if (!consuming.empty()) {
    stock.whereKept = stock.asMarked;
    ir::OwningOp unmarked = ir::OwningOp::clone(module);
    takeConsumedInputs(unmarked.get());
    measureOffsets(unmarked.get(), stock, *stock.whereKept);
  }
  // Under a budget of transient memory, results that lie in inputs save none.
  for (const auto &[name, bytes] : stock.withResults) {
    if (consuming.count(name) && !options.keepSlab) {
      stock.asMarked.memory.withResults[name] = bytes;
    }
  }
  measureOffsets(module, stock, stock.asMarked);
  return true;
}

/// Proofs about the regions of the reordered candidate hold for
/// the same commands in IREE's: no order of them needs less.
void takeOverProofs(const FunctionReport &reordered, FunctionReport &chosen) {
  if (reordered.regions.size() != chosen.regions.size()) {
    return; // not the same commands
  }
  for (size_t i = 0; i < reordered.regions.size(); ++i) {
    const RegionReport &from = reordered.regions[i];
    RegionReport &to = chosen.regions[i];
    if (!from.leftAlone.empty() || from.lowerBoundBytes == 0 ||
        from.lowerBoundBytes > to.predictedBytes) {
      continue; // IREE's order shares buffers that the reordered one does not
    }
    to.lowerBoundBytes = from.lowerBoundBytes;
    to.optimal = from.optimal && to.predictedBytes <= from.predictedBytes;
    to.provedBy = to.optimal ? from.provedBy : "";
  }
}

/// Looks for the entry of the module at the end of preprocessing. Under a
/// budget the search ends where the module fits: nothing is kept.
void Pipeline::openCache() {
  const std::string folder = cacheFolder(flags.cache.text);
  if (folder.empty() || flags.memoryBudgetBytes) {
    return;
  }
  Stopwatch watch(report, "cache");
  cache.emplace(folder, state.module.get(), flags, user, arguments,
                report.versions);
}

/// The configuration that the cache has of the module, or that of a search.
CandidateSearches::Answer
Pipeline::searchOrReplay(CandidateSearches &searches) {
  const bool refine = !watched;
  if (!cache || freedom != Freedom::Candidates) {
    return searches.search(options.rewrite, refine);
  }
  if (std::optional<CachedChoice> known = cache->read()) {
    if (std::optional<CandidateSearches::Answer> answer =
            searches.replay(*known, refine)) {
      ++report.search.cacheHits;
      return *answer;
    }
  }
  ++report.search.cacheMisses;
  CandidateSearches::Answer answer = searches.search(options.rewrite, refine);
  choiceToKeep = answer.choice;
  return answer;
}

/// Writes the choice into the cache, once IREE has compiled the module in it.
void Pipeline::keepChoice() {
  if (!choiceToKeep || freedom != Freedom::Candidates) {
    return;
  }
  if (Status status = cache->write(*choiceToKeep); !status) {
    const std::string text =
        "the configuration is not kept in the cache: " + status.message();
    ir::emitWarning(mlirOperationGetLocation(state.module.get()), text);
    report.remarks.push_back(text);
  }
}

/// Looks for the candidate to reorder: the stock configuration, then others,
/// unless there is nothing to gain.
void Pipeline::searchCandidate(const StockCandidate &stock, OwnCandidate &own,
                               CandidateSearches &searches) {
  MlirOperation flow = state.module.get();
  const bool needsMemory =
      std::any_of(stock.peaks.begin(), stock.peaks.end(), [](const auto &item) {
        return !item.second || *item.second > 0;
      });
  if (!own.mayChange || !needsMemory) {
    return;
  }
  // Under a budget no more is done than is needed to fit.
  if (flags.memoryBudgetBytes && options.rewrite != RewriteMode::Always) {
    Stopwatch watch(report, "budget");
    own.ladder.emplace(stock.module.get(), flags, options, stream);
    if (own.ladder->fitsInStockOrder()) {
      return;
    }
  }
  own.searched = true;
  remarkOnUserFlags();
  remarkOnDynamicSizes(flow);
  searches.placeStock(flow, stock.asMarked,
                      stock.whereKept && !own.ladder ? &*stock.whereKept
                                                     : nullptr);
  if (own.ladder) {
    own.config = own.ladder->chooseCandidate(*own.search, /*refine=*/!watched);
  } else {
    CandidateSearches::Answer answer = searchOrReplay(searches);
    own.config = answer.config;
    own.search = answer.search;
    own.keepsInputs = searches.keepsInputs(answer);
  }
  own.candidate = own.search->placed(own.config);
  if (own.keepsInputs) {
    takeConsumedInputs(flow);
  }
  remarkOnLimits();
  if (std::string refusal = own.search->refusal(); !refusal.empty()) {
    const std::string text =
        "serenity-rewrite: " + refusal +
        "; candidates with these rewrites are left out (please report this)";
    ir::emitRemark(mlirOperationGetLocation(flow), text);
    report.remarks.push_back(text);
  }
}

/// Notes for the report the memory of every function as stock, and the
/// candidates there were.
void Pipeline::describeChoice(const StockCandidate &stock,
                              const OwnCandidate &own,
                              const VariantChoice &choice) {
  const CandidateSearch &search = *own.search;
  report.quantizedValues = search.quantizedValues();
  for (const auto &[name, stockPeak] : stock.peaks) {
    FunctionReport &entry = functionReport(report, name);
    entry.stockTransientPeakBytes = stockPeak;
    auto withResults = stock.withResults.find(name); // and inputs, later
    entry.stockCallPeakBytes = withResults == stock.withResults.end()
                                   ? std::nullopt
                                   : withResults->second;
    for (const FunctionReport &slabs : stock.slabs.functions) {
      if (slabs.name == name) {
        entry.stockRegions = slabs.regions;
        entry.stockOverwrittenInputs = slabs.overwrittenInputs;
      }
    }
    std::optional<std::optional<int64_t>> offsetPeak;
    if (own.mayChange) {
      offsetPeak = stock.offsetPeaks.at(name);
    }
    const Variant variant = choice.variants.at(name);
    entry.used = meansOf(variant, own.config, name, search, options);
    entry.candidates = describeCandidates(name, stockPeak, offsetPeak,
                                          own.candidate ? &search : nullptr,
                                          variant, own.config);
  }
}

/// Notes the rewrites of the candidate for the report.
void Pipeline::describeRewrites(const OwnCandidate &own) {
  if (!own.candidate || own.config.isStock()) {
    return;
  }
  const CandidateSearch &search = *own.search;
  if (const BandPlan *plan = search.bandPlan(own.config)) {
    for (const BandSite &site : plan->sites) {
      report.rewrites.push_back({site.from, site.function, "band", site.count,
                                 site.bytesBefore, site.bytesAfter, ""});
    }
  }
  const std::vector<RewriteSite> &sites = search.sites(own.config);
  const std::vector<int64_t> &parts = own.candidate->rewrites.parts;
  for (size_t i = 0; i < std::min(sites.size(), parts.size()); ++i) {
    const RewriteSite &site = sites[i];
    if (parts[i] > 0) {
      report.rewrites.push_back(
          {site.location, site.function, rewriteKindName(site.kind), parts[i],
           site.bytesBefore, site.bytesAfter, site.element});
    }
  }
}

/// Takes over the regions of the functions that are compiled like that.
void Pipeline::keepRegions(const ModuleReport &from,
                           const VariantChoice &choice) {
  for (const FunctionReport &function : from.functions) {
    auto chosen = choice.variants.find(function.name);
    if (chosen == choice.variants.end() ||
        chosen->second == Variant::Reordered) {
      functionReport(report, function.name).regions = function.regions;
    }
  }
}

/// Marks the functions that keep their order, or order and offsets.
static void markVariants(MlirOperation module, const VariantChoice &choice) {
  const bool anyChange =
      choice.any(Variant::Reordered) || choice.any(Variant::Offsets);
  for (MlirOperation function : ir::operations(ir::body(module))) {
    std::string name = ir::stringAttr(function, "sym_name").value_or("");
    auto it = choice.variants.find(name);
    if (it != choice.variants.end() && it->second != Variant::Reordered &&
        (ir::isa(function, "util.func") || ir::isa(function, "func.func"))) {
      attributes::setKept(function, it->second == Variant::Stock
                                        ? attributes::Kept::OrderAndOffsets
                                        : attributes::Kept::Order);
    } else if (ir::isa(function, "util.initializer") && !anyChange) {
      attributes::setKept(function, attributes::Kept::OrderAndOffsets);
    }
  }
}

/// Brings the module to laid out slabs in the chosen variants. The
/// reordered candidate is taken over as a whole or function by function.
bool Pipeline::applyChoice(StockCandidate &stock, const OwnCandidate &own,
                           const VariantChoice &choice) {
  MlirOperation flow = state.module.get();
  const bool anyReordered = choice.any(Variant::Reordered);
  const bool takeOver = own.candidate && anyReordered &&
                        (choice.allReordered(stock.peaks) || own.isWhole());
  if (takeOver && !own.config.isStock()) {
    chosenConfiguration = own.config;
  }
  if (takeOver && !watched) {
    stock.module.reset();
    adopt(std::move(own.candidate->placed));
    keepRegions(own.candidate->report, choice);
    return finishSlabs(flow, /*visible=*/false);
  }
  if (takeOver && !own.config.isStock()) {
    adopt(std::move(own.candidate->flow));
  }
  // The stock candidate ran in silence. If no other one is run after it, IREE's
  // messages have not been printed yet.
  const bool unheard = flags.schedule && !own.searched && !watched;
  if (!anyReordered && !watched && !unheard) {
    adopt(std::move(stock.module));
    markVariants(flow, choice);
  } else {
    stock.module.reset();
    markVariants(flow, choice);
    Stopwatch watch(report, "chosen_candidate");
    ModuleReport again;
    // Remarks were emitted when the variant was tried.
    std::optional<ir::SilenceDiagnostics> silence;
    if (!watched && !unheard) {
      silence.emplace(mlirOperationGetContext(flow));
    }
    if (!stream.toSlabs(flow, anyReordered ? &options : nullptr, &again,
                        watched)) {
      return false;
    }
    keepRegions(again, choice);
  }
  if (!finishSlabs(flow, watched)) {
    return false;
  }
  ModuleReport proved = own.candidate && own.config.isStock()
                            ? own.candidate->report
                            : ModuleReport();
  for (const auto &[name, variant] : choice.variants) {
    if (variant != Variant::Reordered) {
      takeOverProofs(functionReport(proved, name),
                     functionReport(report, name));
    }
  }
  return true;
}

/// Chooses the variant of every function and brings the module to laid out
/// slabs.
bool Pipeline::scheduleStream(CandidateSearches &searches) {
  MlirOperation flow = state.module.get();
  StockCandidate stock;
  if (!makeStock(stock)) {
    // IREE refuses the module: let it say so.
    changed = false;
    return (flags.schedule || watched) &&
           stream.toSlabs(flow, nullptr, nullptr, true);
  }
  CrashGuard guard("the choice among candidates");
  crashPoint("choice");
  limit.start();
  OwnCandidate own;
  // Offsets of serenity-pack are safe only where no two calls have one callee.
  own.mayChange =
      freedom != Freedom::None && canCloneCallees(stock.module.get());
  if (freedom != Freedom::None && !own.mayChange) {
    ir::emitRemark(mlirOperationGetLocation(flow),
                   "falling back to the stock pipeline: functions that are not "
                   "inlined call themselves or one another too often for one "
                   "copy per call");
  }
  changed = own.mayChange;
  own.search = &searches.asMarked();
  searchCandidate(stock, own, searches);
  // The chosen candidate is completed whatever the clock says: the remaining
  // searches are limited in nodes.
  options.cancelled = nullptr;

  // Other configurations are compared when they are built.
  std::map<std::string, LargerElsewhere> larger;
  if (own.candidate && !own.isWhole()) {
    larger = findLargerElsewhere(stock.asMarked.elsewhere,
                                 own.candidate->placed.get());
  }
  for (const auto &[name, found] : larger) {
    ir::emitRemark(mlirOperationGetLocation(flow),
                   "'" + name + "' keeps the stock order: " + found.where +
                       ", the order found at the hints needs " +
                       std::to_string(found.bytes) + " bytes, more than " +
                       std::to_string(found.stockBytes) +
                       "; another --serenity-dim-hint may find one that "
                       "does not");
  }
  VariantPeaks peaks;
  peaks.stock = stock.peaks;
  peaks.offsets = own.mayChange ? &stock.comparedOffsets : nullptr;
  peaks.reordered = own.candidate ? &own.candidate->compared : nullptr;
  peaks.reorderedIsWhole = own.isWhole();
  const VariantChoice choice =
      chooseVariants(peaks, [&](const std::string &name) {
        if (larger.count(name)) {
          return std::optional(Variant::Offsets);
        }
        return own.ladder && own.config.isStock()
                   ? own.ladder->leastChange(name)
                   : std::nullopt;
      });
  describeChoice(stock, own, choice);
  describeRewrites(own);
  changed = choice.any(Variant::Reordered) || choice.any(Variant::Offsets);
  return applyChoice(stock, own, choice);
}

/// From slabs in the order that was chosen to offsets. Functions in IREE's
/// order are marked, and keep IREE's concurrent dispatch groups.
bool Pipeline::finishSlabs(MlirOperation module, bool visible) {
  std::vector<MlirOperation> functions = ir::operations(ir::body(module));
  const bool reused = std::any_of(functions.begin(), functions.end(),
                                  attributes::reusesExternalMemory);
  if (flags.schedule && !reused) {
    Stopwatch watch(report, "external_memory");
    if (!stream.runOwn("serenity-reuse-external-memory", module, options,
                       &report, visible)) {
      return false;
    }
  }
  bool groups = flags.waves == WaveMode::Auto &&
                !user.has("iree-stream-partitioning-favor");
  if (groups && flags.schedule) {
    Stopwatch watch(report, "concurrency");
    if (!stream.runOwn("serenity-waves", module, options, &report, visible)) {
      return false;
    }
  }
  Stopwatch watch(report, "offsets");
  return stream.runOwn("serenity-pack", module, options, &report, visible) &&
         stream.runOwn("serenity-clone-callees", module, options, &report,
                       visible);
}

/// The invocation keeps pointing at the module but no longer owns it, so that
/// its contents can be replaced.
void Pipeline::takeModule() {
  if (!state.module) {
    state.module.reset(ireeCompilerInvocationExportStealModule(inv));
  }
}

/// Marks the inputs that may be overwritten. From then on the marks say which
/// these are.
void Pipeline::markInputs(const ConsumedInputs &donated) {
  consumed = markConsumedInputs(state.module.get(), donated, flags.consume,
                                options.inputs);
  options.inputs = InputMode::Keep;
}

bool Pipeline::run() {
  int from = phaseIndex(state.compileFrom);
  int to = phaseIndex(state.compileTo);
  int flowPhase = phaseIndex("flow");
  int streamPhase = phaseIndex("stream");
  bool hostOnly = user.session["iree-execution-model"] == "host-only";
  if (from < 0 || to < 0 || from >= to || to < flowPhase ||
      from >= streamPhase || hostOnly) {
    // No serenity pass lies between; IREE reports errors in phases.
    bool valid = from >= 0 && to >= 0 && from < to;
    return (!valid ||
            checkIdleFlags(flags, Reach::Nothing,
                           hostOnly ? "--iree-execution-model=host-only"
                           : to < flowPhase
                               ? "--compile-to=" + state.compileTo
                               : "--compile-from=" + state.compileFrom,
                           report, events)) &&
           real::pipeline(inv, IREE_COMPILER_PIPELINE_STD);
  }
  if (to == flowPhase
          ? !checkIdleFlags(flags, Reach::Order, "--compile-to=flow", report,
                            events)
          : from > phaseIndex("preprocessing") &&
                !checkIdleFlags(flags, Reach::NoRewriting,
                                "--compile-from=" + state.compileFrom, report,
                                events)) {
    return false;
  }
  CandidateSearches searches(state.session, user, options, stream, watched,
                             report, limit);
  int preprocessingPhase = phaseIndex("preprocessing");
  std::string flowFrom = state.compileFrom;
  {
    Stopwatch watch(report, "to_flow");
    ConsumedInputs donated;
    if (flags.schedule && from <= phaseIndex("input")) {
      takeModule(); // the importers drop the marks of frameworks
      donated = findDonatedInputs(state.module.get());
    }
    if (flags.schedule && from <= preprocessingPhase) {
      if (!runStock(state.compileFrom, "preprocessing")) {
        return false;
      }
      flowFrom = "preprocessing";
      takeModule();
      markInputs(donated);
      CrashGuard guard("the search for rewrite sites");
      crashPoint("sites");
      openCache();
      searches.startFrom(state.module.get());
    }
    if (!runStock(flowFrom, "flow")) {
      return false;
    }
    takeModule();
    if (flags.schedule && from > preprocessingPhase) {
      markInputs(donated);
    }
    if (flags.schedule) {
      removeBarriers(state.module.get()); // of a serenity-rewrite before
    }
    warnOfIdleExtents(state.module.get(), options, report);
  }
  if (to == flowPhase) {
    CrashGuard guard("serenity-schedule");
    return !flags.schedule ||
           stream.runOwn("serenity-schedule", state.module.get(), options,
                         &report, watched);
  }
  bool ok = false;
  std::vector<std::string> refusals;
  for (freedom = flags.schedule ? Freedom::Candidates : Freedom::None;;) {
    // Kept while IREE may refuse the module that replaces it.
    ir::OwningOp spare;
    if (freedom != Freedom::None) {
      spare = ir::OwningOp::clone(state.module.get());
    }
    std::string error;
    ok = runStream(searches, error) &&
         (to == streamPhase || attempt(error, [&] {
            Stopwatch watch(report, "from_stream");
            return runStock("stream", state.compileTo);
          }));
    if (ok || !changed || events.budgetMissed) {
      break;
    }
    std::string reason = error.empty() ? "" : " (" + error + ")";
    refusals.push_back(
        chosenConfiguration
            ? "IREE refuses the candidate '" + chosenConfiguration->name() +
                  "'" + reason + "; using the stock candidate instead"
            : "IREE refuses this module with serenity's order or offsets" +
                  reason +
                  "; falling back to the stock pipeline, please report this");
    freedom = chosenConfiguration ? Freedom::Order : Freedom::None;
    report.search.trialCompilations += searches.numCompilations();
    searches.forget();
    chosenConfiguration.reset();
    report.functions.clear();
    report.rewrites.clear();
    adopt(std::move(spare));
  }
  report.search.trialCompilations += searches.numCompilations();
  if (ok) {
    keepChoice();
    // Where the stock candidate fails as well, the candidate is not at fault.
    for (const std::string &refusal : refusals) {
      ir::emitWarning(mlirOperationGetLocation(state.module.get()), refusal);
    }
  }
  return ok;
}

/// Runs a step of IREE's. Where the module was changed by serenity its errors
/// are not shown if it fails for them: `error` receives the first.
bool Pipeline::attempt(std::string &error, const std::function<bool()> &step) {
  if (!changed) {
    return step();
  }
  CrashGuard guard("IREE's passes on the scheduled module");
  crashPoint("later");
  bool ok;
  std::vector<ir::SilenceDiagnostics::Error> errors;
  {
    ir::SilenceDiagnostics silence(mlirOperationGetContext(state.module.get()),
                                   /*errorsOnly=*/true);
    ok = step();
    errors = silence.errors();
  }
  if (ok) {
    // IREE has errors that it does not fail for.
    for (const ir::SilenceDiagnostics::Error &shown : errors) {
      ir::emitError(shown.location, shown.message);
    }
  } else if (!errors.empty()) {
    error = errors.front().message;
  }
  return ok;
}

/// From offsets to the end of the stream phase, with the description of the
/// functions for the report.
bool Pipeline::lowerSlabs() {
  Stopwatch watch(report, "stream");
  return stream.toCommands(state.module.get()) && describe() &&
         stream.toEnd(state.module.get());
}

/// Describes the functions for the report, from their commands.
bool Pipeline::describe() {
  CrashGuard guard("the description of the functions");
  crashPoint("describe");
  ir::OwningOp settled = stream.withReuse(state.module.get());
  describeFunctions(settled ? settled.get() : state.module.get(), options,
                    report);
  if (flags.schedule) {
    proveOrders(report, options);
    checkAllocationLimit(mlirOperationGetLocation(state.module.get()), user,
                         report);
  }
  return true;
}

/// The stream phase, with the budget checked and the serenity attributes
/// removed at its end.
bool Pipeline::runStream(CandidateSearches &searches, std::string &error) {
  if (!scheduleStream(searches) ||
      !attempt(error, [&] { return lowerSlabs(); })) {
    return false;
  }
  if (flags.schedule) {
    warnOfIdleConsumption(mlirOperationGetLocation(state.module.get()),
                          flags.consume, consumed, report);
  }
  if (!checkBudget(state.module.get(), flags, report)) {
    events.budgetMissed = true;
    return false;
  }
  attributes::removeAll(state.module.get());
  if (!state.dumpPhasesTo.empty()) {
    std::string name =
        ir::stringAttr(state.module.get(), "sym_name").value_or("module");
    if (!stream.runIree(
            state.module.get(),
            "iree-util-dump-module{path=\"" + state.dumpPhasesTo + "/" + name +
                "." + std::to_string(phaseIndex("stream")) + ".stream.mlir\"}",
            true)) {
      return false;
    }
  }
  return true;
}

} // namespace

bool runPipeline(iree_compiler_invocation_t *inv, InvocationState &state,
                 const CompileFlags &flags,
                 const std::vector<std::string> &arguments,
                 ModuleReport &report, PipelineEvents &events) {
  return Pipeline(inv, state, flags, arguments, report, events).run();
}

} // namespace serenity

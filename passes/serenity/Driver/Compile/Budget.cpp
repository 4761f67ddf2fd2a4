// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/Budget.h"

#include "serenity/Analysis/FunctionMemory.h"
#include "serenity/Driver/Compile/DynamicSizes.h"
#include "serenity/IREE/Ir.h"

#include <algorithm>
#include <string>
#include <vector>

namespace serenity {

namespace {

/// Candidates that are taken to their slabs to get by with fewer rewrites.
constexpr int maxTrims = 8;

/// So many buffers are named in a message; the report has all of them.
constexpr size_t maxNamed = 8;

std::string joined(const std::vector<std::string> &items, const char *none) {
  std::string text;
  for (const std::string &item : items) {
    text += (text.empty() ? "" : ", ") + item;
  }
  return text.empty() ? none : text;
}

/// The fewest bytes in all by which buffers would have to shrink for the live
/// bytes of every step to be within the budget. Steps are taken in order; where
/// one is over, the buffers that end last are shrunk first, since those relieve
/// the most steps to come.
std::vector<int64_t> leastShrinking(const RegionReport &region,
                                    int64_t budgetBytes) {
  std::vector<int64_t> shrink(region.buffers.size(), 0);
  std::vector<size_t> byEnd(region.buffers.size());
  for (size_t i = 0; i < byEnd.size(); ++i) {
    byEnd[i] = i;
  }
  std::stable_sort(byEnd.begin(), byEnd.end(), [&](size_t a, size_t b) {
    const BufferReport &left = region.buffers[a];
    const BufferReport &right = region.buffers[b];
    return left.last != right.last ? left.last > right.last
                                   : left.bytes > right.bytes;
  });
  for (size_t step = 0; step < region.liveBytes.size(); ++step) {
    int64_t over = region.liveBytes[step] - budgetBytes;
    auto live = [&](size_t i) {
      return region.buffers[i].first <= int64_t(step) &&
             int64_t(step) <= region.buffers[i].last;
    };
    for (size_t i = 0; i < shrink.size(); ++i) {
      over -= live(i) ? shrink[i] : 0;
    }
    for (size_t i : byEnd) {
      if (over <= 0) {
        break;
      }
      if (live(i)) {
        int64_t by = std::min(over, region.buffers[i].bytes - shrink[i]);
        shrink[i] += by;
        over -= by;
      }
    }
  }
  return shrink;
}

/// The buffers that exceed the budget, where they lie in one slab.
FunctionBudget explainMiss(const FunctionReport &function, int64_t neededBytes,
                           int64_t budgetBytes) {
  FunctionBudget miss;
  miss.met = false;
  miss.overBytes = neededBytes - budgetBytes;
  const RegionReport *largest = nullptr;
  for (size_t i = 0; i < function.regions.size(); ++i) {
    const RegionReport &region = function.regions[i];
    if (!region.liveBytes.empty() &&
        (!largest || region.slabBytes > largest->slabBytes)) {
      largest = &region;
      miss.region = int64_t(i);
    }
  }
  if (!largest) {
    return miss;
  }
  int64_t step =
      std::max_element(largest->liveBytes.begin(), largest->liveBytes.end()) -
      largest->liveBytes.begin();
  miss.step = step;
  for (size_t i = 0; i < largest->operations.size(); ++i) {
    if (largest->operations[i].step == step) {
      miss.operations.push_back(int64_t(i));
    }
  }
  std::vector<int64_t> shrink = leastShrinking(*largest, budgetBytes);
  for (size_t i = 0; i < largest->buffers.size(); ++i) {
    const BufferReport &buffer = largest->buffers[i];
    bool live = buffer.first <= step && step <= buffer.last;
    if (live || shrink[i] > 0) {
      miss.buffers.push_back({int64_t(i), buffer.bytes, shrink[i], live});
    }
  }
  std::stable_sort(miss.buffers.begin(), miss.buffers.end(),
                   [](const BudgetBuffer &a, const BudgetBuffer &b) {
                     return a.bytes > b.bytes;
                   });
  return miss;
}

/// Whether the bytes that `function` needs meet the budget. `place` and `note`
/// say of which calls and why, where that is not every call.
std::string sayBudget(const FunctionReport &function, int64_t neededBytes,
                      int64_t budgetBytes, const std::string &place,
                      const std::string &note) {
  const bool met = neededBytes <= budgetBytes;
  return "'" + function.exportedAs + "'" +
         (met ? " is within its memory budget"
              : " exceeds its memory budget by " +
                    bytesText(neededBytes - budgetBytes) + place) +
         " (" + std::to_string(neededBytes) + (met ? " <= " : " > ") +
         std::to_string(budgetBytes) + note +
         "), used: " + joined(function.used, "nothing, as the stock compiler");
}

/// Names the parts of `neededBytes`, the peak of a call.
std::string sayParts(const FunctionReport &function, int64_t neededBytes) {
  const int64_t external = function.externalBytes.value_or(0);
  const int64_t transient = function.transientPeakBytes.value_or(0);
  const int64_t variables =
      std::max<int64_t>(0, neededBytes - external - transient);
  return "; inputs and results " + std::to_string(external) + ", transient " +
         std::to_string(transient) +
         (variables ? ", variables " + std::to_string(variables) : "");
}

/// The bytes of a call that the budget is compared with, and why they are not
/// known or not exact.
BytesNeeded bytesNeeded(const FunctionReport &function, BudgetCounts counts) {
  const std::string branches =
      function.peakIsExact
          ? ""
          : "; the least upper bound over all branches and trip counts";
  if (counts == BudgetCounts::All) {
    if (!function.peakBytes) {
      return {std::nullopt,
              "its peak with inputs and results depends on the call; give "
              "dynamic dimensions an extent with --fix-dim, or count transient "
              "memory alone with --serenity-budget-counts=transient"};
    }
    return {function.peakBytes,
            sayParts(function, *function.peakBytes) + branches};
  }
  return function.transientPeakBytes
             ? BytesNeeded{function.transientPeakBytes, branches}
             : bytesAtBounds(function);
}

/// Whether more than one slab counts at the peak.
bool hasValuesBetweenRegions(const FunctionReport &function) {
  return std::count_if(function.peakAllocations.begin(),
                       function.peakAllocations.end(),
                       [](const AllocationReport &allocation) {
                         return allocation.kind != "result";
                       }) > 1;
}

/// Itemises the transient peak: slabs, and the values between regions.
std::string sayAllocations(const FunctionReport &function) {
  std::vector<AllocationReport> sorted = function.peakAllocations;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const AllocationReport &a, const AllocationReport &b) {
                     return a.bytes > b.bytes;
                   });
  std::string text;
  size_t named = 0;
  int64_t sum = 0;
  int64_t others = 0;
  int64_t otherBytes = 0;
  for (const AllocationReport &allocation : sorted) {
    if (allocation.kind == "result") {
      continue;
    }
    sum += allocation.bytes;
    if (named == maxNamed) {
      ++others;
      otherBytes += allocation.bytes;
      continue;
    }
    text += (named++ ? ", " : "") +
            (allocation.kind == "value" ? std::string("value between regions")
                                        : allocation.kind) +
            (allocation.name.empty() ? "" : " of " + allocation.name) + " " +
            std::to_string(allocation.bytes);
  }
  if (others) {
    text += " and " + std::to_string(others) + " more of " +
            bytesText(otherBytes) + " together";
  }
  int64_t pending = sum - *function.transientPeakBytes;
  if (pending > 0) {
    text += "; less " + bytesText(pending) + " for results allocated later";
  }
  return "allocated at the peak: " + text;
}

/// The buffers of the list that `select` takes, each with its `describe`.
template <typename Select, typename Describe>
std::string nameBuffers(const FunctionBudget &miss, const RegionReport &region,
                        const Select &select, const Describe &describe) {
  std::string text;
  size_t named = 0;
  int64_t others = 0;
  int64_t otherBytes = 0;
  for (const BudgetBuffer &item : miss.buffers) {
    if (!select(item)) {
      continue;
    }
    if (named == maxNamed) {
      ++others;
      otherBytes += item.bytes;
      continue;
    }
    text += (named++ ? ", " : "") + displayName(region, size_t(item.buffer)) +
            " " + describe(item);
  }
  if (others) {
    text += " and " + std::to_string(others) + " more of " +
            bytesText(otherBytes) + " together";
  }
  return text;
}

std::string sayPeak(const FunctionBudget &miss, const RegionReport &region) {
  std::string text =
      "live at the peak (step " + std::to_string(*miss.step) + "): " +
      nameBuffers(
          miss, region, [](const BudgetBuffer &item) { return item.live; },
          [](const BudgetBuffer &item) { return std::to_string(item.bytes); });
  std::string at;
  for (int64_t i : miss.operations) {
    const OperationReport &operation = region.operations[size_t(i)];
    std::string name = displayName(operation.name, operation.location);
    if (name == operation.name && !operation.location.empty()) {
      name += " " + operation.location;
    }
    at += (at.empty() ? "" : ", ") + name;
  }
  return text + (at.empty() ? "" : "; while running: " + at);
}

std::string sayShrinking(const FunctionBudget &miss, const RegionReport &region,
                         int64_t budgetBytes) {
  std::string names = nameBuffers(
      miss, region,
      [](const BudgetBuffer &item) { return item.shrinkBytes > 0; },
      [](const BudgetBuffer &item) {
        return "by " + std::to_string(item.shrinkBytes) + " to " +
               std::to_string(item.bytes - item.shrinkBytes);
      });
  if (names.empty()) {
    return region.slabBytes > budgetBytes
               ? "the live bytes fit at every step, but no layout was found "
                 "whose slab does"
               : "no slab alone is over: several allocations are alive "
                 "together";
  }
  std::string text = "to fit in this order, buffers would have to shrink: ";
  text += names;
  // Of one region only, and of this candidate of the module.
  if (region.optimal) {
    text += "; no order of these operations needs less than " +
            bytesText(region.lowerBoundBytes);
  }
  return text;
}

} // namespace

BudgetLadder::BudgetLadder(MlirOperation stock, const CompileFlags &flags,
                           const Options &options, StreamPhase &stream)
    : budgetBytes(*flags.memoryBudgetBytes), counts(flags.budgetCounts),
      options(atBounds(options)), stream(stream) {
  if (counts == BudgetCounts::All) {
    countOutside(stock);
  }
  peaks[size_t(Variant::Stock)] = measure(stock, PackAlgorithm::Iree);
  ir::OwningOp laidOut = stream.withOffsets(stock, options);
  peaks[size_t(Variant::Offsets)] = measure(laidOut.get(), options.offsets);
  for (const auto &item : peaks[size_t(Variant::Stock)]) {
    together[item.first].insert(item.first);
  }
  auto unite = [&](const std::string &caller, const std::string &callee) {
    if (!together.count(caller) || !together.count(callee)) {
      return;
    }
    std::set<std::string> all = together[caller];
    all.insert(together[callee].begin(), together[callee].end());
    for (const std::string &name : all) {
      together[name] = all;
    }
  };
  for (MlirOperation function : ir::operations(ir::body(stock))) {
    std::string caller = ir::stringAttr(function, "sym_name").value_or("");
    ir::walk(function,
             [&](MlirOperation op) { unite(caller, ir::calledFunction(op)); });
  }
}

/// The memory beside transient values is the same in every candidate, but for
/// results that come to lie in inputs.
void BudgetLadder::countOutside(MlirOperation stock) {
  SlabLayout layout;
  layout.algorithm = PackAlgorithm::Iree;
  layout.defaultAlignment = options.defaultAlignment;
  int64_t persistent = 0;
  std::vector<MlirOperation> functions = ir::operations(ir::body(stock));
  for (MlirOperation op : functions) {
    if (ir::isa(op, "util.initializer")) {
      std::optional<CallMemory> memory = callMemory(stock, op, layout);
      persistent += memory ? memory->persistentBytes : 0;
    }
  }
  for (MlirOperation op : functions) {
    std::optional<CallMemory> memory = callMemory(stock, op, layout);
    std::optional<int64_t> inputs =
        memory ? inputBytes(op) : std::optional<int64_t>();
    if (inputs) {
      outside[ir::stringAttr(op, "sym_name").value_or("")] =
          persistent + *inputs + memory->resultBytes;
    }
  }
}

bool BudgetLadder::fits(const std::string &function,
                        const std::optional<int64_t> &peak) const {
  if (counts == BudgetCounts::Transient) {
    return peak && *peak <= budgetBytes;
  }
  auto beside = outside.find(function);
  return peak && beside != outside.end() &&
         *peak <= budgetBytes - beside->second;
}

/// As the runtime will see them; before the releases if that cannot be told.
Peaks BudgetLadder::measure(MlirOperation module, PackAlgorithm algorithm) {
  Peaks found = stream.runtimePeaks(module, options, algorithm);
  return found.empty() ? transientPeaks(module, options, algorithm) : found;
}

std::optional<Variant>
BudgetLadder::leastChange(const std::string &function) const {
  auto group = together.find(function);
  if (group == together.end()) {
    return std::nullopt;
  }
  for (Variant variant :
       {Variant::Stock, Variant::Offsets, Variant::Reordered}) {
    const Peaks &of = peaks[size_t(variant)];
    if (std::all_of(group->second.begin(), group->second.end(),
                    [&](const std::string &name) {
                      auto peak = of.find(name);
                      return peak != of.end() && fits(name, peak->second);
                    })) {
      return variant;
    }
  }
  return std::nullopt;
}

bool BudgetLadder::fitsInStockOrder() const {
  // Without a measure nothing is known to fit.
  return !together.empty() &&
         std::all_of(together.begin(), together.end(), [&](const auto &item) {
           return leastChange(item.first).has_value();
         });
}

bool BudgetLadder::fits(const Configuration &config,
                        const CandidateSearch::Candidate &tried) {
  Peaks found = measure(tried.placed.get(), options.offsets);
  if (config.isStock()) {
    peaks[size_t(Variant::Reordered)] = found;
  }
  return std::all_of(together.begin(), together.end(), [&](const auto &item) {
    if (config.isStock()) {
      return leastChange(item.first).has_value();
    }
    auto peak = found.find(item.first);
    return peak != found.end() && fits(item.first, peak->second);
  });
}

/// Leaves out all rewrites, halves, quarters, ... as long as the candidate
/// fits.
Configuration BudgetLadder::trimRewrites(CandidateSearch &search,
                                         Configuration config) {
  int tries = maxTrims;
  for (size_t parts = 1;; parts *= 2) {
    std::vector<size_t> left;
    for (size_t i = 0; i < config.sites.size(); ++i) {
      if (config.sites[i]) {
        left.push_back(i);
      }
    }
    if (left.empty()) {
      return config;
    }
    size_t length = std::max<size_t>(1, (left.size() + parts - 1) / parts);
    for (size_t first = 0; first < left.size(); first += length) {
      if (tries-- == 0) {
        return config;
      }
      Configuration fewer = config;
      for (size_t i = first; i < std::min(first + length, left.size()); ++i) {
        fewer.sites[left[i]] = false;
      }
      CandidateSearch::Candidate *tried = search.place(fewer);
      // No function may be worse off than as stock, even if it fits.
      if (tried && tried->cost && fits(fewer, *tried)) {
        config = fewer;
      }
    }
    if (length == 1) {
      return config;
    }
  }
}

Configuration BudgetLadder::chooseCandidate(CandidateSearch &search,
                                            bool refine) {
  auto check = [&](const Configuration &config) {
    CandidateSearch::Candidate *tried = search.placed(config);
    if (tried && refine) {
      search.refine(*tried);
    }
    return tried && fits(config, *tried);
  };
  Configuration stock;
  if (check(stock)) {
    return stock;
  }
  Configuration fused = search.search(RewriteMode::Off);
  if (options.rewrite == RewriteMode::Off || check(fused)) {
    return fused;
  }
  Configuration best = search.search(options.rewrite);
  if (check(best)) {
    return trimRewrites(search, best);
  }
  CandidateSearch::Candidate *withRewrites = search.placed(best);
  CandidateSearch::Candidate *without = search.placed(fused);
  bool better =
      withRewrites && withRewrites->cost &&
      (!without || !without->cost || *withRewrites->cost < *without->cost);
  return better ? best : fused;
}

/// Whether a region of the function computes a value again.
static bool recomputes(const ModuleReport &report,
                       const std::string &function) {
  for (const FunctionReport &entry : report.functions) {
    for (const RegionReport &region : entry.regions) {
      if (entry.name == function && !region.recomputed.empty()) {
        return true;
      }
    }
  }
  return false;
}

std::vector<std::string> meansOf(Variant variant, const Configuration &config,
                                 const std::string &function,
                                 const CandidateSearch &search,
                                 const Options &options) {
  std::vector<std::string> means;
  if (variant != Variant::Stock && options.offsets != PackAlgorithm::Iree) {
    means.push_back("offsets");
  }
  if (variant != Variant::Reordered) {
    return means;
  }
  means.push_back("order");
  auto tried = search.tried().find(config);
  if (tried != search.tried().end() &&
      recomputes(tried->second.report, function)) {
    means.push_back("recomputation");
  }
  if (config.fuseMultiUse || config.inPlace != Configuration::None ||
      !config.unfused.empty()) {
    means.push_back("fusion");
  }
  const std::vector<RewriteSite> &sites = search.sites(config);
  for (size_t i = 0; tried != search.tried().end() && i < sites.size() &&
                     i < tried->second.rewrites.parts.size();
       ++i) {
    if (tried->second.rewrites.parts[i] && sites[i].function == function) {
      means.push_back("rewriting");
      break;
    }
  }
  if (const BandPlan *plan = search.bandPlan(config)) {
    if (std::any_of(
            plan->sites.begin(), plan->sites.end(),
            [&](const BandSite &site) { return site.function == function; })) {
      means.push_back("bands");
    }
  }
  return means;
}

bool checkBudget(MlirOperation module, const CompileFlags &flags,
                 ModuleReport &report) {
  if (!flags.memoryBudgetBytes) {
    return true;
  }
  int64_t bytes = *flags.memoryBudgetBytes;
  MlirLocation location = mlirOperationGetLocation(module);
  BudgetReport budget;
  budget.bytes = bytes;
  budget.isError = flags.budgetIsError();
  bool missed = false;
  bool unknown = false;
  auto complain = [&](const std::string &message) {
    if (flags.budgetIsError()) {
      ir::emitError(location, message);
    } else {
      ir::emitWarning(location, message);
    }
  };
  auto remarkOnRegion = [&](const FunctionReport &function, int64_t slabBytes) {
    if (function.budget->region) {
      const RegionReport &region =
          function.regions[size_t(*function.budget->region)];
      ir::emitRemark(location, sayPeak(*function.budget, region));
      ir::emitRemark(location,
                     sayShrinking(*function.budget, region, slabBytes));
    }
  };
  for (FunctionReport &function : report.functions) {
    if (function.initializer) {
      continue;
    }
    for (const std::string &means : function.used) {
      if (std::find(budget.used.begin(), budget.used.end(), means) ==
          budget.used.end()) {
        budget.used.push_back(means);
      }
    }
    const bool dynamic = !function.transientPeakBytes;
    const BytesNeeded needed = bytesNeeded(function, flags.budgetCounts);
    function.budget = FunctionBudget();
    if (!needed.bytes) {
      unknown = true;
      complain("cannot check the memory budget of '" + function.exportedAs +
               "': " + needed.note +
               (flags.budgetIsError()
                    ? ", or go on with --serenity-budget-policy=warn"
                    : ""));
      continue;
    }
    const std::string text =
        sayBudget(function, *needed.bytes, bytes,
                  dynamic ? " at the bound" : "", needed.note);
    if (*needed.bytes <= bytes) {
      function.budget->met = true;
      if (*needed.bytes > 0) {
        ir::emitRemark(location, text);
      }
      continue;
    }
    missed = true;
    complain(text);
    // The numbers of dynamic regions are those at the hints.
    if (dynamic && needed.bytes != function.bytesFormula->bytesAtHint) {
      function.budget->met = false;
      function.budget->overBytes = *needed.bytes - bytes;
      continue;
    }
    // The buffers have the rest of the memory that the budget counts.
    const int64_t transientBytes =
        function.transientPeakBytes.value_or(*needed.bytes);
    const int64_t slabBytes =
        std::max<int64_t>(0, bytes - (*needed.bytes - transientBytes));
    function.budget = explainMiss(function, transientBytes, slabBytes);
    function.budget->overBytes = *needed.bytes - bytes;
    if (!dynamic && hasValuesBetweenRegions(function)) {
      ir::emitRemark(location, sayAllocations(function));
    }
    remarkOnRegion(function, slabBytes);
  }
  // In the order of the ladder, whichever function came first.
  std::sort(budget.used.begin(), budget.used.end(),
            [](const std::string &a, const std::string &b) {
              auto rank = [](const std::string &means) {
                return std::find(std::begin(meansInOrder),
                                 std::end(meansInOrder), means) -
                       std::begin(meansInOrder);
              };
              return rank(a) < rank(b);
            });
  if (missed) {
    budget.met = false;
  } else if (!unknown) {
    budget.met = true;
  }
  report.budget = budget;
  return budget.met == true || !flags.budgetIsError();
}

} // namespace serenity

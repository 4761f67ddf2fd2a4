// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Candidates/CandidateBuilder.h"

#include "serenity/Driver/Compile/ConsumedInputs.h"
#include "serenity/Driver/Compile/Real.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningHandles.h"
#include "serenity/Transforms/ProgramOrder.h"
#include "serenity/Transforms/QuantizedAfterwards.h"
#include "serenity/Transforms/ShareDispatches.h"
#include "serenity/Transforms/StoreQuantized.h"
#include "serenity/Transforms/TensorBuilder.h"
#include "serenity/Transforms/UnfusedProducers.h"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace serenity {

namespace {
constexpr const char *multiUseFlag = "iree-dispatch-creation-fuse-multi-use";
constexpr const char *evaluateFlag = "iree-opt-const-eval";
constexpr const char *raiseFlag = "iree-global-opt-enable-qdq-to-integer-math";
} // namespace

size_t numRewrites(const Configuration &config) {
  return size_t(std::count(config.sites.begin(), config.sites.end(), true));
}

size_t numJoins(const Configuration &config) {
  size_t count = 0;
  for (const auto &site : config.joins) {
    for (const std::vector<int64_t> &group : site.second) {
      count += group.size() - 1;
    }
  }
  return count;
}

bool Configuration::isStock() const {
  return storage == AsGiven && !fuseMultiUse && inPlace == None && bands == 0 &&
         unfused.empty() && numRewrites(*this) == 0;
}

std::string Configuration::name() const {
  std::string text;
  auto add = [&](const std::string &part) {
    text += (text.empty() ? "" : ", ") + part;
  };
  if (storage != AsGiven) {
    add(storage == Integers ? "quantized storage"
                            : "quantized storage, integer arithmetic");
  }
  if (fuseMultiUse) {
    add(std::string("multi-use fusion ") + (*fuseMultiUse ? "on" : "off"));
  }
  if (inPlace != None) {
    add(inPlace == SingleUse ? "in place" : "in place at the last use");
  }
  if (!unfused.empty()) {
    add(std::to_string(unfused.size()) +
        (unfused.size() == 1 ? " unfused producer" : " unfused producers"));
  }
  if (bands > 0) {
    add("bands plan " + std::to_string(bands));
  }
  if (size_t count = numRewrites(*this)) {
    add(std::to_string(count) + (count == 1 ? " rewrite" : " rewrites"));
  }
  if (deepStreams) {
    add("deep streams");
  }
  if (size_t count = numJoins(*this)) {
    add(std::to_string(count) + (count == 1 ? " merged accumulation step"
                                            : " merged accumulation steps"));
  }
  return text.empty() ? "stock" : text;
}

bool Configuration::operator<(const Configuration &other) const {
  auto key = [](const Configuration &config) {
    return std::tie(config.storage, config.bands, config.fuseMultiUse,
                    config.inPlace, config.unfused, config.sites, config.joins,
                    config.deepStreams);
  };
  return key(*this) < key(other);
}

CandidateBuilder::CandidateBuilder(
    iree_compiler_session_t *session,
    const std::map<std::string, std::string> &flags, ir::OwningOp preprocessed,
    const TensorSizes &sizes, std::function<bool()> abandons,
    FormedModules &formed)
    : session(session), flags(flags), sizes(sizes),
      abandons(std::move(abandons)), formed(formed) {
  setBase(Configuration::AsGiven, std::move(preprocessed));
  MlirOperation given = bases[Configuration::AsGiven].module.get();
  keepsAsGiven = quantized::quantizesSumsOfFloats(given);
  if (keepsAsGiven) {
    bases[Configuration::AsGiven].sites.clear();
  }
  if (quantized::hasAffine(bases[Configuration::AsGiven].module.get())) {
    makeQuantizedBases();
  }
}

size_t CandidateBuilder::addBandPlan(Configuration::Storage storage,
                                     BandPlan plan) {
  banded.push_back({storage, std::move(plan), {}});
  return banded.size();
}

size_t CandidateBuilder::changeBandPlan(size_t number, size_t site,
                                        int64_t count) {
  const Configuration::Storage storage = banded[number - 1].storage;
  std::optional<BandPlan> changed = changeBands(
      bases[storage].module.get(), bandPlan(number), site, count, sizes);
  return changed ? addBandPlan(storage, std::move(*changed)) : 0;
}

CandidateBuilder::Base CandidateBuilder::makeBase(ir::OwningOp module) const {
  std::vector<RewriteSite> sites = findRewriteSites(module.get(), sizes);
  std::set<std::string> producers = findUnfusableProducers(module.get());
  return {std::move(module), std::move(sites), std::move(producers)};
}

CandidateBuilder::Base &CandidateBuilder::baseOf(const Configuration &config) {
  if (config.bands == 0) {
    return bases[config.storage];
  }
  Banded &entry = banded[config.bands - 1];
  if (!entry.base.module) {
    ir::OwningOp module =
        ir::OwningOp::clone(bases[entry.storage].module.get());
    applyBands(module.get(), entry.plan);
    entry.base = makeBase(std::move(module));
  }
  return entry.base;
}

void CandidateBuilder::setBase(Configuration::Storage storage,
                               ir::OwningOp module) {
  bases[storage] = makeBase(std::move(module));
}

/// Whether IREE raises contractions to integers: a user's own choice about
/// integer arithmetic wins, and without it nothing is raised.
bool CandidateBuilder::raises() const {
  auto flag = flags.find(raiseFlag);
  return flag == flags.end() || flag->second != "false";
}

/// A copy of a quantized module as IREE's global optimization will leave it;
/// empty if that is not known, or if contractions stay in floats.
ir::OwningOp CandidateBuilder::raise(MlirOperation module) const {
  return raises() ? quantized::raisedCopy(module) : ir::OwningOp();
}

void CandidateBuilder::makeQuantizedBases() {
  MlirOperation given = bases[Configuration::AsGiven].module.get();
  ir::SilenceDiagnostics silence(mlirOperationGetContext(given));
  ir::OwningOp module = ir::OwningOp::clone(given);
  StoreQuantizedCounts counts;
  if (!storeQuantized(module.get(), raises(), &counts, &values)) {
    return;
  }
  if (!counts.any() && quantized::raisedContractions(given).empty()) {
    return; // weights alone are quantized
  }
  ir::OwningOp raised = raise(module.get());
  if (counts.any()) {
    setBase(Configuration::Integers, std::move(module));
  }
  if (raised) {
    setBase(Configuration::Raised, std::move(raised));
  }
}

Configuration::Storage CandidateBuilder::furthestStorage() const {
  for (Configuration::Storage storage :
       {Configuration::Raised, Configuration::Integers}) {
    if (has(storage)) {
      return storage;
    }
  }
  return Configuration::AsGiven;
}

bool CandidateBuilder::setFlag(const std::string &name,
                               const std::string &value) {
  std::string text = "--" + name + "=" + value;
  const char *argument = text.c_str();
  ir::OwningError error(ireeCompilerSessionSetFlags(session, 1, &argument));
  return !error;
}

bool CandidateBuilder::evaluates() const {
  auto flag = flags.find(evaluateFlag);
  return flag != flags.end() && flag->second != "false";
}

std::string CandidateBuilder::refusal() const {
  for (const auto &item : rewritten) {
    if (!item.second.outcome.refusal.empty()) {
      return item.second.outcome.refusal;
    }
  }
  return "";
}

PartGroups CandidateBuilder::findJoins(const Configuration &config,
                                       int64_t stateLimit) {
  ir::OwningOp module = ir::OwningOp::clone(baseOf(config).module.get());
  RewriteOptions options;
  options.sizes = sizes;
  options.stateLimit = stateLimit;
  options.deepStreams = config.deepStreams;
  return findPartJoins(module.get(), config.sites, options);
}

/// The module with the rewrites of a candidate.
CandidateBuilder::Rewritten &
CandidateBuilder::rewrite(const Configuration &config, int64_t stateLimit) {
  Configuration key;
  key.storage = config.storage;
  key.bands = config.bands;
  if (numRewrites(config) > 0) {
    key.sites = config.sites;
    key.joins = config.joins;
    key.deepStreams = config.deepStreams;
  }
  auto [known, added] = rewritten.try_emplace({key, stateLimit});
  Rewritten &entry = known->second;
  if (!added) {
    return entry;
  }
  ir::OwningOp module = ir::OwningOp::clone(baseOf(config).module.get());
  bool ok = true;
  if (numRewrites(config) > 0) {
    RewriteOptions options;
    options.sizes = sizes;
    options.stateLimit = stateLimit;
    options.joins = config.joins;
    options.deepStreams = config.deepStreams;
    ok = applyRewrites(module.get(), config.sites, options, &entry.outcome);
  }
  if (ok && !rewrite::refusedTensor(module.get())) {
    entry.module = std::move(module);
  }
  return entry;
}

/// The module of a candidate before IREE's phases; empty if it is not to be
/// used.
ir::OwningOp CandidateBuilder::prepare(const Configuration &config,
                                       int64_t stateLimit,
                                       RewriteOutcome *outcome) {
  const Rewritten &made = rewrite(config, stateLimit);
  if (outcome) {
    *outcome = made.outcome;
  }
  if (!made.module) {
    return {};
  }
  ir::OwningOp module = ir::OwningOp::clone(made.module.get());
  preventFusion(module.get(), config.unfused);
  if (numRewrites(config) > 0 || config.bands > 0) {
    tagProgramOrder(module.get()); // the order that accumulations assume
    // IREE's passes end the process on an operation that the verifier refuses.
    if (!mlirOperationVerify(module.get())) {
      return {};
    }
  }
  return module;
}

CandidateBuilder::Forecast
CandidateBuilder::predict(const Configuration &config, bool fuseMultiUse,
                          int64_t alignment, bool reuseResults,
                          int64_t stateLimit, int64_t orderStates,
                          const TensorSizes *extents) {
  Forecast forecast;
  Rewritten &made = rewrite(config, stateLimit);
  if (!made.module) {
    return forecast;
  }
  forecast.rewrites = made.outcome;
  MlirOperation module = made.module.get();
  ir::OwningOp unfused;
  if (!config.unfused.empty()) {
    unfused = ir::OwningOp::clone(module);
    preventFusion(unfused.get(), config.unfused);
    module = unfused.get();
  }
  ir::OwningOp raised;
  if (quantized::hasAffine(module)) {
    // The model describes what IREE's global optimization will make of it.
    ir::OwningOp &known = config.unfused.empty() ? made.raised : raised;
    if (!known) {
      known = raise(module);
    }
    if (!known) {
      return forecast;
    }
    module = known.get();
  }
  rewrite::FusionRules rules;
  rules.fuseMultiUse = config.fuseMultiUse.value_or(fuseMultiUse);
  rules.inPlace = config.inPlace != Configuration::None;
  rules.inPlaceAtLastUse = config.inPlace == Configuration::LastUse;
  rules.alignment = alignment;
  rules.sizes = extents ? *extents : sizes;
  forecast.memory =
      rewrite::predictMemory(module, rules, reuseResults, orderStates);
  return forecast;
}

bool CandidateBuilder::runToFlow(MlirOperation module,
                                 const Configuration &config,
                                 Constants constants) {
  ++compilations;
  const bool rewrites = numRewrites(config) > 0 || config.bands > 0;
  std::vector<std::string> changed;
  bool ok = true;
  auto override = [&](const char *name, bool value) {
    changed.push_back(name);
    ok = ok && flags.count(name) && setFlag(name, value ? "true" : "false");
  };
  if (config.fuseMultiUse) {
    override(multiUseFlag, *config.fuseMultiUse);
  }
  if (constants == Constants::Symbolic && evaluates()) {
    override(evaluateFlag, false);
  }
  if (ok) {
    real::OwningInvocation inv(real::invocationCreate(session));
    real::setVerifyIR(inv.get(), false); // once, afterwards
    ok = ireeCompilerInvocationImportBorrowModule(inv.get(), module);
    const char *from = "preprocessing";
    for (const char *to :
         {"global-optimization", "dispatch-creation", "flow"}) {
      real::setCompileFromPhase(inv.get(), from);
      real::setCompileToPhase(inv.get(), to);
      ok = ok && !abandons() &&
           real::pipeline(inv.get(), IREE_COMPILER_PIPELINE_STD);
      // Constants are folded now, and not copied into dispatches yet.
      if (ok && from == std::string_view("preprocessing") && rewrites) {
        shareDispatches(module);
      }
      from = to;
    }
  }
  for (const std::string &name : changed) {
    auto old = flags.find(name);
    if (old != flags.end()) {
      setFlag(name, old->second);
    }
  }
  if (!ok) {
    return false;
  }
  removeBarriers(module);
  if (rewrites) {
    restoreProgramOrder(module);
  }
  return mlirOperationVerify(module);
}

ir::OwningOp CandidateBuilder::make(const Configuration &config,
                                    int64_t stateLimit, RewriteOutcome *outcome,
                                    Constants constants) {
  ir::OwningOp module = prepare(config, stateLimit, outcome);
  if (!module) {
    return {};
  }
  const char *fusion = !config.fuseMultiUse   ? "as given "
                       : *config.fuseMultiUse ? "fused "
                                              : "not fused ";
  std::string text = fusion;
  text += constants == Constants::Symbolic ? "symbolic " : "evaluated ";
  // Which inputs may be overwritten makes no difference to IREE.
  const ConsumedInputs consumed = takeConsumedInputs(module.get());
  text += ir::toString(module.get());
  auto known = formed.find(text);
  if (known == formed.end()) {
    if (!runToFlow(module.get(), config, constants)) {
      module.reset();
    }
    known = formed.emplace(std::move(text), std::move(module)).first;
  }
  if (!known->second) {
    return {};
  }
  module = ir::OwningOp::clone(known->second.get());
  markConsumedInputs(module.get(), consumed, {}, InputMode::Keep);
  if (config.inPlace != Configuration::None) {
    updateInPlace(module.get(), config.inPlace == Configuration::SingleUse);
    if (!mlirOperationVerify(module.get())) {
      return {};
    }
  }
  return module;
}

} // namespace serenity

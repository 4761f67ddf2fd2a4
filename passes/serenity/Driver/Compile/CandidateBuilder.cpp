// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/CandidateBuilder.h"

#include "serenity/Driver/Compile/Real.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/ProgramOrder.h"
#include "serenity/Transforms/StoreQuantized.h"
#include "serenity/Transforms/TensorBuilder.h"
#include "serenity/Transforms/UnfusedProducers.h"

#include <algorithm>
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
        (unfused.size() == 1 ? " producer apart" : " producers apart"));
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
    add(std::to_string(count) + (count == 1 ? " join" : " joins"));
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
    const std::map<std::string, std::string> &flags, MlirOperation preprocessed)
    : session(session), flags(flags) {
  setBase(Configuration::AsGiven, preprocessed);
  if (quantized::hasAffine(preprocessed)) {
    makeQuantizedBases();
  }
}

CandidateBuilder::~CandidateBuilder() {
  for (const auto &item : formed) {
    if (item.second.ptr) {
      mlirOperationDestroy(item.second);
    }
  }
  for (const Banded &item : banded) {
    if (item.base.module.ptr) {
      mlirOperationDestroy(item.base.module);
    }
  }
  for (Configuration::Storage storage :
       {Configuration::Integers, Configuration::Raised}) {
    if (has(storage)) {
      mlirOperationDestroy(bases[storage].module);
    }
  }
}

size_t CandidateBuilder::addBandPlan(Configuration::Storage storage,
                                     BandPlan plan) {
  banded.push_back({storage, std::move(plan), {}});
  return banded.size();
}

CandidateBuilder::Base &CandidateBuilder::baseOf(const Configuration &config) {
  if (config.bands == 0) {
    return bases[config.storage];
  }
  Banded &entry = banded[config.bands - 1];
  if (!entry.base.module.ptr) {
    MlirOperation module = mlirOperationClone(bases[entry.storage].module);
    applyBands(module, entry.plan);
    entry.base = {module, findRewriteSites(module),
                  findUnfusableProducers(module)};
  }
  return entry.base;
}

void CandidateBuilder::setBase(Configuration::Storage storage,
                               MlirOperation module) {
  bases[storage] = {module, findRewriteSites(module),
                    findUnfusableProducers(module)};
}

/// A user's own choice about integer arithmetic wins: without it nothing is
/// raised.
void CandidateBuilder::makeQuantizedBases() {
  auto flag = flags.find(raiseFlag);
  bool raises = flag == flags.end() || flag->second != "false";
  MlirOperation given = bases[Configuration::AsGiven].module;
  ir::SilenceDiagnostics silence(mlirOperationGetContext(given));
  MlirOperation module = mlirOperationClone(given);
  StoreQuantizedCounts counts;
  if (!storeQuantized(module, raises, &counts)) {
    mlirOperationDestroy(module);
    return;
  }
  if (!counts.any() && quantized::raisedContractions(given).empty()) {
    mlirOperationDestroy(module); // weights alone are quantized
    return;
  }
  MlirOperation raised = mlirOperationClone(module);
  if (counts.any()) {
    setBase(Configuration::Integers, module);
  } else {
    mlirOperationDestroy(module);
  }
  if (raises && quantized::raiseQuantized(raised)) {
    setBase(Configuration::Raised, raised);
  } else {
    mlirOperationDestroy(raised);
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
  iree_compiler_error_t *error =
      ireeCompilerSessionSetFlags(session, 1, &argument);
  if (error) {
    ireeCompilerErrorDestroy(error);
  }
  return !error;
}

bool CandidateBuilder::evaluates() const {
  auto flag = flags.find(evaluateFlag);
  return flag != flags.end() && flag->second != "false";
}

PartGroups CandidateBuilder::findJoins(const Configuration &config,
                                       int64_t stateLimit) {
  MlirOperation module = mlirOperationClone(baseOf(config).module);
  RewriteOptions options;
  options.stateLimit = stateLimit;
  options.deepStreams = config.deepStreams;
  PartGroups joins = findPartJoins(module, config.sites, options);
  mlirOperationDestroy(module);
  return joins;
}

/// The module of a candidate before IREE's phases; null if it is not to be
/// used.
MlirOperation CandidateBuilder::rewrite(const Configuration &config,
                                        int64_t stateLimit,
                                        RewriteOutcome *outcome) {
  MlirOperation module = mlirOperationClone(baseOf(config).module);
  const bool rewritten = numRewrites(config) > 0 || config.bands > 0;
  bool ok = true;
  if (numRewrites(config) > 0) {
    RewriteOptions options;
    options.stateLimit = stateLimit;
    options.joins = config.joins;
    options.deepStreams = config.deepStreams;
    ok = applyRewrites(module, config.sites, options, outcome);
  }
  ok = ok && !rewrite::refusedTensor(module);
  preventFusion(module, config.unfused);
  if (rewritten) {
    tagProgramOrder(module); // the order that accumulations assume
  }
  // IREE's passes end the process on an operation that the verifier refuses.
  if (!ok || (rewritten && !mlirOperationVerify(module))) {
    mlirOperationDestroy(module);
    return MlirOperation{nullptr};
  }
  return module;
}

bool CandidateBuilder::runToFlow(MlirOperation module,
                                 const Configuration &config,
                                 Constants constants) {
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
    iree_compiler_invocation_t *inv = real::invocationCreate(session);
    real::setVerifyIR(inv, false); // once, afterwards
    real::setCompileFromPhase(inv, "preprocessing");
    real::setCompileToPhase(inv, "flow");
    ok = ireeCompilerInvocationImportBorrowModule(inv, module) &&
         real::pipeline(inv, IREE_COMPILER_PIPELINE_STD);
    real::invocationDestroy(inv);
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
  if (numRewrites(config) > 0 || config.bands > 0) {
    restoreProgramOrder(module);
  }
  return mlirOperationVerify(module);
}

MlirOperation CandidateBuilder::make(const Configuration &config,
                                     int64_t stateLimit,
                                     RewriteOutcome *outcome,
                                     Constants constants) {
  MlirOperation module = rewrite(config, stateLimit, outcome);
  if (!module.ptr) {
    return module;
  }
  const char *fusion = !config.fuseMultiUse   ? "as given "
                       : *config.fuseMultiUse ? "fused "
                                              : "not fused ";
  std::string text = fusion;
  text += constants == Constants::Symbolic ? "symbolic " : "evaluated ";
  text += ir::toString(module);
  auto known = formed.find(text);
  if (known == formed.end()) {
    if (!runToFlow(module, config, constants)) {
      mlirOperationDestroy(module);
      module.ptr = nullptr;
    }
    known = formed.emplace(std::move(text), module).first;
  } else {
    mlirOperationDestroy(module);
  }
  if (!known->second.ptr) {
    return MlirOperation{nullptr};
  }
  module = mlirOperationClone(known->second);
  if (config.inPlace != Configuration::None) {
    updateInPlace(module, config.inPlace == Configuration::SingleUse);
    if (!mlirOperationVerify(module)) {
      mlirOperationDestroy(module);
      return MlirOperation{nullptr};
    }
  }
  return module;
}

} // namespace serenity

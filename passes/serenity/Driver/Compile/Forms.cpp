// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/Forms.h"

#include "serenity/Driver/Compile/Real.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/KeepApart.h"
#include "serenity/Transforms/ProgramOrder.h"
#include "serenity/Transforms/StoreQuantized.h"
#include "serenity/Transforms/TensorBuilder.h"

#include <algorithm>
#include <tuple>

namespace serenity {

namespace {
constexpr const char *multiUseFlag = "iree-dispatch-creation-fuse-multi-use";
constexpr const char *evaluateFlag = "iree-opt-const-eval";
constexpr const char *raiseFlag = "iree-global-opt-enable-qdq-to-integer-math";
} // namespace

size_t numRewrites(const Form &form) {
  return size_t(std::count(form.sites.begin(), form.sites.end(), true));
}

size_t numJoins(const Form &form) {
  size_t count = 0;
  for (const auto &site : form.joins) {
    for (const std::vector<int64_t> &group : site.second) {
      count += group.size() - 1;
    }
  }
  return count;
}

bool Form::isStock() const {
  return storage == AsGiven && !fuseMultiUse && inPlace == None && bands == 0 &&
         apart.empty() && numRewrites(*this) == 0;
}

std::string Form::name() const {
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
  if (!apart.empty()) {
    add(std::to_string(apart.size()) +
        (apart.size() == 1 ? " producer apart" : " producers apart"));
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

bool Form::operator<(const Form &other) const {
  auto key = [](const Form &form) {
    return std::tie(form.storage, form.bands, form.fuseMultiUse, form.inPlace,
                    form.apart, form.sites, form.joins, form.deepStreams);
  };
  return key(*this) < key(other);
}

FormMaker::FormMaker(iree_compiler_session_t *session,
                     const std::map<std::string, std::string> &flags,
                     MlirOperation preprocessed)
    : session(session), flags(flags) {
  setBase(Form::AsGiven, preprocessed);
  if (quantized::hasAffine(preprocessed)) {
    makeQuantizedBases();
  }
}

FormMaker::~FormMaker() {
  for (const Banded &item : banded) {
    if (item.base.module.ptr) {
      mlirOperationDestroy(item.base.module);
    }
  }
  for (Form::Storage storage : {Form::Integers, Form::Raised}) {
    if (has(storage)) {
      mlirOperationDestroy(bases[storage].module);
    }
  }
}

size_t FormMaker::addBandPlan(Form::Storage storage, BandPlan plan) {
  banded.push_back({storage, std::move(plan), {}});
  return banded.size();
}

FormMaker::Base &FormMaker::baseOf(const Form &form) {
  if (form.bands == 0) {
    return bases[form.storage];
  }
  Banded &entry = banded[form.bands - 1];
  if (!entry.base.module.ptr) {
    MlirOperation module = mlirOperationClone(bases[entry.storage].module);
    applyBands(module, entry.plan);
    entry.base = {module, findRewriteSites(module), findApartSites(module)};
  }
  return entry.base;
}

void FormMaker::setBase(Form::Storage storage, MlirOperation module) {
  bases[storage] = {module, findRewriteSites(module), findApartSites(module)};
}

/// A user's own choice about integer arithmetic wins: without it nothing is
/// raised.
void FormMaker::makeQuantizedBases() {
  auto flag = flags.find(raiseFlag);
  bool raises = flag == flags.end() || flag->second != "false";
  MlirOperation given = bases[Form::AsGiven].module;
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
    setBase(Form::Integers, module);
  } else {
    mlirOperationDestroy(module);
  }
  if (raises && quantized::raiseQuantized(raised)) {
    setBase(Form::Raised, raised);
  } else {
    mlirOperationDestroy(raised);
  }
}

Form::Storage FormMaker::furthestStorage() const {
  for (Form::Storage storage : {Form::Raised, Form::Integers}) {
    if (has(storage)) {
      return storage;
    }
  }
  return Form::AsGiven;
}

bool FormMaker::setFlag(const std::string &name, const std::string &value) {
  std::string text = "--" + name + "=" + value;
  const char *argument = text.c_str();
  iree_compiler_error_t *error =
      ireeCompilerSessionSetFlags(session, 1, &argument);
  if (error) {
    ireeCompilerErrorDestroy(error);
  }
  return !error;
}

bool FormMaker::evaluates() const {
  auto flag = flags.find(evaluateFlag);
  return flag != flags.end() && flag->second != "false";
}

PartGroups FormMaker::findJoins(const Form &form, int64_t stateLimit) {
  MlirOperation module = mlirOperationClone(baseOf(form).module);
  RewriteOptions options;
  options.stateLimit = stateLimit;
  options.deepStreams = form.deepStreams;
  PartGroups joins = findPartJoins(module, form.sites, options);
  mlirOperationDestroy(module);
  return joins;
}

MlirOperation FormMaker::make(const Form &form, int64_t stateLimit,
                              RewriteOutcome *outcome, Constants constants) {
  MlirOperation module = mlirOperationClone(baseOf(form).module);
  bool ok = true;
  if (numRewrites(form) > 0) {
    RewriteOptions options;
    options.stateLimit = stateLimit;
    options.joins = form.joins;
    options.deepStreams = form.deepStreams;
    ok = applyRewrites(module, form.sites, options, outcome);
  }
  ok = ok && !rewrite::refusedTensor(module);
  const bool rewritten = numRewrites(form) > 0 || form.bands > 0;
  keepApart(module, form.apart);
  if (rewritten) {
    tagProgramOrder(module); // the order that accumulations assume
  }
  std::vector<std::string> changed;
  auto override = [&](const char *name, const std::optional<bool> &value) {
    if (value) {
      changed.push_back(name);
      ok = ok && flags.count(name) && setFlag(name, *value ? "true" : "false");
    }
  };
  // IREE's passes end the process on an operation that the verifier refuses.
  ok = ok && (!rewritten || mlirOperationVerify(module));
  override(multiUseFlag, form.fuseMultiUse);
  if (constants == Constants::Symbolic && evaluates()) {
    override(evaluateFlag, false);
  }
  if (ok) {
    iree_compiler_invocation_t *inv = real::invocationCreate(session);
    real::setVerifyIR(inv, false); // once, below
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
    mlirOperationDestroy(module);
    return MlirOperation{nullptr};
  }
  removeBarriers(module);
  if (rewritten) {
    restoreProgramOrder(module);
  }
  if (form.inPlace != Form::None) {
    updateInPlace(module, form.inPlace == Form::SingleUse);
  }
  if (!mlirOperationVerify(module)) {
    mlirOperationDestroy(module);
    return MlirOperation{nullptr};
  }
  return module;
}

} // namespace serenity

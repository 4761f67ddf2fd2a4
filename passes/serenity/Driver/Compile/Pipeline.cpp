// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/Pipeline.h"

#include "serenity/Driver/Compile/Forms.h"
#include "serenity/Driver/Compile/Real.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/FunctionMemory.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <unistd.h>

namespace serenity {

namespace {

/// Functions carry the variant they are compiled in while the stream phase
/// runs: "stock", "offsets" or nothing (ours). The passes skip what is not
/// theirs.
constexpr const char *variantAttr = "serenity.variant";
constexpr const char *partitioningAttr = "stream.partitioning";

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

class Stopwatch {
public:
  explicit Stopwatch(ModuleReport &report, std::string name)
      : report(report), name(std::move(name)),
        start(std::chrono::steady_clock::now()) {}
  ~Stopwatch() {
    double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count();
    for (auto &entry : report.seconds) {
      if (entry.first == name) {
        entry.second += seconds;
        return;
      }
    }
    report.seconds.emplace_back(name, seconds);
  }

private:
  ModuleReport &report;
  std::string name;
  std::chrono::steady_clock::time_point start;
};

/// The session's flags, by name without dashes.
std::map<std::string, std::string> sessionFlags(iree_compiler_session_t *s) {
  std::map<std::string, std::string> flags;
  auto onFlag = [](const char *text, size_t length, void *userData) {
    std::string flag(text, length);
    flag.erase(0, flag.find_first_not_of('-'));
    size_t equals = flag.find('=');
    std::string value =
        equals == std::string::npos ? "" : flag.substr(equals + 1);
    (*static_cast<std::map<std::string, std::string> *>(
        userData))[flag.substr(0, equals)] = value;
  };
  ireeCompilerSessionGetFlags(s, /*nonDefaultOnly=*/false, onFlag, &flags);
  return flags;
}

/// How one function comes out of a variant.
using Peaks = std::map<std::string, std::optional<int64_t>>;

class Pipeline {
public:
  Pipeline(iree_compiler_invocation_t *inv, InvocationState &state,
           const CompileFlags &flags, const std::vector<std::string> &arguments,
           ModuleReport &report, Outcome &outcome)
      : inv(inv), state(state), flags(flags), options(flags.options),
        arguments(arguments), report(report), outcome(outcome) {
    session = sessionFlags(state.session);
    std::string alignment =
        argumentValue("iree-stream-resource-min-offset-alignment");
    if (!alignment.empty()) {
      options.defaultAlignment =
          std::max<int64_t>(1, std::strtoll(alignment.c_str(), nullptr, 10));
    }
  }

  ~Pipeline();

  bool run();

private:
  struct Tried {
    MlirOperation flow = {};   // null if IREE refused the form
    MlirOperation placed = {}; // after our stream prefix
    Peaks peaks;
    std::optional<int64_t> estimate; // at flow level
    std::optional<int64_t> cost;     // of the slabs
    ModuleReport report;
    std::vector<bool> applied;
  };
  /// True if the command line has that flag, in any spelling.
  bool hasArgument(const std::string &name) const;
  std::string argumentValue(const std::string &name) const;
  /// Flags that let the user watch the passes at work: then the chosen variant
  /// is run again where it can be seen, instead of taking over the clone.
  bool watched() const;

  bool runStock(const std::string &from, const std::string &to);
  bool runOwn(const char *pass, MlirOperation module, ModuleReport *into,
              bool visible);
  bool runIree(MlirOperation module, const std::string &text, bool visible);
  /// From the flow phase to laid out slabs.
  bool runStreamPrefix(MlirOperation module, bool ours, ModuleReport *into,
                       bool visible);
  bool finishStream(MlirOperation module);
  std::string streamOptions(bool visible) const;
  void setPartitioning(MlirOperation module, bool on);
  bool scheduleStream();
  bool runStream();
  void forgetForms();
  void remarkOnUserFlags();
  Form searchForms();
  std::optional<int64_t> estimateForm(const Form &form);
  std::optional<int64_t> estimate(MlirOperation flow);
  std::optional<int64_t> placeForm(const Form &form);
  Form placeBest(bool rewritten);
  void refine(Tried &entry);
  std::optional<int64_t> cost(const Peaks &peaks) const;
  void describeFunctions(MlirOperation module);
  bool checkBudget(MlirOperation module);

  Peaks measure(MlirOperation module, PackAlgorithm algorithm) const;
  ModuleReport describeStock(MlirOperation stock) const;
  void adopt(MlirOperation clone);
  void takeModule();

  iree_compiler_invocation_t *inv;
  InvocationState &state;
  const CompileFlags &flags;
  Options options;
  const std::vector<std::string> &arguments;
  ModuleReport &report;
  Outcome &outcome;
  std::map<std::string, std::string> session;
  /// Makes other forms, where there is a module to make them from.
  std::optional<FormMaker> maker;
  MlirOperation preprocessed = {};
  /// Per function, the least peak without our order.
  Peaks bestStock;
  std::map<Form, Tried> tried;
  /// All sites of the paper's kinds and sums, in the better fusion.
  std::optional<Form> fullForm;
  /// The form that the module is in, if it is not the stock one.
  std::optional<Form> chosenForm;
};

Pipeline::~Pipeline() {
  forgetForms();
  if (preprocessed.ptr) {
    mlirOperationDestroy(preprocessed);
  }
}

void Pipeline::forgetForms() {
  for (auto &item : tried) {
    for (MlirOperation module : {item.second.flow, item.second.placed}) {
      if (module.ptr) {
        mlirOperationDestroy(module);
      }
    }
  }
  tried.clear();
}

bool Pipeline::hasArgument(const std::string &name) const {
  for (const std::string &argument : arguments) {
    size_t dashes = argument.find_first_not_of('-');
    if (dashes == 1 || dashes == 2) {
      std::string text = argument.substr(dashes);
      if (text.substr(0, text.find('=')) == name) {
        return true;
      }
    }
  }
  return false;
}

std::string Pipeline::argumentValue(const std::string &name) const {
  std::string value;
  for (size_t i = 0; i < arguments.size(); ++i) {
    size_t dashes = arguments[i].find_first_not_of('-');
    if (dashes != 1 && dashes != 2) {
      continue;
    }
    std::string text = arguments[i].substr(dashes);
    if (text == name && i + 1 < arguments.size()) {
      value = arguments[i + 1];
    } else if (text.rfind(name + "=", 0) == 0) {
      value = text.substr(name.size() + 1);
    }
  }
  return value;
}

bool Pipeline::watched() const {
  for (const char *name :
       {"mlir-print-ir-before-all", "mlir-print-ir-after-all",
        "mlir-print-ir-before", "mlir-print-ir-after",
        "mlir-print-ir-after-change", "mlir-print-ir-after-failure",
        "mlir-timing", "mlir-pass-statistics",
        "mlir-pass-pipeline-crash-reproducer",
        "mlir-pass-pipeline-local-reproducer", "mlir-print-ir-tree-dir"}) {
    if (hasArgument(name)) {
      return true;
    }
  }
  auto set = [&](const char *name) {
    auto it = session.find(name);
    return it != session.end() && !it->second.empty() &&
           it->second != "<unknown>";
  };
  return !flags.printIrAfter.empty() ||
         set("iree-parameter-encoder-output-file") ||
         set("iree-scheduling-dump-statistics-format");
}

bool Pipeline::runStock(const std::string &from, const std::string &to) {
  if (phaseIndex(from) >= phaseIndex(to)) {
    return true;
  }
  real::setCompileFromPhase(inv, from.c_str());
  real::setCompileToPhase(inv, to.c_str());
  bool ok = real::pipeline(inv, IREE_COMPILER_PIPELINE_STD);
  real::setCompileFromPhase(inv, state.compileFrom.c_str());
  real::setCompileToPhase(inv, state.compileTo.c_str());
  return ok;
}

bool Pipeline::runOwn(const char *pass, MlirOperation module,
                      ModuleReport *into, bool visible) {
  MlirPassManager manager =
      mlirPassManagerCreate(mlirOperationGetContext(module));
  mlirPassManagerEnableVerifier(manager, state.verify);
  mlirPassManagerAddOwnedPass(manager, createPass(pass, options, into));
  bool printAfter = false;
  if (visible) {
    for (const std::string &name : flags.printIrAfter) {
      printAfter |= name == pass;
    }
    bool after = hasArgument("mlir-print-ir-after-all") || printAfter;
    bool before = hasArgument("mlir-print-ir-before-all");
    if (after || before) {
      MlirOpPrintingFlags printing = mlirOpPrintingFlagsCreate();
      std::string limit = argumentValue("mlir-elide-elementsattrs-if-larger");
      if (!limit.empty()) {
        mlirOpPrintingFlagsElideLargeElementsAttrs(
            printing, std::strtoll(limit.c_str(), nullptr, 10));
      }
      limit = argumentValue("mlir-elide-resource-strings-if-larger");
      if (!limit.empty()) {
        mlirOpPrintingFlagsElideLargeResourceString(
            printing, std::strtoll(limit.c_str(), nullptr, 10));
      }
      mlirPassManagerEnableIRPrinting(manager, before, after,
                                      /*printModuleScope=*/false,
                                      /*printAfterOnlyOnChange=*/false,
                                      /*printAfterOnlyOnFailure=*/false,
                                      printing, ir::strRef(""));
      mlirOpPrintingFlagsDestroy(printing);
    }
    if (hasArgument("mlir-timing")) {
      mlirPassManagerEnableTiming(manager);
    }
  }
  bool ok = mlirPassManagerRunOnOp(manager, module).value != 0;
  mlirPassManagerDestroy(manager);
  return ok;
}

bool Pipeline::runIree(MlirOperation module, const std::string &text,
                       bool visible) {
  if (visible) {
    return ireeCompilerInvocationRunPassPipeline(inv, text.c_str());
  }
  // Verified once at the end instead of after every pass: this is a try.
  return ir::runPipeline(module, text, /*verify=*/false);
}

/// Textual pipelines do not see the session's options, so they are repeated.
std::string Pipeline::streamOptions(bool visible) const {
  std::string text;
  auto forward = [&](const char *flag, const char *option, bool quote = false) {
    auto it = session.find(flag);
    if (it == session.end() || it->second.empty() ||
        it->second == "<unknown>") {
      return;
    }
    text += (text.empty() ? "" : " ") + std::string(option) + "=" +
            (quote ? "\"" + it->second + "\"" : it->second);
  };
  forward("iree-scheduling-optimize-bindings", "optimize-bindings");
  forward("iree-scheduling-initialization-mode", "initialization-mode");
  auto encoder = session.find("iree-parameter-encoder-output-file");
  // Only the run that counts may write that file.
  if (visible && encoder != session.end() && !encoder->second.empty()) {
    forward("iree-parameter-encoder-mode", "parameter-encoder-mode");
    forward("iree-parameter-encoder-output-file",
            "parameter-encoder-output-file", true);
    forward("iree-parameter-encoder-output-scope",
            "parameter-encoder-output-scope");
  }
  return text.empty() ? "" : "{" + text + "}";
}

void Pipeline::setPartitioning(MlirOperation module, bool on) {
  MlirContext context = mlirOperationGetContext(module);
  mlirContextGetOrLoadDialect(context, ir::strRef("stream"));
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (!on) {
      if (ir::stringAttr(function, "serenity.partitioning")) {
        mlirOperationRemoveDiscardableAttributeByName(
            function, ir::strRef(partitioningAttr));
        mlirOperationRemoveDiscardableAttributeByName(
            function, ir::strRef("serenity.partitioning"));
      }
      continue;
    }
    // Only where the order is ours, and never over a choice of the user's.
    if (ir::isNull(ir::attr(function, "serenity.peak_bytes")) ||
        !ir::isNull(ir::attr(function, partitioningAttr))) {
      continue;
    }
    MlirAttribute debug = mlirAttributeParseGet(
        context, ir::strRef("#stream.partitioning_config<\"debug\">"));
    if (ir::isNull(debug)) {
      continue;
    }
    mlirOperationSetDiscardableAttributeByName(
        function, ir::strRef(partitioningAttr), debug);
    ir::setStringAttr(function, "serenity.partitioning", "debug");
  }
}

bool Pipeline::runStreamPrefix(MlirOperation module, bool ours,
                               ModuleReport *into, bool visible) {
  std::string pipelineOptions = streamOptions(visible);
  if (ours && !runOwn("serenity-schedule", module, into, visible)) {
    return false;
  }
  // A partitioning flag is the user's choice about waves.
  bool partition = ours && !hasArgument("iree-stream-partitioning-favor");
  if (!runIree(module, "iree-util-verify-initialization-order", visible) ||
      !runIree(module,
               "iree-stream-tensor-transformation-pipeline" + pipelineOptions,
               visible)) {
    return false;
  }
  if (partition) {
    setPartitioning(module, true);
  }
  bool ok = runIree(
      module, "iree-stream-async-transformation-pipeline" + pipelineOptions,
      visible);
  setPartitioning(module, false);
  if (!ok ||
      (ours && !runOwn("serenity-schedule-regions", module, into, visible))) {
    return false;
  }
  return runIree(module, "iree-stream-schedule-allocation", visible) &&
         (!state.verify || mlirOperationVerify(module));
}

bool Pipeline::finishStream(MlirOperation module) {
  std::string pipelineOptions = streamOptions(/*visible=*/true);
  if (!runIree(module,
               "iree-stream-cmd-transformation-pipeline" + pipelineOptions,
               true)) {
    return false;
  }
  describeFunctions(module);
  auto format = session.find("iree-scheduling-dump-statistics-format");
  if (format != session.end() && format->second == "json") {
    ir::emitWarning(mlirOperationGetLocation(module),
                    "IREE's pass writes no json when it runs alone; no "
                    "statistics were written, use csv with serenity flags");
  } else if (format != session.end() && !format->second.empty() &&
             format->second != "<unknown>" && format->second != "none") {
    std::string file = session["iree-scheduling-dump-statistics-file"];
    if (!runIree(module,
                 "iree-stream-dump-statistics{output-format=" + format->second +
                     (file.empty() ? "" : " output-file=\"" + file + "\"") +
                     "}",
                 true)) {
      return false;
    }
  }
  return runIree(module, "iree-stream-optimization-pipeline" + pipelineOptions,
                 true) &&
         runIree(module, "iree-stream-cleanup-pipeline" + pipelineOptions,
                 true) &&
         runIree(module, "symbol-dce", true);
}

Peaks Pipeline::measure(MlirOperation module, PackAlgorithm algorithm) const {
  Peaks peaks;
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (ir::isa(function, "util.func") || ir::isa(function, "func.func")) {
      std::string name = ir::stringAttr(function, "sym_name").value_or("");
      SlabLayout layout;
      layout.algorithm = algorithm;
      layout.defaultAlignment = options.defaultAlignment;
      layout.timeLimitSeconds = options.timeLimitSeconds;
      std::optional<CallMemory> memory = callMemory(module, function, layout);
      peaks[name] = memory ? std::optional<int64_t>(memory->transientPeakBytes)
                           : std::nullopt;
    }
  }
  return peaks;
}

/// Notes the slabs of the stock form for the report, laid out as IREE does.
ModuleReport Pipeline::describeStock(MlirOperation stock) const {
  ir::SilenceDiagnostics silence(mlirOperationGetContext(stock));
  Options asIree = options;
  asIree.offsets = PackAlgorithm::Iree; // changes nothing in the module
  ModuleReport found;
  runPack(stock, asIree, &found);
  return found;
}

/// Moves the contents of `clone` into the invocation's module.
void Pipeline::adopt(MlirOperation clone) {
  MlirOperation module = state.module;
  std::vector<MlirOperation> old = ir::operations(ir::body(module));
  for (auto it = old.rbegin(); it != old.rend(); ++it) {
    mlirOperationDestroy(*it);
  }
  for (MlirOperation op : ir::operations(ir::body(clone))) {
    mlirOperationRemoveFromParent(op);
    mlirBlockAppendOwnedOperation(ir::body(module), op);
  }
  intptr_t count = mlirOperationGetNumAttributes(clone);
  for (intptr_t i = 0; i < count; ++i) {
    MlirNamedAttribute named = mlirOperationGetAttribute(clone, i);
    mlirOperationSetAttributeByName(module, mlirIdentifierStr(named.name),
                                    named.attribute);
  }
  mlirOperationDestroy(clone);
}

/// Forms that are tried per module at most; the search ends there with the
/// best.
constexpr size_t maxForms = 18;

/// So many of the best by the estimate at flow level are taken to their slabs.
constexpr size_t maxPlacedForms = 4;

/// States per estimate; the chosen form is solved without this limit.
constexpr int64_t statesPerEstimate = 10000;

/// States of the search for the order of accumulations: per form, and again for
/// the few that are taken further.
constexpr int64_t statesPerOrder = 20000;
constexpr int64_t statesPerPlacedOrder = 200000;

/// States per region while forms are compared.
constexpr int64_t statesPerPlacedForm = 100000;

/// Standard error goes nowhere while it lives: flags that print IR or times
/// speak of the compilation, not of what was tried on the way.
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

/// What a form costs: first whether no function is worse off than without us,
/// then the bytes of all functions, then the number of rewrites.
std::optional<int64_t> Pipeline::cost(const Peaks &peaks) const {
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

/// Makes a form and estimates its bytes by the model of the flow level, which
/// leaves out what placement in concatenations saves.
std::optional<int64_t> Pipeline::estimateForm(const Form &form) {
  auto inserted = tried.emplace(form, Tried());
  Tried &entry = inserted.first->second;
  if (!inserted.second) {
    return entry.estimate;
  }
  ir::SilenceDiagnostics silence(mlirOperationGetContext(state.module));
  HushStandardError hush(watched());
  Stopwatch watch(report, "forms");
  entry.flow = maker->make(form, statesPerOrder, &entry.applied);
  if (entry.flow.ptr) {
    entry.estimate = estimate(entry.flow);
  }
  return entry.estimate;
}

/// The sum of the functions' peaks in our order at flow level; nothing if a
/// function with tensors is not modelled. The order is written into the module.
std::optional<int64_t> Pipeline::estimate(MlirOperation flow) {
  Options quick = options;
  quick.stateLimit = options.stateLimit
                         ? std::min(options.stateLimit, statesPerEstimate)
                         : statesPerEstimate;
  if (!runSchedule(flow, quick, nullptr)) {
    return std::nullopt;
  }
  int64_t sum = 0;
  for (MlirOperation function : ir::operations(ir::body(flow))) {
    std::optional<int64_t> peak = ir::intAttr(function, "serenity.peak_bytes");
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

/// Takes a form through our stream prefix to the bytes of its slabs.
std::optional<int64_t> Pipeline::placeForm(const Form &form) {
  Tried &entry = tried[form];
  if (entry.placed.ptr || !entry.flow.ptr) {
    return entry.cost;
  }
  ir::SilenceDiagnostics silence(mlirOperationGetContext(state.module));
  HushStandardError hush(watched());
  Stopwatch watch(report, "forms to slabs");
  if (numRewrites(form) > 0) {
    MlirOperation better =
        maker->make(form, statesPerPlacedOrder, &entry.applied);
    std::optional<int64_t> bytes = std::nullopt;
    if (better.ptr) {
      bytes = estimate(better);
      if (bytes && entry.estimate && *bytes <= *entry.estimate) {
        std::swap(better, entry.flow);
        entry.estimate = bytes;
      }
      mlirOperationDestroy(better);
    }
  }
  entry.placed = mlirOperationClone(entry.flow);
  int64_t limit = options.stateLimit;
  options.stateLimit =
      limit ? std::min(limit, statesPerPlacedForm) : statesPerPlacedForm;
  if (runStreamPrefix(entry.placed, /*ours=*/true, &entry.report, false)) {
    entry.peaks = measure(entry.placed, options.offsets);
    entry.cost = cost(entry.peaks);
  }
  options.stateLimit = limit;
  return entry.cost;
}

/// Solves the chosen form once more without the limit of the comparison, where
/// that limit was what ended the search.
void Pipeline::refine(Tried &entry) {
  bool proved = true;
  for (const FunctionReport &function : entry.report.functions) {
    for (const RegionReport &region : function.regions) {
      proved &= region.optimal || !region.leftAlone.empty();
    }
  }
  if (proved || !entry.flow.ptr) {
    return;
  }
  ir::SilenceDiagnostics silence(mlirOperationGetContext(state.module));
  Stopwatch watch(report, "chosen form");
  Tried again;
  MlirOperation module = mlirOperationClone(entry.flow);
  if (runStreamPrefix(module, /*ours=*/true, &again.report, false)) {
    again.peaks = measure(module, options.offsets);
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

/// Looks for the form of least cost: dispatch formation and all rewrites or
/// none together first, then groups of sites, then single sites.
Form Pipeline::searchForms() {
  Form best; // the stock form, placed already
  if (!maker) {
    return best;
  }
  std::optional<int64_t> bestEstimate = tried[best].estimate;
  auto better = [&](const Form &form) {
    if (tried.size() >= maxForms && !tried.count(form)) {
      return false;
    }
    std::optional<int64_t> known = estimateForm(form);
    if (!known || (bestEstimate && *known > *bestEstimate) ||
        (bestEstimate && *known == *bestEstimate &&
         numRewrites(form) >= numRewrites(best))) {
      return false;
    }
    best = form;
    bestEstimate = known;
    return true;
  };
  size_t numSites = maker->sites().size();
  bool rewrite = options.rewrite != RewriteMode::Off && numSites > 0;
  // A flag of the user's own is not ours to vary.
  bool multiUse = !hasArgument("iree-dispatch-creation-fuse-multi-use") &&
                  session.count("iree-dispatch-creation-fuse-multi-use") &&
                  session["iree-dispatch-creation-fuse-multi-use"] != "false";
  // Sites of these kinds, or of all.
  auto sitesOf = [&](std::vector<RewriteKind> kinds) {
    std::vector<bool> chosen(numSites);
    for (size_t i = 0; i < numSites; ++i) {
      chosen[i] = std::find(kinds.begin(), kinds.end(),
                            maker->sites()[i].kind) != kinds.end();
    }
    return chosen;
  };
  auto tryFusions = [&](const std::vector<bool> &sites) {
    for (bool separate : {false, true}) {
      Form form;
      form.sites = sites;
      form.inPlace = Form::LastUse;
      if (separate) {
        if (!multiUse) {
          continue;
        }
        form.fuseMultiUse = false;
      }
      better(form);
    }
  };
  if (rewrite && options.rewrite == RewriteMode::Always) {
    bestEstimate = std::nullopt; // whatever the bytes say
    tryFusions(std::vector<bool>(numSites, true));
  } else {
    if (rewrite) {
      // The paper's kinds and sums first, then products piece by piece too.
      tryFusions(sitesOf({RewriteKind::ChannelWise, RewriteKind::KernelWise,
                          RewriteKind::Sum}));
      // Its order of accumulations may improve with more states: keep it in.
      fullForm = best;
      Form form = best;
      form.inPlace = Form::LastUse;
      form.sites.assign(numSites, true);
      better(form);
    }
    if (!rewrite || numRewrites(best) == 0) {
      tryFusions({});
    }
  }
  for (Form::InPlace inPlace : {Form::SingleUse, Form::None}) {
    Form form = best;
    form.inPlace = inPlace;
    better(form);
  }
  if (!rewrite || options.rewrite == RewriteMode::Always) {
    return placeBest(rewrite);
  }
  // Fewer rewrites at the same peak, or a lower peak with fewer.
  auto without = [&](const std::vector<size_t> &drop) {
    Form form = best;
    bool any = false;
    for (size_t i : drop) {
      if (i < form.sites.size() && form.sites[i]) {
        form.sites[i] = false;
        any = true;
      }
    }
    return any && better(form);
  };
  for (RewriteKind kind : {RewriteKind::Stream, RewriteKind::Sum,
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
  for (size_t parts = 2; tried.size() < maxForms; parts *= 2) {
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
  return placeBest(false);
}

/// The form of least cost among the best estimates and the stock form; with
/// `rewritten` among those with rewrites only.
Form Pipeline::placeBest(bool rewritten) {
  std::vector<const Form *> order;
  for (const auto &item : tried) {
    if (item.second.estimate && (!rewritten || numRewrites(item.first) > 0)) {
      order.push_back(&item.first);
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](const Form *a, const Form *b) {
                     int64_t costA = *tried[*a].estimate;
                     int64_t costB = *tried[*b].estimate;
                     return costA != costB ? costA < costB
                                           : numRewrites(*a) < numRewrites(*b);
                   });
  if (fullForm && tried.count(*fullForm)) {
    auto full = tried.find(*fullForm);
    auto at = std::find(order.begin(), order.end(), &full->first);
    if (at != order.end() && at - order.begin() >= int(maxPlacedForms)) {
      std::rotate(order.begin(), at, at + 1);
    }
  }
  Form best;
  std::optional<int64_t> bestCost;
  if (!rewritten) {
    bestCost = tried[best].cost;
  }
  for (size_t i = 0; i < order.size() && i < maxPlacedForms; ++i) {
    std::optional<int64_t> known = placeForm(*order[i]);
    if (known &&
        (!bestCost || *known < *bestCost ||
         (*known == *bestCost && numRewrites(*order[i]) < numRewrites(best)))) {
      best = *order[i];
      bestCost = known;
    }
  }
  return best;
}

/// A flag of the user's own wins over our choice, and they are told so.
void Pipeline::remarkOnUserFlags() {
  const std::pair<const char *, const char *> known[] = {
      {"iree-stream-partitioning-favor", "concurrency"},
      {"iree-dispatch-creation-fuse-multi-use", "fusion of shared producers"}};
  for (const auto &item : known) {
    if (hasArgument(item.first)) {
      ir::emitRemark(mlirOperationGetLocation(state.module),
                     std::string("--") + item.first + " is given: " +
                         item.second + " is not chosen by serenity");
    }
  }
}

/// Chooses the variant of every function and brings the module to laid out
/// slabs.
bool Pipeline::scheduleStream() {
  MlirOperation flow = state.module;
  bool visible = watched();
  MlirContext context = mlirOperationGetContext(flow);

  // As stock, on a clone.
  MlirOperation stock = mlirOperationClone(flow);
  Peaks stockPeaks, offsetPeaks;
  ModuleReport stockSlabs;
  bool stockOk;
  {
    Stopwatch watch(report, "stock candidate");
    // What IREE has to say about the module is said once: by the run that the
    // user watches, else by the last of these candidates.
    std::optional<ir::SilenceDiagnostics> silence;
    if (flags.schedule || visible) {
      silence.emplace(context);
    }
    stockOk = runStreamPrefix(stock, /*ours=*/false, nullptr, false);
    if (stockOk) {
      stockPeaks = measure(stock, PackAlgorithm::Iree);
      offsetPeaks = measure(stock, options.offsets);
      stockSlabs = describeStock(stock);
    }
  }
  if (!stockOk) {
    // IREE refuses the module: let it say so.
    mlirOperationDestroy(stock);
    return (flags.schedule || visible) &&
           runStreamPrefix(flow, false, nullptr, true);
  }
  for (const auto &item : stockPeaks) {
    bestStock[item.first] = item.second;
    if (item.second && offsetPeaks[item.first]) {
      bestStock[item.first] = std::min(*item.second, *offsetPeaks[item.first]);
    }
  }

  // Ours: the stock form in our order, then other forms; unless there is
  // nothing to gain.
  Form form;
  Tried *own = nullptr;
  bool needsMemory =
      std::any_of(stockPeaks.begin(), stockPeaks.end(), [](const auto &item) {
        return !item.second || *item.second > 0;
      });
  if (flags.schedule && needsMemory) {
    remarkOnUserFlags();
    {
      Stopwatch watch(report, "serenity candidate");
      std::optional<ir::SilenceDiagnostics> quiet;
      if (visible) {
        quiet.emplace(context);
      }
      Tried &entry = tried[form];
      entry.placed = mlirOperationClone(flow);
      if (runStreamPrefix(entry.placed, /*ours=*/true, &entry.report, false)) {
        entry.peaks = measure(entry.placed, options.offsets);
        entry.cost = cost(entry.peaks);
        MlirOperation copy = mlirOperationClone(flow);
        ir::SilenceDiagnostics silence(context);
        entry.estimate = estimate(copy);
        mlirOperationDestroy(copy);
      } else {
        ir::emitWarning(mlirOperationGetLocation(flow),
                        "the scheduled variant did not compile; keeping IREE's "
                        "order (please report this)");
        mlirOperationDestroy(entry.placed);
        entry.placed.ptr = nullptr;
      }
    }
    form = searchForms();
    own = tried[form].placed.ptr ? &tried[form] : nullptr;
    if (own && !visible) {
      refine(*own);
    }
  }

  // Per function, the least; the earlier one among equals. Another form is
  // taken for the whole module.
  std::map<std::string, int> choice; // 0 stock, 1 offsets, 2 ours
  bool anyOwn = false;
  bool allOwn = own != nullptr;
  for (const auto &item : stockPeaks) {
    const std::string &name = item.first;
    FunctionReport &entry = functionReport(report, name);
    entry.stockTransientPeakBytes = item.second;
    entry.stockRegions = functionReport(stockSlabs, name).regions;
    std::vector<std::pair<std::string, std::optional<int64_t>>> candidates = {
        {"stock", item.second}};
    int best = 0;
    if (flags.schedule) {
      candidates.emplace_back("stock order, own offsets", offsetPeaks[name]);
      // Without a number offsets can still only gain.
      bool offsetsGain = candidates[1].second && item.second &&
                         *candidates[1].second < *item.second;
      best = offsetsGain || !item.second ? 1 : 0;
    }
    int chosen = best;
    if (own) {
      auto peak = own->peaks[name];
      auto known = candidates[best].second;
      if (!form.isStock() || (peak && known && *peak < *known)) {
        best = 2;
      }
      for (const auto &other : tried) {
        if (!other.second.placed.ptr) {
          continue; // its slabs were not worth laying out
        }
        if (&other.second == own && best == 2) {
          chosen = int(candidates.size());
        }
        auto found = other.second.peaks.find(name);
        candidates.emplace_back(
            other.first.isStock() ? std::string("serenity")
                                  : "serenity, " + other.first.name(),
            found == other.second.peaks.end() ? std::nullopt : found->second);
      }
    }
    choice[name] = best;
    anyOwn |= best == 2;
    // A function without transient memory is the same in every variant.
    allOwn &= best == 2 || item.second == 0;
    entry.candidates.clear();
    for (int i = 0; i < int(candidates.size()); ++i) {
      entry.candidates.push_back({candidates[i].first, candidates[i].second,
                                  i == (best == 2 ? chosen : best)});
    }
  }

  auto keepRegions = [&](const ModuleReport &from) {
    for (const FunctionReport &function : from.functions) {
      if (choice.count(function.name) && choice[function.name] != 2) {
        continue;
      }
      functionReport(report, function.name).regions = function.regions;
    }
  };
  if (own && !form.isStock()) {
    for (size_t i = 0; i < maker->sites().size(); ++i) {
      const RewriteSite &site = maker->sites()[i];
      if (i < own->applied.size() && own->applied[i]) {
        report.rewrites.push_back({site.location, site.function,
                                   rewriteKindName(site.kind), site.bytesBefore,
                                   site.bytesAfter});
      }
    }
  }
  bool takeOver = own && (allOwn || !form.isStock()) && anyOwn;
  if (takeOver && !form.isStock()) {
    chosenForm = form;
  }
  if (takeOver && !visible) {
    mlirOperationDestroy(stock);
    adopt(own->placed);
    own->placed.ptr = nullptr;
    keepRegions(own->report);
    Stopwatch watch(report, "offsets");
    return runOwn("serenity-pack", flow, &report, false);
  }
  if (takeOver && !form.isStock()) {
    adopt(own->flow);
    own->flow.ptr = nullptr;
  }
  bool anyOffsets = false;
  for (const auto &item : choice) {
    anyOffsets |= item.second == 1;
  }
  // Mark what every function is to be.
  auto mark = [&](MlirOperation module) {
    for (MlirOperation function : ir::operations(ir::body(module))) {
      std::string name = ir::stringAttr(function, "sym_name").value_or("");
      auto it = choice.find(name);
      if (it != choice.end() && it->second != 2 &&
          (ir::isa(function, "util.func") || ir::isa(function, "func.func"))) {
        ir::setStringAttr(function, variantAttr,
                          it->second == 0 ? "stock" : "offsets");
      } else if (ir::isa(function, "util.initializer") && !anyOwn &&
                 !anyOffsets) {
        ir::setStringAttr(function, variantAttr, "stock");
      }
    }
  };
  // The stock candidate ran in silence; with none of ours after it, what IREE
  // has to say was not heard yet.
  bool unheard = flags.schedule && !needsMemory && !visible;
  if (!anyOwn && !visible && !unheard) {
    adopt(stock);
    mark(flow);
  } else {
    mlirOperationDestroy(stock);
    mark(flow);
    Stopwatch watch(report, "chosen variant");
    ModuleReport again;
    // Remarks were emitted when the variant was tried.
    bool ok;
    if (visible || unheard) {
      ok = runStreamPrefix(flow, anyOwn, &again, visible);
    } else {
      ir::SilenceDiagnostics silence(context);
      ok = runStreamPrefix(flow, anyOwn, &again, false);
    }
    if (!ok) {
      return false;
    }
    keepRegions(again);
  }
  Stopwatch watch(report, "offsets");
  return runOwn("serenity-pack", flow, &report, visible);
}

/// Names, exports and peaks as the runtime will see them: after reference
/// counting has placed the releases.
void Pipeline::describeFunctions(MlirOperation module) {
  std::map<std::string, std::string> wrapperOf;
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (!ir::isa(function, "util.func")) {
      continue;
    }
    std::string name = ir::stringAttr(function, "sym_name").value_or("");
    ir::walk(function, [&](MlirOperation op) {
      MlirAttribute callee = ir::attr(op, "callee");
      if (ir::isa(op, "util.call") && !ir::isNull(callee) &&
          mlirAttributeIsAFlatSymbolRef(callee)) {
        std::string called(ir::view(mlirFlatSymbolRefAttrGetValue(callee)));
        if (called == name + "$async") {
          wrapperOf[called] = name;
        }
      }
    });
  }
  SlabLayout layout;
  layout.algorithm = options.offsets;
  layout.defaultAlignment = options.defaultAlignment;
  layout.timeLimitSeconds = options.timeLimitSeconds;
  std::map<std::string, MlirOperation> functions;
  report.persistentBytes = 0;
  for (MlirOperation op : ir::operations(ir::body(module))) {
    if (ir::isa(op, "util.func") || ir::isa(op, "func.func")) {
      functions[ir::stringAttr(op, "sym_name").value_or("")] = op;
    } else if (ir::isa(op, "util.initializer") && report.persistentBytes) {
      std::optional<CallMemory> memory = callMemory(module, op, layout);
      if (memory) {
        *report.persistentBytes += memory->persistentBytes;
      } else {
        report.persistentBytes = std::nullopt;
      }
    }
  }
  std::vector<FunctionReport> kept;
  for (FunctionReport &entry : report.functions) {
    auto function = functions.find(entry.name);
    if (function != functions.end()) {
      auto wrapper = wrapperOf.find(entry.name);
      entry.exportedAs =
          wrapper != wrapperOf.end() ? wrapper->second : entry.name;
      std::optional<CallMemory> memory =
          callMemory(module, function->second, layout);
      // The wrapper has the declaration, if there is one.
      auto exported = functions.find(entry.exportedAs);
      bool declared =
          exported != functions.end() &&
          !ir::isNull(ir::attr(exported->second, "iree.reflection"));
      std::optional<int64_t> inputs =
          inputBytes(declared ? exported->second : function->second);
      entry.transientPeakBytes = std::nullopt;
      if (memory) {
        entry.transientPeakBytes = memory->transientPeakBytes;
        entry.peakIsExact = memory->exact;
        if (inputs) {
          entry.externalBytes = *inputs + memory->resultBytes;
          if (report.persistentBytes) {
            entry.peakBytes =
                *report.persistentBytes + *inputs + memory->peakBytes;
          }
        }
      }
    } else if (!entry.initializer) {
      continue; // gone: inlined or dead
    }
    // Wrappers that only call a function that is reported itself.
    if (entry.regions.empty() && wrapperOf.count(entry.name + "$async")) {
      continue;
    }
    kept.push_back(std::move(entry));
  }
  report.functions = std::move(kept);
}

bool Pipeline::checkBudget(MlirOperation module) {
  if (!flags.memoryBudgetBytes) {
    return true;
  }
  bool met = true;
  for (const FunctionReport &function : report.functions) {
    if (function.initializer || !function.transientPeakBytes ||
        *function.transientPeakBytes <= *flags.memoryBudgetBytes) {
      continue;
    }
    std::string message = "function '" + function.exportedAs + "' needs " +
                          std::to_string(*function.transientPeakBytes) +
                          " bytes of transient memory, the budget is " +
                          std::to_string(*flags.memoryBudgetBytes);
    const RegionReport *largest = nullptr;
    for (const RegionReport &region : function.regions) {
      if (!largest || region.slabBytes > largest->slabBytes) {
        largest = &region;
      }
    }
    if (largest && !largest->liveBytes.empty()) {
      int64_t step = std::max_element(largest->liveBytes.begin(),
                                      largest->liveBytes.end()) -
                     largest->liveBytes.begin();
      std::vector<const BufferReport *> live;
      for (const BufferReport &buffer : largest->buffers) {
        if (buffer.first <= step && step <= buffer.last) {
          live.push_back(&buffer);
        }
      }
      std::stable_sort(live.begin(), live.end(),
                       [](const BufferReport *a, const BufferReport *b) {
                         return a->bytes > b->bytes;
                       });
      message += "; live at the peak (step " + std::to_string(step) + "):";
      for (const BufferReport *buffer : live) {
        message +=
            " " + buffer->name + " " + std::to_string(buffer->bytes) + ",";
      }
      message.pop_back();
    }
    met = false;
    if (flags.budgetIsError) {
      ir::emitError(mlirOperationGetLocation(module), message);
    } else {
      ir::emitWarning(mlirOperationGetLocation(module), message);
    }
  }
  if (!met && flags.budgetIsError) {
    outcome.budgetMissed = true;
    return false;
  }
  return true;
}

/// Removes our annotations, so that later phases see what stock would give
/// them.
void stripAnnotations(MlirOperation module) {
  ir::walk(module, [&](MlirOperation op) {
    std::vector<std::string> names;
    intptr_t count = mlirOperationGetNumAttributes(op);
    for (intptr_t i = 0; i < count; ++i) {
      std::string_view name =
          ir::view(mlirIdentifierStr(mlirOperationGetAttribute(op, i).name));
      if (name.substr(0, 9) == "serenity.") {
        names.emplace_back(name);
      }
    }
    for (const std::string &name : names) {
      mlirOperationRemoveDiscardableAttributeByName(op, ir::strRef(name));
    }
  });
}

/// The invocation keeps pointing at the module but no longer owns it, so that
/// its contents can be replaced.
void Pipeline::takeModule() {
  if (!state.module.ptr) {
    state.module = ireeCompilerInvocationExportStealModule(inv);
  }
}

bool Pipeline::run() {
  int from = phaseIndex(state.compileFrom);
  int to = phaseIndex(state.compileTo);
  int flowPhase = phaseIndex("flow");
  int streamPhase = phaseIndex("stream");
  bool hostOnly = session["iree-execution-model"] == "host-only";
  if (from < 0 || to < 0 || from >= to || to < flowPhase ||
      from >= streamPhase || hostOnly) {
    // Nothing of ours lies between; IREE reports what is wrong with phases.
    return real::pipeline(inv, IREE_COMPILER_PIPELINE_STD);
  }
  int preprocessingPhase = phaseIndex("preprocessing");
  std::string flowFrom = state.compileFrom;
  {
    Stopwatch watch(report, "to flow");
    if (flags.schedule && from <= preprocessingPhase) {
      if (!runStock(state.compileFrom, "preprocessing")) {
        return false;
      }
      flowFrom = "preprocessing";
      takeModule();
      preprocessed = mlirOperationClone(state.module);
      maker.emplace(state.session, session, preprocessed);
    }
    if (!runStock(flowFrom, "flow")) {
      return false;
    }
    takeModule();
  }
  if (to == flowPhase) {
    return !flags.schedule ||
           runOwn("serenity-schedule", state.module, &report, watched());
  }
  // Kept while another form may turn out not to compile for the target.
  MlirOperation stockForm = {nullptr};
  if (maker && to > streamPhase) {
    stockForm = mlirOperationClone(state.module);
  }
  bool ok = runStream();
  if (ok && chosenForm && to > streamPhase) {
    {
      ir::SilenceDiagnostics silence(mlirOperationGetContext(state.module),
                                     /*errorsOnly=*/true);
      Stopwatch watch(report, "from stream");
      ok = runStock("stream", state.compileTo);
    }
    if (ok) {
      mlirOperationDestroy(stockForm);
      return true;
    }
    ir::emitWarning(mlirOperationGetLocation(state.module),
                    "IREE does not compile the form '" + chosenForm->name() +
                        "' for this target; taking the stock form");
    forgetForms();
    maker.reset();
    chosenForm.reset();
    report.functions.clear();
    report.rewrites.clear();
    adopt(stockForm);
    stockForm.ptr = nullptr;
    ok = runStream();
  }
  if (stockForm.ptr) {
    mlirOperationDestroy(stockForm);
  }
  if (!ok) {
    return false;
  }
  Stopwatch watch(report, "from stream");
  return to == streamPhase || runStock("stream", state.compileTo);
}

/// The stream phase, with the budget checked and our annotations gone at its
/// end.
bool Pipeline::runStream() {
  if (!scheduleStream()) {
    return false;
  }
  {
    Stopwatch watch(report, "stream");
    if (!finishStream(state.module)) {
      return false;
    }
  }
  if (!checkBudget(state.module)) {
    return false;
  }
  stripAnnotations(state.module);
  if (!state.dumpPhasesTo.empty()) {
    std::string name =
        ir::stringAttr(state.module, "sym_name").value_or("module");
    if (!runIree(state.module,
                 "iree-util-dump-module{path=\"" + state.dumpPhasesTo + "/" +
                     name + "." + std::to_string(phaseIndex("stream")) +
                     ".stream.mlir\"}",
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
                 ModuleReport &report, Outcome &outcome) {
  return Pipeline(inv, state, flags, arguments, report, outcome).run();
}

} // namespace serenity

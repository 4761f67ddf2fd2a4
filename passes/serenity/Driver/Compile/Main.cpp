// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// serenity-compile: iree-compile with the serenity passes in its pipeline.
//
// This program *is* iree-compile: it calls IREE's main function
// (`ireeCompilerRunMain`), which parses every flag, opens files and writes the
// output as the stock tool does. That function calls the embedding API through
// the procedure linkage table, and a definition in the executable comes before
// that of the library. So the few calls below that serenity replaces come here
// first:
//
//   iree-compile's main --> ireeCompilerInvocationPipeline (here)
//                              --> phases up to flow (IREE's)
//                              --> serenity passes between the stream passes
//                              --> phases from stream on (IREE's)

#include "serenity/Driver/CommandLine.h"
#include "serenity/Driver/Compile/CrashFallback.h"
#include "serenity/Driver/Compile/Flags.h"
#include "serenity/Driver/Compile/IdleFlags.h"
#include "serenity/Driver/Compile/InputCopy.h"
#include "serenity/Driver/Compile/Pipeline.h"
#include "serenity/Driver/Compile/Real.h"
#include "serenity/Driver/Compile/Reproducer.h"
#include "serenity/Driver/Compile/UserFlags.h"
#include "serenity/Driver/OutputFile.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

using namespace serenity;

namespace {

constexpr int exitFailure = 1;
constexpr int exitUsage = 2;
constexpr int exitBudget = 3;
constexpr int exitInterrupted = 130;

/// The requests of IREE's main function, gathered call by call.
struct Driver {
  CompileFlags flags;
  std::vector<std::string> arguments;
  ModuleReport report;
  PipelineEvents events;
  std::map<iree_compiler_invocation_t *, InvocationState> invocations;
  struct PendingOutput {
    std::unique_ptr<AtomicFile> file;
    std::unique_ptr<HeldOutput> held;
    bool keep = false;
  };
  std::map<iree_compiler_output_t *, PendingOutput> outputs;
  bool outputFailed = false;
  bool pipelineSeen = false;
  /// Several modules go to one output.
  bool splitsInput = false;
  std::optional<PreviousCrash> crash;
  /// How many have been compiled; several with --split-input-file.
  int modules = 0;
};

Driver &driver() {
  static Driver instance;
  return instance;
}

/// The releases of IREE that are supported, as `SUPPORTED_IREE` of
/// _versions.py.
constexpr const char *supportedReleases[] = {"3.12", "3.13"};

std::string listReleases() {
  std::string text;
  for (const char *release : supportedReleases) {
    text += (text.empty() ? "" : " and ") + std::string(release);
  }
  return text;
}

template <typename Function> Function *next(const char *name) {
  void *symbol = dlsym(RTLD_NEXT, name);
  if (!symbol) {
    std::fprintf(stderr,
                 "serenity-compile: error: this libIREECompiler.so has no "
                 "function '%s'; serenity-mlir supports iree-base-compiler "
                 "%s\n",
                 name, listReleases().c_str());
    std::_Exit(exitFailure);
  }
  return reinterpret_cast<Function *>(symbol);
}

void interrupted(int) {
  continueFallback();
  _exit(exitInterrupted);
}

/// Adds the report of one module to that of all. Functions of several modules
/// may share a name, so each module is reported on its own first.
void append(ModuleReport &all, ModuleReport one, bool first) {
  std::move(one.functions.begin(), one.functions.end(),
            std::back_inserter(all.functions));
  std::move(one.rewrites.begin(), one.rewrites.end(),
            std::back_inserter(all.rewrites));
  std::move(one.quantizedValues.begin(), one.quantizedValues.end(),
            std::back_inserter(all.quantizedValues));
  std::move(one.remarks.begin(), one.remarks.end(),
            std::back_inserter(all.remarks));
  if (one.budget && all.budget) {
    // Missed is missed, and not known is not met.
    std::optional<bool> &met = all.budget->met;
    met = met == false || one.budget->met == false
              ? std::optional<bool>(false)
              : (met && one.budget->met ? met : std::nullopt);
    for (const char *means : meansInOrder) {
      auto &used = all.budget->used;
      const auto &more = one.budget->used;
      if (std::find(more.begin(), more.end(), means) != more.end() &&
          std::find(used.begin(), used.end(), means) == used.end()) {
        used.push_back(means);
      }
    }
  } else if (one.budget) {
    all.budget = one.budget;
  }
  all.search.predictions += one.search.predictions;
  all.search.trialCompilations += one.search.trialCompilations;
  all.search.cacheHits += one.search.cacheHits;
  all.search.cacheMisses += one.search.cacheMisses;
  // Modules are not loaded together, so that a sum would say nothing.
  all.persistentBytes = first ? one.persistentBytes : std::nullopt;
  for (const auto &item : one.seconds) {
    auto same = std::find_if(
        all.seconds.begin(), all.seconds.end(),
        [&](const auto &known) { return known.first == item.first; });
    if (same != all.seconds.end()) {
      same->second += item.second;
    } else {
      all.seconds.push_back(item);
    }
  }
}

/// Whether `revision`, like `3.13.0rc20261016 @ 89ece87b...`, is of a supported
/// release.
bool supported(const std::string &revision) {
  for (const char *release : supportedReleases) {
    if (revision.rfind(std::string(release) + ".", 0) == 0) {
      return true;
    }
  }
  return false;
}

} // namespace

// The functions that IREE's main calls. `__attribute__((visibility))` because
// everything else in this program is hidden.
#define SERENITY_INTERPOSE extern "C" __attribute__((visibility("default")))

namespace serenity::real {
iree_compiler_invocation_t *invocationCreate(iree_compiler_session_t *session) {
  static auto *function = next<decltype(ireeCompilerInvocationCreate)>(
      "ireeCompilerInvocationCreate");
  return function(session);
}
void invocationDestroy(iree_compiler_invocation_t *inv) {
  static auto *function = next<decltype(ireeCompilerInvocationDestroy)>(
      "ireeCompilerInvocationDestroy");
  function(inv);
}
void setCompileFromPhase(iree_compiler_invocation_t *inv, const char *phase) {
  static auto *function =
      next<decltype(ireeCompilerInvocationSetCompileFromPhase)>(
          "ireeCompilerInvocationSetCompileFromPhase");
  function(inv, phase);
}
void setCompileToPhase(iree_compiler_invocation_t *inv, const char *phase) {
  static auto *function =
      next<decltype(ireeCompilerInvocationSetCompileToPhase)>(
          "ireeCompilerInvocationSetCompileToPhase");
  function(inv, phase);
}
void setDumpCompilationPhasesTo(iree_compiler_invocation_t *inv,
                                const char *path) {
  static auto *function =
      next<decltype(ireeCompilerInvocationSetDumpCompilationPhasesTo)>(
          "ireeCompilerInvocationSetDumpCompilationPhasesTo");
  function(inv, path);
}
void setVerifyIR(iree_compiler_invocation_t *inv, bool enable) {
  static auto *function = next<decltype(ireeCompilerInvocationSetVerifyIR)>(
      "ireeCompilerInvocationSetVerifyIR");
  function(inv, enable);
}
bool pipeline(iree_compiler_invocation_t *inv, iree_compiler_pipeline_t which) {
  static auto *function = next<decltype(ireeCompilerInvocationPipeline)>(
      "ireeCompilerInvocationPipeline");
  return function(inv, which);
}
iree_compiler_error_t *sourceOpenFile(iree_compiler_session_t *session,
                                      const char *path,
                                      iree_compiler_source_t **source) {
  static auto *function =
      next<decltype(ireeCompilerSourceOpenFile)>("ireeCompilerSourceOpenFile");
  return function(session, path, source);
}
iree_compiler_error_t *outputOpenFile(const char *path,
                                      iree_compiler_output_t **output) {
  static auto *function =
      next<decltype(ireeCompilerOutputOpenFile)>("ireeCompilerOutputOpenFile");
  return function(path, output);
}
void outputDestroy(iree_compiler_output_t *output) {
  static auto *function =
      next<decltype(ireeCompilerOutputDestroy)>("ireeCompilerOutputDestroy");
  function(output);
}
void outputKeep(iree_compiler_output_t *output) {
  static auto *function =
      next<decltype(ireeCompilerOutputKeep)>("ireeCompilerOutputKeep");
  function(output);
}
} // namespace serenity::real

SERENITY_INTERPOSE iree_compiler_invocation_t *
ireeCompilerInvocationCreate(iree_compiler_session_t *session) {
  iree_compiler_invocation_t *inv = real::invocationCreate(session);
  driver().invocations[inv].session = session;
  return inv;
}

SERENITY_INTERPOSE void
ireeCompilerInvocationDestroy(iree_compiler_invocation_t *inv) {
  driver().invocations.erase(inv); // the module goes before its context
  real::invocationDestroy(inv);
}

SERENITY_INTERPOSE void
ireeCompilerInvocationSetCompileFromPhase(iree_compiler_invocation_t *inv,
                                          const char *phase) {
  driver().invocations[inv].compileFrom = phase;
  real::setCompileFromPhase(inv, phase);
}

SERENITY_INTERPOSE void
ireeCompilerInvocationSetCompileToPhase(iree_compiler_invocation_t *inv,
                                        const char *phase) {
  driver().invocations[inv].compileTo = phase;
  real::setCompileToPhase(inv, phase);
}

SERENITY_INTERPOSE void ireeCompilerInvocationSetDumpCompilationPhasesTo(
    iree_compiler_invocation_t *inv, const char *path) {
  driver().invocations[inv].dumpPhasesTo = path;
  real::setDumpCompilationPhasesTo(inv, path);
}

SERENITY_INTERPOSE void
ireeCompilerInvocationSetVerifyIR(iree_compiler_invocation_t *inv,
                                  bool enable) {
  driver().invocations[inv].verify = enable;
  real::setVerifyIR(inv, enable);
}

SERENITY_INTERPOSE bool
ireeCompilerInvocationPipeline(iree_compiler_invocation_t *inv,
                               enum iree_compiler_pipeline_t which) {
  Driver &state = driver();
  state.pipelineSeen = true;
  if (which != IREE_COMPILER_PIPELINE_STD) {
    return real::pipeline(inv, which);
  }
  if (state.crash && state.crash->stage == FallbackStage::Plain) {
    ++state.modules;
    bool ok = real::pipeline(inv, which);
    return refuseUncheckedBudget(state.flags, "the functions are not described",
                                 state.events) &&
           ok;
  }
  ModuleReport report;
  report.versions = state.report.versions;
  bool ok = runPipeline(inv, state.invocations[inv], state.flags,
                        state.arguments, report, state.events);
  append(state.report, std::move(report), /*first=*/state.modules++ == 0);
  return ok;
}

/// Wraps the copy of `path`, which is made unless a process before this one has
/// left it.
static iree_compiler_error_t *wrapCopy(iree_compiler_session_t *session,
                                       const char *path,
                                       iree_compiler_source_t **source) {
  const std::optional<PreviousCrash> &crash = driver().crash;
  int copy =
      crash && crash->inputCopy >= 0 ? crash->inputCopy : copyInput(path);
  std::string_view text = copy < 0 ? std::string_view() : mapInputCopy(copy);
  if (text.empty()) {
    std::fprintf(stderr, "serenity-compile: error: cannot read '%s': %s\n",
                 path, std::strerror(errno));
    std::_Exit(exitFailure);
  }
  keepAcrossFallback(copy);
  return ireeCompilerSourceWrapBuffer(session, path, text.data(), text.size(),
                                      /*isNullTerminated=*/true, source);
}

SERENITY_INTERPOSE iree_compiler_error_t *
ireeCompilerSourceOpenFile(iree_compiler_session_t *session, const char *path,
                           iree_compiler_source_t **source) {
  if (isReadOnce(path) && access(path, R_OK) == 0) {
    return wrapCopy(session, path, source);
  }
  return real::sourceOpenFile(session, path, source);
}

/// As `ireeCompilerOutputOpenFile`, for a pipe or a device, which no other file
/// can replace.
static iree_compiler_error_t *openInPlace(const char *path,
                                          iree_compiler_output_t **output) {
  keepPipeOpen(path);
  if (!driver().splitsInput) {
    return real::outputOpenFile(path, output);
  }
  // A crash in a later module must not write the earlier ones again.
  auto held = std::make_unique<HeldOutput>();
  int copy =
      held->open(path) ? fcntl(held->descriptor(), F_DUPFD_CLOEXEC, 3) : -1;
  if (copy < 0) {
    return real::outputOpenFile(path, output); // IREE reports the error
  }
  iree_compiler_error_t *error = ireeCompilerOutputOpenFD(copy, output);
  if (!error) {
    driver().outputs[*output].held = std::move(held);
  }
  return error;
}

SERENITY_INTERPOSE iree_compiler_error_t *
ireeCompilerOutputOpenFile(const char *path, iree_compiler_output_t **output) {
  if (!AtomicFile::handles(path)) {
    return openInPlace(path, output);
  }
  auto file = std::make_unique<AtomicFile>();
  Status opened = file->open(path);
  int copy = opened ? fcntl(file->descriptor(), F_DUPFD_CLOEXEC, 3) : -1;
  if (copy < 0) {
    std::string reason = opened ? std::strerror(errno) : opened.message();
    // IREE reports the error, unless it can write to the target in place.
    iree_compiler_error_t *error = real::outputOpenFile(path, output);
    if (!error) {
      std::fprintf(stderr, "serenity-compile: warning: %s; writing in place\n",
                   reason.c_str());
    }
    return error;
  }
  iree_compiler_error_t *error = ireeCompilerOutputOpenFD(copy, output);
  if (!error) {
    driver().outputs[*output].file = std::move(file);
  }
  return error;
}

SERENITY_INTERPOSE void ireeCompilerOutputKeep(iree_compiler_output_t *output) {
  auto it = driver().outputs.find(output);
  if (it != driver().outputs.end()) {
    it->second.keep = true;
  }
  real::outputKeep(output);
}

SERENITY_INTERPOSE void
ireeCompilerOutputDestroy(iree_compiler_output_t *output) {
  Driver::PendingOutput pending;
  auto it = driver().outputs.find(output);
  if (it != driver().outputs.end()) {
    pending = std::move(it->second);
    driver().outputs.erase(it);
  }
  real::outputDestroy(output); // flushes
  Status written = Status::success();
  if (pending.file && pending.keep) {
    written = pending.file->commit();
  } else if (pending.held) {
    // The stock compiler, too, has written the modules before an error.
    written = pending.held->flush();
  }
  if (!written) {
    std::fprintf(stderr, "serenity-compile: error: %s\n",
                 written.message().c_str());
    driver().outputFailed = true;
  }
}

/// Whether two names are of one file, which need not be there yet.
static bool isSameFile(const std::string &a, const std::string &b) {
  std::error_code ignored;
  std::filesystem::path first = std::filesystem::weakly_canonical(a, ignored);
  std::filesystem::path second = std::filesystem::weakly_canonical(b, ignored);
  return !first.empty() && first == second;
}

/// Fails if the report cannot be written to `path`, `args` being the
/// compiler's.
static Status checkReportPath(const std::vector<std::string> &args,
                              const std::string &path) {
  if (path.empty() || path == "-") {
    return Status::success();
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return Status::failure("--serenity-report=" + path +
                           ": is a folder; name a file in it");
  }
  // A name that is the value of another flag is none of the model.
  for (size_t i = 1; i < args.size(); ++i) {
    const std::string &arg = args[i];
    std::string output;
    if (arg.size() > 1 && arg[0] == '-') {
      std::string_view flag =
          std::string_view(arg).substr(arg[1] == '-' ? 2 : 1);
      if (flag == "o" && i + 1 < args.size()) {
        output = args[++i];
      } else if (flag.substr(0, 2) == "o=") {
        output = flag.substr(2);
      } else {
        i += arg.find('=') == std::string::npos && takesSeparateValue(arg);
        continue;
      }
    }
    if (isSameFile(output.empty() ? arg : output, path)) {
      return Status::failure("--serenity-report=" + path + ": is also the " +
                             (output.empty() ? "input" : "output") +
                             " of the compilation; name another file");
    }
  }
  AtomicFile probe;
  return AtomicFile::handles(path) ? probe.open(path) : Status::success();
}

/// Prepares the fallback after a crash, and reports a crash that happened.
/// False, after an error, if standard input cannot be read.
static bool handleCrashes(Driver &state, const std::vector<std::string> &given,
                          const std::vector<std::string> &args) {
  std::vector<std::string> inputs = inputFiles(args);
  FallbackStage stage = state.crash ? state.crash->stage : FallbackStage::None;
  if (!state.flags.schedule) {
    stage = std::max(stage, FallbackStage::Off);
  }
  if (Status status = prepareFallback(given, inputs, stage); !status) {
    std::fprintf(stderr, "serenity-compile: error: %s\n",
                 status.message().c_str());
    return false;
  }
  if (!state.crash) {
    return true;
  }
  state.flags.schedule = false;
  Reproducer reproducer{*state.crash, given, state.report.versions};
  if (state.crash->inputCopy >= 0) {
    reproducer.input = state.crash->inputCopy;
    reproducer.inputTerminator = 1;
  } else if (std::find(inputs.begin(), inputs.end(), "-") != inputs.end()) {
    reproducer.input = STDIN_FILENO;
  }
  std::string text = describeCrash(*state.crash, writeReproducer(reproducer));
  std::fprintf(stderr, "serenity-compile: warning: %s\n", text.c_str());
  state.report.remarks.push_back(text);
  return true;
}

int main(int argc, char **argv) {
  failAtFileSizeLimit();
  Driver &state = driver();
  state.crash = takePreviousCrash();
  std::vector<std::string> args(argv, argv + argc);
  ResponseFiles files = expandResponseFiles(args);
  if (!files.error.empty()) {
    std::fprintf(stderr, "serenity-compile: error: %s\n", files.error.c_str());
    return exitUsage;
  }
  std::vector<std::string> given =
      files.consumed ? args : std::vector<std::string>(argv, argv + argc);
  if (Status status = parseFlags(args, state.flags); !status) {
    std::fprintf(stderr, "serenity-compile: error: %s\n",
                 status.message().c_str());
    return exitUsage;
  }
  for (const std::string &arg : args) {
    if (arg == "--help" || arg == "-help" || arg == "-h" ||
        arg == "--help-hidden" || arg == "-help-hidden" ||
        arg == "--help-list" || arg == "-help-list") {
      std::fputs(flagsHelp().c_str(), stdout);
      std::fflush(stdout);
      break;
    }
  }
  // Before any work: a report that cannot be written is a mistake of the call.
  if (Status status = checkReportPath(args, state.flags.reportPath); !status) {
    std::fprintf(stderr, "serenity-compile: error: %s\n",
                 status.message().c_str());
    return exitUsage;
  }

  // LLVM's handler, installed later, cleans up and then raises the signal again
  // for this one.
  std::signal(SIGINT, interrupted);

  ireeCompilerGlobalInitialize();
  std::string revision = ireeCompilerGetRevision();
  if (!supported(revision)) {
    std::fprintf(stderr,
                 "serenity-compile: error: found IREE compiler '%s'; "
                 "serenity-mlir supports iree-base-compiler %s. Install one of "
                 "them, or set SERENITY_DISABLE=1 and drop the --serenity "
                 "flags\n",
                 revision.c_str(), listReleases().c_str());
    return exitFailure;
  }
  state.report.versions = {{"serenity_mlir", SERENITY_VERSION},
                           {"iree_compiler", revision}};
  state.arguments = args;
  if (!handleCrashes(state, given, args)) {
    return exitFailure;
  }
  state.splitsInput = hasFlag(args, "split-input-file");
  std::vector<char *> pointers;
  for (std::string &arg : args) {
    pointers.push_back(arg.data());
  }
  pointers.push_back(nullptr);
  int code = ireeCompilerRunMain(int(args.size()), pointers.data());
  if (state.events.budgetMissed) {
    code = exitBudget;
  }
  if (code == 0 && state.outputFailed) {
    code = exitFailure;
  }
  if (code == 0 && !state.pipelineSeen) {
    std::fprintf(stderr, "serenity-compile: error: this libIREECompiler.so "
                         "does not let its pipeline be extended; the output "
                         "is the stock compiler's\n");
    code = exitFailure;
  }
  bool complete = code == 0 || state.events.budgetMissed;
  if (complete && !state.flags.reportPath.empty()) {
    Status status =
        writeOutputFile(state.flags.reportPath, toJson(state.report));
    if (!status) {
      std::fprintf(stderr, "serenity-compile: error: %s\n",
                   status.message().c_str());
      code = exitFailure;
    }
  }
  return code;
}

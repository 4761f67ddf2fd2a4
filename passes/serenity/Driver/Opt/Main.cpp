// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// serenity-opt: runs passes on a module and prints the result. It is to the
// serenity passes as mlir-opt is to MLIR and iree-opt to IREE: they can be run
// alone, or between IREE's own passes in one pipeline.
//
// IREE's library registers its passes by name, but offers no way to register
// others. So a pipeline is cut at the top level of `builtin.module(...)`: the
// names of serenity passes become external passes, everything between them goes
// to MLIR's own parser as it stands, all into one pass manager.

#include "serenity/Driver/CommandLine.h"
#include "serenity/Driver/Opt/Arguments.h"
#include "serenity/Driver/Opt/Input.h"
#include "serenity/Driver/OutputFile.h"
#include "serenity/IREE/Diagnostics.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/IreeC.h"
#include "serenity/IREE/OwningHandles.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/IREE/OwningPassManager.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <sys/resource.h>
#include <unistd.h>

#ifndef SERENITY_VERSION
#define SERENITY_VERSION "0+unknown"
#endif

namespace serenity::opt {
namespace {

enum ExitCode { kSuccess = 0, kFailure = 1, kUsage = 2 };

void complain(const std::string &message) {
  std::fprintf(stderr, "serenity-opt: %s\n", message.c_str());
}

/// Prints the module the way MLIR's own --mlir-print-ir-after does.
void printAfter(MlirOperation module, const std::string &name) {
  std::string text =
      "// -----// IR Dump After " + name + " (" + name + ") //----- //\n";
  mlirOperationPrint(module, ir::appendTo, &text);
  text += "\n\n";
  std::fputs(text.c_str(), stderr);
}

class Tool {
public:
  explicit Tool(Config config) : config(std::move(config)) {}

  int run();

private:
  /// Fills a pass manager with the pipeline.
  Status addPasses(MlirPassManager manager, ModuleReport *moduleReport);
  Status addPass(MlirPassManager manager, const PassInfo &info,
                 const Element &element, bool print,
                 ModuleReport *moduleReport);
  ir::OwningOp parse(std::string_view source, const std::string &name);
  /// Runs the pipeline on one module and appends the result to `output`.
  bool process(const std::string &part, const std::string &name);
  bool runPasses(MlirOperation module, ModuleReport &moduleReport);
  /// Writes module and report; returns the exit code.
  int writeResults();

  Config config;
  ir::OwningSession session;
  MlirContext context = {nullptr};
  std::string output;
  ModuleReport report;
};

Status Tool::addPass(MlirPassManager manager, const PassInfo &info,
                     const Element &element, bool print,
                     ModuleReport *moduleReport) {
  Options options = config.options;
  if (Status status = setPassOptions(options, element.name, element.options);
      !status) {
    return status;
  }
  auto *run = info.run;
  auto body = [run, options, moduleReport, print,
               name = element.name](MlirOperation module) {
    if (!run(module, options, moduleReport)) {
      return false;
    }
    if (print) {
      printAfter(module, name);
    }
    return true;
  };
  mlirPassManagerAddOwnedPass(
      manager, ir::createModulePass(element.name, info.description, body));
  return Status::success();
}

Status Tool::addPasses(MlirPassManager manager, ModuleReport *moduleReport) {
  MlirOpPassManager passes = mlirPassManagerGetAsOpPassManager(manager);
  for (const Element &element : config.elements) {
    bool print = std::find(config.printAfter.begin(), config.printAfter.end(),
                           element.name) != config.printAfter.end();
    if (const PassInfo *info = findPass(element.name)) {
      if (Status status = addPass(manager, *info, element, print, moduleReport);
          !status) {
        return status;
      }
      continue;
    }
    std::string message;
    bool ok = mlirOpPassManagerAddPipeline(passes, ir::strRef(element.text),
                                           ir::appendTo, &message)
                  .value != 0;
    if (!ok) {
      while (!message.empty() && message.back() == '\n') {
        message.pop_back();
      }
      return Status::failure(message.empty() ? "invalid pipeline element '" +
                                                   element.text + "'"
                                             : message);
    }
    if (print) {
      auto body = [name = element.name](MlirOperation module) {
        printAfter(module, name);
        return true;
      };
      mlirPassManagerAddOwnedPass(
          manager,
          ir::createModulePass("serenity-print-ir", "Print the module", body));
    }
  }
  return Status::success();
}

ir::OwningOp Tool::parse(std::string_view source, const std::string &name) {
  Input input;
  if (!input.assign(source)) {
    std::fputs("serenity-opt: out of memory\n", stderr);
    return {};
  }
  iree_compiler_source_t *wrapped = nullptr;
  ir::OwningError error(ireeCompilerSourceWrapBuffer(
      session.get(), name.c_str(), input.data.get(), input.size + 1,
      /*isNullTerminated=*/true, &wrapped));
  ir::OwningSource owner(wrapped);
  if (error) {
    std::fprintf(stderr, "serenity-opt: %s: %s\n", name.c_str(),
                 ireeCompilerErrorGetMessage(error.get()));
    return {};
  }
  // An invocation parses under the name given and adds the module around bare
  // operations; MLIR's C API can do only one of the two.
  ir::OwningInvocation invocation(ireeCompilerInvocationCreate(session.get()));
  if (!ireeCompilerInvocationParseSource(invocation.get(), wrapped)) {
    return {};
  }
  return ir::OwningOp(
      ireeCompilerInvocationExportStealModule(invocation.get()));
}

bool Tool::runPasses(MlirOperation module, ModuleReport &moduleReport) {
  if (config.elements.empty()) {
    return true;
  }
  ir::OwningPassManager owner(context);
  MlirPassManager manager = owner.get();
  mlirPassManagerEnableVerifier(manager, config.verifyEach);
  if (config.printsIr()) {
    ir::OwningPrintingFlags flags;
    mlirPassManagerEnableIRPrinting(
        manager, config.printBeforeAll,
        config.printAfterAll || config.printAfterChange,
        config.printModuleScope, config.printAfterChange,
        config.printAfterFailure && !config.printAfterAll, flags.get(),
        ir::strRef(""));
  }
  if (config.timing) {
    mlirPassManagerEnableTiming(manager);
  }
  if (Status status = addPasses(manager, &moduleReport); !status) {
    complain(status.message());
    return false;
  }
  return owner.run(module);
}

bool Tool::process(const std::string &part, const std::string &name) {
  std::unique_ptr<ir::DiagnosticPrinter> printer;
  std::unique_ptr<ir::DiagnosticVerifier> verifier;
  std::string_view text = isBytecode(part) ? std::string_view() : part;
  if (config.verifyDiagnostics) {
    verifier = std::make_unique<ir::DiagnosticVerifier>(context, name, text,
                                                        config.onlyExpected);
  } else {
    printer = std::make_unique<ir::DiagnosticPrinter>(context, name, text);
  }

  ModuleReport moduleReport;
  ir::OwningOp module = parse(part, name);
  bool ok = module && runPasses(module.get(), moduleReport);
  if (ok) {
    if (config.emitBytecode) {
      mlirOperationWriteBytecode(module.get(), ir::appendTo, &output);
    } else {
      mlirOperationPrint(module.get(), ir::appendTo, &output);
      if (output.empty() || output.back() != '\n') {
        output += '\n';
      }
    }
    std::move(moduleReport.functions.begin(), moduleReport.functions.end(),
              std::back_inserter(report.functions));
    std::move(moduleReport.rewrites.begin(), moduleReport.rewrites.end(),
              std::back_inserter(report.rewrites));
    std::move(moduleReport.remarks.begin(), moduleReport.remarks.end(),
              std::back_inserter(report.remarks));
    std::move(moduleReport.seconds.begin(), moduleReport.seconds.end(),
              std::back_inserter(report.seconds));
    report.persistentBytes =
        config.splitInput ? std::nullopt : moduleReport.persistentBytes;
  }
  return verifier ? verifier->finish() : ok;
}

int Tool::run() {
  session.reset(ireeCompilerSessionCreate());
  context = ireeCompilerSessionBorrowContext(session.get());
  // The session allows them, as stock compilation does; a tool for tests must
  // not take a misspelt name for an operation.
  mlirContextSetAllowUnregisteredDialects(context, config.allowUnregistered);
  if (config.printsIr() || !config.printAfter.empty()) {
    mlirContextEnableMultithreading(context, false);
  }

  // A wrong pipeline is wrong usage, whatever the input.
  if (Status usage = addPasses(ir::OwningPassManager(context).get(), nullptr);
      !usage) {
    complain(usage.message());
    return kUsage;
  }

  std::string text;
  if (Status status = readInput(config.input, text); !status) {
    complain(status.message());
    return kFailure;
  }
  std::string name = config.input == "-" ? "<stdin>" : config.input;
  std::vector<std::string> parts;
  if (config.splitInput && !isBytecode(text)) {
    parts = splitInput(text);
  } else {
    parts.push_back(std::move(text));
  }

  for (const std::string &part : parts) {
    if (!isBytecode(part) && isNestedTooDeeply(part)) {
      std::fprintf(stderr, "serenity-opt: %s: error: nested too deeply\n",
                   name.c_str());
      return kFailure;
    }
  }

  // Passes build operations of dialects that the input may not mention.
  mlirContextLoadAllAvailableDialects(context);

  bool ok = true;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) {
      output += "// -----\n";
    }
    ok &= process(parts[i], name);
  }
  if (!ok) {
    return kFailure;
  }

  return writeResults();
}

int Tool::writeResults() {
  Status status = Status::success();
  if (!config.report.empty()) {
    report.versions.push_back({"serenity_mlir", SERENITY_VERSION});
    report.versions.push_back({"iree_compiler", ireeCompilerGetRevision()});
    status = writeOutputFile(config.report, toJson(report));
  }
  if (status) {
    status = writeOutputFile(config.output, output);
  }
  if (!status) {
    complain(status.message());
    return kFailure;
  }
  return kSuccess;
}

/// LLVM's command line library ends the process with 1 when a flag is wrong.
bool readingFlags = false;

void turnFlagErrorIntoUsageError(int status, void *) {
  if (readingFlags && status == 1) {
    std::fputs("serenity-opt: --help lists the flags of serenity-opt, "
               "--help-hidden those passed on to IREE\n",
               stderr);
    std::fflush(nullptr);
    _exit(kUsage);
  }
}

int runTool(std::vector<std::string> args) {
  ResponseFiles files = expandResponseFiles(args);
  if (!files.error.empty()) {
    complain(files.error);
    return kUsage;
  }
  Config config;
  if (Status status = parseArguments(args, config); !status) {
    complain(status.message());
    return kUsage;
  }
  if (config.help || config.listPasses) {
    std::string text = config.help ? helpText() : passList();
    std::fputs(text.c_str(), stdout);
    return kSuccess;
  }

  ireeCompilerGlobalInitialize();
  std::vector<const char *> argv = {"serenity-opt"};
  if (config.verifyDiagnostics) {
    // The note that shows the operation is nothing a test expects. First, so
    // that the user's own flag wins.
    argv.push_back("--mlir-print-op-on-diagnostic=false");
  }
  for (const std::string &flag : config.forwarded) {
    argv.push_back(flag.c_str());
  }
  on_exit(turnFlagErrorIntoUsageError, nullptr);
  readingFlags = true;
  ireeCompilerSetupGlobalCL(static_cast<int>(argv.size()), argv.data(),
                            "serenity-opt\n", /*installSignalHandlers=*/false);
  readingFlags = false;
  int code = kSuccess;
  {
    Tool tool(std::move(config));
    code = tool.run();
  }
  ireeCompilerGlobalShutdown();
  return code;
}

/// MLIR's parser, verifier and printer recurse into nested operations. Linux
/// lets the stack of a running program grow up to the limit, and keeps at least
/// 128 MiB of addresses free for it.
void allowDeepNesting() {
  constexpr rlim_t kBytes = rlim_t(112) << 20;
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      limit.rlim_cur < kBytes) {
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY
                         ? kBytes
                         : std::min(kBytes, limit.rlim_max);
    setrlimit(RLIMIT_STACK, &limit);
  }
}

} // namespace
} // namespace serenity::opt

int main(int argc, char **argv) {
  serenity::failAtFileSizeLimit();
  serenity::opt::allowDeepNesting();
  return serenity::opt::runTool(std::vector<std::string>(argv, argv + argc));
}

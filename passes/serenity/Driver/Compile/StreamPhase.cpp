// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/StreamPhase.h"

#include "serenity/Analysis/FunctionMemory.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningHandles.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/IREE/OwningPassManager.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/CloneCallees.h"
#include "serenity/Transforms/Passes.h"

#include <cstdlib>

namespace serenity {

namespace {

constexpr const char *partitioningAttr = "stream.partitioning";

/// The first pass after the commands: memory that is released serves a later
/// allocation of the same size, and stays allocated in between.
constexpr const char *reuse = "any(iree-stream-reuse-allocations)";

/// Switches concurrent dispatch groups off in functions that serenity orders.
void setPartitioning(MlirOperation module, bool on) {
  MlirContext context = mlirOperationGetContext(module);
  mlirContextGetOrLoadDialect(context, ir::strRef("stream"));
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (!on) {
      if (attributes::hasOwnPartitioning(function)) {
        mlirOperationRemoveDiscardableAttributeByName(
            function, ir::strRef(partitioningAttr));
        attributes::removeOwnPartitioning(function);
      }
      continue;
    }
    // Only where serenity chose the order, and never over a choice of the
    // user's.
    if (!attributes::isScheduled(function) ||
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
    attributes::setOwnPartitioning(function);
  }
}

} // namespace

bool StreamPhase::runOwn(const char *pass, MlirOperation module,
                         const Options &options, ModuleReport *into,
                         bool visible) {
  ir::OwningPassManager passes(mlirOperationGetContext(module));
  MlirPassManager manager = passes.get();
  mlirPassManagerEnableVerifier(manager, verify);
  mlirPassManagerAddOwnedPass(manager, createPass(pass, options, into));
  bool printAfter = false;
  if (visible) {
    for (const std::string &name : printIrAfter) {
      printAfter |= name == pass;
    }
    bool after = user.has("mlir-print-ir-after-all") || printAfter;
    bool before = user.has("mlir-print-ir-before-all");
    if (after || before) {
      ir::OwningPrintingFlags printing;
      std::string limit = user.value("mlir-elide-elementsattrs-if-larger");
      if (!limit.empty()) {
        mlirOpPrintingFlagsElideLargeElementsAttrs(
            printing.get(), std::strtoll(limit.c_str(), nullptr, 10));
      }
      limit = user.value("mlir-elide-resource-strings-if-larger");
      if (!limit.empty()) {
        mlirOpPrintingFlagsElideLargeResourceString(
            printing.get(), std::strtoll(limit.c_str(), nullptr, 10));
      }
      mlirPassManagerEnableIRPrinting(manager, before, after,
                                      /*printModuleScope=*/false,
                                      /*printAfterOnlyOnChange=*/false,
                                      /*printAfterOnlyOnFailure=*/false,
                                      printing.get(), ir::strRef(""));
    }
    if (user.has("mlir-timing")) {
      mlirPassManagerEnableTiming(manager);
    }
  }
  return passes.run(module);
}

bool StreamPhase::runIree(MlirOperation module, const std::string &text,
                          bool visible) {
  if (visible) {
    return ireeCompilerInvocationRunPassPipeline(inv, text.c_str());
  }
  // Verified once at the end instead of after every pass: this is a try.
  return pipelines.run(module, text);
}

/// Textual pipelines do not see the session's options, so they are repeated.
std::string StreamPhase::streamOptions(bool visible) const {
  std::string text;
  auto forward = [&](const char *flag, const char *option, bool quote = false) {
    auto it = user.session.find(flag);
    if (it == user.session.end() || it->second.empty() ||
        it->second == "<unknown>") {
      return;
    }
    text += (text.empty() ? "" : " ") + std::string(option) + "=" +
            (quote ? "\"" + it->second + "\"" : it->second);
  };
  forward("iree-scheduling-optimize-bindings", "optimize-bindings");
  forward("iree-scheduling-initialization-mode", "initialization-mode");
  auto encoder = user.session.find("iree-parameter-encoder-output-file");
  // Only the run that counts may write that file.
  if (visible && encoder != user.session.end() && !encoder->second.empty()) {
    forward("iree-parameter-encoder-mode", "parameter-encoder-mode");
    forward("iree-parameter-encoder-output-file",
            "parameter-encoder-output-file", true);
    forward("iree-parameter-encoder-output-scope",
            "parameter-encoder-output-scope");
  }
  return text.empty() ? "" : "{" + text + "}";
}

bool StreamPhase::toSlabs(MlirOperation module, const Options *scheduled,
                          ModuleReport *into, bool visible) {
  return (!scheduled ||
          runOwn("serenity-schedule", module, *scheduled, into, visible)) &&
         toRegions(module, scheduled != nullptr, visible) &&
         fromRegions(module, scheduled, into, visible);
}

bool StreamPhase::toRegions(MlirOperation module, bool scheduled, bool visible,
                            const std::function<bool()> &abandons) {
  auto ends = [&] { return abandons && abandons(); };
  std::string pipelineOptions = streamOptions(visible);
  // A partitioning flag is the user's choice about concurrency.
  bool partition = scheduled && !user.has("iree-stream-partitioning-favor");
  if (!runIree(module, "iree-util-verify-initialization-order", visible) ||
      !runIree(module,
               "iree-stream-tensor-transformation-pipeline" + pipelineOptions,
               visible) ||
      ends()) {
    return false;
  }
  if (partition) {
    setPartitioning(module, true);
  }
  bool ok = runIree(
      module, "iree-stream-async-transformation-pipeline" + pipelineOptions,
      visible);
  setPartitioning(module, false);
  return ok && !ends();
}

bool StreamPhase::fromRegions(MlirOperation module, const Options *scheduled,
                              ModuleReport *into, bool visible,
                              const std::function<bool()> &abandons) {
  auto ends = [&] { return abandons && abandons(); };
  if ((scheduled && !runOwn("serenity-schedule-regions", module, *scheduled,
                            into, visible)) ||
      ends()) {
    return false;
  }
  return runIree(module, "iree-stream-schedule-allocation", visible) &&
         (!scheduled || runOwn("serenity-reuse-external-memory", module,
                               *scheduled, into, visible)) &&
         (!verify || mlirOperationVerify(module));
}

bool StreamPhase::toCommands(MlirOperation module) {
  std::string pipelineOptions = streamOptions(/*visible=*/true);
  if (!runIree(module,
               "iree-stream-cmd-transformation-pipeline" + pipelineOptions,
               true)) {
    return false;
  }
  return true;
}

Peaks StreamPhase::peaks(MlirOperation module, const Options &options,
                         PackAlgorithm algorithm, Peaks *withResults) {
  bool several = false;
  for (MlirOperation function : ir::operations(ir::body(module))) {
    int allocations = 0;
    ir::walk(function, [&](MlirOperation op) {
      allocations += ir::isa(op, "stream.resource.alloca");
    });
    several |= allocations > 2; // the slab's and the results'
  }
  if (several) {
    Peaks exact = runtimePeaks(module, options, algorithm, withResults);
    if (!exact.empty()) {
      return exact;
    }
  }
  return transientPeaks(module, options, algorithm, withResults);
}

ir::OwningOp StreamPhase::withOffsets(MlirOperation module,
                                      const Options &options) {
  ir::SilenceDiagnostics silence(mlirOperationGetContext(module));
  ir::OwningOp clone = ir::OwningOp::clone(module);
  runReuseExternalMemory(clone.get(), options, nullptr);
  return clone;
}

ir::OwningOp StreamPhase::withReuse(MlirOperation module) {
  ir::SilenceDiagnostics silence(mlirOperationGetContext(module));
  ir::OwningOp clone = ir::OwningOp::clone(module);
  if (!runIree(clone.get(), reuse, /*visible=*/false)) {
    return {};
  }
  return clone;
}

Peaks StreamPhase::runtimePeaks(MlirOperation module, const Options &options,
                                PackAlgorithm algorithm, Peaks *withResults) {
  ir::SilenceDiagnostics silence(mlirOperationGetContext(module));
  ir::OwningOp owned = ir::OwningOp::clone(module);
  MlirOperation clone = owned.get();
  Options packing = options;
  packing.offsets = algorithm;
  Peaks peaks;
  if (canCloneCallees(clone) && runPack(clone, packing, nullptr) &&
      runCloneCallees(clone, packing, nullptr) &&
      runIree(clone,
              "iree-stream-cmd-transformation-pipeline" +
                  streamOptions(/*visible=*/false),
              /*visible=*/false) &&
      runIree(clone, reuse, /*visible=*/false)) {
    peaks = transientPeaks(clone, packing, algorithm, withResults);
  }
  return peaks;
}

bool StreamPhase::toEnd(MlirOperation module) {
  std::string pipelineOptions = streamOptions(/*visible=*/true);
  auto format = user.session.find("iree-scheduling-dump-statistics-format");
  if (format != user.session.end() && format->second == "json") {
    ir::emitWarning(mlirOperationGetLocation(module),
                    "IREE's pass writes no json when it runs alone; no "
                    "statistics were written, use csv with serenity flags");
  } else if (format != user.session.end() && !format->second.empty() &&
             format->second != "<unknown>" && format->second != "none") {
    auto given = user.session.find("iree-scheduling-dump-statistics-file");
    std::string file = given != user.session.end() ? given->second : "";
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

Peaks transientPeaks(MlirOperation module, const Options &options,
                     PackAlgorithm algorithm, Peaks *withResults) {
  Peaks peaks;
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if ((ir::isa(function, "util.func") || ir::isa(function, "func.func")) &&
        !attributes::isCopy(function)) {
      std::string name = ir::stringAttr(function, "sym_name").value_or("");
      SlabLayout layout;
      layout.algorithm = algorithm;
      layout.defaultAlignment = options.defaultAlignment;
      layout.timeLimitSeconds = options.searchSeconds();
      layout.hints = &options;
      std::optional<CallMemory> memory = callMemory(module, function, layout);
      peaks[name] = memory ? std::optional<int64_t>(memory->transientPeakBytes)
                           : std::nullopt;
      if (withResults && memory && memory->exact) {
        (*withResults)[name] = memory->peakBytes;
      }
    }
  }
  return peaks;
}

} // namespace serenity

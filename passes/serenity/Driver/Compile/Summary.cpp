// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/Summary.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/FunctionMemory.h"

#include <map>

namespace serenity {

void describeFunctions(MlirOperation module, const Options &options,
                       ModuleReport &report) {
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
      if (entry.stockCallPeakBytes && inputs) {
        *entry.stockCallPeakBytes += *inputs;
      } else {
        entry.stockCallPeakBytes = std::nullopt;
      }
      if (memory) {
        entry.transientPeakBytes = memory->transientPeakBytes;
        entry.callerArenaBytes = memory->callerArenaBytes;
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

} // namespace serenity

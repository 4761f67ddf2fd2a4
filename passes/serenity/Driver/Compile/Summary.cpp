// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/Summary.h"

#include "serenity/Analysis/FunctionMemory.h"
#include "serenity/Analysis/OverwrittenInputs.h"
#include "serenity/IREE/Ir.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace serenity {

namespace {

/// Variables whose first values lie in one allocation, by allocation.
using SharedVariables = std::map<const void *, std::set<std::string>>;

std::string storedGlobal(MlirOperation store) {
  MlirAttribute global = ir::attr(store, "global");
  return ir::isNull(global) ? "" : ir::toString(global);
}

bool storesResource(MlirOperation op) {
  return ir::isa(op, "util.global.store") &&
         ir::toString(mlirValueGetType(ir::operand(op, 0)))
                 .rfind("!stream.resource<", 0) == 0;
}

/// The whole value that `value` is a part of.
MlirValue baseOf(MlirValue value) {
  for (MlirOperation op = ir::definingOp(value);
       op.ptr && (ir::isa(op, "stream.timepoint.await") ||
                  ir::isa(op, "stream.resource.subview"));
       op = ir::definingOp(value)) {
    // Results of an await are its first operands.
    value = ir::operand(op, mlirOpResultGetResultNumber(value));
  }
  return value;
}

SharedVariables sharedVariables(MlirOperation module) {
  SharedVariables shared;
  for (MlirOperation op : ir::operations(ir::body(module))) {
    if (!ir::isa(op, "util.initializer")) {
      continue;
    }
    ir::walk(op, [&](MlirOperation store) {
      if (storesResource(store)) {
        shared[ir::key(baseOf(ir::operand(store, 0)))].insert(
            storedGlobal(store));
      }
    });
  }
  return shared;
}

/// Whether a call replaces one of several variables that began in the same
/// allocation: that stays for the others, or goes, as earlier calls have it.
bool replacesSome(MlirOperation function, const SharedVariables &shared) {
  std::set<std::string> replaced;
  ir::walk(function, [&](MlirOperation op) {
    if (storesResource(op)) {
      replaced.insert(storedGlobal(op));
    }
  });
  for (const auto &item : shared) {
    size_t count = 0;
    for (const std::string &global : item.second) {
      count += replaced.count(global);
    }
    if (count > 0 && count < item.second.size()) {
      return true;
    }
  }
  return false;
}

/// Candidates were compared at extents that a call need not have.
void forgetPeaksAtHint(FunctionReport &entry) {
  entry.stockTransientPeakBytes = std::nullopt;
  entry.stockCallPeakBytes = std::nullopt;
  for (CandidateReport &candidate : entry.candidates) {
    candidate.hintBytes = candidate.transientPeakBytes;
    candidate.transientPeakBytes = std::nullopt;
  }
}

/// Whether a slab is all memory of `function` beside its results.
bool hasSoleSlab(MlirOperation function) {
  int slabs = 0;
  bool sole = true;
  ir::walk(function, [&](MlirOperation op) {
    std::string_view name = ir::name(op);
    if (name == "stream.resource.alloca" || name == "stream.resource.alloc") {
      std::string type = ir::toString(mlirValueGetType(ir::result(op)));
      bool transient = type.rfind("!stream.resource<transient>", 0) == 0;
      slabs += transient;
      sole &= transient || type.rfind("!stream.resource<external>", 0) == 0;
      sole &= mlirOperationEqual(mlirOperationGetParentOperation(op), function);
    }
    sole &= name != "util.call";
  });
  return sole && slabs == 1;
}

/// The formula of the only region that has one.
std::optional<BytesFormula>
soleFormula(const std::vector<RegionReport> &regions) {
  std::optional<BytesFormula> found;
  for (const RegionReport &region : regions) {
    if (region.bytesFormula && found) {
      return std::nullopt;
    }
    found = region.bytesFormula ? region.bytesFormula : found;
  }
  return found;
}

/// The same for the stock module, whose regions may be more than those of the
/// function that has one slab: the largest of its other slabs is beside it.
std::optional<BytesFormula>
stockFormula(const std::vector<RegionReport> &regions) {
  std::optional<BytesFormula> found = soleFormula(regions);
  int64_t others = 0;
  for (const RegionReport &region : regions) {
    others = std::max(others, region.bytesFormula ? 0 : region.slabBytes);
  }
  if (found && others > 0) {
    found->text = "max(" + found->text + ", " + std::to_string(others) + ")";
    found->bytesAtHint = std::max(found->bytesAtHint, others);
    if (found->bytesAtBound) {
      found->bytesAtBound = std::max(*found->bytesAtBound, others);
    }
  }
  return found;
}

/// Where all functions are compiled as stock, their peaks are those of the
/// stock module. The candidate that the others were compared with may have had
/// copies of called functions, which release results that one caller does not
/// read.
void takeStockPeaks(ModuleReport &report) {
  for (const FunctionReport &entry : report.functions) {
    if (!entry.candidates.empty() && !entry.candidates.front().chosen) {
      return;
    }
  }
  for (FunctionReport &entry : report.functions) {
    if (!entry.candidates.empty() && entry.transientPeakBytes) {
      entry.stockTransientPeakBytes = entry.transientPeakBytes;
      entry.candidates.front().transientPeakBytes = entry.transientPeakBytes;
    }
  }
}

} // namespace

void describeFunctions(MlirOperation module, const Options &options,
                       ModuleReport &report) {
  std::map<std::string, std::string> wrapperOf;
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (!ir::isa(function, "util.func")) {
      continue;
    }
    std::string name = ir::stringAttr(function, "sym_name").value_or("");
    ir::walk(function, [&](MlirOperation op) {
      std::string called = ir::calledFunction(op);
      if (called == name + "$async") {
        wrapperOf[called] = name;
      }
    });
  }
  SlabLayout layout;
  layout.algorithm = options.offsets;
  layout.defaultAlignment = options.defaultAlignment;
  layout.timeLimitSeconds = options.searchSeconds();
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
  SharedVariables shared = sharedVariables(module);
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
          exported != functions.end() && declaresInputs(exported->second);
      std::optional<int64_t> inputs =
          inputBytes(declared ? exported->second : function->second);
      entry.transientPeakBytes = std::nullopt;
      entry.overwrittenInputs = overwrittenInputs(module, function->second);
      if (entry.stockCallPeakBytes && inputs) {
        *entry.stockCallPeakBytes += *inputs;
      } else {
        entry.stockCallPeakBytes = std::nullopt;
      }
      if (hasSoleSlab(function->second)) {
        entry.bytesFormula = soleFormula(entry.regions);
        entry.stockBytesFormula = stockFormula(entry.stockRegions);
      }
      if (!memory) {
        forgetPeaksAtHint(entry);
      } else {
        bool history = replacesSome(function->second, shared);
        entry.transientPeakBytes = memory->transientPeakBytes;
        entry.callerArenaBytes = memory->callerArenaBytes;
        entry.peakIsExact = memory->exact && !history;
        entry.peakAllocations = memory->live;
        if (inputs) {
          entry.externalBytes = *inputs + memory->resultBytes;
          if (report.persistentBytes && !history) {
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
  takeStockPeaks(report);
}

} // namespace serenity

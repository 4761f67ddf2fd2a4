// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===----------------------------------------------------------------------===//
// serenity-schedule-regions
//
// Orders the commands of every `stream.async.execute` region so that the
// transient bytes that are live together are least, and decides for every part
// of a concatenation whether it is made in place or copied.
//
// Values that live across the peak are computed again behind it where that
// lowers it: the same commands once more, with `max-recompute` as the limit of
// the multiply-accumulates that are done again (Recompute.h). Slices, which
// IREE merges where they are equal, are made once more for every reader where
// that lowers the peak. With `rewrite=off` nothing is.
//
// Assumes the IR that iree-stream-async-transformation-pipeline leaves, with
// concurrent dispatch groups switched off for the functions concerned: regions
// of `stream.async.*` operations with tied operands. A buffer whose size is
// known only at run time counts as large as it is at the hint (option
// `dim-hint`, else 64 per dimension). A dispatch that accesses a part of
// dynamic offset or size counts as if it accessed the whole buffer. A region
// with any other operation (concurrent dispatch groups, calls, collectives,
// transfers, loads and stores, copies and fills of such parts) is left as it
// is, and a remark says so.
//
// Afterwards every region holds the same commands in the new order, without the
// copies that in-place parts save, some twice; allocas stand just before their
// first user. The region carries `serenity.peak_bytes`,
// `serenity.lower_bound_bytes` and `serenity.optimal`. The peak equals the
// maximum of live bytes of the `stream.resource.pack` that
// iree-stream-schedule-allocation makes of it.
//
// Place in the pipeline: after iree-stream-async-transformation-pipeline,
// before iree-stream-schedule-allocation.
//
//   stream.async.execute with(%x) {            stream.async.execute with(%x) {
//     %a = dispatch @big(%x)   // 4096           %a = dispatch @big(%x)
//     %b = dispatch @big(%x)   // 4096           %0 = dispatch @small(%a)
//     %0 = dispatch @small(%a) // 64       =>    %b = dispatch @big(%x)
//     %1 = dispatch @small(%b) // 64             %1 = dispatch @small(%b)
//     %r = dispatch @add(%0, %1)                 %r = dispatch @add(%0, %1)
//   }                        // 8256           } {serenity.peak_bytes = 4224}
//===----------------------------------------------------------------------===//

#include "serenity/Analysis/ResourceConfig.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/ExternalMemory.h"
#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/RegionSolver.h"
#include "serenity/Transforms/Rewrite/Rewrite.h"

#include <vector>

namespace serenity {

namespace {

RegionReport scheduleRegion(MlirOperation execute,
                            const Executables &executables,
                            const Options &options) {
  RegionReport report;
  report.location = ir::firstPlace(mlirOperationGetLocation(execute));
  ReadRegionResult region = readRegion(execute, executables, options);
  if (!region.model) {
    report.leftAlone = region.reason;
    if (region.dynamicSize && !options.remarkOnDynamicSizes) {
      return report;
    }
    MlirOperation at = region.culprit.ptr ? region.culprit : execute;
    ir::emitRemark(mlirOperationGetLocation(at),
                   "region keeps the order that IREE gave it: " +
                       region.reason);
    return report;
  }
  ResourceConfig config =
      lookupResourceConfig(execute, options.defaultAlignment);
  if (options.reuse) {
    markReusable(*region.model, options.inputs);
  }
  const RegionSolution solution =
      solveRegion(*region.model, options, config, executables);
  for (const RecomputedValue &value : solution.recomputed) {
    report.recomputed.push_back({value.location, value.bytes, value.work});
  }
  report.work = solution.work;
  materialize(*region.model);
  // The solver is not trusted with the meaning of the program.
  if (Status valid =
          verifySchedule(solution.plan.problem, solution.schedule.order);
      !valid) {
    report.leftAlone = "internal error: invalid order: " + valid.message();
    ir::emitWarning(mlirOperationGetLocation(execute), report.leftAlone);
    return report;
  }
  applyPlan(*region.model, solution.plan, solution.schedule.order);
  report.hasSlab = solution.plan.slabBuffers > 0;
  report.predictedBytes = solution.liveBytes;
  report.lowerBoundBytes = solution.lowerBoundBytes;
  report.boundReusableBytes = solution.plan.heldBytes;
  report.boundWithReusableBytes =
      solution.countsHeld ? solution.schedule.lowerBoundBytes : 0;
  report.optimal = solution.optimal();
  report.provedBy = report.optimal ? solution.boundProvedBy : "";
  report.states = solution.schedule.states;
  report.seconds = solution.schedule.seconds;
  attributes::setExactOrder(
      execute, {report.predictedBytes, report.lowerBoundBytes, report.optimal});
  return report;
}

/// A read of contents that `updateInPlace` has let a dispatch overwrite before,
/// in the order that IREE gave a region that is left as it is; null if there is
/// none.
MlirOperation findStaleRead(MlirOperation execute) {
  MlirOperation found = {};
  MlirBlock block = ir::body(execute);
  auto inBlock = [&](MlirOperation op) {
    while (!mlirBlockEqual(mlirOperationGetBlock(op), block)) {
      op = mlirOperationGetParentOperation(op);
    }
    return op;
  };
  ir::walk(execute, [&](MlirOperation writer) {
    MlirAttribute entries = ir::attr(writer, "entry_points");
    if (!ir::isa(writer, "stream.async.dispatch") || ir::isNull(entries) ||
        ir::toString(entries).find(inPlaceSuffix) == std::string::npos) {
      return;
    }
    MlirOperation place = inBlock(writer);
    std::vector<int64_t> segments = ir::operandSegments(writer);
    for (int64_t tied : ir::intArray(ir::attr(writer, "tied_operands"))) {
      if (tied < 0 || segments.size() < 2 || tied >= segments[1]) {
        continue;
      }
      // From a block argument of a concurrent group to the operand that it
      // captures.
      MlirValue value = ir::operand(writer, segments[0] + tied);
      while (mlirValueIsABlockArgument(value) &&
             !mlirBlockEqual(mlirBlockArgumentGetOwner(value), block)) {
        MlirOperation group =
            mlirBlockGetParentOperation(mlirBlockArgumentGetOwner(value));
        value = ir::operand(group, mlirBlockArgumentGetArgNumber(value));
      }
      for (const ir::Use &use : ir::uses(value)) {
        MlirOperation reader = inBlock(use.owner);
        if (!mlirOperationEqual(reader, place) &&
            mlirOperationIsBeforeInBlock(place, reader)) {
          found = use.owner;
        }
      }
    }
  });
  return found;
}

} // namespace

bool runScheduleRegions(MlirOperation module, const Options &options,
                        ModuleReport *report) {
  Executables executables(module);
  for (MlirOperation function : ir::operations(ir::body(module))) {
    // Initializers run once, before the slab of any call exists.
    if (!ir::isa(function, "util.func") && !ir::isa(function, "func.func")) {
      continue;
    }
    if (attributes::keepsStockOrder(function)) {
      continue; // the driver has chosen IREE's order
    }
    std::vector<MlirOperation> regions;
    ir::walk(function, [&](MlirOperation op) {
      if (ir::isa(op, "stream.async.execute")) {
        regions.push_back(op);
      }
    });
    if (regions.empty()) {
      continue;
    }
    std::string name = ir::stringAttr(function, "sym_name").value_or("");
    // One limit of extra work for bands and for values computed again.
    Options limits = options;
    limits.maxRecompute = Share{
        (1 + options.maxRecompute) / (1 + attributes::extraWork(function)) - 1};
    for (MlirOperation region : regions) {
      if (attributes::isScheduled(region)) {
        continue; // done before
      }
      RegionReport entry = scheduleRegion(region, executables, limits);
      MlirOperation stale = entry.leftAlone.empty() ? MlirOperation{nullptr}
                                                    : findStaleRead(region);
      if (stale.ptr) {
        // The driver takes another candidate; a user of the pass gets an error.
        ir::emitError(mlirOperationGetLocation(stale),
                      "reads what was overwritten in place before");
        return false;
      }
      if (report) {
        functionReport(*report, name).regions.push_back(std::move(entry));
      }
    }
  }
  return true;
}

} // namespace serenity

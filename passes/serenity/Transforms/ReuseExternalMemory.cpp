// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// clang-format off
//===----------------------------------------------------------------------===//
// serenity-reuse-external-memory
//
// Places transient buffers in memory that the region holds in any case and does
// not use at the time: that of a result before the result is first written, and
// that of an input after its last read, if the call consumes the input
// (`iree.abi.consume` on the argument, which arrives here as `consume` on
// `stream.tensor.import`, or the option `inputs=overwrite`). A result may lie in
// a consumed input itself: the function returns a view of the caller's buffer
// and allocates nothing for it.
//
// Assumes slabs as iree-stream-schedule-allocation leaves them, before their
// offsets are constants. A result's memory is used where it is allocated for
// this region alone; an input's where nothing but this region looks at the
// argument. Left alone: storage that the caller provides for results
// (`iree.abi.output`), results that are inputs, values between regions, regions
// with commands other than dispatches, copies and fills. Of a slab with slices
// of dynamic size, buffers move to the beginning of results alone, where they
// fit in every call (`ReuseDynamicResults.h`).
//
// Afterwards the buffers that were moved are no slices of
// `stream.resource.pack`: their commands name the result or the input, at a
// multiple of the target's offset alignment. The slab is smaller; where it is
// not, nothing changes. A slab that holds nothing any more is not allocated.
// Lifetimes in the pack are written anew, in commands. The results are bitwise
// the same; inputs that are not consumed are as before the call. Results are
// placed in inputs where that lowers the sum of the slab and the allocated
// results, and where they are no less than a sixteenth of the input, which they
// keep alive. The function's reflection says so to callers of the module:
// `serenity.overwritten_inputs` has numbers of arguments ("0,2"), and
// `serenity.results_in_inputs` a result and its argument each ("0:2").
//
// Place in the pipeline: after iree-stream-schedule-allocation, before
// serenity-waves and serenity-pack.
//
//   pack slices([0, 1] = %c64, [1, 2] = %c64)       // 128 bytes
//   execute with(%result as %r, %slab as %s) {
//     dispatch @a -> %s[slice 0]
//     dispatch @b(%s[slice 0]) -> %s[slice 1]
//     dispatch @c(%s[slice 1]) -> %r[%c0 for %c64]
// =>
//   pack slices([1, 2] = %c64)                      // 64 bytes
//   execute with(%result as %r, %slab as %s) {
//     dispatch @a -> %r[%c0 for %c64]
//     dispatch @b(%r[%c0 for %c64]) -> %s[slice 1]
//     dispatch @c(%s[slice 1]) -> %r[%c0 for %c64]
//===----------------------------------------------------------------------===//
// clang-format on

#include "serenity/Analysis/OverwrittenInputs.h"
#include "serenity/Core/Alignment.h"
#include "serenity/Core/Packing/PackMemo.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Report/SlabCommands.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/ExternalMemory.h"
#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/ResultsInInputs.h"
#include "serenity/Transforms/ReuseDynamicResults.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace serenity {

namespace {

/// Writes an answer of `packBeside` into a region.
class Writer {
public:
  Writer(MlirOperation pack, const PackModel &model,
         const ExternalMemoryModel &region, const BesidePackResult &answer)
      : pack(pack), model(model), region(region), answer(answer),
        constants(region.execute) {}

  void write();

private:
  void captureWhole(const ExternalMemory &memory, int number);
  MlirValue argument(intptr_t capture) const {
    return mlirBlockGetArgument(ir::body(region.execute), capture);
  }
  void removeSlab();

  MlirOperation pack;
  const PackModel &model;
  const ExternalMemoryModel &region;
  const BesidePackResult &answer;
  ir::IndexConstants constants;
};

/// Captures an allocation instead of the views of it, so that a buffer may lie
/// across several results.
void Writer::captureWhole(const ExternalMemory &memory, int number) {
  const intptr_t first = memory.captures.front();
  const bool whole =
      memory.captures.size() == 1 && memory.offsets[0] == 0 &&
      mlirValueEqual(ir::operand(region.execute, first), memory.root);
  if (whole) {
    return;
  }
  for (intptr_t capture : memory.captures) {
    mlirOperationSetOperand(region.execute, capture, memory.root);
    mlirOperationSetOperand(region.execute,
                            captureSize(region.execute, capture), memory.size);
  }
  for (const MemoryUse &use : region.uses) {
    if (use.memory == number) {
      redirect(use, region.execute, memory.captures.front(), memory.size,
               constants.get(use.at));
    }
  }
}

/// Nothing lies in the slab any more.
void Writer::removeSlab() {
  MlirOperation execute = region.execute;
  // The capture becomes one that nothing uses, for IREE to drop.
  const ExternalMemory &other = region.memories.front();
  mlirValueSetType(argument(region.slabCapture), mlirValueGetType(other.root));
  mlirOperationSetOperand(execute, region.slabCapture, other.root);
  mlirOperationSetOperand(execute, captureSize(execute, region.slabCapture),
                          other.size);
  for (const ir::Use &use : ir::uses(ir::result(region.slab, 0))) {
    // resource, size, awaited timepoint
    MlirOperation dealloca = use.owner;
    const intptr_t count = mlirOperationGetNumOperands(dealloca);
    MlirValue reached = ir::operand(dealloca, count - 1);
    if (count < 3) {
      reached = immediateTimepoint(dealloca);
    }
    mlirValueReplaceAllUsesOfWith(ir::result(dealloca), reached);
    ir::erase(dealloca);
  }
  MlirValue ready = ir::result(region.slab, 1);
  if (ir::hasUses(ready)) {
    mlirValueReplaceAllUsesOfWith(ready, immediateTimepoint(region.slab));
  }
  ir::erase(region.slab);
  dropPack(pack);
}

void Writer::write() {
  std::vector<bool> used(region.memories.size(), false);
  for (const RegionPlacement &place : answer.placements) {
    if (place.region >= 0) {
      used[size_t(place.region)] = true;
    }
  }
  for (size_t m = 0; m < used.size(); ++m) {
    if (used[m]) {
      captureWhole(region.memories[m], int(m));
    }
  }
  for (const MemoryUse &use : region.uses) {
    if (use.slice < 0) {
      continue;
    }
    const RegionPlacement &place = answer.placements[size_t(use.slice)];
    if (place.region >= 0) {
      const ExternalMemory &memory = region.memories[size_t(place.region)];
      redirect(use, region.execute, memory.captures.front(), memory.size,
               constants.get(place.offset + use.at));
    }
  }
  std::vector<KeptSlice> kept;
  for (size_t i = 0; i < region.slices.size(); ++i) {
    if (answer.placements[i].region < 0) {
      const Slice &slice = region.slices[i];
      kept.push_back({model.fixed[i], slice.lower, slice.upper - 1});
    }
  }
  if (kept.empty()) {
    removeSlab();
  } else {
    shrinkPack(pack, model, kept);
  }
}

/// Results that share an allocation get their places in it.
void layOutResults(MlirOperation function, const Options &options) {
  std::vector<MlirOperation> packs;
  ir::walk(function, [&](MlirOperation op) {
    if (ir::isa(op, "stream.resource.pack") && !isTransientSlab(op)) {
      packs.push_back(op);
    }
  });
  for (MlirOperation op : packs) {
    std::optional<PackModel> model = readPack(op);
    PackOptions packing = slabPackOptions(op, options);
    if (!model || !model->dynamic.empty() || model->slices.empty() ||
        !verifySlices(model->slices, packing)) {
      continue;
    }
    PackResult laidOut = packOnce(model->slices, packing);
    if (verifyPacking(model->slices, packing, laidOut.offsets)) {
      applyPacking(op, *model, laidOut);
    }
  }
}

/// The first command that writes slice `slice`, by name.
std::string nameOf(const ExternalMemoryModel &region, int slice) {
  for (const MemoryUse &use : region.uses) {
    if (use.slice == slice && commandWrites(use.op, use.resource)) {
      return commandName(use.op);
    }
  }
  return "";
}

void describe(const ExternalMemoryModel &region, const ResultsPlan &plan,
              RegionReport &report) {
  report.hasSlab = false;
  for (const ResultView &view : plan.views) {
    if (view.input >= 0) {
      ReusedMemoryReport moved;
      moved.memory = "input";
      moved.argument = region.memories[size_t(view.input)].argument;
      moved.result = view.number;
      moved.offset = view.offset;
      moved.bytes = view.bytes;
      report.reused.push_back(std::move(moved));
    }
  }
  for (size_t i = 0; i < plan.slab.placements.size(); ++i) {
    const RegionPlacement &place = plan.slab.placements[i];
    if (place.region < 0) {
      report.hasSlab = true;
      continue;
    }
    const ExternalMemory &memory = region.memories[size_t(place.region)];
    ReusedMemoryReport moved;
    moved.name = nameOf(region, int(i));
    moved.memory = memory.isInput ? "input" : "result";
    if (memory.isInput) {
      moved.argument = memory.argument;
    }
    moved.offset = place.offset;
    moved.bytes = region.slices[i].bytes;
    report.reused.push_back(std::move(moved));
  }
}

/// The lower bound of the slab beside the memory that the region has: `plan`
/// leaves less of it than the order was proved for.
void updateLowerBound(const ExternalMemoryModel &region,
                      const ResultsPlan &plan, const PackOptions &packing,
                      RegionReport &report) {
  int64_t reusable = 0;
  for (const FixedRegion &memory : region.regions) {
    report.reusableBytes.push_back(memory.bytes);
    reusable += memory.bytes;
  }
  if (reusable > report.boundReusableBytes) {
    report.lowerBoundBytes = 0; // proved for less memory than there is
    return;
  }
  int64_t left = report.boundReusableBytes;
  for (const ResultView &view : plan.views) {
    left -= view.input < 0 ? 0 : alignUp(view.bytes, packing.rangeAlignment);
  }
  report.lowerBoundBytes =
      std::max(report.lowerBoundBytes, report.boundWithReusableBytes - left);
}

/// What a caller of the module has to know of its function.
struct InputUse {
  std::set<int64_t> overwritten;                  // arguments
  std::set<std::pair<int64_t, int64_t>> resultIn; // result, argument
};

void noteInputs(const ExternalMemoryModel &region, const ResultsPlan &plan,
                InputUse &inputs) {
  for (const RegionPlacement &place : plan.slab.placements) {
    if (place.region >= 0 && region.memories[size_t(place.region)].isInput) {
      inputs.overwritten.insert(region.memories[size_t(place.region)].argument);
    }
  }
  for (const ResultView &view : plan.views) {
    if (view.input >= 0) {
      const int64_t argument = region.memories[size_t(view.input)].argument;
      inputs.overwritten.insert(argument);
      inputs.resultIn.insert({view.number, argument});
    }
  }
}

/// Adds `key` to the reflection dictionary of a function, which the compiled
/// module carries.
void addReflection(MlirOperation function, const std::string &key,
                   const std::string &value) {
  MlirAttribute known = ir::attr(function, "iree.reflection");
  std::string text = ir::isNull(known) ? "{}" : ir::toString(known);
  text.pop_back();
  text += (text.size() > 1 ? ", " : "") + key + " = \"" + value + "\"}";
  MlirAttribute more = mlirAttributeParseGet(mlirOperationGetContext(function),
                                             ir::strRef(text));
  if (!ir::isNull(more)) {
    mlirOperationSetDiscardableAttributeByName(
        function, ir::strRef("iree.reflection"), more);
  }
}

/// Says in the module which inputs a call of `function`, or of the function
/// that wraps it, overwrites.
void reflectInputs(MlirOperation function, const InputUse &inputs) {
  if (inputs.overwritten.empty()) {
    return;
  }
  std::string overwritten;
  for (int64_t argument : inputs.overwritten) {
    overwritten += (overwritten.empty() ? "" : ",") + std::to_string(argument);
  }
  std::string resultIn;
  for (const auto &[result, argument] : inputs.resultIn) {
    resultIn += (resultIn.empty() ? "" : ",") + std::to_string(result) + ":" +
                std::to_string(argument);
  }
  const std::string name = ir::stringAttr(function, "sym_name").value_or("");
  const std::string exported = ir::exportedName(function);
  for (MlirOperation other : ir::operations(mlirOperationGetBlock(function))) {
    const std::string found = ir::stringAttr(other, "sym_name").value_or("");
    if (found != name && found != exported) {
      continue;
    }
    addReflection(other, attributes::kOverwrittenInputs, overwritten);
    if (!resultIn.empty()) {
      addReflection(other, attributes::kResultsInInputs, resultIn);
    }
  }
}

/// Returns the bytes alive together in the slab; nothing if that is not known.
std::optional<int64_t> reuseInRegion(MlirOperation op, const Options &options,
                                     InputUse &inputs, RegionReport *report) {
  std::optional<PackModel> model = readPack(op);
  PackOptions packing = slabPackOptions(op, options);
  if (!model || !verifySlices(model->slices, packing)) {
    return std::nullopt;
  }
  if (!model->dynamic.empty()) {
    return reuseDynamicResults(op, *model, packing, options, report);
  }
  const int64_t alone = maximumLiveBytes(model->slices, packing);
  std::optional<ExternalMemoryModel> region =
      readExternalMemory(op, *model, options.inputs);
  if (!region || !verifySlices(region->slices, packing)) {
    return alone;
  }
  const int64_t before = packOnce(model->slices, packing).heightBytes;
  ResultsPlan plan = planResults(*region, packing, options);
  if (report) {
    updateLowerBound(*region, plan, packing, *report);
  }
  if (plan.slab.slabBytes >= before && plan.movedBytes == 0) {
    return alone;
  }
  if (Status valid = verifyBeside(region->slices, plan.regions, packing,
                                  plan.slab.placements);
      !valid) {
    ir::emitWarning(mlirOperationGetLocation(op),
                    "internal error: invalid placement: " + valid.message());
    return alone;
  }
  if (report) {
    describe(*region, plan, *report);
  }
  noteInputs(*region, plan, inputs);
  moveResults(*region, plan);
  Writer(op, *model, *region, plan.slab).write();
  return plan.slab.liveBytes;
}

/// Returns whether the function has slabs.
bool reuseInFunction(MlirOperation function, const Options &options,
                     InputUse &inputs, ModuleReport *report) {
  std::vector<MlirOperation> slabs;
  ir::walk(function, [&](MlirOperation op) {
    if (ir::isa(op, "stream.resource.pack") && isTransientSlab(op)) {
      slabs.push_back(op);
    }
  });
  if (slabs.empty()) {
    return false;
  }
  layOutResults(function, options);
  FunctionReport *entry = nullptr;
  std::vector<size_t> regionOf;
  if (report) {
    std::string name = ir::stringAttr(function, "sym_name").value_or("");
    entry = &functionReport(*report, name);
    regionOf = regionsOfSlabs(*entry, slabs.size());
  }
  for (size_t i = 0; i < slabs.size(); ++i) {
    RegionReport *region = entry ? &entry->regions[regionOf[i]] : nullptr;
    std::optional<int64_t> liveBytes =
        reuseInRegion(slabs[i], options, inputs, region);
    if (region && liveBytes && region->leftAlone.empty()) {
      region->predictedBytes = *liveBytes;
      region->optimal = *liveBytes <= region->lowerBoundBytes;
      if (!region->optimal) {
        region->provedBy = "";
      } else if (region->provedBy.empty()) {
        region->provedBy = "search"; // of the bound that is met now
      }
    }
  }
  return true;
}

} // namespace

bool runReuseExternalMemory(MlirOperation module, const Options &options,
                            ModuleReport *report) {
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if ((!ir::isa(function, "util.func") && !ir::isa(function, "func.func")) ||
        attributes::keepsStockOffsets(function) ||
        attributes::reusesExternalMemory(function)) {
      continue;
    }
    InputUse inputs;
    const bool hasSlabs = reuseInFunction(function, options, inputs, report);
    // In-place results have written over inputs before.
    for (int64_t argument : overwrittenInputs(module, function)) {
      inputs.overwritten.insert(argument);
    }
    reflectInputs(function, inputs);
    if (hasSlabs || !inputs.overwritten.empty()) {
      attributes::setReusesExternalMemory(function);
    }
  }
  return true;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===----------------------------------------------------------------------===//
// serenity-pack
//
// Lays the slices of every `stream.resource.pack` out so that the slab is as
// small as the live bytes demand, where IREE's own packer takes the first gap
// that fits in program order.
//
// Assumes packs with constant lifetime intervals, as
// iree-stream-schedule-allocation makes them.
//
// Slices of dynamic size are laid out by their stacking order in the best
// layout at a hint (option `dim-hint`, else 64 per dimension): each begins at
// the largest end of those below it, an expression over the sizes. No two
// slices that are alive together overlap, whatever the sizes are. Where the
// total is not known to be at most that of IREE's layout for all sizes, both
// are computed and the smaller one is taken at run time. If nothing is gained
// at the hint, the dynamic slices stay in a pack of their own behind the static
// part, for IREE to lay out.
//
// Afterwards the offsets and the total length are constants if all slices are
// static, else arithmetic on their sizes; every offset is a multiple of the
// target's offset alignment and the total of its range alignment.
//
// Place in the pipeline: after iree-stream-schedule-allocation, before
// iree-stream-cmd-transformation-pipeline (which holds
// iree-stream-layout-slices).
//
//   %total, %a, %b, %c = stream.resource.pack slices({
//     [0, 1] = %c64, [1, 3] = %c128, [2, 3] = %c64 }) : index
// =>
//   %total = 192, %a = 0, %b = 64, %c = 0
//
// and with a dimension %d
//
//   %total, %a, %b, %c = stream.resource.pack slices({
//     [0, 1] = %d * 1024, [1, 2] = %d * 512, [2, 3] = %d * 256 }) : index
// =>
//   %total = %d * 1536, %a = 0, %b = %d * 1024, %c = 0
//===----------------------------------------------------------------------===//

#include "serenity/Analysis/ResourceConfig.h"
#include "serenity/Core/Alignment.h"
#include "serenity/Core/Packing/PackMemo.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Report/BindingTypes.h"
#include "serenity/Report/SlabCommands.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/PackDynamic.h"
#include "serenity/Transforms/PackModel.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>
#include <limits>

namespace serenity {

std::optional<PackModel> readPack(MlirOperation op) {
  PackModel model;
  std::vector<int64_t> segments = ir::operandSegments(op);
  std::vector<MlirValue> operands = ir::operands(op);
  if (segments.size() != 2 || segments[0] > 1 ||
      segments[0] + segments[1] != int64_t(operands.size())) {
    return std::nullopt;
  }
  if (segments[0] == 1) {
    model.offset = operands[0];
  }
  model.sizes.assign(operands.begin() + segments[0], operands.end());
  model.intervals = ir::intArray(ir::attr(op, "lifetime_intervals"));
  if (model.intervals.size() != 2 * model.sizes.size() ||
      mlirOperationGetNumResults(op) != intptr_t(model.sizes.size()) + 1) {
    return std::nullopt;
  }
  for (size_t i = 0; i < model.sizes.size(); ++i) {
    if (model.intervals[2 * i + 1] == std::numeric_limits<int64_t>::max()) {
      return std::nullopt; // No step follows, which the slice would end at.
    }
    std::optional<int64_t> bytes = ir::constantInt(model.sizes[i]);
    if (!bytes) {
      model.dynamic.push_back(i);
      continue;
    }
    if (*bytes == 0) {
      model.empty.push_back(i);
      continue;
    }
    Slice slice;
    slice.lower = model.intervals[2 * i];
    slice.upper = model.intervals[2 * i + 1] + 1;
    slice.bytes = *bytes; // A negative size is for `verifySlices` to find.
    model.fixed.push_back(i);
    model.slices.push_back(slice);
  }
  return model;
}

std::vector<size_t> regionsOfSlabs(FunctionReport &function, size_t slabs) {
  // Regions that need memory and slabs come in the same order.
  std::vector<size_t> regionOf;
  for (size_t i = 0; i < function.regions.size(); ++i) {
    if (function.regions[i].hasSlab || !function.regions[i].leftAlone.empty()) {
      regionOf.push_back(i);
    }
  }
  if (regionOf.size() == slabs) {
    return regionOf;
  }
  std::vector<RegionReport> old = std::move(function.regions);
  function.regions.assign(slabs, RegionReport());
  regionOf.clear();
  for (size_t i = 0; i < slabs; ++i) {
    regionOf.push_back(i);
    function.regions[i].hasSlab = true;
    for (const RegionReport &region : old) {
      if (!region.leftAlone.empty()) {
        function.regions[i].leftAlone = region.leftAlone;
      }
    }
  }
  return regionOf;
}

bool isTransientSlab(MlirOperation pack) {
  for (const ir::Use &use : ir::uses(ir::result(pack, 0))) {
    if (ir::isa(use.owner, "stream.resource.alloca") &&
        ir::toString(mlirValueGetType(ir::result(use.owner, 0)))
                .rfind("!stream.resource<transient>", 0) == 0) {
      return true;
    }
  }
  return false;
}

PackOptions slabPackOptions(MlirOperation pack, const Options &options) {
  ResourceConfig config = lookupResourceConfig(pack, options.defaultAlignment);
  PackOptions packing;
  packing.algorithm = options.offsets;
  packing.timeLimitSeconds = options.searchSeconds();
  packing.nodeLimit =
      options.stateLimit ? options.stateLimit : options.packNodeLimit;
  packing.offsetAlignment = config.offsetAlignment;
  packing.rangeAlignment = config.rangeAlignment;
  if (options.cancelled) {
    packing.onProgress = [&options] { return !options.cancelled(); };
  }
  return packing;
}

namespace {

MlirValue addOffset(MlirOperation before, MlirValue base, MlirValue value) {
  MlirOperation sum = ir::create("arith.addi", mlirOperationGetLocation(before),
                                 {base, value}, {mlirValueGetType(value)});
  ir::insertBefore(before, sum);
  return ir::result(sum);
}

/// SSA values for the results of `op`, the total first: constants for the
/// static slices, a pack of their own behind them for the dynamic ones.
std::vector<MlirValue> writeStaticLayout(MlirOperation op,
                                         const PackModel &model,
                                         const PackResult &packing) {
  ir::IndexConstants constants(op);
  auto at = [&](int64_t bytes) {
    MlirValue value = constants.get(bytes);
    return model.offset ? addOffset(op, *model.offset, value) : value;
  };
  std::vector<MlirValue> values(model.sizes.size() + 1);
  for (size_t i = 0; i < model.fixed.size(); ++i) {
    values[model.fixed[i] + 1] = at(packing.offsets[i]);
  }
  for (size_t i : model.empty) {
    values[i + 1] = at(0);
  }
  values[0] = at(packing.heightBytes);
  if (model.dynamic.empty()) {
    return values;
  }
  MlirContext context = mlirOperationGetContext(op);
  MlirType index = mlirIndexTypeGet(context);
  std::vector<MlirValue> operands = {values[0]};
  std::vector<MlirAttribute> intervals;
  for (size_t i : model.dynamic) {
    operands.push_back(model.sizes[i]);
    intervals.push_back(mlirIntegerAttrGet(index, model.intervals[2 * i]));
    intervals.push_back(mlirIntegerAttrGet(index, model.intervals[2 * i + 1]));
  }
  std::vector<int32_t> segments = {1, int32_t(model.dynamic.size())};
  std::vector<ir::NamedAttr> attrs = {
      {"lifetime_intervals",
       mlirArrayAttrGet(context, intervals.size(), intervals.data())},
      {"operandSegmentSizes",
       mlirDenseI32ArrayGet(context, 2, segments.data())}};
  MlirAttribute affinity = ir::attr(op, "affinity");
  if (!ir::isNull(affinity)) {
    attrs.push_back({"affinity", affinity});
  }
  std::vector<MlirType> types(model.dynamic.size() + 1, index);
  MlirOperation rest =
      ir::create("stream.resource.pack", mlirOperationGetLocation(op), operands,
                 types, attrs);
  ir::insertBefore(op, rest);
  for (size_t i = 0; i < model.dynamic.size(); ++i) {
    values[model.dynamic[i] + 1] = ir::result(rest, intptr_t(i) + 1);
  }
  values[0] = ir::result(rest, 0);
  return values;
}

/// `smaller` where its total is at most that of `other` at run time.
std::vector<MlirValue> selectSmaller(MlirOperation op,
                                     const std::vector<MlirValue> &smaller,
                                     const std::vector<MlirValue> &other) {
  MlirContext context = mlirOperationGetContext(op);
  MlirLocation location = mlirOperationGetLocation(op);
  constexpr int64_t unsignedAtMost = 7; // arith::CmpIPredicate::ule
  MlirOperation compare = ir::create(
      "arith.cmpi", location, {smaller[0], other[0]},
      {mlirIntegerTypeGet(context, 1)},
      {{"predicate",
        mlirIntegerAttrGet(mlirIntegerTypeGet(context, 64), unsignedAtMost)}});
  ir::insertBefore(op, compare);
  std::vector<MlirValue> chosen;
  for (size_t i = 0; i < smaller.size(); ++i) {
    MlirOperation select = ir::create(
        "arith.select", location, {ir::result(compare), smaller[i], other[i]},
        {mlirValueGetType(smaller[i])});
    ir::insertBefore(op, select);
    chosen.push_back(ir::result(select));
  }
  return chosen;
}

/// Replaces `op` by the layout that was found.
void applyPacking(MlirOperation op, const PackModel &model,
                  const PackResult &packing,
                  const std::optional<DynamicLayout> &dynamic) {
  std::vector<MlirValue> values;
  if (!dynamic || !dynamic->neverLarger) {
    values = writeStaticLayout(op, model, packing);
  }
  if (dynamic && dynamic->own) {
    std::vector<MlirValue> own = writeDynamicLayout(op, model, *dynamic);
    ir::IndexConstants constants(op);
    for (MlirValue &value : own) {
      value = value.ptr ? value : constants.get(0);
      value = model.offset ? addOffset(op, *model.offset, value) : value;
    }
    values = values.empty() ? own : selectSmaller(op, own, values);
  }
  for (size_t i = 0; i < values.size(); ++i) {
    mlirValueReplaceAllUsesOfWith(ir::result(op, intptr_t(i)), values[i]);
  }
  ir::erase(op);
}

} // namespace

void applyPacking(MlirOperation op, const PackModel &model,
                  const PackResult &packing) {
  applyPacking(op, model, packing, std::nullopt);
}

void shrinkPack(MlirOperation op, const PackModel &model,
                const std::vector<KeptSlice> &kept) {
  MlirContext context = mlirOperationGetContext(op);
  MlirType index = mlirIndexTypeGet(context);
  std::vector<MlirValue> sizes;
  std::vector<MlirAttribute> intervals;
  for (const KeptSlice &slice : kept) {
    sizes.push_back(model.sizes[slice.number]);
    intervals.push_back(mlirIntegerAttrGet(index, slice.first));
    intervals.push_back(mlirIntegerAttrGet(index, slice.last));
  }
  std::vector<int32_t> segments = {0, int32_t(sizes.size())};
  std::vector<ir::NamedAttr> attrs = {
      {"lifetime_intervals",
       mlirArrayAttrGet(context, intptr_t(intervals.size()), intervals.data())},
      {"operandSegmentSizes",
       mlirDenseI32ArrayGet(context, 2, segments.data())}};
  MlirAttribute affinity = ir::attr(op, "affinity");
  if (!ir::isNull(affinity)) {
    attrs.push_back({"affinity", affinity});
  }
  MlirOperation smaller =
      ir::create("stream.resource.pack", mlirOperationGetLocation(op), sizes,
                 std::vector<MlirType>(sizes.size() + 1, index), attrs);
  ir::insertBefore(op, smaller);
  mlirValueReplaceAllUsesOfWith(ir::result(op, 0), ir::result(smaller, 0));
  for (size_t i = 0; i < kept.size(); ++i) {
    mlirValueReplaceAllUsesOfWith(ir::result(op, intptr_t(kept[i].number) + 1),
                                  ir::result(smaller, intptr_t(i) + 1));
  }
  dropPack(op);
}

void dropPack(MlirOperation op) {
  ir::IndexConstants constants(op);
  for (intptr_t i = 1; i < mlirOperationGetNumResults(op); ++i) {
    if (ir::hasUses(ir::result(op, i))) {
      mlirValueReplaceAllUsesOfWith(ir::result(op, i), constants.get(0));
    }
  }
  ir::erase(op);
}

namespace {

/// Bytes live at every step, sizes rounded as the slab rounds them.
std::vector<int64_t> liveBytes(const std::vector<Slice> &slices,
                               int64_t rangeAlignment) {
  int64_t steps = 0;
  for (const Slice &slice : slices) {
    steps = std::max(steps, slice.upper);
  }
  // Closed by construction, but intervals in hand-written IR may be anything.
  if (steps <= 0 || steps > (int64_t(1) << 24)) {
    return {};
  }
  std::vector<int64_t> live(steps + 1, 0);
  for (const Slice &slice : slices) {
    int64_t bytes = alignUp(slice.bytes, rangeAlignment);
    live[std::max<int64_t>(slice.lower, 0)] += bytes;
    live[slice.upper] -= bytes;
  }
  for (size_t i = 1; i < live.size(); ++i) {
    live[i] += live[i - 1];
  }
  live.pop_back();
  return live;
}

/// A slab in numbers: at the hints, where sizes are known only at run time.
struct SlabNumbers {
  std::vector<Slice> slices;
  /// Of the slices: their numbers in the pack, and offsets; empty: IREE's.
  std::vector<size_t> numbers;
  std::vector<int64_t> offsets;
  int64_t bytes = 0;
  bool optimal = false;
};

SlabNumbers numbersOf(const PackModel &model, const PackResult &packing) {
  return {model.slices, model.fixed, packing.offsets, packing.heightBytes,
          packing.optimal};
}

SlabNumbers numbersOf(const PackModel &model, const DynamicLayout &layout) {
  SlabNumbers found;
  for (size_t i = 0; i < layout.slices.size(); ++i) {
    size_t number = layout.slices[i];
    Slice slice;
    slice.lower = model.intervals[2 * number];
    slice.upper = model.intervals[2 * number + 1] + 1;
    slice.bytes = layout.bytesOfSliceAtHint[i];
    found.slices.push_back(slice);
  }
  found.bytes = layout.bytesAtHint();
  if (layout.own) {
    found.numbers = layout.slices;
    found.offsets = layout.own->offsetsAtHint;
    found.optimal = layout.own->optimalAtHint;
  }
  return found;
}

void fillReport(RegionReport &region, MlirOperation function, MlirOperation op,
                const SlabNumbers &slab, const PackOptions &options,
                const BindingTypes *types) {
  region.slabBytes = slab.bytes;
  region.rangeAlignment = options.rangeAlignment;
  region.offsetsOptimal = slab.optimal;
  region.liveBytes = liveBytes(slab.slices, options.rangeAlignment);
  region.buffers.clear();
  for (size_t i = 0; i < slab.offsets.size(); ++i) {
    BufferReport buffer;
    buffer.name = "slice " + std::to_string(slab.numbers[i]);
    buffer.first = slab.slices[i].lower;
    buffer.last = slab.slices[i].upper - 1;
    buffer.bytes = slab.slices[i].bytes;
    buffer.offset = slab.offsets[i];
    region.buffers.push_back(buffer);
  }
  describeCommands(function, op, slab.numbers, region, types);
  if (region.predictedBytes == 0 || !region.leftAlone.empty()) {
    region.predictedBytes = maximumLiveBytes(slab.slices, options);
  }
  if (region.location.empty()) {
    region.location = ir::firstPlace(mlirOperationGetLocation(op));
  }
}

/// The packs of one function, and where they stand in the report.
class FunctionPacker {
public:
  FunctionPacker(MlirOperation function, const Options &options,
                 ModuleReport *report, const BindingTypes *types)
      : function(function), options(options), types(types) {
    ir::walk(function, [&](MlirOperation op) {
      if (ir::isa(op, "stream.resource.pack")) {
        packs.push_back(op);
      }
    });
    if (report && !packs.empty()) {
      entry = &functionReport(
          *report, ir::stringAttr(function, "sym_name").value_or(""));
      matchRegions();
    }
  }

  void run() {
    size_t slab = 0;
    for (MlirOperation op : packs) {
      bool transient = isTransientSlab(op);
      size_t index = transient ? slab++ : 0;
      RegionReport *region =
          entry && transient ? &entry->regions[regionOf[index]] : nullptr;
      if (Status status = runOn(op, region); !status) {
        ir::emitRemark(mlirOperationGetLocation(op),
                       "slices keep the offsets that IREE gives them: " +
                           status.message());
      }
    }
  }

private:
  void matchRegions();
  Status runOn(MlirOperation op, RegionReport *region);

  MlirOperation function;
  const Options &options;
  const BindingTypes *types;
  std::vector<MlirOperation> packs;
  FunctionReport *entry = nullptr;
  std::vector<size_t> regionOf; // by slab
};

void FunctionPacker::matchRegions() {
  entry->initializer = ir::isa(function, "util.initializer");
  regionOf = regionsOfSlabs(
      *entry,
      size_t(std::count_if(packs.begin(), packs.end(), isTransientSlab)));
}

/// Lays one pack out. Fails if it stays as it is.
Status FunctionPacker::runOn(MlirOperation op, RegionReport *region) {
  std::optional<PackModel> model = readPack(op);
  if (!model) {
    return Status::failure(
        "their operands or lifetimes are not those expected");
  }
  PackOptions packOptions = slabPackOptions(op, options);
  if (attributes::keepsStockOffsets(function)) {
    packOptions.algorithm = PackAlgorithm::Iree;
  }
  if (Status valid = verifySlices(model->slices, packOptions); !valid) {
    return valid;
  }
  PackResult packing = packOnce(model->slices, packOptions);
  if (Status valid = verifyPacking(model->slices, packOptions, packing.offsets);
      !valid) {
    ir::emitWarning(mlirOperationGetLocation(op),
                    "internal error: invalid offsets: " + valid.message());
    return Status::success();
  }
  bool stock = packOptions.algorithm == PackAlgorithm::Iree;
  std::optional<DynamicLayout> dynamic;
  if (!model->dynamic.empty()) {
    dynamic = layOutDynamic(*model, packing.heightBytes, packOptions, options);
  }
  if (region && dynamic) {
    fillReport(*region, function, op, numbersOf(*model, *dynamic), packOptions,
               types);
    region->bytesFormula = formulaOf(*dynamic);
  } else if (region && !(model->slices.empty() && model->empty.empty())) {
    fillReport(*region, function, op, numbersOf(*model, packing), packOptions,
               types);
  }
  if (model->slices.empty() && model->empty.empty() &&
      !(dynamic && dynamic->own)) {
    return options.remarkOnDynamicSizes && !stock
               ? Status::failure(
                     "all sizes are dynamic, and no layout is smaller")
               : Status::success();
  }
  // IREE's own offsets: predicted above, laid out by IREE.
  if (!stock) {
    applyPacking(op, *model, packing, dynamic);
  }
  return Status::success();
}

} // namespace

bool runPack(MlirOperation module, const Options &options,
             ModuleReport *report) {
  std::optional<BindingTypes> types;
  if (report) {
    types.emplace(module);
  }
  for (MlirOperation function : ir::operations(ir::body(module))) {
    FunctionPacker(function, options, report, types ? &*types : nullptr).run();
  }
  return true;
}

} // namespace serenity

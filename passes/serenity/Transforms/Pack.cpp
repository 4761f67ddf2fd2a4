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
// iree-stream-schedule-allocation makes them. Slices of dynamic size stay in a
// pack of their own behind the static part, for IREE to lay out.
//
// Afterwards the offsets and the total length of the static slices are
// constants; every offset is a multiple of the target's offset alignment and
// the total of its range alignment.
//
// Place in the pipeline: after iree-stream-schedule-allocation, before
// iree-stream-cmd-transformation-pipeline (which holds
// iree-stream-layout-slices).
//
//   %total, %a, %b, %c = stream.resource.pack slices({
//     [0, 1] = %c64, [1, 3] = %c128, [2, 3] = %c64 }) : index
// =>
//   %total = 192, %a = 0, %b = 64, %c = 0
//===----------------------------------------------------------------------===//

#include "serenity/Analysis/ResourceConfig.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Report/SlabCommands.h"
#include "serenity/Transforms/Attributes.h"
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

/// Replaces the static part of `op` by constants.
void applyPacking(MlirOperation op, const PackModel &model,
                  const PackResult &packing) {
  ir::IndexConstants constants(op);
  auto at = [&](int64_t bytes) {
    MlirValue value = constants.get(bytes);
    return model.offset ? addOffset(op, *model.offset, value) : value;
  };
  for (size_t i = 0; i < model.fixed.size(); ++i) {
    mlirValueReplaceAllUsesOfWith(ir::result(op, intptr_t(model.fixed[i]) + 1),
                                  at(packing.offsets[i]));
  }
  for (size_t i : model.empty) {
    mlirValueReplaceAllUsesOfWith(ir::result(op, intptr_t(i) + 1), at(0));
  }
  MlirValue total = at(packing.heightBytes);
  if (!model.dynamic.empty()) {
    MlirContext context = mlirOperationGetContext(op);
    MlirType index = mlirIndexTypeGet(context);
    std::vector<MlirValue> operands = {total};
    std::vector<MlirAttribute> intervals;
    for (size_t i : model.dynamic) {
      operands.push_back(model.sizes[i]);
      intervals.push_back(mlirIntegerAttrGet(index, model.intervals[2 * i]));
      intervals.push_back(
          mlirIntegerAttrGet(index, model.intervals[2 * i + 1]));
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
        ir::create("stream.resource.pack", mlirOperationGetLocation(op),
                   operands, types, attrs);
    ir::insertBefore(op, rest);
    for (size_t i = 0; i < model.dynamic.size(); ++i) {
      mlirValueReplaceAllUsesOfWith(
          ir::result(op, intptr_t(model.dynamic[i]) + 1),
          ir::result(rest, intptr_t(i) + 1));
    }
    total = ir::result(rest, 0);
  }
  mlirValueReplaceAllUsesOfWith(ir::result(op, 0), total);
  ir::erase(op);
}

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
    int64_t bytes =
        (slice.bytes + rangeAlignment - 1) / rangeAlignment * rangeAlignment;
    live[std::max<int64_t>(slice.lower, 0)] += bytes;
    live[slice.upper] -= bytes;
  }
  for (size_t i = 1; i < live.size(); ++i) {
    live[i] += live[i - 1];
  }
  live.pop_back();
  return live;
}

void fillReport(RegionReport &region, MlirOperation function, MlirOperation op,
                const PackModel &model, const PackResult &packing,
                int64_t rangeAlignment) {
  const std::vector<Slice> &slices = model.slices;
  region.slabBytes = packing.heightBytes;
  region.rangeAlignment = rangeAlignment;
  region.offsetsOptimal = packing.optimal;
  region.liveBytes = liveBytes(slices, rangeAlignment);
  region.buffers.clear();
  for (size_t i = 0; i < slices.size(); ++i) {
    BufferReport buffer;
    buffer.name = "slice " + std::to_string(model.fixed[i]);
    buffer.first = slices[i].lower;
    buffer.last = slices[i].upper - 1;
    buffer.bytes = slices[i].bytes;
    buffer.offset = packing.offsets[i];
    region.buffers.push_back(buffer);
  }
  describeCommands(function, op, model.fixed, region);
}

} // namespace

bool runPack(MlirOperation module, const Options &options,
             ModuleReport *report) {
  for (MlirOperation function : ir::operations(ir::body(module))) {
    std::vector<MlirOperation> packs;
    ir::walk(function, [&](MlirOperation op) {
      if (ir::isa(op, "stream.resource.pack")) {
        packs.push_back(op);
      }
    });
    if (packs.empty()) {
      continue;
    }
    std::string name = ir::stringAttr(function, "sym_name").value_or("");
    std::vector<MlirOperation> slabs;
    for (MlirOperation pack : packs) {
      if (isTransientSlab(pack)) {
        slabs.push_back(pack);
      }
    }
    // Regions that need memory and slabs come in the same order.
    FunctionReport *entry = nullptr;
    std::vector<size_t> regionOf;
    if (report) {
      entry = &functionReport(*report, name);
      entry->initializer = ir::isa(function, "util.initializer");
      for (size_t i = 0; i < entry->regions.size(); ++i) {
        if (entry->regions[i].predictedBytes > 0 ||
            !entry->regions[i].leftAlone.empty()) {
          regionOf.push_back(i);
        }
      }
      if (regionOf.size() != slabs.size()) {
        std::vector<RegionReport> old = std::move(entry->regions);
        entry->regions.assign(slabs.size(), RegionReport());
        regionOf.clear();
        for (size_t i = 0; i < slabs.size(); ++i) {
          regionOf.push_back(i);
          for (const RegionReport &region : old) {
            if (!region.leftAlone.empty()) {
              entry->regions[i].leftAlone = region.leftAlone;
            }
          }
        }
      }
    }
    size_t slab = 0;
    for (MlirOperation op : packs) {
      bool transient = isTransientSlab(op);
      size_t index = transient ? slab++ : 0;
      std::optional<PackModel> model = readPack(op);
      if (!model) {
        ir::emitRemark(mlirOperationGetLocation(op),
                       "slices keep the offsets that IREE gives them: their "
                       "operands or lifetimes are not those expected");
        continue;
      }
      if (model->slices.empty() && model->empty.empty()) {
        if (options.remarkOnDynamicSizes) {
          ir::emitRemark(mlirOperationGetLocation(op),
                         "slices keep the offsets that IREE gives them: all "
                         "sizes are dynamic");
        }
        continue;
      }
      PackOptions packOptions = slabPackOptions(op, options);
      if (attributes::keepsStockOffsets(function)) {
        packOptions.algorithm = PackAlgorithm::Iree;
      }
      if (Status valid = verifySlices(model->slices, packOptions); !valid) {
        ir::emitRemark(mlirOperationGetLocation(op),
                       "slices keep the offsets that IREE gives them: " +
                           valid.message());
        continue;
      }
      PackResult packing = pack(model->slices, packOptions);
      if (Status valid =
              verifyPacking(model->slices, packOptions, packing.offsets);
          !valid) {
        ir::emitWarning(mlirOperationGetLocation(op),
                        "internal error: invalid offsets: " + valid.message());
        continue;
      }
      if (report && transient) {
        RegionReport &region = entry->regions[regionOf[index]];
        fillReport(region, function, op, *model, packing,
                   packOptions.rangeAlignment);
        if (region.predictedBytes == 0 || !region.leftAlone.empty()) {
          region.predictedBytes = maximumLiveBytes(model->slices, packOptions);
          if (region.location.empty()) {
            region.location = ir::firstPlace(mlirOperationGetLocation(op));
          }
        }
      }
      // IREE's own offsets: predicted above, laid out by IREE.
      if (packOptions.algorithm != PackAlgorithm::Iree) {
        applyPacking(op, *model, packing);
      }
    }
  }
  return true;
}

} // namespace serenity

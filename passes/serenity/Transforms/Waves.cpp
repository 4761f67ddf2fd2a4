// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// clang-format off
//===----------------------------------------------------------------------===//
// serenity-waves
//
// Lets neighbouring commands that do not depend on one another run at the same
// time (`stream.cmd.concurrent`) where that costs no byte of the slab. Such a
// concurrent dispatch group is a wave in IREE's concurrency scheduling.
//
// Assumes regions in the order of serenity-schedule-regions, one command after
// the other, as iree-stream-schedule-allocation leaves them. All buffers of the
// commands of a group are live together, so the lifetimes in
// `stream.resource.pack` are rewritten in steps of groups. A command joins the
// group before it only if neither the live bytes of any step nor the slab grow;
// the search for offsets decides about the slab.
//
// Afterwards no command of a group writes bytes that another one touches.
// Functions that keep the stock order (`serenity.variant`), regions that have
// groups already, and regions with commands other than dispatches, copies and
// fills are not changed.
//
// Place in the pipeline: after iree-stream-schedule-allocation, before
// serenity-pack.
//
//   pack slices([0, 1] = %c64, [1, 3] = %c64, [2, 3] = %c64)
//   dispatch @a -> slice 0
//   dispatch @b(slice 0) -> slice 1
//   dispatch @c -> slice 2
//   dispatch @d(slice 1, slice 2)
// =>
//   pack slices([0, 1] = %c64, [1, 2] = %c64, [1, 2] = %c64)
//   dispatch @a -> slice 0
//   concurrent { dispatch @b(slice 0) -> slice 1
//                dispatch @c -> slice 2 }
//   dispatch @d(slice 1, slice 2)
//===----------------------------------------------------------------------===//
// clang-format on

#include "serenity/Core/Packing/PackMemo.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Report/SlabCommands.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/PackModel.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace serenity {

namespace {

/// Searches for offsets per region; beyond it the groups found so far. Fewer
/// where there are many buffers, each of which every search touches.
constexpr int64_t maxPackings = 512;
constexpr int64_t maxPackedBuffers = int64_t(1) << 22;
/// Limit of one of them, in nodes times buffers.
constexpr int64_t packWork = 100000;

bool overlap(const AccessReport &a, const AccessReport &b) {
  if (!a.offset || !a.bytes || !b.offset || !b.bytes) {
    return true; // not constant
  }
  return *a.offset < *b.offset + *b.bytes && *b.offset < *a.offset + *a.bytes;
}

/// Whether one of the commands writes bytes that the other one accesses.
class Conflicts {
public:
  explicit Conflicts(const RegionReport &region) : region(region) {}

  bool between(const OperationReport &a, const OperationReport &b) const {
    return writesInto(a, b) || writesInto(b, a);
  }

private:
  bool writesInto(const OperationReport &a, const OperationReport &b) const {
    for (const AccessReport &def : a.defs) {
      for (const auto *list : {&b.uses, &b.defs}) {
        for (const AccessReport &other : *list) {
          if (def.buffer == other.buffer && overlap(def, other)) {
            return true;
          }
        }
      }
    }
    for (const AccessReport &def : a.externalDefs) {
      for (const auto *list : {&b.externalUses, &b.externalDefs}) {
        for (const AccessReport &other : *list) {
          if (def.buffer == other.buffer
                  ? overlap(def, other)
                  : mayAlias(region.externals[size_t(def.buffer)],
                             region.externals[size_t(other.buffer)])) {
            return true;
          }
        }
      }
    }
    return false;
  }
  /// Allocations of the function and arguments are apart, as IREE takes them to
  /// be; views of a resource and variables may be parts of one another.
  static bool mayAlias(const ExternalReport &a, const ExternalReport &b) {
    auto isView = [](const ExternalReport &external) {
      return external.kind == "other" || external.kind == "variable";
    };
    return a.kind != "constant" && b.kind != "constant" &&
           (isView(a) || isView(b));
  }

  const RegionReport &region;
};

/// The region of a slab, with its commands.
struct SlabRegion {
  MlirOperation execute = {};
  std::vector<MlirOperation> commands;
  RegionReport report; // with one operation per command
};

/// Nothing if groups are not to be formed there.
std::optional<SlabRegion> readSlabRegion(MlirOperation function,
                                         MlirOperation pack,
                                         const PackModel &model) {
  SlabRegion region;
  // The slab is captured by the region it was made for.
  for (const ir::Use &use : ir::uses(ir::result(pack, 0))) {
    if (!ir::isa(use.owner, "stream.resource.alloca")) {
      continue;
    }
    for (const ir::Use &capture : ir::uses(ir::result(use.owner, 0))) {
      if (!ir::isa(capture.owner, "stream.cmd.execute")) {
        continue;
      }
      if (!ir::isNull(region.execute) &&
          !mlirOperationEqual(region.execute, capture.owner)) {
        return std::nullopt;
      }
      region.execute = capture.owner;
    }
  }
  if (ir::isNull(region.execute)) {
    return std::nullopt;
  }
  for (MlirOperation op : ir::operations(ir::body(region.execute))) {
    std::string_view name = ir::name(op);
    if (name.substr(0, 11) != "stream.cmd.") {
      continue;
    }
    if (name != "stream.cmd.dispatch" && name != "stream.cmd.copy" &&
        name != "stream.cmd.fill") {
      return std::nullopt;
    }
    for (MlirValue operand : ir::operands(op)) {
      bool isResource = ir::toString(mlirValueGetType(operand))
                            .rfind("!stream.resource", 0) == 0;
      if (isResource && !mlirValueIsABlockArgument(operand)) {
        return std::nullopt; // nothing is known about it
      }
    }
    region.commands.push_back(op);
  }
  for (const Slice &slice : model.slices) {
    BufferReport buffer;
    buffer.first = slice.lower;
    buffer.last = slice.upper - 1;
    buffer.bytes = slice.bytes;
    region.report.buffers.push_back(buffer);
  }
  describeCommands(function, pack, model.fixed, region.report);
  if (region.report.operations.size() != region.commands.size()) {
    return std::nullopt;
  }
  return region;
}

/// Forms the groups of one region.
class GroupBuilder {
public:
  GroupBuilder(const SlabRegion &region, const PackModel &model,
               const PackOptions &packing)
      : region(region), slices(model.slices), packing(packing) {}

  /// Per command, the number of its group; empty if there is no group of two.
  std::vector<int> build();
  const std::vector<Slice> &packedSlices() const { return slices; }

private:
  /// Lifetimes in steps of groups; false if a slice has no command.
  bool lifetimes(const std::vector<int> &groups,
                 std::vector<Slice> &found) const;
  /// Per command, whether it joins the group before it. `offsets` are those
  /// without groups.
  std::vector<bool> findJoins(int64_t slabBytes,
                              std::vector<int64_t> offsets) const;

  const SlabRegion &region;
  std::vector<Slice> slices;
  PackOptions packing;
};

bool GroupBuilder::lifetimes(const std::vector<int> &groups,
                             std::vector<Slice> &found) const {
  found = slices;
  for (Slice &slice : found) {
    slice.lower = INT64_MAX;
    slice.upper = -1;
  }
  for (size_t i = 0; i < groups.size(); ++i) {
    const OperationReport &operation = region.report.operations[i];
    for (const auto *list : {&operation.uses, &operation.defs}) {
      for (const AccessReport &access : *list) {
        Slice &slice = found[size_t(access.buffer)];
        slice.lower = std::min<int64_t>(slice.lower, groups[i]);
        slice.upper = std::max<int64_t>(slice.upper, groups[i] + 1);
      }
    }
  }
  return std::all_of(found.begin(), found.end(),
                     [](const Slice &slice) { return slice.upper > 0; });
}

/// Numbers of the groups that `joins` makes.
std::vector<int> numberGroups(const std::vector<bool> &joins) {
  std::vector<int> groups(joins.size());
  for (size_t i = 1; i < joins.size(); ++i) {
    groups[i] = groups[i - 1] + (joins[i] ? 0 : 1);
  }
  return groups;
}

/// Whether `slices` fit into the capacity of `options`: as they lie at
/// `offsets`, which most do, or elsewhere.
bool fits(const std::vector<Slice> &slices, const PackOptions &options,
          std::vector<int64_t> &offsets) {
  if (verifyPacking(slices, options, offsets)) {
    return true;
  }
  PackResult found = packOnce(slices, options);
  const bool fit = found.heightBytes <= *options.capacity;
  if (fit) {
    offsets = std::move(found.offsets);
  }
  return fit;
}

std::vector<bool> GroupBuilder::findJoins(int64_t slabBytes,
                                          std::vector<int64_t> offsets) const {
  const size_t count = region.commands.size();
  std::vector<bool> joins(count);
  std::vector<Slice> merged;
  if (!lifetimes(numberGroups(joins), merged)) {
    return joins;
  }
  const int64_t liveBytes = maximumLiveBytes(slices, packing);
  PackOptions quick = packing;
  // Whether the slab is large enough is the question, not how small it can be.
  quick.capacity = slabBytes;
  quick.nodeLimit = std::min<int64_t>(
      packing.nodeLimit,
      std::max<int64_t>(packWork / int64_t(slices.size() + 1), 50));
  // A group holds the buffers that live at its first command and those that
  // begin at the others: most groups that do not fit are known without the
  // other buffers.
  std::vector<int64_t> begins(count, 0);
  std::vector<int64_t> ends(count + 1, 0);
  for (const Slice &slice : merged) {
    int64_t bytes = maximumLiveBytes({slice}, packing);
    begins[size_t(slice.lower)] += bytes;
    ends[size_t(slice.upper)] += bytes;
  }
  int64_t live = begins[0];
  int64_t held = live; // by the present group
  Conflicts conflicts(region.report);
  int64_t packings =
      std::min(maxPackings, maxPackedBuffers / int64_t(slices.size() + 1));
  size_t first = 0; // of the present group
  for (size_t i = 1; i < count && packings > 0; ++i) {
    live += begins[i] - ends[i];
    held += begins[i];
    bool apart = held <= liveBytes;
    for (size_t other = first; other < i && apart; ++other) {
      apart = !conflicts.between(region.report.operations[other],
                                 region.report.operations[i]);
    }
    if (apart) {
      joins[i] = true;
      if (lifetimes(numberGroups(joins), merged) &&
          maximumLiveBytes(merged, packing) <= liveBytes) {
        --packings;
        if (fits(merged, quick, offsets)) {
          continue;
        }
      }
      joins[i] = false;
    }
    first = i;
    held = live;
  }
  return joins;
}

std::vector<int> GroupBuilder::build() {
  PackResult apart = packOnce(slices, packing);
  const int64_t slabBytes = apart.heightBytes;
  std::vector<bool> joins = findJoins(slabBytes, std::move(apart.offsets));
  auto number = std::count(joins.begin(), joins.end(), true);
  // serenity-pack asks for the least slab, and may miss one that a search for
  // this size has found: then the first half of the groups.
  for (; number > 0; number /= 2) {
    auto left = number;
    for (size_t i = 0; i < joins.size(); ++i) {
      joins[i] = joins[i] && left-- > 0;
    }
    const std::vector<int> groups = numberGroups(joins);
    std::vector<Slice> merged;
    if (lifetimes(groups, merged) &&
        packOnce(merged, packing).heightBytes <= slabBytes) {
      slices = std::move(merged);
      return groups;
    }
  }
  return {};
}

/// Moves the commands of every group of two and more into one operation.
void writeGroups(const SlabRegion &region, const std::vector<int> &groups) {
  MlirLocation location = mlirOperationGetLocation(region.execute);
  for (size_t first = 0; first < groups.size();) {
    size_t end = first + 1;
    while (end < groups.size() && groups[end] == groups[first]) {
      ++end;
    }
    if (end - first >= 2) {
      MlirOperationState state =
          mlirOperationStateGet(ir::strRef("stream.cmd.concurrent"), location);
      MlirRegion body = mlirRegionCreate();
      MlirBlock block = mlirBlockCreate(0, nullptr, nullptr);
      mlirRegionAppendOwnedBlock(body, block);
      mlirOperationStateAddOwnedRegions(&state, 1, &body);
      MlirOperation group = mlirOperationCreate(&state);
      ir::insertBefore(region.commands[first], group);
      for (size_t i = first; i < end; ++i) {
        mlirOperationRemoveFromParent(region.commands[i]);
        mlirBlockAppendOwnedOperation(block, region.commands[i]);
      }
      mlirBlockAppendOwnedOperation(
          block, ir::create("stream.yield", location, {}, {}));
    }
    first = end;
  }
}

void setLifetimes(MlirOperation pack, const std::vector<Slice> &slices) {
  MlirContext context = mlirOperationGetContext(pack);
  MlirType index = mlirIndexTypeGet(context);
  std::vector<MlirAttribute> bounds;
  for (const Slice &slice : slices) {
    bounds.push_back(mlirIntegerAttrGet(index, slice.lower));
    bounds.push_back(mlirIntegerAttrGet(index, slice.upper - 1));
  }
  mlirOperationSetAttributeByName(
      pack, ir::strRef("lifetime_intervals"),
      mlirArrayAttrGet(context, intptr_t(bounds.size()), bounds.data()));
}

} // namespace

bool runWaves(MlirOperation module, const Options &options, ModuleReport *) {
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if ((!ir::isa(function, "util.func") && !ir::isa(function, "func.func")) ||
        attributes::keepsStockOrder(function)) {
      continue;
    }
    std::vector<MlirOperation> packs;
    ir::walk(function, [&](MlirOperation op) {
      if (ir::isa(op, "stream.resource.pack") && isTransientSlab(op)) {
        packs.push_back(op);
      }
    });
    for (MlirOperation op : packs) {
      std::optional<PackModel> model = readPack(op);
      if (!model || model->slices.empty() || !model->dynamic.empty() ||
          !model->empty.empty()) {
        continue;
      }
      PackOptions packing = slabPackOptions(op, options);
      std::optional<SlabRegion> region = readSlabRegion(function, op, *model);
      if (!region || !verifySlices(model->slices, packing)) {
        continue;
      }
      GroupBuilder builder(*region, *model, packing);
      std::vector<int> groups = builder.build();
      if (!groups.empty()) {
        setLifetimes(op, builder.packedSlices());
        writeGroups(*region, groups);
      }
    }
  }
  return true;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/ProgramOrder.h"
#include "serenity/Transforms/Attributes.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>

namespace serenity {

using namespace ir;

static constexpr std::string_view kTag = attributes::kOrderTag;

Reorder::Reorder(MlirBlock block) : block(block) {
  for (MlirOperation op : operations(block)) {
    inBlock.insert(op.ptr);
  }
}

void Reorder::emit(MlirOperation op) {
  if (!inBlock.count(op.ptr) || !emitted.insert(op.ptr).second) {
    return;
  }
  walk(op, [&](MlirOperation inner) {
    for (MlirValue value : operands(inner)) {
      MlirOperation source = definingOp(value);
      if (!isNull(source)) {
        emit(source);
      }
    }
  });
  order.push_back(op);
}

void Reorder::apply() {
  MlirOperation terminator = mlirBlockGetTerminator(block);
  for (MlirOperation op : operations(block)) {
    emit(op);
  }
  for (MlirOperation op : order) {
    if (!mlirOperationEqual(op, terminator)) {
      mlirOperationMoveBefore(op, terminator);
    }
  }
}

/// All functions of `module` that have a body of one block.
static std::vector<MlirBlock> functionBlocks(MlirOperation module) {
  std::vector<MlirBlock> found;
  for (MlirOperation op : operations(body(module))) {
    if (isa(op, "util.func") || isa(op, "func.func")) {
      std::vector<MlirBlock> all = blocks(op);
      if (all.size() == 1) {
        found.push_back(all.front());
      }
    }
  }
  return found;
}

void tagProgramOrder(MlirOperation module) {
  MlirContext context = mlirOperationGetContext(module);
  int64_t next = 0;
  for (MlirBlock block : functionBlocks(module)) {
    for (MlirOperation op : operations(block)) {
      std::string_view opName = name(op);
      if (opName.substr(0, 7) == "linalg." ||
          opName.substr(0, 7) == "tensor.") {
        std::string tag = std::string(kTag) + std::to_string(next++);
        mlirOperationSetLocation(
            op, mlirLocationNameGet(context, strRef(tag),
                                    mlirOperationGetLocation(op)));
      }
    }
  }
}

/// The largest tag in `location`, or -1.
static int64_t tagOf(MlirLocation location) {
  if (mlirLocationIsAName(location)) {
    std::string text(
        view(mlirIdentifierStr(mlirLocationNameGetName(location))));
    if (text.compare(0, kTag.size(), kTag) == 0) {
      return std::strtoll(text.c_str() + kTag.size(), nullptr, 10);
    }
    return tagOf(mlirLocationNameGetChildLoc(location));
  }
  int64_t largest = -1;
  if (mlirLocationIsAFused(location)) {
    std::vector<MlirLocation> parts(mlirLocationFusedGetNumLocations(location),
                                    location);
    mlirLocationFusedGetLocations(location, parts.data());
    for (MlirLocation part : parts) {
      largest = std::max(largest, tagOf(part));
    }
  }
  return largest;
}

/// `location` without tags.
static MlirLocation untagged(MlirLocation location) {
  MlirContext context = mlirLocationGetContext(location);
  if (mlirLocationIsAName(location)) {
    MlirStringRef text = mlirIdentifierStr(mlirLocationNameGetName(location));
    MlirLocation child = untagged(mlirLocationNameGetChildLoc(location));
    return view(text).substr(0, kTag.size()) == kTag
               ? child
               : mlirLocationNameGet(context, text, child);
  }
  if (mlirLocationIsAFused(location)) {
    std::vector<MlirLocation> parts(mlirLocationFusedGetNumLocations(location),
                                    location);
    mlirLocationFusedGetLocations(location, parts.data());
    for (MlirLocation &part : parts) {
      part = untagged(part);
    }
    return mlirLocationFusedGet(context, intptr_t(parts.size()), parts.data(),
                                mlirLocationFusedGetMetadata(location));
  }
  if (mlirLocationIsACallSite(location)) {
    return mlirLocationCallSiteGet(
        untagged(mlirLocationCallSiteGetCallee(location)),
        untagged(mlirLocationCallSiteGetCaller(location)));
  }
  return location;
}

/// Operations that may move as long as definitions precede their uses.
static bool isMovable(MlirOperation op) {
  std::string_view opName = name(op);
  return opName == "flow.dispatch" || opName.substr(0, 12) == "flow.tensor." ||
         opName == "arith.constant" || opName == "util.global.load" ||
         opName == "hal.tensor.import";
}

void restoreProgramOrder(MlirOperation module) {
  for (MlirBlock block : functionBlocks(module)) {
    std::vector<MlirOperation> ops = operations(block);
    auto first = std::find_if(ops.begin(), ops.end(), isMovable);
    auto last =
        std::find_if(ops.rbegin(), std::make_reverse_iterator(first), isMovable)
            .base();
    if (!std::all_of(first, last, isMovable)) {
      continue;
    }
    // A dispatch has the tag of its root, but the operations fused to it may
    // need a value that comes later.
    std::map<const void *, int64_t> ranks;
    std::vector<std::pair<int64_t, MlirOperation>> tagged;
    for (auto it = first; it != last; ++it) {
      bool moves = isa(*it, "flow.dispatch") || isa(*it, "flow.tensor.update");
      int64_t rank = moves ? tagOf(mlirOperationGetLocation(*it)) : -1;
      for (MlirValue value : operands(*it)) {
        MlirOperation source = definingOp(value);
        auto known = ranks.find(source.ptr);
        if (known != ranks.end()) {
          rank = std::max(rank, known->second);
        }
      }
      ranks[it->ptr] = rank;
      if (rank >= 0 && moves) {
        tagged.emplace_back(rank, *it);
      }
    }
    std::stable_sort(
        tagged.begin(), tagged.end(),
        [](const auto &a, const auto &b) { return a.first < b.first; });
    Reorder reorder(block);
    for (auto it = ops.begin(); it != first; ++it) {
      reorder.emit(*it);
    }
    // An import in the middle would cut the function into two regions.
    for (auto it = first; it != last; ++it) {
      if (isa(*it, "hal.tensor.import")) {
        reorder.emit(*it);
      }
    }
    for (const auto &item : tagged) {
      reorder.emit(item.second);
    }
    reorder.apply();
  }
  walk(module, [&](MlirOperation op) {
    if (tagOf(mlirOperationGetLocation(op)) >= 0) {
      mlirOperationSetLocation(op, untagged(mlirOperationGetLocation(op)));
    }
  });
}

} // namespace serenity

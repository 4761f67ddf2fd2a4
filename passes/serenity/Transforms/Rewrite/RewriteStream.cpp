// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Streams: which values before an operation can be computed piece by piece, in
// how many pieces, and the pieces.

#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include <algorithm>
#include <cstdlib>
#include <map>

namespace serenity::rewrite {

using namespace ir;

bool insertsAtStaticPlace(MlirOperation op) {
  if (!isa(op, "tensor.insert_slice")) {
    return false;
  }
  std::vector<int64_t> segments = operandSegments(op);
  return segments.size() == 5 && segments[2] == 0 && segments[4] == 0 &&
         mlirShapedTypeGetRank(mlirValueGetType(operand(op, 0))) ==
             mlirShapedTypeGetRank(mlirValueGetType(result(op)));
}

/// Whether `op` inserts its source, whole along `dim`, between constant
/// elements, as the import of a transposed convolution does.
static bool spreads(MlirOperation op, int64_t dim) {
  return insertsAtStaticPlace(op) &&
         mlirShapedTypeGetDimSize(mlirValueGetType(operand(op, 0)), dim) ==
             mlirShapedTypeGetDimSize(mlirValueGetType(result(op)), dim) &&
         intArray(attr(op, "static_strides"))[dim] == 1;
}

/// Whether `op` pads other dimensions than `dim` with one value.
static bool padsAround(MlirOperation op, int64_t dim) {
  return isa(op, "tensor.pad") && mlirOperationGetNumOperands(op) == 1 &&
         intArray(attr(op, "static_low"))[dim] == 0 &&
         intArray(attr(op, "static_high"))[dim] == 0 &&
         operations(body(op)).size() == 1;
}

std::optional<CutValues> Splitter::computedSources(MlirOperation op,
                                                   int64_t dim) {
  if (pinned.count(op.ptr) != 0 || mlirOperationGetNumResults(op) != 1 ||
      !isStaticAlong(mlirValueGetType(result(op)), dim)) {
    return std::nullopt;
  }
  if (padsAround(op, dim) ||
      (spreads(op, dim) &&
       sliceRefusal(operand(op, 1), dim) == RewriteRefusal::None)) {
    return {{{operand(op, 0), dim}}};
  }
  std::optional<Structured> loops = structured(op);
  if (!loops) {
    return std::nullopt;
  }
  MlirAffineExpr expr = mlirAffineMapGetResult(loops->maps.back(), dim);
  if (!mlirAffineExprIsADim(expr)) {
    return std::nullopt;
  }
  int64_t loop = mlirAffineDimExprGetPosition(expr);
  if (readsIndex(*loops, loop)) {
    return std::nullopt;
  }
  CutValues sources;
  for (size_t i = 0; i < loops->maps.size(); ++i) {
    MlirValue source = operand(op, i);
    std::optional<int64_t> at = loops->dimOfLoop(i, loop);
    if (!at) {
      return std::nullopt;
    }
    if (!isTensor(source)) {
      continue;
    }
    if (!isPlain(mlirValueGetType(source)) ||
        (*at >= 0 && !isStaticAlong(mlirValueGetType(source), *at))) {
      return std::nullopt;
    }
    if (*at >= 0 && sliceRefusal(source, *at) == RewriteRefusal::None) {
      continue;
    }
    // An init that is no constant is an accumulator of somebody's.
    if (int64_t(i) == loops->numInputs) {
      return std::nullopt;
    }
    sources.emplace_back(source, *at);
  }
  if (sources.empty()) {
    return std::nullopt;
  }
  return sources;
}

bool isGiven(MlirValue value) {
  MlirOperation producer = definingOp(value);
  return isNull(producer) || isa(producer, "hal.tensor.import");
}

/// Takes out of `region` the values that must exist as a whole, since it is
/// used outside, or whole, or cut along another dimension.
static void keepWhole(Region &region, const CutValues &cut) {
  for (bool changed = true; changed;) {
    changed = false;
    std::map<const void *, size_t> inner;
    auto count = [&](const CutValues &values) {
      for (const auto &[value, dim] : values) {
        auto it = region.find(value.ptr);
        if (it != region.end() && it->second.dim == dim) {
          ++inner[value.ptr];
        }
      }
    };
    count(cut);
    for (const auto &item : region) {
      count(item.second.sources);
    }
    // All at once, so that the order of addresses means nothing.
    std::vector<const void *> leave;
    for (const auto &[value, entry] : region) {
      bool stays = inner[value] == uses(result(entry.op)).size();
      if (!stays && inner[value] > 0) {
        // Pads, and an activation of a value that is kept anyway, may be
        // computed by every user.
        std::optional<Structured> loops = structured(entry.op);
        MlirValue source = entry.sources.front().first;
        stays = entry.sources.size() == 1 && region.count(source.ptr) == 0 &&
                (!loops || (!loops->hasReduction() &&
                            (isGiven(source) || uses(source).size() > 1)));
      }
      if (!stays) {
        leave.push_back(value);
      }
    }
    for (const void *value : leave) {
      region.erase(value);
      changed = true;
    }
  }
}

using Leaves = std::map<const void *, MlirValue>;

/// The values that must live until the last piece of `value`. An elementwise
/// operation (a sum) whose values take more bytes than its result is better
/// computed as a whole, and is taken out of `region`. `known` has the answers
/// so far. With `sharedAreKept`, values with other readers count as kept
/// anyway.
static const Leaves &leavesOf(const Splitter &splitter, Region &region,
                              MlirValue value, bool sharedAreKept,
                              std::map<const void *, Leaves> &known) {
  auto inserted = known.emplace(value.ptr, Leaves());
  Leaves &leaves = inserted.first->second;
  if (!inserted.second) {
    return leaves;
  }
  auto it = region.find(value.ptr);
  if (it == region.end()) {
    if (!isGiven(value)) {
      leaves.emplace(value.ptr, value);
    }
    return leaves;
  }
  for (const auto &[source, dim] : it->second.sources) {
    if (dim >= 0) {
      const Leaves &more =
          leavesOf(splitter, region, source, sharedAreKept, known);
      leaves.insert(more.begin(), more.end());
    } else if (!isGiven(source)) {
      leaves.emplace(source.ptr, source);
    }
  }
  int64_t bytes = 0;
  for (const auto &leaf : leaves) {
    if (!sharedAreKept || uses(leaf.second).size() == 1) {
      bytes += splitter.bytesOf(leaf.second);
    }
  }
  std::optional<Structured> loops = structured(it->second.op);
  bool cheap = !loops || !loops->hasReduction();
  if (cheap && bytes > splitter.bytesOf(value)) {
    region.erase(value.ptr);
    leaves = {{value.ptr, value}};
  }
  return leaves;
}

Region Splitter::regionOf(MlirOperation consumer, const CutValues &cut,
                          bool deep) {
  Region region;
  CutValues worklist = cut;
  while (!worklist.empty()) {
    auto [value, dim] = worklist.back();
    worklist.pop_back();
    MlirOperation op = definingOp(value);
    if (isNull(op) || !sameBlock(op, consumer) ||
        region.count(value.ptr) != 0) {
      continue;
    }
    std::optional<CutValues> sources = computedSources(op, dim);
    if (!sources) {
      continue;
    }
    region.emplace(value.ptr, RegionValue{op, dim, *sources});
    for (const auto &source : *sources) {
      if (source.second >= 0) {
        worklist.push_back(source);
      }
    }
  }
  keepWhole(region, cut);
  std::map<const void *, Leaves> known;
  for (const auto &item : cut) {
    leavesOf(*this, region, item.first, deep, known);
  }
  keepWhole(region, cut);
  return region;
}

bool onlyPads(const Region &region) {
  return std::none_of(region.begin(), region.end(), [](const auto &item) {
    return structured(item.second.op).has_value();
  });
}

bool reduces(const Region &region) {
  return std::any_of(region.begin(), region.end(), [](const auto &item) {
    std::optional<Structured> loops = structured(item.second.op);
    return loops && loops->hasReduction();
  });
}

MlirValue Splitter::stream(const Region &region, MlirValue value, int64_t dim,
                           int64_t offset, int64_t size, MlirOperation before,
                           Pieces &made) {
  MlirType type = withDim(mlirValueGetType(value), dim, size);
  MlirOperation op = definingOp(value);
  if (!isNull(op) && sliceRefusal(value, dim) == RewriteRefusal::None) {
    return slice(value, dim, {{offset, size}}, before);
  }
  auto known = made.find({value.ptr, dim});
  if (known != made.end()) {
    return known->second;
  }
  auto cut = region.find(value.ptr);
  MlirValue &piece = made[{value.ptr, dim}];
  if (cut == region.end() || cut->second.dim != dim) {
    piece = extractSlice(value, dim, offset, size, before);
    return piece;
  }
  std::vector<MlirValue> values;
  if (std::optional<Structured> loops = structured(op)) {
    int64_t loop = mlirAffineDimExprGetPosition(
        mlirAffineMapGetResult(loops->maps.back(), dim));
    for (size_t i = 0; i < loops->maps.size(); ++i) {
      int64_t at = *loops->dimOfLoop(i, loop);
      MlirValue source = operand(op, i);
      values.push_back(
          at < 0 ? source
                 : stream(region, source, at, offset, size, before, made));
    }
  } else {
    for (MlirValue source : operands(op)) {
      // The others give extents of dimensions that are not cut.
      if (isTensor(source)) {
        values.push_back(
            stream(region, source, dim, offset, size, before, made));
      }
    }
  }
  MlirOperation part = clonePart(op, values, type, before);
  if (isa(op, "tensor.insert_slice")) {
    std::vector<int64_t> sizes = intArray(attr(op, "static_sizes"));
    sizes[dim] = size;
    mlirOperationSetAttributeByName(
        part, strRef("static_sizes"),
        mlirDenseI64ArrayGet(mlirOperationGetContext(op), sizes.size(),
                             sizes.data()));
  }
  piece = result(part);
  return piece;
}

/// The number of pieces for `extent` channels: the divisor closest to `wanted`,
/// so that all pieces run the same code; uneven pieces if there is none near.
static std::vector<int64_t> pieceSizes(int64_t extent, int64_t wanted) {
  int64_t best = 0;
  for (int64_t pieces = 2; pieces <= 2 * wanted && pieces <= extent; ++pieces) {
    if (extent % pieces == 0 &&
        (best == 0 || std::abs(pieces - wanted) < std::abs(best - wanted))) {
      best = pieces;
    }
  }
  if (best != 0) {
    return std::vector<int64_t>(best, extent / best);
  }
  std::vector<int64_t> sizes;
  int64_t size = (extent + wanted - 1) / wanted;
  for (int64_t left = extent; left > 0; left -= size) {
    sizes.push_back(std::min(size, left));
  }
  return sizes;
}

std::optional<StructuredSplit> Splitter::pieceSplit(const Structured &op,
                                                    int64_t loop,
                                                    int64_t extent,
                                                    int64_t pieces, bool deep) {
  if (extent < 2 || readsIndex(op, loop)) {
    return std::nullopt;
  }
  StructuredSplit plan;
  plan.loop = loop;
  CutValues computed;
  for (int64_t i = 0; i <= op.numInputs; ++i) {
    MlirValue value = operand(op.op, i);
    std::optional<int64_t> at = op.dimOfLoop(i, loop);
    if (!at) {
      return std::nullopt;
    }
    plan.dims.push_back(*at);
    if (*at < 0) {
      plan.cuts.push_back(OperandCut::Whole);
    } else if (sliceRefusal(value, *at) == RewriteRefusal::None) {
      plan.cuts.push_back(OperandCut::Slice);
    } else if (i < op.numInputs &&
               isStaticAlong(mlirValueGetType(value), *at)) {
      plan.cuts.push_back(OperandCut::Stream);
      computed.emplace_back(value, *at);
    } else {
      return std::nullopt;
    }
  }
  plan.region = regionOf(op.op, computed, deep);
  // Small extents are cut only where that costs no more than a copy.
  if (plan.region.empty() || (extent < 2 * pieces && !onlyPads(plan.region))) {
    return std::nullopt;
  }
  plan.sizes = pieceSizes(extent, pieces);
  return plan;
}

std::optional<StructuredSplit>
Splitter::streamSplit(const Structured &op, int64_t pieces, bool deep) {
  if (!accumulates(op) || !isPlain(mlirValueGetType(result(op.op)))) {
    return std::nullopt;
  }
  for (int64_t i = 0; i < op.numInputs; ++i) {
    MlirValue value = operand(op.op, i);
    if (!isPlain(mlirValueGetType(value))) {
      continue;
    }
    std::vector<int64_t> extents = shape(mlirValueGetType(value));
    for (int64_t dim = 0; dim < int64_t(extents.size()); ++dim) {
      MlirAffineExpr expr = mlirAffineMapGetResult(op.maps[i], dim);
      if (!mlirAffineExprIsADim(expr)) {
        continue;
      }
      int64_t loop = mlirAffineDimExprGetPosition(expr);
      if (!op.isReduction(loop)) {
        continue;
      }
      std::optional<StructuredSplit> plan =
          pieceSplit(op, loop, extents[dim], pieces, deep);
      if (plan && plan->cuts[i] == OperandCut::Stream &&
          plan->region.count(value.ptr) != 0) {
        return plan;
      }
    }
  }
  return std::nullopt;
}

/// Nothing lies between the elements of a part along `dim`.
static bool isContiguous(MlirType type, int64_t dim) {
  std::vector<int64_t> extents = shape(type);
  return std::all_of(extents.begin(), extents.begin() + dim,
                     [](int64_t extent) { return extent == 1; });
}

std::optional<StructuredSplit>
Splitter::kernelStreamSplit(const Structured &op, int64_t pieces, bool deep) {
  MlirType type = mlirValueGetType(result(op.op));
  if (!op.hasReduction() || !isPlain(type)) {
    return std::nullopt;
  }
  std::vector<int64_t> extents = shape(type);
  for (int64_t dim = 0; dim < int64_t(extents.size()); ++dim) {
    MlirAffineExpr expr = mlirAffineMapGetResult(op.maps.back(), dim);
    if (!mlirAffineExprIsADim(expr) || !isContiguous(type, dim)) {
      continue;
    }
    std::optional<StructuredSplit> plan = pieceSplit(
        op, mlirAffineDimExprGetPosition(expr), extents[dim], pieces, deep);
    if (plan && reduces(plan->region)) {
      plan->resultDim = dim;
      return plan;
    }
  }
  return std::nullopt;
}

std::optional<StructuredSplit> Splitter::windowSplit(const Structured &op,
                                                     int64_t pieces) {
  MlirType resultType = mlirValueGetType(result(op.op));
  if (!op.hasReduction() || !isPlain(resultType)) {
    return std::nullopt;
  }
  for (int64_t i = 0; i < op.numInputs; ++i) {
    MlirValue value = operand(op.op, i);
    MlirOperation pad = definingOp(value);
    if (isNull(pad) || !isa(pad, "tensor.pad") || !sameBlock(pad, op.op) ||
        uses(value).size() != 1 || !isPlain(mlirValueGetType(value)) ||
        !isPlain(mlirValueGetType(operand(pad, 0)))) {
      continue;
    }
    std::vector<int64_t> extents = shape(mlirValueGetType(value));
    for (int64_t dim = 0; dim < int64_t(extents.size()); ++dim) {
      MlirAffineExpr expr = mlirAffineMapGetResult(op.maps[i], dim);
      if (extents[dim] < 2 * pieces || !mlirAffineExprIsADim(expr) ||
          !padsAround(pad, dim) ||
          !isContiguous(mlirValueGetType(value), dim)) {
        continue;
      }
      StructuredSplit plan;
      plan.loop = mlirAffineDimExprGetPosition(expr);
      plan.sizes = pieceSizes(extents[dim], pieces);
      std::optional<int64_t> at = op.dimOfLoop(op.numInputs, plan.loop);
      if (op.isReduction(plan.loop) || readsIndex(op, plan.loop) || !at ||
          *at < 0 || !isContiguous(resultType, *at)) {
        continue;
      }
      plan.resultDim = *at;
      bool fits = true;
      for (int64_t j = 0; fits && j <= op.numInputs; ++j) {
        at = op.dimOfLoop(j, plan.loop);
        fits = at.has_value() &&
               (*at < 0 || j == i ||
                sliceRefusal(operand(op.op, j), *at) == RewriteRefusal::None);
        if (fits) {
          plan.dims.push_back(*at);
          plan.cuts.push_back(*at < 0  ? OperandCut::Whole
                              : j == i ? OperandCut::Stream
                                       : OperandCut::Slice);
        }
      }
      if (fits) {
        return plan;
      }
    }
  }
  return std::nullopt;
}

} // namespace serenity::rewrite

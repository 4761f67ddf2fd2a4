// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include "serenity/Transforms/Rewrite/RewriteSum.h"

#include <algorithm>
#include <numeric>

namespace serenity::rewrite {

using namespace ir;

// --- structured operations --------------------------------------------------

std::optional<Structured> structured(MlirOperation op, bool anyResults) {
  intptr_t numResults = mlirOperationGetNumResults(op);
  if (name(op).substr(0, 7) != "linalg." || numResults < 1 ||
      (numResults > 1 && !anyResults) || mlirOperationGetNumRegions(op) != 1 ||
      !body(op).ptr) {
    return std::nullopt;
  }
  MlirAttribute maps = mlirLinalgGetIndexingMapsAttribute(op);
  if (isNull(maps)) {
    return std::nullopt;
  }
  Structured found;
  found.op = op;
  for (intptr_t i = 0, e = mlirArrayAttrGetNumElements(maps); i < e; ++i) {
    found.maps.push_back(
        mlirAffineMapAttrGetValue(mlirArrayAttrGetElement(maps, i)));
  }
  if (found.maps.empty() ||
      intptr_t(found.maps.size()) != mlirOperationGetNumOperands(op)) {
    return std::nullopt;
  }
  found.numLoops = mlirAffineMapGetNumDims(found.maps.back());
  found.numInputs = int64_t(found.maps.size()) - numResults;
  for (; numResults > 1; --numResults) {
    if (!mlirAffineMapEqual(found.maps[size_t(found.numInputs)],
                            found.maps.back())) {
      return std::nullopt;
    }
    found.maps.pop_back();
  }
  return found;
}

bool readsOwnInitialValue(MlirOperation op) {
  std::optional<Structured> loops = structured(op);
  // IREE removes operations without elements.
  if (!loops || !loops->hasReduction() ||
      TensorSizes().bytes(result(op)) == 0) {
    return false;
  }
  for (int64_t i = 0; i < loops->numInputs; ++i) {
    if (mlirValueEqual(operand(op, i), operand(op, loops->numInputs))) {
      return true;
    }
  }
  return false;
}

std::optional<int64_t> Structured::extent(int64_t loop) const {
  for (size_t i = 0; i < maps.size(); ++i) {
    MlirType type = mlirValueGetType(operand(op, i));
    for (intptr_t r = 0, e = mlirAffineMapGetNumResults(maps[i]); r < e; ++r) {
      MlirAffineExpr expr = mlirAffineMapGetResult(maps[i], r);
      if (mlirAffineExprIsADim(expr) &&
          mlirAffineDimExprGetPosition(expr) == loop &&
          mlirShapedTypeGetDimSize(type, r) >= 0) {
        return mlirShapedTypeGetDimSize(type, r);
      }
    }
  }
  return std::nullopt;
}

bool Structured::isReduction(int64_t loop) const {
  // Exact for the operations of interest: a parallel loop that does not occur
  // in the output map would write the same element twice.
  for (intptr_t i = 0, e = mlirAffineMapGetNumResults(maps.back()); i < e;
       ++i) {
    if (mlirAffineExprIsFunctionOfDim(mlirAffineMapGetResult(maps.back(), i),
                                      loop)) {
      return false;
    }
  }
  return true;
}

bool Structured::hasReduction() const {
  for (int64_t loop = 0; loop < numLoops; ++loop) {
    if (isReduction(loop)) {
      return true;
    }
  }
  return false;
}

std::optional<int64_t> Structured::dimOfLoop(int64_t index,
                                             int64_t loop) const {
  int64_t found = -1;
  for (intptr_t i = 0, e = mlirAffineMapGetNumResults(maps[index]); i < e;
       ++i) {
    MlirAffineExpr expr = mlirAffineMapGetResult(maps[index], i);
    if (!mlirAffineExprIsFunctionOfDim(expr, loop)) {
      continue;
    }
    if (found >= 0 || !mlirAffineExprIsADim(expr)) {
      return std::nullopt;
    }
    found = i;
  }
  return found;
}

bool readsIndex(const Structured &op, int64_t loop) {
  bool found = false;
  walk(op.op, [&](MlirOperation inner) {
    found |= isa(inner, "linalg.index") && intAttr(inner, "dim") == loop;
  });
  return found;
}

bool accumulates(const Structured &op) {
  MlirBlock block = body(op.op);
  MlirOperation yield = mlirBlockGetTerminator(block);
  if (isNull(yield) || mlirOperationGetNumOperands(yield) != 1) {
    return false;
  }
  MlirOperation combiner = definingOp(operand(yield, 0));
  if (isNull(combiner) || mlirOperationGetNumOperands(combiner) != 2) {
    return false;
  }
  static const std::set<std::string_view> associative = {
      "arith.addf",    "arith.addi",    "arith.maximumf", "arith.minimumf",
      "arith.maxnumf", "arith.minnumf", "arith.maxsi",    "arith.maxui",
      "arith.minsi",   "arith.minui"};
  if (associative.count(name(combiner)) == 0) {
    return false;
  }
  // The accumulator enters the combiner once and nothing else.
  MlirValue accumulator = mlirBlockGetArgument(block, op.numInputs);
  std::vector<Use> found = uses(accumulator);
  return found.size() == 1 && mlirOperationEqual(found.front().owner, combiner);
}

// --- splits -----------------------------------------------------------------

static SplitResult refuse(RewriteRefusal refusal) {
  return SplitResult{std::nullopt, refusal};
}

SplitResult Splitter::split(MlirValue value) {
  auto known = splits.find(key(value));
  if (known != splits.end()) {
    return known->second;
  }
  SplitResult found = compute(value);
  if (found.split) {
    // Nothing is to be gained from one part, or from parts of no elements.
    const std::vector<int64_t> &sizes = found.split->sizes;
    if (sizes.size() < 2 ||
        std::accumulate(sizes.begin(), sizes.end(), int64_t(0)) == 0) {
      found.split.reset();
    }
  }
  splits[key(value)] = found;
  return found;
}

SplitResult Splitter::splitConcat(MlirOperation op) {
  Split found;
  found.dim = intAttr(op, "dim").value_or(-1);
  if (found.dim < 0) {
    return {};
  }
  if (!isStaticAlong(mlirValueGetType(result(op)), found.dim)) {
    return refuse(RewriteRefusal::ShapeNotStatic);
  }
  for (MlirValue part : operands(op)) {
    if (!isStaticAlong(mlirValueGetType(part), found.dim)) {
      return refuse(RewriteRefusal::ShapeNotStatic);
    }
    // A concatenation of concatenations is one concatenation.
    SplitResult inner = split(part);
    if (inner.split && inner.split->dim == found.dim) {
      found.sizes.insert(found.sizes.end(), inner.split->sizes.begin(),
                         inner.split->sizes.end());
    } else {
      found.sizes.push_back(
          mlirShapedTypeGetDimSize(mlirValueGetType(part), found.dim));
    }
  }
  return SplitResult{found, RewriteRefusal::None};
}

namespace {
/// A chain of tensor.insert_slice that writes a whole tensor.
struct InsertChain {
  int64_t dim = -1;
  /// Offset and source, by offset.
  std::vector<std::pair<int64_t, MlirValue>> pieces;
};
} // namespace

static std::optional<InsertChain> insertChain(MlirOperation op,
                                              RewriteRefusal &refusal) {
  MlirType type = mlirValueGetType(result(op));
  if (!isStatic(type)) {
    refusal = RewriteRefusal::ShapeNotStatic;
    return std::nullopt;
  }
  std::vector<int64_t> extents = shape(type);
  InsertChain chain;
  MlirOperation root = op;
  while (!isNull(root) && isa(root, "tensor.insert_slice")) {
    std::vector<int64_t> offsets = intArray(attr(root, "static_offsets"));
    std::vector<int64_t> sizes = intArray(attr(root, "static_sizes"));
    MlirValue source = operand(root, 0);
    if (mlirOperationGetNumOperands(root) != 2 ||
        !isStatic(mlirValueGetType(source))) {
      refusal = RewriteRefusal::ShapeNotStatic;
      return std::nullopt;
    }
    refusal = RewriteRefusal::PartsNotDisjoint;
    if (offsets.size() != extents.size() ||
        shape(mlirValueGetType(source)) != sizes || !hasUnitStrides(root)) {
      return std::nullopt;
    }
    for (size_t i = 0; i < extents.size(); ++i) {
      if (offsets[i] == 0 && sizes[i] == extents[i]) {
        continue;
      }
      if (chain.dim >= 0 && chain.dim != int64_t(i)) {
        return std::nullopt;
      }
      chain.dim = i;
    }
    if (chain.dim < 0) {
      return std::nullopt;
    }
    chain.pieces.emplace_back(offsets[chain.dim], source);
    root = definingOp(operand(root, 1));
  }
  if (isNull(root) || !isa(root, "tensor.empty")) {
    // An update of a tensor, no concatenation.
    refusal = RewriteRefusal::None;
    return std::nullopt;
  }
  std::stable_sort(
      chain.pieces.begin(), chain.pieces.end(),
      [](const auto &a, const auto &b) { return a.first < b.first; });
  int64_t covered = 0;
  for (const auto &piece : chain.pieces) {
    if (piece.first != covered) {
      return std::nullopt;
    }
    covered +=
        mlirShapedTypeGetDimSize(mlirValueGetType(piece.second), chain.dim);
  }
  if (covered != extents[chain.dim]) {
    return std::nullopt;
  }
  refusal = RewriteRefusal::None;
  return chain;
}

SplitResult Splitter::splitInsertChain(MlirOperation op) {
  RewriteRefusal refusal = RewriteRefusal::None;
  std::optional<InsertChain> chain = insertChain(op, refusal);
  if (!chain) {
    return refuse(refusal);
  }
  Split found;
  found.dim = chain->dim;
  for (const auto &piece : chain->pieces) {
    SplitResult inner = split(piece.second);
    if (inner.split && inner.split->dim == found.dim) {
      found.sizes.insert(found.sizes.end(), inner.split->sizes.begin(),
                         inner.split->sizes.end());
    } else {
      found.sizes.push_back(
          mlirShapedTypeGetDimSize(mlirValueGetType(piece.second), found.dim));
    }
  }
  return SplitResult{found, RewriteRefusal::None};
}

/// The groups of `reassociation`: dimensions of the expanded type.
static std::vector<std::vector<int64_t>> reassociation(MlirOperation op) {
  std::vector<std::vector<int64_t>> groups;
  MlirAttribute array = attr(op, "reassociation");
  for (intptr_t i = 0, e = mlirArrayAttrGetNumElements(array); i < e; ++i) {
    groups.push_back(intArray(mlirArrayAttrGetElement(array, i)));
  }
  return groups;
}

MlirValue cloneView(MlirOperation op, MlirValue source, MlirType type,
                    MlirOperation before) {
  MlirOperation part = clonePart(op, {source}, type, before);
  const char *sizes = isa(op, "tensor.expand_shape")    ? "static_output_shape"
                      : isa(op, "tensor.extract_slice") ? "static_sizes"
                                                        : nullptr;
  if (sizes) {
    std::vector<int64_t> extents = shape(type);
    mlirOperationSetAttributeByName(
        part, strRef(sizes),
        mlirDenseI64ArrayGet(mlirOperationGetContext(op), extents.size(),
                             extents.data()));
  }
  return result(part);
}

std::optional<ReshapedDim> reshapedDim(MlirOperation op, int64_t dim,
                                       bool fromExpanded) {
  bool expands = isa(op, "tensor.expand_shape");
  MlirType source = mlirValueGetType(operand(op, 0));
  MlirType target = mlirValueGetType(result(op));
  std::vector<int64_t> wide = shape(expands ? target : source);
  std::vector<std::vector<int64_t>> groups = reassociation(op);
  for (size_t g = 0; g < groups.size(); ++g) {
    bool here = fromExpanded ? std::find(groups[g].begin(), groups[g].end(),
                                         dim) != groups[g].end()
                             : int64_t(g) == dim;
    if (!here) {
      continue;
    }
    auto isDynamic = [&](int64_t d) { return wide[d] < 0; };
    // The outermost dimension that is not of extent one.
    size_t lead = 0;
    while (lead + 1 < groups[g].size() && wide[groups[g][lead]] == 1) {
      ++lead;
    }
    if (std::any_of(groups[g].begin() + lead, groups[g].end(), isDynamic)) {
      return std::nullopt;
    }
    int64_t inner = 1;
    for (size_t i = lead + 1; i < groups[g].size(); ++i) {
      inner *= wide[groups[g][i]];
    }
    if (!fromExpanded) {
      return ReshapedDim{groups[g][lead], 1, inner};
    }
    if (groups[g][lead] != dim) {
      return std::nullopt;
    }
    return ReshapedDim{int64_t(g), inner, 1};
  }
  return std::nullopt;
}

SplitResult Splitter::splitReshape(MlirOperation op, bool expands) {
  SplitResult source = split(operand(op, 0));
  if (!source.split) {
    return source;
  }
  if (!isPlain(mlirValueGetType(result(op)))) {
    return refuse(RewriteRefusal::ShapeNotStatic);
  }
  std::optional<ReshapedDim> where =
      reshapedDim(op, source.split->dim, /*fromExpanded=*/!expands);
  if (!where) {
    return refuse(RewriteRefusal::LayoutNotSeparable);
  }
  Split found;
  found.dim = where->dim;
  for (int64_t size : source.split->sizes) {
    if (size % where->divisor != 0) {
      return refuse(RewriteRefusal::GroupsNotRespected);
    }
    found.sizes.push_back(size / where->divisor * where->scale);
  }
  return SplitResult{found, RewriteRefusal::None};
}

SplitResult Splitter::compute(MlirValue value) {
  MlirOperation op = definingOp(value);
  if (isNull(op)) {
    return {};
  }
  std::string_view opName = name(op);
  if (opName == "tensor.concat") {
    return splitConcat(op);
  }
  if (opName == "tensor.insert_slice") {
    return splitInsertChain(op);
  }
  if (opName == "tensor.expand_shape" || opName == "tensor.collapse_shape") {
    return splitReshape(op, opName == "tensor.expand_shape");
  }
  if (opName == "tensor.pad" || opName == "tensor.extract_slice") {
    SplitResult source = split(operand(op, 0));
    if (!source.split) {
      return source;
    }
    int64_t dim = source.split->dim;
    if (opName == "tensor.pad") {
      std::vector<int64_t> low = intArray(attr(op, "static_low"));
      std::vector<int64_t> high = intArray(attr(op, "static_high"));
      if (!isStaticAlong(mlirValueGetType(value), dim) ||
          mlirOperationGetNumOperands(op) != 1) {
        return refuse(RewriteRefusal::ShapeNotStatic);
      }
      if (low[dim] != 0 || high[dim] != 0) {
        return refuse(RewriteRefusal::DimensionPadded);
      }
      // A padding value that depends on the position cannot be moved.
      if (operations(body(op)).size() != 1) {
        return refuse(RewriteRefusal::IndexDependent);
      }
      return source;
    }
    std::vector<int64_t> extents = shape(mlirValueGetType(operand(op, 0)));
    std::vector<int64_t> sizes = intArray(attr(op, "static_sizes"));
    if (!isPlain(mlirValueGetType(value)) || sizes[dim] < 0) {
      return refuse(RewriteRefusal::ShapeNotStatic);
    }
    if (sizes[dim] != extents[dim] || shape(mlirValueGetType(value)) != sizes) {
      return refuse(RewriteRefusal::LayoutNotSeparable);
    }
    return source;
  }
  std::optional<Structured> loops = structured(op);
  if (!loops || (loops->hasReduction() && !throughReductions)) {
    return {};
  }
  OpSplit found = split(*loops);
  if (!found.split) {
    // Behind a reduction, which is a site of its own, nothing is left to say.
    return loops->hasReduction() ? SplitResult{} : refuse(found.refusal);
  }
  if (found.split->resultDim < 0) {
    return {};
  }
  return SplitResult{Split{found.split->resultDim, found.split->sizes},
                     RewriteRefusal::None};
}

Splitter::OpSplit Splitter::split(const Structured &op) {
  OpSplit answer;
  for (int64_t i = 0; i < op.numInputs; ++i) {
    SplitResult found = split(operand(op.op, i));
    if (found.refusal != RewriteRefusal::None) {
      answer.refusal = found.refusal;
      continue;
    }
    if (!found.split) {
      continue;
    }
    if (!isPlain(mlirValueGetType(result(op.op)))) {
      answer.refusal = RewriteRefusal::ShapeNotStatic;
      return answer;
    }
    MlirAffineExpr expr = mlirAffineMapGetResult(op.maps[i], found.split->dim);
    if (!mlirAffineExprIsADim(expr)) {
      answer.refusal = RewriteRefusal::DimensionWindowed;
      return answer;
    }
    StructuredSplit plan;
    plan.loop = mlirAffineDimExprGetPosition(expr);
    plan.sizes = found.split->sizes;
    if (readsIndex(op, plan.loop)) {
      answer.refusal = RewriteRefusal::IndexDependent;
      return answer;
    }
    for (int64_t j = 0; j <= op.numInputs; ++j) {
      std::optional<int64_t> dim = op.dimOfLoop(j, plan.loop);
      if (!dim) {
        answer.refusal = RewriteRefusal::DimensionWindowed;
        return answer;
      }
      plan.dims.push_back(*dim);
      if (*dim < 0) {
        plan.cuts.push_back(OperandCut::Whole);
        continue;
      }
      MlirValue other = operand(op.op, j);
      SplitResult otherSplit = split(other);
      if (otherSplit.split && otherSplit.split->dim == *dim) {
        if (otherSplit.split->sizes != plan.sizes) {
          answer.refusal = RewriteRefusal::SplitsDisagree;
          return answer;
        }
        plan.cuts.push_back(OperandCut::Parts);
        continue;
      }
      answer.refusal = sliceRefusal(other, *dim);
      if (answer.refusal != RewriteRefusal::None) {
        return answer;
      }
      plan.cuts.push_back(OperandCut::Slice);
    }
    plan.resultDim = plan.dims.back();
    if (plan.resultDim < 0 && !accumulates(op)) {
      answer.refusal = RewriteRefusal::ReductionNotAssociative;
      return answer;
    }
    answer.refusal = RewriteRefusal::None;
    answer.split = plan;
    return answer;
  }
  return answer;
}

// --- parts ------------------------------------------------------------------

std::vector<MlirValue>
Splitter::partOperands(const Structured &op, const StructuredSplit &split,
                       const std::vector<int64_t> &indices,
                       std::vector<MlirOperation> *joined) {
  Ranges ranges;
  int64_t extent = 0;
  for (int64_t index : indices) {
    int64_t offset = std::accumulate(split.sizes.begin(),
                                     split.sizes.begin() + index, int64_t(0));
    int64_t size = split.sizes[index];
    extent += size;
    if (!ranges.empty() &&
        ranges.back().first + ranges.back().second == offset) {
      ranges.back().second += size;
    } else {
      ranges.emplace_back(offset, size);
    }
  }
  std::vector<MlirValue> values;
  Pieces made;
  for (size_t i = 0; i < op.maps.size(); ++i) {
    MlirValue value = operand(op.op, i);
    switch (split.cuts[i]) {
    case OperandCut::Whole:
      values.push_back(value);
      break;
    case OperandCut::Parts:
      if (indices.size() == 1) {
        values.push_back(parts(value)[indices.front()]);
      } else {
        std::vector<MlirValue> pieces;
        for (int64_t index : indices) {
          // Each part exists as a whole: its producer is not fused with the
          // copy to its place, nor an activation moved behind the
          // concatenation.
          pieces.push_back(insertBarrier(parts(value)[index], op.op));
        }
        MlirOperation whole = concatenate(
            pieces, split.dims[i],
            withDim(mlirValueGetType(value), split.dims[i], extent), op.op);
        if (joined) {
          joined->push_back(whole);
        }
        values.push_back(result(whole));
      }
      break;
    case OperandCut::Slice:
      values.push_back(slice(value, split.dims[i], ranges, op.op));
      break;
    case OperandCut::Stream:
      values.push_back(stream(split.region, value, split.dims[i],
                              ranges.front().first, extent, op.op, made));
      break;
    }
  }
  return values;
}

std::vector<MlirValue> Splitter::parts(MlirValue value) {
  auto known = materialised.find(key(value));
  if (known != materialised.end()) {
    return known->second;
  }
  MlirOperation op = definingOp(value);
  std::string_view opName = name(op);
  Split cut = *split(value).split;
  std::vector<MlirValue> found;
  auto append = [&](MlirValue piece) {
    SplitResult inner = split(piece);
    if (inner.split && inner.split->dim == cut.dim) {
      std::vector<MlirValue> pieces = parts(piece);
      found.insert(found.end(), pieces.begin(), pieces.end());
    } else {
      found.push_back(piece);
    }
  };
  if (opName == "tensor.concat") {
    for (MlirValue piece : operands(op)) {
      append(piece);
    }
  } else if (opName == "tensor.insert_slice") {
    RewriteRefusal refusal = RewriteRefusal::None;
    InsertChain chain = *insertChain(op, refusal);
    for (const auto &piece : chain.pieces) {
      append(piece.second);
    }
  } else if (std::optional<Structured> loops = structured(op)) {
    StructuredSplit plan = *split(*loops).split;
    for (size_t i = 0; i < plan.sizes.size(); ++i) {
      found.push_back(result(clonePart(
          op, partOperands(*loops, plan, {int64_t(i)}),
          withDim(mlirValueGetType(value), plan.resultDim, plan.sizes[i]),
          op)));
    }
    dissolvedOps.push_back(op);
  } else {
    // tensor.pad, tensor.extract_slice and reshapes: one operand.
    std::vector<MlirValue> sources = parts(operand(op, 0));
    for (size_t i = 0; i < sources.size(); ++i) {
      MlirType type = withDim(mlirValueGetType(value), cut.dim, cut.sizes[i]);
      found.push_back(cloneView(op, sources[i], type, op));
    }
  }
  materialised[key(value)] = found;
  return found;
}

// --- slices -----------------------------------------------------------------

MlirOperation Splitter::initializedGlobal(MlirOperation load) {
  if (!globalsRead) {
    for (MlirOperation op : operations(body(module))) {
      if (isa(op, "util.global")) {
        if (std::optional<std::string> symbol = stringAttr(op, "sym_name")) {
          globals[*symbol] = op;
        }
      }
    }
    globalsRead = true;
  }
  MlirAttribute symbol = attr(load, "global");
  if (isNull(symbol) || !mlirAttributeIsAFlatSymbolRef(symbol)) {
    return MlirOperation{nullptr};
  }
  auto found =
      globals.find(std::string(view(mlirFlatSymbolRefAttrGetValue(symbol))));
  return found == globals.end() ? MlirOperation{nullptr} : found->second;
}

/// Nothing where the module has the name alone: weights are left out of it to
/// have less to read.
const std::optional<std::string> &Splitter::resourceBytes(MlirAttribute value) {
  auto known = resources.find(value.ptr);
  if (known == resources.end()) {
    known = resources.emplace(value.ptr, ir::resourceBytes(value)).first;
  }
  return known->second;
}

RewriteRefusal Splitter::constantRefusal(MlirAttribute value) {
  if (isNull(value)) {
    return RewriteRefusal::OperandNotConstant;
  }
  bool dense = mlirAttributeIsADenseElements(value);
  if (!dense && !mlirAttributeIsADenseResourceElements(value)) {
    return RewriteRefusal::OperandNotConstant;
  }
  MlirType element = mlirShapedTypeGetElementType(mlirAttributeGetType(value));
  int64_t width = elementBits(element);
  if (width < 8 || width % 8 != 0) {
    return dense && mlirDenseElementsAttrIsSplat(value)
               ? RewriteRefusal::None
               : RewriteRefusal::ElementTypeUnsupported;
  }
  if (!dense) {
    int64_t total = width / 8;
    for (int64_t extent : shape(mlirAttributeGetType(value))) {
      total *= extent;
    }
    const std::optional<std::string> &bytes = resourceBytes(value);
    if (!bytes || int64_t(bytes->size()) != total) {
      return RewriteRefusal::OperandNotConstant;
    }
  }
  return RewriteRefusal::None;
}

RewriteRefusal Splitter::sliceRefusal(MlirValue value, int64_t dim) {
  MlirOperation op = definingOp(value);
  if (isNull(op)) {
    return RewriteRefusal::OperandNotConstant;
  }
  if (!isStaticAlong(mlirValueGetType(value), dim)) {
    return RewriteRefusal::ShapeNotStatic;
  }
  std::string_view opName = name(op);
  if (opName == "tensor.empty") {
    return RewriteRefusal::None;
  }
  if (opName == "arith.constant") {
    return constantRefusal(attr(op, "value"));
  }
  if (opName == "util.global.load") {
    MlirOperation global = initializedGlobal(op);
    if (isNull(global) || !isNull(attr(global, "is_mutable")) ||
        stringAttr(global, "sym_visibility") != "private") {
      return RewriteRefusal::OperandNotConstant;
    }
    return constantRefusal(attr(global, "initial_value"));
  }
  if (opName == "tensor.expand_shape" || opName == "tensor.collapse_shape") {
    std::optional<ReshapedDim> where =
        reshapedDim(op, dim, /*fromExpanded=*/opName == "tensor.expand_shape");
    // Only whole rows of the operand are slices of the result.
    if (!where || where->divisor != 1) {
      return RewriteRefusal::LayoutNotSeparable;
    }
    return sliceRefusal(operand(op, 0), where->dim);
  }
  // Anything that is computed element by element from constants: fills,
  // broadcasts, transposes, dequantisation of weights.
  std::optional<Structured> loops = structured(op);
  if (!loops || loops->hasReduction()) {
    return RewriteRefusal::OperandNotConstant;
  }
  MlirAffineExpr expr = mlirAffineMapGetResult(loops->maps.back(), dim);
  if (!mlirAffineExprIsADim(expr)) {
    return RewriteRefusal::DimensionWindowed;
  }
  int64_t loop = mlirAffineDimExprGetPosition(expr);
  if (readsIndex(*loops, loop)) {
    return RewriteRefusal::IndexDependent;
  }
  for (size_t i = 0; i < loops->maps.size(); ++i) {
    std::optional<int64_t> at = loops->dimOfLoop(i, loop);
    if (!at) {
      return RewriteRefusal::DimensionWindowed;
    }
    if (*at < 0) {
      continue;
    }
    RewriteRefusal refusal = sliceRefusal(operand(op, i), *at);
    if (refusal != RewriteRefusal::None) {
      return refusal;
    }
  }
  return RewriteRefusal::None;
}

MlirAttribute Splitter::sliceConstant(MlirAttribute value, int64_t dim,
                                      const Ranges &ranges, MlirType type) {
  MlirType whole = mlirAttributeGetType(value);
  if (mlirAttributeIsADenseElements(value) &&
      mlirDenseElementsAttrIsSplat(value)) {
    return mlirDenseElementsAttrSplatGet(
        type, mlirDenseElementsAttrGetSplatValue(value));
  }
  int64_t width = elementBits(mlirShapedTypeGetElementType(whole)) / 8;
  std::vector<int64_t> extents = shape(whole);
  // `constantRefusal` has seen to it that the bytes are there.
  const char *data =
      mlirAttributeIsADenseElements(value)
          ? static_cast<const char *>(mlirDenseElementsAttrGetRawData(value))
          : resourceBytes(value)->data();
  int64_t inner = width;
  for (size_t i = dim + 1; i < extents.size(); ++i) {
    inner *= extents[i];
  }
  int64_t outer = 1;
  for (int64_t i = 0; i < dim; ++i) {
    outer *= extents[i];
  }
  std::string cut;
  for (int64_t i = 0; i < outer; ++i) {
    for (const auto &range : ranges) {
      cut.append(data + (i * extents[dim] + range.first) * inner,
                 range.second * inner);
    }
  }
  return mlirDenseElementsAttrRawBufferGet(type, cut.size(), cut.data());
}

MlirValue Splitter::slice(MlirValue value, int64_t dim, const Ranges &ranges,
                          MlirOperation before) {
  int64_t size = 0;
  for (const auto &range : ranges) {
    size += range.second;
  }
  MlirOperation op = definingOp(value);
  std::string_view opName = name(op);
  MlirType type = withDim(mlirValueGetType(value), dim, size);
  if (opName == "tensor.empty") {
    return result(clonePart(op, {}, type, before));
  }
  if (opName == "arith.constant") {
    MlirAttribute cut = sliceConstant(attr(op, "value"), dim, ranges, type);
    return tensorConstant(cut, mlirOperationGetLocation(op), before);
  }
  if (opName == "util.global.load") {
    MlirOperation global = initializedGlobal(op);
    MlirOperation &part =
        globalSlices[std::make_tuple(global.ptr, dim, ranges)];
    if (isNull(part)) {
      MlirAttribute cut =
          sliceConstant(attr(global, "initial_value"), dim, ranges, type);
      std::string stem = *stringAttr(global, "sym_name") + "_slice_" +
                         std::to_string(dim) + "_" +
                         std::to_string(ranges.front().first);
      std::string symbol = stem;
      for (int64_t n = 0; globals.count(symbol) != 0; ++n) {
        symbol = stem + "_" + std::to_string(n);
      }
      MlirContext context = mlirOperationGetContext(op);
      part = mlirOperationClone(global);
      mlirOperationSetAttributeByName(
          part, strRef("sym_name"), mlirStringAttrGet(context, strRef(symbol)));
      mlirOperationSetAttributeByName(part, strRef("type"),
                                      mlirTypeAttrGet(type));
      mlirOperationSetAttributeByName(part, strRef("initial_value"), cut);
      insertBefore(global, part);
      globals[symbol] = part;
    }
    MlirOperation load = clonePart(op, {}, type, before);
    mlirOperationSetAttributeByName(
        load, strRef("global"),
        mlirFlatSymbolRefAttrGet(mlirOperationGetContext(op),
                                 strRef(*stringAttr(part, "sym_name"))));
    return result(load);
  }
  if (opName == "tensor.expand_shape" || opName == "tensor.collapse_shape") {
    bool expands = opName == "tensor.expand_shape";
    ReshapedDim where = *reshapedDim(op, dim, /*fromExpanded=*/expands);
    Ranges scaled = ranges;
    for (auto &range : scaled) {
      range.first *= where.scale;
      range.second *= where.scale;
    }
    MlirValue source = slice(operand(op, 0), where.dim, scaled, before);
    return cloneView(op, source, type, before);
  }
  Structured loops = *structured(op);
  int64_t loop = mlirAffineDimExprGetPosition(
      mlirAffineMapGetResult(loops.maps.back(), dim));
  std::vector<MlirValue> values;
  for (size_t i = 0; i < loops.maps.size(); ++i) {
    int64_t at = *loops.dimOfLoop(i, loop);
    MlirValue source = operand(op, i);
    values.push_back(at < 0 ? source : slice(source, at, ranges, before));
  }
  return result(clonePart(op, values, type, before));
}

} // namespace serenity::rewrite

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/TensorBuilder.h"
#include "serenity/Analysis/TensorSizes.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Attributes.h"

#include "serenity/Transforms/Rewrite/RewriteSum.h"

#include <algorithm>

namespace serenity::rewrite {

using namespace ir;

namespace {

constexpr const char *placeholderName = "builtin.unrealized_conversion_cast";

/// Stands for an operation that would not be valid.
MlirOperation placeholder(const std::string &reason,
                          const std::vector<MlirValue> &operands, MlirType type,
                          MlirOperation before) {
  MlirOperation op = create(placeholderName, mlirOperationGetLocation(before),
                            operands, {type});
  attributes::setRefused(op, reason);
  insertBefore(before, op);
  return op;
}

/// The offsets, sizes and strides of a part of a tensor of `sizes` along `dim`.
std::vector<NamedAttr> sliceAttrs(MlirContext context,
                                  std::vector<int64_t> sizes, int64_t dim,
                                  int64_t offset, int64_t size) {
  std::vector<int64_t> offsets(sizes.size(), 0);
  std::vector<int64_t> strides(sizes.size(), 1);
  offsets[dim] = offset;
  sizes[dim] = size;
  auto array = [&](const std::vector<int64_t> &values) {
    return mlirDenseI64ArrayGet(context, values.size(), values.data());
  };
  return {{"static_offsets", array(offsets)},
          {"static_sizes", array(sizes)},
          {"static_strides", array(strides)}};
}

/// Why no slice of `type` along `dim` can be made; empty if it can.
std::string sliceProblem(MlirType type, int64_t dim, int64_t offset,
                         int64_t size) {
  if (!isPlain(type)) {
    return toString(type) + " is no tensor that can be cut";
  }
  std::vector<int64_t> extents = shape(type);
  if (dim < 0 || dim >= int64_t(extents.size())) {
    return toString(type) + " has no dimension " + std::to_string(dim);
  }
  if (!isStaticAlong(type, dim)) {
    return "dimension " + std::to_string(dim) + " of " + toString(type) +
           ", along which it would be cut, is dynamic";
  }
  if (offset < 0 || size < 0 || size > extents[dim] - offset) {
    return "elements " + std::to_string(offset) + " to " +
           std::to_string(offset + size) + " of dimension " +
           std::to_string(dim) + " are not all in " + toString(type);
  }
  return "";
}

/// The dynamic extents of `tensor`, in order.
std::vector<MlirValue> dynamicExtents(MlirValue tensor, MlirOperation before) {
  std::vector<MlirValue> values;
  std::vector<int64_t> extents = shape(mlirValueGetType(tensor));
  for (int64_t dim = 0; dim < int64_t(extents.size()); ++dim) {
    if (extents[dim] >= 0) {
      continue;
    }
    DimSource source = dimSource(tensor, dim);
    if (!source.extent.ptr) {
      MlirValue index = IndexConstants(before).get(source.dim);
      MlirOperation read =
          create("tensor.dim", mlirOperationGetLocation(before),
                 {source.tensor, index}, {mlirValueGetType(index)});
      insertBefore(before, read);
      source.extent = result(read);
    }
    values.push_back(source.extent);
  }
  return values;
}

/// Whether tensors of both types have their dynamic dimensions at the same
/// places.
bool sameDynamicDims(MlirType a, MlirType b) {
  std::vector<int64_t> first = shape(a);
  std::vector<int64_t> second = shape(b);
  return std::equal(first.begin(), first.end(), second.begin(), second.end(),
                    [](int64_t x, int64_t y) { return (x < 0) == (y < 0); });
}

} // namespace

bool isPlain(MlirType type) {
  return mlirTypeIsARankedTensor(type) &&
         isNull(mlirRankedTensorTypeGetEncoding(type));
}

bool isStaticAlong(MlirType type, int64_t dim) {
  return isPlain(type) && dim >= 0 && dim < mlirShapedTypeGetRank(type) &&
         mlirShapedTypeGetDimSize(type, dim) >= 0;
}

bool isStatic(MlirType type) {
  return mlirTypeIsARankedTensor(type) && mlirShapedTypeHasStaticShape(type) &&
         isNull(mlirRankedTensorTypeGetEncoding(type));
}

MlirType withDim(MlirType type, int64_t dim, int64_t size) {
  std::vector<int64_t> extents = shape(type);
  if (dim < 0 || dim >= int64_t(extents.size())) {
    return type; // the constructor that takes it says so
  }
  extents[dim] = size;
  return mlirRankedTensorTypeGet(extents.size(), extents.data(),
                                 mlirShapedTypeGetElementType(type),
                                 mlirAttributeGetNull());
}

MlirType withElement(MlirType type, MlirType element) {
  std::vector<int64_t> extents = shape(type);
  return mlirRankedTensorTypeGet(extents.size(), extents.data(), element,
                                 mlirAttributeGetNull());
}

MlirValue extractSlice(MlirValue value, int64_t dim, int64_t offset,
                       int64_t size, MlirOperation before) {
  MlirType type = mlirValueGetType(value);
  std::string problem = sliceProblem(type, dim, offset, size);
  if (!problem.empty()) {
    return result(
        placeholder(problem, {value}, withDim(type, dim, size), before));
  }
  MlirContext context = mlirOperationGetContext(before);
  std::vector<MlirValue> values = dynamicExtents(value, before);
  const int32_t segments[] = {1, 0, int32_t(values.size()), 0};
  values.insert(values.begin(), value);
  std::vector<NamedAttr> attrs =
      sliceAttrs(context, shape(type), dim, offset, size);
  attrs.push_back(
      {"operandSegmentSizes", mlirDenseI32ArrayGet(context, 4, segments)});
  MlirOperation cut =
      create("tensor.extract_slice", mlirOperationGetLocation(before), values,
             {withDim(type, dim, size)}, attrs);
  insertBefore(before, cut);
  return result(cut);
}

MlirValue insertSlice(MlirValue part, MlirValue whole, int64_t dim,
                      int64_t offset, MlirOperation before) {
  MlirType type = mlirValueGetType(whole);
  MlirType partType = mlirValueGetType(part);
  std::vector<int64_t> extents = shape(partType);
  int64_t size = dim >= 0 && dim < int64_t(extents.size()) ? extents[dim] : -1;
  std::string problem = sliceProblem(type, dim, offset, size);
  if (problem.empty() && !mlirTypeEqual(partType, withDim(type, dim, size))) {
    problem = toString(partType) + " is no slice of " + toString(type);
  }
  if (!problem.empty()) {
    return result(placeholder(problem, {part, whole}, type, before));
  }
  MlirContext context = mlirOperationGetContext(before);
  std::vector<MlirValue> values = dynamicExtents(whole, before);
  const int32_t segments[] = {1, 1, 0, int32_t(values.size()), 0};
  values.insert(values.begin(), {part, whole});
  std::vector<NamedAttr> attrs =
      sliceAttrs(context, shape(type), dim, offset, size);
  attrs.push_back(
      {"operandSegmentSizes", mlirDenseI32ArrayGet(context, 5, segments)});
  MlirOperation put =
      create("tensor.insert_slice", mlirOperationGetLocation(before), values,
             {type}, attrs);
  insertBefore(before, put);
  return result(put);
}

/// Hides the static offset of a slice along `dim`.
static MlirValue hideOffset(MlirValue slice, int64_t dim) {
  MlirOperation op = definingOp(slice);
  if (isa(op, placeholderName)) {
    return slice;
  }
  MlirContext context = mlirOperationGetContext(op);
  std::vector<int64_t> offsets = intArray(attr(op, "static_offsets"));
  MlirValue constant = IndexConstants(op).get(offsets[dim]);
  offsets[dim] = mlirShapedTypeGetDynamicStrideOrOffset();
  std::vector<MlirValue> values = operands(op);
  std::vector<int64_t> segments = operandSegments(op);
  // Offsets stand between the tensors and the extents.
  const size_t tensors = isa(op, "tensor.insert_slice") ? 2 : 1;
  segments[tensors] = 1;
  values.insert(values.begin() + tensors, insertBarrier(constant, op));
  std::vector<int32_t> narrow(segments.begin(), segments.end());
  MlirOperation hidden = create(
      name(op), mlirOperationGetLocation(op), values, {mlirValueGetType(slice)},
      {{"static_offsets",
        mlirDenseI64ArrayGet(context, offsets.size(), offsets.data())},
       {"static_sizes", attr(op, "static_sizes")},
       {"static_strides", attr(op, "static_strides")},
       {"operandSegmentSizes",
        mlirDenseI32ArrayGet(context, narrow.size(), narrow.data())}});
  insertBefore(op, hidden);
  erase(op);
  return result(hidden);
}

MlirValue extractHiddenSlice(MlirValue value, int64_t dim, int64_t offset,
                             int64_t size, MlirOperation before) {
  return hideOffset(extractSlice(value, dim, offset, size, before), dim);
}

MlirValue insertHiddenSlice(MlirValue part, MlirValue whole, int64_t dim,
                            int64_t offset, MlirOperation before) {
  return hideOffset(insertSlice(part, whole, dim, offset, before), dim);
}

MlirValue insertUnitDims(MlirValue value, const std::vector<int64_t> &extents,
                         MlirOperation before) {
  MlirType type = mlirValueGetType(value);
  if (!isStatic(type) || shape(type).empty()) {
    return MlirValue{nullptr};
  }
  MlirContext context = mlirOperationGetContext(before);
  std::vector<MlirAttribute> groups; // per own dimension, those it becomes
  std::vector<MlirAttribute> group;
  size_t dim = 0;
  auto take = [&] {
    group.push_back(
        mlirIntegerAttrGet(mlirIntegerTypeGet(context, 64), int64_t(dim++)));
  };
  const std::vector<int64_t> own = shape(type);
  for (size_t i = 0; i < own.size(); ++i) {
    while (dim < extents.size() && extents[dim] == 1 && own[i] != 1) {
      take();
    }
    if (dim == extents.size() || extents[dim] != own[i]) {
      return MlirValue{nullptr};
    }
    take();
    while (i + 1 == own.size() && dim < extents.size() && extents[dim] == 1) {
      take();
    }
    groups.push_back(mlirArrayAttrGet(context, group.size(), group.data()));
    group.clear();
  }
  if (dim != extents.size()) {
    return MlirValue{nullptr};
  }
  MlirType expanded = mlirRankedTensorTypeGet(
      extents.size(), extents.data(), mlirShapedTypeGetElementType(type),
      mlirAttributeGetNull());
  MlirOperation op =
      create("tensor.expand_shape", mlirOperationGetLocation(before), {value},
             {expanded},
             {{"reassociation",
               mlirArrayAttrGet(context, groups.size(), groups.data())},
              {"static_output_shape",
               mlirDenseI64ArrayGet(context, extents.size(), extents.data())}});
  insertBefore(before, op);
  return result(op);
}

MlirOperation concatenate(const std::vector<MlirValue> &parts, int64_t dim,
                          MlirType type, MlirOperation before) {
  int64_t extent = 0;
  std::string problem = parts.empty() ? "a concatenation of nothing" : "";
  for (MlirValue part : parts) {
    MlirType partType = mlirValueGetType(part);
    std::vector<int64_t> extents = shape(partType);
    bool fits = dim >= 0 && dim < int64_t(extents.size()) &&
                isStaticAlong(partType, dim) &&
                mlirTypeEqual(partType, withDim(type, dim, extents[dim]));
    if (!fits) {
      problem = toString(partType) + " is no part of " + toString(type) +
                " along dimension " + std::to_string(dim);
      break;
    }
    extent += extents[dim];
  }
  if (problem.empty() && !mlirTypeEqual(type, withDim(type, dim, extent))) {
    problem = "the parts have " + std::to_string(extent) +
              " elements along dimension " + std::to_string(dim) + " of " +
              toString(type);
  }
  if (!problem.empty()) {
    return placeholder(problem, parts, type, before);
  }
  MlirType i64 = mlirIntegerTypeGet(mlirOperationGetContext(before), 64);
  MlirOperation concat =
      create("tensor.concat", mlirOperationGetLocation(before), parts, {type},
             {{"dim", mlirIntegerAttrGet(i64, dim)}});
  insertBefore(before, concat);
  return concat;
}

MlirValue tieExtents(MlirValue value, MlirValue like, MlirOperation before) {
  std::vector<MlirValue> values = dynamicExtents(like, before);
  if (values.empty()) {
    return value;
  }
  values.insert(values.begin(), value);
  MlirOperation tied =
      create("flow.tensor.tie_shape", mlirOperationGetLocation(before), values,
             {mlirValueGetType(value)});
  insertBefore(before, tied);
  return result(tied);
}

MlirValue emptyLike(MlirValue like, MlirLocation location,
                    MlirOperation before) {
  return emptyOf(mlirShapedTypeGetElementType(mlirValueGetType(like)), like,
                 location, before);
}

MlirValue emptyOf(MlirType element, MlirValue like, MlirLocation location,
                  MlirOperation before) {
  MlirType type = mlirValueGetType(like);
  if (!isPlain(type)) {
    return result(
        placeholder("an empty " + toString(type), {like}, type, before));
  }
  MlirOperation empty =
      create("tensor.empty", location, dynamicExtents(like, before),
             {withElement(type, element)});
  insertBefore(before, empty);
  return result(empty);
}

MlirValue tensorConstant(MlirAttribute value, MlirLocation location,
                         MlirOperation before) {
  MlirType type = mlirAttributeGetType(value);
  if (!isStatic(type)) {
    return result(
        placeholder("a constant of " + toString(type), {}, type, before));
  }
  MlirOperation constant =
      create("arith.constant", location, {}, {type}, {{"value", value}});
  insertBefore(before, constant);
  return result(constant);
}

/// Why a clone of `op` with these operands and this result would not be valid;
/// empty if it would. The operation's own rules are for the verifier.
static std::string cloneProblem(MlirOperation op,
                                const std::vector<MlirValue> &operands,
                                MlirType resultType) {
  for (intptr_t i = 1, e = mlirOperationGetNumResults(op); i < e; ++i) {
    if (hasUses(result(op, i)) || name(op).substr(0, 7) != "linalg.") {
      return std::string(name(op)) + " has several results";
    }
  }
  if (intptr_t(operands.size()) > mlirOperationGetNumOperands(op)) {
    return std::string(name(op)) + " has fewer operands than it is given";
  }
  // Operands that give extents are kept, so that they must fit.
  auto fits = [](MlirType part, MlirType whole) {
    return mlirTypeEqual(part, whole) ||
           (isPlain(part) && sameDynamicDims(part, whole));
  };
  MlirType whole = mlirValueGetType(result(op));
  if (!fits(resultType, whole)) {
    return "a part of " + toString(whole) + " would be " +
           toString(resultType) + ", which has other dynamic dimensions";
  }
  for (size_t i = 0; i < operands.size(); ++i) {
    MlirType type = mlirValueGetType(operands[i]);
    MlirType before = mlirValueGetType(operand(op, i));
    if (mlirTypeIsAShaped(type) && !fits(type, before)) {
      return "a part of " + toString(before) + " would be " + toString(type) +
             ", which has other dynamic dimensions";
    }
  }
  return "";
}

MlirOperation clonePart(MlirOperation op,
                        const std::vector<MlirValue> &operands,
                        MlirType resultType, MlirOperation before) {
  std::string problem = cloneProblem(op, operands, resultType);
  if (!problem.empty()) {
    return placeholder(problem, operands, resultType, before);
  }
  MlirOperation clone = mlirOperationClone(op);
  for (size_t i = 0; i < operands.size(); ++i) {
    mlirOperationSetOperand(clone, i, operands[i]);
  }
  mlirValueSetType(result(clone), resultType);
  intptr_t numResults = mlirOperationGetNumResults(op);
  for (intptr_t i = 1; i < numResults; ++i) {
    MlirValue init = operands[operands.size() - size_t(numResults - i)];
    mlirValueSetType(result(clone, i), mlirValueGetType(init));
  }
  insertBefore(before, clone);
  return clone;
}

MlirOperation cloneStep(MlirOperation op,
                        const std::vector<MlirValue> &operands,
                        MlirType resultType, MlirOperation before) {
  MlirOperation clone = clonePart(op, operands, resultType, before);
  MlirContext context = mlirOperationGetContext(op);
  auto drop = [&](MlirOperation inner, const char *name, const char *none) {
    if (!isNull(attr(inner, name))) {
      mlirOperationSetAttributeByName(
          inner, strRef(name), mlirAttributeParseGet(context, strRef(none)));
    }
  };
  walk(clone, [&](MlirOperation inner) {
    if (isa(inner, "arith.addi")) {
      drop(inner, "overflowFlags", "#arith.overflow<none>");
    } else if (isa(inner, "arith.addf")) {
      drop(inner, "fastmath", "#arith.fastmath<none>");
    }
  });
  return clone;
}

std::optional<RefusedTensor> refusedTensor(MlirOperation op) {
  std::optional<RefusedTensor> found;
  walk(op, [&](MlirOperation inner) {
    if (!found && isa(inner, placeholderName)) {
      if (std::optional<std::string> reason = attributes::refused(inner)) {
        found = RefusedTensor{mlirOperationGetLocation(inner), *reason};
      }
    }
  });
  return found;
}

} // namespace serenity::rewrite

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/TensorBuilder.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Attributes.h"

#include "serenity/Transforms/Rewrite/RewriteSum.h"

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

/// Why a slice of `type` cannot be named by static numbers; empty if it can.
std::string sliceProblem(MlirType type, int64_t dim, int64_t offset,
                         int64_t size) {
  if (!isStatic(type)) {
    return "a slice of " + toString(type) +
           ", whose shape is not static, has no operands for its extents";
  }
  std::vector<int64_t> extents = shape(type);
  if (dim < 0 || dim >= int64_t(extents.size())) {
    return toString(type) + " has no dimension " + std::to_string(dim);
  }
  if (offset < 0 || size < 0 || size > extents[dim] - offset) {
    return "elements " + std::to_string(offset) + " to " +
           std::to_string(offset + size) + " of dimension " +
           std::to_string(dim) + " are not all in " + toString(type);
  }
  return "";
}

} // namespace

bool isStatic(MlirType type) {
  return mlirTypeIsARankedTensor(type) && mlirShapedTypeHasStaticShape(type) &&
         isNull(mlirRankedTensorTypeGetEncoding(type));
}

std::vector<int64_t> shape(MlirType type) {
  std::vector<int64_t> extents;
  if (!mlirTypeIsAShaped(type) || !mlirShapedTypeHasRank(type)) {
    return extents;
  }
  for (int64_t i = 0, e = mlirShapedTypeGetRank(type); i < e; ++i) {
    extents.push_back(mlirShapedTypeGetDimSize(type, i));
  }
  return extents;
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

MlirValue extractSlice(MlirValue value, int64_t dim, int64_t offset,
                       int64_t size, MlirOperation before) {
  MlirType type = mlirValueGetType(value);
  std::string problem = sliceProblem(type, dim, offset, size);
  if (!problem.empty()) {
    return result(
        placeholder(problem, {value}, withDim(type, dim, size), before));
  }
  MlirContext context = mlirOperationGetContext(before);
  const int32_t segments[] = {1, 0, 0, 0};
  std::vector<NamedAttr> attrs =
      sliceAttrs(context, shape(type), dim, offset, size);
  attrs.push_back(
      {"operandSegmentSizes", mlirDenseI32ArrayGet(context, 4, segments)});
  MlirOperation cut =
      create("tensor.extract_slice", mlirOperationGetLocation(before), {value},
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
  const int32_t segments[] = {1, 1, 0, 0, 0};
  std::vector<NamedAttr> attrs =
      sliceAttrs(context, shape(type), dim, offset, size);
  attrs.push_back(
      {"operandSegmentSizes", mlirDenseI32ArrayGet(context, 5, segments)});
  MlirOperation put =
      create("tensor.insert_slice", mlirOperationGetLocation(before),
             {part, whole}, {type}, attrs);
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
  std::vector<int64_t> segments = intArray(attr(op, "operandSegmentSizes"));
  segments[values.size()] = 1;
  values.push_back(insertBarrier(constant, op));
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

MlirOperation concatenate(const std::vector<MlirValue> &parts, int64_t dim,
                          MlirType type, MlirOperation before) {
  int64_t extent = 0;
  std::string problem = parts.empty() ? "a concatenation of nothing" : "";
  for (MlirValue part : parts) {
    MlirType partType = mlirValueGetType(part);
    std::vector<int64_t> extents = shape(partType);
    bool fits = dim >= 0 && dim < int64_t(extents.size()) &&
                isStatic(partType) &&
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
  if (mlirOperationGetNumResults(op) != 1) {
    return std::string(name(op)) + " has several results";
  }
  if (intptr_t(operands.size()) > mlirOperationGetNumOperands(op)) {
    return std::string(name(op)) + " has fewer operands than it is given";
  }
  if (!isStatic(resultType) &&
      !mlirTypeEqual(resultType, mlirValueGetType(result(op)))) {
    return "a part of " + toString(mlirValueGetType(result(op))) +
           " would be " + toString(resultType) + ", which is not static";
  }
  for (size_t i = 0; i < operands.size(); ++i) {
    MlirType type = mlirValueGetType(operands[i]);
    bool same = mlirValueEqual(operands[i], operand(op, i));
    if (!same && mlirTypeIsAShaped(type) && !isStatic(type)) {
      return "a part of an operand would be " + toString(type) +
             ", which is not static";
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

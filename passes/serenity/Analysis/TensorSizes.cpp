// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/TensorSizes.h"

#include "serenity/Analysis/SizeReader.h"
#include "serenity/IREE/Ir.h"

#include <algorithm>

namespace serenity {

using namespace ir;

namespace {

/// The operand of `op` that gives the extent of dimension `dim`, for operations
/// that list the extents of `sizes` behind `first` operands: the static ones in
/// `sizes`, the others as operands.
MlirValue listedExtent(MlirOperation op, const std::vector<int64_t> &sizes,
                       int64_t first, int64_t dim) {
  for (int64_t i = 0; i < dim; ++i) {
    first += sizes[i] < 0;
  }
  return first < mlirOperationGetNumOperands(op) ? operand(op, first)
                                                 : MlirValue{nullptr};
}

/// The dimension of the collapsed side that holds dimension `dim` of the
/// expanded side alone, all others of its group being of extent one; -1 if
/// there is none. With `dim` of the collapsed side: the other way round.
int64_t acrossReshape(MlirOperation op, MlirValue expanded, int64_t dim,
                      bool fromExpanded) {
  MlirAttribute groups = attr(op, "reassociation");
  std::vector<int64_t> extents = shape(mlirValueGetType(expanded));
  for (intptr_t g = 0, e = mlirArrayAttrGetNumElements(groups); g < e; ++g) {
    std::vector<int64_t> group = intArray(mlirArrayAttrGetElement(groups, g));
    if (fromExpanded ? std::find(group.begin(), group.end(), dim) == group.end()
                     : int64_t(g) != dim) {
      continue;
    }
    int64_t alone = -1;
    for (int64_t inner : group) {
      if (extents[inner] == 1) {
        continue;
      }
      if (alone >= 0) {
        return -1;
      }
      alone = inner;
    }
    return !fromExpanded ? alone : alone == dim ? int64_t(g) : -1;
  }
  return -1;
}

/// One step of `dimSource`: sets `source.extent`, or moves on to an operand.
/// False where neither is possible.
bool follow(DimSource &source) {
  MlirOperation op = definingOp(source.tensor);
  if (isNull(op) || mlirOperationGetNumOperands(op) == 0) {
    return false;
  }
  auto goOn = [&](MlirValue tensor, int64_t dim) {
    source.tensor = tensor;
    source.dim = dim;
    return dim >= 0;
  };
  auto found = [&](MlirValue extent) {
    source.extent = extent;
    return extent.ptr != nullptr;
  };
  const std::vector<int64_t> own = shape(mlirValueGetType(source.tensor));
  const int64_t dim = source.dim;
  std::string_view opName = name(op);
  if (opName == "tensor.empty") {
    return found(listedExtent(op, own, 0, dim));
  }
  if (opName == "hal.tensor.import" || opName == "flow.tensor.tie_shape") {
    return found(listedExtent(op, own, 1, dim));
  }
  if (opName == "tensor.cast" || opName == "util.optimization_barrier" ||
      opName == "hal.tensor.barrier") {
    return goOn(operand(op, mlirOpResultGetResultNumber(source.tensor)), dim);
  }
  if (opName == "tensor.pad") {
    return intArray(attr(op, "static_low"))[dim] == 0 &&
           intArray(attr(op, "static_high"))[dim] == 0 &&
           goOn(operand(op, 0), dim);
  }
  if (opName == "tensor.concat") {
    return intAttr(op, "dim") != dim && goOn(operand(op, 0), dim);
  }
  if (opName == "tensor.insert_slice") {
    return goOn(operand(op, 1), dim);
  }
  if (opName == "tensor.extract_slice") {
    std::vector<int64_t> sizes = intArray(attr(op, "static_sizes"));
    std::vector<int64_t> segments = operandSegments(op);
    return sizes == own && segments.size() == 4 &&
           found(listedExtent(op, sizes, segments[0] + segments[1], dim));
  }
  if (opName == "tensor.expand_shape") {
    return found(listedExtent(op, own, 1, dim));
  }
  if (opName == "tensor.collapse_shape") {
    int64_t other = acrossReshape(op, operand(op, 0), dim, false);
    return other >= 0 && goOn(operand(op, 0), other);
  }
  if (opName.substr(0, 7) == "linalg." ||
      opName == "iree_linalg_ext.quantize_affine" ||
      opName == "iree_linalg_ext.dequantize_affine") {
    // Results follow their inits, the last operands.
    intptr_t init = mlirOperationGetNumOperands(op) -
                    mlirOperationGetNumResults(op) +
                    mlirOpResultGetResultNumber(source.tensor);
    return init >= 0 &&
           mlirTypeEqual(mlirValueGetType(operand(op, init)),
                         mlirValueGetType(source.tensor)) &&
           goOn(operand(op, init), dim);
  }
  return false;
}

} // namespace

DimSource dimSource(MlirValue tensor, int64_t dim) {
  DimSource source;
  source.tensor = tensor;
  source.dim = dim;
  for (DimSource next = source; follow(next);) {
    source = next;
    if (source.extent.ptr ||
        mlirShapedTypeGetDimSize(mlirValueGetType(source.tensor), source.dim) >=
            0) {
      break;
    }
  }
  return source;
}

TensorSizes::TensorSizes(const Options &given) {
  options.dimHints = given.dimHints;
  options.dimBounds = given.dimBounds;
  options.defaultExtent = given.defaultExtent;
}

int64_t TensorSizes::extent(MlirValue tensor, int64_t dim) const {
  int64_t size = mlirShapedTypeGetDimSize(mlirValueGetType(tensor), dim);
  if (size >= 0) {
    return size;
  }
  DimSource source = dimSource(tensor, dim);
  if (source.extent.ptr) {
    std::optional<int64_t> hint = SizeReader(options).atHint(source.extent);
    return std::max<int64_t>(hint.value_or(options.defaultExtent), 0);
  }
  int64_t known =
      mlirShapedTypeGetDimSize(mlirValueGetType(source.tensor), source.dim);
  if (known >= 0) {
    return known;
  }
  MlirOperation op = definingOp(source.tensor);
  if (!isNull(op) && isa(op, "tensor.pad")) {
    int64_t low = intArray(attr(op, "static_low"))[source.dim];
    int64_t high = intArray(attr(op, "static_high"))[source.dim];
    if (low >= 0 && high >= 0) {
      return extent(operand(op, 0), source.dim) + low + high;
    }
  } else if (!isNull(op) && isa(op, "tensor.concat")) {
    int64_t sum = 0;
    for (MlirValue part : operands(op)) {
      sum += extent(part, source.dim);
    }
    return sum;
  } else if (!isNull(op) && isa(op, "tensor.collapse_shape")) {
    int64_t product = 1;
    for (int64_t inner : intArray(
             mlirArrayAttrGetElement(attr(op, "reassociation"), source.dim))) {
      if (__builtin_mul_overflow(product, extent(operand(op, 0), inner),
                                 &product)) {
        return options.defaultExtent;
      }
    }
    return product;
  }
  return options.dimHints.others.value_or(options.defaultExtent);
}

std::optional<int64_t> TensorSizes::bytes(MlirValue tensor) const {
  MlirType type = mlirValueGetType(tensor);
  std::optional<int64_t> bytes = denseElementBytes(type);
  for (int64_t i = 0, e = bytes ? mlirShapedTypeGetRank(type) : 0;
       bytes && i < e; ++i) {
    if (__builtin_mul_overflow(*bytes, extent(tensor, i), &*bytes)) {
      return std::nullopt;
    }
  }
  return bytes;
}

} // namespace serenity

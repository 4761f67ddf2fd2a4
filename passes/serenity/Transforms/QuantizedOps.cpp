// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/QuantizedOps.h"

#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/TensorBuilder.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace serenity::quantized {

using namespace ir;

namespace {
constexpr const char *quantizeName = "iree_linalg_ext.quantize_affine";
constexpr const char *dequantizeName = "iree_linalg_ext.dequantize_affine";
} // namespace

MlirType Affine::storage() const {
  return mlirShapedTypeGetElementType(
      mlirValueGetType(quantizes ? result() : input));
}

std::set<int64_t> Affine::channelDims() const {
  std::set<int64_t> dims;
  for (size_t i = 1; i + 1 < maps.size(); ++i) {
    for (intptr_t k = 0, e = mlirAffineMapGetNumResults(maps[i]); k < e; ++k) {
      MlirAffineExpr expr = mlirAffineMapGetResult(maps[i], k);
      dims.insert(mlirAffineExprIsADim(expr)
                      ? int64_t(mlirAffineDimExprGetPosition(expr))
                      : -1);
    }
  }
  return dims;
}

bool hasAffine(MlirOperation module) {
  bool found = false;
  walk(module, [&](MlirOperation op) {
    found |= isa(op, quantizeName) || isa(op, dequantizeName);
  });
  return found;
}

static bool isF32(MlirType type) {
  return mlirTypeIsAFloat(type) && toString(type) == "f32";
}

/// Whether [min, max] are values of `storage`.
static bool fits(const Affine &affine, MlirType storage) {
  int64_t width = mlirIntegerTypeGetWidth(storage);
  int64_t low = affine.isUnsigned ? 0 : -(int64_t(1) << (width - 1));
  int64_t high = low + (int64_t(1) << width) - 1;
  return low <= affine.min && affine.min < affine.max && affine.max <= high;
}

std::optional<Affine> asAffine(MlirOperation op) {
  Affine found;
  found.op = op;
  found.quantizes = isa(op, quantizeName);
  if ((!found.quantizes && !isa(op, dequantizeName)) ||
      mlirOperationGetNumResults(op) != 1) {
    return std::nullopt;
  }
  const std::string_view unsignedAttr =
      found.quantizes ? "storage_unsigned" : "input_unsigned";
  for (intptr_t i = 0, e = mlirOperationGetNumAttributes(op); i < e; ++i) {
    std::string_view known =
        view(mlirIdentifierStr(mlirOperationGetAttribute(op, i).name));
    if (known != "indexing_maps" && known != "quant_min" &&
        known != "quant_max" && known != unsignedAttr) {
      return std::nullopt;
    }
  }
  std::vector<MlirValue> values = operands(op);
  MlirAttribute maps = attr(op, "indexing_maps");
  std::optional<int64_t> min = intAttr(op, "quant_min");
  std::optional<int64_t> max = intAttr(op, "quant_max");
  if (isNull(maps) || !mlirAttributeIsAArray(maps) || !min || !max ||
      (values.size() != 3 && values.size() != 4) ||
      mlirArrayAttrGetNumElements(maps) != intptr_t(values.size())) {
    return std::nullopt;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    found.maps.push_back(
        mlirAffineMapAttrGetValue(mlirArrayAttrGetElement(maps, i)));
  }
  found.input = values[0];
  found.scale = values[1];
  found.zeroPoint = values.size() == 4 ? values[2] : MlirValue{nullptr};
  found.min = *min;
  found.max = *max;
  found.isUnsigned = !isNull(attr(op, unsignedAttr));
  MlirType in = mlirValueGetType(found.input);
  MlirType out = mlirValueGetType(found.result());
  if (!rewrite::isPlain(in) || !rewrite::isPlain(out) ||
      shape(in) != shape(out) || !mlirAffineMapIsIdentity(found.maps.front()) ||
      !mlirAffineMapIsIdentity(found.maps.back()) ||
      found.channelDims().count(-1)) {
    return std::nullopt;
  }
  MlirType real = mlirShapedTypeGetElementType(found.quantizes ? in : out);
  MlirType storage = found.storage();
  if (!isF32(real) || !mlirTypeIsAInteger(storage) ||
      (mlirIntegerTypeGetWidth(storage) != 8 &&
       mlirIntegerTypeGetWidth(storage) != 16) ||
      !fits(found, storage)) {
    return std::nullopt;
  }
  return found;
}

// --- constants --------------------------------------------------------------

static MlirAttribute constantValue(MlirValue value) {
  MlirOperation op = definingOp(value);
  return !isNull(op) && isa(op, "arith.constant") ? attr(op, "value")
                                                  : MlirAttribute{nullptr};
}

std::optional<float> constantFloat(MlirValue value) {
  MlirAttribute found = constantValue(value);
  if (isNull(found) || !mlirAttributeIsAFloat(found) ||
      !isF32(mlirValueGetType(value))) {
    return std::nullopt;
  }
  return float(mlirFloatAttrGetValueDouble(found));
}

/// The same value whatever happens: one SSA value or equal constants.
static bool sameValue(MlirValue a, MlirValue b) {
  if (!a.ptr || !b.ptr) {
    return !a.ptr && !b.ptr;
  }
  MlirAttribute first = constantValue(a);
  MlirAttribute second = constantValue(b);
  return mlirValueEqual(a, b) || (!isNull(first) && !isNull(second) &&
                                  mlirAttributeEqual(first, second));
}

bool sameParameters(const Affine &a, const Affine &b) {
  if (a.min != b.min || a.max != b.max || a.isUnsigned != b.isUnsigned ||
      a.maps.size() != b.maps.size() ||
      !mlirTypeEqual(a.storage(), b.storage()) ||
      !sameValue(a.scale, b.scale) || !sameValue(a.zeroPoint, b.zeroPoint)) {
    return false;
  }
  for (size_t i = 1; i + 1 < a.maps.size(); ++i) {
    // One for the tensor, or along the same dimensions of equal ranks.
    if (!mlirAffineMapEqual(a.maps[i], b.maps[i]) &&
        (mlirAffineMapGetNumResults(a.maps[i]) > 0 ||
         mlirAffineMapGetNumResults(b.maps[i]) > 0)) {
      return false;
    }
  }
  return true;
}

std::optional<std::pair<double, double>> scaleRange(const Affine &affine) {
  std::pair<double, double> range;
  if (std::optional<float> one = constantFloat(affine.scale)) {
    range = {*one, *one};
  } else {
    MlirAttribute found = constantValue(affine.scale);
    if (isNull(found) || !mlirAttributeIsADenseElements(found) ||
        !isF32(mlirShapedTypeGetElementType(mlirAttributeGetType(found)))) {
      return std::nullopt;
    }
    const auto *data =
        static_cast<const float *>(mlirDenseElementsAttrGetRawData(found));
    int64_t count = mlirDenseElementsAttrIsSplat(found)
                        ? 1
                        : mlirElementsAttrGetNumElements(found);
    if (!data || count < 1) {
      return std::nullopt;
    }
    range = {data[0], data[0]};
    for (int64_t i = 0; i < count; ++i) {
      if (std::isnan(data[i])) {
        return std::nullopt;
      }
      range.first = std::min<double>(range.first, data[i]);
      range.second = std::max<double>(range.second, data[i]);
    }
  }
  double most = double(affine.max) - double(affine.min);
  if (!(range.first >= FLT_MIN) || !(range.second * most <= FLT_MAX)) {
    return std::nullopt;
  }
  return range;
}

std::optional<int64_t> zeroPointOf(const Affine &affine) {
  if (!affine.zeroPoint.ptr) {
    return affine.min <= 0 && 0 <= affine.max ? std::optional<int64_t>(0)
                                              : std::nullopt;
  }
  std::optional<int64_t> value = constantInt(affine.zeroPoint);
  return value && affine.min <= *value && *value <= affine.max ? value
                                                               : std::nullopt;
}

bool isExactInverse(const Affine &affine) {
  int64_t width = mlirIntegerTypeGetWidth(affine.storage());
  return affine.max - affine.min == (int64_t(1) << width) - 1 &&
         scaleRange(affine) && zeroPointOf(affine);
}

std::optional<int64_t> quantizeConstant(const Affine &affine, float value) {
  std::optional<float> scale = constantFloat(affine.scale);
  std::optional<int64_t> zero = zeroPointOf(affine);
  if (!scale || !zero || !scaleRange(affine)) {
    return std::nullopt;
  }
  float rounded = std::nearbyintf(value / *scale) + float(*zero);
  rounded = std::fmin(std::fmax(rounded, float(affine.min)), float(affine.max));
  return int64_t(rounded);
}

std::optional<float> dequantizeConstant(const Affine &affine, int64_t value) {
  std::optional<float> scale = constantFloat(affine.scale);
  std::optional<int64_t> zero = zeroPointOf(affine);
  if (!scale || !zero || !scaleRange(affine)) {
    return std::nullopt;
  }
  return float(value - *zero) * *scale;
}

bool isArgument(MlirValue value) {
  MlirOperation owner =
      mlirBlockGetParentOperation(mlirBlockArgumentGetOwner(value));
  std::string_view dialect = name(owner).substr(0, 7);
  return dialect != "linalg." && dialect != "tensor.";
}

bool isComputed(MlirValue value) {
  std::vector<MlirValue> work = {value};
  std::set<const void *> seen;
  while (!work.empty()) {
    MlirValue next = work.back();
    work.pop_back();
    if (!seen.insert(key(next)).second) {
      continue;
    }
    MlirOperation op = definingOp(next);
    if (isNull(op)) {
      if (isArgument(next)) {
        return true;
      }
      continue;
    }
    if (isa(op, "hal.tensor.import") || isa(op, "util.call")) {
      return true;
    }
    // Values that a body captures are read too.
    walk(op, [&](MlirOperation inner) {
      for (MlirValue source : operands(inner)) {
        work.push_back(source);
      }
    });
  }
  return false;
}

} // namespace serenity::quantized

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Affine quantization (`iree_linalg_ext.quantize_affine`,
/// `iree_linalg_ext.dequantize_affine`) as the passes read it.
///
/// IREE 3.13 lowers them, in f32, to
///
///   Q(x)  = fptosi(minnum(maxnum(roundeven(x / scale) + zp, min), max))
///   DQ(q) = sitofp(q - zp) * scale
///
/// so Q of a NaN is `min`. IREE 3.12 has neither operation.

#ifndef SERENITY_TRANSFORMS_QUANTIZEDOPS_H
#define SERENITY_TRANSFORMS_QUANTIZEDOPS_H

#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace serenity::quantized {

/// A quantization or dequantization between f32 and integers of 8 or 16 bits
/// (signless; `isUnsigned` says how they are read) over a whole tensor,
/// element by element. Extents may be dynamic.
struct Affine {
  MlirOperation op = {};
  bool quantizes = false;
  MlirValue input = {};
  MlirValue scale = {};
  MlirValue zeroPoint = {}; // null: zero
  int64_t min = 0;
  int64_t max = 0;
  bool isUnsigned = false;
  /// One per operand. Those of scale and zero point have no result where the
  /// parameter is one for the tensor.
  std::vector<MlirAffineMap> maps;

  MlirValue result() const { return ir::result(op); }
  /// The element type of the integers.
  MlirType storage() const;
  /// The dimensions that a parameter varies along.
  std::set<int64_t> channelDims() const;
};

/// `op` if it is one that is understood: attributes of later IREE releases that
/// change its meaning, and other element types are not.
std::optional<Affine> asAffine(MlirOperation op);

/// Whether there is any such operation in `module`, understood or not.
bool hasAffine(MlirOperation module);

/// Whether both convert with the same scales and zero points, between the same
/// types and ranges.
bool sameParameters(const Affine &a, const Affine &b);

/// The scales, if they are constants, positive and normal, such that no value
/// of the range overflows; the least and the largest.
std::optional<std::pair<double, double>> scaleRange(const Affine &affine);

/// The zero point if it is one constant inside the range of the integers.
std::optional<int64_t> zeroPointOf(const Affine &affine);

/// Whether Q(DQ(q)) = q for every q of the storage type.
///
/// With k = q - zp, |k| <= 65535, DQ gives k * scale * (1 + e) and the division
/// k * (1 + e)(1 + e'), where |e|, |e'| <= 2^-24: less than 0.01 from k, so
/// that roundeven gives k. Needs normal products and the full range.
bool isExactInverse(const Affine &affine);

/// Q(value) as IREE computes it; nothing unless scale and zero point are single
/// constants.
std::optional<int64_t> quantizeConstant(const Affine &affine, float value);

/// DQ(value), likewise.
std::optional<float> dequantizeConstant(const Affine &affine, int64_t value);

/// The value of an `arith.constant` of type f32.
std::optional<float> constantFloat(MlirValue value);

/// Whether `value` is computed from an input of the function: neither a
/// constant, nor loaded, nor made of such.
bool isComputed(MlirValue value);
/// Whether a block argument is one of a function or a loop, not an element of
/// an operand.
bool isArgument(MlirValue value);

/// Whether no run gives a NaN for an element of `value`, as far as interval
/// arithmetic proves it from dequantized values and constants.
bool isNeverNaN(MlirValue value);

/// How often a contraction at a location is computed in integers once IREE has
/// raised `module`, by location. Empty if this release does not.
std::map<std::string, int64_t> raisedContractions(MlirOperation module);

/// A copy of `module`, lowered as IREE's global optimization will, so far that
/// contractions over dequantized values are integer contractions (i8 x i8 ->
/// i32), each with one elementwise operation behind it that corrects, scales
/// and quantizes. Empty, without a diagnostic, if this IREE release has no such
/// passes.
ir::OwningOp raisedCopy(MlirOperation module);

/// Whether `op` is elementwise and makes wider elements, as a dequantization.
/// Dispatch formation takes it into the dispatch of its only reader.
bool widensElements(MlirOperation op);

/// Whether `op` widens the elements of one tensor, its first operand, for loops
/// over them alone. Dispatch formation copies it into the dispatches of all of
/// these, so that the narrow elements are stored.
bool isCopiedToReaders(MlirOperation op);

/// Puts operations that become one dispatch next to each other: raising makes
/// all accumulators before the operations that quantize them, and the plans of
/// bands would keep them as a whole between. A dequantization that several
/// operations read is copied for each, as dispatch formation does, so that the
/// plans count the narrow elements, which are stored.
void orderByDispatches(MlirBlock block);

/// Replaces sums over constants of 8-bit integers, accumulated in i32 from
/// zeros, by constants: the sums of weights that a zero point is multiplied by.
/// Returns how many.
int64_t foldWeightSums(MlirOperation module);

/// Replaces dequantizations of constants, lowered to elementwise operations, by
/// constants of at most 1 MiB. Returns how many.
int64_t foldDequantizedConstants(MlirOperation module);

/// Puts barriers behind operations that compute floats from constants, so that
/// they are not fused with what reads them. `removeConstantBarriers` takes them
/// out. Returns how many.
int64_t keepConstantsApart(MlirOperation module);

/// Gives what is inserted into a tensor of more dimensions these again, as
/// dimensions of one element. Returns how many operands were changed.
int64_t expandInserted(MlirOperation module);

} // namespace serenity::quantized

#endif // SERENITY_TRANSFORMS_QUANTIZEDOPS_H

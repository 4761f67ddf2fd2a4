// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Sums of floats that are quantized later. A sum in another order rounds
/// otherwise in its last bits; a quantization behind it may make a whole
/// quantum of that, which no tolerance for rounding allows. So these sums keep
/// their order.

#ifndef SERENITY_TRANSFORMS_QUANTIZEDAFTERWARDS_H
#define SERENITY_TRANSFORMS_QUANTIZEDAFTERWARDS_H

#include "serenity/IREE/Ir.h"

#include <set>
#include <vector>

namespace serenity::quantized {

/// The operations of a function that a quantization depends on.
class QuantizedAfterwards {
public:
  /// Reads `function`: the operations whose results, or values computed from
  /// them, are converted from floats to integers of at most 16 bits, by
  /// `iree_linalg_ext.quantize_affine` or in the body of a linalg operation.
  /// Conversions of constants, such as weights, do not count.
  explicit QuantizedAfterwards(MlirOperation function);

  /// Whether `op` adds up floats and a quantization depends on the sum.
  bool keepsOrder(MlirOperation op) const;
  /// Whether `op` adds up products of floats and a quantization depends on the
  /// sum.
  bool keepsProducts(MlirOperation op) const;
  /// Whether there is a sum of floats that a quantization depends on.
  bool keepsAny() const;

private:
  std::set<const void *> before;
  std::vector<MlirOperation> operations;
};

/// Whether a function of `module` has a sum of floats that a quantization
/// depends on. Where IREE does not compute it in integers, also the dispatch
/// that it is part of decides how it is rounded.
bool quantizesSumsOfFloats(MlirOperation module);

} // namespace serenity::quantized

#endif // SERENITY_TRANSFORMS_QUANTIZEDAFTERWARDS_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Computes values once more in front of their late readers, so that these can
/// be computed in bands without keeping the values as a whole.
///
///   s = conv(x)                     s = conv(x)
///   p = pool(s)                     p = pool(s)      s dies here
///   ...                       =>    ...
///   y = concat(s, up(...))          s' = conv(x)     in bands, with y
///                                   y = concat(s', up(...))

#ifndef SERENITY_TRANSFORMS_REWRITE_REWRITEBANDRECOMPUTE_H
#define SERENITY_TRANSFORMS_REWRITE_REWRITEBANDRECOMPUTE_H

#include "serenity/Transforms/Rewrite/RewriteBandGraph.h"

#include <vector>

namespace serenity::bands {

/// Computes values of `function` again, one after the other, and reads it.
/// `options.copies` is not used.
FunctionGraph recomputeAndRead(MlirOperation module, MlirOperation function,
                               const std::vector<Recomputed> &recomputed,
                               GraphOptions options);

} // namespace serenity::bands

#endif // SERENITY_TRANSFORMS_REWRITE_REWRITEBANDRECOMPUTE_H

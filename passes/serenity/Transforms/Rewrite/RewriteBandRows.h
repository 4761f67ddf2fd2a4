// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Finds the rows of the values of a function, and how operations read them.
///
/// The rows of a value are one of its dimensions. They begin with an operation
/// that shows which dimension may be cut: the first windowed dimension of a
/// convolution or pool, or a dimension of a product of two computed values that
/// only one of them has (the queries of an attention). From there they are
/// carried through elementwise operations, reductions of other dimensions,
/// pads, slices, concatenations, transposes, reshapes and zeros that are put
/// between elements.

#ifndef SERENITY_TRANSFORMS_REWRITE_REWRITEBANDROWS_H
#define SERENITY_TRANSFORMS_REWRITE_REWRITEBANDROWS_H

#include "serenity/Core/Banding/BandPlan.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>

namespace serenity::bands {

/// `op` as a loop nest, as `structured` gives it, or with further results that
/// nothing reads: a maximum comes with its position from some importers.
std::optional<rewrite::Structured> structuredRows(MlirOperation op);

/// How `op` reads operand `index` of rows `dim`, where its result has rows
/// along `resultDim`. `loops` as `structuredRows` gives them.
std::optional<Read> readOf(const rewrite::Structured &loops, int64_t index,
                           int64_t dim, int64_t resultDim);

/// The loop that reduces all rows (dimension `dim`) of input `index` of
/// `loops`, which accumulates into its init: one row per step, and all of them.
/// Nothing if there is none.
std::optional<int64_t> reducedRows(const rewrite::Structured &loops,
                                   int64_t index, int64_t dim);

/// Whether `op` inserts its operand between constant elements that are not
/// next to one another, as the import of a transposed convolution does.
bool spreadsElements(MlirOperation op);

/// Whether `op` is a reshape between tensors without encodings.
bool isReshape(MlirOperation op);

/// Whether `op` is a barrier that keeps fusion away, or has the extents of its
/// result written beside it.
bool isOwnBarrier(MlirOperation op);

/// The dimension on the other side of a reshape or barrier that has the same
/// rows as dimension `dim` of its operand, or of its result.
std::optional<int64_t> sameRows(MlirOperation reshape, int64_t dim,
                                bool ofOperand);

/// The dimension of the rows of the values in `function`, by their addresses;
/// those without rows and those in `constants` are not in it.
std::map<const void *, int64_t>
findRows(MlirOperation function, const std::set<const void *> &constants);

} // namespace serenity::bands

#endif // SERENITY_TRANSFORMS_REWRITE_REWRITEBANDROWS_H

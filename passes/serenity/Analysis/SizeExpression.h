// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Sizes that are computed from dimensions of arguments, as text for formulas.

#ifndef SERENITY_ANALYSIS_SIZEEXPRESSION_H
#define SERENITY_ANALYSIS_SIZEEXPRESSION_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Transforms/Options.h"

#include <map>
#include <optional>
#include <string>

namespace serenity {

/// The computation of `value` as text, such as `floordiv({arg0:axis2} - 1, 2)`:
/// sums, differences, products, `max`, `min`, `align`, `floordiv` and `ceildiv`
/// of numbers and dimensions of arguments, which stand in braces and are added
/// to `dimensions`. Nothing for other operations and for a long text.
std::optional<std::string>
writeExpression(MlirValue value, const Options &options,
                std::map<std::string, MlirValue> &dimensions);

} // namespace serenity

#endif // SERENITY_ANALYSIS_SIZEEXPRESSION_H

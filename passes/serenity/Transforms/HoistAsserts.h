// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TRANSFORMS_HOISTASSERTS_H
#define SERENITY_TRANSFORMS_HOISTASSERTS_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Transforms/Options.h"

namespace serenity {

/// Moves every `cf.assert` of `function` whose condition is computed from
/// extents and other scalars, with that computation, before the dispatches that
/// precede it: IREE ends an execution region at an assert. No assert passes
/// another one or an operation with side effects.
///
/// Behind asserts that dimensions are equal, all uses of one become uses of the
/// other, so that sizes computed from them are known to be equal.
void hoistAsserts(MlirOperation function, const Options &options);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_HOISTASSERTS_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Arguments of a function that a call may overwrite, as their imports say.

#ifndef SERENITY_ANALYSIS_CONSUMEDIMPORTS_H
#define SERENITY_ANALYSIS_CONSUMEDIMPORTS_H

#include "serenity/IREE/MlirC.h"

namespace serenity {

/// Whether `op` imports an argument of the function as a tensor: a
/// `hal.tensor.import` of a buffer view.
bool importsArgument(MlirOperation op);

/// Whether nothing but `import` reads the contents of the argument that it
/// imports, its first operand: the argument is not returned as it is, not
/// passed on, and not imported a second time. Shape and type may be read.
bool isOnlyImport(MlirOperation import);

/// Whether `op` imports an argument as a tensor, marked `consume`, and is its
/// only import: the function may write to the tensor's memory after the last
/// read.
bool isConsumedImport(MlirOperation op);

} // namespace serenity

#endif // SERENITY_ANALYSIS_CONSUMEDIMPORTS_H

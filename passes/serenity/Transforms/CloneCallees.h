// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TRANSFORMS_CLONECALLEES_H
#define SERENITY_TRANSFORMS_CLONECALLEES_H

#include "serenity/IREE/MlirC.h"

namespace serenity {

/// Whether `serenity-clone-callees` can give every call of a private function
/// of `module` a function of its own: none calls itself, and the copies stay
/// within a limit.
bool canCloneCallees(MlirOperation module);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_CLONECALLEES_H

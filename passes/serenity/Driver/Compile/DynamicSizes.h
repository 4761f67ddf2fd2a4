// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H
#define SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H

#include "serenity/IREE/MlirC.h"

namespace serenity {

/// Emits one remark for every function of `module` (at flow) that computes
/// tensors of dynamic size: their order and offsets stay IREE's. The remark
/// names the dynamic dimensions of the arguments as `argI:axisJ` and the flag
/// that fixes them.
void remarkOnDynamicSizes(MlirOperation module);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H

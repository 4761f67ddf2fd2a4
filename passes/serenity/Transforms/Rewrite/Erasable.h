// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TRANSFORMS_REWRITE_ERASABLE_H
#define SERENITY_TRANSFORMS_REWRITE_ERASABLE_H

#include "serenity/IREE/Ir.h"

namespace serenity::rewrite {

/// Whether `op` can be erased if its results have no use.
inline bool isErasable(MlirOperation op) {
  std::string_view opName = ir::name(op);
  return opName.substr(0, 7) == "linalg." || opName.substr(0, 7) == "tensor." ||
         opName == "arith.constant" || opName == "util.global.load";
}

} // namespace serenity::rewrite

#endif // SERENITY_TRANSFORMS_REWRITE_ERASABLE_H

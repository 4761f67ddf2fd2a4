// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The extension `serenity_mlir._core`: the core library without MLIR or IREE.

#include "serenity/Python/CoreBindings.h"

NB_MODULE(_core, m) {
  m.doc() = "Schedulers and offset packing of serenity_mlir, without MLIR.";
  serenity::bindScheduling(m);
  serenity::bindOffsets(m);
  serenity::bindOptions(m);
}

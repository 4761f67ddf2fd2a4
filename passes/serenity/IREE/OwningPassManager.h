// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_IREE_OWNINGPASSMANAGER_H
#define SERENITY_IREE_OWNINGPASSMANAGER_H

#include "serenity/IREE/Ir.h"

namespace serenity::ir {

/// Owns a pass manager that is anchored on `builtin.module`. Move-only; empty
/// after it was moved from.
class OwningPassManager {
public:
  explicit OwningPassManager(MlirContext context)
      : manager(mlirPassManagerCreateOnOperation(context,
                                                 strRef("builtin.module"))) {}
  OwningPassManager(OwningPassManager &&other) noexcept
      : manager(other.manager) {
    other.manager = {nullptr};
  }
  OwningPassManager &operator=(OwningPassManager &&) = delete;
  OwningPassManager(const OwningPassManager &) = delete;
  OwningPassManager &operator=(const OwningPassManager &) = delete;
  ~OwningPassManager() {
    if (manager.ptr) {
      mlirPassManagerDestroy(manager);
    }
  }

  /// The pass manager, which stays owned.
  MlirPassManager get() const { return manager; }
  /// Runs the passes; false if one fails.
  bool run(MlirOperation module) const {
    return mlirPassManagerRunOnOp(manager, module).value != 0;
  }

private:
  MlirPassManager manager;
};

} // namespace serenity::ir

#endif // SERENITY_IREE_OWNINGPASSMANAGER_H

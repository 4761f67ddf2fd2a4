// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Ownership of operations. `MlirOperation` is a reference; a module that was
/// cloned, parsed or taken out of an invocation, and an operation without a
/// parent, are owned by an `OwningOp`.

#ifndef SERENITY_IREE_OWNINGOP_H
#define SERENITY_IREE_OWNINGOP_H

#include "serenity/IREE/MlirC.h"

namespace serenity::ir {

/// Erases an operation that nothing uses, from its block if it is in one.
inline void erase(MlirOperation op) { mlirOperationDestroy(op); }

/// Owns an operation that is in no block, such as a module. Move-only; empty
/// after it was moved from or released.
class OwningOp {
public:
  OwningOp() = default;
  /// Takes ownership of `op`, which may be null.
  explicit OwningOp(MlirOperation op) : op(op) {}
  OwningOp(OwningOp &&other) noexcept : op(other.release()) {}
  OwningOp &operator=(OwningOp &&other) noexcept {
    reset(other.release());
    return *this;
  }
  OwningOp(const OwningOp &) = delete;
  OwningOp &operator=(const OwningOp &) = delete;
  ~OwningOp() { reset(); }

  /// A copy of `original` and all that it contains.
  static OwningOp clone(MlirOperation original) {
    return OwningOp(mlirOperationClone(original));
  }

  explicit operator bool() const { return op.ptr != nullptr; }
  /// The operation, which stays owned; null if there is none.
  MlirOperation get() const { return op; }
  /// Gives up ownership.
  [[nodiscard]] MlirOperation release() {
    MlirOperation released = op;
    op = {nullptr};
    return released;
  }
  /// Destroys the operation and takes ownership of `next`.
  void reset(MlirOperation next = {nullptr}) {
    if (op.ptr && op.ptr != next.ptr) {
      mlirOperationDestroy(op);
    }
    op = next;
  }

private:
  MlirOperation op = {nullptr};
};

} // namespace serenity::ir

#endif // SERENITY_IREE_OWNINGOP_H

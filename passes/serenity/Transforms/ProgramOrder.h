// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The order of a function's operations, carried through IREE's passes.
///
/// IREE keeps the dependences, but not the order of the program: dispatch
/// formation sorts blocks anew. An order that was chosen on linalg therefore
/// travels in the locations, which every pass hands on.

#ifndef SERENITY_TRANSFORMS_PROGRAMORDER_H
#define SERENITY_TRANSFORMS_PROGRAMORDER_H

#include "serenity/IREE/Ir.h"

#include <set>
#include <vector>

namespace serenity {

/// Puts the operations of a block into another order.
class Reorder {
public:
  explicit Reorder(MlirBlock block);
  /// Puts `op` next, behind the operations that it needs.
  void emit(MlirOperation op);
  /// Moves the operations; those that were not emitted follow in their order.
  void apply();

private:
  MlirBlock block;
  std::set<const void *> inBlock;
  std::set<const void *> emitted;
  std::vector<MlirOperation> order;
};

/// Writes the position of every linalg and tensor operation of the functions of
/// `module` into its location.
void tagProgramOrder(MlirOperation module);

/// At flow level: puts the dispatches and updates of every function into the
/// order of the tags, as far as one depends on another, and takes the tags out
/// of all locations. Functions of several blocks, or with other operations than
/// flow's between the dispatches, keep their order.
void restoreProgramOrder(MlirOperation module);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_PROGRAMORDER_H

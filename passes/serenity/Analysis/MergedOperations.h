// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The elementwise operations that IREE merges with their only reader before it
/// forms dispatches (elementwise fusion).

#ifndef SERENITY_ANALYSIS_MERGEDOPERATIONS_H
#define SERENITY_ANALYSIS_MERGEDOPERATIONS_H

#include "serenity/IREE/Ir.h"

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

namespace serenity::rewrite {

/// Whether the result of `op` is another name for the operand's memory.
bool isView(MlirOperation op);

/// Whether `op` computes with extents, and reads no element of a tensor.
bool isShapeOnly(MlirOperation op);

class MergedOperations {
public:
  MergedOperations() = default;

  /// Those of a block. Operations for which `isOther` holds are not taken for
  /// elementwise ones; `sameElements` tells whether two values have as many.
  MergedOperations(
      MlirBlock block, const std::function<bool(MlirOperation)> &isOther,
      const std::function<bool(MlirValue, MlirValue)> &sameElements);

  /// Whether its reader computes `op` along.
  bool isMerged(MlirOperation op) const { return into.count(op.ptr) > 0; }
  /// Whether `op` widens elements, such as a dequantization: IREE copies it
  /// into the dispatches of all readers.
  bool isWidened(MlirOperation op) const { return widened.count(op.ptr) > 0; }

  /// The operation that computes `op` along; `op` itself if none does.
  MlirOperation root(MlirOperation op) const;
  /// `op` after the operations that it computes along.
  std::vector<MlirOperation> parts(MlirOperation op) const;
  /// The values that `op` reads, with those of the operations that it computes
  /// along and without their results.
  std::vector<MlirValue> operandsOf(MlirOperation op) const;
  /// The operations that read `value`, a view of it, or its widened elements.
  std::vector<MlirOperation> readersOf(MlirValue value) const;
  /// How many operations read `value`; those that are merged count as one.
  int64_t numReaders(MlirValue value) const;

private:
  void listReaders(MlirValue value, std::vector<MlirOperation> &found) const;

  std::set<const void *> widened;
  /// By merged operation, its reader.
  std::map<const void *, MlirOperation> into;
};

} // namespace serenity::rewrite

#endif // SERENITY_ANALYSIS_MERGEDOPERATIONS_H

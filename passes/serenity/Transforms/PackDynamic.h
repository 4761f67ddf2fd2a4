// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Layout of slabs that have slices of dynamic size; see Pack.cpp.

#ifndef SERENITY_TRANSFORMS_PACKDYNAMIC_H
#define SERENITY_TRANSFORMS_PACKDYNAMIC_H

#include "serenity/Analysis/SizeReader.h"
#include "serenity/Core/Packing/SymbolicOffsets.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/PackModel.h"

#include <optional>
#include <vector>

namespace serenity {

/// The layout of a slab with slices of dynamic size, as expressions over them.
struct DynamicLayout {
  /// Slices of the pack that take memory.
  std::vector<size_t> slices;
  /// Their sizes at the hints.
  std::vector<int64_t> bytesOfSliceAtHint;
  /// Their offsets; nothing if IREE's layout is as small at the hints.
  std::optional<SymbolicPacking> own;
  std::vector<SizeSymbol> symbols;
  /// Of the expressions of these.
  std::vector<SizeSymbol> expressionDimensions;
  std::vector<SizeDefinition> definitions;
  /// Bytes of IREE's layout of the dynamic slices behind the static ones.
  SizePolynomial stockBytes;
  int64_t stockBytesAtHint = 0;
  /// No extents of the dimensions need more than IREE's layout. Where this is
  /// not known, the module compares the two at run time.
  bool neverLarger = false;

  int64_t bytesAtHint() const {
    return own ? own->heightAtHint : stockBytesAtHint;
  }
};

/// Lays the slices of `model` out. `staticBytes` is the slab of the static ones
/// alone. Nothing if sizes overflow or alignments do not fit.
std::optional<DynamicLayout> layOutDynamic(const PackModel &model,
                                           int64_t staticBytes,
                                           const PackOptions &packing,
                                           const Options &options);

/// SSA values for the results of the pack `op`: the total, then an offset per
/// slice. Null where the layout has no value (an empty slice).
std::vector<MlirValue> writeDynamicLayout(MlirOperation op,
                                          const PackModel &model,
                                          const DynamicLayout &layout);

/// The size of the slab as a formula, for the report.
BytesFormula formulaOf(const DynamicLayout &layout);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_PACKDYNAMIC_H

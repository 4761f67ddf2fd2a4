// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TRANSFORMS_PACKMODEL_H
#define SERENITY_TRANSFORMS_PACKMODEL_H

#include "serenity/Core/Packing/Offsets.h"
#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"

#include <optional>
#include <vector>

namespace serenity {

/// A `stream.resource.pack`, taken apart.
struct PackModel {
  std::optional<MlirValue> offset;
  std::vector<int64_t> intervals; // two per slice, inclusive
  std::vector<MlirValue> sizes;
  std::vector<size_t> fixed;   // slices of constant size other than 0
  std::vector<size_t> dynamic; // the others
  std::vector<size_t> empty;   // of size 0: they take no room, at offset 0
  std::vector<Slice> slices;   // one per entry of `fixed`
};

/// Nothing if the operation does not look as expected.
std::optional<PackModel> readPack(MlirOperation op);

/// Whether the slab of this pack is transient memory of a region: allocated as
/// `stream.resource.alloca ... !stream.resource<transient>{%total}`.
bool isTransientSlab(MlirOperation pack);

/// The entries of `function.regions` that belong to its slabs, in order. Where
/// they do not match, the entries are replaced by one per slab.
std::vector<size_t> regionsOfSlabs(FunctionReport &function, size_t slabs);

/// How the slices of this pack are laid out. `options` must outlive the answer.
PackOptions slabPackOptions(MlirOperation pack, const Options &options);

/// Replaces the slices of constant size by constants, and the total where there
/// are no others; `op` is gone then.
void applyPacking(MlirOperation op, const PackModel &model,
                  const PackResult &packing);

/// A slice that stays in a pack: its number, and the first and the last moment
/// of its lifetime.
struct KeptSlice {
  size_t number = 0;
  int64_t first = 0;
  int64_t last = 0;
};

/// Makes a pack anew with the slices `kept`, at least one, alone; `op` is gone
/// then. Nothing may use the other slices but sums that are left behind.
void shrinkPack(MlirOperation op, const PackModel &model,
                const std::vector<KeptSlice> &kept);

/// Removes a pack whose slices nothing uses but sums that are left behind.
void dropPack(MlirOperation op);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_PACKMODEL_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Lower bounds for regions in an order that serenity has not searched for:
/// those that keep IREE's order, or that are left alone.

#ifndef SERENITY_DRIVER_COMPILE_ORDERPROOFS_H
#define SERENITY_DRIVER_COMPILE_ORDERPROOFS_H

#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"

namespace serenity {

/// Bounds every region of `report` that has no proof, of the functions whose
/// transient peak is known: `lowerBoundBytes` rises to the bytes that every
/// order of the region's commands needs, and `optimal` and `provedBy` are set
/// where the order in place needs no more. The search is limited in states, so
/// that it takes a fraction of a second.
///
/// Two commands are ordered here only where they are known to access the same
/// bytes of a buffer or of one external resource, and one writes. Accesses at
/// dynamic offsets order nothing: the bound may be too low, never too high.
void proveOrders(ModuleReport &report, const Options &options);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_ORDERPROOFS_H

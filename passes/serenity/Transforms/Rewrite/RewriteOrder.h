// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The order in which accumulations take their parts. Addition commutes, so the
// order is free; which one is best depends on everything else that is alive.

#ifndef SERENITY_TRANSFORMS_REWRITE_REWRITEORDER_H
#define SERENITY_TRANSFORMS_REWRITE_REWRITEORDER_H

#include "serenity/Analysis/TensorSizes.h"
#include "serenity/IREE/Ir.h"

#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace serenity::rewrite {

/// One accumulation: operations of one kind, each of which adds its part to the
/// result of the one before it. With `initial`, the accumulator enters the
/// first one as its init (channel-wise sites); otherwise the first one adds two
/// parts (sums).
struct Chain {
  std::vector<MlirOperation> steps;
  /// The operand that takes the accumulator.
  int64_t accumulator = 0;
  /// Sums: the operand that takes the part.
  int64_t part = -1;
  /// Channel-wise sites: the operand that is cut, and the parts of the site
  /// that each step takes. Empty: its parts cannot be joined.
  int64_t cut = -1;
  std::vector<std::vector<int64_t>> taken;

  bool isSum() const { return part >= 0; }
  /// Sums have one part more than steps.
  int64_t numParts() const { return steps.size() + (isSum() ? 1 : 0); }
};

/// An operation over a pad that will be computed piece by piece.
struct Piecewise {
  MlirOperation pad;
  /// The result takes the place of the operand of the pad.
  bool inPlace = false;
  /// A piece of the padded value and of the result.
  int64_t workspaceBytes = 0;
};

/// By the address of the operation.
using PiecewiseOps = std::map<const void *, Piecewise>;

/// The concatenations that put the parts of one step together. Their parts are
/// made in place.
using Concats = std::set<const void *>;

/// Chooses the order of the parts of all `chains` together, such that the peak
/// of the function is least, threads the chains accordingly and puts the
/// operations of the function into the order that this assumes.
///
/// The model is that of a schedule whose accumulations are free: every part is
/// an operation that touches its own buffer and the accumulator, and no order
/// is given among the parts of one accumulator. Operations are merged as
/// dispatch formation will merge them (elementwise epilogues with their
/// producer); those in `piecewise` need a piece of their operand at a time. The
/// solver is the one that orders the flow operations; it stops
/// after `stateLimit` states (`scaledStates` of them for models of more than
/// 100 operations), so that the answer is deterministic.
///
/// Functions of several blocks, or with side effects between their tensor
/// operations, are left in their order. Returns whether more states would find
/// no better one.
bool orderChains(MlirOperation function, std::vector<Chain> &chains,
                 const PiecewiseOps &piecewise, const Concats &concats,
                 const TensorSizes &sizes, int64_t stateLimit);

/// Parts that may be taken in one step without a higher peak in that model:
/// per chain, groups of at least two parts. Parts of a step lie side by side
/// from the moment when the first of them is made until the step is done, so
/// this is free where they are alive together anyway, or where the peak is
/// elsewhere. Every join saves one operation over the whole result.
///
/// Greedy: chains of the largest results first, in them the smallest parts; a
/// join is kept if the scheduler finds an order of the old peak with it.
std::vector<std::vector<std::vector<int64_t>>>
findJoins(MlirOperation function, const std::vector<Chain> &chains,
          const PiecewiseOps &piecewise, const TensorSizes &sizes,
          int64_t stateLimit);

} // namespace serenity::rewrite

#endif // SERENITY_TRANSFORMS_REWRITE_REWRITEORDER_H

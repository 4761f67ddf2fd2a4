// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Applies the rewrite sites of one function, stage by stage.

#ifndef SERENITY_TRANSFORMS_REWRITE_FUNCTIONREWRITER_H
#define SERENITY_TRANSFORMS_REWRITE_FUNCTIONREWRITER_H

#include "serenity/Transforms/Rewrite/Patterns.h"
#include "serenity/Transforms/Rewrite/RewriteOrder.h"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace serenity::rewrite {

class FunctionRewriter {
public:
  FunctionRewriter(MlirOperation module, MlirOperation function,
                   const RewriteOptions &options);

  /// Applies the enabled sites of the function. With `joins`, which receives
  /// the parts whose accumulation steps could be merged.
  void run(const std::vector<SiteOp> &sites, const std::vector<bool> &enabled,
           RewriteOutcome *outcome, PartGroups *joins);

  // --- for splitters ---

  const RewriteOptions &options;
  /// Position of every operation of the function, nested ones included.
  std::map<const void *, int64_t> position;
  Splitter splitter;

  MlirOperation getFunction() const { return function; }
  /// Whether `op` still stands.
  bool stands(MlirOperation op) const { return position.count(op.ptr) != 0; }
  /// The order of the parts that the caller of the rewrite asks for; empty:
  /// none.
  const std::vector<int64_t> &givenOrder(size_t index) const;
  /// The parts of a site by the accumulation steps that take them.
  std::vector<std::vector<int64_t>> stepsOf(size_t index, size_t count) const;
  /// The position at which `value` becomes available: that of the operation
  /// behind pads, elementwise operations and reshapes that were cloned.
  int64_t availability(MlirValue value) const;

  /// Replaces `op` by an accumulation over the parts of `split`, `groups` of
  /// them per step.
  Chain accumulateParts(const Structured &op, const StructuredSplit &split,
                        const std::vector<int64_t> &given,
                        const std::vector<std::vector<int64_t>> &groups);
  /// Notes that `chain` took the place of `op`; `isFree`: its order may be
  /// chosen.
  void addChain(MlirOperation op, Chain chain, bool isFree);
  /// The chain that took the place of `op`; null if there is none.
  Chain *chainFor(MlirOperation op);
  /// Notes that `op` was replaced: it is erased at the end of the stage.
  void replaced(MlirOperation op);

private:
  void applyStage(int stage, const std::vector<SiteOp> &sites,
                  const std::vector<bool> &enabled, RewriteOutcome *outcome);
  void solveOrder(const std::vector<SiteOp> &sites,
                  const std::vector<bool> &enabled, RewriteOutcome *outcome,
                  PartGroups *joins);
  void clean();
  void keepFromPads();

  MlirOperation function;
  std::vector<Chain> chains;
  std::vector<bool> freeChains; // their order may be chosen
  std::map<const void *, size_t> chainOf;
  std::map<size_t, size_t> siteOf; // by chain
  Concats concats;
  /// Replaced operations, in program order. Their addresses stay reserved until
  /// the end of a stage.
  std::vector<MlirOperation> dead;
};

} // namespace serenity::rewrite

#endif // SERENITY_TRANSFORMS_REWRITE_FUNCTIONREWRITER_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Models dispatch formation on a function at the end of preprocessing as a
/// scheduling problem. Neither a solver nor IREE is run.

#ifndef SERENITY_ANALYSIS_FUSIONMODEL_H
#define SERENITY_ANALYSIS_FUSIONMODEL_H

#include "serenity/Analysis/MergedOperations.h"
#include "serenity/Analysis/TensorSizes.h"
#include "serenity/Core/Scheduling/Problem.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Rewrite/RewriteOrder.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace serenity::rewrite {

/// How a model treats a tensor that is added to an accumulation and needed
/// nowhere else: it takes the sum, for which the accumulation is another
/// tensor, or it is computed for the last step of the accumulation, which is
/// the sum. The latter is closer to dispatch formation; the former leads to
/// better orders of some networks, so that both are in use.
enum class Addends { TakeSum, ComeLast };

/// The rules that a model applies.
struct FusionRules {
  Addends addends = Addends::ComeLast;
  /// All rules below. Without them the model is that of the search for the
  /// order of accumulations, which needs ratios more than bytes.
  bool predict = false;
  /// A producer with several users is fused with the first of them.
  bool fuseMultiUse = true;
  /// Results overwrite an operand that dies with them: one without another
  /// reader, or also one that others have read before.
  bool inPlace = false;
  bool inPlaceAtLastUse = false;
  /// Parts of concatenations are made where they will lie.
  bool placeParts = false;
  /// Buffers take multiples of this.
  int64_t alignment = 1;
  /// With the hints of dimensions that are known only at run time.
  TensorSizes sizes;
};

/// A function of one block as a scheduling problem whose accumulations are
/// free. Operations that dispatch formation puts together are one operation of
/// the problem.
class FusionModel {
public:
  FusionModel(MlirBlock block, const std::vector<Chain> &chains,
              const PiecewiseOps &piecewise, const Concats &concats,
              const FusionRules &rules);

  Problem problem;
  /// Per operation of the problem: its MLIR operations, in program order.
  std::vector<std::vector<MlirOperation>> members;
  /// Per chain and part: the operation of the problem that accumulates it.
  std::vector<std::vector<OpId>> accumulates;
  /// Per chain and part, where its parts can be joined: the buffer of the part,
  /// -1 if it has none of its own.
  std::vector<std::vector<BufferId>> partBuffers;
  /// A range of a buffer, and the operations that access it. Parts are taken
  /// for ranges one behind the other, in program order: of parts that are
  /// interleaved (rows of several channels) too much seems to be free.
  struct Piece {
    int64_t lower = 0;
    int64_t upper = 0;
    std::vector<OpId> users;
  };
  /// The buffers that leave the function, as their pieces in order. They lie
  /// outside of the slab and have no bytes in `problem`.
  std::map<BufferId, std::vector<Piece>> resultPieces;
  /// The first operation that no rule describes; null if all are described.
  MlirOperation unknown = {};

private:
  /// The properties of a tensor value.
  struct Origin {
    BufferId buffer = -1;
    /// The operations after which it is complete.
    std::set<OpId> ready;
  };

  Origin origin(MlirValue value) const;
  int64_t bytesOf(MlirValue value) const;
  bool sameElements(MlirValue a, MlirValue b) const;
  BufferId addBuffer(MlirValue value);
  OpId addOperation(MlirOperation op);
  void use(OpId op, const Origin &value);
  void read(MlirOperation op, OpId unit);
  BufferId ownBuffer(MlirValue value) const;
  bool isEpilogueOf(MlirValue value) const;
  bool isUsedByAlone(BufferId buffer, OpId unit) const;
  bool dependsOn(OpId unit, OpId other) const;
  void replaceBuffer(BufferId from, BufferId to);

  // One method per rule; those that return bool tell whether they apply.
  void visit(MlirOperation op);
  bool visitStep(MlirOperation op);
  void visitPartial(size_t chain, size_t step);
  void visitSum(size_t chain);
  bool visitPiecewise(MlirOperation op);
  bool visitConcat(MlirOperation op);
  void placeConcat(MlirOperation op);
  void copyParts(MlirOperation op);
  void copyInto(MlirOperation op, MlirValue part, Origin &whole);
  void addPieces(const Origin &whole, std::vector<Piece> made);
  std::vector<Piece> piecesOf(BufferId buffer, int64_t bytes) const;
  bool visitInsert(MlirOperation op);
  bool visitView(MlirOperation op);
  bool visitFoldable(MlirOperation op, bool elementwise);
  bool visitEpilogue(MlirOperation op, bool elementwise);
  bool fusesWith(MlirOperation op, MlirValue value, bool elementwise) const;
  void fuse(MlirOperation op, MlirValue value, bool sameSize);
  std::vector<OpId> addLate(MlirOperation op, const Origin &source,
                            bool sameSize);
  void shareSums(MlirOperation op, MlirValue value, Origin &source);
  bool visitPad(MlirOperation op);
  bool visitAccumulation(MlirOperation op);
  void visitOther(MlirOperation op);
  void visitResultInPlace(MlirOperation op, OpId unit);
  bool isLastReader(MlirOperation op, OpId unit, MlirValue value,
                    std::vector<OpId> &earlier) const;
  void markExported(MlirOperation op);

  const std::vector<Chain> &chains;
  const PiecewiseOps &piecewise;
  const Concats &concats;
  FusionRules rules;
  std::set<const void *> piecewisePads;
  std::map<const void *, Origin> origins;
  std::map<const void *, std::pair<size_t, size_t>> stepOf;
  /// What IREE merges before it forms dispatches; nothing without `predict`.
  MergedOperations merged;
  /// Values that are never stored: constants and values that fold into users.
  std::set<const void *> foldable;
  /// Values behind a barrier: nothing is fused through it.
  std::set<const void *> sealed;
  /// Buffers that an operation reads before it writes them: IREE does not make
  /// those in their place in a concatenation.
  std::set<BufferId> updated;
  /// Buffers in the memory of consumed inputs: they take no bytes.
  std::set<BufferId> inInputs;
  /// Buffers of sums that the operations of an accumulation share.
  std::set<BufferId> accumulated;
  /// The parts of buffers that are put together from parts, in order.
  std::map<BufferId, std::vector<Piece>> pieces;
  /// Bytes of the buffers that leave the function.
  std::map<BufferId, int64_t> exported;
  std::map<const void *, OpId> unitOf; // by operation
  std::vector<bool> heavy;             // per operation of the problem
};

/// Lets the operations of `problem` that use `from` use `to` instead.
void moveUses(Problem &problem, BufferId from, BufferId to);

} // namespace serenity::rewrite

#endif // SERENITY_ANALYSIS_FUSIONMODEL_H

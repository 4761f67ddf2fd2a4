// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Cutting tensor values into parts: where a value is a concatenation behind
// other operations, with its parts and the slices of constants.

#ifndef SERENITY_TRANSFORMS_REWRITE_REWRITESPLIT_H
#define SERENITY_TRANSFORMS_REWRITE_REWRITESPLIT_H

#include "serenity/Analysis/TensorSizes.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Rewrite/Rewrite.h"
#include "serenity/Transforms/TensorBuilder.h"

#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

namespace serenity::rewrite {

/// How a value is cut: along `dim` into pieces of `sizes`.
struct Split {
  int64_t dim = 0;
  std::vector<int64_t> sizes;

  bool operator==(const Split &other) const {
    return dim == other.dim && sizes == other.sizes;
  }
};

/// A split, a reason why there is a concatenation but no split, or neither.
struct SplitResult {
  std::optional<Split> split;
  RewriteRefusal refusal = RewriteRefusal::None;
};

/// A linalg operation with one result, seen as a loop nest.
struct Structured {
  MlirOperation op;
  std::vector<MlirAffineMap> maps; // one per operand
  int64_t numLoops = 0;
  int64_t numInputs = 0; // the operand after them is the init

  bool isReduction(int64_t loop) const;
  bool hasReduction() const;
  /// The dimension of operand `index` that `loop` alone runs along; -1 if loop
  /// does not occur in its map, nothing if it occurs in any other way.
  std::optional<int64_t> dimOfLoop(int64_t index, int64_t loop) const;
  /// The extent of `loop`: that of a dimension which it alone runs along;
  /// nothing if none is static.
  std::optional<int64_t> extent(int64_t loop) const;
};

/// Whether the body of `op` reads the index of `loop`.
bool readsIndex(const Structured &op, int64_t loop);

/// `op` as a loop nest; nothing if it is no linalg operation on tensors with
/// one result. With `anyResults`, it may have several that are indexed alike:
/// `maps` then ends with the first one's.
std::optional<Structured> structured(MlirOperation op, bool anyResults = false);

/// Whether `op` is a reduction that reads a value which it also begins with, as
/// `x += x * w` does. IREE ends by a signal if that is an argument and `op` is
/// alone in its dispatch, so its function is fused as the stock pipeline fuses
/// it.
bool readsOwnInitialValue(MlirOperation op);

/// A dimension of a reshape's operand and result that stands outermost in its
/// group: cutting one at `offset` cuts the other at `offset * scale / divisor`.
struct ReshapedDim {
  int64_t dim = -1;
  int64_t scale = 1;
  int64_t divisor = 1;
};

/// Where dimension `dim` of one side of a reshape is on the other side, if
/// slices along it are slices there. `fromExpanded`: `dim` is a dimension of
/// the side with more dimensions.
std::optional<ReshapedDim> reshapedDim(MlirOperation op, int64_t dim,
                                       bool fromExpanded);

/// Clones a pad, slice or reshape for the operand `source`, before `before`;
/// its result has type `type`.
MlirValue cloneView(MlirOperation op, MlirValue source, MlirType type,
                    MlirOperation before);

/// Pieces of a dimension that follow one another: offset and extent of each.
using Ranges = std::vector<std::pair<int64_t, int64_t>>;

/// How an operand of an operation that is split along a loop is cut.
enum class OperandCut { Whole, Parts, Slice, Stream };

/// Values and the dimensions along which they are cut (-1: whole).
using CutValues = std::vector<std::pair<MlirValue, int64_t>>;

/// A value that is computed piece by piece: its operation, the dimension along
/// which it is cut, and the operands that are no constants.
struct RegionValue {
  MlirOperation op;
  int64_t dim = 0;
  CutValues sources;
};

/// The values before an operation that can be computed piece by piece together
/// with it, by their addresses. For looking up; its order means nothing.
using Region = std::map<const void *, RegionValue>;

/// Whether `region` holds only pads and operations that spread an operand.
bool onlyPads(const Region &region);

/// Whether a convolution, product or pool is computed piece by piece.
bool reduces(const Region &region);

/// How a structured operation is split.
struct StructuredSplit {
  int64_t loop = 0;
  std::vector<int64_t> sizes;
  std::vector<OperandCut> cuts; // per operand
  std::vector<int64_t> dims;    // per operand; -1 where whole
  int64_t resultDim = -1;       // -1: the loop is a reduction
  Region region;                // behind operands cut as `Stream`
};

/// Finds splits and materialises parts. One per function under rewriting; it
/// remembers the values that it has materialised, so that two users share the
/// parts.
class Splitter {
public:
  /// With `throughReductions`, values behind kernel-wise sites count as split:
  /// that is the analysis before anything is rewritten.
  Splitter(MlirOperation module, bool throughReductions,
           const TensorSizes &sizes)
      : module(module), throughReductions(throughReductions), sizes(sizes) {}

  /// Bytes of a tensor; 0 where they are unknown.
  int64_t bytesOf(MlirValue value) const {
    return sizes.bytes(value).value_or(0);
  }

  SplitResult split(MlirValue value);
  /// How `op` would be split; a refusal if an operand is split but `op` cannot
  /// be; neither if no operand is.
  struct OpSplit {
    std::optional<StructuredSplit> split;
    RewriteRefusal refusal = RewriteRefusal::None;
  };
  OpSplit split(const Structured &op);

  /// The parts of a value that has a split, each defined before the value's own
  /// operation.
  std::vector<MlirValue> parts(MlirValue value);
  /// The operands of the parts `indices` of `op` in one step, defined before
  /// `op`: concatenations of several parts, which are appended to `joined`.
  std::vector<MlirValue>
  partOperands(const Structured &op, const StructuredSplit &split,
               const std::vector<int64_t> &indices,
               std::vector<MlirOperation> *joined = nullptr);
  /// Elementwise operations whose parts were materialised.
  const std::vector<MlirOperation> &dissolved() const { return dissolvedOps; }
  /// To be called after the IR has changed: forgets splits, keeps parts.
  void invalidate() { splits.clear(); }
  /// To be called after operations were erased: forgets everything.
  void forget() {
    splits.clear();
    materialised.clear();
    dissolvedOps.clear();
  }

  /// Whether `value` can be cut along `dim` without a copy at run time.
  RewriteRefusal sliceRefusal(MlirValue value, int64_t dim);
  MlirValue slice(MlirValue value, int64_t dim, const Ranges &ranges,
                  MlirOperation before);

  /// How `op` would be cut along a reduction whose input is itself computed
  /// piece by piece, in about `pieces` pieces; nothing if it has no such input.
  /// Accumulators are not looked through: see `pin`. With `deep`, pieces reach
  /// through sums of values that others read too.
  std::optional<StructuredSplit> streamSplit(const Structured &op,
                                             int64_t pieces, bool deep);

  /// How `op`, which works channel by channel, would be cut in about `pieces`
  /// pieces of its result that lie contiguously in memory, so that the values
  /// computed for it (by a convolution or product, or it is not worth it) exist
  /// piece by piece; nothing if there are none. `deep` as above.
  std::optional<StructuredSplit> kernelStreamSplit(const Structured &op,
                                                   int64_t pieces, bool deep);

  /// How `op`, which works channel by channel through a window (a depthwise
  /// convolution, a pool), would be cut in about `pieces` pieces that lie
  /// contiguously in memory, so that its padded operand (cut as
  /// `OperandCut::Stream`) exists piece by piece; nothing if it has none.
  std::optional<StructuredSplit> windowSplit(const Structured &op,
                                             int64_t pieces);

  /// Marks a step of an accumulation, which stays whole.
  void pin(MlirOperation op) { pinned.insert(op.ptr); }

private:
  /// The operands of `op` that are no constants and where each is cut (-1: not
  /// at all) when its result is cut along `dim`; nothing if it cannot be.
  std::optional<CutValues> computedSources(MlirOperation op, int64_t dim);
  /// The values that can be computed piece by piece for `consumer`, which takes
  /// `cut` in pieces, without more work than computing them at once
  /// (activations and pads aside, which are cheap). They are defined before it
  /// in its own block: operands that a loop reads from outside are not moved
  /// into it.
  Region regionOf(MlirOperation consumer, const CutValues &cut, bool deep);
  std::optional<StructuredSplit> pieceSplit(const Structured &op, int64_t loop,
                                            int64_t extent, int64_t pieces,
                                            bool deep);
  /// The pieces of values, by their addresses and where they are cut.
  using Pieces = std::map<std::pair<const void *, int64_t>, MlirValue>;
  /// One piece of `value`; `made` has those of this piece so far.
  MlirValue stream(const Region &region, MlirValue value, int64_t dim,
                   int64_t offset, int64_t size, MlirOperation before,
                   Pieces &made);
  SplitResult compute(MlirValue value);
  SplitResult splitConcat(MlirOperation op);
  SplitResult splitInsertChain(MlirOperation op);
  SplitResult splitReshape(MlirOperation op, bool expands);
  MlirOperation initializedGlobal(MlirOperation load);
  const std::optional<std::string> &resourceBytes(MlirAttribute value);
  RewriteRefusal constantRefusal(MlirAttribute value);
  MlirAttribute sliceConstant(MlirAttribute value, int64_t dim,
                              const Ranges &ranges, MlirType type);

  MlirOperation module;
  bool throughReductions;
  TensorSizes sizes;
  std::map<const void *, SplitResult> splits;
  std::map<const void *, std::vector<MlirValue>> materialised;
  std::map<std::tuple<const void *, int64_t, Ranges>, MlirOperation>
      globalSlices;
  /// The bytes of constants that are kept as resources, by attribute.
  std::map<const void *, std::optional<std::string>> resources;
  std::map<std::string, MlirOperation> globals;
  bool globalsRead = false;
  std::vector<MlirOperation> dissolvedOps;
  std::set<const void *> pinned;
};

/// Whether `op` is a tensor.insert_slice of static offsets and strides whose
/// operands have the same rank. Extents may be dynamic.
bool insertsAtStaticPlace(MlirOperation op);

/// Whether `value` is there whatever is done: an argument or an import.
bool isGiven(MlirValue value);

/// Whether the body of `op` accumulates into its init by one associative and
/// commutative operation (addition, minimum, maximum).
bool accumulates(const Structured &op);

} // namespace serenity::rewrite

#endif // SERENITY_TRANSFORMS_REWRITE_REWRITESPLIT_H

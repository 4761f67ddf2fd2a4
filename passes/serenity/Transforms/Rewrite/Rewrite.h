// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Identity graph rewriting: other operations for the same function, with a
// lower peak. Ahn et al., "Ordering Chaos" (SERENITY), MLSys 2020, section 3.3,
// and three relatives that the paper does not have.
//
//   channel-wise   conv(concat(x_1, ..., x_n), W)
//                    -> y = conv(x_1, W_1); y += conv(x_2, W_2); ...
//   kernel-wise    depthwise(concat(x_1, ..., x_n), W)
//                    -> concat(depthwise(x_1, W_1), ..., depthwise(x_n, W_n))
//   sum            x_1 + ... + x_n  ->  y = x_a; y += x_b; ... in an order in
//                  which the operands become available
//
//   stream         conv(f(x)) -> y = conv(f_1(x), W_1); y += conv(f_2(x), W_2);
//                  ... where f_i computes a slice of the channels of f, so
//                  that no more than a slice of f(x) exists: an expansion, a
//                  depthwise convolution, a pad
//   kernel-wise stream
//                  depthwise(f(x)) -> concat(depthwise(f_1(x)), ...), likewise
//
//   overwrite      depthwise(pad(x)) -> x_1 = depthwise(pad(x_1)); x_2 = ...
//                  piece by piece in the place of x, where x dies with it; or
//                  into a new tensor, where x lives on
//
// A channel-wise site needs max_i(x_i + y) bytes at a time instead of
// sum_i(x_i) + y, because every part of the concatenation dies as soon as it
// has been accumulated; the result of a kernel-wise site is a concatenation
// again, so that it feeds the next site.

#ifndef SERENITY_TRANSFORMS_REWRITE_REWRITE_H
#define SERENITY_TRANSFORMS_REWRITE_REWRITE_H

#include "serenity/Analysis/TensorSizes.h"
#include "serenity/IREE/MlirC.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace serenity {

/// The kinds of RewriteKinds.def.
enum class RewriteKind {
#define SERENITY_REWRITE_KIND(enumerator, name, anchor, inPieces, stage,       \
                              finder, splitter, summary, limits)               \
  enumerator,
#include "serenity/Transforms/Rewrite/RewriteKinds.def"
};

/// One row of RewriteKinds.def.
struct RewriteKindInfo {
  RewriteKind kind;
  const char *name;
  /// Section of docs/rewriting.md.
  const char *anchor;
  /// A value is computed in pieces, not accumulated.
  bool inPieces;
  /// Stages run in ascending order.
  int stage;
};
const RewriteKindInfo &rewriteKindInfo(RewriteKind kind);

/// The name in reports, remarks and messages.
const char *rewriteKindName(RewriteKind kind);

/// Why an operation over a concatenation has no site: RewriteRefusals.def.
enum class RewriteRefusal {
  None,
#define SERENITY_REWRITE_REFUSAL(enumerator, text) enumerator,
#include "serenity/Transforms/Rewrite/RewriteRefusals.def"
};

/// The text of a remark on `refusal`: lower case, no full stop; empty for none.
const char *refusalText(RewriteRefusal refusal);

/// A place where a rewrite applies.
struct RewriteSite {
  RewriteKind kind = RewriteKind::ChannelWise;
  std::string function;
  std::string location;
  /// The operation, such as "linalg.conv_2d_nchw_fchw".
  std::string operation;
  /// Number of parts that take the place of the operation.
  int64_t parts = 0;
  /// Bytes that must be live together at the operation: all its parts and the
  /// result before, the largest part and the result after. Local to the site;
  /// the peak of the function is the driver's to predict.
  int64_t bytesBefore = 0;
  int64_t bytesAfter = 0;
  /// The element type of the result, such as "i32": rewrites of integers do not
  /// round.
  std::string element;
  /// Of a stream: nothing but pads is made in pieces, which pays in few places
  /// and needs more elsewhere.
  bool padsOnly = false;
};

/// An operation over a concatenation that cannot be rewritten.
struct RefusedSite {
  std::string function;
  std::string operation;
  MlirLocation location;
  RewriteRefusal reason = RewriteRefusal::None;
};

/// The sites of `module`, in program order: deterministic, and the same for the
/// same module. A site may depend on an earlier one (a convolution over the
/// result of a kernel-wise site; a stream site that cuts the parts of a
/// channel-wise one further). Bytes are those at the hints in `sizes`.
/// `refused`, if not null, receives the operations without a site.
std::vector<RewriteSite>
findRewriteSites(MlirOperation module, const TensorSizes &sizes = {},
                 std::vector<RefusedSite> *refused = nullptr);

/// By channel-wise site: disjoint groups of its parts, by their place in the
/// concatenation, that are accumulated in one step. Parts in no group have a
/// step of their own.
using PartGroups = std::map<size_t, std::vector<std::vector<int64_t>>>;

struct RewriteOptions {
  /// Choose the order in which the parts of all accumulations are taken, and
  /// with it the order of the function, by solving for the least peak.
  /// Otherwise, and where that is impossible, parts are taken as they become
  /// available in program order.
  bool solveOrder = true;
  /// Cut-off of that search, in states.
  int64_t stateLimit = 200000;
  /// Stream and overwrite sites are cut into about as many pieces.
  int64_t pieces = 4;
  /// Streams reach through a sum of values that others read too, since these
  /// may live on anyway. Otherwise such a sum is made as a whole.
  bool deepStreams = false;
  /// Per site (indexed like `enabled`): the order in which its parts are
  /// accumulated, as a permutation; empty or missing: as above.
  std::vector<std::vector<int64_t>> orders;
  /// Merged accumulation steps; groups that do not fit are ignored.
  PartGroups joins;
  /// As for `findRewriteSites`.
  TensorSizes sizes;
};

/// The result of `applyRewrites`.
struct RewriteOutcome {
  /// Per site: the number of parts that took the place of its operation, 0
  /// where it was not rewritten.
  std::vector<int64_t> parts;
  /// No other order of the parts is better, so that more states would not
  /// change the result.
  bool ordersProved = true;
  /// Why the rewrites as a whole were not applied; empty if they were.
  std::string refusal;
};

/// Applies the sites with `enabled[i]`, numbered as `findRewriteSites` gives
/// them. A site whose concatenation depends on a site that is not enabled is
/// left alone.
/// Returns false, after a diagnostic, if `enabled` does not fit the module, or
/// if an operation could not be made of the types at hand (see
/// TensorBuilder.h): then the module is not to be used any more.
bool applyRewrites(MlirOperation module, const std::vector<bool> &enabled,
                   const RewriteOptions &options = {},
                   RewriteOutcome *outcome = nullptr);

/// Which accumulation steps of the enabled sites can be merged without raising
/// the peak that the model of accumulations predicts. Rewrites `module`.
PartGroups findPartJoins(MlirOperation module, const std::vector<bool> &enabled,
                         const RewriteOptions &options = {});

/// Erases the barriers that `applyRewrites` left behind, and no others. To be
/// called at flow level, when dispatches are formed. Returns whether any was.
bool removeBarriers(MlirOperation module);

/// The same for those of `quantized::keepConstantsApart` alone.
bool removeConstantBarriers(MlirOperation module);

/// In the names of executables that `updateInPlace` has made.
inline constexpr const char *inPlaceSuffix = "_in_place_";

/// Lets dispatches at flow level overwrite an operand that dies with them: a
/// result that is computed element by element from an operand of the same type
/// takes its place. Only where every workgroup reads no elements of that
/// operand but those that it writes. `onlySingleUse`: only operands without
/// another reader; otherwise also where this dispatch is the last reader in
/// program order, which fixes that order. Returns the number of results moved.
int64_t updateInPlace(MlirOperation module, bool onlySingleUse = true);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_REWRITE_REWRITE_H

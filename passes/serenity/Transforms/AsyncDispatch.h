// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Named operands of `stream.async.dispatch`. Internal to the reader and the
/// writer of regions.

#ifndef SERENITY_TRANSFORMS_ASYNCDISPATCH_H
#define SERENITY_TRANSFORMS_ASYNCDISPATCH_H

#include "serenity/IREE/Ir.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace serenity {

/// Operand segments of `stream.async.dispatch`, in order.
enum DispatchSegment {
  Workload,
  Resources,
  Sizes,
  Offsets,
  Ends,
  Lengths,
  ResultSizes,
  NumDispatchSegments
};

/// End of an access whose end is known only at run time.
constexpr int64_t unbounded = std::numeric_limits<int64_t>::max();

/// Whether `type` is a `!stream.resource`.
bool isResource(MlirType type);

/// The operands of a dispatch, taken apart.
struct DispatchOperands {
  std::vector<MlirValue> segments[NumDispatchSegments];
  /// Per result: position in `segments[Resources]`, or -1.
  std::vector<int64_t> tied;
  /// Per entry of `segments[Resources]`: its position among the resources, or
  /// -1 for primitives.
  std::vector<int> resourceIndex;
};

/// Nothing if the operand list is not the expected one.
std::optional<DispatchOperands> takeApart(MlirOperation dispatch);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_ASYNCDISPATCH_H

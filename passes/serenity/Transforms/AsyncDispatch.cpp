// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/AsyncDispatch.h"

namespace serenity {

bool isResource(MlirType type) {
  return ir::toString(type).rfind("!stream.resource<", 0) == 0;
}

std::optional<DispatchOperands> takeApart(MlirOperation dispatch) {
  DispatchOperands parts;
  std::vector<int64_t> sizes = ir::operandSegments(dispatch);
  std::vector<MlirValue> all = ir::operands(dispatch);
  if (sizes.size() != NumDispatchSegments) {
    return std::nullopt;
  }
  size_t next = 0;
  for (int i = 0; i < NumDispatchSegments; ++i) {
    if (sizes[i] < 0 || next + sizes[i] > all.size()) {
      return std::nullopt;
    }
    parts.segments[i].assign(all.begin() + next, all.begin() + next + sizes[i]);
    next += sizes[i];
  }
  int resources = 0;
  for (MlirValue value : parts.segments[Resources]) {
    bool resource = isResource(mlirValueGetType(value));
    parts.resourceIndex.push_back(resource ? resources++ : -1);
  }
  for (DispatchSegment s : {Sizes, Offsets, Ends, Lengths}) {
    if (parts.segments[s].size() != size_t(resources)) {
      return std::nullopt;
    }
  }
  size_t numResults = mlirOperationGetNumResults(dispatch);
  parts.tied = ir::intArray(ir::attr(dispatch, "tied_operands"));
  parts.tied.resize(numResults, -1);
  if (parts.segments[ResultSizes].size() != numResults) {
    return std::nullopt;
  }
  for (int64_t tied : parts.tied) {
    if (tied >= int64_t(parts.resourceIndex.size()) ||
        (tied >= 0 && parts.resourceIndex[tied] < 0)) {
      return std::nullopt;
    }
  }
  return parts;
}

} // namespace serenity

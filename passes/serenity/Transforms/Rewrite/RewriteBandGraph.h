// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Reads a function as a graph of operations that may be computed in bands of
/// rows.
///
/// Which dimension of a value are its rows is found by RewriteBandRows.

#ifndef SERENITY_TRANSFORMS_REWRITE_REWRITEBANDGRAPH_H
#define SERENITY_TRANSFORMS_REWRITE_REWRITEBANDGRAPH_H

#include "serenity/Core/Banding/BandPlan.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Rewrite/RewriteBandRows.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace serenity::bands {

/// Why an operation is not computed in bands.
enum class BandRefusal {
  None,
  /// The rows, an offset or the size of a pad is dynamic, or a shape has an
  /// encoding.
  ShapeNotStatic,
  /// The rows are reduced, reordered or reshaped, or the operation is none that
  /// is known.
  UnknownOperation,
  /// The body reads elements by the index of a row.
  IndexDependent,
  /// Operands disagree about the dimension of the rows.
  RowsDisagree,
  /// An operand along the rows is neither computed in the segment nor a
  /// constant that can be cut.
  OperandNotCut,
};

/// The text of `refusal` in a remark; lower case, no full stop.
const char *refusalText(BandRefusal refusal);

/// A function and its graph.
struct FunctionGraph {
  MlirOperation function = {};
  Graph graph;
  /// By operation of the graph.
  std::vector<MlirOperation> operations;
  std::vector<BandRefusal> refusals;
  /// By value of the graph: the value that is stored; views of it are not
  /// listed.
  std::vector<MlirValue> values;
  /// The dimension of the rows, by address of the value; -1: none.
  std::map<const void *, int64_t> rowDims;
  /// The value of the graph that holds a tensor.
  std::map<const void *, size_t> numbers;

  int64_t rowDim(MlirValue value) const {
    auto found = rowDims.find(ir::key(value));
    return found == rowDims.end() ? -1 : found->second;
  }
};

struct GraphOptions {
  /// Count values that a stream rewrite computes in pieces of their channels as
  /// one piece at a time.
  bool streamed = false;
  /// Reductions over all rows may accumulate band by band, which may take the
  /// terms of a sum in another order.
  bool reorderSums = true;
  /// With the hints of dimensions that are known only at run time.
  TensorSizes sizes;
  /// Operations that compute values again, by address.
  std::set<const void *> copies;
};

/// Reads `function`, which has one block. Operations that are computed from
/// constants alone are left out: they are cut as they are needed.
FunctionGraph readFunction(MlirOperation module, MlirOperation function,
                           const GraphOptions &options = {});

/// Whether `op` is a reshape by which rows stay rows, or a barrier between
/// values that have rows.
bool keepsRows(MlirOperation op, const FunctionGraph &graph);

} // namespace serenity::bands

#endif // SERENITY_TRANSFORMS_REWRITE_REWRITEBANDGRAPH_H

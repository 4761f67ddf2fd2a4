// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Rewrite/RewriteBandRows.h"

#include "serenity/Transforms/Attributes.h"

#include <algorithm>
#include <vector>

namespace serenity::bands {

using namespace ir;
using namespace rewrite;

// --- how operations read rows -----------------------------------------------

namespace {

/// An affine expression as a sum: coefficients of loops and a constant.
struct Linear {
  std::map<int64_t, int64_t> loops;
  int64_t constant = 0;
};

std::optional<Linear> linear(MlirAffineExpr expr) {
  Linear sum;
  if (mlirAffineExprIsADim(expr)) {
    sum.loops[mlirAffineDimExprGetPosition(expr)] = 1;
    return sum;
  }
  if (mlirAffineExprIsAConstant(expr)) {
    sum.constant = mlirAffineConstantExprGetValue(expr);
    return sum;
  }
  bool adds = mlirAffineExprIsAAdd(expr);
  if (!adds && !mlirAffineExprIsAMul(expr)) {
    return std::nullopt;
  }
  std::optional<Linear> left = linear(mlirAffineBinaryOpExprGetLHS(expr));
  std::optional<Linear> right = linear(mlirAffineBinaryOpExprGetRHS(expr));
  if (!left || !right) {
    return std::nullopt;
  }
  if (adds) {
    for (const auto &[loop, factor] : right->loops) {
      left->loops[loop] += factor;
    }
    left->constant += right->constant;
    return left;
  }
  if (!left->loops.empty()) {
    std::swap(left, right);
  }
  if (!left->loops.empty()) {
    return std::nullopt;
  }
  for (auto &[loop, factor] : right->loops) {
    factor *= left->constant;
  }
  right->constant *= left->constant;
  return right;
}

/// The loop that runs along dimension `dim` of operand `index` and is not
/// reduced; nothing if there is none or several.
std::optional<int64_t> parallelLoop(const Structured &loops, int64_t index,
                                    int64_t dim) {
  std::optional<Linear> sum =
      linear(mlirAffineMapGetResult(loops.maps[index], dim));
  std::optional<int64_t> found;
  for (const auto &[loop, factor] : sum ? sum->loops : Linear().loops) {
    if (!loops.isReduction(loop) && factor != 0) {
      if (found) {
        return std::nullopt;
      }
      found = loop;
    }
  }
  return found;
}

/// Whether two loops run along dimension `dim` of operand `index`: a window.
bool isWindowed(const Structured &loops, int64_t index, int64_t dim) {
  std::optional<Linear> sum =
      linear(mlirAffineMapGetResult(loops.maps[index], dim));
  return sum && sum->loops.size() == 2;
}

} // namespace

std::optional<Structured> structuredRows(MlirOperation op) {
  for (intptr_t i = 1, e = mlirOperationGetNumResults(op); i < e; ++i) {
    if (hasUses(result(op, i))) {
      return std::nullopt;
    }
  }
  return structured(op, /*anyResults=*/true);
}

std::optional<Read> readOf(const Structured &loops, int64_t index, int64_t dim,
                           int64_t resultDim) {
  MlirAffineExpr own = mlirAffineMapGetResult(loops.maps.back(), resultDim);
  if (!mlirAffineExprIsADim(own)) {
    return std::nullopt;
  }
  int64_t row = mlirAffineDimExprGetPosition(own);
  for (intptr_t r = 0, e = mlirAffineMapGetNumResults(loops.maps[index]); r < e;
       ++r) {
    bool runs = mlirAffineExprIsFunctionOfDim(
        mlirAffineMapGetResult(loops.maps[index], r), row);
    if (runs != (r == dim)) {
      return std::nullopt;
    }
  }
  std::optional<Linear> sum =
      linear(mlirAffineMapGetResult(loops.maps[index], dim));
  if (!sum || sum->constant != 0) {
    return std::nullopt;
  }
  Read read;
  for (const auto &[loop, factor] : sum->loops) {
    if (loop == row) {
      read.stride = factor;
      continue;
    }
    std::optional<int64_t> extent = loops.extent(loop);
    if (!loops.isReduction(loop) || !extent || *extent < 1 || factor < 0) {
      return std::nullopt;
    }
    read.window += (*extent - 1) * factor;
  }
  return read.stride > 0 ? std::optional<Read>(read) : std::nullopt;
}

std::optional<int64_t> reducedRows(const Structured &loops, int64_t index,
                                   int64_t dim) {
  std::optional<Linear> sum =
      linear(mlirAffineMapGetResult(loops.maps[index], dim));
  if (!sum || sum->constant != 0 || !accumulates(loops)) {
    return std::nullopt;
  }
  int64_t rows =
      mlirShapedTypeGetDimSize(mlirValueGetType(operand(loops.op, index)), dim);
  std::optional<int64_t> found;
  for (const auto &[loop, factor] : sum->loops) {
    std::optional<int64_t> extent = loops.extent(loop);
    if (loops.isReduction(loop) && factor == 1 && extent == rows && !found) {
      found = loop;
    } else if (extent != 1) {
      return std::nullopt;
    }
  }
  return found;
}

bool spreadsElements(MlirOperation op) {
  if (!insertsAtStaticPlace(op)) {
    return false;
  }
  std::vector<int64_t> strides = intArray(attr(op, "static_strides"));
  return std::any_of(strides.begin(), strides.end(),
                     [](int64_t stride) { return stride > 1; });
}

bool isReshape(MlirOperation op) {
  return !isNull(op) &&
         (isa(op, "tensor.expand_shape") || isa(op, "tensor.collapse_shape")) &&
         isPlain(mlirValueGetType(operand(op, 0))) &&
         isPlain(mlirValueGetType(result(op)));
}

bool isOwnBarrier(MlirOperation op) {
  if (isNull(op) || mlirOperationGetNumResults(op) != 1 ||
      !isPlain(mlirValueGetType(result(op)))) {
    return false;
  }
  return isa(op, "flow.tensor.tie_shape") ||
         (isa(op, "util.optimization_barrier") && attributes::isBarrier(op));
}

std::optional<int64_t> sameRows(MlirOperation reshape, int64_t dim,
                                bool ofOperand) {
  if (isOwnBarrier(reshape)) {
    return dim;
  }
  std::optional<ReshapedDim> other = reshapedDim(
      reshape, dim,
      /*fromExpanded=*/isa(reshape, "tensor.expand_shape") != ofOperand);
  return other && other->scale == 1 && other->divisor == 1
             ? std::optional<int64_t>(other->dim)
             : std::nullopt;
}

// --- the rows of a function -------------------------------------------------

namespace {

class RowFinder {
public:
  RowFinder(MlirOperation function, const std::set<const void *> &constants)
      : function(function), constants(constants) {}

  std::map<const void *, int64_t> run();

private:
  bool isConstant(MlirValue value) const {
    return constants.count(key(value)) != 0;
  }
  int64_t rowDim(MlirValue value) const {
    auto found = rowDims.find(key(value));
    return found == rowDims.end() ? -1 : found->second;
  }
  bool setRows(MlirValue value, int64_t dim);
  bool spreadRows(MlirOperation op);
  void spread();
  bool beginAtWindow(const Structured &loops);
  bool outlastsReaders(MlirValue value, int64_t dim, int depth) const;
  bool beginAtProduct(const Structured &loops);

  MlirOperation function;
  const std::set<const void *> &constants;
  std::map<const void *, int64_t> rowDims;
};

bool RowFinder::setRows(MlirValue value, int64_t dim) {
  if (dim < 0 || !isTensor(value) || isConstant(value)) {
    return false;
  }
  return rowDims.emplace(key(value), dim).second;
}

/// Gives operands and result of `op` rows where one of them has some. Returns
/// whether any is new.
bool RowFinder::spreadRows(MlirOperation op) {
  std::string_view opName = name(op);
  bool any = false;
  if (opName == "tensor.pad" || opName == "tensor.extract_slice" ||
      opName == "tensor.concat" || spreadsElements(op)) {
    int64_t dim = rowDim(result(op));
    for (MlirValue value : operands(op)) {
      dim = std::max(dim, rowDim(value));
    }
    MlirType type = mlirValueGetType(result(op));
    for (MlirValue value : operands(op)) {
      if (isTensor(value) &&
          mlirShapedTypeGetRank(type) ==
              mlirShapedTypeGetRank(mlirValueGetType(value))) {
        any |= setRows(value, dim);
        any |= setRows(result(op), dim);
      }
    }
    return any;
  }
  if (isReshape(op) || isOwnBarrier(op)) {
    int64_t from = rowDim(operand(op, 0));
    int64_t to = rowDim(result(op));
    if (from >= 0) {
      return setRows(result(op),
                     sameRows(op, from, /*ofOperand=*/true).value_or(-1));
    }
    return to >= 0 &&
           setRows(operand(op, 0),
                   sameRows(op, to, /*ofOperand=*/false).value_or(-1));
  }
  std::optional<Structured> loops = structuredRows(op);
  if (!loops) {
    return false;
  }
  // The result's dimension in question, from any of the values.
  int64_t count = mlirAffineMapGetNumResults(loops->maps.back());
  int64_t dim = rowDim(result(op));
  for (int64_t i = 0; i < loops->numInputs && dim < 0; ++i) {
    int64_t at = rowDim(operand(op, i));
    std::optional<int64_t> row =
        at < 0 ? std::nullopt : parallelLoop(*loops, i, at);
    for (int64_t r = 0; row && r < count; ++r) {
      MlirAffineExpr expr = mlirAffineMapGetResult(loops->maps.back(), r);
      if (mlirAffineExprIsADim(expr) &&
          mlirAffineDimExprGetPosition(expr) == *row) {
        dim = r;
      }
    }
  }
  if (dim < 0) {
    return false;
  }
  any |= setRows(result(op), dim);
  for (size_t i = 0; i < loops->maps.size(); ++i) {
    for (int64_t d = 0, e = mlirAffineMapGetNumResults(loops->maps[i]); d < e;
         ++d) {
      if (readOf(*loops, i, d, dim)) {
        any |= setRows(operand(op, i), d);
      }
    }
  }
  return any;
}

/// Carries rows from the values that have some to all that are connected with
/// them.
void RowFinder::spread() {
  std::vector<MlirOperation> all = operations(body(function));
  for (bool any = true; any;) {
    any = false;
    for (MlirOperation op : all) {
      any |= spreadRows(op);
    }
    for (auto op = all.rbegin(); op != all.rend(); ++op) {
      any |= spreadRows(*op);
    }
  }
}

/// The first dimension of each operand that is read through a window.
bool RowFinder::beginAtWindow(const Structured &loops) {
  bool any = false;
  for (int64_t i = 0; i < loops.numInputs; ++i) {
    MlirValue value = operand(loops.op, i);
    int64_t rank = mlirAffineMapGetNumResults(loops.maps[i]);
    for (int64_t d = 0; d < rank && rowDim(value) < 0; ++d) {
      if (isWindowed(loops, i, d) && parallelLoop(loops, i, d)) {
        any |= setRows(value, d);
      }
    }
  }
  return any;
}

/// Whether the first reductions that read `value`, through elementwise
/// operations and reshapes, keep dimension `dim`: a softmax over the keys
/// reduces these and keeps the queries.
bool RowFinder::outlastsReaders(MlirValue value, int64_t dim, int depth) const {
  if (depth == 0) {
    return false;
  }
  for (const Use &use : uses(value)) {
    MlirOperation op = use.owner;
    if (isReshape(op)) {
      std::optional<int64_t> other = sameRows(op, dim, /*ofOperand=*/true);
      if (!other || !outlastsReaders(result(op), *other, depth - 1)) {
        return false;
      }
      continue;
    }
    std::optional<Structured> loops = structuredRows(op);
    int64_t index = use.operandNumber;
    if (!loops || index >= loops->numInputs) {
      return false;
    }
    std::optional<int64_t> row = parallelLoop(*loops, index, dim);
    std::optional<int64_t> kept =
        row ? loops->dimOfLoop(loops->numInputs, *row) : std::nullopt;
    if (!kept || *kept < 0 ||
        (!loops->hasReduction() &&
         !outlastsReaders(result(op), *kept, depth - 1))) {
      return false;
    }
  }
  return hasUses(value);
}

/// A dimension of a product of two computed values that one of them has and
/// its readers keep; where that is dynamic, a static one that both have.
bool RowFinder::beginAtProduct(const Structured &loops) {
  // Of scores: a scale, a mask, a reshape before and behind.
  constexpr int maxDepth = 8;
  MlirValue product = result(loops.op);
  int computed = 0;
  for (int64_t i = 0; i < loops.numInputs; ++i) {
    computed +=
        isTensor(operand(loops.op, i)) && !isConstant(operand(loops.op, i));
  }
  if (computed < 2 || rowDim(product) >= 0) {
    return false;
  }
  std::optional<int64_t> batch;
  bool dynamicRows = false;
  for (int64_t r = 0, e = mlirAffineMapGetNumResults(loops.maps.back()); r < e;
       ++r) {
    MlirAffineExpr expr = mlirAffineMapGetResult(loops.maps.back(), r);
    if (!mlirAffineExprIsADim(expr)) {
      continue;
    }
    int64_t loop = mlirAffineDimExprGetPosition(expr);
    int64_t having = 0;
    for (int64_t i = 0; i < loops.numInputs; ++i) {
      having += loops.dimOfLoop(i, loop).value_or(0) >= 0;
    }
    const int64_t extent =
        mlirShapedTypeGetDimSize(mlirValueGetType(product), r);
    if (having == 1 && extent < 0) {
      dynamicRows = true;
      continue;
    }
    if ((having > 1 && (batch || extent < 2)) ||
        !outlastsReaders(product, r, maxDepth)) {
      continue;
    }
    if (having == 1) {
      return setRows(product, r);
    }
    batch = r;
  }
  // Bands need a static extent: the heads of a sequence of dynamic length.
  return dynamicRows && batch && setRows(product, *batch);
}

std::map<const void *, int64_t> RowFinder::run() {
  // The first operation that shows rows decides for all values that are
  // connected with it: a later window over channels is no window over rows.
  // Windows go before products.
  for (auto begin : {&RowFinder::beginAtWindow, &RowFinder::beginAtProduct}) {
    for (MlirOperation op : operations(body(function))) {
      std::optional<Structured> loops = structuredRows(op);
      if (loops && loops->hasReduction() && !isConstant(result(op)) &&
          (this->*begin)(*loops)) {
        spread();
      }
    }
  }
  return std::move(rowDims);
}

} // namespace

std::map<const void *, int64_t>
findRows(MlirOperation function, const std::set<const void *> &constants) {
  return RowFinder(function, constants).run();
}

} // namespace serenity::bands

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Rewrite/RewriteBandGraph.h"

#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/QuantizedAfterwards.h"
#include "serenity/Transforms/QuantizedOps.h"

#include <algorithm>

namespace serenity::bands {

using namespace ir;
using namespace rewrite;

const char *refusalText(BandRefusal refusal) {
  switch (refusal) {
  case BandRefusal::None:
    return "";
  case BandRefusal::ShapeNotStatic:
    return "a shape is not static along the rows";
  case BandRefusal::UnknownOperation:
    return "it reduces, reorders or reshapes rows, or is not a known operation";
  case BandRefusal::IndexDependent:
    return "its body reads elements by the index of the row";
  case BandRefusal::RowsDisagree:
    return "its operands have their rows along different dimensions";
  case BandRefusal::OperandNotCut:
    return "an operand along the rows is not a constant that can be cut";
  }
  return "";
}

namespace {

/// A value that is another name for the memory of its operand.
bool isView(MlirOperation op) {
  return isa(op, "tensor.expand_shape") || isa(op, "tensor.collapse_shape") ||
         isa(op, "tensor.cast") || isa(op, "tensor.reshape") ||
         isa(op, "hal.tensor.barrier") ||
         isa(op, "util.optimization_barrier") ||
         isa(op, "flow.tensor.tie_shape");
}

bool isExport(MlirOperation op) {
  return isa(op, "hal.tensor.export") || isa(op, "hal.tensor.barrier") ||
         isa(op, "util.return") || isa(op, "func.return");
}

} // namespace

bool keepsRows(MlirOperation op, const FunctionGraph &graph) {
  if (!isReshape(op) && !isOwnBarrier(op)) {
    return false;
  }
  int64_t from = graph.rowDim(operand(op, 0));
  int64_t to = graph.rowDim(result(op));
  return from >= 0 && to >= 0 && sameRows(op, from, /*ofOperand=*/true) == to;
}

// --- the graph --------------------------------------------------------------

namespace {

class Reader {
public:
  Reader(MlirOperation module, MlirOperation function,
         const GraphOptions &options)
      : splitter(module, /*throughReductions=*/true, options.sizes),
        options(options), quantizations(function) {
    found.function = function;
  }
  FunctionGraph run();

private:
  void findConstants();
  void add(MlirOperation op);
  size_t number(MlirValue value);
  void addReads(MlirOperation op, Operation &operation);
  BandRefusal band(MlirOperation op, Operation &operation);
  BandRefusal bandLoops(const Structured &loops, Operation &operation);
  bool accumulateRows(const Structured &loops, Operation &operation);
  BandRefusal bandTensor(MlirOperation op, Operation &operation);
  void joinGroup(MlirOperation op, Operation &operation);
  void streamPieces();
  bool isConstant(MlirValue value) const {
    return constants.count(key(value)) != 0;
  }

  FunctionGraph found;
  Splitter splitter;
  const GraphOptions &options;
  const quantized::QuantizedAfterwards quantizations;
  std::set<const void *> constants; // values made of constants alone
  size_t groups = 0;
};

/// Values that are computed from constants alone: cut where they are needed.
void Reader::findConstants() {
  for (MlirOperation op : operations(body(found.function))) {
    std::string_view opName = name(op);
    bool made = opName == "arith.constant" || opName == "util.global.load";
    if (opName.substr(0, 7) == "linalg." || opName.substr(0, 7) == "tensor.") {
      made = mlirOperationGetNumResults(op) == 1;
      for (MlirValue value : operands(op)) {
        // Extents of dynamic dimensions are no elements.
        made = made &&
               (isConstant(value) || mlirTypeIsAIndex(mlirValueGetType(value)));
      }
    }
    if (made) {
      constants.insert(key(result(op)));
    }
  }
}

size_t Reader::number(MlirValue value) {
  auto known = found.numbers.find(key(value));
  if (known != found.numbers.end()) {
    return known->second;
  }
  Value entry;
  MlirType type = mlirValueGetType(value);
  entry.bytes = splitter.bytesOf(value);
  int64_t dim = found.rowDim(value);
  if (isStaticAlong(type, dim)) {
    entry.rows = mlirShapedTypeGetDimSize(type, dim);
  }
  MlirOperation op = definingOp(value);
  entry.counted = !isNull(op) && !isa(op, "hal.tensor.import");
  size_t index = found.graph.values.size();
  found.graph.values.push_back(entry);
  found.values.push_back(value);
  found.numbers[key(value)] = index;
  return index;
}

/// The values that `op` reads as a whole, in its regions too.
void Reader::addReads(MlirOperation op, Operation &operation) {
  std::set<size_t> seen;
  walk(op, [&](MlirOperation inner) {
    for (MlirValue value : operands(inner)) {
      auto known = found.numbers.find(key(value));
      if (known != found.numbers.end() && seen.insert(known->second).second) {
        Read read;
        read.value = known->second;
        read.whole = true;
        operation.reads.push_back(read);
      }
    }
  });
}

/// Whether the body of `op` reads elements of tensors at computed places: such
/// tensors are no operands, so the plan would not keep them for the bands.
static bool readsElements(MlirOperation op) {
  bool found = false;
  walk(op, [&](MlirOperation inner) {
    found = found || isa(inner, "tensor.extract");
  });
  return found;
}

/// `op` in bands, if it can be computed so.
BandRefusal Reader::bandLoops(const Structured &loops, Operation &operation) {
  MlirOperation op = loops.op;
  int64_t dim = found.rowDim(result(op));
  if (dim < 0) {
    return BandRefusal::UnknownOperation;
  }
  MlirAffineExpr own = mlirAffineMapGetResult(loops.maps.back(), dim);
  if (!mlirAffineExprIsADim(own)) {
    return BandRefusal::UnknownOperation;
  }
  int64_t row = mlirAffineDimExprGetPosition(own);
  if (readsIndex(loops, row) && readsElements(op)) {
    return BandRefusal::IndexDependent;
  }
  for (int64_t i = 0; i <= loops.numInputs; ++i) {
    MlirValue value = operand(op, i);
    bool runs = false;
    for (intptr_t r = 0, e = mlirAffineMapGetNumResults(loops.maps[i]); r < e;
         ++r) {
      runs |= mlirAffineExprIsFunctionOfDim(
          mlirAffineMapGetResult(loops.maps[i], r), row);
    }
    if (!isTensor(value) || (isConstant(value) && !runs)) {
      continue;
    }
    if (isConstant(value)) {
      std::optional<int64_t> at = loops.dimOfLoop(i, row);
      if (!at || splitter.sliceRefusal(value, *at) != RewriteRefusal::None) {
        return BandRefusal::OperandNotCut;
      }
      continue;
    }
    if (!isPlain(mlirValueGetType(value))) {
      return BandRefusal::ShapeNotStatic;
    }
    if (!found.numbers.count(key(value))) {
      number(value); // an argument
    }
    Read read;
    if (!runs) {
      read.whole = true;
    } else {
      int64_t at = found.rowDim(value);
      std::optional<Read> rows =
          at < 0 ? std::nullopt : readOf(loops, i, at, dim);
      if (!rows) {
        return BandRefusal::RowsDisagree;
      }
      read = *rows;
    }
    read.value = found.numbers[key(value)];
    if (!read.whole && found.graph.values[read.value].rows == 0) {
      return BandRefusal::RowsDisagree;
    }
    operation.reads.push_back(read);
  }
  // Multiply-accumulates: every iteration of a loop nest that reduces.
  if (loops.hasReduction()) {
    operation.work = 1;
    for (int64_t loop = 0; loop < loops.numLoops; ++loop) {
      operation.work *= loops.extent(loop).value_or(1);
    }
  }
  return BandRefusal::None;
}

/// Whether `loops` reduces all rows of one computed input and can take them
/// band by band; `operation` receives its reads, that input's first.
bool Reader::accumulateRows(const Structured &loops, Operation &operation) {
  MlirOperation op = loops.op;
  int64_t own = found.rowDim(result(op));
  MlirType type = mlirValueGetType(result(op));
  if (!loops.hasReduction() || !isPlain(type) ||
      (own >= 0 && mlirShapedTypeGetDimSize(type, own) != 1)) {
    return false;
  }
  if (mlirTypeIsAFloat(mlirShapedTypeGetElementType(type)) &&
      (!options.reorderSums || quantizations.keepsOrder(op))) {
    return false;
  }
  std::optional<int64_t> input;
  std::optional<int64_t> row;
  for (int64_t i = 0; i < loops.numInputs && !input; ++i) {
    MlirValue value = operand(op, i);
    int64_t dim = found.rowDim(value);
    if (dim < 0 || !found.numbers.count(key(value))) {
      continue;
    }
    row = reducedRows(loops, i, dim);
    if (row && !readsIndex(loops, *row)) {
      input = i;
    }
  }
  if (!input) {
    return false;
  }
  const size_t cut = found.numbers[key(operand(op, *input))];
  Operation made;
  made.reads.emplace_back();
  made.reads[0].value = cut;
  for (int64_t i = 0; i <= loops.numInputs; ++i) {
    if (i == *input) {
      continue;
    }
    MlirValue value = operand(op, i);
    auto number = found.numbers.find(key(value));
    std::optional<int64_t> at = loops.dimOfLoop(i, *row);
    bool sliced = at && *at >= 0;
    if (!at ||
        (sliced && (!isConstant(value) || splitter.sliceRefusal(value, *at) !=
                                              RewriteRefusal::None))) {
      return false;
    }
    if (number != found.numbers.end()) {
      if (number->second == cut) {
        return false; // as a whole too
      }
      Read read;
      read.value = number->second;
      read.whole = true;
      made.reads.push_back(read);
    }
  }
  made.accumulates = true;
  made.work = 1;
  for (int64_t loop = 0; loop < loops.numLoops; ++loop) {
    made.work *= loops.extent(loop).value_or(1);
  }
  operation = made;
  return true;
}

BandRefusal Reader::bandTensor(MlirOperation op, Operation &operation) {
  std::string_view opName = name(op);
  int64_t dim = found.rowDim(result(op));
  if (dim < 0) {
    return BandRefusal::UnknownOperation;
  }
  Read read;
  if (opName == "tensor.pad") {
    if (mlirOperationGetNumOperands(op) != 1) {
      return BandRefusal::ShapeNotStatic;
    }
    if (operations(body(op)).size() != 1) {
      return BandRefusal::IndexDependent;
    }
    read.before = intArray(attr(op, "static_low"))[dim];
    operation.copies = true;
  } else if (opName == "tensor.extract_slice") {
    std::vector<int64_t> segments = operandSegments(op);
    if (segments.size() != 4 || segments[1] != 0 || segments[3] != 0) {
      return BandRefusal::ShapeNotStatic;
    }
    if (!hasUnitStrides(op) || shape(mlirValueGetType(result(op))) !=
                                   intArray(attr(op, "static_sizes"))) {
      return BandRefusal::UnknownOperation;
    }
    read.before = -intArray(attr(op, "static_offsets"))[dim];
    operation.copies = true;
  } else if (opName == "tensor.concat") {
    if (intAttr(op, "dim") == dim) {
      return BandRefusal::UnknownOperation;
    }
  } else if (spreadsElements(op)) {
    if (isConstant(operand(op, 0)) || !isConstant(operand(op, 1))) {
      return BandRefusal::UnknownOperation;
    }
    read.before = intArray(attr(op, "static_offsets"))[dim];
    read.spread = intArray(attr(op, "static_strides"))[dim];
    operation.copies = true;
  } else {
    return BandRefusal::UnknownOperation;
  }
  for (MlirValue value : operands(op)) {
    if (isConstant(value)) {
      if (splitter.sliceRefusal(value, dim) != RewriteRefusal::None) {
        return BandRefusal::OperandNotCut;
      }
      continue;
    }
    if (!isTensor(value)) {
      continue; // the extent of another dimension
    }
    if (!isPlain(mlirValueGetType(value))) {
      return BandRefusal::ShapeNotStatic;
    }
    read.value = number(value);
    if (found.rowDim(value) != dim ||
        found.graph.values[read.value].rows == 0) {
      return BandRefusal::RowsDisagree;
    }
    operation.reads.push_back(read);
  }
  return BandRefusal::None;
}

/// Whether `value`, with rows along `dim` if it has some, can be put together
/// of bands: its other extents outlive the operations that are replaced.
static bool canBeMadeInBands(MlirValue value, int64_t dim) {
  MlirType type = mlirValueGetType(value);
  if (!isPlain(type) || (dim >= 0 && !isStaticAlong(type, dim))) {
    return false;
  }
  for (int64_t i = 0, e = mlirShapedTypeGetRank(type); i < e; ++i) {
    if (mlirShapedTypeGetDimSize(type, i) < 0) {
      DimSource source = dimSource(value, i);
      if (!source.extent.ptr && !isGiven(source.tensor)) {
        return false;
      }
    }
  }
  return true;
}

BandRefusal Reader::band(MlirOperation op, Operation &operation) {
  std::optional<Structured> loops = structuredRows(op);
  if (!loops && mlirOperationGetNumResults(op) != 1) {
    return BandRefusal::UnknownOperation;
  }
  if (!canBeMadeInBands(result(op), found.rowDim(result(op)))) {
    return BandRefusal::ShapeNotStatic;
  }
  return loops ? bandLoops(*loops, operation) : bandTensor(op, operation);
}

/// Where dimensions are dynamic, at their hints.
static int64_t numElements(const TensorSizes &sizes, MlirValue tensor) {
  int64_t count = 1;
  for (int64_t i = 0, e = mlirShapedTypeGetRank(mlirValueGetType(tensor));
       i < e; ++i) {
    count *= sizes.extent(tensor, i);
  }
  return count;
}

/// How many operations read `value`, one that reads it twice once.
static size_t numReaders(MlirValue value) {
  std::set<const void *> readers;
  for (const Use &use : uses(value)) {
    readers.insert(use.owner.ptr);
  }
  return readers.size();
}

/// Dispatch formation makes one dispatch of an operation and the elementwise
/// ones behind it, and writes the result straight into a pad around it. What
/// dequantizes a value is computed by the operation that reads it.
void Reader::joinGroup(MlirOperation op, Operation &operation) {
  std::optional<Structured> loops = structuredRows(op);
  bool elementwise = loops && !loops->hasReduction();
  bool joins = false;
  MlirOperation previous =
      found.operations.empty() ? MlirOperation{} : found.operations.back();
  // One that joined the dispatch before it is stored.
  const std::vector<bands::Operation> &read = found.graph.operations;
  const bool widened =
      loops && !isNull(previous) && quantized::widensElements(previous) &&
      (read.size() == 1 || read[read.size() - 2].group != read.back().group);
  if (!isNull(previous) && (elementwise || isa(op, "tensor.pad") || widened)) {
    std::optional<Structured> before = structuredRows(previous);
    for (MlirValue value : operands(op)) {
      MlirOperation from = definingOp(value);
      while (isReshape(from) && numReaders(value) == 1) {
        value = operand(from, 0);
        from = definingOp(value);
      }
      if (isNull(from) || !mlirOperationEqual(from, previous) ||
          numReaders(value) != 1 || mlirOperationGetNumResults(from) != 1) {
        continue;
      }
      // Of other elements too: an accumulator of 32 bits is quantized in the
      // dispatch that computes it.
      bool sameSize = numElements(options.sizes, value) ==
                      numElements(options.sizes, result(op));
      joins |= widened || (elementwise ? before && sameSize
                                       : before && !before->hasReduction());
    }
  }
  operation.group = joins ? groups : ++groups;
}

void Reader::add(MlirOperation op) {
  bool tensors = false;
  for (MlirValue value : results(op)) {
    tensors |= isTensor(value);
  }
  if (isExport(op)) {
    for (MlirValue value : operands(op)) {
      auto known = found.numbers.find(key(value));
      if (known != found.numbers.end()) {
        found.graph.values[known->second].counted = false;
      }
    }
  }
  if (mlirOperationGetNumResults(op) == 1 && isConstant(result(op))) {
    return;
  }
  if (isa(op, "hal.tensor.import")) {
    number(result(op));
    return;
  }
  if (isView(op) && mlirOperationGetNumResults(op) == 1 &&
      found.numbers.count(key(operand(op, 0)))) {
    found.numbers[key(result(op))] = found.numbers[key(operand(op, 0))];
    if (!keepsRows(op, found)) {
      // Its rows are not those of the value that is stored.
      found.rowDims.erase(key(result(op)));
    }
    return;
  }
  Operation operation;
  BandRefusal refusal = BandRefusal::None;
  std::optional<Structured> loops = structuredRows(op);
  if (!loops || !accumulateRows(*loops, operation)) {
    refusal = band(op, operation);
  }
  if (refusal != BandRefusal::None) {
    operation.reads.clear();
    operation.copies = false;
    addReads(op, operation);
    if (!tensors && operation.reads.empty()) {
      return;
    }
  }
  operation.bandable = refusal == BandRefusal::None && !operation.accumulates;
  operation.again = options.copies.count(op.ptr) != 0;
  for (MlirValue value : results(op)) {
    // IREE drops results that nothing reads.
    bool dropped = loops && !mlirValueEqual(value, result(op));
    if (isTensor(value) && !dropped) {
      operation.writes.push_back(number(value));
    }
  }
  joinGroup(op, operation);
  found.graph.operations.push_back(operation);
  found.operations.push_back(op);
  found.refusals.push_back(refusal);
}

/// Takes operations together that a stream rewrite computes piece by piece.
void Reader::streamPieces() {
  constexpr int64_t pieces = 4;
  for (size_t i = 0; i < found.operations.size(); ++i) {
    std::optional<Structured> loops = structuredRows(found.operations[i]);
    if (!loops || !loops->hasReduction()) {
      continue;
    }
    std::optional<StructuredSplit> plan =
        splitter.streamSplit(*loops, pieces, /*deep=*/false);
    if (!plan || !reduces(plan->region)) {
      continue;
    }
    size_t first = i;
    for (size_t j = i; j-- > 0;) {
      bool made = false;
      for (size_t v : found.graph.operations[j].writes) {
        made |= plan->region.count(key(found.values[v])) != 0;
      }
      if (!made) {
        break;
      }
      first = j;
    }
    bool complete = true;
    for (size_t j = first; j < i; ++j) {
      complete &= found.graph.operations[j].writes.size() == 1;
    }
    if (!complete || first == i) {
      continue;
    }
    size_t group = found.graph.operations[first].group;
    size_t own = found.graph.operations[i].group;
    for (size_t j = first; j < i; ++j) {
      found.graph.values[found.graph.operations[j].writes[0]].pieces =
          int64_t(plan->sizes.size());
    }
    for (size_t j = first; j < found.graph.operations.size(); ++j) {
      size_t &at = found.graph.operations[j].group;
      at = at <= own ? group : at;
    }
  }
}

FunctionGraph Reader::run() {
  findConstants();
  found.rowDims = findRows(found.function, constants);
  for (MlirOperation op : operations(body(found.function))) {
    add(op);
  }
  if (options.streamed) {
    streamPieces();
  }
  return std::move(found);
}

} // namespace

FunctionGraph readFunction(MlirOperation module, MlirOperation function,
                           const GraphOptions &options) {
  return Reader(module, function, options).run();
}

} // namespace serenity::bands

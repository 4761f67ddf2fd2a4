// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Writes the commands of a region back in their new order and places.

#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/AsyncDispatch.h"
#include "serenity/Transforms/RegionModel.h"

#include <algorithm>

namespace serenity {

namespace {

class Writer {
public:
  Writer(const RegionModel &model, const RegionPlan &plan)
      : model(model), plan(plan), constants(model.execute),
        yield(mlirBlockGetTerminator(ir::body(model.execute))),
        current(model.buffers.size(), MlirValue{nullptr}) {
    context = mlirOperationGetContext(model.execute);
  }

  void write(const std::vector<OpId> &order);

private:
  void writeCommand(const Command &command);
  void writeDispatch(const Command &command);
  /// The operands and results of a dispatch that is written anew.
  struct NewDispatch {
    DispatchOperands parts;
    /// Results are tied to the operands that IREE tied them to.
    bool inPlace = false;
    /// IREE has placed the results in operands of their own.
    bool wasEmplaced = false;
    /// Every result has a buffer of its own that nothing has touched.
    bool ownAll = true;
    /// The operation can stay as it is but for its operands.
    bool same = false;
    size_t numInputs = 0;
    std::vector<MlirValue> lists[NumDispatchSegments];
    std::vector<const Access *> byOperand, byResult;
    std::vector<int64_t> tied;
    std::vector<MlirType> types;
  };
  NewDispatch beginDispatch(const Command &command) const;
  void addInputs(const Command &command, NewDispatch &made);
  void addResult(const Command &command, size_t result, NewDispatch &made);
  void reuseDispatch(const Command &command, const NewDispatch &made);
  MlirOperation createDispatch(MlirOperation op, const NewDispatch &made);
  void writeCopy(const Command &command);
  MlirValue valueOf(int root, const Command &user);
  MlirOperation insert(MlirOperation op) {
    ir::insertBefore(yield, op);
    return op;
  }
  std::vector<ir::NamedAttr> affinity(const Command &command) const {
    MlirAttribute attr = ir::attr(command.op, "affinity");
    std::vector<ir::NamedAttr> attrs;
    if (!ir::isNull(attr)) {
      attrs.push_back({"affinity", attr});
    }
    return attrs;
  }
  const PlacedBuffer &place(const Access &access) const {
    return plan.places[access.buffer];
  }
  MlirValue size(int root) {
    const RegionBuffer &buffer = model.buffers[root];
    return buffer.size.ptr ? buffer.size : constants.get(buffer.bytes);
  }
  /// `bytes` into a buffer: its size, if that is known only at run time.
  MlirValue extent(int root, int64_t bytes) {
    return model.buffers[root].size.ptr ? model.buffers[root].size
                                        : constants.get(bytes);
  }
  /// The size of an argument, which may be dynamic: the execute operation has
  /// the captured resources, then their sizes.
  MlirValue capturedSize(const RegionBuffer &buffer) const {
    intptr_t argument = mlirBlockArgumentGetArgNumber(buffer.root);
    std::vector<int64_t> segments = ir::operandSegments(model.execute);
    return ir::operand(model.execute, segments[0] + argument);
  }

  const RegionModel &model;
  const RegionPlan &plan;
  ir::IndexConstants constants;
  MlirOperation yield;
  MlirContext context;
  /// Per root buffer, the SSA value that holds its contents now.
  std::vector<MlirValue> current;
  std::vector<const void *> kept;
};

/// The value of a buffer, allocating it before its first use.
MlirValue Writer::valueOf(int root, const Command &user) {
  if (!current[root].ptr) {
    MlirOperation alloca =
        ir::create("stream.async.alloca", mlirOperationGetLocation(user.op),
                   {size(root)}, {model.buffers[root].type}, affinity(user));
    insert(alloca);
    current[root] = ir::result(alloca);
  }
  return current[root];
}

void Writer::write(const std::vector<OpId> &order) {
  for (size_t i = 0; i < model.buffers.size(); ++i) {
    if (model.buffers[i].isArgument) {
      current[i] = model.buffers[i].root;
    }
  }
  std::vector<MlirOperation> before = ir::operations(ir::body(model.execute));
  for (OpId id : order) {
    writeCommand(model.commands[plan.commands[id]]);
  }
  for (size_t i = 0; i < model.yields.size(); ++i) {
    if (model.yields[i] >= 0) {
      int root = plan.places[model.yields[i]].root;
      if (!current[root].ptr) {
        // Handed out although nothing was written: the alloca itself stays.
        current[root] = model.buffers[root].root;
        kept.push_back(ir::definingOp(current[root]).ptr);
      }
      mlirOperationSetOperand(yield, intptr_t(i), current[root]);
    }
  }
  // Whatever was not moved is used by nothing any more, last users first.
  std::sort(kept.begin(), kept.end());
  for (auto it = before.rbegin(); it != before.rend(); ++it) {
    if (ir::name(*it).rfind("stream.async.", 0) != 0 ||
        std::binary_search(kept.begin(), kept.end(),
                           static_cast<const void *>(it->ptr))) {
      continue;
    }
    ir::erase(*it);
  }
}

void Writer::writeCommand(const Command &command) {
  if (command.kind == CommandKind::Dispatch) {
    writeDispatch(command);
    return;
  }
  if (command.kind == CommandKind::Splat) {
    const Access &access = command.accesses[0];
    PlacedBuffer target = place(access);
    if (target.root == access.buffer) {
      mlirOperationMoveBefore(command.op, yield);
      kept.push_back(command.op.ptr);
      current[target.root] = ir::result(command.op);
      return;
    }
    MlirValue value = valueOf(target.root, command);
    MlirOperation fill =
        ir::create("stream.async.fill", mlirOperationGetLocation(command.op),
                   {value, size(target.root), constants.get(target.offset),
                    constants.get(target.offset + access.upper),
                    constants.get(access.upper), ir::operand(command.op, 0)},
                   {mlirValueGetType(value)}, affinity(command));
    insert(fill);
    current[target.root] = ir::result(fill);
    return;
  }
  if (command.kind == CommandKind::Fill) {
    const Access &access = command.accesses[0];
    PlacedBuffer target = place(access);
    MlirValue value = valueOf(target.root, command);
    mlirOperationSetOperand(command.op, 0, value);
    if (target.root != access.buffer) {
      mlirOperationSetOperand(command.op, 1, size(target.root));
      mlirOperationSetOperand(command.op, 2,
                              constants.get(access.lower + target.offset));
      mlirOperationSetOperand(command.op, 3,
                              constants.get(access.upper + target.offset));
      mlirValueSetType(ir::result(command.op), mlirValueGetType(value));
    }
    mlirOperationMoveBefore(command.op, yield);
    kept.push_back(command.op.ptr);
    current[target.root] = ir::result(command.op);
    return;
  }
  writeCopy(command);
}

/// Copies are made anew: as `clone` where the target is all of a fresh buffer,
/// `update` where the source is all of its buffer, `copy` otherwise.
void Writer::writeCopy(const Command &command) {
  const Access &target = command.accesses[0];
  const Access &source = command.accesses[1];
  PlacedBuffer to = place(target);
  PlacedBuffer from = place(source);
  MlirLocation location = mlirOperationGetLocation(command.op);
  MlirValue sourceValue = valueOf(from.root, command);
  const RegionBuffer &fromBuffer = model.buffers[from.root];
  int64_t length = target.upper - target.lower;
  int64_t sourceLower = source.lower + from.offset;
  MlirValue sourceSize =
      fromBuffer.isArgument ? capturedSize(fromBuffer) : size(from.root);
  bool wholeSource =
      sourceLower == 0 &&
      (fromBuffer.isArgument ? ir::constantInt(sourceSize) == length
                             : fromBuffer.bytes == length);

  bool ownResult =
      command.kind == CommandKind::Clone || command.kind == CommandKind::Slice;
  // A slice has the type of its source, which a placement may have changed.
  MlirType type = model.buffers[to.root].type;
  bool sliceable = mlirTypeEqual(type, mlirValueGetType(sourceValue));
  if (ownResult && to.root == target.buffer && !current[to.root].ptr &&
      (wholeSource || sliceable)) {
    MlirOperation op =
        wholeSource
            ? ir::create("stream.async.clone", location,
                         {sourceValue, sourceSize, extent(to.root, length)},
                         {type}, affinity(command))
            : ir::create("stream.async.slice", location,
                         {sourceValue, sourceSize, constants.get(sourceLower),
                          constants.get(sourceLower + length),
                          constants.get(length)},
                         {type}, affinity(command));
    insert(op);
    current[to.root] = ir::result(op);
    return;
  }
  MlirValue targetValue = valueOf(to.root, command);
  const RegionBuffer &toBuffer = model.buffers[to.root];
  MlirValue targetSize =
      toBuffer.isArgument ? capturedSize(toBuffer) : size(to.root);
  int64_t lower = target.lower + to.offset;
  MlirOperation op;
  if (wholeSource) {
    op = ir::create("stream.async.update", location,
                    {targetValue, targetSize, constants.get(lower),
                     extent(to.root, lower + length), sourceValue,
                     extent(from.root, length)},
                    {mlirValueGetType(targetValue)}, affinity(command));
  } else {
    op =
        ir::create("stream.async.copy", location,
                   {targetValue, targetSize, constants.get(lower),
                    constants.get(lower + length), sourceValue, sourceSize,
                    constants.get(sourceLower),
                    constants.get(sourceLower + length), constants.get(length)},
                   {mlirValueGetType(targetValue)}, affinity(command));
  }
  insert(op);
  current[to.root] = ir::result(op);
}

Writer::NewDispatch Writer::beginDispatch(const Command &command) const {
  NewDispatch made;
  made.parts = *takeApart(command.op);
  const size_t numResults = made.parts.tied.size();
  made.inPlace = !command.placeable;
  made.wasEmplaced =
      command.placeable && numResults > 0 && made.parts.tied[0] >= 0;
  made.numInputs = made.parts.segments[Resources].size() -
                   (made.wasEmplaced ? numResults : 0);
  made.byOperand.assign(made.parts.segments[Sizes].size(), nullptr);
  made.byResult.assign(numResults, nullptr);
  for (const Access &access : command.accesses) {
    if (access.operand >= 0) {
      made.byOperand[access.operand] = &access;
    }
    if (access.result >= 0) {
      made.byResult[access.result] = &access;
      made.ownAll &=
          access.operand >= 0 ||
          (place(access).root == access.buffer && !current[access.buffer].ptr);
    }
  }
  made.same = !made.wasEmplaced && (made.inPlace || made.ownAll);
  made.lists[Workload] = made.parts.segments[Workload];
  return made;
}

void Writer::addInputs(const Command &command, NewDispatch &made) {
  const DispatchOperands &parts = made.parts;
  for (size_t i = 0; i < made.numInputs; ++i) {
    int k = parts.resourceIndex[i];
    if (k < 0) {
      made.lists[Resources].push_back(parts.segments[Resources][i]);
      continue;
    }
    const Access &access = *made.byOperand[k];
    PlacedBuffer at = place(access);
    made.lists[Resources].push_back(valueOf(at.root, command));
    made.lists[Lengths].push_back(parts.segments[Lengths][k]);
    if (at.root == access.buffer) {
      made.lists[Sizes].push_back(parts.segments[Sizes][k]);
      made.lists[Offsets].push_back(parts.segments[Offsets][k]);
      made.lists[Ends].push_back(parts.segments[Ends][k]);
    } else {
      made.same = false;
      made.lists[Sizes].push_back(size(at.root));
      made.lists[Offsets].push_back(constants.get(access.lower + at.offset));
      made.lists[Ends].push_back(constants.get(access.upper + at.offset));
    }
  }
}

/// Only the values of the operands have changed: keeps the operation.
void Writer::reuseDispatch(const Command &command, const NewDispatch &made) {
  MlirOperation op = command.op;
  std::vector<int64_t> segments = ir::operandSegments(op);
  for (size_t i = 0; i < made.numInputs; ++i) {
    mlirOperationSetOperand(op, intptr_t(segments[Workload] + i),
                            made.lists[Resources][i]);
  }
  mlirOperationMoveBefore(op, yield);
  kept.push_back(op.ptr);
  for (size_t i = 0; i < made.byResult.size(); ++i) {
    current[made.byResult[i]->buffer] = ir::result(op, intptr_t(i));
  }
}

void Writer::addResult(const Command &command, size_t i, NewDispatch &made) {
  const DispatchOperands &parts = made.parts;
  const Access &access = *made.byResult[i];
  PlacedBuffer at = place(access);
  const RegionBuffer &buffer = model.buffers[at.root];
  made.types.push_back(buffer.type);
  made.tied.push_back(-1);
  if (made.inPlace) {
    made.tied[i] = parts.tied[i];
    bool moved = made.tied[i] >= 0 && at.root != access.buffer;
    made.lists[ResultSizes].push_back(moved ? size(at.root)
                                            : parts.segments[ResultSizes][i]);
    return;
  }
  if (made.ownAll) {
    // Results that all own their buffers need no operand to write to.
    made.lists[ResultSizes].push_back(size(at.root));
    return;
  }
  const int64_t length = access.upper - access.lower;
  made.tied[i] = int64_t(made.lists[Resources].size());
  made.lists[Resources].push_back(valueOf(at.root, command));
  MlirValue bytes =
      buffer.isArgument && made.wasEmplaced
          ? parts.segments[Sizes][parts.resourceIndex[parts.tied[i]]]
          : size(at.root);
  made.lists[Sizes].push_back(bytes);
  made.lists[Offsets].push_back(constants.get(at.offset));
  made.lists[Ends].push_back(extent(at.root, at.offset + length));
  made.lists[Lengths].push_back(extent(at.root, length));
  made.lists[ResultSizes].push_back(bytes);
}

MlirOperation Writer::createDispatch(MlirOperation op,
                                     const NewDispatch &made) {
  std::vector<MlirValue> operands;
  std::vector<int32_t> segments;
  for (const std::vector<MlirValue> &list : made.lists) {
    segments.push_back(int32_t(list.size()));
    operands.insert(operands.end(), list.begin(), list.end());
  }
  std::vector<ir::NamedAttr> attrs;
  std::vector<std::string> names;
  intptr_t numAttrs = mlirOperationGetNumAttributes(op);
  names.reserve(numAttrs);
  for (intptr_t i = 0; i < numAttrs; ++i) {
    MlirNamedAttribute named = mlirOperationGetAttribute(op, i);
    std::string attrName(ir::view(mlirIdentifierStr(named.name)));
    if (attrName == "operandSegmentSizes" || attrName == "tied_operands") {
      continue;
    }
    names.push_back(std::move(attrName));
    attrs.push_back({names.back(), named.attribute});
  }
  attrs.push_back(
      {"operandSegmentSizes",
       mlirDenseI32ArrayGet(context, segments.size(), segments.data())});
  if (std::any_of(made.tied.begin(), made.tied.end(),
                  [](int64_t t) { return t >= 0; })) {
    std::vector<MlirAttribute> elements;
    MlirType index = mlirIndexTypeGet(context);
    for (int64_t t : made.tied) {
      elements.push_back(mlirIntegerAttrGet(index, t));
    }
    attrs.push_back({"tied_operands", mlirArrayAttrGet(context, elements.size(),
                                                       elements.data())});
  }
  return insert(ir::create("stream.async.dispatch",
                           mlirOperationGetLocation(op), operands, made.types,
                           attrs));
}

void Writer::writeDispatch(const Command &command) {
  NewDispatch made = beginDispatch(command);
  addInputs(command, made);
  if (made.same) {
    reuseDispatch(command, made);
    return;
  }
  for (size_t i = 0; i < made.byResult.size(); ++i) {
    addResult(command, i, made);
  }
  MlirOperation dispatch = createDispatch(command.op, made);
  for (size_t i = 0; i < made.byResult.size(); ++i) {
    current[place(*made.byResult[i]).root] = ir::result(dispatch, intptr_t(i));
  }
}

} // namespace

void applyPlan(const RegionModel &model, const RegionPlan &plan,
               const std::vector<OpId> &order) {
  Writer(model, plan).write(order);
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/FusionModel.h"

#include "serenity/Analysis/ConsumedImports.h"
#include "serenity/Core/Alignment.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include <algorithm>
#include <utility>

namespace serenity::rewrite {

using namespace ir;

namespace {

template <typename T> void addOnce(std::vector<T> &list, T item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) {
    list.push_back(item);
  }
}

} // namespace

FusionModel::Origin FusionModel::origin(MlirValue value) const {
  auto found = origins.find(key(value));
  return found == origins.end() ? Origin{} : found->second;
}

/// Bytes of the buffer that `value` takes.
int64_t FusionModel::bytesOf(MlirValue value) const {
  int64_t bytes = rules.sizes.bytes(value).value_or(0);
  return alignUp(bytes, rules.alignment);
}

BufferId FusionModel::addBuffer(MlirValue value) {
  problem.buffers.push_back({"", bytesOf(value), false, false});
  return BufferId(problem.buffers.size()) - 1;
}

/// Whether the values have as many elements: then an elementwise operation from
/// one to the other has the loops of both, whatever the types.
bool FusionModel::sameElements(MlirValue a, MlirValue b) const {
  auto width = [](MlirValue value) {
    return elementBytes(mlirShapedTypeGetElementType(mlirValueGetType(value)))
        .value_or(1);
  };
  const int64_t widthA = width(a);
  const int64_t widthB = width(b);
  if (!rules.predict || widthA == widthB) {
    return bytesOf(a) == bytesOf(b);
  }
  return rules.sizes.bytes(a).value_or(0) / widthA ==
         rules.sizes.bytes(b).value_or(0) / widthB;
}

OpId FusionModel::addOperation(MlirOperation op) {
  problem.operations.push_back({std::string(name(op)), {}, {}, 0});
  members.push_back(merged.parts(op));
  heavy.push_back(false);
  OpId unit = OpId(problem.operations.size()) - 1;
  unitOf[op.ptr] = unit;
  return unit;
}

void FusionModel::use(OpId op, const Origin &value) {
  Operation &operation = problem.operations[op];
  if (value.buffer >= 0) {
    addOnce(operation.uses, value.buffer);
  }
  for (OpId before : value.ready) {
    if (before != op) {
      addOnce(operation.after, before);
    }
  }
}

void FusionModel::read(MlirOperation op, OpId unit) {
  for (MlirOperation part : merged.parts(op)) {
    walk(part, [&](MlirOperation inner) {
      for (MlirValue value : operands(inner)) {
        use(unit, origin(value));
      }
    });
  }
}

/// The buffer that holds `value` and nothing else; -1 if there is none.
BufferId FusionModel::ownBuffer(MlirValue value) const {
  BufferId buffer = origin(value).buffer;
  return buffer >= 0 && (inInputs.count(buffer) ||
                         problem.buffers[buffer].bytes == bytesOf(value))
             ? buffer
             : -1;
}

/// Whether an addition of `value` runs as an epilogue of its producer.
bool FusionModel::isEpilogueOf(MlirValue value) const {
  Origin part = origin(value);
  return part.ready.size() == 1 && heavy[*part.ready.begin()] &&
         merged.numReaders(value) == 1 && !sealed.count(key(value));
}

bool FusionModel::isUsedByAlone(BufferId buffer, OpId unit) const {
  for (size_t i = 0; i < problem.operations.size(); ++i) {
    const std::vector<BufferId> &uses = problem.operations[i].uses;
    if (OpId(i) != unit &&
        std::find(uses.begin(), uses.end(), buffer) != uses.end()) {
      return false;
    }
  }
  return true;
}

/// Whether `unit` comes after `other`.
bool FusionModel::dependsOn(OpId unit, OpId other) const {
  std::vector<OpId> open = {unit};
  std::set<OpId> seen = {unit};
  while (!open.empty()) {
    OpId current = open.back();
    open.pop_back();
    if (current == other) {
      return true;
    }
    for (OpId before : problem.operations[current].after) {
      if (seen.insert(before).second) {
        open.push_back(before);
      }
    }
  }
  return false;
}

void moveUses(Problem &problem, BufferId from, BufferId to) {
  for (Operation &operation : problem.operations) {
    std::vector<BufferId> &uses = operation.uses;
    auto at = std::find(uses.begin(), uses.end(), from);
    if (at == uses.end()) {
      continue;
    }
    if (std::find(uses.begin(), uses.end(), to) == uses.end()) {
      *at = to;
    } else {
      uses.erase(at);
    }
  }
  problem.buffers[from].bytes = 0;
}

/// All that lies in `from` lies in `to` instead.
void FusionModel::replaceBuffer(BufferId from, BufferId to) {
  moveUses(problem, from, to);
  for (auto &item : origins) {
    if (item.second.buffer == from) {
      item.second.buffer = to;
    }
  }
}

/// Steps of accumulations whose order is free.
bool FusionModel::visitStep(MlirOperation op) {
  auto step = stepOf.find(op.ptr);
  if (step == stepOf.end()) {
    return false;
  }
  auto [chain, index] = step->second;
  if (!chains[chain].isSum()) {
    visitPartial(chain, index);
  } else if (index + 1 == chains[chain].steps.size()) {
    visitSum(chain);
  }
  return true;
}

void FusionModel::visitPartial(size_t chain, size_t step) {
  const Chain &links = chains[chain];
  MlirOperation op = links.steps[step];
  OpId unit = addOperation(op);
  heavy[unit] = true;
  accumulates[chain][step] = unit;
  if (!links.taken.empty()) {
    partBuffers[chain][step] = ownBuffer(operand(op, links.cut));
  }
  // Everything but the accumulator, which the steps share without an order.
  for (int64_t i = 0; i < mlirOperationGetNumOperands(op); ++i) {
    if (i != links.accumulator) {
      use(unit, origin(operand(op, i)));
    }
  }
  MlirOperation last = links.steps.back();
  Origin &complete = origins[key(result(last))];
  if (complete.buffer < 0) {
    complete.buffer = addBuffer(result(last));
    // The initial value of the accumulation.
    use(unit, origin(operand(links.steps.front(), links.accumulator)));
  }
  complete.ready.insert(unit);
  use(unit, Origin{complete.buffer, {}});
}

void FusionModel::visitSum(size_t chain) {
  const Chain &links = chains[chain];
  std::vector<MlirValue> parts = {
      operand(links.steps.front(), links.accumulator)};
  for (MlirOperation step : links.steps) {
    parts.push_back(operand(step, links.part));
  }
  MlirValue sum = result(links.steps.back());
  Origin complete;
  complete.buffer = addBuffer(sum);
  for (size_t i = 0; i < parts.size(); ++i) {
    Origin part = origin(parts[i]);
    OpId unit;
    if (isEpilogueOf(parts[i])) {
      // The addition is an epilogue: the part never has a buffer of its own.
      unit = *part.ready.begin();
      std::vector<BufferId> &touched = problem.operations[unit].uses;
      std::replace(touched.begin(), touched.end(), part.buffer,
                   complete.buffer);
      problem.buffers[part.buffer].bytes = 0;
    } else {
      unit = addOperation(links.steps[i == 0 ? 0 : i - 1]);
      members.back().clear();
      use(unit, part);
      use(unit, Origin{complete.buffer, {}});
    }
    accumulates[chain][i] = unit;
    complete.ready.insert(unit);
  }
  origins[key(sum)] = complete;
}

/// An operation over a pad that will be computed piece by piece.
bool FusionModel::visitPiecewise(MlirOperation op) {
  auto pieces = piecewise.find(op.ptr);
  if (pieces == piecewise.end()) {
    return false;
  }
  OpId unit = addOperation(op);
  heavy[unit] = true;
  read(op, unit);
  problem.operations[unit].workspaceBytes = pieces->second.workspaceBytes;
  Origin made;
  made.buffer = pieces->second.inPlace
                    ? origin(operand(pieces->second.pad, 0)).buffer
                    : -1;
  if (made.buffer < 0) {
    made.buffer = addBuffer(result(op));
  }
  made.ready.insert(unit);
  use(unit, made);
  origins[key(result(op))] = made;
  return true;
}

bool FusionModel::visitConcat(MlirOperation op) {
  if (concats.count(op.ptr) || (rules.placeParts && isa(op, "tensor.concat"))) {
    placeConcat(op);
    return true;
  }
  if (rules.predict && isa(op, "tensor.concat")) {
    copyParts(op);
    return true;
  }
  return false;
}

/// The pieces of `buffer`: its parts if it is made of parts alone.
std::vector<FusionModel::Piece> FusionModel::piecesOf(BufferId buffer,
                                                      int64_t bytes) const {
  auto parts = pieces.find(buffer);
  if (parts != pieces.end() && !parts->second.empty() &&
      parts->second.back().upper == bytes) {
    return parts->second;
  }
  Piece whole{0, bytes, {}};
  for (size_t i = 0; i < problem.operations.size(); ++i) {
    const std::vector<BufferId> &uses = problem.operations[i].uses;
    if (std::find(uses.begin(), uses.end(), buffer) != uses.end()) {
      whole.users.push_back(OpId(i));
    }
  }
  return {whole};
}

/// Adds a part, with the pieces that it was `made` of, behind the other parts
/// of `whole`, unless that holds other values already.
void FusionModel::addPieces(const Origin &whole, std::vector<Piece> made) {
  if (!whole.ready.empty() && !pieces.count(whole.buffer)) {
    return;
  }
  std::vector<Piece> &parts = pieces[whole.buffer];
  const int64_t from = parts.empty() ? 0 : parts.back().upper;
  for (Piece &piece : made) {
    if (piece.lower < piece.upper) {
      piece.lower += from;
      piece.upper += from;
      parts.push_back(std::move(piece));
    }
  }
}

/// The parts of a concatenation: made in their place if they are tensors of
/// their own, copied otherwise.
void FusionModel::placeConcat(MlirOperation op) {
  Origin whole;
  whole.buffer = addBuffer(result(op));
  for (MlirValue part : operands(op)) {
    Origin made = origin(part);
    BufferId own = ownBuffer(part);
    if (rules.predict &&
        (own < 0 || own == whole.buffer || updated.count(own))) {
      copyInto(op, part, whole);
      continue;
    }
    if (own >= 0 && own != whole.buffer) {
      addPieces(whole, piecesOf(own, bytesOf(part)));
      replaceBuffer(own, whole.buffer);
    }
    whole.ready.insert(made.ready.begin(), made.ready.end());
  }
  origins[key(result(op))] = whole;
}

/// Adds an operation for `op` that copies `part` into the memory of `whole`.
void FusionModel::copyInto(MlirOperation op, MlirValue part, Origin &whole) {
  OpId unit = addOperation(op);
  use(unit, origin(part));
  use(unit, Origin{whole.buffer, {}});
  addPieces(whole, {{0, bytesOf(part), {unit}}});
  whole.ready.insert(unit);
}

/// One copy for each part of a concatenation.
void FusionModel::copyParts(MlirOperation op) {
  Origin whole;
  whole.buffer = addBuffer(result(op));
  for (MlirValue part : operands(op)) {
    copyInto(op, part, whole);
  }
  origins[key(result(op))] = whole;
}

/// A slice is written into the memory of the tensor around it.
bool FusionModel::visitInsert(MlirOperation op) {
  if (!rules.predict || !isa(op, "tensor.insert_slice")) {
    return false;
  }
  MlirValue part = operand(op, 0);
  Origin whole = origin(operand(op, 1));
  Origin made = origin(part);
  if (whole.buffer < 0) {
    whole.buffer = addBuffer(result(op));
  }
  BufferId own = ownBuffer(part);
  // Between other elements it is copied.
  if (rules.placeParts && hasUnitStrides(op) && own >= 0 &&
      own != whole.buffer && made.ready.size() == 1 &&
      merged.numReaders(part) == 1 && !updated.count(own)) {
    addPieces(whole, piecesOf(own, bytesOf(part)));
    replaceBuffer(own, whole.buffer);
    OpId unit = *made.ready.begin();
    whole.ready.insert(unit);
    unitOf[op.ptr] = unit;
  } else {
    copyInto(op, part, whole);
  }
  updated.insert(whole.buffer);
  origins[key(result(op))] = whole;
  return true;
}

/// Other names of one tensor.
bool FusionModel::visitView(MlirOperation op) {
  if (!isView(op) && !piecewisePads.count(op.ptr) && !merged.isWidened(op)) {
    return false;
  }
  MlirValue source = operand(op, 0);
  origins[key(result(op))] = origin(source);
  if (foldable.count(key(source))) {
    foldable.insert(key(result(op)));
  }
  if (rules.predict &&
      (sealed.count(key(source)) || isa(op, "util.optimization_barrier"))) {
    sealed.insert(key(result(op)));
  }
  return true;
}

/// Computed from constants alone: folded or recomputed in the users.
bool FusionModel::visitFoldable(MlirOperation op, bool elementwise) {
  if (!elementwise) {
    return false;
  }
  for (MlirValue value : merged.operandsOf(op)) {
    MlirOperation source = definingOp(value);
    if (isTensor(value) && !foldable.count(key(value)) &&
        (isNull(source) ||
         !(isa(source, "tensor.empty") || isa(source, "arith.constant") ||
           isa(source, "util.global.load")))) {
      return false;
    }
  }
  foldable.insert(key(result(op)));
  return true;
}

/// Whether `op` runs in the operation that computes its operand `value`: as an
/// epilogue of the same size, or as a pad around an elementwise operation.
bool FusionModel::fusesWith(MlirOperation op, MlirValue value,
                            bool elementwise) const {
  Origin source = origin(value);
  if (source.buffer < 0 || source.ready.empty() || sealed.count(key(value))) {
    return false;
  }
  int64_t before = problem.buffers[source.buffer].bytes;
  if (bytesOf(value) != before) {
    return false; // a slice
  }
  bool sameSize = elementwise && sameElements(value, result(op));
  bool padsElementwise = isa(op, "tensor.pad") && source.ready.size() == 1 &&
                         !heavy[*source.ready.begin()];
  if (!sameSize && !padsElementwise) {
    return false;
  }
  if (!rules.predict) {
    return true;
  }
  // A value with other readers stays, and its producer must not wait for its
  // readers. One that is written piece by piece has no single producer.
  if (source.ready.size() != 1 ||
      (merged.numReaders(value) > 1 && !rules.fuseMultiUse)) {
    return false;
  }
  for (OpId unit : source.ready) {
    for (MlirValue other : merged.operandsOf(op)) {
      for (OpId before : origin(other).ready) {
        if (!mlirValueEqual(other, value) && before != unit &&
            dependsOn(before, unit)) {
          return false;
        }
      }
    }
  }
  return true;
}

/// An epilogue of the operation that computes its only operand, or a pad around
/// an elementwise operation.
bool FusionModel::visitEpilogue(MlirOperation op, bool elementwise) {
  if (!elementwise && (rules.predict || !isa(op, "tensor.pad"))) {
    return false;
  }
  std::vector<MlirValue> sources = merged.operandsOf(op);
  std::stable_partition(sources.begin(), sources.end(), [&](MlirValue value) {
    return rules.addends == Addends::ComeLast && origin(value).ready.size() > 1;
  });
  for (MlirValue value : sources) {
    if (fusesWith(op, value, elementwise)) {
      bool sameSize = elementwise && bytesOf(value) == bytesOf(result(op));
      fuse(op, value, sameSize);
      return true;
    }
  }
  return false;
}

/// An addend of an accumulation that is not needed elsewhere is computed for
/// its last step.
std::vector<OpId> FusionModel::addLate(MlirOperation op, const Origin &source,
                                       bool sameSize) {
  std::vector<OpId> late;
  for (MlirValue other : operands(op)) {
    Origin addend = origin(other);
    if (rules.addends != Addends::ComeLast || source.ready.size() < 2 ||
        !sameSize || !isEpilogueOf(other) || addend.buffer == source.buffer ||
        ownBuffer(other) < 0) {
      continue;
    }
    OpId unit = *addend.ready.begin();
    problem.operations[unit].workspaceBytes +=
        problem.buffers[addend.buffer].bytes;
    moveUses(problem, addend.buffer, source.buffer);
    for (OpId step : source.ready) {
      use(unit, Origin{-1, {step}});
    }
    late.push_back(unit);
  }
  return late;
}

/// Of an addition of two products, either takes the other's place.
void FusionModel::shareSums(MlirOperation op, MlirValue value, Origin &source) {
  for (MlirValue other : operands(op)) {
    Origin addend = origin(other);
    if (mlirValueEqual(other, value) || !isEpilogueOf(value) ||
        !isEpilogueOf(other) ||
        problem.buffers[addend.buffer].bytes != bytesOf(result(op)) ||
        name(op).substr(0, 7) != "linalg.") {
      continue;
    }
    OpId second = *addend.ready.begin();
    OpId first = *source.ready.begin();
    std::vector<BufferId> &touched = problem.operations[second].uses;
    std::replace(touched.begin(), touched.end(), addend.buffer, source.buffer);
    problem.buffers[addend.buffer].bytes = 0;
    std::vector<OpId> &waits = problem.operations[first].after;
    waits.erase(std::remove(waits.begin(), waits.end(), second), waits.end());
    std::vector<BufferId> &held = problem.operations[first].uses;
    held.erase(std::remove(held.begin(), held.end(), addend.buffer),
               held.end());
    members[first].pop_back();
    source.ready.insert(second);
    break;
  }
}

void FusionModel::fuse(MlirOperation op, MlirValue value, bool sameSize) {
  Origin source = origin(value);
  std::vector<OpId> late = addLate(op, source, sameSize);
  // The other operands must be there for the operation that comes last; any of
  // an accumulation's may, so all wait for them.
  for (OpId unit : source.ready) {
    for (MlirValue other : merged.operandsOf(op)) {
      if (!mlirValueEqual(other, value) &&
          (late.empty() || !isEpilogueOf(other))) {
        use(unit, origin(other));
      }
    }
  }
  source.ready.insert(late.begin(), late.end());
  OpId unit = *source.ready.begin();
  if (source.ready.size() == 1) {
    for (MlirOperation part : merged.parts(op)) {
      members[unit].push_back(part);
    }
    unitOf[op.ptr] = unit;
  }
  if (rules.predict && merged.numReaders(value) > 1) {
    // The producer has two results.
    source.buffer = addBuffer(result(op));
    use(unit, Origin{source.buffer, {}});
    origins[key(result(op))] = source;
    return;
  }
  if (rules.predict && !rules.inPlace && accumulated.count(source.buffer)) {
    // The last step reads the sum so far and writes another tensor.
    source.buffer = addBuffer(result(op));
    use(unit, Origin{source.buffer, {}});
    origins[key(result(op))] = source;
    return;
  }
  if (!inInputs.count(source.buffer)) {
    problem.buffers[source.buffer].bytes = bytesOf(result(op));
  }
  if (sameSize && !rules.predict) {
    shareSums(op, value, source);
  }
  origins[key(result(op))] = source;
  if (rules.predict && source.ready.size() == 1) {
    visitResultInPlace(op, unit);
  }
}

/// The producer of a tensor that is padded, and read nowhere else, writes into
/// the padded tensor; other tensors are copied into it.
bool FusionModel::visitPad(MlirOperation op) {
  if (!rules.predict || !isa(op, "tensor.pad")) {
    return false;
  }
  MlirValue value = operand(op, 0);
  Origin source = origin(value);
  if (source.buffer < 0 || source.ready.size() != 1 ||
      merged.numReaders(value) != 1 || sealed.count(key(value)) ||
      ownBuffer(value) < 0) {
    return false;
  }
  OpId unit = *source.ready.begin();
  members[unit].push_back(op);
  unitOf[op.ptr] = unit;
  if (isUsedByAlone(source.buffer, unit) && !inInputs.count(source.buffer)) {
    problem.buffers[source.buffer].bytes = bytesOf(result(op));
  } else {
    source.buffer = addBuffer(result(op));
    use(unit, Origin{source.buffer, {}});
  }
  origins[key(result(op))] = source;
  return true;
}

/// A reduction into a computed tensor without another reader goes on in its
/// memory.
bool FusionModel::visitAccumulation(MlirOperation op) {
  std::optional<Structured> loops = structured(op);
  if (!rules.predict || !loops || !loops->hasReduction()) {
    return false;
  }
  MlirValue init = operand(op, loops->numInputs);
  Origin made = origin(init);
  if (ownBuffer(init) < 0 || made.ready.empty() ||
      merged.numReaders(init) != 1) {
    return false;
  }
  OpId unit = addOperation(op);
  heavy[unit] = true;
  read(op, unit);
  made.ready = {unit};
  accumulated.insert(made.buffer);
  origins[key(result(op))] = made;
  return true;
}

/// Whether `op`, in `unit`, is the last reader of `value`, or can be: all
/// `earlier` ones may run before it.
bool FusionModel::isLastReader(MlirOperation op, OpId unit, MlirValue value,
                               std::vector<OpId> &earlier) const {
  for (MlirOperation reader : merged.readersOf(value)) {
    const MlirOperation user = merged.root(reader);
    if (mlirOperationEqual(user, op)) {
      continue;
    }
    auto known = unitOf.find(user.ptr);
    if (!rules.inPlaceAtLastUse || known == unitOf.end() ||
        dependsOn(known->second, unit)) {
      return false;
    }
    earlier.push_back(known->second);
  }
  return true;
}

/// The result of an elementwise operation overwrites an operand of its type
/// that dies with it: a computed one, or a consumed input.
void FusionModel::visitResultInPlace(MlirOperation op, OpId unit) {
  BufferId own = ownBuffer(result(op));
  if (!rules.inPlace || own < 0 || inInputs.count(own) ||
      !isUsedByAlone(own, unit)) {
    return;
  }
  for (MlirValue value : merged.operandsOf(op)) {
    MlirOperation producer = definingOp(value);
    const bool isInput = !isNull(producer) && isConsumedImport(producer);
    BufferId buffer = ownBuffer(value);
    if ((buffer < 0 && !isInput) || buffer == own ||
        origin(value).ready.count(unit) ||
        !mlirTypeEqual(mlirValueGetType(value), mlirValueGetType(result(op)))) {
      continue;
    }
    std::vector<OpId> earlier;
    if (!isLastReader(op, unit, value, earlier)) {
      continue;
    }
    for (OpId before : earlier) {
      use(unit, Origin{-1, {before}});
    }
    if (isInput) {
      problem.buffers[own].bytes = 0;
      inInputs.insert(own);
      updated.insert(own);
    } else {
      replaceBuffer(own, buffer);
      updated.insert(buffer);
    }
    return;
  }
}

void FusionModel::visitOther(MlirOperation op) {
  std::optional<Structured> loops = structured(op);
  OpId unit = addOperation(op);
  heavy[unit] = loops && loops->hasReduction();
  read(op, unit);
  bool producesTensor = false;
  for (MlirValue value : results(op)) {
    producesTensor |= isTensor(value);
    if (!isTensor(value)) {
      origins[key(value)] = Origin{-1, {unit}};
      continue;
    }
    Origin made;
    made.buffer = addBuffer(value);
    made.ready.insert(unit);
    use(unit, made);
    origins[key(value)] = made;
  }
  if (rules.predict && loops && !heavy[unit]) {
    visitResultInPlace(op, unit);
  }
  if (!producesTensor || isa(op, "hal.tensor.barrier") ||
      isa(op, "hal.tensor.transients")) {
    markExported(op);
  } else if (!loops && isNull(unknown) && name(op).substr(0, 7) != "tensor." &&
             name(op).substr(0, 7) != "linalg.") {
    unknown = op;
  }
}

/// Results of the function lie outside of the slab.
void FusionModel::markExported(MlirOperation op) {
  for (MlirValue value : operands(op)) {
    const BufferId buffer = origin(value).buffer;
    if (buffer >= 0) {
      if (int64_t bytes = std::exchange(problem.buffers[buffer].bytes, 0)) {
        exported[buffer] = bytes;
      }
    }
  }
  for (MlirValue value : results(op)) {
    if (origin(value).buffer >= 0) {
      problem.buffers[origin(value).buffer].bytes = 0;
    }
  }
}

void FusionModel::visit(MlirOperation op) {
  if (merged.isMerged(op) || visitStep(op) || isShapeOnly(op) ||
      isa(op, "hal.tensor.import") || isa(op, "tensor.empty") ||
      isa(op, "arith.constant") || isa(op, "util.global.load") ||
      visitPiecewise(op) || visitConcat(op) || visitInsert(op) ||
      visitView(op)) {
    return;
  }
  std::optional<Structured> loops = structured(op);
  bool elementwise = loops && !loops->hasReduction();
  if (!visitFoldable(op, elementwise) && !visitEpilogue(op, elementwise) &&
      !visitPad(op) && !visitAccumulation(op)) {
    visitOther(op);
  }
}

FusionModel::FusionModel(MlirBlock block, const std::vector<Chain> &chains,
                         const PiecewiseOps &piecewise, const Concats &concats,
                         const FusionRules &rules)
    : chains(chains), piecewise(piecewise), concats(concats), rules(rules) {
  for (const auto &item : piecewise) {
    piecewisePads.insert(item.second.pad.ptr);
  }
  for (size_t i = 0; i < chains.size(); ++i) {
    accumulates.emplace_back(chains[i].numParts(), -1);
    partBuffers.emplace_back(chains[i].numParts(), -1);
    for (size_t j = 0; j < chains[i].steps.size(); ++j) {
      stepOf[chains[i].steps[j].ptr] = {i, j};
    }
  }
  if (rules.predict) {
    merged = MergedOperations(
        block,
        [&](MlirOperation op) {
          return stepOf.count(op.ptr) > 0 || piecewise.count(op.ptr) > 0;
        },
        [&](MlirValue a, MlirValue b) { return sameElements(a, b); });
  }
  for (MlirOperation op : operations(block)) {
    visit(op);
  }
  for (const auto &[buffer, bytes] : exported) {
    resultPieces[buffer] = piecesOf(buffer, bytes);
  }
}

} // namespace serenity::rewrite

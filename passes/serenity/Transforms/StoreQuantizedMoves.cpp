// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The moves of serenity-store-quantized: quantization up, dequantization down,
// each through one operation that commutes with it bit for bit.

#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"
#include "serenity/Transforms/StoreQuantized.h"

#include <algorithm>
#include <cstring>

namespace serenity::quantized {

using namespace ir;
using rewrite::emptyOf;
using rewrite::isPlain;
using rewrite::Structured;
using rewrite::structured;
using rewrite::withElement;

// --- building ---------------------------------------------------------------

static MlirValue makeConstant(MlirType type, int64_t value,
                              MlirOperation before) {
  MlirOperation constant =
      create("arith.constant", mlirOperationGetLocation(before), {}, {type},
             {{"value", mlirIntegerAttrGet(type, value)}});
  insertBefore(before, constant);
  return result(constant);
}

/// The value of `integer` as a signless constant of `type` has it.
static int64_t signless(MlirType type, int64_t integer) {
  int64_t width = mlirIntegerTypeGetWidth(type);
  int64_t wrapped = integer & ((int64_t(1) << width) - 1);
  return wrapped >> (width - 1) ? wrapped - (int64_t(1) << width) : wrapped;
}

/// The maps of `affine` for values of another rank; parameters are one for the
/// tensor then.
static MlirAttribute mapsOfRank(const Affine &affine, int64_t rank) {
  std::string dims;
  for (int64_t i = 0; i < rank; ++i) {
    dims += (i ? ", d" : "d") + std::to_string(i);
  }
  std::string identity = "affine_map<(" + dims + ") -> (" + dims + ")>";
  std::string scalar = ", affine_map<(" + dims + ") -> ()>";
  std::string text = "[" + identity;
  for (size_t i = 1; i + 1 < affine.maps.size(); ++i) {
    text += scalar;
  }
  text += ", " + identity + "]";
  return mlirAttributeParseGet(mlirOperationGetContext(affine.op),
                               strRef(text));
}

/// `affine` applied to `value`, before `before`.
static MlirValue applyTo(const Affine &affine, MlirValue value,
                         MlirOperation before) {
  MlirType in = mlirValueGetType(value);
  MlirType element =
      mlirShapedTypeGetElementType(mlirValueGetType(affine.result()));
  MlirType out = withElement(in, element);
  MlirOperation clone = mlirOperationClone(affine.op);
  mlirOperationSetOperand(clone, 0, value);
  mlirOperationSetOperand(
      clone, mlirOperationGetNumOperands(clone) - 1,
      emptyOf(element, value, mlirOperationGetLocation(before), before));
  mlirValueSetType(result(clone), out);
  int64_t rank = mlirShapedTypeGetRank(in);
  if (rank != mlirShapedTypeGetRank(mlirValueGetType(affine.input))) {
    mlirOperationSetAttributeByName(clone, strRef("indexing_maps"),
                                    mapsOfRank(affine, rank));
  }
  insertBefore(before, clone);
  return result(clone);
}

/// Erases `op` if nothing uses it, and then the operands that it alone used.
void Mover::eraseDead(MlirOperation op) {
  static const std::set<std::string_view> pure = {
      "tensor.empty",        "arith.constant",       "linalg.fill",
      "tensor.pad",          "tensor.concat",        "tensor.collapse_shape",
      "tensor.expand_shape", "tensor.extract_slice", "linalg.transpose"};
  std::vector<MlirOperation> work = {op};
  std::set<const void *> gone; // addresses may be those of new ones later
  while (!work.empty()) {
    MlirOperation next = work.back();
    work.pop_back();
    if (isNull(next) || gone.count(next.ptr) ||
        (!pure.count(name(next)) && !asAffine(next) && !structured(next))) {
      continue;
    }
    bool used = false;
    for (MlirValue value : results(next)) {
      used |= hasUses(value);
    }
    if (used) {
      continue;
    }
    for (MlirValue value : operands(next)) {
      work.push_back(definingOp(value));
    }
    gone.insert(next.ptr);
    erased.insert(next.ptr);
    erase(next);
  }
}

void Mover::replace(MlirValue old, MlirValue with) {
  mlirValueReplaceAllUsesOfWith(old, with);
  eraseDead(definingOp(old));
}

/// Gives the block arguments of a structured operation the element types of its
/// operands.
static void retypeArguments(MlirOperation op) {
  MlirBlock block = body(op);
  std::vector<MlirValue> values = operands(op);
  for (size_t i = 0; i < values.size(); ++i) {
    MlirType type = mlirValueGetType(values[i]);
    mlirValueSetType(mlirBlockGetArgument(block, intptr_t(i)),
                     mlirTypeIsARankedTensor(type)
                         ? mlirShapedTypeGetElementType(type)
                         : type);
  }
}

// --- data movement ----------------------------------------------------------

namespace {
/// An operation that puts every element of its result where it found it in one
/// operand, or in one tensor that its body reads: a transposition, a
/// repetition, a gather. Nothing is computed, so that it commutes with every
/// function of single elements.
struct Movement {
  MlirOperation op = {};
  /// Operand number of the source; -1: the body reads it.
  int64_t operand = 0;
  /// Of a body that reads the source: the `tensor.extract`.
  MlirOperation extract = {};
  MlirValue source = {};
  /// Elements of the source have several places.
  bool repeats = false;
};
} // namespace

/// The value that a body yields if it is made of nothing but `from`.
static MlirValue yielded(MlirOperation op) {
  MlirOperation yield = mlirBlockGetTerminator(body(op));
  return mlirOperationGetNumOperands(yield) == 1 ? operand(yield, 0)
                                                 : MlirValue{nullptr};
}

static std::optional<Movement> asBodyMovement(MlirOperation op) {
  std::optional<Structured> loops = structured(op);
  if (!loops || loops->hasReduction() || !isa(op, "linalg.generic")) {
    return std::nullopt;
  }
  MlirValue value = yielded(op);
  MlirOperation extract = value.ptr ? definingOp(value) : MlirOperation{};
  if (isNull(extract) || !isa(extract, "tensor.extract") ||
      uses(value).size() != 1) {
    return std::nullopt;
  }
  Movement found{op, -1, extract, operand(extract, 0)};
  found.repeats = true;
  // Read at one place only, and not to compute where.
  int64_t reads = 0;
  for (const Use &use : uses(found.source)) {
    reads += mlirOperationEqual(mlirOperationGetParentOperation(use.owner), op);
  }
  std::vector<MlirValue> own = operands(op);
  for (MlirValue value : own) {
    reads += mlirValueEqual(value, found.source);
  }
  return reads == 1 ? std::optional<Movement>(found) : std::nullopt;
}

static std::optional<Movement> asMovement(MlirOperation op) {
  if (isNull(op) || mlirOperationGetNumResults(op) != 1 ||
      !isPlain(mlirValueGetType(result(op)))) {
    return std::nullopt;
  }
  Movement found{op, 0, {}, {}};
  if (isa(op, "tensor.collapse_shape") || isa(op, "tensor.expand_shape")) {
    found.source = operand(op, 0);
  } else if (isa(op, "tensor.extract_slice") &&
             mlirOperationGetNumOperands(op) == 1) {
    found.source = operand(op, 0);
  } else if (std::optional<Movement> gather = asBodyMovement(op)) {
    found = *gather;
  } else if (std::optional<Structured> loops = structured(op)) {
    // One operand, copied by the body.
    std::vector<MlirOperation> inner = operations(body(op));
    MlirValue value = yielded(op);
    if (loops->numInputs != 1 || inner.size() != 1 || !value.ptr ||
        !mlirValueEqual(value, mlirBlockGetArgument(body(op), 0)) ||
        loops->hasReduction() ||
        !mlirAffineMapIsProjectedPermutation(loops->maps[0])) {
      return std::nullopt;
    }
    found.source = operand(op, 0);
    found.repeats =
        mlirAffineMapGetNumResults(loops->maps[0]) < loops->numLoops;
  } else {
    return std::nullopt;
  }
  return isPlain(mlirValueGetType(found.source))
             ? std::optional<Movement>(found)
             : std::nullopt;
}

/// `movement` of `source`, of another element type, before it.
static MlirValue moveValue(const Movement &movement, MlirValue source) {
  MlirOperation op = movement.op;
  MlirType element = mlirShapedTypeGetElementType(mlirValueGetType(source));
  MlirType type = withElement(mlirValueGetType(result(op)), element);
  MlirOperation clone = mlirOperationClone(op);
  mlirValueSetType(result(clone), type);
  if (movement.operand >= 0) {
    mlirOperationSetOperand(clone, movement.operand, source);
  } else {
    MlirOperation extract = definingOp(yielded(clone));
    mlirOperationSetOperand(extract, 0, source);
    mlirValueSetType(result(extract), element);
  }
  if (structured(op)) {
    // The init has the extents of the result, and is made before it.
    intptr_t init = mlirOperationGetNumOperands(op) - 1;
    mlirOperationSetOperand(
        clone, init,
        emptyOf(element, operand(op, init), mlirOperationGetLocation(op), op));
    retypeArguments(clone);
  }
  insertBefore(op, clone);
  return result(clone);
}

// --- pads -------------------------------------------------------------------

namespace {
struct Pad {
  MlirOperation op = {};
  float value = 0;
};
} // namespace

/// A pad by one float constant.
static std::optional<Pad> asPad(MlirOperation op) {
  if (!isa(op, "tensor.pad") || mlirOperationGetNumOperands(op) != 1 ||
      !isPlain(mlirValueGetType(result(op))) ||
      !isPlain(mlirValueGetType(operand(op, 0)))) {
    return std::nullopt;
  }
  MlirValue value = yielded(op);
  std::optional<float> constant =
      value.ptr ? constantFloat(value) : std::nullopt;
  return constant ? std::optional<Pad>(Pad{op, *constant}) : std::nullopt;
}

/// Whether a parameter varies along a dimension that is padded.
static bool padsChannels(const Affine &affine, MlirOperation pad) {
  std::vector<int64_t> before = shape(mlirValueGetType(operand(pad, 0)));
  std::vector<int64_t> after = shape(mlirValueGetType(result(pad)));
  for (int64_t dim : affine.channelDims()) {
    if (before[dim] != after[dim]) {
      return true;
    }
  }
  return false;
}

static MlirValue padValue(const Pad &pad, MlirValue source, int64_t value) {
  MlirType element = mlirShapedTypeGetElementType(mlirValueGetType(source));
  MlirOperation clone = mlirOperationClone(pad.op);
  mlirOperationSetOperand(clone, 0, source);
  mlirValueSetType(result(clone),
                   withElement(mlirValueGetType(result(pad.op)), element));
  mlirOperationSetOperand(
      mlirBlockGetTerminator(body(clone)), 0,
      makeConstant(element, signless(element, value), pad.op));
  insertBefore(pad.op, clone);
  return result(clone);
}

// --- max pools --------------------------------------------------------------

namespace {
struct MaxPool {
  Structured loops;
  int64_t data = 0; // number of the compared operand
  float init = 0;
  MlirOperation maximum = {};
};
} // namespace

/// A reduction by `arith.maximumf` into a constant.
static std::optional<MaxPool> asMaxPool(MlirOperation op) {
  std::optional<Structured> loops = structured(op);
  if (!loops || !loops->hasReduction() ||
      !isPlain(mlirValueGetType(result(op)))) {
    return std::nullopt;
  }
  std::vector<MlirOperation> inner = operations(body(op));
  if (inner.size() != 2 || !isa(inner[0], "arith.maximumf") ||
      !mlirValueEqual(yielded(op), result(inner[0]))) {
    return std::nullopt;
  }
  MlirValue accumulator = mlirBlockGetArgument(body(op), loops->numInputs);
  MlirValue a = operand(inner[0], 0);
  MlirValue b = operand(inner[0], 1);
  MlirValue other = mlirValueEqual(a, accumulator) ? b : a;
  if (mlirValueEqual(a, b) ||
      !(mlirValueEqual(a, accumulator) || mlirValueEqual(b, accumulator)) ||
      !mlirValueIsABlockArgument(other)) {
    return std::nullopt;
  }
  MlirOperation fill = definingOp(operand(op, loops->numInputs));
  if (isNull(fill) || !isa(fill, "linalg.fill")) {
    return std::nullopt;
  }
  std::optional<float> init = constantFloat(operand(fill, 0));
  MaxPool found{*loops, mlirBlockArgumentGetArgNumber(other), init.value_or(0),
                inner[0]};
  return init && isPlain(mlirValueGetType(operand(op, found.data)))
             ? std::optional<MaxPool>(found)
             : std::nullopt;
}

/// `value` in every element of a tensor with the extents of the fill `like`.
static MlirValue makeFill(MlirType element, int64_t value, MlirOperation like,
                          MlirOperation before) {
  MlirOperation fill = mlirOperationClone(like);
  MlirValue empty = emptyOf(element, operand(like, 1),
                            mlirOperationGetLocation(before), before);
  mlirOperationSetOperand(fill, 0, makeConstant(element, value, before));
  mlirOperationSetOperand(fill, 1, empty);
  mlirValueSetType(result(fill), mlirValueGetType(empty));
  retypeArguments(fill);
  insertBefore(before, fill);
  return result(fill);
}

/// A generic operation with the loops of `pool` over other operands, whose body
/// is a maximum of integers.
static MlirOperation makeMaximum(const MaxPool &pool,
                                 const std::vector<MlirValue> &values,
                                 bool isUnsigned) {
  MlirOperation op = pool.loops.op;
  MlirContext context = mlirOperationGetContext(op);
  MlirLocation location = mlirOperationGetLocation(op);
  std::string iterators;
  for (int64_t loop = 0; loop < pool.loops.numLoops; ++loop) {
    iterators += std::string(loop ? ", " : "[") + "#linalg.iterator_type<" +
                 (pool.loops.isReduction(loop) ? "reduction>" : "parallel>");
  }
  iterators += "]";
  std::vector<MlirType> types;
  for (MlirValue value : values) {
    types.push_back(mlirShapedTypeGetElementType(mlirValueGetType(value)));
  }
  std::vector<MlirLocation> locations(types.size(), location);
  MlirBlock block =
      mlirBlockCreate(types.size(), types.data(), locations.data());
  MlirOperation maximum =
      create(isUnsigned ? "arith.maxui" : "arith.maxsi", location,
             {mlirBlockGetArgument(block, pool.data),
              mlirBlockGetArgument(block, pool.loops.numInputs)},
             {types.back()});
  mlirBlockAppendOwnedOperation(block, maximum);
  mlirBlockAppendOwnedOperation(
      block, create("linalg.yield", location, {result(maximum)}, {}));
  MlirRegion region = mlirRegionCreate();
  mlirRegionAppendOwnedBlock(region, block);

  MlirOperationState state =
      mlirOperationStateGet(strRef("linalg.generic"), location);
  MlirType type = mlirValueGetType(values.back());
  mlirOperationStateAddResults(&state, 1, &type);
  mlirOperationStateAddOperands(&state, values.size(), values.data());
  mlirOperationStateAddOwnedRegions(&state, 1, &region);
  int32_t segments[] = {int32_t(pool.loops.numInputs), 1};
  auto named = [&](const char *attribute, MlirAttribute value) {
    return mlirNamedAttributeGet(mlirIdentifierGet(context, strRef(attribute)),
                                 value);
  };
  MlirNamedAttribute attributes[] = {
      named("indexing_maps", mlirLinalgGetIndexingMapsAttribute(op)),
      named("iterator_types",
            mlirAttributeParseGet(context, strRef(iterators))),
      named("operandSegmentSizes", mlirDenseI32ArrayGet(context, 2, segments))};
  mlirOperationStateAddAttributes(&state, 3, attributes);
  return mlirOperationCreate(&state);
}

/// max(Q(x_1), ..., Q(x_n)) in the place of Q(max(x_1, ..., x_n)).
static MlirValue poolQuantized(const Affine &affine, const MaxPool &pool,
                               int64_t init) {
  MlirOperation op = pool.loops.op;
  MlirType storage = affine.storage();
  std::vector<MlirValue> values = operands(op);
  for (int64_t i = 0; i < pool.loops.numInputs; ++i) {
    // Of a window only the shape is read.
    values[i] = i == pool.data ? applyTo(affine, values[i], op)
                               : emptyOf(storage, values[i],
                                         mlirOperationGetLocation(op), op);
  }
  values.back() =
      makeFill(storage, signless(storage, init), definingOp(values.back()), op);
  MlirOperation made = makeMaximum(pool, values, affine.isUnsigned);
  insertBefore(op, made);
  return result(made);
}

/// Whether a parameter varies along a dimension that the pool changes.
static bool poolsChannels(const Affine &affine, const MaxPool &pool) {
  for (int64_t dim : affine.channelDims()) {
    MlirAffineMap out = pool.loops.maps.back();
    MlirAffineMap in = pool.loops.maps[pool.data];
    if (dim >= mlirAffineMapGetNumResults(in) ||
        !mlirAffineExprIsADim(mlirAffineMapGetResult(in, dim)) ||
        !mlirAffineExprIsADim(mlirAffineMapGetResult(out, dim)) ||
        mlirAffineDimExprGetPosition(mlirAffineMapGetResult(in, dim)) !=
            mlirAffineDimExprGetPosition(mlirAffineMapGetResult(out, dim))) {
      return true;
    }
  }
  return false;
}

// --- quantization up --------------------------------------------------------

/// Whether `affine` can be applied to every part of `concat` on its own.
static bool canTakeParts(const Affine &affine, MlirOperation concat) {
  std::optional<int64_t> dim = intAttr(concat, "dim");
  bool possible = dim && !affine.channelDims().count(*dim);
  for (MlirValue part : operands(concat)) {
    possible = possible && isPlain(mlirValueGetType(part));
  }
  return possible;
}

static MlirValue applyToParts(const Affine &affine, MlirOperation concat) {
  std::vector<MlirValue> parts = operands(concat);
  for (MlirValue &part : parts) {
    part = applyTo(affine, part, concat);
  }
  return result(rewrite::concatenate(parts, *intAttr(concat, "dim"),
                                     mlirValueGetType(affine.result()),
                                     concat));
}

/// Whether a slice of `value` is one of something with the parameters of
/// `affine` behind slices: then quantizing all of it costs nothing.
static bool cancelsBehindSlices(const Affine &affine, MlirValue value) {
  MlirOperation op = definingOp(value);
  while (!isNull(op) && isa(op, "tensor.extract_slice")) {
    op = definingOp(operand(op, 0));
  }
  std::optional<Affine> source = isNull(op) ? std::nullopt : asAffine(op);
  return source && !source->quantizes && sameParameters(*source, affine) &&
         isExactInverse(affine);
}

/// Why `affine` cannot be applied in front of `producer`, one of the operations
/// that it commutes with; empty: it can be.
static std::string refusalOf(const Affine &affine, MlirOperation producer) {
  if (uses(affine.input).size() != 1) {
    return "another operation reads it before it is quantized";
  }
  if (!scaleRange(affine)) {
    return "its scales are not positive normal constants";
  }
  if (isa(producer, "tensor.concat")) {
    return canTakeParts(affine, producer)
               ? ""
               : "its scales vary along the axis of the concatenation";
  }
  if (std::optional<Pad> pad = asPad(producer)) {
    return !quantizeConstant(affine, pad->value) ||
                   padsChannels(affine, producer)
               ? "the padding value has no single quantization"
               : "";
  }
  if (std::optional<Movement> movement = asMovement(producer)) {
    if (!affine.channelDims().empty()) {
      return "it has a scale per channel";
    }
    return isa(producer, "tensor.extract_slice") &&
                   !cancelsBehindSlices(affine, movement->source)
               ? "it is a slice, and all of its source would be quantized"
               : "";
  }
  std::optional<MaxPool> pool = asMaxPool(producer);
  if (!pool || !quantizeConstant(affine, pool->init) ||
      poolsChannels(affine, *pool)) {
    return "its scales vary along an axis of the pool";
  }
  return isNeverNaN(operand(producer, pool->data))
             ? ""
             : "a NaN may reach the maximum, and is quantized otherwise";
}

std::optional<std::string> refusalToMoveUp(const Affine &affine) {
  MlirOperation producer = definingOp(affine.input);
  if (isNull(producer) || !sameBlock(producer, affine.op) ||
      !(isa(producer, "tensor.concat") || asPad(producer) ||
        asMovement(producer) || asMaxPool(producer))) {
    return std::nullopt;
  }
  return refusalOf(affine, producer);
}

MlirValue Mover::movedUp(const Affine &affine, MlirOperation producer) {
  if (isa(producer, "tensor.concat")) {
    return applyToParts(affine, producer);
  }
  if (std::optional<Pad> pad = asPad(producer)) {
    MlirValue small = applyTo(affine, operand(producer, 0), producer);
    return padValue(*pad, small, *quantizeConstant(affine, pad->value));
  }
  if (std::optional<Movement> movement = asMovement(producer)) {
    return moveValue(*movement, applyTo(affine, movement->source, producer));
  }
  MaxPool pool = *asMaxPool(producer);
  return poolQuantized(affine, pool, *quantizeConstant(affine, pool.init));
}

bool Mover::moveUp(const Affine &affine) {
  MlirOperation producer = definingOp(affine.input);
  if (isNull(producer) || !sameBlock(producer, affine.op)) {
    return false;
  }
  std::optional<Affine> inner = asAffine(producer);
  if (inner && !inner->quantizes && sameParameters(*inner, affine) &&
      isExactInverse(affine)) {
    replace(affine.result(), inner->input);
    ++counts.folded;
    return true;
  }
  std::optional<std::string> refusal = refusalToMoveUp(affine);
  if (!refusal || !refusal->empty()) {
    return false;
  }
  replace(affine.result(), movedUp(affine, producer));
  ++counts.quantizeUp;
  return true;
}

// --- dequantization down ----------------------------------------------------

static bool sameBits(float a, float b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

/// DQ(user(x)), where `user` reads DQ(x); null if it does not commute.
static MlirValue dequantizeBehind(const Affine &affine, MlirOperation user) {
  if (std::optional<Pad> pad = asPad(user)) {
    std::optional<int64_t> value = quantizeConstant(affine, pad->value);
    std::optional<float> back =
        value ? dequantizeConstant(affine, *value) : std::nullopt;
    if (!back || !sameBits(*back, pad->value) || padsChannels(affine, user)) {
      return MlirValue{nullptr};
    }
    return applyTo(affine, padValue(*pad, affine.input, *value), user);
  }
  std::optional<Movement> movement = asMovement(user);
  if (!movement || !affine.channelDims().empty() ||
      !mlirValueEqual(movement->source, affine.result()) ||
      isa(user, "tensor.extract_slice") ||
      (movement->repeats && movement->operand >= 0)) {
    return MlirValue{nullptr};
  }
  return applyTo(affine, moveValue(*movement, affine.input), user);
}

bool Mover::moveDown(const Affine &affine) {
  if (!isComputed(affine.input)) {
    return false;
  }
  for (const Use &use : uses(affine.result())) {
    MlirOperation user = use.owner;
    bool captured = isa(user, "tensor.extract"); // in the body of the user
    if (captured) {
      user = mlirOperationGetParentOperation(user);
    }
    if (!sameBlock(user, affine.op)) {
      continue;
    }
    MlirValue moved = dequantizeBehind(affine, user);
    if (!moved.ptr) {
      continue;
    }
    replace(result(user), moved);
    if (captured) { // no operand, so that it was not looked at
      eraseDead(affine.op);
    }
    ++counts.dequantizeDown;
    return true;
  }
  return false;
}

// --- results ----------------------------------------------------------------

bool reachesOnlyResults(MlirValue value) {
  std::vector<Use> all = uses(value);
  return !all.empty() &&
         std::all_of(all.begin(), all.end(), [](const Use &use) {
           std::string_view what = name(use.owner);
           return what == "hal.tensor.barrier" || what == "hal.tensor.export" ||
                  what == "util.return" ||
                  (what == "tensor.concat" &&
                   reachesOnlyResults(result(use.owner)));
         });
}

bool Mover::dequantizeParts(const Affine &affine) {
  MlirOperation concat = definingOp(affine.input);
  if (isNull(concat) || !isa(concat, "tensor.concat") ||
      !sameBlock(concat, affine.op) || uses(affine.input).size() != 1 ||
      !isComputed(affine.input) || !scaleRange(affine) ||
      !canTakeParts(affine, concat) || !reachesOnlyResults(affine.result())) {
    return false;
  }
  replace(affine.result(), applyToParts(affine, concat));
  ++counts.dequantizedParts;
  return true;
}

// --- until nothing moves ----------------------------------------------------

bool Mover::sweep(MlirOperation module, bool quantizes,
                  bool (Mover::*move)(const Affine &)) {
  std::vector<MlirOperation> found;
  walk(module, [&](MlirOperation op) {
    std::optional<Affine> affine = asAffine(op);
    if (affine && affine->quantizes == quantizes) {
      found.push_back(op);
    }
  });
  erased.clear();
  bool changed = false;
  for (MlirOperation op : found) {
    // An address in use again is looked at in the next sweep.
    while (!erased.count(op.ptr)) {
      std::optional<Affine> affine = asAffine(op);
      if (!affine || !(this->*move)(*affine)) {
        break;
      }
      changed = true;
    }
  }
  return changed;
}

void Mover::quantizeUp(MlirOperation module) {
  while (sweep(module, /*quantizes=*/true, &Mover::moveUp)) {
  }
}

void Mover::dequantizeDown(MlirOperation module) {
  while (sweep(module, /*quantizes=*/false, &Mover::moveDown)) {
  }
}

void Mover::dequantizeResults(MlirOperation module) {
  while (sweep(module, /*quantizes=*/false, &Mover::dequantizeParts)) {
  }
}

} // namespace serenity::quantized

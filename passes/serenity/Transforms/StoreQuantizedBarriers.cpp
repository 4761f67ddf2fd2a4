// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Where IREE would store a quantized value in 32 bits, and the barriers that
// keep it from doing so.
//
// Dispatch formation fuses elementwise operations with the contraction before
// them as far as one dispatch can compute the whole. Between a quantization and
// a dequantization it sees elementwise operations only. So where the chain
// behind the dequantization ends in something that cannot be fused (a pool, a
// softmax, a second contraction's sum), it is pulled behind the dispatch
// boundary together with Q, and the 32-bit accumulator is stored. A barrier
// between Q and DQ puts the boundary there.

#include "serenity/Transforms/Rewrite/RewriteSplit.h"
#include "serenity/Transforms/Rewrite/RewriteSum.h"
#include "serenity/Transforms/StoreQuantized.h"

#include <algorithm>

namespace serenity::quantized {

using namespace ir;
using rewrite::structured;

namespace {

/// The quantization of what `affine` dequantizes.
std::optional<Affine> quantizing(const Affine &affine) {
  MlirOperation source = definingOp(affine.input);
  std::optional<Affine> found =
      isNull(source) ? std::nullopt : asAffine(source);
  return found && found->quantizes ? found : std::nullopt;
}

/// Whether `affine` dequantizes what a contraction makes.
bool isOfContraction(const Affine &affine) {
  std::optional<Affine> before = quantizing(affine);
  MlirOperation source = before ? definingOp(before->input) : MlirOperation{};
  std::optional<rewrite::Structured> loops =
      isNull(source) ? std::nullopt : structured(source);
  return loops && loops->hasReduction();
}

class BarrierFinder {
public:
  BarrierFinder(MlirOperation module,
                const std::map<std::string, int64_t> &raised)
      : raised(raised) {
    walk(module, [&](MlirOperation op) {
      positions.emplace(op.ptr, int64_t(positions.size()));
    });
  }

  /// Whether a use of `value`, a dequantized value or computed from one element
  /// by element, cannot be fused with the operation that made it.
  bool leaks(MlirValue value);

private:
  /// Places of the dequantizations that the elementwise `value` is computed
  /// from.
  const std::set<int64_t> &roots(MlirValue value);
  /// The dequantization of a contraction's integers that `affine` is computed
  /// from for one reader, as a sigmoid is for its product with its operand: all
  /// that is an epilogue of the contraction. Its place; nothing if there is
  /// none.
  std::optional<int64_t> epilogueOf(const Affine &affine);
  /// `places`, with those of epilogues in the place of what these are computed
  /// from, if that is one of `joined`.
  std::set<int64_t> withoutEpilogues(const std::set<int64_t> &places,
                                     const std::set<int64_t> &joined) const;
  bool leaksAt(MlirOperation user, MlirValue value);

  const std::map<std::string, int64_t> &raised;
  std::map<const void *, int64_t> positions;
  std::map<const void *, std::set<int64_t>> rootsOf;
  /// Places of dequantizations of what a contraction makes, and by place of a
  /// dequantization, that which `epilogueOf` found for it.
  std::set<int64_t> ofContractions;
  std::map<int64_t, int64_t> epilogues;
  std::map<const void *, bool> known;
};

} // namespace

/// A loop nest without a reduction whose body reads its operands alone.
static bool isElementwise(MlirOperation op) {
  std::optional<rewrite::Structured> loops = structured(op);
  if (!loops || loops->hasReduction() || loops->numInputs == 0) {
    return false;
  }
  std::vector<MlirOperation> inner = operations(body(op));
  return std::none_of(inner.begin(), inner.end(), [](MlirOperation op) {
    return isa(op, "tensor.extract");
  });
}

const std::set<int64_t> &BarrierFinder::roots(MlirValue value) {
  auto inserted = rootsOf.emplace(key(value), std::set<int64_t>());
  std::set<int64_t> &found = inserted.first->second;
  MlirOperation op = definingOp(value);
  if (!inserted.second || isNull(op)) {
    return found;
  }
  if (std::optional<Affine> affine = asAffine(op)) {
    if (!affine->quantizes && isComputed(affine->input)) {
      const int64_t place = positions.at(op.ptr);
      if (isOfContraction(*affine)) {
        ofContractions.insert(place);
      }
      if (std::optional<int64_t> before = epilogueOf(*affine)) {
        epilogues[place] = *before;
      }
      found.insert(place);
    }
    return found;
  }
  if (isElementwise(op)) {
    std::vector<MlirValue> inputs = operands(op);
    inputs.pop_back();
    for (MlirValue input : inputs) {
      const std::set<int64_t> &more = roots(input);
      rootsOf[key(value)].insert(more.begin(), more.end());
    }
  }
  return rootsOf[key(value)];
}

std::optional<int64_t> BarrierFinder::epilogueOf(const Affine &affine) {
  std::optional<Affine> before = quantizing(affine);
  if (!before || uses(affine.input).size() != 1 ||
      uses(affine.result()).size() != 1) {
    return std::nullopt;
  }
  const std::set<int64_t> places = roots(before->input);
  if (places.size() != 1 || !ofContractions.count(*places.begin())) {
    return std::nullopt;
  }
  return *places.begin();
}

std::set<int64_t>
BarrierFinder::withoutEpilogues(const std::set<int64_t> &places,
                                const std::set<int64_t> &joined) const {
  std::set<int64_t> found;
  for (int64_t place : places) {
    auto epilogue = epilogues.find(place);
    const bool inside =
        epilogue != epilogues.end() && joined.count(epilogue->second) > 0;
    found.insert(inside ? epilogue->second : place);
  }
  return found;
}

bool BarrierFinder::leaksAt(MlirOperation user, MlirValue value) {
  std::string_view what = name(user);
  if (what.substr(0, 4) == "hal." || what == "util.return" ||
      what == "tensor.dim") {
    return false;
  }
  if (std::optional<Affine> affine = asAffine(user)) {
    return !affine->quantizes;
  }
  if (isa(user, "tensor.concat") && reachesOnlyResults(result(user))) {
    return false; // written into the result
  }
  if (isa(user, "tensor.pad") || isa(user, "linalg.broadcast") ||
      isa(user, "flow.tensor.tie_shape")) {
    return leaks(result(user));
  }
  if (raised.count(toString(mlirOperationGetLocation(user)))) {
    std::optional<rewrite::Structured> loops = structured(user);
    return !loops || !loops->hasReduction();
  }
  if (!isElementwise(user)) {
    return true;
  }
  const std::set<int64_t> joined = roots(result(user));
  const std::set<int64_t> all = withoutEpilogues(joined, joined);
  if (all.size() > 1) {
    // The value made last may be fused with the operation that joins them.
    const std::set<int64_t> own = withoutEpilogues(roots(value), joined);
    if (own.size() != 1 || *own.begin() != *all.rbegin()) {
      return true;
    }
  }
  return leaks(result(user));
}

bool BarrierFinder::leaks(MlirValue value) {
  auto inserted = known.emplace(key(value), false);
  if (!inserted.second) {
    return inserted.first->second;
  }
  bool found = false;
  for (const Use &use : uses(value)) {
    found = found || leaksAt(use.owner, value);
  }
  known[key(value)] = found;
  return found;
}

void insertStorageBarriers(MlirOperation module,
                           const std::map<std::string, int64_t> &raised,
                           StoreQuantizedCounts &counts) {
  BarrierFinder finder(module, raised);
  std::vector<Affine> found;
  walk(module, [&](MlirOperation op) {
    std::optional<Affine> affine = asAffine(op);
    if (!affine || affine->quantizes || !isComputed(affine->input)) {
      return;
    }
    // Arguments are stored in their integers anyway.
    MlirOperation source = definingOp(affine->input);
    if (!isNull(source) && !isa(source, "hal.tensor.import") &&
        !isa(source, "util.optimization_barrier") &&
        finder.leaks(affine->result())) {
      found.push_back(*affine);
    }
  });
  for (const Affine &affine : found) {
    mlirOperationSetOperand(affine.op, 0,
                            rewrite::insertBarrier(affine.input, affine.op));
    ++counts.barriers;
  }
}

} // namespace serenity::quantized

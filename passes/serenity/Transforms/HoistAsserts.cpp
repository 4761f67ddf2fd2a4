// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/HoistAsserts.h"

#include "serenity/Analysis/SizeReader.h"
#include "serenity/IREE/CmpIPredicate.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

namespace serenity {

namespace {

bool isArithmetic(MlirOperation op) {
  std::string_view name = ir::name(op);
  return name.substr(0, 6) == "arith." || name == "affine.apply" ||
         name == "util.align" || name == "util.assume.int";
}

/// Operations on scalars without side effects.
bool isScalar(MlirOperation op) {
  std::string_view name = ir::name(op);
  if (!isArithmetic(op) && name != "hal.buffer_view.dim" &&
      name != "hal.buffer_view.rank" && name != "tensor.dim" &&
      name != "util.global.load") {
    return false;
  }
  std::vector<MlirValue> results = ir::results(op);
  return std::none_of(results.begin(), results.end(), ir::isTensor);
}

/// Operations that an assert may pass: they end no call, and the memory that
/// they write is gone where a call fails.
bool mayPass(MlirOperation op) {
  static const std::set<std::string_view> names = {
      "flow.dispatch",      "flow.tensor.bitcast",
      "flow.tensor.clone",  "flow.tensor.constant",
      "flow.tensor.empty",  "flow.tensor.reshape",
      "flow.tensor.slice",  "flow.tensor.splat",
      "flow.tensor.update", "util.global.load",
      "util.null"};
  return isScalar(op) || names.count(ir::name(op)) > 0;
}

/// The value behind casts that keep its number.
MlirValue withoutCasts(MlirValue value) {
  for (MlirOperation op = ir::definingOp(value);
       !ir::isNull(op) &&
       (ir::isa(op, "arith.index_cast") || ir::isa(op, "arith.index_castui"));
       op = ir::definingOp(value)) {
    if (!mlirTypeIsAIndex(mlirValueGetType(ir::operand(op, 0)))) {
      break;
    }
    value = ir::operand(op, 0);
  }
  return value;
}

/// Operations of a block in which no side effect but those of asserts occurs.
class Segment {
public:
  explicit Segment(const Options &options) : options(options) {}

  void add(MlirOperation op) {
    operations.push_back(op);
    members.insert(op.ptr);
  }
  /// False if the condition depends on more than scalars.
  bool addAssert(MlirOperation op);
  /// Hoists the asserts that were added.
  void finish();

private:
  void replaceEqual(MlirOperation anchor);
  std::map<const void *, MlirValue> findEqual() const;
  void replaceBehind(MlirOperation anchor, MlirValue from, MlirValue to) const;

  const Options &options;
  std::vector<MlirOperation> operations;
  std::set<const void *> members; // the operations
  std::set<const void *> hoisted; // asserts and their computations
  std::vector<MlirOperation> asserts;
};

bool Segment::addAssert(MlirOperation op) {
  std::set<const void *> slice = {op.ptr};
  std::vector<MlirOperation> open = {op};
  while (!open.empty()) {
    MlirOperation current = open.back();
    open.pop_back();
    for (MlirValue operand : ir::operands(current)) {
      MlirOperation producer = ir::definingOp(operand);
      if (ir::isNull(producer) || !members.count(producer.ptr)) {
        continue;
      }
      if (!isScalar(producer)) {
        return false;
      }
      if (slice.insert(producer.ptr).second) {
        open.push_back(producer);
      }
    }
  }
  add(op);
  asserts.push_back(op);
  hoisted.insert(slice.begin(), slice.end());
  return true;
}

void Segment::finish() {
  auto isHoisted = [&](MlirOperation op) { return hoisted.count(op.ptr) > 0; };
  auto first =
      std::find_if_not(operations.begin(), operations.end(), isHoisted);
  if (!asserts.empty() && first != operations.end()) {
    for (auto it = first; it != operations.end(); ++it) {
      if (isHoisted(*it)) {
        mlirOperationMoveBefore(*it, *first);
      }
    }
    replaceEqual(*first);
  }
  operations.clear();
  members.clear();
  hoisted.clear();
  asserts.clear();
}

/// The dimensions that the asserts prove to be equal to others, and what is
/// computed from them and compared.
std::map<const void *, MlirValue> Segment::findEqual() const {
  std::map<const void *, MlirValue> equal;
  SizeReader sizes(options);
  std::map<int, int> lower; // of two symbols
  auto leastOf = [&](int symbol) {
    for (auto it = lower.find(symbol); it != lower.end();
         it = lower.find(symbol)) {
      symbol = it->second;
    }
    return symbol;
  };
  for (MlirOperation op : asserts) {
    MlirOperation compare = ir::definingOp(ir::operand(op, 0));
    if (ir::isNull(compare) || !ir::isa(compare, "arith.cmpi") ||
        ir::cmpIPredicate(compare) != ir::CmpIPredicate::eq) {
      continue;
    }
    MlirValue left = withoutCasts(ir::operand(compare, 0));
    MlirValue right = withoutCasts(ir::operand(compare, 1));
    if (!mlirTypeIsAIndex(mlirValueGetType(left)) ||
        !mlirTypeIsAIndex(mlirValueGetType(right))) {
      continue;
    }
    std::optional<SizePolynomial> a = sizes.read(left);
    std::optional<SizePolynomial> b = sizes.read(right);
    b = a && b ? b->times(SizePolynomial::constant(-1)) : std::nullopt;
    std::optional<SizePolynomial> difference = b ? a->plus(*b) : std::nullopt;
    if (!difference || difference->terms().size() != 2) {
      continue;
    }
    auto one = difference->terms().begin();
    auto other = std::next(one);
    if (one->first.size() != 1 || other->first.size() != 1 ||
        one->second != -other->second) {
      continue;
    }
    const int x = leastOf(one->first[0]);
    const int y = leastOf(other->first[0]);
    if (x != y) {
      lower[std::max(x, y)] = std::min(x, y);
      equal.emplace(ir::key(right), left);
    }
  }
  for (const auto &item : lower) {
    equal[ir::key(sizes.symbols()[size_t(item.first)].value)] =
        sizes.symbols()[size_t(leastOf(item.first))].value;
  }
  return equal;
}

/// Replaces the uses of `from` in `anchor` and the operations that follow it.
void Segment::replaceBehind(MlirOperation anchor, MlirValue from,
                            MlirValue to) const {
  MlirBlock block = mlirOperationGetBlock(anchor);
  for (const ir::Use &use : ir::uses(from)) {
    MlirOperation user = use.owner;
    while (!ir::isNull(user) &&
           !mlirBlockEqual(mlirOperationGetBlock(user), block)) {
      user = mlirOperationGetParentOperation(user);
    }
    if (!ir::isNull(user) && (mlirOperationEqual(user, anchor) ||
                              mlirOperationIsBeforeInBlock(anchor, user))) {
      mlirOperationSetOperand(use.owner, use.operandNumber, to);
    }
  }
}

/// Makes one of dimensions that are asserted to be equal in `anchor` and behind
/// it. Sizes that were moved in front of the asserts are computed again there.
void Segment::replaceEqual(MlirOperation anchor) {
  std::map<const void *, MlirValue> equal = findEqual();
  if (equal.empty()) {
    return;
  }
  std::vector<std::pair<MlirValue, MlirValue>> replaced;
  std::vector<MlirOperation> clones;
  std::set<const void *> seen;
  auto replace = [&](MlirValue from) {
    auto known = equal.find(ir::key(from));
    if (known == equal.end()) {
      return false;
    }
    if (seen.insert(known->first).second) {
      replaced.emplace_back(from, known->second);
    }
    return true;
  };
  for (MlirOperation op : ir::operations(mlirOperationGetBlock(anchor))) {
    if (mlirOperationEqual(op, anchor)) {
      break;
    }
    bool changes = false;
    for (MlirValue operand : ir::operands(op)) {
      changes |= replace(operand);
    }
    std::vector<MlirValue> results = ir::results(op);
    bool known = false;
    for (MlirValue result : results) {
      known |= replace(result);
    }
    if (!changes || known || !isArithmetic(op)) {
      continue;
    }
    MlirOperation again = mlirOperationClone(op);
    ir::insertBefore(anchor, again);
    clones.push_back(again);
    for (size_t i = 0; i < ir::operands(op).size(); ++i) {
      auto other = equal.find(ir::key(ir::operand(op, intptr_t(i))));
      if (other != equal.end()) {
        mlirOperationSetOperand(again, intptr_t(i), other->second);
      }
    }
    for (size_t i = 0; i < results.size(); ++i) {
      equal.emplace(ir::key(results[i]), ir::result(again, intptr_t(i)));
      replace(results[i]);
    }
  }
  for (auto [from, to] : replaced) {
    for (auto next = equal.find(ir::key(to)); next != equal.end();
         next = equal.find(ir::key(to))) {
      to = next->second;
    }
    replaceBehind(anchor, from, to);
  }
  for (auto it = clones.rbegin(); it != clones.rend(); ++it) {
    std::vector<MlirValue> results = ir::results(*it);
    if (std::none_of(results.begin(), results.end(), ir::hasUses)) {
      ir::erase(*it);
    }
  }
}

} // namespace

void hoistAsserts(MlirOperation function, const Options &options) {
  for (MlirBlock block : ir::blocks(function)) {
    Segment segment(options);
    for (MlirOperation op : ir::operations(block)) {
      if (ir::isa(op, "cf.assert") ? segment.addAssert(op)
                                   : mayPass(op) && (segment.add(op), true)) {
        continue;
      }
      segment.finish();
    }
    segment.finish();
  }
}

} // namespace serenity

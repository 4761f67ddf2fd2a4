// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/UnfusedProducers.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"
#include "serenity/Transforms/Rewrite/RewriteSum.h"

#include <vector>

namespace serenity {

using namespace ir;
using namespace rewrite;

/// A tensor that is computed at run time.
static bool isComputed(MlirValue value) {
  MlirOperation op = definingOp(value);
  return mlirTypeIsARankedTensor(mlirValueGetType(value)) &&
         !(op.ptr && (isa(op, "arith.constant") || isa(op, "tensor.empty") ||
                      isa(op, "util.global.load") || isa(op, "linalg.fill")));
}

/// Whether `user` is elementwise and reads a computed tensor besides `value`.
static bool waitsForAnother(MlirOperation user, MlirValue value) {
  std::optional<Structured> loops = structured(user);
  if (!loops || loops->hasReduction()) {
    return false;
  }
  for (int64_t i = 0; i < loops->numInputs; ++i) {
    MlirValue other = operand(user, i);
    if (!mlirValueEqual(other, value) && isComputed(other)) {
      return true;
    }
  }
  return false;
}

/// Whether an operation has the value of `uses` as an input and as its init, as
/// a product that adds to its own operand does. IREE's code generator for
/// processors refuses it unless the producer of the value is in the same
/// dispatch.
static bool isOwnInitialValue(const std::vector<Use> &uses) {
  for (const Use &use : uses) {
    std::optional<Structured> loops = structured(use.owner);
    if (!loops || use.operandNumber < loops->numInputs) {
      continue;
    }
    for (const Use &other : uses) {
      if (mlirOperationEqual(other.owner, use.owner) &&
          other.operandNumber < loops->numInputs) {
        return true;
      }
    }
  }
  return false;
}

static bool isSite(MlirOperation op) {
  std::optional<Structured> loops = structured(op);
  if (!loops || !denseElementBytes(mlirValueGetType(result(op))) ||
      readsOwnInitialValue(op)) {
    return false;
  }
  bool computed = false;
  for (int64_t i = 0; i < loops->numInputs; ++i) {
    computed |= isComputed(operand(op, i));
  }
  if (!computed) {
    return false; // costs nothing to have, wherever it is computed
  }
  std::vector<Use> users = uses(result(op));
  if (isOwnInitialValue(users)) {
    return false;
  }
  for (const Use &use : users) {
    if (isa(use.owner, "tensor.pad")) {
      return true;
    }
  }
  if (loops->hasReduction()) {
    return users.size() == 1 && waitsForAnother(users[0].owner, result(op));
  }
  return users.size() > 1;
}

/// A name for `op` that outlives rewriting; empty if it has none.
static std::string placeOf(MlirOperation op) {
  std::string text = toString(mlirOperationGetLocation(op));
  return text == "loc(unknown)" ? "" : text;
}

static std::vector<MlirOperation> sites(MlirOperation module) {
  std::vector<MlirOperation> found;
  walk(module, [&](MlirOperation op) {
    if (name(op).substr(0, 7) == "linalg." && isSite(op)) {
      found.push_back(op);
    }
  });
  return found;
}

std::set<std::string> findUnfusableProducers(MlirOperation module) {
  std::set<std::string> places;
  for (MlirOperation op : sites(module)) {
    places.insert(placeOf(op));
  }
  places.erase("");
  return places;
}

int64_t preventFusion(MlirOperation module,
                      const std::set<std::string> &locations) {
  int64_t count = 0;
  for (MlirOperation op : sites(module)) {
    if (!locations.count(placeOf(op))) {
      continue;
    }
    insertBarrierBehind(op);
    ++count;
  }
  return count;
}

} // namespace serenity

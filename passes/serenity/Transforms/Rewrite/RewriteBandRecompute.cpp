// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Rewrite/RewriteBandRecompute.h"

#include "serenity/IREE/OwningOp.h"

namespace serenity::bands {

using namespace ir;

namespace {

/// Computes one value of a graph again.
class Recomputer {
public:
  Recomputer(const FunctionGraph &graph, const Recomputed &again,
             std::set<const void *> &copies)
      : graph(graph), again(again), copies(copies),
        before(graph.operations[again.reader]) {}
  void run();

private:
  MlirValue copyOf(MlirValue value);
  void redirect(MlirOperation reader);

  const FunctionGraph &graph;
  const Recomputed &again;
  std::set<const void *> &copies;
  MlirOperation before;
  /// By value of the graph.
  std::map<size_t, MlirValue> made;
};

/// `value`, or the copy of it if there is one. It may be a view of the value
/// that is stored.
MlirValue Recomputer::copyOf(MlirValue value) {
  auto number = graph.numbers.find(key(value));
  auto copy =
      number == graph.numbers.end() ? made.end() : made.find(number->second);
  if (copy == made.end()) {
    return value;
  }
  if (key(value) == key(graph.values[number->second])) {
    return copy->second;
  }
  MlirOperation view = definingOp(value);
  MlirOperation clone = mlirOperationClone(view);
  mlirOperationSetOperand(clone, 0, copyOf(operand(view, 0)));
  insertBefore(before, clone);
  return result(clone);
}

/// Has `reader`, and what is nested in it, read the copy.
void Recomputer::redirect(MlirOperation reader) {
  walk(reader, [&](MlirOperation op) {
    for (intptr_t i = 0, e = mlirOperationGetNumOperands(op); i < e; ++i) {
      MlirValue old = operand(op, i);
      MlirValue copy = copyOf(old);
      if (key(copy) == key(old)) {
        continue;
      }
      mlirOperationSetOperand(op, i, copy);
      // Views that only this operation read.
      while (key(old) != key(graph.values[again.value]) && !hasUses(old)) {
        MlirOperation view = definingOp(old);
        old = operand(view, 0);
        erase(view);
      }
    }
  });
}

void Recomputer::run() {
  for (size_t i : makersOf(graph.graph, again)) {
    MlirOperation op = graph.operations[i];
    MlirOperation clone = mlirOperationClone(op);
    for (intptr_t j = 0, e = mlirOperationGetNumOperands(op); j < e; ++j) {
      mlirOperationSetOperand(clone, j, copyOf(operand(op, j)));
    }
    insertBefore(before, clone);
    copies.insert(clone.ptr);
    made[graph.graph.operations[i].writes[0]] = result(clone);
  }
  // Readers of the values before it are the copies alone.
  const MlirValue copy = made.at(again.value);
  made = {{again.value, copy}};
  for (size_t i = again.reader; i < graph.operations.size(); ++i) {
    redirect(graph.operations[i]);
  }
}

} // namespace

FunctionGraph recomputeAndRead(MlirOperation module, MlirOperation function,
                               const std::vector<Recomputed> &recomputed,
                               GraphOptions options) {
  std::set<const void *> copies;
  for (const Recomputed &again : recomputed) {
    const FunctionGraph graph = readFunction(module, function, options);
    Recomputer(graph, again, copies).run();
  }
  options.copies = std::move(copies);
  return readFunction(module, function, options);
}

} // namespace serenity::bands

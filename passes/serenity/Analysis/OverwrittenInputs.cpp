// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/OverwrittenInputs.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Report/SlabCommands.h"

#include <map>
#include <set>
#include <string>
#include <string_view>

namespace serenity {

namespace {

bool isResource(MlirValue value) {
  return ir::toString(mlirValueGetType(value)).rfind("!stream.resource", 0) ==
         0;
}

/// Follows a resource to everything that is the same memory.
class Flow {
public:
  explicit Flow(MlirOperation module) {
    for (MlirOperation function : ir::operations(ir::body(module))) {
      if (!ir::isa(function, "util.func")) {
        continue;
      }
      functions[ir::stringAttr(function, "sym_name").value_or("")] = function;
      ir::walk(function, [&](MlirOperation op) {
        std::string callee = ir::calledFunction(op);
        if (!callee.empty()) {
          calls[callee].push_back(op);
        }
      });
    }
  }

  /// Whether any command writes to `resource`.
  bool isWritten(MlirValue resource);

private:
  void add(MlirValue value) {
    if (isResource(value) && seen.insert(ir::key(value)).second) {
      work.push_back(value);
    }
  }
  void addArgument(MlirOperation op, intptr_t region, int64_t number) {
    MlirBlock block =
        mlirRegionGetFirstBlock(mlirOperationGetRegion(op, region));
    if (block.ptr && number >= 0 && number < mlirBlockGetNumArguments(block)) {
      add(mlirBlockGetArgument(block, number));
    }
  }
  void addResult(MlirOperation op, int64_t number) {
    if (number >= 0 && number < int64_t(ir::results(op).size())) {
      add(ir::result(op, number));
    }
  }
  void follow(MlirOperation op, int64_t number);
  void followYield(MlirOperation yield, int64_t number);
  void followBranch(MlirOperation branch, int64_t number);
  void followReturn(MlirOperation op, int64_t number);

  std::map<std::string, MlirOperation> functions;
  std::map<std::string, std::vector<MlirOperation>> calls; // by callee
  std::set<const void *> seen;
  std::vector<MlirValue> work;
};

bool Flow::isWritten(MlirValue resource) {
  seen.clear();
  work.clear();
  add(resource);
  while (!work.empty()) {
    MlirValue value = work.back();
    work.pop_back();
    for (const ir::Use &use : ir::uses(value)) {
      if (commandWrites(use.owner, use.operandNumber)) {
        return true;
      }
      follow(use.owner, use.operandNumber);
    }
  }
  return false;
}

/// Adds the values that operand `number` of `op` is passed on as.
void Flow::follow(MlirOperation op, int64_t number) {
  std::string_view name = ir::name(op);
  if (name == "stream.cmd.execute") {
    addArgument(op, 0, number - capturedResources(op));
  } else if (name == "stream.resource.subview" ||
             name == "stream.timepoint.await" ||
             name == "stream.resource.retain" ||
             name == "stream.resource.transients" ||
             name == "util.optimization_barrier") {
    addResult(op, number);
  } else if (name == "arith.select") {
    addResult(op, 0);
  } else if (name == "scf.for") {
    addArgument(op, 0, number - 2); // two bounds and a step, one counter
    addResult(op, number - 3);
  } else if (name == "scf.while") {
    addArgument(op, 0, number);
  } else if (name == "scf.condition") {
    MlirOperation loop = mlirOperationGetParentOperation(op);
    addArgument(loop, 1, number - 1);
    addResult(loop, number - 1);
  } else if (name == "scf.yield") {
    followYield(op, number);
  } else if (name == "cf.br" || name == "cf.cond_br") {
    followBranch(op, number);
  } else if (name == "util.call") {
    auto callee = functions.find(ir::calledFunction(op));
    if (callee != functions.end() && !ir::blocks(callee->second).empty()) {
      addArgument(callee->second, 0, number);
    }
  } else if (name == "util.return") {
    followReturn(op, number);
  }
}

void Flow::followYield(MlirOperation yield, int64_t number) {
  MlirOperation parent = mlirOperationGetParentOperation(yield);
  if (ir::isa(parent, "scf.while")) {
    addArgument(parent, 0, number);
    return;
  }
  addResult(parent, number);
  if (ir::isa(parent, "scf.for")) {
    addArgument(parent, 0, number + 1);
  }
}

void Flow::followBranch(MlirOperation branch, int64_t number) {
  size_t successor = 0;
  if (ir::isa(branch, "cf.cond_br")) {
    std::vector<int64_t> segments = ir::operandSegments(branch);
    if (number == 0 || segments.size() != 3) {
      return;
    }
    number -= 1;
    if (number >= segments[1]) {
      successor = 1;
      number -= segments[1];
    }
  }
  MlirBlock block = mlirOperationGetSuccessor(branch, intptr_t(successor));
  if (number < mlirBlockGetNumArguments(block)) {
    add(mlirBlockGetArgument(block, number));
  }
}

void Flow::followReturn(MlirOperation op, int64_t number) {
  MlirOperation function = ir::ancestor(op, "util.func");
  if (ir::isNull(function)) {
    return;
  }
  std::string name = ir::stringAttr(function, "sym_name").value_or("");
  for (MlirOperation call : calls[name]) {
    addResult(call, number);
  }
}

} // namespace

std::vector<int64_t> overwrittenInputs(MlirOperation module,
                                       MlirOperation function) {
  Flow flow(module);
  std::set<int64_t> found;
  ir::walk(function, [&](MlirOperation op) {
    if (!ir::isa(op, "stream.tensor.import")) {
      return;
    }
    MlirValue source = ir::operand(op, 0);
    // Storage for results and arenas comes as a buffer.
    if (mlirValueIsABlockArgument(source) &&
        ir::toString(mlirValueGetType(source)) == "!hal.buffer_view" &&
        flow.isWritten(ir::result(op))) {
      found.insert(mlirBlockArgumentGetArgNumber(source));
    }
  });
  return {found.begin(), found.end()};
}

} // namespace serenity

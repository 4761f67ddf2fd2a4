// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/FunctionMemory.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/PackModel.h"
#include "serenity/Transforms/ResourceConfig.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace serenity {

namespace {

class Interpreter {
public:
  Interpreter(MlirOperation module, PackAlgorithm algorithm,
              int64_t defaultAlignment, double timeLimitSeconds)
      : module(module), algorithm(algorithm),
        defaultAlignment(defaultAlignment), timeLimitSeconds(timeLimitSeconds) {
  }

  std::optional<int64_t> peakOf(MlirOperation function);

private:
  struct State {
    std::map<const void *, int64_t> live; // by resource value
    int64_t bytes = 0;
    int64_t peak = 0;
  };
  bool visit(MlirBlock block, State &state);
  bool visitNested(MlirOperation op, State &state);
  bool allocate(MlirOperation op, State &state);
  std::optional<int64_t> sizeOf(MlirValue value);

  MlirOperation module;
  PackAlgorithm algorithm;
  int64_t defaultAlignment;
  double timeLimitSeconds;
  std::set<std::string> active;
};

/// Nested blocks hold transient allocations, calls or releases.
bool mattersInside(MlirOperation op) {
  bool matters = false;
  ir::walk(op, [&](MlirOperation nested) {
    matters |= ir::isa(nested, "stream.resource.alloca") ||
               ir::isa(nested, "util.call");
  });
  return matters;
}

std::optional<int64_t> Interpreter::peakOf(MlirOperation function) {
  std::vector<MlirBlock> blocks = ir::blocks(function);
  if (blocks.empty() || !mattersInside(function)) {
    return 0;
  }
  std::string name = ir::stringAttr(function, "sym_name").value_or("");
  if (blocks.size() != 1 || !active.insert(name).second) {
    return std::nullopt;
  }
  State state;
  bool known = visit(blocks.front(), state);
  active.erase(name);
  return known ? std::optional<int64_t>(state.peak) : std::nullopt;
}

std::optional<int64_t> Interpreter::sizeOf(MlirValue value) {
  if (std::optional<int64_t> constant = ir::constantInt(value)) {
    return constant;
  }
  MlirOperation pack = ir::definingOp(value);
  if (ir::isNull(pack) || !ir::isa(pack, "stream.resource.pack")) {
    return std::nullopt;
  }
  std::optional<PackModel> model = readPack(pack);
  if (!model || model->offset || !model->dynamic.empty()) {
    return std::nullopt;
  }
  ResourceConfig config = lookupResourceConfig(pack, defaultAlignment);
  PackOptions options;
  options.algorithm = algorithm;
  options.timeLimitSeconds = timeLimitSeconds;
  options.offsetAlignment = config.offsetAlignment;
  options.rangeAlignment = config.rangeAlignment;
  if (check(model->slices, options)) {
    return std::nullopt;
  }
  return serenity::pack(model->slices, options).heightBytes;
}

bool Interpreter::allocate(MlirOperation op, State &state) {
  MlirValue resource = ir::result(op, 0);
  if (ir::toString(mlirValueGetType(resource)) !=
      "!stream.resource<transient>") {
    return true;
  }
  for (MlirValue operand : ir::operands(op)) {
    if (!mlirTypeIsAIndex(mlirValueGetType(operand))) {
      continue;
    }
    std::optional<int64_t> bytes = sizeOf(operand);
    if (!bytes) {
      return false;
    }
    state.live[ir::key(resource)] = *bytes;
    state.bytes += *bytes;
    state.peak = std::max(state.peak, state.bytes);
    return true;
  }
  return false;
}

bool Interpreter::visit(MlirBlock block, State &state) {
  for (MlirOperation op : ir::operations(block)) {
    if (ir::isa(op, "stream.resource.alloca")) {
      if (!allocate(op, state)) {
        return false;
      }
    } else if (ir::isa(op, "stream.resource.dealloca")) {
      auto it = state.live.find(ir::key(ir::operand(op, 0)));
      if (it != state.live.end()) {
        state.bytes -= it->second;
        state.live.erase(it);
      }
    } else if (ir::isa(op, "util.call")) {
      MlirAttribute callee = ir::attr(op, "callee");
      if (ir::isNull(callee) || !mlirAttributeIsAFlatSymbolRef(callee)) {
        return false;
      }
      std::string_view name = ir::view(mlirFlatSymbolRefAttrGetValue(callee));
      for (MlirOperation function : ir::operations(ir::body(module))) {
        if (ir::isa(function, "util.func") &&
            ir::stringAttr(function, "sym_name").value_or("") == name) {
          std::optional<int64_t> inner = peakOf(function);
          if (!inner) {
            return false;
          }
          state.peak = std::max(state.peak, state.bytes + *inner);
        }
      }
    } else if (mlirOperationGetNumRegions(op) > 0 && !visitNested(op, state)) {
      return false;
    }
  }
  return true;
}

/// Branches start from the same state; what they leave alive is the larger of
/// them. A loop body must give back what it takes.
bool Interpreter::visitNested(MlirOperation op, State &state) {
  if (!mattersInside(op)) {
    return true;
  }
  bool branch = ir::isa(op, "scf.if") || ir::isa(op, "scf.index_switch");
  State after = state;
  for (intptr_t i = 0, e = mlirOperationGetNumRegions(op); i < e; ++i) {
    MlirBlock block = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, i));
    if (!block.ptr) {
      continue;
    }
    if (mlirBlockGetNextInRegion(block).ptr) {
      return false;
    }
    State inner = state;
    if (!visit(block, inner)) {
      return false;
    }
    if (!branch && inner.bytes > state.bytes) {
      return false;
    }
    after.peak = std::max(after.peak, inner.peak);
    if (inner.bytes > after.bytes) {
      after.bytes = inner.bytes;
      after.live = inner.live;
    }
  }
  state = after;
  return true;
}

} // namespace

std::optional<int64_t> transientPeak(MlirOperation module,
                                     MlirOperation function,
                                     PackAlgorithm algorithm,
                                     int64_t defaultAlignment,
                                     double timeLimitSeconds) {
  return Interpreter(module, algorithm, defaultAlignment, timeLimitSeconds)
      .peakOf(function);
}

} // namespace serenity

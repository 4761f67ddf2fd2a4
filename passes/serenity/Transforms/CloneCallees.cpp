// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===----------------------------------------------------------------------===//
// serenity-clone-callees
//
// Gives every call of a private function (one that is not to be inlined) a
// function of its own.
//
// IREE's interprocedural optimization (iree-util-ipo, 3.12 and 3.13) takes two
// arguments of a function for one if they are the same value at a later call,
// although they differ at the first: the function then reads the wrong buffer
// or offset, or an argument that is still used is erased and the compiler
// crashes. Offsets are operands of these calls from
// iree-stream-cmd-transformation-pipeline on, and serenity's coincide at other
// calls than IREE's, so code that the stock compiler gets right by luck could
// become wrong. With a single call of each function there is nothing to
// mix up.
//
// Assumes calls by `util.call`. A module that is as stock throughout
// (`serenity.variant`) is left as it is; so is one with recursive functions, or
// one that would grow by more than 100,000 operations: the driver plans no
// offsets in these.
//
// Afterwards no two calls have the same private callee. The first call keeps
// it; the copies carry `serenity.copy_of` and are not reported.
//
// Place in the pipeline: after serenity-pack, before
// iree-stream-cmd-transformation-pipeline.
//
//   util.call @f(%slab, %c0)
//   util.call @f(%slab, %c64)
// =>
//   util.call @f(%slab, %c0)
//   util.call @f_copy_1(%slab, %c64)
//===----------------------------------------------------------------------===//

#include "serenity/Transforms/CloneCallees.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace serenity {

namespace {

/// Modules that copies would make larger than this are left to IREE.
constexpr double maxCopiedOperations = 100000;

/// An operation with a body that has calls: a function or an initializer.
struct Node {
  MlirOperation op;
  /// Operations in it.
  double size = 0;
  /// Not reachable from elsewhere, so that its calls are all there is.
  bool isPrivate = false;
  /// Indices of its callees, one for each call.
  std::vector<size_t> callees;
};

std::string symbolName(MlirOperation op) {
  return ir::stringAttr(op, "sym_name").value_or("");
}

std::vector<Node> readCallGraph(MlirOperation module) {
  std::vector<Node> nodes;
  std::map<std::string, size_t> byName;
  for (MlirOperation op : ir::operations(ir::body(module))) {
    bool function = ir::isa(op, "util.func");
    if (!function && !ir::isa(op, "util.initializer")) {
      continue;
    }
    Node node;
    node.op = op;
    node.isPrivate = function &&
                     ir::stringAttr(op, "sym_visibility") == "private" &&
                     ir::body(op).ptr;
    if (function) {
      byName[symbolName(op)] = nodes.size();
    }
    nodes.push_back(std::move(node));
  }
  for (Node &node : nodes) {
    ir::walk(node.op, [&](MlirOperation op) {
      ++node.size;
      auto known = byName.find(ir::calledFunction(op));
      if (known != byName.end()) {
        node.callees.push_back(known->second);
      }
    });
  }
  return nodes;
}

/// Callers before their callees; nothing if a function calls itself.
std::optional<std::vector<size_t>>
orderByCalls(const std::vector<Node> &nodes) {
  std::vector<size_t> waiting(nodes.size(), 0);
  for (const Node &node : nodes) {
    for (size_t callee : node.callees) {
      ++waiting[callee];
    }
  }
  std::vector<size_t> order;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (waiting[i] == 0) {
      order.push_back(i);
    }
  }
  for (size_t next = 0; next < order.size(); ++next) {
    for (size_t callee : nodes[order[next]].callees) {
      if (--waiting[callee] == 0) {
        order.push_back(callee);
      }
    }
  }
  if (order.size() != nodes.size()) {
    return std::nullopt;
  }
  return order;
}

/// Operations that copying adds; nothing if functions call themselves.
std::optional<double> copiedOperations(const std::vector<Node> &nodes) {
  std::optional<std::vector<size_t>> order = orderByCalls(nodes);
  if (!order) {
    return std::nullopt;
  }
  // A double holds the counts of chains of functions that call the next one
  // twice.
  std::vector<double> calls(nodes.size(), 0);
  double added = 0;
  for (size_t i : *order) {
    double copies = nodes[i].isPrivate ? std::max(calls[i], 1.0) : 1.0;
    added += (copies - 1) * nodes[i].size;
    for (size_t callee : nodes[i].callees) {
      calls[callee] += copies;
    }
  }
  return added;
}

/// Initializers are as stock if all functions are.
bool isStockThroughout(const std::vector<Node> &nodes) {
  return std::all_of(nodes.begin(), nodes.end(), [](const Node &node) {
    return ir::isa(node.op, "util.initializer") ||
           attributes::keepsStockOffsets(node.op);
  });
}

std::string freshName(const std::string &of, std::set<std::string> &taken) {
  for (int i = 1;; ++i) {
    std::string name = of + "_copy_" + std::to_string(i);
    if (taken.insert(name).second) {
      return name;
    }
  }
}

} // namespace

bool canCloneCallees(MlirOperation module) {
  std::optional<double> added = copiedOperations(readCallGraph(module));
  return added && *added <= maxCopiedOperations;
}

bool runCloneCallees(MlirOperation module, const Options &, ModuleReport *) {
  std::vector<Node> nodes = readCallGraph(module);
  std::optional<double> added = copiedOperations(nodes);
  if (!added || *added == 0 || *added > maxCopiedOperations ||
      isStockThroughout(nodes)) {
    return true;
  }
  std::set<std::string> taken;
  for (MlirOperation op : ir::operations(ir::body(module))) {
    taken.insert(symbolName(op));
  }
  MlirContext context = mlirOperationGetContext(module);
  // Calls by the name of the callee, those in copies of a caller included.
  std::map<std::string, std::vector<MlirOperation>> calls;
  auto noteCalls = [&](MlirOperation caller) {
    ir::walk(caller, [&](MlirOperation op) {
      std::string callee = ir::calledFunction(op);
      if (!callee.empty()) {
        calls[callee].push_back(op);
      }
    });
  };
  const std::vector<size_t> order = *orderByCalls(nodes);
  for (size_t i : order) {
    const Node &node = nodes[i];
    noteCalls(node.op);
    if (!node.isPrivate) {
      continue;
    }
    std::string name = symbolName(node.op);
    // All of them: callers come first, and nothing calls itself.
    const std::vector<MlirOperation> sites = calls[name];
    MlirOperation last = node.op;
    for (size_t site = 1; site < sites.size(); ++site) {
      std::string copyName = freshName(name, taken);
      MlirOperation copy = mlirOperationClone(node.op);
      ir::insertAfter(last, copy);
      last = copy;
      mlirOperationSetAttributeByName(
          copy, ir::strRef("sym_name"),
          mlirStringAttrGet(context, ir::strRef(copyName)));
      attributes::setCopyOf(copy, name);
      mlirOperationSetAttributeByName(
          sites[site], ir::strRef("callee"),
          mlirFlatSymbolRefAttrGet(context, ir::strRef(copyName)));
      noteCalls(copy);
    }
  }
  return true;
}

} // namespace serenity

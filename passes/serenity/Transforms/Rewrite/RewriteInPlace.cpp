// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===----------------------------------------------------------------------===//
// serenity-in-place-results
//
// Lets dispatches write a result over an operand that dies with them. IREE ties
// a result to an operand only where the operand is the init of the last
// operation of a dispatch; an activation behind a partial convolution, or an
// addition, then gets a buffer of its own although the accumulator dies with
// it.
//
//   %1 = flow.dispatch @add(%x, %acc) : (T, T) -> T
// becomes
//   %1 = flow.dispatch @add_in_place_1(%x, %acc) : (T, T) -> %acc
//
// Workgroups run concurrently, so a workgroup may read of the operand only the
// elements that it writes itself: every value on the way from the operand's
// load to the result's store must be indexed as the result is.
//
// IREE does not know that the load of the operand and that of the result read
// the same memory. Into the memory of the result, bufferization in
// destination-passing style puts only the values that the stored value starts
// from: its init, the init of that, and so on. Hence an operation may have the
// operand as an input only if its own init is empty; then everything else it
// needs, like a product that is added to the operand, accumulates elsewhere, in
// registers or on the stack.
//
// The operand may also be an argument of the function, where its import says
// `consume` and is the only one of the argument: a residual chain begins at an
// input, reads it once more to write its first sum, and stays in its memory.
// The result must not be handed out then; whether results of the function lie
// in inputs is decided by serenity-reuse-external-memory.
//
//   %x = hal.tensor.import consume %arg0
//   %1 = flow.dispatch @conv(%x) : (T) -> T
//   %2 = flow.dispatch @add(%1, %x) : (T, T) -> T
// becomes, with `last-use`,
//   %2 = flow.dispatch @add_in_place_0(%1, %x) : (T, T) -> %x
//
// Assumes dispatches with one entry point. Dynamic dimensions of operand and
// result must have the same extents, value by value. Without the option
// `last-use` the operand may have no other reader; with it, the dispatch may
// also be the last reader in program order, which fixes that order. Afterwards
// the changed dispatches have executables of their own (`..._in_place_N`).
//
// Place in the pipeline: after the flow phase and
// serenity-restore-program-order, before serenity-schedule.
//===----------------------------------------------------------------------===//

#include "serenity/Analysis/ConsumedImports.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/Rewrite/Rewrite.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace serenity {

using namespace ir;

namespace {
/// A dispatch's code: the executable, its export and the function.
struct Code {
  MlirOperation executable;
  MlirOperation exported;
  MlirOperation function;
};
} // namespace

static std::optional<Code> codeOf(MlirOperation executable) {
  Code code{executable, {nullptr}, {nullptr}};
  int64_t exports = 0;
  int64_t functions = 0;
  for (MlirOperation op : operations(body(executable))) {
    if (isa(op, "flow.executable.export")) {
      code.exported = op;
      ++exports;
    } else if (isa(op, "builtin.module")) {
      for (MlirOperation inner : operations(body(op))) {
        if (isa(inner, "func.func")) {
          code.function = inner;
          ++functions;
        }
      }
    }
  }
  return exports == 1 && functions == 1 && body(code.function).ptr
             ? std::optional<Code>(code)
             : std::nullopt;
}

static bool sameValues(const std::vector<MlirValue> &a,
                       const std::vector<MlirValue> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), mlirValueEqual);
}

/// Whether `op`, a load or store of a dispatch tensor, covers all of it.
static bool coversWhole(MlirOperation op, MlirType type) {
  // Before offsets, sizes and strides stand the extents of the tensor.
  const size_t extents = isa(op, "iree_tensor_ext.dispatch.tensor.store");
  if (operandSegments(op).size() != extents + 5 ||
      !sameValues(segmentOperands(op, extents + 1),
                  segmentOperands(op, extents + 3))) {
    return false;
  }
  std::vector<int64_t> offsets = intArray(attr(op, "static_offsets"));
  std::vector<int64_t> sizes = intArray(attr(op, "static_sizes"));
  std::vector<int64_t> strides = intArray(attr(op, "static_strides"));
  if (!denseElementBytes(type) ||
      int64_t(sizes.size()) != mlirShapedTypeGetRank(type)) {
    return false;
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (offsets[i] != 0 || strides[i] != 1 ||
        sizes[i] != mlirShapedTypeGetDimSize(type, i)) {
      return false;
    }
  }
  return true;
}

/// Whether nothing is in the memory of the result of `op` before it.
static bool startsFromNothing(const rewrite::Structured &op) {
  MlirOperation init = definingOp(operand(op.op, op.numInputs));
  return !isNull(init) && isa(init, "tensor.empty");
}

/// Whether everything that is computed from `value` is computed element by
/// element up to `store`.
static bool flowsElementwise(MlirValue value, MlirOperation store) {
  std::vector<MlirValue> worklist = {value};
  std::set<const void *> seen;
  while (!worklist.empty()) {
    MlirValue current = worklist.back();
    worklist.pop_back();
    if (!seen.insert(key(current)).second) {
      continue;
    }
    for (const Use &use : uses(current)) {
      if (mlirOperationEqual(use.owner, store)) {
        continue;
      }
      std::optional<rewrite::Structured> loops = rewrite::structured(use.owner);
      if (!loops ||
          !mlirAffineMapEqual(loops->maps[use.operandNumber],
                              loops->maps.back()) ||
          !mlirAffineMapIsProjectedPermutation(loops->maps.back())) {
        return false;
      }
      // A reduction may accumulate in the memory of the result. Its init is
      // there; an input would be overwritten before its last use. So would an
      // input of an operation whose init is the result of another one.
      if (int64_t(use.operandNumber) != loops->numInputs &&
          (loops->hasReduction() || !startsFromNothing(*loops))) {
        return false;
      }
      worklist.push_back(result(use.owner));
    }
  }
  return true;
}

/// The uses of argument `index` of `block`, through the operations that write
/// its extents beside it, which are appended to `ties`.
static std::vector<Use> usesOfArgument(MlirBlock block, intptr_t index,
                                       std::vector<MlirOperation> &ties) {
  std::vector<Use> found;
  for (const Use &use : uses(mlirBlockGetArgument(block, index))) {
    if (!isa(use.owner, "flow.dispatch.tie_shape")) {
      found.push_back(use);
      continue;
    }
    ties.push_back(use.owner);
    std::vector<Use> behind = uses(result(use.owner));
    found.insert(found.end(), behind.begin(), behind.end());
  }
  return found;
}

/// Whether the function can write the result behind argument `target` where
/// argument `source` is.
static bool canShare(MlirOperation function, intptr_t source, intptr_t target,
                     MlirType type) {
  MlirBlock block = body(function);
  std::vector<MlirOperation> ties;
  std::vector<Use> stores = usesOfArgument(block, target, ties);
  MlirType element = mlirShapedTypeGetElementType(type);
  if (stores.size() != 1 ||
      !(mlirTypeIsAInteger(element) || mlirTypeIsAFloat(element)) ||
      !isa(stores[0].owner, "iree_tensor_ext.dispatch.tensor.store") ||
      stores[0].operandNumber != 1 || !coversWhole(stores[0].owner, type)) {
    return false;
  }
  for (const Use &use : usesOfArgument(block, source, ties)) {
    if (!isa(use.owner, "iree_tensor_ext.dispatch.tensor.load") ||
        !coversWhole(use.owner, type) ||
        !flowsElementwise(result(use.owner), stores[0].owner)) {
      return false;
    }
  }
  return true;
}

/// The value behind reshapes. `diesAt` tells whether the values between have
/// other uses.
static MlirValue behindReshapes(MlirValue value) {
  for (MlirOperation op = definingOp(value);
       !isNull(op) && isa(op, "flow.tensor.reshape"); op = definingOp(value)) {
    value = operand(op, 0);
  }
  return value;
}

/// Whether the memory of `value` is transient: it was allocated for a dispatch
/// or a concatenation, whatever has been written over parts of it since.
/// Inputs, constants and globals are not; a value of another block may be read
/// again, since that block may be a loop's.
static bool isTransient(MlirValue value, MlirBlock block) {
  for (;;) {
    MlirOperation producer = definingOp(value);
    if (isNull(producer) ||
        !mlirBlockEqual(mlirOperationGetBlock(producer), block)) {
      return false;
    }
    if (isa(producer, "flow.tensor.update") ||
        isa(producer, "flow.tensor.reshape")) {
      value = operand(producer, 0); // the tied operand
      continue;
    }
    if (isa(producer, "flow.dispatch")) {
      return true; // if tied, it has overwritten the operand
    }
    return isa(producer, "flow.tensor.empty") ||
           isa(producer, "flow.tensor.splat");
  }
}

/// The consumed input in whose memory `value` lies: `value` is the input, or
/// this pass let dispatches write it over the input. Null if there is none.
static MlirOperation inputBelow(MlirValue value, MlirBlock block) {
  for (;;) {
    MlirOperation producer = definingOp(value);
    if (isNull(producer) ||
        !mlirBlockEqual(mlirOperationGetBlock(producer), block)) {
      return {nullptr};
    }
    if (isConsumedImport(producer)) {
      return producer;
    }
    if (isa(producer, "flow.tensor.update") ||
        isa(producer, "flow.tensor.reshape")) {
      value = operand(producer, 0); // the tied operand
      continue;
    }
    if (!isa(producer, "flow.dispatch") ||
        toString(attr(producer, "entry_points")).find(inPlaceSuffix) ==
            std::string::npos) {
      return {nullptr};
    }
    std::vector<int64_t> tied = intArray(attr(producer, "tied_operands"));
    const size_t number = size_t(mlirOpResultGetResultNumber(value));
    if (number >= tied.size() || tied[number] < 0) {
      return {nullptr};
    }
    value = operand(producer, operandSegments(producer)[0] + tied[number]);
  }
}

/// Whether the memory of `value` is used by dispatches alone: no part of it is
/// handed out, and nothing of `value` outlives them. A result of the function
/// that is written over an input would keep the caller's buffer alive;
/// serenity-reuse-external-memory decides on those.
static bool staysInside(MlirValue value, MlirBlock block) {
  for (const Use &use : uses(value)) {
    if (!mlirBlockEqual(mlirOperationGetBlock(use.owner), block)) {
      return false;
    }
    bool inside = isa(use.owner, "flow.dispatch");
    if (isa(use.owner, "flow.tensor.reshape")) {
      inside = staysInside(result(use.owner), block);
    } else if (isa(use.owner, "flow.tensor.update")) {
      inside = use.operandNumber > 0 || staysInside(result(use.owner), block);
    } else if (inside) {
      std::vector<int64_t> segments = operandSegments(use.owner);
      std::vector<int64_t> tied = intArray(attr(use.owner, "tied_operands"));
      for (size_t i = 0; inside && i < tied.size(); ++i) {
        inside = tied[i] + segments[0] != int64_t(use.operandNumber) ||
                 staysInside(result(use.owner, intptr_t(i)), block);
      }
    }
    if (!inside) {
      return false;
    }
  }
  return true;
}

/// Whether something was computed into `value`. The clones that IREE makes of
/// splats for every reader save nothing.
static bool isComputed(MlirValue value) {
  MlirOperation producer = definingOp(value);
  return !isNull(producer) && (isa(producer, "flow.dispatch") ||
                               isa(producer, "flow.tensor.update"));
}

/// Whether result `r` of `dispatch` may take the memory of `origin`, if they
/// are of one size and `origin` dies there.
static bool mayOverwrite(MlirValue origin, MlirOperation dispatch, intptr_t r) {
  MlirBlock block = mlirOperationGetBlock(dispatch);
  return inputBelow(origin, block).ptr
             ? staysInside(result(dispatch, r), block)
             : isComputed(origin) && isTransient(origin, block);
}

/// Whether no operation but `dispatch` reads `value` or a reshape of it;
/// `earlierAllowed`: or only such as stand before it in its block.
static bool diesAt(MlirValue value, MlirOperation dispatch,
                   bool earlierAllowed) {
  int64_t here = 0;
  for (const Use &use : uses(value)) {
    if (mlirOperationEqual(use.owner, dispatch)) {
      ++here;
    } else if (isa(use.owner, "flow.tensor.reshape")) {
      if (!hasUses(result(use.owner))) {
        continue;
      }
      if (!diesAt(result(use.owner), dispatch, earlierAllowed)) {
        return false;
      }
    } else if (!earlierAllowed || !sameBlock(use.owner, dispatch) ||
               !mlirOperationIsBeforeInBlock(use.owner, dispatch)) {
      return false;
    } else if (isa(use.owner, "flow.dispatch")) {
      // A result that is tied to the value is the value's later version.
      std::vector<int64_t> tied = intArray(attr(use.owner, "tied_operands"));
      std::vector<int64_t> segments = operandSegments(use.owner);
      for (int64_t index : tied) {
        if (index >= 0 && index + segments[0] == int64_t(use.operandNumber)) {
          return false;
        }
      }
    } else if (!isa(use.owner, "flow.tensor.update") ||
               use.operandNumber == 0) {
      // Anything else may keep an alias.
      return false;
    }
  }
  return here <= 1;
}

/// How often `dispatch` reads `value` directly or through reshapes.
static int64_t readsOf(MlirValue root, MlirOperation dispatch) {
  int64_t count = 0;
  for (MlirValue value : operands(dispatch)) {
    count += mlirValueEqual(behindReshapes(value), root);
  }
  return count;
}

static MlirAttribute nestedSymbol(MlirContext context, const std::string &root,
                                  const std::string &leaf) {
  MlirAttribute inner = mlirFlatSymbolRefAttrGet(context, strRef(leaf));
  return mlirSymbolRefAttrGet(context, strRef(root), 1, &inner);
}

static void setInherent(MlirOperation op, std::string_view attrName,
                        MlirAttribute value) {
  mlirOperationSetAttributeByName(op, strRef(attrName), value);
}

/// A copy of `code` in which argument `target` has become argument `source`.
static Code share(const Code &code, intptr_t source, intptr_t target,
                  const std::string &suffix) {
  MlirContext context = mlirOperationGetContext(code.executable);
  MlirOperation clone = mlirOperationClone(code.executable);
  insertAfter(code.executable, clone);
  Code copy = *codeOf(clone);
  auto rename = [&](MlirOperation op, const char *attrName) {
    std::string renamed = *stringAttr(op, "sym_name") + suffix;
    setInherent(op, attrName, mlirStringAttrGet(context, strRef(renamed)));
    return renamed;
  };
  rename(copy.executable, "sym_name");
  rename(copy.exported, "sym_name");
  std::string function = rename(copy.function, "sym_name");
  setInherent(copy.exported, "function_ref",
              mlirFlatSymbolRefAttrGet(context, strRef(function)));

  MlirBlock block = body(copy.function);
  MlirValue kept = mlirBlockGetArgument(block, source);
  MlirValue dropped = mlirBlockGetArgument(block, target);
  std::string type = toString(mlirValueGetType(kept));
  size_t access = type.find("readonly");
  type.replace(access, std::string_view("readonly").size(), "readwrite");
  mlirValueSetType(kept, mlirTypeParseGet(context, strRef(type)));
  mlirValueReplaceAllUsesOfWith(dropped, kept);
  std::vector<MlirOperation> ties;
  usesOfArgument(block, source, ties);
  for (MlirOperation tie : ties) {
    mlirValueSetType(result(tie), mlirValueGetType(kept));
  }
  mlirBlockEraseArgument(block, target);
  std::vector<MlirType> inputs;
  for (intptr_t i = 0, e = mlirBlockGetNumArguments(block); i < e; ++i) {
    inputs.push_back(mlirValueGetType(mlirBlockGetArgument(block, i)));
  }
  setInherent(copy.function, "function_type",
              mlirTypeAttrGet(mlirFunctionTypeGet(context, inputs.size(),
                                                  inputs.data(), 0, nullptr)));
  // Attributes of the arguments are by position.
  if (MlirAttribute args = attr(copy.function, "arg_attrs"); !isNull(args)) {
    std::vector<MlirAttribute> left;
    for (intptr_t i = 0, e = mlirArrayAttrGetNumElements(args); i < e; ++i) {
      if (i != target) {
        left.push_back(mlirArrayAttrGetElement(args, i));
      }
    }
    setInherent(copy.function, "arg_attrs",
                mlirArrayAttrGet(context, left.size(), left.data()));
  }
  return copy;
}

/// The symbols of the executables that are dispatched somewhere.
static std::set<std::string> dispatchedExecutables(MlirOperation module) {
  std::set<std::string> dispatched;
  walk(module, [&](MlirOperation op) {
    MlirAttribute entries = attr(op, "entry_points");
    if (isNull(entries) || !mlirAttributeIsAArray(entries)) {
      return;
    }
    for (intptr_t i = 0, e = mlirArrayAttrGetNumElements(entries); i < e; ++i) {
      dispatched.insert(std::string(view(mlirSymbolRefAttrGetRootReference(
          mlirArrayAttrGetElement(entries, i)))));
    }
  });
  return dispatched;
}

int64_t updateInPlace(MlirOperation module, bool onlySingleUse) {
  MlirContext context = mlirOperationGetContext(module);
  std::map<std::string, MlirOperation> executables;
  std::vector<MlirOperation> dispatches;
  for (MlirOperation op : operations(body(module))) {
    if (isa(op, "flow.executable")) {
      executables[*stringAttr(op, "sym_name")] = op;
    } else if (isa(op, "util.func")) {
      walk(op, [&](MlirOperation inner) {
        if (isa(inner, "flow.dispatch")) {
          dispatches.push_back(inner);
        }
      });
    }
  }
  std::map<std::tuple<std::string, intptr_t, intptr_t>, Code> variants;
  std::map<std::string, int64_t> variantCount;
  std::set<std::string> replaced;
  int64_t moved = 0;
  for (MlirOperation dispatch : dispatches) {
    std::vector<int64_t> segments = operandSegments(dispatch);
    MlirAttribute entries = attr(dispatch, "entry_points");
    // Several entry points are alternatives.
    if (segments.size() != 4 || mlirArrayAttrGetNumElements(entries) != 1) {
      continue;
    }
    MlirAttribute entry = mlirArrayAttrGetElement(entries, 0);
    std::string root(view(mlirSymbolRefAttrGetRootReference(entry)));
    auto executable = executables.find(root);
    if (executable == executables.end()) {
      continue;
    }
    std::vector<int64_t> tied = intArray(attr(dispatch, "tied_operands"));
    intptr_t numResults = mlirOperationGetNumResults(dispatch);
    tied.resize(numResults, -1);
    for (intptr_t r = 0; r < numResults; ++r) {
      if (tied[r] >= 0) {
        continue;
      }
      std::optional<Code> code = codeOf(executables[root]);
      intptr_t target = segments[1];
      intptr_t untied = 0;
      for (intptr_t other = 0; other < numResults; ++other) {
        untied += tied[other] < 0;
        target += other < r && tied[other] < 0;
      }
      if (!code || mlirBlockGetNumArguments(body(code->function)) !=
                       segments[1] + untied) {
        break;
      }
      MlirType type = mlirValueGetType(result(dispatch, r));
      for (intptr_t source = 0; source < segments[1]; ++source) {
        MlirValue value = operand(dispatch, segments[0] + source);
        MlirValue origin = behindReshapes(value);
        bool taken = false;
        for (int64_t index : tied) {
          taken |= index == source;
        }
        if (taken || !mayOverwrite(origin, dispatch, r) ||
            !mlirTypeEqual(mlirValueGetType(value), type) ||
            !sameValues(extentsAmong(segmentOperands(dispatch, 1), source,
                                     segmentOperands(dispatch, 2)),
                        extentsAmong(results(dispatch), r,
                                     segmentOperands(dispatch, 3))) ||
            readsOf(origin, dispatch) != 1 ||
            !diesAt(origin, dispatch, !onlySingleUse)) {
          continue;
        }
        std::string argument = toString(mlirValueGetType(
            mlirBlockGetArgument(body(code->function), source)));
        if (argument.find("<readonly:") == std::string::npos ||
            !canShare(code->function, source, target, type)) {
          continue;
        }
        auto variant = std::make_tuple(root, source, target);
        auto known = variants.find(variant);
        if (known == variants.end()) {
          std::string suffix;
          do {
            suffix = inPlaceSuffix + std::to_string(variantCount[root]++);
          } while (executables.count(root + suffix) != 0);
          Code shared = share(*code, source, target, suffix);
          executables[root + suffix] = shared.executable;
          known = variants.emplace(variant, shared).first;
        }
        replaced.insert(root);
        root = *stringAttr(known->second.executable, "sym_name");
        MlirAttribute symbol = nestedSymbol(
            context, root, *stringAttr(known->second.exported, "sym_name"));
        setInherent(dispatch, "entry_points",
                    mlirArrayAttrGet(context, 1, &symbol));
        tied[r] = source;
        std::vector<MlirAttribute> indices;
        for (int64_t index : tied) {
          indices.push_back(
              mlirIntegerAttrGet(mlirIndexTypeGet(context), index));
        }
        setInherent(dispatch, "tied_operands",
                    mlirArrayAttrGet(context, indices.size(), indices.data()));
        ++moved;
        break;
      }
    }
  }
  std::set<std::string> dispatched = dispatchedExecutables(module);
  for (const std::string &symbol : replaced) {
    if (dispatched.count(symbol) == 0) {
      erase(executables[symbol]);
    }
  }
  return moved;
}

bool runInPlaceResults(MlirOperation module, const Options &options,
                       ModuleReport *) {
  updateInPlace(module, /*onlySingleUse=*/!options.lastUse);
  return true;
}

} // namespace serenity

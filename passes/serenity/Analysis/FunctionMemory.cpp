// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/FunctionMemory.h"

#include "serenity/IREE/Ir.h"
#include "serenity/Report/SlabCommands.h"

#include <algorithm>
#include <set>
#include <string>

namespace serenity {

namespace {

/// The operation that runs on the allocation of `site`, if it is the only one
/// and nothing else than the release follows: the allocation is its slab then.
MlirOperation slabUser(MlirOperation site) {
  MlirOperation found = {nullptr};
  for (const ir::Use &use : ir::uses(ir::result(site))) {
    if (ir::isa(use.owner, "stream.resource.dealloca")) {
      continue;
    }
    if (!ir::isa(use.owner, "stream.cmd.execute") ||
        (found.ptr && !mlirOperationEqual(found, use.owner))) {
      return {nullptr};
    }
    found = use.owner;
  }
  return found;
}

/// The first command of `execute` that touches `value`.
MlirOperation firstCommandOn(MlirOperation execute, MlirValue value) {
  std::vector<MlirValue> operands = ir::operands(execute);
  MlirBlock body = ir::body(execute);
  MlirOperation found = {nullptr};
  size_t first = size_t(capturedResources(execute));
  for (size_t i = first; i < operands.size(); ++i) {
    intptr_t number = intptr_t(i - first);
    if (!mlirValueEqual(operands[i], value) ||
        number >= mlirBlockGetNumArguments(body)) {
      continue;
    }
    MlirValue inside = mlirBlockGetArgument(body, number);
    ir::walk(execute, [&](MlirOperation op) {
      std::vector<MlirValue> touched = ir::operands(op);
      if (!found.ptr &&
          std::any_of(touched.begin(), touched.end(), [&](MlirValue operand) {
            return mlirValueEqual(operand, inside);
          })) {
        found = op;
      }
    });
  }
  return found;
}

AllocationReport describe(MlirOperation site, const LiveItem &item) {
  AllocationReport report;
  report.bytes = item.bytes;
  MlirOperation slab = slabUser(site);
  bool isTransient = ir::toString(mlirValueGetType(ir::result(site)))
                         .rfind("!stream.resource<transient>", 0) == 0;
  report.kind = item.isResult             ? "result"
                : item.isVariable         ? "variable"
                : slab.ptr && isTransient ? "slab"
                                          : "value";
  report.location =
      ir::firstPlace(mlirOperationGetLocation(slab.ptr ? slab : site));
  for (const ir::Use &use : ir::uses(ir::result(site))) {
    // Uses come last first.
    if (ir::isa(use.owner, "stream.cmd.execute")) {
      MlirOperation command = firstCommandOn(use.owner, ir::result(site));
      if (command.ptr) {
        report.name = commandName(command);
      }
    }
  }
  return report;
}

} // namespace

std::optional<CallMemory> callMemory(MlirOperation module,
                                     MlirOperation function,
                                     const SlabLayout &layout) {
  std::optional<FunctionAllocations> read =
      readAllocations(module, function, layout);
  if (!read) {
    return std::nullopt;
  }
  CallMemory memory;
  if (!read->program.blocks.empty()) {
    std::optional<SimulatedMemory> found = simulateAllocations(read->program);
    if (!found) {
      return std::nullopt;
    }
    memory.transientPeakBytes = found->transientPeakBytes;
    memory.peakBytes = found->peakBytes;
    memory.resultBytes = found->resultBytes;
    memory.persistentBytes = found->globalBytes;
    memory.exact = found->exact;
    for (const LiveItem &item : found->live) {
      memory.live.push_back(describe(read->sites[size_t(item.site)], item));
    }
  }
  MlirAttribute reflection = ir::attr(function, "iree.reflection");
  if (ir::isNull(reflection) || !mlirAttributeIsADictionary(reflection)) {
    return memory;
  }
  auto find = [&](const char *name) {
    return mlirDictionaryAttrGetElementByName(reflection, ir::strRef(name));
  };
  // The first names the function that tells the size, the second is there if
  // that is a constant.
  if (ir::isNull(find("iree.abi.transients.size"))) {
    return memory;
  }
  MlirAttribute size = find("iree.abi.transients.size.constant");
  if (ir::isNull(size) || !mlirAttributeIsAInteger(size)) {
    return std::nullopt;
  }
  memory.callerArenaBytes = mlirIntegerAttrGetValueInt(size);
  memory.live.push_back({"arena", "", "", *memory.callerArenaBytes});
  memory.transientPeakBytes += *memory.callerArenaBytes;
  memory.peakBytes += *memory.callerArenaBytes;
  return memory;
}

/// `iree.abi.declaration` of an exported function.
static std::optional<std::string> declarationOf(MlirOperation function) {
  MlirAttribute reflection = ir::attr(function, "iree.reflection");
  if (ir::isNull(reflection) || !mlirAttributeIsADictionary(reflection)) {
    return std::nullopt;
  }
  MlirAttribute declaration = mlirDictionaryAttrGetElementByName(
      reflection, ir::strRef("iree.abi.declaration"));
  if (ir::isNull(declaration) || !mlirAttributeIsAString(declaration)) {
    return std::nullopt;
  }
  return std::string(ir::view(mlirStringAttrGetValue(declaration)));
}

bool declaresInputs(MlirOperation function) {
  return declarationOf(function).has_value();
}

std::optional<int64_t> inputBytes(MlirOperation function) {
  MlirContext context = mlirOperationGetContext(function);
  if (std::optional<std::string> declaration = declarationOf(function)) {
    // `sync func @f(%input0: tensor<1x2xf32>, ...) -> (...)`
    std::string text = declaration->substr(0, declaration->find(") ->"));
    int64_t bytes = 0;
    // The declaration says nothing about the storage of a buffer view.
    bool complete = text.find("!hal.buffer_view") == std::string::npos;
    for (size_t at = text.find("tensor<"); complete && at != std::string::npos;
         at = text.find("tensor<", at + 1)) {
      // Element types and encodings may have brackets of their own.
      size_t end = text.find('<', at) + 1;
      for (int depth = 1; depth > 0 && end < text.size(); ++end) {
        depth += text[end] == '<' ? 1 : text[end] == '>' ? -1 : 0;
      }
      std::string spelling = text.substr(at, end - at);
      MlirType type = mlirTypeParseGet(context, ir::strRef(spelling));
      std::optional<int64_t> size =
          type.ptr ? ir::tensorBytes(type) : std::nullopt;
      if (!size) {
        return std::nullopt;
      }
      bytes += *size;
    }
    if (complete) {
      return bytes;
    }
  }
  // Without a declaration: the imported ones, if these are all buffer views.
  MlirBlock block = ir::body(function);
  intptr_t views = 0;
  for (intptr_t i = 0, e = block.ptr ? mlirBlockGetNumArguments(block) : 0;
       i < e; ++i) {
    views += ir::toString(mlirValueGetType(mlirBlockGetArgument(block, i))) ==
             "!hal.buffer_view";
  }
  int64_t bytes = 0;
  bool known = true;
  std::set<const void *> imported;
  ir::walk(function, [&](MlirOperation op) {
    if (!ir::isa(op, "stream.tensor.import")) {
      return;
    }
    if (ir::toString(mlirValueGetType(ir::result(op)))
            .rfind("!stream.resource<transient>", 0) == 0) {
      return; // the caller's arena
    }
    known &= imported.insert(ir::key(ir::operand(op, 0))).second;
    --views;
    std::vector<MlirValue> sizes = ir::indexOperands(op);
    std::optional<int64_t> size =
        sizes.empty() ? std::nullopt : ir::constantInt(sizes.back());
    known &= size.has_value();
    bytes += size.value_or(0);
  });
  return known && views == 0 ? std::optional<int64_t>(bytes) : std::nullopt;
}

} // namespace serenity

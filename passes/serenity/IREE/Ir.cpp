// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/IREE/Ir.h"

#include "serenity/IREE/Diagnostics.h"
#include "serenity/IREE/OwningHandles.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/IREE/OwningPassManager.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>

namespace serenity::ir {

void appendTo(MlirStringRef piece, void *userData) {
  static_cast<std::string *>(userData)->append(piece.data, piece.length);
}

// --- operations -------------------------------------------------------------

std::string_view name(MlirOperation op) {
  return view(mlirIdentifierStr(mlirOperationGetName(op)));
}

std::vector<MlirOperation> operations(MlirBlock block) {
  std::vector<MlirOperation> ops;
  for (MlirOperation op = mlirBlockGetFirstOperation(block); op.ptr;
       op = mlirOperationGetNextInBlock(op)) {
    ops.push_back(op);
  }
  return ops;
}

std::vector<MlirBlock> blocks(MlirOperation op) {
  std::vector<MlirBlock> found;
  for (intptr_t i = 0, e = mlirOperationGetNumRegions(op); i < e; ++i) {
    for (MlirBlock block =
             mlirRegionGetFirstBlock(mlirOperationGetRegion(op, i));
         block.ptr; block = mlirBlockGetNextInRegion(block)) {
      found.push_back(block);
    }
  }
  return found;
}

MlirBlock body(MlirOperation op) {
  if (mlirOperationGetNumRegions(op) == 0) {
    return MlirBlock{nullptr};
  }
  return mlirRegionGetFirstBlock(mlirOperationGetRegion(op, 0));
}

void walk(MlirOperation op, const std::function<void(MlirOperation)> &visit) {
  auto callback = [](MlirOperation visited, void *userData) {
    (*static_cast<const std::function<void(MlirOperation)> *>(userData))(
        visited);
    return MlirWalkResultAdvance;
  };
  mlirOperationWalk(op, callback,
                    const_cast<void *>(static_cast<const void *>(&visit)),
                    MlirWalkPreOrder);
}

MlirOperation ancestor(MlirOperation op, std::string_view opName) {
  while (op.ptr && name(op) != opName) {
    op = mlirOperationGetParentOperation(op);
  }
  return op;
}

std::vector<MlirValue> operands(MlirOperation op) {
  std::vector<MlirValue> values;
  intptr_t count = mlirOperationGetNumOperands(op);
  values.reserve(count);
  for (intptr_t i = 0; i < count; ++i) {
    values.push_back(mlirOperationGetOperand(op, i));
  }
  return values;
}

std::vector<MlirValue> indexOperands(MlirOperation op) {
  std::vector<MlirValue> found;
  for (MlirValue value : operands(op)) {
    if (mlirTypeIsAIndex(mlirValueGetType(value))) {
      found.push_back(value);
    }
  }
  return found;
}

std::vector<MlirValue> results(MlirOperation op) {
  std::vector<MlirValue> values;
  intptr_t count = mlirOperationGetNumResults(op);
  values.reserve(count);
  for (intptr_t i = 0; i < count; ++i) {
    values.push_back(mlirOperationGetResult(op, i));
  }
  return values;
}

MlirValue operand(MlirOperation op, intptr_t index) {
  return mlirOperationGetOperand(op, index);
}

MlirValue result(MlirOperation op, intptr_t index) {
  return mlirOperationGetResult(op, index);
}

std::vector<Use> uses(MlirValue value) {
  std::vector<Use> found;
  for (MlirOpOperand use = mlirValueGetFirstUse(value);
       !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) {
    found.push_back(
        {mlirOpOperandGetOwner(use), mlirOpOperandGetOperandNumber(use)});
  }
  return found;
}

bool hasUses(MlirValue value) {
  return !mlirOpOperandIsNull(mlirValueGetFirstUse(value));
}

MlirOperation definingOp(MlirValue value) {
  if (!mlirValueIsAOpResult(value)) {
    return MlirOperation{nullptr};
  }
  return mlirOpResultGetOwner(value);
}

// --- attributes and types ---------------------------------------------------

MlirAttribute attr(MlirOperation op, std::string_view attrName) {
  return mlirOperationGetAttributeByName(op, strRef(attrName));
}

std::optional<std::string> stringAttr(MlirOperation op,
                                      std::string_view attrName) {
  MlirAttribute found = attr(op, attrName);
  if (isNull(found) || !mlirAttributeIsAString(found)) {
    return std::nullopt;
  }
  return std::string(view(mlirStringAttrGetValue(found)));
}

std::string exportedName(MlirOperation function) {
  constexpr std::string_view suffix = "$async";
  std::string name = stringAttr(function, "sym_name").value_or("");
  if (name.size() > suffix.size() &&
      name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0) {
    name.resize(name.size() - suffix.size());
  }
  return name;
}

std::optional<int64_t> intAttr(MlirOperation op, std::string_view attrName) {
  MlirAttribute found = attr(op, attrName);
  if (isNull(found) || !mlirAttributeIsAInteger(found)) {
    return std::nullopt;
  }
  return mlirIntegerAttrGetValueInt(found);
}

std::vector<int64_t> intArray(MlirAttribute attr) {
  std::vector<int64_t> values;
  if (isNull(attr)) {
    return values;
  }
  if (mlirAttributeIsAArray(attr)) {
    for (intptr_t i = 0, e = mlirArrayAttrGetNumElements(attr); i < e; ++i) {
      MlirAttribute element = mlirArrayAttrGetElement(attr, i);
      values.push_back(mlirAttributeIsAInteger(element)
                           ? mlirIntegerAttrGetValueInt(element)
                           : 0);
    }
  } else if (mlirAttributeIsADenseI32Array(attr)) {
    for (intptr_t i = 0, e = mlirDenseArrayGetNumElements(attr); i < e; ++i) {
      values.push_back(mlirDenseI32ArrayGetElement(attr, i));
    }
  } else if (mlirAttributeIsADenseI64Array(attr)) {
    for (intptr_t i = 0, e = mlirDenseArrayGetNumElements(attr); i < e; ++i) {
      values.push_back(mlirDenseI64ArrayGetElement(attr, i));
    }
  }
  return values;
}

bool hasUnitStrides(MlirOperation op) {
  const std::vector<int64_t> strides = intArray(attr(op, "static_strides"));
  return std::all_of(strides.begin(), strides.end(),
                     [](int64_t stride) { return stride == 1; });
}

std::vector<int64_t> operandSegments(MlirOperation op) {
  return intArray(attr(op, "operandSegmentSizes"));
}

std::vector<MlirValue> segmentOperands(MlirOperation op, size_t segment) {
  std::vector<int64_t> segments = operandSegments(op);
  std::vector<MlirValue> all = operands(op);
  if (segment >= segments.size()) {
    return {};
  }
  auto begin = all.begin() +
               std::accumulate(segments.begin(), segments.begin() + segment, 0);
  return {begin, begin + segments[segment]};
}

std::vector<MlirValue> extentsAmong(const std::vector<MlirValue> &values,
                                    size_t index,
                                    const std::vector<MlirValue> &extents) {
  auto countDynamic = [](MlirValue value) {
    MlirType type = mlirValueGetType(value);
    std::vector<int64_t> sizes =
        mlirTypeIsARankedTensor(type) ? shape(type) : std::vector<int64_t>();
    return std::count_if(sizes.begin(), sizes.end(),
                         [](int64_t size) { return size < 0; });
  };
  int64_t first = 0;
  for (size_t i = 0; i < index; ++i) {
    first += countDynamic(values[i]);
  }
  int64_t last = first + countDynamic(values[index]);
  return last <= int64_t(extents.size())
             ? std::vector<MlirValue>(extents.begin() + first,
                                      extents.begin() + last)
             : std::vector<MlirValue>();
}

std::string calledFunction(MlirOperation op) {
  MlirAttribute callee =
      isa(op, "util.call") ? attr(op, "callee") : MlirAttribute{nullptr};
  return !isNull(callee) && mlirAttributeIsAFlatSymbolRef(callee)
             ? std::string(view(mlirFlatSymbolRefAttrGetValue(callee)))
             : "";
}

void setStringAttr(MlirOperation op, std::string_view attrName,
                   std::string_view value) {
  mlirOperationSetDiscardableAttributeByName(
      op, strRef(attrName),
      mlirStringAttrGet(mlirOperationGetContext(op), strRef(value)));
}

void setIntAttr(MlirOperation op, std::string_view attrName, int64_t value) {
  MlirType type = mlirIntegerTypeGet(mlirOperationGetContext(op), 64);
  mlirOperationSetDiscardableAttributeByName(op, strRef(attrName),
                                             mlirIntegerAttrGet(type, value));
}

void setUnitAttr(MlirOperation op, std::string_view attrName) {
  mlirOperationSetDiscardableAttributeByName(
      op, strRef(attrName), mlirUnitAttrGet(mlirOperationGetContext(op)));
}

std::string toString(MlirType type) {
  std::string text;
  mlirTypePrint(type, appendTo, &text);
  return text;
}

std::string toString(MlirAttribute attr) {
  std::string text;
  mlirAttributePrint(attr, appendTo, &text);
  return text;
}

std::string toString(MlirLocation location) {
  std::string text;
  mlirLocationPrint(location, appendTo, &text);
  return text;
}

std::string toString(MlirOperation op) {
  OwningPrintingFlags flags;
  constexpr intptr_t elements = 64;
  mlirOpPrintingFlagsElideLargeElementsAttrs(flags.get(), elements);
  mlirOpPrintingFlagsElideLargeResourceString(flags.get(), 0);
  std::string text;
  mlirOperationPrintWithFlags(op, flags.get(), appendTo, &text);
  return text;
}

// The C API gives them element by element and not for every type: printed and
// read back.
std::optional<std::string> resourceBytes(MlirAttribute value) {
  MlirContext context = mlirAttributeGetContext(value);
  OwningOp holder(create("arith.constant", mlirLocationUnknownGet(context), {},
                         {mlirAttributeGetType(value)}, {{"value", value}}));
  std::string text;
  mlirOperationPrint(holder.get(), appendTo, &text);
  size_t section = text.rfind("{-#");
  size_t start =
      section == std::string::npos ? section : text.find("\"0x", section);
  if (start == std::string::npos) {
    return std::nullopt;
  }
  start += 3;
  size_t end = text.find('"', start);
  auto digit = [](char c) {
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
  };
  std::string bytes;
  // The first four bytes are the alignment.
  for (size_t i = start + 8; i + 1 < end; i += 2) {
    bytes.push_back(char(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  return bytes;
}

std::string firstPlace(MlirLocation location) {
  for (;;) {
    if (mlirLocationIsACallSite(location)) {
      location = mlirLocationCallSiteGetCallee(location);
      continue;
    }
    if (!mlirLocationIsAFused(location)) {
      break;
    }
    unsigned count = mlirLocationFusedGetNumLocations(location);
    if (count == 0) {
      break;
    }
    std::vector<MlirLocation> parts(count);
    mlirLocationFusedGetLocations(location, parts.data());
    location = parts[0];
  }
  std::string text = toString(location);
  return text == "loc(unknown)" ? std::string() : text;
}

std::vector<int64_t> shape(MlirType type) {
  std::vector<int64_t> extents;
  if (!mlirTypeIsAShaped(type) || !mlirShapedTypeHasRank(type)) {
    return extents;
  }
  for (int64_t i = 0, e = mlirShapedTypeGetRank(type); i < e; ++i) {
    extents.push_back(mlirShapedTypeGetDimSize(type, i));
  }
  return extents;
}

int64_t elementBits(MlirType element) {
  return mlirTypeIsAInteger(element) ? mlirIntegerTypeGetWidth(element)
         : mlirTypeIsAFloat(element) ? mlirFloatTypeGetWidth(element)
                                     : 0;
}

std::optional<int64_t> elementBytes(MlirType element) {
  if (mlirTypeIsAInteger(element) || mlirTypeIsAFloat(element)) {
    return (elementBits(element) + 7) / 8;
  }
  if (mlirTypeIsAIndex(element)) {
    return 8;
  }
  if (mlirTypeIsAComplex(element)) {
    std::optional<int64_t> part =
        elementBytes(mlirComplexTypeGetElementType(element));
    return part ? std::optional<int64_t>(2 * *part) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<int64_t> denseElementBytes(MlirType type) {
  // An encoding may change the layout, hence the size.
  if (!mlirTypeIsARankedTensor(type) ||
      !isNull(mlirRankedTensorTypeGetEncoding(type))) {
    return std::nullopt;
  }
  MlirType element = mlirShapedTypeGetElementType(type);
  // Sub-byte types are packed by IREE in ways that are not modelled here.
  if (mlirTypeIsAInteger(element) && mlirIntegerTypeGetWidth(element) < 8 &&
      mlirIntegerTypeGetWidth(element) != 1) {
    return std::nullopt;
  }
  return elementBytes(element);
}

std::optional<int64_t> tensorBytes(MlirType type) {
  std::optional<int64_t> width = denseElementBytes(type);
  if (!width || !mlirShapedTypeHasStaticShape(type)) {
    return std::nullopt;
  }
  int64_t bytes = *width;
  for (int64_t i = 0, e = mlirShapedTypeGetRank(type); i < e; ++i) {
    if (__builtin_mul_overflow(bytes, mlirShapedTypeGetDimSize(type, i),
                               &bytes)) {
      return std::nullopt;
    }
  }
  return bytes;
}

std::optional<int64_t> constantInt(MlirValue value) {
  MlirOperation op = definingOp(value);
  if (isNull(op) || !isa(op, "arith.constant")) {
    return std::nullopt;
  }
  MlirAttribute attribute = attr(op, "value");
  if (isNull(attribute) || !mlirAttributeIsAInteger(attribute)) {
    return std::nullopt;
  }
  return mlirIntegerAttrGetValueInt(attribute);
}

// --- building ---------------------------------------------------------------

MlirOperation create(std::string_view opName, MlirLocation location,
                     const std::vector<MlirValue> &operands,
                     const std::vector<MlirType> &resultTypes,
                     const std::vector<NamedAttr> &attrs) {
  MlirContext context = mlirLocationGetContext(location);
  MlirOperationState state = mlirOperationStateGet(strRef(opName), location);
  mlirOperationStateAddOperands(&state, operands.size(), operands.data());
  mlirOperationStateAddResults(&state, resultTypes.size(), resultTypes.data());
  std::vector<MlirNamedAttribute> named;
  named.reserve(attrs.size());
  for (const NamedAttr &item : attrs) {
    named.push_back(mlirNamedAttributeGet(
        mlirIdentifierGet(context, strRef(item.name)), item.value));
  }
  mlirOperationStateAddAttributes(&state, named.size(), named.data());
  return mlirOperationCreate(&state);
}

void insertBefore(MlirOperation anchor, MlirOperation op) {
  mlirBlockInsertOwnedOperationBefore(mlirOperationGetBlock(anchor), anchor,
                                      op);
}

void insertAfter(MlirOperation anchor, MlirOperation op) {
  mlirBlockInsertOwnedOperationAfter(mlirOperationGetBlock(anchor), anchor, op);
}

MlirValue IndexConstants::get(int64_t value) {
  auto inserted = known.emplace(value, MlirValue{nullptr});
  if (inserted.second) {
    MlirLocation location = mlirOperationGetLocation(anchor);
    MlirType type = mlirIndexTypeGet(mlirOperationGetContext(anchor));
    MlirOperation op = create("arith.constant", location, {}, {type},
                              {{"value", mlirIntegerAttrGet(type, value)}});
    insertBefore(anchor, op);
    inserted.first->second = result(op);
  }
  return inserted.first->second;
}

// --- diagnostics ------------------------------------------------------------

static DiagnosticSink &fallbackSink() {
  static DiagnosticSink sink;
  return sink;
}

void setFallbackDiagnosticSink(DiagnosticSink sink) {
  fallbackSink() = std::move(sink);
}

static void emitFallback(MlirLocation location, MlirDiagnosticSeverity severity,
                         const std::string &message) {
  if (fallbackSink()) {
    fallbackSink()(location, severity, message);
    return;
  }
  // The way MLIR prints diagnostics.
  std::string where = toString(location);
  if (std::optional<FilePosition> place = filePosition(location)) {
    where = place->file + ":" + std::to_string(place->line) + ":" +
            std::to_string(place->column);
  }
  const char *label = severity == MlirDiagnosticWarning ? "warning" : "remark";
  std::fprintf(stderr, "%s: %s: %s\n", where.c_str(), label, message.c_str());
}

void emitError(MlirLocation location, const std::string &message) {
  mlirEmitError(location, message.c_str());
}

void emitWarning(MlirLocation location, const std::string &message) {
  if (mlirEmitWarning) {
    mlirEmitWarning(location, message.c_str());
    return;
  }
  emitFallback(location, MlirDiagnosticWarning, message);
}

void emitRemark(MlirLocation location, const std::string &message) {
  if (mlirEmitRemark) {
    mlirEmitRemark(location, message.c_str());
    return;
  }
  emitFallback(location, MlirDiagnosticRemark, message);
}

SilenceDiagnostics::SilenceDiagnostics(MlirContext context, bool errorsOnly)
    : context(context), errorsOnly(errorsOnly) {
  // Success means handled: the diagnostic goes no further.
  MlirDiagnosticHandler handler = [](MlirDiagnostic diagnostic, void *self) {
    auto &silence = *static_cast<SilenceDiagnostics *>(self);
    bool isError = mlirDiagnosticGetSeverity(diagnostic) == MlirDiagnosticError;
    if (isError) {
      std::string message;
      mlirDiagnosticPrint(diagnostic, appendTo, &message);
      silence.swallowed.push_back(
          {mlirDiagnosticGetLocation(diagnostic), std::move(message)});
    }
    return MlirLogicalResult{int8_t(isError || !silence.errorsOnly)};
  };
  id = mlirContextAttachDiagnosticHandler(context, handler, this, nullptr);
}

SilenceDiagnostics::~SilenceDiagnostics() {
  mlirContextDetachDiagnosticHandler(context, id);
}

// --- passes -----------------------------------------------------------------

namespace {
struct PassData {
  std::string argument;
  std::function<bool(MlirOperation)> run;
};

/// A stable TypeID per pass: the address of a character kept for ever.
MlirTypeID passTypeId(const std::string &argument) {
  static std::mutex mutex;
  static auto *anchors = new std::map<std::string, std::unique_ptr<uint64_t>>();
  std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<uint64_t> &anchor = (*anchors)[argument];
  if (!anchor) {
    anchor = std::make_unique<uint64_t>(0);
  }
  return mlirTypeIDCreate(anchor.get());
}
} // namespace

MlirPass createModulePass(std::string_view argument,
                          std::string_view description,
                          std::function<bool(MlirOperation)> run) {
  MlirExternalPassCallbacks callbacks = {};
  callbacks.construct = [](void *) {};
  callbacks.destruct = [](void *userData) {
    delete static_cast<PassData *>(userData);
  };
  callbacks.clone = [](void *userData) -> void * {
    return new PassData(*static_cast<PassData *>(userData));
  };
  callbacks.run = [](MlirOperation op, MlirExternalPass pass, void *userData) {
    if (!static_cast<PassData *>(userData)->run(op)) {
      mlirExternalPassSignalFailure(pass);
    }
  };
  auto *data = new PassData{std::string(argument), std::move(run)};
  return mlirCreateExternalPass(passTypeId(data->argument),
                                strRef(data->argument), strRef(data->argument),
                                strRef(description), strRef("builtin.module"),
                                0, nullptr, callbacks, data);
}

bool parsePipeline(MlirPassManager manager, MlirOperation module,
                   const std::string &pipeline) {
  std::string wrapped = pipeline;
  if (wrapped.rfind("builtin.module(", 0) != 0) {
    wrapped = "builtin.module(" + wrapped + ")";
  }
  std::string message;
  bool ok = mlirParsePassPipeline(mlirPassManagerGetAsOpPassManager(manager),
                                  strRef(wrapped), appendTo, &message)
                .value != 0;
  if (!ok) {
    emitError(mlirOperationGetLocation(module), message);
  }
  return ok;
}

bool runPipeline(MlirOperation module, const std::string &pipeline,
                 bool verify) {
  OwningPassManager manager(mlirOperationGetContext(module));
  mlirPassManagerEnableVerifier(manager.get(), verify);
  return parsePipeline(manager.get(), module, pipeline) && manager.run(module);
}

} // namespace serenity::ir

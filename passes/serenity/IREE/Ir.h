// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Conveniences over the MLIR C API, so that passes read like passes. Nothing
// here knows about scheduling.

#ifndef SERENITY_IREE_IR_H
#define SERENITY_IREE_IR_H

#include "serenity/IREE/MlirC.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace serenity::ir {

inline MlirStringRef strRef(std::string_view text) {
  return MlirStringRef{text.data(), text.size()};
}
inline std::string_view view(MlirStringRef text) {
  return std::string_view(text.data, text.length);
}

/// Appends printed pieces to the std::string behind `userData`.
void appendTo(MlirStringRef piece, void *userData);

// --- operations -------------------------------------------------------------

std::string_view name(MlirOperation op);
inline bool isa(MlirOperation op, std::string_view opName) {
  return name(op) == opName;
}
inline bool isNull(MlirOperation op) { return op.ptr == nullptr; }
inline bool isNull(MlirAttribute attr) { return attr.ptr == nullptr; }

/// The operations of `block` in order, terminator included.
std::vector<MlirOperation> operations(MlirBlock block);
/// All blocks of all regions of `op`.
std::vector<MlirBlock> blocks(MlirOperation op);
/// The first block of the first region; null if there is none.
MlirBlock body(MlirOperation op);
/// Visits `op` and everything nested in it, outer operations first.
void walk(MlirOperation op, const std::function<void(MlirOperation)> &visit);
/// `op` or its closest ancestor of the given name; null if there is none.
MlirOperation ancestor(MlirOperation op, std::string_view opName);

std::vector<MlirValue> operands(MlirOperation op);
/// The operands of type `index`. The first one of an allocation is its size,
/// the last one of an import, behind dynamic dimensions.
std::vector<MlirValue> indexOperands(MlirOperation op);
std::vector<MlirValue> results(MlirOperation op);
MlirValue operand(MlirOperation op, intptr_t index);
MlirValue result(MlirOperation op, intptr_t index = 0);

struct Use {
  MlirOperation owner;
  unsigned operandNumber;
};
std::vector<Use> uses(MlirValue value);
bool hasUses(MlirValue value);
/// The defining operation; null for block arguments.
MlirOperation definingOp(MlirValue value);

inline bool sameBlock(MlirOperation a, MlirOperation b) {
  return mlirBlockEqual(mlirOperationGetBlock(a), mlirOperationGetBlock(b));
}
inline const void *key(MlirValue value) { return value.ptr; }
/// Whether `value` is a ranked tensor.
inline bool isTensor(MlirValue value) {
  return mlirTypeIsARankedTensor(mlirValueGetType(value));
}

// --- attributes and types ---------------------------------------------------

MlirAttribute attr(MlirOperation op, std::string_view attrName);
/// The name that a function is exported as: `main` of `main$async`.
std::string exportedName(MlirOperation function);
std::optional<std::string> stringAttr(MlirOperation op,
                                      std::string_view attrName);
std::optional<int64_t> intAttr(MlirOperation op, std::string_view attrName);
/// An array of integers, stored as ArrayAttr, DenseI32Array or DenseI64Array.
std::vector<int64_t> intArray(MlirAttribute attr);
/// Whether all static strides of a slice, or of an insertion of one, are 1.
bool hasUnitStrides(MlirOperation op);
/// The sizes of the operand segments of an operation that has them.
std::vector<int64_t> operandSegments(MlirOperation op);
/// The operands of segment number `segment`; none if there is no such segment.
std::vector<MlirValue> segmentOperands(MlirOperation op, size_t segment);
/// Of `extents`, which lists the dynamic extents of the tensors among `values`
/// in order, those of value `index`; none if the list is too short.
std::vector<MlirValue> extentsAmong(const std::vector<MlirValue> &values,
                                    size_t index,
                                    const std::vector<MlirValue> &extents);
/// The name of the function that a `util.call` calls; empty for other
/// operations.
std::string calledFunction(MlirOperation op);
void setStringAttr(MlirOperation op, std::string_view attrName,
                   std::string_view value);
void setIntAttr(MlirOperation op, std::string_view attrName, int64_t value);
void setUnitAttr(MlirOperation op, std::string_view attrName);

std::string toString(MlirType type);
std::string toString(MlirAttribute attr);
std::string toString(MlirLocation location);
/// Without locations and the bytes of large constants.
std::string toString(MlirOperation op);
/// The first place of a fused location, the callee of a call; empty if unknown.
/// Fusion piles up dozens of places, a region has those of all its operations.
std::string firstPlace(MlirLocation location);

/// The extents of a shaped type; none of an unranked one. A dynamic extent is
/// `mlirShapedTypeGetDynamicSize()`.
std::vector<int64_t> shape(MlirType type);

/// Bits of an integer or float type; 0 of others.
int64_t elementBits(MlirType element);

/// Bytes of one stored element, or nothing if IREE does not store it densely.
std::optional<int64_t> elementBytes(MlirType element);

/// Bytes of one element of a ranked tensor without an encoding, whose elements
/// IREE stores densely; nothing for other types.
std::optional<int64_t> denseElementBytes(MlirType type);

/// Bytes of a ranked tensor of static shape, elements padded to whole bytes as
/// IREE stores them; nothing for other types.
std::optional<int64_t> tensorBytes(MlirType type);

/// The bytes of a `dense_resource`; nothing where the module has its name
/// alone.
std::optional<std::string> resourceBytes(MlirAttribute value);

/// The value of an `arith.constant` of index or integer type.
std::optional<int64_t> constantInt(MlirValue value);

// --- building ---------------------------------------------------------------

struct NamedAttr {
  std::string_view name;
  MlirAttribute value;
};
/// Creates an operation without inserting it.
MlirOperation create(std::string_view opName, MlirLocation location,
                     const std::vector<MlirValue> &operands,
                     const std::vector<MlirType> &resultTypes,
                     const std::vector<NamedAttr> &attrs = {});
void insertBefore(MlirOperation anchor, MlirOperation op);
void insertAfter(MlirOperation anchor, MlirOperation op);

/// Hands out `arith.constant : index` values before `anchor`, each number once.
class IndexConstants {
public:
  explicit IndexConstants(MlirOperation anchor) : anchor(anchor) {}
  MlirValue get(int64_t value);

private:
  MlirOperation anchor;
  std::map<int64_t, MlirValue> known;
};

// --- diagnostics ------------------------------------------------------------

void emitError(MlirLocation location, const std::string &message);
void emitWarning(MlirLocation location, const std::string &message);
void emitRemark(MlirLocation location, const std::string &message);

/// IREE 3.12 exports no function for warnings and remarks. There they go to
/// this sink, which prints them to stderr unless a tool sets its own.
using DiagnosticSink =
    std::function<void(MlirLocation, MlirDiagnosticSeverity, std::string_view)>;
void setFallbackDiagnosticSink(DiagnosticSink sink);

/// Swallows every diagnostic of `context` while it lives, or the errors alone.
class SilenceDiagnostics {
public:
  explicit SilenceDiagnostics(MlirContext context, bool errorsOnly = false);
  ~SilenceDiagnostics();
  SilenceDiagnostics(const SilenceDiagnostics &) = delete;
  SilenceDiagnostics &operator=(const SilenceDiagnostics &) = delete;

  struct Error {
    MlirLocation location;
    std::string message;
  };
  /// The errors that were swallowed so far, in order, without their notes.
  const std::vector<Error> &errors() const { return swallowed; }

private:
  MlirContext context;
  bool errorsOnly;
  MlirDiagnosticHandlerID id;
  std::vector<Error> swallowed;
};

// --- passes -----------------------------------------------------------------

/// Creates a pass on `builtin.module` out of a function that returns false on
/// failure (after having emitted a diagnostic).
MlirPass createModulePass(std::string_view argument,
                          std::string_view description,
                          std::function<bool(MlirOperation)> run);

/// Adds a textual pipeline to `manager`. Returns false, after an error on
/// `module`, if it cannot be parsed.
bool parsePipeline(MlirPassManager manager, MlirOperation module,
                   const std::string &pipeline);

/// Runs a textual pipeline (`builtin.module(...)` or a bare pass list)
/// silently, outside of any invocation. Returns false on failure.
bool runPipeline(MlirOperation module, const std::string &pipeline,
                 bool verify = true);

} // namespace serenity::ir

#endif // SERENITY_IREE_IR_H

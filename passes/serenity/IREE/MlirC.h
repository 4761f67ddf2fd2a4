// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The part of the MLIR C API and of IREE's embedding API that serenity_mlir
// calls, as libIREECompiler.so exports it. The wheels ship no headers, so the
// declarations are repeated here, each under its upstream name. With
// SERENITY_CHECK_MLIR_C_ABI the upstream headers supply the types and every
// declaration below is checked against theirs (tests/test_c_abi.py).

#ifndef SERENITY_IREE_MLIRC_H
#define SERENITY_IREE_MLIRC_H

#include <cstddef>
#include <cstdint>

#ifdef SERENITY_CHECK_MLIR_C_ABI
#include "mlir-c/AffineMap.h"
#include "mlir-c/BuiltinAttributes.h"
#include "mlir-c/BuiltinTypes.h"
#include "mlir-c/Diagnostics.h"
#include "mlir-c/Dialect/Linalg.h"
#include "mlir-c/IR.h"
#include "mlir-c/Pass.h"
#include "mlir-c/Support.h"
#endif

extern "C" {

#ifndef SERENITY_CHECK_MLIR_C_ABI

// Handles: one pointer each.
#define SERENITY_HANDLE(name)                                                  \
  struct name {                                                                \
    void *ptr;                                                                 \
  }
SERENITY_HANDLE(MlirContext);
SERENITY_HANDLE(MlirDialect);
SERENITY_HANDLE(MlirDialectRegistry);
SERENITY_HANDLE(MlirOperation);
SERENITY_HANDLE(MlirOpOperand);
SERENITY_HANDLE(MlirOpPrintingFlags);
SERENITY_HANDLE(MlirBlock);
SERENITY_HANDLE(MlirRegion);
SERENITY_HANDLE(MlirAsmState);
SERENITY_HANDLE(MlirBytecodeWriterConfig);
SERENITY_HANDLE(MlirDiagnostic);
SERENITY_HANDLE(MlirPass);
SERENITY_HANDLE(MlirExternalPass);
SERENITY_HANDLE(MlirPassManager);
SERENITY_HANDLE(MlirOpPassManager);
#undef SERENITY_HANDLE

#define SERENITY_CONST_HANDLE(name)                                            \
  struct name {                                                                \
    const void *ptr;                                                           \
  }
SERENITY_CONST_HANDLE(MlirAttribute);
SERENITY_CONST_HANDLE(MlirIdentifier);
SERENITY_CONST_HANDLE(MlirLocation);
SERENITY_CONST_HANDLE(MlirModule);
SERENITY_CONST_HANDLE(MlirType);
SERENITY_CONST_HANDLE(MlirValue);
SERENITY_CONST_HANDLE(MlirTypeID);
SERENITY_CONST_HANDLE(MlirDialectHandle);
SERENITY_CONST_HANDLE(MlirAffineMap);
SERENITY_CONST_HANDLE(MlirAffineExpr);
#undef SERENITY_CONST_HANDLE

struct MlirStringRef {
  const char *data;
  size_t length;
};
struct MlirLogicalResult {
  int8_t value;
};
struct MlirNamedAttribute {
  MlirIdentifier name;
  MlirAttribute attribute;
};
struct MlirOperationState {
  MlirStringRef name;
  MlirLocation location;
  intptr_t nResults;
  MlirType *results;
  intptr_t nOperands;
  MlirValue *operands;
  intptr_t nRegions;
  MlirRegion *regions;
  intptr_t nSuccessors;
  MlirBlock *successors;
  intptr_t nAttributes;
  MlirNamedAttribute *attributes;
  bool enableResultTypeInference;
};
struct MlirExternalPassCallbacks {
  void (*construct)(void *userData);
  void (*destruct)(void *userData);
  MlirLogicalResult (*initialize)(MlirContext ctx, void *userData);
  void *(*clone)(void *userData);
  void (*run)(MlirOperation op, MlirExternalPass pass, void *userData);
};

typedef void (*MlirStringCallback)(MlirStringRef, void *);
typedef uint64_t MlirDiagnosticHandlerID;
typedef MlirLogicalResult (*MlirDiagnosticHandler)(MlirDiagnostic,
                                                   void *userData);
enum MlirDiagnosticSeverity {
  MlirDiagnosticError,
  MlirDiagnosticWarning,
  MlirDiagnosticNote,
  MlirDiagnosticRemark
};
enum MlirWalkResult {
  MlirWalkResultAdvance,
  MlirWalkResultInterrupt,
  MlirWalkResultSkip
};
enum MlirWalkOrder { MlirWalkPreOrder, MlirWalkPostOrder };
typedef MlirWalkResult (*MlirOperationWalkCallback)(MlirOperation,
                                                    void *userData);
#endif // SERENITY_CHECK_MLIR_C_ABI

// Support.h
MlirTypeID mlirTypeIDCreate(const void *ptr);

// IR.h: contexts, locations, identifiers
void mlirContextSetAllowUnregisteredDialects(MlirContext context, bool allow);
void mlirContextLoadAllAvailableDialects(MlirContext context);
MlirDialect mlirContextGetOrLoadDialect(MlirContext context,
                                        MlirStringRef name);
MlirLocation mlirLocationUnknownGet(MlirContext context);
MlirLocation mlirLocationFusedGet(MlirContext ctx, intptr_t nLocations,
                                  MlirLocation const *locations,
                                  MlirAttribute metadata);
bool mlirLocationIsAFileLineColRange(MlirLocation location);
MlirIdentifier mlirLocationFileLineColRangeGetFilename(MlirLocation location);
int mlirLocationFileLineColRangeGetStartLine(MlirLocation location);
int mlirLocationFileLineColRangeGetStartColumn(MlirLocation location);
MlirContext mlirLocationGetContext(MlirLocation location);
void mlirLocationPrint(MlirLocation location, MlirStringCallback callback,
                       void *userData);
MlirIdentifier mlirIdentifierGet(MlirContext context, MlirStringRef str);
MlirStringRef mlirIdentifierStr(MlirIdentifier ident);
bool mlirLocationIsAName(MlirLocation location);
MlirLocation mlirLocationNameGet(MlirContext context, MlirStringRef name,
                                 MlirLocation childLoc);
MlirIdentifier mlirLocationNameGetName(MlirLocation location);
MlirLocation mlirLocationNameGetChildLoc(MlirLocation location);
bool mlirLocationIsACallSite(MlirLocation location);
MlirLocation mlirLocationCallSiteGet(MlirLocation callee, MlirLocation caller);
MlirLocation mlirLocationCallSiteGetCallee(MlirLocation location);
MlirLocation mlirLocationCallSiteGetCaller(MlirLocation location);
bool mlirLocationIsAFused(MlirLocation location);
unsigned mlirLocationFusedGetNumLocations(MlirLocation location);
MlirAttribute mlirLocationFusedGetMetadata(MlirLocation location);
void mlirLocationFusedGetLocations(MlirLocation location,
                                   MlirLocation *locationsCPtr);
void mlirContextEnableMultithreading(MlirContext context, bool enable);

// IR.h: operations
MlirOperationState mlirOperationStateGet(MlirStringRef name, MlirLocation loc);
void mlirOperationStateAddResults(MlirOperationState *state, intptr_t n,
                                  MlirType const *results);
void mlirOperationStateAddOperands(MlirOperationState *state, intptr_t n,
                                   MlirValue const *operands);
void mlirOperationStateAddOwnedRegions(MlirOperationState *state, intptr_t n,
                                       MlirRegion const *regions);
void mlirOperationStateAddAttributes(MlirOperationState *state, intptr_t n,
                                     MlirNamedAttribute const *attributes);
MlirOperation mlirOperationCreate(MlirOperationState *state);
MlirOperation mlirOperationClone(MlirOperation op);
void mlirOperationDestroy(MlirOperation op);
void mlirOperationRemoveFromParent(MlirOperation op);
bool mlirOperationEqual(MlirOperation op, MlirOperation other);
MlirContext mlirOperationGetContext(MlirOperation op);
MlirLocation mlirOperationGetLocation(MlirOperation op);
void mlirOperationSetLocation(MlirOperation op, MlirLocation loc);
MlirIdentifier mlirOperationGetName(MlirOperation op);
MlirBlock mlirOperationGetBlock(MlirOperation op);
MlirOperation mlirOperationGetParentOperation(MlirOperation op);
intptr_t mlirOperationGetNumRegions(MlirOperation op);
MlirRegion mlirOperationGetRegion(MlirOperation op, intptr_t pos);
MlirOperation mlirOperationGetNextInBlock(MlirOperation op);
intptr_t mlirOperationGetNumOperands(MlirOperation op);
MlirValue mlirOperationGetOperand(MlirOperation op, intptr_t pos);
void mlirOperationSetOperand(MlirOperation op, intptr_t pos,
                             MlirValue newValue);
intptr_t mlirOperationGetNumResults(MlirOperation op);
MlirValue mlirOperationGetResult(MlirOperation op, intptr_t pos);
intptr_t mlirOperationGetNumSuccessors(MlirOperation op);
MlirBlock mlirOperationGetSuccessor(MlirOperation op, intptr_t pos);
intptr_t mlirOperationGetNumAttributes(MlirOperation op);
MlirNamedAttribute mlirOperationGetAttribute(MlirOperation op, intptr_t pos);
MlirAttribute mlirOperationGetAttributeByName(MlirOperation op,
                                              MlirStringRef name);
void mlirOperationSetAttributeByName(MlirOperation op, MlirStringRef name,
                                     MlirAttribute attr);
bool mlirOperationRemoveAttributeByName(MlirOperation op, MlirStringRef name);
void mlirOperationSetDiscardableAttributeByName(MlirOperation op,
                                                MlirStringRef name,
                                                MlirAttribute attr);
bool mlirOperationRemoveDiscardableAttributeByName(MlirOperation op,
                                                   MlirStringRef name);
void mlirOperationPrint(MlirOperation op, MlirStringCallback callback,
                        void *userData);
void mlirOperationPrintWithFlags(MlirOperation op, MlirOpPrintingFlags flags,
                                 MlirStringCallback callback, void *userData);
void mlirOperationWriteBytecode(MlirOperation op, MlirStringCallback callback,
                                void *userData);
bool mlirOperationVerify(MlirOperation op);
void mlirOperationMoveBefore(MlirOperation op, MlirOperation other);
bool mlirOperationIsBeforeInBlock(MlirOperation op, MlirOperation other);
void mlirOperationWalk(MlirOperation op, MlirOperationWalkCallback callback,
                       void *userData, MlirWalkOrder walkOrder);
MlirOpPrintingFlags mlirOpPrintingFlagsCreate(void);
void mlirOpPrintingFlagsDestroy(MlirOpPrintingFlags flags);
void mlirOpPrintingFlagsElideLargeElementsAttrs(MlirOpPrintingFlags flags,
                                                intptr_t largeElementLimit);
void mlirOpPrintingFlagsElideLargeResourceString(MlirOpPrintingFlags flags,
                                                 intptr_t largeResourceLimit);

// IR.h: regions, blocks, values
MlirRegion mlirRegionCreate(void);
MlirBlock mlirRegionGetFirstBlock(MlirRegion region);
void mlirRegionAppendOwnedBlock(MlirRegion region, MlirBlock block);
MlirBlock mlirBlockCreate(intptr_t nArgs, MlirType const *args,
                          MlirLocation const *locs);
bool mlirBlockEqual(MlirBlock block, MlirBlock other);
MlirOperation mlirBlockGetParentOperation(MlirBlock);
MlirBlock mlirBlockGetNextInRegion(MlirBlock block);
MlirOperation mlirBlockGetFirstOperation(MlirBlock block);
MlirOperation mlirBlockGetTerminator(MlirBlock block);
void mlirBlockAppendOwnedOperation(MlirBlock block, MlirOperation operation);
void mlirBlockInsertOwnedOperationBefore(MlirBlock block,
                                         MlirOperation reference,
                                         MlirOperation operation);
void mlirBlockInsertOwnedOperationAfter(MlirBlock block,
                                        MlirOperation reference,
                                        MlirOperation operation);
intptr_t mlirBlockGetNumArguments(MlirBlock block);
MlirValue mlirBlockGetArgument(MlirBlock block, intptr_t pos);
void mlirBlockEraseArgument(MlirBlock block, unsigned index);
bool mlirValueEqual(MlirValue value1, MlirValue value2);
bool mlirValueIsABlockArgument(MlirValue value);
bool mlirValueIsAOpResult(MlirValue value);
MlirBlock mlirBlockArgumentGetOwner(MlirValue value);
intptr_t mlirBlockArgumentGetArgNumber(MlirValue value);
MlirOperation mlirOpResultGetOwner(MlirValue value);
intptr_t mlirOpResultGetResultNumber(MlirValue value);
MlirType mlirValueGetType(MlirValue value);
void mlirValueSetType(MlirValue value, MlirType type);
MlirOpOperand mlirValueGetFirstUse(MlirValue value);
void mlirValueReplaceAllUsesOfWith(MlirValue of, MlirValue with);
bool mlirOpOperandIsNull(MlirOpOperand opOperand);
MlirOperation mlirOpOperandGetOwner(MlirOpOperand opOperand);
unsigned mlirOpOperandGetOperandNumber(MlirOpOperand opOperand);
MlirOpOperand mlirOpOperandGetNextUse(MlirOpOperand opOperand);

// IR.h: modules, types, attributes
MlirType mlirTypeParseGet(MlirContext context, MlirStringRef type);
bool mlirTypeEqual(MlirType t1, MlirType t2);
void mlirTypePrint(MlirType type, MlirStringCallback callback, void *userData);
MlirAttribute mlirAttributeParseGet(MlirContext context, MlirStringRef attr);
MlirContext mlirAttributeGetContext(MlirAttribute attribute);
MlirType mlirAttributeGetType(MlirAttribute attribute);
bool mlirAttributeEqual(MlirAttribute a1, MlirAttribute a2);
void mlirAttributePrint(MlirAttribute attr, MlirStringCallback callback,
                        void *userData);
MlirNamedAttribute mlirNamedAttributeGet(MlirIdentifier name,
                                         MlirAttribute attr);

// BuiltinTypes.h
bool mlirTypeIsAInteger(MlirType type);
MlirType mlirIntegerTypeGet(MlirContext ctx, unsigned bitwidth);
unsigned mlirIntegerTypeGetWidth(MlirType type);
bool mlirTypeIsAIndex(MlirType type);
MlirType mlirIndexTypeGet(MlirContext ctx);
bool mlirTypeIsAFloat(MlirType type);
unsigned mlirFloatTypeGetWidth(MlirType type);
bool mlirTypeIsAComplex(MlirType type);
MlirType mlirComplexTypeGetElementType(MlirType type);
bool mlirTypeIsAShaped(MlirType type);
MlirType mlirShapedTypeGetElementType(MlirType type);
bool mlirShapedTypeHasRank(MlirType type);
int64_t mlirShapedTypeGetRank(MlirType type);
bool mlirShapedTypeHasStaticShape(MlirType type);
int64_t mlirShapedTypeGetDimSize(MlirType type, intptr_t dim);
int64_t mlirShapedTypeGetDynamicStrideOrOffset(void);
bool mlirTypeIsARankedTensor(MlirType type);
MlirType mlirRankedTensorTypeGet(intptr_t rank, const int64_t *shape,
                                 MlirType elementType, MlirAttribute encoding);
MlirAttribute mlirRankedTensorTypeGetEncoding(MlirType type);
MlirType mlirFunctionTypeGet(MlirContext ctx, intptr_t numInputs,
                             MlirType const *inputs, intptr_t numResults,
                             MlirType const *results);

// BuiltinAttributes.h
MlirAttribute mlirAttributeGetNull(void);
bool mlirAttributeIsAArray(MlirAttribute attr);
MlirAttribute mlirArrayAttrGet(MlirContext ctx, intptr_t numElements,
                               MlirAttribute const *elements);
intptr_t mlirArrayAttrGetNumElements(MlirAttribute attr);
MlirAttribute mlirArrayAttrGetElement(MlirAttribute attr, intptr_t pos);
bool mlirAttributeIsADictionary(MlirAttribute attr);
MlirAttribute mlirDictionaryAttrGetElementByName(MlirAttribute attr,
                                                 MlirStringRef name);
bool mlirAttributeIsAFloat(MlirAttribute attr);
double mlirFloatAttrGetValueDouble(MlirAttribute attr);
bool mlirAttributeIsAInteger(MlirAttribute attr);
MlirAttribute mlirIntegerAttrGet(MlirType type, int64_t value);
int64_t mlirIntegerAttrGetValueInt(MlirAttribute attr);
MlirAttribute mlirBoolAttrGet(MlirContext ctx, int value);
bool mlirAttributeIsAString(MlirAttribute attr);
MlirAttribute mlirStringAttrGet(MlirContext ctx, MlirStringRef str);
MlirStringRef mlirStringAttrGetValue(MlirAttribute attr);
MlirAttribute mlirSymbolRefAttrGet(MlirContext ctx, MlirStringRef symbol,
                                   intptr_t numReferences,
                                   MlirAttribute const *references);
MlirStringRef mlirSymbolRefAttrGetRootReference(MlirAttribute attr);
bool mlirAttributeIsAFlatSymbolRef(MlirAttribute attr);
MlirAttribute mlirFlatSymbolRefAttrGet(MlirContext ctx, MlirStringRef symbol);
MlirStringRef mlirFlatSymbolRefAttrGetValue(MlirAttribute attr);
MlirAttribute mlirTypeAttrGet(MlirType type);
MlirAttribute mlirUnitAttrGet(MlirContext ctx);
bool mlirAttributeIsADenseI64Array(MlirAttribute attr);
MlirAttribute mlirDenseI64ArrayGet(MlirContext ctx, intptr_t size,
                                   int64_t const *values);
MlirAttribute mlirDenseI32ArrayGet(MlirContext ctx, intptr_t size,
                                   int32_t const *values);
bool mlirAttributeIsADenseI32Array(MlirAttribute attr);
intptr_t mlirDenseArrayGetNumElements(MlirAttribute attr);
int32_t mlirDenseI32ArrayGetElement(MlirAttribute attr, intptr_t pos);
int64_t mlirDenseI64ArrayGetElement(MlirAttribute attr, intptr_t pos);
bool mlirAttributeIsADenseElements(MlirAttribute attr);
MlirAttribute mlirDenseElementsAttrRawBufferGet(MlirType shapedType,
                                                size_t rawBufferSize,
                                                const void *rawBuffer);
MlirAttribute mlirDenseElementsAttrSplatGet(MlirType shapedType,
                                            MlirAttribute element);
bool mlirDenseElementsAttrIsSplat(MlirAttribute attr);
MlirAttribute mlirDenseElementsAttrGetSplatValue(MlirAttribute attr);
const void *mlirDenseElementsAttrGetRawData(MlirAttribute attr);
int64_t mlirElementsAttrGetNumElements(MlirAttribute attr);
bool mlirAttributeIsADenseResourceElements(MlirAttribute attr);
MlirAffineMap mlirAffineMapAttrGetValue(MlirAttribute attr);

// AffineMap.h, AffineExpr.h
intptr_t mlirAffineMapGetNumDims(MlirAffineMap affineMap);
intptr_t mlirAffineMapGetNumResults(MlirAffineMap affineMap);
MlirAffineExpr mlirAffineMapGetResult(MlirAffineMap affineMap, intptr_t pos);
bool mlirAffineMapEqual(MlirAffineMap a1, MlirAffineMap a2);
bool mlirAffineMapIsIdentity(MlirAffineMap affineMap);
bool mlirAffineMapIsProjectedPermutation(MlirAffineMap affineMap);
bool mlirAffineExprIsADim(MlirAffineExpr affineExpr);
intptr_t mlirAffineDimExprGetPosition(MlirAffineExpr affineExpr);
bool mlirAffineExprIsFunctionOfDim(MlirAffineExpr affineExpr,
                                   intptr_t position);
bool mlirAffineExprIsAConstant(MlirAffineExpr affineExpr);
int64_t mlirAffineConstantExprGetValue(MlirAffineExpr affineExpr);
bool mlirAffineExprIsAAdd(MlirAffineExpr affineExpr);
bool mlirAffineExprIsAMul(MlirAffineExpr affineExpr);
MlirAffineExpr mlirAffineBinaryOpExprGetLHS(MlirAffineExpr affineExpr);
MlirAffineExpr mlirAffineBinaryOpExprGetRHS(MlirAffineExpr affineExpr);

// Dialect/Linalg.h. Null unless the operation is a structured one.
MlirAttribute mlirLinalgGetIndexingMapsAttribute(MlirOperation op);

// Diagnostics.h
void mlirDiagnosticPrint(MlirDiagnostic diagnostic, MlirStringCallback callback,
                         void *userData);
MlirLocation mlirDiagnosticGetLocation(MlirDiagnostic diagnostic);
MlirDiagnosticSeverity mlirDiagnosticGetSeverity(MlirDiagnostic diagnostic);
intptr_t mlirDiagnosticGetNumNotes(MlirDiagnostic diagnostic);
MlirDiagnostic mlirDiagnosticGetNote(MlirDiagnostic diagnostic, intptr_t pos);
MlirDiagnosticHandlerID mlirContextAttachDiagnosticHandler(
    MlirContext context, MlirDiagnosticHandler handler, void *userData,
    void (*deleteUserData)(void *));
void mlirContextDetachDiagnosticHandler(MlirContext context,
                                        MlirDiagnosticHandlerID id);
void mlirEmitError(MlirLocation location, const char *message);
#ifndef SERENITY_CHECK_MLIR_C_ABI
// Since IREE 3.13; null on 3.12.
__attribute__((weak)) void mlirEmitRemark(MlirLocation location,
                                          const char *message);
__attribute__((weak)) void mlirEmitWarning(MlirLocation location,
                                           const char *message);
#endif

// Pass.h
void mlirPassManagerDestroy(MlirPassManager passManager);
MlirOpPassManager
mlirPassManagerGetAsOpPassManager(MlirPassManager passManager);
MlirLogicalResult mlirPassManagerRunOnOp(MlirPassManager passManager,
                                         MlirOperation op);
void mlirPassManagerEnableIRPrinting(MlirPassManager passManager,
                                     bool printBeforeAll, bool printAfterAll,
                                     bool printModuleScope,
                                     bool printAfterOnlyOnChange,
                                     bool printAfterOnlyOnFailure,
                                     MlirOpPrintingFlags flags,
                                     MlirStringRef treePrintingPath);
void mlirPassManagerEnableVerifier(MlirPassManager passManager, bool enable);
void mlirPassManagerEnableTiming(MlirPassManager passManager);
void mlirPassManagerAddOwnedPass(MlirPassManager passManager, MlirPass pass);
MlirLogicalResult mlirParsePassPipeline(MlirOpPassManager passManager,
                                        MlirStringRef pipeline,
                                        MlirStringCallback callback,
                                        void *userData);
MlirLogicalResult mlirOpPassManagerAddPipeline(MlirOpPassManager passManager,
                                               MlirStringRef pipelineElements,
                                               MlirStringCallback callback,
                                               void *userData);
MlirPass mlirCreateExternalPass(MlirTypeID passID, MlirStringRef name,
                                MlirStringRef argument,
                                MlirStringRef description, MlirStringRef opName,
                                intptr_t nDependentDialects,
                                MlirDialectHandle *dependentDialects,
                                MlirExternalPassCallbacks callbacks,
                                void *userData);
void mlirExternalPassSignalFailure(MlirExternalPass pass);
MlirPassManager mlirPassManagerCreateOnOperation(MlirContext ctx,
                                                 MlirStringRef anchorOp);

} // extern "C"

#endif // SERENITY_IREE_MLIRC_H

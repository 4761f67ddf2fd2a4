// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The part of IREE's compiler embedding API (embedding_api.h, mlir_interop.h,
// tool_entry_points_api.h) that serenity_mlir calls, under its upstream names.

#ifndef SERENITY_IREE_IREEC_H
#define SERENITY_IREE_IREEC_H

#include "serenity/IREE/MlirC.h"

extern "C" {

typedef struct iree_compiler_error_t iree_compiler_error_t;
typedef struct iree_compiler_session_t iree_compiler_session_t;
typedef struct iree_compiler_invocation_t iree_compiler_invocation_t;
typedef struct iree_compiler_source_t iree_compiler_source_t;
typedef struct iree_compiler_output_t iree_compiler_output_t;

enum iree_compiler_pipeline_t {
  IREE_COMPILER_PIPELINE_STD = 0,
  IREE_COMPILER_PIPELINE_HAL_EXECUTABLE = 1,
  IREE_COMPILER_PIPELINE_PRECOMPILE = 2,
  IREE_COMPILER_PIPELINE_VM = 3,
};

int ireeCompilerRunMain(int argc, char **argv);

void ireeCompilerGlobalInitialize();
void ireeCompilerGlobalShutdown();
const char *ireeCompilerGetRevision();
void ireeCompilerSetupGlobalCL(int argc, const char **argv, const char *banner,
                               bool installSignalHandlers);

void ireeCompilerErrorDestroy(iree_compiler_error_t *error);
const char *ireeCompilerErrorGetMessage(iree_compiler_error_t *error);

iree_compiler_session_t *ireeCompilerSessionCreate();
void ireeCompilerSessionDestroy(iree_compiler_session_t *session);
iree_compiler_error_t *
ireeCompilerSessionSetFlags(iree_compiler_session_t *session, int argc,
                            const char *const *argv);
void ireeCompilerSessionGetFlags(iree_compiler_session_t *session,
                                 bool nonDefaultOnly,
                                 void (*onFlag)(const char *flag, size_t length,
                                                void *userData),
                                 void *userData);

iree_compiler_invocation_t *
ireeCompilerInvocationCreate(iree_compiler_session_t *session);
void ireeCompilerInvocationDestroy(iree_compiler_invocation_t *inv);
bool ireeCompilerInvocationParseSource(iree_compiler_invocation_t *inv,
                                       iree_compiler_source_t *source);
void ireeCompilerInvocationSetCompileFromPhase(iree_compiler_invocation_t *inv,
                                               const char *phase);
void ireeCompilerInvocationSetCompileToPhase(iree_compiler_invocation_t *inv,
                                             const char *phase);
void ireeCompilerInvocationSetDumpCompilationPhasesTo(
    iree_compiler_invocation_t *inv, const char *path);
void ireeCompilerInvocationSetVerifyIR(iree_compiler_invocation_t *inv,
                                       bool enable);
bool ireeCompilerInvocationPipeline(iree_compiler_invocation_t *inv,
                                    enum iree_compiler_pipeline_t pipeline);
bool ireeCompilerInvocationRunPassPipeline(iree_compiler_invocation_t *inv,
                                           const char *textPassPipeline);

iree_compiler_error_t *
ireeCompilerSourceOpenFile(iree_compiler_session_t *session,
                           const char *filePath,
                           iree_compiler_source_t **out_source);
void ireeCompilerSourceDestroy(iree_compiler_source_t *source);
iree_compiler_error_t *
ireeCompilerSourceWrapBuffer(iree_compiler_session_t *session,
                             const char *bufferName, const char *buffer,
                             size_t length, bool isNullTerminated,
                             iree_compiler_source_t **out_source);

iree_compiler_error_t *
ireeCompilerOutputOpenFile(const char *filePath,
                           iree_compiler_output_t **out_output);
iree_compiler_error_t *
ireeCompilerOutputOpenFD(int fd, iree_compiler_output_t **out_output);
void ireeCompilerOutputDestroy(iree_compiler_output_t *output);
void ireeCompilerOutputKeep(iree_compiler_output_t *output);

MlirContext ireeCompilerSessionBorrowContext(iree_compiler_session_t *session);
bool ireeCompilerInvocationImportBorrowModule(iree_compiler_invocation_t *inv,
                                              MlirOperation moduleOp);
MlirOperation
ireeCompilerInvocationExportStealModule(iree_compiler_invocation_t *inv);

} // extern "C"

#endif // SERENITY_IREE_IREEC_H

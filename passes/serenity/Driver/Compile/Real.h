// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// IREE's own versions of the functions that this program interposes.

#ifndef SERENITY_DRIVER_COMPILE_REAL_H
#define SERENITY_DRIVER_COMPILE_REAL_H

#include "serenity/IREE/IreeC.h"
#include "serenity/IREE/OwningHandles.h"

#include <memory>

namespace serenity::real {

// Each forwards to the function of libIREECompiler.so.
iree_compiler_invocation_t *invocationCreate(iree_compiler_session_t *session);
void invocationDestroy(iree_compiler_invocation_t *inv);
using OwningInvocation =
    std::unique_ptr<iree_compiler_invocation_t, ir::Destroy<invocationDestroy>>;
void setCompileFromPhase(iree_compiler_invocation_t *inv, const char *phase);
void setCompileToPhase(iree_compiler_invocation_t *inv, const char *phase);
void setDumpCompilationPhasesTo(iree_compiler_invocation_t *inv,
                                const char *path);
void setVerifyIR(iree_compiler_invocation_t *inv, bool enable);
bool pipeline(iree_compiler_invocation_t *inv, iree_compiler_pipeline_t which);
iree_compiler_error_t *sourceOpenFile(iree_compiler_session_t *session,
                                      const char *path,
                                      iree_compiler_source_t **source);
iree_compiler_error_t *outputOpenFile(const char *path,
                                      iree_compiler_output_t **output);
void outputDestroy(iree_compiler_output_t *output);
void outputKeep(iree_compiler_output_t *output);

} // namespace serenity::real

#endif // SERENITY_DRIVER_COMPILE_REAL_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Ownership of the handles of IREE's compiler API and of MLIR's printing
/// flags.

#ifndef SERENITY_IREE_OWNINGHANDLES_H
#define SERENITY_IREE_OWNINGHANDLES_H

#include "serenity/IREE/IreeC.h"
#include "serenity/IREE/MlirC.h"

#include <memory>

namespace serenity::ir {

/// A deleter that calls `function`.
template <auto function> struct Destroy {
  template <typename Handle> void operator()(Handle *handle) const {
    function(handle);
  }
};

/// Outlives its invocations and sources.
using OwningSession = std::unique_ptr<iree_compiler_session_t,
                                      Destroy<ireeCompilerSessionDestroy>>;
/// Destroyed before its session and before the source that it has parsed.
using OwningInvocation =
    std::unique_ptr<iree_compiler_invocation_t,
                    Destroy<ireeCompilerInvocationDestroy>>;
using OwningSource =
    std::unique_ptr<iree_compiler_source_t, Destroy<ireeCompilerSourceDestroy>>;
/// Null on success.
using OwningError =
    std::unique_ptr<iree_compiler_error_t, Destroy<ireeCompilerErrorDestroy>>;

/// Printing flags, MLIR's defaults at first.
class OwningPrintingFlags {
public:
  OwningPrintingFlags() : flags(mlirOpPrintingFlagsCreate()) {}
  OwningPrintingFlags(const OwningPrintingFlags &) = delete;
  OwningPrintingFlags &operator=(const OwningPrintingFlags &) = delete;
  ~OwningPrintingFlags() { mlirOpPrintingFlagsDestroy(flags); }

  /// The flags, which stay owned.
  MlirOpPrintingFlags get() const { return flags; }

private:
  MlirOpPrintingFlags flags;
};

} // namespace serenity::ir

#endif // SERENITY_IREE_OWNINGHANDLES_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TESTS_IR_PARSEDMODULE_H
#define SERENITY_TESTS_IR_PARSEDMODULE_H

#include "serenity/IREE/Diagnostics.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/IreeC.h"
#include "serenity/IREE/OwningHandles.h"
#include "serenity/IREE/OwningOp.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

// IR.h; serenity_mlir itself reads files through IREE's invocations.
extern "C" MlirOperation mlirOperationCreateParse(MlirContext context,
                                                  MlirStringRef source,
                                                  MlirStringRef name);

namespace serenity::test {

/// The one session of a test program, with all dialects of IREE.
class Session {
public:
  Session() {
    ireeCompilerGlobalInitialize();
    const char *argv[] = {"test"};
    ireeCompilerSetupGlobalCL(1, argv, "test", /*installSignalHandlers=*/false);
    session.reset(ireeCompilerSessionCreate());
  }
  ~Session() {
    session.reset(); // before the compiler that it belongs to
    ireeCompilerGlobalShutdown();
  }
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  /// A module of `operations`; ends the program if these do not
  /// parse.
  ir::OwningOp parse(const std::string &operations) {
    const std::string text = "builtin.module {" + operations + "}";
    MlirContext context = ireeCompilerSessionBorrowContext(session.get());
    ir::DiagnosticPrinter printer(context, "test.mlir", text);
    ir::OwningOp module(mlirOperationCreateParse(context, ir::strRef(text),
                                                 ir::strRef("test.mlir")));
    if (!module) {
      std::fprintf(stderr, "the module of a test does not parse\n");
      std::exit(1);
    }
    return module;
  }

private:
  ir::OwningSession session;
};

/// All operations called `name` in `module`, in program order.
inline std::vector<MlirOperation> findAll(MlirOperation module,
                                          const char *name) {
  std::vector<MlirOperation> found;
  ir::walk(module, [&](MlirOperation op) {
    if (ir::isa(op, name)) {
      found.push_back(op);
    }
  });
  return found;
}

} // namespace serenity::test

#endif // SERENITY_TESTS_IR_PARSEDMODULE_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The extension `serenity_mlir._passes`: the serenity passes for the pass
// managers of `iree.compiler.passmanager`. Handles cross as MLIR's `_CAPIPtr`
// capsules.

#include "serenity/Transforms/Passes.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

namespace nb = nanobind;

namespace {

MlirPassManager passManagerFromCapsule(const nb::object &capsule) {
  void *pointer = PyCapsule_GetPointer(
      capsule.ptr(), "iree.compiler.passmanager.PassManager._CAPIPtr");
  if (!pointer) {
    throw nb::python_error();
  }
  return MlirPassManager{pointer};
}

void addPass(const nb::object &capsule, const std::string &name,
             const std::string &text) {
  serenity::Options options;
  if (serenity::Status status = serenity::setPassOptions(options, name, text);
      !status) {
    throw nb::value_error(status.message().c_str());
  }
  mlirPassManagerAddOwnedPass(passManagerFromCapsule(capsule),
                              serenity::createPass(name, options, nullptr));
}

} // namespace

NB_MODULE(_passes, m) {
  m.doc() = "MLIR passes of serenity_mlir; use serenity_mlir.passes.";
  m.def("add_pass", &addPass, nb::arg("pass_manager"), nb::arg("name"),
        nb::arg("options"));
}

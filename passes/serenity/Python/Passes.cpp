// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The extension `serenity_mlir._passes`: our passes for the pass managers of
// `iree.compiler.passmanager`. Handles cross as MLIR's `_CAPIPtr` capsules.

#include "serenity/Transforms/Passes.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

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

void addPass(const nb::object &capsule, const std::string &name, int scheduler,
             int offsets, int rewrite, double timeLimit, int64_t stateLimit) {
  serenity::Options options;
  options.scheduler = static_cast<serenity::Algorithm>(scheduler);
  options.offsets = static_cast<serenity::PackAlgorithm>(offsets);
  options.rewrite = static_cast<serenity::RewriteMode>(rewrite);
  options.timeLimitSeconds = timeLimit;
  options.stateLimit = stateLimit;
  MlirPassManager manager = passManagerFromCapsule(capsule);
  MlirPass pass = serenity::createPass(name, options, nullptr);
  if (!pass.ptr) {
    throw nb::value_error(("there is no pass '" + name + "'").c_str());
  }
  mlirPassManagerAddOwnedPass(manager, pass);
}

std::vector<std::string> passNames() {
  std::vector<std::string> names;
  for (const serenity::PassInfo &info : serenity::passTable()) {
    names.emplace_back(info.argument);
  }
  return names;
}

} // namespace

NB_MODULE(_passes, m) {
  m.doc() = "MLIR passes of serenity_mlir; use serenity_mlir.passes.";
  m.def("add_pass", &addPass, nb::arg("pass_manager"), nb::arg("name"),
        nb::arg("scheduler"), nb::arg("offsets"), nb::arg("rewrite"),
        nb::arg("time_limit"), nb::arg("state_limit"));
  m.def("pass_names", &passNames);
}

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Passes.h"

#include "serenity/IREE/Ir.h"

namespace serenity {

const std::vector<PassInfo> &passTable() {
  static const std::vector<PassInfo> table = {
#define SERENITY_PASS(name, run, source, summary, options, level, place)       \
  {name, summary, run},
#include "serenity/Transforms/Passes.def"
  };
  return table;
}

const PassInfo *findPass(const std::string &name) {
  for (const PassInfo &info : passTable()) {
    if (name == info.argument) {
      return &info;
    }
  }
  return nullptr;
}

MlirPass createPass(const std::string &argument, const Options &options,
                    ModuleReport *report) {
  const PassInfo *info = findPass(argument);
  if (!info) {
    return MlirPass{nullptr};
  }
  auto *run = info->run;
  return ir::createModulePass(info->argument, info->description,
                              [run, options, report](MlirOperation module) {
                                return run(module, options, report);
                              });
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Passes.h"

#include "serenity/IREE/Ir.h"

namespace serenity {

const std::vector<PassInfo> &passTable() {
  static const std::vector<PassInfo> table = {
      {"serenity-rewrite",
       "Split convolutions and sums over concatenations into in-place parts",
       runRewrite},
      {"serenity-schedule",
       "Order the flow operations of every function for least peak memory",
       runSchedule},
      {"serenity-schedule-regions",
       "Order the commands of stream.async.execute for least peak memory",
       runScheduleRegions},
      {"serenity-waves",
       "Let neighbouring commands run concurrently where the slab stays the "
       "same",
       runWaves},
      {"serenity-pack",
       "Give the slices of stream.resource.pack offsets of least height",
       runPack},
      {"serenity-clone-callees",
       "Give every call of a private function a function of its own",
       runCloneCallees},
  };
  return table;
}

MlirPass createPass(const std::string &argument, const Options &options,
                    ModuleReport *report) {
  for (const PassInfo &info : passTable()) {
    if (argument == info.argument) {
      auto *run = info.run;
      return ir::createModulePass(info.argument, info.description,
                                  [run, options, report](MlirOperation module) {
                                    return run(module, options, report);
                                  });
    }
  }
  return MlirPass{nullptr};
}

} // namespace serenity

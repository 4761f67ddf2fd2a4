// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/IREE/PipelineCache.h"

#include "serenity/IREE/Diagnostics.h"
#include "serenity/IREE/Ir.h"

namespace serenity::ir {

PipelineCache::~PipelineCache() {
  for (const auto &item : managers) {
    mlirPassManagerDestroy(item.second);
  }
}

bool PipelineCache::run(MlirOperation module, const std::string &pipeline) {
  auto known = managers.find(pipeline);
  if (known == managers.end()) {
    MlirPassManager manager =
        mlirPassManagerCreate(mlirOperationGetContext(module));
    mlirPassManagerEnableVerifier(manager, false);
    if (!parsePipeline(manager, module, pipeline)) {
      mlirPassManagerDestroy(manager);
      return false;
    }
    known = managers.emplace(pipeline, manager).first;
  }
  return mlirPassManagerRunOnOp(known->second, module).value != 0;
}

} // namespace serenity::ir

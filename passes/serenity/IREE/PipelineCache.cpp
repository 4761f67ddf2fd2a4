// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/IREE/PipelineCache.h"

#include "serenity/IREE/Diagnostics.h"
#include "serenity/IREE/Ir.h"

namespace serenity::ir {

bool PipelineCache::run(MlirOperation module, const std::string &pipeline) {
  auto known = managers.find(pipeline);
  if (known == managers.end()) {
    OwningPassManager manager(mlirOperationGetContext(module));
    mlirPassManagerEnableVerifier(manager.get(), false);
    if (!parsePipeline(manager.get(), module, pipeline)) {
      return false;
    }
    known = managers.emplace(pipeline, std::move(manager)).first;
  }
  return known->second.run(module);
}

} // namespace serenity::ir

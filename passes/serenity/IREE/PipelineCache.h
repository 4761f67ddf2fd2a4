// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Textual pipelines that are parsed and initialized once and run many times.

#ifndef SERENITY_IREE_PIPELINECACHE_H
#define SERENITY_IREE_PIPELINECACHE_H

#include "serenity/IREE/OwningPassManager.h"

#include <map>
#include <string>

namespace serenity::ir {

/// Pass managers by their text. Building one, and freezing the patterns of the
/// canonicalizers in it, takes a large part of the time that IREE needs for a
/// small module; a pass manager that runs again keeps both. All modules must be
/// of one context, which must outlive the cache.
class PipelineCache {
public:
  /// Runs a pipeline (a bare pass list on `builtin.module`) on `module` without
  /// verification. Returns false on failure, after a diagnostic.
  bool run(MlirOperation module, const std::string &pipeline);

private:
  std::map<std::string, OwningPassManager> managers;
};

} // namespace serenity::ir

#endif // SERENITY_IREE_PIPELINECACHE_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_OPT_PIPELINEPARSER_H
#define SERENITY_DRIVER_OPT_PIPELINEPARSER_H

#include "serenity/Core/Status.h"

#include <string>
#include <vector>

namespace serenity::opt {

/// An element of the top level of `builtin.module(...)`.
struct Element {
  std::string name;
  /// The element as MLIR's parser takes it.
  std::string text;
  /// Text in its braces, for a pass of serenity.
  std::string options;
};

/// Cuts `builtin.module(a,b{...},func.func(c))` into its elements. Checks only
/// as much as is needed to find the passes of serenity; MLIR's parser checks
/// the rest.
Status splitPipeline(const std::string &pipeline,
                     std::vector<Element> &elements);

} // namespace serenity::opt

#endif // SERENITY_DRIVER_OPT_PIPELINEPARSER_H

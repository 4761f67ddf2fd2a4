// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Analysis/ResourceConfig.h"

#include "serenity/IREE/Ir.h"

#include <cstdlib>

namespace serenity {

/// The number behind `key = ` in a printed attribute; the C API has no accessor
/// for attributes of IREE's dialects.
static int64_t numberAfter(const std::string &text, const std::string &key,
                           int64_t fallback) {
  size_t at = text.find(key);
  if (at == std::string::npos) {
    return fallback;
  }
  at = text.find('=', at);
  if (at == std::string::npos) {
    return fallback;
  }
  int64_t value = std::strtoll(text.c_str() + at + 1, nullptr, 10);
  return value > 0 ? value : fallback;
}

ResourceConfig lookupResourceConfig(MlirOperation op,
                                    int64_t defaultAlignment) {
  ResourceConfig config;
  config.offsetAlignment = config.rangeAlignment = defaultAlignment;
  for (; op.ptr; op = mlirOperationGetParentOperation(op)) {
    MlirAttribute found = ir::attr(op, "stream.resources");
    if (ir::isNull(found)) {
      continue;
    }
    std::string text = ir::toString(found);
    config.offsetAlignment = numberAfter(text, "min_buffer_offset_alignment",
                                         config.offsetAlignment);
    config.rangeAlignment =
        numberAfter(text, "min_buffer_range_alignment", config.rangeAlignment);
    break;
  }
  return config;
}

} // namespace serenity

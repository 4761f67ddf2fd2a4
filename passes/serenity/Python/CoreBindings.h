// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_PYTHON_COREBINDINGS_H
#define SERENITY_PYTHON_COREBINDINGS_H

#include "serenity/Core/Status.h"

#include <nanobind/nanobind.h>

#include <optional>
#include <string>

namespace serenity {

/// The message of a failure, which Python gets as `str`; None for success.
inline std::optional<std::string> messageOf(const Status &status) {
  return status ? std::nullopt : std::make_optional(status.message());
}

/// Binds `Problem`, `schedule`, `simulate` and their options.
void bindScheduling(nanobind::module_ &m);

/// Binds `pack`, its options and verification.
void bindOffsets(nanobind::module_ &m);

/// Binds the tables of Options.def and Passes.def.
void bindOptions(nanobind::module_ &m);

} // namespace serenity

#endif // SERENITY_PYTHON_COREBINDINGS_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_PYTHON_COREBINDINGS_H
#define SERENITY_PYTHON_COREBINDINGS_H

#include <nanobind/nanobind.h>

namespace serenity {

/// Binds `Problem`, `schedule`, `simulate` and their options.
void bindScheduling(nanobind::module_ &m);

/// Binds `pack`, its options and verification.
void bindOffsets(nanobind::module_ &m);

/// Binds the tables of Options.def and Passes.def.
void bindOptions(nanobind::module_ &m);

} // namespace serenity

#endif // SERENITY_PYTHON_COREBINDINGS_H

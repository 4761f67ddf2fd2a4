// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Copies of inputs that can be read only once (pipes, devices), so that a
/// process that takes the place of a crashed one can compile them again.

#ifndef SERENITY_DRIVER_COMPILE_INPUTCOPY_H
#define SERENITY_DRIVER_COMPILE_INPUTCOPY_H

#include <string>
#include <string_view>

namespace serenity {

/// Copies the rest of `from` to a file in memory, at offset 0 afterwards,
/// and returns its descriptor, which `execve` passes on; -1 with errno. The
/// copy ends with `terminator`, if that is not empty.
int copyToMemory(int from, std::string_view terminator = {});

/// Whether `path` can be read only once.
bool isReadOnce(const std::string &path);

/// Copies such an input, with a zero behind it; -1 with errno.
int copyInput(const std::string &path);

/// The contents of a copy that `copyInput` has made, the zero included; empty
/// with errno if they cannot be mapped. They stay mapped.
std::string_view mapInputCopy(int copy);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_INPUTCOPY_H

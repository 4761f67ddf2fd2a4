// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The user's request to IREE: the command line, and the session's flags with
/// their defaults.

#ifndef SERENITY_DRIVER_COMPILE_USERFLAGS_H
#define SERENITY_DRIVER_COMPILE_USERFLAGS_H

#include "serenity/IREE/IreeC.h"

#include <map>
#include <string>
#include <vector>

namespace serenity {

/// Whether a command line has that flag, in any spelling.
bool hasFlag(const std::vector<std::string> &arguments,
             const std::string &name);

struct UserFlags {
  /// `arguments` must outlive this.
  UserFlags(iree_compiler_session_t *session,
            const std::vector<std::string> &arguments);

  /// True if the command line has that flag, in any spelling.
  bool has(const std::string &name) const;
  /// Its value there; empty if it is not given.
  std::string value(const std::string &name) const;
  /// Flags of IREE's that show the passes at work, or write files on the way:
  /// then the chosen candidate is run again where it can be seen.
  bool watched() const;

  /// Every flag of the session, by name without dashes.
  std::map<std::string, std::string> session;

private:
  const std::vector<std::string> &arguments;
};

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_USERFLAGS_H

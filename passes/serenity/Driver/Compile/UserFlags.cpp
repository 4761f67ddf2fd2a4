// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/UserFlags.h"

namespace serenity {

namespace {

/// The session's flags, by name without dashes.
std::map<std::string, std::string> sessionFlags(iree_compiler_session_t *s) {
  std::map<std::string, std::string> flags;
  auto onFlag = [](const char *text, size_t length, void *userData) {
    std::string flag(text, length);
    flag.erase(0, flag.find_first_not_of('-'));
    size_t equals = flag.find('=');
    std::string value =
        equals == std::string::npos ? "" : flag.substr(equals + 1);
    (*static_cast<std::map<std::string, std::string> *>(
        userData))[flag.substr(0, equals)] = value;
  };
  ireeCompilerSessionGetFlags(s, /*nonDefaultOnly=*/false, onFlag, &flags);
  return flags;
}

} // namespace

UserFlags::UserFlags(iree_compiler_session_t *session,
                     const std::vector<std::string> &arguments)
    : session(sessionFlags(session)), arguments(arguments) {}

bool hasFlag(const std::vector<std::string> &arguments,
             const std::string &name) {
  for (const std::string &argument : arguments) {
    size_t dashes = argument.find_first_not_of('-');
    if (dashes == 1 || dashes == 2) {
      std::string text = argument.substr(dashes);
      if (text.substr(0, text.find('=')) == name) {
        return true;
      }
    }
  }
  return false;
}

bool UserFlags::has(const std::string &name) const {
  return hasFlag(arguments, name);
}

std::string UserFlags::value(const std::string &name) const {
  std::string value;
  for (size_t i = 0; i < arguments.size(); ++i) {
    size_t dashes = arguments[i].find_first_not_of('-');
    if (dashes != 1 && dashes != 2) {
      continue;
    }
    std::string text = arguments[i].substr(dashes);
    if (text == name && i + 1 < arguments.size()) {
      value = arguments[i + 1];
    } else if (text.rfind(name + "=", 0) == 0) {
      value = text.substr(name.size() + 1);
    }
  }
  return value;
}

bool UserFlags::watched() const {
  for (const char *name :
       {"mlir-print-ir-before-all", "mlir-print-ir-after-all",
        "mlir-print-ir-before", "mlir-print-ir-after",
        "mlir-print-ir-after-change", "mlir-print-ir-after-failure",
        "mlir-timing", "mlir-pass-statistics",
        "mlir-pass-pipeline-crash-reproducer",
        "mlir-pass-pipeline-local-reproducer", "mlir-print-ir-tree-dir"}) {
    if (has(name)) {
      return true;
    }
  }
  auto set = [&](const char *name) {
    auto it = session.find(name);
    return it != session.end() && !it->second.empty() &&
           it->second != "<unknown>";
  };
  return set("iree-parameter-encoder-output-file") ||
         set("iree-scheduling-dump-statistics-format");
}

} // namespace serenity

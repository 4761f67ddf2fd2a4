// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_OPT_INPUT_H
#define SERENITY_DRIVER_OPT_INPUT_H

#include "serenity/Core/Status.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace serenity::opt {

/// The text of a module, aligned for bytecode and followed by a zero byte that
/// `size` does not count.
struct Input {
  struct Free {
    void operator()(char *pointer) const { std::free(pointer); }
  };
  std::unique_ptr<char, Free> data;
  size_t size = 0;

  /// Copies `text`; false without memory.
  bool assign(std::string_view text);
};

bool isBytecode(std::string_view text);

/// Appends a file, or standard input for `-`, to `text`.
Status readInput(const std::string &name, std::string &text);

/// Whether brackets are nested so deeply that MLIR, which recurses into them,
/// might run out of stack. Brackets in strings and comments count as well: a
/// valid module does not come near the limit anyway.
bool isNestedTooDeeply(std::string_view text);

/// The parts between lines that are `// -----`. Each starts with as many empty
/// lines as stand before it in the file, so that locations are the file's.
std::vector<std::string> splitInput(std::string_view text);

} // namespace serenity::opt

#endif // SERENITY_DRIVER_OPT_INPUT_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Loses memory on purpose: shows that a sanitized build notices leaks.

#include <cstdlib>

int main(int argc, char **) {
  void *volatile lost = std::malloc(100 + argc);
  lost = nullptr;
  return lost != nullptr;
}

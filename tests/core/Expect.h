// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TESTS_CORE_EXPECT_H
#define SERENITY_TESTS_CORE_EXPECT_H

#include <cstdio>

namespace serenity::test {

/// Expectations that did not hold so far in this program.
inline int failures = 0;

/// Counts and prints an expectation that does not hold.
inline void expect(bool holds, const char *what) {
  if (!holds) {
    std::fprintf(stderr, "failed: %s\n", what);
    ++failures;
  }
}

} // namespace serenity::test

#endif // SERENITY_TESTS_CORE_EXPECT_H

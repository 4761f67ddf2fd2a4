// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TESTS_FUZZ_BYTESOURCE_H
#define SERENITY_TESTS_FUZZ_BYTESOURCE_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace serenity::test {

/// Turns the fuzzer's bytes into numbers; zeros when they are used up.
class ByteSource {
public:
  ByteSource(const uint8_t *data, size_t size) : data(data), left(size) {}

  bool empty() const { return left == 0; }

  int64_t byte() {
    if (left == 0) {
      return 0;
    }
    --left;
    return *data++;
  }

  /// 0 to `limit`.
  int64_t upTo(int64_t limit) { return byte() % (limit + 1); }

  /// Small numbers mostly; now and then what is at the edge of 64 bits, or
  /// negative.
  int64_t number() {
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
    int64_t value = byte();
    switch (value) {
    case 248:
      return -1;
    case 249:
      return std::numeric_limits<int64_t>::min();
    case 250:
      return kMax;
    case 251:
      return kMax / 2;
    case 252:
      return kMax / 8 - upTo(8);
    case 253:
      return int64_t(1) << upTo(62);
    case 254:
      return std::numeric_limits<int32_t>::max();
    case 255:
      return upTo(255) << upTo(40);
    default:
      return value;
    }
  }

private:
  const uint8_t *data;
  size_t left;
};

/// Ends the process, so that the fuzzer keeps the input.
inline void require(bool condition, const char *what) {
  if (!condition) {
    std::fprintf(stderr, "property violated: %s\n", what);
    std::abort();
  }
}

} // namespace serenity::test

#endif // SERENITY_TESTS_FUZZ_BYTESOURCE_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Answers from the definitions alone. Nothing here is shared with the library
// but the types of its problems.

#ifndef SERENITY_TESTS_CORE_BRUTEFORCE_H
#define SERENITY_TESTS_CORE_BRUTEFORCE_H

#include "serenity/Core/Packing/Offsets.h"
#include "serenity/Core/Scheduling/Problem.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace serenity::test {

/// Least peak over all orders, for up to 20 operations.
inline int64_t leastPeak(const Problem &problem) {
  int numOps = static_cast<int>(problem.operations.size());
  std::vector<unsigned> users(problem.buffers.size(), 0);
  std::vector<unsigned> before(numOps, 0);
  for (int o = 0; o < numOps; ++o) {
    for (BufferId b : problem.operations[o].uses) {
      users[b] |= 1u << o;
    }
    for (OpId pred : problem.operations[o].after) {
      before[o] |= 1u << pred;
    }
  }
  std::vector<int64_t> best(size_t(1) << numOps, INT64_MAX);
  best[0] = 0;
  for (unsigned done = 0; done + 1 < best.size(); ++done) {
    if (best[done] == INT64_MAX) {
      continue;
    }
    for (int o = 0; o < numOps; ++o) {
      if ((done >> o & 1) || (before[o] & ~done)) {
        continue;
      }
      int64_t live = problem.operations[o].workspaceBytes;
      for (size_t b = 0; b < users.size(); ++b) {
        const Buffer &buffer = problem.buffers[b];
        bool hasBegun = buffer.liveIn || (users[b] & (done | 1u << o));
        bool hasEnded = !buffer.liveOut && !(users[b] & ~done);
        bool isLive =
            users[b] ? hasBegun && !hasEnded : buffer.liveIn || buffer.liveOut;
        live += isLive ? buffer.bytes : 0;
      }
      unsigned next = done | 1u << o;
      best[next] = std::min(best[next], std::max(best[done], live));
    }
  }
  return best.back();
}

/// Offset instances whose times are less than `numTimes`, by looking at every
/// time and every byte.
class NaivePacker {
public:
  static constexpr int numTimes = 16;

  NaivePacker(const std::vector<Slice> &slices, const PackOptions &options)
      : slices(slices), options(options) {
    for (const Slice &slice : slices) {
      rows.push_back(bytesInUse(slice));
    }
  }

  int64_t sizeOf(size_t slice) const {
    return roundUp(slices[slice].bytes, options.rangeAlignment);
  }

  /// Bytes that are in use at the busiest time.
  int64_t maximumLiveBytes() const {
    int64_t most = 0;
    for (int t = 0; t < numTimes; ++t) {
      int64_t live = 0;
      for (const Rows &row : rows) {
        live += row[t].upper - row[t].lower;
      }
      most = std::max(most, live);
    }
    return most;
  }

  /// Whether two slices never share a byte at these offsets.
  bool areApart(size_t a, int64_t offsetA, size_t b, int64_t offsetB) const {
    for (int t = 0; t < numTimes; ++t) {
      const Bytes &x = rows[a][t];
      const Bytes &y = rows[b][t];
      if (x.lower < x.upper && y.lower < y.upper &&
          offsetA + x.lower < offsetB + y.upper &&
          offsetB + y.lower < offsetA + x.upper) {
        return false;
      }
    }
    return true;
  }

  bool isAllowed(size_t slice, int64_t offset) const {
    return offset >= 0 && offset % slices[slice].alignment == 0 &&
           offset % options.offsetAlignment == 0 &&
           (!slices[slice].fixedOffset || *slices[slice].fixedOffset == offset);
  }

  bool isValid(const std::vector<int64_t> &offsets) const {
    if (offsets.size() != slices.size()) {
      return false;
    }
    for (size_t a = 0; a < slices.size(); ++a) {
      if (!isAllowed(a, offsets[a])) {
        return false;
      }
      for (size_t b = 0; b < a; ++b) {
        if (!areApart(a, offsets[a], b, offsets[b])) {
          return false;
        }
      }
    }
    return true;
  }

  /// Whether there is a packing of at most `height` bytes: all offsets of all
  /// slices are tried.
  bool fits(int64_t height) {
    offsets.clear();
    return extend(height);
  }

private:
  struct Bytes {
    int64_t lower = 0;
    int64_t upper = 0;
  };
  using Rows = std::array<Bytes, numTimes>;

  static int64_t roundUp(int64_t value, int64_t multiple) {
    int64_t rest = value % multiple;
    return rest == 0 ? value : value - rest + multiple;
  }

  Rows bytesInUse(const Slice &slice) const {
    Rows result;
    int64_t size = roundUp(slice.bytes, options.rangeAlignment);
    for (int64_t t = slice.lower; t < slice.upper; ++t) {
      result[t] = {0, size};
      for (const SliceGap &gap : slice.gaps) {
        if (gap.lower > t || t >= gap.upper) {
          continue;
        }
        if (gap.windowLower == gap.windowUpper) {
          result[t] = {0, 0};
          continue;
        }
        // Ranges are rounded outwards.
        result[t] = {gap.windowLower - gap.windowLower % options.rangeAlignment,
                     roundUp(gap.windowUpper, options.rangeAlignment)};
      }
    }
    return result;
  }

  bool extend(int64_t height) {
    size_t next = offsets.size();
    if (next == slices.size()) {
      return true;
    }
    for (int64_t offset = 0; offset + sizeOf(next) <= height; ++offset) {
      bool isFree = isAllowed(next, offset);
      for (size_t b = 0; isFree && b < next; ++b) {
        isFree = areApart(next, offset, b, offsets[b]);
      }
      if (!isFree) {
        continue;
      }
      offsets.push_back(offset);
      if (extend(height)) {
        return true;
      }
      offsets.pop_back();
    }
    return false;
  }

  const std::vector<Slice> &slices;
  const PackOptions &options;
  std::vector<Rows> rows;
  std::vector<int64_t> offsets;
};

} // namespace serenity::test

#endif // SERENITY_TESTS_CORE_BRUTEFORCE_H

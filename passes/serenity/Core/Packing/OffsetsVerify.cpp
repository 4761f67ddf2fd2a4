// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Deliberately includes nothing but the public header: an error in the code
// that the packers share must not be repeated here.

#include "serenity/Core/Packing/Offsets.h"

#include <algorithm>
#include <map>

namespace serenity {

namespace {

/// A rectangle of time and memory that belongs to one slice.
struct Rectangle {
  int64_t timeBegin;
  int64_t timeEnd;
  int64_t byteBegin;
  int64_t byteEnd;
  size_t slice;
};

int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

} // namespace

Status verifyPacking(const std::vector<Slice> &slices,
                     const PackOptions &options,
                     const std::vector<int64_t> &offsets) {
  if (offsets.size() != slices.size()) {
    return Status::failure(std::to_string(offsets.size()) + " offsets for " +
                           std::to_string(slices.size()) + " slices");
  }
  std::vector<Rectangle> rectangles;
  for (size_t i = 0; i < slices.size(); ++i) {
    const Slice &slice = slices[i];
    int64_t offset = offsets[i];
    std::string subject =
        "slice " + std::to_string(i) + " at offset " + std::to_string(offset);
    if (offset < 0) {
      return Status::failure(subject + ": offset is negative");
    }
    if (offset % slice.alignment != 0 ||
        offset % options.offsetAlignment != 0) {
      return Status::failure(subject +
                             ": offset is not a multiple of the alignments " +
                             std::to_string(slice.alignment) + " and " +
                             std::to_string(options.offsetAlignment));
    }
    if (slice.fixedOffset && offset != *slice.fixedOffset) {
      return Status::failure(subject + ": offset was fixed at " +
                             std::to_string(*slice.fixedOffset));
    }
    int64_t size = roundUp(slice.bytes, options.rangeAlignment);
    if (__builtin_add_overflow(offset, size, &size)) {
      return Status::failure(subject + ": end is beyond 64 bits");
    }
    if (options.capacity && size > *options.capacity) {
      return Status::failure(subject + ": end " + std::to_string(size) +
                             " is beyond the capacity " +
                             std::to_string(*options.capacity));
    }
    // Time runs from gap to gap; between them the whole slice is in use.
    std::map<int64_t, SliceGap> gaps;
    for (const SliceGap &gap : slice.gaps) {
      gaps.insert({gap.lower, gap});
    }
    int64_t time = slice.lower;
    for (const auto &entry : gaps) {
      const SliceGap &gap = entry.second;
      if (time < gap.lower) {
        rectangles.push_back({time, gap.lower, offset, size, i});
      }
      if (gap.windowLower < gap.windowUpper) {
        int64_t windowBegin =
            gap.windowLower - gap.windowLower % options.rangeAlignment;
        int64_t windowEnd = roundUp(gap.windowUpper, options.rangeAlignment);
        rectangles.push_back({gap.lower, gap.upper, offset + windowBegin,
                              offset + windowEnd, i});
      }
      time = gap.upper;
    }
    if (time < slice.upper) {
      rectangles.push_back({time, slice.upper, offset, size, i});
    }
  }

  // Sweep over time with the rectangles alive kept by address: as long as they
  // are disjoint, a newcomer can only collide with its two neighbours.
  std::vector<size_t> starts(rectangles.size());
  for (size_t i = 0; i < starts.size(); ++i) {
    starts[i] = i;
  }
  std::vector<size_t> ends = starts;
  std::sort(starts.begin(), starts.end(), [&](size_t a, size_t b) {
    return rectangles[a].timeBegin < rectangles[b].timeBegin;
  });
  std::sort(ends.begin(), ends.end(), [&](size_t a, size_t b) {
    return rectangles[a].timeEnd < rectangles[b].timeEnd;
  });
  std::map<int64_t, size_t> alive;
  size_t nextEnd = 0;
  auto conflict = [&](size_t a, size_t b, int64_t time) {
    const Rectangle &first = rectangles[std::min(a, b)];
    const Rectangle &second = rectangles[std::max(a, b)];
    return Status::failure("slices " + std::to_string(first.slice) + " and " +
                           std::to_string(second.slice) + " overlap at time " +
                           std::to_string(time) + ": bytes [" +
                           std::to_string(first.byteBegin) + ", " +
                           std::to_string(first.byteEnd) + ") and [" +
                           std::to_string(second.byteBegin) + ", " +
                           std::to_string(second.byteEnd) + ")");
  };
  for (size_t current : starts) {
    const Rectangle &rectangle = rectangles[current];
    while (rectangles[ends[nextEnd]].timeEnd <= rectangle.timeBegin) {
      alive.erase(rectangles[ends[nextEnd]].byteBegin);
      ++nextEnd;
    }
    auto above = alive.lower_bound(rectangle.byteBegin);
    if (above != alive.end() &&
        rectangles[above->second].byteBegin < rectangle.byteEnd) {
      return conflict(above->second, current, rectangle.timeBegin);
    }
    if (above != alive.begin()) {
      auto below = std::prev(above);
      if (rectangles[below->second].byteEnd > rectangle.byteBegin) {
        return conflict(below->second, current, rectangle.timeBegin);
      }
    }
    alive.insert({rectangle.byteBegin, current});
  }
  return Status::success();
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Inference of the branch-and-bound search: consequences of the domains of
// the items without a decision. docs/offsets.md proves each rule.

#include "serenity/Core/Packing/BranchAndBoundState.h"

#include <algorithm>
#include <limits>

namespace serenity {
namespace offsets {

/// Empty memory of the given height; false if that alone is contradictory.
bool BranchAndBound::Impl::reset(int64_t newCapacity) {
  if (newCapacity != capacity) {
    refuted.clear();
    capacity = newCapacity;
  }
  trail.clear();
  queue.clear();
  queued.assign(numSections, 0);
  summaries.assign(numSections, Summary());
  lateQueue.clear();
  lateQueued.assign(numSections, 0);
  retired.assign(sectionCells.size(), 0);
  liveEnd.assign(sectionFirst.begin() + 1, sectionFirst.end());
  low.assign(numItems, 0);
  high.assign(numItems, 0);
  floor.assign(numSections, 0);
  ceiling.assign(numSections, alignUp(capacity, instance.granule));
  room.assign(numSections, 0);
  full.assign(numSections, 0);
  for (int32_t s = 0; s < numSections; ++s) {
    for (int64_t c = sectionFirst[s]; c < sectionFirst[s + 1]; ++c) {
      room[s] += sectionCells[c].hi - sectionCells[c].lo;
    }
    // With windows a section is full in parts that need not be contiguous, and
    // with padding a full section may have a spare byte.
    full[s] = !instance.windowed && !instance.padded && room[s] == ceiling[s];
    touch(s);
    touchLate(s);
  }
  for (int32_t i = 0; i < numItems; ++i) {
    const Item &item = instance.items[i];
    high[i] = alignDown(capacity - item.size, item.alignment);
    if (item.fixedOffset >= 0) {
      if (item.fixedOffset > high[i]) {
        return false;
      }
      low[i] = high[i] = item.fixedOffset;
    }
    if (high[i] < 0) {
      return false;
    }
  }
  return true;
}

void BranchAndBound::Impl::undo(size_t mark) {
  while (trail.size() > mark) {
    const Change &change = trail.back();
    switch (change.kind) {
    case Low:
      low[change.index] = change.before;
      invalidate(change.index);
      break;
    case High:
      high[change.index] = change.before;
      invalidate(change.index);
      break;
    case Floor:
      floor[change.index] = change.before;
      summaries[change.index].valid = false;
      break;
    case Ceiling:
      ceiling[change.index] = change.before;
      summaries[change.index].valid = false;
      break;
    case Retire: {
      // It is the last one that was moved behind the live ones.
      const Cell &cell = sectionCells[liveEnd[change.index]++];
      retired[cell.id] = 0;
      summaries[change.index].valid = false;
      room[change.index] += cell.hi - cell.lo;
      break;
    }
    }
    trail.pop_back();
  }
  for (int32_t section : queue) {
    queued[section] = 0;
  }
  queue.clear();
  for (int32_t section : lateQueue) {
    lateQueued[section] = 0;
  }
  lateQueue.clear();
}

bool BranchAndBound::Impl::propagate() {
  while (true) {
    while (!queue.empty()) {
      int32_t section = queue.back();
      queue.pop_back();
      queued[section] = 0;
      if (!propagateSection(section)) {
        ++failures[section];
        return false;
      }
    }
    if (lateQueue.empty()) {
      return true;
    }
    int32_t section = lateQueue.back();
    lateQueue.pop_back();
    lateQueued[section] = 0;
    if (!propagateLate(section)) {
      ++failures[section];
      return false;
    }
  }
}

bool BranchAndBound::Impl::propagateSection(int32_t s) {
  summaries[s].valid = false;
  const int64_t begin = sectionFirst[s];
  for (bool again = true; again;) {
    again = false;
    int64_t lowest = std::numeric_limits<int64_t>::max();
    int64_t highest = std::numeric_limits<int64_t>::min();
    for (int64_t c = begin; c < liveEnd[s]; ++c) {
      const Cell &cell = sectionCells[c];
      int32_t i = cell.item;
      if (low[i] + cell.lo < floor[s] && !setLow(i, floor[s] - cell.lo)) {
        return false;
      }
      if (high[i] + cell.hi > ceiling[s] && !setHigh(i, ceiling[s] - cell.hi)) {
        return false;
      }
      lowest = std::min(lowest, low[i] + cell.lo);
      highest = std::max(highest, high[i] + cell.hi);
    }
    if (begin == liveEnd[s]) {
      return true;
    }
    if (rules.sectionInference) {
      if (lowest > floor[s]) {
        trail.push_back({Floor, s, floor[s]});
        floor[s] = lowest;
      }
      if (highest < ceiling[s]) {
        trail.push_back({Ceiling, s, ceiling[s]});
        ceiling[s] = highest;
      }
    }
    if (floor[s] + room[s] > ceiling[s]) {
      return false;
    }
    // A decided item at either end becomes part of it.
    for (int64_t c = begin; c < liveEnd[s]; ++c) {
      const Cell cell = sectionCells[c];
      const int64_t offset = low[cell.item];
      if (offset != high[cell.item]) {
        continue;
      }
      if (offset + cell.lo == lowest) {
        trail.push_back({Floor, s, floor[s]});
        floor[s] = offset + cell.hi;
      } else if (offset + cell.hi == highest) {
        trail.push_back({Ceiling, s, ceiling[s]});
        ceiling[s] = offset + cell.lo;
      } else {
        continue;
      }
      trail.push_back({Retire, s, 0});
      retired[cell.id] = 1;
      room[s] -= cell.hi - cell.lo;
      std::swap(sectionCells[c], sectionCells[--liveEnd[s]]);
      again = true;
      break;
    }
  }
  return true;
}

/// A section is a machine and its items are jobs, released at their lowest and
/// due at their highest place. Both inferences are made in either direction.
bool BranchAndBound::Impl::propagateLate(int32_t s) {
  const int64_t first = sectionFirst[s];
  const size_t count = static_cast<size_t>(liveEnd[s] - first);
  if (count < 2) {
    return true;
  }
  jobs.resize(count);
  for (bool mirrored : {false, true}) {
    // Nearly sorted already, since the domains of few items change at a time.
    for (size_t k = 0; k < count; ++k) {
      const Cell &cell = sectionCells[first + static_cast<int64_t>(k)];
      const int64_t height = cell.hi - cell.lo;
      const int64_t lowest = low[cell.item] + cell.lo;
      const int64_t highest = high[cell.item] + cell.lo;
      Job job;
      job.item = cell.item;
      job.height = height;
      job.release = mirrored ? -(highest + height) : lowest;
      job.latest = mirrored ? -(lowest + height) : highest;
      job.shift = mirrored ? cell.hi : cell.lo;
      size_t where = k;
      for (; where > 0 && jobs[where - 1].release > job.release; --where) {
        jobs[where] = jobs[where - 1];
      }
      jobs[where] = job;
    }

    // Stacked in the order of release, which is the best one, they must end
    // below the ceiling.
    int64_t top = mirrored ? -ceiling[s] : floor[s];
    int64_t least = std::numeric_limits<int64_t>::max();
    int64_t second = least;
    int32_t whose = -1;
    for (const Job &job : jobs) {
      top = std::max(top, job.release) + job.height;
      if (job.latest < least) {
        second = least;
        least = job.latest;
        whose = job.item;
      } else {
        second = std::min(second, job.latest);
      }
    }
    if (rules.releaseBound && top > (mirrored ? -floor[s] : ceiling[s])) {
      return false;
    }
    if (!rules.precedence || count > kMaxPrecedence) {
      continue;
    }

    // An item that cannot begin after the earliest end of `job` lies below it;
    // and all items below it lie on top of each other.
    for (const Job &job : jobs) {
      const int64_t end = job.release + job.height;
      if (end <= (job.item == whose ? second : least)) {
        continue;
      }
      int64_t stack = std::numeric_limits<int64_t>::min();
      for (const Job &other : jobs) {
        if (other.latest >= end || other.item == job.item) {
          continue;
        }
        if (other.release + other.height > job.latest) {
          return false; // neither can lie below the other
        }
        stack = std::max(stack, other.release) + other.height;
      }
      if (stack <= job.release) {
        continue;
      }
      if (!(mirrored ? setHigh(job.item, -stack - job.shift)
                     : setLow(job.item, stack - job.shift))) {
        return false;
      }
    }
  }
  return (!rules.fullSections ||
          (joinFullSections(s - 1) && joinFullSections(s))) &&
         (joints.empty() || (keepJoints(s - 1) && keepJoints(s)));
}

bool BranchAndBound::Impl::keepJoints(int32_t s) {
  if (s < 0) {
    return true;
  }
  for (int32_t k : jointsAfter[s]) {
    const Joint &joint = joints[k];
    int64_t begin = std::numeric_limits<int64_t>::min();  // lowest
    int64_t latest = std::numeric_limits<int64_t>::max(); // highest begin
    for (const std::vector<int32_t> *group :
         {&joint.ending, &joint.beginning}) {
      int64_t lowest = std::numeric_limits<int64_t>::max();
      int64_t highest = std::numeric_limits<int64_t>::min();
      for (int32_t i : *group) {
        const int64_t size = instance.items[i].size;
        lowest = std::min(lowest, low[i]);
        highest = std::max(highest, high[i] + size);
        begin = std::max(begin, low[i] + size - joint.sum);
        latest = std::min(latest, high[i]);
      }
      begin = std::max(begin, lowest);
      latest = std::min(latest, highest - joint.sum);
    }
    if (begin > latest) {
      return false;
    }
    for (const std::vector<int32_t> *group :
         {&joint.ending, &joint.beginning}) {
      for (int32_t i : *group) {
        if (!setLow(i, begin) ||
            !setHigh(i, latest + joint.sum - instance.items[i].size)) {
          return false;
        }
      }
    }
  }
  return true;
}

/// Where the sections `s` and `s + 1` are full to the last byte, the items that
/// end between them leave exactly the bytes that the items take which begin
/// there: both groups have the same lowest and the same highest byte.
bool BranchAndBound::Impl::joinFullSections(int32_t s) {
  if (s < 0 || s + 1 >= numSections || !full[s] || !full[s + 1]) {
    return true;
  }
  const std::vector<int32_t> *groups[2] = {&endingIn[s], &beginningIn[s + 1]};
  int64_t begin = std::numeric_limits<int64_t>::min();
  int64_t end = std::numeric_limits<int64_t>::max();
  for (const std::vector<int32_t> *group : groups) {
    int64_t lowest = std::numeric_limits<int64_t>::max();
    int64_t highest = std::numeric_limits<int64_t>::min();
    for (int32_t i : *group) {
      lowest = std::min(lowest, low[i]);
      highest = std::max(highest, high[i] + instance.items[i].size);
    }
    begin = std::max(begin, lowest);
    end = std::min(end, highest);
  }
  for (const std::vector<int32_t> *group : groups) {
    for (int32_t i : *group) {
      if (!setLow(i, begin) || !setHigh(i, end - instance.items[i].size)) {
        return false;
      }
    }
  }
  return true;
}

} // namespace offsets
} // namespace serenity

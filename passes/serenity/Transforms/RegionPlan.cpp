// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Makes a scheduling problem of the model of a region for a choice of
// concatenation placements.

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/RegionModel.h"

#include <algorithm>
#include <limits>

namespace serenity {

namespace {

/// An access of a root buffer at a position in the original order.
struct PlacedAccess {
  int command = -1;
  int64_t lower = 0;
  int64_t upper = 0;
  bool reads = false;
  bool writes = false;
};

bool overlap(int64_t lower1, int64_t upper1, int64_t lower2, int64_t upper2) {
  return lower1 < upper2 && lower2 < upper1;
}

/// Whether making `source` at [offset, offset + bytes) of its target, without
/// the copy at position `copy`, leaves every reader with what it read before.
bool mayPlace(const std::vector<PlacedAccess> &source,
              const std::vector<PlacedAccess> &target, int copy, int64_t offset,
              int64_t bytes) {
  int firstAccess = std::numeric_limits<int>::max();
  int lastAccess = -1;
  for (const PlacedAccess &access : source) {
    if (access.command == copy) {
      continue;
    }
    if (access.command > copy && access.writes) {
      return false; // the copy would have kept the old contents
    }
    firstAccess = std::min(firstAccess, access.command);
    lastAccess = std::max(lastAccess, access.command);
  }
  for (const PlacedAccess &access : target) {
    if (access.command == copy ||
        !overlap(access.lower, access.upper, offset, offset + bytes)) {
      continue;
    }
    if (access.command < copy && access.command >= firstAccess) {
      return false; // would see the new contents too early, or destroy them
    }
    if (access.command > copy && access.writes &&
        access.command <= lastAccess) {
      return false; // a reader of the source, then or later, would see it
    }
  }
  return true;
}

/// Bytes of the value that a splat or fill repeats.
int64_t patternBytes(const Command &command) {
  for (MlirValue value : ir::operands(command.op)) {
    MlirType type = mlirValueGetType(value);
    if (mlirTypeIsAInteger(type) || mlirTypeIsAFloat(type) ||
        mlirTypeIsAComplex(type)) {
      return ir::elementBytes(type).value_or(1);
    }
  }
  return 1;
}

} // namespace

RegionPlan planRegion(const RegionModel &model, const std::vector<bool> &wanted,
                      int64_t rangeAlignment) {
  RegionPlan plan;
  size_t numBuffers = model.buffers.size();
  plan.chosen.assign(model.placements.size(), false);
  plan.places.resize(numBuffers);
  for (size_t i = 0; i < numBuffers; ++i) {
    plan.places[i] = {int(i), 0};
  }
  std::vector<std::vector<PlacedAccess>> accesses(numBuffers);
  // Bytes of the widest pattern that a buffer is filled with: the runtime fills
  // at multiples of them.
  std::vector<int64_t> patterns(numBuffers, 1);
  for (size_t i = 0; i < model.commands.size(); ++i) {
    const Command &command = model.commands[i];
    if (command.kind == CommandKind::Splat ||
        command.kind == CommandKind::Fill) {
      int64_t &pattern = patterns[command.accesses.front().buffer];
      pattern = std::max(pattern, patternBytes(command));
    }
    for (const Access &access : command.accesses) {
      accesses[access.buffer].push_back(
          {int(i), access.lower, access.upper, access.reads, access.writes});
    }
  }
  auto find = [&](int buffer) {
    PlacedBuffer place = {buffer, 0};
    while (plan.places[place.root].root != place.root) {
      PlacedBuffer next = plan.places[place.root];
      place = {next.root, place.offset + next.offset};
    }
    return place;
  };
  std::vector<bool> saved(model.commands.size(), false);
  for (size_t i = 0; i < model.placements.size(); ++i) {
    const Placement &placement = model.placements[i];
    int source = placement.source;
    PlacedBuffer target = find(placement.target);
    if (!wanted[i] || plan.places[source].root != source ||
        target.root == source) {
      continue;
    }
    int64_t offset = placement.offset + target.offset;
    if (offset % patterns[source] != 0 ||
        !mayPlace(accesses[source], accesses[target.root], placement.command,
                  offset, model.buffers[source].bytes)) {
      continue;
    }
    patterns[target.root] = std::max(patterns[target.root], patterns[source]);
    plan.chosen[i] = true;
    plan.places[source] = {target.root, offset};
    saved[placement.command] = true;
    std::vector<PlacedAccess> &merged = accesses[target.root];
    auto isCopy = [&](const PlacedAccess &access) {
      return access.command == placement.command;
    };
    merged.erase(std::remove_if(merged.begin(), merged.end(), isCopy),
                 merged.end());
    for (PlacedAccess access : accesses[source]) {
      if (!isCopy(access)) {
        access.lower += offset;
        access.upper += offset;
        merged.push_back(access);
      }
    }
    accesses[source].clear();
  }
  for (size_t i = 0; i < numBuffers; ++i) {
    plan.places[i] = find(int(i));
  }

  std::vector<int> operationOf(model.commands.size(), -1);
  for (size_t i = 0; i < model.commands.size(); ++i) {
    if (!saved[i]) {
      operationOf[i] = int(plan.commands.size());
      plan.commands.push_back(int(i));
    }
  }
  Problem &problem = plan.problem;
  problem.operations.resize(plan.commands.size());
  for (size_t i = 0; i < plan.commands.size(); ++i) {
    problem.operations[i].name = std::to_string(plan.commands[i]);
  }
  for (size_t b = 0; b < numBuffers; ++b) {
    if (plan.places[b].root != int(b)) {
      continue;
    }
    std::vector<PlacedAccess> &list = accesses[b];
    std::stable_sort(list.begin(), list.end(),
                     [](const PlacedAccess &a, const PlacedAccess &c) {
                       return a.command < c.command;
                     });
    if (model.buffers[b].local() && !list.empty()) {
      BufferId id = BufferId(problem.buffers.size());
      Buffer buffer;
      buffer.name = "b" + std::to_string(b);
      int64_t bytes = model.buffers[b].bytes;
      buffer.bytes =
          (bytes + rangeAlignment - 1) / rangeAlignment * rangeAlignment;
      problem.buffers.push_back(buffer);
      plan.problemBuffers.push_back(int(b));
      int last = -1;
      for (const PlacedAccess &access : list) {
        if (access.command != last) {
          last = access.command;
          problem.operations[operationOf[last]].uses.push_back(id);
        }
      }
    }
    // Conflicts. What a later write covers completely need not be compared with
    // any more: everything after it is ordered through it.
    std::vector<PlacedAccess> open;
    for (const PlacedAccess &access : list) {
      size_t keep = 0;
      for (size_t i = 0; i < open.size(); ++i) {
        const PlacedAccess &earlier = open[i];
        bool same = earlier.command == access.command;
        bool conflict =
            !same && (earlier.writes || access.writes) &&
            overlap(earlier.lower, earlier.upper, access.lower, access.upper);
        if (conflict) {
          problem.operations[operationOf[access.command]].after.push_back(
              operationOf[earlier.command]);
        }
        bool covered = conflict && access.writes &&
                       access.lower <= earlier.lower &&
                       access.upper >= earlier.upper;
        if (!covered) {
          open[keep++] = earlier;
        }
      }
      open.resize(keep);
      open.push_back(access);
    }
  }
  for (Operation &operation : problem.operations) {
    std::sort(operation.after.begin(), operation.after.end());
    operation.after.erase(
        std::unique(operation.after.begin(), operation.after.end()),
        operation.after.end());
  }
  return plan;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Makes a scheduling problem of the model of a region for a choice of
// concatenation placements. Reads no IR, so that it is tested without IREE
// (tests/core/RegionPlanTest.cpp).

#include "serenity/Core/Alignment.h"
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

/// Whether every reader still reads the same contents if `source` is made at
/// [offset, offset + bytes) of its target, without the copy at position `copy`.
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

/// Chooses the placements of a plan, and keeps the accesses of the buffers that
/// they put together.
class PlacementChoice {
public:
  PlacementChoice(const RegionModel &model, RegionPlan &plan)
      : model(model), plan(plan) {
    const size_t numBuffers = model.buffers.size();
    plan.chosen.assign(model.placements.size(), false);
    plan.places.resize(numBuffers);
    for (size_t i = 0; i < numBuffers; ++i) {
      plan.places[i] = {int(i), 0};
    }
    accesses.resize(numBuffers);
    patterns.assign(numBuffers, 1);
    readCommands();
  }

  /// Takes the placements of `wanted` that contradict neither earlier ones nor
  /// the order of accesses, and lists the commands that remain.
  void run(const std::vector<bool> &wanted);

  /// The accesses of all buffers that lie in `root`, in original order.
  std::vector<PlacedAccess> takeAccesses(int root);

private:
  void readCommands();
  /// Places `source` at `offset` of `root`, without the copy `command`.
  void place(int source, int root, int64_t offset, int command);
  /// The root that holds `buffer` by the placements so far.
  PlacedBuffer find(int buffer) const;

  const RegionModel &model;
  RegionPlan &plan;
  std::vector<std::vector<PlacedAccess>> accesses; // by root
  /// Bytes of the widest pattern that a buffer is filled with: the runtime
  /// fills at multiples of them.
  std::vector<int64_t> patterns;
};

void PlacementChoice::readCommands() {
  for (size_t i = 0; i < model.commands.size(); ++i) {
    const Command &command = model.commands[i];
    for (const Access &access : command.accesses) {
      int64_t &pattern = patterns[access.buffer];
      pattern = std::max(pattern, access.writes ? command.patternBytes : 1);
      accesses[access.buffer].push_back(
          {int(i), access.lower, access.upper, access.reads, access.writes});
    }
  }
}

PlacedBuffer PlacementChoice::find(int buffer) const {
  PlacedBuffer place = {buffer, 0};
  while (plan.places[place.root].root != place.root) {
    PlacedBuffer next = plan.places[place.root];
    place = {next.root, place.offset + next.offset};
  }
  return place;
}

void PlacementChoice::place(int source, int root, int64_t offset, int command) {
  patterns[root] = std::max(patterns[root], patterns[source]);
  plan.places[source] = {root, offset};
  std::vector<PlacedAccess> &merged = accesses[root];
  auto isCopy = [&](const PlacedAccess &access) {
    return access.command == command;
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

void PlacementChoice::run(const std::vector<bool> &wanted) {
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
    plan.chosen[i] = true;
    saved[placement.command] = true;
    place(source, target.root, offset, placement.command);
  }
  for (size_t i = 0; i < plan.places.size(); ++i) {
    plan.places[i] = find(int(i));
  }
  for (size_t i = 0; i < model.commands.size(); ++i) {
    if (!saved[i]) {
      plan.commands.push_back(int(i));
    }
  }
}

std::vector<PlacedAccess> PlacementChoice::takeAccesses(int root) {
  std::vector<PlacedAccess> list = std::move(accesses[root]);
  std::stable_sort(list.begin(), list.end(),
                   [](const PlacedAccess &a, const PlacedAccess &b) {
                     return a.command < b.command;
                   });
  return list;
}

/// Adds buffer `index` of the region to `problem`, used by the operations of
/// `accesses`.
void addBuffer(int index, int64_t bytes,
               const std::vector<PlacedAccess> &accesses,
               const std::vector<int> &operationOf, Problem &problem) {
  BufferId id = BufferId(problem.buffers.size());
  Buffer buffer;
  buffer.name = "b" + std::to_string(index);
  buffer.bytes = bytes;
  problem.buffers.push_back(buffer);
  int last = -1;
  for (const PlacedAccess &access : accesses) {
    if (access.command != last) {
      last = access.command;
      problem.operations[operationOf[last]].uses.push_back(id);
    }
  }
}

/// Orders the operations whose accesses of one root buffer conflict. An access
/// that a later write covers completely need not be compared with any more:
/// everything after it is ordered through that write.
void addConflicts(const std::vector<PlacedAccess> &accesses,
                  const std::vector<int> &operationOf, Problem &problem) {
  std::vector<PlacedAccess> open;
  for (const PlacedAccess &access : accesses) {
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

/// The pieces of a reusable buffer whose bytes are touched by the same
/// operations.
void addHeldPieces(RegionPlan &plan, int buffer, int64_t bytes,
                   const std::vector<PlacedAccess> &accesses,
                   const std::vector<int> &operationOf, int64_t alignment) {
  plan.heldBytes += alignUp(bytes, alignment);
  std::vector<int64_t> cuts;
  for (const PlacedAccess &access : accesses) {
    // An input may be read through an offset that is not constant.
    cuts.push_back(std::min(access.lower, bytes));
    cuts.push_back(std::min(access.upper, bytes));
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    HeldPiece piece;
    piece.buffer = buffer;
    piece.lower = alignUp(cuts[i], alignment);
    piece.upper = alignUp(cuts[i + 1], alignment);
    for (const PlacedAccess &access : accesses) {
      if (overlap(access.lower, access.upper, cuts[i], cuts[i + 1])) {
        const OpId user = operationOf[access.command];
        if (piece.users.empty() || piece.users.back() != user) {
          piece.users.push_back(user);
        }
      }
    }
    if (piece.lower < piece.upper && !piece.users.empty()) {
      plan.held.push_back(std::move(piece));
    }
  }
}

void countHeldPieces(const RegionModel &model, RegionPlan &plan) {
  for (const HeldPiece &piece : plan.held) {
    BufferId id = BufferId(plan.problem.buffers.size());
    Buffer buffer;
    buffer.name = "h" + std::to_string(id);
    buffer.bytes = piece.upper - piece.lower;
    buffer.liveIn = model.buffers[piece.buffer].isArgument;
    buffer.liveOut = !buffer.liveIn;
    plan.problem.buffers.push_back(buffer);
    for (OpId user : piece.users) {
      plan.problem.operations[user].uses.push_back(id);
    }
  }
}

} // namespace

RegionPlan planRegion(const RegionModel &model, const std::vector<bool> &wanted,
                      int64_t rangeAlignment, bool countHeld) {
  RegionPlan plan;
  PlacementChoice choice(model, plan);
  choice.run(wanted);

  Problem &problem = plan.problem;
  std::vector<int> operationOf(model.commands.size(), -1);
  problem.operations.resize(plan.commands.size());
  for (size_t i = 0; i < plan.commands.size(); ++i) {
    operationOf[plan.commands[i]] = int(i);
    problem.operations[i].name = std::to_string(plan.commands[i]);
  }
  for (size_t b = 0; b < model.buffers.size(); ++b) {
    if (plan.places[b].root != int(b)) {
      continue;
    }
    const std::vector<PlacedAccess> accesses = choice.takeAccesses(int(b));
    if (model.buffers[b].local() && !accesses.empty()) {
      int64_t bytes = alignUp(model.buffers[b].bytes, rangeAlignment);
      addBuffer(int(b), bytes, accesses, operationOf, problem);
      plan.problemBuffers.push_back(int(b));
    }
    if (model.buffers[b].isReusable) {
      addHeldPieces(plan, int(b), model.buffers[b].bytes, accesses, operationOf,
                    rangeAlignment);
    }
    addConflicts(accesses, operationOf, problem);
  }
  plan.slabBuffers = problem.buffers.size();
  if (countHeld) {
    countHeldPieces(model, plan);
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

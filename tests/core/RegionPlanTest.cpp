// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// RegionPlanTest: scheduling problems of small regions, worked out by hand.

#include "Expect.h"

#include "serenity/Transforms/RegionModel.h"

#include <cstdio>
#include <vector>

using namespace serenity;
using namespace serenity::test;

namespace {

/// A region that is built command by command.
class Region {
public:
  int buffer(int64_t bytes) {
    RegionBuffer made;
    made.bytes = bytes;
    model.buffers.push_back(made);
    return int(model.buffers.size()) - 1;
  }

  int result(int64_t bytes) {
    int index = buffer(bytes);
    model.buffers[index].isResult = true;
    return index;
  }

  int command(std::vector<Access> accesses, int64_t patternBytes = 1) {
    Command made;
    made.accesses = std::move(accesses);
    made.patternBytes = patternBytes;
    model.commands.push_back(made);
    return int(model.commands.size()) - 1;
  }

  /// Copies all of `source` to `offset` of `target`, which a placement saves.
  int copy(int source, int target, int64_t offset) {
    int64_t bytes = model.buffers[source].bytes;
    int index = command(
        {reads(source, 0, bytes), writes(target, offset, offset + bytes)});
    Placement placement;
    placement.command = index;
    placement.source = source;
    placement.target = target;
    placement.offset = offset;
    model.placements.push_back(placement);
    return index;
  }

  static Access reads(int buffer, int64_t lower, int64_t upper) {
    Access access;
    access.buffer = buffer;
    access.lower = lower;
    access.upper = upper;
    access.reads = true;
    return access;
  }

  static Access writes(int buffer, int64_t lower, int64_t upper) {
    Access access = reads(buffer, lower, upper);
    access.reads = false;
    access.writes = true;
    return access;
  }

  RegionPlan plan(bool placed, int64_t rangeAlignment = 1) const {
    std::vector<bool> wanted(model.placements.size(), placed);
    return planRegion(model, wanted, rangeAlignment);
  }

  RegionModel model;
};

const auto reads = Region::reads;
const auto writes = Region::writes;
using Ids = std::vector<int>;

bool isAt(const RegionPlan &plan, int buffer, int root, int64_t offset) {
  return plan.places[buffer].root == root &&
         plan.places[buffer].offset == offset;
}

/// Two parts of 64 bytes, concatenated and read:
///
///   0: write a    2: copy a to c[0:64)       4: read c, write result
///   1: write b    3: copy b to c[64:128)
Region concatenation() {
  Region region;
  int a = region.buffer(64);
  int b = region.buffer(64);
  int c = region.buffer(128);
  int result = region.result(4);
  region.command({writes(a, 0, 64)});
  region.command({writes(b, 0, 64)});
  region.copy(a, c, 0);
  region.copy(b, c, 64);
  region.command({reads(c, 0, 128), writes(result, 0, 4)});
  return region;
}

/// The copies write disjoint parts, so neither is ordered after the other. The
/// result is no buffer of the slab.
void testCopies() {
  RegionPlan plan = concatenation().plan(/*placed=*/false);
  const Problem &problem = plan.problem;
  expect(plan.commands == Ids({0, 1, 2, 3, 4}), "copies: all commands remain");
  expect(plan.problemBuffers == Ids({0, 1, 2}), "copies: buffers of the slab");
  expect(problem.buffers[0].bytes == 64 && problem.buffers[2].bytes == 128,
         "copies: sizes");
  expect(problem.operations[2].after == Ids({0}) &&
             problem.operations[3].after == Ids({1}) &&
             problem.operations[4].after == Ids({2, 3}),
         "copies: order");
  expect(problem.operations[2].uses == Ids({0, 2}) &&
             problem.operations[4].uses == Ids({2}),
         "copies: uses");
  expect(!plan.chosen[0] && !plan.chosen[1] && isAt(plan, 0, 0, 0),
         "copies: nothing is placed");
}

/// Placed, the parts are written to c directly: two copies and two buffers are
/// saved, and the writers of disjoint parts may still change places.
void testPlacements() {
  RegionPlan plan = concatenation().plan(/*placed=*/true);
  const Problem &problem = plan.problem;
  expect(plan.chosen[0] && plan.chosen[1], "placements: both are chosen");
  expect(plan.commands == Ids({0, 1, 4}), "placements: copies are saved");
  expect(plan.problemBuffers == Ids({2}), "placements: one buffer is left");
  expect(isAt(plan, 0, 2, 0) && isAt(plan, 1, 2, 64), "placements: offsets");
  expect(problem.operations[0].uses == Ids({0}) &&
             problem.operations[1].uses == Ids({0}),
         "placements: the parts hold the whole");
  expect(problem.operations[1].after.empty() &&
             problem.operations[2].after == Ids({0, 1}),
         "placements: order");
}

/// A part of a part: a at 8 of b, b at 64 of c, so a at 72 of c.
void testNestedPlacements() {
  Region region;
  int a = region.buffer(16);
  int b = region.buffer(32);
  int c = region.buffer(128);
  region.command({writes(a, 0, 16)});
  region.copy(a, b, 8);
  region.copy(b, c, 64);
  region.command({reads(c, 0, 128)});
  RegionPlan plan = region.plan(/*placed=*/true);
  expect(isAt(plan, a, c, 72) && isAt(plan, b, c, 64), "nested: offsets");
  expect(plan.commands == Ids({0, 3}) &&
             plan.problem.operations[1].after == Ids({0}),
         "nested: order");
}

/// 100 bytes take 128 with ranges of 64; an argument takes none, but orders.
void testSizes() {
  Region region;
  int a = region.buffer(100);
  int argument = region.buffer(64);
  region.model.buffers[argument].isArgument = true;
  region.command({reads(argument, 0, 64), writes(a, 0, 100)});
  region.command({reads(a, 0, 100), writes(argument, 0, 64)});
  RegionPlan plan = region.plan(/*placed=*/false, /*rangeAlignment=*/64);
  expect(plan.problemBuffers == Ids({a}) &&
             plan.problem.buffers[0].bytes == 128,
         "sizes: rounded up");
  expect(plan.problem.operations[1].after == Ids({0}), "sizes: order");
}

/// Readers are not ordered among themselves. A second write of all bytes ends
/// the comparison with everything before it.
void testConflicts() {
  Region region;
  int a = region.buffer(8);
  region.command({writes(a, 0, 8)}); // 0
  region.command({reads(a, 0, 4)});  // 1
  region.command({reads(a, 0, 8)});  // 2
  region.command({writes(a, 0, 8)}); // 3
  region.command({reads(a, 4, 8)});  // 4
  region.command({writes(a, 0, 4)}); // 5: beside the bytes of 4
  Problem problem = region.plan(/*placed=*/false).problem;
  expect(problem.operations[1].after == Ids({0}) &&
             problem.operations[2].after == Ids({0}),
         "conflicts: readers follow the writer alone");
  expect(problem.operations[3].after == Ids({0, 1, 2}),
         "conflicts: a writer follows the readers");
  expect(problem.operations[4].after == Ids({3}) &&
             problem.operations[5].after == Ids({3}),
         "conflicts: a write of all bytes ends comparisons");
}

/// Whether a part of 16 bytes is placed at `offset` of a buffer of 64 bytes.
/// The first `filledUntil` bytes of that buffer are written between the part
/// and its copy; part or buffer may change behind the copy. The part is filled
/// with a value of `patternBytes`.
bool isPlaced(int64_t offset, int64_t filledUntil, bool partChangesLater,
              bool targetChangesLater, int64_t patternBytes = 1) {
  Region region;
  int part = region.buffer(16);
  int whole = region.buffer(64);
  region.command({writes(part, 0, 16)}, patternBytes);
  if (filledUntil > 0) {
    region.command({writes(whole, 0, filledUntil)});
  }
  region.copy(part, whole, offset);
  if (partChangesLater) {
    region.command({writes(part, 0, 16)});
  }
  if (targetChangesLater) {
    region.command({writes(whole, offset, offset + 1)});
    region.command({reads(part, 0, 16)});
  }
  region.command({reads(whole, 0, 64)});
  RegionPlan plan = region.plan(/*placed=*/true);
  expect(plan.chosen[0] == (plan.places[part].root == whole),
         "refusals: choice and place agree");
  return plan.chosen[0];
}

void testRefusals() {
  expect(isPlaced(16, 16, false, false), "a fill of other bytes is no harm");
  expect(!isPlaced(16, 17, false, false),
         "a fill of one byte of the part would destroy it");
  expect(!isPlaced(16, 0, true, false),
         "the copy keeps the contents from before a later write");
  expect(!isPlaced(16, 0, false, true),
         "a later reader of the part must not see a write to the whole");
  expect(!isPlaced(20, 0, false, false, 8),
         "a pattern of 8 bytes is not filled at 20");
  expect(isPlaced(24, 0, false, false, 8), "a pattern of 8 bytes fits at 24");
}

} // namespace

int main() {
  testCopies();
  testPlacements();
  testNestedPlacements();
  testSizes();
  testConflicts();
  testRefusals();
  if (failures == 0) {
    std::printf("regions are planned as by hand\n");
  }
  return failures == 0 ? 0 : 1;
}

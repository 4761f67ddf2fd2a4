// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// AllocationProgramTest: the memory of functions whose peaks are worked out by
// hand.

#include "Expect.h"

#include "serenity/Core/Memory/AllocationProgram.h"

#include <cstdio>
#include <utility>
#include <vector>

using namespace serenity;
using namespace serenity::test;

namespace {

using Kind = AllocationInstruction::Kind;

/// Writes programs value by value.
struct Writer {
  AllocationProgram program;

  ValueId value(bool isReference) {
    program.isReference.push_back(isReference);
    return program.values++;
  }
  int block() {
    program.blocks.emplace_back();
    return int(program.blocks.size()) - 1;
  }
  ValueId add(int block, Kind kind, std::vector<ValueId> operands,
              int64_t bytes, bool isReference) {
    AllocationInstruction instruction;
    instruction.kind = kind;
    instruction.operands = std::move(operands);
    instruction.bytes = bytes;
    if (kind != Kind::Use && kind != Kind::Release &&
        kind != Kind::StoreGlobal) {
      instruction.result = value(isReference);
    }
    program.blocks[block].instructions.push_back(instruction);
    return instruction.result;
  }
  ValueId allocate(int block, int64_t bytes) {
    return add(block, Kind::Allocate, {}, bytes, true);
  }
  void use(int block, ValueId reference) {
    add(block, Kind::Use, {reference}, 0, false);
  }
  void release(int block, ValueId reference) {
    add(block, Kind::Release, {reference}, 0, false);
  }
};

/// 100 bytes go before 300 are allocated, which the function returns: at most
/// 300 at a time, none of them transient once the result is subtracted; before
/// that 100 are.
void testStraight() {
  Writer writer;
  int entry = writer.block();
  ValueId first = writer.allocate(entry, 100);
  writer.use(entry, first);
  writer.release(entry, first);
  ValueId result = writer.allocate(entry, 300);
  writer.program.blocks[entry].returned = {result};
  auto memory = simulateAllocations(writer.program);
  expect(memory && memory->peakBytes == 300, "straight: peak of 300");
  expect(memory && memory->resultBytes == 300, "straight: result of 300");
  expect(memory && memory->exact, "straight: one path");
}

/// Without a release an allocation lives until its last use: 100 + 300.
void testOverlap() {
  Writer writer;
  int entry = writer.block();
  ValueId first = writer.allocate(entry, 100);
  ValueId second = writer.allocate(entry, 300);
  writer.use(entry, first);
  writer.use(entry, second);
  auto memory = simulateAllocations(writer.program);
  expect(memory && memory->peakBytes == 400, "overlap: peak of 400");
  expect(memory && memory->transientPeakBytes == 400, "overlap: all transient");
  expect(memory && memory->resultBytes == 0, "overlap: no result");
}

/// One branch allocates 64 bytes, the other one 256; which is taken is not
/// known, so 256 is an upper bound.
void testBranch() {
  Writer writer;
  int entry = writer.block();
  ValueId condition = writer.value(false);
  int small = writer.block();
  int large = writer.block();
  writer.use(small, writer.allocate(small, 64));
  writer.use(large, writer.allocate(large, 256));
  writer.program.blocks[entry].parameters = {condition};
  writer.program.blocks[entry].condition = condition;
  writer.program.blocks[entry].edges = {{small, {}}, {large, {}}};
  auto memory = simulateAllocations(writer.program);
  expect(memory && memory->transientPeakBytes == 256, "branch: bound of 256");
  expect(memory && !memory->exact, "branch: not exact");
}

/// loop(x, i): six times a new tensor of 64 bytes is carried on; the old one is
/// alive while the new one is allocated: 128 bytes, exactly.
void testLoop() {
  Writer writer;
  int entry = writer.block();
  int loop = writer.block();
  int body = writer.block();
  int exit = writer.block();
  ValueId zero = writer.add(entry, Kind::Constant, {}, 0, false);
  ValueId first = writer.allocate(entry, 64);
  writer.program.blocks[entry].edges = {{loop, {first, zero}}};
  ValueId carried = writer.value(true);
  ValueId index = writer.value(false);
  writer.program.blocks[loop].parameters = {carried, index};
  ValueId six = writer.add(loop, Kind::Constant, {}, 6, false);
  ValueId less = writer.add(loop, Kind::Less, {index, six}, 0, false);
  writer.program.blocks[loop].condition = less;
  writer.program.blocks[loop].edges = {{body, {}}, {exit, {}}};
  ValueId next = writer.allocate(body, 64);
  writer.use(body, carried);
  ValueId one = writer.add(body, Kind::Constant, {}, 1, false);
  ValueId following = writer.add(body, Kind::Add, {index, one}, 0, false);
  writer.program.blocks[body].edges = {{loop, {next, following}}};
  writer.use(exit, carried);
  auto memory = simulateAllocations(writer.program);
  expect(memory && memory->transientPeakBytes == 128, "loop: peak of 128");
  expect(memory && memory->exact, "loop: the trip count is known");

  SimulationLimits open;
  open.countedStates = 1;
  memory = simulateAllocations(writer.program, open);
  expect(memory && memory->transientPeakBytes == 128, "open loop: 128 too");
  open.openStates = 1;
  expect(!simulateAllocations(writer.program, open), "too many states");
}

} // namespace

int main() {
  testStraight();
  testOverlap();
  testBranch();
  testLoop();
  if (failures) {
    return 1;
  }
  std::puts("allocations are simulated as by hand");
  return 0;
}

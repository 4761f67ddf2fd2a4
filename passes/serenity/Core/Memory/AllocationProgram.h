// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The memory of a function with control flow: a program that allocates,
// releases and passes references on, and its simulation over all paths. No
// MLIR here; `Analysis/AllocationReader` makes such programs out of IR.
//
// The rules are those of a reference-counting virtual machine
// (docs/memory_model.md): an allocation lives until it is released, or until
// the last value that refers to it is dead.
//
// clang-format off
//      entry: a = allocate 64             entry          one node of the graph per
//             jump loop(a, 0)               |            block and memory state:
//      loop(x, i):                        loop {x: 64}   x of the second iteration
//             c = i < 6                     |   \        lies in another allocation
//             branch c, body, exit        body  exit     of the same size, which is
//      body:  y = allocate 64               |            the same state unless `i`
//             jump loop(y, i + 1)         loop ...       is known
// clang-format on

#ifndef SERENITY_CORE_MEMORY_ALLOCATIONPROGRAM_H
#define SERENITY_CORE_MEMORY_ALLOCATIONPROGRAM_H

#include <cstdint>
#include <optional>
#include <vector>

namespace serenity {

/// A value of the program: a reference to an allocation, or an integer. Every
/// value is defined once, by an instruction or as a parameter of a block.
using ValueId = int;
constexpr ValueId noValue = -1;

struct AllocationInstruction {
  enum class Kind {
    /// `result` refers to a new allocation of `bytes` bytes.
    Allocate,
    /// The allocation of `operands[0]` goes, whatever refers to it.
    Release,
    /// `result` refers to the allocation of `operands[0]`, or is the same
    /// integer.
    Alias,
    /// The global number `bytes` refers to the allocation of `operands[0]`.
    StoreGlobal,
    /// `result` refers to the allocation of the global number `bytes`.
    LoadGlobal,
    /// The operands are used and stay alive until here.
    Use,
    /// `result` is the integer `bytes`.
    Constant,
    /// Integer arithmetic on two operands, or a comparison to 0 or 1.
    Add,
    Subtract,
    Multiply,
    And,
    Or,
    Xor,
    Minimum,
    Maximum,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    LessUnsigned,
    LessOrEqualUnsigned,
    /// `operands[0] ? operands[1] : operands[2]`, of integers.
    Select,
  };
  Kind kind = Kind::Use;
  ValueId result = noValue;
  std::vector<ValueId> operands;
  int64_t bytes = 0;
  /// Of an allocation: does not go with a Release, but with its last reference.
  bool unreleasable = false;
  /// Of an allocation: the caller's number for it, given back in `LiveItem`.
  int site = -1;
};

struct AllocationBlock {
  std::vector<ValueId> parameters;
  std::vector<AllocationInstruction> instructions;

  struct Edge {
    int block = 0;
    std::vector<ValueId> arguments;
  };
  /// Where it goes on; none: the function returns `returned`.
  std::vector<Edge> edges;
  /// Of two edges: the first is taken if it is not 0, the second if it is; both
  /// are possible if it is `noValue` or not known.
  ValueId condition = noValue;
  std::vector<ValueId> returned;
};

struct AllocationProgram {
  int values = 0;
  std::vector<bool> isReference; // per value; the others are integers
  int globals = 0;
  std::vector<AllocationBlock> blocks; // the first is the entry
};

/// The allocations at the worst moment.
struct LiveItem {
  int site = -1;
  int64_t bytes = 0;
  bool isResult = false; // the function returns it
  bool isVariable = false;
};

/// The memory of one call in bytes. Least upper bounds over all paths.
struct SimulatedMemory {
  /// Most that all allocations hold together, without returned ones.
  int64_t transientPeakBytes = 0;
  /// Most that all allocations hold together.
  int64_t peakBytes = 0;
  /// Allocations that are returned and not held by a global.
  int64_t resultBytes = 0;
  /// Allocations of this function that globals hold in the end.
  int64_t globalBytes = 0;
  /// Every path has these numbers.
  bool exact = true;
  /// The allocations at the last of the moments with the transient peak.
  std::vector<LiveItem> live;
};

struct SimulationLimits {
  /// States of blocks that are followed with all loop counters known. Where
  /// they do not suffice the trip counts are left open.
  size_t countedStates = 4096;
  /// The same with open trip counts; the simulation fails beyond.
  size_t openStates = 16384;
};

/// Follows all paths of `program`; nothing if there are too many states.
std::optional<SimulatedMemory>
simulateAllocations(const AllocationProgram &program,
                    const SimulationLimits &limits = {});

} // namespace serenity

#endif // SERENITY_CORE_MEMORY_ALLOCATIONPROGRAM_H

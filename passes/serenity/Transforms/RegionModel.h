// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The memory model of a `stream.async.execute` region (docs/memory_model.md).
//
// A region is a list of commands that access byte ranges of buffers. Tied
// results share the buffer of their operand, so all SSA values of a chain of
// in-place operations are one buffer:
//
//   %0 = stream.async.alloca              buffer B
//   %1 = stream.async.update %x, %0[a:b]  reads x, writes B[a:b)
//   %2 = stream.async.update %y, %1[b:c]  reads y, writes B[b:c)
//
// Two commands must keep their order only if their ranges conflict. The two
// updates above write disjoint parts and may be swapped, although the SSA chain
// says otherwise; the chain is threaded anew when the region is written back.
//
// Concatenations are brought to a normal form first: every part is made in a
// buffer of its own and copied. Whether a part is instead made in place
// ("coalesced" with its place in the concatenation; IREE: emplacement) is
// decided per copy, see `Placement`.

#ifndef SERENITY_TRANSFORMS_REGIONMODEL_H
#define SERENITY_TRANSFORMS_REGIONMODEL_H

#include "serenity/Core/Scheduling/Problem.h"
#include "serenity/IREE/MlirC.h"
#include "serenity/Transforms/Options.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// The functions of the executables of a module, to look up whether a binding
/// is only written.
class Executables {
public:
  explicit Executables(MlirOperation module);
  /// True if argument `index` of the entry point that `dispatch` names is known
  /// to be written without being read.
  bool isWriteOnly(MlirOperation dispatch, size_t index) const;
  /// The function that `dispatch` runs; null if it is not known, or one of
  /// several.
  MlirOperation functionOf(MlirOperation dispatch) const;

private:
  std::map<std::string, MlirOperation> functions;
};

struct RegionBuffer {
  MlirType type = {};
  int64_t bytes = 0; // 0 for external buffers of dynamic size
  /// The SSA size of a buffer inside the region whose size is known only at run
  /// time; null for others. `bytes` is its size at the hint then, and every
  /// access is of the whole.
  MlirValue size = {};
  /// The SSA value that first stands for it; null for one that the plan makes.
  MlirValue root = {};
  bool isArgument = false;
  bool isResult = false; // yielded, so it lies outside of the slab
  /// Contents undefined at first: an alloca, or made by this analysis.
  bool isAlloca = false;
  /// Memory that serenity-reuse-external-memory may use while its own value is
  /// not there: a result that is allocated for this region, or a consumed
  /// input.
  bool isReusable = false;
  bool local() const { return !isArgument && !isResult; }
};

struct Access {
  int buffer = -1;
  int64_t lower = 0;
  int64_t upper = 0;
  bool reads = false;
  bool writes = false;
  /// Position among the resource operands of the operation; -1 for a result
  /// that owns its buffer.
  int operand = -1;
  /// Position among its results, if it defines one; -1 otherwise.
  int result = -1;
};

enum class CommandKind { Splat, Fill, Clone, Slice, Update, Copy, Dispatch };

struct Command {
  CommandKind kind = CommandKind::Dispatch;
  /// The operation it was read from; for copies that the normal form adds, the
  /// operation whose location they inherit.
  MlirOperation op = {};
  bool synthetic = false;
  /// A second run of a command, whose operation it still shares.
  bool recomputed = false;
  /// Bytes of the value that a splat or fill repeats; 1 for other commands.
  int64_t patternBytes = 1;
  /// Dispatch without in-place operands: results may be placed anywhere.
  bool placeable = false;
  std::vector<Access> accesses;
};

/// A copy of a whole buffer into a part of another that can be saved by making
/// the source in its place.
struct Placement {
  int command = -1;
  int source = -1;
  int target = -1;
  int64_t offset = 0;
  /// IREE had placed it so.
  bool stock = false;
};

/// A region in normal form.
struct RegionModel {
  MlirOperation execute = {};
  std::vector<RegionBuffer> buffers;
  std::vector<Command> commands;
  std::vector<Placement> placements;
  /// Buffers that the yield operands stand for, by operand index (-1: none).
  std::vector<int> yields;
};

/// Reads the body of `execute`. Returns the reason instead if it holds
/// operations that are not modelled.
struct ReadRegionResult {
  std::optional<RegionModel> model;
  std::string reason;
  MlirOperation culprit = {};
  /// The reason is a size that is known only at run time.
  bool dynamicSize = false;
};
ReadRegionResult readRegion(MlirOperation execute,
                            const Executables &executables,
                            const Options &options);

/// Where every buffer lies once a set of placements is chosen.
struct PlacedBuffer {
  int root = -1;
  int64_t offset = 0;
};

/// Bytes of a reusable result or input and the operations that touch them: from
/// the first of these on a result occupies them, an input until the last.
struct HeldPiece {
  int buffer = -1;   // of the model
  int64_t lower = 0; // rounded up to the alignment, as `upper`
  int64_t upper = 0;
  std::vector<OpId> users; // in original order
};

/// A choice of placements, made consistent, with the scheduling problem that it
/// gives rise to.
struct RegionPlan {
  std::vector<bool> chosen; // per placement
  std::vector<PlacedBuffer> places;
  /// Commands that remain (saved copies are gone), in original order.
  std::vector<int> commands;
  /// Operation i is `commands[i]`. Its buffers are those of the slab, then, if
  /// they count, the held pieces.
  Problem problem;
  size_t slabBuffers = 0;
  /// Per buffer of the slab in `problem`, the buffer of the model.
  std::vector<int> problemBuffers;
  std::vector<HeldPiece> held;
  /// Size of all reusable memory, each rounded up.
  int64_t heldBytes = 0;
};

/// Builds the plan for `wanted` placements; those that contradict others or the
/// order of accesses are dropped. Sizes are rounded up to `rangeAlignment`.
/// With `countHeld`, the peak of the problem less `heldBytes` is the size of a
/// slab that shares memory with results and inputs; without it, the peak is the
/// size of a slab that does not.
RegionPlan planRegion(const RegionModel &model, const std::vector<bool> &wanted,
                      int64_t rangeAlignment, bool countHeld = false);

/// Writes the region back in the given order of `plan.commands`.
void applyPlan(const RegionModel &model, const RegionPlan &plan,
               const std::vector<OpId> &order);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_REGIONMODEL_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_TRANSFORMS_OPTIONS_H
#define SERENITY_TRANSFORMS_OPTIONS_H

#include "serenity/Core/Packing/Offsets.h"
#include "serenity/Core/Scheduling/Scheduler.h"
#include "serenity/Core/Status.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

enum class RewriteMode { Auto, Off, Always };
/// Whether concurrent dispatch groups are formed again where they cost nothing.
enum class WaveMode { Auto, Off };
/// Whether the memory of inputs may be overwritten after their last use.
enum class InputMode { Keep, Overwrite };
/// Of a missed memory budget.
enum class BudgetPolicy { Error, Warn };
/// The memory of a call that a budget is compared with.
enum class BudgetCounts { Transient, All };

/// A share of something: 0.15 is 15 %.
struct Share {
  double value = 0;
  operator double() const { return value; }
};

/// A folder by its name, or "on" for the usual one, or "off" for none; empty:
/// as the environment says.
struct Folder {
  std::string text;
};

/// Extents of dimensions that are known only at run time, by name.
struct Extents {
  std::map<std::string, int64_t> extents;
  /// Of all dimensions that are not named.
  std::optional<int64_t> others;

  bool empty() const { return extents.empty() && !others; }
  std::optional<int64_t> of(const std::string &dimension) const {
    auto found = extents.find(dimension);
    return found != extents.end() ? std::optional(found->second) : others;
  }
};

/// Options of the passes; declared in Options.def.
struct Options {
#define SERENITY_OPTION(type, field, initial, name, value, help)               \
  type field = initial;
#define SERENITY_PASS_OPTION(type, field, initial, name, value, help)          \
  type field = initial;
#include "serenity/Transforms/Options.def"

  // Set by the driver, without a flag.

  /// A search takes no more seconds than this, however long the module may
  /// take.
  double maxSearchSeconds = 10;
  /// The time limit of one search.
  double searchSeconds() const {
    return std::min(timeLimitSeconds, maxSearchSeconds);
  }
  /// Cut-off of the search for offsets in nodes, where `stateLimit` sets none:
  /// packings worth finding are found in hundreds of nodes; proofs that are not
  /// found by then may take for ever.
  int64_t packNodeLimit = 100000;
  /// Place results in inputs only where the slab does not grow for it, as when
  /// a budget counts transient memory alone.
  bool keepSlab = false;
  /// Emit a remark per operation that is not changed because of a dynamic size.
  /// The driver emits one per function instead.
  bool remarkOnDynamicSizes = true;
  /// serenity-schedule-regions takes a region to its slab to compare it with
  /// others: proofs, and the order for the slab alone, get few states.
  bool comparesCandidates = false;
  /// Extent of a dimension that is known only at run time and has no hint.
  int64_t defaultExtent = 64;
  /// Alignment of offsets and sizes in a slab where the IR does not say
  /// (`--iree-stream-resource-min-offset-alignment`).
  int64_t defaultAlignment = 64;
  /// Asked now and then during long searches; true stops them with the best
  /// answer found so far.
  std::function<bool()> cancelled;
};

/// Flags of the driver beside those of the passes; declared in Options.def.
struct DriverOptions {
#define SERENITY_DRIVER_OPTION(type, field, initial, name, value, help)        \
  type field = initial;
#include "serenity/Transforms/Options.def"
};

/// One entry of Options.def.
struct OptionInfo {
  const char *name;
  /// The name of the value in help, such as `exact|greedy|iree` or `N`.
  std::string value;
  const char *help;
  /// The default, spelled as a value; empty: none.
  std::string initial;
  /// "choice", "bool", "seconds", "count", "counts", "bytes", "file", "folder",
  /// "passes" or "extents".
  const char *kind;
  /// The values of a "choice".
  std::vector<std::string> choices;
  /// Whether the option is a flag of the driver.
  bool isDriverFlag;
  /// Null for a flag of the driver alone.
  Status (*setOption)(Options &options, const std::string &text);
  /// Null for an option of passes.
  Status (*setDriverOption)(DriverOptions &options, const std::string &text);
};

/// All options and flags, in the order of help.
const std::vector<OptionInfo> &optionTable();

/// The entry called `name` (kebab-case, without `serenity-`), or null.
const OptionInfo *findOption(const std::string &name);

/// The data of Passes.def; `passTable` (Passes.h) adds the functions.
struct PassDeclaration {
  const char *name;
  /// File in passes/serenity/Transforms whose head describes the pass.
  const char *source;
  const char *summary;
  /// Names of the options of the pass.
  std::vector<std::string> options;
  /// Kind of operations that the pass works on.
  const char *level;
  /// Place in IREE's pipeline.
  const char *place;
};

/// All passes, in pipeline order.
const std::vector<PassDeclaration> &passDeclarations();

/// The pass called `name`, or null.
const PassDeclaration *findPassDeclaration(const std::string &name);

/// Sets options from `name=value name=value ...`, the text in braces behind the
/// pass called `pass`. Fails on an option that the pass does not list.
Status setPassOptions(Options &options, const std::string &pass,
                      const std::string &text);

/// Bytes: "256KB" is 256000, "256KiB" 262144, "1024" 1024; KB, MB, GB are
/// powers of 1000, KiB, MiB, GiB of 1024. Nothing for anything else, zero or
/// overflow.
std::optional<int64_t> parseBytes(const std::string &text);

} // namespace serenity

#endif // SERENITY_TRANSFORMS_OPTIONS_H

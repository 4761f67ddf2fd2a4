// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The findings and changes of the passes, as plain data: the content of
// `--serenity-report`. All sizes in bytes.

#ifndef SERENITY_REPORT_REPORT_H
#define SERENITY_REPORT_REPORT_H

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace serenity {

/// A buffer of a region's slab, live from step `first` to step `last`.
struct BufferReport {
  std::string name;
  int64_t first = 0;
  int64_t last = 0;
  int64_t bytes = 0;
  int64_t offset = 0;
  /// Of the first dispatch that writes it or, where none does, that reads it;
  /// empty: not known.
  std::string elementType;
};

/// Bytes of a buffer that an operation touches.
struct AccessReport {
  /// Index into the region's `buffers`, or into its `externals`.
  int buffer = -1;
  /// From the start of the buffer; empty: not constant.
  std::optional<int64_t> offset = 0;
  std::optional<int64_t> bytes;
};

/// A resource that a region works on but that lies outside of its slab.
struct ExternalReport {
  std::string name;
  /// "input", "result", "constant", "variable" or "other".
  std::string kind;
  std::optional<int64_t> bytes;
};

/// A command of a region. Commands of one concurrent dispatch group have the
/// same step.
struct OperationReport {
  std::string name;
  std::string location;
  int64_t step = 0;
  std::vector<AccessReport> uses; // read
  std::vector<AccessReport> defs; // written
  std::vector<AccessReport> externalUses;
  std::vector<AccessReport> externalDefs;
};

/// A value that a region computes more than once.
struct RecomputedReport {
  std::string location;
  int64_t bytes = 0;
  /// Multiply-accumulates of computing it once more.
  int64_t work = 0;
};

/// Bytes of a slab that has buffers of dynamic size.
struct BytesFormula {
  struct Symbol {
    std::string name; // in the texts
    /// `argI:axisJ`; empty: computed during the call.
    std::string dimension;
    int64_t hint = 0;
    /// Its largest value; empty: not known.
    std::optional<int64_t> bound;
  };
  std::vector<Symbol> symbols;
  /// Sums, differences and products of symbols and numbers, `max(a, b)`,
  /// `min(a, b)`, `align(a, unit)`, `floordiv(a, b)` and `ceildiv(a, b)`.
  std::string text;
  /// Where every symbol is as its hint.
  int64_t bytesAtHint = 0;
  /// No more where every symbol is within its bound; empty: no such number is
  /// known, because `unbounded`.
  std::optional<int64_t> bytesAtBound;
  std::string unbounded;
};

/// A buffer that lies in the memory of a result or an input, or a result in
/// that of an input.
struct ReusedMemoryReport {
  std::string name;              // of the first command that writes the buffer
  std::optional<int64_t> result; // number of the result; none: a buffer
  /// "result" or "input"
  std::string memory;
  std::optional<int64_t> argument; // number of the input
  int64_t offset = 0;              // in that memory
  int64_t bytes = 0;
};

struct RegionReport {
  std::string location;
  /// Transient buffers lie in a slab of the region's own.
  bool hasSlab = false;
  /// Maximum live bytes of the order chosen: the aim for the slab.
  int64_t predictedBytes = 0;
  int64_t slabBytes = 0;
  /// Buffers take multiples of it in the slab; 0: no slab was laid out.
  int64_t rangeAlignment = 0;
  /// Sizes of the results and inputs whose memory may serve buffers.
  std::vector<int64_t> reusableBytes;
  /// The sum of these sizes that the lower bound allows for.
  int64_t boundReusableBytes = 0;
  /// Lower bound of slab and reusable memory together; 0: not known.
  int64_t boundWithReusableBytes = 0;
  int64_t lowerBoundBytes = 0;
  bool optimal = false;
  std::string provedBy;
  /// The offsets are proved to be of least height for this order.
  bool offsetsOptimal = false;
  int64_t states = 0;
  double seconds = 0;
  /// Concurrent dispatch groups, and the commands in them.
  int64_t concurrentGroups = 0;
  int64_t concurrentOperations = 0;
  std::vector<int64_t> liveBytes; // per step
  std::vector<BufferReport> buffers;
  std::vector<ReusedMemoryReport> reused;
  std::vector<OperationReport> operations; // in order of execution
  std::vector<ExternalReport> externals;
  /// One entry per time that a value is computed again.
  std::vector<RecomputedReport> recomputed;
  /// Multiply-accumulates of the region without that; 0 if there is none.
  int64_t work = 0;
  /// Why the region was left in IREE's order; empty if it was scheduled.
  std::string leftAlone;
  /// Of the whole slab; empty if all buffers are static.
  std::optional<BytesFormula> bytesFormula;
};

/// For messages: `1 byte`, `2 bytes`.
std::string bytesText(int64_t bytes);

/// For messages: the node of the model that a location names, with `name`
/// behind it; `name` alone where it names none.
std::string displayName(const std::string &name, const std::string &location);

/// The same of a buffer: the node of the command that writes it first.
std::string displayName(const RegionReport &region, size_t buffer);

/// An allocation of a function that is alive at its transient peak.
struct AllocationReport {
  /// "slab" of a region; "value" that crosses host control flow or calls, or is
  /// shared by regions; "variable" that a global takes over; "result"; "arena"
  /// of the caller's.
  std::string kind;
  std::string name; // the first command that touches it; may be empty
  std::string location;
  int64_t bytes = 0;
};

/// A buffer in the way of the budget; `buffer` is its index in the region.
struct BudgetBuffer {
  int64_t buffer = 0;
  int64_t bytes = 0;
  /// By how much it would have to shrink, with all the others of the list.
  int64_t shrinkBytes = 0;
  bool live = false; // at the peak
};

/// How a function stands to the budget.
struct FunctionBudget {
  std::optional<bool> met; // empty: the peak is not known
  int64_t overBytes = 0;
  /// Where it is missed: the region of the largest slab, the step at which most
  /// is live there, the operations of that step.
  std::optional<int64_t> region;
  std::optional<int64_t> step;
  std::vector<int64_t> operations;
  std::vector<BudgetBuffer> buffers;
};

struct BudgetReport {
  int64_t bytes = 0;
  bool isError = true;
  std::optional<bool> met; // empty: the peak of a function is not known
  /// The means that the functions use together.
  std::vector<std::string> used;
};

/// The means to improve on the stock compiler's result, from the least to the
/// most intrusive.
inline constexpr const char *meansInOrder[] = {
    "offsets", "order", "recomputation", "fusion", "rewriting", "bands"};

/// A segment that is computed in bands of rows.
struct BandReport {
  /// Locations of its first and last operation.
  std::string from;
  std::string to;
  int64_t count = 0;
};

/// A candidate of a function: the choices of its configuration, and its peak.
struct CandidateReport {
  /// "stock"; "stock-order": IREE's order with offsets of `serenity-pack`; or
  /// "serenity": the order of `serenity-schedule`.
  std::string kind;
  /// "as-given"; quantized values stored in their "integers"; or contractions
  /// "raised" to integers too.
  std::string storage = "as-given";
  /// Override of `--iree-dispatch-creation-fuse-multi-use`; empty: IREE's
  /// default.
  std::optional<bool> multiUseFusion;
  /// "none", or in-place results at the "single-use" or at the "last-use".
  std::string inPlace = "none";
  int64_t unfusedProducers = 0;
  /// Streams reach through sums of values that others read too.
  bool deepStreams = false;
  /// Sites rewritten in the module, per rewrite kind.
  std::vector<std::pair<std::string, int64_t>> rewrites;
  std::vector<BandReport> bands;
  /// Accumulation steps that merging saves.
  int64_t mergedAccumulations = 0;
  /// Multiply-accumulates that bands add, as a fraction of the module's.
  double extraWork = 0;
  /// The module's peak as the fusion model predicts it or, where that does not
  /// describe the module, as the model of the flow level estimates it; empty:
  /// neither.
  std::optional<int64_t> predictedBytes;
  /// The candidate was compiled down to its slabs; only then it has a peak.
  bool built = true;
  /// The candidate was built, and needs other bytes than the fusion model has
  /// predicted.
  bool mispredicted = false;
  std::optional<int64_t> transientPeakBytes; // empty: not built, or dynamic
  std::optional<int64_t> hintBytes; // the peak at the hints, if it is dynamic
  bool chosen = false;
};

struct FunctionReport {
  std::string name;
  std::string exportedAs;
  bool initializer = false;
  std::optional<int64_t> transientPeakBytes; // empty: not static
  std::optional<int64_t> stockTransientPeakBytes;
  /// The transient peak where it depends on run-time sizes; empty if it does
  /// not, or if more than one slab makes it up.
  std::optional<BytesFormula> bytesFormula;
  /// The same for the stock compiler.
  std::optional<BytesFormula> stockBytesFormula;
  /// Inputs, results and transient memory at the worst moment of a call as the
  /// stock compiler makes it; empty: not static, or not exact.
  std::optional<int64_t> stockCallPeakBytes;
  /// The bytes of the transient peak in an arena that the caller provides;
  /// empty: nothing.
  std::optional<int64_t> callerArenaBytes;
  /// Inputs and results.
  std::optional<int64_t> externalBytes;
  /// Everything at the worst moment: persistent, external and transient. Less
  /// than their sum where results do not exist yet at the transient peak.
  std::optional<int64_t> peakBytes;
  /// False where it depends on a branch or a trip count: an upper bound then.
  bool peakIsExact = true;
  /// The allocations at the transient peak. Results that are not allocated yet
  /// have their share in the sum: the peak is the sum less all results.
  std::vector<AllocationReport> peakAllocations;
  /// Arguments whose memory the function writes to, here and as the stock
  /// compiler makes it.
  std::vector<int64_t> overwrittenInputs;
  std::vector<int64_t> stockOverwrittenInputs;
  std::vector<CandidateReport> candidates;
  /// Of `meansInOrder`; empty: as the stock compiler.
  std::vector<std::string> used;
  std::optional<FunctionBudget> budget;
  std::vector<RegionReport> regions;
  /// Of the stock candidate, in IREE's layout.
  std::vector<RegionReport> stockRegions;
};

struct RewriteReport {
  std::string location;
  std::string function;
  std::string kind;
  /// The operations that took the place of one.
  int64_t parts = 0;
  int64_t bytesBefore = 0;
  int64_t bytesAfter = 0;
  /// The element type of the result.
  std::string element;
};

/// The search among candidates.
struct SearchReport {
  /// Candidates judged by the fusion model, and those that IREE has compiled.
  int64_t predictions = 0;
  int64_t trialCompilations = 0;
  /// Modules whose configuration came from the cache, and those that the cache
  /// had no usable entry of.
  int64_t cacheHits = 0;
  int64_t cacheMisses = 0;
};

/// A value that the model quantizes, after serenity-store-quantized has moved
/// its quantization.
struct QuantizedValueReport {
  std::string location; // of the quantization
  std::string elementType;
  /// Locations of the operations between it and the dequantizations or inputs
  /// that it is computed from, both ends included.
  std::vector<std::string> computedBy;
  /// Why serenity-store-quantized leaves it in 32 bits at an operation that
  /// only moves elements or computes in floats; empty: it does not.
  std::string reason;
};

struct ModuleReport {
  std::vector<std::pair<std::string, std::string>> versions;
  std::vector<FunctionReport> functions;
  std::vector<RewriteReport> rewrites;
  std::optional<int64_t> persistentBytes;
  std::optional<BudgetReport> budget;
  SearchReport search;
  std::vector<QuantizedValueReport> quantizedValues;
  std::vector<std::string> remarks;
  std::vector<std::pair<std::string, double>> seconds;
};

/// The entry of the function of that name, made if there is none.
inline FunctionReport &functionReport(ModuleReport &report,
                                      const std::string &name) {
  for (FunctionReport &function : report.functions) {
    if (function.name == name) {
      return function;
    }
  }
  report.functions.emplace_back();
  report.functions.back().name = name;
  return report.functions.back();
}

/// The JSON text of docs/report.md, two-space indented.
std::string toJson(const ModuleReport &report);

} // namespace serenity

#endif // SERENITY_REPORT_REPORT_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The discardable attributes that passes and driver leave for one another, all
/// called `serenity.*`. This is the one place that spells them. The driver
/// removes them (`removeAll`) before IREE lowers the module further.

#ifndef SERENITY_TRANSFORMS_ATTRIBUTES_H
#define SERENITY_TRANSFORMS_ATTRIBUTES_H

#include "serenity/IREE/MlirC.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace serenity::attributes {

// --- order ------------------------------------------------------------------

/// The result of a search for an order.
struct Order {
  /// Most bytes alive at a time in this order.
  int64_t peakBytes = 0;
  /// No order needs less.
  int64_t lowerBoundBytes = 0;
  bool optimal = false;
};

/// `serenity.scheduled` (unit), on functions at flow level and on
/// `stream.async.execute`: serenity has ordered the operations inside.
bool isScheduled(MlirOperation op);

/// Marks a function at flow level as scheduled, with
/// `serenity.estimated_peak_bytes` (of tensors, before IREE's stream phase),
/// `serenity.lower_bound_bytes` and `serenity.optimal`.
void setEstimatedOrder(MlirOperation function, const Order &order);
std::optional<int64_t> estimatedPeakBytes(MlirOperation function);

/// `serenity.predicted_peak_bytes`, on functions before dispatches are formed:
/// the transient peak that the fusion model predicts.
void setPredictedPeakBytes(MlirOperation function, int64_t bytes);

/// Marks a `stream.async.execute` as scheduled, with `serenity.peak_bytes` (the
/// live bytes of the `stream.resource.pack` that IREE makes of it),
/// `serenity.lower_bound_bytes` and `serenity.optimal`.
void setExactOrder(MlirOperation execute, const Order &order);

// --- candidates -------------------------------------------------------------

/// `serenity.variant`, on functions and initializers while the stream phase
/// runs: the driver has chosen IREE's order ("offsets"), or IREE's order and
/// offsets ("stock").
enum class Kept { Order, OrderAndOffsets };
void setKept(MlirOperation function, Kept kept);
bool keepsStockOrder(MlirOperation function);
bool keepsStockOffsets(MlirOperation function);

/// `serenity.partitioning` (unit), on functions: `stream.partitioning` was set
/// by the driver and has to be removed again.
void setOwnPartitioning(MlirOperation function);
bool hasOwnPartitioning(MlirOperation function);
void removeOwnPartitioning(MlirOperation function);

/// `serenity.copy_of` (string), on functions that serenity-clone-callees made:
/// the name of the original.
void setCopyOf(MlirOperation function, const std::string &original);
bool isCopy(MlirOperation function);

// --- external memory --------------------------------------------------------

/// `serenity.reuses_external_memory` (unit), on functions:
/// serenity-reuse-external-memory has been here.
void setReusesExternalMemory(MlirOperation function);
bool reusesExternalMemory(MlirOperation function);

// --- rewriting --------------------------------------------------------------

/// `serenity.barrier` (unit): tells a barrier of serenity from the user's.
void setBarrier(MlirOperation barrier);
bool isBarrier(MlirOperation op);

/// `serenity.constant_barrier` (unit), on barriers: it keeps a constant out of
/// epilogues while a module is raised.
void setConstantBarrier(MlirOperation barrier);
bool isConstantBarrier(MlirOperation op);

/// `serenity.refused` (string), on placeholders: why the operation that they
/// stand for would not be valid.
void setRefused(MlirOperation placeholder, const std::string &reason);
std::optional<std::string> refused(MlirOperation op);

/// `serenity.extra_work` (integer, millionths), on functions: the share of
/// their multiply-accumulates that bands do again.
void setExtraWork(MlirOperation function, double share);
double extraWork(MlirOperation function);

/// Begins the names of the locations that carry the program order; the position
/// follows. A location, because those outlive IREE's passes.
inline constexpr std::string_view kOrderTag = "serenity.order.";

/// Removes every attribute of serenity from `op` and all within.
void removeAll(MlirOperation op);

/// Entries of a function's `iree.reflection`, for callers of the compiled
/// module: numbers of arguments ("0,2"), and results in arguments ("0:2").
inline constexpr const char *kOverwrittenInputs = "serenity.overwritten_inputs";
inline constexpr const char *kResultsInInputs = "serenity.results_in_inputs";

} // namespace serenity::attributes

#endif // SERENITY_TRANSFORMS_ATTRIBUTES_H

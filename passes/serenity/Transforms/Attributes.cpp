// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Attributes.h"

#include "serenity/IREE/Ir.h"

#include <cmath>
#include <vector>

namespace serenity::attributes {

namespace {

constexpr std::string_view kPrefix = "serenity.";
constexpr const char *kScheduled = "serenity.scheduled";
constexpr const char *kEstimatedPeakBytes = "serenity.estimated_peak_bytes";
constexpr const char *kPredictedPeakBytes = "serenity.predicted_peak_bytes";
constexpr const char *kPeakBytes = "serenity.peak_bytes";
constexpr const char *kLowerBoundBytes = "serenity.lower_bound_bytes";
constexpr const char *kOptimal = "serenity.optimal";
constexpr const char *kVariant = "serenity.variant";
constexpr const char *kPartitioning = "serenity.partitioning";
constexpr const char *kCopyOf = "serenity.copy_of";
constexpr const char *kBarrier = "serenity.barrier";
constexpr const char *kConstantBarrier = "serenity.constant_barrier";
constexpr const char *kExtraWork = "serenity.extra_work";
constexpr const char *kRefused = "serenity.refused";
constexpr const char *kReusesExternalMemory = "serenity.reuses_external_memory";

bool has(MlirOperation op, const char *name) {
  return !ir::isNull(ir::attr(op, name));
}

void setOrder(MlirOperation op, const char *peakName, const Order &order) {
  ir::setUnitAttr(op, kScheduled);
  ir::setIntAttr(op, peakName, order.peakBytes);
  ir::setIntAttr(op, kLowerBoundBytes, order.lowerBoundBytes);
  mlirOperationSetDiscardableAttributeByName(
      op, ir::strRef(kOptimal),
      mlirBoolAttrGet(mlirOperationGetContext(op), order.optimal));
}

} // namespace

bool isScheduled(MlirOperation op) { return has(op, kScheduled); }

void setEstimatedOrder(MlirOperation function, const Order &order) {
  setOrder(function, kEstimatedPeakBytes, order);
}

std::optional<int64_t> estimatedPeakBytes(MlirOperation function) {
  return ir::intAttr(function, kEstimatedPeakBytes);
}

void setPredictedPeakBytes(MlirOperation function, int64_t bytes) {
  ir::setIntAttr(function, kPredictedPeakBytes, bytes);
}

void setExactOrder(MlirOperation execute, const Order &order) {
  setOrder(execute, kPeakBytes, order);
}

void setKept(MlirOperation function, Kept kept) {
  ir::setStringAttr(function, kVariant,
                    kept == Kept::Order ? "offsets" : "stock");
}

bool keepsStockOrder(MlirOperation function) { return has(function, kVariant); }

bool keepsStockOffsets(MlirOperation function) {
  return ir::stringAttr(function, kVariant) == "stock";
}

void setOwnPartitioning(MlirOperation function) {
  ir::setUnitAttr(function, kPartitioning);
}

bool hasOwnPartitioning(MlirOperation function) {
  return has(function, kPartitioning);
}

void removeOwnPartitioning(MlirOperation function) {
  mlirOperationRemoveDiscardableAttributeByName(function,
                                                ir::strRef(kPartitioning));
}

void setCopyOf(MlirOperation function, const std::string &original) {
  ir::setStringAttr(function, kCopyOf, original);
}

bool isCopy(MlirOperation function) { return has(function, kCopyOf); }

void setReusesExternalMemory(MlirOperation function) {
  ir::setUnitAttr(function, kReusesExternalMemory);
}

bool reusesExternalMemory(MlirOperation function) {
  return has(function, kReusesExternalMemory);
}

void setBarrier(MlirOperation barrier) { ir::setUnitAttr(barrier, kBarrier); }

bool isBarrier(MlirOperation op) { return has(op, kBarrier); }

void setConstantBarrier(MlirOperation barrier) {
  ir::setUnitAttr(barrier, kConstantBarrier);
}

bool isConstantBarrier(MlirOperation op) { return has(op, kConstantBarrier); }

void setRefused(MlirOperation placeholder, const std::string &reason) {
  ir::setStringAttr(placeholder, kRefused, reason);
}

std::optional<std::string> refused(MlirOperation op) {
  return ir::stringAttr(op, kRefused);
}

void setExtraWork(MlirOperation function, double share) {
  ir::setIntAttr(function, kExtraWork, int64_t(std::ceil(share * 1e6)));
}

double extraWork(MlirOperation function) {
  return double(ir::intAttr(function, kExtraWork).value_or(0)) / 1e6;
}

void removeAll(MlirOperation op) {
  ir::walk(op, [](MlirOperation inner) {
    std::vector<std::string> names;
    intptr_t count = mlirOperationGetNumAttributes(inner);
    for (intptr_t i = 0; i < count; ++i) {
      std::string_view name =
          ir::view(mlirIdentifierStr(mlirOperationGetAttribute(inner, i).name));
      if (name.substr(0, kPrefix.size()) == kPrefix) {
        names.emplace_back(name);
      }
    }
    for (const std::string &name : names) {
      mlirOperationRemoveDiscardableAttributeByName(inner, ir::strRef(name));
    }
  });
}

} // namespace serenity::attributes

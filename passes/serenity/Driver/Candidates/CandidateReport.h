// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Describes the candidates of a function as data, for the report.

#ifndef SERENITY_DRIVER_CANDIDATES_CANDIDATEREPORT_H
#define SERENITY_DRIVER_CANDIDATES_CANDIDATEREPORT_H

#include "serenity/Driver/Candidates/CandidateSearch.h"
#include "serenity/Driver/Compile/Budget.h"
#include "serenity/Report/Report.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// The choices of `config`; kind "serenity". The peak is not set.
CandidateReport describe(const Configuration &config,
                         const CandidateSearch &search);

/// All candidates of `function`, which is compiled as `variant`, or in `config`
/// if that is `Variant::Reordered`: the stock candidate with `stockPeak`; if
/// `offsetPeak` has a value, IREE's order with that peak; and those of
/// `search`, if it is not null. Peaks are in bytes, empty if a size is dynamic.
std::vector<CandidateReport>
describeCandidates(const std::string &function,
                   const std::optional<int64_t> &stockPeak,
                   const std::optional<std::optional<int64_t>> &offsetPeak,
                   const CandidateSearch *search, Variant variant,
                   const Configuration &config);

} // namespace serenity

#endif // SERENITY_DRIVER_CANDIDATES_CANDIDATEREPORT_H

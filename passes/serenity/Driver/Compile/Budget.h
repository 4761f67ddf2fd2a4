// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The memory budget (docs/budget.md): how far a module is changed to meet it,
/// and the diagnostics where it cannot be met.

#ifndef SERENITY_DRIVER_COMPILE_BUDGET_H
#define SERENITY_DRIVER_COMPILE_BUDGET_H

#include "serenity/Driver/Candidates/CandidateSearch.h"
#include "serenity/Driver/Candidates/VariantChoice.h"
#include "serenity/Driver/Compile/Flags.h"
#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace serenity {

/// Finds out how little has to be changed for every function to fit.
///
/// Functions that call one another are changed together, since the peak of one
/// counts in that of the other.
class BudgetLadder {
public:
  /// `stock` is the stock candidate with laid out slabs.
  BudgetLadder(MlirOperation stock, const CompileFlags &flags,
               const Options &options, StreamPhase &stream);

  /// Whether IREE's order is good enough everywhere.
  bool fitsInStockOrder() const;

  /// The candidate that changes least and fits: the stock candidate
  /// reordered, then fusion, then rewriting with as few sites as a bounded
  /// search finds. Where none fits, the candidate of least cost. The stock
  /// candidate must have been placed.
  Configuration chooseCandidate(CandidateSearch &search, bool refine);

  /// The least change of the stock candidate by which the function fits;
  /// nothing if there is none.
  std::optional<Variant> leastChange(const std::string &function) const;

private:
  Peaks measure(MlirOperation module, PackAlgorithm algorithm);
  /// Whether `function` fits with a transient peak; an unknown one is no
  /// promise.
  bool fits(const std::string &function,
            const std::optional<int64_t> &peak) const;
  void countOutside(MlirOperation stock);
  bool fits(const Configuration &config,
            const CandidateSearch::Candidate &tried);
  Configuration trimRewrites(CandidateSearch &search, Configuration config);

  int64_t budgetBytes;
  BudgetCounts counts;
  /// Inputs, results and variables where they count, by function.
  std::map<std::string, int64_t> outside;
  Options options; // sizes at their bounds
  StreamPhase &stream;
  /// Per variant of the stock candidate, in the order of the enumeration; that
  /// of the reordered function is empty until it was looked at.
  std::array<Peaks, 3> peaks;
  /// The functions that a function calls or is called by, itself included.
  std::map<std::string, std::set<std::string>> together;
};

/// The entries of `meansInOrder` that a function uses, if it is compiled like
/// that.
std::vector<std::string> meansOf(Variant variant, const Configuration &config,
                                 const std::string &function,
                                 const CandidateSearch &search,
                                 const Options &options);

/// Notes in `report` whether every function keeps to the budget, and says so:
/// an error (or a warning, if the user prefers that) for a function that does
/// not, with the buffers that would have to shrink; a remark on the means used
/// for the others. False if the compilation must fail.
bool checkBudget(MlirOperation module, const CompileFlags &flags,
                 ModuleReport &report);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_BUDGET_H

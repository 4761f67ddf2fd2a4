// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Looks for the form of a module (fusion, rewriting, updates in place) that
/// needs the least transient memory in our order.

#ifndef SERENITY_DRIVER_COMPILE_FORMSEARCH_H
#define SERENITY_DRIVER_COMPILE_FORMSEARCH_H

#include "serenity/Driver/Compile/Forms.h"
#include "serenity/Driver/Compile/StreamPhase.h"
#include "serenity/Driver/Compile/UserFlags.h"
#include "serenity/Driver/Compile/WorkLimit.h"
#include "serenity/Transforms/Options.h"
#include "serenity/Transforms/Report.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace serenity {

class FormSearch {
public:
  struct Tried {
    MlirOperation flow = {};   // null if IREE refused the form
    bool symbolic = false;     // flow has constants left to evaluate
    int64_t numDispatches = 0; // in flow
    MlirOperation placed = {}; // with laid out slabs; null if not taken so far
    Peaks peaks;
    std::optional<int64_t> estimate; // at flow level
    std::optional<int64_t> cost;     // of the slabs
    ModuleReport report;
    RewriteOutcome rewrites;
  };

  /// Everything must outlive the search. With `watched`, what the user watches
  /// on standard error does not show the tries.
  FormSearch(iree_compiler_session_t *session, const UserFlags &user,
             const Options &options, StreamPhase &stream, bool watched,
             ModuleReport &report, WorkLimit &limit)
      : session(session), user(user), options(options), stream(stream),
        watched(watched), report(report), limit(limit) {}
  ~FormSearch();
  FormSearch(const FormSearch &) = delete;
  FormSearch &operator=(const FormSearch &) = delete;

  /// Takes over `module`, at the end of the preprocessing phase, to make other
  /// forms from; without it the stock form is all there is.
  void startFrom(MlirOperation module);

  /// The stock form in our order, first of all. `leastStock` are the peaks that
  /// no function may exceed.
  void placeStock(MlirOperation flow, const Peaks &leastStock);

  /// Dispatch formation and all rewrites or none together first, then groups of
  /// sites, then single sites; the form of least cost. What it finds does not
  /// depend on earlier searches, with or without rewriting.
  Form search(RewriteMode mode);

  /// Takes one form to its slabs; null if that is not possible.
  Tried *place(const Form &form);

  /// Null if the form was not tried, or not down to its slabs.
  Tried *placed(const Form &form);

  /// Solves a form once more without the limit of the comparison, where that
  /// limit was what ended the search.
  void refine(Tried &entry);

  const std::map<Form, Tried> &tried() const { return candidates; }
  /// The sites that `form` chooses from.
  const std::vector<RewriteSite> &sites(const Form &form) const;

  /// The band plan of a form that has one.
  const BandPlan *bandPlan(const Form &form) const;

  /// Drops all modules, and the one to make forms from.
  void forget();

private:
  std::optional<int64_t> estimateForm(const Form &form);
  std::optional<int64_t> estimate(MlirOperation flow);
  bool remake(const Form &form, Tried &entry, int64_t stateLimit);
  std::optional<int64_t> placeForm(const Form &form);
  Form placeBest(bool rewritten);
  /// The order in which forms that were estimated are taken to their slabs: of
  /// least estimate, then of fewest rewrites.
  bool promisesMore(const Form &a, const Form &b) const;
  Form keepApartAtPeak(Form best);
  Form tryBands(Form best);
  const std::vector<size_t> &planBands(Form::Storage storage);
  Form rewriteAtPeak(Form best);
  Form rewriteRaised(const Form &best, Form::Storage storage);
  std::set<std::string> placesAtPeak(const Tried &entry) const;
  Form dropSites(Form best);
  Form joinParts(Form best);
  std::optional<int64_t> leastCost() const;
  bool isNarrower(const Form &form, const Form &than);
  std::optional<int64_t> cost(const Peaks &peaks) const;

  iree_compiler_session_t *session;
  const UserFlags &user;
  const Options &options;
  StreamPhase &stream;
  bool watched;
  ModuleReport &report;
  WorkLimit &limit;
  MlirContext context = {};
  MlirOperation preprocessed = {};
  mutable std::optional<FormMaker> maker;
  /// Numbers of the band plans, once they are made, by the module they are for.
  std::map<Form::Storage, std::vector<size_t>> bandPlans;
  /// Per function, the least peak without our order.
  Peaks bestStock;
  std::map<Form, Tried> candidates;
  /// Those that the present search has asked for, and their dispatches.
  std::set<Form> asked;
  int64_t askedDispatches = 0;
  /// States of the searches for the slabs of forms so far.
  int64_t placedStates = 0;
  /// Forms whose order of accumulations may improve with more states than an
  /// estimate has: all sites of the paper's kinds and sums in the better
  /// fusion, and with operands overwritten piece by piece too.
  std::vector<Form> promising;
};

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_FORMSEARCH_H

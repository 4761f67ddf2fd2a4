// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Forms of a module: what reaches the flow phase depends on rewriting and on
// how dispatches are formed. A form is made from the module as preprocessing
// left it, on a clone, in an invocation of its own.

#ifndef SERENITY_DRIVER_COMPILE_FORMS_H
#define SERENITY_DRIVER_COMPILE_FORMS_H

#include "serenity/IREE/IreeC.h"
#include "serenity/Transforms/Rewrite.h"
#include "serenity/Transforms/RewriteBand.h"

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace serenity {

/// How a module is brought to the flow phase.
struct Form {
  /// What quantized networks are made from: the module as preprocessing left
  /// it; with quantized values stored in their integers
  /// (`serenity-store-quantized`); that with contractions raised to integers
  /// too, so that rewrites reach them. Other modules have the first alone.
  enum Storage { AsGiven, Integers, Raised } storage = AsGiven;
  /// Override of `--iree-dispatch-creation-fuse-multi-use`. (Fusion of padding
  /// into its consumers would often need less still, but IREE 3.12 and 3.13
  /// fail to generate code for it on CPUs.)
  std::optional<bool> fuseMultiUse;
  /// The band plan that is applied before all else: its number, counted from
  /// one; 0: none.
  size_t bands = 0;
  /// Per rewrite site of the module in these bands; empty: none.
  std::vector<bool> sites;
  /// Pieces reach through sums of values that others read too.
  bool deepStreams = false;
  /// Let dispatches overwrite operands that die with them: not at all, where
  /// they have no other reader, or also where they are the last one.
  enum InPlace { None, SingleUse, LastUse } inPlace = None;
  /// Locations of producers that are not fused with their users.
  std::set<std::string> apart;
  /// Parts of sites that are taken in one step.
  PartGroups joins;

  bool isStock() const;
  /// "multi-use fusion off, in place, 12 rewrites", or "stock".
  std::string name() const;
  bool operator<(const Form &other) const;
};

/// The number of sites that the form rewrites.
size_t numRewrites(const Form &form);

/// The number of steps that its joins save.
size_t numJoins(const Form &form);

/// Makes forms of one module.
class FormMaker {
public:
  /// `preprocessed` must outlive the maker and stays as it is. `flags` are
  /// those of the session, by name, to be restored after each use.
  FormMaker(iree_compiler_session_t *session,
            const std::map<std::string, std::string> &flags,
            MlirOperation preprocessed);
  ~FormMaker();
  FormMaker(const FormMaker &) = delete;
  FormMaker &operator=(const FormMaker &) = delete;

  /// Whether forms can be made from that module.
  bool has(Form::Storage storage) const { return bases[storage].module.ptr; }
  /// The furthest that it goes.
  Form::Storage furthestStorage() const;
  const std::vector<RewriteSite> &sites(Form::Storage storage) const {
    return bases[storage].sites;
  }
  const std::vector<RewriteSite> &sites(const Form &form) {
    return baseOf(form).sites;
  }

  /// Plans bands for that module, which costs no trial compilation.
  BandPlan planBands(Form::Storage storage, const BandOptions &options) const {
    return serenity::planBands(bases[storage].module, options);
  }
  /// Adds a plan for the module of `storage`; returns its number.
  size_t addBandPlan(Form::Storage storage, BandPlan plan);
  const BandPlan &bandPlan(size_t number) const {
    return banded[number - 1].plan;
  }

  /// Locations of the producers that may be kept apart.
  const std::set<std::string> &apartSites(const Form &form) {
    return baseOf(form).producers;
  }
  const std::set<std::string> &apartSites(Form::Storage storage) const {
    return bases[storage].producers;
  }

  /// What becomes of expressions of constants, such as the factors of a batch
  /// normalization: IREE compiles and runs them, or, much faster and enough for
  /// an estimate, leaves them to the module's initializers.
  enum class Constants { Evaluated, Symbolic };

  /// The module at the end of the flow phase, owned by the caller; null if IREE
  /// refuses the form. `outcome` receives what was rewritten. `stateLimit` ends
  /// the search for the order of accumulations.
  MlirOperation make(const Form &form, int64_t stateLimit,
                     RewriteOutcome *outcome = nullptr,
                     Constants constants = Constants::Evaluated);

  /// Joins of the parts of `form` that the model of accumulations has no
  /// objection to.
  PartGroups findJoins(const Form &form, int64_t stateLimit);

  /// Whether IREE evaluates constants in this session.
  bool evaluates() const;

private:
  /// What forms are made from, by `Form::Storage`; null if there is no such.
  struct Base {
    MlirOperation module = {};
    std::vector<RewriteSite> sites;
    std::set<std::string> producers;
  };

  /// The same in the bands of a plan.
  struct Banded {
    Form::Storage storage = Form::AsGiven;
    BandPlan plan;
    Base base; // null until a form asks for it
  };
  Base &baseOf(const Form &form);

  bool setFlag(const std::string &name, const std::string &value);
  void setBase(Form::Storage storage, MlirOperation module);
  void makeQuantizedBases();

  iree_compiler_session_t *session;
  const std::map<std::string, std::string> &flags;
  std::array<Base, 3> bases;
  std::vector<Banded> banded;
};

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_FORMS_H

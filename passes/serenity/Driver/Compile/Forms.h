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

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace serenity {

/// How a module is brought to the flow phase.
struct Form {
  /// Override of `--iree-dispatch-creation-fuse-multi-use`. (Fusion of padding
  /// into its consumers would often need less still, but IREE 3.12 and 3.13
  /// fail to generate code for it on CPUs.)
  std::optional<bool> fuseMultiUse;
  /// Per rewrite site; empty: none.
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

  const std::vector<RewriteSite> &sites() const { return rewriteSites; }
  /// Locations of the producers that may be kept apart.
  const std::set<std::string> &apartSites() const { return producers; }

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
  bool setFlag(const std::string &name, const std::string &value);

  iree_compiler_session_t *session;
  const std::map<std::string, std::string> &flags;
  MlirOperation preprocessed;
  std::vector<RewriteSite> rewriteSites;
  std::set<std::string> producers;
};

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_FORMS_H

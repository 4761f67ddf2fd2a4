// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Candidates of a module: the module at the flow phase depends on rewriting and
// on how dispatches are formed. A candidate is made from the module as
// preprocessing left it, on a clone, in an invocation of its own.

#ifndef SERENITY_DRIVER_CANDIDATES_CANDIDATEBUILDER_H
#define SERENITY_DRIVER_CANDIDATES_CANDIDATEBUILDER_H

#include "serenity/Analysis/MemoryPrediction.h"
#include "serenity/IREE/IreeC.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Rewrite/Rewrite.h"
#include "serenity/Transforms/Rewrite/RewriteBand.h"

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace serenity {

/// How a module is brought to the flow phase.
struct Configuration {
  /// The origin of quantized networks: the module as preprocessing left
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
  std::set<std::string> unfused;
  /// Parts of sites that are taken in one step.
  PartGroups joins;

  bool isStock() const;
  /// "multi-use fusion off, in place, 12 rewrites", or "stock".
  std::string name() const;
  bool operator<(const Configuration &other) const;
};

/// The number of sites that the candidate rewrites.
size_t numRewrites(const Configuration &config);

/// The number of steps that its joins save.
size_t numJoins(const Configuration &config);

/// Modules at the flow phase before dispatches overwrite operands, by the text
/// that they were made from: other configurations often lead to the same
/// module, for which IREE is run once. Empty: IREE refuses it. The text has no
/// large constants: modules that differ in those alone compute the same
/// function in the same bytes, as all candidates do.
using FormedModules = std::map<std::string, ir::OwningOp>;

/// Makes candidates of one module.
class CandidateBuilder {
public:
  /// `preprocessed` is a module at the end of the preprocessing phase. `flags`
  /// are those of the session, by name, to be restored after each use; `sizes`
  /// has the hints of dimensions that are known only at run time. A trial
  /// compilation for which `abandons` holds between two phases ends there, as
  /// if IREE refused the module. `formed` may be shared with builders for the
  /// same module with other marks of inputs that may be overwritten.
  CandidateBuilder(iree_compiler_session_t *session,
                   const std::map<std::string, std::string> &flags,
                   ir::OwningOp preprocessed, const TensorSizes &sizes,
                   std::function<bool()> abandons, FormedModules &formed);
  CandidateBuilder(const CandidateBuilder &) = delete;
  CandidateBuilder &operator=(const CandidateBuilder &) = delete;

  /// Whether candidates can be made from that module.
  bool has(Configuration::Storage storage) const {
    return bool(bases[storage].module);
  }
  /// The furthest that it goes.
  Configuration::Storage furthestStorage() const;
  const std::vector<RewriteSite> &sites(Configuration::Storage storage) const {
    return bases[storage].sites;
  }
  const std::vector<RewriteSite> &sites(const Configuration &config) {
    return baseOf(config).sites;
  }

  /// Plans bands for that module, which costs no trial compilation.
  BandPlan planBands(Configuration::Storage storage,
                     const BandOptions &options) const {
    if (keepsAsGiven && storage == Configuration::AsGiven) {
      return {};
    }
    return serenity::planBands(bases[storage].module.get(), options);
  }
  /// Adds a plan for the module of `storage`; returns its number.
  size_t addBandPlan(Configuration::Storage storage, BandPlan plan);
  /// The same for plan `number` with `site` in `count` bands, or computed as a
  /// whole where `count` is 1; 0 if that cannot be.
  size_t changeBandPlan(size_t number, size_t site, int64_t count);
  const BandPlan &bandPlan(size_t number) const {
    return banded[number - 1].plan;
  }

  /// Locations of the producers that can be left unfused.
  const std::set<std::string> &unfusableProducers(const Configuration &config) {
    return baseOf(config).producers;
  }
  const std::set<std::string> &
  unfusableProducers(Configuration::Storage storage) const {
    return bases[storage].producers;
  }

  /// The treatment of expressions of constants, such as the factors of a batch
  /// normalization: IREE compiles and runs them, or, much faster and enough for
  /// an estimate, leaves them to the module's initializers.
  enum class Constants { Evaluated, Symbolic };

  /// The module at the end of the flow phase; empty if IREE refuses the
  /// candidate. `outcome` receives the outcome of its rewrites. `stateLimit`
  /// ends the search for the order of accumulations.
  ir::OwningOp make(const Configuration &config, int64_t stateLimit,
                    RewriteOutcome *outcome = nullptr,
                    Constants constants = Constants::Evaluated);

  /// The prediction of the fusion model for a candidate, without running IREE.
  struct Forecast {
    /// Nothing if the model does not describe the module.
    std::optional<rewrite::Prediction> memory;
    RewriteOutcome rewrites;
  };
  /// `fuseMultiUse` tells whether shared producers are fused where the
  /// candidate does not override it; `alignment` is that of buffers in bytes;
  /// `reuseResults` tells whether they may lie in the memory of results;
  /// `stateLimit` ends the searches for the order of accumulations, and
  /// `orderStates` that for the order of the function. Dynamic dimensions are
  /// as in `extents`, or at the hints.
  Forecast predict(const Configuration &config, bool fuseMultiUse,
                   int64_t alignment, bool reuseResults, int64_t stateLimit,
                   int64_t orderStates, const TensorSizes *extents = nullptr);

  /// Joins of the parts of `candidate` that the model of accumulations has no
  /// objection to.
  PartGroups findJoins(const Configuration &config, int64_t stateLimit);

  /// Why the rewrites of a candidate were refused, of the first one; empty if
  /// none were.
  std::string refusal() const;

  /// The times that IREE has compiled a candidate to the flow phase.
  int64_t numCompilations() const { return compilations; }

  /// Whether IREE evaluates constants in this session.
  bool evaluates() const;

  /// The values that the module quantizes.
  const std::vector<QuantizedValueReport> &quantizedValues() const {
    return values;
  }

private:
  /// The modules that candidates are made from, by `Configuration::Storage`;
  /// empty if there is no such.
  struct Base {
    ir::OwningOp module;
    std::vector<RewriteSite> sites;
    std::set<std::string> producers;
  };

  /// The same in the bands of a plan.
  struct Banded {
    Configuration::Storage storage = Configuration::AsGiven;
    BandPlan plan;
    Base base; // empty until a candidate asks for it
  };
  Base makeBase(ir::OwningOp module) const;
  Base &baseOf(const Configuration &config);

  /// A module with the rewrites of candidates that differ in nothing else.
  struct Rewritten {
    ir::OwningOp module; // empty if it is not to be used
    RewriteOutcome outcome;
    /// Of a quantized module, what it is predicted by; empty until it is.
    ir::OwningOp raised;
  };
  Rewritten &rewrite(const Configuration &config, int64_t stateLimit);
  bool raises() const;
  ir::OwningOp raise(MlirOperation module) const;
  ir::OwningOp prepare(const Configuration &config, int64_t stateLimit,
                       RewriteOutcome *outcome);
  /// Runs IREE's phases on a module; false if it refuses the module, or the
  /// trial compilation is abandoned.
  bool runToFlow(MlirOperation module, const Configuration &config,
                 Constants constants);
  bool setFlag(const std::string &name, const std::string &value);
  void setBase(Configuration::Storage storage, ir::OwningOp module);
  void makeQuantizedBases();

  iree_compiler_session_t *session;
  const std::map<std::string, std::string> &flags;
  TensorSizes sizes;
  std::function<bool()> abandons;
  int64_t compilations = 0;
  /// Nothing of the module as given is rewritten: sums of floats are quantized
  /// later, and rounded otherwise they may become other integers.
  bool keepsAsGiven = false;
  std::array<Base, 3> bases;
  std::vector<QuantizedValueReport> values;
  std::vector<Banded> banded;
  /// By configuration, of which only the rewrites count, and state limit.
  std::map<std::pair<Configuration, int64_t>, Rewritten> rewritten;
  FormedModules &formed;
};

} // namespace serenity

#endif // SERENITY_DRIVER_CANDIDATES_CANDIDATEBUILDER_H

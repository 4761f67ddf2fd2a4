// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Rewrite/FunctionRewriter.h"

#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Rewrite/Erasable.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>

namespace serenity::rewrite {

using namespace ir;

/// The stage before which the order of accumulations is chosen: in the search
/// an operation that is overwritten piece by piece is a single one.
static constexpr int orderedStage = 3;
static constexpr int numStages = 4;

/// Position of every operation of the function, nested ones included.
static std::map<const void *, int64_t> positions(MlirOperation function) {
  std::map<const void *, int64_t> found;
  int64_t next = 0;
  walk(function, [&](MlirOperation op) { found[op.ptr] = next++; });
  return found;
}

std::vector<int64_t>
partOrder(size_t count, const std::vector<int64_t> &given,
          const std::function<int64_t(size_t)> &available) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  if (given.size() == count &&
      std::is_permutation(given.begin(), given.end(), order.begin())) {
    return given;
  }
  std::vector<int64_t> when;
  for (size_t i = 0; i < count; ++i) {
    when.push_back(available(i));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return when[a] < when[b]; });
  return order;
}

FunctionRewriter::FunctionRewriter(MlirOperation module, MlirOperation function,
                                   const RewriteOptions &options)
    : options(options), position(positions(function)),
      splitter(module, /*throughReductions=*/false, options.sizes),
      function(function) {}

const std::vector<int64_t> &FunctionRewriter::givenOrder(size_t index) const {
  static const std::vector<int64_t> none;
  return index < options.orders.size() ? options.orders[index] : none;
}

/// The parts of a site by the steps that take them: `joins`, if they are
/// disjoint groups of `count` parts, and every other part alone.
static std::vector<std::vector<int64_t>>
groupParts(size_t count, const std::vector<std::vector<int64_t>> &joins) {
  std::vector<std::vector<int64_t>> groups;
  std::vector<bool> grouped(count, false);
  for (const std::vector<int64_t> &join : joins) {
    bool fits = !join.empty();
    for (size_t i = 0; i < join.size(); ++i) {
      fits = fits && join[i] >= 0 && join[i] < int64_t(count) &&
             !grouped[join[i]] &&
             std::count(join.begin(), join.end(), join[i]) == 1;
    }
    if (fits) {
      groups.push_back(join);
      for (int64_t part : join) {
        grouped[part] = true;
      }
    }
  }
  for (size_t part = 0; part < count; ++part) {
    if (!grouped[part]) {
      groups.push_back({int64_t(part)});
    }
  }
  std::sort(groups.begin(), groups.end());
  return groups;
}

std::vector<std::vector<int64_t>>
FunctionRewriter::stepsOf(size_t index, size_t count) const {
  auto join = options.joins.find(index);
  return groupParts(count, join == options.joins.end()
                               ? std::vector<std::vector<int64_t>>()
                               : join->second);
}

int64_t FunctionRewriter::availability(MlirValue value) const {
  MlirOperation op = definingOp(value);
  if (isNull(op)) {
    return -1;
  }
  auto found = position.find(op.ptr);
  if (found != position.end()) {
    return found->second;
  }
  int64_t latest = -1;
  for (MlirValue source : operands(op)) {
    latest = std::max(latest, availability(source));
  }
  return latest;
}

Chain FunctionRewriter::accumulateParts(
    const Structured &op, const StructuredSplit &split,
    const std::vector<int64_t> &given,
    const std::vector<std::vector<int64_t>> &groups) {
  std::vector<std::vector<MlirValue>> parts;
  std::vector<MlirOperation> joined;
  for (const std::vector<int64_t> &group : groups) {
    parts.push_back(splitter.partOperands(op, split, group, &joined));
  }
  std::vector<int64_t> order = partOrder(parts.size(), given, [&](size_t part) {
    int64_t latest = -1;
    for (int64_t i = 0; i < op.numInputs; ++i) {
      if (split.cuts[i] == OperandCut::Parts) {
        latest = std::max(latest, availability(parts[part][i]));
      }
    }
    return latest;
  });
  MlirType type = mlirValueGetType(result(op.op));
  MlirValue accumulator = operand(op.op, op.numInputs);
  Chain chain;
  chain.accumulator = op.numInputs;
  auto cut = std::find(split.cuts.begin(), split.cuts.end(), OperandCut::Parts);
  if (std::count(cut, split.cuts.end(), OperandCut::Parts) == 1) {
    chain.cut = cut - split.cuts.begin();
  }
  for (size_t step = 0; step < order.size(); ++step) {
    if (chain.cut >= 0) {
      chain.taken.push_back(groups[order[step]]);
    }
    std::vector<MlirValue> values = parts[order[step]];
    values.back() = accumulator;
    chain.steps.push_back(cloneStep(op.op, values, type, op.op));
    accumulator = result(chain.steps.back());
    if (step + 1 < order.size()) {
      accumulator = insertBarrier(accumulator, op.op);
    }
  }
  mlirValueReplaceAllUsesOfWith(result(op.op), accumulator);
  for (MlirOperation concat : joined) {
    concats.insert(concat.ptr);
  }
  return chain;
}

void FunctionRewriter::addChain(MlirOperation op, Chain chain, bool isFree) {
  chainOf[op.ptr] = chains.size();
  for (MlirOperation step : chain.steps) {
    splitter.pin(step);
  }
  chains.push_back(std::move(chain));
  freeChains.push_back(isFree);
}

Chain *FunctionRewriter::chainFor(MlirOperation op) {
  auto known = chainOf.find(op.ptr);
  return known == chainOf.end() ? nullptr : &chains[known->second];
}

void FunctionRewriter::replaced(MlirOperation op) {
  dead.push_back(op);
  splitter.invalidate();
}

/// Puts the parts of elementwise operations that still have whole users
/// together again, so that nothing is computed twice.
static void rejoin(Splitter &splitter) {
  for (MlirOperation op : splitter.dissolved()) {
    MlirValue whole = result(op);
    if (!hasUses(whole)) {
      continue;
    }
    SplitResult found = splitter.split(whole);
    if (!found.split) {
      continue;
    }
    std::vector<MlirValue> parts = splitter.parts(whole);
    MlirOperation concat =
        concatenate(parts, found.split->dim, mlirValueGetType(whole), op);
    mlirValueReplaceAllUsesOfWith(whole, result(concat));
  }
}

/// Erases `root` if nothing uses it, then its operands' operations likewise.
static void eraseDead(MlirOperation root,
                      const std::function<void(MlirOperation)> &onErase) {
  std::vector<MlirOperation> worklist = {root};
  while (!worklist.empty()) {
    MlirOperation op = worklist.back();
    worklist.pop_back();
    bool used = false;
    for (MlirValue value : results(op)) {
      used |= hasUses(value);
    }
    if (!isErasable(op) || used) {
      continue;
    }
    std::vector<MlirOperation> sources;
    for (MlirValue source : operands(op)) {
      MlirOperation def = definingOp(source);
      bool known = isNull(def);
      for (MlirOperation other : sources) {
        known |= mlirOperationEqual(other, def);
      }
      if (!known) {
        sources.push_back(def);
      }
    }
    // A source is listed when its last user goes, hence once.
    onErase(op);
    erase(op);
    for (MlirOperation source : sources) {
      bool dead = true;
      for (MlirValue value : results(source)) {
        dead &= !hasUses(value);
      }
      if (dead) {
        worklist.push_back(source);
      }
    }
  }
}

void FunctionRewriter::clean() {
  // Later operations may use earlier ones, never the other way round.
  std::reverse(dead.begin(), dead.end());
  for (MlirOperation op : dead) {
    position.erase(op.ptr);
    erase(op);
  }
  dead.clear();
  splitter.invalidate();
  rejoin(splitter);
  // Collect before erasing: a dead operation may be the operand of another.
  // Operations inside of one go with it.
  std::vector<MlirOperation> roots;
  walk(function, [&](MlirOperation op) {
    std::string_view parent = name(mlirOperationGetParentOperation(op));
    if (parent.substr(0, 7) == "linalg." || parent.substr(0, 7) == "tensor." ||
        !isErasable(op)) {
      return;
    }
    bool used = mlirOperationGetNumResults(op) == 0;
    for (MlirValue value : results(op)) {
      used |= hasUses(value);
    }
    if (!used) {
      roots.push_back(op);
    }
  });
  std::set<const void *> erased;
  for (MlirOperation op : roots) {
    eraseDead(op, [&](MlirOperation gone) {
      position.erase(gone.ptr);
      concats.erase(gone.ptr);
      erased.insert(gone.ptr);
    });
  }
  // Values without a user have no order either.
  for (size_t i = 0; i < chains.size(); ++i) {
    std::vector<MlirOperation> &steps = chains[i].steps;
    if (std::any_of(steps.begin(), steps.end(), [&](MlirOperation step) {
          return erased.count(step.ptr) != 0;
        })) {
      steps.clear();
      freeChains[i] = false;
    }
  }
  splitter.forget();
}

/// Sites of one operation, or of one and its operand, exclude each other: the
/// earlier stage takes it.
void FunctionRewriter::applyStage(int stage, const std::vector<SiteOp> &sites,
                                  const std::vector<bool> &enabled,
                                  RewriteOutcome *outcome) {
  for (size_t i = 0; i < sites.size(); ++i) {
    const SiteOp &site = sites[i];
    if (!enabled[i] || rewriteKindInfo(site.site.kind).stage != stage ||
        !(stands(site.op) || chainFor(site.op))) {
      continue;
    }
    int64_t parts = rewritePattern(site.site.kind).split(*this, site, i);
    if (outcome) {
      outcome->parts[i] = parts;
    }
    auto chain = chainOf.find(site.op.ptr);
    if (parts > 0 && chain != chainOf.end()) {
      siteOf.emplace(chain->second, i);
    }
  }
}

/// Chooses the order of all free accumulations together, or finds the steps
/// that can be merged.
void FunctionRewriter::solveOrder(const std::vector<SiteOp> &sites,
                                  const std::vector<bool> &enabled,
                                  RewriteOutcome *outcome, PartGroups *joins) {
  std::vector<Chain> free;
  std::vector<size_t> freeSites;
  for (size_t i = 0; i < chains.size(); ++i) {
    if (freeChains[i]) {
      free.push_back(chains[i]);
      freeSites.push_back(siteOf[i]);
    }
  }
  PiecewiseOps piecewise;
  for (size_t i = 0; i < sites.size(); ++i) {
    if (enabled[i]) {
      if (std::optional<Piecewise> found = piecewiseOf(*this, sites[i])) {
        piecewise[sites[i].op.ptr] = *found;
      }
    }
  }
  if (!joins) {
    bool proved = orderChains(function, free, piecewise, concats, options.sizes,
                              options.stateLimit);
    if (outcome) {
      outcome->ordersProved &= proved;
    }
    return;
  }
  auto found =
      findJoins(function, free, piecewise, options.sizes, options.stateLimit);
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i].empty()) {
      (*joins)[freeSites[i]] = found[i];
    }
  }
}

/// IREE has the producer of a padded tensor write into it, and does not compile
/// that where the producer reads its initial value from elsewhere, as the last
/// step of an accumulation does. (Elementwise steps are compiled.)
void FunctionRewriter::keepFromPads() {
  for (const Chain &chain : chains) {
    if (chain.steps.size() < 2 || chain.isSum()) {
      continue;
    }
    MlirValue sum = result(chain.steps.back());
    for (const Use &use : uses(sum)) {
      if (isa(use.owner, "tensor.pad")) {
        mlirOperationSetOperand(use.owner, use.operandNumber,
                                insertBarrier(sum, use.owner));
      }
    }
  }
}

void FunctionRewriter::run(const std::vector<SiteOp> &sites,
                           const std::vector<bool> &enabled,
                           RewriteOutcome *outcome, PartGroups *joins) {
  for (int stage = 0; stage < numStages; ++stage) {
    if (stage == orderedStage && options.solveOrder) {
      solveOrder(sites, enabled, outcome, joins);
    }
    applyStage(stage, sites, enabled, outcome);
    clean();
  }
  keepFromPads();
}

} // namespace serenity::rewrite

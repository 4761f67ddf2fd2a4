// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// serenity-rewrite: splits convolutions, products and pools over
// concatenations into parts, and sums into accumulations.
//
// It assumes linalg on tensors with static shapes, as after IREE's
// preprocessing phase. Afterwards the module computes the same function:
// integers bit by bit, floats up to the rounding of reordered sums. Partial
// results stand behind `util.optimization_barrier`s, without which IREE's
// dispatch formation would fuse the partial sums again and keep all of them
// alive at once; `removeBarriers` takes them out at flow level.
//
//   %c = tensor.concat dim(1) %x, %y
//   %r = linalg.conv_2d_nchw_fchw ins(%c, %w) outs(%bias)
// becomes
//   %0 = linalg.conv_2d_nchw_fchw ins(%x, %w_x) outs(%bias)
//   %1 = util.optimization_barrier {serenity.barrier} %0
//   %r = linalg.conv_2d_nchw_fchw ins(%y, %w_y) outs(%1)
//
// Segments are computed in bands of rows before that (RewriteBand.h).
//
// The barrier is also what keeps the accumulator the init of the next part:
// an init that another linalg operation defines would be detached into a
// separate addition.

#include "serenity/Transforms/Rewrite.h"

#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/RewriteOrder.h"
#include "serenity/Transforms/RewriteSplit.h"
#include "serenity/Transforms/RewriteSum.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace serenity {

using namespace ir;
using namespace rewrite;

const RewriteKindInfo &rewriteKindInfo(RewriteKind kind) {
  static const RewriteKindInfo table[] = {
#define SERENITY_REWRITE_KIND(enumerator, name, anchor, inPieces, stage)       \
  {RewriteKind::enumerator, name, anchor, inPieces, stage},
#include "serenity/Transforms/RewriteKinds.def"
  };
  return table[static_cast<size_t>(kind)];
}

const char *rewriteKindName(RewriteKind kind) {
  return rewriteKindInfo(kind).name;
}

const char *refusalText(RewriteRefusal refusal) {
  switch (refusal) {
  case RewriteRefusal::None:
    return "";
  case RewriteRefusal::ShapeNotStatic:
    return "a shape is not static";
  case RewriteRefusal::PartsNotDisjoint:
    return "the slices that are put together overlap, leave gaps or are cut "
           "along several dimensions";
  case RewriteRefusal::DimensionWindowed:
    return "the concatenated dimension is read through a window";
  case RewriteRefusal::DimensionPadded:
    return "the concatenated dimension is padded";
  case RewriteRefusal::LayoutNotSeparable:
    return "a change of layout mixes the concatenated dimension with others";
  case RewriteRefusal::GroupsNotRespected:
    return "a group of channels lies on both sides of a seam";
  case RewriteRefusal::SplitsDisagree:
    return "two concatenations that meet are cut at different places";
  case RewriteRefusal::OperandNotConstant:
    return "an operand that would have to be cut is not a constant";
  case RewriteRefusal::ElementTypeUnsupported:
    return "the elements of a constant are not whole bytes";
  case RewriteRefusal::IndexDependent:
    return "the value depends on the position along the concatenated dimension";
  case RewriteRefusal::ReductionNotAssociative:
    return "the body does not accumulate by one associative operation";
  case RewriteRefusal::SeveralResults:
    return "the operation has several results";
  }
  return "";
}

namespace {
/// A site and its operation.
struct Candidate {
  RewriteSite site;
  MlirOperation op;
};
} // namespace

static int64_t bytesOf(MlirType type) { return tensorBytes(type).value_or(0); }

/// The symbol of the function around `op`.
static std::string functionOf(MlirOperation op) {
  for (MlirOperation parent = mlirOperationGetParentOperation(op);
       !isNull(parent); parent = mlirOperationGetParentOperation(parent)) {
    if (std::optional<std::string> symbol = stringAttr(parent, "sym_name")) {
      return *symbol;
    }
  }
  return "";
}

/// Bytes of the values of `op` that are cut: its parts and its result, all of
/// them before the rewrite and the largest part after it.
static void estimate(const Structured &op, const StructuredSplit &split,
                     RewriteSite &site) {
  MlirType resultType = mlirValueGetType(result(op.op));
  int64_t whole = 0;
  int64_t largest = 0;
  int64_t extent =
      std::accumulate(split.sizes.begin(), split.sizes.end(), int64_t(0));
  int64_t widest = *std::max_element(split.sizes.begin(), split.sizes.end());
  for (int64_t i = 0; i < op.numInputs; ++i) {
    if (split.cuts[i] == OperandCut::Parts ||
        split.cuts[i] == OperandCut::Stream) {
      int64_t bytes = bytesOf(mlirValueGetType(operand(op.op, i)));
      whole += bytes;
      largest += bytes / extent * widest;
    }
  }
  int64_t produced = bytesOf(resultType);
  site.bytesBefore = whole + produced;
  // The parts of a kernel-wise result are values of their own.
  bool parts = split.resultDim >= 0 && split.region.empty();
  site.bytesAfter = largest + (parts ? produced / extent * widest : produced);
}

/// The element type of the first result; empty if it is no tensor.
static std::string elementOf(MlirOperation op) {
  if (mlirOperationGetNumResults(op) == 0 ||
      !mlirTypeIsARankedTensor(mlirValueGetType(result(op)))) {
    return "";
  }
  return toString(mlirShapedTypeGetElementType(mlirValueGetType(result(op))));
}

/// Of a site whose operands are but padded or activated: the operation before
/// it needs what they are made of, too, and that is kept until the last piece.
static void estimatePadded(const Structured &op, const StructuredSplit &split,
                           RewriteSite &site) {
  int64_t produced = bytesOf(mlirValueGetType(result(op.op)));
  int64_t made = site.bytesBefore - produced;
  int64_t kept = 0;   // as long as the operation runs, before as after
  int64_t longer = 0; // only after
  std::set<const void *> seen;
  for (const auto &item : split.region) {
    for (const auto &[source, dim] : item.second.sources) {
      if (isGiven(source) || split.region.count(source.ptr) != 0 ||
          !seen.insert(source.ptr).second) {
        continue;
      }
      (uses(source).size() > 1 ? kept : longer) +=
          bytesOf(mlirValueGetType(source));
    }
  }
  site.bytesBefore = std::max(kept + made + produced, kept + longer + made);
  site.bytesAfter += kept + longer;
}

/// The pad in front of the operand that is cut piece by piece.
static MlirOperation padOf(const Structured &op, const StructuredSplit &plan) {
  auto at = std::find(plan.cuts.begin(), plan.cuts.end(), OperandCut::Stream);
  return definingOp(operand(op.op, at - plan.cuts.begin()));
}

/// Whether the result can take the place of what is padded: nothing else reads
/// that, it is computed here (not before a loop), and of the same type.
static bool takesPlace(const Structured &op, MlirOperation pad) {
  MlirValue source = operand(pad, 0);
  MlirOperation producer = definingOp(source);
  return !isNull(producer) && structured(producer) &&
         sameBlock(producer, pad) && uses(source).size() == 1 &&
         mlirTypeEqual(mlirValueGetType(source),
                       mlirValueGetType(result(op.op)));
}

/// The largest piece of the padded value and of the result.
static int64_t pieceBytes(const Structured &op, const StructuredSplit &plan) {
  int64_t extent =
      std::accumulate(plan.sizes.begin(), plan.sizes.end(), int64_t(0));
  int64_t widest = *std::max_element(plan.sizes.begin(), plan.sizes.end());
  return (bytesOf(mlirValueGetType(result(padOf(op, plan)))) +
          bytesOf(mlirValueGetType(result(op.op)))) /
         extent * widest;
}

/// Of an overwrite site: what is padded (if it lives on), the padded value and
/// the result before; what is padded, the result (if it is another tensor) and
/// a piece of both after.
static void estimateOverwrite(const Structured &op, const StructuredSplit &plan,
                              RewriteSite &site) {
  MlirOperation pad = padOf(op, plan);
  MlirValue source = operand(pad, 0);
  int64_t produced = bytesOf(mlirValueGetType(result(op.op)));
  int64_t padded = bytesOf(mlirValueGetType(result(pad)));
  int64_t kept = bytesOf(mlirValueGetType(source));
  site.bytesBefore = (uses(source).size() > 1 ? kept : 0) + padded + produced;
  site.bytesAfter =
      kept + (takesPlace(op, pad) ? 0 : produced) + pieceBytes(op, plan);
}

/// All functions of `module`: its direct children with a body.
static std::vector<MlirOperation> functions(MlirOperation module) {
  std::vector<MlirOperation> found;
  for (MlirOperation op : operations(body(module))) {
    if ((isa(op, "util.func") || isa(op, "func.func")) && body(op).ptr) {
      found.push_back(op);
    }
  }
  return found;
}

/// What a site promises does not depend on the options of its application.
static constexpr int64_t defaultPieces = 4;

/// What may go where nobody uses its results.
static bool isErasable(MlirOperation op) {
  std::string_view opName = name(op);
  return opName.substr(0, 7) == "linalg." || opName.substr(0, 7) == "tensor." ||
         opName == "arith.constant" || opName == "util.global.load";
}

/// The operations of `function` that nobody uses, or nobody but one of them:
/// barriers would keep their parts.
static std::set<const void *> deadOperations(MlirOperation function) {
  std::vector<MlirOperation> ops;
  walk(function, [&](MlirOperation op) { ops.push_back(op); });
  std::set<const void *> dead;
  auto isDead = [&](MlirOperation op) {
    for (; op.ptr; op = mlirOperationGetParentOperation(op)) {
      if (dead.count(op.ptr)) {
        return true;
      }
    }
    return false;
  };
  // Users come later.
  for (auto op = ops.rbegin(); op != ops.rend(); ++op) {
    bool used = !isErasable(*op);
    for (MlirValue value : results(*op)) {
      for (const Use &use : uses(value)) {
        used |= !isDead(use.owner);
      }
    }
    if (!used && mlirOperationGetNumResults(*op) > 0) {
      dead.insert(op->ptr);
    }
  }
  return dead;
}

static std::vector<Candidate>
findCandidates(MlirOperation module, std::vector<RefusedSite> *refused) {
  std::vector<Candidate> found;
  for (MlirOperation function : functions(module)) {
    Splitter splitter(module, /*throughReductions=*/true);
    SumFinder sums(function);
    std::set<const void *> dead = deadOperations(function);
    walk(function, [&](MlirOperation op) {
      if (dead.count(op.ptr)) {
        return;
      }
      Candidate candidate;
      candidate.op = op;
      candidate.site.function = functionOf(op);
      candidate.site.location = toString(mlirOperationGetLocation(op));
      candidate.site.operation = name(op);
      candidate.site.element = elementOf(op);
      if (const Sum *sum = sums.rootedAt(op)) {
        int64_t bytes = bytesOf(mlirValueGetType(result(op)));
        candidate.site.kind = RewriteKind::Sum;
        candidate.site.parts = sum->leaves.size();
        candidate.site.bytesBefore = bytes * (sum->leaves.size() + 1);
        candidate.site.bytesAfter = bytes * 2;
        found.push_back(candidate);
        return;
      }
      std::optional<Structured> loops = structured(op);
      if (!loops || !loops->hasReduction()) {
        return;
      }
      Splitter::OpSplit split = splitter.split(*loops);
      if (split.split) {
        candidate.site.kind = split.split->resultDim < 0
                                  ? RewriteKind::ChannelWise
                                  : RewriteKind::KernelWise;
        candidate.site.parts = split.split->sizes.size();
        estimate(*loops, *split.split, candidate.site);
        found.push_back(candidate);
      }
      // A site may be there with deep streams alone.
      auto shallowOrDeep = [&](auto find) {
        std::optional<StructuredSplit> plan =
            (splitter.*find)(*loops, defaultPieces, /*deep=*/false);
        return plan ? plan
                    : (splitter.*find)(*loops, defaultPieces, /*deep=*/true);
      };
      if (std::optional<StructuredSplit> pieces =
              shallowOrDeep(&Splitter::streamSplit)) {
        candidate.site.kind = RewriteKind::Stream;
        candidate.site.parts = pieces->sizes.size();
        estimate(*loops, *pieces, candidate.site);
        candidate.site.padsOnly = onlyPads(pieces->region);
        bool cheap = !reduces(pieces->region);
        if (cheap) {
          estimatePadded(*loops, *pieces, candidate.site);
        }
        if (!cheap || candidate.site.bytesAfter < candidate.site.bytesBefore) {
          found.push_back(candidate);
        }
        candidate.site.padsOnly = false;
      }
      std::optional<StructuredSplit> kernels =
          split.split ? std::nullopt
                      : shallowOrDeep(&Splitter::kernelStreamSplit);
      if (kernels) {
        candidate.site.kind = RewriteKind::KernelStream;
        candidate.site.parts = kernels->sizes.size();
        estimate(*loops, *kernels, candidate.site);
        found.push_back(candidate);
      }
      std::optional<StructuredSplit> window =
          split.split ? std::nullopt
                      : splitter.windowSplit(*loops, defaultPieces);
      if (window) {
        candidate.site.kind = RewriteKind::Overwrite;
        candidate.site.parts = window->sizes.size();
        estimateOverwrite(*loops, *window, candidate.site);
        if (candidate.site.bytesAfter < candidate.site.bytesBefore) {
          found.push_back(candidate);
        }
      }
      if (refused && !split.split && split.refusal != RewriteRefusal::None) {
        refused->push_back({candidate.site.function, std::string(name(op)),
                            mlirOperationGetLocation(op), split.refusal});
      }
    });
  }
  return found;
}

std::vector<RewriteSite> findRewriteSites(MlirOperation module,
                                          std::vector<RefusedSite> *refused) {
  std::vector<RewriteSite> sites;
  for (const Candidate &candidate : findCandidates(module, refused)) {
    sites.push_back(candidate.site);
  }
  return sites;
}

// --- application ------------------------------------------------------------

/// Position of every operation of the function, nested ones included.
static std::map<const void *, int64_t> positions(MlirOperation function) {
  std::map<const void *, int64_t> found;
  int64_t next = 0;
  walk(function, [&](MlirOperation op) { found[op.ptr] = next++; });
  return found;
}

/// The order of `count` parts: the given one, or by the place where the
/// youngest value of a part is defined.
static std::vector<int64_t>
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

/// Where `value` becomes available: the position of the operation behind pads,
/// elementwise operations and reshapes that the rewriting itself has cloned.
static int64_t availability(MlirValue value,
                            const std::map<const void *, int64_t> &position) {
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
    latest = std::max(latest, availability(source, position));
  }
  return latest;
}

static Chain rewriteChannelWise(const Structured &op,
                                const StructuredSplit &split,
                                Splitter &splitter,
                                const std::vector<int64_t> &given,
                                const std::vector<std::vector<int64_t>> &groups,
                                const std::map<const void *, int64_t> &position,
                                std::vector<MlirOperation> &joined) {
  std::vector<std::vector<MlirValue>> parts;
  for (const std::vector<int64_t> &group : groups) {
    parts.push_back(splitter.partOperands(op, split, group, &joined));
  }
  std::vector<int64_t> order = partOrder(parts.size(), given, [&](size_t part) {
    int64_t latest = -1;
    for (int64_t i = 0; i < op.numInputs; ++i) {
      if (split.cuts[i] == OperandCut::Parts) {
        latest = std::max(latest, availability(parts[part][i], position));
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
  return chain;
}

static void rewriteKernelWise(const Structured &op,
                              const StructuredSplit &split,
                              Splitter &splitter) {
  MlirType type = mlirValueGetType(result(op.op));
  std::vector<MlirValue> parts;
  for (size_t i = 0; i < split.sizes.size(); ++i) {
    parts.push_back(result(
        clonePart(op.op, splitter.partOperands(op, split, {int64_t(i)}),
                  withDim(type, split.resultDim, split.sizes[i]), op.op)));
  }
  MlirOperation concat = concatenate(parts, split.resultDim, type, op.op);
  mlirValueReplaceAllUsesOfWith(result(op.op), result(concat));
}

static void rewriteOverwrite(const Structured &op, const StructuredSplit &plan,
                             Splitter &splitter) {
  MlirOperation pad = padOf(op, plan);
  bool inPlace = takesPlace(op, pad);
  MlirValue whole = operand(pad, 0);
  if (inPlace) {
    // It must be there as a whole: fused into its slices, what it is computed
    // from would live on.
    whole = insertBarrier(whole, op.op);
  }
  MlirType type = mlirValueGetType(result(op.op));
  std::vector<MlirValue> parts;
  int64_t offset = 0;
  for (int64_t size : plan.sizes) {
    std::vector<MlirValue> values;
    for (size_t i = 0; i < op.maps.size(); ++i) {
      MlirValue value = operand(op.op, i);
      int64_t dim = plan.dims[i];
      if (plan.cuts[i] == OperandCut::Stream) {
        MlirValue piece = extractSlice(whole, dim, offset, size, op.op);
        value = result(clonePart(
            pad, {piece}, withDim(mlirValueGetType(value), dim, size), op.op));
      } else if (plan.cuts[i] == OperandCut::Slice) {
        value = splitter.slice(value, dim, {{offset, size}}, op.op);
      }
      values.push_back(value);
    }
    MlirValue part = result(
        clonePart(op.op, values, withDim(type, plan.resultDim, size), op.op));
    if (inPlace) {
      // The next piece is read from here, so that nobody reads the old value
      // any more.
      whole = insertSlice(part, whole, plan.resultDim, offset, op.op);
    }
    parts.push_back(part);
    offset += size;
  }
  if (!inPlace) {
    whole = result(concatenate(parts, plan.resultDim, type, op.op));
  }
  mlirValueReplaceAllUsesOfWith(result(op.op), whole);
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

namespace {
/// Applies the sites of one function.
class FunctionRewriter {
public:
  FunctionRewriter(MlirOperation module, MlirOperation function,
                   const RewriteOptions &options)
      : function(function), options(options), position(positions(function)),
        splitter(module, /*throughReductions=*/false) {}

  /// With `joins`, which receives the parts that could be taken together.
  void run(const std::vector<Candidate> &candidates,
           const std::vector<bool> &enabled, RewriteOutcome *outcome,
           PartGroups *joins);

private:
  /// `op` is an operation of this function that still stands, or was replaced
  /// by a chain.
  bool inFunction(MlirOperation op) const {
    return position.count(op.ptr) != 0 || chainOf.count(op.ptr) != 0;
  }
  // Each applies a site and returns the number of its parts; 0: it does not
  // apply any more.
  int64_t split(const std::vector<Candidate> &candidates, size_t site);
  int64_t stream(const Candidate &candidate);
  int64_t streamKernels(const Candidate &candidate);
  int64_t overwrite(const Candidate &candidate);
  std::optional<StructuredSplit> windowOf(const Candidate &candidate);
  void add(MlirOperation op, Chain chain, bool isFree) {
    chainOf[op.ptr] = chains.size();
    for (MlirOperation step : chain.steps) {
      splitter.pin(step);
    }
    chains.push_back(std::move(chain));
    freeChains.push_back(isFree);
  }
  void clean();

  MlirOperation function;
  const RewriteOptions &options;
  std::map<const void *, int64_t> position;
  Splitter splitter;
  std::vector<Chain> chains;
  std::vector<bool> freeChains; // their order is ours to choose
  std::map<const void *, size_t> chainOf;
  Concats concats;
  /// Replaced operations, in program order. Their addresses stay reserved until
  /// the end of a phase.
  std::vector<MlirOperation> dead;
};
} // namespace

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

int64_t FunctionRewriter::split(const std::vector<Candidate> &candidates,
                                size_t site) {
  static const std::vector<int64_t> noOrder;
  static const std::vector<std::vector<int64_t>> noJoins;
  const Candidate &candidate = candidates[site];
  const std::vector<int64_t> &given =
      site < options.orders.size() ? options.orders[site] : noOrder;
  MlirOperation op = candidate.op;
  if (candidate.site.kind == RewriteKind::Sum) {
    SumFinder sums(function);
    const Sum *sum = sums.rootedAt(op);
    if (!sum) {
      return 0;
    }
    std::vector<int64_t> order =
        partOrder(sum->leaves.size(), given, [&](size_t leaf) {
          return availability(sum->leaves[leaf], position);
        });
    add(op, rewriteSum(*sum, order), given.empty());
    return sum->leaves.size();
  }
  Structured loops = *structured(op);
  Splitter::OpSplit found = splitter.split(loops);
  if (!found.split) {
    return 0;
  }
  if (found.split->resultDim >= 0) {
    rewriteKernelWise(loops, *found.split, splitter);
    return found.split->sizes.size();
  }
  auto join = options.joins.find(site);
  std::vector<std::vector<int64_t>> groups =
      groupParts(found.split->sizes.size(),
                 join == options.joins.end() ? noJoins : join->second);
  std::vector<MlirOperation> joined;
  add(op,
      rewriteChannelWise(loops, *found.split, splitter, given, groups, position,
                         joined),
      given.empty());
  for (MlirOperation concat : joined) {
    concats.insert(concat.ptr);
  }
  return groups.size();
}

int64_t FunctionRewriter::stream(const Candidate &candidate) {
  auto cut = [&](MlirOperation op) -> std::optional<Chain> {
    Structured loops = *structured(op);
    std::optional<StructuredSplit> pieces =
        splitter.streamSplit(loops, options.pieces, options.deepStreams);
    if (!pieces) {
      return std::nullopt;
    }
    std::vector<MlirOperation> none;
    Chain chain = rewriteChannelWise(loops, *pieces, splitter, {},
                                     groupParts(pieces->sizes.size(), {}),
                                     position, none);
    dead.push_back(op);
    splitter.invalidate();
    return chain;
  };
  auto known = chainOf.find(candidate.op.ptr);
  if (known == chainOf.end()) {
    std::optional<Chain> chain = cut(candidate.op);
    if (!chain) {
      return 0;
    }
    add(candidate.op, *chain, true);
    return chain->steps.size();
  }
  // The parts of a channel-wise site are cut further.
  Chain &whole = chains[known->second];
  std::vector<MlirOperation> steps;
  bool any = false;
  for (MlirOperation step : whole.steps) {
    std::optional<Chain> chain = cut(step);
    if (!chain) {
      steps.push_back(step);
      continue;
    }
    any = true;
    steps.insert(steps.end(), chain->steps.begin(), chain->steps.end());
  }
  whole.steps = steps;
  if (!any) {
    return 0;
  }
  whole.cut = -1;
  whole.taken.clear();
  return steps.size();
}

int64_t FunctionRewriter::streamKernels(const Candidate &candidate) {
  // Another site may have taken it.
  if (!position.count(candidate.op.ptr) || !hasUses(result(candidate.op))) {
    return 0;
  }
  Structured loops = *structured(candidate.op);
  std::optional<StructuredSplit> pieces =
      splitter.kernelStreamSplit(loops, options.pieces, options.deepStreams);
  if (!pieces) {
    return 0;
  }
  rewriteKernelWise(loops, *pieces, splitter);
  dead.push_back(candidate.op);
  splitter.invalidate();
  return pieces->sizes.size();
}

std::optional<StructuredSplit>
FunctionRewriter::windowOf(const Candidate &candidate) {
  // A chain may have taken the place of the operation.
  if (candidate.site.kind != RewriteKind::Overwrite ||
      !position.count(candidate.op.ptr)) {
    return std::nullopt;
  }
  return splitter.windowSplit(*structured(candidate.op), options.pieces);
}

int64_t FunctionRewriter::overwrite(const Candidate &candidate) {
  std::optional<StructuredSplit> plan = windowOf(candidate);
  if (!plan) {
    return 0;
  }
  rewriteOverwrite(*structured(candidate.op), *plan, splitter);
  dead.push_back(candidate.op);
  splitter.invalidate();
  return plan->sizes.size();
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
  // What is inside of one goes with it.
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
  // What nobody uses has no order either.
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

void FunctionRewriter::run(const std::vector<Candidate> &candidates,
                           const std::vector<bool> &enabled,
                           RewriteOutcome *outcome, PartGroups *joins) {
  // Sites of one operation, or of one and its operand, exclude each other: the
  // earlier phase takes it.
  auto phaseOf = [](RewriteKind kind) { return rewriteKindInfo(kind).stage; };
  auto forEach = [&](int phase, auto &&apply) {
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (!enabled[i] || phaseOf(candidates[i].site.kind) != phase ||
          !inFunction(candidates[i].op)) {
        continue;
      }
      int64_t parts = apply(i);
      if (outcome) {
        outcome->parts[i] = parts;
      }
    }
  };
  std::map<size_t, size_t> siteOf; // by chain
  forEach(0, [&](size_t i) {
    int64_t parts = split(candidates, i);
    if (parts > 0) {
      auto chain = chainOf.find(candidates[i].op.ptr);
      if (chain != chainOf.end()) {
        siteOf[chain->second] = i;
      }
      dead.push_back(candidates[i].op);
      splitter.invalidate();
    }
    return parts;
  });
  clean();
  forEach(1, [&](size_t i) { return stream(candidates[i]); });
  clean();
  forEach(2, [&](size_t i) { return streamKernels(candidates[i]); });
  clean();
  if (options.solveOrder) {
    std::vector<Chain> free;
    std::vector<size_t> freeSites;
    for (size_t i = 0; i < chains.size(); ++i) {
      if (freeChains[i]) {
        free.push_back(chains[i]);
        freeSites.push_back(siteOf.count(i) ? siteOf[i] : candidates.size());
      }
    }
    PiecewiseOps piecewise;
    for (size_t i = 0; i < candidates.size(); ++i) {
      std::optional<StructuredSplit> plan =
          enabled[i] ? windowOf(candidates[i]) : std::nullopt;
      if (plan) {
        Structured loops = *structured(candidates[i].op);
        MlirOperation pad = padOf(loops, *plan);
        piecewise[candidates[i].op.ptr] = {pad, takesPlace(loops, pad),
                                           pieceBytes(loops, *plan)};
      }
    }
    if (joins) {
      auto found = findJoins(function, free, piecewise, options.stateLimit);
      for (size_t i = 0; i < found.size(); ++i) {
        if (!found[i].empty()) {
          (*joins)[freeSites[i]] = found[i];
        }
      }
    } else {
      bool proved =
          orderChains(function, free, piecewise, concats, options.stateLimit);
      if (outcome) {
        outcome->ordersProved &= proved;
      }
    }
  }
  // Last, so that the search for an order has a single operation to place.
  forEach(3, [&](size_t i) { return overwrite(candidates[i]); });
  clean();
}

bool applyRewrites(MlirOperation module, const std::vector<bool> &enabled,
                   const RewriteOptions &options, RewriteOutcome *outcome) {
  std::vector<Candidate> candidates = findCandidates(module, nullptr);
  if (candidates.size() != enabled.size()) {
    emitError(mlirOperationGetLocation(module),
              "there are " + std::to_string(candidates.size()) +
                  " rewrite sites, but a choice was made for " +
                  std::to_string(enabled.size()) +
                  "; pass what findRewriteSites gives for this module");
    return false;
  }
  if (outcome) {
    outcome->parts.assign(enabled.size(), 0);
    outcome->ordersProved = true;
  }
  for (MlirOperation function : functions(module)) {
    FunctionRewriter(module, function, options)
        .run(candidates, enabled, outcome, /*joins=*/nullptr);
  }
  if (std::optional<RefusedTensor> refused = refusedTensor(module)) {
    emitRemark(refused->location, "serenity-rewrite: " + refused->reason +
                                      "; these rewrites are not applied "
                                      "(please report this)");
    if (outcome) {
      outcome->refusal = refused->reason;
    }
    return false;
  }
  return true;
}

PartGroups findPartJoins(MlirOperation module, const std::vector<bool> &enabled,
                         const RewriteOptions &options) {
  PartGroups joins;
  std::vector<Candidate> candidates = findCandidates(module, nullptr);
  if (candidates.size() == enabled.size()) {
    for (MlirOperation function : functions(module)) {
      FunctionRewriter(module, function, options)
          .run(candidates, enabled, nullptr, &joins);
    }
  }
  return joins;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/Rewrite/RewriteBand.h"

#include "serenity/IREE/Ir.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/QuantizedOps.h"
#include "serenity/Transforms/Rewrite/RewriteBandRecompute.h"
#include "serenity/Transforms/Rewrite/RewriteSplit.h"
#include "serenity/Transforms/Rewrite/RewriteSum.h"
#include "serenity/Transforms/TensorBuilder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

namespace serenity {

using namespace ir;
using namespace rewrite;
using namespace bands;

double BandPlan::extraWork() const {
  int64_t extra = 0;
  int64_t work = 0;
  for (const auto &item : functions) {
    extra += item.second.extraWork;
    work += item.second.work;
  }
  return work ? double(extra) / double(work) : 0;
}

size_t BandPlan::numRecomputed() const {
  size_t count = 0;
  for (const auto &item : functions) {
    count += item.second.recomputed.size();
  }
  return count;
}

/// The functions of `module` that have one block.
static std::vector<MlirOperation> bandableFunctions(MlirOperation module) {
  std::vector<MlirOperation> found;
  for (MlirOperation op : operations(body(module))) {
    if ((isa(op, "util.func") || isa(op, "func.func")) && body(op).ptr &&
        blocks(op).size() == 1) {
      found.push_back(op);
    }
  }
  return found;
}

/// Operations that end segments, and plans beyond the limit of extra work.
static void listRefusals(const FunctionGraph &graph, const bands::Plan &plan,
                         PlanOptions options,
                         std::vector<RefusedBand> &refused) {
  auto refuse = [&](size_t i, const std::string &reason) {
    refused.push_back({std::string(ir::name(graph.operations[i])),
                       mlirOperationGetLocation(graph.operations[i]), reason});
  };
  for (size_t i = 0; i < graph.operations.size(); ++i) {
    // Only operations that read rows could be computed in bands.
    bool readsRows = false;
    for (const Read &read : graph.graph.operations[i].reads) {
      readsRows |= graph.graph.values[read.value].rows > 0;
    }
    if (readsRows && !graph.graph.operations[i].writes.empty() &&
        graph.refusals[i] != BandRefusal::None) {
      refuse(i, bands::refusalText(graph.refusals[i]));
    }
  }
  double limit = options.maxRecompute;
  options.maxRecompute = std::numeric_limits<double>::infinity();
  bands::Plan more = bands::plan(graph.graph, options);
  if (more.peakBytes < plan.peakBytes && more.work > 0) {
    auto percent = [](double share) {
      return std::to_string(int64_t(std::ceil(share * 100))) + " %";
    };
    refuse(more.segments.front().first,
           "a predicted peak of " + std::to_string(more.peakBytes) +
               " bytes instead of " + std::to_string(plan.peakBytes) +
               " would take " +
               percent(double(more.extraWork) / double(more.work)) +
               " more multiply-accumulates; the limit is " + percent(limit) +
               " (--serenity-max-recompute)");
  }
}

namespace {

/// The graph of a function in which values are computed again: of a copy of the
/// module then, which is left as it is.
class PlannedFunction {
public:
  /// `index` counts the functions that have one block.
  PlannedFunction(MlirOperation module, size_t index,
                  const std::vector<Recomputed> &recomputed,
                  const GraphOptions &options) {
    if (!recomputed.empty()) {
      copy = OwningOp::clone(module);
      module = copy.get();
    }
    found = recomputeAndRead(module, bandableFunctions(module)[index],
                             recomputed, options);
  }
  const FunctionGraph &read() const { return found; }
  const bands::Graph &graph() const { return found.graph; }

private:
  OwningOp copy;
  FunctionGraph found;
};

} // namespace

/// `plan` of function `index`, or one of a lower peak that computes values
/// again: of the largest ones, one after the other, each that lowers the peak
/// most, or the number of operations that keep it from falling. Several may
/// have to be computed again before it falls. The last bytes of such a plan
/// take many bands, and are left.
static bands::Plan planRecomputing(MlirOperation module, size_t index,
                                   bands::Plan plan,
                                   const PlanOptions &planOptions,
                                   const GraphOptions &graphOptions) {
  // Each trial clones the module and plans it: these bound the time. Of a value
  // there may be two, with smaller values kept and without.
  constexpr size_t maxValues = 6;
  constexpr size_t maxTried = 8;
  // A lower peak by less than one part in so many is not worth the work.
  constexpr int64_t leastGain = 100;
  constexpr double slack = 1.0 / 16;
  PlanOptions trying = planOptions;
  bands::Plan next = plan;
  while (next.recomputed.size() < maxValues) {
    const PlannedFunction present(module, index, next.recomputed, graphOptions);
    const int64_t target =
        plan.peakBytes - (plan.peakBytes + leastGain - 1) / leastGain;
    if (target != trying.target) { // the peak fell
      trying.target = target;
      next.numAboveTarget = bands::plan(present.graph(), trying).numAboveTarget;
    }
    // Whether the peak does not fall, and the bytes or operations.
    using Rank = std::pair<bool, int64_t>;
    Rank least = {true, int64_t(next.numAboveTarget)};
    std::optional<bands::Plan> best;
    std::vector<Recomputed> values =
        recomputable(present.graph(), next, planOptions);
    values.resize(std::min(values.size(), maxTried));
    for (const Recomputed &value : values) {
      std::vector<Recomputed> recomputed = next.recomputed;
      recomputed.push_back(value);
      const PlannedFunction trial(module, index, recomputed, graphOptions);
      bands::Plan found = bands::plan(trial.graph(), trying);
      const bool falls = found.peakBytes <= trying.target &&
                         copiesAreInBands(trial.graph(), found);
      const Rank rank = {!falls, falls ? found.peakBytes
                                       : int64_t(found.numAboveTarget)};
      if (rank < least) {
        least = rank;
        best = std::move(found);
        best->recomputed = std::move(recomputed);
      }
    }
    if (!best) {
      break;
    }
    next = std::move(*best);
    if (!least.first) {
      plan = next;
    }
  }
  if (plan.recomputed.empty()) {
    return plan;
  }
  PlanOptions loose = planOptions;
  loose.slack = slack;
  const PlannedFunction last(module, index, plan.recomputed, graphOptions);
  bands::Plan found = bands::plan(last.graph(), loose);
  if (!copiesAreInBands(last.graph(), found)) {
    return plan;
  }
  found.recomputed = std::move(plan.recomputed);
  return found;
}

/// The module in the order that `plan` is made for: itself, or `copy`.
static MlirOperation inOrderOf(const BandPlan &plan, MlirOperation module,
                               OwningOp &copy) {
  if (!plan.byDispatches) {
    return module;
  }
  copy = OwningOp::clone(module);
  for (MlirOperation function : bandableFunctions(copy.get())) {
    quantized::orderByDispatches(body(function));
  }
  return copy.get();
}

BandPlan planBands(MlirOperation module, const BandOptions &options,
                   std::vector<RefusedBand> *refused) {
  BandPlan plan;
  plan.streamed = options.streamed;
  plan.reorderSums = options.reorderSums;
  plan.byDispatches = options.byDispatches;
  OwningOp ordered;
  module = inOrderOf(plan, module, ordered);
  GraphOptions graphOptions;
  graphOptions.streamed = options.streamed;
  graphOptions.reorderSums = options.reorderSums;
  graphOptions.sizes = options.sizes;
  PlanOptions planOptions;
  planOptions.maxRecompute = options.maxRecompute;
  planOptions.count = options.count;
  const size_t numFunctions = bandableFunctions(module).size();
  for (size_t index = 0; index < numFunctions; ++index) {
    PlannedFunction planned(module, index, {}, graphOptions);
    bands::Plan found = bands::plan(planned.graph(), planOptions);
    if (options.recompute) {
      found = planRecomputing(module, index, std::move(found), planOptions,
                              graphOptions);
    }
    if (!found.recomputed.empty()) {
      planned = PlannedFunction(module, index, found.recomputed, graphOptions);
    }
    const FunctionGraph &graph = planned.read();
    std::string name = stringAttr(graph.function, "sym_name").value_or("");
    for (const Segment &segment : found.segments) {
      auto place = [&](size_t i) {
        return toString(mlirOperationGetLocation(graph.operations[i]));
      };
      plan.sites.push_back({name, place(segment.first), place(segment.last - 1),
                            segment.count, segment.height, segment.bytesWhole,
                            segment.bytes, segment.extraWork});
    }
    plan.predictedBytes += found.peakBytes;
    plan.predictedWholeBytes += found.wholePeakBytes;
    if (refused) {
      listRefusals(graph, found, planOptions, *refused);
    }
    plan.functions.emplace_back(name, std::move(found));
  }
  return plan;
}

std::optional<BandPlan> changeBands(MlirOperation module, const BandPlan &plan,
                                    size_t site, int64_t count,
                                    const TensorSizes &sizes) {
  BandPlan changed = plan;
  // Sites are listed function by function.
  size_t index = site;
  size_t number = 0;
  while (index >= plan.functions[number].second.segments.size()) {
    index -= plan.functions[number].second.segments.size();
    ++number;
  }
  bands::Plan &own = changed.functions[number].second;
  OwningOp ordered;
  module = inOrderOf(plan, module, ordered);
  GraphOptions reading;
  reading.streamed = plan.streamed;
  reading.reorderSums = plan.reorderSums;
  reading.sizes = sizes;
  const PlannedFunction planned(module, number, own.recomputed, reading);
  std::optional<bands::Plan> other =
      withCount(planned.graph(), own, index, count);
  if (!other) {
    return std::nullopt;
  }
  changed.predictedBytes += other->peakBytes - own.peakBytes;
  own = std::move(*other);
  if (count == 1) {
    changed.sites.erase(changed.sites.begin() + site);
  } else {
    const Segment &segment = own.segments[index];
    BandSite &entry = changed.sites[site];
    entry.count = segment.count;
    entry.height = segment.height;
    entry.bytesAfter = segment.bytes;
    entry.extraWork = segment.extraWork;
  }
  return changed;
}

namespace {

/// Writes one segment.
class SegmentWriter {
public:
  SegmentWriter(const FunctionGraph &graph, const Segment &segment,
                Splitter &splitter)
      : graph(graph), segment(segment), splitter(splitter) {
    MlirOperation last = graph.operations[segment.last - 1];
    before = mlirOperationGetNextInBlock(last);
  }

  /// Returns the result that takes the place of the segment's.
  MlirValue write();

private:
  MlirValue writeBand(Rows wanted, size_t last);
  MlirValue accumulate();
  MlirValue writeOperation(size_t index);
  MlirValue rowsOf(MlirValue value, const Read &read, Rows own);
  MlirOperation clone(MlirOperation op, std::optional<int64_t> row,
                      const std::vector<MlirValue> &values, Rows own,
                      Rows read);

  const FunctionGraph &graph;
  const Segment &segment;
  Splitter &splitter;
  MlirOperation before = {};
  std::vector<Rows> rows;           // per value, of the present band
  std::map<size_t, MlirValue> made; // per value, of the present band
  std::map<std::tuple<size_t, int64_t, int64_t>, MlirValue> slices;
};

/// The rows of a computed operand that an operation with rows `own` reads.
MlirValue SegmentWriter::rowsOf(MlirValue value, const Read &read, Rows own) {
  const Value &entry = graph.graph.values[read.value];
  Rows need = rowsRead(read, entry.rows, own);
  int64_t dim = graph.rowDim(value);
  auto inside = made.find(read.value);
  // Views of stored values are made anew of the rows that are needed; barriers
  // of values that a band computes too.
  MlirOperation view = definingOp(value);
  if (!isNull(view) && keepsRows(view, graph) &&
      (inside != made.end() || !isa(view, "util.optimization_barrier")) &&
      graph.numbers.count(key(operand(view, 0)))) {
    return cloneView(view, rowsOf(operand(view, 0), read, own),
                     withDim(mlirValueGetType(value), dim, need.size()),
                     before);
  }
  if (inside != made.end() && need == rows[read.value]) {
    return inside->second;
  }
  MlirValue &slice = slices[{read.value, need.begin, need.end}];
  if (!slice.ptr) {
    // Offsets within a band are the same in the next; those in a whole value
    // are not.
    slice =
        inside != made.end()
            ? extractSlice(inside->second, dim,
                           need.begin - rows[read.value].begin, need.size(),
                           before)
            : extractHiddenSlice(value, dim, need.begin, need.size(), before);
  }
  return slice;
}

/// Lets the body of `part`, which computes the rows from `begin` on, read the
/// indices along loop `row` that they have in the whole.
static void shiftIndices(MlirOperation part, int64_t row, int64_t begin) {
  std::vector<MlirOperation> indices;
  walk(part, [&](MlirOperation inner) {
    if (isa(inner, "linalg.index") && intAttr(inner, "dim") == row) {
      indices.push_back(inner);
    }
  });
  for (MlirOperation index : indices) {
    MlirType type = mlirValueGetType(result(index));
    MlirLocation location = mlirOperationGetLocation(index);
    MlirOperation within = mlirOperationClone(index);
    MlirOperation offset = create("arith.constant", location, {}, {type},
                                  {{"value", mlirIntegerAttrGet(type, begin)}});
    MlirOperation sum = create("arith.addi", location,
                               {result(within), result(offset)}, {type});
    for (MlirOperation made : {within, offset, sum}) {
      insertBefore(index, made);
    }
    mlirValueReplaceAllUsesOfWith(result(index), result(sum));
    erase(index);
  }
}

/// Clones `op` for rows `own` of its result, of which `read` exist; `row` is
/// the loop over them, if it has loops.
MlirOperation SegmentWriter::clone(MlirOperation op, std::optional<int64_t> row,
                                   const std::vector<MlirValue> &values,
                                   Rows own, Rows read) {
  int64_t dim = graph.rowDim(result(op));
  MlirType type = withDim(mlirValueGetType(result(op)), dim, own.size());
  MlirOperation part = clonePart(op, values, type, before);
  MlirContext context = mlirOperationGetContext(op);
  auto replace = [&](const char *name, int64_t value) {
    std::vector<int64_t> numbers = intArray(attr(op, name));
    numbers[dim] = value;
    mlirOperationSetAttributeByName(
        part, strRef(name),
        mlirDenseI64ArrayGet(context, numbers.size(), numbers.data()));
  };
  if (isa(part, "tensor.pad")) {
    // Row r of the result is row r - low of the operand.
    int64_t low = intArray(attr(op, "static_low"))[dim];
    replace("static_low", read.begin - (own.begin - low));
    replace("static_high", own.end - low - read.end);
  } else if (isa(part, "tensor.extract_slice")) {
    replace("static_offsets", 0);
    replace("static_sizes", own.size());
  } else if (isa(part, "tensor.insert_slice")) {
    // Row r of the operand is row offset + r * stride of the result.
    int64_t offset = intArray(attr(op, "static_offsets"))[dim];
    int64_t stride = intArray(attr(op, "static_strides"))[dim];
    replace("static_offsets", offset + read.begin * stride - own.begin);
    replace("static_sizes", read.size());
  } else if (row) {
    shiftIndices(part, *row, own.begin);
  }
  return part;
}

MlirValue SegmentWriter::writeOperation(size_t index) {
  MlirOperation op = graph.operations[index];
  const bands::Operation &operation = graph.graph.operations[index];
  Rows own = rows[operation.writes[0]];
  Rows read;
  std::optional<Structured> loops = structuredRows(op);
  int64_t dim = graph.rowDim(result(op));
  std::optional<int64_t> row;
  if (loops) {
    row = mlirAffineDimExprGetPosition(
        mlirAffineMapGetResult(loops->maps.back(), dim));
  }
  std::vector<MlirValue> values;
  for (intptr_t i = 0, e = mlirOperationGetNumOperands(op); i < e; ++i) {
    MlirValue value = operand(op, i);
    // Further results are indexed like the first.
    int64_t map = loops ? std::min<int64_t>(i, loops->numInputs) : i;
    auto number = graph.numbers.find(key(value));
    if (number != graph.numbers.end()) {
      auto entry = std::find_if(
          operation.reads.begin(), operation.reads.end(),
          [&](const Read &read) { return read.value == number->second; });
      // The same value may be read twice, in different ways.
      if (loops) {
        std::optional<Read> own =
            readOf(*loops, map, std::max<int64_t>(graph.rowDim(value), 0), dim);
        entry = std::find_if(operation.reads.begin(), operation.reads.end(),
                             [&](const Read &read) {
                               return read.value == number->second &&
                                      (read.whole ||
                                       (own && read.stride == own->stride &&
                                        read.window == own->window));
                             });
      }
      if (entry != operation.reads.end() && !entry->whole) {
        read = rowsRead(*entry, graph.graph.values[entry->value].rows, own);
        value = rowsOf(value, *entry, own);
      }
    } else if (mlirTypeIsARankedTensor(mlirValueGetType(value))) {
      // Made of constants.
      const int64_t at = row ? loops->dimOfLoop(map, *row).value_or(-1) : dim;
      if (at >= 0) {
        value = splitter.slice(value, at, {{own.begin, own.size()}}, before);
      }
    }
    values.push_back(value);
  }
  return result(clone(op, row, values, own, read));
}

/// The operations before `end`, for a band.
MlirValue SegmentWriter::writeBand(Rows wanted, size_t end) {
  made.clear();
  slices.clear();
  neededRows(graph.graph, segment.first, segment.last, wanted, rows);
  MlirValue last = {};
  for (size_t i = segment.first; i < end; ++i) {
    last = writeOperation(i);
    made[graph.graph.operations[i].writes[0]] = last;
  }
  return last;
}

/// A segment that ends with a reduction over its rows: every band adds its own
/// to the result of the one before it.
MlirValue SegmentWriter::accumulate() {
  MlirOperation op = graph.operations[segment.last - 1];
  const bands::Operation &operation = graph.graph.operations[segment.last - 1];
  size_t number = operation.reads[0].value;
  Structured loops = *structuredRows(op);
  int64_t input = 0;
  while (!graph.numbers.count(key(operand(op, input))) ||
         graph.numbers.at(key(operand(op, input))) != number) {
    ++input;
  }
  int64_t row = *reducedRows(loops, input, graph.rowDim(operand(op, input)));
  MlirValue sum = operand(op, loops.numInputs);
  bool first = true;
  for (const Rows &band :
       bandsOf(graph.graph.values[number].rows, segment.height)) {
    writeBand(band, segment.last - 1);
    std::vector<MlirValue> values;
    for (int64_t i = 0; i < loops.numInputs; ++i) {
      MlirValue value = operand(op, i);
      int64_t at = loops.dimOfLoop(i, row).value_or(-1);
      if (i == input) {
        value = rowsOf(value, operation.reads[0], band);
        // IREE would rather merge an elementwise operation with the reduction
        // than with the one before it, and both its operands would be stored.
        std::optional<Structured> made =
            isNull(definingOp(value)) ? std::nullopt
                                      : structuredRows(definingOp(value));
        if (made && !made->hasReduction()) {
          value = insertBarrier(value, before);
        }
      } else if (at >= 0) {
        value = splitter.slice(value, at, {{band.begin, band.size()}}, before);
      }
      values.push_back(value);
    }
    // In a dispatch of its own, into the memory of the sum so far.
    values.push_back(first ? sum : insertBarrier(sum, before));
    sum = result(cloneStep(op, values, mlirValueGetType(result(op)), before));
    first = false;
  }
  return sum;
}

MlirValue SegmentWriter::write() {
  MlirOperation last = graph.operations[segment.last - 1];
  if (graph.graph.operations[segment.last - 1].accumulates) {
    return accumulate();
  }
  size_t number = graph.graph.operations[segment.last - 1].writes[0];
  MlirValue old = result(last);
  int64_t dim = graph.rowDim(old);
  MlirValue whole = emptyLike(old, mlirOperationGetLocation(last), before);
  for (const Rows &band :
       bandsOf(graph.graph.values[number].rows, segment.height)) {
    whole = insertHiddenSlice(writeBand(band, segment.last), whole, dim,
                              band.begin, before);
  }
  return whole;
}

} // namespace

/// Erases `op`, whose results nothing reads but reshapes without readers.
static void eraseWithViews(MlirOperation op) {
  for (MlirValue value : results(op)) {
    for (const Use &use : uses(value)) {
      eraseWithViews(use.owner);
    }
  }
  erase(op);
}

void applyBands(MlirOperation module, const BandPlan &plan) {
  for (MlirOperation function : bandableFunctions(module)) {
    if (plan.byDispatches) {
      quantized::orderByDispatches(body(function));
    }
    std::string name = stringAttr(function, "sym_name").value_or("");
    auto own =
        std::find_if(plan.functions.begin(), plan.functions.end(),
                     [&](const auto &item) { return item.first == name; });
    if (own == plan.functions.end() || own->second.segments.empty()) {
      continue;
    }
    GraphOptions reading;
    reading.reorderSums = plan.reorderSums;
    FunctionGraph graph =
        recomputeAndRead(module, function, own->second.recomputed, reading);
    Splitter splitter(module, /*throughReductions=*/true, reading.sizes);
    if (own->second.work > 0) {
      attributes::setExtraWork(function, double(own->second.extraWork) /
                                             double(own->second.work));
    }
    std::vector<MlirOperation> dead;
    for (const Segment &segment : own->second.segments) {
      MlirValue old = result(graph.operations[segment.last - 1]);
      MlirValue whole = SegmentWriter(graph, segment, splitter).write();
      mlirValueReplaceAllUsesOfWith(old, whole);
      for (size_t i = segment.first; i < segment.last; ++i) {
        dead.push_back(graph.operations[i]);
      }
      // Later segments read the new value.
      size_t number = graph.graph.operations[segment.last - 1].writes[0];
      graph.numbers[key(whole)] = number;
      graph.rowDims[key(whole)] = graph.rowDim(old);
    }
    std::reverse(dead.begin(), dead.end());
    for (MlirOperation op : dead) {
      eraseWithViews(op);
    }
  }
}

} // namespace serenity

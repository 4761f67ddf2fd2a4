// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/DynamicSizes.h"

#include "serenity/Analysis/SizeInterval.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/PackModel.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace serenity {

namespace {

/// Extents far from one another, at which an order must not be worse either.
constexpr int64_t smallExtent = 1;
constexpr int64_t largeExtent = 4096;

bool isDynamic(MlirType type) {
  return mlirTypeIsARankedTensor(type) && !mlirShapedTypeHasStaticShape(type);
}

struct DynamicSizes {
  /// Argument and axis.
  std::set<std::pair<intptr_t, intptr_t>> arguments;
  /// Some dispatch has a result of dynamic size.
  bool computed = false;
};

DynamicSizes findDynamicSizes(MlirOperation function) {
  DynamicSizes found;
  ir::walk(function, [&](MlirOperation op) {
    for (intptr_t i = 0, e = mlirOperationGetNumResults(op); i < e; ++i) {
      MlirType type = mlirValueGetType(mlirOperationGetResult(op, i));
      if (!isDynamic(type)) {
        continue;
      }
      found.computed |= ir::isa(op, "flow.dispatch");
      MlirValue source = {nullptr};
      if (ir::isa(op, "hal.tensor.import")) {
        source = ir::operand(op, 0);
      }
      if (!source.ptr || !mlirValueIsABlockArgument(source)) {
        continue;
      }
      for (intptr_t axis = 0, rank = mlirShapedTypeGetRank(type); axis < rank;
           ++axis) {
        if (mlirShapedTypeGetDimSize(type, axis) < 0) {
          found.arguments.emplace(mlirBlockArgumentGetArgNumber(source), axis);
        }
      }
    }
  });
  return found;
}

} // namespace

Options atBounds(const Options &options) {
  Options there = options;
  if (options.dimBounds.others) {
    there.dimHints = {};
  }
  for (const auto &[dimension, bound] : options.dimBounds.extents) {
    there.dimHints.extents[dimension] = bound;
  }
  return there;
}

Options atScaledHints(const Options &options, double factor) {
  auto scaled = [factor](int64_t extent) {
    constexpr double most = 1 << 24;
    return std::max<int64_t>(1,
                             int64_t(std::min(most, double(extent) * factor)));
  };
  Options there = options;
  for (const auto &[dimension, bound] : options.dimBounds.extents) {
    there.dimHints.extents.emplace(dimension, bound);
  }
  for (auto &[dimension, extent] : there.dimHints.extents) {
    extent = scaled(extent);
  }
  there.dimHints.others = scaled(options.dimHints.others.value_or(
      options.dimBounds.others.value_or(options.defaultExtent)));
  there.defaultExtent = scaled(options.defaultExtent);
  return there;
}

std::string boundAdvice(const BytesFormula &formula) {
  bool computed = false;
  for (const BytesFormula::Symbol &symbol : formula.symbols) {
    if (!symbol.bound && !symbol.dimension.empty()) {
      return "give every dynamic dimension a bound with "
             "--serenity-dim-bound=N, or an extent with --fix-dim";
    }
    computed |= !symbol.bound;
  }
  return computed ? "bound the computed size with util.assume.int, or give its "
                    "tensors static shapes"
                  : "give the dimensions an extent with --fix-dim";
}

BytesNeeded bytesAtBounds(const FunctionReport &function) {
  if (!function.bytesFormula) {
    return {std::nullopt,
            "dynamically sized allocation; give its tensors static shapes"};
  }
  const BytesFormula &formula = *function.bytesFormula;
  if (!formula.bytesAtBound) {
    return {std::nullopt, "its transient memory of " + formula.text +
                              " bytes is not bounded: " + formula.unbounded +
                              "; " + boundAdvice(formula)};
  }
  std::string where;
  for (const BytesFormula::Symbol &symbol : formula.symbols) {
    if (symbol.bound) {
      where += (where.empty() ? " where " : ", ") +
               (symbol.dimension.empty() ? symbol.name + ", computed,"
                                         : symbol.dimension) +
               " <= " + std::to_string(*symbol.bound);
    }
  }
  return {formula.bytesAtBound, where + "; formula: " + formula.text};
}

std::vector<OtherExtents> stockElsewhere(MlirOperation stock,
                                         const Options &options) {
  bool dynamic = false;
  ir::walk(stock, [&](MlirOperation op) {
    if (ir::isa(op, "stream.resource.pack")) {
      std::optional<PackModel> model = readPack(op);
      dynamic |= model && !model->dynamic.empty();
    }
  });
  std::vector<OtherExtents> found;
  if (!dynamic) {
    return found;
  }
  for (int64_t extent : {smallExtent, largeExtent}) {
    Options there = options;
    there.dimHints = {{}, extent};
    there.dimBounds = {};
    there.defaultExtent = extent;
    found.push_back(
        {"where every dynamic dimension is " + std::to_string(extent),
         there,
         {}});
  }
  if (!options.dimBounds.empty()) {
    found.push_back({"where every dynamic dimension is at its bound",
                     atBounds(options),
                     {}});
  }
  for (OtherExtents &place : found) {
    place.stock =
        transientPeaks(stock, place.options, PackAlgorithm::Iree, nullptr);
  }
  return found;
}

std::map<std::string, LargerElsewhere>
findLargerElsewhere(const std::vector<OtherExtents> &places,
                    MlirOperation own) {
  std::map<std::string, LargerElsewhere> larger;
  for (const OtherExtents &place : places) {
    Peaks reordered = transientPeaks(own, place.options, place.options.offsets);
    for (const auto &[name, bytes] : place.stock) {
      std::optional<int64_t> needed = reordered[name];
      if (bytes && needed && *needed > *bytes) {
        larger.emplace(name, LargerElsewhere{place.where, *needed, *bytes});
      }
    }
  }
  return larger;
}

void remarkOnDynamicSizes(MlirOperation module) {
  for (MlirOperation function : ir::operations(ir::body(module))) {
    if (!ir::isa(function, "util.func") && !ir::isa(function, "func.func")) {
      continue;
    }
    DynamicSizes sizes = findDynamicSizes(function);
    if (!sizes.computed) {
      continue;
    }
    std::string text = "'" + ir::exportedName(function) +
                       "' computes tensors of dynamic sizes, which are "
                       "rewritten along static dimensions only: ";
    if (sizes.arguments.empty()) {
      text += "their sizes are computed during the call";
    } else {
      std::string flags;
      const char *separator = "";
      for (const auto &[argument, axis] : sizes.arguments) {
        text += separator + std::string("dimension ") + std::to_string(axis) +
                " of argument " + std::to_string(argument);
        flags += " --fix-dim arg" + std::to_string(argument) + ":axis" +
                 std::to_string(axis) + "=SIZE";
        separator = ", ";
      }
      text += (sizes.arguments.size() == 1 ? " is" : " are");
      text += " dynamic; if there is one extent alone, fix it: `serenity "
              "compile" +
              flags + "`";
    }
    ir::emitRemark(mlirOperationGetLocation(function), text);
  }
}

void warnOfIdleExtents(MlirOperation module, const Options &options,
                       ModuleReport &report) {
  const std::pair<const char *, const Extents &> given[] = {
      {"hint", options.dimHints}, {"bound", options.dimBounds}};
  if (options.dimHints.extents.empty() && options.dimBounds.extents.empty()) {
    return;
  }
  std::set<std::string> read;
  ir::walk(module, [&](MlirOperation op) {
    if (std::string name = dimensionOf(op); !name.empty()) {
      read.insert(name);
    }
  });
  std::string known;
  for (const std::string &name : read) {
    known += (known.empty() ? "" : ", ") + name;
  }
  for (const auto &[kind, extents] : given) {
    for (const auto &[name, extent] : extents.extents) {
      if (read.count(name)) {
        continue;
      }
      std::string text =
          std::string("--serenity-dim-") + kind + "=" + name + "=" +
          std::to_string(extent) +
          " has no effect: no size in the module depends on " + name + "; " +
          (known.empty() ? "all sizes are static or computed during the call"
                         : "sizes depend on " + known);
      ir::emitWarning(mlirOperationGetLocation(module), text);
      report.remarks.push_back(text);
    }
  }
}

} // namespace serenity

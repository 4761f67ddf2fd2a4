// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Transforms/PackDynamic.h"

#include "serenity/Core/Packing/SizeBounds.h"
#include "serenity/IREE/Ir.h"

#include <algorithm>
#include <map>

namespace serenity {

namespace {

/// The largest number of slices of one size that are alive together: IREE
/// reserves so many places for slices whose size is the same SSA value.
int64_t countPlaces(const PackModel &model, const std::vector<size_t> &group) {
  int64_t most = 0;
  for (size_t i : group) {
    int64_t alive = 0;
    for (size_t j : group) {
      alive += model.intervals[2 * j] <= model.intervals[2 * i] &&
               model.intervals[2 * i] <= model.intervals[2 * j + 1];
    }
    most = std::max(most, alive);
  }
  return most;
}

/// Bytes of IREE's layout: the static slices, behind them the dynamic ones.
std::optional<SizePolynomial> stockLayout(const PackModel &model,
                                          int64_t staticBytes,
                                          SizeReader &sizes,
                                          SymbolicPacker &packer) {
  std::vector<const void *> order;
  std::map<const void *, std::vector<size_t>> groups;
  for (size_t i : model.dynamic) {
    std::vector<size_t> &group = groups[ir::key(model.sizes[i])];
    if (group.empty()) {
      order.push_back(ir::key(model.sizes[i]));
    }
    group.push_back(i);
  }
  std::optional<SizePolynomial> total = SizePolynomial::constant(staticBytes);
  for (const void *key : order) {
    const std::vector<size_t> &group = groups[key];
    std::optional<SizePolynomial> size = sizes.read(model.sizes[group.front()]);
    size = size ? packer.aligned(*size) : std::nullopt;
    size =
        size ? size->times(SizePolynomial::constant(countPlaces(model, group)))
             : std::nullopt;
    total = size ? total->plus(*size) : std::nullopt;
    if (!total) {
      return std::nullopt;
    }
  }
  return total;
}

/// Writes polynomials and their maxima as arithmetic before an operation.
class SizeWriter {
public:
  SizeWriter(MlirOperation anchor, const DynamicLayout &layout)
      : anchor(anchor), layout(layout), constants(anchor) {
    for (const SizeSymbol &symbol : layout.symbols) {
      values.push_back(symbol.value);
    }
    for (const SizeDefinition &definition : layout.definitions) {
      MlirValue value = write(definition.of);
      if (definition.unit > 1) {
        value = create("util.align", {value, constants.get(definition.unit)});
      }
      values.push_back(value);
    }
  }

  MlirValue write(const SizeMaximum &maximum) {
    MlirValue result = {nullptr};
    for (const SizePolynomial &member : maximum) {
      MlirValue value = write(member);
      result = result.ptr ? create("arith.maxui", {result, value}) : value;
    }
    return result.ptr ? result : constants.get(0);
  }

  MlirValue write(const SizePolynomial &polynomial) {
    auto known = written.find(polynomial);
    if (known != written.end()) {
      return known->second;
    }
    MlirValue sum = {nullptr};
    for (const auto &[product, coefficient] : polynomial.terms()) {
      MlirValue term = {nullptr};
      for (int symbol : product) {
        MlirValue factor = values[size_t(symbol)];
        term = term.ptr ? create("arith.muli", {term, factor}) : factor;
      }
      if (!term.ptr) {
        term = constants.get(coefficient);
      } else if (coefficient != 1) {
        term = create("arith.muli", {term, constants.get(coefficient)});
      }
      sum = sum.ptr ? create("arith.addi", {sum, term}) : term;
    }
    if (!sum.ptr) {
      sum = constants.get(0);
    }
    written[polynomial] = sum;
    return sum;
  }

private:
  MlirValue create(const char *name, const std::vector<MlirValue> &operands) {
    MlirOperation op = ir::create(name, mlirOperationGetLocation(anchor),
                                  operands, {mlirValueGetType(operands[0])});
    ir::insertBefore(anchor, op);
    return ir::result(op);
  }

  MlirOperation anchor;
  const DynamicLayout &layout;
  ir::IndexConstants constants;
  std::vector<MlirValue> values; // by symbol
  std::map<SizePolynomial, MlirValue> written;
};

} // namespace

std::optional<DynamicLayout> layOutDynamic(const PackModel &model,
                                           int64_t staticBytes,
                                           const PackOptions &packing,
                                           const Options &options) {
  // A size rounded to the range alignment is to be an offset as well.
  if (packing.rangeAlignment % packing.offsetAlignment != 0) {
    return std::nullopt;
  }
  DynamicLayout layout;
  layout.slices = model.fixed;
  layout.slices.insert(layout.slices.end(), model.dynamic.begin(),
                       model.dynamic.end());
  std::sort(layout.slices.begin(), layout.slices.end());
  SizeReader sizes(options);
  std::vector<SymbolicSlice> slices;
  for (size_t i : layout.slices) {
    std::optional<SizePolynomial> bytes = sizes.read(model.sizes[i]);
    std::optional<int64_t> atHint = sizes.atHint(model.sizes[i]);
    if (!bytes || !atHint) {
      return std::nullopt;
    }
    slices.push_back(
        {model.intervals[2 * i], model.intervals[2 * i + 1] + 1, *bytes});
    layout.bytesOfSliceAtHint.push_back(*atHint);
  }
  for (const SizeSymbol &symbol : sizes.symbols()) {
    if (!mlirTypeIsAIndex(mlirValueGetType(symbol.value))) {
      return std::nullopt;
    }
  }
  SymbolicPacker packer(sizes.hints(), packing);
  std::optional<SizePolynomial> stock =
      stockLayout(model, staticBytes, sizes, packer);
  std::optional<int64_t> stockAtHint =
      stock ? stock->at(packer.hints()) : std::nullopt;
  if (!stockAtHint) {
    return std::nullopt;
  }
  layout.stockBytes = *stock;
  layout.stockBytesAtHint = *stockAtHint;
  layout.symbols = sizes.symbols();
  layout.expressionDimensions = sizes.expressionDimensions();
  if (packing.algorithm != PackAlgorithm::Iree) {
    layout.own = packer.pack(slices);
  }
  if (layout.own && layout.own->heightAtHint >= *stockAtHint) {
    layout.own.reset();
  }
  layout.neverLarger =
      layout.own && packer.isAtMost(layout.own->height, *stock);
  layout.definitions = packer.definitions();
  return layout;
}

std::vector<MlirValue> writeDynamicLayout(MlirOperation op,
                                          const PackModel &model,
                                          const DynamicLayout &layout) {
  SizeWriter writer(op, layout);
  std::vector<MlirValue> values(model.sizes.size() + 1, MlirValue{nullptr});
  values[0] = writer.write(layout.own->height);
  for (size_t i = 0; i < layout.slices.size(); ++i) {
    values[layout.slices[i] + 1] = writer.write(layout.own->offsets[i]);
  }
  return values;
}

/// Both layouts bound the slab where the smaller one is taken.
static void boundFormula(const DynamicLayout &layout, BytesFormula &formula) {
  std::vector<SizeBounds::Symbol> symbols;
  for (const SizeSymbol &symbol : layout.symbols) {
    symbols.push_back({symbol.dimension.empty()
                           ? "a size that is computed during the call"
                           : symbol.dimension,
                       symbol.bound});
  }
  SizeBounds bounds(symbols, layout.definitions);
  SizeBound found = bounds.of(SizeMaximum{layout.stockBytes});
  if (layout.own) {
    SizeBound own = bounds.of(layout.own->height);
    if (!found.bytes || (own.bytes && *own.bytes < *found.bytes)) {
      found = own;
    }
  }
  formula.bytesAtBound = found.bytes;
  formula.unbounded = found.reason;
}

/// Adds the symbols of `formula`: dimensions, and values that are not computed
/// from dimensions alone. The texts for the symbols of `layout`.
static std::vector<std::string> nameSymbols(const DynamicLayout &layout,
                                            BytesFormula &formula) {
  std::map<std::string, std::string> nameOf; // by dimension
  auto add = [&](const SizeSymbol &symbol) {
    std::string name = "d" + std::to_string(formula.symbols.size());
    formula.symbols.push_back(
        {name, symbol.dimension, symbol.hint, symbol.bound});
    if (!symbol.dimension.empty()) {
      nameOf[symbol.dimension] = name;
    }
    return name;
  };
  std::vector<std::string> names(layout.symbols.size());
  for (size_t i = 0; i < names.size(); ++i) {
    if (layout.symbols[i].expression.empty()) {
      names[i] = add(layout.symbols[i]);
    }
  }
  for (const SizeSymbol &dimension : layout.expressionDimensions) {
    if (!nameOf.count(dimension.dimension)) {
      add(dimension);
    }
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string &text = layout.symbols[i].expression;
    for (size_t at = 0; at < text.size();) {
      size_t open = std::min(text.find('{', at), text.size());
      names[i] += text.substr(at, open - at);
      size_t close = std::min(text.find('}', open), text.size());
      if (open < text.size()) {
        names[i] += nameOf[text.substr(open + 1, close - open - 1)];
      }
      at = open < text.size() ? close + 1 : open;
    }
  }
  return names;
}

BytesFormula formulaOf(const DynamicLayout &layout) {
  BytesFormula formula;
  std::vector<std::string> names = nameSymbols(layout, formula);
  for (const SizeDefinition &definition : layout.definitions) {
    std::string of = toString(definition.of, names);
    names.push_back(definition.unit == 1
                        ? of
                        : "align(" + of + ", " +
                              std::to_string(definition.unit) + ")");
  }
  std::string stock = toString({layout.stockBytes}, names);
  std::string own = layout.own ? toString(layout.own->height, names) : "";
  formula.text = !layout.own          ? stock
                 : layout.neverLarger ? own
                                      : "min(" + own + ", " + stock + ")";
  formula.bytesAtHint = layout.bytesAtHint();
  boundFormula(layout, formula);
  return formula;
}

} // namespace serenity

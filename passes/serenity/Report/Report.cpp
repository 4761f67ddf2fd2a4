// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Report/Report.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <string_view>

namespace serenity {

namespace {

/// The length of the well-formed UTF-8 sequence at the start of `text`, or 0.
/// Overlong forms, surrogates and code points past U+10FFFF are not well
/// formed (Unicode 15, table 3-7).
size_t sequenceLength(std::string_view text) {
  auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = at(0);
  if (lead < 0x80) {
    return 1;
  }
  size_t length = lead < 0xc2   ? 0
                  : lead < 0xe0 ? 2
                  : lead < 0xf0 ? 3
                  : lead < 0xf5 ? 4
                                : 0;
  if (length == 0 || text.size() < length) {
    return 0;
  }
  unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (at(1) < low || at(1) > high) {
    return 0;
  }
  for (size_t i = 2; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  return length;
}

/// Writes JSON, indented by two spaces per level. Small arrays and objects that
/// the caller marks `flat` stay on one line.
class Writer {
public:
  std::string take() { return std::move(text); }

  void key(std::string_view name) {
    separate();
    string(name);
    text += ": ";
    afterKey = true;
  }

  void open(char bracket, bool flatInside = false) {
    separate();
    text += bracket;
    levels.push_back({flatInside || flat(), true});
  }

  void close(char bracket) {
    Level level = levels.back();
    levels.pop_back();
    if (!level.empty && !level.flat) {
      newline();
    }
    text += bracket;
  }

  void value(std::string_view item) {
    separate();
    string(item);
  }
  void value(int64_t item) {
    separate();
    text += std::to_string(item);
  }
  void value(bool item) {
    separate();
    text += item ? "true" : "false";
  }
  void null() {
    separate();
    text += "null";
  }
  template <typename T> void value(const std::optional<T> &item) {
    if (item) {
      value(*item);
    } else {
      null();
    }
  }

  /// Six decimal places at most: the same digits in every locale and with every
  /// C library. JSON has no infinities.
  void decimal(double item) {
    constexpr double kLimit = 9e12;
    if (!std::isfinite(item) || std::fabs(item) > kLimit) {
      null();
      return;
    }
    separate();
    int64_t millionths = std::llround(item * 1e6);
    if (millionths < 0) {
      text += '-';
      millionths = -millionths;
    }
    std::string fraction = std::to_string(millionths % 1000000);
    fraction.insert(0, 6 - fraction.size(), '0');
    size_t last = fraction.find_last_not_of('0');
    fraction.resize(last == std::string::npos ? 1 : last + 1);
    text += std::to_string(millionths / 1000000) + "." + fraction;
  }

  template <typename T> void field(std::string_view name, const T &item) {
    key(name);
    value(item);
  }
  void field(std::string_view name, const std::string &item) {
    key(name);
    value(std::string_view(item));
  }
  /// An empty string says that there is nothing to say.
  void fieldOrNull(std::string_view name, const std::string &item) {
    key(name);
    if (item.empty()) {
      null();
    } else {
      value(std::string_view(item));
    }
  }

private:
  struct Level {
    bool flat;
    bool empty;
  };

  bool flat() const { return !levels.empty() && levels.back().flat; }

  void newline() {
    text += '\n';
    text.append(2 * levels.size(), ' ');
  }

  /// The separator of the last item and the next one.
  void separate() {
    if (afterKey) {
      afterKey = false;
      return;
    }
    if (levels.empty()) {
      return;
    }
    Level &level = levels.back();
    if (!level.empty) {
      text += level.flat ? ", " : ",";
    }
    if (!level.flat) {
      newline();
    }
    level.empty = false;
  }

  void string(std::string_view item) {
    text += '"';
    while (!item.empty()) {
      unsigned char c = static_cast<unsigned char>(item[0]);
      size_t length = sequenceLength(item);
      if (length == 0) {
        text += "\\ufffd"; // Not UTF-8, hence not JSON.
        length = 1;
      } else if (c == '"' || c == '\\') {
        text += '\\';
        text += item[0];
      } else if (c == '\n') {
        text += "\\n";
      } else if (c == '\t') {
        text += "\\t";
      } else if (c < 0x20 || c == 0x7f) {
        constexpr char kDigits[] = "0123456789abcdef";
        text += "\\u00";
        text += kDigits[c >> 4];
        text += kDigits[c & 15];
      } else {
        text.append(item.substr(0, length));
      }
      item.remove_prefix(length);
    }
    text += '"';
  }

  std::string text;
  std::vector<Level> levels;
  bool afterKey = false;
};

void writeAccesses(Writer &json, std::string_view name,
                   const std::vector<AccessReport> &accesses) {
  json.key(name);
  json.open('[');
  for (const AccessReport &access : accesses) {
    json.open('{');
    json.field("buffer", int64_t(access.buffer));
    json.field("offset", access.offset);
    json.field("bytes", access.bytes);
    json.close('}');
  }
  json.close(']');
}

void writeRegion(Writer &json, const RegionReport &region) {
  json.open('{');
  json.fieldOrNull("location", region.location);
  json.field("predicted_bytes", region.predictedBytes);
  json.field("slab_bytes", region.slabBytes);
  json.field("lower_bound_bytes", region.lowerBoundBytes);
  json.field("optimal", region.optimal);
  json.field("proved_by", region.provedBy);
  json.field("offsets_optimal", region.offsetsOptimal);
  json.field("states", region.states);
  json.key("seconds");
  json.decimal(region.seconds);
  json.fieldOrNull("left_alone", region.leftAlone);
  json.key("recomputed");
  json.open('[');
  for (const RecomputedReport &value : region.recomputed) {
    json.open('{', /*flatInside=*/true);
    json.fieldOrNull("location", value.location);
    json.field("bytes", value.bytes);
    json.field("work", value.work);
    json.close('}');
  }
  json.close(']');
  json.field("work", region.work);
  json.field("concurrent_groups", region.concurrentGroups);
  json.field("concurrent_operations", region.concurrentOperations);
  json.key("live_bytes");
  json.open('[', /*flatInside=*/true);
  for (int64_t bytes : region.liveBytes) {
    json.value(bytes);
  }
  json.close(']');
  json.key("buffers");
  json.open('[');
  for (const BufferReport &buffer : region.buffers) {
    json.open('{', /*flatInside=*/true);
    json.field("name", buffer.name);
    json.field("first", buffer.first);
    json.field("last", buffer.last);
    json.field("bytes", buffer.bytes);
    json.field("offset", buffer.offset);
    json.fieldOrNull("element_type", buffer.elementType);
    json.close('}');
  }
  json.close(']');
  json.key("reused_memory");
  json.open('[');
  for (const ReusedMemoryReport &buffer : region.reused) {
    json.open('{', /*flatInside=*/true);
    json.field("name", buffer.name);
    json.field("memory", buffer.memory);
    json.field("argument", buffer.argument);
    json.field("result", buffer.result);
    json.field("offset", buffer.offset);
    json.field("bytes", buffer.bytes);
    json.close('}');
  }
  json.close(']');
  json.key("operations");
  json.open('[');
  for (const OperationReport &operation : region.operations) {
    json.open('{', /*flatInside=*/true);
    json.field("name", operation.name);
    json.fieldOrNull("location", operation.location);
    json.field("step", operation.step);
    writeAccesses(json, "uses", operation.uses);
    writeAccesses(json, "defs", operation.defs);
    writeAccesses(json, "external_uses", operation.externalUses);
    writeAccesses(json, "external_defs", operation.externalDefs);
    json.close('}');
  }
  json.close(']');
  json.key("externals");
  json.open('[');
  for (const ExternalReport &external : region.externals) {
    json.open('{', /*flatInside=*/true);
    json.fieldOrNull("name", external.name);
    json.field("kind", external.kind);
    json.field("bytes", external.bytes);
    json.close('}');
  }
  json.close(']');
  json.close('}');
}

void writeStrings(Writer &json, std::string_view name,
                  const std::vector<std::string> &items) {
  json.key(name);
  json.open('[', /*flatInside=*/true);
  for (const std::string &item : items) {
    json.value(std::string_view(item));
  }
  json.close(']');
}

void writeNumbers(Writer &json, std::string_view name,
                  const std::vector<int64_t> &items) {
  json.key(name);
  json.open('[', /*flatInside=*/true);
  for (int64_t item : items) {
    json.value(item);
  }
  json.close(']');
}

void writeFunctionBudget(Writer &json,
                         const std::optional<FunctionBudget> &budget) {
  json.key("budget");
  if (!budget) {
    json.null();
    return;
  }
  json.open('{');
  json.field("met", budget->met);
  json.field("over_bytes", budget->overBytes);
  json.field("region", budget->region);
  json.field("step", budget->step);
  writeNumbers(json, "operations", budget->operations);
  json.key("buffers");
  json.open('[');
  for (const BudgetBuffer &buffer : budget->buffers) {
    json.open('{', /*flatInside=*/true);
    json.field("buffer", buffer.buffer);
    json.field("bytes", buffer.bytes);
    json.field("shrink_bytes", buffer.shrinkBytes);
    json.field("live_at_peak", buffer.live);
    json.close('}');
  }
  json.close(']');
  json.close('}');
}

void writeRewrites(Writer &json,
                   const std::vector<const RewriteReport *> &rewrites) {
  json.key("rewrites");
  json.open('[');
  for (const RewriteReport *rewrite : rewrites) {
    json.open('{', /*flatInside=*/true);
    json.fieldOrNull("location", rewrite->location);
    json.fieldOrNull("function", rewrite->function);
    json.field("kind", rewrite->kind);
    json.field("parts", rewrite->parts);
    json.field("bytes_before", rewrite->bytesBefore);
    json.field("bytes_after", rewrite->bytesAfter);
    json.fieldOrNull("element_type", rewrite->element);
    json.close('}');
  }
  json.close(']');
}

void writeCandidate(Writer &json, int64_t index,
                    const CandidateReport &candidate) {
  json.open('{', /*flatInside=*/true);
  json.field("index", index);
  json.field("kind", candidate.kind);
  json.field("storage", candidate.storage);
  json.field("multi_use_fusion", candidate.multiUseFusion);
  json.field("in_place", candidate.inPlace);
  json.field("unfused_producers", candidate.unfusedProducers);
  json.field("deep_streams", candidate.deepStreams);
  json.key("rewrites");
  json.open('{');
  for (const auto &[kind, count] : candidate.rewrites) {
    json.field(kind, count);
  }
  json.close('}');
  json.key("bands");
  json.open('[');
  for (const BandReport &band : candidate.bands) {
    json.open('{');
    json.field("from", band.from);
    json.field("to", band.to);
    json.field("count", band.count);
    json.close('}');
  }
  json.close(']');
  json.field("merged_accumulations", candidate.mergedAccumulations);
  json.key("extra_work");
  json.decimal(candidate.extraWork);
  json.field("predicted_bytes", candidate.predictedBytes);
  json.field("built", candidate.built);
  json.field("mispredicted", candidate.mispredicted);
  json.field("transient_peak_bytes", candidate.transientPeakBytes);
  json.field("hint_bytes", candidate.hintBytes);
  json.field("chosen", candidate.chosen);
  json.close('}');
}

void writeFormula(Writer &json, std::string_view key,
                  const std::optional<BytesFormula> &formula) {
  json.key(key);
  if (!formula) {
    json.null();
    return;
  }
  json.open('{');
  json.field("text", formula->text);
  json.key("symbols");
  json.open('[');
  for (const BytesFormula::Symbol &symbol : formula->symbols) {
    json.open('{', /*flatInside=*/true);
    json.field("name", symbol.name);
    json.fieldOrNull("dimension", symbol.dimension);
    json.field("hint", symbol.hint);
    json.field("bound", symbol.bound);
    json.close('}');
  }
  json.close(']');
  json.field("hint_bytes", formula->bytesAtHint);
  json.field("bound_bytes", formula->bytesAtBound);
  json.fieldOrNull("unbounded_because", formula->unbounded);
  json.close('}');
}

void writeFunction(Writer &json, const FunctionReport &function,
                   const std::vector<const RewriteReport *> &rewrites) {
  json.open('{');
  json.field("name", function.name);
  json.fieldOrNull("exported_as", function.exportedAs);
  json.field("initializer", function.initializer);
  json.field("transient_peak_bytes", function.transientPeakBytes);
  json.field("stock_transient_peak_bytes", function.stockTransientPeakBytes);
  writeFormula(json, "bytes_formula", function.bytesFormula);
  writeFormula(json, "stock_bytes_formula", function.stockBytesFormula);
  json.field("stock_call_peak_bytes", function.stockCallPeakBytes);
  json.field("caller_arena_bytes", function.callerArenaBytes);
  json.field("external_bytes", function.externalBytes);
  json.field("peak_bytes", function.peakBytes);
  json.field("peak_is_exact", function.peakIsExact);
  json.key("peak_allocations");
  json.open('[');
  for (const AllocationReport &allocation : function.peakAllocations) {
    json.open('{', /*flatInside=*/true);
    json.field("kind", allocation.kind);
    json.fieldOrNull("name", allocation.name);
    json.fieldOrNull("location", allocation.location);
    json.field("bytes", allocation.bytes);
    json.close('}');
  }
  json.close(']');
  writeNumbers(json, "overwritten_inputs", function.overwrittenInputs);
  writeNumbers(json, "stock_overwritten_inputs",
               function.stockOverwrittenInputs);
  json.key("candidates");
  json.open('[');
  for (size_t i = 0; i < function.candidates.size(); ++i) {
    writeCandidate(json, int64_t(i), function.candidates[i]);
  }
  json.close(']');
  writeStrings(json, "used", function.used);
  writeFunctionBudget(json, function.budget);
  for (const auto &[name, regions] :
       {std::pair<std::string_view, const std::vector<RegionReport> *>(
            "regions", &function.regions),
        {"stock_regions", &function.stockRegions}}) {
    json.key(name);
    json.open('[');
    for (const RegionReport &region : *regions) {
      writeRegion(json, region);
    }
    json.close(']');
  }
  writeRewrites(json, rewrites);
  json.close('}');
}

} // namespace

std::string bytesText(int64_t bytes) {
  return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

std::string displayName(const std::string &name, const std::string &location) {
  constexpr std::string_view start = "loc(\"";
  size_t end = location.find('"', start.size());
  // A file is followed by its line: `loc("model.mlir":5:12)`.
  if (location.compare(0, start.size(), start) != 0 ||
      end == std::string::npos || location[end - 1] == '\\' ||
      location.compare(end + 1, 1, ":") == 0) {
    return name;
  }
  return location.substr(start.size(), end - start.size()) + " (" + name + ")";
}

std::string displayName(const RegionReport &region, size_t buffer) {
  const std::string &name = region.buffers[buffer].name;
  for (const OperationReport &operation : region.operations) {
    for (const AccessReport &access : operation.defs) {
      if (access.buffer == int(buffer)) {
        return displayName(name, operation.location);
      }
    }
  }
  return name;
}

std::string toJson(const ModuleReport &report) {
  // Every rewrite goes to the first function of its name; those whose function
  // is not reported (it was inlined, say) stay with the module.
  std::map<std::string_view, size_t> functionIndex;
  for (size_t i = 0; i < report.functions.size(); ++i) {
    functionIndex.emplace(report.functions[i].name, i);
  }
  for (size_t i = 0; i < report.functions.size(); ++i) {
    if (!report.functions[i].exportedAs.empty()) {
      functionIndex.emplace(report.functions[i].exportedAs, i);
    }
  }
  std::vector<std::vector<const RewriteReport *>> perFunction(
      report.functions.size());
  std::vector<const RewriteReport *> others;
  for (const RewriteReport &rewrite : report.rewrites) {
    auto found = functionIndex.find(rewrite.function);
    (found == functionIndex.end() ? others : perFunction[found->second])
        .push_back(&rewrite);
  }

  Writer json;
  json.open('{');
  json.field("schema", int64_t(2));
  // A key twice is no JSON object: the last version counts, seconds add up.
  json.key("versions");
  json.open('{');
  for (size_t i = 0; i < report.versions.size(); ++i) {
    const auto &item = report.versions[i];
    bool again =
        std::any_of(report.versions.begin() + static_cast<ptrdiff_t>(i) + 1,
                    report.versions.end(), [&](const auto &later) {
                      return later.first == item.first;
                    });
    if (!again) {
      json.field(item.first, item.second);
    }
  }
  json.close('}');
  json.key("functions");
  json.open('[');
  for (size_t i = 0; i < report.functions.size(); ++i) {
    writeFunction(json, report.functions[i], perFunction[i]);
  }
  json.close(']');
  writeRewrites(json, others);
  json.field("persistent_bytes", report.persistentBytes);
  json.key("budget");
  if (report.budget) {
    json.open('{', /*flatInside=*/true);
    json.field("bytes", report.budget->bytes);
    json.field("policy",
               std::string(report.budget->isError ? "error" : "warn"));
    json.field("met", report.budget->met);
    writeStrings(json, "used", report.budget->used);
    json.close('}');
  } else {
    json.null();
  }
  json.key("search");
  json.open('{', /*flatInside=*/true);
  json.field("predictions", report.search.predictions);
  json.field("trial_compilations", report.search.trialCompilations);
  json.field("cache_hits", report.search.cacheHits);
  json.field("cache_misses", report.search.cacheMisses);
  json.close('}');
  json.key("quantized_values");
  json.open('[');
  for (const QuantizedValueReport &value : report.quantizedValues) {
    json.open('{', /*flatInside=*/true);
    json.fieldOrNull("location", value.location);
    json.field("element_type", value.elementType);
    writeStrings(json, "computed_by", value.computedBy);
    json.fieldOrNull("reason", value.reason);
    json.close('}');
  }
  json.close(']');
  json.key("remarks");
  json.open('[');
  for (const std::string &remark : report.remarks) {
    json.value(std::string_view(remark));
  }
  json.close(']');
  json.key("seconds");
  json.open('{');
  std::vector<std::pair<std::string, double>> totals;
  for (const auto &item : report.seconds) {
    auto same = std::find_if(totals.begin(), totals.end(), [&](const auto &t) {
      return t.first == item.first;
    });
    if (same == totals.end()) {
      totals.push_back(item);
    } else {
      same->second += item.second;
    }
  }
  for (const auto &item : totals) {
    json.key(item.first);
    json.decimal(item.second);
  }
  json.close('}');
  json.close('}');
  return json.take() + "\n";
}

} // namespace serenity

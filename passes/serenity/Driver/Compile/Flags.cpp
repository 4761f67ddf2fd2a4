// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/Flags.h"

#include "serenity/Driver/CommandLine.h"
#include "serenity/Transforms/Passes.h"

#include <cmath>
#include <cstdlib>
#include <functional>

namespace serenity {

namespace {

struct Flag {
  const char *name;
  const char *value; // what it takes, for the help; null: an optional on|off
  const char *help;
  /// Returns false if the value is malformed.
  std::function<bool(CompileFlags &, const std::string &)> set;
};

bool parseCount(const std::string &text, int64_t &value) {
  if (text.empty() ||
      text.find_first_not_of("0123456789") != std::string::npos ||
      text.size() > 18) {
    return false;
  }
  value = std::strtoll(text.c_str(), nullptr, 10);
  return true;
}

template <typename Enum>
std::function<bool(CompileFlags &, const std::string &)>
choice(Enum &(*field)(CompileFlags &),
       std::vector<std::pair<std::string, Enum>> values) {
  return [=](CompileFlags &flags, const std::string &text) {
    for (const auto &value : values) {
      if (value.first == text) {
        field(flags) = value.second;
        return true;
      }
    }
    return false;
  };
}

const std::vector<Flag> &flagTable() {
  static const std::vector<Flag> table = {
      {"schedule", nullptr,
       "Minimum-peak order, concatenation placement, offsets and rewriting. "
       "Any "
       "other serenity flag implies it; 'off' compiles as stock and still "
       "reports.",
       choice<bool>([](CompileFlags &f) -> bool & { return f.schedule; },
                    {{"", true},
                     {"on", true},
                     {"true", true},
                     {"off", false},
                     {"false", false}})},
      {"rewrite", "auto|off|always",
       "Split convolutions and sums over concatenations where the predicted "
       "peak falls (auto), never or wherever possible.",
       choice<RewriteMode>(
           [](CompileFlags &f) -> RewriteMode & { return f.options.rewrite; },
           {{"auto", RewriteMode::Auto},
            {"off", RewriteMode::Off},
            {"always", RewriteMode::Always}})},
      {"offsets", "exact|greedy|iree",
       "How the slab is laid out (default exact).",
       choice<PackAlgorithm>(
           [](CompileFlags &f) -> PackAlgorithm & { return f.options.offsets; },
           {{"exact", PackAlgorithm::Exact},
            {"greedy", PackAlgorithm::Greedy},
            {"iree", PackAlgorithm::Iree}})},
      {"scheduler", "exact|serenity|heuristic",
       "How orders are searched: best-first with proof (default), the SERENITY "
       "paper's dynamic programming, or heuristics alone.",
       choice<Algorithm>(
           [](CompileFlags &f) -> Algorithm & { return f.options.scheduler; },
           {{"exact", Algorithm::Exact},
            {"serenity", Algorithm::Serenity},
            {"heuristic", Algorithm::Heuristic}})},
      {"waves", "auto|off",
       "Let neighbouring commands run concurrently again where the slab stays "
       "the same (default auto), or run them one after the other.",
       choice<bool>([](CompileFlags &f) -> bool & { return f.options.waves; },
                    {{"auto", true}, {"off", false}})},
      {"time-limit", "SECONDS",
       "Limit of each search, per function (default 10); 0: heuristics only.",
       [](CompileFlags &flags, const std::string &text) {
         char *end = nullptr;
         double value = std::strtod(text.c_str(), &end);
         if (text.empty() || *end || !std::isfinite(value) || value < 0) {
           return false;
         }
         flags.options.timeLimitSeconds = value;
         return true;
       }},
      {"state-limit", "N",
       "Limit of each search in states: a cut-off that does not depend on the "
       "machine (default 0: none).",
       [](CompileFlags &flags, const std::string &text) {
         return parseCount(text, flags.options.stateLimit);
       }},
      {"memory-budget", "BYTES",
       "Largest transient memory of a function, as 262144, 256KB (1000) or "
       "256KiB (1024); no more is changed than is needed to fit.",
       [](CompileFlags &flags, const std::string &text) {
         flags.memoryBudgetBytes = parseBytes(text);
         return flags.memoryBudgetBytes.has_value();
       }},
      {"budget-policy", "error|warn",
       "What a missed budget is: an error with exit code 3 (default) or a "
       "warning.",
       choice<bool>([](CompileFlags &f) -> bool & { return f.budgetIsError; },
                    {{"error", true}, {"warn", false}})},
      {"report", "FILE.json", "Write what was predicted and done.",
       [](CompileFlags &flags, const std::string &text) {
         flags.reportPath = text;
         return !text.empty();
       }},
      {"print-ir-after", "PASS",
       "Print the module to standard error after a serenity pass.",
       [](CompileFlags &flags, const std::string &text) {
         for (const PassInfo &info : passTable()) {
           if (text == info.argument) {
             flags.printIrAfter.push_back(text);
             return true;
           }
         }
         return false;
       }},
  };
  return table;
}

std::string spell(const Flag &flag) {
  std::string text = std::string("--serenity-") + flag.name;
  return text + (flag.value ? std::string("=") + flag.value : "[=on|off]");
}

std::string knownFlags() {
  std::string text;
  for (const Flag &flag : flagTable()) {
    text += "\n  " + spell(flag);
  }
  return text;
}

} // namespace

std::optional<std::string> parseFlags(std::vector<std::string> &args,
                                      CompileFlags &flags) {
  std::vector<size_t> ours = findSerenityFlags(args);
  std::vector<bool> taken(args.size(), false);
  const std::string prefix = "serenity-";
  for (size_t index : ours) {
    taken[index] = true;
    std::string text = args[index].substr(args[index].find_first_not_of('-'));
    std::string value;
    size_t equals = text.find('=');
    bool hasValue = equals != std::string::npos;
    if (hasValue) {
      value = text.substr(equals + 1);
      text.resize(equals);
    }
    const Flag *found = nullptr;
    for (const Flag &flag : flagTable()) {
      if (text == prefix + flag.name) {
        found = &flag;
      }
    }
    if (!found) {
      return "unknown flag '" + args[index] + "'; known are" + knownFlags();
    }
    flags.given.push_back(found->name);
    if (!hasValue && found->value) {
      // LLVM takes the value from the next argument too.
      if (index + 1 >= args.size()) {
        return "flag '" + args[index] + "' needs a value: " + spell(*found);
      }
      value = args[index + 1];
      taken[index + 1] = true;
    }
    if ((hasValue && value.empty()) || !found->set(flags, value)) {
      return "malformed value '" + value + "' of flag '--" + text +
             "'; expected " + spell(*found) + "; known flags are" +
             knownFlags();
    }
  }
  std::vector<std::string> rest;
  for (size_t i = 0; i < args.size(); ++i) {
    if (!taken[i]) {
      rest.push_back(args[i]);
    }
  }
  args = std::move(rest);
  return std::nullopt;
}

std::string flagsHelp() {
  std::string text =
      "Serenity options (least activation memory; docs of serenity-mlir):\n\n";
  for (const Flag &flag : flagTable()) {
    std::string left = "  " + spell(flag);
    left.resize(std::max<size_t>(left.size() + 1, 46), ' ');
    // Wrapped at 100 columns under the second column.
    std::string line = left + "- ";
    std::string words = flag.help;
    size_t column = line.size();
    size_t start = 0;
    while (start < words.size()) {
      size_t end = words.find(' ', start);
      end = end == std::string::npos ? words.size() : end;
      if (column + (end - start) + 1 > 100) {
        line += "\n" + std::string(48, ' ');
        column = 48;
      }
      line += words.substr(start, end - start) + " ";
      column += end - start + 1;
      start = end + 1;
    }
    line.pop_back();
    text += line + "\n";
  }
  return text + "\n";
}

std::optional<int64_t> parseBytes(const std::string &text) {
  size_t digits = text.find_first_not_of("0123456789");
  digits = digits == std::string::npos ? text.size() : digits;
  int64_t value = 0;
  if (!parseCount(text.substr(0, digits), value) || value == 0) {
    return std::nullopt;
  }
  std::string unit = text.substr(digits);
  const std::pair<const char *, int64_t> units[] = {
      {"", 1},          {"B", 1},           {"KB", 1000},
      {"MB", 1000000},  {"GB", 1000000000}, {"KiB", 1 << 10},
      {"MiB", 1 << 20}, {"GiB", 1 << 30}};
  for (const auto &known : units) {
    if (unit == known.first) {
      int64_t bytes;
      if (__builtin_mul_overflow(value, known.second, &bytes)) {
        return std::nullopt;
      }
      return bytes;
    }
  }
  return std::nullopt;
}

} // namespace serenity

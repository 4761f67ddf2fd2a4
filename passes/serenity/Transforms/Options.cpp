// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The tables of Options.def and Passes.def. No MLIR header: the Python module
// `_core` and the fuzz targets link to this file as well.

#include "serenity/Transforms/Options.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace serenity {

namespace {

template <typename T> using Choices = std::vector<std::pair<const char *, T>>;

template <typename T> const Choices<T> &choicesOf();

#define SERENITY_CHOICES(type, ...)                                            \
  template <> const Choices<type> &choicesOf<type>() {                         \
    static const Choices<type> choices = {__VA_ARGS__};                        \
    return choices;                                                            \
  }
#include "serenity/Transforms/Options.def"

/// "a, b or c".
std::string alternatives(const std::vector<std::string> &items) {
  std::string text;
  for (size_t i = 0; i < items.size(); ++i) {
    text += i == 0 ? "" : i + 1 == items.size() ? " or " : ", ";
    text += items[i];
  }
  return text;
}

/// How the values of a type are read, written and called.
template <typename T> struct Kind {
  static constexpr const char *kName = "choice";
  static std::vector<std::string> spellings() {
    std::vector<std::string> found;
    for (const auto &choice : choicesOf<T>()) {
      found.emplace_back(choice.first);
    }
    return found;
  }
  static std::string expected() { return alternatives(spellings()); }
  static bool parse(const std::string &text, T &value) {
    for (const auto &choice : choicesOf<T>()) {
      if (text == choice.first) {
        value = choice.second;
        return true;
      }
    }
    return false;
  }
  static std::string print(const T &value) {
    for (const auto &choice : choicesOf<T>()) {
      if (value == choice.second) {
        return choice.first;
      }
    }
    return "";
  }
};

template <> struct Kind<bool> {
  static constexpr const char *kName = "bool";
  static std::vector<std::string> spellings() { return {"on", "off"}; }
  static std::string expected() { return "on or off"; }
  static bool parse(const std::string &text, bool &value) {
    value = text == "on" || text == "true";
    return value || text == "off" || text == "false";
  }
  static std::string print(bool value) { return value ? "on" : "off"; }
};

/// Types without a list of values.
struct Unlisted {
  static std::vector<std::string> spellings() { return {}; }
};

template <> struct Kind<double> : Unlisted {
  static constexpr const char *kName = "seconds";
  static std::string expected() { return "seconds, such as 0.5"; }
  static bool parse(const std::string &text, double &value) {
    char *end = nullptr;
    errno = 0;
    value = std::strtod(text.c_str(), &end);
    return !text.empty() &&
           text.find_first_not_of("0123456789.eE+-") == std::string::npos &&
           *end == '\0' && std::isfinite(value) && !std::signbit(value);
  }
  static std::string print(double value) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.15g", value);
    return text;
  }
};

template <> struct Kind<Share> : Unlisted {
  static constexpr const char *kName = "share";
  static std::string expected() { return "a share, such as 0.15"; }
  static bool parse(const std::string &text, Share &share) {
    return Kind<double>::parse(text, share.value);
  }
  static std::string print(Share share) {
    return Kind<double>::print(share.value);
  }
};

bool parseCount(const std::string &text, int64_t &value) {
  if (text.empty() || text.size() > 18 ||
      text.find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  value = std::strtoll(text.c_str(), nullptr, 10);
  return true;
}

template <> struct Kind<int64_t> : Unlisted {
  static constexpr const char *kName = "count";
  static std::string expected() { return "a number, not negative"; }
  static bool parse(const std::string &text, int64_t &value) {
    return parseCount(text, value);
  }
  static std::string print(int64_t value) { return std::to_string(value); }
};

template <> struct Kind<std::vector<int64_t>> : Unlisted {
  static constexpr const char *kName = "counts";
  static std::string expected() { return Kind<int64_t>::expected(); }
  static bool parse(const std::string &text, std::vector<int64_t> &value) {
    value.push_back(0);
    return parseCount(text, value.back());
  }
  static std::string print(const std::vector<int64_t> &value) {
    return value.empty() ? "" : std::to_string(value.front());
  }
};

template <> struct Kind<std::optional<int64_t>> : Unlisted {
  static constexpr const char *kName = "bytes";
  static std::string expected() {
    return "a positive number of bytes, such as 262144, 256KB or 256KiB";
  }
  static bool parse(const std::string &text, std::optional<int64_t> &value) {
    value = parseBytes(text);
    return value.has_value();
  }
  static std::string print(const std::optional<int64_t> &value) {
    return value ? std::to_string(*value) : "";
  }
};

template <> struct Kind<std::string> : Unlisted {
  static constexpr const char *kName = "file";
  static std::string expected() { return "the name of a file"; }
  static bool parse(const std::string &text, std::string &value) {
    value = text;
    return !text.empty();
  }
  static std::string print(const std::string &value) { return value; }
};

template <> struct Kind<Folder> : Unlisted {
  static constexpr const char *kName = "folder";
  static std::string expected() { return "the name of a folder, on or off"; }
  static bool parse(const std::string &text, Folder &value) {
    value.text = text;
    return !text.empty();
  }
  static std::string print(const Folder &value) { return value.text; }
};

template <> struct Kind<std::vector<std::string>> : Unlisted {
  static constexpr const char *kName = "passes";
  static std::string expected() {
    std::vector<std::string> names;
    for (const PassDeclaration &pass : passDeclarations()) {
      names.emplace_back(pass.name);
    }
    return alternatives(names);
  }
  static bool parse(const std::string &text, std::vector<std::string> &value) {
    value.push_back(text);
    return findPassDeclaration(text) != nullptr;
  }
  static std::string print(const std::vector<std::string> &value) {
    return value.empty() ? "" : value.front();
  }
};

template <> struct Kind<Extents> : Unlisted {
  static constexpr const char *kName = "extents";
  static std::string expected() {
    return "argI:axisJ=N, an extent of dimension J of argument I, or N, that "
           "of all others; importers know a model's own names as well";
  }
  static bool parse(const std::string &text, Extents &value) {
    size_t equals = text.rfind('=');
    int64_t extent = 0;
    if (!parseCount(text.substr(equals + 1), extent)) { // npos + 1 is 0
      return false;
    }
    if (equals == std::string::npos) {
      value.others = extent;
      return true;
    }
    if (equals > 0) {
      value.extents[text.substr(0, equals)] = extent;
    }
    return equals > 0;
  }
  static std::string print(const Extents &value) {
    return value.extents.empty()
               ? ""
               : value.extents.begin()->first + "=" +
                     std::to_string(value.extents.begin()->second);
  }
};

/// Reads `text` into `value`, which stays as it is on failure.
template <typename T>
Status parseValue(const char *name, const std::string &text, T &value) {
  T parsed = value;
  if (!Kind<T>::parse(text, parsed)) {
    return Status::failure("invalid value '" + text + "' of " + name +
                           "; expected " + Kind<T>::expected());
  }
  value = std::move(parsed);
  return Status::success();
}

template <typename T>
OptionInfo describe(const T &initial, const char *name, const char *value,
                    const char *help) {
  OptionInfo info = {};
  info.name = name;
  info.help = help;
  info.initial = Kind<T>::print(initial);
  info.kind = Kind<T>::kName;
  info.choices = Kind<T>::spellings();
  for (const std::string &choice : info.choices) {
    info.value += (info.value.empty() ? "" : "|") + choice;
  }
  if (value) {
    info.value = value;
  }
  return info;
}

std::vector<std::string> split(const std::string &text, char separator) {
  std::vector<std::string> parts;
  size_t at = 0;
  while (at < text.size()) {
    size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

std::string join(const std::vector<std::string> &items) {
  std::string text;
  for (const std::string &item : items) {
    text += (text.empty() ? "" : ", ") + item;
  }
  return text;
}

} // namespace

const std::vector<OptionInfo> &optionTable() {
  static const std::vector<OptionInfo> table = [] {
    std::vector<OptionInfo> entries;
    Options options;
    DriverOptions driver;
#define SERENITY_OPTION(type, field, initial, name, value, help)               \
  entries.push_back(describe(options.field, name, value, help));               \
  entries.back().isDriverFlag = true;                                          \
  entries.back().setOption = [](Options &target, const std::string &text) {    \
    return parseValue(name, text, target.field);                               \
  };
#define SERENITY_PASS_OPTION(type, field, initial, name, value, help)          \
  SERENITY_OPTION(type, field, initial, name, value, help)                     \
  entries.back().isDriverFlag = false;
#define SERENITY_DRIVER_OPTION(type, field, initial, name, value, help)        \
  entries.push_back(describe(driver.field, name, value, help));                \
  entries.back().isDriverFlag = true;                                          \
  entries.back().setDriverOption = [](DriverOptions &target,                   \
                                      const std::string &text) {               \
    return parseValue(name, text, target.field);                               \
  };
#include "serenity/Transforms/Options.def"
    return entries;
  }();
  return table;
}

const OptionInfo *findOption(const std::string &name) {
  for (const OptionInfo &info : optionTable()) {
    if (name == info.name) {
      return &info;
    }
  }
  return nullptr;
}

const std::vector<PassDeclaration> &passDeclarations() {
  static const std::vector<PassDeclaration> table = {
#define SERENITY_PASS(name, run, source, summary, options, level, place)       \
  {name, source, summary, split(options, ','), level, place},
#include "serenity/Transforms/Passes.def"
  };
  return table;
}

const PassDeclaration *findPassDeclaration(const std::string &name) {
  for (const PassDeclaration &pass : passDeclarations()) {
    if (name == pass.name) {
      return &pass;
    }
  }
  return nullptr;
}

Status setPassOptions(Options &options, const std::string &pass,
                      const std::string &text) {
  const PassDeclaration *declaration = findPassDeclaration(pass);
  if (!declaration) {
    return Status::failure("there is no pass '" + pass + "'");
  }
  const std::vector<std::string> &known = declaration->options;
  size_t at = 0;
  while ((at = text.find_first_not_of(" \t\n", at)) != std::string::npos) {
    size_t end = std::min(text.find_first_of(" \t\n", at), text.size());
    std::string item = text.substr(at, end - at);
    at = end;
    size_t equals = item.find('=');
    std::string name = item.substr(0, equals);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return Status::failure(pass + ": unknown option '" + name +
                             "'; known are " +
                             (known.empty() ? "none" : join(known)));
    }
    if (equals == std::string::npos) {
      return Status::failure(pass + ": option '" + name +
                             "' needs a value: " + name + "=...");
    }
    if (Status status =
            findOption(name)->setOption(options, item.substr(equals + 1));
        !status) {
      return Status::failure(pass + ": " + status.message());
    }
  }
  return Status::success();
}

std::optional<int64_t> parseBytes(const std::string &text) {
  size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
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
    int64_t bytes = 0;
    if (unit == known.first &&
        !__builtin_mul_overflow(value, known.second, &bytes)) {
      return bytes;
    }
  }
  return std::nullopt;
}

} // namespace serenity

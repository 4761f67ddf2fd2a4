// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/Flags.h"

#include "serenity/Driver/CommandLine.h"

#include <algorithm>

namespace serenity {

namespace {

std::vector<const OptionInfo *> driverFlags() {
  std::vector<const OptionInfo *> found;
  for (const OptionInfo &info : optionTable()) {
    if (info.isDriverFlag) {
      found.push_back(&info);
    }
  }
  return found;
}

bool mayStandAlone(const OptionInfo &flag) {
  const std::string kind = flag.kind;
  return kind == "bool" || kind == "folder";
}

std::string spell(const OptionInfo &flag) {
  std::string value = "=" + flag.value;
  return std::string("--serenity-") + flag.name +
         (mayStandAlone(flag) ? "[" + value + "]" : value);
}

Status set(const OptionInfo &flag, CompileFlags &flags,
           const std::string &value) {
  return flag.setOption ? flag.setOption(flags.options, value)
                        : flag.setDriverOption(flags, value);
}

std::string knownFlags() {
  std::string text;
  for (const OptionInfo *flag : driverFlags()) {
    text += "\n  " + spell(*flag);
  }
  return text;
}

} // namespace

Status parseFlags(std::vector<std::string> &args, CompileFlags &flags) {
  std::vector<size_t> indices = findSerenityFlags(args);
  std::vector<bool> taken(args.size(), false);
  const std::string prefix = "serenity-";
  for (size_t index : indices) {
    taken[index] = true;
    std::string text = args[index].substr(args[index].find_first_not_of('-'));
    std::string value = "on"; // of a flag that stands alone
    size_t equals = text.find('=');
    bool hasValue = equals != std::string::npos;
    if (hasValue) {
      value = text.substr(equals + 1);
      text.resize(equals);
    }
    const OptionInfo *found = text.compare(0, prefix.size(), prefix) == 0
                                  ? findOption(text.substr(prefix.size()))
                                  : nullptr;
    if (!found || !found->isDriverFlag) {
      return Status::failure("unknown flag '" + args[index] + "'; known are" +
                             knownFlags());
    }
    flags.given.push_back(found->name);
    if (!hasValue && !mayStandAlone(*found)) {
      // LLVM takes the value from the next argument too.
      if (index + 1 >= args.size()) {
        return Status::failure("flag '" + args[index] +
                               "' needs a value: " + spell(*found));
      }
      value = args[index + 1];
      taken[index + 1] = true;
    }
    flags.values.emplace_back(found->name, value);
    if (Status status = set(*found, flags, value); !status) {
      return Status::failure("flag '--" + text + "': " + status.message() +
                             "; known flags are" + knownFlags());
    }
  }
  std::vector<std::string> rest;
  for (size_t i = 0; i < args.size(); ++i) {
    if (!taken[i]) {
      rest.push_back(args[i]);
    }
  }
  args = std::move(rest);
  return Status::success();
}

std::string flagsHelp() {
  std::string text =
      "Serenity options (least activation memory; docs of serenity-mlir):\n\n";
  for (const OptionInfo *flag : driverFlags()) {
    std::string left = "  " + spell(*flag);
    left.resize(std::max<size_t>(left.size() + 1, 46), ' ');
    // Wrapped at 100 columns under the second column.
    std::string line = left + "- ";
    std::string words = flag->help;
    if (!flag->initial.empty()) {
      words += " Default: " + flag->initial + ".";
    }
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

} // namespace serenity

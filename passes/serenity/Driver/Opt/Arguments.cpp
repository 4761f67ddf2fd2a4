// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Opt/Arguments.h"

#include "serenity/Driver/CommandLine.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>

namespace serenity::opt {

namespace {

constexpr const char *kPrefix = "serenity-";

template <typename Range> std::string join(const Range &items) {
  std::string text;
  for (const std::string &item : items) {
    text += (text.empty() ? "" : ", ") + item;
  }
  return text;
}

std::string optionList(const std::string &pass) {
  const std::vector<std::string> &names = findPassDeclaration(pass)->options;
  return names.empty() ? "none" : join(names);
}

std::vector<std::string> passNames() {
  std::vector<std::string> names;
  for (const PassInfo &info : passTable()) {
    names.emplace_back(info.argument);
  }
  return names;
}

struct Flag {
  const char *name;
  /// The name of its value; null: a switch.
  const char *value;
  const char *description;
};

constexpr Flag kFlags[] = {
    {"pass-pipeline", "builtin.module(...)",
     "Passes of IREE and of serenity_mlir, the latter with options in braces, "
     "such as serenity-schedule{scheduler=heuristic time-limit=1}"},
    {"serenity-report", "FILE.json",
     "Write a report on the functions and their memory"},
    {"serenity-print-ir-after", "PASS[,PASS...]",
     "Print the module after these elements of the pipeline to stderr"},
    {"o", "FILE", "Output file, whole or not at all (-: standard output)"},
    {"emit-bytecode", nullptr, "Write MLIR bytecode instead of text"},
    {"split-input-file", nullptr,
     "Process the parts between lines '// -----' separately"},
    {"verify-diagnostics", nullptr,
     "Compare diagnostics with expected-error/-warning/-remark/-note {{...}} "
     "comments; =only-expected ignores all others"},
    {"allow-unregistered-dialect", nullptr,
     "Accept operations of unknown dialects"},
    {"verify-each", "0|1", "Verify the IR after every pass (1)"},
    {"mlir-print-ir-before-all", nullptr, "Print the IR before every pass"},
    {"mlir-print-ir-after-all", nullptr, "Print the IR after every pass"},
    {"mlir-print-ir-after-change", nullptr,
     "Of those, only after passes that changed it"},
    {"mlir-print-ir-after-failure", nullptr, "Print the IR when a pass fails"},
    {"mlir-print-ir-module-scope", nullptr, "Print the whole module each time"},
    {"mlir-timing", nullptr, "Print the time of every pass"},
    {"list-passes", nullptr, "List the passes of serenity_mlir"},
    {"help", nullptr, "Print this text"},
};

/// Flags of IREE's library worth knowing here. The rest: --help-hidden.
constexpr Flag kForwardedFlags[] = {
    {"mlir-print-debuginfo", nullptr, "Print locations"},
    {"mlir-print-op-generic", nullptr, "Print operations in generic form"},
    {"mlir-elide-elementsattrs-if-larger", "N",
     "Print longer constants as an ellipsis"},
    {"mlir-elide-resource-strings-if-larger", "N",
     "Leave longer resources out of the text"},
    {"mlir-disable-threading", nullptr, "Run in one thread"},
    {"iree-hal-target-device", "DEVICE", "... and all other flags of IREE"},
    {"help-hidden", nullptr, "All of them"},
};

/// Whether `--serenity-NAME` sets the option of all passes. A flag that is the
/// name of a pass adds the pass.
bool isPassOptionFlag(const OptionInfo &info) {
  return info.setOption && !findPass(std::string("serenity-") + info.name);
}

/// The option that the flag called `name` sets, or null.
const OptionInfo *findOptionFlag(const std::string &name) {
  const OptionInfo *option = name.compare(0, std::strlen(kPrefix), kPrefix) == 0
                                 ? findOption(name.substr(std::strlen(kPrefix)))
                                 : nullptr;
  return option && isPassOptionFlag(*option) ? option : nullptr;
}

void appendFlag(std::string &text, const Flag &flag) {
  std::string left =
      std::string("  ") + (flag.name[1] ? "--" : "-") + flag.name;
  if (flag.value) {
    left += std::string(flag.name[1] ? "=" : " ") + flag.value;
  }
  constexpr size_t kColumn = 30;
  text += left;
  text += left.size() + 2 > kColumn ? "\n" + std::string(kColumn, ' ')
                                    : std::string(kColumn - left.size(), ' ');
  text += std::string(flag.description) + "\n";
}

/// Reads the arguments one by one into a `Config`.
class ArgumentParser {
public:
  ArgumentParser(const std::vector<std::string> &args, Config &config)
      : args(args), config(config),
        switches({{"emit-bytecode", &config.emitBytecode},
                  {"split-input-file", &config.splitInput},
                  {"allow-unregistered-dialect", &config.allowUnregistered},
                  {"verify-each", &config.verifyEach},
                  {"mlir-print-ir-before-all", &config.printBeforeAll},
                  {"mlir-print-ir-after-all", &config.printAfterAll},
                  {"mlir-print-ir-after-change", &config.printAfterChange},
                  {"mlir-print-ir-after-failure", &config.printAfterFailure},
                  {"mlir-print-ir-module-scope", &config.printModuleScope},
                  {"mlir-timing", &config.timing},
                  {"list-passes", &config.listPasses},
                  {"help", &config.help},
                  {"h", &config.help}}) {}

  Status run();

private:
  Status setInput(const std::string &input);
  Status readFlag();
  Status addPass();
  Status setSwitch(bool &target);
  Status setDiagnostics();
  Status setOption(const OptionInfo &option);
  Status setFlag(const Flag &flag);
  Status takeValue(const std::string &placeholder);
  Status unknownFlag() const;
  void forward();
  Status finish();

  const std::vector<std::string> &args;
  Config &config;
  std::map<std::string, bool *> switches;
  bool haveInput = false;
  bool haveOutput = false;
  std::optional<std::string> pipeline;

  /// The flag being read: its index, its name without dashes, and the text
  /// behind `=` or of the next argument.
  size_t index = 0;
  std::string name;
  std::optional<std::string> value;
};

Status ArgumentParser::setInput(const std::string &input) {
  if (haveInput) {
    return Status::failure("more than one input: '" + config.input + "' and '" +
                           input + "'");
  }
  haveInput = true;
  config.input = input;
  return Status::success();
}

/// Adds the pass called `name`, with options in the value.
Status ArgumentParser::addPass() {
  Element element;
  element.name = element.text = name;
  element.options = value.value_or("");
  Options ignored;
  if (Status status = setPassOptions(ignored, name, element.options); !status) {
    return status;
  }
  config.elements.push_back(element);
  return Status::success();
}

Status ArgumentParser::setSwitch(bool &target) {
  if (value && *value != "1" && *value != "0" && *value != "true" &&
      *value != "false") {
    return Status::failure("invalid value '" + *value + "' of --" + name +
                           "; expected 0 or 1");
  }
  target = !value || *value == "1" || *value == "true";
  return Status::success();
}

Status ArgumentParser::setDiagnostics() {
  if (value && *value != "all" && *value != "only-expected") {
    return Status::failure(
        "invalid value '" + *value +
        "' of --verify-diagnostics; expected all or only-expected");
  }
  config.verifyDiagnostics = true;
  config.onlyExpected = value == "only-expected";
  return Status::success();
}

/// Takes the value from the next argument if none was given behind `=`.
Status ArgumentParser::takeValue(const std::string &placeholder) {
  if (!value && index + 1 == args.size()) {
    return Status::failure("--" + name + " needs a value: --" + name + "=" +
                           placeholder);
  }
  if (!value) {
    value = args[++index];
  }
  return Status::success();
}

Status ArgumentParser::setOption(const OptionInfo &option) {
  if (Status status = takeValue(option.value); !status) {
    return status;
  }
  if (Status status = option.setOption(config.options, *value); !status) {
    return Status::failure("--" + name + ": " + status.message());
  }
  return Status::success();
}

Status ArgumentParser::setFlag(const Flag &flag) {
  if (Status status = takeValue(flag.value); !status) {
    return status;
  }
  if (name == "o") {
    if (haveOutput) {
      return Status::failure("-o given twice");
    }
    haveOutput = true;
    config.output = *value;
  } else if (name == "pass-pipeline") {
    if (pipeline) {
      return Status::failure("--pass-pipeline given twice");
    }
    pipeline = value;
  } else if (name == "serenity-report") {
    config.report = *value;
    if (value->empty()) {
      return Status::failure("--serenity-report needs the name of a file");
    }
  } else { // serenity-print-ir-after
    size_t at = 0;
    while (at <= value->size()) {
      size_t end = std::min(value->find(',', at), value->size());
      config.printAfter.push_back(value->substr(at, end - at));
      at = end + 1;
    }
  }
  return Status::success();
}

Status ArgumentParser::unknownFlag() const {
  std::vector<std::string> known = passNames();
  for (const OptionInfo &info : optionTable()) {
    if (isPassOptionFlag(info)) {
      known.push_back(std::string(kPrefix) + info.name);
    }
  }
  for (const Flag &candidate : kFlags) {
    if (isSerenityFlag(std::string("--") + candidate.name)) {
      known.emplace_back(candidate.name);
    }
  }
  for (std::string &item : known) {
    item.insert(0, "--");
  }
  const std::string &arg = args[index];
  return Status::failure("unknown flag '" + arg.substr(0, arg.find('=')) +
                         "'; known are " + join(known));
}

/// Passes the flag on to IREE's library.
void ArgumentParser::forward() {
  const std::string &arg = args[index];
  config.forwarded.push_back(arg);
  if (!value && takesSeparateValue(arg) && index + 1 < args.size()) {
    value = args[++index];
    config.forwarded.push_back(*value);
  }
  if (name == "iree-stream-resource-min-offset-alignment" && value) {
    // IREE reads the flag as well, and says if its value is wrong.
    long long alignment = std::strtoll(value->c_str(), nullptr, 10);
    if (alignment > 0) {
      config.options.defaultAlignment = alignment;
    }
  }
}

Status ArgumentParser::readFlag() {
  const std::string &arg = args[index];
  size_t nameAt = arg.compare(0, 2, "--") == 0 ? 2 : 1;
  size_t equals = arg.find('=');
  name = arg.substr(nameAt, equals - nameAt);
  value.reset();
  if (equals != std::string::npos) {
    value = arg.substr(equals + 1);
  }

  if (findPass(name)) {
    return addPass();
  }
  if (auto found = switches.find(name); found != switches.end()) {
    return setSwitch(*found->second);
  }
  if (name == "verify-diagnostics") {
    return setDiagnostics();
  }
  if (name == "mlir-print-ir-before" || name == "mlir-print-ir-after") {
    return Status::failure(
        "--" + name +
        " does not reach the passes here, because they are not registered by "
        "name; use --serenity-print-ir-after=PASS");
  }
  if (const OptionInfo *option = findOptionFlag(name)) {
    return setOption(*option);
  }
  const Flag *flag =
      std::find_if(std::begin(kFlags), std::end(kFlags),
                   [&](const Flag &f) { return name == f.name && f.value; });
  if (flag != std::end(kFlags)) {
    return setFlag(*flag);
  }
  if (isSerenityFlag(arg)) {
    return unknownFlag();
  }
  forward();
  return Status::success();
}

/// Checks that need the whole command line.
Status ArgumentParser::finish() {
  if (pipeline) {
    if (!config.elements.empty()) {
      return Status::failure(
          "--pass-pipeline and --" + config.elements[0].name +
          " exclude each other; name the pass in the pipeline");
    }
    if (Status status = splitPipeline(*pipeline, config.elements); !status) {
      return status;
    }
  }
  for (const std::string &printed : config.printAfter) {
    std::vector<std::string> names;
    for (const Element &element : config.elements) {
      names.push_back(element.name);
    }
    if (std::find(names.begin(), names.end(), printed) == names.end()) {
      return Status::failure(
          "--serenity-print-ir-after: no '" + printed + "' in the pipeline; " +
          (names.empty() ? "it is empty" : "it has " + join(names)));
    }
  }
  if (config.emitBytecode && config.splitInput) {
    return Status::failure("--emit-bytecode and --split-input-file exclude "
                           "each other: a bytecode file holds one module");
  }
  return Status::success();
}

Status ArgumentParser::run() {
  bool flagsEnded = false;
  for (index = 1; index < args.size(); ++index) {
    const std::string &arg = args[index];
    if (arg == "--" && !flagsEnded) {
      flagsEnded = true;
      continue;
    }
    bool isInput = flagsEnded || arg.empty() || arg[0] != '-' || arg == "-";
    if (Status status = isInput ? setInput(arg) : readFlag(); !status) {
      return status;
    }
  }
  return finish();
}

} // namespace

std::string helpText() {
  std::string text =
      "serenity-opt: runs the passes of serenity_mlir and IREE on a module\n\n"
      "Usage: serenity-opt [flags] [FILE]   (text or bytecode; default: "
      "standard input)\n\n"
      "Passes, in the order given (not together with --pass-pipeline); options "
      "as\n--PASS='name=value ...':\n";
  for (const PassInfo &info : passTable()) {
    appendFlag(text, {info.argument, nullptr, info.description});
  }
  text += "\nOptions of all passes that have them; those in braces win:\n";
  for (const OptionInfo &info : optionTable()) {
    if (isPassOptionFlag(info)) {
      std::string name = std::string("serenity-") + info.name;
      std::string help = std::string(info.help) + " (" + info.initial + ")";
      appendFlag(text, {name.c_str(), info.value.c_str(), help.c_str()});
    }
  }
  text += "\nFlags:\n";
  for (const Flag &flag : kFlags) {
    appendFlag(text, flag);
  }
  text += "\nPassed on to IREE:\n";
  for (const Flag &flag : kForwardedFlags) {
    appendFlag(text, flag);
  }
  text += "\nExit code: 0 success, 1 the module or a pass failed, 2 wrong "
          "usage.\n";
  return text;
}

std::string passList() {
  std::string text;
  for (const PassInfo &info : passTable()) {
    text += std::string(info.argument) + "\n    " + info.description +
            "\n    options: " + optionList(info.argument) + "\n";
  }
  return text;
}

Status parseArguments(const std::vector<std::string> &args, Config &config) {
  return ArgumentParser(args, config).run();
}

} // namespace serenity::opt

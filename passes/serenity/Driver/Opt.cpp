// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// serenity-opt: runs passes on a module and prints the result. What mlir-opt
// is to MLIR and iree-opt to IREE, this is to the serenity passes: they can be
// run alone, or between IREE's own passes in one pipeline.
//
// IREE's library registers its passes by name, but offers no way to register
// ours. So a pipeline is cut at the top level of `builtin.module(...)`: names
// of ours become external passes, everything between them goes to MLIR's own
// parser as it stands, all into one pass manager.

#include "serenity/Driver/CommandLine.h"
#include "serenity/Driver/OutputFile.h"
#include "serenity/IREE/Diagnostics.h"
#include "serenity/IREE/Ir.h"
#include "serenity/IREE/IreeC.h"
#include "serenity/Transforms/Passes.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SERENITY_VERSION
#define SERENITY_VERSION "0+unknown"
#endif

namespace serenity {
namespace {

enum ExitCode { kSuccess = 0, kFailure = 1, kUsage = 2 };

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

// --- pipelines --------------------------------------------------------------

/// An element of the top level of `builtin.module(...)`.
struct Element {
  std::string name;
  /// The element as MLIR's parser takes it.
  std::string text;
  /// What stands in its braces, for a pass of ours.
  std::string options;
};

/// Cuts `builtin.module(a,b{...},func.func(c))` into its elements. Returns an
/// error, or nothing. Only what is needed to find our passes is checked here;
/// MLIR's parser says the rest.
std::optional<std::string> splitPipeline(const std::string &pipeline,
                                         std::vector<Element> &elements) {
  constexpr std::string_view kSpace = " \t\r\n";
  constexpr std::string_view kAnchor = "builtin.module(";
  auto trim = [&](std::string_view text) {
    size_t first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos) {
      return std::string_view();
    }
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
  };
  std::string_view text = trim(pipeline);
  if (text.substr(0, kAnchor.size()) != kAnchor || text.back() != ')') {
    return "expected a pipeline on modules: "
           "--pass-pipeline='builtin.module(...)', found '" +
           pipeline + "'";
  }
  text = text.substr(kAnchor.size(), text.size() - kAnchor.size() - 1);

  size_t depth = 0;  // of parentheses
  size_t braces = 0; // of options
  char quote = 0;
  size_t start = 0;         // of the element
  size_t optionsAt = 0;     // of its braces at depth 0
  size_t optionsLength = 0; // between them
  std::string word;         // the name being read
  auto finish = [&](size_t end) -> std::optional<std::string> {
    Element element;
    element.text = trim(text.substr(start, end - start));
    element.name = trim(std::string_view(element.text)
                            .substr(0, element.text.find_first_of("{(")));
    if (optionsAt != 0) {
      element.options = text.substr(optionsAt, optionsLength);
    }
    start = end + 1;
    optionsAt = optionsLength = 0;
    if (element.text.empty()) {
      return "empty element in pipeline '" + pipeline + "'";
    }
    if (findPass(element.name)) {
      size_t nameEnd = element.name.size();
      std::string rest(trim(std::string_view(element.text).substr(nameEnd)));
      bool wellFormed = rest.empty() || rest == "{" + element.options + "}";
      if (!wellFormed) {
        return "expected ',' or '{' after '" + element.name +
               "' in the pipeline, found '" + rest + "'";
      }
    }
    elements.push_back(std::move(element));
    return std::nullopt;
  };
  // Our passes run on the module itself, and MLIR does not know their names.
  auto checkNested = [&]() -> std::optional<std::string> {
    std::string name(trim(word));
    word.clear();
    if (depth > 0 && findPass(name)) {
      return "'" + name +
             "' runs on builtin.module; move it to the top level "
             "of builtin.module(...)";
    }
    return std::nullopt;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quote) {
      quote = c == quote ? 0 : quote;
      continue;
    }
    if (braces > 0) {
      if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == '{') {
        ++braces;
      } else if (c == '}' && --braces == 0 && depth == 0) {
        optionsLength = i - optionsAt;
      }
      continue;
    }
    if (c != ',' && c != '(' && c != ')' && c != '{' && c != '}') {
      word += c;
      continue;
    }
    if (std::optional<std::string> error = checkNested()) {
      return error;
    }
    if (c == '(') {
      ++depth;
    } else if (c == '{') {
      braces = 1;
      if (depth == 0) {
        optionsAt = i + 1;
      }
    } else if (c == '}' || (c == ')' && depth == 0)) {
      return std::string("unbalanced '") + c + "' in pipeline '" + pipeline +
             "'";
    } else if (c == ')') {
      --depth;
    } else if (depth == 0) {
      if (std::optional<std::string> error = finish(i)) {
        return error;
      }
    }
  }
  if (depth > 0 || braces > 0 || quote) {
    return std::string("missing '") +
           (quote        ? quote
            : braces > 0 ? '}'
                         : ')') +
           "' in pipeline '" + pipeline + "'";
  }
  if (elements.empty() && trim(text.substr(start)).empty()) {
    return std::nullopt; // builtin.module() runs nothing.
  }
  return finish(text.size());
}

// --- command line -----------------------------------------------------------

struct Config {
  std::string input = "-";
  std::string output = "-";
  std::string report;
  std::vector<Element> elements;
  Options options;
  std::vector<std::string> printAfter;
  bool splitInput = false;
  bool verifyDiagnostics = false;
  bool onlyExpected = false;
  bool allowUnregistered = false;
  bool emitBytecode = false;
  bool verifyEach = true;
  bool printBeforeAll = false;
  bool printAfterAll = false;
  bool printAfterChange = false;
  bool printAfterFailure = false;
  bool printModuleScope = false;
  bool timing = false;
  bool help = false;
  bool listPasses = false;
  /// For IREE's library.
  std::vector<std::string> forwarded;

  bool printsIr() const {
    return printBeforeAll || printAfterAll || printAfterChange ||
           printAfterFailure;
  }
};

struct Flag {
  const char *name;
  /// What its value is called; null: a switch.
  const char *value;
  const char *description;
};

constexpr Flag kFlags[] = {
    {"pass-pipeline", "builtin.module(...)",
     "Passes of IREE and of serenity_mlir, the latter with options in braces, "
     "such as serenity-schedule{scheduler=heuristic time-limit=1}"},
    {"serenity-report", "FILE.json", "Write what the passes found and did"},
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

/// Reads the command line; returns an error, or nothing.
std::optional<std::string> parseArguments(const std::vector<std::string> &args,
                                          Config &config) {
  const std::string kPrefix = "serenity-";
  bool haveInput = false;
  std::optional<std::string> pipeline;
  bool haveOutput = false;
  auto setInput = [&](const std::string &name) -> std::optional<std::string> {
    if (haveInput) {
      return "more than one input: '" + config.input + "' and '" + name + "'";
    }
    haveInput = true;
    config.input = name;
    return std::nullopt;
  };
  struct Switch {
    const char *name;
    bool *target;
  };
  const Switch switches[] = {
      {"emit-bytecode", &config.emitBytecode},
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
      {"h", &config.help},
  };

  for (size_t i = 1; i < args.size(); ++i) {
    const std::string &arg = args[i];
    if (arg == "--") {
      for (++i; i < args.size(); ++i) {
        if (std::optional<std::string> error = setInput(args[i])) {
          return error;
        }
      }
      break;
    }
    if (arg.empty() || arg[0] != '-' || arg == "-") {
      if (std::optional<std::string> error = setInput(arg)) {
        return error;
      }
      continue;
    }
    size_t nameAt = arg.compare(0, 2, "--") == 0 ? 2 : 1;
    size_t equals = arg.find('=');
    std::string name = arg.substr(nameAt, equals - nameAt);
    std::optional<std::string> value;
    if (equals != std::string::npos) {
      value = arg.substr(equals + 1);
    }

    if (findPass(name)) {
      Element element;
      element.name = element.text = name;
      element.options = value.value_or("");
      Options ignored;
      if (Status status = setPassOptions(ignored, name, element.options);
          !status) {
        return status.message();
      }
      config.elements.push_back(element);
      continue;
    }

    const Switch *found =
        std::find_if(std::begin(switches), std::end(switches),
                     [&](const Switch &s) { return name == s.name; });
    if (found != std::end(switches)) {
      if (value && *value != "1" && *value != "0" && *value != "true" &&
          *value != "false") {
        return "invalid value '" + *value + "' of --" + name +
               "; expected 0 or 1";
      }
      *found->target = !value || *value == "1" || *value == "true";
      continue;
    }
    if (name == "verify-diagnostics") {
      if (value && *value != "all" && *value != "only-expected") {
        return "invalid value '" + *value +
               "' of --verify-diagnostics; expected all or only-expected";
      }
      config.verifyDiagnostics = true;
      config.onlyExpected = value == "only-expected";
      continue;
    }
    if (name == "mlir-print-ir-before" || name == "mlir-print-ir-after") {
      return "--" + name +
             " does not reach the passes here, because they are not registered "
             "by name; use --serenity-print-ir-after=PASS";
    }

    const OptionInfo *option = name.compare(0, kPrefix.size(), kPrefix) == 0
                                   ? findOption(name.substr(kPrefix.size()))
                                   : nullptr;
    option = option && isPassOptionFlag(*option) ? option : nullptr;
    const Flag *flag =
        std::find_if(std::begin(kFlags), std::end(kFlags),
                     [&](const Flag &f) { return name == f.name && f.value; });
    if (!option && flag == std::end(kFlags)) {
      if (isSerenityFlag(arg)) {
        std::vector<std::string> known = passNames();
        for (const OptionInfo &info : optionTable()) {
          if (isPassOptionFlag(info)) {
            known.push_back(std::string("serenity-") + info.name);
          }
        }
        for (const Flag &candidate : kFlags) {
          if (std::strncmp(candidate.name, "serenity-", 9) == 0) {
            known.emplace_back(candidate.name);
          }
        }
        for (std::string &item : known) {
          item.insert(0, "--");
        }
        return "unknown flag '" + arg.substr(0, equals) + "'; known are " +
               join(known);
      }
      config.forwarded.push_back(arg);
      if (!value && takesSeparateValue(arg) && i + 1 < args.size()) {
        value = args[++i];
        config.forwarded.push_back(*value);
      }
      if (name == "iree-stream-resource-min-offset-alignment" && value) {
        // Ours as well as IREE's, which says what is wrong with its value.
        long long alignment = std::strtoll(value->c_str(), nullptr, 10);
        if (alignment > 0) {
          config.options.defaultAlignment = alignment;
        }
      }
      continue;
    }

    if (!value) {
      if (i + 1 == args.size()) {
        return "--" + name + " needs a value: --" + name + "=" +
               (option ? option->value : flag->value);
      }
      value = args[++i];
    }
    if (option) {
      if (Status status = option->setOption(config.options, *value); !status) {
        return "--" + name + ": " + status.message();
      }
      continue;
    }
    std::optional<std::string> error;
    if (name == "o") {
      if (haveOutput) {
        error = "-o given twice";
      }
      haveOutput = true;
      config.output = *value;
    } else if (name == "pass-pipeline") {
      if (pipeline) {
        error = "--pass-pipeline given twice";
      }
      pipeline = value;
    } else if (name == "serenity-report") {
      config.report = *value;
      if (value->empty()) {
        error = "--serenity-report needs the name of a file";
      }
    } else {
      size_t at = 0; // --serenity-print-ir-after
      while (at <= value->size()) {
        size_t end = std::min(value->find(',', at), value->size());
        config.printAfter.push_back(value->substr(at, end - at));
        at = end + 1;
      }
    }
    if (error) {
      return error;
    }
  }

  if (pipeline) {
    if (!config.elements.empty()) {
      return "--pass-pipeline and --" + config.elements[0].name +
             " exclude each other; name the pass in the pipeline";
    }
    if (std::optional<std::string> error =
            splitPipeline(*pipeline, config.elements)) {
      return error;
    }
  }
  for (const std::string &name : config.printAfter) {
    bool found = std::any_of(config.elements.begin(), config.elements.end(),
                             [&](const Element &e) { return e.name == name; });
    if (!found) {
      std::vector<std::string> names;
      for (const Element &element : config.elements) {
        names.push_back(element.name);
      }
      return "--serenity-print-ir-after: no '" + name + "' in the pipeline; " +
             (names.empty() ? "it is empty" : "it has " + join(names));
    }
  }
  if (config.emitBytecode && config.splitInput) {
    return std::string("--emit-bytecode and --split-input-file exclude each "
                       "other: a bytecode file holds one module");
  }
  return std::nullopt;
}

// --- processing -------------------------------------------------------------

/// The text of a module and where it came from. `data` is aligned for bytecode
/// and ends in a zero byte that `size` does not count.
struct Input {
  struct Free {
    void operator()(char *pointer) const { std::free(pointer); }
  };
  std::unique_ptr<char, Free> data;
  size_t size = 0;

  std::string_view view() const { return {data.get(), size}; }

  void assign(std::string_view text) {
    // Sections of bytecode are aligned, to at most a page in practice.
    constexpr size_t kAlignment = 4096;
    size_t bytes = (text.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
    data.reset(static_cast<char *>(std::aligned_alloc(kAlignment, bytes)));
    if (!data) {
      std::fputs("serenity-opt: out of memory\n", stderr);
      std::exit(kFailure);
    }
    std::copy(text.begin(), text.end(), data.get());
    data.get()[text.size()] = '\0';
    size = text.size();
  }
};

bool isBytecode(std::string_view text) {
  return text.substr(0, 4) == "ML\xefR";
}

/// Reads a file or standard input; returns an error, or nothing.
std::optional<std::string> readInput(const std::string &name,
                                     std::string &text) {
  int fd = name == "-" ? 0 : open(name.c_str(), O_RDONLY | O_CLOEXEC);
  int error = fd < 0 ? errno : 0;
  char chunk[65536];
  while (error == 0) {
    ssize_t count = read(fd, chunk, sizeof(chunk));
    if (count > 0) {
      text.append(chunk, static_cast<size_t>(count));
    } else if (count == 0) {
      break;
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (fd > 0) {
    close(fd);
  }
  if (error != 0) {
    return "cannot read input '" + name + "': " + std::strerror(error);
  }
  return std::nullopt;
}

/// Whether brackets are nested so deeply that MLIR, which recurses into them,
/// might run out of stack. Brackets in strings and comments count as well: a
/// valid module does not come near the limit anyway.
bool isNestedTooDeeply(std::string_view text) {
  constexpr int kLimit = 10000;
  int depth = 0;
  char last = 0;
  for (char c : text) {
    if (c == '{' || c == '(' || c == '[' || c == '<') {
      if (++depth > kLimit) {
        return true;
      }
    } else if (c == '}' || c == ')' || c == ']' || (c == '>' && last != '-')) {
      depth = std::max(depth - 1, 0);
    }
    last = c;
  }
  return false;
}

/// The parts between lines that are `// -----`. Each starts with as many empty
/// lines as stand before it in the file, so that locations are the file's.
std::vector<std::string> splitInput(std::string_view text) {
  std::vector<std::string> parts(1);
  size_t line = 0;
  while (!text.empty()) {
    size_t end = text.find('\n');
    size_t length = end == std::string_view::npos ? text.size() : end + 1;
    std::string_view current = text.substr(0, length);
    text.remove_prefix(length);
    ++line;
    std::string_view trimmed =
        current.substr(0, current.find_last_not_of(" \t\r\n") + 1);
    if (trimmed == "// -----") {
      parts.emplace_back(line, '\n');
    } else {
      parts.back() += current;
    }
  }
  return parts;
}

class Tool {
public:
  explicit Tool(Config config) : config(std::move(config)) {}
  ~Tool();
  Tool(const Tool &) = delete;
  Tool &operator=(const Tool &) = delete;

  int run();

private:
  /// Fills a pass manager with the pipeline. Returns an error, or nothing.
  std::optional<std::string> addPasses(MlirPassManager manager,
                                       ModuleReport *moduleReport);
  MlirOperation parse(std::string_view source, const std::string &name);
  /// Runs the pipeline on one module and appends the result to `output`.
  bool process(const std::string &part, const std::string &name);
  bool runPasses(MlirOperation module, ModuleReport &moduleReport);
  MlirPassManager createManager() {
    return mlirPassManagerCreateOnOperation(context,
                                            ir::strRef("builtin.module"));
  }

  Config config;
  iree_compiler_session_t *session = nullptr;
  MlirContext context = {nullptr};
  std::string output;
  ModuleReport report;
};

Tool::~Tool() {
  if (session) {
    ireeCompilerSessionDestroy(session);
  }
}

/// Prints the module the way MLIR's own --mlir-print-ir-after does.
void printAfter(MlirOperation module, const std::string &name) {
  std::string text =
      "// -----// IR Dump After " + name + " (" + name + ") //----- //\n";
  mlirOperationPrint(module, ir::appendTo, &text);
  text += "\n\n";
  std::fputs(text.c_str(), stderr);
}

std::optional<std::string> Tool::addPasses(MlirPassManager manager,
                                           ModuleReport *moduleReport) {
  MlirOpPassManager passes = mlirPassManagerGetAsOpPassManager(manager);
  for (const Element &element : config.elements) {
    bool print = std::find(config.printAfter.begin(), config.printAfter.end(),
                           element.name) != config.printAfter.end();
    std::string name = element.name;
    if (const PassInfo *info = findPass(name)) {
      Options options = config.options;
      if (Status status = setPassOptions(options, name, element.options);
          !status) {
        return status.message();
      }
      auto *run = info->run;
      auto body = [run, options, moduleReport, print,
                   name](MlirOperation module) {
        if (!run(module, options, moduleReport)) {
          return false;
        }
        if (print) {
          printAfter(module, name);
        }
        return true;
      };
      mlirPassManagerAddOwnedPass(
          manager, ir::createModulePass(name, info->description, body));
      continue;
    }
    std::string message;
    bool ok = mlirOpPassManagerAddPipeline(passes, ir::strRef(element.text),
                                           ir::appendTo, &message)
                  .value != 0;
    if (!ok) {
      while (!message.empty() && message.back() == '\n') {
        message.pop_back();
      }
      return message.empty() ? "invalid pipeline element '" + element.text + "'"
                             : message;
    }
    if (print) {
      auto body = [name](MlirOperation module) {
        printAfter(module, name);
        return true;
      };
      mlirPassManagerAddOwnedPass(
          manager,
          ir::createModulePass("serenity-print-ir", "Print the module", body));
    }
  }
  return std::nullopt;
}

MlirOperation Tool::parse(std::string_view source, const std::string &name) {
  MlirOperation none = {nullptr};
  Input input;
  input.assign(source);
  iree_compiler_source_t *wrapped = nullptr;
  if (iree_compiler_error_t *error = ireeCompilerSourceWrapBuffer(
          session, name.c_str(), input.data.get(), input.size + 1,
          /*isNullTerminated=*/true, &wrapped)) {
    std::fprintf(stderr, "serenity-opt: %s: %s\n", name.c_str(),
                 ireeCompilerErrorGetMessage(error));
    ireeCompilerErrorDestroy(error);
    return none;
  }
  // An invocation parses under the name given and adds the module around bare
  // operations; MLIR's C API can do only one of the two.
  iree_compiler_invocation_t *invocation =
      ireeCompilerInvocationCreate(session);
  MlirOperation module = none;
  if (ireeCompilerInvocationParseSource(invocation, wrapped)) {
    module = ireeCompilerInvocationExportStealModule(invocation);
  }
  ireeCompilerInvocationDestroy(invocation);
  ireeCompilerSourceDestroy(wrapped);
  return module;
}

bool Tool::runPasses(MlirOperation module, ModuleReport &moduleReport) {
  if (config.elements.empty()) {
    return true;
  }
  MlirPassManager manager = createManager();
  mlirPassManagerEnableVerifier(manager, config.verifyEach);
  if (config.printsIr()) {
    MlirOpPrintingFlags flags = mlirOpPrintingFlagsCreate();
    mlirPassManagerEnableIRPrinting(
        manager, config.printBeforeAll,
        config.printAfterAll || config.printAfterChange,
        config.printModuleScope, config.printAfterChange,
        config.printAfterFailure && !config.printAfterAll, flags,
        ir::strRef(""));
    mlirOpPrintingFlagsDestroy(flags);
  }
  if (config.timing) {
    mlirPassManagerEnableTiming(manager);
  }
  bool ok = false;
  if (std::optional<std::string> error = addPasses(manager, &moduleReport)) {
    std::fprintf(stderr, "serenity-opt: %s\n", error->c_str());
  } else {
    ok = mlirPassManagerRunOnOp(manager, module).value != 0;
  }
  mlirPassManagerDestroy(manager);
  return ok;
}

bool Tool::process(const std::string &part, const std::string &name) {
  std::unique_ptr<ir::DiagnosticPrinter> printer;
  std::unique_ptr<ir::DiagnosticVerifier> verifier;
  std::string_view text = isBytecode(part) ? std::string_view() : part;
  if (config.verifyDiagnostics) {
    verifier = std::make_unique<ir::DiagnosticVerifier>(context, name, text,
                                                        config.onlyExpected);
  } else {
    printer = std::make_unique<ir::DiagnosticPrinter>(context, name, text);
  }

  ModuleReport moduleReport;
  MlirOperation module = parse(part, name);
  bool ok = !ir::isNull(module) && runPasses(module, moduleReport);
  if (ok) {
    if (config.emitBytecode) {
      mlirOperationWriteBytecode(module, ir::appendTo, &output);
    } else {
      mlirOperationPrint(module, ir::appendTo, &output);
      if (output.empty() || output.back() != '\n') {
        output += '\n';
      }
    }
    std::move(moduleReport.functions.begin(), moduleReport.functions.end(),
              std::back_inserter(report.functions));
    std::move(moduleReport.rewrites.begin(), moduleReport.rewrites.end(),
              std::back_inserter(report.rewrites));
    std::move(moduleReport.remarks.begin(), moduleReport.remarks.end(),
              std::back_inserter(report.remarks));
    std::move(moduleReport.seconds.begin(), moduleReport.seconds.end(),
              std::back_inserter(report.seconds));
    report.persistentBytes =
        config.splitInput ? std::nullopt : moduleReport.persistentBytes;
  }
  if (!ir::isNull(module)) {
    mlirOperationDestroy(module);
  }
  return verifier ? verifier->finish() : ok;
}

int Tool::run() {
  session = ireeCompilerSessionCreate();
  context = ireeCompilerSessionBorrowContext(session);
  // The session allows them, as stock compilation does; a tool for tests must
  // not take a misspelt name for an operation.
  mlirContextSetAllowUnregisteredDialects(context, config.allowUnregistered);
  if (config.printsIr() || !config.printAfter.empty()) {
    mlirContextEnableMultithreading(context, false);
  }

  // A wrong pipeline is wrong usage, whatever the input.
  MlirPassManager trial = createManager();
  std::optional<std::string> error = addPasses(trial, nullptr);
  mlirPassManagerDestroy(trial);
  if (error) {
    std::fprintf(stderr, "serenity-opt: %s\n", error->c_str());
    return kUsage;
  }

  std::string text;
  if ((error = readInput(config.input, text))) {
    std::fprintf(stderr, "serenity-opt: %s\n", error->c_str());
    return kFailure;
  }
  std::string name = config.input == "-" ? "<stdin>" : config.input;
  std::vector<std::string> parts;
  if (config.splitInput && !isBytecode(text)) {
    parts = splitInput(text);
  } else {
    parts.push_back(std::move(text));
  }

  for (const std::string &part : parts) {
    if (!isBytecode(part) && isNestedTooDeeply(part)) {
      std::fprintf(stderr, "serenity-opt: %s: error: nested too deeply\n",
                   name.c_str());
      return kFailure;
    }
  }

  // Passes build operations of dialects that the input may not mention.
  mlirContextLoadAllAvailableDialects(context);

  bool ok = true;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) {
      output += "// -----\n";
    }
    ok &= process(parts[i], name);
  }
  if (!ok) {
    return kFailure;
  }

  if (!config.report.empty()) {
    report.versions.push_back({"serenity_mlir", SERENITY_VERSION});
    report.versions.push_back({"iree_compiler", ireeCompilerGetRevision()});
    error = writeOutputFile(config.report, toJson(report));
  }
  if (!error) {
    error = writeOutputFile(config.output, output);
  }
  if (error) {
    std::fprintf(stderr, "serenity-opt: %s\n", error->c_str());
    return kFailure;
  }
  return kSuccess;
}

/// LLVM's command line library ends the process with 1 when a flag is wrong.
bool readingFlags = false;

void turnFlagErrorIntoUsageError(int status, void *) {
  if (readingFlags && status == 1) {
    std::fputs("serenity-opt: --help lists the flags of serenity-opt, "
               "--help-hidden those passed on to IREE\n",
               stderr);
    std::fflush(nullptr);
    _exit(kUsage);
  }
}

int runTool(std::vector<std::string> args) {
  ResponseFiles files = expandResponseFiles(args);
  if (!files.error.empty()) {
    std::fprintf(stderr, "serenity-opt: %s\n", files.error.c_str());
    return kUsage;
  }
  Config config;
  if (std::optional<std::string> error = parseArguments(args, config)) {
    std::fprintf(stderr, "serenity-opt: %s\n", error->c_str());
    return kUsage;
  }
  if (config.help || config.listPasses) {
    std::string text = config.help ? helpText() : passList();
    std::fputs(text.c_str(), stdout);
    return kSuccess;
  }

  ireeCompilerGlobalInitialize();
  std::vector<const char *> argv = {"serenity-opt"};
  if (config.verifyDiagnostics) {
    // The note that shows the operation is nothing a test expects. First, so
    // that the user's own flag wins.
    argv.push_back("--mlir-print-op-on-diagnostic=false");
  }
  for (const std::string &flag : config.forwarded) {
    argv.push_back(flag.c_str());
  }
  on_exit(turnFlagErrorIntoUsageError, nullptr);
  readingFlags = true;
  ireeCompilerSetupGlobalCL(static_cast<int>(argv.size()), argv.data(),
                            "serenity-opt\n", /*installSignalHandlers=*/false);
  readingFlags = false;
  int code = kSuccess;
  {
    Tool tool(std::move(config));
    code = tool.run();
  }
  ireeCompilerGlobalShutdown();
  return code;
}

/// MLIR's parser, verifier and printer recurse into nested operations. Linux
/// lets the stack of a running program grow up to the limit, and keeps at least
/// 128 MiB of addresses free for it.
void allowDeepNesting() {
  constexpr rlim_t kBytes = rlim_t(112) << 20;
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      limit.rlim_cur < kBytes) {
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY
                         ? kBytes
                         : std::min(kBytes, limit.rlim_max);
    setrlimit(RLIMIT_STACK, &limit);
  }
}

} // namespace
} // namespace serenity

int main(int argc, char **argv) {
  serenity::failAtFileSizeLimit();
  serenity::allowDeepNesting();
  return serenity::runTool(std::vector<std::string>(argv, argv + argc));
}

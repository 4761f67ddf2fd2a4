// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Opt/PipelineParser.h"

#include "serenity/Transforms/Passes.h"

#include <string_view>

namespace serenity::opt {

namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) {
    return std::string_view();
  }
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

/// Reads the text between the parentheses of `builtin.module(...)`, character
/// by character.
class Splitter {
public:
  Splitter(const std::string &pipeline, std::string_view text,
           std::vector<Element> &elements)
      : pipeline(pipeline), text(text), elements(elements) {}

  Status run();

private:
  bool skipOptions(size_t i);
  Status readPunctuation(size_t i);
  Status checkNested();
  Status finishElement(size_t end);

  const std::string &pipeline;
  std::string_view text;
  std::vector<Element> &elements;

  size_t depth = 0;  // of parentheses
  size_t braces = 0; // of options
  char quote = 0;
  size_t start = 0;         // of the element
  size_t optionsAt = 0;     // of its braces at depth 0
  size_t optionsLength = 0; // between them
  std::string word;         // the name being read
};

/// Whether `text[i]` belongs to a quoted string or to options in braces.
bool Splitter::skipOptions(size_t i) {
  char c = text[i];
  if (quote) {
    quote = c == quote ? 0 : quote;
    return true;
  }
  if (braces == 0) {
    return false;
  }
  if (c == '"' || c == '\'') {
    quote = c;
  } else if (c == '{') {
    ++braces;
  } else if (c == '}' && --braces == 0 && depth == 0) {
    optionsLength = i - optionsAt;
  }
  return true;
}

/// The passes of serenity run on the module itself, and MLIR does not know
/// their names.
Status Splitter::checkNested() {
  std::string name(trim(word));
  word.clear();
  if (depth > 0 && findPass(name)) {
    return Status::failure("'" + name +
                           "' runs on builtin.module; move it to the top level "
                           "of builtin.module(...)");
  }
  return Status::success();
}

Status Splitter::finishElement(size_t end) {
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
    return Status::failure("empty element in pipeline '" + pipeline + "'");
  }
  if (findPass(element.name)) {
    size_t nameEnd = element.name.size();
    std::string rest(trim(std::string_view(element.text).substr(nameEnd)));
    if (!rest.empty() && rest != "{" + element.options + "}") {
      return Status::failure("expected ',' or '{' after '" + element.name +
                             "' in the pipeline, found '" + rest + "'");
    }
  }
  elements.push_back(std::move(element));
  return Status::success();
}

/// Reads one of `,(){}` outside of options.
Status Splitter::readPunctuation(size_t i) {
  if (Status status = checkNested(); !status) {
    return status;
  }
  char c = text[i];
  if (c == '(') {
    ++depth;
  } else if (c == '{') {
    braces = 1;
    if (depth == 0) {
      optionsAt = i + 1;
    }
  } else if (c == '}' || (c == ')' && depth == 0)) {
    return Status::failure(std::string("unbalanced '") + c + "' in pipeline '" +
                           pipeline + "'");
  } else if (c == ')') {
    --depth;
  } else if (depth == 0) {
    return finishElement(i);
  }
  return Status::success();
}

Status Splitter::run() {
  constexpr std::string_view kPunctuation = ",(){}";
  for (size_t i = 0; i < text.size(); ++i) {
    if (skipOptions(i)) {
      continue;
    }
    if (kPunctuation.find(text[i]) == std::string_view::npos) {
      word += text[i];
    } else if (Status status = readPunctuation(i); !status) {
      return status;
    }
  }
  if (depth > 0 || braces > 0 || quote) {
    char missing = quote ? quote : braces > 0 ? '}' : ')';
    return Status::failure(std::string("missing '") + missing +
                           "' in pipeline '" + pipeline + "'");
  }
  if (elements.empty() && trim(text.substr(start)).empty()) {
    return Status::success(); // builtin.module() runs nothing.
  }
  return finishElement(text.size());
}

} // namespace

Status splitPipeline(const std::string &pipeline,
                     std::vector<Element> &elements) {
  constexpr std::string_view kAnchor = "builtin.module(";
  std::string_view text = trim(pipeline);
  if (text.substr(0, kAnchor.size()) != kAnchor || text.back() != ')') {
    return Status::failure("expected a pipeline on modules: "
                           "--pass-pipeline='builtin.module(...)', found '" +
                           pipeline + "'");
  }
  text = text.substr(kAnchor.size(), text.size() - kAnchor.size() - 1);
  return Splitter(pipeline, text, elements).run();
}

} // namespace serenity::opt

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/IREE/Diagnostics.h"

#include "serenity/IREE/Ir.h"

#include <cstdio>
#include <cstdlib>
#include <regex>

namespace serenity::ir {

namespace {

const char *label(MlirDiagnosticSeverity severity) {
  switch (severity) {
  case MlirDiagnosticError:
    return "error";
  case MlirDiagnosticWarning:
    return "warning";
  case MlirDiagnosticNote:
    return "note";
  case MlirDiagnosticRemark:
    return "remark";
  }
  return "error";
}

bool consume(std::string_view &text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) {
    return false;
  }
  text.remove_prefix(prefix.size());
  return true;
}

void skipSpaces(std::string_view &text) {
  while (consume(text, " ")) {
  }
}

} // namespace

std::optional<FilePosition> filePosition(MlirLocation location) {
  if (mlirLocationIsAFileLineColRange(location)) {
    FilePosition place;
    place.file = view(
        mlirIdentifierStr(mlirLocationFileLineColRangeGetFilename(location)));
    place.line = mlirLocationFileLineColRangeGetStartLine(location);
    place.column = mlirLocationFileLineColRangeGetStartColumn(location);
    return place;
  }
  if (mlirLocationIsAName(location)) {
    return filePosition(mlirLocationNameGetChildLoc(location));
  }
  if (mlirLocationIsACallSite(location)) {
    std::optional<FilePosition> callee =
        filePosition(mlirLocationCallSiteGetCallee(location));
    return callee ? callee
                  : filePosition(mlirLocationCallSiteGetCaller(location));
  }
  if (mlirLocationIsAFused(location)) {
    std::vector<MlirLocation> parts(mlirLocationFusedGetNumLocations(location));
    if (!parts.empty()) {
      mlirLocationFusedGetLocations(location, parts.data());
    }
    for (MlirLocation part : parts) {
      if (std::optional<FilePosition> place = filePosition(part)) {
        return place;
      }
    }
  }
  return std::nullopt;
}

// --- DiagnosticScope --------------------------------------------------------

DiagnosticScope::DiagnosticScope(MlirContext context, std::string sourceName,
                                 std::string_view source)
    : sourceName(std::move(sourceName)), context(context) {
  while (!source.empty()) {
    size_t end = source.find('\n');
    std::string_view line = source.substr(0, end);
    source.remove_prefix(end == std::string_view::npos ? source.size()
                                                       : end + 1);
    if (!line.empty() && line.back() == '\r') {
      line.remove_suffix(1);
    }
    lines.push_back(line);
  }
  auto callback = [](MlirDiagnostic diagnostic, void *self) {
    static_cast<DiagnosticScope *>(self)->dispatch(diagnostic);
    return MlirLogicalResult{1};
  };
  id = mlirContextAttachDiagnosticHandler(context, callback, this, nullptr);
  setFallbackDiagnosticSink([this](MlirLocation location,
                                   MlirDiagnosticSeverity severity,
                                   std::string_view message) {
    handle(location, severity, std::string(message));
  });
}

DiagnosticScope::~DiagnosticScope() {
  setFallbackDiagnosticSink(nullptr);
  mlirContextDetachDiagnosticHandler(context, id);
}

void DiagnosticScope::dispatch(MlirDiagnostic diagnostic) {
  std::string message;
  mlirDiagnosticPrint(diagnostic, appendTo, &message);
  handle(mlirDiagnosticGetLocation(diagnostic),
         mlirDiagnosticGetSeverity(diagnostic), message);
  for (intptr_t i = 0, e = mlirDiagnosticGetNumNotes(diagnostic); i < e; ++i) {
    dispatch(mlirDiagnosticGetNote(diagnostic, i));
  }
}

void DiagnosticScope::show(const std::optional<FilePosition> &place,
                           const char *label,
                           const std::string &message) const {
  std::string text = "<unknown>:0";
  if (place) {
    text = place->file + ":" + std::to_string(place->line) + ":" +
           std::to_string(place->column);
  }
  text += std::string(": ") + label + ": " + message + "\n";
  if (place && place->file == sourceName && place->line > 0 &&
      static_cast<size_t>(place->line) <= lines.size()) {
    std::string_view line = lines[static_cast<size_t>(place->line) - 1];
    text += std::string(line) + "\n";
    size_t column = place->column > 0 ? static_cast<size_t>(place->column) : 1;
    if (column <= line.size() + 1) {
      for (char c : line.substr(0, column - 1)) {
        // One column per character, not per byte of it.
        if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {
          text += c == '\t' ? '\t' : ' ';
        }
      }
      text += "^\n";
    }
  }
  std::fputs(text.c_str(), stderr);
}

// --- DiagnosticPrinter ------------------------------------------------------

void DiagnosticPrinter::handle(MlirLocation location,
                               MlirDiagnosticSeverity severity,
                               const std::string &message) {
  std::optional<FilePosition> place = filePosition(location);
  std::string text = message;
  if (!place) {
    // A location without a file may still name something.
    std::string where = toString(location);
    if (where != "loc(unknown)") {
      text = where + ": " + message;
    }
  }
  show(place, label(severity), text);
}

// --- DiagnosticVerifier -----------------------------------------------------

DiagnosticVerifier::DiagnosticVerifier(MlirContext context,
                                       std::string sourceName,
                                       std::string_view source,
                                       bool onlyExpected)
    : DiagnosticScope(context, std::move(sourceName), source),
      onlyExpected(onlyExpected) {
  findExpectations();
}

bool DiagnosticVerifier::Expectation::matches(
    const std::string &message) const {
  if (pattern.empty()) {
    return message.find(text) != std::string::npos;
  }
  return std::regex_search(message, std::regex(pattern, std::regex::extended));
}

void DiagnosticVerifier::fail(const std::optional<FilePosition> &place,
                              const std::string &message) {
  show(place, "error", message);
  failed = true;
}

bool DiagnosticVerifier::compile(Expectation &expectation) {
  std::string_view rest = expectation.text;
  std::string pattern;
  for (;;) {
    size_t open = rest.find("{{");
    for (char c : rest.substr(0, open)) {
      // Escaping any other character is undefined in POSIX.
      if (std::string_view(".[\\()*+?{|^$").find(c) != std::string_view::npos) {
        pattern += '\\';
      }
      pattern += c;
    }
    if (open == std::string_view::npos) {
      break;
    }
    rest.remove_prefix(open + 2);
    size_t close = rest.find("}}");
    if (close == std::string_view::npos) {
      fail(expectation.written, "regular expression without its closing '}}'");
      return false;
    }
    pattern += "(" + std::string(rest.substr(0, close)) + ")";
    rest.remove_prefix(close + 2);
  }
  try {
    std::regex(pattern, std::regex::extended);
  } catch (const std::regex_error &error) {
    fail(expectation.written,
         std::string("invalid regular expression: ") + error.what());
    return false;
  }
  expectation.pattern = pattern;
  return true;
}

std::optional<DiagnosticVerifier::Expectation>
DiagnosticVerifier::parse(size_t index, size_t column,
                          std::string_view &designator) {
  std::string_view rest = lines[index].substr(column);
  size_t last = rest.find_last_not_of(" \t");
  rest = rest.substr(0, last == std::string_view::npos ? 0 : last + 1);
  Expectation found;
  found.written = {sourceName, static_cast<int>(index) + 1,
                   static_cast<int>(column) + 1};
  found.line = static_cast<int>(index) + 1;
  if (!consume(rest, "expected-")) {
    return std::nullopt;
  }
  if (consume(rest, "error")) {
    found.severity = MlirDiagnosticError;
  } else if (consume(rest, "warning")) {
    found.severity = MlirDiagnosticWarning;
  } else if (consume(rest, "note")) {
    found.severity = MlirDiagnosticNote;
  } else if (consume(rest, "remark")) {
    found.severity = MlirDiagnosticRemark;
  } else {
    return std::nullopt;
  }
  bool isRegex = consume(rest, "-re");
  skipSpaces(rest);
  designator = {};
  if (consume(rest, "@")) {
    size_t end = rest.find_first_of(" {");
    designator = rest.substr(0, end);
    rest.remove_prefix(designator.size());
    skipSpaces(rest);
  }
  if (!consume(rest, "{{") || rest.size() < 2 ||
      rest.substr(rest.size() - 2) != "}}") {
    return std::nullopt;
  }
  found.text = rest.substr(0, rest.size() - 2);
  if (isRegex && !compile(found)) {
    return std::nullopt;
  }
  return found;
}

void DiagnosticVerifier::findExpectations() {
  int lastPlainLine = 1;
  std::vector<size_t> waitingForPlainLine;
  for (size_t i = 0; i < lines.size(); ++i) {
    std::optional<Expectation> found;
    std::string_view designator;
    for (size_t at = lines[i].find("expected-");
         !found && at != std::string_view::npos;
         at = lines[i].find("expected-", at + 1)) {
      found = parse(i, at, designator);
    }
    int number = static_cast<int>(i) + 1;
    if (!found) {
      for (size_t waiting : waitingForPlainLine) {
        expectations[waiting].line = number;
      }
      waitingForPlainLine.clear();
      lastPlainLine = number;
      continue;
    }
    if (designator == "above") {
      found->line = lastPlainLine;
    } else if (designator == "below") {
      waitingForPlainLine.push_back(expectations.size());
    } else if (designator == "unknown") {
      found->line = 0;
    } else if (!designator.empty()) {
      std::string digits(designator.substr(1));
      char *end = nullptr;
      long offset = std::strtol(digits.c_str(), &end, 10);
      if ((designator[0] != '+' && designator[0] != '-') || digits.empty() ||
          digits[0] < '0' || digits[0] > '9' || *end != '\0' ||
          offset > 1000000) {
        fail(found->written,
             "'@" + std::string(designator) +
                 "' is not a place; expected @+N, @-N, @above, @below or "
                 "@unknown");
        continue;
      }
      found->line += static_cast<int>(designator[0] == '+' ? offset : -offset);
    }
    expectations.push_back(std::move(*found));
  }
}

void DiagnosticVerifier::handle(MlirLocation location,
                                MlirDiagnosticSeverity severity,
                                const std::string &message) {
  std::optional<FilePosition> place = filePosition(location);
  Expectation *otherKind = nullptr;
  for (Expectation &expectation : expectations) {
    bool here = place ? expectation.line == place->line &&
                            expectation.written.file == place->file
                      : expectation.line == 0;
    if (!here || !expectation.matches(message)) {
      continue;
    }
    // As in MLIR, one expectation may be met several times.
    if (expectation.severity == severity) {
      expectation.met = true;
      return;
    }
    otherKind = &expectation;
  }
  if (onlyExpected) {
    return;
  }
  if (otherKind) {
    fail(otherKind->written, std::string("'") + label(severity) +
                                 "' diagnostic emitted when expecting a '" +
                                 label(otherKind->severity) + "'");
    return;
  }
  fail(place, std::string("unexpected ") + label(severity) + ": " + message);
}

bool DiagnosticVerifier::finish() {
  for (const Expectation &expectation : expectations) {
    if (!expectation.met) {
      fail(expectation.written, std::string("expected ") +
                                    label(expectation.severity) + " \"" +
                                    expectation.text + "\" was not produced");
    }
  }
  return !failed;
}

} // namespace serenity::ir

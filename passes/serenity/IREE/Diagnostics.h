// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Diagnostics of an MLIR context for tools: shown with the source line, or
// compared with the expectations written in the source. MLIR has both, but not
// in its C API.

#ifndef SERENITY_IREE_DIAGNOSTICS_H
#define SERENITY_IREE_DIAGNOSTICS_H

#include "serenity/IREE/MlirC.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace serenity::ir {

/// A place in a file; lines and columns count from 1, column 0 is unknown.
struct FilePosition {
  std::string file;
  int line = 0;
  int column = 0;
};

/// The place at which a diagnostic at `location` is shown: for a call site the
/// callee's, for a fused location the first one found; nothing if there is no
/// file in it.
std::optional<FilePosition> filePosition(MlirLocation location);

/// Receives all diagnostics of a context while it lives, those of
/// `ir::emitRemark` and `emitWarning` included where IREE cannot transport them
/// (3.12). One at a time per process.
class DiagnosticScope {
public:
  DiagnosticScope(const DiagnosticScope &) = delete;
  DiagnosticScope &operator=(const DiagnosticScope &) = delete;

protected:
  /// `source`, named `sourceName`, is the input being processed. It must
  /// outlive the scope.
  DiagnosticScope(MlirContext context, std::string sourceName,
                  std::string_view source);
  virtual ~DiagnosticScope();

  /// Called for every diagnostic, then for each of its notes.
  virtual void handle(MlirLocation location, MlirDiagnosticSeverity severity,
                      const std::string &message) = 0;

  /// Prints `place: label: message` to stderr, and the source line with a caret
  /// if the place lies in the source.
  void show(const std::optional<FilePosition> &place, const char *label,
            const std::string &message) const;

  std::string sourceName;
  /// Without their line ends.
  std::vector<std::string_view> lines;

private:
  void dispatch(MlirDiagnostic diagnostic);

  MlirContext context;
  MlirDiagnosticHandlerID id;
};

/// Prints diagnostics to stderr, as MLIR's tools do.
class DiagnosticPrinter final : public DiagnosticScope {
public:
  DiagnosticPrinter(MlirContext context, std::string sourceName,
                    std::string_view source)
      : DiagnosticScope(context, std::move(sourceName), source) {}

protected:
  void handle(MlirLocation location, MlirDiagnosticSeverity severity,
              const std::string &message) override;
};

/// Compares diagnostics with comments in the source, as mlir-opt's
/// --verify-diagnostics does:
///
///   // expected-error @below {{part of the message}}
///
/// A kind is error, warning, remark or note. The designator is none (this
/// line), @+N, @-N, @above (the last line without an expectation), @below (the
/// next one), or @unknown (no file position). With `-re` after the kind, text
/// in further double braces is a POSIX extended regular expression.
class DiagnosticVerifier final : public DiagnosticScope {
public:
  /// With `onlyExpected`, diagnostics that nothing expects are ignored.
  DiagnosticVerifier(MlirContext context, std::string sourceName,
                     std::string_view source, bool onlyExpected = false);

  /// Reports the expectations that nothing met. Returns true if none is left
  /// and nothing unexpected has come.
  bool finish();

protected:
  void handle(MlirLocation location, MlirDiagnosticSeverity severity,
              const std::string &message) override;

private:
  struct Expectation {
    MlirDiagnosticSeverity severity;
    /// Where it is written.
    FilePosition written;
    /// The line it speaks of; 0: diagnostics without a file position.
    int line = 0;
    std::string text;
    /// `text` as a regular expression; empty if it is taken literally.
    std::string pattern;
    bool met = false;

    bool matches(const std::string &message) const;
  };

  void findExpectations();
  /// Reads the expectation that starts at `column` of `lines[index]`.
  std::optional<Expectation> parse(size_t index, size_t column,
                                   std::string_view &designator);
  /// Turns a `-re` text into a pattern; false (after a message) if it is wrong.
  bool compile(Expectation &expectation);
  void fail(const std::optional<FilePosition> &place,
            const std::string &message);

  std::vector<Expectation> expectations;
  bool onlyExpected;
  bool failed = false;
};

} // namespace serenity::ir

#endif // SERENITY_IREE_DIAGNOSTICS_H

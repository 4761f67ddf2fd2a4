// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_COMMANDLINE_H
#define SERENITY_DRIVER_COMMANDLINE_H

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Command lines as LLVM's command line library reads them, as far as one must
/// know to find the serenity flags among those of iree-compile: response files,
/// one or two dashes, `--flag value` beside `--flag=value`, and `--`.
/// Depends on POSIX and the C++ library only.
namespace serenity {

/// The findings of `expandResponseFiles` beside the arguments.
struct ResponseFiles {
  /// A pipe or device was read: its contents are gone, so the next process
  /// must be given the expanded arguments, not the original ones.
  bool consumed = false;
  /// Empty, or why an argument was left unexpanded (unreadable file, a file
  /// that includes itself). LLVM reports these as errors of its own.
  std::string error;
};

/// Replaces every `@file` in `args` (but the first, the program's name) by the
/// words in that file, recursively, with GNU quoting rules. As in LLVM, an
/// `@file` that does not exist stays as it is, nested names are relative to the
/// working directory, and UTF-16 files (with a byte order mark) are read.
ResponseFiles expandResponseFiles(std::vector<std::string> &args);

/// Splits `text` by the rules of GNU response files: white space separates,
/// single and double quotes group, a backslash takes the next character as is.
std::vector<std::string> splitResponseFile(std::string_view text);

/// True for `--serenity...` and `-serenity...`.
bool isSerenityFlag(std::string_view arg);

/// True if the iree-compile flag `arg` (with its dashes, without `=`) takes its
/// value from the next argument. The table is made from the compiler's own
/// --help-hidden when serenity_mlir is built.
bool takesSeparateValue(std::string_view arg);

/// The indices in `args` (already expanded) of serenity flags, in order. The
/// first argument, values of other flags or of serenity flags
/// (`--serenity-report FILE`) and all after `--` are not flags.
std::vector<size_t> findSerenityFlags(const std::vector<std::string> &args);

/// The arguments (already expanded, without serenity flags) that are files to
/// read: neither the program, nor flags or their values. "-" is standard input.
std::vector<std::string> inputFiles(const std::vector<std::string> &args);

} // namespace serenity

#endif // SERENITY_DRIVER_COMMANDLINE_H

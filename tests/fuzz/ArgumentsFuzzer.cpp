// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The command line: response files, the search for serenity flags among IREE's,
// and their values. All other arguments must be left as they are.

#include "ByteSource.h"

#include "serenity/Driver/CommandLine.h"
#include "serenity/Driver/Compile/Flags.h"

#include <algorithm>
#include <string_view>

using namespace serenity;
using namespace serenity::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view text(reinterpret_cast<const char *>(data), size);
  std::vector<std::string> args = splitResponseFile(text);
  for (const std::string &arg : args) {
    require(!arg.empty(), "words are not empty");
    // Files of the machine are no part of the input.
    if (arg[0] == '@') {
      return 0;
    }
  }
  args.insert(args.begin(), "serenity-compile");
  require(!expandResponseFiles(args).consumed, "nothing was expanded");

  std::vector<std::string> rest = args;
  CompileFlags flags;
  if (Status status = parseFlags(rest, flags); !status) {
    const std::string &error = status.message();
    require(!error.empty() && error.back() != '\n', "errors have a message");
    return 0;
  }
  require(findSerenityFlags(rest).empty(), "no serenity flag is left");
  require(rest.size() <= args.size() && rest[0] == args[0],
          "only flags are taken");
  auto at = args.begin();
  for (const std::string &arg : rest) {
    at = std::find(at, args.end(), arg);
    require(at != args.end(), "what is left stays in order");
    ++at;
  }
  require(flags.options.timeLimitSeconds >= 0, "limits are not negative");
  require(!flags.memoryBudgetBytes || *flags.memoryBudgetBytes > 0,
          "budgets are positive");
  return 0;
}

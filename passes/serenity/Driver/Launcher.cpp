// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// `serenity_mlir/bin/iree-compile`: the path that `find_tool("iree-compile")`
/// returns where serenity_mlir is installed. It replaces itself by one of two
/// programs:
///
///   a --serenity flag among the arguments   serenity-compile, beside it
///   none, or SERENITY_DISABLE=1             the stock iree-compile
///
/// It links to nothing but the C library and runs for about a millisecond, so
/// that a compilation without a --serenity flag costs no time.

#include "serenity/Driver/CommandLine.h"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr char kDisable[] = "SERENITY_DISABLE";
constexpr char kIreeLibs[] = "SERENITY_IREE_LIBS";
constexpr char kLibraryPath[] = "LD_LIBRARY_PATH";

std::string parentOf(const std::string &path) {
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool isSameFile(const std::string &a, const std::string &b) {
  struct stat sa;
  struct stat sb;
  return stat(a.c_str(), &sa) == 0 && stat(b.c_str(), &sb) == 0 &&
         sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

bool isExecutable(const std::string &path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

/// The site directory that holds serenity_mlir/bin/iree-compile. Spelled as in
/// argv[0] where that names this very file in place: the stock tool quotes its
/// own path in messages, and it should be the one shown without serenity_mlir.
std::string siteDirectory(const char *argv0) {
  constexpr char kPlace[] = "/serenity_mlir/bin/iree-compile";
  constexpr size_t kPlaceSize = sizeof(kPlace) - 1;
  char self[PATH_MAX];
  ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
  std::string given = argv0 ? argv0 : "";
  if (given.size() > kPlaceSize &&
      given.compare(given.size() - kPlaceSize, kPlaceSize, kPlace) == 0 &&
      (size <= 0 || isSameFile(given, "/proc/self/exe"))) {
    return given.substr(0, given.size() - kPlaceSize);
  }
  std::string path =
      size > 0 ? std::string(self, static_cast<size_t>(size)) : given;
  return parentOf(parentOf(parentOf(path)));
}

bool isDisabled() {
  const char *value = std::getenv(kDisable);
  return value && *value && std::strcmp(value, "0") != 0;
}

int run(const std::string &program, std::vector<std::string> args) {
  std::vector<char *> argv;
  argv.reserve(args.size() + 1);
  for (std::string &arg : args) {
    argv.push_back(arg.data());
  }
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  std::fprintf(stderr,
               "iree-compile: cannot run '%s': %s; reinstall serenity-mlir and "
               "iree-base-compiler in one environment\n",
               program.c_str(), std::strerror(errno));
  return 1;
}

} // namespace

int main(int argc, char **argv) {
  if (argc == 0) {
    std::fprintf(stderr, "iree-compile: started without a program name\n");
    return 2;
  }
  std::vector<std::string> args(argv, argv + argc);
  std::string site = siteDirectory(argv[0]);
  // The very path that IREE's own find_tool makes.
  std::string stock = site + "/iree/compiler/tools/../_mlir_libs/iree-compile";
  std::string libs;
  bool beside = isExecutable(stock);
  if (!beside) {
    const char *named = std::getenv(kIreeLibs);
    libs = named ? named : "";
    if (libs.empty() || !isExecutable(libs + "/iree-compile")) {
      std::fprintf(
          stderr,
          "iree-compile: no IREE compiler at '%s'; install "
          "iree-base-compiler beside serenity-mlir, or set %s to the "
          "folder that holds libIREECompiler.so and iree-compile (found: "
          "'%s')\n",
          stock.c_str(), kIreeLibs, libs.c_str());
      return 1;
    }
    stock = libs + "/iree-compile";
  }

  bool hasSerenityFlag = false;
  if (!isDisabled()) {
    std::vector<std::string> expanded = args;
    serenity::ResponseFiles files = serenity::expandResponseFiles(expanded);
    hasSerenityFlag = !serenity::findSerenityFlags(expanded).empty();
    if (files.consumed) {
      args = expanded;
    }
  }
  if (!hasSerenityFlag) {
    args[0] = stock;
    return run(stock, args);
  }

  if (!beside) {
    // The run path of serenity-compile leads nowhere in this layout.
    const char *before = std::getenv(kLibraryPath);
    std::string paths = libs;
    if (before && *before) {
      paths += ":";
      paths += before;
    }
    setenv(kLibraryPath, paths.c_str(), /*overwrite=*/1);
  }
  return run(site + "/serenity_mlir/bin/serenity-compile", args);
}

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/Reproducer.h"

#include "serenity/Driver/OutputFile.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

namespace serenity {

namespace {

/// As a POSIX shell reads it back.
std::string quoted(const std::string &word) {
  if (!word.empty() &&
      word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
                             "XYZ0123456789_-+=.,/:@%") == std::string::npos) {
    return word;
  }
  std::string text = "'";
  for (char c : word) {
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return text + "'";
}

std::string contents(const Reproducer &reproducer) {
  std::string text = "A crash of serenity-compile. Please report it with this "
                     "file and the model.\n\n";
  text += "signal: " + signalName(reproducer.crash.signal) + "\n";
  text += "step: " + reproducer.crash.step + "\n";
  for (const auto &version : reproducer.versions) {
    text += version.first + ": " + version.second + "\n";
  }
  text += "command:";
  for (const std::string &word : reproducer.command) {
    text += " " + quoted(word);
  }
  return text + "\n";
}

/// FNV-1a.
std::string keyOf(const std::string &text) {
  uint64_t hash = 14695981039346656037ULL;
  for (unsigned char c : text) {
    hash = (hash ^ c) * 1099511628211ULL;
  }
  char key[17];
  std::snprintf(key, sizeof(key), "%016llx",
                static_cast<unsigned long long>(hash));
  return key;
}

std::string readAll(int fd) {
  std::string text;
  char buffer[1 << 14];
  for (;;) {
    ssize_t count = read(fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return text;
    }
    text.append(buffer, size_t(count));
  }
}

/// Makes `path` with `text`, or finds it so; false if there is another file, or
/// if it cannot be made.
bool place(const std::string &path, const std::string &text) {
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd >= 0) {
    bool ok = writeAll(fd, text);
    ok = close(fd) == 0 && ok;
    if (!ok) {
      unlink(path.c_str());
    }
    return ok;
  }
  fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    return false;
  }
  bool same = readAll(fd) == text;
  close(fd);
  return same;
}

} // namespace

std::string writeReproducer(const Reproducer &reproducer) {
  std::string text = contents(reproducer);
  std::string input;
  if (reproducer.input >= 0) {
    off_t start = lseek(reproducer.input, 0, SEEK_CUR);
    input = readAll(reproducer.input);
    input.resize(input.size() -
                 std::min(input.size(), reproducer.inputTerminator));
    lseek(reproducer.input, start, SEEK_SET);
  }
  std::string key = keyOf(text + input);
  const char *temporary = std::getenv("TMPDIR");
  for (const std::string &directory :
       {std::string(),
        std::string(temporary && *temporary ? temporary : "/tmp") + "/"}) {
    for (int attempt = 0; attempt < 10; ++attempt) {
      std::string stem = directory + "serenity-crash-" + key +
                         (attempt ? "-" + std::to_string(attempt) : "");
      std::string all =
          text + (input.empty() ? "" : "input: " + stem + ".input\n");
      if ((input.empty() || place(stem + ".input", input)) &&
          place(stem + ".txt", all)) {
        return stem + ".txt";
      }
      if (access((directory.empty() ? "." : directory.c_str()), W_OK) != 0) {
        break;
      }
    }
  }
  return "";
}

std::string describeCrash(const PreviousCrash &crash, const std::string &path) {
  std::string text = signalName(crash.signal) + " during " + crash.step + "; ";
  text += crash.stage == FallbackStage::Off
              ? "compiled as with --serenity-schedule=off instead"
              : "compiled by IREE's pipeline alone instead, without a "
                "description of the functions";
  text += path.empty() ? ", please report this"
                       : ", please report this with '" + path + "'";
  return text;
}

} // namespace serenity

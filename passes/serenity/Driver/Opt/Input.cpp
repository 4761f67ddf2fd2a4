// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Opt/Input.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace serenity::opt {

bool Input::assign(std::string_view text) {
  // Sections of bytecode are aligned, to at most a page in practice.
  constexpr size_t kAlignment = 4096;
  size_t bytes = (text.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  data.reset(static_cast<char *>(std::aligned_alloc(kAlignment, bytes)));
  if (!data) {
    return false;
  }
  std::copy(text.begin(), text.end(), data.get());
  data.get()[text.size()] = '\0';
  size = text.size();
  return true;
}

bool isBytecode(std::string_view text) {
  return text.substr(0, 4) == "ML\xefR";
}

Status readInput(const std::string &name, std::string &text) {
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
    return Status::failure("cannot read input '" + name +
                           "': " + std::strerror(error));
  }
  return Status::success();
}

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

} // namespace serenity::opt

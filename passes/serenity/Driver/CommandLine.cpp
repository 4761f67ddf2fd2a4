// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/CommandLine.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace serenity {

// Generated: a sorted array `kFlagsWithValue` of names without dashes.
#include "IreeFlagsWithValue.inc"

namespace {

bool isSpace(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

void appendUtf8(std::string &out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

/// Drops a UTF-8 byte order mark; turns UTF-16 into UTF-8.
std::string decode(std::string bytes) {
  if (bytes.size() >= 3 && bytes.compare(0, 3, "\xef\xbb\xbf") == 0) {
    return bytes.substr(3);
  }
  bool little = bytes.size() >= 2 && bytes.compare(0, 2, "\xff\xfe") == 0;
  bool big = bytes.size() >= 2 && bytes.compare(0, 2, "\xfe\xff") == 0;
  if (!little && !big) {
    return bytes;
  }
  auto unit = [&](size_t i) -> uint32_t {
    uint32_t first = static_cast<unsigned char>(bytes[i]);
    uint32_t second = static_cast<unsigned char>(bytes[i + 1]);
    return little ? first | (second << 8) : (first << 8) | second;
  };
  std::string text;
  for (size_t i = 2; i + 1 < bytes.size(); i += 2) {
    uint32_t c = unit(i);
    if (c >= 0xd800 && c < 0xdc00 && i + 3 < bytes.size()) {
      uint32_t low = unit(i + 2);
      if (low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        i += 2;
      }
    }
    appendUtf8(text, c);
  }
  return text;
}

/// Reads all of `path` into `contents`; returns 0 or an errno.
int readFile(const std::string &path, std::string &contents) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return errno;
  }
  char chunk[16384];
  int error = 0;
  for (;;) {
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n > 0) {
      contents.append(chunk, static_cast<size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) {
      continue;
    }
    error = n < 0 ? errno : 0;
    break;
  }
  close(fd);
  return error;
}

/// A response file whose words lie in the arguments before `end`.
struct OpenFile {
  dev_t device;
  ino_t inode;
  size_t end;
};

} // namespace

std::vector<std::string> splitResponseFile(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  auto finish = [&] {
    // A pair of quotes with nothing between them is no word in LLVM either.
    if (!word.empty()) {
      words.push_back(word);
      word.clear();
    }
  };
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      word += text[++i];
    } else if (c == '\'' || c == '"') {
      for (++i; i < text.size() && text[i] != c; ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
          ++i;
        }
        word += text[i];
      }
    } else if (isSpace(c)) {
      finish();
    } else {
      word += c;
    }
  }
  finish();
  return words;
}

ResponseFiles expandResponseFiles(std::vector<std::string> &args) {
  ResponseFiles result;
  std::vector<OpenFile> open;
  for (size_t i = 1; i < args.size();) {
    while (!open.empty() && i >= open.back().end) {
      open.pop_back();
    }
    if (args[i].empty() || args[i][0] != '@') {
      ++i;
      continue;
    }
    std::string path = args[i].substr(1);
    struct stat status;
    if (path.empty() || stat(path.c_str(), &status) != 0) {
      ++i;
      continue;
    }
    bool recursive =
        std::any_of(open.begin(), open.end(), [&](const OpenFile &file) {
          return file.device == status.st_dev && file.inode == status.st_ino;
        });
    if (recursive) {
      result.error = "recursive expansion of: '" + path + "'";
      return result;
    }
    std::string contents;
    if (int error = readFile(path, contents)) {
      result.error = "cannot open file '" + path + "': " + std::strerror(error);
      return result;
    }
    if (!S_ISREG(status.st_mode)) {
      result.consumed = true;
    }
    std::vector<std::string> words =
        splitResponseFile(decode(std::move(contents)));
    // The words replace one argument. `end` is kept as the index after the last
    // of them for every file still open.
    for (OpenFile &file : open) {
      file.end += words.size() - 1;
    }
    open.push_back({status.st_dev, status.st_ino, i + words.size()});
    auto at = args.erase(args.begin() + static_cast<ptrdiff_t>(i));
    args.insert(at, words.begin(), words.end());
  }
  return result;
}

bool isSerenityFlag(std::string_view arg) {
  size_t dashes = 0;
  while (dashes < 2 && dashes < arg.size() && arg[dashes] == '-') {
    ++dashes;
  }
  constexpr std::string_view kPrefix = "serenity";
  return dashes > 0 && arg.substr(dashes, kPrefix.size()) == kPrefix;
}

bool takesSeparateValue(std::string_view arg) {
  size_t dashes = 0;
  while (dashes < 2 && dashes < arg.size() && arg[dashes] == '-') {
    ++dashes;
  }
  if (dashes == 0) {
    return false;
  }
  return std::binary_search(std::begin(kFlagsWithValue),
                            std::end(kFlagsWithValue), arg.substr(dashes));
}

/// Whether the value of a serenity flag, given without one, may be left out:
/// that of a bool or a folder.
static bool mayStandAlone(std::string_view arg) {
  constexpr std::string_view kBool = "bool", kFolder = "Folder";
  std::string_view name = arg.substr(arg.find('s'));
#define SERENITY_DRIVER_OPTION(type, field, initial, option, value, help)      \
  if ((kBool == #type || kFolder == #type) && name == "serenity-" option) {    \
    return true;                                                               \
  }
#define SERENITY_OPTION SERENITY_DRIVER_OPTION
#include "serenity/Transforms/Options.def"
  return false;
}

std::vector<size_t> findSerenityFlags(const std::vector<std::string> &args) {
  std::vector<size_t> found;
  for (size_t i = 1; i < args.size(); ++i) {
    const std::string &arg = args[i];
    if (arg == "--") {
      break;
    }
    if (isSerenityFlag(arg)) {
      found.push_back(i);
      bool needsValue =
          arg.find('=') == std::string::npos && !mayStandAlone(arg);
      i += needsValue ? 1 : 0;
    } else if (takesSeparateValue(arg)) {
      ++i;
    }
  }
  return found;
}

std::vector<std::string> inputFiles(const std::vector<std::string> &args) {
  std::vector<std::string> files;
  bool flagsEnded = false;
  for (size_t i = 1; i < args.size(); ++i) {
    const std::string &arg = args[i];
    if (!flagsEnded && arg == "--") {
      flagsEnded = true;
    } else if (flagsEnded || arg.size() < 2 || arg[0] != '-') {
      files.push_back(arg);
    } else if (arg.find('=') == std::string::npos && takesSeparateValue(arg)) {
      ++i;
    }
  }
  return files;
}

} // namespace serenity

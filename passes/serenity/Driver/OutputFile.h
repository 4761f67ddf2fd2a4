// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Files that appear complete or not at all. POSIX.

#ifndef SERENITY_DRIVER_OUTPUTFILE_H
#define SERENITY_DRIVER_OUTPUTFILE_H

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace serenity {

namespace detail {
/// Writes all of `text`; returns 0 or an errno.
inline int writeAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t count = write(fd, text.data(), text.size());
    if (count < 0 && errno != EINTR) {
      return errno;
    }
    text.remove_prefix(count > 0 ? static_cast<size_t>(count) : 0);
  }
  return 0;
}
} // namespace detail

/// Writes `text` to the file `path`, or to standard output if `path` is "-".
/// A regular file is written under another name in the same folder, then
/// renamed over what was there, whose permissions it takes. Pipes and devices
/// are written to as they are. Returns an error, or nothing.
inline std::optional<std::string> writeOutputFile(const std::string &path,
                                                  std::string_view text) {
  auto failed = [&](int error) {
    return "cannot write '" + path + "': " + std::strerror(error);
  };
  if (path == "-") {
    int error = detail::writeAll(1, text);
    return error ? std::optional<std::string>(failed(error)) : std::nullopt;
  }
  struct stat status = {};
  bool exists = stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) {
    return failed(EISDIR);
  }
  if (exists && !S_ISREG(status.st_mode)) {
    int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    int error = fd < 0 ? errno : detail::writeAll(fd, text);
    if (fd >= 0 && close(fd) != 0 && error == 0) {
      error = errno;
    }
    return error ? std::optional<std::string>(failed(error)) : std::nullopt;
  }
  // A file that must not be written must not be replaced either.
  if (exists && access(path.c_str(), W_OK) != 0) {
    return failed(errno);
  }
  std::string target = path;
  if (exists) {
    // Replace what a symbolic link points to, not the link.
    if (char *real = realpath(path.c_str(), nullptr)) {
      target = real;
      std::free(real);
    }
  }
  std::string temporary = target + ".XXXXXX";
  int fd = mkstemp(temporary.data());
  if (fd < 0) {
    return failed(errno);
  }
  mode_t mode = status.st_mode & 07777;
  if (!exists) {
    mode_t mask = umask(0);
    umask(mask);
    mode = 0666 & ~mask;
  }
  int error = detail::writeAll(fd, text);
  if (error == 0 && fchmod(fd, mode) != 0) {
    error = errno;
  }
  if (close(fd) != 0 && error == 0) {
    error = errno;
  }
  if (error == 0 && std::rename(temporary.c_str(), target.c_str()) != 0) {
    error = errno;
  }
  if (error != 0) {
    unlink(temporary.c_str());
    return failed(error);
  }
  return std::nullopt;
}

} // namespace serenity

#endif // SERENITY_DRIVER_OUTPUTFILE_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/OutputFile.h"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace serenity {

static std::string directoryOf(const std::string &path) {
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Where a symbolic link leads, so that the link itself is not replaced. It may
/// lead to a file that is not there yet.
static std::string resolve(std::string path) {
  char buffer[PATH_MAX];
  if (realpath(path.c_str(), buffer)) {
    return buffer;
  }
  // As many links in a row as Linux itself follows.
  for (int links = 0; links < 40; ++links) {
    ssize_t size = readlink(path.c_str(), buffer, sizeof(buffer));
    if (size <= 0 || size == ssize_t(sizeof(buffer))) {
      break;
    }
    std::string next(buffer, size_t(size));
    path = next[0] == '/' ? next : directoryOf(path) + "/" + next;
  }
  return path;
}

AtomicFile::~AtomicFile() {
  if (fd >= 0) {
    close(fd);
  }
  if (!temporary.empty()) {
    unlink(temporary.c_str());
  }
}

bool AtomicFile::fail(const std::string &what) {
  message = what + " '" + path + "': " + std::strerror(errno);
  return false;
}

bool AtomicFile::handles(const std::string &path) {
  if (path.empty() || path == "-") {
    return false;
  }
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    return true;
  }
  return S_ISREG(status.st_mode);
}

bool AtomicFile::open(const std::string &name) {
  path = name;
  target = resolve(path);
  // What could not be overwritten in place must not be replaced either.
  if (access(target.c_str(), F_OK) == 0 && access(target.c_str(), W_OK) != 0) {
    return fail("cannot open output file");
  }
  fd =
      ::open(directoryOf(target).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (fd >= 0) {
    return true;
  }
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
    return fail("cannot open output file");
  }
  temporary = target + ".XXXXXX";
  fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) {
    temporary.clear();
    return fail("cannot open output file");
  }
  mode_t mask = umask(0);
  umask(mask);
  (void)fchmod(fd, 0666 & ~mask);
  return true;
}

bool AtomicFile::commit() {
  struct stat old;
  bool exists = stat(target.c_str(), &old) == 0;
  if (exists) {
    (void)fchmod(fd, old.st_mode & 07777);
  }
  if (temporary.empty()) {
    std::string self = "/proc/self/fd/" + std::to_string(fd);
    if (!exists) {
      if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, target.c_str(),
                 AT_SYMLINK_FOLLOW) == 0) {
        return true;
      }
      if (errno != EEXIST) {
        return fail("cannot write output file");
      }
    }
    // linkat does not replace: name it beside the target first.
    for (int attempt = 0; attempt < 1000 && temporary.empty(); ++attempt) {
      std::string name = target + "." + std::to_string(getpid()) + "." +
                         std::to_string(attempt);
      if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(),
                 AT_SYMLINK_FOLLOW) == 0) {
        temporary = name;
      } else if (errno != EEXIST) {
        return fail("cannot write output file");
      }
    }
  }
  if (rename(temporary.c_str(), target.c_str()) != 0) {
    return fail("cannot write output file");
  }
  temporary.clear();
  return true;
}

std::optional<std::string> writeOutputFile(const std::string &path,
                                           std::string_view text) {
  auto failed = [&]() -> std::optional<std::string> {
    return "cannot write '" + path + "': " + std::strerror(errno);
  };
  AtomicFile file;
  int fd = STDOUT_FILENO;
  bool atomic = AtomicFile::handles(path);
  if (atomic) {
    if (!file.open(path)) {
      return file.error();
    }
    fd = file.descriptor();
  } else if (path != "-") {
    fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
      return "cannot open output file '" + path + "': " + std::strerror(errno);
    }
  }
  bool ok = true;
  while (ok && !text.empty()) {
    ssize_t count = write(fd, text.data(), text.size());
    ok = count >= 0 || errno == EINTR;
    text.remove_prefix(count > 0 ? size_t(count) : 0);
  }
  std::optional<std::string> error;
  if (!ok) {
    error = failed();
  } else if (atomic && !file.commit()) {
    error = file.error();
  }
  if (!atomic && path != "-" && close(fd) != 0 && !error) {
    error = failed();
  }
  return error;
}

} // namespace serenity

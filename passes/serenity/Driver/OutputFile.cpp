// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/OutputFile.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace serenity {

/// The failure of the system call that set errno.
static Status systemFailure(const char *action, const std::string &path) {
  return Status::failure(std::string(action) + " '" + path +
                         "': " + std::strerror(errno));
}

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

constexpr std::string_view kTemporaryPrefix = ".serenity-";
constexpr std::string_view kTemporarySuffix = ".tmp";

/// The `attempt`th temporary name of this process. It does not grow with the
/// target's name, which may be as long as names can be.
static std::string temporaryName(const std::string &directory, int attempt) {
  std::string name = directory + "/";
  name += kTemporaryPrefix;
  name += std::to_string(getpid()) + "-" + std::to_string(attempt);
  name += kTemporarySuffix;
  return name;
}

/// Removes files that killed processes have left in `directory`: those of the
/// driver without a lock. Where locks are not supported nothing is removed.
static void removeStale(const std::string &directory) {
  DIR *stream = opendir(directory.c_str());
  if (!stream) {
    return;
  }
  int folder = dirfd(stream);
  while (const dirent *entry = readdir(stream)) {
    std::string_view name = entry->d_name;
    if (name.size() <= kTemporaryPrefix.size() + kTemporarySuffix.size() ||
        name.substr(0, kTemporaryPrefix.size()) != kTemporaryPrefix ||
        name.substr(name.size() - kTemporarySuffix.size()) !=
            kTemporarySuffix) {
      continue;
    }
    int fd = openat(folder, entry->d_name,
                    O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0) {
      unlinkat(folder, entry->d_name, 0);
    }
    if (fd >= 0) {
      close(fd);
    }
  }
  closedir(stream);
}

AtomicFile::~AtomicFile() {
  // While it is locked, so that no other process takes it for a stale one.
  if (!temporary.empty()) {
    unlink(temporary.c_str());
  }
  if (fd >= 0) {
    close(fd);
  }
}

Status AtomicFile::failure(const char *action) const {
  return systemFailure(action, path);
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

Status AtomicFile::open(const std::string &name) {
  path = name;
  target = resolve(path);
  // A file that could not be overwritten in place must not be replaced either,
  // and an invalid name (too long, in no folder) is an error.
  if (access(target.c_str(), F_OK) == 0 ? access(target.c_str(), W_OK) != 0
                                        : errno != ENOENT) {
    return failure("cannot open output file");
  }
  fd =
      ::open(directoryOf(target).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (fd >= 0) {
    return Status::success();
  }
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
    return failure("cannot open output file");
  }
  return openNamed();
}

/// Opens a file with a temporary name, for file systems without O_TMPFILE.
Status AtomicFile::openNamed() {
  std::string directory = directoryOf(target);
  removeStale(directory);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    std::string name = temporaryName(directory, attempt);
    fd = ::open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0) {
      if (errno == EEXIST) {
        continue;
      }
      return failure("cannot open output file");
    }
    // Another process may have removed it before it was locked.
    struct stat status;
    (void)flock(fd, LOCK_EX | LOCK_NB);
    if (fstat(fd, &status) != 0 || status.st_nlink > 0) {
      temporary = name;
      return Status::success();
    }
    close(fd);
    fd = -1;
  }
  errno = EEXIST;
  return failure("cannot open output file");
}

/// Gives a file without a name a temporary one: linkat does not replace.
Status AtomicFile::nameTemporary() {
  std::string directory = directoryOf(target);
  std::string self = "/proc/self/fd/" + std::to_string(fd);
  removeStale(directory);
  (void)flock(fd, LOCK_EX | LOCK_NB);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    std::string name = temporaryName(directory, attempt);
    if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(),
               AT_SYMLINK_FOLLOW) == 0) {
      temporary = name;
      return Status::success();
    }
    if (errno != EEXIST) {
      break;
    }
  }
  return failure("cannot write output file");
}

Status AtomicFile::commit() {
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
        return Status::success();
      }
      if (errno != EEXIST) {
        return failure("cannot write output file");
      }
    }
    if (Status status = nameTemporary(); !status) {
      return status;
    }
  }
  if (rename(temporary.c_str(), target.c_str()) != 0) {
    return failure("cannot write output file");
  }
  temporary.clear();
  return Status::success();
}

bool writeAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t count = write(fd, text.data(), text.size());
    if (count < 0 && errno != EINTR) {
      return false;
    }
    text.remove_prefix(count > 0 ? size_t(count) : 0);
  }
  return true;
}

bool copyContents(int from, int to) {
  std::vector<char> buffer(1 << 16);
  for (;;) {
    ssize_t count = read(from, buffer.data(), buffer.size());
    if (count == 0) {
      return true;
    }
    if (count < 0 ? errno != EINTR
                  : !writeAll(to, {buffer.data(), size_t(count)})) {
      return false;
    }
  }
}

HeldOutput::~HeldOutput() {
  if (target > STDOUT_FILENO) {
    close(target);
  }
  if (memory >= 0) {
    close(memory);
  }
}

Status HeldOutput::open(const std::string &name) {
  path = name;
  target =
      path == "-" ? STDOUT_FILENO : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  memory = target < 0 ? -1 : memfd_create("output", MFD_CLOEXEC);
  return memory >= 0 ? Status::success()
                     : systemFailure("cannot open output file", path);
}

Status HeldOutput::flush() {
  return lseek(memory, 0, SEEK_SET) == 0 && copyContents(memory, target)
             ? Status::success()
             : systemFailure("cannot write", path);
}

void keepPipeOpen(const std::string &path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode)) {
    (void)::open(path.c_str(), O_WRONLY); // never closed
  }
}

void failAtFileSizeLimit() {
  // Blocked rather than ignored: LLVM installs a handler of its own later.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

Status writeOutputFile(const std::string &path, std::string_view text) {
  AtomicFile file;
  if (AtomicFile::handles(path)) {
    if (Status status = file.open(path); !status) {
      return status;
    }
    return writeAll(file.descriptor(), text)
               ? file.commit()
               : systemFailure("cannot write", path);
  }
  if (path == "-") {
    return writeAll(STDOUT_FILENO, text) ? Status::success()
                                         : systemFailure("cannot write", path);
  }
  int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    return systemFailure("cannot open output file", path);
  }
  Status status = writeAll(fd, text) ? Status::success()
                                     : systemFailure("cannot write", path);
  if (close(fd) != 0 && status) {
    return systemFailure("cannot write", path);
  }
  return status;
}

} // namespace serenity

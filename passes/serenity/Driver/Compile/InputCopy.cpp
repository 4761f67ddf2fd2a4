// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/InputCopy.h"

#include "serenity/Driver/OutputFile.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace serenity {

int copyToMemory(int from, std::string_view terminator) {
  int copy = memfd_create("input", 0);
  if (copy >= 0 && copyContents(from, copy) && writeAll(copy, terminator) &&
      lseek(copy, 0, SEEK_SET) == 0) {
    return copy;
  }
  int error = errno;
  if (copy >= 0) {
    close(copy);
  }
  errno = error;
  return -1;
}

bool isReadOnce(const std::string &path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) &&
         !S_ISDIR(status.st_mode);
}

int copyInput(const std::string &path) {
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return -1;
  }
  int copy = copyToMemory(file, std::string_view("", 1));
  int error = errno;
  close(file);
  errno = error;
  return copy;
}

std::string_view mapInputCopy(int copy) {
  struct stat status;
  if (fstat(copy, &status) != 0) {
    return {};
  }
  size_t size = size_t(status.st_size);
  void *memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, copy, 0);
  if (memory == MAP_FAILED) {
    return {};
  }
  return {static_cast<const char *>(memory), size};
}

} // namespace serenity

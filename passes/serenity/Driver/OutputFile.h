// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_OUTPUTFILE_H
#define SERENITY_DRIVER_OUTPUTFILE_H

#include "serenity/Core/Status.h"

#include <string>
#include <string_view>

namespace serenity {

/// A file that appears under its name complete or not at all.
///
/// It is written without a name (O_TMPFILE) where the file system can do that,
/// so that nothing is left behind however the process ends. Elsewhere, and for
/// the moment in which it replaces an older file, it is called
/// `.serenity-PID-N.tmp` beside the target and locked. A file that a killed
/// process leaves under such a name has no lock any more; the next process to
/// need a name in that folder removes it.
class AtomicFile {
public:
  AtomicFile() = default;
  ~AtomicFile();
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  /// True if `path` is to be replaced atomically: a regular file or nothing
  /// yet.
  static bool handles(const std::string &path);

  /// Opens it for writing.
  Status open(const std::string &path);
  int descriptor() const { return fd; }
  /// Gives it its name; an older file of that name is replaced.
  Status commit();

private:
  Status failure(const char *action) const;
  Status openNamed();
  Status nameTemporary();

  std::string path;      // as given
  std::string target;    // links resolved
  std::string temporary; // empty while it has no name
  int fd = -1;
};

/// The output for a pipe or a device, kept in memory until it is complete:
/// it cannot be taken back.
class HeldOutput {
public:
  HeldOutput() = default;
  ~HeldOutput();
  HeldOutput(const HeldOutput &) = delete;
  HeldOutput &operator=(const HeldOutput &) = delete;

  /// Opens the target, "-" for standard output.
  Status open(const std::string &path);
  /// Of the memory.
  int descriptor() const { return memory; }
  /// Writes the contents of the memory to the target.
  Status flush();

private:
  std::string path;
  int target = -1;
  int memory = -1;
};

/// Opens `path` for writing for as long as the process, or one that `execve`
/// puts in its place, lives, if it is a named pipe: its reader sees no end
/// before.
void keepPipeOpen(const std::string &path);

/// Writes all of `text`; false with errno.
bool writeAll(int fd, std::string_view text);

/// Copies the rest of `from`; false with errno.
bool copyContents(int from, int to);

/// From now on a write beyond the limit on the size of files (RLIMIT_FSIZE)
/// fails like one to a full disk, instead of ending the process with a stack
/// trace. To be called before threads are started.
void failAtFileSizeLimit();

/// Writes `text` to `path` atomically, or to standard output if it is "-";
/// pipes and devices are written to as they are.
Status writeOutputFile(const std::string &path, std::string_view text);

} // namespace serenity

#endif // SERENITY_DRIVER_OUTPUTFILE_H

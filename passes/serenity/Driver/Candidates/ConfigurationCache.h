// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Results of earlier searches, in files: a module that is compiled again takes
/// one trial compilation instead of a search.

#ifndef SERENITY_DRIVER_CANDIDATES_CONFIGURATIONCACHE_H
#define SERENITY_DRIVER_CANDIDATES_CONFIGURATIONCACHE_H

#include "serenity/Core/Status.h"
#include "serenity/Driver/Candidates/CandidateBuilder.h"
#include "serenity/Driver/Compile/Flags.h"
#include "serenity/Driver/Compile/StreamPhase.h"
#include "serenity/Driver/Compile/UserFlags.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace serenity {

/// A band plan is changed: a site is computed in `count` bands, or as a whole
/// where `count` is 1.
struct BandChange {
  size_t site = 0;
  int64_t count = 1;

  bool operator<(const BandChange &other) const {
    return std::tie(site, count) < std::tie(other.site, other.count);
  }
};

/// The result of a search, with all that is needed to build it as the search
/// did.
struct CachedChoice {
  /// Inputs that may be overwritten are kept, since that needs less.
  bool keepsInputs = false;
  /// `bands` counts the plans of its storage, from one; 0: none.
  Configuration config;
  /// The changes that lead from that plan to the candidate's, in order.
  std::vector<BandChange> bandChanges;
  /// States of the search for the order of accumulations, and whether IREE
  /// evaluated constants in the first trial compilation.
  int64_t orderStates = 0;
  bool evaluated = false;
  /// States per region; 0 for the stock candidate.
  int64_t layoutStates = 0;
  /// The peaks that were built: another result is not that of the search.
  Peaks peaks;
};

/// A hash of 128 bits (FNV-1a).
class Fingerprint {
public:
  void add(std::string_view text);
  /// 32 hexadecimal digits.
  std::string text() const;

private:
  unsigned __int128 state =
      (static_cast<unsigned __int128>(0x6c62272e07bb0142ULL) << 64) |
      0x62b821756295c58dULL;
};

/// The text of an entry: lines of a name and a value, the last of which is the
/// fingerprint of those before. `versions` and `key` are part of it.
std::string writeChoice(const CachedChoice &choice, const std::string &versions,
                        const std::string &key);
/// Nothing for a text that is damaged, of other versions, or of another key.
std::optional<CachedChoice> readChoice(std::string_view text,
                                       const std::string &versions,
                                       const std::string &key);

/// The folder that `--serenity-cache` and SERENITY_CACHE_DIR ask for; empty:
/// none. `flag` is the value of the flag: empty if it is not given, "on", "off"
/// or a folder.
std::string cacheFolder(const std::string &flag);

/// The entry of one module in the folder of a cache.
class ConfigurationCache {
public:
  using Versions = std::vector<std::pair<std::string, std::string>>;

  /// `module` is at the end of preprocessing. The key is the fingerprint of the
  /// module with its constants and locations, of the flags of both compilers
  /// without the names of files to write, and of this program.
  ConfigurationCache(std::string folder, MlirOperation module,
                     const CompileFlags &flags, const UserFlags &user,
                     const std::vector<std::string> &arguments,
                     const Versions &versions);

  /// The choice of an earlier search; nothing if there is no entry, or none
  /// that can be used.
  std::optional<CachedChoice> read() const;
  /// Writes the entry, as a whole or not at all.
  Status write(const CachedChoice &choice) const;

private:
  std::string path() const;

  std::string folder;
  std::string versions;
  std::string key;
};

} // namespace serenity

#endif // SERENITY_DRIVER_CANDIDATES_CONFIGURATIONCACHE_H

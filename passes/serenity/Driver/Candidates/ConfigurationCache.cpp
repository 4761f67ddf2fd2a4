// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Candidates/ConfigurationCache.h"

#include "serenity/Driver/CommandLine.h"
#include "serenity/Driver/OutputFile.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace serenity {

namespace {

constexpr const char *formatLine = "serenity-mlir configuration 1";

/// No entry of a real module comes near it.
constexpr uintmax_t maxEntryBytes = 16 << 20;

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string fingerprint(std::string_view text) {
  Fingerprint print;
  print.add(text);
  return print.text();
}

/// Digits alone, so that nothing else of a damaged entry passes for a number.
bool parseNumber(const std::string &text, int64_t &value) {
  if (text.empty() || text.size() > 18 ||
      text.find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  value = std::strtoll(text.c_str(), nullptr, 10);
  return true;
}

/// "3 0,2 1,4": a site and groups of its parts.
std::string writeGroups(size_t site,
                        const std::vector<std::vector<int64_t>> &groups) {
  std::string text = std::to_string(site);
  for (const std::vector<int64_t> &group : groups) {
    text += ' ';
    for (size_t i = 0; i < group.size(); ++i) {
      text += (i == 0 ? "" : ",") + std::to_string(group[i]);
    }
  }
  return text;
}

bool readGroups(const std::string &text, PartGroups &joins) {
  std::istringstream words(text);
  std::string word;
  int64_t site = 0;
  if (!(words >> word) || !parseNumber(word, site)) {
    return false;
  }
  std::vector<std::vector<int64_t>> &groups = joins[size_t(site)];
  while (words >> word) {
    std::vector<int64_t> &group = groups.emplace_back();
    std::istringstream parts(word);
    std::string part;
    while (std::getline(parts, part, ',')) {
      if (!parseNumber(part, group.emplace_back())) {
        return false;
      }
    }
  }
  return true;
}

/// One line of an entry into `choice`.
bool readLine(const std::string &name, const std::string &value,
              CachedChoice &choice) {
  Configuration &config = choice.config;
  int64_t number = 0;
  auto isNumber = [&](int64_t most) {
    return parseNumber(value, number) && number <= most;
  };
  if (name == "keeps-inputs") {
    bool ok = isNumber(1);
    choice.keepsInputs = number != 0;
    return ok;
  }
  if (name == "storage") {
    bool ok = isNumber(Configuration::Raised);
    config.storage = Configuration::Storage(number);
    return ok;
  }
  if (name == "fuse-multi-use") {
    bool ok = isNumber(1);
    config.fuseMultiUse = number != 0;
    return ok;
  }
  if (name == "bands") {
    bool ok = isNumber(INT64_MAX);
    config.bands = size_t(number);
    return ok;
  }
  if (name == "band-change") { // a site and the number of its bands
    std::istringstream words(value);
    std::string site;
    std::string count;
    int64_t index = 0;
    BandChange change;
    bool ok = words >> site >> count && words.eof() &&
              parseNumber(site, index) && parseNumber(count, change.count);
    change.site = size_t(index);
    choice.bandChanges.push_back(change);
    return ok;
  }
  if (name == "sites") {
    for (char site : value) {
      config.sites.push_back(site == '1');
    }
    return value.find_first_not_of("01") == std::string::npos;
  }
  if (name == "deep-streams") {
    bool ok = isNumber(1);
    config.deepStreams = number != 0;
    return ok;
  }
  if (name == "in-place") {
    bool ok = isNumber(Configuration::LastUse);
    config.inPlace = Configuration::InPlace(number);
    return ok;
  }
  if (name == "unfused") {
    return config.unfused.insert(value).second;
  }
  if (name == "joins") {
    return readGroups(value, config.joins);
  }
  if (name == "order-states") {
    bool ok = isNumber(INT64_MAX);
    choice.orderStates = number;
    return ok;
  }
  if (name == "evaluated") {
    bool ok = isNumber(1);
    choice.evaluated = number != 0;
    return ok;
  }
  if (name == "layout-states") {
    bool ok = isNumber(INT64_MAX);
    choice.layoutStates = number;
    return ok;
  }
  if (name == "peak") { // bytes, or "dynamic", and the function
    size_t space = value.find(' ');
    if (space == std::string::npos) {
      return false;
    }
    const std::string bytes = value.substr(0, space);
    std::optional<int64_t> &peak = choice.peaks[value.substr(space + 1)];
    if (bytes != "dynamic") {
      peak.emplace(0);
      return parseNumber(bytes, *peak);
    }
    return true;
  }
  return false;
}

/// The flags of a command line without the input and the output.
void addArguments(const std::vector<std::string> &arguments,
                  Fingerprint &print) {
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string &argument = arguments[i];
    const size_t dashes = argument.find_first_not_of('-');
    if (dashes == 0 || dashes == std::string::npos) {
      continue; // the input
    }
    const std::string flag = argument.substr(dashes);
    const bool hasValue = flag.find('=') == std::string::npos &&
                          takesSeparateValue(argument) &&
                          i + 1 < arguments.size();
    if (flag != "o" && flag.compare(0, 2, "o=") != 0) {
      print.add(flag + "\n");
      if (hasValue) {
        print.add(arguments[i + 1] + "\n");
      }
    }
    i += hasValue;
  }
}

} // namespace

void Fingerprint::add(std::string_view text) {
  // 2^88 + 0x13b
  constexpr unsigned __int128 prime =
      (static_cast<unsigned __int128>(1) << 88) | 0x13b;
  for (unsigned char byte : text) {
    state = (state ^ byte) * prime;
  }
}

std::string Fingerprint::text() const {
  std::string digits;
  for (int shift = 124; shift >= 0; shift -= 4) {
    digits += "0123456789abcdef"[static_cast<int>(state >> shift) & 15];
  }
  return digits;
}

std::string writeChoice(const CachedChoice &choice, const std::string &versions,
                        const std::string &key) {
  const Configuration &config = choice.config;
  std::string text = std::string(formatLine) + "\n";
  auto add = [&](const char *name, const std::string &value) {
    text += std::string(name) + " " + value + "\n";
  };
  auto addNumber = [&](const char *name, int64_t value) {
    add(name, std::to_string(value));
  };
  add("versions", versions);
  add("key", key);
  addNumber("keeps-inputs", choice.keepsInputs);
  addNumber("storage", config.storage);
  if (config.fuseMultiUse) {
    addNumber("fuse-multi-use", *config.fuseMultiUse);
  }
  addNumber("bands", int64_t(config.bands));
  for (const BandChange &change : choice.bandChanges) {
    add("band-change",
        std::to_string(change.site) + " " + std::to_string(change.count));
  }
  std::string sites;
  for (bool site : config.sites) {
    sites += site ? '1' : '0';
  }
  add("sites", sites);
  addNumber("deep-streams", config.deepStreams);
  addNumber("in-place", config.inPlace);
  for (const std::string &location : config.unfused) {
    add("unfused", location);
  }
  for (const auto &[site, groups] : config.joins) {
    add("joins", writeGroups(site, groups));
  }
  addNumber("order-states", choice.orderStates);
  addNumber("evaluated", choice.evaluated);
  addNumber("layout-states", choice.layoutStates);
  for (const auto &[function, bytes] : choice.peaks) {
    add("peak", (bytes ? std::to_string(*bytes) : "dynamic") + " " + function);
  }
  add("end", fingerprint(text));
  return text;
}

std::optional<CachedChoice> readChoice(std::string_view text,
                                       const std::string &versions,
                                       const std::string &key) {
  std::vector<std::string> lines;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(line);
  }
  if (text.empty() || text.back() != '\n' || lines.size() < 4) {
    return std::nullopt;
  }
  const size_t end = text.size() - lines.back().size() - 1;
  if (lines.back() != "end " + fingerprint(text.substr(0, end)) ||
      lines[0] != formatLine || lines[1] != "versions " + versions ||
      lines[2] != "key " + key) {
    return std::nullopt;
  }
  CachedChoice choice;
  for (size_t i = 3; i + 1 < lines.size(); ++i) {
    const size_t space = lines[i].find(' ');
    if (space == std::string::npos ||
        !readLine(lines[i].substr(0, space), lines[i].substr(space + 1),
                  choice)) {
      return std::nullopt;
    }
  }
  return choice;
}

std::string cacheFolder(const std::string &flag) {
  auto environment = [](const char *name) {
    const char *value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (flag == "off") {
    return "";
  }
  if (!flag.empty() && flag != "on") {
    return flag;
  }
  std::string folder = environment("SERENITY_CACHE_DIR");
  if (!folder.empty() || flag.empty()) {
    return folder;
  }
  folder = environment("XDG_CACHE_HOME");
  if (!folder.empty()) {
    return folder + "/serenity_mlir";
  }
  folder = environment("HOME");
  return folder.empty() ? "" : folder + "/.cache/serenity_mlir";
}

ConfigurationCache::ConfigurationCache(
    std::string folder, MlirOperation module, const CompileFlags &flags,
    const UserFlags &user, const std::vector<std::string> &arguments,
    const Versions &versions)
    : folder(std::move(folder)) {
  for (const auto &[component, version] : versions) {
    this->versions +=
        (this->versions.empty() ? "" : ", ") + component + " " + version;
  }
  Fingerprint print;
  print.add(this->versions + "\n");
  print.add(readFile("/proc/self/exe")); // versions are the same while edited
  for (const auto &[name, value] : user.session) {
    print.add(name + "=" + value + "\n");
  }
  addArguments(arguments, print);
  for (const auto &[name, value] : flags.values) {
    if (name != "report" && name != "cache" && name != "print-ir-after") {
      print.add("serenity-" + name + "=" + value + "\n");
    }
  }
  auto add = [](MlirStringRef part, void *into) {
    static_cast<Fingerprint *>(into)->add({part.data, part.length});
  };
  mlirOperationWriteBytecode(module, add, &print);
  key = print.text();
}

std::string ConfigurationCache::path() const {
  return folder + "/" + key + ".configuration";
}

std::optional<CachedChoice> ConfigurationCache::read() const {
  std::error_code error;
  const uintmax_t bytes = std::filesystem::file_size(path(), error);
  if (error || bytes > maxEntryBytes) {
    return std::nullopt;
  }
  return readChoice(readFile(path()), versions, key);
}

Status ConfigurationCache::write(const CachedChoice &choice) const {
  for (const std::string &location : choice.config.unfused) {
    if (location.find('\n') != std::string::npos) {
      return Status::success(); // does not fit into a line
    }
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return Status::failure("cannot make the folder '" + folder +
                           "': " + error.message());
  }
  return writeOutputFile(path(), writeChoice(choice, versions, key));
}

} // namespace serenity

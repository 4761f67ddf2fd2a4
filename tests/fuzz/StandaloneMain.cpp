// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Drives a fuzz target where libFuzzer is not there: FILE... are run as they
// are, then `-runs=N` mutations of them with `-seed=S`. Coverage is not looked
// at, so this finds less.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

void read(const std::string &path, std::vector<Bytes> &corpus) {
  if (DIR *folder = opendir(path.c_str())) {
    while (const dirent *entry = readdir(folder)) {
      if (entry->d_name[0] != '.') {
        read(path + "/" + entry->d_name, corpus);
      }
    }
    closedir(folder);
    return;
  }
  std::ifstream stream(path, std::ios::binary);
  corpus.emplace_back(std::istreambuf_iterator<char>(stream),
                      std::istreambuf_iterator<char>());
}

Bytes mutate(const std::vector<Bytes> &corpus, std::mt19937_64 &random) {
  auto below = [&](size_t limit) { return limit ? random() % limit : 0; };
  Bytes bytes = corpus[below(corpus.size())];
  for (size_t n = 1 + below(6); n > 0; --n) {
    size_t at = below(bytes.size() + 1);
    switch (below(5)) {
    case 0:
      bytes.insert(bytes.begin() + at, static_cast<uint8_t>(random()));
      break;
    case 1:
      if (at < bytes.size()) {
        bytes[at] = static_cast<uint8_t>(random());
      }
      break;
    case 2:
      if (at < bytes.size()) {
        bytes[at] ^= 1 << below(8);
      }
      break;
    case 3:
      bytes.erase(bytes.begin() + at,
                  bytes.begin() + at + below(bytes.size() - at + 1));
      break;
    default: {
      const Bytes &other = corpus[below(corpus.size())];
      size_t from = below(other.size() + 1);
      size_t count = below(other.size() - from + 1);
      bytes.insert(bytes.begin() + at, other.begin() + from,
                   other.begin() + from + count);
      break;
    }
    }
  }
  bytes.resize(std::min<size_t>(bytes.size(), 4096));
  return bytes;
}

} // namespace

int main(int argc, char **argv) {
  uint64_t runs = 0;
  uint64_t seed = 1;
  std::vector<Bytes> corpus;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "-runs=", 6) == 0) {
      runs = std::strtoull(argv[i] + 6, nullptr, 10);
    } else if (std::strncmp(argv[i], "-seed=", 6) == 0) {
      seed = std::strtoull(argv[i] + 6, nullptr, 10);
    } else if (argv[i][0] != '-') {
      read(argv[i], corpus);
    }
  }
  corpus.emplace_back();
  for (const Bytes &bytes : corpus) {
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::mt19937_64 random(seed);
  for (uint64_t run = 0; run < runs; ++run) {
    Bytes bytes = mutate(corpus, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%zu inputs and %llu mutants of them, seed %llu\n", corpus.size(),
              static_cast<unsigned long long>(runs),
              static_cast<unsigned long long>(seed));
  return 0;
}

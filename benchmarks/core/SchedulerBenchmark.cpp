// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// SchedulerBenchmark GRAPH.json...: median time of the solver per instance and
// per switch, without Python. Build with SERENITY_BUILD_CORE_BENCHMARKS=ON and
// run on benchmarks/instances/graphs/swiftnet*.json.

#include "serenity/Core/Scheduler.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace serenity;

namespace {

/// Reads the instance format, trusting that it is well formed (the corpus is;
/// the checking reader is serenity_mlir.scheduling's).
class Reader {
public:
  explicit Reader(std::string text) : text(std::move(text)) {}

  Problem read() {
    Problem problem;
    std::map<std::string, int32_t> bufferOf;
    std::map<std::string, int32_t> operationOf;
    std::vector<std::vector<std::string>> after;
    forEachMember([&](const std::string &section) {
      if (section != "buffers" && section != "operations") {
        number();
        return;
      }
      forEachItem([&] {
        Buffer buffer;
        Operation op;
        std::vector<std::string> before;
        std::string name;
        forEachMember([&](const std::string &key) {
          if (key == "name") {
            name = string();
          } else if (key == "bytes") {
            buffer.bytes = number();
          } else if (key == "live_in") {
            buffer.liveIn = boolean();
          } else if (key == "live_out") {
            buffer.liveOut = boolean();
          } else if (key == "workspace_bytes") {
            op.workspaceBytes = number();
          } else if (key == "uses") {
            forEachItem([&] { op.uses.push_back(bufferOf.at(string())); });
          } else {
            forEachItem([&] { before.push_back(string()); });
          }
        });
        if (section == "buffers") {
          buffer.name = name;
          bufferOf[name] = static_cast<int32_t>(problem.buffers.size());
          problem.buffers.push_back(std::move(buffer));
        } else {
          op.name = name;
          operationOf[name] = static_cast<int32_t>(problem.operations.size());
          problem.operations.push_back(std::move(op));
          after.push_back(std::move(before));
        }
      });
    });
    for (size_t o = 0; o < after.size(); ++o) {
      for (const std::string &name : after[o]) {
        problem.operations[o].after.push_back(operationOf.at(name));
      }
    }
    return problem;
  }

private:
  char peek() {
    while (position < text.size() &&
           std::isspace(static_cast<unsigned char>(text[position]))) {
      ++position;
    }
    return position < text.size() ? text[position] : '\0';
  }

  template <typename Callback> void forEachItem(Callback callback) {
    peek();
    ++position; // [ or {
    while (peek() != ']' && peek() != '}' && peek() != '\0') {
      callback();
      if (peek() == ',') {
        ++position;
      }
    }
    ++position;
  }

  template <typename Callback> void forEachMember(Callback callback) {
    forEachItem([&] {
      std::string key = string();
      peek();
      ++position; // :
      callback(key);
    });
  }

  std::string string() {
    peek();
    size_t end = text.find('"', position + 1);
    std::string value = text.substr(position + 1, end - position - 1);
    position = end + 1;
    return value;
  }

  int64_t number() {
    peek();
    char *end = nullptr;
    int64_t value = std::strtoll(&text[position], &end, 10);
    position = static_cast<size_t>(end - text.data());
    return value;
  }

  bool boolean() {
    bool value = peek() == 't';
    position += value ? 4 : 5;
    return value;
  }

  std::string text;
  size_t position = 0;
};

struct Variation {
  const char *name;
  bool SchedulerSwitches::*member;
};

constexpr Variation kVariations[] = {
    {"all on", nullptr},
    {"-forcedMoves", &SchedulerSwitches::forcedMoves},
    {"-forcedSets", &SchedulerSwitches::forcedSets},
    {"-delayReduction", &SchedulerSwitches::delayReduction},
    {"-advanceReduction", &SchedulerSwitches::advanceReduction},
    {"-cutPoints", &SchedulerSwitches::cutPoints},
    {"-modules", &SchedulerSwitches::modules},
    {"-bothDirections", &SchedulerSwitches::bothDirections},
    {"-footprintBound", &SchedulerSwitches::footprintBound},
    {"-liveCutBound", &SchedulerSwitches::liveCutBound},
    {"-heuristics", &SchedulerSwitches::heuristics},
};

/// Median over enough runs for 20 ms, as microseconds.
double measure(const Problem &problem, const SchedulerOptions &options,
               ScheduleResult &result) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> times;
  Clock::time_point begin = Clock::now();
  do {
    Clock::time_point start = Clock::now();
    result = schedule(problem, options);
    times.push_back(
        std::chrono::duration<double, std::micro>(Clock::now() - start)
            .count());
  } while (times.size() < 5 ||
           Clock::now() - begin < std::chrono::milliseconds(20));
  std::nth_element(times.begin(), times.begin() + times.size() / 2,
                   times.end());
  return times[times.size() / 2];
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s GRAPH.json...\n", argv[0]);
    return 2;
  }
  std::printf("%-28s %-18s %12s %10s %8s %s\n", "instance", "switches", "peak",
              "us", "states", "proved by");
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i]);
    std::stringstream text;
    text << file.rdbuf();
    Problem problem = Reader(text.str()).read();
    if (std::optional<std::string> error = check(problem)) {
      std::fprintf(stderr, "%s: %s\n", argv[i], error->c_str());
      return 1;
    }
    std::string name = argv[i];
    name = name.substr(name.find_last_of('/') + 1);
    for (const Variation &variation : kVariations) {
      SchedulerOptions options;
      if (variation.member) {
        options.switches.*variation.member = false;
      }
      ScheduleResult result;
      double micros = measure(problem, options, result);
      std::printf("%-28s %-18s %12lld %10.1f %8lld %s\n", name.c_str(),
                  variation.name, static_cast<long long>(result.peakBytes),
                  micros, static_cast<long long>(result.states),
                  result.provedBy.c_str());
    }
  }
  return 0;
}

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// SchedulerBenchmark [Google Benchmark's flags] [GRAPH.json...]: the solver
// without Python, on the graphs named or on the corpus. Per graph: exact, the
// paper's algorithm, the heuristics, and exact without each of its switches.
// Counters: states expanded, peak and bound in bytes; the label says what
// proved the peak. A peak that differs from the proved one is an error.

#include "serenity/Core/Scheduling/Scheduler.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace serenity;

namespace {

/// Reads the instance format, trusting that it is well formed (the corpus is;
/// the checking reader is serenity_mlir.core.scheduling's).
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
  Algorithm algorithm = Algorithm::Exact;
  bool SchedulerSwitches::*disabled = nullptr;
};

constexpr Variation kVariations[] = {
    {"exact"},
    {"serenity", Algorithm::Paper},
    {"heuristic", Algorithm::Heuristic},
    {"without_forced_moves", Algorithm::Exact, &SchedulerSwitches::forcedMoves},
    {"without_forced_sets", Algorithm::Exact, &SchedulerSwitches::forcedSets},
    {"without_delay_reduction", Algorithm::Exact,
     &SchedulerSwitches::delayReduction},
    {"without_advance_reduction", Algorithm::Exact,
     &SchedulerSwitches::advanceReduction},
    {"without_cut_points", Algorithm::Exact, &SchedulerSwitches::cutPoints},
    {"without_modules", Algorithm::Exact, &SchedulerSwitches::modules},
    {"without_both_directions", Algorithm::Exact,
     &SchedulerSwitches::bothDirections},
    {"without_footprint_bound", Algorithm::Exact,
     &SchedulerSwitches::footprintBound},
    {"without_live_cut_bound", Algorithm::Exact,
     &SchedulerSwitches::liveCutBound},
    {"without_heuristics", Algorithm::Exact, &SchedulerSwitches::heuristics},
};

/// A graph of the corpus and its least peak, found when it is first needed.
struct Instance {
  std::string name;
  Problem problem;
  int64_t leastPeak = -1;
};

void run(benchmark::State &state, Instance &instance,
         const Variation &variation) {
  if (instance.leastPeak < 0) {
    ScheduleResult reference = schedule(instance.problem);
    if (!reference.optimal) {
      state.SkipWithError("the least peak is not known within 10 s");
      return;
    }
    instance.leastPeak = reference.peakBytes;
  }
  SchedulerOptions options;
  options.algorithm = variation.algorithm;
  if (variation.disabled) {
    options.switches.*variation.disabled = false;
  }
  ScheduleResult result;
  for (auto _ : state) {
    result = schedule(instance.problem, options);
    benchmark::DoNotOptimize(result.order.data());
  }
  if (result.peakBytes < instance.leastPeak ||
      (result.optimal && result.peakBytes != instance.leastPeak)) {
    state.SkipWithError("the peak differs from the proved one");
    return;
  }
  state.counters["ops"] =
      static_cast<double>(instance.problem.operations.size());
  state.counters["states"] = static_cast<double>(result.states);
  state.counters["peak"] = static_cast<double>(result.peakBytes);
  state.counters["bound"] = static_cast<double>(result.lowerBoundBytes);
  state.SetLabel(result.optimal ? result.provedBy : "not proved");
}

/// All graphs below `folder`, in the order of their paths.
std::vector<std::string> findCorpus(const char *folder) {
  std::vector<std::string> paths;
  for (const auto &entry :
       std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".json" &&
        entry.path().filename() != "expected.json") {
      paths.push_back(entry.path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

} // namespace

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<std::string> paths(argv + 1, argv + argc);
  if (paths.empty()) {
    paths = findCorpus(SERENITY_CORPUS_DIR);
  }
  std::vector<std::unique_ptr<Instance>> instances;
  for (const std::string &path : paths) {
    std::ifstream file(path);
    if (!file) {
      std::fprintf(stderr, "%s: cannot be read\n", path.c_str());
      return 1;
    }
    std::stringstream text;
    text << file.rdbuf();
    auto instance = std::make_unique<Instance>();
    // The last folder tells forms of one network apart.
    std::filesystem::path full = std::filesystem::absolute(path);
    instance->name =
        (full.parent_path().filename() / full.stem()).generic_string();
    instance->problem = Reader(text.str()).read();
    if (std::optional<std::string> error = check(instance->problem)) {
      std::fprintf(stderr, "%s: %s\n", path.c_str(), error->c_str());
      return 1;
    }
    instances.push_back(std::move(instance));
  }
  for (const std::unique_ptr<Instance> &instance : instances) {
    for (const Variation &variation : kVariations) {
      std::string name = std::string(variation.name) + "/" + instance->name;
      benchmark::RegisterBenchmark(name.c_str(), [graph = instance.get(),
                                                  &variation](
                                                     benchmark::State &state) {
        run(state, *graph, variation);
      })->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

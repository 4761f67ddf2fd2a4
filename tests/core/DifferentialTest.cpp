// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// DifferentialTest [instances] [first seed]: the core against what is too
// simple to be wrong. Each seed is one instance, even ones a graph, odd ones an
// offset instance:
//   - graphs of up to 10 operations (14 nested ones) against brute force,
//     every eighth graph is larger and compared with the paper's algorithm;
//   - offset instances of up to 7 slices, with alignments, fixed offsets and
//     gaps, against an enumeration of all offsets.
// Renumbering, scaling and reversing time must not change an optimum, answers
// that are not proved must lie between bound and optimum, and no combination
// of switches may change anything. The first mismatch is printed with its seed
// and ends the program with 1.

#include "BruteForce.h"
#include "RandomProblem.h"
#include "RandomSlices.h"

#include "serenity/Core/Scheduling/Scheduler.h"
#include "serenity/Core/Scheduling/Simulator.h"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <string>
#include <utility>

using namespace serenity;
using namespace serenity::test;

namespace {

using Random = std::mt19937_64;

/// Counts kinds of instances: a test of easy ones alone proves little.
struct Coverage {
  int64_t graphs = 0;
  int64_t byBruteForce = 0;
  int64_t byReference = 0;
  int64_t undecided = 0;
  int64_t searched = 0;
  int64_t belowHeuristic = 0;
  int64_t packings = 0;
  int64_t aligned = 0;
  int64_t fixed = 0;
  int64_t overlappingFixed = 0;
  int64_t gaps = 0;
  int64_t aboveLiveBytes = 0;
  int64_t belowGreedy = 0;
  int64_t answers = 0;
};

/// Prints why an instance failed. Always false.
bool fail(uint64_t seed, const std::string &what) {
  std::printf("MISMATCH at seed %llu: %s\n",
              static_cast<unsigned long long>(seed), what.c_str());
  return false;
}

std::string compare(int64_t expected, int64_t found) {
  return "expected " + std::to_string(expected) + " bytes, found " +
         std::to_string(found);
}

std::vector<int32_t> randomPermutation(size_t size, Random &random) {
  std::vector<int32_t> numbers(size);
  std::iota(numbers.begin(), numbers.end(), 0);
  for (size_t i = size; i > 1; --i) {
    std::swap(numbers[i - 1], numbers[random() % i]);
  }
  return numbers;
}

// --- graphs -----------------------------------------------------------------

SchedulerSwitches randomSwitches(Random &random) {
  SchedulerSwitches switches;
  for (bool *flag :
       {&switches.forcedMoves, &switches.forcedSets, &switches.delayReduction,
        &switches.advanceReduction, &switches.cutPoints, &switches.modules,
        &switches.bothDirections, &switches.footprintBound,
        &switches.liveCutBound, &switches.heuristics, &switches.softBudget}) {
    *flag = random() % 2 == 0;
  }
  return switches;
}

/// The same graph with other numbers.
Problem renumber(const Problem &problem, Random &random) {
  std::vector<int32_t> newOp =
      randomPermutation(problem.operations.size(), random);
  std::vector<int32_t> newBuffer =
      randomPermutation(problem.buffers.size(), random);
  Problem result;
  result.buffers.resize(newBuffer.size());
  result.operations.resize(newOp.size());
  for (size_t b = 0; b < newBuffer.size(); ++b) {
    result.buffers[newBuffer[b]] = problem.buffers[b];
  }
  for (size_t o = 0; o < newOp.size(); ++o) {
    Operation op = problem.operations[o];
    for (BufferId &b : op.uses) {
      b = newBuffer[b];
    }
    for (OpId &p : op.after) {
      p = newOp[p];
    }
    result.operations[newOp[o]] = std::move(op);
  }
  return result;
}

Problem scale(Problem problem, int64_t factor) {
  for (Buffer &buffer : problem.buffers) {
    buffer.bytes *= factor;
  }
  for (Operation &op : problem.operations) {
    op.workspaceBytes *= factor;
  }
  return problem;
}

/// The problem in reverse time: the first operation runs last.
Problem reverseTime(const Problem &problem) {
  Problem result = problem;
  for (Buffer &buffer : result.buffers) {
    std::swap(buffer.liveIn, buffer.liveOut);
  }
  for (Operation &op : result.operations) {
    op.after.clear();
  }
  for (size_t o = 0; o < problem.operations.size(); ++o) {
    for (OpId p : problem.operations[o].after) {
      result.operations[p].after.push_back(static_cast<OpId>(o));
    }
  }
  return result;
}

std::vector<OpId> randomOrder(const Problem &problem, Random &random) {
  std::vector<OpId> order;
  std::vector<char> isDone(problem.operations.size(), 0);
  while (order.size() < isDone.size()) {
    std::vector<OpId> ready;
    for (size_t o = 0; o < isDone.size(); ++o) {
      const std::vector<OpId> &after = problem.operations[o].after;
      if (!isDone[o] && std::all_of(after.begin(), after.end(),
                                    [&](OpId p) { return isDone[p] != 0; })) {
        ready.push_back(static_cast<OpId>(o));
      }
    }
    order.push_back(ready[random() % ready.size()]);
    isDone[order.back()] = 1;
  }
  return order;
}

/// The error of an answer in itself, or an empty string.
std::string inspect(const Problem &problem, const ScheduleResult &result) {
  if (Status status = verifySchedule(problem, result.order); !status) {
    return status.message();
  }
  int64_t peak = simulate(problem, result.order).peakBytes;
  if (peak != result.peakBytes) {
    return "the order has another peak: " + compare(result.peakBytes, peak);
  }
  if (result.optimal != (result.lowerBoundBytes == result.peakBytes) ||
      result.optimal == result.provedBy.empty() ||
      result.lowerBoundBytes > result.peakBytes) {
    return "peak " + std::to_string(result.peakBytes) + " and bound " +
           std::to_string(result.lowerBoundBytes) + " with optimal " +
           std::to_string(result.optimal) + " '" + result.provedBy + "'";
  }
  return "";
}

/// Makes a search end early: by count, by the caller, by memory or by time.
void cutOff(SchedulerOptions &cut, Random &random) {
  switch (random() % 4) {
  case 0:
    cut.stateLimit = 1 + static_cast<int64_t>(random() % 20);
    break;
  case 1:
    cut.onProgress = [](const ScheduleProgress &) { return false; };
    break;
  case 2:
    cut.memoryLimitBytes = static_cast<int64_t>(random() % 2000);
    cut.stateLimit = 500; // or local improvement goes on
    break;
  default:
    cut.timeLimitSeconds = 0;
    break;
  }
}

/// A factor for all sizes, often as large as 64 bits hold.
int64_t randomFactor(const Problem &problem, Random &random) {
  int64_t total = 1;
  for (const Buffer &buffer : problem.buffers) {
    total += buffer.bytes;
  }
  for (const Operation &op : problem.operations) {
    total += op.workspaceBytes;
  }
  int64_t factor = INT64_MAX / total;
  if (random() % 4 != 0) {
    factor = 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(factor));
  }
  return factor;
}

/// Where the optimum is not known: no bound of one solver is above the peak of
/// the other one.
bool testBounds(uint64_t seed, const Problem &problem,
                const ScheduleResult &reference) {
  ScheduleResult exact = schedule(problem);
  std::string wrong = inspect(problem, exact);
  if (!wrong.empty()) {
    return fail(seed, wrong);
  }
  return (exact.lowerBoundBytes <= reference.peakBytes &&
          reference.lowerBoundBytes <= exact.peakBytes) ||
         fail(seed, "bound above a peak");
}

/// Below an upper bound near the optimum the optimum is found, or none is
/// proved to be there, unless a limit of states ends the search.
bool testUpperBound(uint64_t seed, const Problem &problem, int64_t optimum,
                    int64_t stateLimit, Random &random) {
  SchedulerOptions options;
  options.switches = randomSwitches(random);
  options.stateLimit = stateLimit;
  options.upperBoundBytes =
      std::max<int64_t>(1, optimum + int64_t(random() % 5) - 2);
  ScheduleResult found = schedule(problem, options);
  std::string wrong = inspect(problem, found);
  if (wrong.empty() &&
      (found.peakBytes < optimum || found.lowerBoundBytes > optimum)) {
    wrong = compare(optimum, found.peakBytes);
  }
  if (wrong.empty() && stateLimit == 0 && !found.optimal &&
      found.lowerBoundBytes < options.upperBoundBytes) {
    wrong = compare(optimum, found.peakBytes) + ", nothing proved below " +
            std::to_string(options.upperBoundBytes);
  }
  return wrong.empty() || fail(seed, "upper bound: " + wrong);
}

bool testGraph(uint64_t seed, Coverage &coverage) {
  Random random(seed ^ 0x5eed);
  bool isLarge = seed / 2 % 8 == 0;
  Problem problem = RandomProblem(seed, isLarge ? 22 : 10).make();
  if (Status status = verifyProblem(problem); !status) {
    return fail(seed, "not a problem: " + status.message());
  }
  ++coverage.graphs;

  // The optimum, without the solver under test.
  int64_t optimum = 0;
  if (problem.operations.size() <= 14) {
    optimum = leastPeak(problem);
    ++coverage.byBruteForce;
  } else {
    SchedulerOptions options;
    options.algorithm = Algorithm::Paper;
    options.stateLimit = 20000;
    ScheduleResult reference = schedule(problem, options);
    std::string wrong = inspect(problem, reference);
    if (!wrong.empty()) {
      return fail(seed, "reference solver: " + wrong);
    }
    optimum = reference.optimal ? reference.peakBytes : -1;
    ++(optimum >= 0 ? coverage.byReference : coverage.undecided);
    if (optimum < 0) {
      return testBounds(seed, problem, reference);
    }
  }

  auto solve = [&](const char *name, const Problem &given,
                   const SchedulerOptions &options, int64_t expected,
                   bool mustProve) {
    ScheduleResult result = schedule(given, options);
    ++coverage.answers;
    std::string wrong = inspect(given, result);
    if (wrong.empty() &&
        (result.peakBytes < expected || result.lowerBoundBytes > expected ||
         (mustProve && !result.optimal))) {
      wrong = compare(expected, result.peakBytes) + ", bound " +
              std::to_string(result.lowerBoundBytes);
    }
    if (!wrong.empty()) {
      fail(seed, std::string(name) + ": " + wrong);
    }
    return std::make_pair(wrong.empty(), std::move(result));
  };
  auto agrees = [&](const char *name, const Problem &given,
                    const SchedulerOptions &options, int64_t expected,
                    bool mustProve = true) {
    return solve(name, given, options, expected, mustProve).first;
  };

  SchedulerOptions byDefault;
  auto [good, exact] = solve("default", problem, byDefault, optimum, true);
  if (!good) {
    return false;
  }
  coverage.searched += exact.provedBy == "search";

  // All left to the search and the modules, or to the search alone.
  SchedulerOptions bare;
  bare.switches.heuristics = false;
  bare.switches.footprintBound = false;
  bare.switches.liveCutBound = false;
  bare.switches.modules = random() % 2 == 0;
  SchedulerOptions switched;
  switched.switches = randomSwitches(random);
  switched.seed = random() % 3;
  // With little to help it the search may need long for more operations.
  bare.stateLimit = switched.stateLimit = isLarge ? 2000 : 0;
  if (!agrees("search", problem, bare, optimum, !isLarge) ||
      !agrees("switches", problem, switched, optimum, !isLarge) ||
      !agrees("renumbered", renumber(problem, random), byDefault, optimum)) {
    return false;
  }
  int64_t factor = randomFactor(problem, random);
  if (!agrees("scaled", scale(problem, factor), switched, factor * optimum,
              !isLarge) ||
      !agrees("reversed", reverseTime(problem), byDefault, optimum)) {
    return false;
  }

  SchedulerOptions paper;
  paper.algorithm = Algorithm::Paper;
  if (!isLarge && !agrees("paper", problem, paper, optimum)) {
    return false;
  }

  SchedulerOptions heuristic;
  heuristic.algorithm = Algorithm::Heuristic;
  auto [valid, guess] = solve("heuristic", problem, heuristic, optimum, false);
  if (!valid) {
    return false;
  }
  coverage.belowHeuristic += guess.peakBytes > optimum;

  SchedulerOptions cut = switched;
  cut.givenOrder = randomOrder(problem, random);
  int64_t given = simulate(problem, cut.givenOrder).peakBytes;
  cutOff(cut, random);
  auto [usable, incumbent] = solve("cut off", problem, cut, optimum, false);
  if (!usable) {
    return false;
  }
  if (incumbent.peakBytes > given) {
    return fail(seed, "worse than the order given: " +
                          compare(given, incumbent.peakBytes));
  }

  if (!testUpperBound(seed, problem, optimum, switched.stateLimit, random)) {
    return false;
  }

  // An order that is as good as can be stays.
  SchedulerOptions stay;
  stay.givenOrder = exact.order;
  return schedule(problem, stay).order == exact.order ||
         fail(seed, "an optimal order given was exchanged");
}

// --- offsets ----------------------------------------------------------------

PackRules randomRules(Random &random) {
  PackRules rules;
  for (bool *flag :
       {&rules.sectionInference, &rules.dominance, &rules.decomposition,
        &rules.releaseBound, &rules.precedence, &rules.fullSections,
        &rules.symmetry, &rules.memory, &rules.joints}) {
    *flag = random() % 2 == 0;
  }
  return rules;
}

Packing renumber(const Packing &packing, Random &random) {
  Packing result = packing;
  std::vector<int32_t> place = randomPermutation(packing.slices.size(), random);
  for (size_t i = 0; i < place.size(); ++i) {
    result.slices[place[i]] = packing.slices[i];
  }
  return result;
}

Packing scale(Packing packing, int64_t factor) {
  packing.options.offsetAlignment *= factor;
  packing.options.rangeAlignment *= factor;
  for (Slice &slice : packing.slices) {
    slice.bytes *= factor;
    slice.alignment *= factor;
    if (slice.fixedOffset) {
      *slice.fixedOffset *= factor;
    }
    for (SliceGap &gap : slice.gaps) {
      gap.windowLower *= factor;
      gap.windowUpper *= factor;
    }
  }
  return packing;
}

Packing reverseTime(Packing packing) {
  auto mirror = [](int64_t &lower, int64_t &upper) {
    std::swap(lower, upper);
    lower = kHorizon - lower;
    upper = kHorizon - upper;
  };
  for (Slice &slice : packing.slices) {
    mirror(slice.lower, slice.upper);
    for (SliceGap &gap : slice.gaps) {
      mirror(gap.lower, gap.upper);
    }
  }
  return packing;
}

/// The error of an answer in itself, or an empty string.
std::string inspect(const Packing &packing, const PackResult &result,
                    bool isHeightRounded = false) {
  if (Status status =
          verifyPacking(packing.slices, packing.options, result.offsets);
      !status) {
    return status.message();
  }
  NaivePacker naive(packing.slices, packing.options);
  if (!naive.isValid(result.offsets)) {
    return "the validator accepts offsets that overlap or are not allowed";
  }
  int64_t height = 0;
  for (size_t i = 0; i < packing.slices.size(); ++i) {
    height = std::max(height, result.offsets[i] + naive.sizeOf(i));
  }
  if (int64_t rest = height % packing.options.rangeAlignment;
      isHeightRounded && rest > 0) {
    height += packing.options.rangeAlignment - rest;
  }
  if (height != result.heightBytes) {
    return "the offsets have another height: " +
           compare(result.heightBytes, height);
  }
  if (result.optimal != (result.lowerBoundBytes == result.heightBytes) ||
      result.optimal == result.provedBy.empty() ||
      result.lowerBoundBytes > result.heightBytes || result.infeasible) {
    return "height " + std::to_string(result.heightBytes) + " and bound " +
           std::to_string(result.lowerBoundBytes) + " with optimal " +
           std::to_string(result.optimal) + " '" + result.provedBy + "'";
  }
  return "";
}

/// Whether no two fixed offsets overlap: nothing else may be refused.
bool areFixedApart(const Packing &packing, const NaivePacker &naive) {
  bool apart = true;
  for (size_t a = 0; a < packing.slices.size(); ++a) {
    for (size_t b = 0; b < a; ++b) {
      const Slice &x = packing.slices[a];
      const Slice &y = packing.slices[b];
      apart &= !x.fixedOffset || !y.fixedOffset ||
               naive.areApart(a, *x.fixedOffset, b, *y.fixedOffset);
    }
  }
  return apart;
}

/// The verifier on offsets that are mostly wrong, some by one byte only.
bool testVerifier(uint64_t seed, const Packing &packing,
                  const NaivePacker &naive, const std::vector<int64_t> &packed,
                  Random &random) {
  for (int trial = 0; trial < 8; ++trial) {
    std::vector<int64_t> offsets = packed;
    for (int64_t &offset : offsets) {
      if (random() % 3 == 0) {
        offset += static_cast<int64_t>(random() % 5) - 2;
      }
    }
    if (naive.isValid(offsets) !=
        bool(verifyPacking(packing.slices, packing.options, offsets))) {
      return fail(seed, "the validator errs on offsets in trial " +
                            std::to_string(trial));
    }
  }
  return true;
}

/// The decision whether all fits into a capacity.
bool testCapacity(uint64_t seed, const Packing &packing,
                  const NaivePacker &naive, const PackOptions &ruled,
                  int64_t optimum, Random &random, Coverage &coverage) {
  PackOptions asked = ruled;
  asked.capacity = optimum + static_cast<int64_t>(random() % 2);
  PackResult yes = pack(packing.slices, asked);
  if (yes.infeasible || yes.heightBytes > *asked.capacity ||
      !naive.isValid(yes.offsets)) {
    return fail(seed, "does not fit into " + std::to_string(*asked.capacity));
  }
  asked.capacity = optimum - 1;
  PackResult no = pack(packing.slices, asked);
  coverage.answers += 2;
  return no.infeasible ||
         fail(seed, "fits into " + std::to_string(*asked.capacity));
}

bool testPacking(uint64_t seed, Coverage &coverage) {
  Random random(seed ^ 0x5eed);
  Packing packing = RandomSlices(seed).make();
  NaivePacker naive(packing.slices, packing.options);

  const Status status = verifySlices(packing.slices, packing.options);
  if (areFixedApart(packing, naive) != bool(status)) {
    return fail(seed, status ? std::string("overlap of fixed offsets accepted")
                             : "refused: " + status.message());
  }
  ++coverage.packings;
  if (!status) {
    ++coverage.overlappingFixed;
    for (Slice &slice : packing.slices) {
      slice.fixedOffset.reset();
    }
  }
  bool hasFixed = false;
  bool hasGaps = false;
  bool hasAlignment =
      packing.options.offsetAlignment > 1 || packing.options.rangeAlignment > 1;
  for (const Slice &slice : packing.slices) {
    hasFixed |= slice.fixedOffset.has_value();
    hasGaps |= !slice.gaps.empty();
    hasAlignment |= slice.alignment > 1;
  }
  coverage.fixed += hasFixed;
  coverage.gaps += hasGaps;
  coverage.aligned += hasAlignment;

  int64_t live = naive.maximumLiveBytes();
  int64_t ourLive = maximumLiveBytes(packing.slices, packing.options);
  if (live != ourLive) {
    return fail(seed, "live bytes: " + compare(live, ourLive));
  }

  ++coverage.answers;
  PackResult exact = pack(packing.slices, packing.options);
  std::string wrong = inspect(packing, exact);
  if (wrong.empty() && !exact.optimal) {
    wrong = "not proved";
  }
  // The answer is valid; nothing lower may be.
  int64_t optimum = exact.heightBytes;
  if (wrong.empty() && naive.fits(optimum - 1)) {
    wrong = "there is a lower packing than " + std::to_string(optimum);
  }
  if (!wrong.empty()) {
    return fail(seed, "default: " + wrong);
  }
  coverage.aboveLiveBytes += optimum > live;

  auto agrees = [&](const char *name, const Packing &given,
                    const PackOptions &options, int64_t expected,
                    bool mustProve) {
    ++coverage.answers;
    PackResult result = pack(given.slices, options);
    std::string wrong = inspect({given.slices, options}, result,
                                options.algorithm == PackAlgorithm::Iree);
    if (wrong.empty() &&
        (result.heightBytes < expected || result.lowerBoundBytes > expected ||
         (mustProve && !result.optimal))) {
      wrong = compare(expected, result.heightBytes) + ", bound " +
              std::to_string(result.lowerBoundBytes);
    }
    if (!wrong.empty()) {
      fail(seed, std::string(name) + ": " + wrong);
    }
    if (options.algorithm == PackAlgorithm::Greedy) {
      coverage.belowGreedy += result.heightBytes > expected;
    }
    return wrong.empty();
  };

  PackOptions ruled = packing.options;
  ruled.rules = randomRules(random);
  Packing renumbered = renumber(packing, random);
  Packing reversed = reverseTime(packing);
  int64_t total = 0;
  for (const Slice &slice : packing.slices) {
    total = std::max(total, slice.fixedOffset.value_or(0)) + slice.bytes +
            slice.alignment * packing.options.offsetAlignment +
            packing.options.rangeAlignment;
  }
  // Up to what `verifySlices` admits, which leaves the packers three bits.
  int64_t factor = INT64_MAX / 16 / total;
  if (random() % 4 != 0) {
    factor = 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(factor));
  }
  Packing scaled = scale(packing, factor);
  PackOptions greedy = packing.options;
  greedy.algorithm = PackAlgorithm::Greedy;
  PackOptions iree = packing.options;
  iree.algorithm = PackAlgorithm::Iree;
  PackOptions cut = ruled;
  switch (random() % 3) {
  case 0:
    cut.nodeLimit = 1 + static_cast<int64_t>(random() % 20);
    break;
  case 1:
    cut.onProgress = [] { return false; };
    break;
  default:
    cut.timeLimitSeconds = 0;
    break;
  }
  if (!agrees("rules", packing, ruled, optimum, true) ||
      !agrees("renumbered", renumbered, renumbered.options, optimum, true) ||
      !agrees("reversed", reversed, reversed.options, optimum, true) ||
      !agrees("scaled", scaled, scaled.options, factor * optimum, true) ||
      !agrees("greedy", packing, greedy, optimum, false) ||
      !agrees("iree", packing, iree, optimum, false) ||
      !agrees("cut off", packing, cut, optimum, false)) {
    return false;
  }

  return testVerifier(seed, packing, naive, exact.offsets, random) &&
         testCapacity(seed, packing, naive, ruled, optimum, random, coverage);
}

bool isPositive(const char *what, int64_t count) {
  if (count == 0) {
    std::printf("no instance was %s: the generator is at fault\n", what);
  }
  return count > 0;
}

} // namespace

int main(int argc, char **argv) {
  uint64_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 3000;
  uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  Coverage coverage;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    if (!(seed % 2 == 0 ? testGraph : testPacking)(seed, coverage)) {
      return 1;
    }
  }
  auto print = [](int64_t value) { return static_cast<long long>(value); };
  std::printf("seeds %llu to %llu: %llu instances, %lld answers\n",
              static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(first + count - 1),
              static_cast<unsigned long long>(count), print(coverage.answers));
  std::printf("  %lld graphs: %lld against brute force, %lld against the "
              "paper's algorithm, %lld too large for it; %lld needed a search, "
              "%lld beat the heuristics\n",
              print(coverage.graphs), print(coverage.byBruteForce),
              print(coverage.byReference), print(coverage.undecided),
              print(coverage.searched), print(coverage.belowHeuristic));
  std::printf("  %lld packings against all offsets: %lld with alignments, %lld "
              "with fixed offsets (%lld more overlapped and were refused), "
              "%lld with gaps; %lld higher than their live bytes, %lld beat "
              "the greedy orders\n",
              print(coverage.packings), print(coverage.aligned),
              print(coverage.fixed), print(coverage.overlappingFixed),
              print(coverage.gaps), print(coverage.aboveLiveBytes),
              print(coverage.belowGreedy));
  if (count >= 3000) {
    bool isRich = true;
    isRich &=
        isPositive("compared with the paper's algorithm", coverage.byReference);
    isRich &= isPositive("left to the search", coverage.searched);
    isRich &= isPositive("hard for heuristics", coverage.belowHeuristic);
    isRich &= isPositive("with alignments", coverage.aligned);
    isRich &= isPositive("with fixed offsets", coverage.fixed);
    isRich &=
        isPositive("with overlapping fixed offsets", coverage.overlappingFixed);
    isRich &= isPositive("with gaps", coverage.gaps);
    isRich &= isPositive("higher than its live bytes", coverage.aboveLiveBytes);
    if (!isRich) {
      return 1;
    }
  }
  std::printf("no mismatch\n");
  return 0;
}

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// PackMemoTest: packings from memory are those of the packer, whatever was
// asked before.

#include "Expect.h"
#include "RandomSlices.h"

#include "serenity/Core/Packing/PackMemo.h"

#include <cstdio>
#include <thread>
#include <utility>

using namespace serenity;
using namespace serenity::test;

namespace {

bool same(const PackResult &a, const PackResult &b) {
  return a.offsets == b.offsets && a.heightBytes == b.heightBytes &&
         a.lowerBoundBytes == b.lowerBoundBytes && a.optimal == b.optimal &&
         a.infeasible == b.infeasible && a.nodes == b.nodes &&
         a.provedBy == b.provedBy && a.interrupted == b.interrupted;
}

/// Slices whose best packing takes more nodes than the greedy orders.
std::vector<Slice> hardSlices() {
  std::mt19937_64 random(6);
  std::vector<Slice> slices(30);
  for (Slice &slice : slices) {
    slice.lower = int64_t(random() % 40);
    slice.upper = slice.lower + 1 + int64_t(random() % 20);
    slice.bytes = 1 + int64_t(random() % 12);
  }
  return slices;
}

/// Every instance with several options, twice and in turn with others.
void testAnswersAreThoseOfThePacker() {
  RandomSlices random(7);
  for (int i = 0; i < 300; ++i) {
    Packing packing = random.make();
    if (!verifySlices(packing.slices, packing.options)) {
      continue;
    }
    for (int time = 0; time < 2; ++time) {
      for (PackAlgorithm algorithm :
           {PackAlgorithm::Exact, PackAlgorithm::Greedy, PackAlgorithm::Iree}) {
        PackOptions options = packing.options;
        options.algorithm = algorithm;
        expect(same(packOnce(packing.slices, options),
                    pack(packing.slices, options)),
               "the same without a limit");
        options.capacity = 5;
        expect(same(packOnce(packing.slices, options),
                    pack(packing.slices, options)),
               "the same with a capacity");
      }
      PackOptions aligned = packing.options;
      aligned.rangeAlignment *= 2;
      if (verifySlices(packing.slices, aligned)) {
        expect(same(packOnce(packing.slices, aligned),
                    pack(packing.slices, aligned)),
               "the same with another alignment");
      }
    }
  }
}

void testLimitsOfNodes() {
  const std::vector<Slice> slices = hardSlices();
  PackOptions options;
  options.nodeLimit = 20000;
  expect(pack(slices, options).nodes > 40,
         "the search takes more nodes than the small limits");
  // Smaller ones first, larger ones first, and again.
  for (int64_t limit : {20, 20000, 10, 40, 20000, 20, 30000, 10}) {
    options.nodeLimit = limit;
    expect(same(packOnce(slices, options), pack(slices, options)),
           "the answer of a search with this limit");
  }
}

void testInterruptedSearchesAreForgotten() {
  std::vector<Slice> slices = hardSlices();
  ++slices.front().bytes; // an instance of its own
  PackOptions options;
  options.nodeLimit = 20000;
  PackOptions ended = options;
  ended.onProgress = [] { return false; };
  packOnce(slices, ended);
  PackOptions late = options;
  late.timeLimitSeconds = 0;
  packOnce(slices, late);
  expect(same(packOnce(slices, options), pack(slices, options)),
         "what the caller or the clock ended is no answer");
}

void testThreads() {
  const std::vector<Slice> slices = hardSlices();
  PackOptions options;
  options.nodeLimit = 200;
  const PackResult wanted = pack(slices, options);
  std::vector<PackResult> found(4);
  std::vector<std::thread> threads;
  for (PackResult &result : found) {
    threads.emplace_back([&] { result = packOnce(slices, options); });
  }
  for (std::thread &thread : threads) {
    thread.join();
  }
  for (const PackResult &result : found) {
    expect(same(result, wanted), "the same in several threads");
  }
}

} // namespace

int main() {
  testAnswersAreThoseOfThePacker();
  testLimitsOfNodes();
  testInterruptedSearchesAreForgotten();
  testThreads();
  if (failures == 0) {
    std::printf("packings from memory are those of the packer\n");
  }
  return failures == 0 ? 0 : 1;
}

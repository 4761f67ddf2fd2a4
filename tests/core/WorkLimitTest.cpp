// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// WorkLimitTest: the limit of the search, with limits that are reached at once
// or never.

#include "Expect.h"

#include "serenity/Driver/Compile/WorkLimit.h"

#include <cstdio>

using namespace serenity;
using namespace serenity::test;

namespace {

constexpr double never = 1e9; // seconds
constexpr double atOnce = 0;

bool contains(const std::string &text, const char *part) {
  return text.find(part) != std::string::npos;
}

void testTimeStartsWhenTold() {
  WorkLimit limit(atOnce, /*showProgress=*/false);
  expect(!limit.expired(), "no time passes before the start");
  expect(limit.remark().empty(), "no remark without a limit that was reached");
}

void testTimeReachedBeforeTheFirstTrial() {
  WorkLimit limit(atOnce, false);
  limit.start();
  expect(!limit.takeTrial(std::nullopt), "no trial compilation after the time");
  expect(limit.expired(), "the time stays over");
  expect(contains(limit.remark(), "time limit of 0 s after 0 trial "
                                  "compilations and takes the best"),
         "the remark on the time limit");
}

void testTimeReachedWithinATrial() {
  WorkLimit limit(atOnce, false);
  limit.start();
  expect(limit.abandonsTrial(), "a trial compilation ends with the time");
  expect(limit.abandonsTrial() && limit.expired(), "for good");
  expect(!limit.takeTrial(100), "and no other one begins");
  expect(contains(limit.remark(), "the last one unfinished"),
         "the remark names the trial compilation that was given up");
}

void testTrialsAreCounted() {
  WorkLimit limit(never, false);
  limit.start();
  int taken = 0;
  while (taken < 1000 && limit.takeTrial(std::nullopt)) {
    expect(!limit.abandonsTrial(), "no trial compilation ends early");
    ++taken;
  }
  expect(taken == 80, "80 trial compilations");
  expect(!limit.expired(), "the time is not over");
  expect(contains(limit.remark(), "its limit after 80 trial compilations with "
                                  "0 dispatches"),
         "the remark on the number of trial compilations");
}

void testDispatchesAreCounted() {
  WorkLimit limit(never, false);
  limit.start();
  int taken = 0;
  while (taken < 1000 && limit.takeTrial(std::nullopt)) {
    limit.addDispatches(12001); // more than all may have
    ++taken;
  }
  expect(taken == 8, "the first eight whatever their size");
  expect(contains(limit.remark(), "96008 dispatches"),
         "the remark on the number of dispatches");
}

void testAnotherSearch() {
  WorkLimit limit(never, false);
  limit.start();
  int taken = 0;
  for (int search = 0; search < 2; ++search) {
    while (taken < 1000 && limit.takeTrial(std::nullopt)) {
      ++taken;
    }
    expect(taken == 80 * (search + 1), "each search has its trials");
    limit.startSearch();
  }
  expect(contains(limit.remark(), "160 trial compilations"),
         "the remark counts those of both searches");
  limit.takeTrial(std::nullopt);
  limit.addDispatches(96009);
  limit.startSearch();
  taken = 0;
  while (taken < 20 && limit.takeTrial(std::nullopt)) {
    ++taken;
  }
  expect(taken == 20, "dispatches count for the search that made them");
}

} // namespace

int main() {
  testTimeStartsWhenTold();
  testTimeReachedBeforeTheFirstTrial();
  testTimeReachedWithinATrial();
  testTrialsAreCounted();
  testDispatchesAreCounted();
  testAnotherSearch();
  if (failures == 0) {
    std::printf("the search is limited as by hand\n");
  }
  return failures == 0 ? 0 : 1;
}

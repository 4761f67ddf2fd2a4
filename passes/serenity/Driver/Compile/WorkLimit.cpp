// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/WorkLimit.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <unistd.h>

namespace serenity {

namespace {

/// Trial compilations per module.
constexpr int64_t maxTrials = 80;
/// Dispatches in all trial compilations; the first few are not limited.
constexpr int64_t maxTrialDispatches = 12000;
constexpr int64_t minTrials = 8;

constexpr double secondsWithoutProgress = 2;

/// Wall-clock time may be this many times the limit in processor time.
constexpr double wallFactor = 4;

/// Seconds of all threads of this process.
double processorSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

/// 48960 -> "48,960".
std::string grouped(int64_t number) {
  std::string text = std::to_string(number);
  for (int64_t at = int64_t(text.size()) - 3; at > 0; at -= 3) {
    text.insert(size_t(at), ",");
  }
  return text;
}

} // namespace

WorkLimit::WorkLimit(double seconds, bool showProgress)
    : mayShow(showProgress && isatty(STDERR_FILENO)), seconds(seconds) {}

WorkLimit::~WorkLimit() {
  if (showing) {
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
  }
}

void WorkLimit::start() {
  if (!began) {
    began = std::chrono::steady_clock::now();
    processorBegan = processorSeconds();
  }
}

double WorkLimit::elapsed() const {
  return began ? std::chrono::duration<double>(
                     std::chrono::steady_clock::now() - *began)
                     .count()
               : 0;
}

bool WorkLimit::expired() {
  // The processor's clock is a system call, and searches ask often.
  const auto now = std::chrono::steady_clock::now();
  if (timeReached || now - asked < std::chrono::milliseconds(10)) {
    return timeReached;
  }
  asked = now;
  timeReached |= began && (processorSeconds() - processorBegan >= seconds ||
                           elapsed() >= wallFactor * seconds);
  return timeReached;
}

void WorkLimit::startSearch() {
  trialsBefore = trials;
  dispatchesBefore = dispatches;
}

bool WorkLimit::takeTrial(const std::optional<int64_t> &bestBytes) {
  const int64_t made = trials - trialsBefore;
  if (made >= maxTrials || (made >= minTrials && dispatches - dispatchesBefore >
                                                     maxTrialDispatches)) {
    workReached = true;
    return false;
  }
  if (expired()) {
    return false;
  }
  ++trials;
  if (mayShow && elapsed() >= secondsWithoutProgress) {
    showing = true;
    std::fprintf(
        stderr, "\rserenity: trial compilation %lld of at most %lld%s\x1b[K",
        static_cast<long long>(trials),
        static_cast<long long>(trialsBefore + maxTrials),
        bestBytes ? (", best " + grouped(*bestBytes) + " bytes").c_str() : "");
    std::fflush(stderr);
  }
  return true;
}

bool WorkLimit::abandonsTrial() {
  // In tests the time is over at this question, whatever the clock says.
  static const char *wanted = std::getenv("SERENITY_TEST_EXPIRE");
  timeReached |= wanted && ++questions == std::atoi(wanted);
  abandoned |= expired();
  return abandoned;
}

std::string WorkLimit::remark() const {
  std::string done = std::to_string(trials) + " trial compilation" +
                     (trials == 1 ? "" : "s") +
                     (abandoned ? ", the last one unfinished," : "");
  if (timeReached) {
    char limit[32];
    std::snprintf(limit, sizeof(limit), "%g", seconds);
    return "the search reached the time limit of " + std::string(limit) +
           " s after " + done +
           " and takes the best candidate so far; raise --serenity-time-limit "
           "to search on";
  }
  if (workReached) {
    return "the search reached its limit after " + done + " with " +
           std::to_string(dispatches) +
           " dispatches and takes the best candidate so far";
  }
  return "";
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Packing/PackMemo.h"

#include <mutex>
#include <unordered_map>
#include <utility>

namespace serenity {

namespace {

/// All packings are forgotten beyond so many numbers in keys and answers
/// (64 MiB).
constexpr size_t maxNumbers = size_t(1) << 23;

using Key = std::vector<int64_t>;

struct KeyHash {
  size_t operator()(const Key &key) const {
    uint64_t hash = 0xcbf29ce484222325; // FNV-1a, by words
    for (int64_t number : key) {
      hash = (hash ^ uint64_t(number)) * 0x100000001b3;
      hash ^= hash >> 29;
    }
    return size_t(hash);
  }
};

struct Answer {
  PackResult result;
  int64_t nodeLimit = 0;

  bool reachedLimit() const {
    return nodeLimit > 0 && result.nodes >= nodeLimit;
  }
};

struct Memo {
  std::mutex mutex;
  std::unordered_map<Key, Answer, KeyHash> answers;
  size_t numNumbers = 0;
};

Memo &memo() {
  static Memo instance;
  return instance;
}

/// All that an answer depends on, but limits.
Key keyOf(const std::vector<Slice> &slices, const PackOptions &options) {
  const PackRules &rules = options.rules;
  Key key = {int64_t(options.algorithm),
             options.offsetAlignment,
             options.rangeAlignment,
             options.capacity.has_value(),
             options.capacity.value_or(0),
             rules.sectionInference | rules.dominance << 1 |
                 rules.decomposition << 2 | rules.releaseBound << 3 |
                 rules.precedence << 4 | rules.fullSections << 5 |
                 rules.joints << 6 | rules.symmetry << 7 | rules.memory << 8};
  for (const Slice &slice : slices) {
    key.insert(key.end(),
               {slice.lower, slice.upper, slice.bytes, slice.alignment,
                slice.fixedOffset.has_value(), slice.fixedOffset.value_or(0),
                int64_t(slice.gaps.size())});
    for (const SliceGap &gap : slice.gaps) {
      key.insert(key.end(),
                 {gap.lower, gap.upper, gap.windowLower, gap.windowUpper});
    }
  }
  return key;
}

/// Whether a search with `nodeLimit` would have given `answer`, too.
bool answers(const Answer &answer, int64_t nodeLimit) {
  if (answer.reachedLimit()) {
    return nodeLimit == answer.nodeLimit;
  }
  return nodeLimit == 0 || answer.result.nodes < nodeLimit;
}

} // namespace

PackResult packOnce(const std::vector<Slice> &slices,
                    const PackOptions &options) {
  Key key = keyOf(slices, options);
  Memo &known = memo();
  {
    std::lock_guard<std::mutex> lock(known.mutex);
    auto found = known.answers.find(key);
    if (found != known.answers.end() &&
        answers(found->second, options.nodeLimit)) {
      return found->second.result;
    }
  }
  const Answer answer = {pack(slices, options), options.nodeLimit};
  if (answer.result.seconds >= options.timeLimitSeconds ||
      (answer.result.interrupted && !answer.reachedLimit())) {
    return answer.result;
  }
  std::lock_guard<std::mutex> lock(known.mutex);
  known.numNumbers += key.size() + slices.size();
  if (known.numNumbers > maxNumbers) {
    known.answers.clear();
    known.numNumbers = key.size() + slices.size();
  }
  known.answers[std::move(key)] = answer;
  return answer.result;
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Which of the judged candidates are built, and whether the predictions of the
// fusion model are trusted.

#include "serenity/Driver/Candidates/CandidateSearch.h"

#include "serenity/IREE/Ir.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <tuple>
#include <utility>

namespace serenity {

namespace {

/// So many of the best by the estimate at flow level are taken to their slabs.
constexpr size_t maxPlacedByEstimate = 6;

/// Candidates that are built while each needs more than the next promises.
constexpr int maxBuilt = 3;

/// Families of candidates of which one is built, where the model is wrong about
/// the stock candidate.
constexpr int maxFamilies = 4;

/// Band plans of a quantized network of which one candidate is built beside the
/// best.
constexpr int maxPlans = 2;

/// The model places all parts of concatenations or none. Where it says so much
/// more of the stock candidate than is built, by this part of the bytes, parts
/// matter that are placed one by one, and predictions do not rank candidates,
/// unless one halves the peak.
constexpr int64_t placementParts = 16;

/// Predictions with the memory of results are nearer to what is built, or have
/// no rule for what matters: they are trusted within this part of the bytes,
/// which is less than that of other predictions. It was chosen on two networks:
/// at a sixteenth randwire_c100_a ends worse, at a 32nd fpn_resnet18_16 is
/// compiled by trials for nothing.
constexpr int64_t resultParts = 20;

} // namespace

/// Whether predictions rank candidates, of which the best needs `least` bytes.
bool CandidateSearch::ranksCandidates(int64_t least) const {
  const Candidate &stock = candidates.at(Configuration());
  const int64_t bytes = *stock.builtBytes();
  return stock.prediction->sum() <= bytes + bytes / placementParts ||
         least <= bytes / 2;
}

bool CandidateSearch::agrees(int64_t predicted, int64_t built, int64_t parts) {
  return std::abs(predicted - built) <= built / parts;
}

bool CandidateSearch::promisesMore(const Configuration &a,
                                   const Configuration &b) const {
  int64_t bytesA = *bytesBefore(a);
  int64_t bytesB = *bytesBefore(b);
  return bytesA != bytesB ? bytesA < bytesB : numRewrites(a) < numRewrites(b);
}

/// Takes up to `limit` of `configs` to their slabs, those of least estimate
/// first; the one of least cost, or `best`, which is there already.
Configuration CandidateSearch::leastOf(const Configuration &best,
                                       std::vector<Configuration> configs,
                                       size_t limit) {
  std::stable_sort(configs.begin(), configs.end(),
                   [&](const Configuration &a, const Configuration &b) {
                     return promisesMore(a, b);
                   });
  if (judge == Judge::Compilations) {
    configs.resize(std::min(configs.size(), limit));
  }
  Configuration least = best;
  int64_t leastCost = costOf(best);
  for (const Configuration &config : configs) {
    std::optional<int64_t> bytes = measure(config);
    if (bytes && *bytes < leastCost) {
      least = config;
      leastCost = *bytes;
    }
  }
  return least;
}

/// The candidate of least cost among the best estimates and the stock
/// candidate; with `rewritten` among those with rewrites only.
Configuration CandidateSearch::placeBest(bool rewritten) {
  std::vector<const Configuration *> order;
  for (const auto &item : candidates) {
    if (asked.count(item.first) && bytesBefore(item.first) &&
        (!rewritten || numRewrites(item.first) > 0)) {
      order.push_back(&item.first);
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](const Configuration *a, const Configuration *b) {
                     return promisesMore(*a, *b);
                   });
  for (const Configuration &config : promising) {
    auto known = candidates.find(config);
    auto at = known != candidates.end()
                  ? std::find(order.begin(), order.end(), &known->first)
                  : order.end();
    if (at != order.end() && at - order.begin() >= int(maxPlacedByEstimate)) {
      std::rotate(order.begin(), at, at + 1);
    }
  }
  Configuration best;
  std::optional<int64_t> bestCost;
  if (!rewritten) {
    bestCost =
        judge == Judge::Predictions ? bytesBefore(best) : candidates[best].cost;
  }
  const size_t most = judge == Judge::Predictions ? 1 : maxPlacedByEstimate;
  for (size_t i = 0; i < std::min(order.size(), most); ++i) {
    std::optional<int64_t> known = measure(*order[i]);
    if (known &&
        (!bestCost || *known < *bestCost ||
         (*known == *bestCost && numRewrites(*order[i]) < numRewrites(best)))) {
      best = *order[i];
      bestCost = known;
    }
  }
  return best;
}

int64_t CandidateSearch::costOf(const Configuration &config) {
  if (judge == Judge::Predictions) {
    return bytesBefore(config).value_or(INT64_MAX);
  }
  Candidate *entry = placed(config);
  return entry ? entry->cost.value_or(INT64_MAX) : INT64_MAX;
}

/// The candidate of least cost among `best` and those with rewrites that were
/// brought to their slabs; `best` among equals. Strategies that look for fewer
/// commands pass over candidates of fewer bytes.
Configuration CandidateSearch::leastPlaced(Configuration best) {
  if (judge == Judge::Predictions) {
    return best;
  }
  for (const auto &item : candidates) {
    if (numRewrites(item.first) > 0 && item.second.placed &&
        item.second.cost.value_or(INT64_MAX) < costOf(best)) {
      best = item.first;
    }
  }
  return best;
}

std::optional<int64_t> CandidateSearch::Candidate::builtBytes() const {
  if (!placed || !prediction) {
    return std::nullopt;
  }
  int64_t sum = 0;
  for (const auto &item : prediction->peakBytes) {
    auto bytes = compared.find(item.first);
    if (bytes == compared.end() || !bytes->second) {
      return std::nullopt;
    }
    sum += *bytes->second;
  }
  return sum;
}

/// Whether the fusion model describes the module, and its peaks are static.
bool CandidateSearch::canPredict() {
  return placed(Configuration()) && predict(Configuration()) &&
         candidates.at(Configuration()).cost &&
         candidates.at(Configuration()).builtBytes();
}

/// Those of `configs` that are predicted, without the stock candidate: of
/// fewest bytes, then of least work that is done twice, of fewest dispatches
/// and of fewest rewrites.
std::vector<CandidateSearch::Ranked>
CandidateSearch::rankPredictions(const std::set<Configuration> &configs) const {
  std::vector<Ranked> ranked;
  for (const Configuration &config : configs) {
    auto known = candidates.find(config);
    if (config.isStock() || known == candidates.end() ||
        !known->second.prediction) {
      continue;
    }
    ranked.push_back(
        {known->second.prediction->sum(), burdenOf(config), config});
  }
  std::sort(ranked.begin(), ranked.end(), [](const Ranked &a, const Ranked &b) {
    return std::tie(a.bytes, a.burden, a.config) <
           std::tie(b.bytes, b.burden, b.config);
  });
  return ranked;
}

/// Has IREE build a candidate; its bytes, nothing if a function would be worse
/// off than stock.
std::optional<int64_t> CandidateSearch::build(const Configuration &config) {
  if (!compileToPlace(config)) {
    return std::nullopt;
  }
  std::optional<int64_t> cost = placeCandidate(config);
  return cost ? candidates.at(config).builtBytes() : std::nullopt;
}

/// Builds the candidates of least prediction, until none promises less than
/// the best of them. Returns that one, and whether it is the answer: not if it
/// needs more than was predicted, nor if the stock candidate needs much less.
/// Then other candidates have to be compared by trial compilations.
std::pair<Configuration, bool> CandidateSearch::buildBest() {
  const std::vector<Ranked> ranked = rankPredictions(asked);
  Configuration best;
  int64_t least = *candidates.at(best).builtBytes();
  const int64_t promised = ranked.empty() ? least : ranked.front().bytes;
  const Ranked *last = nullptr;
  int numBuilt = 0;
  // Where a candidate needs less than predicted, others may, too.
  bool tooHigh = false;
  for (const Ranked &next : ranked) {
    if (numBuilt == maxBuilt || (least <= next.bytes && !tooHigh)) {
      break;
    }
    if (last && next.bytes == last->bytes &&
        (next.config.storage == Configuration::AsGiven ||
         next.config.bands == last->config.bands)) {
      continue; // the same peak, most likely
    }
    last = &next;
    ++numBuilt;
    std::optional<int64_t> bytes = build(next.config);
    tooHigh = bytes && *bytes < next.bytes && !agrees(next.bytes, *bytes);
    if (bytes && *bytes < least) {
      best = next.config;
      least = *bytes;
    }
  }
  const Candidate &stock = candidates.at(Configuration());
  const int64_t stockPredicted = stock.prediction->sum();
  const int64_t stockBytes = *stock.builtBytes();
  if (!ranksCandidates(least)) {
    return {best, false};
  }
  // Too many to build while each promises less than the next, but one of them
  // may have the bands that need least, or be the lightest.
  std::set<Configuration> judged = asked;
  judged.insert(trimSteps.begin(), trimSteps.end());
  const std::vector<Ranked> all = rankPredictions(judged);
  if (!agrees(stockPredicted, stockBytes)) {
    best = buildFamilies(all, best);
    least = *candidates.at(best).builtBytes();
  }
  if (best.storage != Configuration::AsGiven) {
    best = buildPlans(ranked, best);
    least = *candidates.at(best).builtBytes();
  }
  if (least > promised && !agrees(promised, least)) {
    return {best, false};
  }
  // Where much less is built than promised, candidates of equal promise differ
  // in what the model does not describe. Those in bands were compared.
  if (best.storage != Configuration::AsGiven && best.bands == 0 &&
      !agrees(promised, least) && ranked.size() > 1 &&
      ranked[1].bytes == promised) {
    return {best, false};
  }
  return {buildTrimmed(buildLightest(all, best)), true};
}

/// Makes all predictions anew, with the memory of results or without.
void CandidateSearch::predictWithResults(bool reuse) {
  if (reuseResults != reuse) {
    reuseResults = reuse;
    for (auto &item : candidates) {
      item.second.prediction.reset();
    }
  }
}

/// Whether predictions agree with all candidates that were built.
bool CandidateSearch::predictsBuilt() {
  std::vector<Configuration> built;
  for (const auto &item : candidates) {
    if (item.second.placed && item.second.cost) {
      built.push_back(item.first);
    }
  }
  bool agree = true;
  for (const Configuration &config : built) { // all of them, for the report
    const bool known = predict(config);
    const Candidate &entry = candidates.at(config);
    const std::optional<int64_t> bytes = entry.builtBytes();
    agree = agree && known && bytes &&
            agrees(entry.prediction->sum(), *bytes, resultParts);
  }
  return agree;
}

/// Searches once more by predictions in which buffers lie in the memory of
/// results, among the candidates so far as well. Returns the best candidate
/// that was built, `before` or another, and whether it is the answer: if these
/// predictions agree with all that is built.
std::pair<Configuration, bool>
CandidateSearch::searchWithResults(RewriteMode mode,
                                   const Configuration &before) {
  std::set<Configuration> judged = asked;
  judged.insert(trimSteps.begin(), trimSteps.end());
  predictWithResults(true);
  if (!predictsBuilt()) {
    return {before, false};
  }
  judge = Judge::Predictions;
  runStrategies(mode);
  for (const Configuration &config : judged) {
    predict(config);
  }
  judge = Judge::Compilations;
  judged.insert(asked.begin(), asked.end());
  judged.insert(trimSteps.begin(), trimSteps.end());
  Configuration best = before;
  int64_t least = *candidates.at(best).builtBytes();
  int numBuilt = 0;
  for (const Ranked &next : rankPredictions(judged)) {
    if (numBuilt == maxBuilt || next.bytes >= least) {
      break;
    }
    if (placed(next.config)) {
      continue;
    }
    ++numBuilt;
    std::optional<int64_t> bytes = build(next.config);
    if (!bytes || !agrees(next.bytes, *bytes, resultParts)) {
      return {bytes && *bytes < least ? next.config : best, false};
    }
    if (*bytes < least) {
      best = next.config;
      least = *bytes;
    }
  }
  return {best, true};
}

/// Builds the best of each group of `ranked` that is not in `built` and of
/// which nothing is placed, up to `limit` of them, until one promises too much
/// to need less than the best so far. Returns that.
Configuration CandidateSearch::buildBestOfEach(
    const std::vector<Ranked> &ranked, const Configuration &best, int limit,
    std::set<Group> built,
    const std::function<Group(const Configuration &)> &groupOf,
    const std::function<bool(int64_t promised, int64_t least)> &mayNeedLess) {
  for (const Ranked &item : ranked) {
    if (placed(item.config)) {
      built.insert(groupOf(item.config));
    }
  }
  Configuration least = best;
  int64_t leastBytes = *candidates.at(best).builtBytes();
  int numBuilt = 0;
  for (const Ranked &next : ranked) {
    if (numBuilt == limit || !mayNeedLess(next.bytes, leastBytes)) {
      break;
    }
    if (!built.insert(groupOf(next.config)).second) {
      continue;
    }
    ++numBuilt;
    std::optional<int64_t> bytes = build(next.config);
    if (bytes && *bytes < leastBytes) {
      least = next.config;
      leastBytes = *bytes;
    }
  }
  return least;
}

/// Where the model is wrong about the stock candidate, it may be about whole
/// families: candidates of one band plan, with or without rewrites, and of one
/// fusion. Builds the best of each that is not built and promises not too much
/// more than `best` needs.
Configuration CandidateSearch::buildFamilies(const std::vector<Ranked> &ranked,
                                             const Configuration &best) {
  auto familyOf = [](const Configuration &config) {
    const bool rewritten = numRewrites(config) > 0;
    const bool plain = !rewritten && config.bands == 0;
    return Group(config.storage, config.bands, rewritten,
                 plain && config.fuseMultiUse.has_value());
  };
  return buildBestOfEach(
      ranked, best, maxFamilies, {}, familyOf,
      [](int64_t promised, int64_t least) { return promised / 2 <= least; });
}

/// Of a quantized network, builds the best of each other band plan that
/// promises about what `best` needs. Values behind the peak are computed again
/// in what is built alone, so that one of these may need less than it promises.
Configuration CandidateSearch::buildPlans(const std::vector<Ranked> &ranked,
                                          const Configuration &best) {
  auto planOf = [](const Configuration &config) {
    return Group(Configuration::AsGiven, config.bands, false, false);
  };
  return buildBestOfEach(ranked, best, maxPlans, {planOf(Configuration())},
                         planOf, [](int64_t promised, int64_t least) {
                           return promised <= least || agrees(promised, least);
                         });
}

/// Where `best` needs more than predicted, another candidate may need no more
/// with less work. Builds the lightest that promises so.
Configuration CandidateSearch::buildLightest(const std::vector<Ranked> &ranked,
                                             const Configuration &best) {
  if (best.isStock()) {
    return best;
  }
  const int64_t least = *candidates.at(best).builtBytes();
  const Ranked own = {least, burdenOf(best), best};
  const Ranked *lightest = &own;
  for (const Ranked &next : ranked) {
    if (next.bytes <= least && next.burden < lightest->burden) {
      lightest = &next;
    }
  }
  if (lightest == &own || placed(lightest->config)) {
    return best;
  }
  std::optional<int64_t> bytes = build(lightest->config);
  return bytes && *bytes <= least ? lightest->config : best;
}

} // namespace serenity

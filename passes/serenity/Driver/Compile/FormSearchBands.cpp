// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Bands of rows in the search for a form. They are planned on the graph at the
// end of preprocessing, which takes milliseconds, and only plans that promise
// to need less than the best form so far are compiled.

#include "serenity/Driver/Compile/FormSearch.h"

#include "serenity/Driver/Compile/Stopwatch.h"

#include <algorithm>

namespace serenity {

/// Banded forms that are taken to their slabs before the best is refined.
static constexpr size_t maxPlacedBands = 2;

const BandPlan *FormSearch::bandPlan(const Form &form) const {
  return maker && form.bands > 0 ? &maker->bandPlan(form.bands) : nullptr;
}

/// The plans of least peak: as the network is, and with expansions computed in
/// pieces of their channels inside the bands.
const std::vector<size_t> &FormSearch::planBands(Form::Storage storage) {
  auto inserted = bandPlans.emplace(storage, std::vector<size_t>());
  std::vector<size_t> &numbers = inserted.first->second;
  if (!inserted.second) {
    return numbers;
  }
  Stopwatch watch(report, "bands");
  for (bool streamed : {false, true}) {
    BandOptions planning;
    planning.maxRecompute = options.maxRecompute;
    planning.streamed = streamed;
    BandPlan plan = maker->planBands(storage, planning);
    auto same = [&](size_t number) {
      const BandPlan &other = maker->bandPlan(number);
      return other.sites.size() == plan.sites.size() &&
             std::equal(other.sites.begin(), other.sites.end(),
                        plan.sites.begin(),
                        [](const BandSite &a, const BandSite &b) {
                          return a.from == b.from && a.to == b.to &&
                                 a.height == b.height;
                        });
    };
    if (!plan.empty() && std::none_of(numbers.begin(), numbers.end(), same)) {
      numbers.push_back(maker->addBandPlan(storage, std::move(plan)));
    }
  }
  return numbers;
}

/// Forms in bands where a plan promises less than `best` needs; the best of
/// them is refined as `best` was.
Form FormSearch::tryBands(Form best) {
  Tried *known = placed(best);
  if (!known || !known->cost) {
    return best;
  }
  std::vector<Form> forms;
  for (size_t number : planBands(best.storage)) {
    if (maker->bandPlan(number).predictedBytes >= *known->cost) {
      continue;
    }
    Form form;
    form.storage = best.storage;
    form.bands = number;
    form.inPlace = Form::LastUse;
    const std::vector<RewriteSite> &sites = maker->sites(form);
    std::vector<Form> variants = {form};
    // The same choice for all bands: by kind.
    form.sites.resize(sites.size());
    for (size_t i = 0; i < sites.size(); ++i) {
      form.sites[i] =
          sites[i].kind == RewriteKind::Stream && !sites[i].padsOnly;
    }
    if (numRewrites(form) > 0) {
      variants.push_back(form);
    }
    for (const Form &variant : variants) {
      if (asked.insert(variant).second && estimateForm(variant)) {
        forms.push_back(variant);
      }
    }
  }
  std::stable_sort(
      forms.begin(), forms.end(),
      [&](const Form &a, const Form &b) { return promisesMore(a, b); });
  forms.resize(std::min(forms.size(), maxPlacedBands));
  Form least = best;
  int64_t leastCost = *known->cost;
  for (const Form &form : forms) {
    std::optional<int64_t> bytes = placeForm(form);
    if (bytes && *bytes < leastCost) {
      least = form;
      leastCost = *bytes;
    }
  }
  return least.bands == best.bands ? best
                                   : keepApartAtPeak(rewriteAtPeak(least));
}

} // namespace serenity

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The searches on a module of which inputs may be overwritten: with the memory
/// of these inputs and, as if the caller had not agreed, with all inputs kept.
///
/// Other inputs and results lead a search, which compares a few of many
/// candidates, another way, so that more memory to use may end in a module that
/// needs more. Hence the module that is the answer where inputs are kept is a
/// candidate where they may be overwritten, with and without use of their
/// memory: a call never needs more bytes because its caller agrees.

#ifndef SERENITY_DRIVER_CANDIDATES_CANDIDATESEARCHES_H
#define SERENITY_DRIVER_CANDIDATES_CANDIDATESEARCHES_H

#include "serenity/Driver/Candidates/CandidateSearch.h"

#include <cstdint>
#include <optional>

namespace serenity {

class CandidateSearches {
public:
  /// As `CandidateSearch`.
  CandidateSearches(iree_compiler_session_t *session, const UserFlags &user,
                    const Options &options, StreamPhase &stream, bool watched,
                    ModuleReport &report, WorkLimit &limit)
      : given(session, user, options, stream, watched, report, limit),
        kept(session, user, options, stream, watched, report, limit),
        limit(limit) {}

  /// Makes candidates from `module`, at the end of the preprocessing phase, in
  /// which imports are marked as consumed where inputs may be overwritten.
  void startFrom(MlirOperation module);

  /// The stock candidate reordered, first of all. With `whereKept`, the memory
  /// as stock where all inputs are kept, there are two searches.
  void placeStock(MlirOperation flow, const CandidateSearch::Stock &stock,
                  const CandidateSearch::Stock *whereKept);

  /// A configuration, and the search that it was found in.
  struct Answer {
    Configuration config;
    CandidateSearch *search = nullptr;
    /// As `CandidateSearch::choiceOf` has it.
    std::optional<CachedChoice> choice;
  };

  /// The configuration of least cost. With `refine` it is solved once more
  /// where the limit of the comparison has ended its search.
  Answer search(RewriteMode mode, bool refine);

  /// As `CandidateSearch::replay`.
  std::optional<Answer> replay(const CachedChoice &choice, bool refine);

  /// The search with the inputs as they are marked.
  CandidateSearch &asMarked() { return given; }
  /// Whether `answer` leaves inputs alone that may be overwritten.
  bool keepsInputs(const Answer &answer) const {
    return answer.search == &kept;
  }

  int64_t numCompilations() const {
    return given.numCompilations() + kept.numCompilations();
  }
  void forget();

private:
  FormedModules formed;
  CandidateSearch given;
  CandidateSearch kept;
  bool searchesKept = false;
  WorkLimit &limit;
};

} // namespace serenity

#endif // SERENITY_DRIVER_CANDIDATES_CANDIDATESEARCHES_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// IREE's stream phase in pieces, with the serenity passes between them.

#ifndef SERENITY_DRIVER_COMPILE_STREAMPHASE_H
#define SERENITY_DRIVER_COMPILE_STREAMPHASE_H

#include "serenity/Driver/Candidates/VariantChoice.h"
#include "serenity/Driver/Compile/UserFlags.h"
#include "serenity/IREE/OwningOp.h"
#include "serenity/IREE/PipelineCache.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace serenity {

class StreamPhase {
public:
  /// `verify` as the user wants it of the invocation; `printIrAfter` names
  /// passes of serenity_mlir.
  StreamPhase(iree_compiler_invocation_t *inv, const UserFlags &user,
              const bool &verify, const std::vector<std::string> &printIrAfter)
      : inv(inv), user(user), verify(verify), printIrAfter(printIrAfter) {}

  /// From the flow phase to laid out slabs, with the serenity passes if there
  /// are options `scheduled` for them. `visible` runs are those that the user
  /// may watch; the others are tries.
  bool toSlabs(MlirOperation module, const Options *scheduled,
               ModuleReport *into, bool visible);
  /// The two halves of that behind `serenity-schedule`: to execution regions,
  /// and from there. A run for which `abandons` holds between two pieces ends
  /// there, as if the next one had failed.
  bool toRegions(MlirOperation module, bool scheduled, bool visible,
                 const std::function<bool()> &abandons = nullptr);
  bool fromRegions(MlirOperation module, const Options *scheduled,
                   ModuleReport *into, bool visible,
                   const std::function<bool()> &abandons = nullptr);
  /// From laid out and packed slabs to commands, where reference counting has
  /// placed the releases.
  bool toCommands(MlirOperation module);
  /// From there to the end of the phase.
  bool toEnd(MlirOperation module);

  /// The peaks of a module with laid out slabs as the runtime will see them,
  /// packed by `algorithm`: those at the end of the commands, where releases
  /// have been placed. The module stays as it is. `withResults` receives the
  /// peaks of transient memory and results together, where they are exact.
  Peaks runtimePeaks(MlirOperation module, const Options &options,
                     PackAlgorithm algorithm, Peaks *withResults = nullptr);
  /// The same, at less cost where all functions have a single slab.
  Peaks peaks(MlirOperation module, const Options &options,
              PackAlgorithm algorithm, Peaks *withResults = nullptr);
  /// A copy of a module with laid out slabs of IREE's in which transient
  /// buffers lie in results and inputs where that makes a slab smaller.
  ir::OwningOp withOffsets(MlirOperation module, const Options &options);
  /// A copy of a module with commands in which released allocations serve later
  /// ones, as at the end of the phase: the peaks rise. Null if that fails.
  ir::OwningOp withReuse(MlirOperation module);

  bool runOwn(const char *pass, MlirOperation module, const Options &options,
              ModuleReport *into, bool visible);
  bool runIree(MlirOperation module, const std::string &text, bool visible);

private:
  std::string streamOptions(bool visible) const;

  iree_compiler_invocation_t *inv;
  const UserFlags &user;
  const bool &verify;
  const std::vector<std::string> &printIrAfter;
  ir::PipelineCache pipelines;
};

/// The peaks of a module with laid out slabs if `algorithm` packs them.
Peaks transientPeaks(MlirOperation module, const Options &options,
                     PackAlgorithm algorithm, Peaks *withResults = nullptr);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_STREAMPHASE_H

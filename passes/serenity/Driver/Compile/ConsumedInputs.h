// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Arguments whose buffers the call consumes: they may be overwritten. IREE's
// own mark is `iree.abi.consume`, which becomes `hal.tensor.import consume`.

#ifndef SERENITY_DRIVER_COMPILE_CONSUMEDINPUTS_H
#define SERENITY_DRIVER_COMPILE_CONSUMEDINPUTS_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace serenity {

/// Numbers of arguments by the name of the function.
using ConsumedInputs = std::map<std::string, std::set<int64_t>>;

/// Arguments that JAX donates (`jax.buffer_donor`, `tf.aliasing_output`), in a
/// module as it was imported.
ConsumedInputs findDonatedInputs(MlirOperation module);

/// Marks the imports of `inputs`, and of the arguments `everywhere` of every
/// function, as IREE marks consumed ones; with `InputMode::Overwrite` those of
/// all arguments that are read by one import alone. The module has been through
/// IREE's abi phase; importers may have added `$async` to names. Returns the
/// numbers in `everywhere` that some function has.
std::set<int64_t> markConsumedInputs(MlirOperation module,
                                     const ConsumedInputs &inputs,
                                     const std::vector<int64_t> &everywhere,
                                     InputMode mode);

/// Removes the marks of all imports of arguments, in a module at any phase up
/// to laid out slabs; returns what was marked. `markConsumedInputs` marks it
/// again.
ConsumedInputs takeConsumedInputs(MlirOperation module);

/// Warns of the arguments in `everywhere` that are not in `marked`, or that no
/// function overwrites.
void warnOfIdleConsumption(MlirLocation location,
                           const std::vector<int64_t> &everywhere,
                           const std::set<int64_t> &marked,
                           const ModuleReport &report);

/// The functions of a module at flow that import an argument whose memory they
/// may overwrite, as marked.
std::set<std::string> consumingFunctions(MlirOperation module);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_CONSUMEDINPUTS_H

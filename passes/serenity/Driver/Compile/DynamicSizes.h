// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H
#define SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H

#include "serenity/Driver/Compile/StreamPhase.h"
#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// Emits one remark for every function of `module` (at flow) that computes
/// tensors of dynamic size: they are rewritten along static dimensions only.
/// The remark names the dynamic dimensions of the arguments as `argI:axisJ` and
/// the flag that fixes them.
void remarkOnDynamicSizes(MlirOperation module);

/// Warns of every `--serenity-dim-hint` and `-bound` for a dimension on which
/// no size of `module` (at flow) depends, in the report too: of an argument or
/// axis that no function has, that is static, or that nothing reads.
void warnOfIdleExtents(MlirOperation module, const Options &options,
                       ModuleReport &report);

/// Options whose hints are the bounds, where there are any.
Options atBounds(const Options &options);

/// Options whose hints are `factor` times those of `options`, at least 1 and at
/// most the bounds.
Options atScaledHints(const Options &options, double factor);

/// Transient bytes that a function needs, with a note for messages.
struct BytesNeeded {
  /// Nothing if no number is known; the note says why, and the remedy.
  std::optional<int64_t> bytes;
  std::string note;
};

/// The upper bound of the formula of a function whose transient peak is not
/// static. A call with a larger extent than the bounds may need more.
BytesNeeded bytesAtBounds(const FunctionReport &function);

/// How to give an upper bound to a formula that has none.
std::string boundAdvice(const BytesFormula &formula);

/// Extents at which no function may need more than as stock, beside the hints.
struct OtherExtents {
  /// In words: "where every dynamic dimension is 1".
  std::string where;
  /// With these extents as hints.
  Options options;
  /// Transient bytes of the functions as stock.
  Peaks stock;
};

/// All of them: where all dimensions are small, all are large, and all are at
/// their bounds. None if no slab of `stock`, a module of allocations, has a
/// dynamic size.
std::vector<OtherExtents> stockElsewhere(MlirOperation stock,
                                         const Options &options);

/// Bytes that a function needs at other extents, and those as stock.
struct LargerElsewhere {
  std::string where;
  int64_t bytes = 0;
  int64_t stockBytes = 0;
};

/// The functions that need more in `own`, a module of allocations laid out by
/// serenity-pack, than as stock at one of `places`, with the first of these.
std::map<std::string, LargerElsewhere>
findLargerElsewhere(const std::vector<OtherExtents> &places, MlirOperation own);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H

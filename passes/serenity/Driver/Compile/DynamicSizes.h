// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H
#define SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"

#include <optional>
#include <set>
#include <string>

namespace serenity {

/// Emits one remark for every function of `module` (at flow) that computes
/// tensors of dynamic size: they are not rewritten. The remark
/// names the dynamic dimensions of the arguments as `argI:axisJ` and the flag
/// that fixes them.
void remarkOnDynamicSizes(MlirOperation module);

/// Warns of every `--serenity-dim-hint` and `-bound` for a dimension on which
/// no size of `module` (at flow) depends, in the report too: of an argument or
/// axis that no function has, that is static, or that nothing reads.
void warnOfIdleExtents(MlirOperation module, const Options &options,
                       ModuleReport &report);

/// Options whose hints are the bounds, where there are any.
Options atBounds(const Options &options);

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

/// Functions with slabs of dynamic size that need more in `own`, laid out by
/// serenity-pack, than in `stock`, laid out by IREE, where all dimensions are
/// small, all are large or all are at their bounds. Both are modules of
/// allocations; they were compared at the hints only. Emits a remark for each
/// on `stock`.
std::set<std::string> findLargerElsewhere(MlirOperation stock,
                                          MlirOperation own,
                                          const Options &options);

} // namespace serenity

#endif // SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H

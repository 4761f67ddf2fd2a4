// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H
#define SERENITY_DRIVER_COMPILE_DYNAMICSIZES_H

#include "serenity/IREE/MlirC.h"
#include "serenity/Report/Report.h"
#include "serenity/Transforms/Options.h"

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

/// How a function whose transient peak is not static stands to the budget: by
/// the upper bound of its formula. `message` receives the answer in words. A
/// call with a larger extent than the bounds may need more.
FunctionBudget checkBudgetAtBound(const FunctionReport &function,
                                  int64_t budgetBytes, std::string &message);

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

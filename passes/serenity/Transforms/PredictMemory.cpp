// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

//===- serenity-predict-memory --------------------------------------------===//
//
// Predicts the transient memory of every function before dispatches are formed,
// without running IREE: the fusion model says which operations become one
// dispatch, and the scheduler orders those.
//
// Assumes linalg on tensors, and functions of one block. Quantized modules are
// predicted as IREE's global optimization will leave them, with contractions
// raised to integers. With `last-use`, results overwrite operands that die with
// them, as serenity-in-place-results will do. With `reuse`, buffers may lie in
// the memory of results, as serenity-reuse-external-memory will place them.
//
// Afterwards every function has `serenity.predicted_peak_bytes`; nothing else
// is changed. A module with an operation that no rule of the model describes
// has a remark instead.
//
// Place in the pipeline: after preprocessing and serenity-rewrite. No other
// pass reads the attribute.
//
//   util.func @f(...) { matmul, elementwise, pad, matmul }
// =>
//   util.func @f(...) attributes {serenity.predicted_peak_bytes = 1344 : i64}
//===----------------------------------------------------------------------===//

#include "serenity/Analysis/MemoryPrediction.h"
#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Attributes.h"
#include "serenity/Transforms/Passes.h"
#include "serenity/Transforms/QuantizedOps.h"

namespace serenity {

bool runPredictMemory(MlirOperation module, const Options &options,
                      ModuleReport *) {
  constexpr int64_t states = 10000;
  rewrite::FusionRules rules;
  rules.inPlace = rules.inPlaceAtLastUse = options.lastUse;
  rules.alignment = options.defaultAlignment;
  rules.sizes = TensorSizes(options);
  const bool isQuantized = quantized::hasAffine(module);
  const ir::OwningOp raised =
      isQuantized ? quantized::raisedCopy(module) : ir::OwningOp();
  std::optional<rewrite::Prediction> found;
  if (raised || !isQuantized) {
    found = rewrite::predictMemory(
        raised ? raised.get() : module, rules, options.reuse,
        options.stateLimit ? options.stateLimit : states);
  }
  if (!found) {
    ir::emitRemark(mlirOperationGetLocation(module),
                   "the fusion model does not describe this module; its memory "
                   "is not predicted");
    return true;
  }
  for (MlirOperation function : ir::operations(ir::body(module))) {
    auto peak = found->peakBytes.find(
        ir::stringAttr(function, "sym_name").value_or(""));
    if (peak != found->peakBytes.end()) {
      attributes::setPredictedPeakBytes(function, peak->second);
    }
  }
  return true;
}

} // namespace serenity

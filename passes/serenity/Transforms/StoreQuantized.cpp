// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// serenity-store-quantized
//
// Stores the activations of a quantized network in the integers that they
// have. IREE computes convolutions and products over dequantized values in
// integers, but its dispatch boundaries fall where linalg operations end, often
// between an accumulator of 32 bits and the quantization behind it, and pools,
// concatenations and reshapes between a dequantization and a quantization work
// on f32. This pass
//
//   - cancels Q(DQ(x)) of equal parameters;
//   - moves quantizations up through max pools, pads, concatenations, reshapes,
//     transpositions, repetitions, slices and gathers (such as a resize to the
//     nearest element) that have no other user;
//   - moves dequantizations down through pads, reshapes, transpositions and
//     gathers;
//   - moves dequantizations up through concatenations that nothing but a result
//     of the function is made of: the parts are dequantized into the memory of
//     the result, and the concatenation in integers takes none;
//   - puts a barrier (`util.optimization_barrier {serenity.barrier}`) between a
//     quantization and a dequantization where an elementwise chain would pull
//     an accumulator over a dispatch boundary, but not within the epilogue of a
//     contraction that multiplies a value with a quantized function of it.
//
// Assumes linalg on tensors at the end of preprocessing, per-tensor or
// per-channel parameters that are constants, integers of 8 or 16 bits. Leaves
// all other operations as they are. IREE 3.12 has no operations for
// quantization: there the pass finds nothing.
//
// Afterwards every result is the same bit for bit. Q is monotone, and takes
// elements one by one, so it commutes with operations that only move elements
// and, where no element is a NaN (which interval arithmetic has to prove), with
// maxima; the padding value is quantized by the arithmetic of IREE's own
// lowering; Q(DQ(q)) = q for the parameters accepted. Contractions that IREE
// computes in integers are the same before and after, which is checked by
// raising both: computing another one in integers would round differently.
//
// Place: after preprocessing, before serenity-rewrite. The barriers have to be
// removed at flow level, as those of serenity-rewrite.

#include "serenity/Transforms/StoreQuantized.h"

#include "serenity/IREE/OwningOp.h"
#include "serenity/Transforms/Passes.h"

namespace serenity {

using namespace ir;
using quantized::Mover;

/// All moves on `module`, with or without dequantizations, then barriers.
static StoreQuantizedCounts
store(MlirOperation module, bool down,
      const std::map<std::string, int64_t> &raised) {
  Mover mover;
  mover.quantizeUp(module);
  if (down) {
    mover.dequantizeDown(module);
    mover.quantizeUp(module);
  }
  mover.dequantizeResults(module);
  quantized::insertStorageBarriers(module, raised, mover.counts);
  return mover.counts;
}

bool storeQuantized(MlirOperation module, bool raises,
                    StoreQuantizedCounts *counts,
                    std::vector<QuantizedValueReport> *values) {
  if (!quantized::hasAffine(module)) {
    return true;
  }
  std::map<std::string, int64_t> raised;
  if (raises) {
    raised = quantized::raisedContractions(module);
  }
  for (bool down : {true, false}) {
    OwningOp trial = OwningOp::clone(module);
    store(trial.get(), down, raised);
    if (mlirOperationVerify(trial.get()) &&
        (!raises || quantized::raisedContractions(trial.get()) == raised)) {
      StoreQuantizedCounts done = store(module, down, raised);
      if (counts) {
        *counts = done;
      }
      if (values) {
        *values = quantized::describeValues(module, raised, /*moves=*/true);
      }
      return true;
    }
  }
  if (values) {
    *values = quantized::describeValues(module, raised, /*moves=*/false);
  }
  return false;
}

bool runStoreQuantized(MlirOperation module, const Options &, ModuleReport *) {
  if (!storeQuantized(module)) {
    emitRemark(mlirOperationGetLocation(module),
               "serenity-store-quantized: not applied: the set of contractions "
               "in integers would change");
  }
  return true;
}

} // namespace serenity

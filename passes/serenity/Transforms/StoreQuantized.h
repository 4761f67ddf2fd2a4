// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// Storing quantized values in the integers that they have: the moves of
/// `serenity-store-quantized`, one by one, and the pass as the driver runs it.

#ifndef SERENITY_TRANSFORMS_STOREQUANTIZED_H
#define SERENITY_TRANSFORMS_STOREQUANTIZED_H

#include "serenity/Report/Report.h"
#include "serenity/Transforms/QuantizedOps.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace serenity {

/// The number of changes that `storeQuantized` has made.
struct StoreQuantizedCounts {
  int64_t folded = 0;     // Q(DQ(x)) -> x
  int64_t quantizeUp = 0; // through an operation
  int64_t dequantizeDown = 0;
  int64_t dequantizedParts = 0; // concatenations that are results
  int64_t barriers = 0;

  bool any() const {
    return folded + quantizeUp + dequantizeDown + dequantizedParts + barriers >
           0;
  }
};

/// Makes `module` (linalg on tensors, at the end of preprocessing) store
/// quantized values in their integers. `raises`: IREE computes contractions
/// over dequantized values in integers
/// (`--iree-global-opt-enable-qdq-to-integer-math`). Those that it does, and no
/// others, stay so: where moving dequantizations changes that, they are not
/// moved; where the other moves do, the module is left as it is and the result
/// is false. `values` receives those that are quantized.
bool storeQuantized(MlirOperation module, bool raises = true,
                    StoreQuantizedCounts *counts = nullptr,
                    std::vector<QuantizedValueReport> *values = nullptr);

namespace quantized {

/// Moves quantizations and dequantizations; knows which operations are gone.
class Mover {
public:
  /// Moves quantizations up until none can be moved further.
  void quantizeUp(MlirOperation module);
  /// Moves dequantizations down, likewise.
  void dequantizeDown(MlirOperation module);
  /// Dequantizes concatenations that are results of the function part by part.
  void dequantizeResults(MlirOperation module);

  StoreQuantizedCounts counts;

private:
  /// Moves one in front of the producer of its operand, or cancels both.
  /// Returns whether anything changed; the operation is gone then.
  bool moveUp(const Affine &affine);
  /// The value of `affine` with it in front of `producer`, which it commutes
  /// with (`refusalToMoveUp`).
  MlirValue movedUp(const Affine &affine, MlirOperation producer);
  /// Moves one behind one of its users. Returns whether anything changed.
  bool moveDown(const Affine &affine);
  /// Moves one in front of the concatenation that it reads, if that is read by
  /// nothing else and the result of the function. Returns whether it was moved;
  /// the operation is gone then.
  bool dequantizeParts(const Affine &affine);
  void replace(MlirValue old, MlirValue with);
  void eraseDead(MlirOperation op);
  /// Calls `move` for every quantization or every dequantization. Returns
  /// whether anything changed.
  bool sweep(MlirOperation module, bool quantizes,
             bool (Mover::*move)(const Affine &));

  /// Operations erased since the last sweep began.
  std::set<const void *> erased;
};

/// Why the quantization `affine` cannot be moved in front of the producer of
/// its operand; empty: it can be; nothing: it does not commute with the
/// producer.
std::optional<std::string> refusalToMoveUp(const Affine &affine);

/// Describes every value that `module` quantizes, constants aside. `raised` has
/// the contractions that IREE computes in integers. `moves`: the module is one
/// whose quantizations have been moved.
std::vector<QuantizedValueReport>
describeValues(MlirOperation module,
               const std::map<std::string, int64_t> &raised, bool moves);

/// Whether every use of `value` makes it a result of the function, alone or as
/// a part of a concatenation: its memory is no part of the slab then.
bool reachesOnlyResults(MlirValue value);

/// Puts barriers between quantizations and dequantizations where the value
/// would be stored in 32 bits otherwise. `raised` has the contractions that
/// IREE computes in integers.
void insertStorageBarriers(MlirOperation module,
                           const std::map<std::string, int64_t> &raised,
                           StoreQuantizedCounts &counts);

} // namespace quantized
} // namespace serenity

#endif // SERENITY_TRANSFORMS_STOREQUANTIZED_H

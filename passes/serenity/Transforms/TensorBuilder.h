// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The only place where a rewrite makes operations on tensors.
///
/// The C API builds an operation from any types and operands, and IREE's passes
/// do not expect one that the verifier would refuse: a dynamic dimension
/// without the operand for its extent ends the compiler. So every constructor
/// here checks its operands and the type it makes: ranked, without an encoding,
/// indices in range, extents that add up. Tensors are cut along dimensions of
/// static extent alone. The other dimensions may be dynamic: their extents are
/// operands of slices, taken from where the tensor has them (`dimSource`), or a
/// `tensor.dim` of it.
///
/// A failed check is a mistake of the analysis before it. The constructor then
/// returns a placeholder of the wanted type (a
/// `builtin.unrealized_conversion_cast` with the reason), so that a rewrite
/// needs no code for it; `refusedTensor` finds the first one, and its caller
/// drops the module.

#ifndef SERENITY_TRANSFORMS_TENSORBUILDER_H
#define SERENITY_TRANSFORMS_TENSORBUILDER_H

#include "serenity/IREE/Ir.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace serenity::rewrite {

/// Whether `type` is a ranked tensor of static shape without an encoding.
/// Extents may be zero.
bool isStatic(MlirType type);

/// Whether `type` is a ranked tensor without an encoding; extents may be
/// dynamic.
bool isPlain(MlirType type);

/// Whether tensors of `type` can be cut along `dim`: it is plain, and the
/// extent of `dim` static.
bool isStaticAlong(MlirType type, int64_t dim);

/// `type` with dimension `dim` of extent `size`; an encoding is dropped.
MlirType withDim(MlirType type, int64_t dim, int64_t size);

/// `type` with elements of type `element`; an encoding is dropped.
MlirType withElement(MlirType type, MlirType element);

/// Cuts `size` elements from `offset` on out of `value` along `dim`.
MlirValue extractSlice(MlirValue value, int64_t dim, int64_t offset,
                       int64_t size, MlirOperation before);

/// Inserts `part` into `whole` at `offset` along `dim`.
MlirValue insertSlice(MlirValue part, MlirValue whole, int64_t dim,
                      int64_t offset, MlirOperation before);

/// The same with offsets behind barriers until dispatches are formed, so that
/// slices of one shape at different places become one executable.
/// `removeBarriers` takes the barriers out.
MlirValue extractHiddenSlice(MlirValue value, int64_t dim, int64_t offset,
                             int64_t size, MlirOperation before);
MlirValue insertHiddenSlice(MlirValue part, MlirValue whole, int64_t dim,
                            int64_t offset, MlirOperation before);

/// `value`, of static shape, as a tensor of `extents`, which are its own with
/// ones put between them; null if they are not.
MlirValue insertUnitDims(MlirValue value, const std::vector<int64_t> &extents,
                         MlirOperation before);

/// Puts `parts` together along `dim` to a tensor of `type`, before `before`.
MlirOperation concatenate(const std::vector<MlirValue> &parts, int64_t dim,
                          MlirType type, MlirOperation before);

/// `value` with its extents written beside it, where its type has dynamic ones:
/// IREE cannot follow those of a barrier's result to where they come from.
/// `like` has the same extents.
MlirValue tieExtents(MlirValue value, MlirValue like, MlirOperation before);

/// An uninitialised tensor of the type of `like`, and of its extents.
MlirValue emptyLike(MlirValue like, MlirLocation location,
                    MlirOperation before);

/// The same of another element type.
MlirValue emptyOf(MlirType element, MlirValue like, MlirLocation location,
                  MlirOperation before);

/// A constant of `value`, whose type must be a static tensor.
MlirValue tensorConstant(MlirAttribute value, MlirLocation location,
                         MlirOperation before);

/// Clones `op` before `before` with other operands and another result type;
/// further results of a loop nest have the types of their inits. Both have
/// dynamic dimensions where those of `op` have them: operands that give extents
/// are cloned with the others.
MlirOperation clonePart(MlirOperation op,
                        const std::vector<MlirValue> &operands,
                        MlirType resultType, MlirOperation before);

/// The same for one step of a sum that takes its terms in another order: the
/// guarantees of the additions of `op` about their results (no overflow, no
/// NaN) need not hold for other partial sums.
MlirOperation cloneStep(MlirOperation op,
                        const std::vector<MlirValue> &operands,
                        MlirType resultType, MlirOperation before);

struct RefusedTensor {
  MlirLocation location;
  std::string reason; // lower case, no full stop
};

/// The first placeholder below `op`, in program order; nothing if every
/// operation could be made.
std::optional<RefusedTensor> refusedTensor(MlirOperation op);

} // namespace serenity::rewrite

#endif // SERENITY_TRANSFORMS_TENSORBUILDER_H

// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_IREE_CMPIPREDICATE_H
#define SERENITY_IREE_CMPIPREDICATE_H

#include "serenity/IREE/Ir.h"

#include <cstdint>
#include <optional>

namespace serenity::ir {

/// The predicates of `arith.cmpi`, with the numbers of `arith::CmpIPredicate`.
/// The C API has no enumeration of them.
enum class CmpIPredicate : int64_t {
  eq,
  ne,
  slt,
  sle,
  sgt,
  sge,
  ult,
  ule,
  ugt,
  uge
};

/// The predicate of an `arith.cmpi`; nothing for a number that is none.
inline std::optional<CmpIPredicate> cmpIPredicate(MlirOperation op) {
  std::optional<int64_t> number = intAttr(op, "predicate");
  if (!number || *number < int64_t(CmpIPredicate::eq) ||
      *number > int64_t(CmpIPredicate::uge)) {
    return std::nullopt;
  }
  return CmpIPredicate(*number);
}

} // namespace serenity::ir

#endif // SERENITY_IREE_CMPIPREDICATE_H

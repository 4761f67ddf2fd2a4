// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// \file
/// The element types that the executables of a module declare for the bindings
/// of their dispatches.

#ifndef SERENITY_REPORT_BINDINGTYPES_H
#define SERENITY_REPORT_BINDINGTYPES_H

#include "serenity/IREE/MlirC.h"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace serenity {

class BindingTypes {
public:
  /// Of the `stream.executable` operations of `module`.
  explicit BindingTypes(MlirOperation module);

  /// The element type of binding `index` of the entry point that `dispatch`
  /// names first, such as "i8"; empty where it is not known.
  std::string elementType(MlirOperation dispatch, size_t index) const;

private:
  /// By the reference to the entry point as it is printed, without quotes.
  std::map<std::string, std::vector<std::string>> types;
};

} // namespace serenity

#endif // SERENITY_REPORT_BINDINGTYPES_H

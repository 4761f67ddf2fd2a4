// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef SERENITY_CORE_STATUS_H
#define SERENITY_CORE_STATUS_H

#include <string>
#include <utility>

namespace serenity {

/// Success, or failure with a message. True on success:
///
///     if (Status status = parse(text); !status) {
///       return status;
///     }
class [[nodiscard]] Status {
public:
  static Status success() { return Status(true, std::string()); }
  static Status failure(std::string message) {
    return Status(false, std::move(message));
  }

  explicit operator bool() const { return ok; }
  /// Lower case, without a full stop; empty on success.
  const std::string &message() const { return text; }

private:
  Status(bool ok, std::string text) : ok(ok), text(std::move(text)) {}

  bool ok;
  std::string text;
};

} // namespace serenity

#endif // SERENITY_CORE_STATUS_H

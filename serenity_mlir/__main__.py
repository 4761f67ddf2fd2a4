# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``python -m serenity_mlir`` is the tool ``serenity``."""

from serenity_mlir.cli import main

if __name__ == "__main__":
    main()

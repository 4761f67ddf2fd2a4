# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The console scripts ``serenity-compile`` and ``serenity-opt``, which become native programs."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from serenity_mlir._native import native_tool, tool_environment

__all__ = ["serenity_compile", "serenity_opt"]


def _become(name: str) -> NoReturn:
    tool = native_tool(name)
    # Output that Python has buffered would be lost.
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(tool, [tool, *sys.argv[1:]], tool_environment(tool))


def serenity_compile() -> NoReturn:
    """Runs ``serenity-compile`` with this process's arguments and does not return."""
    _become("serenity-compile")


def serenity_opt() -> NoReturn:
    """Runs ``serenity-opt`` with this process's arguments and does not return."""
    _become("serenity-opt")

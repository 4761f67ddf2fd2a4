# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Means of the tests of the fuzzer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from serenity_mlir.fuzzing.structure import Tools


class Deceived(Tools):
    """One of the compilers is given another program."""

    def __init__(self, deceived: str, *changes: tuple[str, str]) -> None:
        super().__init__()
        self.deceived = {"stock": self.stock, "ours": self.ours}[deceived]
        self.changes = changes

    def run(self, tool: str, arguments: Sequence[str]) -> tuple[int | None, str]:
        if tool != self.deceived:
            return super().run(tool, arguments)
        source = Path(arguments[0])
        text = changed = source.read_text()
        for change in self.changes:
            changed = changed.replace(*change)
        source.write_text(changed)
        try:
            return super().run(tool, arguments)
        finally:
            source.write_text(text)

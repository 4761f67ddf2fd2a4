# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the type stubs of the native extensions into the source tree.

Run it whenever a binding has changed, with the interpreter of an environment that has serenity_mlir
and nanobind installed; then run ``ruff format``.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from nanobind.stubgen import StubGen

_HEADER = "# Made by cmake/write_stubs.py; do not edit.\n"


def write_stub(name: str, folder: Path) -> None:
    """Writes ``folder/NAME.pyi`` for the extension ``serenity_mlir.NAME``."""
    generator = StubGen(importlib.import_module(f"serenity_mlir.{name}"))
    generator.put(generator.module)
    text = generator.get()
    # nanobind does not know what is in a tuple, and strict type checkers want to be told so.
    text, bare = re.subn(r"\btuple\b(?!\[)(?=:| =)", "tuple[Any, ...]", text)
    if bare:
        text = text.replace("\n\n", "\n\nfrom typing import Any\n", 1)
    (folder / f"{name}.pyi").write_text(_HEADER + text, encoding="utf-8")


if __name__ == "__main__":
    for extension in ("_core", "_passes"):
        write_stub(extension, Path(__file__).parent.parent / "serenity_mlir")

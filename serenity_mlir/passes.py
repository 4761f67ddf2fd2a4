# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The MLIR passes, for pass managers of ``iree.compiler.passmanager``.

    from iree.compiler import ir, passmanager
    from serenity_mlir import passes

    with ir.Context():
        module = ir.Module.parse(text)  # at IREE's flow phase
        manager = passmanager.PassManager("builtin.module")
        passes.add(manager, "serenity-schedule")
        manager.run(module.operation)

Diagnostics arrive as ``iree.compiler.ir.MLIRError``. ``docs/passes.md``
describes each pass and its place in IREE's pipeline; use
`serenity_mlir.compile_str` for a whole compilation.
"""

from __future__ import annotations

# First, because it loads libIREECompiler.so, wherever that lies.
from iree.compiler.passmanager import PassManager

from serenity_mlir import _passes
from serenity_mlir.compiling.declared import option_text, pass_names

__all__ = ["add", "names"]


def names() -> list[str]:
    """Return the names of all passes, in pipeline order."""
    return list(pass_names())


def add(manager: PassManager, name: str, **options: str | float | bool) -> None:
    """Append a pass to a pass manager that is anchored on ``builtin.module``.

    Args:
      manager: the pass manager.
      name: one of `names`.
      **options: the options that ``docs/serenity_opt.md`` lists for the pass, with ``_`` for ``-``,
        such as ``scheduler="heuristic"`` or ``time_limit=0.5`` (seconds).

    Raises:
      ValueError: if the pass is unknown or has no such option or value.
    """
    if name not in names():
        raise ValueError(f"there is no pass {name!r}; known are {', '.join(names())}")
    text = {key.replace("_", "-"): option_text(value) for key, value in options.items()}
    for key, value in text.items():
        if not value or any(c.isspace() for c in value):
            raise ValueError(f"{name}: invalid value {value!r} of {key}")
    _passes.add_pass(manager._CAPIPtr, name, " ".join(f"{k}={v}" for k, v in text.items()))

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

Diagnostics arrive as ``iree.compiler.ir.MLIRError``. ``docs/passes.md`` says
what each pass does and where it belongs in IREE's pipeline; a whole
compilation is what `serenity_mlir.compile_str` is for.
"""

from __future__ import annotations

from typing import Literal

# First, because it loads libIREECompiler.so, wherever that lies.
from iree.compiler.passmanager import PassManager

from serenity_mlir import _passes

__all__ = ["add", "names"]

# In the order of the enumerations in passes/serenity/Core and Transforms.
_SCHEDULERS = ("exact", "serenity", "heuristic")
_OFFSETS = ("exact", "greedy", "iree")
_REWRITES = ("auto", "off", "always")


def names() -> list[str]:
    """Return the names of all passes, in pipeline order."""
    return list(_passes.pass_names())


def _index(what: str, value: str, known: tuple[str, ...]) -> int:
    if value not in known:
        raise ValueError(f"{what} is {value!r}; known are {', '.join(known)}")
    return known.index(value)


def add(
    manager: PassManager,
    name: str,
    *,
    scheduler: Literal["exact", "serenity", "heuristic"] = "exact",
    offsets: Literal["exact", "greedy", "iree"] = "exact",
    rewrite: Literal["auto", "off", "always"] = "auto",
    time_limit: float = 10.0,
    state_limit: int = 0,
) -> None:
    """Append a pass to a pass manager that is anchored on ``builtin.module``.

    Args:
      manager: the pass manager.
      name: one of `names`.
      scheduler: how orders are searched.
      offsets: how slabs are laid out.
      rewrite: where convolutions and sums are split; without the driver's
        predictions ``auto`` goes by the bytes at the site itself.
      time_limit: seconds per search; 0 means heuristics only.
      state_limit: deterministic cut-off of searches in states; 0 means none.

    Raises:
      ValueError: if the name or an option is unknown, or a limit negative.
    """
    if name not in names():
        raise ValueError(f"there is no pass {name!r}; known are {', '.join(names())}")
    if time_limit < 0 or state_limit < 0:
        raise ValueError("limits must not be negative")
    _passes.add_pass(
        manager._CAPIPtr,
        name,
        _index("scheduler", scheduler, _SCHEDULERS),
        _index("offsets", offsets, _OFFSETS),
        _index("rewrite", rewrite, _REWRITES),
        time_limit,
        state_limit,
    )

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Made by cmake/write_declarations.py from Options.def; do not edit.
"""The flags of the compiler as a dataclass."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from serenity_mlir.compiling.declared import check_fields, flags_of


@dataclass(frozen=True)
class SerenityOptions:
    """The options of serenity_mlir in a compilation. Each field is one ``--serenity-*`` flag.

    A field that is None gives no flag, and the compiler's default (in parentheses) holds.

    Attributes:
      schedule: ``--serenity-schedule=on|off``. Minimum-peak order, concatenation placement, offsets
        and rewriting. Any other serenity flag implies it; off compiles as stock and still reports
        (on).
      rewrite: ``--serenity-rewrite=auto|off|always``. Split convolutions and sums over
        concatenations where the predicted peak falls, never, or wherever possible (auto).
      max_recompute: ``--serenity-max-recompute=FRACTION``. Share of a function's
        multiply-accumulates that bands of rows and values behind the peak may compute again; 0:
        none (0.15).
      offsets: ``--serenity-offsets=exact|greedy|iree``. Algorithm that lays out the slab (exact).
      inputs: ``--serenity-inputs=keep|overwrite``. Keep the contents of inputs, or overwrite their
        memory with transient values after their last use; arguments marked `iree.abi.consume` or
        donated by JAX are overwritten in both cases (keep).
      results_in_inputs: ``--serenity-results-in-inputs=on|off``. Place results in the memory of
        inputs that may be overwritten, where that lowers the memory of a call; off: results have
        memory of their own (on).
      consume: ``--serenity-consume=N``. Overwrite the memory of argument N, counted from 0, as if
        it were marked `iree.abi.consume`; may be repeated (none).
      scheduler: ``--serenity-scheduler=exact|serenity|heuristic``. Algorithm that orders
        operations: best-first search with proof, the SERENITY paper's dynamic programming, or
        heuristics alone (exact).
      waves: ``--serenity-waves=auto|off``. Let neighbouring commands run concurrently where the
        slab stays the same, or run them one after the other (auto).
      time_limit: ``--serenity-time-limit=SECONDS``. Limit of all work on a module; a single search
        takes at most 10 seconds of it; 0: heuristics only (60).
      state_limit: ``--serenity-state-limit=N``. Limit of each search in states, which does not
        depend on the machine; 0: no limit (0).
      dim_hint: ``--serenity-dim-hint=[argI:axisJ=]N``. Extent at which layouts of dynamically sized
        buffers are compared, for dimension J of argument I, or all others; they are right and no
        larger than IREE's for every extent. Without it: the bound, else 64, within the limits of
        util.assume.int (none).
      dim_bound: ``--serenity-dim-bound=[argI:axisJ=]N``. Largest extent of dimension J of argument
        I, or of all others, that a memory budget is checked at. A call with a larger one is right,
        and takes what the report's formula gives (none).
      memory_budget: ``--serenity-memory-budget=BYTES``. Largest transient memory of a function, as
        262144, 256KB (1000) or 256KiB (1024); no more is changed than is needed to fit (none).
      budget_policy: ``--serenity-budget-policy=error|warn``. Report a missed budget as an error,
        with exit code 3, or as a warning (error).
      budget_counts: ``--serenity-budget-counts=transient|all``. Compare the budget with the
        transient memory of a call, or with all of its memory: inputs, results and variables too
        (transient).
      report: ``--serenity-report=FILE.json``. Write the report: predicted bytes, candidates,
        rewrites (none).
      cache: ``--serenity-cache=DIR``. Keep the configurations that searches choose in DIR, and take
        them from there when the same module is compiled again; alone, in the user's folder for
        caches; off: not even in that of SERENITY_CACHE_DIR (none).
      print_ir_after: ``--serenity-print-ir-after=PASS``. Print the module to standard error after a
        serenity pass (none).

    Raises:
      ValueError: From the constructor, if a value cannot be one of its flag's.
    """

    schedule: bool = True
    rewrite: str | None = None
    max_recompute: float | None = None
    offsets: str | None = None
    inputs: str | None = None
    results_in_inputs: bool = True
    consume: Sequence[int] = ()
    scheduler: str | None = None
    waves: str | None = None
    time_limit: float | None = None
    state_limit: int | None = None
    dim_hint: Sequence[str] = ()
    dim_bound: Sequence[str] = ()
    memory_budget: int | str | None = None
    budget_policy: str | None = None
    budget_counts: str | None = None
    report: str | os.PathLike[str] | None = None
    cache: bool | str | os.PathLike[str] | None = None
    print_ir_after: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_fields(self)

    def flags(self) -> list[str]:
        """Returns the options as flags of ``serenity-compile``, in the order of the fields."""
        return flags_of(self)

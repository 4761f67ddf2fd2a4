# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The memory a model will need, without making code for it: an objective for architecture search.

`peak` runs the compiler up to the phase where every buffer has its offset (``--compile-to=stream``)
and reads the report. The bytes are those that the compiled module allocates.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from serenity_mlir.compiling.compiler import SerenityOptions, target_flags
from serenity_mlir.compiling.importing import Imported, import_model, model_name
from serenity_mlir.compiling.messages import shown_as
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.checking import compile_model
from serenity_mlir.measuring.predictions import Prediction, read_prediction
from serenity_mlir.reports.reporting import parse_report

__all__ = ["Effort", "Peak", "largest_bytes", "peak"]

Effort = Literal["fast", "full"]

#: The flags of each effort. The cut-off is in states, not seconds, so that every
#: machine finds the same, however busy; the time limit is out of reach.
_OPTIONS = {
    "fast": SerenityOptions(rewrite="off", state_limit=200_000, time_limit=86_400),
    "full": SerenityOptions(state_limit=5_000_000, time_limit=86_400),
}


@dataclass(frozen=True)
class Peak:
    """The memory of a model, in bytes (batch as the model has it).

    Of several functions, each number is the largest of any.

    Attributes:
      transient_bytes: the slab, the memory that one call needs beside inputs and results.
      stock_transient_bytes: the same without serenity.
      external_bytes: inputs and results of one call.
      persistent_bytes: constants and variables that the module allocates when it is loaded; 0 where
        they are used in place, as `llvm-cpu` does with constants.
      total_bytes: most that is alive at one time in a call.
      optimal: whether the order is proved to be of least peak for the operations as they were
        compiled.
    """

    transient_bytes: int
    stock_transient_bytes: int
    external_bytes: int
    persistent_bytes: int
    total_bytes: int
    optimal: bool


def largest_bytes(values: Sequence[int | None], found: Imported, model: str) -> int:
    """Return the largest number of bytes of a model's functions.

    Args:
      values: bytes of each function, None where they are not static.
      found: the model, for the names of its dynamic dimensions.
      model: its name.

    Raises:
      SerenityError: there is no function, or a size depends on the call (exit code 2); the message
        names the dimensions to fix.
    """
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        names = list(dict.fromkeys(dimension.name for dimension in found.dynamic))
        remedy = " ".join(f"--fix-dim {name}=N" for name in names or ("argI:axisJ",))
        reason = (
            f"a size depends on the call: give the dynamic dimensions an extent: {remedy}"
            if values
            else "the module has no function that computes"
        )
        raise SerenityError(f"{model}: no static peak; {reason}", exit_code=2)
    return max(known)


def peak(
    model: Any,
    args: Sequence[Any] | None = None,
    *,
    effort: Effort = "full",
    flags: Sequence[str] = (),
    fix_dims: Mapping[str, int] | None = None,
) -> Peak:
    """Return the memory that a model needs when it is compiled with serenity.

    Each call is one process of the compiler (and one of the importer for ONNX): calls may run in
    any number of threads, processes or Dask workers at once. The same model gives the same answer,
    however busy the machine is; `flags` should name a target where machines differ, since the CPU
    may decide about layouts.

    Args:
      model: as `serenity_mlir.compile` takes it.
      args: example arguments, where `serenity_mlir.compile` needs them.
      effort: ``"full"`` gives the bytes that a compilation with serenity's defaults gives, unless a
        search is cut off; ``"fast"`` leaves out rewriting, by far the most expensive choice: the
        bytes of ``--serenity-rewrite=off``, an upper bound in practice.
      flags: further flags of iree-compile. Without a target among them, it is this machine's CPU.
      fix_dims: as in `serenity_mlir.compile`.

    Raises:
      SerenityError: the model cannot be imported or compiled (exit code 1), or it has no function,
        or one whose memory depends on the call: dynamic shapes (2).
      ValueError: `effort` is none of the two.
    """
    if effort not in _OPTIONS:
        raise ValueError(f"effort must be one of {', '.join(_OPTIONS)}; got {effort!r}")
    with tempfile.TemporaryDirectory(prefix="serenity-peak-") as name:
        directory = Path(name)
        found = import_model(model, directory, args, fix_dims=fix_dims, flags=flags)
        with shown_as(found.path, model_name(model), found.dimension_aliases):
            data = compile_model(
                found.path,
                directory / "peak.stream.mlirbc",
                [*target_flags(flags), "--compile-to=stream", "--emit-mlir-bytecode"],
                _OPTIONS[effort],
            )
    report = parse_report(data)
    functions = [
        prediction for entry in report.called if (prediction := read_prediction(report, entry.name))
    ]

    def largest(what: Callable[[Prediction], int | None]) -> int:
        return largest_bytes([what(of) for of in functions], found, model_name(model))

    return Peak(
        transient_bytes=largest(lambda of: of.transient_peak_bytes),
        stock_transient_bytes=largest(lambda of: of.stock_transient_peak_bytes),
        external_bytes=largest(lambda of: of.external_bytes),
        persistent_bytes=largest(lambda of: of.persistent_bytes),
        total_bytes=largest(lambda of: of.peak_bytes),
        optimal=all(of.optimal is not False for of in functions),
    )

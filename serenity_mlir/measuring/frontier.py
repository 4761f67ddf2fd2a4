# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The choices between memory, time of a call and time of a compilation that a model leaves.

`frontier` compiles a model under settings that allow the compiler more and more, and under memory
budgets between them. Each becomes a `Point` with the flags that give it, so that a user picks a
point and copies its flags. ``--serenity-memory-budget`` gives the point of a budget.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from serenity_mlir._processes import processor_seconds
from serenity_mlir.compiling.compiler import SerenityOptions, target_flags
from serenity_mlir.compiling.importing import Imported, import_model, model_name
from serenity_mlir.compiling.messages import shown_as
from serenity_mlir.compiling.peak_memory import largest_bytes
from serenity_mlir.compiling.signatures import Signature, read_signatures
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.checking import compile_model
from serenity_mlir.measuring.inputs import random_inputs
from serenity_mlir.measuring.latency import measure_latencies
from serenity_mlir.reports.reporting import Report, parse_report

__all__ = ["SETTINGS", "Frontier", "Point", "frontier", "pareto"]

_log = logging.getLogger(__name__)

#: The compilations after the stock one: a name, and the options.
SETTINGS: tuple[tuple[str, SerenityOptions], ...] = (
    ("offsets and order", SerenityOptions(rewrite="off")),
    ("rewriting without extra work", SerenityOptions(max_recompute=0.0)),
    ("default", SerenityOptions()),
    ("extra work up to 30 %", SerenityOptions(max_recompute=0.3)),
    ("extra work up to 60 %", SerenityOptions(max_recompute=0.6)),
)

#: Budgets that are compiled between the most and the least bytes of `SETTINGS`.
BUDGETS = 3

#: Smaller differences of measured times are noise: shares of the time.
LATENCY_NOISE = 0.03
COMPILE_NOISE = 0.25


@dataclass(frozen=True)
class Point:
    """One way to compile a model.

    Attributes:
      name: the techniques that the setting allows, in words.
      flags: the ``--serenity-*`` flags of iree-compile that give this point; none for stock.
      peak_bytes: transient memory of a call, as the runtime allocates it; of several functions the
        largest.
      commands: dispatches, fills and copies of a call, of the function with the most.
      compile_seconds: processor time of the whole compilation.
      module_bytes: size of the compiled module.
      latency_ms: least processor time of a call on one thread; None where it was not measured.
      pareto: whether no other point is at most as large and as slow, and better in one of both.
    """

    name: str
    flags: tuple[str, ...]
    peak_bytes: int
    commands: int
    compile_seconds: float
    module_bytes: int
    latency_ms: float | None = None
    pareto: bool = True


@dataclass(frozen=True)
class Frontier:
    """The answer of `frontier`: all points that were compiled, the largest first."""

    model: str
    points: tuple[Point, ...]

    @property
    def timed(self) -> bool:
        """Whether latencies were measured: of all points or of none."""
        return all(point.latency_ms is not None for point in self.points)

    @property
    def pareto(self) -> tuple[Point, ...]:
        """The points worth choosing from."""
        return tuple(point for point in self.points if point.pareto)

    def to_dict(self) -> dict[str, Any]:
        """Return the frontier as JSON data (docs/howto/frontier.md)."""
        points = [{**asdict(point), "flags": list(point.flags)} for point in self.points]
        return {"schema": 1, "model": self.model, "points": points}


def _no_slower(one: float, other: float, noise: float) -> bool:
    return one <= other * (1 + noise)


def _covers(one: Point, other: Point) -> bool:
    """Whether `one` is at most as large and as slow as `other`, noise aside."""
    latencies = one.latency_ms, other.latency_ms
    no_later = (
        latencies[0] is None
        or latencies[1] is None
        or _no_slower(latencies[0], latencies[1], LATENCY_NOISE)
    )
    return (
        one.peak_bytes <= other.peak_bytes
        and no_later
        and _no_slower(one.compile_seconds, other.compile_seconds, COMPILE_NOISE)
    )


def pareto(points: Iterable[Point]) -> tuple[Point, ...]:
    """Mark the points that no other one covers.

    Of points that cover each other, the first stays. Bytes are exact and compared as such; measured
    times within `LATENCY_NOISE` and `COMPILE_NOISE` count as equal.

    Returns:
      All points, the largest first; equally large ones by the time of compilation.
    """
    ordered = sorted(points, key=lambda point: (-point.peak_bytes, point.compile_seconds))
    marked: list[Point] = []
    for index, point in enumerate(ordered):
        covered = any(
            _covers(other, point) and (not _covers(point, other) or place < index)
            for place, other in enumerate(ordered)
            if place != index
        )
        marked.append(replace(point, pareto=not covered))
    return tuple(marked)


def _budgets(peaks: Sequence[int], count: int) -> list[int]:
    """Return up to `count` budgets between the largest and the least peak, largest first.

    They divide the distance in equal ratios. None is at a peak or within 2 % below one: a budget
    that a setting meets by itself tells nothing new.
    """
    most, least = max(peaks), max(min(peaks), 1)
    found = []
    for step in range(1, count + 1):
        budget = round(most * (least / most) ** (step / (count + 1)))
        if least < budget < most and not any(0.98 * peak < budget <= peak for peak in peaks):
            found.append(budget)
    return list(dict.fromkeys(found))


def _commands(report: Report, key: str) -> int:
    return max(
        (
            sum(len(region.operations) for region in getattr(entry, key))
            for entry in report.functions
        ),
        default=0,
    )


class _Trials:
    """The compilations of one model: the modules, and the points in the same order."""

    def __init__(self, model: str, found: Imported, directory: Path, flags: Sequence[str]) -> None:
        self.modules: list[Path] = []
        self.points: list[Point] = []
        self._model = model
        self._found = found
        self._directory = directory
        self._flags = flags

    def _compile(self, name: str, options: SerenityOptions | None) -> tuple[float, dict[str, Any]]:
        """Compile into the next module; return the processor time and the report."""
        _log.info("compiling %s: %s", self._model, name)
        module = self._directory / f"{len(self.modules)}.vmfb"
        before = processor_seconds()
        data = compile_model(self._found.path, module, self._flags, options)
        self.modules.append(module)
        return processor_seconds() - before, data

    def _add(self, name: str, flags: Sequence[str], seconds: float, report: Report) -> None:
        prefix = "" if flags else "stock_"
        peaks = [getattr(entry, f"{prefix}transient_peak_bytes") for entry in report.called]
        self.points.append(
            Point(
                name=name,
                flags=tuple(flags),
                peak_bytes=largest_bytes(peaks, self._found, self._model),
                commands=_commands(report, f"{prefix}regions"),
                compile_seconds=seconds,
                module_bytes=self.modules[len(self.points)].stat().st_size,
            )
        )

    def add_settings(self) -> None:
        """Compile under `SETTINGS`. The stock compiler's bytes are in the report after it."""
        stock_seconds, _ = self._compile("stock", None)
        for name, options in SETTINGS:
            seconds, data = self._compile(name, options)
            report = parse_report(data)
            if not self.points:
                self._add("stock", (), stock_seconds, report)
            self._add(name, options.flags(), seconds, report)

    def add_budget(self, budget: int) -> None:
        """Compile under a memory budget in bytes; one that cannot be met is left out."""
        name, options = f"budget of {budget:,} bytes", SerenityOptions(memory_budget=budget)
        try:
            seconds, data = self._compile(name, options)
        except SerenityError as error:
            if error.exit_code != 3:
                raise
            return
        self._add(name, options.flags(), seconds, parse_report(data))


def frontier(
    model: Any,
    args: Sequence[Any] | None = None,
    *,
    flags: Sequence[str] = (),
    budgets: int = BUDGETS,
    timing: bool = False,
    seed: int = 0,
    fix_dims: Mapping[str, int] | None = None,
) -> Frontier:
    """Compile a model under several settings and budgets, and say which are worth choosing from.

    Args:
      model: as `serenity_mlir.compile` takes it.
      args: example arguments, where `serenity_mlir.compile` needs them.
      flags: flags of iree-compile for all compilations, without ``--serenity-*``. Without a target
        among them, it is this machine's CPU.
      budgets: how many memory budgets to compile beside `SETTINGS`.
      timing: measure the latency of every point too; the modules run in turn, on random inputs.
      seed: of the random inputs.
      fix_dims: as in `serenity_mlir.compile`.

    Raises:
      SerenityError: the model cannot be imported, compiled or run (exit code 1), its memory depends
        on the call, or several functions are to be timed (2).
    """
    with tempfile.TemporaryDirectory(prefix="serenity-frontier-") as folder:
        directory = Path(folder)
        found = import_model(model, directory, args, fix_dims=fix_dims, flags=flags)
        name = model_name(model)
        with shown_as(found.path, name, found.dimension_aliases):
            common = target_flags(flags)
            signature = _timed_signature(found.path, flags, name) if timing else None
            trials = _Trials(name, found, directory, common)
            trials.add_settings()
            for budget in _budgets([point.peak_bytes for point in trials.points], budgets):
                trials.add_budget(budget)
        points = trials.points
        if signature is not None:
            measured = measure_latencies(
                trials.modules, signature.name, random_inputs(signature, seed)
            )["1 thread"]
            points = [
                replace(point, latency_ms=latency.processor)
                for point, latency in zip(points, measured, strict=True)
            ]
    return Frontier(name, pareto(points))


def _timed_signature(path: Path, flags: Sequence[str], model: str) -> Signature:
    signatures = read_signatures(path, flags)
    if len(signatures) != 1:
        names = ", ".join(signature.name for signature in signatures) or "none"
        raise SerenityError(
            f"{model}: latency is measured of modules with one entry point; this one has {names}",
            exit_code=2,
        )
    return signatures[0]

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Latency and compile time beside memory, of networks and of their quantized versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from serenity_mlir.benchmarking.document import Heading, Part, Table, Text, ratio_cell
from serenity_mlir.benchmarking.results import Results, geometric_mean

__all__ = ["load_in_words", "times", "times_table"]

#: Default of ``--serenity-time-limit``, in processor seconds.
_DEFAULT_TIME_LIMIT = 60


def times(results: Results) -> Iterator[Part]:
    """Returns the section on latency and compile time of the networks that were run."""
    yield Heading(2, "Memory, latency and compile time")
    if not results.runs:
        yield Text("No network was run in this session.")
        return
    timed = [run["milliseconds"] for run in results.runs.values() if run["milliseconds"]]
    yield Text(
        "Pairs are wall clock / processor time of all threads together; ratios are serenity / IREE "
        "of both, so that more than 1 is slower. **Latency**: milliseconds of single calls, stock "
        "module and serenity's in turn (`serenity check --time`), the least of "
        + (f"{_calls(timed)} calls each. " if timed else "all calls. ")
        + "**Compile time**: seconds of one whole compilation, code generation included. "
        f"{load_in_words(results.runs.values())} `docs/overhead.md` has the costs of the parts."
        + _limited(results.runs)
    )
    if not timed:
        yield Text("No latency was measured in this session.")
    yield times_table(results.runs)


def _limited(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Names the networks whose search may end early with the default limit of time, if any."""
    names = [
        name
        for name, run in runs.items()
        if run["compile_processor_seconds"]["serenity"] > _DEFAULT_TIME_LIMIT
    ]
    if not names:
        return ""
    return (
        f" With the default `--serenity-time-limit={_DEFAULT_TIME_LIMIT}`, the search may end "
        f"before the best candidate on this machine for: {', '.join(names)}."
    )


def load_in_words(runs: Iterable[Mapping[str, Any]]) -> str:
    """Says how busy the machine was while `runs` were measured."""
    loads = [load for run in runs for load in run["load_averages"]]
    return (
        f"The machine's load average was {min(loads):.1f} to {max(loads):.1f}, this session's own "
        "work included. Where it is higher than what ran here, wall clocks say what others did as "
        "well, and processor times what the programs need."
    )


def times_table(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    """Returns latency and compile time beside the slab, with geometric means of the ratios.

    Args:
      runs: of `work.measure_run`, by network.
    """
    timed = [run["milliseconds"] for run in runs.values() if run["milliseconds"]]
    settings = list(timed[0]) if timed else []
    columns = ["network", "slab, IREE / serenity"]
    for title in [*(f"ms, {setting}" for setting in settings), "compile, s"]:
        columns += [f"{title}: IREE", "serenity", "ratio"]
    ratios: list[list[tuple[float, float]]] = [[] for _ in range(len(settings) + 1)]
    slabs = []
    rows = []
    for name, run in runs.items():
        stock, ours = (run[key]["transient_peak_bytes"] for key in ("stock", "serenity"))
        slabs += [stock / ours] if ours else []
        row = [name, ratio_cell(stock / ours if ours else None)]
        pairs: list[list[tuple[float, float]] | None] = [None] * len(settings)
        if run["milliseconds"]:
            pairs = [
                [(of[key]["minimum"], of[key]["processor"]) for key in ("stock", "serenity")]
                for of in run["milliseconds"].values()
            ]
        pairs.append(
            [
                (run["compile_seconds"][key], run["compile_processor_seconds"][key])
                for key in ("stock", "serenity")
            ]
        )
        for index, pair in enumerate(pairs):
            if pair is None:
                row += ["-", "-", "-"]
                continue
            before, after = pair
            ratios[index].append((after[0] / before[0], after[1] / before[1]))
            digits = 1 if index == len(settings) else 2
            row += [f"{of[0]:.{digits}f} / {of[1]:.{digits}f}" for of in pair]
            row.append(" / ".join(map(ratio_cell, ratios[index][-1])))
        rows.append(row)
    means = ["geometric mean", ratio_cell(geometric_mean(slabs))]
    for of_setting in ratios:
        both = [geometric_mean(values) for values in zip(*of_setting, strict=True)]
        means += ["", "", " / ".join(map(ratio_cell, both)) or "-"]
    return Table(columns, [*rows, means])


def _calls(timed: Sequence[Mapping[str, Any]]) -> str:
    """Says how many calls were measured."""
    calls = {of[key]["calls"] for run in timed for of in run.values() for key in of}
    return f"{min(calls)}" if len(calls) == 1 else f"{min(calls)} to {max(calls)}"

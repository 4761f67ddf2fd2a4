# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How long calls of compiled modules take, with IREE's own benchmark tool.

Modules that are to be compared are run in turn, in several rounds, so that a machine that slows
down or is busy for a while meets all of them. Every repetition is a single call, so the minimum is
that of calls and is the time that the module needs when nothing disturbs it; the median is the
time to expect.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.measurement import Arena, Value

__all__ = ["SETTINGS", "Latency", "measure_latencies"]

#: How calls are run: flags of iree-benchmark-module by name.
SETTINGS: dict[str, tuple[str, ...]] = {
    "1 thread": ("--device=local-sync",),
    "2 threads": ("--device=local-task", "--task_topology_group_count=2"),
}

#: All modules run once per round; every other round in the opposite order.
ROUNDS = 5

#: Calls per module and round: as many as fit in this many seconds, within limits.
SECONDS_PER_ROUND = 0.25
FEWEST_CALLS, MOST_CALLS = 3, 30

_ELEMENT_TYPES = {"bool": "i8", "bfloat16": "bf16"}
_MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Latency:
    """Milliseconds of single calls.

    Attributes:
      minimum: the shortest of them, wall clock.
      median: of all.
      processor: the least processor time of a call, over all threads. Time in which other work had
        the processor is not in it, so this compares modules on a busy machine too.
      calls: how many were measured.
    """

    minimum: float
    median: float
    processor: float
    calls: int


def _input_flags(inputs: Sequence[Value], directory: Path) -> list[str]:
    """Return the flags that hand over `inputs`; arrays go to files in `directory`."""
    flags = []
    for index, value in enumerate(inputs):
        if isinstance(value, np.ndarray):
            path = directory / f"input{index}.bin"
            value.tofile(path)
            name = value.dtype.name
            kind = _ELEMENT_TYPES.get(name, f"{value.dtype.kind}{8 * value.dtype.itemsize}")
            shape = "".join(f"{extent}x" for extent in value.shape)
            flags.append(f"--input={shape}{kind}=@{path}")
        elif isinstance(value, Arena):
            flags.append(f"--input=&{value.bytes or 0}xi8")
        else:
            flags.append(f"--input={value}")
    return flags


def _calls(command: Sequence[str], calls: int) -> list[tuple[float, float]]:
    """Run the tool once; return wall and processor milliseconds of `calls` single calls."""
    # The first call meets cold caches and memory that was never touched: it is not counted.
    process = subprocess.run(
        [
            *command,
            f"--benchmark_repetitions={calls + 1}",
            "--benchmark_min_time=1x",
            "--benchmark_format=json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    text = process.stdout
    if process.returncode != 0 or "{" not in text:
        raise SerenityError(
            f"iree-benchmark-module failed with code {process.returncode}: {process.stderr}",
            stderr=process.stderr,
        )
    rows = json.loads(text[text.index("{") :])["benchmarks"]
    scale = _MILLISECONDS
    times = [
        (row["real_time"] * scale[row["time_unit"]], row["cpu_time"] * scale[row["time_unit"]])
        for row in rows
        if row.get("run_type") == "iteration"
    ]
    return times[1:]


def _measure(commands: Sequence[Sequence[str]]) -> list[Latency]:
    # By processor time: a busy machine shall not lead to fewer calls.
    slowest = max(min(cpu for _, cpu in _calls(command, FEWEST_CALLS)) for command in commands)
    fitting = math.ceil(SECONDS_PER_ROUND * 1e3 / max(slowest, 1e-3))
    calls = min(max(fitting, FEWEST_CALLS), MOST_CALLS)
    samples: list[list[tuple[float, float]]] = [[] for _ in commands]
    for turn in range(ROUNDS):
        which = range(len(commands))
        for index in which if turn % 2 == 0 else reversed(which):
            samples[index] += _calls(commands[index], calls)
    latencies = []
    for of in samples:
        walls, processors = zip(*of, strict=True)
        latencies.append(Latency(min(walls), statistics.median(walls), min(processors), len(of)))
    return latencies


def measure_latencies(
    modules: Sequence[Path], function: str, inputs: Sequence[Value]
) -> dict[str, list[Latency]]:
    """Measure how long one call of each module takes, in turn.

    Args:
      modules: compiled modules that export the same function.
      function: its name.
      inputs: arrays and Python numbers, as for `measurement.measure`.

    Returns:
      For each of `SETTINGS`, the latency of every module.

    Raises:
      SerenityError: the benchmark tool failed.
    """
    from iree.runtime.benchmark import benchmark_exe

    with tempfile.TemporaryDirectory(prefix="serenity-latency-") as name:
        flags = [f"--function={function}", *_input_flags(inputs, Path(name))]
        return {
            setting: _measure(
                [[benchmark_exe(), f"--module={module}", *device, *flags] for module in modules]
            )
            for setting, device in SETTINGS.items()
        }

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Latencies: modules in turn, single calls, cold ones left out. No test depends on a time."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from serenity_mlir.compiling.compiler import compile_str
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring import latency

pytestmark = pytest.mark.one_release

# A benchmark tool that knows one module from the other and notes when it was called.
FAKE = """
import json, sys
flags = dict(flag.lstrip("-").partition("=")[::2] for flag in sys.argv[1:])
with open({log!r}, "a") as log:
    log.write(json.dumps(flags) + "\\n")
calls = int(flags["benchmark_repetitions"])
base = 2.0 if "second" in flags["module"] else 1.0
times = [100.0, *(base + i for i in range(1, calls))]
rows = [
    {{"run_type": "iteration", "real_time": 1e3 * t, "cpu_time": 500 * t, "time_unit": "us"}}
    for t in times
]
rows.append({{"run_type": "aggregate", "real_time": 0.5, "cpu_time": 0.5, "time_unit": "us"}})
print("a line of another library")
print(json.dumps({{"benchmarks": rows}}))
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Replaces the benchmark tool; returns the flags of its calls so far."""
    from iree.runtime import benchmark

    script, log = tmp_path / "tool", tmp_path / "log"
    script.write_text(f"#!{sys.executable}\n{FAKE.format(log=str(log))}")
    script.chmod(0o755)
    monkeypatch.setattr(benchmark, "benchmark_exe", lambda: str(script))
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


def test_modules_run_in_turn_and_the_first_call_is_not_counted(fake):
    modules = [Path("first.vmfb"), Path("second.vmfb")]
    found = latency.measure_latencies(modules, "main", [np.zeros((2, 3), np.float32), 7])
    assert list(found) == ["1 thread", "2 threads"]
    for first, second in found.values():
        # 1 ms + number of the call; the hundred of the first call and the aggregate are left out.
        assert (first.minimum, second.minimum) == (2.0, 3.0)
        assert first.median == second.median - 1 < 100
        assert (first.processor, second.processor) == (1.0, 1.5)
        assert first.calls == second.calls == latency.ROUNDS * latency.MOST_CALLS
    flags = fake()
    assert {(f["function"], f["input"]) for f in flags} == {("main", "7")}
    runs = [f["module"][:-5] for f in flags if f["device"] == "local-sync"]
    assert runs[:2] == ["first", "second"]  # How many calls fit.
    assert runs[2:6] == ["first", "second", "second", "first"]
    assert {f.get("task_topology_group_count") for f in flags if f["device"] == "local-task"} == {
        "2"
    }


def test_a_failing_tool_is_an_error(fake, tmp_path):
    (tmp_path / "tool").write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such module')\n")
    with pytest.raises(SerenityError, match="no such module"):
        latency.measure_latencies([tmp_path / "missing.vmfb"], "main", [])


def test_a_real_module_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(latency, "MOST_CALLS", 3)
    module = tmp_path / "add.vmfb"
    module.write_bytes(
        compile_str(
            "func.func @main(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {\n"
            "  %c = arith.addf %a, %b : tensor<4xf32>\n  return %c : tensor<4xf32>\n}\n",
            target_backends=["llvm-cpu"],
            serenity=None,
        )
    )
    ones = np.ones(4, np.float32)
    found = latency.measure_latencies([module], "main", [ones, ones])
    for (of,) in found.values():
        assert 0 < of.minimum <= of.median
        assert of.processor > 0
        assert of.calls == latency.ROUNDS * 3

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The same input and flags give the same bytes, whatever else is different.

Addresses, the contents of fresh memory, threads, hash seeds, the environment and the folder: none
of them may reach a module or a report. The wall clock may reach the report's times, which are left
out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driver_support import TARGET, without_times
from models import MODELS

from serenity_mlir.fuzzing import generate

_PYTHON = """
import sys
import serenity_mlir
source, output, report, *flags = sys.argv[1:]
serenity_mlir.compile_file(source, output_file=output, extra_args=flags,
                           serenity=serenity_mlir.SerenityOptions(report=report))
"""


def _several_programs() -> str:
    """Random programs as one module: many functions, several regions, sums, concatenations."""
    return "\n".join(generate(30, index, vmvx=True).text(f"c{index}_") for index in range(8))


_INPUTS: dict[str, Callable[[], str]] = {
    "random_programs": _several_programs,
    "torch_nchw": MODELS["torch_nchw"],
    "control_flow": MODELS["control_flow"],
}


def _ways(tool: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Command lines and environments that must not matter."""
    ways: dict[str, tuple[list[str], dict[str, str]]] = {
        "as it is": ([tool], {}),
        "one thread": ([tool, "--mlir-disable-threading"], {}),
        # Every byte of fresh and of freed memory is set, and large blocks lie elsewhere.
        "other memory": (
            [tool],
            {"MALLOC_PERTURB_": "165", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "4096"},
        ),
        "other environment": ([tool], {"SOME_VARIABLE": "x" * 50_000, "TZ": "Asia/Tokyo"}),
        "Python, hash seed 1": ([sys.executable, "-c", _PYTHON], {"PYTHONHASHSEED": "1"}),
        "Python, hash seed 2": ([sys.executable, "-c", _PYTHON], {"PYTHONHASHSEED": "2"}),
    }
    if shutil.which("setarch"):
        # The same addresses every time, where the others have random ones.
        fixed = ["setarch", "-R"]
        if subprocess.run([*fixed, "true"], capture_output=True).returncode == 0:
            ways["fixed addresses"] = ([*fixed, tool], {})
    return ways


def _compile(
    way: tuple[list[str], dict[str, str]], source: Path, folder: Path
) -> tuple[bytes, Any]:
    command, variables = way
    folder.mkdir()
    output, report = folder / "module.vmfb", folder / "report.json"
    if command[0] == sys.executable:
        arguments = [str(source), str(output), str(report), *TARGET]
    else:
        arguments = [str(source), "-o", str(output), f"--serenity-report={report}", *TARGET]
    process = subprocess.run(
        [*command, *arguments],
        env={**os.environ, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return output.read_bytes(), without_times(json.loads(report.read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("name", _INPUTS)
def test_nothing_but_input_and_flags_matters(
    name: str, serenity_compile: str, tmp_path: Path
) -> None:
    source = tmp_path / "source.mlir"
    source.write_text(_INPUTS[name]())
    outcomes = {
        way: _compile(how, source, tmp_path / f"way{number}")
        for number, (way, how) in enumerate(_ways(serenity_compile).items())
    }
    module, report = outcomes.pop("as it is")
    # Else there is little that could differ.
    assert any(
        f["transient_peak_bytes"] != f["stock_transient_peak_bytes"] for f in report["functions"]
    )
    for way, (other_module, other_report) in outcomes.items():
        assert other_report == report, way
        assert other_module == module, way

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The examples, run as their first lines say: each framework's own model, and its memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

pytestmark = pytest.mark.one_release

EXAMPLES = REPOSITORY / "examples"

#: Example, the framework's module, how many times less memory at least, kinds of rewrites that
#: must have been applied. The networks were not used for tuning.
CASES = [
    pytest.param(
        "onnx",
        "onnx",
        4,
        {"channel-wise", "kernel-wise"},
        id="onnx",
        marks=pytest.mark.slow,
    ),
    pytest.param("mlir", "iree.compiler", 6, set(), id="mlir"),
    pytest.param(
        "pytorch",
        "iree.turbine",
        4,
        {"channel-wise", "kernel-wise"},
        id="pytorch",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        "jax", "jax", 4, {"channel-wise", "kernel-wise"}, id="jax", marks=pytest.mark.slow
    ),
]


def test_every_example_is_tested():
    tested = {f"from_{case.values[0]}.py" for case in CASES}
    assert {path.name for path in EXAMPLES.glob("from_*.py")} == tested


@pytest.mark.parametrize(("name", "module", "ratio", "kinds"), CASES)
def test_an_example_needs_a_fraction_of_the_memory(name, module, ratio, kinds, tmp_path: Path):
    pytest.importorskip(module, reason=f"{module} is not installed")
    if name == "pytorch":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    process = subprocess.run(
        [sys.executable, str(EXAMPLES / f"from_{name}.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    # Neither the frameworks nor the compiler has anything to say.
    assert process.stderr == ""
    pattern = r"(\w+) +([\d,]+) bytes"
    told = {
        found[1]: int(found[2].replace(",", "")) for found in re.finditer(pattern, process.stdout)
    }
    assert told["allocated"] == told["serenity"]
    assert ratio * told["serenity"] < told["IREE"]
    report = json.loads((tmp_path / "report.json").read_text())
    applied = {rewrite["kind"] for entry in report["functions"] for rewrite in entry["rewrites"]}
    assert kinds <= applied

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs lit_tests/ with lit: one pytest test for each lit file, all of them in one lit process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SUITE = Path(__file__).resolve().parent.parent / "lit_tests"
FILES = sorted(
    str(path.relative_to(SUITE)) for path in SUITE.rglob("*.mlir") if "Inputs" not in path.parts
)


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The results of lit for the files that this pytest run has selected."""
    selected = [
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == Path(__file__).resolve()
        if hasattr(item, "callspec") and "name" in item.callspec.params
    ]
    output = tmp_path_factory.mktemp("lit")
    report = output / "results.json"
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.path.remove(''); from lit.main import main; main()",
            "-v",
            "-j2",
            f"--output={report}",
            f"--param=exec_root={output / 'exec'}",
            *(str(SUITE / name) for name in selected),
        ],
        capture_output=True,
        text=True,
    )
    if not report.is_file():
        pytest.fail(f"lit did not run:\n{process.stdout}\n{process.stderr}")
    tests = json.loads(report.read_text())["tests"]
    return {test["name"].removeprefix("serenity_mlir :: "): test for test in tests}


def test_the_suite_is_not_empty() -> None:
    assert FILES, f"no lit tests under {SUITE}"


@pytest.mark.parametrize("name", FILES)
def test_lit(name: str, results: dict[str, Any]) -> None:
    result = results[name]
    if result["code"] == "UNSUPPORTED":
        pytest.skip("unsupported here")
    assert result["code"] in ("PASS", "XFAIL"), f"{result['code']}\n{result['output']}"

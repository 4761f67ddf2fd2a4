# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Processes that `serenity` has started end with it, however it is ended, and leave no files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serenity_mlir._processes import run_command

pytestmark = pytest.mark.one_release

#: A compiler that has a child of its own, and takes longer than any test.
SLOW_COMPILER = """\
#!/bin/sh
sleep 600 &
echo $$ $! > "$PIDS.new"
mv "$PIDS.new" "$PIDS"
wait
"""


def wait_until(holds, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "nothing has happened"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def slow(tmp_path: Path) -> dict[str, str]:
    """An environment whose iree-compile is slow, with a folder of its own for temporary files."""
    tools, temporary = tmp_path / "tools", tmp_path / "temporary"
    tools.mkdir()
    temporary.mkdir()
    compiler = tools / "iree-compile"
    compiler.write_text(SLOW_COMPILER)
    compiler.chmod(0o755)
    (tmp_path / "model.mlir").write_text("func.func @main() { return }")
    return {
        **os.environ,
        "IREE_TOOL_PATH": str(tools),
        "TMPDIR": str(temporary),
        "PIDS": str(tmp_path / "pids"),
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_check_that_is_ended(number: signal.Signals, slow: dict[str, str], tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", "serenity_mlir", "check", str(tmp_path / "model.mlir")],
        env=slow,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pids = tmp_path / "pids"
    wait_until(pids.exists)
    started = list(map(int, pids.read_text().split()))
    assert all(map(alive, started)) and len(started) == 2
    assert list((tmp_path / "temporary").iterdir())
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "interrupted"
    wait_until(lambda: not any(map(alive, started)))
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_command_that_takes_too_long_is_ended_with_its_children(slow, tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(subprocess.TimeoutExpired):
        run_command([f"{slow['IREE_TOOL_PATH']}/iree-compile"], env=slow, timeout=2)
    started = list(map(int, pids.read_text().split()))
    assert len(started) == 2
    wait_until(lambda: not any(map(alive, started)))


def test_output_and_exit_code_are_kept():
    done = run_command(["sh", "-c", "cat; echo no >&2; exit 3"], input=b"yes")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"yes", b"no\n")

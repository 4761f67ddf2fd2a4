# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Running programs such that none outlives the work it was started for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import FrameType

__all__ = ["interrupt_on_termination", "processor_seconds", "run_command"]

#: Seconds that a program and its children have to remove the files they were writing.
_SECONDS_TO_END = 2.0


def run_command(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, with its output captured.

    It gets a process group of its own. If this process is interrupted, or the time is over, the
    whole group is ended, with the processes that the command has started.

    Args:
      command: the program first.
      env: its environment; this process's own if None.
      input: its standard input; empty if None.
      timeout: seconds; None waits.

    Raises:
      OSError: it cannot be started.
      subprocess.TimeoutExpired: it took longer than `timeout`.
    """
    with subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, errors = process.communicate(input, timeout)
        except BaseException:
            _end_group(process)
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: by SIGTERM, then by SIGKILL."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_SECONDS_TO_END)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def interrupt_on_termination() -> None:
    """Let SIGTERM and SIGHUP unwind this process as Ctrl-C does, instead of ending it at once.

    Temporary folders are removed then, and started programs ended. The first signal counts; those
    that follow do not disturb the unwinding.
    """
    signals = (signal.SIGTERM, signal.SIGHUP)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for other in signals:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in signals:
        # A process that ignores hang-ups (nohup) goes on ignoring them.
        if signal.getsignal(one) == signal.SIG_DFL:
            signal.signal(one, interrupt)


def processor_seconds() -> float:
    """Return the processor time, in seconds, of all subprocesses that have ended.

    The difference of two readings is that of the programs that ended between them, in any thread.
    """
    times = os.times()
    return times.children_user + times.children_system

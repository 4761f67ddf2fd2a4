# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Building and running C++ test programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY


def has_compiler() -> bool:
    """Whether there is a C++ compiler."""
    return bool(shutil.which("c++") or os.environ.get("CXX"))


def run(*command: str | Path) -> str:
    """Run a command that must succeed; returns its output."""
    # CMake and Ninja come as Python packages; they lie beside the interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    process = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
    )
    assert process.returncode == 0, f"{command}\n{process.stdout}\n{process.stderr}"
    return process.stdout


def build_or_skip(folder: Path, target: str, *options: str) -> None:
    """Configure the project in `folder` and build a target; skip where no compiler is."""
    if not has_compiler():
        pytest.skip("no C++ compiler")
    run("cmake", "-S", REPOSITORY, "-B", folder, "-G", "Ninja", *options)
    run("cmake", "--build", folder, "--target", target)

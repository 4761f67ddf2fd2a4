# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The stock compiler and serenity-compile side by side, for the tests of the compile driver."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: The target that compiles quickest. Memory does not depend on it: it comes after the slabs.
TARGET = ("--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=vmvx")

#: Weights in messages and printed modules as `dense_resource<__elided__>`.
ELIDE = ("--mlir-elide-elementsattrs-if-larger=4", "--mlir-elide-resource-strings-if-larger=4")

#: Without it the bytecode names files and lines, which differ in a module read back from a file.
STRIP = "--iree-vm-bytecode-module-strip-source-map"

#: Slab of the fixture `cell`: the stock compiler's, and the least that any order of it can have.
STOCK_SLAB = 187_776

#: Fails to verify.
BROKEN = "func.func @f(%x: i32) -> i64 {\n  return %x : i32\n}\n"

#: All phases of `--compile-to` and `--compile-from`, in order.
PHASES = (
    "start",
    "input",
    "abi",
    "preprocessing",
    "global-optimization",
    "dispatch-creation",
    "flow",
    "stream",
    "executable-sources",
    "executable-configurations",
    "executable-targets",
    "hal",
    "vm",
    "end",
)

_TRANSIENT_ALLOCA = re.compile(
    r"stream\.resource\.alloca .*!stream\.resource<transient>\{%c(\d+)(?:_\d+)?\}"
)


class Run(NamedTuple):
    """The result of a compiler: exit code, standard output, standard error without its own path."""

    code: int
    out: bytes
    err: str


class Compilers:
    """Runs the stock compiler and serenity-compile with the same arguments."""

    def __init__(self, stock: str, ours: str) -> None:
        self.stock_path = stock
        self.ours_path = ours
        self._stock_once = functools.lru_cache(maxsize=None)(self._run)

    def stock(self, *args: str | Path, input: bytes = b"", cwd: Path | None = None) -> Run:
        """Runs the stock compiler."""
        return self._run(self.stock_path, tuple(map(str, args)), input, cwd)

    def stock_output(self, *args: str | Path) -> bytes:
        """Returns the stock compiler's output for these arguments; compiles only once."""
        run = self._stock_once(self.stock_path, (*map(str, args), "-o", "-"), b"", None)
        assert run.code == 0, run.err
        return run.out

    def ours(self, *args: str | Path, input: bytes = b"", cwd: Path | None = None) -> Run:
        """Runs serenity-compile without rewriting, to save time, unless the arguments set it."""
        arguments = tuple(map(str, args))
        if not any(a.startswith(("--serenity-schedule", "--serenity-rewrite")) for a in arguments):
            arguments = ("--serenity-rewrite=off", *arguments)
        return self._run(self.ours_path, arguments, input, cwd)

    def ours_output(self, *args: str | Path) -> bytes:
        """Returns the output of serenity-compile for these arguments."""
        run = self.ours(*args, "-o", "-")
        assert run.code == 0, run.err
        return run.out

    def report(self, file: Path, *args: str | Path) -> dict[str, Any]:
        """Compiles with our compiler and returns the report, which goes to `file`."""
        file.unlink(missing_ok=True)
        arguments = (
            args if any(str(a) in ("-o", "--o") for a in args) else (*args, "-o", "/dev/null")
        )
        run = self.ours(*arguments, f"--serenity-report={file}")
        assert run.code == 0, run.err
        report: dict[str, Any] = json.loads(file.read_text())
        return report

    @staticmethod
    def _run(program: str, args: Sequence[str], input: bytes, cwd: Path | None) -> Run:
        process = subprocess.run(
            [program, *args],
            input=input,
            capture_output=True,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
            timeout=600,
        )
        errors = process.stderr.decode(errors="replace")
        # LLVM's command line parser quotes the program.
        errors = errors.replace(program, "PROGRAM")
        errors = re.sub(r"^(iree|serenity)-compile: ", "PROGRAM: ", errors, flags=re.M)
        return Run(process.returncode, process.stdout, errors)


def slabs(module: str | bytes) -> list[int]:
    """Returns the sizes of the transient allocations in the text of a module, in order."""
    text = module.decode() if isinstance(module, bytes) else module
    sizes = [int(size) for size in _TRANSIENT_ALLOCA.findall(text)]
    # None of another form: a size that is no constant would be overlooked.
    assert len(sizes) == len(re.findall(r"resource\.alloca .*<transient>", text))
    return sizes


def without_times(report: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of the report without the wall clock."""
    copy: dict[str, Any] = json.loads(json.dumps(report))
    copy.pop("seconds")
    for function in copy["functions"]:
        for region in function["regions"]:
            region.pop("seconds")
    return copy

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A crash of serenity's part ends in the stock module, a warning and a reproducer.

`SERENITY_TEST_CRASH=POINT[#TIME]:KIND[:worker]` raises the signal at a named point of the driver.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import RunTool
from driver_support import STRIP, TARGET, Compilers
from iree.compiler.tools.binaries import find_tool

pytestmark = pytest.mark.one_release

#: Two products in a row. The hidden layer has 2,048 floats: 8,192 bytes as stock.
MODEL = Path(__file__).parent / "models" / "cases" / "dynamic_and_static_function.mlir"
STOCK_BYTES = 8192


class Crash:
    """Compiles with a crash injected, in a folder of its own."""

    def __init__(self, program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program = program
        self.folder = folder
        self.monkeypatch = monkeypatch

    def __call__(
        self, crash: str, *flags: str, model: str = str(MODEL), input: bytes = b"", cwd: str = ""
    ) -> subprocess.CompletedProcess[bytes]:
        self.monkeypatch.setenv("SERENITY_TEST_CRASH", crash)
        return subprocess.run(
            [self.program, model, "--serenity-schedule", *TARGET, STRIP, *flags],
            input=input,
            cwd=cwd or self.folder,
            capture_output=True,
            check=False,
            timeout=300,
        )

    def reproducers(self) -> list[Path]:
        return sorted(self.folder.glob("serenity-crash-*"))


@pytest.fixture
def crash(serenity_compile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crash:
    return Crash(serenity_compile, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("point", "kind", "name", "step"),
    [
        ("sites", "ABRT", "SIGABRT", "the search for rewrite sites"),
        ("predict", "STACK", "SIGSEGV", "the prediction of 'stock'"),
        ("estimate", "SEGV", "SIGSEGV", "the trial compilation of '2 rewrites'"),
        ("estimate", "STACK:worker", "SIGSEGV", "the trial compilation of"),
        ("place", "FPE:worker", "SIGFPE", "the layout of"),
        ("later", "SEGV", "SIGSEGV", "IREE's passes on the scheduled module"),
    ],
)
def test_a_crash_ends_in_the_stock_module(
    crash: Crash, compilers: Compilers, point: str, kind: str, name: str, step: str
) -> None:
    result = crash(f"{point}:{kind}", "-o", "out.vmfb", "--serenity-report=report.json")
    errors = result.stderr.decode()
    assert result.returncode == 0, errors
    assert (crash.folder / "out.vmfb").read_bytes() == compilers.stock_output(MODEL, *TARGET, STRIP)
    (warning,) = errors.splitlines()
    assert warning.startswith(f"serenity-compile: warning: {name} during {step}")
    assert "--serenity-schedule=off" in warning
    (reproducer,) = crash.reproducers()
    assert f"'{reproducer.name}'" in warning
    text = reproducer.read_text()
    assert f"signal: {name}\nstep: {step}" in text
    assert str(MODEL) in text and "iree_compiler: 3." in text
    report = json.loads((crash.folder / "report.json").read_text())
    assert f"serenity-compile: warning: {report['remarks'][0]}" == warning
    assert [function["transient_peak_bytes"] for function in report["functions"]] == [256, 8192]
    names = {path.name for path in crash.folder.iterdir()}
    assert names == {"out.vmfb", "report.json", reproducer.name}


def test_standard_input_is_read_again(crash: Crash, compilers: Compilers) -> None:
    text = MODEL.read_bytes()
    result = crash("estimate:SEGV", "-o", "-", model="-", input=text)
    assert result.returncode == 0
    assert result.stdout == compilers.stock("-", *TARGET, STRIP, "-o", "-", input=text).out
    module, reproducer = crash.reproducers()
    assert module.suffix == ".input" and module.read_bytes() == text
    assert f"input: {module.name}" in reproducer.read_text()


@contextlib.contextmanager
def fed(pipe: Path, contents: bytes) -> Iterator[None]:
    """Makes a named pipe whose contents are written to it once."""
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(contents,))
    writer.start()
    yield
    writer.join(timeout=60)
    assert not writer.is_alive()


@contextlib.contextmanager
def drained(pipe: Path, into: list[bytes]) -> Iterator[None]:
    """Makes a named pipe, and reads it to its end once."""
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: into.append(pipe.read_bytes()))
    reader.start()
    yield
    reader.join(timeout=60)
    assert not reader.is_alive()


@pytest.mark.parametrize(("point", "warnings"), [("estimate", 1), ("describe", 2)])
def test_a_named_pipe_is_read_once(
    crash: Crash, compilers: Compilers, point: str, warnings: int
) -> None:
    # With the source map, which names the pipe. The description runs again in the second process,
    # so that a third one compiles the copy.
    text = MODEL.read_bytes()
    source, pipe = crash.folder / "model.mlir", crash.folder / "pipe"
    with fed(pipe, text):
        result = subprocess.run(
            [crash.program, str(pipe), "--serenity-schedule", *TARGET, "-o", "out.vmfb"],
            cwd=crash.folder,
            env={**os.environ, "SERENITY_TEST_CRASH": f"{point}:SEGV"},
            capture_output=True,
            check=False,
            timeout=300,
        )
    errors = result.stderr.decode()
    assert result.returncode == 0, errors
    assert errors.count("serenity-compile: warning: SIGSEGV") == warnings
    pipe.unlink()
    source.write_bytes(text)
    source.rename(pipe)  # the same name, now of a file
    stock = compilers.stock_output(pipe, *TARGET)
    assert (crash.folder / "out.vmfb").read_bytes() == stock
    module, reproducer = crash.reproducers()
    assert module.suffix == ".input" and module.read_bytes() == text
    assert f"input: {module.name}" in reproducer.read_text()


def test_pipes_compile_as_files_do(compilers: Compilers, tmp_path: Path) -> None:
    # Text, bytecode, and the error of a module that is neither, with the name of the pipe.
    bytecode = subprocess.run(
        [find_tool("iree-opt"), str(MODEL), "--emit-bytecode"], capture_output=True, check=True
    ).stdout
    for name, text in {"text": MODEL.read_bytes(), "bytecode": bytecode}.items():
        with fed(tmp_path / name, text):
            run = compilers.ours(tmp_path / name, *TARGET, "--compile-to=stream", "-o", "-")
        assert run.code == 0, run.err
        assert run.out == compilers.ours_output(MODEL, *TARGET, "--compile-to=stream")
    with fed(tmp_path / "broken", b"func.func @f( {"):
        ours = compilers.ours(tmp_path / "broken", *TARGET, "-o", "/dev/null")
    (tmp_path / "broken").unlink()
    (tmp_path / "broken").write_bytes(b"func.func @f( {")
    assert ours == compilers.stock(tmp_path / "broken", *TARGET, "-o", "/dev/null")
    assert ours.code == 1 and "broken:1:" in ours.err


@pytest.mark.parametrize("output", ["-", "pipe", "out.mlir"])
def test_a_crash_in_a_later_module(crash: Crash, compilers: Compilers, output: str) -> None:
    text = MODEL.read_text()
    source = crash.folder / "split.mlir"
    source.write_text(f"{text}\n// -----\n{text}")
    flags = ("--split-input-file", "--compile-to=stream")
    written: list[bytes] = []
    with drained(crash.folder / "pipe", written) if output == "pipe" else contextlib.nullcontext():
        result = crash("later#2:ABRT", *flags, "-o", output, model=str(source))
    assert result.returncode == 0, result.stderr.decode()
    assert b"SIGABRT during IREE's passes on the scheduled module" in result.stderr
    if output != "pipe":
        written = [result.stdout if output == "-" else (crash.folder / output).read_bytes()]
    # Both modules, once, as stock.
    assert written == [compilers.stock_output(source, *TARGET, STRIP, *flags)]
    assert len(crash.reproducers()) == 1


def test_an_error_in_a_later_module_keeps_the_earlier_ones(
    compilers: Compilers, tmp_path: Path
) -> None:
    source = tmp_path / "split.mlir"
    source.write_text(f"{MODEL.read_text()}\n// -----\nfunc.func @f( {{\n")
    command = (source, *TARGET, "--split-input-file", "--compile-to=flow", "-o", "-")
    stock = compilers.stock(*command)
    assert compilers.ours("--serenity-schedule=off", *command) == stock
    assert stock.code == 1 and b"@ffn" in stock.out


def test_a_pipe_that_is_read_sees_no_end_before_the_output(
    crash: Crash, compilers: Compilers
) -> None:
    written: list[bytes] = []
    with drained(crash.folder / "pipe", written):
        result = crash("estimate:SEGV", "-o", "pipe")
    assert result.returncode == 0, result.stderr.decode()
    assert written == [compilers.stock_output(MODEL, *TARGET, STRIP)]


def test_a_second_crash_leaves_the_bare_pipeline(crash: Crash, compilers: Compilers) -> None:
    # The description of the functions runs with --serenity-schedule=off too.
    result = crash("describe:SEGV", "-o", "out.vmfb", "--serenity-report=report.json")
    assert result.returncode == 0
    assert (crash.folder / "out.vmfb").read_bytes() == compilers.stock_output(MODEL, *TARGET, STRIP)
    first, second = result.stderr.decode().splitlines()
    assert "--serenity-schedule=off" in first and "IREE's pipeline alone" in second
    assert json.loads((crash.folder / "report.json").read_text())["functions"] == []
    # One crash, at one step: one reproducer.
    assert len(crash.reproducers()) == 1


@pytest.mark.parametrize(
    ("point", "budget", "code", "message"),
    [
        ("later", STOCK_BYTES, 0, ""),
        ("later", STOCK_BYTES - 1, 3, "exceeds its memory budget by 1 byte (8192 > 8191)"),
        ("describe", STOCK_BYTES, 3, "the memory budget of 8192 bytes cannot be checked"),
    ],
)
def test_the_budget_is_checked_on_the_stock_module(
    crash: Crash, point: str, budget: int, code: int, message: str
) -> None:
    result = crash(f"{point}:SEGV", "-o", "out.vmfb", f"--serenity-memory-budget={budget}")
    # Under a budget that stock keeps to nothing is changed, and nothing crashes later.
    assert result.returncode == code, result.stderr.decode()
    assert message in result.stderr.decode()
    assert (crash.folder / "out.vmfb").exists() == (code == 0)


def test_the_reproducer_has_one_name_and_overwrites_nothing(crash: Crash) -> None:
    crash("sites:SEGV", "--compile-to=stream", "-o", "/dev/null")
    crash("sites:SEGV", "--compile-to=stream", "-o", "/dev/null")
    (first,) = crash.reproducers()
    first.write_text("something else")
    result = crash("sites:SEGV", "--compile-to=stream", "-o", "/dev/null")
    assert first.read_text() == "something else"
    assert first.with_name(f"{first.stem}-1.txt").name in result.stderr.decode()


def test_a_folder_that_cannot_be_written(crash: Crash) -> None:
    crash.monkeypatch.setenv("TMPDIR", str(crash.folder))
    result = crash("sites:SEGV", "--compile-to=stream", "-o", "/dev/null", cwd="/proc")
    assert result.returncode == 0
    (reproducer,) = crash.reproducers()
    assert str(reproducer) in result.stderr.decode()


def test_a_crash_of_iree_looks_like_iree(crash: Crash) -> None:
    # The phases before the serenity passes, on the user's module.
    result = crash("iree:SEGV", "-o", "out.vmfb")
    assert result.returncode == -signal.SIGSEGV
    assert b"include the crash backtrace" in result.stderr
    assert not (crash.folder / "out.vmfb").exists() and not crash.reproducers()


def test_peak_survives(run_tool: RunTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERENITY_TEST_CRASH", "estimate:SEGV")
    model = tmp_path / "static.mlir"
    # Without the function whose inputs are dynamic, for which there is no static peak.
    model.write_text("func.func @ffn" + MODEL.read_text().split("func.func @ffn")[1])
    result = run_tool(
        [sys.executable, "-m", "serenity_mlir", "peak", str(model), "--json"], cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    (line,) = json.loads(result.stdout)
    assert line["result"]["transient_bytes"] == STOCK_BYTES
    assert "SIGSEGV during the trial compilation" in result.stderr

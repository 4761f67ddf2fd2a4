# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every pass on IR of every phase, on that of the lit tests, and on damaged IR.

A pass leaves a valid module, or there is a diagnostic; the process never crashes and does not grow.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driver_support import TARGET
from models import MODELS

pytestmark = pytest.mark.one_release

REPOSITORY = Path(__file__).resolve().parent.parent
WORKER = Path(__file__).resolve().parent / "ir_worker.py"
LIT_FILES = sorted(
    str(path)
    for path in (REPOSITORY / "lit_tests").rglob("*.mlir")
    # Files that are no module by intention have a test of their own.
    if path.name != "verify_diagnostics_invalid.mlir"
)

#: The stream phase, cut where the driver cuts it.
STREAM_PIECES = {
    "stream-tensor": "iree-stream-tensor-transformation-pipeline",
    "stream-async": "iree-stream-async-transformation-pipeline",
    "stream-allocation": "iree-stream-schedule-allocation",
}

#: Where each pass finds nothing of its own, and so may change nothing. Executables hold linalg and
#: tensors to the end, which the passes must not touch.
UNCHANGED = {
    "serenity-rewrite": ("flow", "stream", "executable-sources", "executable-targets", "hal", "vm"),
    "serenity-schedule": (
        "input",
        "abi",
        "preprocessing",
        "stream-async",
        "stream-allocation",
        "stream",
        "executable-sources",
        "executable-targets",
        "hal",
        "vm",
    ),
    "serenity-schedule-regions": ("input", "abi", "preprocessing", "flow", "stream", "hal", "vm"),
    "serenity-pack": (
        "input",
        "abi",
        "preprocessing",
        "flow",
        "stream-async",
        "stream",
        "hal",
        "vm",
    ),
}

#: Seconds for all passes on a mutant, which take some hundredths; more counts as failure.
MUTANT_SECONDS = 120

#: Models that each run takes through every phase: host control flow, and globals of an import. All
#: others are marked slow.
QUICK = ("control_flow", "torch_nchw")


def start(last: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(WORKER), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "IR_WORKER_LAST": str(last)},
        timeout=900,
        check=False,
    )


def fail(process: subprocess.CompletedProcess[str], last: Path) -> None:
    module = last.read_text(encoding="utf-8") if last.exists() else ""
    pytest.fail(
        f"the worker ended with {process.returncode}\n{process.stderr[-3000:]}\n{module[:20_000]}"
    )


def work(tmp_path: Path, *arguments: str | Path) -> list[Any]:
    """Runs the worker; a crash fails the test with the module that caused it."""
    last = tmp_path / "last.mlir"
    process = start(last, *arguments)
    if process.returncode != 0:
        fail(process, last)
    return [json.loads(line) for line in process.stdout.splitlines()]


def answers(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yields the worker's lines; ends it when it takes too long for one."""
    assert process.stdout is not None
    torn = b""
    while True:
        if not select.select([process.stdout], [], [], MUTANT_SECONDS)[0]:
            process.kill()
            return
        data = os.read(process.stdout.fileno(), 1 << 16)
        if not data:
            return
        *lines, torn = (torn + data).split(b"\n")
        yield from (line.decode() for line in lines)


def work_on_mutants(tmp_path: Path, count: int, seed: int, paths: list[str]) -> list[Any]:
    """Runs the worker on mutants, except those that crash IREE's own parser and verifiers."""
    from iree.compiler.tools.binaries import find_tool

    last = tmp_path / "last.mlir"
    results: list[Any] = []
    first, not_ours = 0, 0
    while first < count:
        command = [sys.executable, str(WORKER), "mutants", str(first), str(count), str(seed)]
        with (tmp_path / "errors").open("wb") as errors:
            process = subprocess.Popen(
                [*command, *paths],
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "IR_WORKER_LAST": str(last)},
            )
        with process:
            lines = list(answers(process))
        results += [json.loads(line) for line in lines]
        first += len(lines)
        if process.returncode == 0:
            assert first == count
            break
        without_us = subprocess.run(
            [find_tool("iree-opt"), str(last)], capture_output=True, timeout=MUTANT_SECONDS
        )
        ended = process.returncode
        if ended > 0 or ended == -signal.SIGKILL or without_us.returncode >= 0:
            said = (tmp_path / "errors").read_text(errors="replace")
            fail(subprocess.CompletedProcess(command, ended, stderr=said), last)
        first += 1
        not_ours += 1
    assert not_ours <= max(2, count // 50)
    return results


def assert_valid(results: list[Any]) -> Counter[str]:
    """Every module that could be read is left valid or refused with a reason; counts outcomes."""
    outcomes: Counter[str] = Counter()
    for path, number, result in results:
        for name, outcome in (result or {"": "unread"}).items():
            assert outcome != "broken", f"{path}, module {number}: {name}"
            assert outcome != "error: ", f"{path}, module {number}: {name} fails without a reason"
            outcomes[outcome.split(":")[0]] += 1
    return outcomes


@pytest.fixture(scope="session")
def phases(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    stock_compile: str,
    serenity_compile: str,
    serenity_opt: str,
) -> dict[str, Path]:
    """IR of a model at every phase, as the stock compiler and ours make it."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    source = folder / "source.mlir"
    source.write_text(MODELS[name]())
    found = {"source": source}
    for compiler, program, flags in (
        ("stock", stock_compile, []),
        ("ours", serenity_compile, ["--serenity-rewrite=off"]),
    ):
        dumps = folder / compiler
        command = [program, str(source), *TARGET, *flags, f"--dump-compilation-phases-to={dumps}"]
        subprocess.run([*command, "-o", "/dev/null"], check=True, capture_output=True)
        for path in sorted(dumps.iterdir()):
            found[f"{compiler} {path.name.split('.')[-2]}"] = path
    at_flow = found["stock flow"]
    for piece, pipeline in STREAM_PIECES.items():
        target = folder / f"{piece}.mlir"
        command = [serenity_opt, f"--pass-pipeline=builtin.module({pipeline})", str(at_flow)]
        subprocess.run([*command, "-o", str(target)], check=True, capture_output=True)
        at_flow = found[f"stock {piece}"] = target
    return found


@pytest.mark.parametrize(
    "phases",
    [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
        for name in MODELS
        if name != "mixed_types"  # Has types that VMVX does not compile.
    ],
    indirect=True,
)
def test_ir_of_every_phase(phases: dict[str, Path], tmp_path: Path) -> None:
    labels = {str(path): label for label, path in phases.items()}
    results = work(tmp_path, "passes", *phases.values())
    assert len(labels) >= 2 * 12 + 3
    outcomes = assert_valid(results)
    assert outcomes["unread"] == 0
    for path, _, result in results:
        phase = labels[path].split()[-1]
        for pass_name, untouched in UNCHANGED.items():
            if phase in untouched:
                assert result[pass_name] == "unchanged", (labels[path], pass_name)


def test_ir_of_the_lit_tests(tmp_path: Path) -> None:
    outcomes = assert_valid(work(tmp_path, "passes", *LIT_FILES))
    assert outcomes["changed"] > 50 and outcomes["unchanged"] > 200


@pytest.mark.parametrize("seed", [1])
def test_damaged_ir_of_the_lit_tests(seed: int, tmp_path: Path) -> None:
    outcomes = assert_valid(work_on_mutants(tmp_path, 400, seed, LIT_FILES))
    assert outcomes["changed"] > 20 and outcomes["unchanged"] > 100


@pytest.mark.parametrize(
    ("phases", "count"),
    [("control_flow", 200), pytest.param("loop", 1000, marks=pytest.mark.slow)],
    indirect=["phases"],
)
def test_damaged_ir_of_every_phase(phases: dict[str, Path], count: int, tmp_path: Path) -> None:
    paths = sorted(map(str, phases.values()))
    outcomes = assert_valid(work_on_mutants(tmp_path, count, 1, paths))
    assert outcomes["changed"] > count // 100 and outcomes["unchanged"] > count // 2


def test_a_mutant_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "MUTANT_SECONDS", 5)
    code = "import time; print(1, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert list(answers(process)) == ["1"]
    assert process.returncode == -signal.SIGKILL


def test_passes_do_not_leak(tmp_path: Path) -> None:
    """The process grows by less than 8 KiB a round, where a clone left behind would take more."""
    path = REPOSITORY / "lit_tests" / "schedule_regions" / "concatenation.mlir"
    module = tmp_path / "module.mlir"
    first = path.read_text(encoding="utf-8").split("\n// -----", 1)[0]
    module.write_text(first, encoding="utf-8")
    rounds = 60
    (growth,) = work(tmp_path, "leaks", rounds, module)
    assert growth < rounds * 8192

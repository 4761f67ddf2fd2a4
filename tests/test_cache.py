# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The cache of configurations: the same module from it, and a search wherever it is of no use."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from driver_support import TARGET

pytestmark = pytest.mark.one_release

FLAGS = (*TARGET, "--compile-to=stream", "--serenity-schedule")


class Result(NamedTuple):
    """Text of a compiled module, its report, and the messages."""

    module: bytes
    report: dict[str, Any]
    err: str

    @property
    def uses(self) -> tuple[int, int]:
        """Hits and misses."""
        search = self.report["search"]
        return search["cache_hits"], search["cache_misses"]


def compile_cell(tool: str, cell: Path, folder: Path, *args: str, **environment: str) -> Result:
    """Compiles the cell; output and report go to `folder`."""
    report = folder / "report.json"
    environment = {**os.environ, **environment}
    process = subprocess.run(
        [tool, str(cell), *FLAGS, *args, f"--serenity-report={report}", "-o", "-"],
        capture_output=True,
        env=environment,
        check=False,
        timeout=600,
    )
    err = process.stderr.decode()
    assert process.returncode == 0, err
    return Result(process.stdout, json.loads(report.read_text()), err)


class Filled(NamedTuple):
    """A cache with the entry of the cell, and the compilations without and with an empty one."""

    folder: Path
    entry: Path
    without: Result
    first: Result


@pytest.fixture(scope="module")
def filled(serenity_compile: str, cell: Path, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    tmp = tmp_path_factory.mktemp("reports")
    folder = tmp_path_factory.mktemp("parent") / "cache"
    without = compile_cell(serenity_compile, cell, tmp)
    first = compile_cell(serenity_compile, cell, tmp, f"--serenity-cache={folder}")
    (entry,) = folder.iterdir()
    return Filled(folder, entry, without, first)


def fingerprint(text: bytes) -> str:
    """FNV-1a of 128 bits, as the last line of an entry has it."""
    state = 0x6C62272E07BB014262B821756295C58D
    for byte in text:
        state = (state ^ byte) * (2**88 + 0x13B) % 2**128
    return f"{state:032x}"


def test_no_cache_is_used_unless_it_is_asked_for(filled: Filled) -> None:
    assert filled.without.uses == (0, 0)


def test_a_second_compilation_takes_one_trial(
    filled: Filled, serenity_compile: str, cell: Path, tmp_path: Path
) -> None:
    assert filled.first.uses == (0, 1)
    assert filled.first.module == filled.without.module
    again = compile_cell(serenity_compile, cell, tmp_path, f"--serenity-cache={filled.folder}")
    assert again.uses == (1, 0)
    assert again.module == filled.without.module
    # The search has judged many candidates, of which IREE has built several.
    assert filled.first.report["search"]["predictions"] > 2
    assert filled.first.report["search"]["trial_compilations"] >= 1
    assert again.report["search"]["predictions"] <= 1
    assert again.report["search"]["trial_compilations"] == 1
    for key in ("transient_peak_bytes", "rewrites"):
        assert [f[key] for f in again.report["functions"]] == [
            f[key] for f in filled.first.report["functions"]
        ]


def test_the_environment_names_the_folder_and_off_wins(
    filled: Filled, serenity_compile: str, cell: Path, tmp_path: Path
) -> None:
    environment = {"SERENITY_CACHE_DIR": str(filled.folder)}
    hit = compile_cell(serenity_compile, cell, tmp_path, **environment)
    assert hit.uses == (1, 0)
    off = compile_cell(serenity_compile, cell, tmp_path, "--serenity-cache=off", **environment)
    assert off.uses == (0, 0)


def test_a_changed_flag_misses(
    filled: Filled, serenity_compile: str, cell: Path, tmp_path: Path
) -> None:
    for flag in ("--serenity-max-recompute=0", "--iree-opt-level=O1"):
        other = compile_cell(
            serenity_compile, cell, tmp_path, flag, f"--serenity-cache={filled.folder}"
        )
        assert other.uses == (0, 1), flag


@pytest.mark.parametrize("damage", ["cut", "byte", "version", "key", "empty", "joins"])
def test_damaged_and_foreign_entries_are_replaced(
    damage: str, filled: Filled, serenity_compile: str, cell: Path, tmp_path: Path
) -> None:
    good = filled.entry.read_bytes()
    lines = good.splitlines(keepends=True)
    assert lines[-1] == f"end {fingerprint(b''.join(lines[:-1]))}\n".encode()

    def sealed(changed: list[bytes]) -> bytes:
        text = b"".join(changed)
        return text + f"end {fingerprint(text)}\n".encode()

    cache = tmp_path / "cache"
    cache.mkdir()
    entry = cache / filled.entry.name
    entry.write_bytes(
        {
            "cut": good[: len(good) // 2],
            "byte": good.replace(b"in-place", b"in_place"),
            "version": sealed([lines[0], b"versions serenity_mlir 0.0.1\n", *lines[2:-1]]),
            "key": sealed([*lines[:2], b"key " + b"0" * 32 + b"\n", *lines[3:-1]]),
            "empty": b"",
            # Well made, but of a module with more sites.
            "joins": sealed([*lines[:-1], b"joins 100000 0,1\n"]),
        }[damage]
    )
    result = compile_cell(serenity_compile, cell, tmp_path, f"--serenity-cache={cache}")
    assert result.uses == (0, 1)
    assert result.module == filled.without.module
    assert entry.read_bytes() == good


def test_compilations_at_the_same_time_share_a_cache(
    filled: Filled, serenity_compile: str, cell: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    command = [serenity_compile, str(cell), *FLAGS, f"--serenity-cache={cache}", "-o", "-"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    modules = [process.communicate(timeout=600)[0] for process in running]
    assert modules == [filled.without.module] * 3
    (entry,) = cache.iterdir()  # no temporary file is left
    assert entry.read_bytes() == filled.entry.read_bytes()


def test_a_folder_that_cannot_be_written_is_a_warning(
    filled: Filled, serenity_compile: str, cell: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("no folder\n")
    result = compile_cell(serenity_compile, cell, tmp_path, f"--serenity-cache={file}")
    assert result.module == filled.without.module
    assert "warning: the configuration is not kept in the cache: " in result.err
    assert any("not kept in the cache" in remark for remark in result.report["remarks"])


def test_the_flag_alone_takes_the_folder_of_the_user(
    filled: Filled, serenity_compile: str, cell: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "serenity_mlir"
    cache.mkdir()
    (cache / filled.entry.name).write_bytes(filled.entry.read_bytes())
    result = compile_cell(
        serenity_compile, cell, tmp_path, "--serenity-cache", XDG_CACHE_HOME=str(tmp_path)
    )
    assert result.uses == (1, 0)

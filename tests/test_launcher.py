# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The native launcher: which program it becomes, with which arguments.

Most tests put a copy of the launcher into a folder laid out like a site directory, in which both
programs are scripts that print their own names. Whether an
argument is a serenity flag is a matter of LLVM's parser: the real stock compiler is the oracle,
which reports every such flag as unknown.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

_SCRIPT = """#!/bin/sh
printf '%s\\0' NAME "$LD_LIBRARY_PATH" "$@"
"""


class Site:
    """A folder laid out like site-packages, with the launcher and two programs that tell on it."""

    def __init__(self, root: Path, launcher: str, with_iree: bool = True) -> None:
        self.root = root
        self.libs = root / ("iree" if with_iree else "elsewhere") / "compiler/_mlir_libs"
        (root / "serenity_mlir/bin").mkdir(parents=True)
        self.libs.mkdir(parents=True)
        if with_iree:
            (root / "iree/compiler/tools").mkdir()
        self.launcher = root / "serenity_mlir/bin/iree-compile"
        shutil.copy(launcher, self.launcher)
        self.script(root / "serenity_mlir/bin/serenity-compile", "ours")
        self.script(self.libs / "iree-compile", "stock")

    @staticmethod
    def script(path: Path, name: str) -> None:
        path.write_text(_SCRIPT.replace("NAME", name))
        path.chmod(0o755)

    def run(self, *args: str, cwd: Path | None = None, **environment: str) -> list[str]:
        """Returns the name of the program that ran, its LD_LIBRARY_PATH, and its arguments."""
        process = subprocess.run(
            [str(self.launcher), *args],
            capture_output=True,
            cwd=cwd,
            env={**os.environ, "LD_LIBRARY_PATH": "", **environment},
            check=True,
        )
        assert process.stderr == b""
        return process.stdout.decode().split("\0")[:-1]


@pytest.fixture
def site(tmp_path: Path, launcher: str) -> Site:
    return Site(tmp_path / "site", launcher)


def test_stock_without_a_flag_of_ours(site: Site) -> None:
    args = ["-", "a b.mlir", "--iree-hal-target-backends=llvm-cpu", "", "-o=x", "--x=--serenity-y"]
    assert site.run(*args) == ["stock", "", *args]


@pytest.mark.parametrize(
    "flag", ["--serenity-schedule", "-serenity-report=x", "--serenity-unknown"]
)
def test_ours_with_a_flag_of_ours(site: Site, flag: str) -> None:
    args = ["in.mlir", flag, "-o", "out"]
    assert site.run(*args) == ["ours", "", *args]


def test_serenity_flags_in_odd_places(site: Site) -> None:
    # The value of a flag that takes one from the next argument, and arguments after `--`, are no
    # flags.
    assert site.run("-o", "--serenity-x")[0] == "stock"
    assert site.run("--compile-to", "--serenity-x", "in")[0] == "stock"
    assert site.run("--", "--serenity-x")[0] == "stock"
    assert site.run("---serenity-x")[0] == "stock"
    # These take none, or have theirs already.
    assert site.run("--mlir-timing", "--serenity-x")[0] == "ours"
    assert site.run("-o=out", "--serenity-x")[0] == "ours"
    assert site.run("-o", "--", "--serenity-x")[0] == "ours"


@pytest.mark.parametrize(
    ("value", "program"), [("1", "stock"), ("yes", "stock"), ("0", "ours"), ("", "ours")]
)
def test_disable(site: Site, value: str, program: str) -> None:
    assert site.run("--serenity-schedule", SERENITY_DISABLE=value)[0] == program


def test_response_files(site: Site, tmp_path: Path) -> None:
    (tmp_path / "inner.rsp").write_text("in.mlir '--serenity-schedule'\n")
    (tmp_path / "outer.rsp").write_text("-o out\n@inner.rsp\n")
    # Handed on as they came: the program expands them again.
    assert site.run("@outer.rsp", cwd=tmp_path) == ["ours", "", "@outer.rsp"]
    (tmp_path / "inner.rsp").write_text("in.mlir # x--serenity-schedule\n")
    assert site.run("@outer.rsp", cwd=tmp_path) == ["stock", "", "@outer.rsp"]
    assert site.run("@missing.rsp", cwd=tmp_path) == ["stock", "", "@missing.rsp"]


def test_response_files_that_include_themselves(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a.rsp").write_text("@b.rsp")
    (tmp_path / "b.rsp").write_text("x @./a.rsp --serenity-x")
    # LLVM refuses such a file; the stock tool is there to say so.
    assert site.run("@a.rsp", cwd=tmp_path)[0] in ("stock", "ours")
    # The same file twice, one after the other, is no recursion.
    (tmp_path / "c.rsp").write_text("-o=x")
    assert site.run("@c.rsp", "@c.rsp", "--serenity-x", cwd=tmp_path)[0] == "ours"


def test_response_file_that_can_be_read_once(site: Site) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"in.mlir '-o=a b' --serenity-x")
    os.close(writer)
    try:
        process = subprocess.run(
            [str(site.launcher), f"@/dev/fd/{reader}", "last"],
            capture_output=True,
            pass_fds=[reader],
            env={**os.environ, "LD_LIBRARY_PATH": ""},
            check=True,
        )
    finally:
        os.close(reader)
    assert process.stdout.decode().split("\0")[:-1] == [
        "ours",
        "",
        "in.mlir",
        "-o=a b",
        "--serenity-x",
        "last",
    ]


def test_response_file_in_utf16(site: Site, tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-16-be", "utf-8-sig"):
        data = "-o=\N{SNOWMAN}\U0001f600 --serenity-x".encode(encoding)
        if encoding == "utf-16-be":
            data = b"\xfe\xff" + data
        (tmp_path / "wide.rsp").write_bytes(data)
        assert site.run("@wide.rsp", cwd=tmp_path)[0] == "ours", encoding


# Pieces that make flags, values, quotes and files meet. None of them makes the stock tool stop
# while it parses (as --help would), so that it reports every unknown flag.
_PIECES = [
    "--serenity-x",
    "-serenity-y=1",
    "--serenity",
    "---serenity-z",
    "--",
    "-",
    "-o",
    "-o=z",
    "--compile-to",
    "-compile-to",
    "--iree-hal-target-backends",
    "--iree-input-type",
    "--mlir-timing",
    "--mlir-print-ir-after-all",
    "--verify=0",
    "--debug-counter",
    "in.mlir",
    "@nested.rsp",
    "@missing.rsp",
    "'--serenity-q r'",
    '"--serenity-dq"',
    "--ser\\enity-esc",
    "\\--serenity-esc2",
    "''",
    '""--serenity-e',
    "x--serenity-no",
    "'it''s'",
    "--iree-llvmcpu-target-cpu\\",
    '--x="--serenity-v',
]


def test_agrees_with_llvm(site: Site, stock_compile: str, tmp_path: Path) -> None:
    rng = random.Random(0)
    answers = {"stock": 0, "ours": 0}
    for draw in range(120):
        # Half of the draws have few of our flags, so that both answers occur.
        pieces = [p for p in _PIECES if draw % 2 or "serenity" not in p or rng.random() < 0.15]
        nested = [p for p in rng.choices(pieces, k=3) if p[0] != "@"]
        (tmp_path / "nested.rsp").write_text(
            "".join(p + rng.choice([" ", "\n", "\t", "  ", "\r\n"]) for p in nested)
        )
        (tmp_path / "top.rsp").write_text(" ".join(rng.choices(pieces, k=rng.randrange(1, 7))))
        args = [
            *rng.choices(pieces, k=rng.randrange(3)),
            "@top.rsp",
            *rng.choices(pieces, k=rng.randrange(3)),
        ]
        stock = subprocess.run(
            [stock_compile, *args],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
        )
        if "DebugCounter" in stock.stderr:
            # Its parser ends the process at once and says nothing about the other arguments.
            continue
        flagged = "Unknown command line argument '--serenity" in stock.stderr
        flagged |= "Unknown command line argument '-serenity" in stock.stderr
        program = site.run(*args, cwd=tmp_path)[0]
        assert program == ("ours" if flagged else "stock"), (args, nested, stock.stderr)
        answers[program] += 1
    assert min(answers.values()) > 20, answers


def test_iree_elsewhere(tmp_path: Path, launcher: str) -> None:
    site = Site(tmp_path / "site", launcher, with_iree=False)
    libs = str(site.libs)
    assert site.run("x", SERENITY_IREE_LIBS=libs) == ["stock", "", "x"]
    assert site.run("--serenity-x", SERENITY_IREE_LIBS=libs) == ["ours", libs, "--serenity-x"]
    assert site.run("--serenity-x", SERENITY_IREE_LIBS=libs, LD_LIBRARY_PATH="/a:/b") == [
        "ours",
        f"{libs}:/a:/b",
        "--serenity-x",
    ]
    for environment in ({}, {"SERENITY_IREE_LIBS": str(tmp_path)}):
        process = subprocess.run(
            [str(site.launcher), "x"],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
        )
        assert process.returncode == 1
        assert "install iree-base-compiler" in process.stderr
        assert "SERENITY_IREE_LIBS" in process.stderr


def test_iree_beside_goes_before_the_variable(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Site.script(other / "iree-compile", "other")
    assert site.run("x", SERENITY_IREE_LIBS=str(other)) == ["stock", "", "x"]


def test_started_through_a_link(site: Site, tmp_path: Path) -> None:
    link = tmp_path / "my-compiler"
    link.symlink_to(site.launcher)
    for args, program in (["x"], b"stock"), (["--serenity-x"], b"ours"):
        out = subprocess.run([str(link), *args], capture_output=True, check=True).stdout
        assert out.startswith(program)


def test_missing_driver(site: Site) -> None:
    (site.root / "serenity_mlir/bin/serenity-compile").unlink()
    process = subprocess.run([str(site.launcher), "--serenity-x"], capture_output=True, text=True)
    assert process.returncode == 1
    assert "serenity-compile': No such file or directory; reinstall" in process.stderr


@pytest.mark.parametrize(
    "args", [["--help"], ["--help-hidden"], ["--version"], ["--no-such-flag"], [], ["missing.mlir"]]
)
def test_installed_launcher_answers_as_stock(
    launcher: str, stock_compile: str, args: list[str]
) -> None:
    ours = subprocess.run([launcher, *args], capture_output=True, stdin=subprocess.DEVNULL)
    stock = subprocess.run([stock_compile, *args], capture_output=True, stdin=subprocess.DEVNULL)
    # Messages quote the program's path: that must be the same, too.
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        stock.returncode,
        stock.stdout,
        stock.stderr,
    )


def test_installed_launcher_compiles_as_stock(
    launcher: str, stock_compile: str, add_module: Path, tmp_path: Path
) -> None:
    outputs = []
    for tool in (launcher, stock_compile):
        command = [tool, str(add_module), "--iree-hal-target-backends=vmvx", "-o", "-"]
        outputs.append(subprocess.run(command, capture_output=True, check=True).stdout)
    assert outputs[0] == outputs[1] and len(outputs[0]) > 1000

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Files that users ask for are written whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serenity_mlir._files import write_whole
from serenity_mlir.cli import app

pytestmark = pytest.mark.one_release


def test_replaces_the_content_and_keeps_the_mode(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("old")
    path.chmod(0o640)
    write_whole(path, "new ü")
    assert path.read_bytes() == "new ü".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path):
    write_whole(tmp_path / "ours", b"1")
    (tmp_path / "other").write_bytes(b"1")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_follows_a_link(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", b"1")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_bytes() == b"1"


def test_writes_to_a_pipe(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=write_whole, args=(pipe, b"through"))
    writer.start()
    assert pipe.read_bytes() == b"through"
    writer.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "x"
    path.write_text("old")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device", "a temporary name")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, "new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("output", ["folder.onnx", "no/such/x.onnx", "x.mlir"])
def test_a_network_is_not_written_where_it_cannot_be(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.onnx").mkdir()
    result = CliRunner().invoke(app, ["networks", "build", "swiftnet_c", "-o", output])
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "folder.onnx"]


@pytest.mark.parametrize("output", ["folder.svg", "folder.csv"])
def test_a_folder_is_no_output(output: str, tmp_path: Path):
    (tmp_path / output).mkdir()
    source = tmp_path / "in.csv"
    source.write_text("id,lower,upper,size\na,0,3,5\n")
    command = "plot" if output.endswith("svg") else "pack"
    result = CliRunner().invoke(app, [command, str(source), "-o", str(tmp_path / output)])
    assert result.exit_code == 2
    assert result.output.strip().endswith(f"{tmp_path / output}: Is a directory")
    assert sorted(tmp_path.iterdir()) == sorted([source, tmp_path / output])

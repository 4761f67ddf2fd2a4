# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Installed files: nothing bundled, everything relocatable, typed, with its licence."""

from __future__ import annotations

import ast
import importlib
import os
import shutil
import stat
import struct
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import serenity_mlir
from serenity_mlir._native import native_tool, tool_environment
from serenity_mlir.errors import UnsupportedEnvironmentError

pytestmark = pytest.mark.one_release

DISTRIBUTION = metadata.distribution("serenity-mlir")
FILES = {str(path): Path(str(DISTRIBUTION.locate_file(path))) for path in DISTRIBUTION.files or ()}
TOOLS = ("iree-compile", "serenity-compile", "serenity-opt")

_NEEDED, _STRTAB, _SONAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29


def dynamic_section(path: Path) -> dict[int, list[str]]:
    """The libraries and run paths in the dynamic section of a 64-bit little-endian ELF file."""
    data = path.read_bytes()
    assert data[:6] == b"\x7fELF\x02\x01", path
    (offset,) = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    segments = [struct.unpack_from("<IIQQQQ", data, offset + i * size) for i in range(count)]

    def file_offset(address: int) -> int:
        for kind, _, at, virtual, _, in_file in segments:
            if kind == 1 and virtual <= address < virtual + in_file:
                return at + address - virtual
        raise AssertionError(f"{path}: address {address:#x} is in no segment")

    entries: list[tuple[int, int]] = []
    for kind, _, at, _, _, in_file in segments:
        if kind == 2:
            entries = list(struct.iter_unpack("<QQ", data[at : at + in_file]))
    strings = file_offset(next(value for tag, value in entries if tag == _STRTAB))
    found: dict[int, list[str]] = {}
    for tag, value in entries:
        if tag in (_NEEDED, _SONAME, _RPATH, _RUNPATH):
            end = data.index(b"\0", strings + value)
            found.setdefault(tag, []).append(data[strings + value : end].decode())
    return found


def binaries() -> dict[str, Path]:
    return {
        name: path
        for name, path in FILES.items()
        if not name.startswith("..") and path.is_file() and path.read_bytes()[:4] == b"\x7fELF"
    }


def test_the_native_files_are_there() -> None:
    names = {Path(name).name.split(".")[0] for name in binaries()}
    assert names == {"_core", "_passes", *TOOLS}
    for name in TOOLS:
        mode = FILES[f"serenity_mlir/bin/{name}"].stat().st_mode
        assert mode & stat.S_IXUSR and mode & stat.S_IXOTH, name


def test_nothing_of_iree_is_bundled() -> None:
    for name, path in FILES.items():
        assert "IREECompiler" not in name, name
        assert not name.startswith("iree/"), name
        # libIREECompiler.so has 200 MB; no file of this package comes near.
        assert path.stat().st_size < 20_000_000, name


def test_run_paths_are_relative() -> None:
    for name, path in binaries().items():
        section = dynamic_section(path)
        assert _RPATH not in section, name
        for entry in ":".join(section.get(_RUNPATH, [])).split(":"):
            assert not entry or entry.startswith("$ORIGIN"), (name, entry)
        if "libIREECompiler.so" in section[_NEEDED]:
            up = "../.." if "/bin/" in name else ".."
            assert section[_RUNPATH] == [f"$ORIGIN/{up}/iree/compiler/_mlir_libs"], name


def test_who_needs_what() -> None:
    system = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"}
    loaders = {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
    # The launcher starts before every iree-compile: the C library only.
    launcher = set(dynamic_section(FILES["serenity_mlir/bin/iree-compile"])[_NEEDED])
    assert launcher <= system | loaders
    for name, path in binaries().items():
        needed = set(dynamic_section(path)[_NEEDED])
        allowed = {"libIREECompiler.so", "libstdc++.so.6", "libgcc_s.so.1", *system, *loaders}
        assert needed <= allowed, name
        # The core has no MLIR in it.
        if "_core" in name:
            assert "libIREECompiler.so" not in needed


def test_no_build_machine_in_the_files() -> None:
    # Paths of the build folder would differ from build to build.
    repository = str(Path(__file__).resolve().parent.parent).encode()
    for name, path in binaries().items():
        assert repository not in path.read_bytes(), name


def test_typed_and_hooked() -> None:
    assert any((Path(entry) / "py.typed").is_file() for entry in serenity_mlir.__path__)
    assert "serenity_mlir.pth" in FILES and "serenity_mlir_hook.py" in FILES
    lines = FILES["serenity_mlir.pth"].read_text().splitlines()
    assert len(lines) == 1 and lines[0].startswith("import ")


@pytest.mark.parametrize("name", ["_core", "_passes"])
def test_stubs_know_the_native_names(name: str) -> None:
    module = importlib.import_module(f"serenity_mlir.{name}")
    stub = Path(__file__).parent.parent / "serenity_mlir" / f"{name}.pyi"

    def declared(body: list[ast.stmt]) -> dict[str, list[ast.stmt]]:
        names: dict[str, list[ast.stmt]] = {}
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                names[node.name] = node.body
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names[node.target.id] = []
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                names[node.targets[0].id] = []
        return names

    def public(owner: object) -> set[str]:
        return {attribute for attribute in vars(owner) if not attribute.startswith("_")}

    again = "the bindings have changed: run cmake/write_stubs.py"
    stubs = declared(ast.parse(stub.read_text()).body)
    assert {key for key in stubs if not key.startswith("_")} == public(module), again
    for key, body in stubs.items():
        value = getattr(module, key)
        if isinstance(value, type):
            members = {member for member in declared(body) if not member.startswith("_")}
            assert members == public(value), (key, again)


def test_metadata() -> None:
    fields = DISTRIBUTION.metadata
    assert fields["Name"] == "serenity-mlir"
    assert fields["Version"] == serenity_mlir.__version__
    assert fields["License-Expression"] == "Apache-2.0 WITH LLVM-exception"
    requirements = " ".join(DISTRIBUTION.requires or ())
    for name in ("iree-base-compiler", "iree-base-runtime"):
        assert name in requirements
    assert "<3.14" in requirements and ">=3.12" in requirements
    licence = next(path for name, path in FILES.items() if name.endswith("licenses/LICENSE"))
    text = licence.read_text()
    assert "Version 2.0, January 2004" in text and "LLVM Exceptions" in text


@pytest.mark.parametrize("name", ["serenity", "serenity-compile", "serenity-opt"])
def test_console_scripts_start(name: str) -> None:
    script = Path(sys.executable).parent / name
    process = subprocess.run([str(script), "--help"], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "serenity" in process.stdout


@pytest.mark.parametrize("name", TOOLS)
def test_tools_start_without_any_environment(name: str) -> None:
    # In particular without LD_LIBRARY_PATH: the relative run path leads to IREE.
    tool = FILES[f"serenity_mlir/bin/{name}"]
    process = subprocess.run([str(tool), "--help"], capture_output=True, text=True, env={})
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("name", TOOLS)
def test_tools_start_where_iree_lies_elsewhere(name: str, tmp_path: Path) -> None:
    # As in a virtual environment with --system-site-packages.
    tool = tmp_path / "site/serenity_mlir/bin" / name
    tool.parent.mkdir(parents=True)
    shutil.copy(FILES[f"serenity_mlir/bin/{name}"], tool)
    environment = tool_environment(str(tool))
    assert environment["LD_LIBRARY_PATH"].split(":")[0] == environment["SERENITY_IREE_LIBS"]
    process = subprocess.run([str(tool), "--help"], capture_output=True, text=True, env=environment)
    assert process.returncode == 0, process.stderr
    # Beside IREE, a tool needs nothing.
    installed = FILES[f"serenity_mlir/bin/{name}"]
    assert tool_environment(str(installed)) == dict(os.environ)


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(UnsupportedEnvironmentError, match=r"serenity-none .*'pip install \.'"):
        native_tool("serenity-none")

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""An IREE of another release, or with another library, is refused in words.

The exception at import is tested in test_compiler_api.py; .ci/run tests both ends of the range.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, RunTool

from serenity_mlir import _versions

FLAGS = ("--serenity-schedule", "--compile-to=flow", "-o")


def test_the_package_requires_the_supported_releases() -> None:
    pyproject = (REPOSITORY / "pyproject.toml").read_text("utf-8")
    required = set(re.findall(r'"iree-base-(?:compiler|runtime)([^"]*)"', pyproject))
    assert required == {_versions._REQUIREMENT.removeprefix("iree-base-compiler")}


@pytest.fixture
def other_release(tmp_path: Path) -> dict[str, str]:
    """Environment in which Python finds the metadata of another release of IREE first."""
    folder = tmp_path / "site" / "iree_base_compiler-3.99.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: iree-base-compiler\nVersion: 3.99.0\n"
    )
    return {"PYTHONPATH": str(folder.parent)}


def test_commands_refuse_in_a_line(
    other_release: dict[str, str], tmp_path: Path, run_tool: RunTool
) -> None:
    script = tmp_path / "serenity"
    script.write_text("from serenity_mlir.cli import main\nmain()\n")
    for command in ([str(script)], ["-m", "serenity_mlir"]):
        result = run_tool([sys.executable, *command, "check", "x.mlir"], environment=other_release)
        assert (result.returncode, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: serenity_mlir works with iree-base-compiler 3.12 and 3.13;")
        assert "found 3.99.0; run: " in line


def test_import_raises(other_release: dict[str, str], run_tool: RunTool) -> None:
    code = "try:\n  import serenity_mlir\nexcept ImportError as error: print(error.name)"
    result = run_tool([sys.executable, "-c", code], environment=other_release)
    assert (result.stdout, result.stderr) == ("iree.compiler\n", "")


def shared_library(folder: Path, name: str, source: str, *flags: str) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "source.c").write_text(source)
    library = folder / name
    subprocess.run(
        [compiler, "-shared", "-fPIC", *flags, folder / "source.c", "-o", library], check=True
    )
    return library


@pytest.mark.parametrize("revision", ["3.99.0 @ 0123abcd", "3.11.0rc1", "", "unknown"])
def test_the_driver_refuses_another_library(
    revision: str, serenity_compile: str, add_module: Path, tmp_path: Path, run_tool: RunTool
) -> None:
    """The version of the library itself counts, whatever Python's metadata says."""
    source = f'const char *ireeCompilerGetRevision(void) {{ return "{revision}"; }}'
    library = shared_library(tmp_path, "shim.so", source)
    output = tmp_path / "out.mlir"
    result = run_tool(
        [serenity_compile, str(add_module), *FLAGS, str(output)],
        environment={"LD_PRELOAD": str(library)},
    )
    assert result.returncode == 1
    assert f"found IREE compiler '{revision}'" in result.stderr
    assert "supports iree-base-compiler 3.12 and 3.13" in result.stderr
    assert not output.exists()


def test_a_library_that_lacks_functions_is_named(
    serenity_compile: str, serenity_opt: str, add_module: Path, tmp_path: Path, run_tool: RunTool
) -> None:
    """An empty library in the place of IREE's: the dynamic linker names file and function."""
    library = shared_library(tmp_path, "libIREECompiler.so", "", "-Wl,-soname,libIREECompiler.so")
    for tool in (serenity_compile, serenity_opt):
        result = run_tool(
            [tool, str(add_module), "-o", str(tmp_path / "out.mlir")],
            environment={"LD_LIBRARY_PATH": str(library.parent)},
        )
        assert result.returncode not in (0, -11, -6)
        assert re.search(r"undefined symbol: (mlir|ireeCompiler)\w+", result.stderr)
        assert not (tmp_path / "out.mlir").exists()


def test_the_range_is_the_same_everywhere() -> None:
    """The requirement, the check at import, the native check and CI speak of the same releases."""
    releases = [f"{major}.{minor}" for major, minor in _versions.SUPPORTED_IREE]
    (major, first), (_, last) = _versions.SUPPORTED_IREE[0], _versions.SUPPORTED_IREE[-1]
    requirement = f">={major}.{first},<{major}.{last + 1}"
    project = (REPOSITORY / "pyproject.toml").read_text()
    assert project.count(f'"iree-base-compiler{requirement}"') == 2
    assert f'"iree-base-runtime{requirement}"' in project
    assert requirement in _versions._REQUIREMENT
    driver = (REPOSITORY / "passes/serenity/Driver/Compile/Main.cpp").read_text()
    (known,) = re.findall(r"supportedReleases\[\] = \{(.*?)\}", driver)
    assert re.findall(r'"([\d.]+)"', known) == releases
    ci = REPOSITORY / ".ci" / "run"
    if ci.exists():
        text = ci.read_text()
        assert f"newest={releases[-1]}\n" in text and f"oldest={releases[0]}\n" in text

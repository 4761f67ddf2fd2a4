# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The C ABI that serenity_mlir declares is the one of MLIR's headers and of the installed library.

The wheels of IREE ship no headers, so passes/serenity/IREE/{MlirC,IreeC}.h repeat the declarations
in use. They are compared with the headers of ``libmlir-22-dev`` or newer where those are installed
(``/usr/lib/llvm-*/include``), or of the folder that ``$SERENITY_MLIR_HEADERS`` names.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PASSES = REPOSITORY / "passes"
MLIR_C = PASSES / "serenity" / "IREE" / "MlirC.h"
IREE_C = PASSES / "serenity" / "IREE" / "IreeC.h"

#: The oldest release of LLVM whose C API has all that is declared.
OLDEST_LLVM = 22

FUNCTION = re.compile(r"\b((?:mlir|ireeCompiler)[A-Z]\w*)\s*\(")


def code(header: Path) -> str:
    """Returns the text of `header` without comments."""
    return re.sub(r"//[^\n]*", "", header.read_text(encoding="utf-8"))


def declared_functions(header: Path) -> tuple[list[str], list[str]]:
    """Returns the names of the functions declared in `header`: required, and weak."""
    required: list[str] = []
    weak: list[str] = []
    for statement in re.split(r"[;{}]", code(header)):
        if match := FUNCTION.search(statement):
            (weak if "weak" in statement else required).append(match[1])
    return required, weak


def test_every_declared_function_is_used() -> None:
    used: set[str] = set()
    for path in (*PASSES.rglob("*.cpp"), *PASSES.rglob("*.h")):
        if path not in (MLIR_C, IREE_C):
            used |= set(re.findall(r"\b(?:mlir|ireeCompiler)[A-Z]\w*", code(path)))
    declared = {name for h in (MLIR_C, IREE_C) for part in declared_functions(h) for name in part}
    assert declared - used == set()


def compiler() -> str:
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and (found := shutil.which(name)):
            return found
    pytest.skip("no C++ compiler found; set CXX")


def upstream_headers() -> Path:
    named = os.environ.get("SERENITY_MLIR_HEADERS")
    if named is not None:
        folder = Path(named)
        assert (folder / "mlir-c" / "IR.h").is_file(), (
            f"SERENITY_MLIR_HEADERS names {named}, which has no mlir-c/IR.h"
        )
        return folder
    found = {}
    for folder in Path("/usr/lib").glob("llvm-*/include"):
        version = folder.parent.name.removeprefix("llvm-")
        if version.isdigit() and (folder / "mlir-c" / "IR.h").is_file():
            found[int(version)] = folder
    usable = [version for version in found if version >= OLDEST_LLVM]
    if not usable:
        pytest.skip(
            f"no mlir-c headers of LLVM {OLDEST_LLVM} or newer: install "
            f"libmlir-{OLDEST_LLVM}-dev or set SERENITY_MLIR_HEADERS"
        )
    return found[min(usable)]


def upstream_declarations(headers: Path) -> dict[str, str]:
    """Returns, for every function of MLIR's C API, the header that declares it."""
    return {
        name: str(path.relative_to(headers))
        for path in sorted((headers / "mlir-c").rglob("*.h"))
        for name in re.findall(r"\b(mlir[A-Z]\w*)\s*\(", path.read_text(encoding="utf-8"))
    }


def compile_source(source: str, output: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    path = output.with_suffix(".cpp")
    path.write_text(source, encoding="utf-8")
    return subprocess.run(
        [compiler(), "-std=c++17", "-I", str(PASSES), *flags, str(path), "-o", str(output)],
        capture_output=True,
        text=True,
    )


def test_the_headers_declare_something() -> None:
    required, weak = declared_functions(MLIR_C)
    assert len(required) > 150
    assert {"mlirEmitRemark", "mlirEmitWarning"} <= set(weak)
    assert "mlirOperationCreate" in required
    required, weak = declared_functions(IREE_C)
    assert "ireeCompilerSessionCreate" in required
    assert not weak


@pytest.mark.parametrize("header", [MLIR_C, IREE_C], ids=lambda path: path.name)
def test_nothing_is_declared_twice(header: Path) -> None:
    required, weak = declared_functions(header)
    names = [*required, *weak]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("header", [MLIR_C, IREE_C], ids=lambda path: path.name)
def test_the_installed_library_exports_every_function(header: Path) -> None:
    from serenity_mlir._native import iree_library_directory

    required, _ = declared_functions(header)
    library = Path(iree_library_directory()) / "libIREECompiler.so"
    # In a process of its own: the library registers things as it is loaded.
    program = (
        "import ctypes, sys\n"
        "library = ctypes.CDLL(sys.argv[1])\n"
        "print(*[name for name in sys.argv[2:] if not hasattr(library, name)])\n"
    )
    missing = subprocess.run(
        [sys.executable, "-c", program, str(library), *required],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not missing, f"{library} does not export {', '.join(missing)}"


def test_declarations_agree_with_the_upstream_headers(tmp_path: Path) -> None:
    """Two declarations of one C function must agree, or the compiler says so."""
    headers = upstream_headers()
    upstream = upstream_declarations(headers)
    required, _ = declared_functions(MLIR_C)
    # A function that no header declares would be compared with nothing.
    unknown = sorted(name for name in required if name not in upstream)
    assert not unknown, f"not in {headers}: {', '.join(unknown)}"
    includes = sorted({upstream[name] for name in required})
    source = "".join(f'#include "{name}"\n' for name in [*includes, "serenity/IREE/MlirC.h"])
    flags = ["-c", "-DSERENITY_CHECK_MLIR_C_ABI", "-isystem", str(headers)]
    result = compile_source(source, tmp_path / "agree", *flags)
    assert result.returncode == 0, result.stderr

    # That the check can fail.
    wrong = source + 'extern "C" int mlirOperationGetNumRegions(MlirOperation op);\n'
    assert compile_source(wrong, tmp_path / "wrong", *flags).returncode != 0


def layout_program() -> str:
    """A program that prints the size, alignment and fields of every type that MlirC.h defines."""
    text = code(MLIR_C)
    lines: list[str] = []

    def show(label: str, value: str) -> None:
        lines.append(f'  std::printf("%s %lld\\n", "{label}", (long long)({value}));')

    for name in re.findall(r"SERENITY_(?:CONST_)?HANDLE\((Mlir\w+)\)", text):
        show(f"sizeof {name}", f"sizeof({name})")
        show(f"alignof {name}", f"alignof({name})")
        # Whether it is const differs between releases of MLIR and is nothing the ABI knows.
        show(f"pointer {name}", f"std::is_pointer<decltype({name}::ptr)>::value")
    structs = re.findall(r"struct (Mlir\w+) \{(.*?)\n\};", text, re.DOTALL)
    for name, body in structs:
        show(f"sizeof {name}", f"sizeof({name})")
        show(f"alignof {name}", f"alignof({name})")
        for field in re.findall(r"(?:\(\*(\w+)\)\([^;]*\)|(\w+));", body):
            member = field[0] or field[1]
            show(f"offsetof {name}.{member}", f"offsetof({name}, {member})")
            show(f"sizeof {name}.{member}", f"sizeof({name}::{member})")
    enums = re.findall(r"enum (Mlir\w+) \{(.*?)\}", text, re.DOTALL)
    for name, body in enums:
        show(f"sizeof {name}", f"sizeof({name})")
        for value in re.findall(r"\b(Mlir\w+)\b", body):
            show(value, value)
    for name in re.findall(r"typedef [^;]*?\b(\w+ID);", text):
        show(f"sizeof {name}", f"sizeof({name})")
    assert len(structs) >= 5 and len(enums) >= 3 and len(lines) > 100
    return "\n".join(
        [
            "#include <cstddef>",
            "#include <cstdio>",
            "#include <type_traits>",
            '#include "serenity/IREE/MlirC.h"',
            "int main() {",
            *lines,
            "  return 0;",
            "}",
            "",
        ]
    )


def test_types_have_the_upstream_layout(tmp_path: Path) -> None:
    headers = upstream_headers()
    program = layout_program()
    printed = []
    for name, flags in (
        ("ours", []),
        ("upstream", ["-DSERENITY_CHECK_MLIR_C_ABI", "-isystem", str(headers)]),
    ):
        executable = tmp_path / name
        result = compile_source(program, executable, "-Wno-invalid-offsetof", *flags)
        assert result.returncode == 0, result.stderr
        printed.append(
            subprocess.run([str(executable)], capture_output=True, text=True, check=True).stdout
        )
    assert printed[0].splitlines() == printed[1].splitlines()

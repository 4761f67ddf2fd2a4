# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Configuration of the lit suite: the tools, by name, and the first FileCheck there is.

Run by ``pytest`` (tests/test_lit.py), or alone with ``lit -v lit_tests``. Tests are written in the
subset that LLVM's FileCheck and PyPI's ``filecheck`` have in common.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import lit.formats

from serenity_mlir._native import native_tool
from serenity_mlir._versions import iree_version
from serenity_mlir.compiling.compiler import stock_compiler
from serenity_mlir.errors import UnsupportedEnvironmentError

config.name = "serenity_mlir"  # noqa: F821
config.test_format = lit.formats.ShTest(execute_external=False)  # noqa: F821
config.suffixes = [".mlir"]  # noqa: F821
config.excludes = ["Inputs"]  # noqa: F821
config.test_source_root = os.path.dirname(os.path.abspath(__file__))  # noqa: F821
config.test_exec_root = lit_config.params.get(  # noqa: F821
    "exec_root",
    os.path.join(config.test_source_root, "Output"),  # noqa: F821
)


def find_filecheck():
    """Returns $FILECHECK, or the first FileCheck on the path, or PyPI's beside this Python."""
    if named := os.environ.get("FILECHECK"):
        return named
    if found := shutil.which("FileCheck"):
        return found
    versioned = {}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for path in Path(folder).glob("FileCheck-*") if folder else ():
            if match := re.fullmatch(r"FileCheck-(\d+)", path.name):
                versioned.setdefault(int(match[1]), str(path))
    if versioned:
        return versioned[max(versioned)]
    beside = Path(sys.executable).parent / "filecheck"
    if beside.is_file():
        return str(beside)
    if found := shutil.which("filecheck"):
        return found
    lit_config.fatal("no FileCheck found; set FILECHECK or run 'pip install filecheck'")  # noqa: F821


def find_native(name):
    """Returns a native program of the installed package.

    With $SERENITY_OPT set, that serenity-opt is tested, and tests of programs that are not
    installed are unsupported: a build tree serves while passes are being written.
    """
    if name == "serenity-opt" and "SERENITY_OPT" in os.environ:
        return os.environ["SERENITY_OPT"]
    try:
        found = native_tool(name)
    except UnsupportedEnvironmentError:
        if "SERENITY_OPT" in os.environ:
            return name
        raise
    config.available_features.add(name)  # noqa: F821
    return found


tools = {
    "serenity-opt": find_native("serenity-opt"),
    "serenity-compile": find_native("serenity-compile"),
    "iree-compile": find_native("iree-compile"),
    # The binary itself: IREE's console script needs more time to start than the test.
    "iree-opt": os.path.join(os.path.dirname(stock_compiler()), "iree-opt"),
    "FileCheck": find_filecheck(),
}
for name, path in tools.items():
    # A word of its own, not a part of a path or of a flag.
    config.substitutions.append((rf"(?<![\w./-]){re.escape(name)}(?![\w./=-])", path))  # noqa: F821

# For tests of what differs between releases: `REQUIRES: iree-3.13`.
version = iree_version() or ""
config.available_features.add("iree-" + ".".join(version.split(".")[:2]))  # noqa: F821
if Path(tools["FileCheck"]).name.startswith("FileCheck"):
    config.available_features.add("llvm-filecheck")  # noqa: F821

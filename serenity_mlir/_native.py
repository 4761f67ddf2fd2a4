# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Finds the native programs of serenity_mlir, and sets the environment that they need."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from serenity_mlir.errors import UnsupportedEnvironmentError

__all__ = ["iree_library_directory", "native_tool", "tool_environment"]


def native_tool(name: str) -> str:
    """Returns the path of a native program of serenity_mlir.

    Args:
      name: ``"serenity-compile"``, ``"serenity-opt"`` or ``"iree-compile"`` (the launcher).

    Raises:
      UnsupportedEnvironmentError: If it is not there: the package runs from a source tree, or its
        installation is damaged.
    """
    import serenity_mlir

    # In an editable installation the package's path has two entries: the source tree, and the site
    # directory with the built files.
    places = [Path(entry) / "bin" / name for entry in serenity_mlir.__path__]
    for place in places:
        if place.is_file() and os.access(place, os.X_OK):
            return str(place)
    searched = ", ".join(str(place) for place in places)
    raise UnsupportedEnvironmentError(
        f"{name} of serenity_mlir not found (searched: {searched}); "
        "install the package with 'pip install .' or 'pip install -e .'",
        name="serenity_mlir",
    )


def iree_library_directory() -> str:
    """Returns the folder of the IREE compiler that this interpreter imports.

    Raises:
      UnsupportedEnvironmentError: If there is none, or it has no libIREECompiler.so.
    """
    spec = importlib.util.find_spec("iree.compiler")
    for entry in (spec.submodule_search_locations or ()) if spec is not None else ():
        directory = Path(entry) / "_mlir_libs"
        if (directory / "libIREECompiler.so").is_file():
            return str(directory)
    raise UnsupportedEnvironmentError(
        "libIREECompiler.so not found; install iree-base-compiler", name="iree.compiler"
    )


def tool_environment(tool: str) -> dict[str, str]:
    """Returns the environment in which a native program finds IREE's library.

    It is the caller's own, unless IREE lies in another site directory than serenity_mlir, where the
    relative run path of the program leads nowhere.

    Args:
      tool: A path that `native_tool` returned.
    """
    environment = dict(os.environ)
    site = Path(tool).parent.parent.parent
    if not (site / "iree" / "compiler" / "_mlir_libs" / "libIREECompiler.so").is_file():
        libraries = iree_library_directory()
        environment["SERENITY_IREE_LIBS"] = libraries
        before = environment.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = f"{libraries}:{before}" if before else libraries
    return environment

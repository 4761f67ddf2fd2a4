# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which platforms and IREE releases serenity_mlir works with, and the check made at import."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata

from serenity_mlir.errors import UnsupportedEnvironmentError

__all__ = ["SUPPORTED_IREE", "check_environment", "iree_version", "serenity_version"]

#: The IREE releases, as (major, minor), that this version of serenity_mlir is tested with.
SUPPORTED_IREE = ((3, 12), (3, 13))

_REQUIREMENT = "iree-base-compiler>={}.{},<{}.{}".format(
    *SUPPORTED_IREE[0], SUPPORTED_IREE[-1][0], SUPPORTED_IREE[-1][1] + 1
)
_MACHINES = ("x86_64", "aarch64")


def iree_version() -> str | None:
    """Returns the version of the installed iree-base-compiler, None without one."""
    try:
        return metadata.version("iree-base-compiler")
    except metadata.PackageNotFoundError:
        return None


def serenity_version() -> str:
    """Returns the version of the installed serenity-mlir, ``"0+unknown"`` in a bare source tree."""
    try:
        return metadata.version("serenity-mlir")
    except metadata.PackageNotFoundError:
        return "0+unknown"


def check_platform(system: str, machine: str) -> None:
    """Raises UnsupportedEnvironmentError unless ``system`` and ``machine`` are supported.

    Args:
      system: As ``sys.platform`` gives it.
      machine: As ``platform.machine()`` gives it.
    """
    if not system.startswith("linux") or machine.lower() not in _MACHINES:
        raise UnsupportedEnvironmentError(
            f"serenity_mlir supports Linux on {' and '.join(_MACHINES)}; "
            f"this is {system} on {machine}",
            name="serenity_mlir",
        )


def check_iree(version: str | None) -> None:
    """Raises UnsupportedEnvironmentError unless ``version`` of iree-base-compiler is supported.

    Args:
      version: The version found (``"3.13.0"``, ``"3.13.0rc20260101"``), None if IREE is not
        installed.
    """
    supported = " and ".join(f"{major}.{minor}" for major, minor in SUPPORTED_IREE)
    remedy = f"{sys.executable or 'python'} -m pip install '{_REQUIREMENT}'"
    if version is None:
        raise UnsupportedEnvironmentError(
            f"serenity_mlir needs iree-base-compiler ({supported} are supported), and none is "
            f"installed; run: {remedy}",
            name="iree.compiler",
        )
    match = re.match(r"(\d+)\.(\d+)", version)
    if match is None or (int(match[1]), int(match[2])) not in SUPPORTED_IREE:
        raise UnsupportedEnvironmentError(
            f"serenity_mlir works with iree-base-compiler {supported}; found {version}; "
            f"run: {remedy}",
            name="iree.compiler",
        )


def _is_own_command() -> bool:
    """Whether this process is one of the package's programs, rather than a user of the package."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    as_module = program == "-m" and "serenity_mlir" in sys.orig_argv
    return as_module or program in ("serenity", "serenity-compile", "serenity-opt")


def check_environment() -> None:
    """Checks the platform and the installed IREE.

    Raises:
      UnsupportedEnvironmentError: With the version found, the supported ones and the command that
        installs one.
      SystemExit: The same in one line and exit code 1, if this is a program of the package.
    """
    try:
        check_platform(sys.platform, platform.machine())
        check_iree(iree_version())
    except UnsupportedEnvironmentError as error:
        if _is_own_command():
            sys.exit(f"error: {error}")
        raise

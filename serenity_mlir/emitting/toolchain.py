# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Running C compilers, linkers and emulators, and counting the bytes of their outputs."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serenity_mlir.emitting.elf import SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, ElfObject
from serenity_mlir.emitting.targets import Target, find_tool
from serenity_mlir.errors import SerenityError

__all__ = ["C_FLAGS", "Sizes", "compile_c", "link", "measure_objects", "run", "smallest_ram"]

_log = logging.getLogger(__name__)

#: How the emitted code is compiled; it must not give a warning.
C_FLAGS = (
    "-O2",
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffunction-sections",
    "-fdata-sections",
)


@dataclass(frozen=True)
class Sizes:
    """Bytes of a program by the kind of memory they need."""

    text: int = 0
    rodata: int = 0
    data: int = 0
    bss: int = 0

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(
            self.text + other.text,
            self.rodata + other.rodata,
            self.data + other.data,
            self.bss + other.bss,
        )

    @property
    def flash(self) -> int:
        """Bytes of code, constants and initial values."""
        return self.text + self.rodata + self.data

    @property
    def ram(self) -> int:
        """Bytes of variables."""
        return self.data + self.bss


def run(
    command: Sequence[str], directory: Path, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder and return its output.

    Raises:
      SerenityError: it did not end in time.
    """
    _log.debug("running %s", shlex.join(command))
    try:
        return subprocess.run(
            command,
            cwd=directory,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SerenityError(
            f"{command[0]} did not end within {timeout:g} s\nCommand: {shlex.join(command)}"
        ) from None


def _must(command: Sequence[str], directory: Path) -> None:
    process = run(command, directory)
    if process.returncode != 0:
        raise SerenityError(
            f"{command[0]} failed with exit code {process.returncode}\n"
            f"{process.stderr.rstrip()}\nCommand: {shlex.join(command)}",
            command=shlex.join(command),
            stderr=process.stderr,
        )


def compile_c(
    target: Target, directory: Path, source: str, output: str, flags: Sequence[str] = ()
) -> Path:
    """Compile a file of a folder to an object in it, warnings as errors.

    Raises:
      SerenityError: the compiler is not installed (exit code 2) or refuses the file.
    """
    compiler = find_tool(target.compiler, target.packages)
    _must(
        [compiler, *target.compiler_flags, *C_FLAGS, *flags, "-c", source, "-o", output], directory
    )
    return directory / output


def _link_command(
    target: Target, directory: Path, objects: Sequence[str], output: str, symbols: dict[str, int]
) -> list[str]:
    compiler = find_tool(target.compiler, target.packages)
    script = [] if not target.bare_metal else ["-T", "link.ld"]
    defined = [f"-Wl,--defsym={name}={value}" for name, value in symbols.items()]
    return [
        compiler,
        *target.compiler_flags,
        *objects,
        *script,
        *defined,
        "-Wl,--gc-sections",
        *target.link_flags,
        "-o",
        output,
    ]


def link(
    target: Target,
    directory: Path,
    objects: Sequence[str],
    output: str,
    symbols: dict[str, int] | None = None,
) -> Path:
    """Link objects of a folder, on bare metal by its ``link.ld``.

    Args:
      target: for which.
      directory: where the objects are.
      objects: in link order.
      output: the program's file in the folder.
      symbols: sizes that the linker script asks for, such as ``ram_bytes``.

    Raises:
      SerenityError: the linker refuses them.
    """
    _must(_link_command(target, directory, objects, output, symbols or {}), directory)
    return directory / output


def smallest_ram(target: Target, directory: Path, objects: Sequence[str], stack_bytes: int) -> int:
    """Return the least ``ram_bytes`` with which objects link.

    It is computed from the overflow that the linker reports for a size much too small, and is
    tried: with one byte less, linking fails.

    Raises:
      SerenityError: the linker's answers make no sense.
    """
    symbols = {"ram_bytes": 64, "stack_bytes": stack_bytes}
    process = run(_link_command(target, directory, objects, "ram.elf", symbols), directory)
    missing = re.search(r"region .RAM. overflowed by (\d+) bytes?", process.stderr)
    if process.returncode == 0 or missing is None:
        raise SerenityError(f"the linker does not say how much RAM it wants\n{process.stderr}")
    needed = 64 + int(missing[1])
    link(target, directory, objects, "ram.elf", {**symbols, "ram_bytes": needed})
    less = {**symbols, "ram_bytes": needed - 1}
    if run(_link_command(target, directory, objects, "ram.elf", less), directory).returncode == 0:
        raise SerenityError(f"{needed} bytes of RAM are not the least with which the program links")
    return needed


def measure_objects(objects: Iterable[ElfObject]) -> Sizes:
    """Return the bytes of objects' sections. Constants with addresses count as constants."""
    total = Sizes()
    for one in objects:
        for section in one.allocated():
            size = len(section.data)
            if section.flags & SHF_EXECINSTR:
                total += Sizes(text=size)
            elif section.kind == SHT_NOBITS:
                total += Sizes(bss=size)
            elif section.flags & SHF_WRITE and not section.name.startswith(".data.rel.ro"):
                total += Sizes(data=size)
            elif not section.name.startswith((".ARM.ex", ".eh_frame", ".note")):
                total += Sizes(rodata=size)
    return total

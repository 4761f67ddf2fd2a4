# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The targets of ``serenity emit-c``: how code for them is made, linked and emulated."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from serenity_mlir.errors import SerenityError

__all__ = ["TARGETS", "Target", "find_tool", "target_named"]

#: For every target: one static library, no debug information, one workgroup per dispatch.
_COMMON_FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-link-embedded=false",
    "--iree-llvmcpu-link-static=true",
    "--iree-llvmcpu-debug-symbols=false",
    # One processor runs all workgroups. Tiles that would share the work among several can have
    # extents that are no multiple of the vectors', which takes up to four times the instructions.
    "--iree-llvmcpu-disable-distribution",
)


@dataclass(frozen=True)
class Region:
    """Memory of the emulated board: first address and bytes."""

    origin: int
    bytes: int


@dataclass(frozen=True)
class Target:
    """A processor and the board on which it is emulated.

    Attributes:
      name: on the command line.
      title: in documentation.
      compile_flags: of iree-compile, without those that all targets share.
      compiler: the C compiler.
      compiler_flags: of the C compiler; they select the processor and its ABI.
      link_flags: further flags that the linker needs.
      packages: of Debian and Ubuntu, which have the compiler.
      emulator: the emulator's command; empty on the host.
      emulator_packages: of Debian and Ubuntu.
      flash: where code and constants go.
      ram: where variables go.
      startup: which of the templates' startup code it uses; empty on the host.
    """

    name: str
    title: str
    compile_flags: tuple[str, ...]
    compiler: str
    compiler_flags: tuple[str, ...] = ()
    link_flags: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    emulator: tuple[str, ...] = ()
    emulator_packages: tuple[str, ...] = ()
    flash: Region = Region(0, 0)
    ram: Region = Region(0, 0)
    startup: str = ""

    @property
    def bare_metal(self) -> bool:
        """Whether it has no operating system."""
        return bool(self.startup)

    @property
    def flags(self) -> tuple[str, ...]:
        """All flags of iree-compile, except where the library goes."""
        return (*_COMMON_FLAGS, *self.compile_flags)

    @property
    def size_tool(self) -> str:
        """The name of the binutils' program that starts as the compiler's name does."""
        return self.compiler.removesuffix("gcc") + "size" if self.bare_metal else "size"


_ARM_PACKAGES = ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi")
_ARM_EMULATOR = ("qemu-system-arm",)


def _cortex_m(cpu: str, triple: str, fpu: str, machine: str, flash: Region, ram: Region) -> Target:
    return Target(
        name=cpu,
        title=f"Arm {cpu.title()}",
        compile_flags=(
            f"--iree-llvmcpu-target-triple={triple}",
            f"--iree-llvmcpu-target-cpu={cpu}",
            "--iree-llvmcpu-target-float-abi=hard",
        ),
        compiler="arm-none-eabi-gcc",
        compiler_flags=(f"-mcpu={cpu}", "-mthumb", "-mfloat-abi=hard", f"-mfpu={fpu}"),
        link_flags=("-nostartfiles", "--specs=nosys.specs", "-Wl,-z,noexecstack"),
        packages=_ARM_PACKAGES,
        emulator=("qemu-system-arm", "-M", machine, "-nographic", "-monitor", "none"),
        emulator_packages=_ARM_EMULATOR,
        flash=flash,
        ram=ram,
        startup="cortex_m",
    )


_MIB = 1 << 20

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        _cortex_m(
            "cortex-m4",
            "thumbv7em-none-eabi",
            "fpv4-sp-d16",
            "mps2-an386",
            Region(0, 4 * _MIB),
            Region(0x20000000, 4 * _MIB),
        ),
        _cortex_m(
            "cortex-m7",
            "thumbv7em-none-eabi",
            "fpv5-d16",
            "mps2-an500",
            Region(0, 4 * _MIB),
            Region(0x20000000, 4 * _MIB),
        ),
        _cortex_m(
            "cortex-m55",
            "thumbv8.1m.main-none-eabi",
            "auto",
            "mps3-an547",
            Region(0x10000000, 512 << 10),
            Region(0x31000000, 4 * _MIB),
        ),
        Target(
            name="riscv32",
            title="RISC-V, RV32IMAFC",
            compile_flags=(
                "--iree-llvmcpu-target-triple=riscv32-unknown-unknown-elf",
                "--iree-llvmcpu-target-cpu=generic-rv32",
                "--iree-llvmcpu-target-cpu-features=+m,+a,+f,+c",
                "--iree-llvmcpu-target-abi=ilp32f",
            ),
            compiler="riscv64-unknown-elf-gcc",
            compiler_flags=(
                "-march=rv32imafc",
                "-mabi=ilp32f",
                "-mcmodel=medany",
                "--specs=picolibc.specs",
            ),
            link_flags=("-nostartfiles",),
            packages=("gcc-riscv64-unknown-elf", "picolibc-riscv64-unknown-elf"),
            emulator=(
                *("qemu-system-riscv32", "-M", "virt", "-m", "64", "-bios", "none"),
                *("-nographic", "-monitor", "none"),
            ),
            emulator_packages=("qemu-system-misc",),
            # One memory: the board's flash is not where an emulator loads programs.
            flash=Region(0x80000000, 32 * _MIB),
            ram=Region(0x82000000, 32 * _MIB),
            startup="riscv",
        ),
        Target(
            name="host",
            title="this machine",
            compile_flags=("--iree-llvmcpu-target-cpu=host",),
            compiler="cc",
            packages=("gcc",),
        ),
    )
}


def target_named(name: str) -> Target:
    """Return a target.

    Raises:
      SerenityError: there is none of this name (exit code 2).
    """
    if name not in TARGETS:
        raise SerenityError(f"no target {name!r}; targets are {', '.join(TARGETS)}", exit_code=2)
    return TARGETS[name]


def find_tool(name: str, packages: tuple[str, ...]) -> str:
    """Return the path of a program.

    Raises:
      SerenityError: it is not installed; the message names the packages of Debian and Ubuntu that
        have it (exit code 2).
    """
    path = shutil.which(name)
    if path is None:
        raise SerenityError(
            f"{name} is not installed; on Debian or Ubuntu: apt-get install {' '.join(packages)}",
            exit_code=2,
        )
    return path

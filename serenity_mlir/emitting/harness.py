# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Running emitted code: on this machine or on an emulated board, with painted memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir.emitting.c_writer import template
from serenity_mlir.emitting.program import Tensor
from serenity_mlir.emitting.project import Emission, fill_in, linker_script, startup_values
from serenity_mlir.emitting.targets import Target, find_tool
from serenity_mlir.emitting.toolchain import compile_c, link, run, smallest_ram
from serenity_mlir.errors import SerenityError

__all__ = ["Run", "run_emission"]

#: Bytes of stack for which programs are linked where its use is not known yet.
STACK_BYTES = 16384

#: Bytes of stack that the comparison of RAM sizes counts for every program.
COMPARED_STACK_BYTES = 4096

#: Seconds after which an emulated program is given up.
TIMEOUT = 600.0

_GUARD = """\
#include <stdint.h>
extern uint8_t {name}[64];
__attribute__((aligned(64), section("{section}"))) uint8_t {name}[64];
"""


@dataclass(frozen=True)
class Run:
    """The measurements of a run of emitted code. Sizes are bytes.

    Attributes:
      outputs: of the first of two inferences.
      linked_bytes: from the arena's first byte to the guard behind it, as linked.
      touched_bytes: up to the last byte of the arena that was written.
      damaged_bytes: of the guards before and behind the arena.
      stack_bytes: used below the caller of ``NAME_invoke``.
      instructions: of one inference; None where they are not counted.
      ram_bytes: the least RAM with which the example links, `COMPARED_STACK_BYTES` of stack
        included; None on the host.
      repeatable: whether the second inference gave the same outputs.
    """

    outputs: tuple[npt.NDArray[Any], ...]
    linked_bytes: int
    touched_bytes: int
    damaged_bytes: int
    stack_bytes: int
    instructions: int | None
    ram_bytes: int | None
    repeatable: bool


def _copies(emission: Emission, kind: str, line: str) -> str:
    layout = emission.layout
    tensors = layout.program.inputs if kind == "input" else layout.program.results
    lines = []
    for i, tensor in enumerate(tensors):
        if tensor is not None:
            array, size = f"{layout.name}_{kind}_{i}", f"{layout.upper}_{kind.upper()}_{i}_BYTES"
            lines.append(line.format(i=i, array=array, bytes=size))
    return "\n".join(lines)


def _sources(emission: Emission, section: str) -> dict[str, str]:
    """Return the C files of the program that checks an emission."""
    layout, target = emission.layout, emission.target
    move = (
        '    if (board_{verb}("{file}_{{i}}.bin", {{array}}, {{bytes}}) != 0) {{{{\n'
        '      board_print("{file}_{{i}} failed\\n");\n      return 1;\n    }}}}'
    )
    check = fill_in(
        template("check.c"),
        {
            "NAME": layout.name,
            "UPPER": layout.upper,
            "PAINT_OUTPUTS": _copies(
                emission, "output", "    paint((uint8_t *){array}, {bytes}, paints[pass]);"
            ),
            "READ_INPUTS": _copies(emission, "input", move.format(verb="read", file="input")),
            "WRITE_FIRST": _copies(emission, "output", move.format(verb="write", file="output")),
            "WRITE_SECOND": _copies(emission, "output", move.format(verb="write", file="again")),
        },
    )
    parts = {
        **startup_values(target),
        "STACK": template("board_stack.c").rstrip(),
        "SEMIHOSTING": template("board_semihosting.c").rstrip(),
    }
    board = fill_in(template(f"board_{target.startup or 'host'}.c"), parts)
    return {
        "check.c": check,
        "board.c": board,
        "board.h": template("board.h"),
        "guard_before.c": _GUARD.format(name="guard_before", section=section),
        "guard_after.c": _GUARD.format(name="guard_after", section=section),
    }


def _build(emission: Emission, directory: Path) -> Path:
    """Write, compile and link the checking program in a folder."""
    target, name = emission.target, emission.layout.name
    # Inside a section, objects are laid out in link order.
    section = ".bss.guarded" if target.bare_metal else "serenity_guarded"
    for file, data in emission.content.items():
        (directory / file).write_bytes(data)
    for file, text in _sources(emission, section).items():
        (directory / file).write_text(text, "utf-8")
    attribute = f'__attribute__((section("{section}")))'
    place = [f"-D{emission.layout.upper}_ARENA_ATTRIBUTES={attribute}"]
    objects = []
    for file, flags in (
        ("guard_before", []),
        (name, place),
        ("guard_after", []),
        ("check", []),
        ("board", []),
    ):
        compile_c(target, directory, f"{file}.c", f"{file}_c.o", flags)
        objects.append(f"{file}_c.o")
    if f"{name}.o" in emission.content:
        objects.append(f"{name}.o")
    if target.bare_metal:
        (directory / "link.ld").write_text(linker_script(target), "utf-8")
        return link(target, directory, objects, "check.elf", {"stack_bytes": STACK_BYTES})
    # Resolving functions at their first call would use the stack that is measured.
    return link(target, directory, [*objects, "-pthread", "-Wl,-z,now"], "check.elf")


def _ram(emission: Emission, directory: Path) -> int | None:
    target, name = emission.target, emission.layout.name
    if not target.bare_metal:
        return None
    compile_c(target, directory, "main.c", "main_c.o")
    compile_c(target, directory, f"{name}.c", f"{name}_c.o")
    objects = ["main_c.o", f"{name}_c.o"]
    if f"{name}.o" in emission.content:
        objects.append(f"{name}.o")
    return smallest_ram(target, directory, objects, COMPARED_STACK_BYTES)


def _command(target: Target, program: Path) -> list[str]:
    if not target.bare_metal:
        return [str(program.resolve())]
    emulator = find_tool(target.emulator[0], target.emulator_packages)
    # One instruction is one nanosecond of the board's time.
    return [
        emulator,
        *target.emulator[1:],
        *("-semihosting-config", "enable=on,target=native"),
        *("-icount", "shift=0,sleep=off"),
        *("-kernel", program.name),
    ]


def run_emission(emission: Emission, inputs: Sequence[npt.NDArray[Any]], directory: Path) -> Run:
    """Build an emission with guards, run it twice on painted memory, and read the results.

    Args:
      emission: of a bare-metal target, which is emulated, or of the host.
      inputs: values of all inputs, unused ones too.
      directory: an empty folder.

    Raises:
      SerenityError: a tool is not installed (exit code 2), the program does not build, or it
        stopped with an error.
    """
    directory.mkdir(parents=True, exist_ok=True)
    program = _build(emission, directory)
    for i, value in enumerate(inputs):
        (directory / f"input_{i}.bin").write_bytes(np.ascontiguousarray(value).tobytes())
    process = run(_command(emission.target, program), directory, TIMEOUT)
    if process.returncode != 0:
        raise SerenityError(
            f"{emission.layout.name} on {emission.target.name} stopped with exit code "
            f"{process.returncode}: {(process.stdout + process.stderr).strip()}"
        )
    figures: dict[str, int] = {}
    # Semihosting's console is the emulator's standard error.
    for line in (process.stdout + process.stderr).splitlines():
        key, _, figure = line.partition(" ")
        if figure.isdigit():
            figures[key] = int(figure)
    outputs, again = (
        [_read(directory / f"{file}_{i}.bin", tensor) for i, tensor in enumerate(results)]
        for file, results in (
            ("output", emission.layout.program.results),
            ("again", emission.layout.program.results),
        )
    )
    pairs = zip(outputs, again, strict=True)
    return Run(
        outputs=tuple(outputs),
        linked_bytes=figures["linked"],
        touched_bytes=figures["touched"],
        damaged_bytes=figures["damaged"] + figures["before"],
        stack_bytes=figures["stack"],
        instructions=figures["instructions"] or None,
        ram_bytes=_ram(emission, directory),
        repeatable=all(one.tobytes() == two.tobytes() for one, two in pairs),
    )


_DTYPES = {
    "i1": "bool",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "complex<f32>": "complex64",
    "complex<f64>": "complex128",
}


def _dtype(element: str) -> np.dtype[Any]:
    if element == "bf16":
        import ml_dtypes

        kind: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return kind
    integer = re.fullmatch(r"(u?)s?i(8|16|32|64)", element)
    if integer:
        return np.dtype(f"{integer[1]}int{integer[2]}")
    if element not in _DTYPES:
        raise SerenityError(f"results of type {element} cannot be compared")
    return np.dtype(_DTYPES[element])


def _read(path: Path, tensor: Tensor) -> npt.NDArray[Any]:
    data: npt.NDArray[Any] = np.frombuffer(path.read_bytes(), dtype=_dtype(tensor.element))
    return data.reshape(tensor.shape)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A compiled function as data: static commands on static memory. All sizes are bytes."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Command",
    "Copy",
    "Dispatch",
    "Fill",
    "Held",
    "Memory",
    "Place",
    "Program",
    "Span",
    "Tensor",
]


class Memory(enum.Enum):
    """The kinds of memory that commands access."""

    INPUT = "input"
    #: One allocation of the compiled function that holds results, perhaps several.
    RESULT = "result"
    #: The slab: transient memory of the execution region.
    ARENA = "arena"
    #: Weights, and other data that does not change.
    CONSTANT = "constant"


@dataclass(frozen=True)
class Place:
    """One contiguous memory: the `index`-th of its kind."""

    memory: Memory
    index: int = 0


@dataclass(frozen=True)
class Span:
    """`length` bytes from `offset` of a place."""

    place: Place
    offset: int
    length: int


@dataclass(frozen=True)
class Fill:
    """Repeat `pattern` (1, 2 or 4 bytes, as they lie in memory) over the target."""

    target: Span
    pattern: bytes

    @property
    def spans(self) -> tuple[Span, ...]:
        """The memory that it accesses."""
        return (self.target,)


@dataclass(frozen=True)
class Copy:
    """Copy `source` to `target`; both have the same length and do not overlap."""

    source: Span
    target: Span

    @property
    def spans(self) -> tuple[Span, ...]:
        """The memory that it accesses."""
        return (self.source, self.target)


@dataclass(frozen=True)
class Dispatch:
    """Call a kernel once per workgroup.

    Attributes:
      kernel: its name in the executable.
      workgroups: their number in x, y and z.
      constants: 32-bit words, not negative.
      bindings: the memory that it accesses, in the order of its interface.
    """

    kernel: str
    workgroups: tuple[int, int, int]
    constants: tuple[int, ...]
    bindings: tuple[Span, ...]

    @property
    def spans(self) -> tuple[Span, ...]:
        """The memory that it accesses."""
        return self.bindings


Command: TypeAlias = Fill | Copy | Dispatch


@dataclass(frozen=True)
class Tensor:
    """An input or a result.

    Attributes:
      element: MLIR's name of the element type, ``f32`` for example.
      shape: its extents.
      span: where it lies.
    """

    element: str
    shape: tuple[int, ...]
    span: Span


@dataclass(frozen=True)
class Held:
    """Inputs and results that lie in the arena.

    Attributes:
      slab_bytes: the slab, which begins where the arena begins.
      overwritten: inputs that do not keep their values, because something else lies there later.
    """

    slab_bytes: int
    overwritten: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """The steps of one entry point.

    Attributes:
      function: as the module exports it.
      inputs: in order; None where the function does not use the argument.
      results: in order.
      input_bytes: length of each input's memory.
      result_bytes: length of each allocation that holds results.
      arena_bytes: of the slab, or of what holds the inputs and results too; 0 without one.
      constants: the constant memories.
      commands: in execution order.
      appended_copies: commands at the end that the compiled function does not have: they copy
        inputs and constants that it returns as they are.
      held: set where the arena holds the inputs and results; they have no other memory then.
    """

    function: str
    inputs: tuple[Tensor | None, ...]
    results: tuple[Tensor, ...]
    input_bytes: tuple[int, ...]
    result_bytes: tuple[int, ...]
    arena_bytes: int
    constants: tuple[bytes, ...]
    commands: tuple[Command, ...]
    appended_copies: int = 0
    held: Held | None = None

    @property
    def kernels(self) -> list[str]:
        """Names of the kernels, in the order of their first use."""
        names = (command.kernel for command in self.commands if isinstance(command, Dispatch))
        return list(dict.fromkeys(names))

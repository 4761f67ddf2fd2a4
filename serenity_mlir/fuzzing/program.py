# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs of the fuzzer as data: functions of typed values, and their text in MLIR.

A program is a graph of Python objects that the generator builds and the reducer takes apart. One
`Operation` here may be several lines of MLIR (`tensor.empty`, `linalg.fill`, the operation);
the printed text depends on the program alone.

Dynamic dimensions (None in a shape) all have one extent per function: that of the first dynamic
dimension among its arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Block", "Function", "Global", "Operation", "Program", "Type", "Value"]


@dataclass(frozen=True)
class Type:
    """A ranked tensor, or a scalar if `shape` is None.

    Attributes:
      shape: extents; None is a dynamic one.
      element: ``f32``, ``f16``, ``bf16``, ``i8``, ``i32``, ``i64`` or ``i1``.
    """

    shape: tuple[int | None, ...] | None
    element: str

    def __str__(self) -> str:
        if self.shape is None:
            return self.element
        dims = "".join("?x" if extent is None else f"{extent}x" for extent in self.shape)
        return f"tensor<{dims}{self.element}>"

    @property
    def dims(self) -> tuple[int | None, ...]:
        """The shape of a tensor."""
        assert self.shape is not None
        return self.shape

    @property
    def rank(self) -> int:
        """Number of dimensions; -1 of a scalar."""
        return -1 if self.shape is None else len(self.shape)

    @property
    def dynamic(self) -> bool:
        """Whether an extent is known only at run time."""
        return self.shape is not None and None in self.shape

    @property
    def is_float(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.element in ("f16", "bf16", "f32")


@dataclass(eq=False)
class Value:
    """An SSA value, compared by identity.

    Attributes:
      type: of the value.
      below: all its elements are indices in [0, below); None for numbers.
    """

    type: Type
    below: int | None = None


@dataclass(eq=False)
class Operation:
    """One step of a program.

    Attributes:
      kind: a key of `emitters.EMITTERS`.
      operands: the values it reads, regions aside.
      results: the values it defines.
      attributes: numbers and names that the kind needs.
      blocks: the regions of control flow, one block each.
    """

    kind: str
    operands: list[Value]
    results: list[Value]
    attributes: dict[str, Any] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    @property
    def has_effect(self) -> bool:
        """Whether it counts without being used."""
        return self.kind == "global_store" or any(
            operation.has_effect for block in self.blocks for operation in block.operations
        )


@dataclass(eq=False)
class Block:
    """Operations in order, with the block's arguments and the values that it yields."""

    arguments: list[Value]
    operations: list[Operation]
    results: list[Value]

    def walk(self) -> Iterator[Operation]:
        """All operations, nested ones after the one that holds them."""
        for operation in self.operations:
            yield operation
            for block in operation.blocks:
                yield from block.walk()


@dataclass(eq=False)
class Function:
    """A function; private ones are called by others, public ones by the user.

    Attributes:
      name: without the module's prefix.
      body: its arguments, operations and results.
      public: whether the user can call it.
      noinline: whether it stays a function.
      storage: results whose memory the caller provides (``iree.abi.output``).
    """

    name: str
    body: Block
    public: bool = True
    noinline: bool = False
    storage: list[Value] = field(default_factory=list)

    @property
    def stored_results(self) -> list[int]:
        """Positions of the results whose memory the caller provides; of each value the first."""
        results = self.body.results
        return [results.index(value) for value in self.storage if value in results]


@dataclass(eq=False)
class Global:
    """A tensor of the module: a weight, or a variable if `mutable`."""

    name: str
    type: Type
    data: list[float]
    mutable: bool = False


@dataclass(eq=False)
class Program:
    """A module."""

    functions: list[Function]
    globals: list[Global] = field(default_factory=list)

    @property
    def entry_points(self) -> list[Function]:
        """The functions that the user can call."""
        return [function for function in self.functions if function.public]

    def count(self) -> int:
        """Number of operations, nested ones included."""
        return sum(1 for function in self.functions for _ in function.body.walk())

    def text(self, prefix: str = "") -> str:
        """The module in MLIR, without a module operation around it.

        Args:
          prefix: of all symbol names, to tell modules in one file apart.
        """
        # They import this module.
        from serenity_mlir.fuzzing.emitters import EMITTERS
        from serenity_mlir.fuzzing.printing import Printer, dense

        lines = [
            f"util.global private {'mutable ' if item.mutable else ''}@{prefix}{item.name} = "
            f"{dense(item.data, item.type)} : {item.type}"
            for item in self.globals
        ]
        for function in self.functions:
            lines += Printer(prefix, EMITTERS).function(function)
        return "\n".join(lines) + "\n"

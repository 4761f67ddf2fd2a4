# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""State of a program under construction, and how values are drawn, picked and added."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from serenity_mlir.fuzzing.program import Block, Function, Global, Operation, Type, Value

__all__ = ["I32", "INDEX", "Builder"]

#: Families of motifs that a program has more of than chance would bring, and how often of 20.
_THEMES = (
    ["none"] * 5
    + ["dynamic"] * 4
    + ["loops"] * 4
    + ["quantised"] * 3
    + ["indexing"] * 2
    + ["storage"] * 2
)

I32 = Type(None, "i32")
INDEX = Type(None, "index")

#: Element types of programs, and how often of 20.
_ELEMENTS = ["f32"] * 10 + ["i8"] * 4 + ["i32"] * 3 + ["f16"] * 2 + ["bf16"]

#: Replacements on VMVX of functions that depend on the sign of a byte.
_OF_BYTES = {"relu": "shift", "scale": "shift", "abs": "neg", "max": "add", "min": "sub"}


class Scope:
    """A block under construction and the values that its operations can use."""

    def __init__(self, block: Block, pool: list[Value]) -> None:
        self.block = block
        self.pool = pool


class Builder:
    """Draws one program. All randomness comes from `rng`, in program order."""

    def __init__(self, rng: random.Random, vmvx: bool, version: int) -> None:
        self.rng = rng
        self.version = version
        self.element = rng.choice(_ELEMENTS)
        self.vmvx = vmvx
        if vmvx and self.element in ("f16", "bf16"):
            self.element = "f32"
        self.image = rng.random() < 0.5
        self.channels_last = rng.random() < 0.4
        #: Extents of the first dimension of matrices are dynamic.
        self.dynamic = not self.image and rng.random() < 0.15
        self.weights = rng.choice(["constant", "constant", "global", "argument"])
        self.theme = rng.choice(_THEMES) if version >= 2 else "none"
        #: Of the quantisations of a chain: ``explicit`` or ``affine``.
        self.style = "explicit"
        self.functions: list[Function] = []
        self.globals: list[Global] = []
        self.callable: list[Function] = []
        self.scope = Scope(Block([], [], []), [])
        self.function_arguments: list[Value] = []
        self.depth = 0

    def begin(self, arguments: list[Value]) -> None:
        """Start a function with these arguments."""
        self.function_arguments = arguments
        self.scope = Scope(Block(arguments, [], []), list(arguments))

    def scalar_argument(self) -> Value:
        """The function's scalar, made where it is first wanted."""
        for value in self.function_arguments:
            if value.type == I32 and value.below is None:
                return value
        value = Value(I32)
        self.function_arguments.append(value)
        return value

    def index_argument(self, of: Type, below: int) -> Value:
        """An argument of indices in [0, below): one that the function has, or a new one."""
        for value in self.function_arguments:
            if value.type == of and value.below == below and self.rng.random() < 0.5:
                return value
        value = Value(of, below)
        self.function_arguments.append(value)
        return value

    def tensor_argument(self, of: Type) -> Value:
        """A tensor argument: one that the function has, or a new one."""
        for value in self.function_arguments:
            if value.type == of and value.below is None and self.rng.random() < 0.5:
                return value
        value = Value(of)
        self.function_arguments.append(value)
        return value

    def tensors(self, wanted: Callable[[Type], bool] = lambda of: True) -> list[Value]:
        """The tensors of the pool whose type is wanted."""
        return [
            v
            for v in self.scope.pool
            if v.type.shape is not None and v.below is None and wanted(v.type)
        ]

    def pick(self, wanted: Callable[[Type], bool] = lambda of: True) -> Value | None:
        """A tensor of the pool, mostly a recent one."""
        found = self.tensors(wanted)
        if not found:
            return None
        return self.rng.choice(found[-4:] if self.rng.random() < 0.7 else found)

    def pick_main(self) -> Value:
        """A tensor of the program's usual rank and element type; widened ones are cast back."""
        rank = 4 if self.image else 2
        floating = Type(None, self.element).is_float

        def usual(of: Type) -> bool:
            if of.rank != rank or self.version < 2:
                return of.rank == rank
            return None not in of.dims[1:] and of.is_float == floating

        value = self.pick(usual)
        assert value is not None  # the first argument is one
        return self.narrow(value)

    def narrow(self, value: Value) -> Value:
        """Cast a widened tensor back to the program's element type."""
        if value.type.element == self.element:
            return value
        return self.add("cast", [value], Type(value.type.shape, self.element))

    def add(self, kind: str, operands: list[Value], of: Type, **attributes: Any) -> Value:
        """Add an operation with one result, and return it."""
        return self.add_several(kind, operands, [of], **attributes)[0]

    def add_several(
        self, kind: str, operands: list[Value], types: list[Type], **attributes: Any
    ) -> list[Value]:
        """Add an operation with results of these types."""
        results = [Value(of) for of in types]
        self.scope.block.operations.append(Operation(kind, operands, results, attributes))
        self.scope.pool += results
        return results

    def data(self, of: Type) -> list[float]:
        """Small numbers that every element type holds exactly; rarely all the same."""
        rng = self.rng
        count = 1
        for extent in of.dims:
            count *= extent or 1

        def draw() -> float:
            return rng.randrange(-8, 9) / 4 if of.is_float else rng.randrange(-5, 6)

        if rng.random() < 0.05:
            return [draw()] * count
        return [draw() for _ in range(count)]

    def weight(self, of: Type) -> Value:
        """A weight: a constant, a global or an argument, mostly as this program has them."""
        rng = self.rng
        where = self.weights if rng.random() < 0.8 else rng.choice(["constant", "argument"])
        if where == "argument" and self.depth == 0 and self.function_arguments:
            value = Value(of)
            self.function_arguments.append(value)
            return value
        if where == "global":
            item = Global(f"weight{len(self.globals)}", of, self.data(of))
            self.globals.append(item)
            value = self.add("global_load", [], of, name=item.name)
        else:
            value = self.add("constant", [], of, data=self.data(of))
        self.scope.pool.remove(value)
        return value

    @property
    def wide(self) -> str:
        """The type in which products of the element type accumulate."""
        return "i32" if self.element == "i8" else self.element

    def image_type(
        self, batch: int | None, channels: int, height: int, width: int, element: str = ""
    ) -> Type:
        """The type of an image in the program's layout."""
        spatial = (height, width)
        shape = (*spatial, channels) if self.channels_last else (channels, *spatial)
        return Type((batch, *shape), element or self.element)

    def image_dims(self, of: Type) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, a, b, c = (extent or 1 for extent in of.dims)
        return (c, a, b) if self.channels_last else (a, b, c)

    @property
    def channel_axis(self) -> int:
        """The dimension of the channels in tensors of the usual rank."""
        if not self.image or self.channels_last:
            return 3 if self.image else 1
        return 1

    def channels(self, of: Type) -> int:
        """Extent of the channels."""
        return of.dims[self.channel_axis] or 1

    def function(self, name: str, of: Type) -> str:
        """The scalar function, or another one that the backend takes."""
        if self.vmvx and of.is_float:
            return "relu" if name in ("neg", "abs") else name
        return _OF_BYTES.get(name, name) if self.vmvx and of.element == "i8" else name

    def made_like(self, of: Type) -> Value:
        """A value of just that type: found, cut from or padded to it, or an argument."""
        rng = self.rng
        if of.shape is None:
            return self.scalar_argument()
        found = self.tensors(lambda other: other == of)
        if found and rng.random() < 0.9:
            return rng.choice(found[-3:])
        value = self.pick(lambda other: other.rank == of.rank and other.element == of.element)
        if value is not None and not of.dynamic and not value.type.dynamic:
            pairs = list(zip(value.type.dims, of.dims, strict=True))
            cut = tuple(min(a or 1, b or 1) for a, b in pairs)
            if cut != value.type.dims:
                zeros = [0] * of.rank
                part = Type(cut, of.element)
                value = self.add("slice", [value], part, offsets=zeros, strides=[1] * of.rank)
            if cut != of.dims:
                high = [(b or 1) - c for (_, b), c in zip(pairs, cut, strict=True)]
                value = self.add("pad", [value], of, low=[0] * of.rank, high=high, value=0)
            return value
        if self.depth == 0:
            value = Value(of)
            self.function_arguments.append(value)
            self.scope.pool.insert(0, value)
            return value
        return self.add("splat", [], of, value=1)

    def inside(self, arguments: list[Value], build: Callable[[], list[Value]]) -> Block:
        """Build a nested block, whose operations see the values outside."""
        outer = self.scope
        # Copied: values made inside are not visible outside.
        self.scope = Scope(Block(arguments, [], []), [*outer.pool, *arguments])
        self.depth += 1
        self.scope.block.results = build()
        self.depth -= 1
        block, self.scope = self.scope.block, outer
        return block

    def motif(self, simple: bool = False) -> None:
        """Apply a random motif; `simple` ones have neither control flow nor calls."""
        raise NotImplementedError

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""State, calls, branches and loops."""

from __future__ import annotations

import math

from serenity_mlir.fuzzing.generator.base import INDEX
from serenity_mlir.fuzzing.generator.parts import Parts
from serenity_mlir.fuzzing.program import Global, Operation, Type, Value

__all__ = ["Control"]


class Control(Parts):
    """Motifs of control flow and state."""

    def variable(self) -> None:
        """Reads a variable, computes its next value and stores it."""
        rng = self.rng
        like = self.pick(lambda of: not of.dynamic)
        if like is None:
            return
        found = [item for item in self.globals if item.mutable and item.type == like.type]
        if found:
            item = rng.choice(found)
        else:
            item = Global(f"variable{len(self.globals)}", like.type, self.data(like.type), True)
            self.globals.append(item)
        old = self.add("global_load", [], item.type, name=item.name)
        new = self.combine(old, like)
        if rng.random() < 0.8:
            self.scope.block.operations.append(
                Operation("global_store", [new], [], {"name": item.name})
            )

    def call(self) -> None:
        """Calls a private function, once or twice."""
        rng = self.rng
        callee = rng.choice(self.callable)
        types = [value.type for value in callee.body.results]
        for _ in range(rng.choice([1, 1, 2])):
            operands = [
                self.made_like(value.type)
                if value.below is None
                else self.index_argument(value.type, value.below)
                for value in callee.body.arguments
            ]
            self.add_several("call", operands, types, callee=callee.name)

    def constant_start(self, of: Type) -> Value:
        """Values that nothing computes, for loops to start from and branches to return."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.35:
            value = self.add("splat", [], of, value=rng.choice([0, 0, 1, -2]))
        elif draw < 0.85:
            data = self.data(of) if draw > 0.7 else [0.0] * math.prod(e or 1 for e in of.dims)
            value = self.add("constant", [], of, data=data)
        else:
            return self.weight(of)
        self.scope.pool.remove(value)
        return value

    def branch(self) -> None:
        """A branch on an argument or on computed data."""
        rng = self.rng
        value = self.pick_main()
        if rng.random() < 0.7:
            condition = self.scalar_argument()
        else:
            wanted = ("f32", "i32")
            source = self.pick(lambda of: of.element in wanted and not of.dynamic)
            if source is None:
                condition = self.scalar_argument()
            else:
                scalar = Type(None, source.type.element)
                condition = self.add("extract", [source], scalar)
                self.scope.pool.remove(condition)
        types = [value.type] * rng.choice([1, 1, 2])

        def build() -> list[Value]:
            if rng.random() < 0.2:
                return [value] * len(types)
            if self.version >= 2 and not value.type.dynamic and rng.random() < 0.25:
                return [self.constant_start(of) for of in types]
            if self.version >= 2 and self.depth < 3 and rng.random() < 0.15:
                self.loop()
            for _ in range(rng.choice([1, 1, 2])):
                self.motif(simple=True)
            made = [v for v in self.scope.pool if v.type == value.type]
            return [rng.choice(made[-3:]) for _ in types]

        blocks = [self.inside([], build), self.inside([], build)]
        results = [Value(of) for of in types]
        self.scope.block.operations.append(Operation("if", [condition], results, {}, blocks))
        self.scope.pool += results

    def loop(self) -> None:
        """A loop with a constant or dynamic trip count."""
        rng = self.rng
        values = [self.pick_main()]
        if rng.random() < 0.3:
            values.append(self.pick_main())
        operands, attributes = list(values), {}
        if self.version >= 2:
            for i, value in enumerate(values):
                if not value.type.dynamic and rng.random() < 0.5:
                    operands[i] = self.constant_start(value.type)
        if rng.random() < 0.5:
            attributes["trips"] = rng.choice([0, 1, 2, 3])
        else:
            operands.append(self.scalar_argument())
        arguments = [Value(INDEX), *(Value(value.type) for value in values)]
        rows = values[0].type.dims[0]
        by_row = attributes.get("trips", 4) <= (rows or 0)

        def build() -> list[Value]:
            if by_row and rng.random() < 0.5:
                whole = arguments[1]
                shape = (1, *whole.type.dims[1:])
                of = Type(shape, whole.type.element)
                zeros = [0] * whole.type.rank
                part = self.add("slice", [whole], of, offsets=zeros, strides=[1] * whole.type.rank)
                part = self.unary(part)
                self.add("insert", [part, whole, arguments[0]], whole.type, offsets=zeros)
            else:
                for _ in range(rng.choice([1, 1, 2])):
                    self.motif(simple=True)
            nested = 0.5 if self.theme == "loops" else 0.2
            if self.version >= 2 and self.depth < 3 and rng.random() < nested:
                rng.choice([self.loop, self.loop, self.branch])()
            carried = []
            for value in values:
                made = [v for v in self.scope.pool if v.type == value.type]
                carried.append(rng.choice(made[-3:]))
            return carried

        self.scope.block.operations.append(
            Operation(
                "for",
                operands,
                results := [Value(value.type) for value in values],
                attributes,
                [self.inside(arguments, build)],
            )
        )
        self.scope.pool += results

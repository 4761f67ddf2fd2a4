# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Elementwise operations: functions of one or several tensors of one shape, broadcast operands."""

from __future__ import annotations

from serenity_mlir.fuzzing.generator.base import Builder
from serenity_mlir.fuzzing.printing import SCALARS
from serenity_mlir.fuzzing.program import Type, Value

__all__ = ["Elementwise"]


class Elementwise(Builder):
    """Motifs of elementwise operations."""

    def unary(self, value: Value) -> Value:
        """A function of one tensor."""
        rng = self.rng
        names = [n for n, s in SCALARS.items() if s[0] == 1 and (s[2] or value.type.is_float)]
        name = self.function(rng.choice(names), value.type)
        styles = ["generic", "generic"]
        if name in ("abs", "tanh") or (name == "neg" and value.type.is_float):
            styles += ["tensor", "map"]
        return self.add("elementwise", [value], value.type, function=name, style=rng.choice(styles))

    def binary(self) -> Value:
        """A function of two tensors of one type."""
        left = self.pick()
        assert left is not None
        right = self.pick(lambda of: of == left.type) or left
        return self.combine(left, right)

    def combine(self, left: Value, right: Value, function: str = "") -> Value:
        """Two tensors of one type under a function, drawn if not given."""
        rng = self.rng
        name = function or rng.choice(["add", "add", "sub", "mul", "max", "min"])
        name = self.function(name, left.type)
        style = rng.choice(["generic", "tensor", "map"])
        return self.add("elementwise", [left, right], left.type, function=name, style=style)

    def broadcast_binary(self) -> Value:
        """An operand with fewer dimensions: a bias, a scale."""
        value = self.pick_main()
        axis = 1 if value.type.dynamic else self.rng.randrange(value.type.rank)
        small = self.weight(Type((value.type.dims[axis],), value.type.element))
        return self.add(
            "several",
            [value, small],
            value.type,
            functions=[self.rng.choice(["add", "mul", "sub"])],
            dims=[list(range(value.type.rank)), [axis]],
        )

    def several_results(self) -> None:
        """One operation with two or three results."""
        value = self.pick_main()
        other = self.pick(lambda of: of == value.type) or value
        functions = self.rng.choice([["add", "mul"], ["sub", "relu"], ["max", "min", "add"]])
        functions = [self.function(name, value.type) for name in functions]
        self.add_several(
            "several", [value, other], [value.type] * len(functions), functions=functions
        )

    def constant_operand(self) -> Value:
        """A tensor combined with a weight or a splat."""
        value = self.pick(lambda of: not of.dynamic)
        if value is None:
            return self.unary(self.pick_main())
        if self.rng.random() < 0.5:
            other = self.weight(value.type)
        else:
            other = self.add("splat", [], value.type, value=self.rng.randrange(-3, 4))
        return self.combine(value, other)

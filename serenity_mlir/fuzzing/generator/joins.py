# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Concatenations and sums of several tensors, which rewriting splits."""

from __future__ import annotations

from serenity_mlir.fuzzing.generator.layers import Layers
from serenity_mlir.fuzzing.program import Type, Value

__all__ = ["Joins"]


class Joins(Layers):
    """Motifs of tensors that are joined."""

    def branches(self, count: int, same: bool) -> list[Value]:
        """Tensors that agree in all dimensions but the channels, or in all."""
        rng = self.rng
        source = self.pick_main()
        parts: list[Value] = []
        for _ in range(count):
            draw = rng.random()
            if draw < 0.55:
                part = self.branch_layer(source, same and bool(parts), parts)
            elif draw < 0.8:
                part = self.unary(source)
            else:
                part = self.pick(lambda of: self.joinable(of, source.type)) or source
            part = self.narrow(part)
            if not self.joinable(part.type, source.type):
                part = source
            if same and parts and part.type != parts[0].type:
                part = self.unary(parts[-1])
            parts.append(part)
        return parts

    def branch_layer(self, source: Value, same: bool, parts: list[Value]) -> Value:
        """A layer that keeps the spatial size, with as many channels as the parts if `same`."""
        rng = self.rng
        if not self.image:
            columns = self.channels(parts[0].type) if same else rng.choice([1, 2, 3, 4, 8])
            return self.layer_to(source, columns)
        filters = self.channels(parts[0].type) if same else rng.choice([1, 2, 3, 4, 6])
        return self.layer_to(source, filters, rng.choice([1, 1, 3]))

    def joinable(self, one: Type, other: Type) -> bool:
        """Whether two types agree but for the channels."""
        axis = self.channel_axis
        return (
            one.rank == other.rank
            and one.element == other.element
            and all(
                a == b
                for i, (a, b) in enumerate(zip(one.dims, other.dims, strict=True))
                if i != axis
            )
        )

    def concatenation(self) -> None:
        """A concatenation and its users."""
        rng = self.rng
        parts = self.branches(rng.choice([2, 2, 2, 3, 3, 4, 5]), same=False)
        draw = rng.random()
        axis = self.channel_axis
        if draw < 0.1 and not parts[0].type.dynamic:
            # Not along the channels, where all parts have to be of one type.
            parts = [part for part in parts if part.type == parts[0].type]
            axis = rng.randrange(parts[0].type.rank)
        extent = sum(part.type.dims[axis] or 0 for part in parts)
        shape = [*parts[0].type.dims]
        shape[axis] = extent
        style = "concat" if rng.random() < 0.6 else "insert"
        whole = self.add(
            "concat", parts, Type(tuple(shape), parts[0].type.element), axis=axis, style=style
        )
        draw = rng.random()
        if draw < 0.2:
            return
        if draw < 0.4:
            whole = self.unary(whole)
        for _ in range(rng.choice([1, 1, 2])):  # it may have several users
            if self.image:
                self.layer(whole, ["conv", "conv", "pointwise", "depthwise", "depthwise"])
            else:
                self.layer(whole)
        if rng.random() < 0.3:  # depthwise, then pointwise
            self.layer(self.scope.pool[-1], ["conv", "pointwise"])

    def total(self) -> None:
        """A sum of several tensors, as a chain or as a tree."""
        rng = self.rng
        parts = self.branches(rng.choice([2, 2, 3, 3, 4, 5]), same=True)
        parts = [part for part in parts if part.type == parts[0].type]
        style = rng.choice(["chain", "tree"])
        operation = rng.choice(["generic", "tensor", "map"])
        while len(parts) > 1:
            left, right = parts[:2]
            added = self.add(
                "elementwise", [left, right], left.type, function="add", style=operation
            )
            parts = [added, *parts[2:]] if style == "chain" else [*parts[2:], added]
        if rng.random() < 0.5:
            self.layer(parts[0])
        elif rng.random() < 0.5:
            self.unary(parts[0])

    def fan_out(self) -> None:
        """Several users of one tensor."""
        value = self.pick_main()
        for _ in range(self.rng.choice([2, 2, 3])):
            self.unary(value) if self.rng.random() < 0.5 else self.layer(value)

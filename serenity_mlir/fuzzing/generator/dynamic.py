# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Dynamic dimensions that end in static tensors: inner dimensions, reduced time axes, batches."""

from __future__ import annotations

from serenity_mlir.fuzzing.generator.control import Control
from serenity_mlir.fuzzing.program import Type, Value

__all__ = ["Dynamic"]


class Dynamic(Control):
    """Motifs of dynamic dimensions."""

    def matmul(self, value: Value, columns: int, weight: Value | None = None) -> Value:
        """A product of a matrix, in programs of images too; sometimes onto another tensor."""
        rng = self.rng
        rows, inner = value.type.dims
        if weight is None:
            weight = self.weight(Type((inner, columns), self.element))
        of = Type((rows, columns), self.wide)
        operands = [value, weight]
        draw = rng.random()
        if draw < 0.2:
            found = self.tensors(lambda other: other == of)
            operands += [rng.choice(found)] if found else []
        elif draw < 0.35 and rows is not None:
            operands.append(self.tensor_argument(of))
        return self.add("named", operands, of, name="matmul")

    def static_tail(self, value: Value) -> Value:
        """Static products one after the other, the first of which may be streamed."""
        rng = self.rng
        for _ in range(rng.choice([1, 2, 2, 3])):
            value = self.matmul(self.narrow(value), rng.choice([1, 2, 4, 8, 12, 16]))
            if rng.random() < 0.4:
                value = self.unary(self.narrow(value))
        return value

    def rows_of_unknown_number(self) -> Value:
        """A matrix with a dynamic number of rows: of the pool, or an argument."""
        rng = self.rng
        element = self.element
        found = self.tensors(
            lambda of: of.rank == 2 and of.element == element and of.dims[0] is None
        )
        found = [value for value in found if value.type.dims[1] is not None]
        if found and rng.random() < 0.6:
            return rng.choice(found[-3:])
        return self.tensor_argument(Type((None, rng.choice([2, 3, 4, 6, 8])), element))

    def dynamic_inner_dimension(self) -> Value:
        """A product over a dynamic dimension, and static ones after it."""
        rng = self.rng
        if rng.random() < 0.4:  # the rows of a tensor, transposed
            source = self.rows_of_unknown_number()
            of = Type((source.type.dims[1], None), self.element)
            left = self.add("transpose", [source], of, permutation=[1, 0])
        else:
            left = self.tensor_argument(Type((rng.choice([1, 1, 2, 4]), None), self.element))
        if rng.random() < 0.5:
            right = self.rows_of_unknown_number()
        else:
            right = self.tensor_argument(
                Type((None, rng.choice([1, 2, 4, 8, 12, 16])), self.element)
            )
        columns = right.type.dims[1]
        assert columns is not None
        return self.static_tail(self.matmul(left, columns, right))

    def reduced_time_axis(self) -> Value:
        """A reduction of a dynamic axis, and static products of the result."""
        rng = self.rng
        if rng.random() < 0.5:
            steps = self.tensor_argument(Type((1, None, rng.choice([2, 4, 6, 8])), self.element))
        else:
            steps = self.rows_of_unknown_number()
            if rng.random() < 0.5:
                steps = self.narrow(self.matmul(steps, rng.choice([2, 4, 8])))
        if rng.random() < 0.5:
            steps = self.unary(steps)
        kept = [extent for extent in steps.type.dims if extent is not None]
        function = self.function(rng.choice(["add", "add", "max"]), steps.type)
        axis = steps.type.rank - 2
        of = Type(tuple(kept), self.element)
        small = self.add("reduce", [steps], of, axis=axis, function=function)
        if len(kept) == 1:
            wider = Type((1, kept[0]), self.element)
            small = self.add("reshape", [small], wider, groups=[[0, 1]])
        result = self.static_tail(self.unary(small) if rng.random() < 0.4 else small)
        if rng.random() < 0.3:  # back to every row
            row = self.narrow(self.matmul(self.narrow(result), kept[-1]))
            flat = Type((kept[-1],), self.element)
            flat_row = self.add("reshape", [row], flat, groups=[[0, 1]])
            dims = [list(range(steps.type.rank)), [steps.type.rank - 1]]
            self.add("several", [steps, flat_row], steps.type, functions=["add"], dims=dims)
        return result

    def attention(self) -> Value:
        """Static queries over a dynamic number of keys."""
        rng = self.rng
        keys = self.rows_of_unknown_number()
        rows, inner = rng.choice([1, 1, 2, 4]), keys.type.dims[1]
        assert inner is not None
        queries = self.tensor_argument(Type((rows, inner), self.element))
        if rng.random() < 0.5:
            queries = self.narrow(self.matmul(queries, inner))
        scores = self.add("product", [queries, keys], Type((rows, None), self.wide))
        scores = self.unary(self.narrow(scores))
        values = keys if rng.random() < 0.5 else self.rows_of_unknown_number()
        columns = values.type.dims[1]
        assert columns is not None
        return self.static_tail(self.matmul(scores, columns, values))

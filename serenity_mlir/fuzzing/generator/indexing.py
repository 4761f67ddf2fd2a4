# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Integer inputs that index: embeddings and gathers."""

from __future__ import annotations

from serenity_mlir.fuzzing.generator.loops import Loops
from serenity_mlir.fuzzing.program import Type, Value

__all__ = ["Indexing"]


class Indexing(Loops):
    """Motifs of gathers."""

    def gathered(self, table: Value, indices: Value, axis: int = 0) -> Value:
        """Parts of a table along an axis, by a vector of indices."""
        shape = [*table.type.dims]
        shape[axis] = indices.type.dims[0]
        of = Type(tuple(shape), table.type.element)
        return self.add("gather", [table, indices], of, axis=axis)

    def embedding(self) -> Value:
        """Rows of tables by integer arguments, summed, and a layer of them."""
        rng = self.rng
        count = rng.choice([None, 1, 2, 3, 5, 8])
        width = rng.choice([2, 3, 4, 8])
        total: Value | None = None
        for _ in range(rng.choice([1, 1, 2, 3])):
            rows = rng.choice([2, 2, 3, 5, 10])
            table = self.weight(Type((rows, width), self.element))
            indices = self.index_argument(Type((count,), rng.choice(["i32", "i64"])), rows)
            found = self.gathered(table, indices)
            total = found if total is None else self.combine(total, found, "add")
        assert total is not None
        if count is None:
            of = Type((width,), self.element)
            small = self.add("reduce", [total], of, axis=0, function="add")
            total = self.add("reshape", [small], Type((1, width), self.element), groups=[[0, 1]])
        return self.static_tail(total)

    def gather(self) -> Value:
        """Parts of a tensor that the program makes, by an integer argument."""
        rng = self.rng
        table = self.pick(lambda of: of.rank >= 1 and not of.dynamic)
        if table is None:
            return self.embedding()
        axis = rng.randrange(table.type.rank)
        extent = table.type.dims[axis] or 1
        count = rng.choice([1, 2, 4, extent])
        indices = self.index_argument(Type((count,), rng.choice(["i32", "i64"])), extent)
        found = self.gathered(table, indices, axis)
        return self.unary(found) if rng.random() < 0.5 else found

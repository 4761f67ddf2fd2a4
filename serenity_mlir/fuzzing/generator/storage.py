# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tensors without elements, and results in memory of the caller."""

from __future__ import annotations

from serenity_mlir.fuzzing.generator.quantised import Quantised
from serenity_mlir.fuzzing.program import Type, Value

__all__ = ["Storage"]


class Storage(Quantised):
    """Motifs of the interface."""

    def empty(self) -> None:
        """Tensors without rows: computed, joined with others, cut out of others."""
        rng = self.rng
        like = self.pick_main()
        of = Type((0, *like.type.dims[1:]), self.element)
        pool = list(self.scope.pool)
        made = self.tensor_argument(of)
        if rng.random() < 0.3 and not like.type.dynamic:
            zeros = [0] * of.rank
            made = self.add("slice", [like], of, offsets=zeros, strides=[1] * of.rank)
        if rng.random() < 0.6:
            made = self.unary(made)
        if not self.image and rng.random() < 0.5:
            made = self.narrow(self.matmul(made, of.dims[1] or 1))
        # Other motifs do not take them: extents of 0 are special everywhere.
        self.scope.pool[:] = [value for value in self.scope.pool if value in pool]
        if rng.random() < 0.6 and made.type == of and not like.type.dynamic:
            style = rng.choice(["concat", "insert"])
            # An insertion behind the last row is invalid, even of nothing.
            first = style == "insert" or rng.random() < 0.5
            parts = [made, like] if first else [like, made]
            whole = self.add("concat", parts, like.type, axis=0, style=style)
            if rng.random() < 0.6:
                self.layer(whole)

    def stored_results(self, results: list[Value]) -> list[Value]:
        """Choose the results whose memory the caller provides."""
        rng = self.rng
        if rng.random() >= (0.5 if self.theme == "storage" else 0.03):
            return []
        made = {id(v) for op in self.scope.block.operations for v in op.results}
        return [
            value
            for value in dict.fromkeys(results)
            if id(value) in made and not value.type.dynamic and rng.random() < 0.7
        ]

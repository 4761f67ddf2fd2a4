# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Parts and shapes of tensors: slices, insertions, pads, reshapes, transposes, reductions."""

from __future__ import annotations

from collections.abc import Sequence

from serenity_mlir.fuzzing.generator.joins import Joins
from serenity_mlir.fuzzing.program import Type, Value

__all__ = ["Parts"]


class Parts(Joins):
    """Motifs of parts of tensors."""

    def box(self, of: Type) -> tuple[list[int], list[int | None]]:
        """Offsets and extents of a random part of a tensor, whole in dynamic dimensions."""
        offsets: list[int] = []
        sizes: list[int | None] = []
        for extent in of.dims:
            if extent is None:
                offsets.append(0)
                sizes.append(None)
                continue
            size = self.rng.randrange(1, extent + 1)
            offsets.append(self.rng.randrange(extent - size + 1))
            sizes.append(size)
        return offsets, sizes

    def cut_out(self) -> Value:
        """A slice."""
        value = self.pick()
        assert value is not None
        offsets, sizes = self.box(value.type)
        strides = [1] * len(sizes)
        if self.rng.random() < 0.2 and sizes[-1] is not None:
            extent = value.type.dims[-1] or 1
            offsets[-1], sizes[-1], strides[-1] = 0, (extent + 1) // 2, 2
        of = Type(tuple(sizes), value.type.element)
        part = self.add("slice", [value], of, offsets=offsets, strides=strides)
        return self.unary(part) if self.rng.random() < 0.5 else part

    def in_place_chain(self) -> Value:
        """Parts written one after the other into a tensor, which may have readers of its own."""
        rng = self.rng
        whole = self.pick_main()
        for _ in range(rng.choice([1, 2, 2, 3])):
            offsets, sizes = self.box(whole.type)
            of = Type(tuple(sizes), whole.type.element)
            part = next((v for v in self.tensors(lambda t, of=of: t == of)), None)  # type: ignore[misc]
            if part is None:
                source = whole if rng.random() < 0.5 else self.pick_main()
                if source.type != whole.type:
                    source = whole
                part = self.add(
                    "slice",
                    [source],
                    of,
                    offsets=self.box_offsets(source.type, sizes),
                    strides=[1] * len(sizes),
                )
                part = self.unary(part)
            whole = self.add("insert", [part, whole], whole.type, offsets=offsets)
            if rng.random() < 0.2:
                self.unary(whole)
        return whole

    def box_offsets(self, of: Type, sizes: Sequence[int | None]) -> list[int]:
        """Offsets at which a part of these extents lies in a tensor."""
        return [
            0 if extent is None else self.rng.randrange(extent - (size or 0) + 1)
            for extent, size in zip(of.dims, sizes, strict=True)
        ]

    def padding(self) -> Value:
        """A pad on some sides."""
        value = self.pick()
        assert value is not None
        rng = self.rng
        low, high, shape = [], [], []
        for extent in value.type.dims:
            wide = extent is not None and rng.random() < 0.5
            low.append(rng.choice([0, 1, 2]) if wide else 0)
            high.append(rng.choice([0, 1]) if wide else 0)
            shape.append(None if extent is None else extent + low[-1] + high[-1])
        of = Type(tuple(shape), value.type.element)
        return self.add("pad", [value], of, low=low, high=high, value=rng.choice([0, 0, 1]))

    def reshaping(self) -> Value:
        """Merge two dimensions, or split one."""
        rng = self.rng
        value = self.pick(lambda of: of.rank >= 1)
        assert value is not None
        of = value.type
        static = [i for i, extent in enumerate(of.dims) if extent is not None and extent > 1]
        if of.rank > 1 and not of.dynamic and rng.random() < 0.5:
            at = rng.randrange(of.rank - 1)
            merged = (of.dims[at] or 1) * (of.dims[at + 1] or 1)
            groups = [[i] for i in range(at)] + [[at, at + 1]]
            groups += [[i] for i in range(at + 2, of.rank)]
            shape = (*of.dims[:at], merged, *of.dims[at + 2 :])
        elif static and of.rank < 5:
            at = rng.choice(static)
            extent = of.dims[at] or 1
            factor = rng.choice([n for n in range(1, extent + 1) if extent % n == 0])
            groups = [[i] for i in range(at)] + [[at, at + 1]]
            groups += [[i + 1] for i in range(at + 1, of.rank)]
            shape = (*of.dims[:at], factor, extent // factor, *of.dims[at + 1 :])
        else:
            return self.unary(value)
        result = self.add("reshape", [value], Type(tuple(shape), of.element), groups=groups)
        return self.unary(result) if rng.random() < 0.4 else result

    def permuted(self) -> Value:
        """A transpose."""
        rng = self.rng
        value = self.pick(lambda of: of.rank >= 2)
        assert value is not None
        order = list(range(value.type.rank))
        rng.shuffle(order)
        of = Type(tuple(value.type.dims[i] for i in order), value.type.element)
        return self.add("transpose", [value], of, permutation=order)

    def reduction(self) -> Value:
        """A reduction of one dimension, perhaps combined with its operand."""
        rng = self.rng
        value = self.pick(lambda of: of.rank >= 2)
        assert value is not None
        of = value.type
        axis = rng.randrange(of.rank)
        if of.dims[axis] is None:
            axis = of.rank - 1
        kept = [i for i in range(of.rank) if i != axis]
        small = self.add(
            "reduce",
            [value],
            Type(tuple(of.dims[i] for i in kept), of.element),
            axis=axis,
            function=self.function(rng.choice(["add", "add", "max"]), of),
        )
        if rng.random() < 0.5:  # a mean that is taken off, an attention
            functions = [rng.choice(["sub", "mul", "add"])]
            dims = [list(range(of.rank)), kept]
            return self.add("several", [value, small], of, functions=functions, dims=dims)
        return small

    def reversal(self) -> Value:
        """A gather of the rows in reverse."""
        value = self.pick(lambda of: not of.dynamic)
        return (
            self.unary(self.pick_main())
            if value is None
            else self.add("reverse", [value], value.type)
        )

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Loops over steps with slices at dynamic offsets, and caches kept in variables."""

from __future__ import annotations

from serenity_mlir.fuzzing.generator.base import I32, INDEX
from serenity_mlir.fuzzing.generator.dynamic import Dynamic
from serenity_mlir.fuzzing.program import Global, Operation, Type, Value

__all__ = ["Loops"]


class Loops(Dynamic):
    """Motifs of recurrent networks and decoders."""

    def slice_at(self, source: Value, position: Value, of: Type, axis: int = 0) -> Value:
        """A slice whose offset in one dimension is a value."""
        zeros = [0] * of.rank
        return self.add(
            "slice", [source, position], of, offsets=zeros, strides=[1] * of.rank, axis=axis
        )

    def insert_at(self, part: Value, whole: Value, position: Value, axis: int = 0) -> Value:
        """An insertion whose offset in one dimension is a value."""
        zeros = [0] * whole.type.rank
        return self.add("insert", [part, whole, position], whole.type, offsets=zeros, axis=axis)

    def recurrence(self) -> None:
        """A recurrent cell over the rows of a sequence, whose state begins with a constant."""
        rng = self.rng
        element = self.element
        found = self.tensors(lambda of: of.rank == 2 and of.element == element and not of.dynamic)
        found = [value for value in found if 2 <= (value.type.dims[0] or 0) <= 8]
        if found and rng.random() < 0.5:
            sequence = rng.choice(found)
        else:
            shape = (rng.choice([2, 3, 4, 6]), rng.choice([2, 3, 4, 8]))
            sequence = self.tensor_argument(Type(shape, element))
        steps, inputs = (extent or 1 for extent in sequence.type.dims)
        units = rng.choice([2, 4, 6, 16])
        state = Type((rng.choice([1, 1, 1, 4]), units), element)
        weights = [self.weight(Type((inputs, units), element))] * rng.choice([1, 2])
        weights.append(self.weight(Type((units, units), element)))
        starts = [self.constant_start(state) if rng.random() < 0.7 else self.tensor_argument(state)]
        if rng.random() < 0.6:  # every step's state is handed out
            starts.append(self.constant_start(Type((steps, units), element)))
        operands, attributes = list(starts), {}
        draw = rng.random()
        if draw < 0.6:
            attributes["trips"] = rng.choice([steps, steps, steps - 1])
        else:
            operands.append(self.index_argument(I32, steps + 1))
        arguments = [Value(INDEX), *(Value(value.type) for value in starts)]
        body = self.inside(arguments, lambda: self.cell(sequence, arguments, weights))
        results = [Value(value.type) for value in starts]
        self.scope.block.operations.append(Operation("for", operands, results, attributes, [body]))
        self.scope.pool += results

    def cell(self, sequence: Value, arguments: list[Value], weights: list[Value]) -> list[Value]:
        """One step of a recurrence."""
        rng = self.rng
        at, state, *outputs = arguments
        rows, units = (extent or 1 for extent in state.type.dims)
        step = Type((1, *sequence.type.dims[1:]), sequence.type.element)
        current = self.slice_at(sequence, at, step)
        new: Value | None = None
        for weight in weights[:-1]:
            gate = Type((1, units), self.wide)
            made = self.narrow(self.add("named", [current, weight], gate, name="matmul"))
            if rows != 1:
                flat = self.add("reshape", [made], Type((units,), self.element), groups=[[0, 1]])
                made = self.add("broadcast", [flat], state.type, dims=[1])
            wide = Type(state.type.dims, self.wide)
            kept = self.add("named", [state, weights[-1]], wide, name="matmul")
            made = self.unary(self.combine(made, self.narrow(kept), "add"))
            new = made if new is None else self.combine(new, made, rng.choice(["mul", "add"]))
        assert new is not None
        if rng.random() < 0.4:
            new = self.combine(new, state)
        if not outputs:
            return [new]
        of = Type((1, units), state.type.element)
        zeros = [0, 0]
        row = new if rows == 1 else self.add("slice", [new], of, offsets=zeros, strides=[1, 1])
        return [new, self.insert_at(row, outputs[0], at)]

    def cache(self) -> None:
        """A step of a decoder: rows written into caches at a position, and the caches read."""
        rng = self.rng
        length, width = rng.choice([4, 6, 8, 16]), rng.choice([2, 4, 8])
        of = Type((length, width), self.element)
        row = Type((1, width), self.element)
        query = self.tensor_argument(row)
        position = self.index_argument(I32, length)
        caches: list[tuple[Global, Value]] = []
        for _ in range(rng.choice([1, 2, 2])):
            # Not two that start equal: IREE takes them for one and adds a part twice.
            start = [float(len(caches))] * (length * width)
            data = start if rng.random() < 0.6 else self.data(of)
            item = Global(f"cache{len(self.globals)}", of, data, True)
            self.globals.append(item)
            old = self.add("global_load", [], of, name=item.name)
            new = query
            if rng.random() < 0.7:
                new = self.narrow(self.matmul(query, width))
            caches.append((item, self.insert_at(new, old, position)))
        keys, values = caches[0][1], caches[-1][1]
        if rng.random() < 0.8:
            scores = self.add("product", [query, keys], Type((1, length), self.wide))
            self.matmul(self.unary(self.narrow(scores)), width, values)
        for item, new in caches:
            self.scope.block.operations.append(
                Operation("global_store", [new], [], {"name": item.name})
            )

    def moving_part(self) -> None:
        """A part at an offset that the caller gives: read, and mostly written back."""
        rng = self.rng
        whole = self.pick(lambda of: not of.dynamic and of.rank >= 1)
        if whole is None:
            self.unary(self.pick_main())
            return
        axis = rng.randrange(whole.type.rank)
        extent = whole.type.dims[axis] or 1
        size = rng.choice([1, max(1, extent // 2)])
        shape = [*whole.type.dims]
        shape[axis] = size
        position = self.index_argument(I32, extent - size + 1)
        part = self.slice_at(whole, position, Type(tuple(shape), whole.type.element), axis)
        if rng.random() < 0.7:
            part = self.unary(part)
        if rng.random() < 0.6:
            position = self.index_argument(I32, extent - size + 1)
            self.insert_at(part, whole, position, axis)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From a function's IR to the steps of `index_ranges.IndexUses`.

Operations are visited in order, calls and regions inline. One that is not known here computes
nothing: its results can be any value of their types.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from serenity_mlir.compiling.index_ranges import (
    ANY,
    ANY_EXTENT,
    BINARY,
    CALL_DEPTH,
    CASTS,
    DIVISIONS,
    NOTHING,
    PREDICATES,
    ROUNDINGS,
    SAME_ELEMENTS,
    SHIFTS,
    UNSIGNED_CASTS,
    Environment,
    Extents,
    IndexUses,
    Interval,
    compare,
    constant_interval,
    value_range,
)

__all__ = ["find_index_uses"]

Reader = Callable[[Environment], Interval]


def find_index_uses(
    function: Any, functions: Mapping[str, Any], integers: Mapping[int, Any]
) -> IndexUses | None:
    """Return the reads that a function indexes with its integer arguments, or None without any.

    Args:
      function: a ``util.func`` at the ``abi`` phase, in a live context.
      functions: the module's functions by name, for calls.
      integers: the integer arguments' values in `function`'s entry block and their positions for a
        caller: ``{position: (value, element width)}``; other arguments with width None.
    """
    uses = IndexUses({pos: width for pos, (_, width) in integers.items() if width is not None})
    if not uses.integers:
        return None
    builder = _Builder(uses, functions)
    for position, (value, width) in integers.items():
        uses.add_argument(position, hash(value))
        if width is not None:
            builder.origins[hash(value)] = {position}
            builder.tracked.add(hash(value))
    builder.visit_block(function.regions[0].blocks[0])
    return uses


def integer_width(kind: Any) -> int | None:
    """Return the width of an integer type, of a tensor's elements; None for other types."""
    text = str(getattr(kind, "element_type", kind))
    if text == "index":
        return 64
    signless = text.removeprefix("s").removeprefix("u")
    return int(signless[1:]) if signless[:1] == "i" and signless[1:].isdigit() else None


def _static_extents(kind: Any) -> tuple[int | None, ...]:
    shape = getattr(kind, "shape", None)
    if shape is None or not getattr(kind, "has_rank", True):
        return ()
    return tuple(extent if extent >= 0 else None for extent in shape)


def _integers(attribute: Any) -> list[int]:
    return [int(value) for value in attribute]


class _Builder:
    """Visits operations and adds their steps."""

    def __init__(self, uses: IndexUses, functions: Mapping[str, Any]) -> None:
        self.uses = uses
        self.functions = functions
        #: Arguments whose elements a tensor has, in their order, unless they were cut or mixed.
        self.origins: dict[int, set[int]] = {}
        #: Values that a step computes.
        self.tracked: set[int] = set()
        #: Values that run over a dimension of a loop.
        self.iterated: set[int] = set()
        #: Tensors that others were inserted into, or joined to.
        self._pieces: dict[int, list[Any]] = {}
        self._loops: list[list[Reader]] = []
        self._calls = 0

    # --- values ---------------------------------------------------------------

    def read(self, value: Any) -> Reader:
        """Return a function that reads a value's interval; any value of the type if unknown."""
        key = hash(value)
        width = integer_width(value.type)
        low, high = value_range(width) if width is not None else ANY[:2]
        extents = tuple(
            ANY_EXTENT if extent is None else Interval(extent, extent)
            for extent in _static_extents(value.type)
        )
        top = Interval(low, high, extents=extents)

        def get(environment: Environment) -> Interval:
            found = environment.get(key, top)
            # An uninitialised tensor holds no value: a read may return anything.
            return found if found.low <= found.high else found._replace(low=low, high=high)

        return get

    def write(
        self,
        value: Any,
        of: Reader,
        extents: Callable[[Environment], Extents] | None = None,
        follow: bool = False,
    ) -> None:
        """Add a step that computes `value`.

        Of floats only the extents count, unless `follow` says that integers are computed of them.
        """
        key = hash(value)
        width = integer_width(value.type)
        low, high = value_range(width) if width is not None else ANY[:2]
        static = _static_extents(value.type)
        known = all(extent is not None for extent in static)
        fixed = tuple(Interval(e, e) if e is not None else ANY_EXTENT for e in static)

        def step(environment: Environment) -> None:
            found = of(environment)
            if not (low <= found.low and found.high <= high) and found.low <= found.high:
                found = found._replace(low=low, high=high)  # It wraps, or is not a number.
            dimensions = fixed
            if not known and extents is not None:
                given = extents(environment)
                if len(given) == len(fixed):
                    dimensions = tuple(
                        one if extent is not None else other
                        for extent, one, other in zip(static, fixed, given, strict=True)
                    )
            environment[key] = found._replace(extents=dimensions)

        self.uses.add_step(step)
        if follow or width is not None:
            self.tracked.add(key)

    def extents_of(self, value: Any) -> Callable[[Environment], Extents]:
        read = self.read(value)
        return lambda environment: read(environment).extents

    def worthwhile(self, op: Any) -> bool:
        """Whether an operation's result may matter: an integer, or made of a followed value."""
        return integer_width(op.results[0].type) is not None or any(
            hash(operand) in self.tracked for operand in op.operands
        )

    def check(self, read: Reader, limits: Callable[[Environment], tuple[float, float]]) -> None:
        """Add a use: the value must lie within the limits."""

        def test(environment: Environment) -> tuple[frozenset[int], bool]:
            found = read(environment)
            if not found.depends:
                return found.depends, True
            low, high = limits(environment)
            return found.depends, low <= found.low and found.high <= high

        self.uses.add_check(test)

    def _mixed(self, result: Any, operands: Sequence[Any]) -> None:
        """Let a result have the origin of its operands, if they have a single one.

        A value made of one operand that runs over a dimension does so too.
        """
        found: set[int] = set().union(*(self.origins.get(hash(v), set()) for v in operands))
        if len(found) == 1:
            self.origins[hash(result)] = found
        if len(operands) == 1 and hash(operands[0]) in self.iterated:
            self.iterated.add(hash(result))

    def parts(self, op: Any, static: str, dynamic: Iterator[Any]) -> list[Reader]:
        """Return readers of a list that is part attribute, part operands."""
        readers: list[Reader] = []
        for value in _integers(op.attributes[static]):
            if value == -(1 << 63):
                readers.append(self.read(next(dynamic)))
            else:
                readers.append(_always(Interval(value, value)))
        return readers

    # --- operations -----------------------------------------------------------

    def visit_block(self, block: Any) -> None:
        for op in block.operations:
            self.visit(op.operation)

    def visit(self, op: Any) -> None:
        name = op.name
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, op)
        elif name in BINARY or name in SHIFTS:
            self._binary(op)
        elif name in ROUNDINGS or name in CASTS or name in UNSIGNED_CASTS:
            self._cast(op)
        elif name in SAME_ELEMENTS:
            self._same_elements(op)
        else:
            for region in op.regions:
                for block in region.blocks:
                    self.visit_block(block)

    def _binary(self, op: Any) -> None:
        a, b = (self.read(operand) for operand in op.operands)
        if op.name in DIVISIONS and hash(op.operands[1]) in self.tracked:

            def divides(environment: Environment) -> tuple[frozenset[int], bool]:
                found = b(environment)
                return found.depends, not found.low <= 0 <= found.high

            self.uses.add_check(divides)
        if op.name in SHIFTS:
            width = integer_width(op.results[0].type) or 64
            self.check(b, lambda _: (0, width - 1))
            return
        if self.worthwhile(op):
            of = BINARY[op.name]
            extents = self.extents_of(op.operands[0])
            self.write(op.results[0], lambda env: of(a(env), b(env)), extents, follow=True)
            self._mixed(op.results[0], op.operands)

    def _cast(self, op: Any) -> None:
        if not self.worthwhile(op):
            return
        read = self.read(op.operands[0])
        rounding = ROUNDINGS.get(op.name)
        unsigned = op.name in UNSIGNED_CASTS

        def of(environment: Environment) -> Interval:
            found = read(environment)
            if unsigned and found.low < 0:
                return ANY._replace(depends=found.depends)
            if rounding is not None and math.isfinite(found.low) and math.isfinite(found.high):
                return found._replace(low=rounding(found.low), high=rounding(found.high))
            return found

        self.write(op.results[0], of, self.extents_of(op.operands[0]), follow=True)
        self._mixed(op.results[0], op.operands)

    def _same_elements(self, op: Any) -> None:
        source = op.operands[0]
        read, extents = self.read(source), self.extents_of(source)
        result = op.results[0]
        follow = hash(source) in self.tracked
        if op.name == "tensor.expand_shape":
            dynamic = iter(list(op.operands)[1:])
            sizes = self.parts(op, "static_output_shape", dynamic)
            self.write(result, read, lambda env: tuple(size(env) for size in sizes), follow)
        elif op.name == "tensor.collapse_shape":
            groups = [_integers(group) for group in op.attributes["reassociation"]]

            def collapsed(environment: Environment) -> Extents:
                given = extents(environment)
                return tuple(
                    Interval(
                        math.prod(given[i].low for i in group),
                        math.prod(given[i].high for i in group),
                    )
                    for group in groups
                )

            self.write(result, read, collapsed, follow)
        elif op.name == "linalg.transpose":
            order = _integers(op.attributes["permutation"])
            self.write(result, read, lambda env: tuple(extents(env)[i] for i in order), follow)
        elif op.name in ("linalg.broadcast", "linalg.copy"):
            self.write(result, read, self.extents_of(op.operands[1]), follow)
        else:
            self.write(result, read, extents, follow)
        self._mixed(result, [source])

    def _constant(self, op: Any) -> None:
        from iree.compiler import ir

        result, value = op.results[0], op.attributes["value"]
        width = integer_width(result.type)
        if isinstance(value, ir.DenseElementsAttr) and width is not None:
            if value.is_splat:
                value = value.get_splat_value()
            else:
                found = constant_interval(np.asarray(value))
                self.write(result, lambda _: found)
                return
        if isinstance(value, ir.IntegerAttr | ir.BoolAttr):
            number = abs(int(value.value)) if width == 1 else int(value.value)
            self.write(result, lambda _: Interval(number, number))
        elif isinstance(value, ir.FloatAttr):
            single = constant_interval(value.value)
            self.write(result, lambda _: single)

    def _compare(self, op: Any) -> None:
        first, second = op.operands
        a, b = self.read(first), self.read(second)
        predicate = PREDICATES[_predicate(op)]
        self.write(
            op.results[0], lambda env: compare(predicate, a(env), b(env)), self.extents_of(first)
        )
        if predicate != "eq":
            return
        # One-hot encoding: a value that no position equals leaves its row empty.
        for one, other, value in ((a, b, second), (b, a, first)):
            if hash(value) in self.iterated:

                def limits(env: Environment, other: Reader = other) -> tuple[float, float]:
                    found = other(env)
                    return found.low, found.high

                self.check(one, limits)

    def _select(self, op: Any) -> None:
        if not self.worthwhile(op):
            return
        condition, yes, no = (self.read(operand) for operand in op.operands)

        def of(environment: Environment) -> Interval:
            decided = condition(environment)
            a, b = yes(environment), no(environment)
            if decided.low >= 1:
                return a
            if decided.high <= 0:
                return b
            return Interval(
                min(a.low, b.low), max(a.high, b.high), a.depends | b.depends | decided.depends
            )

        self.write(op.results[0], of, self.extents_of(op.operands[1]), follow=True)
        self._mixed(op.results[0], list(op.operands)[1:])

    def _assert(self, op: Any) -> None:
        self.check(self.read(op.operands[0]), lambda _: (1, math.inf))

    def _affine(self, op: Any) -> None:
        from iree.compiler import ir

        affine_map = ir.AffineMapAttr(op.attributes["map"]).value
        operands = [self.read(operand) for operand in op.operands]
        results = [_affine_reader(e, operands, affine_map.n_dims) for e in affine_map.results]
        fold = BINARY["arith.maxsi" if op.name == "affine.max" else "arith.minsi"]

        def of(environment: Environment) -> Interval:
            found = results[0](environment)
            for other in results[1:]:
                found = fold(found, other(environment))
            return found

        self.write(op.results[0], of)

    # --- tensors --------------------------------------------------------------

    def _import(self, op: Any) -> None:
        source = op.operands[0]
        key = hash(source)
        self.write(
            op.results[0],
            lambda env: env.get(key, ANY),
            lambda env: env[key].extents if key in env else (),
        )
        self._mixed(op.results[0], [source])

    def _view_extent(self, op: Any) -> None:
        key, axis = hash(op.operands[0]), int(op.attributes["index"].value)

        def of(environment: Environment) -> Interval:
            extents = environment[key].extents if key in environment else ()
            return extents[axis] if axis < len(extents) else ANY_EXTENT

        self.write(op.results[0], of)

    def _alias(self, op: Any) -> None:
        source = op.operands[0]
        follow = hash(source) in self.tracked
        self.write(op.results[0], self.read(source), self.extents_of(source), follow)

    def _empty(self, op: Any) -> None:
        sizes = [self.read(operand) for operand in op.operands]
        for size in sizes:
            self.check(size, lambda _: (0, math.inf))
        static = _static_extents(op.results[0].type)

        def extents(environment: Environment) -> Extents:
            dynamic = iter(sizes)
            return tuple(
                Interval(e, e) if e is not None else next(dynamic)(environment) for e in static
            )

        self.write(op.results[0], lambda _: NOTHING, extents)

    def _extent(self, op: Any) -> None:
        source, axis = self.read(op.operands[0]), self.read(op.operands[1])

        def of(environment: Environment) -> Interval:
            extents, at = source(environment).extents, axis(environment)
            if at.low == at.high and 0 <= at.low < len(extents):
                return extents[int(at.low)]
            return ANY_EXTENT

        self.write(op.results[0], of)

    def _check_indices(self, tensor: Any, indices: Sequence[Any]) -> None:
        extents = self.extents_of(tensor)
        for axis, index in enumerate(indices):
            if hash(index) in self.tracked:

                def limits(env: Environment, axis: int = axis) -> tuple[float, float]:
                    given = extents(env)
                    return 0, (given[axis].low if axis < len(given) else 1) - 1

                self.check(self.read(index), limits)

    def _extract(self, op: Any) -> None:
        self._check_indices(op.operands[0], list(op.operands)[1:])
        if self.worthwhile(op):
            self.write(op.results[0], self.read(op.operands[0]), follow=True)
            self._mixed(op.results[0], [op.operands[0]])

    def _insert(self, op: Any) -> None:
        value, tensor = op.operands[0], op.operands[1]
        self._check_indices(tensor, list(op.operands)[2:])
        self._united(op, [value, tensor], self.extents_of(tensor))

    def _united(
        self, op: Any, operands: Sequence[Any], extents: Callable[[Environment], Extents]
    ) -> None:
        """Let the result hold the elements of any operand."""
        keys = [(hash(operand), self.read(operand)) for operand in operands]
        self._pieces[hash(op.results[0])] = list(operands)

        def of(environment: Environment) -> Interval:
            found = NOTHING
            for key, read in keys:
                one = environment[key] if key in environment else read(environment)
                found = Interval(
                    min(found.low, one.low), max(found.high, one.high), found.depends | one.depends
                )
            return found

        follow = any(hash(operand) in self.tracked for operand in operands)
        self.write(op.results[0], of, extents, follow)
        self._mixed(op.results[0], operands)

    def _slice(self, op: Any) -> None:
        inserts = op.name != "tensor.extract_slice"
        sliced = op.operands[1] if inserts else op.operands[0]
        dynamic = iter(list(op.operands)[2 if inserts else 1 :])
        offsets = self.parts(op, "static_offsets", dynamic)
        sizes = self.parts(op, "static_sizes", dynamic)
        strides = self.parts(op, "static_strides", dynamic)
        extents = self.extents_of(sliced)
        for axis, (offset, size, stride) in enumerate(zip(offsets, sizes, strides, strict=True)):
            self.check(offset, lambda _: (0, math.inf))
            self.check(size, lambda _: (0, math.inf))
            self.check(stride, lambda _: (1, math.inf))

            def within(
                environment: Environment,
                axis: int = axis,
                offset: Reader = offset,
                size: Reader = size,
                stride: Reader = stride,
            ) -> tuple[frozenset[int], bool]:
                at, count, by = offset(environment), size(environment), stride(environment)
                depends = at.depends | count.depends | by.depends
                if not depends:
                    return depends, True
                given = extents(environment)
                extent = given[axis].low if axis < len(given) else 1
                last = at.high + max(count.high - 1, 0) * by.high
                return depends, last < extent or (count.high == 0 and last <= extent)

            self.uses.add_check(within)
        if inserts:
            self._united(op, [op.operands[0], sliced], extents)
            return
        self.write(
            op.results[0],
            self.read(sliced),
            lambda env: tuple(size(env) for size in sizes),
            hash(sliced) in self.tracked,
        )
        self._mixed(op.results[0], [sliced])

    def _concat(self, op: Any) -> None:
        axis = int(op.attributes["dim"].value)
        readers = [self.extents_of(operand) for operand in op.operands]

        def extents(environment: Environment) -> Extents:
            given = [list(read(environment)) for read in readers]
            along = Interval(
                sum(one[axis].low for one in given), sum(one[axis].high for one in given)
            )
            return tuple([*given[0][:axis], along, *given[0][axis + 1 :]])

        self._united(op, list(op.operands), extents)

    def _pad(self, op: Any) -> None:
        source = op.operands[0]
        dynamic = iter(list(op.operands)[1:])
        low = self.parts(op, "static_low", dynamic)
        high = self.parts(op, "static_high", dynamic)
        for read in (*low, *high):
            self.check(read, lambda _: (0, math.inf))
        self.visit_block(op.regions[0].blocks[0])
        padding = self._terminator(op.regions[0].blocks[0]).operands[0]
        extents = self.extents_of(source)
        add = BINARY["arith.addi"]

        def padded(environment: Environment) -> Extents:
            return tuple(
                add(add(extent, before(environment)), after(environment))
                for extent, before, after in zip(extents(environment), low, high, strict=True)
            )

        self._united(op, [source, padding], padded)
        self.origins.pop(hash(op.results[0]), None)

    def _elements(self, op: Any) -> None:
        self._united(op, list(op.operands), lambda _: ())

    def _generate(self, op: Any) -> None:
        sizes = [self.read(operand) for operand in op.operands]
        static = _static_extents(op.results[0].type)

        def extents(environment: Environment) -> Extents:
            dynamic = iter(sizes)
            return tuple(
                Interval(e, e) if e is not None else next(dynamic)(environment) for e in static
            )

        block = op.regions[0].blocks[0]
        for axis, argument in enumerate(block.arguments):

            def of(env: Environment, axis: int = axis) -> Interval:
                return Interval(0, max(extents(env)[axis].high - 1, 0))

            self.write(argument, of)
            self.iterated.add(hash(argument))
        self.visit_block(block)
        self.write(op.results[0], self.read(self._terminator(block).operands[0]), extents)

    def _fill(self, op: Any) -> None:
        value, out = op.operands
        self.write(
            op.results[0], self.read(value), self.extents_of(out), hash(value) in self.tracked
        )

    def _generic(self, op: Any) -> None:
        from iree.compiler import ir

        if not len(op.results):
            return
        operands = list(op.operands)
        outs = operands[len(operands) - len(op.results) :]
        maps = [ir.AffineMapAttr(of).value for of in op.attributes["indexing_maps"]]
        parallel = "reduction" not in str(op.attributes["iterator_types"])
        block = op.regions[0].blocks[0]
        accumulators = set() if parallel else set(map(hash, outs))
        for argument, operand in zip(block.arguments, operands, strict=True):
            if hash(operand) in self.tracked and hash(operand) not in accumulators:
                self.write(argument, self.read(operand), follow=True)
                self._mixed(argument, [operand])
        with self._loop(self._loop_extents(maps, operands)):
            self.visit_block(block)
        for result, yielded, out in zip(
            op.results, self._terminator(block).operands, outs, strict=True
        ):
            follow = hash(yielded) in self.tracked
            self.write(result, self.read(yielded), self.extents_of(out), follow)
            if parallel:
                self._mixed(result, [yielded])

    def _loop_extents(self, maps: Sequence[Any], operands: Sequence[Any]) -> list[Reader]:
        from iree.compiler import ir

        found: list[Reader] = []
        for dimension in range(maps[0].n_dims):
            reader: Reader = lambda _: ANY_EXTENT  # noqa: E731
            for affine_map, operand in zip(maps, operands, strict=True):
                positions = [
                    at
                    for at, expression in enumerate(affine_map.results)
                    if (found_at := _cast_affine(ir.AffineDimExpr, expression)) is not None
                    and found_at.position == dimension
                ]
                if positions:
                    extents = self.extents_of(operand)

                    def reader(
                        env: Environment,
                        extents: Callable[[Environment], Extents] = extents,
                        at: int = positions[0],
                    ) -> Interval:
                        given = extents(env)
                        return given[at] if at < len(given) else ANY_EXTENT

                    break
            found.append(reader)
        return found

    @contextmanager
    def _loop(self, extents: list[Reader]) -> Iterator[None]:
        self._loops.append(extents)
        yield
        self._loops.pop()

    def _index(self, op: Any) -> None:
        dimension = int(op.attributes["dim"].value)
        if not self._loops or dimension >= len(self._loops[-1]):
            return
        extent = self._loops[-1][dimension]
        self.write(op.results[0], lambda env: Interval(0, max(extent(env).high - 1, 0)))
        self.iterated.add(hash(op.results[0]))

    def _gather(self, op: Any) -> None:
        self._check_coordinates(op, op.operands[0], op.operands[1])

    def _scatter(self, op: Any) -> None:
        indices = op.operands[1]
        self._check_coordinates(op, op.operands[-1], indices)
        # Also where the operation allows repetition: which of two updates lasts is not defined.
        for position in self.origins.get(hash(indices), ()):
            self.uses.require_distinct(position)
        for region in op.regions:
            for block in region.blocks:
                self.visit_block(block)

    def _check_coordinates(self, op: Any, tensor: Any, indices: Any) -> None:
        dimensions = _integers(op.attributes["dimension_map"])
        extents = self.extents_of(tensor)

        def limits(environment: Environment) -> tuple[float, float]:
            given = extents(environment)
            return 0, min((given[i].low for i in dimensions if i < len(given)), default=1) - 1

        # A column of coordinates that depends on no argument has a dimension of its own.
        open_ones = [indices]
        while open_ones:
            value = open_ones.pop()
            pieces = self._pieces.get(hash(value))
            if pieces is None:
                self.check(self.read(value), limits)
            else:
                open_ones += pieces

    # --- control flow -----------------------------------------------------------

    @staticmethod
    def _terminator(block: Any) -> Any:
        return block.operations[len(block.operations) - 1].operation

    def _call(self, op: Any) -> None:
        from iree.compiler import ir

        callee = self.functions.get(ir.FlatSymbolRefAttr(op.attributes["callee"]).value)
        if callee is None or len(callee.regions[0].blocks) != 1 or self._calls >= CALL_DEPTH:
            return
        block = callee.regions[0].blocks[0]
        for argument, operand in zip(block.arguments, op.operands, strict=True):
            if hash(operand) in self.tracked:
                self.write(argument, self.read(operand), self.extents_of(operand), follow=True)
                self._mixed(argument, [operand])
        self._calls += 1
        self.visit_block(block)
        self._calls -= 1
        for result, value in zip(op.results, self._terminator(block).operands, strict=False):
            if hash(value) in self.tracked:
                self.write(result, self.read(value), self.extents_of(value), follow=True)
                self._mixed(result, [value])

    def _for(self, op: Any) -> None:
        low, high = self.read(op.operands[0]), self.read(op.operands[1])
        block = op.regions[0].blocks[0]

        def of(environment: Environment) -> Interval:
            first, last = low(environment), high(environment)
            return Interval(first.low, max(last.high - 1, first.low), first.depends | last.depends)

        self.write(block.arguments[0], of)
        self.visit_block(block)

    def _if(self, op: Any) -> None:
        yields = []
        for region in op.regions:
            for block in region.blocks:
                self.visit_block(block)
                yields.append(list(self._terminator(block).operands))
        if len(yields) != 2:
            return
        for result, one, other in zip(op.results, *yields, strict=True):
            if hash(one) in self.tracked and hash(other) in self.tracked:
                a, b = self.read(one), self.read(other)

                def of(env: Environment, a: Reader = a, b: Reader = b) -> Interval:
                    x, y = a(env), b(env)
                    return Interval(min(x.low, y.low), max(x.high, y.high), x.depends | y.depends)

                self.write(result, of)

    def _assumed(self, op: Any) -> None:
        for result, operand in zip(op.results, op.operands, strict=True):
            self.write(result, self.read(operand))


def _predicate(op: Any) -> int:
    return int(op.attributes["predicate"].value)


def _always(value: Interval) -> Reader:
    return lambda _: value


def _cast_affine(kind: Any, expression: Any) -> Any:
    """Return an expression as one of `kind`, or None."""
    try:
        return kind(expression)
    except ValueError:
        return None


def _affine_reader(expression: Any, operands: Sequence[Reader], dimensions: int) -> Reader:
    from iree.compiler import ir

    if (dimension := _cast_affine(ir.AffineDimExpr, expression)) is not None:
        return operands[int(dimension.position)]
    if (symbol := _cast_affine(ir.AffineSymbolExpr, expression)) is not None:
        return operands[dimensions + int(symbol.position)]
    if (constant := _cast_affine(ir.AffineConstantExpr, expression)) is not None:
        value = int(constant.value)
        return _always(Interval(value, value))
    for kind, of in (
        (ir.AffineAddExpr, "arith.addi"),
        (ir.AffineMulExpr, "arith.muli"),
        (ir.AffineModExpr, "affine.mod"),
        (ir.AffineFloorDivExpr, "arith.floordivsi"),
        (ir.AffineCeilDivExpr, "arith.ceildivsi"),
    ):
        if (binary := _cast_affine(kind, expression)) is not None:
            a = _affine_reader(binary.lhs, operands, dimensions)
            b = _affine_reader(binary.rhs, operands, dimensions)
            combine = BINARY[of]
            return lambda env: combine(a(env), b(env))
    return lambda _: ANY


_HANDLERS: dict[str, Callable[[_Builder, Any], None]] = {
    "arith.constant": _Builder._constant,
    "arith.cmpi": _Builder._compare,
    "arith.select": _Builder._select,
    "cf.assert": _Builder._assert,
    "affine.apply": _Builder._affine,
    "affine.min": _Builder._affine,
    "affine.max": _Builder._affine,
    "hal.tensor.import": _Builder._import,
    "hal.buffer_view.dim": _Builder._view_extent,
    "hal.tensor.alias": _Builder._alias,
    "tensor.empty": _Builder._empty,
    "tensor.dim": _Builder._extent,
    "tensor.extract": _Builder._extract,
    "tensor.insert": _Builder._insert,
    "tensor.extract_slice": _Builder._slice,
    "tensor.insert_slice": _Builder._slice,
    "tensor.concat": _Builder._concat,
    "tensor.pad": _Builder._pad,
    "tensor.from_elements": _Builder._elements,
    "tensor.generate": _Builder._generate,
    "linalg.fill": _Builder._fill,
    "linalg.generic": _Builder._generic,
    "linalg.index": _Builder._index,
    "iree_linalg_ext.gather": _Builder._gather,
    "iree_linalg_ext.scatter": _Builder._scatter,
    "util.call": _Builder._call,
    "func.call": _Builder._call,
    "scf.for": _Builder._for,
    "scf.if": _Builder._if,
    "util.assume.int": _Builder._assumed,
}

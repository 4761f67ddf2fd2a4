# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random valid programs, each a function of (seed, index) alone.

A program is made of *motifs*: small patterns of networks and of tensor code, applied to values
drawn from a pool of those made so far, so that lifetimes overlap and tensors are shared. The
patterns that rewriting is for (concatenation before a convolution or a product, sums of several
tensors) come more often than chance would bring them.

Python's generator seeded with a string does not depend on the hash seed, and only the draws whose
algorithm is the same in all supported Pythons are used.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from serenity_mlir.fuzzing.program import (
    SCALARS,
    Block,
    Function,
    Global,
    Operation,
    Program,
    Type,
    Value,
)

__all__ = ["generate"]

_I32 = Type(None, "i32")
_INDEX = Type(None, "index")

#: Element types of programs, and how often of 20.
_ELEMENTS = ["f32"] * 10 + ["i8"] * 4 + ["i32"] * 3 + ["f16"] * 2 + ["bf16"]

#: What VMVX gets instead of functions that depend on the sign of a byte.
_OF_BYTES = {"relu": "shift", "scale": "shift", "abs": "neg", "max": "add", "min": "sub"}


def generate(seed: int, index: int, *, vmvx: bool = False) -> Program:
    """Return program number `index` of a seed.

    Args:
      seed: of a series of programs.
      index: of the program.
      vmvx: leave out what the VMVX backend does not compile (floats of 16 bits, negation and
        absolute value of floats), and what it gets wrong: its registers have 32 bits, and bytes
        computed in them (not loaded) are not extended by their sign before they are compared,
        shifted or made positive.
    """
    return _Generator(random.Random(f"serenity fuzz {seed} {index}"), vmvx).program()


class _Scope:
    """A block under construction and the values that its operations can use."""

    def __init__(self, block: Block, pool: list[Value]) -> None:
        self.block = block
        self.pool = pool


class _Generator:
    """Draws one program. All randomness comes from `rng`, in program order."""

    def __init__(self, rng: random.Random, vmvx: bool) -> None:
        self.rng = rng
        self.element = rng.choice(_ELEMENTS)
        self.vmvx = vmvx
        if vmvx and self.element in ("f16", "bf16"):
            self.element = "f32"
        self.image = rng.random() < 0.5
        self.channels_last = rng.random() < 0.4
        #: Extents of the first dimension of matrices are dynamic.
        self.dynamic = not self.image and rng.random() < 0.15
        self.weights = rng.choice(["constant", "constant", "global", "argument"])
        self.functions: list[Function] = []
        self.globals: list[Global] = []
        self.callable: list[Function] = []
        self.scope = _Scope(Block([], [], []), [])
        self.function_arguments: list[Value] = []
        self.depth = 0

    # --- the program ---

    def program(self) -> Program:
        rng = self.rng
        for i in range(rng.choice([0, 0, 0, 0, 0, 0, 1, 1, 2])):
            self.functions.append(self.helper(f"helper{i}"))
            self.callable.append(self.functions[-1])
        names = ["main", "second", "third"][: rng.choice([1] * 9 + [2, 2, 3])]
        # Small, because time goes by operations, and what one finds rarely needs many.
        for name in names:
            size = rng.choice([1, 1, 1, 1, 2, 2, 2, 3, 4]) if len(names) == 1 else 1
            self.functions.append(self.entry(name, size))
        program = Program(self.functions, self.globals)
        remove_dead(program)
        return program

    def begin(self, arguments: list[Value]) -> None:
        self.function_arguments = arguments
        self.scope = _Scope(Block(arguments, [], []), list(arguments))

    def first_types(self) -> list[Type]:
        """Types of the tensor arguments of a function."""
        rng = self.rng
        count = rng.choice([1, 1, 1, 2, 2, 3])
        if self.image:
            size = rng.choice([3, 4, 5, 6, 8])
            types = []
            for _ in range(count):
                types.append(self.image_type(1, rng.choice([1, 2, 3, 4, 6, 8]), size, size))
            return types
        rows = None if self.dynamic else rng.choice([1, 2, 4, 5, 8, 12])
        return [
            Type((rows, rng.choice([1, 2, 3, 4, 6, 8, 12, 16])), self.element) for _ in range(count)
        ]

    def entry(self, name: str, motifs: int) -> Function:
        rng = self.rng
        self.begin([Value(of) for of in self.first_types()])
        if rng.random() < 0.25:
            self.scalar_argument()
        # First one that leaves tensors alive side by side.
        rng.choice([self.concatenation, self.total, self.fan_out, self.motif])()
        for _ in range(motifs - 1):
            self.motif()
        block = self.scope.block
        used = {id(v) for op in block.walk() for v in op.operands}
        used |= {id(v) for op in block.walk() for inner in op.blocks for v in inner.results}
        made = [v for op in block.operations for v in op.results if v.type.shape is not None]
        leaves = [v for v in made if id(v) not in used][-4:]
        results = leaves or [rng.choice(made or self.tensors())]
        if rng.random() < 0.2:
            results.append(rng.choice(made or self.tensors()))
        if rng.random() < 0.04:
            results.append(rng.choice([v for v in block.arguments if v.type.shape is not None]))
        if rng.random() < 0.04:
            results.append(results[0])
        block.results = results
        return Function(name, block)

    def helper(self, name: str) -> Function:
        """A private function of one or two tensors."""
        rng = self.rng
        self.begin([Value(of) for of in self.first_types()[:2]])
        # Calls inside calls are rare enough to be left to the entry points.
        for _ in range(rng.choice([1, 1, 2])):
            self.motif(simple=True)
        block = self.scope.block
        block.results = [rng.choice([v for op in block.operations for v in op.results])]
        return Function(name, block, public=False, noinline=rng.random() < 0.6)

    def scalar_argument(self) -> Value:
        """The function's scalar, made where it is first wanted."""
        for value in self.function_arguments:
            if value.type == _I32:
                return value
        value = Value(_I32)
        self.function_arguments.append(value)
        return value

    # --- values ---

    def tensors(self, wanted: Callable[[Type], bool] = lambda of: True) -> list[Value]:
        return [v for v in self.scope.pool if v.type.shape is not None and wanted(v.type)]

    def pick(self, wanted: Callable[[Type], bool] = lambda of: True) -> Value | None:
        """A tensor of the pool, mostly a recent one."""
        found = self.tensors(wanted)
        if not found:
            return None
        return self.rng.choice(found[-4:] if self.rng.random() < 0.7 else found)

    def pick_main(self) -> Value:
        """A tensor of the program's usual rank and element type; widened ones are cast back."""
        rank = 4 if self.image else 2
        value = self.pick(lambda of: of.rank == rank)
        assert value is not None  # the first argument is one
        return self.narrow(value)

    def narrow(self, value: Value) -> Value:
        if value.type.element == self.element:
            return value
        return self.add("cast", [value], Type(value.type.shape, self.element))

    def add(self, kind: str, operands: list[Value], of: Type, **attributes: Any) -> Value:
        return self.add_several(kind, operands, [of], **attributes)[0]

    def add_several(
        self, kind: str, operands: list[Value], types: list[Type], **attributes: Any
    ) -> list[Value]:
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
        """What products of the element type accumulate in."""
        return "i32" if self.element == "i8" else self.element

    # --- layouts of images ---

    def image_type(
        self, batch: int | None, channels: int, height: int, width: int, element: str = ""
    ) -> Type:
        spatial = (height, width)
        shape = (*spatial, channels) if self.channels_last else (channels, *spatial)
        return Type((batch, *shape), element or self.element)

    def image_dims(self, of: Type) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, a, b, c = (extent or 1 for extent in of.dims)
        return (c, a, b) if self.channels_last else (a, b, c)

    @property
    def channel_axis(self) -> int:
        if not self.image or self.channels_last:
            return 3 if self.image else 1
        return 1

    def channels(self, of: Type) -> int:
        return of.dims[self.channel_axis] or 1

    # --- motifs ---

    def motif(self, simple: bool = False) -> None:
        """Apply a random motif."""
        rng = self.rng
        choices: list[tuple[int, Callable[[], object]]] = [
            (5, self.concatenation),
            (4, self.total),
            (3, self.bottleneck),
            (1, self.self_product),
            (4, lambda: self.layer(self.pick_main())),
            (4, lambda: self.unary(self.pick_main())),
            (3, self.binary),
            (2, self.broadcast_binary),
            (2, self.several_results),
            (2, self.in_place_chain),
            (2, self.cut_out),
            (2, self.reshaping),
            (2, self.padding),
            (1, self.permuted),
            (2, self.reduction),
            (1, self.reversal),
            (1, self.fan_out),
            (1, self.constant_operand),
            (1, lambda: self.add("barrier", [value := self.pick_main()], value.type)),
        ]
        if not simple:
            if self.callable:
                choices.append((6, self.call))
            choices += [(2, self.variable)]
            if self.depth == 0:
                choices += [(2, self.branch), (2, self.loop)]
        total = sum(weight for weight, _ in choices)
        at = rng.randrange(total)
        for weight, motif in choices:
            if at < weight:
                motif()
                return
            at -= weight

    def function(self, name: str, of: Type) -> str:
        """The scalar function, or another one that the backend takes."""
        if self.vmvx and of.is_float:
            return "relu" if name in ("neg", "abs") else name
        return _OF_BYTES.get(name, name) if self.vmvx and of.element == "i8" else name

    def unary(self, value: Value) -> Value:
        rng = self.rng
        names = [n for n, s in SCALARS.items() if s[0] == 1 and (s[2] or value.type.is_float)]
        name = self.function(rng.choice(names), value.type)
        styles = ["generic", "generic"]
        if name in ("abs", "tanh") or (name == "neg" and value.type.is_float):
            styles += ["tensor", "map"]
        return self.add("elementwise", [value], value.type, function=name, style=rng.choice(styles))

    def binary(self) -> Value:
        left = self.pick()
        assert left is not None
        right = self.pick(lambda of: of == left.type) or left
        return self.combine(left, right)

    def combine(self, left: Value, right: Value, function: str = "") -> Value:
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
        value = self.pick_main()
        other = self.pick(lambda of: of == value.type) or value
        functions = self.rng.choice([["add", "mul"], ["sub", "relu"], ["max", "min", "add"]])
        functions = [self.function(name, value.type) for name in functions]
        self.add_several(
            "several", [value, other], [value.type] * len(functions), functions=functions
        )

    def fan_out(self) -> None:
        value = self.pick_main()
        for _ in range(self.rng.choice([2, 2, 3])):
            self.unary(value) if self.rng.random() < 0.5 else self.layer(value)

    def constant_operand(self) -> Value:
        value = self.pick(lambda of: not of.dynamic)
        if value is None:
            return self.unary(self.pick_main())
        if self.rng.random() < 0.5:
            other = self.weight(value.type)
        else:
            other = self.add("splat", [], value.type, value=self.rng.randrange(-3, 4))
        return self.combine(value, other)

    # Layers: matrix products and convolutions.

    def layer(self, value: Value, kinds: Sequence[str] = ()) -> Value:
        """A convolution or product of a tensor of the usual rank."""
        value = self.narrow(value)
        return self.convolution(value, kinds) if self.image else self.product(value)

    def accumulator(self, of: Type) -> list[Value]:
        """Nothing (zeros), a broadcast bias, or a tensor to add to."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.25:
            axis = self.channel_axis
            bias = self.weight(Type((of.dims[axis],), of.element))
            value = self.add("broadcast", [bias], of, dims=[axis])
            self.scope.pool.remove(value)
            return [value]
        if draw < 0.4:
            found = self.tensors(lambda other: other == of)
            if found:
                return [rng.choice(found)]
        return []

    def product(self, value: Value) -> Value:
        rng = self.rng
        rows, inner = value.type.dims
        columns = rng.choice([1, 2, 3, 4, 6, 8, 12, 16])
        of = Type((rows, columns), self.wide)
        start = self.accumulator(of)
        draw = rng.random()
        if draw < 0.25:
            weight = self.weight(Type((columns, inner), self.element))
            return self.add("product", [value, weight, *start], of)
        if draw < 0.35 and rows is not None and rows == inner:
            # A product of two tensors that the function makes.
            other = self.pick(
                lambda t: t.rank == 2 and t.element == self.element and t.dims[0] == inner
            )
            if other is not None:
                of = Type((rows, other.type.dims[1]), self.wide)
                return self.add("named", [value, other], of, name="matmul")
        weight = self.weight(Type((inner, columns), self.element))
        return self.add("named", [value, weight, *start], of, name="matmul")

    def convolution(self, value: Value, kinds: Sequence[str] = ()) -> Value:
        rng = self.rng
        batch = value.type.dims[0]
        channels, height, width = self.image_dims(value.type)
        kind = rng.choice(list(kinds) or ["conv", "conv", "pointwise", "depthwise", "pool"])
        kernel = 1 if kind == "pointwise" else rng.choice([1, 2, 3, 3])
        kernel = min(kernel, height, width)
        stride = rng.choice([1, 1, 1, 2])
        dilation = 1
        if kernel > 1 and rng.random() < 0.15 and min(height, width) > 2 * (kernel - 1):
            dilation = 2
        reach = dilation * (kernel - 1)
        if kernel == 3 and rng.random() < 0.6:  # the same size
            value = self.pad_image(value, (reach + 1) // 2)
            channels, height, width = self.image_dims(value.type)
        if stride >= min(height, width) - reach:
            stride = 1  # IREE 3.13 does not compile a single window of a larger image.
        out_height, out_width = (
            (height - reach - 1) // stride + 1,
            (width - reach - 1) // stride + 1,
        )
        layout = "nhwc" if self.channels_last else "nchw"
        text = (
            f" {{dilations = dense<{dilation}> : tensor<2xi64>, "
            f"strides = dense<{stride}> : tensor<2xi64>}}"
        )
        if kind == "pool":
            of = self.image_type(batch, channels, out_height, out_width)
            name = self.function(rng.choice(["max", "sum"]), of).replace("add", "sum")
            name = f"pooling_{layout}_{name}"
            return self.add("pool", [value], of, name=name, text=text, window=[kernel, kernel])
        shape: tuple[int, ...]
        if kind == "depthwise":
            of = self.image_type(batch, channels, out_height, out_width, self.wide)
            shape = (kernel, kernel, channels) if self.channels_last else (channels, kernel, kernel)
            name = f"depthwise_conv_2d_{layout}_{'hwc' if self.channels_last else 'chw'}"
        else:
            filters = rng.choice([1, 2, 3, 4, 6, 8])
            of = self.image_type(batch, filters, out_height, out_width, self.wide)
            shape = (
                (kernel, kernel, channels, filters)
                if self.channels_last
                else (filters, channels, kernel, kernel)
            )
            name = f"conv_2d_{layout}_{'hwcf' if self.channels_last else 'fchw'}"
        weight = self.weight(Type(shape, self.element))
        start = self.accumulator(of)
        return self.add("named", [value, weight, *start], of, name=name, text=text)

    def pad_image(self, value: Value, amount: int) -> Value:
        channels, height, width = self.image_dims(value.type)
        taller, wider = height + 2 * amount, width + 2 * amount
        of = self.image_type(value.type.dims[0], channels, taller, wider, value.type.element)
        low = [0, amount, amount, 0] if self.channels_last else [0, 0, amount, amount]
        return self.add("pad", [value], of, low=low, high=low, value=0)

    # Concatenations and sums: what rewriting is for.

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

    def layer_to(self, source: Value, filters: int, kernel: int = 1) -> Value:
        """A product or convolution of the same spatial size with `filters` channels."""
        if not self.image:
            rows, inner = source.type.dims
            weight = self.weight(Type((inner, filters), self.element))
            of = Type((rows, filters), self.wide)
            return self.add("named", [source, weight], of, name="matmul")
        channels, height, width = self.image_dims(source.type)
        if kernel == 3:
            source = self.pad_image(source, 1)
        last = self.channels_last
        shape = (kernel, kernel, channels, filters) if last else (filters, channels, kernel, kernel)
        name = f"conv_2d_{'nhwc_hwcf' if last else 'nchw_fchw'}"
        of = self.image_type(source.type.dims[0], filters, height, width, self.wide)
        weight = self.weight(Type(shape, self.element))
        text = " {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}"
        return self.add("named", [source, weight], of, name=name, text=text)

    def joinable(self, one: Type, other: Type) -> bool:
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

    # What rewriting computes piece by piece.

    def bottleneck(self) -> Value:
        """A tensor that is widened, worked on channel by channel, and narrowed again."""
        rng = self.rng
        value = self.layer_to(self.pick_main(), rng.choice([8, 8, 12, 16]))
        for _ in range(rng.choice([0, 1, 1, 2])):
            value = self.narrow(value)
            if self.image and rng.random() < 0.5:
                value = self.convolution(value, ["depthwise", "depthwise", "pool"])
            else:
                made = self.unary(value)
                value = self.combine(value, made) if rng.random() < 0.3 else made
        return self.layer_to(self.narrow(value), rng.choice([1, 2, 3, 4, 6]))

    def self_product(self) -> Value:
        """A square matrix times what is made of it: one value, cut along both dimensions."""
        value = self.pick_main()
        rows = value.type.dims[0]
        if self.image or rows is None:
            return self.bottleneck()
        square = self.narrow(self.layer_to(value, rows))
        factors = [self.unary(square), square]
        self.rng.shuffle(factors)
        of = Type((rows, rows), self.wide)
        return self.add("named", factors, of, name="matmul")

    # Parts of tensors.

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
        return [
            0 if extent is None else self.rng.randrange(extent - (size or 0) + 1)
            for extent, size in zip(of.dims, sizes, strict=True)
        ]

    def padding(self) -> Value:
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
        rng = self.rng
        value = self.pick(lambda of: of.rank >= 2)
        assert value is not None
        order = list(range(value.type.rank))
        rng.shuffle(order)
        of = Type(tuple(value.type.dims[i] for i in order), value.type.element)
        return self.add("transpose", [value], of, permutation=order)

    def reduction(self) -> Value:
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
        value = self.pick(lambda of: not of.dynamic)
        return (
            self.unary(self.pick_main())
            if value is None
            else self.add("reverse", [value], value.type)
        )

    # State, calls, control flow.

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
            operands = [self.made_like(value.type) for value in callee.body.arguments]
            self.add_several("call", operands, types, callee=callee.name)

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
        """Build a nested block, whose operations see what is outside."""
        outer = self.scope
        # Copied: what is made inside is not seen outside.
        self.scope = _Scope(Block(arguments, [], []), [*outer.pool, *arguments])
        self.depth += 1
        self.scope.block.results = build()
        self.depth -= 1
        block, self.scope = self.scope.block, outer
        return block

    def branch(self) -> None:
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
            for _ in range(rng.choice([1, 1, 2])):
                self.motif(simple=True)
            made = [v for v in self.scope.pool if v.type == value.type]
            return [rng.choice(made[-3:]) for _ in types]

        blocks = [self.inside([], build), self.inside([], build)]
        results = [Value(of) for of in types]
        self.scope.block.operations.append(Operation("if", [condition], results, {}, blocks))
        self.scope.pool += results

    def loop(self) -> None:
        rng = self.rng
        values = [self.pick_main()]
        if rng.random() < 0.3:
            values.append(self.pick_main())
        operands, attributes = list(values), {}
        if rng.random() < 0.5:
            attributes["trips"] = rng.choice([0, 1, 2, 3])
        else:
            operands.append(self.scalar_argument())
        arguments = [Value(_INDEX), *(Value(value.type) for value in values)]
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


def remove_dead(program: Program) -> None:
    """Remove operations, functions and globals that nobody uses, and arguments of no use."""
    for function in program.functions:
        _remove_dead_operations(function.body)
        used = _used(function.body)
        if function.public:
            block = function.body
            block.arguments = [v for v in block.arguments if v in used or v is block.arguments[0]]
    called = {
        op.attributes["callee"]
        for function in program.functions
        for op in function.body.walk()
        if op.kind == "call"
    }
    program.functions = [f for f in program.functions if f.public or f.name in called]
    names = {
        op.attributes["name"]
        for function in program.functions
        for op in function.body.walk()
        if op.kind in ("global_load", "global_store")
    }
    program.globals = [item for item in program.globals if item.name in names]


def _used(block: Block) -> set[Value]:
    used = set(block.results)
    for operation in block.walk():
        used.update(operation.operands)
        for inner in operation.blocks:
            used.update(inner.results)
    return used


def _remove_dead_operations(block: Block) -> None:
    """Drop what has no effect and no user, from the end."""
    live = set(block.results)

    def mark(operation: Operation) -> None:
        live.update(operation.operands)
        for inner in operation.blocks:
            live.update(inner.results)
            for nested in inner.operations:
                mark(nested)

    kept = []
    for operation in reversed(block.operations):
        if operation.has_effect or any(value in live for value in operation.results):
            for inner in operation.blocks:
                _remove_dead_operations(inner)
            mark(operation)
            kept.append(operation)
    block.operations = kept[::-1]

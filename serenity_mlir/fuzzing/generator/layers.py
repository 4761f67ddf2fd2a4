# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Matrix products, convolutions and pools, alone and as bottlenecks."""

from __future__ import annotations

from collections.abc import Sequence

from serenity_mlir.fuzzing.generator.elementwise import Elementwise
from serenity_mlir.fuzzing.program import Type, Value

__all__ = ["Layers"]


class Layers(Elementwise):
    """Motifs of layers."""

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
        """A matrix product with a weight, in one of several spellings."""
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
        """A convolution or pool, of one of `kinds` if given."""
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
        if kernel == 1 and self.version >= 3:
            # Where windows of one element leave gaps, IREE 3.13 fuses an operand that others read
            # and writes only what the windows cover.
            stride = 1
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
        """Pad height and width with zeros on all sides."""
        channels, height, width = self.image_dims(value.type)
        taller, wider = height + 2 * amount, width + 2 * amount
        of = self.image_type(value.type.dims[0], channels, taller, wider, value.type.element)
        low = [0, amount, amount, 0] if self.channels_last else [0, 0, amount, amount]
        return self.add("pad", [value], of, low=low, high=low, value=0)

    def halved(self, value: Value) -> Value:
        """The greatest of every two by two elements of an image of even height and width."""
        channels, height, width = self.image_dims(value.type)
        of = self.image_type(value.type.dims[0], channels, height // 2, width // 2)
        name = f"pooling_{'nhwc' if self.channels_last else 'nchw'}_max"
        text = " {dilations = dense<1> : tensor<2xi64>, strides = dense<2> : tensor<2xi64>}"
        return self.add("pool", [value], of, name=name, text=text, window=[2, 2])

    def pooled(self, value: Value, height: int, width: int) -> Value:
        """The sum of each channel of an image of so many rows and columns."""
        of = self.image_type(value.type.dims[0], self.channels(value.type), 1, 1)
        name = f"pooling_{'nhwc' if self.channels_last else 'nchw'}_sum"
        text = " {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}"
        return self.add("pool", [value], of, name=name, text=text, window=[height, width])

    def doubled(self, value: Value, filters: int) -> Value:
        """A transposed convolution of stride and window two, as importers write it."""
        channels, height, width = self.image_dims(value.type)
        batch = value.type.dims[0]
        of = self.image_type(batch, channels, 2 * height + 1, 2 * width + 1)
        place = [0, 1, 1, 0] if self.channels_last else [0, 0, 1, 1]
        strides = [1, 2, 2, 1] if self.channels_last else [1, 1, 2, 2]
        spread = self.add("spread", [value], of, offsets=place, strides=strides)
        self.scope.pool.remove(spread)
        last = self.channels_last
        shape = (2, 2, channels, filters) if last else (filters, channels, 2, 2)
        name = f"conv_2d_{'nhwc_hwcf' if last else 'nchw_fchw'}"
        weight = self.weight(Type(shape, self.element))
        text = " {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}"
        wide = self.image_type(batch, filters, 2 * height, 2 * width, self.wide)
        return self.add("named", [spread, weight], wide, name=name, text=text)

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
        """A square matrix times a value computed from it: one value, cut along both dimensions."""
        value = self.pick_main()
        rows = value.type.dims[0]
        if self.image or rows is None:
            return self.bottleneck()
        square = self.narrow(self.layer_to(value, rows))
        factors = [self.unary(square), square]
        self.rng.shuffle(factors)
        of = Type((rows, rows), self.wide)
        return self.add("named", factors, of, name="matmul")

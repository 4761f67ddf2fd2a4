# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Quantised chains: 8-bit storage with integer arithmetic, and as ONNX's Q and DQ nodes."""

from __future__ import annotations

from serenity_mlir.fuzzing.generator.indexing import Indexing
from serenity_mlir.fuzzing.program import Type, Value

__all__ = ["Quantised"]

_TEXT = " {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}"


class Quantised(Indexing):
    """Motifs of quantised networks."""

    def scale(self) -> float:
        """Mostly a power of two, with which sums of floats are exact in any order."""
        draw = self.rng.random()
        if draw < 0.7:
            return self.rng.choice([0.0625, 0.125, 0.25, 0.5])
        return self.rng.choice([0.03, 0.1, 0.17])

    def main_type(self, element: str) -> Type:
        """A type of the program's usual rank: that of a tensor that it has."""
        of = self.pick_main().type
        return Type(of.dims, element)

    def weighted(self, value: Value, kind: str, filters: int, weight: str, wide: str) -> Value:
        """A product, or a convolution of one of three kinds, of the same spatial size.

        Args:
          value: a tensor of the usual rank.
          kind: ``pointwise``, ``full`` or ``depthwise``.
          filters: channels of the result, unless depthwise.
          weight: element type of the weight, which is dequantised if it is float.
          wide: element type of the result.
        """
        element = "i8"
        if not self.image:
            rows, inner = value.type.dims
            w = self.weight(Type((inner, filters), element))
            w = self.dequantised_weight(w) if weight != element else w
            return self.add("named", [value, w], Type((rows, filters), wide), name="matmul")
        batch = value.type.dims[0]
        channels, height, width = self.image_dims(value.type)
        kernel = 1 if kind == "pointwise" else 3
        if kernel == 3:
            value = self.pad_image(value, 1)
        last = self.channels_last
        shape: tuple[int, ...]
        if kind == "depthwise":
            shape = (kernel, kernel, channels) if last else (channels, kernel, kernel)
            name = f"depthwise_conv_2d_{'nhwc_hwc' if last else 'nchw_chw'}"
            filters = channels
        else:
            shape = (
                (kernel, kernel, channels, filters) if last else (filters, channels, kernel, kernel)
            )
            name = f"conv_2d_{'nhwc_hwcf' if last else 'nchw_fchw'}"
        w = self.weight(Type(shape, element))
        w = self.dequantised_weight(w) if weight != element else w
        of = self.image_type(batch, filters, height, width, wide)
        return self.add("named", [value, w], of, name=name, text=_TEXT)

    def dequantised_weight(self, weight: Value) -> Value:
        """A weight of 8 bits as floats."""
        of = Type(weight.type.dims, "f32")
        value = self.add(
            "dequantise", [weight], of, scale=self.scale(), zero_point=0, style=self.style
        )
        self.scope.pool.remove(value)
        return value

    def joined(self, parts: list[Value]) -> Value:
        """A concatenation along the channels."""
        axis = self.channel_axis
        shape = [*parts[0].type.dims]
        shape[axis] = sum(part.type.dims[axis] or 0 for part in parts)
        of = Type(tuple(shape), parts[0].type.element)
        style = self.rng.choice(["concat", "insert"])
        return self.add("concat", parts, of, axis=axis, style=style)

    def quantised(self, value: Value) -> Value:
        """A float tensor in 8 bits."""
        of = Type(value.type.dims, "i8")
        zero_point = self.rng.choice([0, 0, 3, -7])
        return self.add(
            "quantise", [value], of, scale=self.scale(), zero_point=zero_point, style=self.style
        )

    def dequantised(self, value: Value) -> Value:
        """A tensor of 8 bits as floats, with parameters of its own or those of its maker."""
        makers = [op for op in self.scope.block.operations if value in op.results]
        known = makers[0].attributes if makers and makers[0].kind == "quantise" else {}
        return self.add(
            "dequantise",
            [value],
            Type(value.type.dims, "f32"),
            scale=known.get("scale") or self.scale(),
            zero_point=known.get("zero_point", 0),
            style=self.style,
        )

    def layer_kind(self) -> str:
        """A kind of `weighted`."""
        return self.rng.choice(["pointwise", "pointwise", "full", "depthwise"])

    def integer_chain(self) -> None:
        """8-bit tensors, accumulated in 32 bits and scaled back, with residuals and joins."""
        rng = self.rng
        self.style = "explicit"
        value = self.tensor_argument(self.main_type("i8"))
        stored = [value]

        def requantise(operands: list[Value]) -> Value:
            return self.add(
                "requantise",
                operands,
                Type(operands[0].type.dims, "i8"),
                scale=self.scale() / 8,
                zero_point=rng.choice([0, 0, 5]),
                style=rng.choice(["float", "integer"]),
            )

        for _ in range(rng.choice([1, 2, 2, 3])):
            filters = rng.choice([2, 4, 8, 12, 16])
            wide = self.weighted(value, self.layer_kind(), filters, "i8", "i32")
            if rng.random() < 0.4:
                axis = self.channel_axis
                bias = self.weight(Type((wide.type.dims[axis],), "i32"))
                dims = [list(range(wide.type.rank)), [axis]]
                wide = self.add("several", [wide, bias], wide.type, functions=["add"], dims=dims)
            value = requantise([wide])
            same = [other for other in stored if other.type == value.type]
            if same and rng.random() < 0.5:
                value = requantise([value, rng.choice(same)])
            joined = [other for other in stored if self.joinable(other.type, value.type)]
            if joined and rng.random() < 0.4:
                value = self.joined([rng.choice(joined), value])
            stored.append(value)

    def qdq_chain(self) -> None:
        """Float layers between quantisation and dequantisation, as ONNX files have them."""
        rng = self.rng
        self.style = rng.choice(["affine", "affine", "affine", "explicit"])
        of = self.main_type("f32")
        value = self.pick(lambda other: other == of) if rng.random() < 0.5 else None
        floating = self.dequantised(self.quantised(value or self.tensor_argument(of)))
        stored = [floating]
        for _ in range(rng.choice([1, 2, 2, 3])):
            filters = rng.choice([2, 4, 8, 12, 16])
            made = self.weighted(floating, self.layer_kind(), filters, "f32", "f32")
            if rng.random() < 0.4:
                axis = self.channel_axis
                bias = self.weight(Type((made.type.dims[axis],), "f32"))
                dims = [list(range(made.type.rank)), [axis]]
                made = self.add("several", [made, bias], made.type, functions=["add"], dims=dims)
            if rng.random() < 0.5:
                made = self.add("elementwise", [made], made.type, function="relu", style="generic")
            floating = self.dequantised(self.quantised(made))
            if self.image and rng.random() < 0.25:
                floating = self.dequantised(self.quantised(self.convolution_f32_pool(floating)))
            same = [other for other in stored if other.type == floating.type]
            if same and rng.random() < 0.5:
                total = self.combine(floating, rng.choice(same), "add")
                floating = self.dequantised(self.quantised(total))
            joined = [other for other in stored if self.joinable(other.type, floating.type)]
            if joined and rng.random() < 0.4:
                whole = self.joined([rng.choice(joined), floating])
                floating = self.dequantised(self.quantised(whole))
            stored.append(floating)

    def convolution_f32_pool(self, value: Value) -> Value:
        """A pool of floats with windows of one or two, and stride one."""
        channels, height, width = self.image_dims(value.type)
        kernel = min(2, height, width)
        shape = (height - kernel + 1, width - kernel + 1)
        of = self.image_type(value.type.dims[0], channels, *shape, "f32")
        name = f"pooling_{'nhwc' if self.channels_last else 'nchw'}_max"
        return self.add("pool", [value], of, name=name, text=_TEXT, window=[kernel, kernel])

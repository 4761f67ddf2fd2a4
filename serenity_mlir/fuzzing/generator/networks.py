# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Networks with a dynamic batch (layers behind one another, residuals, branches, bottlenecks), one
level of a U-Net, and squeeze-and-excitation.
"""

from __future__ import annotations

from serenity_mlir.fuzzing.generator.storage import Storage
from serenity_mlir.fuzzing.program import Type, Value

__all__ = ["Networks"]


class Networks(Storage):
    """Motifs of several layers."""

    def images_of_unknown_number(self) -> Value:
        """Images with a dynamic batch: of the pool, or an argument."""
        rng = self.rng
        element = self.element
        found = self.tensors(
            lambda of: of.rank == 4 and of.element == element and of.dims[0] is None
        )
        found = [value for value in found if None not in value.type.dims[1:]]
        if found and rng.random() < 0.6:
            return rng.choice(found[-3:])
        size = rng.choice([4, 5, 6, 8])
        return self.tensor_argument(self.image_type(None, rng.choice([1, 2, 3, 4]), size, size))

    def batched_network(self) -> None:
        """A stem and blocks of layers over a dynamic batch, of images or of rows."""
        rng = self.rng
        if not self.image:
            value = self.rows_of_unknown_number()
            for _ in range(rng.choice([2, 3, 3, 4])):
                wide = self.matmul(self.narrow(value), rng.choice([4, 8, 16, 24]))
                value = self.unary(self.narrow(wide)) if rng.random() < 0.6 else wide
            return
        value = self.layer_to(self.images_of_unknown_number(), rng.choice([4, 6, 8, 12]), 3)
        for _ in range(rng.choice([1, 2, 2, 3])):
            value = self.block(self.narrow(value))

    def level(self) -> Value:
        """A value that waits while another is made of it at half the resolution, and back."""
        rng = self.rng
        value = self.pick_main()
        # VMVX takes bytes without their sign for the greatest of them.
        unsigned = self.vmvx and self.element == "i8"
        if not self.image or value.type.dynamic or unsigned:
            return self.bottleneck()
        _, height, width = self.image_dims(value.type)
        if height % 2 or width % 2:
            return self.bottleneck()
        skip = self.narrow(self.layer_to(value, rng.choice([2, 4, 6]), rng.choice([1, 3, 3])))
        if rng.random() < 0.6:
            skip = self.unary(skip)
        lower = self.halved(skip)
        for _ in range(rng.choice([1, 1, 2])):
            lower = self.narrow(self.layer_to(lower, rng.choice([2, 4, 8]), rng.choice([1, 3])))
        if rng.random() < 0.5:  # bands end here
            lower = self.add("barrier", [lower], lower.type)
        parts = [skip, self.narrow(self.doubled(lower, rng.choice([2, 4])))]
        rng.shuffle(parts)
        channels = sum(self.channels(part.type) for part in parts)
        of = self.image_type(value.type.dims[0], channels, height, width)
        whole = self.add("concat", parts, of, axis=self.channel_axis, style="concat")
        return self.layer_to(whole, rng.choice([1, 2, 4]), rng.choice([1, 3]))

    def excited(self) -> Value:
        """A value that is scaled by a function of the sums of its channels."""
        rng = self.rng
        value = self.pick_main()
        if not self.image or value.type.dynamic:
            return self.bottleneck()
        value = self.narrow(self.layer_to(value, rng.choice([4, 6, 8]), rng.choice([1, 1, 3])))
        if rng.random() < 0.6:
            value = self.unary(value)
        channels, height, width = self.image_dims(value.type)
        gate = self.pooled(value, height, width)
        for filters in rng.choice([[channels], [2, channels]]):
            gate = self.unary(self.narrow(self.layer_to(gate, filters)))
        factors = self.add(
            "reshape", [gate], Type((channels,), self.element), groups=[[0, 1, 2, 3]]
        )
        scaled = self.add(
            "several",
            [value, factors],
            value.type,
            functions=["mul"],
            dims=[[0, 1, 2, 3], [self.channel_axis]],
        )
        return self.layer_to(scaled, rng.choice([1, 2, 3]), rng.choice([1, 1, 3]))

    def block(self, value: Value) -> Value:
        """A residual, branches that are joined, a bottleneck, or a layer that may stride."""
        rng = self.rng
        draw = rng.random()
        channels = self.channels(value.type)
        if draw < 0.3:
            inner = self.layer_to(self.unary(value), channels, rng.choice([1, 3]))
            return self.combine(value, self.narrow(inner), "add")
        if draw < 0.55:
            parts = []
            for _ in range(rng.choice([2, 2, 3])):
                made = self.layer_to(value, rng.choice([1, 2, 4]), rng.choice([1, 1, 3]))
                parts.append(self.narrow(made))
            axis = self.channel_axis
            dims = list(parts[0].type.dims)
            dims[axis] = sum(self.channels(part.type) for part in parts)
            of = Type(tuple(dims), parts[0].type.element)
            whole = self.add("concat", parts, of, axis=axis, style="concat")
            return self.layer(whole, ["conv", "pointwise", "depthwise"])
        if draw < 0.8:
            wide = self.layer_to(value, rng.choice([8, 12, 16]))
            return self.layer_to(self.narrow(self.convolution(self.narrow(wide), ["depthwise"])), 4)
        return self.convolution(value, ["conv", "pool"])

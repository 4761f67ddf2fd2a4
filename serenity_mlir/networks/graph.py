# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How the networks are written down: operators with shapes, weights by shape and spread.

A `Graph` is built by calling one method per layer. Each method works out the shape of its result,
so that a network can be described without onnx and without drawing a single weight; `to_onnx`
draws them and makes the model. Batch normalisations that follow a convolution are folded into its
bias, as every deployment does; `Graph.trained_parameters` counts them as the literature does.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["Graph", "Node", "Parameter", "Shape", "to_onnx"]

#: The opset and file version are fixed, so that the same call gives the same
#: file whatever onnx release is installed.
OPSET_VERSION = 17
IR_VERSION = 8

Shape = tuple[int, ...]
#: One extent for both directions, or (vertical, horizontal).
Extent = int | tuple[int, int]


@dataclass(frozen=True)
class Parameter:
    """A weight, drawn when the model is built.

    Attributes:
      name: unique in the graph.
      shape: extents.
      mean: of the normal distribution.
      deviation: its standard deviation.
      positive: take the absolute value of the draw's distance from zero (variances).
    """

    name: str
    shape: Shape
    mean: float
    deviation: float
    positive: bool = False


@dataclass(frozen=True)
class Node:
    """An operator.

    Attributes:
      kind: ONNX's name of it.
      inputs: names of values, parameters and constants.
      output: name of its value, also the node's.
      attributes: as ONNX takes them.
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)


def _pair(extent: Extent) -> tuple[int, int]:
    return extent if isinstance(extent, tuple) else (extent, extent)


class Graph:
    """A network: inputs, operators in file order, parameters, outputs.

    Methods named after layers add operators and return the name of their value. All values are
    float32; images are NCHW.

    Attributes:
      name: of the network; with the seed it decides the weights.
      note: the source, and the choice made where the source leaves one.
      inputs: names of the inputs.
      outputs: names of the results.
      nodes: operators, each after the producers of its operands.
      shapes: shape of every value.
      parameters: weights in the order in which they are drawn.
      constants: integer and scalar operands that are no weights.
      multiply_accumulates: of convolutions and matrix products, for one run.
      trained_parameters: weights as the literature counts them: a folded batch normalisation
        counts its scale beside its shift.
    """

    def __init__(self, name: str, note: str) -> None:
        self.name = name
        self.note = note
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {}
        self.parameters: dict[str, Parameter] = {}
        self.constants: dict[str, Any] = {}
        self.multiply_accumulates = 0
        self.trained_parameters = 0
        self._count = 0

    @property
    def parameter_count(self) -> int:
        """Number of float32 weights of the model."""
        return sum(math.prod(parameter.shape) for parameter in self.parameters.values())

    @property
    def activation_bytes(self) -> int:
        """Bytes of all values that operators produce, together."""
        return sum(4 * math.prod(self.shapes[node.output]) for node in self.nodes)

    # --- bookkeeping ----------------------------------------------------------------------------

    def input(self, name: str, shape: Shape) -> str:
        """Adds an input."""
        self.inputs.append(name)
        self.shapes[name] = shape
        return name

    def output(self, *values: str) -> None:
        """Marks values as results of the network."""
        self.outputs.extend(values)

    def channels(self, value: str) -> int:
        """Returns the number of channels of an image."""
        return self.shapes[value][1]

    def parameter(
        self,
        name: str,
        shape: Shape,
        deviation: float,
        *,
        mean: float = 0.0,
        positive: bool = False,
        counts: int | None = None,
    ) -> str:
        """Adds a weight, or names an existing one of that shape, which is shared then.

        Args:
          name: of the weight.
          shape: its extents.
          deviation: of the normal distribution that it is drawn from.
          mean: of that distribution.
          positive: all values above zero.
          counts: elements that the literature counts for it; as many as it has if None.

        Raises:
          ValueError: there is one of that name and another shape.
        """
        known = self.parameters.get(name)
        if known is not None:
            if known.shape != shape:
                raise ValueError(f"{name!r} has shape {known.shape}, not {shape}")
            return name
        self.parameters[name] = Parameter(name, shape, mean, deviation, positive)
        self.trained_parameters += math.prod(shape) if counts is None else counts
        return name

    def constant(self, name: str, value: Any) -> str:
        """Adds an operand that is no weight: an integer list (int64) or a float scalar."""
        self.constants[name] = value
        return name

    def add_node(
        self,
        kind: str,
        inputs: Sequence[str],
        shape: Shape,
        attributes: dict[str, Any] | None = None,
        output: str | None = None,
    ) -> str:
        """Adds an operator and returns its value's name, made from its kind unless given."""
        output = output or self._take(kind)
        if output in self.shapes:
            raise ValueError(f"{output!r} is computed twice")
        self.nodes.append(Node(kind, tuple(inputs), output, attributes or {}))
        self.shapes[output] = shape
        return output

    def _take(self, kind: str) -> str:
        name = f"{kind.lower()}_{self._count}"
        self._count += 1
        return name

    # --- windows --------------------------------------------------------------------------------

    def _window(
        self, value: str, kernel: Extent, stride: Extent, pad: Sequence[int], dilation: int
    ) -> tuple[int, int]:
        extents = []
        for axis in (0, 1):
            reach = dilation * (_pair(kernel)[axis] - 1) + 1
            padded = self.shapes[value][2 + axis] + pad[axis] + pad[axis + 2]
            if padded < reach:
                raise ValueError(f"{value!r} of shape {self.shapes[value]} is under the window")
            extents.append((padded - reach) // _pair(stride)[axis] + 1)
        return extents[0], extents[1]

    @staticmethod
    def _pads(kernel: Extent, dilation: int, pad: int | Sequence[int] | None) -> list[int]:
        """Returns ONNX's four pads: centred if None, one for all sides, or as given."""
        if pad is None:
            halves = [dilation * (extent - 1) // 2 for extent in _pair(kernel)]
            return halves * 2
        return [pad] * 4 if isinstance(pad, int) else list(pad)

    def conv(
        self,
        value: str,
        channels: int,
        kernel: Extent = 1,
        *,
        stride: Extent = 1,
        pad: int | Sequence[int] | None = None,
        dilation: int = 1,
        groups: int = 1,
        per_channel: int = 2,
        share: str | None = None,
        output: str | None = None,
    ) -> str:
        """Adds a convolution with a bias.

        Weights are normal with variance 2 / fan-in (He et al., ICCV 2015), so that activations
        stay finite through any depth. Biases are small, normal and nowhere zero on purpose: a zero
        bias folds away and makes IREE fuse, and thus allocate, differently.

        Args:
          value: image, shape (N, C, H, W).
          channels: of the result.
          kernel: window.
          stride: of the window.
          pad: zeros around; half the window if None.
          dilation: of the window.
          groups: of channels.
          per_channel: parameters of a channel of the result in the literature's count, besides the
            window: 2 if the bias stands for a folded batch normalisation, 1 for a bias, 0 if the
            published convolution has neither.
          share: name of the weights if several convolutions have the same.
          output: name of the result.

        Raises:
          ValueError: groups do not divide the channels, or the image is smaller than the window.
        """
        batch, operand_channels = self.shapes[value][:2]
        output = output or self._take("Conv")
        if operand_channels % groups or channels % groups:
            raise ValueError(
                f"{output!r}: {operand_channels} channels to {channels} in {groups} groups"
            )
        pads = self._pads(kernel, dilation, pad)
        shape = (channels, operand_channels // groups, *_pair(kernel))
        fan_in = math.prod(shape[1:])
        owner = share or output
        # The spread in float32, as it is drawn in float32.
        weight = self.parameter(f"{owner}_weight", shape, float(np.float32(np.sqrt(2.0 / fan_in))))
        bias = self.parameter(f"{owner}_bias", (channels,), 0.1, counts=channels * per_channel)
        result = (batch, channels, *self._window(value, kernel, stride, pads, dilation))
        self.multiply_accumulates += fan_in * math.prod(result)
        return self.add_node(
            "Conv",
            [value, weight, bias],
            result,
            {
                "dilations": [dilation] * 2,
                "group": groups,
                "kernel_shape": list(_pair(kernel)),
                "pads": pads,
                "strides": list(_pair(stride)),
            },
            output,
        )

    def depthwise(self, value: str, kernel: int, *, stride: int = 1, per_channel: int = 2) -> str:
        """Adds a convolution of every channel by itself."""
        channels = self.channels(value)
        return self.conv(
            value, channels, kernel, stride=stride, groups=channels, per_channel=per_channel
        )

    def conv_transpose(self, value: str, channels: int, kernel: int, *, stride: int) -> str:
        """Adds a transposed convolution without padding, with a bias."""
        batch, operand_channels, height, width = self.shapes[value]
        output = self._take("ConvTranspose")
        taps = (-(-kernel // stride)) ** 2
        deviation = math.sqrt(2.0 / (operand_channels * taps))
        weight = self.parameter(
            f"{output}_weight", (operand_channels, channels, kernel, kernel), deviation
        )
        bias = self.parameter(f"{output}_bias", (channels,), 0.1)
        self.multiply_accumulates += (
            batch * operand_channels * height * width * channels * kernel**2
        )
        return self.add_node(
            "ConvTranspose",
            [value, weight, bias],
            (batch, channels, (height - 1) * stride + kernel, (width - 1) * stride + kernel),
            {"kernel_shape": [kernel] * 2, "strides": [stride] * 2},
            output,
        )

    def max_pool(
        self,
        value: str,
        kernel: int,
        *,
        stride: int = 1,
        pad: int | Sequence[int] | None = None,
        output: str | None = None,
    ) -> str:
        """Adds a maximum over windows."""
        return self._pool("MaxPool", value, kernel, stride, pad, output)

    def average_pool(
        self,
        value: str,
        kernel: int,
        *,
        stride: int = 1,
        pad: int | Sequence[int] | None = None,
    ) -> str:
        """Adds a mean over windows; padding is not counted."""
        return self._pool("AveragePool", value, kernel, stride, pad, None)

    def _pool(
        self,
        kind: str,
        value: str,
        kernel: int,
        stride: int,
        pad: int | Sequence[int] | None,
        output: str | None,
    ) -> str:
        pads = self._pads(kernel, 1, pad)
        shape = (*self.shapes[value][:2], *self._window(value, kernel, stride, pads, 1))
        attributes = {"kernel_shape": [kernel] * 2, "pads": pads, "strides": [stride] * 2}
        return self.add_node(kind, [value], shape, attributes, output)

    def global_average_pool(self, value: str, output: str | None = None) -> str:
        """Adds the mean over each channel; shape (N, C, 1, 1)."""
        shape = (*self.shapes[value][:2], 1, 1)
        return self.add_node("GlobalAveragePool", [value], shape, output=output)

    # --- elementwise ----------------------------------------------------------------------------

    def unary(
        self,
        kind: str,
        value: str,
        attributes: dict[str, Any] | None = None,
        output: str | None = None,
    ) -> str:
        """Adds an operator on every element: Relu, Sigmoid, HardSwish, Erf..."""
        return self.add_node(kind, [value], self.shapes[value], attributes, output)

    def relu(self, value: str, output: str | None = None) -> str:
        """Adds max(x, 0)."""
        return self.unary("Relu", value, output=output)

    def swish(self, value: str) -> str:
        """Adds x * sigmoid(x)."""
        return self.multiply(value, self.unary("Sigmoid", value))

    def binary(self, kind: str, left: str, right: str, output: str | None = None) -> str:
        """Adds an operator on two values, broadcast against each other.

        Raises:
          ValueError: the shapes do not fit.
        """
        try:
            shape = np.broadcast_shapes(self.shapes[left], self.shapes[right])
        except ValueError:
            raise ValueError(
                f"operands of {output or kind!r} differ in shape: "
                f"{[self.shapes[left], self.shapes[right]]}"
            ) from None
        return self.add_node(kind, [left, right], tuple(map(int, shape)), output=output)

    def add(self, left: str, right: str, output: str | None = None) -> str:
        """Adds a sum of two values."""
        return self.binary("Add", left, right, output)

    def multiply(self, left: str, right: str) -> str:
        """Adds a product of two values, element by element."""
        return self.binary("Mul", left, right)

    def scale(self, value: str, factor: float) -> str:
        """Adds a product with a scalar."""
        output = self._take("Mul")
        constant = self.constant(f"{output}_factor", float(factor))
        return self.add_node("Mul", [value, constant], self.shapes[value], output=output)

    def shift(self, value: str, term: float) -> str:
        """Adds a sum with a scalar."""
        output = self._take("Add")
        constant = self.constant(f"{output}_term", float(term))
        return self.add_node("Add", [value, constant], self.shapes[value], output=output)

    def batch_norm(self, value: str) -> str:
        """Adds a batch normalisation that no convolution precedes, in its inference form."""
        output = self._take("BatchNormalization")
        channels = (self.channels(value),)
        operands = [
            value,
            self.parameter(f"{output}_scale", channels, 0.1, mean=1.0),
            self.parameter(f"{output}_shift", channels, 0.1),
            # Running statistics are not trained.
            self.parameter(f"{output}_mean", channels, 0.1, counts=0),
            self.parameter(f"{output}_variance", channels, 0.1, mean=1.0, positive=True, counts=0),
        ]
        return self.add_node(
            "BatchNormalization", operands, self.shapes[value], {"epsilon": 1e-5}, output
        )

    def layer_norm(self, value: str) -> str:
        """Adds a normalisation over the last axis, with scale and shift."""
        output = self._take("LayerNormalization")
        width = (self.shapes[value][-1],)
        operands = [
            value,
            self.parameter(f"{output}_scale", width, 0.1, mean=1.0),
            self.parameter(f"{output}_shift", width, 0.1),
        ]
        attributes = {"axis": -1, "epsilon": 1e-12}
        return self.add_node("LayerNormalization", operands, self.shapes[value], attributes, output)

    def local_response_norm(self, value: str, size: int, alpha: float, beta: float) -> str:
        """Adds a normalisation across neighbouring channels (Krizhevsky et al., 2012)."""
        attributes = {"size": size, "alpha": alpha, "beta": beta, "bias": 1.0}
        return self.unary("LRN", value, attributes)

    # --- shapes ---------------------------------------------------------------------------------

    def concat(self, values: Sequence[str], output: str | None = None) -> str:
        """Adds a concatenation along the second axis, the channels of images.

        Raises:
          ValueError: the values differ in more than that extent.
        """
        first = self.shapes[values[0]]
        shapes = [self.shapes[value] for value in values]
        if any((s[0], s[2:]) != (first[0], first[2:]) for s in shapes):
            raise ValueError(f"operands of {output or 'a concatenation'!r} differ: {shapes}")
        shape = (first[0], sum(s[1] for s in shapes), *first[2:])
        return self.add_node("Concat", values, shape, {"axis": 1}, output)

    def upsample(self, value: str, factor: int) -> str:
        """Adds an enlargement by repetition of every pixel."""
        batch, channels, height, width = self.shapes[value]
        output = self._take("Resize")
        scales = self.constant(f"{output}_scales", (1.0, 1.0, float(factor), float(factor)))
        return self.add_node(
            "Resize",
            [value, "", scales],
            (batch, channels, height * factor, width * factor),
            {
                "mode": "nearest",
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            },
            output,
        )

    def slice_image(self, value: str, begin: tuple[int, int], end: tuple[int, int]) -> str:
        """Adds a cut of rows and columns, ends exclusive."""
        output = self._take("Slice")
        shape = self.shapes[value]
        operands = [
            value,
            self.constant(f"{output}_begin", list(begin)),
            self.constant(f"{output}_end", list(end)),
            self.constant(f"{output}_axes", [2, 3]),
        ]
        extents = tuple(e - b for b, e in zip(begin, end, strict=True))
        return self.add_node("Slice", operands, (*shape[:2], *extents), output=output)

    def pad_image(self, value: str, pads: Sequence[int]) -> str:
        """Adds zeros around an image: (top, left, bottom, right)."""
        output = self._take("Pad")
        batch, channels, height, width = self.shapes[value]
        top, left, bottom, right = pads
        amounts = self.constant(f"{output}_pads", [0, 0, top, left, 0, 0, bottom, right])
        shape = (batch, channels, height + top + bottom, width + left + right)
        return self.add_node("Pad", [value, amounts], shape, {"mode": "constant"}, output)

    def reshape(self, value: str, shape: Shape) -> str:
        """Adds a change of shape."""
        output = self._take("Reshape")
        constant = self.constant(f"{output}_shape", list(shape))
        return self.add_node("Reshape", [value, constant], shape, output=output)

    def transpose(self, value: str, axes: Sequence[int]) -> str:
        """Adds a permutation of the axes."""
        shape = tuple(self.shapes[value][axis] for axis in axes)
        return self.add_node("Transpose", [value], shape, {"perm": list(axes)})

    # --- matrices -------------------------------------------------------------------------------

    def matmul(self, left: str, right: str) -> str:
        """Adds a product of two stacks of matrices."""
        a, b = self.shapes[left], self.shapes[right]
        if a[:-2] != b[:-2] or a[-1] != b[-2]:
            raise ValueError(f"no matrix product of {a} and {b}")
        shape = (*a[:-1], b[-1])
        self.multiply_accumulates += math.prod(shape) * a[-1]
        return self.add_node("MatMul", [left, right], shape)

    def linear(self, value: str, width: int, gain: float = 1.0, *, per_column: int = 1) -> str:
        """Adds a fully connected layer on the last axis, with a bias.

        Args:
          value: any shape (..., C).
          width: of the result.
          gain: variance of the weights times fan-in.
          per_column: parameters of a column of the result in the literature's count, besides its
            weights: 1 for a bias, 3 if a batch normalisation is folded into it.
        """
        shape = self.shapes[value]
        product = self._take("MatMul")
        weight = self.parameter(
            f"{product}_weight", (shape[-1], width), math.sqrt(gain / shape[-1])
        )
        result = (*shape[:-1], width)
        self.multiply_accumulates += math.prod(result) * shape[-1]
        self.add_node("MatMul", [value, weight], result, output=product)
        bias = self.parameter(f"{product}_bias", (width,), 0.1, counts=width * per_column)
        return self.add_node("Add", [product, bias], result)

    def classifier(self, value: str, classes: int) -> str:
        """Adds the head of an image classifier: mean over the image, fully connected layer."""
        pooled = self.global_average_pool(value)
        flat = self.reshape(pooled, self.shapes[pooled][:2])
        return self.linear(flat, classes)


def to_onnx(graph: Graph, seed: int) -> onnx.ModelProto:
    """Draws the weights of a network and returns it as a checked ONNX model.

    The draw depends on the seed and on the network's name alone.
    """
    # onnx takes a quarter of a second to import: not a price for a list of names.
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng([seed, zlib.crc32(graph.name.encode())])
    initializers = []
    for parameter in graph.parameters.values():
        draw = rng.standard_normal(parameter.shape, dtype=np.float32)
        draw *= np.float32(parameter.deviation)
        if parameter.mean:
            draw += np.float32(parameter.mean)
        if parameter.positive:
            draw = np.maximum(np.abs(draw), np.float32(0.1))
        initializers.append(numpy_helper.from_array(draw, parameter.name))
    for name, value in graph.constants.items():
        kind = np.int64 if isinstance(value, list) else np.float32
        initializers.append(numpy_helper.from_array(np.array(value, dtype=kind), name))

    nodes = []
    for node in graph.nodes:
        made = helper.make_node(node.kind, node.inputs, [node.output], **node.attributes)
        made.name = node.output
        nodes.append(made)

    def value_info(key: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(key, TensorProto.FLOAT, graph.shapes[key])

    body = helper.make_graph(
        nodes,
        graph.name,
        [value_info(key) for key in graph.inputs],
        [value_info(key) for key in graph.outputs],
        initializers,
        doc_string=graph.note,
    )
    model = helper.make_model(
        body,
        producer_name="serenity_mlir",
        opset_imports=[helper.make_opsetid("", OPSET_VERSION)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Quantized versions of networks: QDQ form, calibrated on inputs drawn from a seed.

The quantizer is ONNX Runtime's (`pip install 'serenity-mlir[quantize]'`).
"""

from __future__ import annotations

import copy
import logging
import math
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from serenity_mlir.errors import SerenityError

if TYPE_CHECKING:
    import onnx

__all__ = ["Storage", "quantize", "with_integer_border"]

Storage = Literal["int8", "uint8"]

#: Inputs that the ranges of the activations are taken from.
CALIBRATION_RUNS = 4


class _NormalInputs:
    """Inputs from a standard normal distribution, as ONNX Runtime reads calibration data."""

    def __init__(self, model: onnx.ModelProto, seed: int) -> None:
        self._shapes = {
            value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in model.graph.input
        }
        self._rng = np.random.default_rng(seed)
        self._left = CALIBRATION_RUNS

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Returns the next inputs, or None behind the last."""
        if self._left == 0:
            return None
        self._left -= 1
        return {
            name: self._rng.standard_normal(shape).astype(np.float32)
            for name, shape in self._shapes.items()
        }


def _border_ranges(model: onnx.ModelProto, seed: int) -> dict[str, tuple[float, float]]:
    """The least and the greatest value of every input and output on the calibration inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    outputs = [value.name for value in model.graph.output]
    inputs = _NormalInputs(model, seed)
    ranges: dict[str, tuple[float, float]] = {}
    while (feed := inputs.get_next()) is not None:
        results = zip(outputs, session.run(outputs, feed), strict=True)
        for name, data in (*feed.items(), *results):
            low, high = ranges.get(name, (np.inf, -np.inf))
            ranges[name] = (min(low, float(np.min(data))), max(high, float(np.max(data))))
    return ranges


def with_integer_border(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a model in QDQ form that takes and gives the integers themselves.

    An input that is only quantized, always alike, becomes the quantized input, and an output that
    is dequantized becomes what is dequantized; both keep their names, and their documentation
    string tells scale and zero point. Other inputs and outputs stay as they are; `quantize` gives
    them the form that is asked for here.
    """
    import onnx

    model = copy.deepcopy(model)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}

    def parameters(node: onnx.NodeProto) -> tuple[onnx.TensorProto, onnx.TensorProto] | None:
        scale, zero = (constants.get(name) for name in (*node.input[1:], "", "")[:2])
        return (scale, zero) if scale is not None and zero is not None else None

    def retype(value: onnx.ValueInfoProto, made: tuple[onnx.TensorProto, onnx.TensorProto]) -> None:
        scale, zero = made
        value.type.tensor_type.elem_type = zero.data_type
        scales, zeros = onnx.numpy_helper.to_array(scale), onnx.numpy_helper.to_array(zero)
        value.doc_string = f"scale {scales.tolist()}, zero point {zeros.tolist()}"

    for value in graph.input:
        readers = [node for node in graph.node if value.name in node.input]
        found = {tuple(node.input[1:]) for node in readers if node.op_type == "QuantizeLinear"}
        made = parameters(readers[0]) if readers else None
        if len(found) != 1 or made is None or {n.op_type for n in readers} != {"QuantizeLinear"}:
            continue
        quantized = {node.output[0] for node in readers}
        for node in readers:
            graph.node.remove(node)
        for node in graph.node:
            node.input[:] = [value.name if name in quantized else name for name in node.input]
        retype(value, made)
    for value in graph.output:
        (maker,) = [node for node in graph.node if value.name in node.output]
        made = parameters(maker)
        read = any(value.name in node.input for node in graph.node)
        source = [node for node in graph.node if maker.input[0] in node.output]
        if maker.op_type != "DequantizeLinear" or made is None or read or not source:
            continue
        graph.node.remove(maker)
        old = maker.input[0]
        for node in graph.node:
            node.input[:] = [value.name if name == old else name for name in node.input]
            node.output[:] = [value.name if name == old else name for name in node.output]
        retype(value, made)
    del graph.value_info[:]
    onnx.checker.check_model(model)
    return model


def _scale_and_zero_point(
    low: float, high: float, storage: Storage
) -> tuple[np.float32, np.integer[Any]]:
    """Maps [low, high], and zero, to all integers of `storage`, as ONNX Runtime does."""
    integers = np.iinfo(storage)
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / (integers.max - integers.min))
    if scale < np.finfo(np.float32).tiny:
        return np.float32(1), np.dtype(storage).type(0)
    return scale, np.dtype(storage).type(np.round(integers.min - low / scale))


def _quantize_border(
    model: onnx.ModelProto, ranges: dict[str, tuple[float, float]], storage: Storage
) -> None:
    """Puts a pair of Q and DQ at every float input and output that has none yet.

    ONNX Runtime quantizes what its integer kernels read and write. An input that only others read,
    such as a rectifier, and an output that only others make, or that is read within the graph as
    well, are left for `with_integer_border` to take. `ranges` has the least and the greatest value
    of each.
    """
    import onnx

    graph = model.graph

    def readers(name: str) -> list[onnx.NodeProto]:
        return [node for node in graph.node if name in node.input]

    def dequantize(integers: str, made: Iterable[str], floats: str) -> onnx.NodeProto:
        inputs = [integers, *made]
        return onnx.helper.make_node("DequantizeLinear", inputs, [floats], f"{floats}_DQ")

    def pair(source: str, name: str, target: str) -> list[onnx.NodeProto]:
        integers = f"{name}_border"
        made = [f"{integers}_scale", f"{integers}_zero_point"]
        for what, value in zip(made, _scale_and_zero_point(*ranges[name], storage), strict=True):
            graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), what))
        quantize = onnx.helper.make_node(
            "QuantizeLinear", [source, *made], [integers], f"{integers}_Q"
        )
        return [quantize, dequantize(integers, made, target)]

    def read_instead(name: str, floats: str) -> None:
        for node in readers(name):
            node.input[:] = [floats if read == name else read for read in node.input]

    def is_float(value: onnx.ValueInfoProto) -> bool:
        return bool(value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT)

    nodes = []
    for value in filter(is_float, graph.input):
        if any(node.op_type != "QuantizeLinear" for node in readers(value.name)):
            floats = f"{value.name}_border_floats"
            read_instead(value.name, floats)
            nodes += pair(value.name, value.name, floats)
    results = {value.name for value in filter(is_float, graph.output)}
    for node in graph.node:
        nodes.append(node)
        quantized = node.op_type == "DequantizeLinear"
        for name in [name for name in node.output if name in results]:
            if quantized and not readers(name):
                continue
            floats = f"{name}_border_floats"
            read_instead(name, floats)
            node.output[:] = [floats if made == name else made for made in node.output]
            if quantized:
                nodes.append(dequantize(node.input[0], node.input[1:], name))
            else:
                nodes += pair(floats, name, name)
    # Nodes of a graph do not outlive its list.
    nodes = [copy.deepcopy(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)


#: ONNX Runtime's quantizer makes values of these names beside every value that it quantizes.
_MADE = ("_scale", "_zero_point", "_quantized")


def _with_free_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns the model with constants renamed whose names ONNX Runtime's quantizer would take.

    It does not ask: the scale of the result of ``norm`` would replace a weight ``norm_scale``.
    """
    results = {name for node in model.graph.node for name in node.output}
    clashing = {
        constant.name: f"{constant.name}_of_model"
        for constant in model.graph.initializer
        if any(
            constant.name.endswith(ending) and constant.name[: -len(ending)] in results
            for ending in _MADE
        )
    }
    if not clashing:
        return model
    renamed = copy.deepcopy(model)
    for constant in renamed.graph.initializer:
        constant.name = clashing.get(constant.name, constant.name)
    for node in renamed.graph.node:
        node.input[:] = [clashing.get(name, name) for name in node.input]
    return renamed


def quantize(
    model: onnx.ModelProto,
    storage: Storage,
    *,
    per_channel: bool = False,
    seed: int = 0,
    integer_border: bool = False,
) -> onnx.ModelProto:
    """Quantizes a float32 model statically: activations and weights of 8 bits, biases of 32.

    Args:
      model: static shapes, float32 inputs.
      storage: integers of the activations; weights are int8.
      per_channel: one scale per channel of a weight instead of one per tensor.
      seed: of the calibration inputs.
      integer_border: inputs and outputs are the integers, all that the graph computes or reads.

    Returns:
      The model in QDQ form. The same arguments and release of ONNX Runtime give the same model.

    Raises:
      SerenityError: ONNX Runtime is not installed (exit code 2), or an input is not of static
        shape.
    """
    try:
        from onnxruntime import quantization
    except ImportError:
        raise SerenityError(
            "quantizing needs onnxruntime, which is not installed; "
            "run: pip install 'serenity-mlir[quantize]'",
            exit_code=2,
        ) from None
    import onnx

    inputs = _NormalInputs(model, seed)
    for name, shape in inputs._shapes.items():
        if math.prod(shape) == 0:
            raise SerenityError(f"input {name!r} has no static shape: {shape}", exit_code=2)
    activations = {
        "int8": quantization.QuantType.QInt8,
        "uint8": quantization.QuantType.QUInt8,
    }[storage]
    # It recommends a preparation that static shapes make superfluous.
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory(prefix="serenity-quantize-") as folder:
            source, target = Path(folder, "float.onnx"), Path(folder, "quantized.onnx")
            onnx.save(_with_free_names(model), str(source))
            quantization.quantize_static(
                str(source),
                str(target),
                inputs,
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=activations,
                weight_type=quantization.QuantType.QInt8,
                per_channel=per_channel,
            )
            made = onnx.load(str(target))
            if not integer_border:
                return made
            _quantize_border(made, _border_ranges(model, seed), storage)
            return with_integer_border(made)
    finally:
        logger.setLevel(level)

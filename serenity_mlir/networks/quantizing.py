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
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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


def with_integer_border(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a model in QDQ form that takes and gives the integers themselves.

    An input that is only quantized, always alike, becomes the quantized input, and an output that
    is dequantized becomes what is dequantized; both keep their names, and their documentation
    string tells scale and zero point. Other inputs and outputs stay as they are.
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
      integer_border: inputs and outputs are the integers (`with_integer_border`).

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
            return with_integer_border(made) if integer_border else made
    finally:
        logger.setLevel(level)

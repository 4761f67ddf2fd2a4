# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From ONNX to a ``.tflite`` file, and arrays between the layouts of both.

onnx2tf converts the ONNX file to a Keras model in NHWC layout, TensorFlow's converter that to a
``.tflite`` file, with weights, activations, inputs and outputs in int8 where the request wants it.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import onnx
import onnx2tf
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError
from tensorflow.lite.tools import flatbuffer_utils

from . import protocol

__all__ = ["convert", "in_order_of_the_graph", "permuted", "position_of_input"]

#: Looked for in the working directory.
_PICTURES = "calibration_image_sample_data_20x128x128x3_float32.npy"

#: Inputs that the ranges of an int8 model are read from.
_CALIBRATION = 8

_TRANSPOSE = 39  # BuiltinOperator in LiteRT's schema.


def _drop_final_transposes(model: Any) -> None:
    """Lets the graph end in NHWC: onnx2tf transposes some outputs back, which costs memory."""
    graph = model.subgraphs[0]
    for operator in list(graph.operators):
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        result = operator.outputs[0]
        used = any(result in other.inputs for other in graph.operators)
        if kind != _TRANSPOSE or result not in list(graph.outputs) or used:
            continue
        source = operator.inputs[0]
        graph.outputs = [source if index == result else index for index in graph.outputs]
        graph.operators.remove(operator)
        for signature in model.signatureDefs or []:
            for entry in signature.outputs:
                if entry.tensorIndex == result:
                    entry.tensorIndex = source


def _quantize(converter: Any, keras: Any, request: protocol.Request) -> None:
    """Lets a converter store everything in int8, inputs and outputs too; calibrates from seed 0."""
    places = [
        (position_of_input(tensor.name, index, request), tuple(int(e) for e in tensor.shape))
        for index, tensor in enumerate(keras.inputs)
    ]
    if any(request.inputs[position].dtype != np.float32 for position, _ in places):
        raise protocol.Unsupported("only models with float32 inputs are quantized")

    def samples() -> Iterator[list[protocol.Array]]:
        rng = np.random.default_rng(0)
        given = [permuted(request.inputs[position], shape) for position, shape in places]
        yield given
        for _ in range(_CALIBRATION - 1):
            yield [
                rng.normal(of.mean(), of.std() or 1, of.shape).astype(np.float32) for of in given
            ]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8


def convert(request: protocol.Request) -> bytes:
    """Returns the model of the request as the bytes of a ``.tflite`` file."""
    # A copy, because onnx2tf writes the simplified model over its input.
    copy = shutil.copy(request.model, request.directory / "model.onnx")
    # For graphs with three channels onnx2tf runs its checks on pictures that it would download.
    pictures = np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
    np.save(_PICTURES, pictures)
    keras = onnx2tf.convert(
        input_onnx_file_path=str(copy),
        output_folder_path=str(request.directory / "onnx2tf"),
        disable_model_save=True,
        non_verbose=True,
    )
    converter = tf.lite.TFLiteConverter.from_keras_model(keras)
    if request.storage == "int8":
        _quantize(converter, keras, request)
    try:
        converted = converter.convert()
    except ConverterError as error:
        missing = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error))))
        reason = f"no {', '.join(missing)}" if missing else str(error)
        raise protocol.Unsupported(f"TensorFlow's converter: {reason}") from error
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(converted))
    _drop_final_transposes(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def permuted(array: protocol.Array, shape: tuple[int, ...]) -> protocol.Array:
    """Returns the array with channels last (or first again), as `shape` wants it."""
    if array.shape == shape and array.ndim != 4:
        return array
    for source, target in ((1, -1), (-1, 1)):
        moved = np.moveaxis(array, source, target) if array.ndim > 2 else array
        if moved.shape == shape:
            return np.ascontiguousarray(moved)
    for order in itertools.permutations(range(array.ndim)):
        if array.transpose(order).shape == shape:
            return np.ascontiguousarray(array.transpose(order))
    if array.size == int(np.prod(shape)):
        return array.reshape(shape)
    raise protocol.Unsupported(f"the converter made {shape} of {array.shape}")


def position_of_input(name: str, index: int, request: protocol.Request) -> int:
    """Returns which input of the ONNX graph a tensor of the ``.tflite`` file is."""
    names = [value.name for value in onnx.load(str(request.model)).graph.input]
    stem = name.removeprefix("serving_default_").split(":")[0]
    return names.index(stem) if stem in names else index


def in_order_of_the_graph(
    found: list[protocol.Array], request: protocol.Request
) -> list[protocol.Array]:
    """Returns outputs of the file in order and layout of the ONNX graph.

    The converter may change their order. Equal shapes stay in it; the caller compares values.
    """
    outputs = []
    left = list(found)
    for value in onnx.load(str(request.model)).graph.output:
        shape = tuple(extent.dim_value for extent in value.type.tensor_type.shape.dim)
        fitting = [of for of in left if sorted(of.shape) == sorted(shape)] or left
        if not fitting:
            raise protocol.Unsupported(f"the converter left out output {value.name}")
        left = [of for of in left if of is not fitting[0]]
        outputs.append(permuted(fitting[0], shape))
    return outputs

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""LiteRT (TensorFlow Lite): the arena with its reference kernels, and XNNPACK's workspace.

onnx2tf converts the ONNX file to a Keras model in NHWC layout, TensorFlow's converter that to a
``.tflite`` file.

* ``reference arena``: no delegate. The arena's planner places inputs, outputs and intermediates in
  one block, so the figure is the extent of the addresses of all of them, inputs and outputs
  included. The memory of an input is not used again after its last reader.
* ``xnnpack``: LiteRT's default on CPUs. XNNPACK plans a workspace of its own, read as the
  allocation that memray sees below ``xnn_plan_memory`` (``without_io``); inputs and outputs, and
  what lies between parts that XNNPACK does not take, are in LiteRT's arena, allocated below
  ``SimpleMemoryArena::Commit`` (``with_io`` is both together).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import memray
import numpy as np
import onnx
import onnx2tf
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tensorflow.lite.python.convert_phase import ConverterError
from tensorflow.lite.tools import flatbuffer_utils

from . import protocol

#: Looked for in the working directory.
_PICTURES = "calibration_image_sample_data_20x128x128x3_float32.npy"

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


def _convert(request: protocol.Request) -> bytes:
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
    try:
        converted = tf.lite.TFLiteConverter.from_keras_model(keras).convert()
    except ConverterError as error:
        missing = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error))))
        reason = f"no {', '.join(missing)}" if missing else str(error)
        raise protocol.Unsupported(f"TensorFlow's converter: {reason}") from error
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(converted))
    _drop_final_transposes(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _permuted(array: protocol.Array, shape: tuple[int, ...]) -> protocol.Array:
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


def _set_inputs(interpreter: Any, request: protocol.Request) -> None:
    names = [value.name for value in onnx.load(str(request.model)).graph.input]
    details = interpreter.get_input_details()
    for detail in details:
        stem = detail["name"].removeprefix("serving_default_").split(":")[0]
        position = names.index(stem) if stem in names else details.index(detail)
        shape = tuple(int(extent) for extent in detail["shape"])
        interpreter.set_tensor(detail["index"], _permuted(request.inputs[position], shape))


def _outputs(interpreter: Any, request: protocol.Request) -> list[protocol.Array]:
    """Returns the outputs in the layout of the ONNX graph."""
    outputs = []
    # The converter may change their order. Equal shapes stay in it; the caller compares values.
    left = list(interpreter.get_output_details())
    for value in onnx.load(str(request.model)).graph.output:
        shape = tuple(extent.dim_value for extent in value.type.tensor_type.shape.dim)
        fitting = [of for of in left if sorted(of["shape"]) == sorted(shape)] or left
        if not fitting:
            raise protocol.Unsupported(f"the converter left out output {value.name}")
        left = [of for of in left if of is not fitting[0]]
        outputs.append(_permuted(interpreter.get_tensor(fitting[0]["index"]), shape))
    return outputs


def _arena_extent(interpreter: Any) -> int:
    """Returns the bytes from the first to the last byte of all tensors that are no constants."""
    external = interpreter.get_input_details() + interpreter.get_output_details()
    wanted = {detail["index"] for detail in external}
    for operator in interpreter._get_ops_details():
        wanted.update(int(index) for index in operator["outputs"])
    begins: list[int] = []
    ends: list[int] = []
    for index in wanted:
        with contextlib.suppress(ValueError):  # No memory of its own.
            view = interpreter.tensor(index)()
            begins.append(int(view.__array_interface__["data"][0]))
            ends.append(begins[-1] + int(view.nbytes))
    if not begins:
        raise protocol.Unsupported("the interpreter shows no tensors")
    return max(ends) - min(begins)


def _xnnpack(content: bytes, request: protocol.Request) -> tuple[protocol.Figure, list[str]]:
    record = str(request.directory / "xnnpack.memray")
    with memray.Tracker(record, native_traces=True):
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        _set_inputs(interpreter, request)
        interpreter.invoke()
    # The last allocation counts where one grows (it replaces the one before), by caller.
    alive: dict[int, tuple[str, int]] = {}
    for entry in memray.FileReader(record).get_allocation_records():
        alive.pop(entry.address, None)
        if memray.AllocatorType(entry.allocator).name not in ("POSIX_MEMALIGN", "ALIGNED_ALLOC"):
            continue
        frames = " ".join(frame[0] for frame in entry.native_stack_trace(8))
        for place in ("xnn_plan_memory", "SimpleMemoryArena::Commit"):
            if place in frames:
                alive[entry.address] = (place, entry.size)
    workspace = sum(size for place, size in alive.values() if place == "xnn_plan_memory")
    arena = sum(size for place, size in alive.values() if place != "xnn_plan_memory")
    if not workspace:
        raise protocol.Unsupported("no workspace of XNNPACK in the records")
    delegated = sum(
        "delegate" in operator["op_name"].lower() for operator in interpreter._get_ops_details()
    )
    notes = [] if delegated == 1 else [f"XNNPACK took {delegated} parts of the graph"]
    external = interpreter.get_input_details() + interpreter.get_output_details()
    io = sum(int(np.prod(detail["shape"])) * detail["dtype"]().nbytes for detail in external)
    # The arena rounds to 64 bytes per tensor; what is more than that lies between parts.
    between = max(0, arena - io - 64 * len(external))
    return protocol.Figure(workspace + between, workspace + between + io), notes


def measure(request: protocol.Request) -> protocol.Answer:
    """Converts the model once and runs it with and without XNNPACK."""
    content = _convert(request)
    reference = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        num_threads=1,
    )
    reference.allocate_tensors()
    _set_inputs(reference, request)
    reference.invoke()
    outputs = _outputs(reference, request)
    arena = protocol.Figure(None, _arena_extent(reference))
    xnnpack, notes = _xnnpack(content, request)
    return protocol.Answer({"reference arena": arena, "xnnpack": xnnpack}, outputs, notes)


if __name__ == "__main__":
    protocol.serve(["ai-edge-litert", "onnx2tf", "tensorflow", "memray"], measure)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""TensorFlow Lite Micro: the arena that its recording allocator needs.

* ``head``: activations, inputs and outputs among them, and scratch buffers of kernels: the part
  that its greedy planner lays out.
* ``arena``: the whole, with the tail, where the interpreter keeps its own data for good.

Inputs and outputs lie in the head and the memory of an input is used again after its last reader,
so they cannot be told apart. A model in int8 takes quantized inputs, and its outputs are
dequantized.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tflite_micro.python.tflite_micro import runtime

from . import onnx_to_tflite, protocol

#: Bytes of the arena that the interpreter is given; the bytes that it uses are recorded.
_ARENA_BYTES = 256 << 20


def _standard_output(call: Callable[[], None]) -> str:
    """Returns the output of a call, C code included."""
    with tempfile.TemporaryFile() as stream:
        kept = os.dup(1), os.dup(2)
        try:
            for descriptor in (1, 2):
                os.dup2(stream.fileno(), descriptor)
            call()
        finally:
            for descriptor, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)
        stream.seek(0)
        return stream.read().decode("utf-8", "replace")


def _recorded(text: str, what: str) -> int:
    found = re.search(rf"Arena allocation {what} (\d+) bytes", text)
    if found is None:
        raise protocol.Unsupported(f"no line 'Arena allocation {what}' in the records")
    return int(found[1])


def _scale_and_zero_point(details: Mapping[str, Any]) -> tuple[float, int]:
    found = details["quantization_parameters"]
    return float(found["scales"][0]), int(found["zero_points"][0])


def _stored(array: protocol.Array, details: Mapping[str, Any]) -> protocol.Array:
    """Returns an input as the model stores it."""
    if details["dtype"] is not np.int8:
        return array
    scale, zero_point = _scale_and_zero_point(details)
    return np.asarray(np.clip(np.rint(array / scale) + zero_point, -128, 127), dtype=np.int8)


def _read(array: protocol.Array, details: Mapping[str, Any]) -> protocol.Array:
    """Returns an output as floats."""
    if array.dtype != np.int8:
        return array
    scale, zero_point = _scale_and_zero_point(details)
    return np.asarray((array.astype(np.int32) - zero_point) * scale, dtype=np.float32)


def measure(request: protocol.Request) -> protocol.Answer:
    """Converts the model and runs it once, with recorded allocations."""
    content = onnx_to_tflite.convert(request)
    try:
        interpreter = runtime.Interpreter.from_bytes(
            content,
            arena_size=_ARENA_BYTES,
            intrepreter_config=runtime.InterpreterConfig.kAllocationRecording,
        )
    except RuntimeError as error:
        raise protocol.Unsupported(f"TensorFlow Lite Micro: {error}") from error
    for index in range(len(request.inputs)):
        details = interpreter.get_input_details(index)
        shape = tuple(int(extent) for extent in details["shape"])
        array = onnx_to_tflite.permuted(request.inputs[index], shape)
        interpreter.set_input(_stored(array, details), index)
    interpreter.invoke()
    found: list[protocol.Array] = []
    with contextlib.suppress(ValueError, IndexError, RuntimeError):
        while True:
            index = len(found)
            details = interpreter.get_output_details(index)
            found.append(_read(np.array(interpreter.get_output(index)), details))
    outputs = onnx_to_tflite.in_order_of_the_graph(found, request)
    text = _standard_output(interpreter.print_allocations)
    return protocol.Answer(
        {
            "head": protocol.Figure(None, _recorded(text, "head")),
            "arena": protocol.Figure(None, _recorded(text, "total")),
        },
        outputs,
    )


if __name__ == "__main__":
    protocol.serve(["tflite-micro", "onnx2tf", "tensorflow"], measure)

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""LiteRT (TensorFlow Lite): the arena with its reference kernels, and XNNPACK's workspace.

* ``reference arena``: no delegate. The arena's planner places inputs, outputs and intermediates in
  one block, so the figure is the extent of the addresses of all of them, inputs and outputs
  included. The memory of an input is not used again after its last reader.
* ``xnnpack``: LiteRT's default on CPUs. XNNPACK plans a workspace of its own, read as the
  allocation that memray sees below ``xnn_plan_memory`` (``without_io``); inputs and outputs, and
  tensors between parts that XNNPACK does not take, are in LiteRT's arena, allocated below
  ``SimpleMemoryArena::Commit`` (``with_io`` is both together).
"""

from __future__ import annotations

import contextlib
from typing import Any

import memray
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from . import onnx_to_tflite, protocol


def _set_inputs(interpreter: Any, request: protocol.Request) -> None:
    for index, detail in enumerate(interpreter.get_input_details()):
        position = onnx_to_tflite.position_of_input(detail["name"], index, request)
        shape = tuple(int(extent) for extent in detail["shape"])
        array = onnx_to_tflite.permuted(request.inputs[position], shape)
        interpreter.set_tensor(detail["index"], array)


def _outputs(interpreter: Any, request: protocol.Request) -> list[protocol.Array]:
    details = interpreter.get_output_details()
    found = [interpreter.get_tensor(detail["index"]) for detail in details]
    return onnx_to_tflite.in_order_of_the_graph(found, request)


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
    # The arena rounds to 64 bytes per tensor; the excess lies between parts.
    between = max(0, arena - io - 64 * len(external))
    return protocol.Figure(workspace + between, workspace + between + io), notes


def measure(request: protocol.Request) -> protocol.Answer:
    """Converts the model once and runs it with and without XNNPACK."""
    content = onnx_to_tflite.convert(request)
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

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ExecuTorch: the arena of its default memory planner, and XNNPACK's workspace.

onnx2torch makes a PyTorch module of the ONNX file, torch.export exports it. Reshapes and resizes,
whose extents onnx2torch reads from tensors, get them as numbers first: torch.export cannot branch
on the contents of tensors.

* ``planned, io in arena``: portable kernels, the planner's defaults: inputs and outputs lie in the
  arena, and the memory of an input is used again after its last reader.
* ``planned``: inputs and outputs are the caller's (alloc_graph_input and alloc_graph_output off).
* ``xnnpack``: parts of the graph go to XNNPACK. Its workspace is no part of the plan, so it is read
  as the aligned allocations that memray sees below xnn_plan_memory, and added to the planned
  bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import memray
import numpy as np
import onnx
import onnx2torch
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import (
    EdgeCompileConfig,
    ExecutorchBackendConfig,
    to_edge,
    to_edge_transform_and_lower,
)
from executorch.exir.passes import MemoryPlanningPass
from executorch.runtime import Runtime

from . import protocol

#: Where XNNPACK allocates its workspace. Packed weights are allocated elsewhere.
_WORKSPACE = "xnn_plan_memory"
_ALIGNED = ("POSIX_MEMALIGN", "MEMALIGN", "ALIGNED_ALLOC")


def _planned(program: Any) -> int:
    """Returns the bytes of all arenas that the program asks its caller for."""
    (plan,) = program.executorch_program.execution_plan
    return sum(int(size) for size in plan.non_const_buffer_sizes)


def _config(io_in_arena: bool) -> Any:
    return ExecutorchBackendConfig(
        memory_planning_pass=MemoryPlanningPass(
            alloc_graph_input=io_in_arena, alloc_graph_output=io_in_arena
        )
    )


def _with_static_extents(module: torch.fx.GraphModule, inputs: tuple[Any, ...]) -> None:
    """Replaces reshapes and resizes of `module` by ones whose extents are numbers.

    One run tells the extents; what would compute other values stays as it is.
    """
    results: dict[str, Any] = {}

    class Recorder(torch.fx.Interpreter):  # type: ignore[misc]
        def run_node(self, node: torch.fx.Node) -> Any:
            results[node.name] = super().run_node(node)
            return results[node.name]

    Recorder(module).run(*inputs)
    for node in list(module.graph.nodes):
        if node.op != "call_module":
            continue
        kind = type(module.get_submodule(node.target)).__name__
        result = results[node.name]
        arguments: dict[str, Any]
        if kind == "OnnxReshape":
            function, arguments = torch.reshape, {"shape": list(result.shape)}
        elif kind == "OnnxResize":
            function = torch.nn.functional.interpolate
            arguments = {"size": list(result.shape[2:]), "mode": "nearest"}
        else:
            continue
        try:
            same = torch.equal(function(results[node.args[0].name], **arguments), result)
        except (RuntimeError, ValueError, NotImplementedError):
            continue
        if same:
            with module.graph.inserting_before(node):
                static = module.graph.call_function(function, (node.args[0],), arguments)
            node.replace_all_uses_with(static)
            module.graph.erase_node(node)
    module.recompile()


def _export(request: protocol.Request) -> tuple[Any, tuple[Any, ...]]:
    try:
        module = onnx2torch.convert(onnx.load(str(request.model))).eval()
    except NotImplementedError as error:
        raise protocol.Unsupported(f"onnx2torch: {error}") from error
    inputs = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in request.inputs)
    with torch.no_grad():
        _with_static_extents(module, inputs)
        return torch.export.export(module, inputs, strict=False), inputs


def _run(program: Any, inputs: tuple[Any, ...], directory: Path, name: str) -> list[Any]:
    path = directory / f"{name}.pte"
    path.write_bytes(program.buffer)
    method = Runtime.get().load_program(path).load_method("forward")
    return [output.numpy().copy() for output in method.execute(list(inputs))]


def _workspace(record: str) -> int:
    """Returns the aligned bytes that are alive together at most below `_WORKSPACE`."""
    alive: dict[int, int] = {}
    most = 0
    for entry in memray.FileReader(record).get_allocation_records():
        alive.pop(entry.address, None)
        if memray.AllocatorType(entry.allocator).name in _ALIGNED:
            frames = " ".join(frame[0] for frame in entry.native_stack_trace(12))
            if _WORKSPACE in frames:
                alive[entry.address] = entry.size
                most = max(most, sum(alive.values()))
    return most


def _xnnpack(exported: Any, inputs: tuple[Any, ...], directory: Path) -> protocol.Figure:
    figures = []
    for io_in_arena in (False, True):
        edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        program = edge.to_executorch(_config(io_in_arena))
        record = str(directory / f"xnnpack{int(io_in_arena)}.memray")
        with memray.Tracker(record, native_traces=True):
            _run(program, inputs, directory, f"xnnpack{int(io_in_arena)}")
        workspace = _workspace(record)
        if not workspace:
            raise protocol.Unsupported("no workspace of XNNPACK in the records")
        figures.append(_planned(program) + workspace)
    return protocol.Figure(*figures)


def measure(request: protocol.Request) -> protocol.Answer:
    """Plans the model with inputs and outputs in the arena and without, and with XNNPACK."""
    exported, inputs = _export(request)

    def plan(io_in_arena: bool) -> Any:
        # Canonical dimension order is asserted for models that are not in it.
        edge = to_edge(exported, compile_config=EdgeCompileConfig(_check_ir_validity=False))
        return edge.to_executorch(_config(io_in_arena))

    within, without = plan(True), plan(False)
    outputs = _run(within, inputs, request.directory, "planned")
    figures = {"planned": protocol.Figure(_planned(without), _planned(within))}
    notes = []
    try:
        figures["xnnpack"] = _xnnpack(exported, inputs, request.directory)
    except (protocol.Unsupported, RuntimeError) as error:
        notes.append(f"XNNPACK: {str(error).splitlines()[0]}")
    return protocol.Answer(figures, outputs, notes)


if __name__ == "__main__":
    protocol.serve(["executorch", "torch", "onnx2torch", "memray"], measure)

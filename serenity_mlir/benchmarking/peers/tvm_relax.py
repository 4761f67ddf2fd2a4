# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Apache TVM, Relax: the storages that its static planner allocates.

After ``StaticPlanBlockMemory`` every storage is an explicit allocation; one run of the
virtual machine holds their sum, because storages live as long as it does. The graph's outputs are
allocated separately, inputs are the caller's.
"""

from __future__ import annotations

import math
from typing import Any

import onnx
import tvm
from tvm import relax
from tvm.ir.instrument import pass_instrument
from tvm.relax.frontend.onnx import from_onnx

from . import protocol


@pass_instrument
class _Planned:
    """Keeps the module as the planner left it."""

    def __init__(self) -> None:
        self.module: Any = None

    def run_after_pass(self, module: Any, info: Any) -> None:
        if info.name == "StaticPlanBlockMemory":
            self.module = module


def _extent(value: Any) -> int:
    """Returns the product of a static shape."""
    try:
        return math.prod(int(extent) for extent in value.values)
    except (TypeError, ValueError, AttributeError):
        raise protocol.Unsupported(f"a storage of dynamic size: {value}") from None


def _storage_bytes(module: Any) -> int:
    sizes: list[int] = []

    def visit(node: Any) -> None:
        called = node.op if isinstance(node, relax.Call) else None
        if isinstance(called, tvm.ir.Op) and called.name == "relax.memory.alloc_storage":
            sizes.append(_extent(node.args[0]))

    for function in module.functions.values():
        if isinstance(function, relax.Function):
            relax.analysis.post_order_visit(function, visit)
    return sum(sizes)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)) or type(value).__name__ == "Array":
        return [leaf for part in value for leaf in _flat(part)]
    return [value]


def measure(request: protocol.Request) -> protocol.Answer:
    """Compiles with TVM's default pipeline, and with its graph optimisations before it."""
    target = tvm.target.Target("llvm")
    imported = from_onnx(onnx.load(str(request.model)), keep_params_in_input=False)
    figures: dict[str, int] = {}
    outputs: list[protocol.Array] = []
    for name, first in (("default", None), ("zero", relax.get_pipeline("zero"))):
        planned = _Planned()
        with target, tvm.transform.PassContext(opt_level=3, instruments=[planned]):
            module = imported if first is None else first(imported)
            executable = relax.build(module, target=target)
        figures[name] = _storage_bytes(planned.module)
        machine = relax.VirtualMachine(executable, tvm.cpu())
        arguments = [tvm.runtime.tensor(array) for array in request.inputs]
        outputs = [value.numpy() for value in _flat(machine["main"](*arguments))]
    external = protocol.total_bytes([*request.inputs, *outputs])
    return protocol.Answer(
        {name: protocol.Figure(size, size + external) for name, size in figures.items()}, outputs
    )


if __name__ == "__main__":
    protocol.serve(["apache-tvm"], measure)

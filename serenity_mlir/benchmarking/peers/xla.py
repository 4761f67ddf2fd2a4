# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""XLA for the CPU, through JAX: the temporaries of the compiled executable.

jaxonnxruntime translates the ONNX graph; weights are constants of the computation, as they are in
the other systems' modules. ``temp_size_in_bytes`` counts the bytes that XLA's buffer assignment
sets aside beside arguments and results.
"""

from __future__ import annotations

from typing import Any

import jax
import onnx
from jaxonnxruntime import call_onnx

from . import protocol

_clip = jax.numpy.clip


def _clip_by_old_names(array: Any, min: Any = None, max: Any = None, **limits: Any) -> Any:
    """Clips; jaxonnxruntime gives the limits by names that JAX has dropped."""
    return _clip(array, limits.get("a_min", min), limits.get("a_max", max))


def measure(request: protocol.Request) -> protocol.Answer:
    """Compiles and runs the model."""
    model = onnx.load(str(request.model))
    constants = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in constants]
    inputs = dict(zip(names, request.inputs, strict=True))
    jax.numpy.clip = _clip_by_old_names
    function, weights = call_onnx.call_onnx_model(model, inputs)

    def run(values: dict[str, Any]) -> Any:
        return function(weights, values)

    executable = jax.jit(run).lower(inputs).compile()
    outputs = [jax.device_get(value) for value in jax.tree_util.tree_leaves(executable(inputs))]
    temporaries = int(executable.memory_analysis().temp_size_in_bytes)
    external = protocol.total_bytes([*request.inputs, *outputs])
    return protocol.Answer({"temp": protocol.Figure(temporaries, temporaries + external)}, outputs)


if __name__ == "__main__":
    protocol.serve(["jax", "jaxlib", "jaxonnxruntime"], measure)

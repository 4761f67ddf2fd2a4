# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From an ONNX model to a module with less peak memory, and what it allocates.

    pip install serenity-mlir
    python examples/from_onnx.py

`serenity_mlir.compile` takes the model in memory, as here, or the path of an .onnx file; IREE's own
importer reads it.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import serenity_mlir

SIZE = 24


def make_cell(channels: int, seed: int) -> onnx.ModelProto:
    """Build two branches and the input, concatenated; then a depthwise separable convolution."""
    rng = np.random.default_rng(seed)
    nodes, weights = [], []

    def convolution(source: str, name: str, kernel: int, inputs: int, outputs: int, groups: int):
        shape = (outputs, inputs // groups, kernel, kernel)
        values = rng.standard_normal(shape, np.float32) * np.float32(2 / np.prod(shape[1:])) ** 0.5
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"{name}.weight"))
        pads = [kernel // 2] * 4
        nodes.append(
            helper.make_node("Conv", [source, f"{name}.weight"], [name], pads=pads, group=groups)
        )
        nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"]))
        return f"{name}.relu"

    parts = ["image"]
    for kernel in (1, 3):
        parts.append(convolution("image", f"branch{kernel}", kernel, channels, 24, 1))
    together = channels + 48
    nodes.append(helper.make_node("Concat", parts, ["together"], axis=1))
    filtered = convolution("together", "depthwise", 3, together, together, together)
    result = convolution(filtered, "pointwise", 1, together, channels, 1)

    shape = [1, channels, SIZE, SIZE]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("image", result)]
    graph = helper.make_graph(nodes, "cell", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Compile the cell, run it, and compare memory and result."""
    model = make_cell(channels=12, seed=0)

    options = serenity_mlir.SerenityOptions(report="report.json")
    module = serenity_mlir.compile(model, serenity=options, output_file="cell.vmfb")
    assert module is None  # It is in the file.

    image = np.random.default_rng(0).standard_normal((1, 12, SIZE, SIZE), dtype=np.float32)
    function = serenity_mlir.load_report("report.json").function("cell")
    measured = serenity_mlir.measure("cell.vmfb", [image])
    print(f"IREE      {function.stock_transient_peak_bytes:>9,} bytes")
    print(f"serenity  {function.transient_peak_bytes:>9,} bytes")
    print(f"allocated {measured.transient_peak_bytes:>9,} bytes, beside inputs and results")

    (expected,) = ReferenceEvaluator(model).run(None, {"image": image})
    np.testing.assert_allclose(measured.outputs[0], expected, rtol=1e-4, atol=1e-5)
    print("the result is ONNX's")


if __name__ == "__main__":
    main()

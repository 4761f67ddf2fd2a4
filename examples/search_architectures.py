# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Choose among random cells by the memory that they need, without making code for any of them.

    pip install serenity-mlir
    python examples/search_architectures.py

`serenity_mlir.peak` runs the compiler up to the offsets of all buffers; calls may run side by side.
"""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import serenity_mlir

CHANNELS, SIZE, NODES = 16, 28, 6


def make_cell(seed: int) -> onnx.ModelProto:
    """Build a cell: every node convolves one earlier value and adds another; loose ends meet."""
    draw = random.Random(seed)
    nodes, weights = [], []
    values, used = ["image"], set()
    for k in range(NODES):
        sources = [draw.choice(values), draw.choice(values)]
        used.update(sources)
        kernel = draw.choice([1, 3])
        shape = (CHANNELS, CHANNELS, kernel, kernel)
        weight = np.random.default_rng([seed, k]).standard_normal(shape, np.float32)
        weights.append(numpy_helper.from_array(weight / np.float32(kernel * 8), f"weight{k}"))
        pads = [kernel // 2] * 4
        nodes += [
            helper.make_node("Conv", [sources[0], f"weight{k}"], [f"conv{k}"], pads=pads),
            helper.make_node("Relu", [f"conv{k}"], [f"relu{k}"]),
            helper.make_node("Add", [f"relu{k}", sources[1]], [f"node{k}"]),
        ]
        values.append(f"node{k}")
    ends = [value for value in values if value not in used]
    nodes.append(helper.make_node("Concat", ends, ["result"], axis=1))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, CHANNELS, SIZE, SIZE])
    result = helper.make_tensor_value_info(
        "result", TensorProto.FLOAT, [1, CHANNELS * len(ends), SIZE, SIZE]
    )
    graph = helper.make_graph(nodes, f"cell{seed}", [image], [result], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main() -> None:
    """Rank six cells by what they allocate beside inputs and results."""
    seeds = range(6)
    with ThreadPoolExecutor(max_workers=2) as pool:
        peaks = list(
            pool.map(lambda seed: serenity_mlir.peak(make_cell(seed), effort="fast"), seeds)
        )
    for seed, found in sorted(zip(seeds, peaks, strict=True), key=lambda p: p[1].transient_bytes):
        print(
            f"cell {seed}: {found.transient_bytes:>9,} bytes "
            f"(IREE {found.stock_transient_bytes:>9,}), in all {found.total_bytes:>9,}"
        )


if __name__ == "__main__":
    main()

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Transient memory of models of dynamic size at several sizes, as a table in Markdown.

    python benchmarks/dynamic_sizes.py [--fixed] [MODEL...]

Each model is compiled once with both compilers and run at every size: the table has the bytes that
the runtime took and those of the report's formula. With ``--fixed``, the last columns are the same
model with its dimension fixed at that size, and the share of the bytes saved there that is saved
without fixing it too; that is a compilation per size.
Exits with 1 if a formula and the runtime differ, an output differs by more than rounding, or a
model needs more than stock. A model of several regions has no formula.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from serenity_mlir.compiling.compiler import SerenityOptions, target_flags
from serenity_mlir.compiling.importing import import_model
from serenity_mlir.compiling.messages import shown_as
from serenity_mlir.compiling.peak_memory import peak
from serenity_mlir.measuring.checking import compile_model
from serenity_mlir.measuring.measurement import measure
from serenity_mlir.measuring.predictions import read_prediction
from serenity_mlir.reports.reporting import parse_report

WIDTH, HEADS = 64, 4
SIZES = (1, 7, 32, 100, 129)
CASES = Path(__file__).parent.parent / "tests" / "models" / "cases"


class _Network:
    """An ONNX graph under construction; weights are drawn from seed 0."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.random = np.random.default_rng(0)

    def constant(self, value: Any) -> str:
        name = f"k{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def linear(self, value: str, before: int, after: int) -> str:
        weights = self.random.standard_normal((before, after)) * 0.05
        return self.add("MatMul", value, self.constant(weights.astype(np.float32)))

    def normalise(self, value: str) -> str:
        one, zero = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
        return self.add(
            "LayerNormalization", value, self.constant(one), self.constant(zero), axis=-1
        )

    def heads(self, value: str, axes: list[int]) -> str:
        """Return (1, T, WIDTH) split into heads, transposed by `axes`."""
        shape = self.constant(np.array([1, -1, HEADS, WIDTH // HEADS], np.int64))
        split = self.add("Reshape", self.linear(value, WIDTH, WIDTH), shape)
        return self.add("Transpose", split, perm=axes)

    def attend(self, query: str, key: str, values: str) -> str:
        """Return the attention of (1, HEADS, T, C) as (1, T, WIDTH)."""
        scale = self.constant(np.float32(1 / math.sqrt(WIDTH // HEADS)))
        scores = self.add("Mul", self.add("MatMul", query, key), scale)
        mixed = self.add("MatMul", self.add("Softmax", scores, axis=-1), values)
        joined = self.add("Transpose", mixed, perm=[0, 2, 1, 3])
        shape = self.constant(np.array([1, -1, WIDTH], np.int64))
        return self.linear(self.add("Reshape", joined, shape), WIDTH, WIDTH)

    def feed_forward(self, value: str) -> str:
        hidden = self.linear(value, WIDTH, 4 * WIDTH)
        active = self.add("Mul", hidden, self.add("Sigmoid", hidden))
        return self.normalise(self.add("Add", value, self.linear(active, 4 * WIDTH, WIDTH)))

    def save(self, path: Path, inputs: dict[str, list[Any]], outputs: dict[str, Any]) -> Path:
        """Write the model; `outputs` maps a name to the value and its shape."""

        def declare(name: str, shape: list[Any]) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        for name, (value, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [declare(name, shape) for name, shape in inputs.items()],
            [declare(name, shape) for name, (_, shape) in outputs.items()],
            self.weights,
        )
        opsets = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
        return path


def perceptron(path: Path) -> Path:
    """Write five products of a dynamic batch."""
    network = _Network()
    value, widths = "x", (24, 512, 300, 120, 500, 32)
    for before, after in itertools.pairwise(widths):
        value = network.add("Relu", network.linear(value, before, after))
    return network.save(path, {"x": ["N", 24]}, {"y": (value, ["N", 32])})


def classifier(path: Path) -> Path:
    """Write a residual network of five convolutions over images, with a dynamic batch."""
    network = _Network()

    def convolution(value: str, before: int, after: int, stride: int) -> str:
        weights = network.random.standard_normal((after, before, 3, 3)) * 0.1
        filters = network.constant(weights.astype(np.float32))
        strides, pads = [stride, stride], [1, 1, 1, 1]
        return network.add("Conv", value, filters, strides=strides, pads=pads)

    stem = network.add("Relu", convolution("x", 3, 16, 1))
    inner = network.add("Relu", convolution(stem, 16, 16, 1))
    value = network.add("Relu", network.add("Add", stem, convolution(inner, 16, 16, 1)))
    for before, after in ((16, 32), (32, 64)):
        value = network.add("Relu", convolution(value, before, after, 2))
    flat = network.add("Flatten", network.add("GlobalAveragePool", value))
    result = network.linear(flat, 64, 10)
    return network.save(path, {"x": ["N", 3, 32, 32]}, {"y": (result, ["N", 10])})


def encoder(path: Path) -> Path:
    """Write two layers of a transformer encoder over a dynamic sequence."""
    network = _Network()
    value = "x"
    for _ in range(2):
        query, key = network.heads(value, [0, 2, 1, 3]), network.heads(value, [0, 2, 3, 1])
        mixed = network.attend(query, key, network.heads(value, [0, 2, 1, 3]))
        value = network.feed_forward(network.normalise(network.add("Add", value, mixed)))
    return network.save(path, {"x": [1, "S", WIDTH]}, {"y": (value, [1, "S", WIDTH])})


def decoder(path: Path) -> Path:
    """Write one layer of a decoder for one token, whose cache of keys and values grows by it."""
    network = _Network()
    head = WIDTH // HEADS
    query, key, value = (network.heads("x", [0, 2, 1, 3]) for _ in range(3))
    keys = network.add("Concat", "past_keys", key, axis=2)
    values = network.add("Concat", "past_values", value, axis=2)
    turned = network.add("Transpose", keys, perm=[0, 1, 3, 2])
    mixed = network.attend(query, turned, values)
    result = network.feed_forward(network.normalise(network.add("Add", "x", mixed)))
    past, present = [1, HEADS, "P", head], [1, HEADS, "T", head]
    return network.save(
        path,
        {"x": [1, 1, WIDTH], "past_keys": past, "past_values": past},
        {"y": (result, [1, 1, WIDTH]), "keys": (keys, present), "values": (values, present)},
    )


@dataclass(frozen=True)
class _Model:
    """A model, the name of its dimension, and the shapes of its inputs at an extent of it."""

    build: Callable[[Path], Path]
    dimension: str
    shapes: Callable[[int], list[tuple[int, ...]]]


MODELS = {
    "perceptron": _Model(perceptron, "N", lambda n: [(n, 24)]),
    "dynamic_batch": _Model(
        lambda path: CASES / "dynamic_batch.onnx", "N", lambda n: [(n, 3, 32, 32)]
    ),
    "mean_over_dynamic_time": _Model(
        lambda path: CASES / "mean_over_dynamic_time.onnx", "S", lambda n: [(n, 32)]
    ),
    "classifier": _Model(classifier, "N", lambda n: [(n, 3, 32, 32)]),
    "encoder": _Model(encoder, "S", lambda n: [(1, n, WIDTH)]),
    "decoder": _Model(
        decoder, "P", lambda n: [(1, 1, WIDTH), *2 * [(1, HEADS, n, WIDTH // HEADS)]]
    ),
}


def _share(stock: int, needs: int, least: int) -> str:
    """Return the part of the bytes saved by `least` that `needs` saves, in percent."""
    return f"{100 * (stock - needs) / (stock - least):.0f} %" if least < stock else "-"


def _rows(name: str, directory: Path, fixed: bool) -> tuple[list[str], bool]:
    """Return the rows of a model's table, and whether all is as it should be."""
    model = MODELS[name]
    source = model.build(directory / f"{name}.onnx")
    found = import_model(source, directory)
    stock, ours = directory / "stock.vmfb", directory / "ours.vmfb"
    with shown_as(found.path, name, found.dimension_aliases):
        compile_model(found.path, stock, target_flags(()), None)
        data = compile_model(found.path, ours, target_flags(()), SerenityOptions())
    report = parse_report(data)
    (entry,) = report.called
    function = entry.exported_as or entry.name
    random = np.random.default_rng(0)
    rows, right = [], True
    for size in SIZES:
        shapes = model.shapes(size)
        inputs = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
        before, after = measure(stock, inputs, function), measure(ours, inputs, function)
        prediction = read_prediction(report, function, {model.dimension: size})
        predicted = prediction.transient_peak_bytes if prediction is not None else None
        needs = after.transient_peak_bytes
        last = ""
        if fixed:
            least = peak(source, fix_dims={model.dimension: size}).transient_bytes
            last = f" {least:,} | {_share(before.transient_peak_bytes, needs, least)} |"
        same = all(
            np.allclose(one, other, rtol=1e-5, atol=1e-5)
            for one, other in zip(before.outputs, after.outputs, strict=True)
        )
        right &= same and predicted in (None, needs) and needs <= before.transient_peak_bytes
        told = "none" if predicted is None else f"{predicted:,}"
        rows.append(
            f"| {name} | {model.dimension}={size} | {before.transient_peak_bytes:,} | {needs:,} "
            f"| {told} |{last}"
        )
    return rows, right


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", choices=[*MODELS, []], metavar="MODEL")
    parser.add_argument("--fixed", action="store_true", help="compile at every size, too")
    given = parser.parse_args()
    wanted = given.models or list(MODELS)
    last = " ours, size fixed | share of the gain |" if given.fixed else ""
    print("| model | size | stock | ours | from the formula |" + last)
    print("|---|---|---:|---:|---:|" + ("---:|---:|" if given.fixed else ""))
    right = True
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="serenity-dynamic-") as directory:
            rows, fine = _rows(name, Path(directory), given.fixed)
        print("\n".join(rows), flush=True)
        right &= fine
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Quantized operators of ONNX Runtime (domain ``com.microsoft``), as its QOperator format has them.

IREE imports seven of them, but only where the type of the result is known, and ONNX's shape
inference knows no operator of that domain. Here their types are added, by the inference for the
float operator of the same shapes; the operators that IREE does not import are refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenity_mlir.errors import SerenityError

if TYPE_CHECKING:
    import onnx

__all__ = ["add_result_types", "refuse_operators"]

_DOMAIN = "com.microsoft"


@dataclass(frozen=True)
class _Operator:
    """The float operator of the same shapes, and which operands hold tensors.

    `step` is 0 where `first` and `second` are all; else every `step`-th operand from `first` on.
    """

    floating: str
    first: int = 0
    second: int | None = None
    step: int = 0

    def tensors(self, node: onnx.NodeProto) -> list[str]:
        """Returns the names of the operands that hold tensors."""
        if self.step:
            return list(node.input[self.first :: self.step])
        numbers = [self.first] if self.second is None else [self.first, self.second]
        return [node.input[number] for number in numbers]


#: Those that IREE imports. The first operands of a concatenation are the result's parameters.
_IMPORTED = {
    "QLinearAdd": _Operator("Add", 0, 3),
    "QLinearMul": _Operator("Mul", 0, 3),
    "QLinearSigmoid": _Operator("Sigmoid"),
    "QLinearLeakyRelu": _Operator("LeakyRelu"),
    "QLinearAveragePool": _Operator("AveragePool"),
    "QLinearGlobalAveragePool": _Operator("GlobalAveragePool"),
    "QLinearConcat": _Operator("Concat", 2, step=3),
}

#: The rank up to which IREE imports products; that of both operands has to be the same.
_LARGEST_PRODUCT = 3


def _is_quantized(node: onnx.NodeProto) -> bool:
    return bool(node.domain == _DOMAIN and node.op_type.startswith(("QLinear", "QGemm")))


def _types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    """Returns the types of the values of a graph that are known, with shapes."""
    import onnx

    known = {
        value.name: value.type
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }
    for tensor in graph.initializer:
        kind, extents = tensor.data_type, list(tensor.dims)
        known[tensor.name] = onnx.helper.make_tensor_type_proto(kind, extents)
    return known


def _result_shape(
    node: onnx.NodeProto, operands: Sequence[onnx.TypeProto], opset: int
) -> onnx.TensorShapeProto | None:
    """Returns the shape of the float operator's result on operands of these shapes."""
    import onnx

    floats = []
    for number, operand in enumerate(operands):
        value = onnx.ValueInfoProto(name=f"x{number}", type=operand)
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        floats.append(value)
    like = onnx.helper.make_node(
        _IMPORTED[node.op_type].floating, [value.name for value in floats], ["y"]
    )
    like.attribute.extend(entry for entry in node.attribute if entry.name != "channels_last")
    result = onnx.ValueInfoProto(name="y")
    graph = onnx.helper.make_graph([like], "shape", floats, [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type
    return inferred.shape if inferred.HasField("shape") else None


def add_result_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns the model with the types of all values, results of these operators among them.

    Args:
      model: checked; its default opset is that of the shapes.
    """
    import onnx

    opset = next((entry.version for entry in model.opset_import if not entry.domain), 17)
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    while True:
        known = _types(model.graph)
        added = False
        for node in model.graph.node:
            imported = _is_quantized(node) and node.op_type in _IMPORTED
            if not imported or node.output[0] in known:
                continue
            operands = [known.get(name) for name in _IMPORTED[node.op_type].tensors(node)]
            given = [operand for operand in operands if operand is not None]
            shape = _result_shape(node, given, opset) if len(given) == len(operands) else None
            if shape is None:
                continue
            value = onnx.ValueInfoProto(name=node.output[0], type=given[0])
            value.type.tensor_type.shape.CopyFrom(shape)
            model.graph.value_info.append(value)
            added = True
        if not added:
            return model
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)


def refuse_operators(model: onnx.ModelProto, source: str) -> None:
    """Refuses a model with a quantized operator that IREE does not import.

    Args:
      model: with the types of values as far as known.
      source: the model's name, for the message.

    Raises:
      SerenityError: there is one (exit code 1).
    """
    known = _types(model.graph)
    for node in model.graph.node:
        what = node.op_type
        if _is_quantized(node):
            channels_last = any(
                entry.name == "channels_last" and entry.i for entry in node.attribute
            )
            if what in _IMPORTED and not channels_last:
                continue
            what += " with channels_last" if what in _IMPORTED else ""
        elif not node.domain and what == "QLinearMatMul":
            types = [known.get(name) for name in (node.input[0], node.input[3])]
            ranks = [len(kind.tensor_type.shape.dim) for kind in types if kind is not None]
            if len(ranks) < 2 or (ranks[0] == ranks[1] and ranks[0] <= _LARGEST_PRODUCT):
                continue
            what += f" of ranks {ranks[0]} and {ranks[1]}"
        else:
            continue
        name = node.name or node.output[0]
        raise SerenityError(
            f"{source}: {name}: IREE does not import {what}; quantize the model in QDQ format "
            "(onnxruntime.quantization: quant_format=QuantFormat.QDQ)"
        )

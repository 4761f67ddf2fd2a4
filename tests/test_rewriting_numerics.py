# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Effect of rewriting on numbers: none on integers, rounding on floats. Run on the runtime."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from models import tensor_type

from serenity_mlir.compiling.compiler import SerenityOptions
from serenity_mlir.measuring.checking import check

SIZE = 6
CHANNELS = 16
ELEMENTS = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "i32": np.int32}
# Rounding of the element type, over the largest output: a few units in the last place.
TOLERANCE = {"f32": 1e-5, "f16": 1e-2, "bf16": 8e-2}


def _constant(seed: int, shape: tuple[int, ...], element: str) -> str:
    rng = np.random.default_rng(seed)
    if element.startswith("i"):
        values = rng.integers(-9, 10, shape).astype(np.int8 if element == "i8" else np.int32)
    else:
        values = (rng.standard_normal(shape) / 4).astype(ELEMENTS[element])
    return f'dense<"0x{values.tobytes().hex().upper()}"> : {tensor_type(shape, element)}'


class _Text:
    """Linalg operations on 1xCxSIZExSIZE tensors, as an ONNX import gives them."""

    def __init__(self, element: str) -> None:
        self.element = element
        self.lines: list[str] = []
        self.zero = "0" if element.startswith("i") else "0.0"

    def image(self, channels: int, size: int = SIZE, element: str | None = None) -> str:
        return tensor_type((1, channels, size, size), element or self.element)

    def add(self, line: str) -> str:
        name = f"%v{len(self.lines)}"
        self.lines.append(f"    {name} = {line}")
        return name

    def conv(self, operand: str, channels: int, out: int, seed: int, element: str = "") -> str:
        weight = self.add(
            f"arith.constant {_constant(seed, (out, channels, 1, 1), element or self.element)}"
        )
        init = self.add(f"arith.constant dense<{self.zero}> : {self.image(out)}")
        return self.add(
            "linalg.conv_2d_nchw_fchw {dilations = dense<1> : tensor<2xi64>, strides = dense<1> :"
            f" tensor<2xi64>}} ins({operand}, {weight} : "
            f"{self.image(channels, element=element or None)}, "
            f"{tensor_type((out, channels, 1, 1), element or self.element)}) "
            f"outs({init} : {self.image(out)}) -> {self.image(out)}"
        )

    def elementwise(self, body: str, *operands: str) -> str:
        kind = self.image(CHANNELS)
        identity = "affine_map<(a, b, c, d) -> (a, b, c, d)>"
        arguments = ", ".join(f"%x{i}: {self.element}" for i in range(len(operands)))
        empty = self.add(f"tensor.empty() : {kind}")
        return self.add(
            f"linalg.generic {{indexing_maps = [{', '.join([identity] * (len(operands) + 1))}], "
            'iterator_types = ["parallel", "parallel", "parallel", "parallel"]} '
            f"ins({', '.join(operands)} : {', '.join([kind] * len(operands))}) "
            f"outs({empty} : {kind}) {{\n    ^bb0({arguments}, %o: {self.element}):\n"
            f"      %y = {body} : {self.element}\n      linalg.yield %y : {self.element}\n"
            f"    }} -> {kind}"
        )

    def depthwise(self, operand: str, seed: int) -> str:
        padded = self.add(
            f"tensor.pad {operand} low[0, 0, 1, 1] high[0, 0, 1, 1] {{\n"
            "    ^bb0(%i0: index, %i1: index, %i2: index, %i3: index):\n"
            f"      tensor.yield %zero : {self.element}\n"
            f"    }} : {self.image(CHANNELS)} to {self.image(CHANNELS, SIZE + 2)}"
        )
        weight = self.add(f"arith.constant {_constant(seed, (CHANNELS, 3, 3), self.element)}")
        init = self.add(f"arith.constant dense<{self.zero}> : {self.image(CHANNELS)}")
        return self.add(
            "linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : tensor<2xi64>, strides = "
            f"dense<1> : tensor<2xi64>}} ins({padded}, {weight} : "
            f"{self.image(CHANNELS, SIZE + 2)}, {tensor_type((CHANNELS, 3, 3), self.element)}) "
            f"outs({init} : {self.image(CHANNELS)}) -> {self.image(CHANNELS)}"
        )

    def concat(self, *operands: str, element: str = "") -> str:
        kind = self.image(CHANNELS, element=element or None)
        whole = self.image(CHANNELS * len(operands), element=element or None)
        return self.add(
            f"tensor.concat dim(1) {', '.join(operands)} : "
            f"({', '.join([kind] * len(operands))}) -> {whole}"
        )


def _cell(element: str) -> str:
    """A sum of three, a depthwise convolution with several users, a concatenation; all kinds."""
    text = _Text(element)
    suffix = "i" if element.startswith("i") else "f"
    parts = [text.conv("%arg0", CHANNELS, CHANNELS, seed) for seed in (1, 2, 3)]
    total = parts[0]
    for part in parts[1:]:
        total = text.elementwise(f"arith.add{suffix} %x0, %x1", total, part)
    maximum = "maxsi" if suffix == "i" else "maximumf"
    active = text.elementwise(f"arith.{maximum} %x0, %zero", total)
    depthwise = text.depthwise(active, 4)
    both = text.elementwise(f"arith.add{suffix} %x0, %x1", depthwise, parts[0])
    whole = text.concat(depthwise, both)
    result = text.conv(whole, 2 * CHANNELS, 8, 5)
    return f"""
module {{
  func.func @main(%arg0: {text.image(CHANNELS)}) -> {text.image(8)} {{
    %zero = arith.constant {text.zero} : {element}
{chr(10).join(text.lines)}
    return {result} : {text.image(8)}
  }}
}}
"""


def _bottlenecks(element: str) -> str:
    """Depthwise convolutions of values computed for them alone: one consumed, one kept whole."""
    text = _Text(element)
    suffix = "i" if element.startswith("i") else "f"

    def expanded(seed: int) -> str:
        wide = text.conv("%arg0", CHANNELS, CHANNELS, seed)
        moved = text.elementwise(f"arith.sub{suffix} %x0, %one", wide)
        active = text.elementwise(f"arith.add{suffix} %x0, %x1", wide, moved)
        return text.depthwise(active, seed + 1)

    consumed = text.conv(expanded(1), CHANNELS, 8, 3)
    kept = expanded(4)
    return f"""
module {{
  func.func @main(%arg0: {text.image(CHANNELS)}) -> ({text.image(8)}, {text.image(CHANNELS)}) {{
    %zero = arith.constant {text.zero} : {element}
    %one = arith.constant {text.zero.replace("0", "1", 1)} : {element}
{chr(10).join(text.lines)}
    return {consumed}, {kept} : {text.image(8)}, {text.image(CHANNELS)}
  }}
}}
"""


def _int8_concatenation() -> str:
    """An int8 convolution over a concatenation, with int32 accumulators."""
    text = _Text("i32")
    whole = text.concat("%arg0", "%arg1", "%arg2", element="i8")
    result = text.conv(whole, 3 * CHANNELS, 8, 7, element="i8")
    argument = text.image(CHANNELS, element="i8")
    return f"""
module {{
  func.func @main(%arg0: {argument}, %arg1: {argument}, %arg2: {argument}) -> {text.image(8)} {{
{chr(10).join(text.lines)}
    return {result} : {text.image(8)}
  }}
}}
"""


def _checked(tmp_path, text: str):
    path = tmp_path / "cell.mlir"
    path.write_text(text)
    result = check(path, serenity=SerenityOptions(rewrite="always"), seed=3)
    kinds = {site["kind"] for site in result.report["rewrites"]}
    kinds |= {site["kind"] for f in result.report["functions"] for site in f.get("rewrites", [])}
    (found,) = result.functions
    return kinds, found


#: The programs, and the kinds of rewrites that each is there for.
PROGRAMS = [
    (_cell, {"channel-wise", "sum", "overwrite"}),
    (_bottlenecks, {"stream", "kernel-wise stream"}),
]


@pytest.mark.parametrize(("program", "expected"), PROGRAMS)
@pytest.mark.parametrize("element", sorted(TOLERANCE))
def test_floats_stay_within_rounding(element, program, expected, tmp_path):
    kinds, found = _checked(tmp_path, program(element))
    assert kinds >= expected
    scale = max(float(np.abs(np.asarray(o, np.float64)).max()) for o in found.serenity.outputs)
    assert found.difference.problem is None
    assert found.difference.largest <= TOLERANCE[element] * scale
    assert found.serenity.transient_peak_bytes <= found.stock.transient_peak_bytes


@pytest.mark.parametrize(("program", "expected"), PROGRAMS)
def test_integers_are_equal_bit_by_bit(program, expected, tmp_path):
    kinds, found = _checked(tmp_path, program("i32"))
    assert kinds >= expected
    assert found.difference.bitwise
    assert found.disagreements == ()


def test_int8_accumulated_in_int32_is_equal_bit_by_bit(tmp_path):
    kinds, found = _checked(tmp_path, _int8_concatenation())
    assert kinds == {"channel-wise"}
    assert found.difference.bitwise
    assert found.disagreements == ()

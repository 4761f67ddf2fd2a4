# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Emitters of quantised arithmetic: 8-bit storage with a scale and a zero point.

`style` ``affine`` writes the operations that ONNX's QuantizeLinear and DequantizeLinear are
imported as, where the compiler has them (IREE 3.13 on); ``explicit`` writes their arithmetic.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from serenity_mlir._versions import iree_version
from serenity_mlir.fuzzing.printing import Printer, affine_map_text, identity_map
from serenity_mlir.fuzzing.program import Operation

__all__ = ["dequantise", "quantise", "requantise"]

#: Range of the storage.
LOW, HIGH = -128, 127


@functools.cache
def _has_affine_operations() -> bool:
    """Whether the installed compiler has iree_linalg_ext.quantize_affine."""
    version = iree_version()
    if version is None:
        return True
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) >= (3, 13)


def _affine(p: Printer, op: Operation, name: str) -> None:
    source, of = op.operands[0], op.results[0].type
    zero_point = op.attributes["zero_point"]
    names, types = [p.constant(op.attributes["scale"], "f32")], ["f32"]
    if zero_point:
        names.append(p.constant(zero_point, "i8"))
        types.append("i8")
    scalar, whole = affine_map_text(of.rank, []), identity_map(of.rank)
    maps = ", ".join([whole, *[scalar] * len(names), whole])
    empty = p.empty(of)
    p.result(
        op,
        f"iree_linalg_ext.{name} <indexing_maps = [{maps}], quant_min = {LOW}, "
        f"quant_max = {HIGH}> ins({', '.join([p.names[source], *names])} : "
        f"{', '.join([str(source.type), *types])}) outs({empty} : {of}) -> {of}",
    )


def _mapped(p: Printer, op: Operation, body: Callable[[list[str]], str]) -> None:
    of = op.results[0].type
    maps = [identity_map(of.rank)] * (len(op.operands) + 1)
    empty = p.empty(of)
    p.generic(op, maps, ["parallel"] * of.rank, op.operands, [empty], lambda names: [body(names)])


def _rounded_to_storage(p: Printer, value: str, zero_point: int) -> str:
    """Write the rounding, the zero point and the clamp of an f32; return the name of the i8."""
    value = p.define(f"math.roundeven {value} : f32")
    if zero_point:
        value = p.define(f"arith.addf {value}, {p.constant(zero_point, 'f32')} : f32")
    value = p.define(f"arith.maximumf {value}, {p.constant(LOW, 'f32')} : f32")
    value = p.define(f"arith.minimumf {value}, {p.constant(HIGH, 'f32')} : f32")
    return p.define(f"arith.fptosi {value} : f32 to i8")


def quantise(p: Printer, op: Operation) -> None:
    """f32 to i8: round(x / scale) + zero point, clamped."""
    if op.attributes["style"] == "affine" and _has_affine_operations():
        _affine(p, op, "quantize_affine")
        return

    def body(names: list[str]) -> str:
        scale = p.constant(op.attributes["scale"], "f32")
        value = p.define(f"arith.divf {names[0]}, {scale} : f32")
        return _rounded_to_storage(p, value, op.attributes["zero_point"])

    _mapped(p, op, body)


def dequantise(p: Printer, op: Operation) -> None:
    """i8 to f32: (q - zero point) * scale."""
    if op.attributes["style"] == "affine" and _has_affine_operations():
        _affine(p, op, "dequantize_affine")
        return

    def body(names: list[str]) -> str:
        value = p.define(f"arith.extsi {names[0]} : i8 to i32")
        if op.attributes["zero_point"]:
            zero_point = p.constant(op.attributes["zero_point"], "i32")
            value = p.define(f"arith.subi {value}, {zero_point} : i32")
        value = p.define(f"arith.sitofp {value} : i32 to f32")
        return p.define(f"arith.mulf {value}, {p.constant(op.attributes['scale'], 'f32')} : f32")

    _mapped(p, op, body)


def requantise(p: Printer, op: Operation) -> None:
    """The sum of i8 or i32 operands, scaled and clamped to i8.

    ``float`` multiplies by `scale` and rounds to even; ``integer`` multiplies by
    round(scale * 2**15) in 64 bits, rounds half up and shifts.
    """
    zero_point = op.attributes["zero_point"]

    def body(names: list[str]) -> str:
        wide = "f32" if op.attributes["style"] == "float" else "i64"
        terms = []
        for name, value in zip(names, op.operands, strict=False):
            if value.type.element != "i32":
                name = p.define(f"arith.extsi {name} : {value.type.element} to i32")
            terms.append(name)
        total = terms[0]
        for term in terms[1:]:
            total = p.define(f"arith.addi {total}, {term} : i32")
        if wide == "f32":
            total = p.define(f"arith.sitofp {total} : i32 to f32")
            total = p.define(
                f"arith.mulf {total}, {p.constant(op.attributes['scale'], wide)} : f32"
            )
            return _rounded_to_storage(p, total, zero_point)
        total = p.define(f"arith.extsi {total} : i32 to i64")
        factor = p.constant(round(op.attributes["scale"] * 2**15), wide)
        total = p.define(f"arith.muli {total}, {factor} : i64")
        total = p.define(f"arith.addi {total}, {p.constant(2**14, wide)} : i64")
        total = p.define(f"arith.shrsi {total}, {p.constant(15, wide)} : i64")
        if zero_point:
            total = p.define(f"arith.addi {total}, {p.constant(zero_point, wide)} : i64")
        total = p.define(f"arith.maxsi {total}, {p.constant(LOW, wide)} : i64")
        total = p.define(f"arith.minsi {total}, {p.constant(HIGH, wide)} : i64")
        return p.define(f"arith.trunci {total} : i64 to i8")

    _mapped(p, op, body)

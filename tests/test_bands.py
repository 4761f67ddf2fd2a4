# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Segments in bands of rows: bitwise equal results, and the bytes that the graph predicts."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driver_support import TARGET
from models import tensor_type, weights

from serenity_mlir import measure
from serenity_mlir.compiling.compiler import SerenityOptions, compile_str
from serenity_mlir.measuring.checking import check
from serenity_mlir.reports.reporting import load_report, parse_report

SIZE = 32


@dataclass
class Chain:
    """Text of a chain of layers on images, channels first or last."""

    channels_last: bool = False
    element: str = "f32"

    def __post_init__(self) -> None:
        self.text: list[str] = []
        self.count = 0

    def add(self, line: str) -> str:
        self.count += 1
        self.text.append(f"  %v{self.count} = {line}")
        return f"%v{self.count}"

    def image(self, c: int, h: int, w: int) -> str:
        return tensor_type((1, h, w, c) if self.channels_last else (1, c, h, w), self.element)

    def constant(self, shape: tuple[int, ...]) -> str:
        if self.element == "f32":
            return self.add(f"arith.constant {weights(self.count, shape)}")
        values = np.random.default_rng(self.count).integers(-3, 4, shape, dtype=np.int32)
        data = values.tobytes().hex().upper()
        return self.add(f'arith.constant dense<"0x{data}"> : {tensor_type(shape, "i32")}')

    def pad(self, x: str, c: int, h: int, w: int, low: int, high: int) -> str:
        def extents(n: int) -> str:
            return f"0, {n}, {n}, 0" if self.channels_last else f"0, 0, {n}, {n}"

        return self.add(
            f"tensor.pad {x} low[{extents(low)}] high[{extents(high)}] {{\n"
            f"  ^bb0(%i: index, %j: index, %k: index, %l: index):\n"
            f"    tensor.yield %zero : {self.element}\n"
            f"  }} : {self.image(c, h, w)} to {self.image(c, h + low + high, w + low + high)}"
        )

    def window(self, kind: str, x: str, c: int, out: int, h: int, w: int, **a: int) -> str:
        """A convolution, depthwise convolution or maximum pool of an h x w image."""
        k, s, d = a.get("k", 3), a.get("s", 1), a.get("d", 1)
        h2, w2 = (h - (k - 1) * d - 1) // s + 1, (w - (k - 1) * d - 1) // s + 1
        last = self.channels_last
        name, shape = {
            "conv": ("conv_2d_nhwc_hwcf", (k, k, c, out))
            if last
            else ("conv_2d_nchw_fchw", (out, c, k, k)),
            "depthwise": ("depthwise_conv_2d_nhwc_hwc", (k, k, c))
            if last
            else ("depthwise_conv_2d_nchw_chw", (c, k, k)),
            "pool": ("pooling_nhwc_max" if last else "pooling_nchw_max", (k, k)),
            "sum": ("pooling_nhwc_sum" if last else "pooling_nchw_sum", (k, k)),
        }[kind]
        kernel = (
            self.add(f"tensor.empty() : {tensor_type(shape, self.element)}")
            if kind in ("pool", "sum")
            else self.constant(shape)
        )
        result = self.image(out, h2, w2)
        empty = self.add(f"tensor.empty() : {result}")
        zero = self.add(
            f"linalg.fill ins(%zero : {self.element}) outs({empty} : {result}) -> {result}"
        )
        return self.add(
            f"linalg.{name} {{dilations = dense<{d}> : tensor<2xi64>, "
            f"strides = dense<{s}> : tensor<2xi64>}} ins({x}, {kernel} : {self.image(c, h, w)}, "
            f"{tensor_type(shape, self.element)}) outs({zero} : {result}) -> {result}"
        )

    def elementwise(self, operands: list[str], c: int, h: int, w: int) -> str:
        """max(the sum of the operands, 0)."""
        t, e = self.image(c, h, w), self.element
        suffix = "f" if e == "f32" else "i"
        empty = self.add(f"tensor.empty() : {t}")
        maps = ", ".join(["#id"] * (len(operands) + 1))
        arguments = "".join(f"%a{i}: {e}, " for i in range(len(operands)))
        body = [f"    %s0 = arith.maximumf %a0, %zero : {e}"]
        if e == "i32":
            body = ["    %s0 = arith.maxsi %a0, %zero : i32"]
        body += [
            f"    %s{i} = arith.add{suffix} %s{i - 1}, %a{i} : {e}" for i in range(1, len(operands))
        ]
        return self.add(
            f"linalg.generic {{indexing_maps = [{maps}], iterator_types = "
            f'["parallel", "parallel", "parallel", "parallel"]}} ins({", ".join(operands)} : '
            f"{', '.join([t] * len(operands))}) outs({empty} : {t}) {{\n"
            f"  ^bb0({arguments}%out: {e}):\n"
            + "\n".join(body)
            + f"\n    linalg.yield %s{len(operands) - 1} : {e}\n  }} -> {t}"
        )

    def gated(self, x: str, gate: str, c: int, h: int, w: int) -> str:
        """The product of every channel and its own factor, of integers."""
        t = self.image(c, h, w)
        empty = self.add(f"tensor.empty() : {t}")
        channel = "(a, 0, 0, d)" if self.channels_last else "(a, b, 0, 0)"
        return self.add(
            f"linalg.generic {{indexing_maps = [#id, affine_map<(a, b, c, d) -> {channel}>, #id], "
            f'iterator_types = ["parallel", "parallel", "parallel", "parallel"]}} '
            f"ins({x}, {gate} : {t}, {self.image(c, 1, 1)}) outs({empty} : {t}) {{\n"
            f"  ^bb0(%a: i32, %b: i32, %out: i32):\n"
            f"    %p = arith.muli %a, %b : i32\n"
            f"    linalg.yield %p : i32\n  }} -> {t}"
        )

    def plus_row(self, x: str, c: int, h: int, w: int) -> str:
        """The index of its row added to every element."""
        return self._with_row(
            x,
            self.image(c, h, w),
            "%number = arith.index_cast %row : index to i32\n"
            "    %f = arith.sitofp %number : i32 to f32",
        )

    def plus_read_by_row(self, x: str, c: int, h: int, w: int) -> str:
        """What a table has at the index of its row, added to every element: not in bands."""
        table = self.add(f"arith.constant dense<{[float(i) for i in range(h)]}> : tensor<{h}xf32>")
        return self._with_row(
            x, self.image(c, h, w), f"%f = tensor.extract {table}[%row] : tensor<{h}xf32>"
        )

    def _with_row(self, x: str, t: str, factor: str) -> str:
        empty = self.add(f"tensor.empty() : {t}")
        return self.add(
            f'linalg.generic {{indexing_maps = [#id, #id], iterator_types = ["parallel", '
            f'"parallel", "parallel", "parallel"]}} ins({x} : {t}) outs({empty} : {t}) {{\n'
            f"  ^bb0(%a: f32, %out: f32):\n"
            f"    %row = linalg.index {1 if self.channels_last else 2} : index\n"
            f"    {factor}\n"
            f"    %s = arith.addf %a, %f : f32\n"
            f"    linalg.yield %s : f32\n  }} -> {t}"
        )

    def doubled(self, x: str, c: int, out: int, h: int, w: int) -> str:
        """A transposed convolution of stride and window two, as importers write it."""
        spread = self.image(c, 2 * h + 1, 2 * w + 1)
        empty = self.add(f"tensor.empty() : {spread}")
        zeros = self.add(
            f"linalg.fill ins(%zero : {self.element}) outs({empty} : {spread}) -> {spread}"
        )

        def each(image: int, channels: int) -> str:
            extents = [image, image, channels] if self.channels_last else [channels, image, image]
            return ", ".join(map(str, [1 if channels else 0, *extents]))

        sizes = f"1, {h}, {w}, {c}" if self.channels_last else f"1, {c}, {h}, {w}"
        made = self.add(
            f"tensor.insert_slice {x} into {zeros}[{each(1, 0)}] [{sizes}] [{each(2, 1)}] : "
            f"{self.image(c, h, w)} into {spread}"
        )
        return self.window("conv", made, c, out, 2 * h + 1, 2 * w + 1, k=2)

    def concat(self, x: str, c: int, y: str, d: int, h: int, w: int) -> str:
        """Channels of `x` and of `y`."""
        return self.add(
            f"tensor.concat dim({3 if self.channels_last else 1}) {x}, {y} : "
            f"({self.image(c, h, w)}, {self.image(d, h, w)}) -> {self.image(c + d, h, w)}"
        )

    def module(self, result: str, argument: str, out: str) -> str:
        zero = "0.0" if self.element == "f32" else "0"
        body = "\n".join(self.text)
        return f"""#id = affine_map<(a, b, c, d) -> (a, b, c, d)>
func.func @main(%x: {argument}) -> {out} {{
  %zero = arith.constant {zero} : {self.element}
{body}
  return {result} : {out}
}}
"""


def two_convolutions(channels_last: bool = False, element: str = "f32") -> str:
    """4 -> 8 -> 4 channels of 32 x 32, 3 x 3 convolutions with a maximum behind each."""
    n = Chain(channels_last, element)
    a = n.window("conv", n.pad("%x", 4, SIZE, SIZE, 1, 1), 4, 8, SIZE + 2, SIZE + 2)
    a = n.elementwise([a], 8, SIZE, SIZE)
    b = n.window("conv", n.pad(a, 8, SIZE, SIZE, 1, 1), 8, 4, SIZE + 2, SIZE + 2)
    b = n.elementwise([b], 4, SIZE, SIZE)
    return n.module(b, n.image(4, SIZE, SIZE), n.image(4, SIZE, SIZE))


def strides_and_dilation(channels_last: bool = False) -> str:
    """A stride of 2, a dilation of 2, a pool, unequal pads; 33 rows become 17, 17 and 8."""
    n = Chain(channels_last)
    a = n.window("conv", n.pad("%x", 3, 33, 33, 1, 1), 3, 8, 35, 35, s=2)
    a = n.elementwise([a], 8, 17, 17)
    a = n.window("depthwise", n.pad(a, 8, 17, 17, 2, 2), 8, 8, 21, 21, d=2)
    a = n.elementwise([a], 8, 17, 17)
    b = n.window("pool", a, 8, 8, 17, 17, k=2, s=2)
    b = n.window("conv", b, 8, 4, 8, 8, k=1)
    return n.module(b, n.image(3, 33, 33), n.image(4, 8, 8))


def residual(channels_last: bool = False) -> str:
    """A sum of a branch with a window and one without, inside of the segment."""
    n = Chain(channels_last)
    a = n.window("conv", n.pad("%x", 3, 19, 19, 1, 1), 3, 8, 21, 21)
    a = n.elementwise([a], 8, 19, 19)
    b = n.window("depthwise", n.pad(a, 8, 19, 19, 1, 1), 8, 8, 21, 21)
    b = n.elementwise([b, a], 8, 19, 19)
    c = n.window("conv", n.pad(b, 8, 19, 19, 0, 1), 8, 4, 20, 20, k=2)
    return n.module(c, n.image(3, 19, 19), n.image(4, 19, 19))


def numbered_rows(channels_last: bool) -> str:
    """Convolutions with a body between that computes with the index of the row."""
    n = Chain(channels_last)
    a = n.window("conv", n.pad("%x", 3, 18, 18, 1, 1), 3, 8, 20, 20)
    a = n.plus_row(a, 8, 18, 18)
    b = n.window("conv", n.pad(a, 8, 18, 18, 1, 1), 8, 4, 20, 20)
    return n.module(b, n.image(3, 18, 18), n.image(4, 18, 18))


def pooled(channels_last: bool) -> str:
    """The sum of every channel of a convolution, in integers: exact in any order."""
    n = Chain(channels_last, "i32")
    a = n.window("conv", n.pad("%x", 4, 20, 20, 1, 1), 4, 8, 22, 22)
    a = n.elementwise([a], 8, 20, 20)
    b = n.window("sum", a, 8, 8, 20, 20, k=20)
    return n.module(b, n.image(4, 20, 20), n.image(8, 1, 1))


def level(channels_last: bool) -> str:
    """A level of a U-Net: what waits for the concatenation can be computed again there."""
    n = Chain(channels_last)
    a = n.window("conv", n.pad("%x", 3, 16, 16, 1, 1), 3, 8, 18, 18)
    a = n.elementwise([a], 8, 16, 16)
    b = n.window("pool", a, 8, 8, 16, 16, k=2, s=2)
    b = n.plus_read_by_row(n.window("conv", b, 8, 8, 8, 8, k=1), 8, 8, 8)
    c = n.concat(a, 8, n.doubled(b, 8, 4, 8, 8), 4, 16, 16)
    d = n.window("conv", n.pad(c, 12, 16, 16, 1, 1), 12, 4, 18, 18)
    return n.module(d, n.image(3, 16, 16), n.image(4, 16, 16))


def scaled(channels_last: bool) -> str:
    """Squeeze-and-excitation of integers: a pool reads a value, and so does the product behind."""
    n = Chain(channels_last, "i32")
    a = n.window("conv", n.pad("%x", 3, 16, 16, 1, 1), 3, 8, 18, 18)
    a = n.elementwise([a], 8, 16, 16)
    gate = n.window("sum", a, 8, 8, 16, 16, k=16)
    gate = n.elementwise([n.window("conv", gate, 8, 8, 1, 1, k=1)], 8, 1, 1)
    b = n.window("conv", n.gated(a, gate, 8, 16, 16), 8, 4, 16, 16, k=1)
    return n.module(b, n.image(3, 16, 16), n.image(4, 16, 16))


def in_bands(text: str, bands: int, rewrite: str = "off") -> tuple[str, str]:
    """The module after preprocessing, and the same in bands of rows."""
    from serenity_mlir._native import native_tool

    tool = os.environ.get("SERENITY_OPT") or native_tool("serenity-opt")
    whole = compile_str(text, serenity=None, extra_args=[*TARGET, "--compile-to=preprocessing"])
    assert whole is not None
    pipeline = (
        f"builtin.module(serenity-rewrite{{rewrite={rewrite} bands={bands} max-recompute=4}})"
    )
    banded = subprocess.run(
        [tool, f"--pass-pipeline={pipeline}"], input=whole, capture_output=True, check=True
    ).stdout
    return whole.decode(), banded.decode()


def outputs(text: str, argument: Any, **options: Any) -> list[Any]:
    flags = [*TARGET, "--compile-from=preprocessing"]
    vmfb = compile_str(text, extra_args=flags, **options)
    assert vmfb is not None
    return list(measure(vmfb, [argument]).outputs)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    ("network", "shape", "bands"),
    [
        (two_convolutions, (4, SIZE, SIZE), 3),  # 11, 11 and 10 rows
        (strides_and_dilation, (3, 33, 33), 4),
        (residual, (3, 19, 19), 5),  # 4, 4, 4, 4 and 3 rows
        (numbered_rows, (3, 18, 18), 3),
    ],
)
def test_bands_are_bitwise_equal(
    network: Any, shape: tuple[int, ...], bands: int, channels_last: bool
) -> None:
    whole, banded = in_bands(network(channels_last), bands)
    # One for each band; the other insertions of the module are none.
    assert banded.count("tensor.insert_slice") == bands
    assert whole.count("tensor.insert_slice") == 0
    c, h, w = shape
    x = np.random.default_rng(0).standard_normal((1, h, w, c) if channels_last else (1, c, h, w))
    argument = x.astype(np.float32)
    (expected,) = outputs(whole, argument, serenity=None)
    (given,) = outputs(banded, argument, serenity=SerenityOptions(rewrite="off"))
    assert np.array_equal(expected, given)


@pytest.mark.parametrize("channels_last", [False, True])
def test_waiting_values_are_computed_again(channels_last: bool) -> None:
    whole, banded = in_bands(level(channels_last), 1)
    made = re.compile(rf"linalg\.conv.*-> {Chain(channels_last).image(8, 16, 16)}")
    assert made.search(whole)
    assert not made.search(banded)
    shape = (1, 16, 16, 3) if channels_last else (1, 3, 16, 16)
    argument = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    (expected,) = outputs(whole, argument, serenity=None)
    (given,) = outputs(banded, argument, serenity=SerenityOptions(rewrite="off"))
    assert np.array_equal(expected, given)


@pytest.mark.parametrize("channels_last", [False, True])
def test_squeeze_and_excitation_is_computed_in_two_segments(channels_last: bool) -> None:
    whole, banded = in_bands(scaled(channels_last), 1, rewrite="auto")
    made = re.compile(rf"linalg\.conv.*-> {Chain(channels_last, 'i32').image(8, 16, 16)}")
    assert made.search(whole)
    assert not made.search(banded)
    shape = (1, 16, 16, 3) if channels_last else (1, 3, 16, 16)
    argument = np.random.default_rng(0).integers(-9, 10, shape, dtype=np.int32)
    (expected,) = outputs(whole, argument, serenity=None)
    (given,) = outputs(banded, argument, serenity=SerenityOptions(rewrite="off"))
    assert np.array_equal(expected, given)


@pytest.mark.parametrize("channels_last", [False, True])
def test_global_pools_add_band_by_band(channels_last: bool) -> None:
    whole, banded = in_bands(pooled(channels_last), 3, rewrite="auto")
    # 7, 7 and 6 rows are made and added; none is put into a whole tensor.
    assert banded.count("linalg.pooling") == 3
    assert "tensor.insert_slice" not in banded
    shape = (1, 20, 20, 4) if channels_last else (1, 4, 20, 20)
    argument = np.random.default_rng(0).integers(-9, 10, shape, dtype=np.int32)
    (expected,) = outputs(whole, argument, serenity=None)
    (given,) = outputs(banded, argument, serenity=SerenityOptions(rewrite="off"))
    assert np.array_equal(expected, given)


def test_peak_of_two_bands(tmp_path: Path) -> None:
    """Bytes by hand, rounded up to 64: a band is 16 rows of the result.

    These need 17 rows of the value between, which has a padding row and column at its border: 18
    rows of 34 columns of 8 channels, 19,584 bytes. They need 18 rows of the argument, padded to 19
    of 34 columns of 4 channels: 10,336, so 10,368 bytes. The first convolution has both: 29,952.
    The second has the former and 16 rows of 32 columns of 4 channels: 27,776. As a whole the
    first has 34 x 34 x 4 and 34 x 34 x 8 elements: 55,488 bytes.
    """
    whole, banded = in_bands(two_convolutions(), 2)
    peaks = []
    for name, text in ("whole", whole), ("banded", banded):
        report = tmp_path / f"{name}.json"
        # In place and fusion are not varied: the modules are compiled as they are.
        compile_str(
            text,
            extra_args=[*TARGET, "--compile-from=preprocessing", "--compile-to=stream"],
            serenity=SerenityOptions(rewrite="off", report=report),
        )
        (function,) = load_report(report).called
        peaks.append(function.transient_peak_bytes)
    assert peaks == [55488, 29952]


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A chain of integers, for which no rewrite changes a bit, through the driver."""
    model = tmp_path_factory.mktemp("integers") / "chain.mlir"
    model.write_text(two_convolutions(element="i32"), encoding="utf-8")
    result = check(model)
    return result, parse_report(result.report)


def test_the_driver_takes_bands(integers: tuple[Any, Any]) -> None:
    result, report = integers
    assert result.ok
    assert [function.difference.bitwise for function in result.functions] == [True]
    (function,) = report.called
    rewrites = [r for r in function.rewrites if r.kind == "band"]
    assert rewrites
    assert all(r.parts >= 2 and r.bytes_after < r.bytes_before for r in rewrites)
    # Less than the least of two bands that is derived above.
    peak = function.transient_peak_bytes
    assert peak is not None and peak < 29952
    (chosen,) = [c for c in function.candidates if c.chosen]
    assert all(band.count >= 2 for band in chosen.bands) and chosen.bands


def test_no_extra_work_no_halo(tmp_path: Path) -> None:
    """Without a row computed twice, windows that overlap end segments."""
    peaks, banded = [], []
    for share in 0.0, 0.15, 1.0:
        report = tmp_path / f"{share}.json"
        compile_str(
            two_convolutions(element="i32"),
            extra_args=[*TARGET, "--compile-to=stream"],
            serenity=SerenityOptions(report=report, max_recompute=share),
        )
        (function,) = load_report(report).called
        peaks.append(function.transient_peak_bytes)
        banded.append(any(r.kind == "band" for r in function.rewrites))
    none, some, much = peaks
    assert none is not None and some is not None and much is not None
    assert none > some >= much
    assert banded == [False, True, True]


def test_off_leaves_bands_out(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    compile_str(
        two_convolutions(),
        extra_args=[*TARGET, "--compile-to=stream"],
        serenity=SerenityOptions(report=report, rewrite="off"),
    )
    (function,) = load_report(report).called
    assert not function.rewrites
    assert function.candidates
    assert not any(candidate.bands for candidate in function.candidates)

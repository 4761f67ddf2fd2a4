# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`serenity check` fails for modules that are wrong by little.

Where sums were rewritten, outputs may differ within a tolerance that follows from the stock
module's own sensitivity. Each test compares the stock module with one in which a single weight or a
single offset is wrong, under the report that allows rounding.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driver_support import TARGET

from serenity_mlir.compiling.compiler import SerenityOptions, compile_file
from serenity_mlir.measuring import checking
from serenity_mlir.measuring.checking import CheckResult, check

pytestmark = pytest.mark.one_release

SQUARE = "tensor<16x16xf32>"
ALWAYS = SerenityOptions(rewrite="always")

Weights = list[np.ndarray]


def weights() -> Weights:
    rng = np.random.default_rng(0)
    return [(0.3 * rng.standard_normal(shape)) for shape in ((16, 16),) * 3 + ((32, 16),)]


def dense(array: np.ndarray) -> str:
    rows = ", ".join("[" + ", ".join(f"{value:.6f}" for value in row) + "]" for row in array)
    return f"arith.constant dense<[{rows}]>"


def module(values: Weights, steep: bool) -> str:
    """Two products, concatenated and multiplied again; their square times a third one.

    The product of the concatenation is split into one per part, so that sums change order. With
    `steep`, the results are exponentials, whose relative errors are absolute ones of the exponents.
    """
    last = (
        f"%s = arith.constant dense<-20.0> : {SQUARE}\n"
        f"  %t = arith.addf %d, %s : {SQUARE}\n  %y = math.exp %t : {SQUARE}"
        if steep
        else f"%y = arith.mulf %d, %d : {SQUARE}"
    )

    def product(name: str, left: str, right: str) -> str:
        types = f"{SQUARE}, {SQUARE}"
        return (
            f"%{name} = linalg.matmul ins({left}, {right} : {types}) outs(%z : {SQUARE}) -> "
            f"{SQUARE}"
        )

    return f"""func.func @main(%x: {SQUARE}) -> {SQUARE} {{
  %zero = arith.constant 0.0 : f32
  %w1 = {dense(values[0])} : {SQUARE}
  %w2 = {dense(values[1])} : {SQUARE}
  %w3 = {dense(values[2])} : {SQUARE}
  %w4 = {dense(values[3])} : tensor<32x16xf32>
  %e = tensor.empty() : {SQUARE}
  %z = linalg.fill ins(%zero : f32) outs(%e : {SQUARE}) -> {SQUARE}
  {product("a0", "%x", "%w1")}
  %a = math.tanh %a0 : {SQUARE}
  {product("b0", "%x", "%w2")}
  %b = math.tanh %b0 : {SQUARE}
  {product("r0", "%x", "%w3")}
  %r = math.tanh %r0 : {SQUARE}
  %c = tensor.concat dim(1) %a, %b : ({SQUARE}, {SQUARE}) -> tensor<16x32xf32>
  %d0 = linalg.matmul ins(%c, %w4 : tensor<16x32xf32>, tensor<32x16xf32>)
      outs(%z : {SQUARE}) -> {SQUARE}
  %d1 = arith.mulf %d0, %d0 : {SQUARE}
  {product("d", "%d1", "%r")}
  {last}
  return %y : {SQUARE}
}}
"""


def one_weight_larger(values: Weights) -> Weights:
    """One weight of 1,280 is larger by a hundredth."""
    values[3][20, 5] *= 1.01
    return values


def two_weights_exchanged(values: Weights) -> Weights:
    values[0][[2, 3], 7] = values[0][[3, 2], 7]
    return values


def nothing_changed(values: Weights) -> Weights:
    return values


class Compiler:
    """Takes the place of `checking.compile_model`: our module comes from another source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.real = checking.compile_model
        self.change: Callable[[Weights], Weights] = nothing_changed
        self.shift = False
        self.steep = False

    def __call__(
        self, path: Path, output: Path, flags: Sequence[str], serenity: SerenityOptions | None
    ) -> dict[str, Any]:
        if serenity is None:
            kept = self.folder / f"stock{self.steep}.vmfb"
            if not kept.exists():
                self.real(path, kept, flags, None)
            shutil.copy(kept, output)
            return {}
        changed = output.with_suffix(".mlir")
        changed.write_text(module(self.change(weights()), self.steep))
        if not self.shift:
            return self.real(changed, output, flags, serenity)
        stream = output.with_suffix(".stream.mlir")
        report = self.real(changed, stream, [*flags, "--compile-to=stream"], serenity)
        stream.write_text(with_wrong_offset(stream.read_text()))
        compile_file(
            stream,
            output_file=str(output),
            extra_args=[*flags, "--compile-from=stream"],
            serenity=None,
        )
        return report


def with_wrong_offset(text: str) -> str:
    """Let the last product read its right operand where the left one lies, 1,024 bytes before."""
    lines = text.splitlines()
    places = [
        number
        for number, line in enumerate(lines)
        if "stream.binding.subspan" in line and "[%c1024]" in line and "<readonly:" in line
    ]
    lines[places[-1]] = lines[places[-1]].replace("[%c1024]", "[%c0]")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modules")


@pytest.fixture
def compiler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Compiler:
    found = Compiler(folder)
    monkeypatch.setattr(checking, "compile_model", found)
    return found


def run(compiler: Compiler, folder: Path) -> CheckResult:
    path = folder / "model.mlir"
    path.write_text(module(weights(), compiler.steep))
    result = check(path, flags=TARGET, serenity=ALWAYS)
    (function,) = result.functions
    assert function.prediction is not None and function.prediction.rewritten
    assert function.serenity.transient_peak_bytes < function.stock.transient_peak_bytes
    return result


@pytest.mark.parametrize("steep", [False, True])
def test_the_right_module_passes(compiler: Compiler, folder: Path, steep: bool) -> None:
    compiler.steep = steep
    assert run(compiler, folder).ok


@pytest.mark.parametrize("steep", [False, True])
@pytest.mark.parametrize("change", [one_weight_larger, two_weights_exchanged, "offset"])
def test_a_wrong_module_fails(
    compiler: Compiler, folder: Path, steep: bool, change: Callable[[Weights], Weights] | str
) -> None:
    compiler.steep = steep
    if callable(change):
        compiler.change = change
    else:
        compiler.shift = True
    result = run(compiler, folder)
    assert not result.ok
    (function,) = result.functions
    (problem,) = function.disagreements
    assert "beyond the tolerance for rewritten functions" in problem
    # Exponentials are judged by the change that the stock module itself shows.
    found = function.difference
    assert ("times the change of the stock module" in found.source) == steep
    assert found.largest > 5 * found.tolerance > 0

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The caller's own arena: its size is predicted, reported, budgeted, and enough to the byte."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from driver_support import TARGET, Compilers
from report_support import peaks_by_kind

from serenity_mlir.compiling.signatures import read_signatures
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.checking import check
from serenity_mlir.measuring.measurement import Arena, measure
from serenity_mlir.reports.reporting import load_report

EXTERNALIZE = "--iree-torch-externalize-transients"


def native(extent: str = "16") -> str:
    """Two wide branches; with a dynamic extent `?` or a static one. The arena comes first."""
    source = f"tensor<{extent}x8xf32>"
    wide = f"tensor<{extent}x64xf32>"
    size = "%n" if extent == "?" else ""
    lines = [
        f"func.func @main(%arena: !hal.buffer {{iree.abi.transients}}, %x: {source}) -> {source} {{"
    ]
    lines.append("  %i0 = arith.constant 0 : index")
    lines.append(f"  %n = tensor.dim %x, %i0 : {source}")
    lines.append("  %zero = arith.constant 0.0 : f32")
    for name, type_ in (("8", source), ("64", wide)):
        lines.append(f"  %e{name} = tensor.empty({size}) : {type_}")
        lines.append(
            f"  %z{name} = linalg.fill ins(%zero : f32) outs(%e{name} : {type_}) -> {type_}"
        )
    for i in (0, 1):
        lines.append(f"  %c{i} = arith.constant dense<0.{i + 1}> : tensor<8x64xf32>")
        lines.append(f"  %d{i} = arith.constant dense<0.{i + 1}> : tensor<64x8xf32>")
        lines.append(
            f"  %w{i} = linalg.matmul ins(%x, %c{i} : {source}, tensor<8x64xf32>)"
            f" outs(%z64 : {wide}) -> {wide}"
        )
        lines.append(
            f"  %n{i} = linalg.matmul ins(%w{i}, %d{i} : {wide}, tensor<64x8xf32>)"
            f" outs(%z8 : {source}) -> {source}"
        )
    lines.append(f"  %s = arith.addf %n0, %n1 : {source}")
    return "\n".join([*lines, f"  return %s : {source}", "}"])


def torch() -> str:
    """Two wide branches, as torch and ONNX models arrive."""

    def mm(left: str, right: str, result: str, shapes: tuple[str, str, str]) -> str:
        types = [f"!torch.vtensor<[{shape}],f32>" for shape in shapes]
        return (
            f"  %{result} = torch.aten.mm %{left}, %{right} : {types[0]}, {types[1]} -> {types[2]}"
        )

    up, down = ("16,8", "8,64", "16,64"), ("16,64", "64,8", "16,8")
    small = "!torch.vtensor<[16,8],f32>"
    arguments = f"%x: {small}, %v: !torch.vtensor<[8,64],f32>, %w: !torch.vtensor<[64,8],f32>"
    return "\n".join(
        [
            f"func.func @main({arguments}) -> {small} {{",
            "  %one = torch.constant.int 1",
            mm("x", "v", "a", up),
            mm("a", "w", "b", down),
            mm("b", "v", "c", up),
            mm("c", "w", "d", down),
            f"  %s = torch.aten.add.Tensor %b, %d, %one : {small}, {small}, !torch.int -> {small}",
            f"  return %s : {small}",
            "}",
        ]
    )


def compile_with_report(
    compilers: Compilers, directory: Path, text: str, *flags: str
) -> tuple[Path, dict[str, Any]]:
    source, output = directory / "model.mlir", directory / "model.vmfb"
    source.write_text(text)
    report = compilers.report(directory / "report.json", source, *TARGET, *flags, "-o", output)
    load_report(directory / "report.json")
    return output, report


@pytest.mark.parametrize(
    ("text", "flags", "position"), [(native(), (), 0), (torch(), (EXTERNALIZE,), 3)]
)
def test_check_holds(text: str, flags: tuple[str, ...], position: int, tmp_path: Path) -> None:
    source = tmp_path / "model.mlir"
    source.write_text(text)
    (signature,) = read_signatures(source, flags)
    assert [argument.arena for argument in signature.arguments].index(True) == position
    result = check(source, flags=[*TARGET, *flags], serenity_flags=["--serenity-rewrite=off"])
    assert result.ok, [f.disagreements for f in result.functions]
    (function,) = result.functions
    assert function.difference.bitwise and function.arguments[position] == "arena"
    (entry,) = (f for f in result.report["functions"] if not f["initializer"])
    arena = entry["caller_arena_bytes"]
    # The whole transient memory lies there, predicted by the slab and confirmed by the module.
    assert arena == entry["transient_peak_bytes"] == entry["regions"][0]["slab_bytes"] > 0
    assert [call.arena_bytes for call in function.serenity.calls] == [arena, arena]
    assert function.serenity.transient_peak_bytes == arena
    assert function.stock.call.arena_bytes == entry["stock_transient_peak_bytes"] >= arena


def test_ours_is_smaller_and_enough_to_the_byte(compilers: Compilers, tmp_path: Path) -> None:
    import numpy as np

    module, report = compile_with_report(compilers, tmp_path, native())
    (function,) = report["functions"]
    arena = function["caller_arena_bytes"]
    assert arena < function["stock_transient_peak_bytes"]
    x = np.ones((16, 8), np.float32)
    asked = measure(module, [Arena(), x])
    given = measure(module, [Arena(arena), x])
    larger = measure(module, [Arena(arena + 4096), x])
    assert asked.call == given.call and asked.call.arena_bytes == arena
    assert larger.call.arena_bytes == larger.transient_peak_bytes == arena + 4096
    assert asked.call.input_bytes == 16 * 8 * 4
    for run in (given, larger):
        np.testing.assert_array_equal(run.outputs[0], asked.outputs[0])
    with pytest.raises(SerenityError):
        measure(module, [Arena(arena - 1), x])


def test_a_module_without_an_arena_has_no_size(compilers: Compilers, tmp_path: Path) -> None:
    import numpy as np

    text = native().replace("%arena: !hal.buffer {iree.abi.transients}, ", "")
    module, report = compile_with_report(compilers, tmp_path, text)
    assert report["functions"][0]["caller_arena_bytes"] is None
    with pytest.raises(SerenityError, match="does not tell its size"):
        measure(module, [Arena(), np.ones((16, 8), np.float32)])


@pytest.mark.parametrize("extent", [1, 5])
def test_a_dynamic_size_is_asked_for(extent: int, compilers: Compilers, tmp_path: Path) -> None:
    import numpy as np

    module, report = compile_with_report(compilers, tmp_path, native("?"))
    (function,) = report["functions"]
    assert function["caller_arena_bytes"] is None and function["transient_peak_bytes"] is None
    run = measure(module, [Arena(), np.ones((extent, 8), np.float32)])
    assert run.call.arena_bytes == run.transient_peak_bytes >= extent * 64 * 4


def test_the_budget_counts_the_arena(compilers: Compilers, tmp_path: Path) -> None:
    _, free = compile_with_report(compilers, tmp_path, native())
    (function,) = free["functions"]
    peaks = peaks_by_kind(function)
    for budget, used in ((peaks["stock"], []), (peaks["serenity"], ["offsets", "order"])):
        flag = f"--serenity-memory-budget={budget}"
        _, report = compile_with_report(compilers, tmp_path, native(), flag)
        (function,) = report["functions"]
        assert (report["budget"]["met"], function["used"]) == (True, used)
        assert function["caller_arena_bytes"] == budget
    least = free["functions"][0]["caller_arena_bytes"]
    source, output = tmp_path / "model.mlir", tmp_path / "missed"
    flag = f"--serenity-memory-budget={least - 1}"
    run = compilers.ours(source, *TARGET, flag, "-o", output)
    assert run.code == 3 and not output.exists()
    assert f"exceeds its memory budget by 1 byte ({least} > {least - 1})" in run.err
    off = f"--serenity-memory-budget={peaks['stock'] - 1}"
    assert compilers.ours(source, *TARGET, "--serenity-schedule=off", off, "-o", output).code == 3


def test_the_stock_module_is_reported_too(compilers: Compilers, tmp_path: Path) -> None:
    module, report = compile_with_report(compilers, tmp_path, native(), "--serenity-schedule=off")
    assert module.read_bytes() == compilers.stock_output(tmp_path / "model.mlir", *TARGET)
    (function,) = report["functions"]
    assert function["caller_arena_bytes"] == function["stock_transient_peak_bytes"]
    assert json.loads((tmp_path / "report.json").read_text())["persistent_bytes"] == 0


def test_the_example(tmp_path: Path) -> None:
    script = REPOSITORY / "examples" / "arena.py"
    model = tmp_path / "model.mlir"
    model.write_text(torch())
    command = [sys.executable, str(script), str(model), "8704"]
    process = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    asked = re.search(r"the module asks for ([\d,]+) bytes", process.stdout)
    assert asked and int(asked.group(1).replace(",", "")) <= 8704
    assert process.stdout.count("largest difference to the stock compiler 0\n") == 3
    grown = re.search(r"allocated ([\d,]+) bytes; i/o has ([\d,]+)", process.stdout)
    assert grown and grown.group(1) == grown.group(2)

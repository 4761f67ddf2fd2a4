# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The memory budget: no more is done than is needed, and a miss names the cause."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from driver_support import TARGET, Compilers, slabs
from models import MODELS
from report_support import peaks_by_kind

from serenity_mlir.reports.reporting import RegionReport, load_report

pytestmark = pytest.mark.one_release

STREAM = (*TARGET, "--compile-to=stream")

#: Three branches of a matrix product each, narrowed and summed: the order is all there is to gain.
#: Stock runs the wide products first; ours needs one of them at a time.
BRANCHES = 3


def branches(name: str, rows: int) -> str:
    """A function with that many wide intermediates of `rows` x 64 floats."""
    lines = [f"func.func @{name}(%x: tensor<{rows}x8xf32>) -> tensor<{rows}x8xf32> {{"]
    lines.append("  %zero = arith.constant 0.0 : f32")
    for size in (8, 64):
        lines.append(f"  %e{size} = tensor.empty() : tensor<{rows}x{size}xf32>")
        lines.append(
            f"  %z{size} = linalg.fill ins(%zero : f32) outs(%e{size} : tensor<{rows}x{size}xf32>)"
            f" -> tensor<{rows}x{size}xf32>"
        )
    for i in range(BRANCHES):
        for k, n, source, result in ((8, 64, "x", f"w{i}"), (64, 8, f"w{i}", f"n{i}")):
            lines.append(f"  %c{result} = arith.constant dense<0.{i + 1}> : tensor<{k}x{n}xf32>")
            lines.append(
                f"  %{result} = linalg.matmul ins(%{source}, %c{result} : tensor<{rows}x{k}xf32>,"
                f" tensor<{k}x{n}xf32>) outs(%z{n} : tensor<{rows}x{n}xf32>)"
                f" -> tensor<{rows}x{n}xf32>"
            )
    total = "%n0"
    for i in range(1, BRANCHES):
        lines.append(f"  %s{i} = arith.addf {total}, %n{i} : tensor<{rows}x8xf32>")
        total = f"%s{i}"
    return "\n".join([*lines, f"  return {total} : tensor<{rows}x8xf32>", "}"])


def compile_within(
    compilers: Compilers, source: Path, directory: Path, budget: int | str, *flags: str
) -> tuple[int, str, dict[str, Any], bytes | None]:
    """Returns the exit code, standard error, the report and the output, None if there is none."""
    output, report = directory / "out", directory / "report.json"
    for path in (output, report):
        path.unlink(missing_ok=True)
    args = [source, *STREAM, "-o", output, f"--serenity-report={report}"]
    run = compilers.ours(*args, f"--serenity-memory-budget={budget}", *flags)
    load_report(report)
    data: dict[str, Any] = json.loads(report.read_text())
    return run.code, run.err, data, output.read_bytes() if output.exists() else None


def least_shrinking(region: RegionReport, budget: int) -> int:
    """The fewest bytes to be taken off buffers for all steps to fit, by trying all ways.

    Buffers are reduced to units of the greatest common divisor of all numbers, so that few enough
    ways are left.
    """
    from math import gcd

    unit = gcd(budget, *(buffer.bytes for buffer in region.buffers))
    over = [step for step, live in enumerate(region.live_bytes) if live > budget]
    candidates = [
        buffer for buffer in region.buffers if any(buffer.first <= s <= buffer.last for s in over)
    ]
    best = sum(buffer.bytes for buffer in candidates)
    for cut in itertools.product(*(range(0, b.bytes + 1, unit) for b in candidates)):
        if sum(cut) < best and all(
            region.live_bytes[s]
            - sum(c for c, b in zip(cut, candidates, strict=True) if b.first <= s <= b.last)
            <= budget
            for s in over
        ):
            best = sum(cut)
    return best


@pytest.mark.slow
def test_the_ladder(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "cell.mlir"
    source.write_text(MODELS["jax_nhwc"]())
    stock_output = compilers.stock_output(source, *STREAM)
    free = compilers.report(tmp_path / "free.json", source, *STREAM, "--serenity-rewrite=auto")
    peaks = peaks_by_kind(free["functions"][0])
    least = free["functions"][0]["transient_peak_bytes"]
    assert free["budget"] is None and free["functions"][0]["budget"] is None
    rungs = {
        peaks["stock"]: [],
        peaks["stock-order"]: ["offsets"],
        peaks["serenity"]: ["offsets", "order"],
        least: free["functions"][0]["used"],
    }
    assert len(rungs) >= 3 and sorted(rungs, reverse=True) == list(rungs)
    between = (peaks["stock-order"] + peaks["serenity"]) // 2
    for budget in (*rungs, between):  # to the byte, and with some room
        code, errors, report, output = compile_within(
            compilers, source, tmp_path, budget, "--serenity-rewrite=auto"
        )
        assert code == 0, errors
        (function,) = report["functions"]
        peak = peaks["serenity"] if budget == between else budget
        assert function["transient_peak_bytes"] == peak
        assert function["used"] == rungs[peak]
        assert report["budget"]["met"] is True and report["budget"]["bytes"] == budget
        assert report["budget"]["used"] == function["used"]
        assert function["budget"]["met"] is True
        assert output is not None and slabs(output) == [peak]
        assert f"remark: 'main' is within its memory budget ({peak} <= {budget})" in errors
        assert (output == stock_output) == (not function["used"])
    code, errors, report, output = compile_within(
        compilers, source, tmp_path, least - 1, "--serenity-rewrite=auto"
    )
    assert (code, output, report["budget"]["met"]) == (3, None, False)
    assert f"'main' exceeds its memory budget by 1 byte ({least} > {least - 1})" in errors


def test_a_miss_names_what_would_have_to_shrink(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "branches.mlir"
    source.write_text(branches("main", 16))
    _, _, report, _ = compile_within(compilers, source, tmp_path, 1)
    least = report["functions"][0]["transient_peak_bytes"]
    for budget in (least - 1, least - 512, least // 2, 512):
        code, errors, report, output = compile_within(compilers, source, tmp_path, budget)
        assert (code, output) == (3, None)
        (function,) = load_report(tmp_path / "report.json").functions
        miss = function.budget
        assert miss is not None and miss.met is False and miss.region is not None
        assert miss.over_bytes == least - budget
        region = function.regions[miss.region]
        assert miss.step is not None
        assert region.live_bytes[miss.step] == max(region.live_bytes)
        assert {region.operations[i].step for i in miss.operations} <= {miss.step}
        live = [i for i, b in enumerate(region.buffers) if b.first <= miss.step <= b.last]
        assert sorted(b.buffer for b in miss.buffers if b.live_at_peak) == live
        # With the buffers that much smaller every step fits ...
        shrink = {b.buffer: b.shrink_bytes for b in miss.buffers}
        for step, bytes_live in enumerate(region.live_bytes):
            saved = sum(
                by
                for i, by in shrink.items()
                if region.buffers[i].first <= step <= region.buffers[i].last
            )
            assert bytes_live - saved <= budget
        # ... and no way takes fewer bytes.
        if budget % 512 == 0:
            assert sum(shrink.values()) == least_shrinking(region, budget)
        for buffer in miss.buffers:
            assert 0 <= buffer.shrink_bytes <= buffer.bytes == region.buffers[buffer.buffer].bytes
            if buffer.shrink_bytes:
                left = buffer.bytes - buffer.shrink_bytes
                name = region.buffers[buffer.buffer].name
                assert f"{name} by {buffer.shrink_bytes} to {left}" in errors
        assert f"live at the peak (step {miss.step}): " in errors
        assert f"no order of these operations needs less than {least} bytes" in errors


def test_inputs_and_results_may_count(compilers: Compilers, tmp_path: Path) -> None:
    """Branches of 32 rows: 32 x 8 floats go in and 32 x 8 come out, 1,024 bytes each."""
    source = tmp_path / "branches.mlir"
    source.write_text(branches("main", 32))
    free = compilers.report(tmp_path / "free.json", source, *STREAM)
    stock, least = (
        free["functions"][0][field]
        for field in ("stock_transient_peak_bytes", "transient_peak_bytes")
    )
    assert stock > least
    for transient, used in ((stock, []), (least, free["functions"][0]["used"])):
        budget = transient + 2 * 1024
        code, errors, report, _ = compile_within(
            compilers, source, tmp_path, budget, "--serenity-budget-counts=all"
        )
        assert code == 0, errors
        (function,) = report["functions"]
        assert (function["transient_peak_bytes"], function["used"]) == (transient, used)
        assert (
            f"within its memory budget ({budget} <= {budget}; inputs and results 2048,"
            f" transient {transient})" in errors
        )
    code, errors, report, output = compile_within(
        compilers, source, tmp_path, least + 2 * 1024 - 1, "--serenity-budget-counts=all"
    )
    assert (code, output, report["budget"]["met"]) == (3, None, False)
    assert report["functions"][0]["budget"]["over_bytes"] == 1
    assert f"by 1 byte ({least + 2048} > {least + 2047}; inputs and results 2048," in errors


def test_a_peak_that_depends_on_the_call_is_not_counted(
    compilers: Compilers, tmp_path: Path
) -> None:
    source = tmp_path / "dynamic.mlir"
    source.write_text(
        "func.func @main(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {\n"
        "  %a = math.exp %x : tensor<?x8xf32>\n"
        "  %c = arith.constant 0 : index\n  %n = tensor.dim %x, %c : tensor<?x8xf32>\n"
        "  %z = arith.constant 0.0 : f32\n  %w = arith.constant dense<0.5> : tensor<8x8xf32>\n"
        "  %e = tensor.empty(%n) : tensor<?x8xf32>\n"
        "  %f = linalg.fill ins(%z : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>\n"
        "  %b = linalg.matmul ins(%a, %w : tensor<?x8xf32>, tensor<8x8xf32>)"
        " outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>\n"
        "  %d = linalg.matmul ins(%b, %w : tensor<?x8xf32>, tensor<8x8xf32>)"
        " outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>\n"
        "  return %d : tensor<?x8xf32>\n}\n"
    )
    code, errors, report, output = compile_within(
        compilers, source, tmp_path, 1 << 20, "--serenity-budget-counts=all"
    )
    assert (code, output, report["budget"]["met"]) == (3, None, None)
    assert "its peak with inputs and results depends on the call" in errors


def test_warn_goes_on_with_the_least(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "branches.mlir"
    source.write_text(branches("main", 16))
    code, errors, report, output = compile_within(
        compilers, source, tmp_path, "1KB", "--serenity-budget-policy=warn"
    )
    assert code == 0 and "error" not in errors
    assert "warning: 'main' exceeds its memory budget by" in errors and " > 1000)" in errors
    assert report["budget"] | {"used": []} == {
        "bytes": 1000,
        "policy": "warn",
        "met": False,
        "used": [],
    }
    assert output == compilers.ours_output(source, *STREAM)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2048", 2048),
        ("2048B", 2048),
        ("3KB", 3000),
        ("3KiB", 3072),
        ("1MB", 10**6),
        ("1MiB", 2**20),
        ("1GB", 10**9),
        ("1GiB", 2**30),
    ],
)
def test_units(text: str, number: int, compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "none.mlir"
    source.write_text(MODELS["no_tensors"]())
    code, errors, report, _ = compile_within(compilers, source, tmp_path, text)
    # A function without transient memory is within every budget; there is nothing to say.
    assert (code, errors) == (0, "")
    assert report["budget"] == {"bytes": number, "policy": "error", "met": True, "used": []}


def test_every_function_on_a_rung_of_its_own(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "functions.mlir"
    source.write_text(branches("small", 8) + "\n" + branches("large", 64))
    free = compilers.report(tmp_path / "free.json", source, *STREAM)
    by_name = {f["exported_as"]: f for f in free["functions"]}
    stock = {name: f["stock_transient_peak_bytes"] for name, f in by_name.items()}
    ours = {name: peaks_by_kind(f)["serenity"] for name, f in by_name.items()}
    assert ours["small"] < stock["small"] <= ours["large"] < stock["large"]
    code, errors, report, output = compile_within(compilers, source, tmp_path, ours["large"])
    assert code == 0, errors
    functions = {f["exported_as"]: f for f in report["functions"]}
    assert functions["small"]["used"] == []
    assert functions["small"]["transient_peak_bytes"] == stock["small"]
    assert functions["large"]["used"] == ["offsets", "order"] == report["budget"]["used"]
    assert output is not None and slabs(output) == [stock["small"], ours["large"]]

    # One meets it, one cannot: each is told on its own. Fusion is one for the whole module.
    budget = by_name["large"]["transient_peak_bytes"] - 64
    code, errors, report, output = compile_within(compilers, source, tmp_path, budget)
    assert (code, output) == (3, None)
    functions = {f["exported_as"]: f for f in report["functions"]}
    assert [functions[n]["budget"]["met"] for n in ("small", "large")] == [True, False]
    assert "'large' exceeds" in errors and "'small' exceeds" not in errors


def test_functions_that_call_one_another_go_together(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "calls.mlir"
    inner = branches("inner", 8).replace("func.func @inner", "func.func private @inner")
    inner = inner.replace("-> tensor<8x8xf32> {", "-> tensor<8x8xf32> attributes {noinline} {", 1)
    outer = branches("outer", 8).replace(
        "return %s2", "%r = call @inner(%s2) : (tensor<8x8xf32>) -> tensor<8x8xf32>\n  return %r"
    )
    source.write_text(inner + "\n" + outer)
    free = compilers.report(tmp_path / "free.json", source, *STREAM)
    (function,) = (f for f in free["functions"] if f["exported_as"] == "outer")
    least = function["transient_peak_bytes"]
    code, errors, report, _ = compile_within(compilers, source, tmp_path, least)
    assert code == 0, errors
    assert report["budget"]["met"] is True


def test_an_unknown_peak_is_no_promise(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "dynamic.mlir"
    source.write_text(MODELS["dynamic_batch"]())
    code, errors, report, output = compile_within(compilers, source, tmp_path, "1GB")
    assert (code, output, report["budget"]["met"]) == (3, None, None)
    unknown = r"error: cannot check the memory budget of '\w+': its transient memory of .* bytes"
    assert re.search(rf"{unknown} is not bounded: arg0:axis0 has no bound", errors)
    assert "--serenity-dim-bound=N" in errors and "--serenity-budget-policy=warn" in errors
    code, errors, report, output = compile_within(
        compilers, source, tmp_path, "1GB", "--serenity-budget-policy=warn"
    )
    assert (code, report["budget"]["met"]) == (0, None) and output is not None
    assert "warning: cannot check the memory budget" in errors and "policy=warn" not in errors


def test_stock_is_checked_too(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "branches.mlir"
    source.write_text(branches("main", 16))
    off = "--serenity-schedule=off"
    _, _, report, _ = compile_within(compilers, source, tmp_path, "1GB", off)
    peak = report["functions"][0]["stock_transient_peak_bytes"]
    assert (report["budget"]["met"], report["budget"]["used"]) == (True, [])
    code, _, report, output = compile_within(compilers, source, tmp_path, peak, off)
    assert code == 0 and output == compilers.stock_output(source, *STREAM)
    code, errors, report, output = compile_within(compilers, source, tmp_path, peak - 1, off)
    assert (code, output) == (3, None)
    assert f"({peak} > " in errors and "used: nothing, as the stock compiler" in errors


def test_flags_take_their_rung_away(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "branches.mlir"
    source.write_text(branches("main", 16))
    _, _, report, _ = compile_within(compilers, source, tmp_path, 1, "--serenity-offsets=iree")
    assert report["functions"][0]["used"] == ["order", "fusion"]
    always = "--serenity-rewrite=always"
    code, _, report, _ = compile_within(compilers, source, tmp_path, "1GB", always)
    assert (code, report["budget"]["met"]) == (0, True)


def test_several_modules_in_one_file(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "split.mlir"
    source.write_text(branches("a", 8) + "\n// -----\n" + branches("b", 16))
    report = tmp_path / "report.json"
    budget = 8 * 1024
    args = [source, *STREAM, "--split-input-file", f"--serenity-report={report}", "-o", "/dev/null"]
    run = compilers.ours(*args, f"--serenity-memory-budget={budget}")
    data = json.loads(report.read_text())
    met = {f["exported_as"]: f["budget"]["met"] for f in data["functions"]}
    assert data["budget"]["met"] is all(met.values()) is (run.code == 0)

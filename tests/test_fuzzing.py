# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The fuzzer: the programs it generates, the defects it must find, and a share of its work."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing_support import Deceived
from report_support import make_candidate, make_formula, make_function, make_region, make_report
from typer.testing import CliRunner

from serenity_mlir._native import iree_library_directory
from serenity_mlir.cli import app
from serenity_mlir.fuzzing import Program, Settings, Totals, generate, quantising, run_batch
from serenity_mlir.fuzzing.emitters import EMITTERS
from serenity_mlir.fuzzing.execution import compare_execution
from serenity_mlir.fuzzing.generator import GENERATOR_VERSION
from serenity_mlir.fuzzing.inputs import draw_extents, draw_inputs
from serenity_mlir.fuzzing.program import Block, Function, Operation, Type, Value
from serenity_mlir.fuzzing.promises import draw_bounded_budget, draw_budget, find_broken_bounds
from serenity_mlir.fuzzing.reducing import reduce_program
from serenity_mlir.fuzzing.stream_ir import FunctionMemory, read_stream_ir
from serenity_mlir.fuzzing.structure import (
    REFUSED,
    TARGETS,
    Tools,
    _compare_function,
    _culprits,
    compare_structure,
    find_complaints,
)
from serenity_mlir.measuring.measurement import (
    CallMemory,
    Measurement,
    MeasurementServer,
    Storage,
)
from serenity_mlir.reports.reporting import FunctionReport, Report, parse_report

pytestmark = pytest.mark.one_release


def _kinds(program: Program) -> list[str]:
    return [op.kind for function in program.functions for op in function.body.walk()]


# --- generated programs ---------------------------------------------------------


def test_programs_depend_on_seed_and_number_alone() -> None:
    def digest(hash_seed: str) -> str:
        code = (
            "import hashlib\n"
            "from serenity_mlir.fuzzing import generate\n"
            "from serenity_mlir.fuzzing.inputs import draw_inputs\n"
            "d = hashlib.sha256()\n"
            "for i in range(60):\n"
            "    program = generate(7, i)\n"
            "    d.update(program.text().encode())\n"
            "    for function in program.entry_points:\n"
            "        for data in ('integers', 'reals'):\n"
            "            for value in draw_inputs(function, data, f'7 {i}'):\n"
            "                d.update(value.tobytes() if hasattr(value, 'tobytes') else b'0')\n"
            "print(d.hexdigest())\n"
        )
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert digest("1") == digest("2")
    assert generate(7, 3).text() != generate(8, 3).text()


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (1, "870fc7add9f36f6b3afd6fbb8e238384e3d6d1b42572f137d5c0c8703fc88e37"),
        (3, "639c26437ba4eff32e0f7d40f80b38fa124bf82b343b07508db5f0f73f85bd28"),
        (4, "5dc74b1b988a22886c99347594f0041258d8db79e209387ab517aff554cae0d4"),
    ],
)
def test_programs_of_earlier_versions_stay(
    version: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are named by seed and number in docs/log/fuzzing.md."""
    # The text depends on whether the installed compiler has the operations of a quantized program.
    monkeypatch.setattr(quantising, "_has_affine_operations", lambda: True)
    digest = hashlib.sha256()
    for index in range(200):
        program = generate(2002, index, vmvx=index % 2 == 0, version=version)
        digest.update(program.text().encode())
    assert digest.hexdigest() == expected


def _convolutions_of_a_dynamic_batch(version: int) -> int:
    operations = [
        op
        for index in range(150)
        for function in generate(5, index, version=version).functions
        for op in function.body.walk()
    ]
    return sum(
        op.attributes.get("name", "").startswith(("conv", "depthwise"))
        and op.operands[0].type.dims[0] is None
        for op in operations
    )


def test_networks_of_a_dynamic_batch_are_drawn_from_version_4_on() -> None:
    before, after = _convolutions_of_a_dynamic_batch(3), _convolutions_of_a_dynamic_batch(4)
    assert after > 2 * before


def test_levels_are_drawn_from_version_6_on() -> None:
    def spreads(version: int) -> int:
        programs = [generate(6, index, version=version) for index in range(150)]
        blocks = [function.body for program in programs for function in program.functions]
        return sum(op.kind == "spread" for block in blocks for op in block.walk())

    assert spreads(5) == 0 < spreads(6)


def test_squeeze_and_excitation_is_drawn_from_version_7_on() -> None:
    def sums(version: int) -> int:
        programs = [generate(6, index, version=version) for index in range(150)]
        blocks = [function.body for program in programs for function in program.functions]
        return sum(
            op.kind == "pool"
            and op.operands[0].type.dims[1:] != op.results[0].type.dims[1:]
            and sorted(op.results[0].type.dims[1:])[:2] == [1, 1]
            for block in blocks
            for op in block.walk()
        )

    assert 2 * sums(6) < sums(7)


def test_a_bounded_budget_is_drawn_about_the_bytes_at_the_bound() -> None:
    formula = {**make_formula("64*d0", d0="arg0:axis0"), "bound_bytes": 448}
    function = make_function(transient_peak_bytes=None, bytes_formula=formula)
    report = parse_report(make_report([function]))
    drawn = {draw_bounded_budget(report, str(key)) for key in range(40)}
    assert {(448, 448), (447, 448), (896, 448)} <= drawn
    formula["bound_bytes"] = None  # of the same function
    assert draw_bounded_budget(parse_report(make_report([function])), "0") is None


def _nested(operation: Operation) -> bool:
    inside = (inner for block in operation.blocks for inner in block.walk())
    return operation.kind == "for" and any(inner.kind == "for" for inner in inside)


def _features(program: Program) -> set[str]:
    """Programs of the generator's second version."""
    found = set()
    operations = [op for function in program.functions for op in function.body.walk()]
    makers = {value: op.kind for op in operations for value in op.results}
    for op in operations:
        types = [value.type for value in op.operands if value.type.shape is not None]
        dynamic = any(of.dynamic for of in types)
        if dynamic and not any(value.type.dynamic for value in op.results):
            found.add(f"dynamic {op.kind}")
        found.add(op.kind)
        starts = [makers.get(value) for value in op.operands[: len(op.results)]]
        if op.kind == "for" and {"constant", "splat"} & set(starts):
            found.add("loop from a constant")
        yielded = [makers.get(value) for block in op.blocks for value in block.results]
        if op.kind == "if" and {"constant", "splat"} & set(yielded):
            found.add("constant of a branch")
        if _nested(op):
            found.add("nested loops")
        if op.kind in ("slice", "insert") and op.operands[-1].type.shape is None:
            found.add(f"{op.kind} at {op.operands[-1].type.element}")
        if "style" in op.attributes:
            found.add(f"{op.kind} {op.attributes['style']}")
    entries = program.entry_points
    for function in entries:
        if any(0 in value.type.dims for value in function.body.results):
            found.add("empty result")
        if function.stored_results:
            found.add("caller's storage")
    kinds = {any(value.type.dynamic for value in f.body.arguments) for f in entries}
    if kinds == {False, True}:
        found.add("dynamic and static functions")
    if any(item.mutable and item.name.startswith("cache") for item in program.globals):
        found.add("cache")
    return found


def test_all_kinds_of_operations_occur() -> None:
    features: Counter[str] = Counter()
    elements: Counter[str] = Counter()
    dynamic = several = rewritable = 0
    for index in range(500):
        program = generate(11, index)
        found = _features(program)
        features.update(found)
        arguments = [v.type for f in program.entry_points for v in f.body.arguments]
        elements.update({of.element for of in arguments})
        dynamic += any(of.dynamic for of in arguments)
        several += len(program.entry_points) > 1
        rewritable += bool({"concat", "named"} <= found)
    assert set(EMITTERS) <= set(features)
    assert {"f32", "f16", "bf16", "i8", "i32", "i64"} <= set(elements)
    assert dynamic >= 100 and several >= 60
    assert rewritable >= 60
    common = {"dynamic named", "dynamic reduce", "loop from a constant", "caller's storage"}
    common |= {"gather", "quantise affine", "requantise integer", "requantise float"}
    common |= {"slice at index", "insert at index", "slice at i32", "insert at i32"}
    common |= {"cache", "empty result", "dynamic and static functions", "constant of a branch"}
    assert {name: features[name] for name in common if features[name] < 5} == {}
    assert features["nested loops"] >= 2


def test_programs_are_valid(tmp_path: Path) -> None:
    iree_opt = str(Path(iree_library_directory()) / "iree-opt")
    source = tmp_path / "programs.mlir"
    source.write_text("// -----\n".join(generate(12, i).text() for i in range(150)))
    process = subprocess.run(
        [iree_opt, "--split-input-file", str(source), "-o", os.devnull],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[:2000]


def test_backends_without_half_floats_get_none() -> None:
    for index in range(60):
        text = generate(13, index, vmvx=True).text()
        assert not any(word in text for word in ("f16", "arith.negf", "math.absf"))


def test_backends_that_forget_the_sign_of_bytes_get_nothing_that_asks_for_it() -> None:
    """VMVX takes `max(trunc(-5), 0)` for -5: the stock compiler's own, and no news."""
    bytes_seen = 0
    for index in range(200):
        program = generate(15, index, vmvx=True)
        bytes_seen += "xi8>" in program.text()
        for function in program.functions:
            for operation in function.body.walk():
                if any(value.type.element == "i8" for value in operation.results):
                    drawn = operation.attributes
                    names = {drawn.get("function"), *drawn.get("functions", ())}
                    assert not names & {"relu", "scale", "abs", "max", "min"}, drawn
                    assert "_max" not in drawn.get("name", "")
    assert bytes_seen >= 30


# --- the reader of the stream phase ----------------------------------------------

_STREAM = """
module {
  util.func public @straight(%arg0: !hal.buffer_view) -> !hal.buffer_view {
    %c64 = arith.constant 64 : index
    %c128 = arith.constant 128 : index
    %c200 = arith.constant 200 : index
    %result, %t = stream.resource.alloca uninitialized : !stream.resource<external>{%c200} => !stream.timepoint
    %result_0, %t_1 = stream.resource.alloca uninitialized : !stream.resource<transient>{%c128} => !stream.timepoint
    %3 = stream.resource.dealloca await(%2) => %result_0 : !stream.resource<transient>{%c128} => !stream.timepoint
    %result_2, %t_3 = stream.resource.alloca uninitialized await(%3) => !stream.resource<variable>{%c64} => !stream.timepoint
    %result_4, %t_5 = stream.resource.alloca uninitialized await(%3) => !stream.resource<transient>{%c128} => !stream.timepoint
  }
  util.func private @branch(%arg0: i1) {
    %c64 = arith.constant 64 : index
    cf.cond_br %arg0, ^bb1, ^bb2
  ^bb1:
    %result, %t = stream.resource.alloca uninitialized : !stream.resource<transient>{%c64} => !stream.timepoint
  }
  util.func public @released(%arg0: index) -> !hal.buffer_view {
    %c64 = arith.constant 64 : index
    %result, %t = stream.resource.alloca uninitialized : !stream.resource<external>{%c64} => !stream.timepoint
    %result_0, %t_1 = stream.resource.alloca uninitialized : !stream.resource<external>{%c64} => !stream.timepoint
    %3 = stream.resource.dealloca await(%2) => %result : !stream.resource<external>{%c64} => !stream.timepoint
  }
  util.func public @later_result(%arg0: index) -> !hal.buffer_view {
    %c16 = arith.constant 16 : index
    %c128 = arith.constant 128 : index
    %c200 = arith.constant 200 : index
    %result, %t = stream.resource.alloca uninitialized : !stream.resource<external>{%c200} => !stream.timepoint
    %result_0, %t_1 = stream.resource.alloca uninitialized : !stream.resource<transient>{%c128} => !stream.timepoint
    %3 = stream.resource.dealloca await(%2) => %result_0 : !stream.resource<transient>{%c128} => !stream.timepoint
    %result_2, %t_3 = stream.resource.alloca uninitialized : !stream.resource<external>{%c16} => !stream.timepoint
  }
  util.func private @helper(%arg0: !stream.resource<external>) -> (!stream.resource<transient>, !stream.timepoint) {
    %c32 = arith.constant 32 : index
    %c64 = arith.constant 64 : index
    %result, %t = stream.resource.alloca uninitialized : !stream.resource<transient>{%c32} => !stream.timepoint
    %result_0, %t_1 = stream.resource.alloca uninitialized : !stream.resource<transient>{%c64} => !stream.timepoint
    %2 = stream.resource.dealloca await(%1) => %result_0 : !stream.resource<transient>{%c64} => !stream.timepoint
    util.return %result, %2 : !stream.resource<transient>, !stream.timepoint
  }
  util.func public @dynamic(%arg0: index) {
    %result, %t = stream.resource.alloca uninitialized : !stream.resource<transient>{%arg0} => !stream.timepoint
  }
}
"""  # noqa: E501


def test_reads_transient_memory() -> None:
    # First 128 alone; then the variable's 64 with another 128. Of external values, those that are
    # released are no results. A result that is made last: 200 + 128 first, 216 at the end.
    assert read_stream_ir(_STREAM) == {
        "straight": FunctionMemory((128, 128), True, 192, 200),
        "branch": FunctionMemory((64,), False, None, 0),
        "released": FunctionMemory((), True, 64, 64),
        "later_result": FunctionMemory((128,), True, 112, 216),
        "helper": FunctionMemory((32, 64), True, 64, 32),
        "dynamic": FunctionMemory((None,), True, None, 0),
    }


# --- defects it must find ----------------------------------------------------------


def _report(*functions: dict[str, Any]) -> Report:
    return parse_report(make_report(functions))


def _entry(**changes: object) -> FunctionReport:
    region = make_region(
        predicted_bytes=128,
        slab_bytes=128,
        lower_bound_bytes=128,
        live_bytes=[64, 128],
        buffers=[
            {"name": "a", "first": 0, "last": 1, "bytes": 60, "offset": 0, "element_type": None},
            {"name": "b", "first": 1, "last": 1, "bytes": 64, "offset": 64, "element_type": None},
        ],
    )
    entry = make_function(
        transient_peak_bytes=128,
        stock_transient_peak_bytes=192,
        candidates=[make_candidate("stock", 192, chosen=True)],
        regions=[region],
    )
    for key, value in changes.items():
        (region if key in region else entry)[key] = value
    return _report(entry).functions[0]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, None),
        ({"transient_peak_bytes": 64}, "peak"),
        ({"stock_transient_peak_bytes": 256}, "stock peak"),
        ({"transient_peak_bytes": 256}, "worse"),
        ({"slab_bytes": 192}, "slab"),
        ({"lower_bound_bytes": 64}, "region"),
        ({"predicted_bytes": 256}, "region"),
        ({"live_bytes": [128, 128]}, "region"),
        (
            {
                "buffers": [
                    {
                        "name": n,
                        "first": 0,
                        "last": 1,
                        "bytes": 64,
                        "offset": 0,
                        "element_type": None,
                    }
                    for n in "ab"
                ]
            },
            "region",
        ),
        (
            {"candidates": [make_candidate("stock", 1)]},
            "candidates",
        ),
    ],
)
def test_finds_figures_that_disagree(changes: dict[str, object], kind: str | None) -> None:
    stock, ours = FunctionMemory((192,), True, 192, 64), FunctionMemory((128,), True, 128, 64)
    kinds = [problem.kind for problem in _compare_function(stock, ours, _entry(**changes))]
    assert kinds == [] if kind is None else kind in kinds


def test_finds_a_larger_slab_whatever_the_report_says() -> None:
    stock, ours = FunctionMemory((64,), True, 64, 0), FunctionMemory((128,), True, 128, 0)
    entry = _entry(stock_transient_peak_bytes=128)
    assert "worse" in [problem.kind for problem in _compare_function(stock, ours, entry)]


@pytest.mark.parametrize(("results", "found"), [(64, False), (0, True)])
def test_a_result_that_nobody_reads_is_transient_memory(results: int, found: bool) -> None:
    # 128 bytes transient instead of 64 and a result of 64.
    stock = FunctionMemory((64,), True, 64, results)
    ours = FunctionMemory((128,), True, 128, 0)
    entry = _entry(stock_transient_peak_bytes=128)
    kinds = [problem.kind for problem in _compare_function(stock, ours, entry)]
    assert ("worse" in kinds) is found


def _sum_program(*, beside: bool = True) -> Program:
    """(2x + 2x) * w with another result beside."""
    of = Type((4, 4), "f32")
    x = Value(of)

    def step(kind: str, *operands: Value, **attributes: object) -> Operation:
        return Operation(kind, list(operands), [Value(of)], dict(attributes))

    doubled = step("elementwise", x, x, function="add", style="generic")
    negated = step("elementwise", x, function="relu", style="generic")
    weight = step("constant", data=[float(i % 3) for i in range(16)])
    product = step("named", doubled.results[0], weight.results[0], name="matmul")
    operations = [doubled, negated, weight, product]
    results = [product.results[0], negated.results[0]]
    if not beside:
        operations.remove(negated)
        results.pop()
    return Program([Function("main", Block([x], operations, results))])


def _call(transient: int, external: int = 192) -> CallMemory:
    return CallMemory(0, 64, external - 64, external + transient, 0)


def _measured(*calls: CallMemory) -> Measurement:
    return Measurement("main", ("main",), 0, 0, 0, 0, calls, ((),) * len(calls))


@pytest.mark.parametrize(
    ("transient", "external", "stock", "broken"),
    [
        (128, 192, 256, []),
        (64, 64, 64, []),
        (192, 192, 256, ["call 2, transient"]),
        (128, 256, 256, ["call 2, external"]),
        (128, 192, 320, ["stock, transient"]),
    ],
)
def test_finds_broken_bounds(transient: int, external: int, stock: int, broken: list[str]) -> None:
    entry = make_function(
        external_bytes=192,
        transient_peak_bytes=128,
        peak_is_exact=False,
        stock_transient_peak_bytes=256,
    )
    ours = _measured(_call(0), _call(transient, external))
    theirs = _measured(_call(stock))
    found = find_broken_bounds(_report(entry).function("main"), theirs, ours, {})
    assert [text.partition(":")[0] for text in found] == broken
    # The same bytes as formulas, at extent 2.
    entry |= {"transient_peak_bytes": None, "stock_transient_peak_bytes": None}
    entry["bytes_formula"] = make_formula("align(33*d0, 128)", d0="arg0:axis0")
    entry["stock_bytes_formula"] = make_formula("128*d0", d0="arg0:axis0")
    extents = {"arg0:axis0": 2}
    found = find_broken_bounds(_report(entry).function("main"), theirs, ours, extents)
    assert [text.partition(":")[0] for text in found] == broken


def test_budgets_lie_between_the_bound_and_the_stock_peak() -> None:
    def entry(ours: int | None, stock: int) -> dict[str, Any]:
        return make_function(
            transient_peak_bytes=ours,
            stock_transient_peak_bytes=stock,
            regions=[make_region(lower_bound_bytes=64)],
        )

    report = _report(entry(128, 512), entry(256, 320))
    drawn = [draw_budget(report, str(key)) for key in range(100)]
    budgets = {found[0] for found in drawn if found is not None}
    assert {found[1] for found in drawn if found is not None} == {256}
    assert {255, 256, 512} <= budgets
    assert all(64 <= budget <= 512 for budget in budgets)
    # The compiler refuses a budget of 0.
    none = [draw_budget(_report(entry(0, 64)), str(key)) for key in range(20)]
    assert (1, 0) in none and min(found[0] for found in none if found is not None) == 1
    assert draw_budget(_report(entry(None, 512)), "0") is None
    assert draw_budget(_report(entry(0, 0)), "0") is None


class _OtherBudget(Tools):
    """Ours is given another memory budget than asked for, or none."""

    def __init__(self, budget: int | None) -> None:
        super().__init__()
        self.budget = budget

    def run(self, tool: str, arguments: Sequence[str]) -> tuple[int | None, str]:
        flag = "--serenity-memory-budget="
        changed = [argument for argument in arguments if not argument.startswith(flag)]
        if len(changed) != len(arguments) and self.budget is not None:
            changed.append(f"{flag}{self.budget}")
        return super().run(tool, changed)


def test_finds_budgets_that_do_not_hold() -> None:
    """The doubled tensor takes 64 bytes: the one result is written while it is read."""
    program = _sum_program(beside=False)
    report = _report(
        make_function(
            transient_peak_bytes=64,
            stock_transient_peak_bytes=64,
            regions=[make_region(lower_bound_bytes=64)],
        )
    )
    keys = [str(key) for key in range(40)]
    tight = next(key for key in keys if draw_budget(report, key) == (63, 64))
    enough = next(key for key in keys if draw_budget(report, key) == (64, 64))

    def kinds(tools: Tools, key: str) -> set[str]:
        with MeasurementServer() as server:
            found = compare_execution(program, "off", "vmvx", tools, server, key)
        return {problem.kind for problem in found}

    assert kinds(Tools(), tight) == kinds(Tools(), enough) == set()
    assert kinds(_OtherBudget(None), tight) == {"budget exceeded"}
    assert kinds(_OtherBudget(1), enough) == {"budget refused"}


def test_a_crash_that_ends_in_the_stock_module_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # for the driver's file about the crash
    monkeypatch.setenv("SERENITY_TEST_CRASH", "place:SEGV")
    ((problem,),) = compare_structure({0: _sum_program()}, "off", Tools()).values()
    assert problem.kind == "warning"
    assert "SIGSEGV" in problem.text


def test_warnings_of_ours_alone_are_failures() -> None:
    said = "a.mlir:1:1: warning: the search crashed\n"
    assert [problem.kind for problem in find_complaints(0, said, "")] == ["warning"]
    assert find_complaints(0, said, said) == find_complaints(0, "remark: all well\n", "") == []
    assert [problem.kind for problem in find_complaints(-11, "", "")] == ["crash"]
    assert [problem.kind for problem in find_complaints(None, "", "")] == ["time"]


def test_finds_and_reduces_wrong_results(tmp_path: Path) -> None:
    tools = Deceived("stock", ("arith.addf", "arith.subf"))
    with MeasurementServer() as server:

        def kinds(program: Program) -> set[str]:
            return {p.kind for p in compare_execution(program, "off", "vmvx", tools, server, "0")}

        program = _sum_program()
        assert kinds(program) == {"results"}
        small = reduce_program(program, lambda p: "results" in kinds(p))
        assert _kinds(small) == ["elementwise"]
        assert "arith.addf" in small.text()
        # With the stock compiler as it is, nothing is wrong.
        tools = Tools()  # type: ignore[assignment]
        assert kinds(program) == set()


def test_reducing_takes_control_flow_apart() -> None:
    found = [i for i in range(300) if {"if", "for"} & set(_kinds(generate(14, i)))]
    assert len(found) >= 10
    for index in found[:10]:
        program = generate(14, index)
        text = program.text()
        target = "constant" if "constant" in _kinds(program) else "elementwise"
        if target not in _kinds(program):
            continue
        small = reduce_program(program, lambda p, target=target: target in _kinds(p))  # type: ignore[misc]
        assert program.text() == text
        assert small.count() <= 3, small.text()


def test_loops_that_exchange_their_values_reduce_to_programs() -> None:
    """The block of a loop is no part of the program any more when its results are replaced."""

    def exchanges(op: Operation) -> bool:
        if op.kind != "for":
            return False
        (_, *carried), results = op.blocks[0].arguments, op.blocks[0].results
        return any(
            new in carried and new is not old for old, new in zip(carried, results, strict=True)
        )

    programs = (generate(16, index) for index in range(2000))
    program = next(p for p in programs if any(exchanges(op) for op in p.functions[-1].body.walk()))
    small = reduce_program(program, lambda p: "linalg" in p.text())
    small.text()
    hoisted = reduce_program(program, lambda p: "for" not in _kinds(p))
    assert "for" not in _kinds(hoisted)
    hoisted.text()


def test_lays_refusals_to_their_program() -> None:
    bad = _sum_program()
    # Columns that the weight does not have.
    bad.functions[0].body.operations[3].results[0].type = Type((4, 3), "f32")
    good = _sum_program()
    answers = compare_structure({5: good, 6: bad, 7: good}, "off", Tools())
    assert [p.kind for p in answers[6]] == [REFUSED]
    assert answers[5] == answers[7] == []


@pytest.mark.parametrize("group", [1, 2, 4])
def test_errors_name_their_program(group: int, tmp_path: Path) -> None:
    """So that the other programs are not compiled again and again to find it."""
    texts = [_sum_program().text(f"c{number}_") for number in range(4)]
    texts[2] = texts[2].replace("arith.addf", "arith.subf_", 1)
    assert "arith.subf_" in texts[2]
    modules = ["\n".join(texts[i : i + group]) for i in range(0, 4, group)]
    source = tmp_path / "programs.mlir"
    source.write_text("// -----\n".join(modules))
    tools = Tools()
    flags = [str(source), "--split-input-file", "--compile-to=stream", *TARGETS["vmvx"]]
    code, said = tools.run(tools.stock, [*flags, "-o", os.devnull])
    assert code == 1
    assert _culprits(said, source) == {2}


# --- a share of its work -----------------------------------------------------------


def _no_failures(result: dict[str, object], programs: int) -> None:
    assert result["failures"] == []
    assert result["programs"] == programs
    refused = result["refused"]
    assert isinstance(refused, list) and len(refused) <= max(1, programs // 20)


@pytest.mark.parametrize("mode", ["off", "auto", "always"])
def test_structure_of_random_programs(mode: str) -> None:
    settings = Settings(seed=20, rewrite=mode, group=8)
    _no_failures(run_batch("seed 20: 0 to 7", settings), 8)


@pytest.mark.parametrize("mode", ["off", "auto", "always"])
def test_runs_of_random_programs(mode: str) -> None:
    _no_failures(run_batch("seed 21: 0 to 2", Settings(seed=21, run="vmvx", rewrite=mode)), 3)


@pytest.mark.slow
def test_structure_of_more_random_programs() -> None:
    for first in (0, 40):
        settings = Settings(seed=22, group=10)
        _no_failures(run_batch(f"seed 22: {first} to {first + 39}", settings), 40)


@pytest.mark.slow
def test_runs_of_more_random_programs() -> None:
    _no_failures(run_batch("seed 23: 0 to 23", Settings(seed=23, run="vmvx")), 24)
    _no_failures(run_batch("seed 24: 0 to 5", Settings(seed=24, run="llvm-cpu")), 6)


def test_command_line(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    command = ["fuzz", "--seed", "25", "--count", "3", "--group", "3", "--json"]
    command += ["--results", str(results), "--keep", str(tmp_path / "keep")]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    answer = json.loads(first.stdout)
    assert answer["programs"] == 3 and answer["failures"] == []
    before = hashlib.sha256(results.read_bytes()).digest()
    again = CliRunner().invoke(app, command)
    assert json.loads(again.stdout) == answer
    assert hashlib.sha256(results.read_bytes()).digest() == before


def test_inputs_fit_the_types() -> None:
    for index in range(80):
        for function in generate(26, index).entry_points:
            for data in ("integers", "reals"):
                values = draw_inputs(function, data, "0")
                arguments = function.body.arguments
                stored = values[len(arguments) :]
                assert len(stored) == len(function.stored_results)
                assert all(isinstance(value, Storage) and value.bytes > 0 for value in stored)
                for argument, value in zip(arguments, values, strict=False):
                    if argument.type.shape is None:
                        assert value in range(argument.below or 4)
                        continue
                    assert isinstance(value, np.ndarray)
                    assert len(value.shape) == argument.type.rank
                    if argument.below is not None:
                        assert value.dtype.kind == "i"
                        assert not value.size or 0 <= value.min() <= value.max() < argument.below


def test_dynamic_functions_run_at_three_extents() -> None:
    seen = set()
    for index in range(40):
        for function in generate(26, index).entry_points:
            extents = draw_extents(function, "0")
            dynamic = any(argument.type.dynamic for argument in function.body.arguments)
            seen.add(dynamic)
            assert len(set(extents)) == (3 if dynamic else 1)
            for extent in extents:
                values = draw_inputs(function, "integers", "0", extent)
                for argument, value in zip(function.body.arguments, values, strict=False):
                    if extent is not None and argument.type.dynamic:
                        wanted = [extent if size is None else size for size in argument.type.dims]
                        assert list(value.shape) == wanted
    assert seen == {False, True}


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_on_a_terminal_alone(terminal: bool) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "serenity_mlir", "fuzz", "--seed", "27", "--count", "1"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=follower if terminal else subprocess.PIPE,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(follower)
    shown = b""
    if terminal:
        with contextlib.suppress(OSError):  # Linux reports the end as an error.
            while data := os.read(leader, 4096):
                shown += data
    printed, errors = process.communicate()
    os.close(leader)
    assert process.returncode == 0
    told = f"seed 27, programs 0 to 0 (generator {GENERATOR_VERSION}): 1 compared"
    assert printed.decode().startswith(told)
    assert (b"batches" in shown and b"1/1" in shown) if terminal else errors == b""


def test_refusals_are_counted_by_reason() -> None:
    totals = Totals()
    for number, text in enumerate(["size 3 too large", "no such thing", "size 17 too large"]):
        refused = [{"index": number, "text": text}]
        totals.add([dict(programs=1, functions=1, operations=1, refused=refused, failures=[])])
    assert totals.reasons() == {"size N too large": [0, 2], "no such thing": [1]}

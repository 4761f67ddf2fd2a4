# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The fuzzer: what it generates, that it finds what is wrong, and a share of its work."""

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

import numpy as np
import pytest
from typer.testing import CliRunner

import serenity_mlir
from serenity_mlir._native import iree_library_directory
from serenity_mlir.cli import app
from serenity_mlir.fuzzing import Program, Settings, Totals, generate, run_batch
from serenity_mlir.fuzzing.emitters import EMITTERS
from serenity_mlir.fuzzing.execution import compare_execution, draw_inputs, keep_apart
from serenity_mlir.fuzzing.program import Block, Function, Operation, Type, Value
from serenity_mlir.fuzzing.reducing import reduce_program
from serenity_mlir.fuzzing.stream_ir import FunctionMemory, read_stream_ir
from serenity_mlir.fuzzing.structure import (
    REFUSED,
    TARGETS,
    Tools,
    _compare_function,
    _culprits,
    compare_structure,
)
from serenity_mlir.measuring.measurement import MeasurementServer, measure
from serenity_mlir.measuring.predictions import read_prediction


def _kinds(program: Program) -> list[str]:
    return [op.kind for function in program.functions for op in function.body.walk()]


# --- what is generated ----------------------------------------------------------


def test_programs_depend_on_seed_and_number_alone() -> None:
    def digest(hash_seed: str) -> str:
        code = (
            "import hashlib\n"
            "from serenity_mlir.fuzzing import generate\n"
            "from serenity_mlir.fuzzing.execution import draw_inputs\n"
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


def test_all_kinds_of_operations_occur() -> None:
    kinds: Counter[str] = Counter()
    elements: Counter[str] = Counter()
    dynamic = several = rewritable = 0
    for index in range(400):
        program = generate(11, index)
        found = set(_kinds(program))
        kinds.update(found)
        arguments = [v.type for f in program.entry_points for v in f.body.arguments]
        elements.update({of.element for of in arguments})
        dynamic += any(of.dynamic for of in arguments)
        several += len(program.entry_points) > 1
        rewritable += bool({"concat", "named"} <= found)
    assert set(kinds) == set(EMITTERS)
    assert {"f32", "f16", "bf16", "i8", "i32"} <= set(elements)
    assert dynamic >= 10 and several >= 30
    assert rewritable >= 60


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
                    attributes = str(operation.attributes)
                    names = ("relu", "scale", "abs", "max", "min")
                    assert not any(f"'{name}'" in attributes for name in names), attributes
                    assert "_max" not in attributes
    assert bytes_seen >= 30


# --- what reads the stream phase -------------------------------------------------

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
  util.func public @dynamic(%arg0: index) {
    %result, %t = stream.resource.alloca uninitialized : !stream.resource<transient>{%arg0} => !stream.timepoint
  }
}
"""  # noqa: E501


def test_reads_transient_memory() -> None:
    # First 128 alone; then the variable's 64 with another 128. Results do not count.
    assert read_stream_ir(_STREAM) == {
        "straight": FunctionMemory((128, 128), True, 192),
        "branch": FunctionMemory((64,), False, None),
        "dynamic": FunctionMemory((None,), True, None),
    }


# --- that it finds what is wrong ---------------------------------------------------


def _entry(**changes: object) -> dict[str, object]:
    region = {
        "location": None,
        "predicted_bytes": 128,
        "slab_bytes": 128,
        "lower_bound_bytes": 128,
        "optimal": True,
        "live_bytes": [64, 128],
        "buffers": [
            {"name": "a", "first": 0, "last": 1, "bytes": 60, "offset": 0},
            {"name": "b", "first": 1, "last": 1, "bytes": 64, "offset": 64},
        ],
    }
    entry = {
        "transient_peak_bytes": 128,
        "stock_transient_peak_bytes": 192,
        "candidates": [{"name": "stock", "transient_peak_bytes": 192, "chosen": True}],
        "regions": [region],
    }
    for key, value in changes.items():
        (region if key in region else entry)[key] = value
    return entry


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
                    {"name": n, "first": 0, "last": 1, "bytes": 64, "offset": 0} for n in "ab"
                ]
            },
            "region",
        ),
        (
            {"candidates": [{"name": "stock", "transient_peak_bytes": 1, "chosen": False}]},
            "candidates",
        ),
    ],
)
def test_finds_figures_that_disagree(changes: dict[str, object], kind: str | None) -> None:
    stock, ours = FunctionMemory((192,), True, 192), FunctionMemory((128,), True, 128)
    kinds = [problem.kind for problem in _compare_function(stock, ours, _entry(**changes))]
    assert kinds == [] if kind is None else kind in kinds


def test_finds_a_larger_slab_whatever_the_report_says() -> None:
    stock, ours = FunctionMemory((64,), True, 64), FunctionMemory((128,), True, 128)
    entry = _entry(stock_transient_peak_bytes=128)
    assert "worse" in [problem.kind for problem in _compare_function(stock, ours, entry)]


class _Deceived(Tools):
    """One of the compilers is given another program."""

    def __init__(self, deceived: str, *changes: tuple[str, str]) -> None:
        super().__init__()
        self.deceived = {"stock": self.stock, "ours": self.ours}[deceived]
        self.changes = changes

    def run(self, tool: str, arguments: Sequence[str]) -> tuple[int | None, str]:
        if tool != self.deceived:
            return super().run(tool, arguments)
        source = Path(arguments[0])
        text = changed = source.read_text()
        for change in self.changes:
            changed = changed.replace(*change)
        source.write_text(changed)
        try:
            return super().run(tool, arguments)
        finally:
            source.write_text(text)


def _sum_program() -> Program:
    """(2x + 2x) * w with other results beside."""
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
    return Program([Function("main", Block([x], operations, results))])


def test_finds_and_reduces_wrong_results(tmp_path: Path) -> None:
    tools = _Deceived("stock", ("arith.addf", "arith.subf"))
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
    for index in range(40):
        for function in generate(26, index).entry_points:
            for data in ("integers", "reals"):
                values = draw_inputs(function, data, "0")
                for argument, value in zip(function.body.arguments, values, strict=True):
                    if argument.type.shape is None:
                        assert value in range(4)
                    else:
                        assert isinstance(value, int) is False
                        assert len(value.shape) == argument.type.rank  # type: ignore[union-attr]


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
    assert printed.startswith(b"seed 27, programs 0 to 0: 1 compared")
    assert (b"batches" in shown and b"1/1" in shown) if terminal else errors == b""


def test_refusals_are_counted_by_reason() -> None:
    totals = Totals()
    for number, text in enumerate(["size 3 too large", "no such thing", "size 17 too large"]):
        refused = [{"index": number, "text": text}]
        totals.add([dict(programs=1, functions=1, operations=1, refused=refused, failures=[])])
    assert totals.reasons() == {"size N too large": [0, 2], "no such thing": [1]}


# --- what it has found ---------------------------------------------------------------

_LOOP_FROM_A_RESULT = """
func.func @main(%x: tensor<8x6xf32>, %trips: i32) -> (tensor<8x6xf32>, tensor<8x6xf32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %tanh = math.tanh %x : tensor<8x6xf32>
  %e = tensor.empty() : tensor<8x6xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<8x6xf32>) -> tensor<8x6xf32>
  %relu = arith.maximumf %x, %f : tensor<8x6xf32>
  %count = arith.index_cast %trips : i32 to index
  %out = scf.for %i = %c0 to %count step %c1 iter_args(%v = %relu) -> (tensor<8x6xf32>) {
    %next = math.tanh %v : tensor<8x6xf32>
    scf.yield %next : tensor<8x6xf32>
  }
  return %tanh, %out : tensor<8x6xf32>, tensor<8x6xf32>
}
"""


def test_a_result_beside_the_start_of_a_loop_is_kept(tmp_path: Path) -> None:
    """Both are packed in one allocation, of which the loop drops its part alone."""
    report, module = tmp_path / "report.json", tmp_path / "module.vmfb"
    serenity_mlir.compile_str(
        _LOOP_FROM_A_RESULT,
        output_file=str(module),
        extra_args=list(TARGETS["vmvx"]),
        serenity=serenity_mlir.SerenityOptions(rewrite="off", report=str(report)),
    )
    prediction = read_prediction(json.loads(report.read_text()), "main")
    assert prediction is not None and not prediction.exact
    # The input and one result; with an iteration the other result, packed with nothing, too.
    one = 8 * 6 * 4
    x = np.zeros((8, 6), np.float32)
    with MeasurementServer() as server:
        found = [measure(module, [x, trips], server=server) for trips in range(4)]
    assert [call.external_bytes for call in found] == [3 * one] + 3 * [4 * one]
    for call in found:
        assert prediction.external_bytes is not None and prediction.peak_bytes is not None
        assert call.external_bytes <= prediction.external_bytes
        assert call.peak_bytes <= prediction.peak_bytes


_RESULT_OF_ONE_BRANCH = """
func.func @main(%x: tensor<5x1xf32>, %y: tensor<5x6xf32>, %take: i32) -> (tensor<5x1xf32>, tensor<5x6xf32>) {
  %zero = arith.constant 0 : i32
  %cond = arith.cmpi sgt, %take, %zero : i32
  %0, %1 = scf.if %cond -> (tensor<5x1xf32>, tensor<5x1xf32>) {
    %2 = math.tanh %x : tensor<5x1xf32>
    scf.yield %2, %2 : tensor<5x1xf32>, tensor<5x1xf32>
  } else {
    %3 = arith.addf %x, %x : tensor<5x1xf32>
    scf.yield %3, %x : tensor<5x1xf32>, tensor<5x1xf32>
  }
  %w = arith.constant dense<[[0.25, 1.75, -1.0, -1.75, -1.25, 1.0]]> : tensor<1x6xf32>
  %4 = linalg.matmul ins(%0, %w : tensor<5x1xf32>, tensor<1x6xf32>) outs(%y : tensor<5x6xf32>) -> tensor<5x6xf32>
  return %1, %4 : tensor<5x1xf32>, tensor<5x6xf32>
}
"""  # noqa: E501


def test_a_result_of_one_branch_alone_is_no_exact_number(tmp_path: Path) -> None:
    report, module = tmp_path / "report.json", tmp_path / "module.vmfb"
    serenity_mlir.compile_str(
        _RESULT_OF_ONE_BRANCH,
        output_file=str(module),
        extra_args=list(TARGETS["vmvx"]),
        serenity=serenity_mlir.SerenityOptions(rewrite="off", report=str(report)),
    )
    prediction = read_prediction(json.loads(report.read_text()), "main")
    assert prediction is not None and not prediction.exact
    x, y = np.zeros((5, 1), np.float32), np.zeros((5, 6), np.float32)
    with MeasurementServer() as server:
        found = [measure(module, [x, y, take], server=server) for take in (0, 1)]
    # The other branch returns the input's own buffer.
    assert found[1].external_bytes - found[0].external_bytes == 5 * 4
    for call in found:
        assert prediction.external_bytes is not None and prediction.peak_bytes is not None
        assert call.external_bytes <= prediction.external_bytes
        assert call.peak_bytes <= prediction.peak_bytes


_RESULTS_BESIDE_A_LOOP = """
func.func @main(%x: tensor<8x6xf32>, %y: tensor<8x6xf32>, %trips: i32) -> (tensor<8x6xf32>, tensor<8x6xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %count = arith.index_cast %trips : i32 to index
  %a = math.tanh %x : tensor<8x6xf32>
  %out = scf.for %i = %c0 to %count step %c1 iter_args(%v = %a) -> (tensor<8x6xf32>) {
    %next = arith.addf %v, %y : tensor<8x6xf32>
    scf.yield %next : tensor<8x6xf32>
  }
  %row = tensor.extract_slice %y[0, 0] [1, 6] [1, 1] : tensor<8x6xf32> to tensor<1x6xf32>
  %changed = tensor.insert_slice %row into %y[1, 0] [1, 6] [1, 1] : tensor<1x6xf32> into tensor<8x6xf32>
  return %out, %changed : tensor<8x6xf32>, tensor<8x6xf32>
}
"""  # noqa: E501

_LOOP_OF_ARGUMENTS = """
func.func @main(%x: tensor<8x6xf32>, %y: tensor<8x6xf32>, %trips: i32) -> tensor<8x6xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %count = arith.index_cast %trips : i32 to index
  %a = math.tanh %x : tensor<8x6xf32>
  %out = scf.for %i = %c0 to %count step %c1 iter_args(%v = %a) -> (tensor<8x6xf32>) {
    scf.yield %y : tensor<8x6xf32>
  }
  return %out : tensor<8x6xf32>
}
"""


@pytest.mark.parametrize("source", [_RESULTS_BESIDE_A_LOOP, _LOOP_OF_ARGUMENTS])
def test_what_loops_leave_to_the_caller_is_bounded(source: str, tmp_path: Path) -> None:
    """A result handed out before a loop keeps the allocation that the loop starts from.

    A loop that allocates nothing may hand out the caller's own buffer.
    """
    report, module = tmp_path / "report.json", tmp_path / "module.vmfb"
    serenity_mlir.compile_str(
        source,
        output_file=str(module),
        extra_args=list(TARGETS["vmvx"]),
        serenity=serenity_mlir.SerenityOptions(report=str(report)),
    )
    prediction = read_prediction(json.loads(report.read_text()), "main")
    assert prediction is not None and not prediction.exact
    x = np.zeros((8, 6), np.float32)
    with MeasurementServer() as server:
        found = [measure(module, [x, x, trips], server=server) for trips in range(4)]
    assert len({call.external_bytes for call in found}) > 1
    for call in found:
        assert prediction.external_bytes is not None and prediction.peak_bytes is not None
        assert call.external_bytes <= prediction.external_bytes
        assert call.peak_bytes <= prediction.peak_bytes


_READ_AND_OVERWRITTEN = """
func.func @main(%x: tensor<1x4x5x5xf32>) -> tensor<1x5x5x5xf32> {
  %zero = arith.constant 0.0 : f32
  %half = arith.constant dense<0.5> : tensor<1x4x5x5xf32>
  %a = arith.mulf %x, %half : tensor<1x4x5x5xf32>
  %w = arith.constant dense<[[[[-1.25]], [[-0.25]], [[1.0]], [[-0.75]]]]> : tensor<1x4x1x1xf32>
  %0 = tensor.empty() : tensor<1x1x5x5xf32>
  %1 = linalg.fill ins(%zero : f32) outs(%0 : tensor<1x1x5x5xf32>) -> tensor<1x1x5x5xf32>
  %b = linalg.conv_2d_nchw_fchw
      {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}
      ins(%a, %w : tensor<1x4x5x5xf32>, tensor<1x4x1x1xf32>)
      outs(%1 : tensor<1x1x5x5xf32>) -> tensor<1x1x5x5xf32>
  %c = tensor.concat dim(1) %a, %b
      : (tensor<1x4x5x5xf32>, tensor<1x1x5x5xf32>) -> tensor<1x5x5x5xf32>
  %k = arith.constant dense<[[[1.75]], [[0.0]], [[-2.0]], [[-1.75]], [[0.5]]]> : tensor<5x1x1xf32>
  %2 = tensor.empty() : tensor<1x5x5x5xf32>
  %3 = linalg.fill ins(%zero : f32) outs(%2 : tensor<1x5x5x5xf32>) -> tensor<1x5x5x5xf32>
  %d = linalg.depthwise_conv_2d_nchw_chw
      {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}
      ins(%c, %k : tensor<1x5x5x5xf32>, tensor<5x1x1xf32>)
      outs(%3 : tensor<1x5x5x5xf32>) -> tensor<1x5x5x5xf32>
  return %d : tensor<1x5x5x5xf32>
}
"""


def test_what_is_read_is_overwritten_afterwards(tmp_path: Path) -> None:
    """The convolution reads what the depthwise one may overwrite in place.

    IREE's emplacement of both in the result sorts the convolution behind it.
    """
    module = tmp_path / "module.vmfb"
    serenity_mlir.compile_str(
        _READ_AND_OVERWRITTEN,
        output_file=str(module),
        extra_args=list(TARGETS["vmvx"]),
        serenity=serenity_mlir.SerenityOptions(rewrite="always"),
    )
    x = np.random.default_rng(1).integers(-8, 9, (1, 4, 5, 5)).astype(np.float32)
    a = x * 0.5
    b = np.einsum("nchw,c->nhw", a, np.array([-1.25, -0.25, 1, -0.75], np.float32))[:, None]
    kernel = np.array([1.75, 0, -2, -1.75, 0.5], np.float32)
    expected = np.concatenate([a, b], 1) * kernel[None, :, None, None]
    with MeasurementServer() as server:
        found = measure(module, [x], server=server)
    np.testing.assert_array_equal(found.outputs[0], expected)


_READ_WITH_THE_WHOLE = """
func.func @main(%x: tensor<1x2xi32>) -> tensor<1x8xi32> {
  %zero = arith.constant 0 : i32
  %two = arith.constant dense<2> : tensor<1x2xi32>
  %0 = arith.muli %x, %two : tensor<1x2xi32>
  %w = arith.constant dense<[[5, -3, 5], [5, -1, 3]]> : tensor<2x3xi32>
  %1 = tensor.empty() : tensor<1x3xi32>
  %2 = linalg.fill ins(%zero : i32) outs(%1 : tensor<1x3xi32>) -> tensor<1x3xi32>
  %3 = linalg.matmul ins(%x, %w : tensor<1x2xi32>, tensor<2x3xi32>)
      outs(%2 : tensor<1x3xi32>) -> tensor<1x3xi32>
  %c = tensor.concat dim(1) %0, %3, %3
      : (tensor<1x2xi32>, tensor<1x3xi32>, tensor<1x3xi32>) -> tensor<1x8xi32>
  %v = arith.constant dense<3> : tensor<8x8xi32>
  %r = linalg.matmul ins(%c, %v : tensor<1x8xi32>, tensor<8x8xi32>)
      outs(%c : tensor<1x8xi32>) -> tensor<1x8xi32>
  return %r : tensor<1x8xi32>
}
"""


def test_a_part_is_not_placed_where_its_reader_writes(tmp_path: Path) -> None:
    """A step of the rewritten product reads a part and accumulates over the whole."""
    module = tmp_path / "module.vmfb"
    serenity_mlir.compile_str(
        _READ_WITH_THE_WHOLE,
        output_file=str(module),
        extra_args=list(TARGETS["vmvx"]),
        serenity=serenity_mlir.SerenityOptions(rewrite="always"),
    )
    x = np.array([[3, -2]], np.int32)
    y = x @ np.array([[5, -3, 5], [5, -1, 3]], np.int32)
    whole = np.concatenate([2 * x, y, y], 1)
    with MeasurementServer() as server:
        found = measure(module, [x], server=server)
    np.testing.assert_array_equal(found.outputs[0], whole + whole @ np.full((8, 8), 3))


def test_rounding_of_terms_that_cancel_is_no_mismatch() -> None:
    """Seed 2002, program 802: 3e-06 apart in a result of 2e-02, made of terms of 10."""
    tools = Tools()
    with MeasurementServer() as server:
        program = generate(2002, 802, vmvx=True)
        assert compare_execution(program, "auto", "vmvx", tools, server, "0") == []


def test_results_that_stock_allocates_later_are_no_mismatch() -> None:
    """The stock compiler cuts the function in two at a barrier, and ours does not.

    Its second result is allocated after its transient memory is gone, and the runtime shows none.
    """
    tools = Tools()
    with MeasurementServer() as server:
        program = generate(2002, 731, vmvx=True)
        assert compare_execution(program, "always", "vmvx", tools, server, "0") == []


def test_calls_that_repeat_different_arguments_compile() -> None:
    """Offsets that coincided at the second call alone ended the compiler by a signal."""
    program = generate(2001, 332)
    assert compare_structure({332: program}, "auto", Tools())[332] == []
    with MeasurementServer() as server:
        assert compare_execution(program, "auto", "vmvx", Tools(), server, "0") == []


@pytest.mark.parametrize(("number", "mode"), [(492, "auto"), (713, "off")])
def test_the_program_kept_apart_judges_where_stock_is_wrong(number: int, mode: str) -> None:
    """Overlapping slices in place, and a producer computed where a strided window reads it."""
    program = generate(3002, number, vmvx=True)
    assert keep_apart(program).text() != program.text() == generate(3002, number, vmvx=True).text()
    with MeasurementServer() as server:
        problems = compare_execution(program, mode, "vmvx", Tools(), server, str(number))
    assert {problem.kind for problem in problems} == {REFUSED}


def test_the_program_kept_apart_judges_calls() -> None:
    """With f(a, b) = a - b, the stock compiler takes a for b in f(a, b) where f(b, b) follows."""
    of = Type((4, 4), "f32")
    a, b, x, y = (Value(of) for _ in range(4))
    minus = Operation("elementwise", [x, y], [Value(of)], {"function": "sub", "style": "generic"})
    helper = Function("helper", Block([x, y], [minus], minus.results), public=False, noinline=True)

    # Ours compiles the program with its functions inlined, and adds instead of subtracting.
    tools = _Deceived("ours", (" attributes {noinline}", ""), ("arith.subf", "arith.addf"))

    def kinds(*operands: list[Value]) -> set[str]:
        calls = [Operation("call", o, [Value(of)], {"callee": "helper"}) for o in operands]
        main = Function("main", Block([a, b], calls, [call.results[0] for call in calls]))
        program = Program([helper, main])
        with MeasurementServer() as server:
            found = compare_execution(program, "off", "vmvx", tools, server, "0")
        return {problem.kind for problem in found}

    assert kinds([a, b], [b, b]) == {REFUSED}
    # The other way round the stock compiler is right, and what ours does is wrong.
    assert "results" in kinds([b, b], [a, b])


@pytest.mark.parametrize(("number", "mode"), [(6829, "off"), (15892, "auto"), (8481, "off")])
def test_memory_that_calls_leave_to_their_caller_is_counted(number: int, mode: str) -> None:
    """Results of functions that are not inlined, and arguments that they pass through."""
    with MeasurementServer() as server:
        program = generate(6001, number, vmvx=True)
        assert compare_execution(program, mode, "vmvx", Tools(), server, "0") == []


def test_what_the_caller_keeps_of_a_call_is_no_result(tmp_path: Path) -> None:
    """Three calls in a row: the first two results are transient, and the last one is handed out."""
    of = Type((4, 4), "f32")
    x, y = Value(of), Value(of)
    doubled = Operation("elementwise", [y, y], [Value(of)], {"function": "add", "style": "generic"})
    helper = Function("helper", Block([y], [doubled], doubled.results), public=False, noinline=True)
    calls: list[Operation] = []
    for _ in range(3):
        operand = calls[-1].results[0] if calls else x
        calls.append(Operation("call", [operand], [Value(of)], {"callee": "helper"}))
    program = Program([helper, Function("main", Block([x], calls, calls[-1].results))])
    source, report = tmp_path / "program.mlir", tmp_path / "report.json"
    source.write_text(program.text())
    tools = Tools()
    flags = [*TARGETS["vmvx"], f"--serenity-report={report}", "-o", str(tmp_path / "module.vmfb")]
    assert tools.run(tools.ours, [str(source), *flags])[0] == 0
    prediction = read_prediction(json.loads(report.read_text()), "main")
    assert prediction is not None
    with MeasurementServer() as server:
        found = measure(tmp_path / "module.vmfb", [np.ones((4, 4), np.float32)], server=server)
    assert found.call.external_bytes == prediction.external_bytes == 2 * 64
    assert prediction.transient_peak_bytes is not None
    # IREE copies the argument, to have one type of resource at all calls.
    assert 2 * 64 <= found.call.transient_peak_bytes <= prediction.transient_peak_bytes == 3 * 64

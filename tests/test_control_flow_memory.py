# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Memory of functions with loops and branches: the report against the runtime's allocator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driver_support import TARGET, Compilers
from models import host_control_flow as control_flow
from report_support import chosen_kind

from serenity_mlir.measuring.measurement import MeasurementServer, measure

CASES = Path(__file__).parent / "models" / "cases"
BODIES = control_flow.CONSTANT | control_flow.OPEN


@pytest.fixture(scope="module")
def server() -> Iterator[MeasurementServer]:
    with MeasurementServer() as server:
        yield server


@dataclass(frozen=True)
class Compiled:
    """A module and its report, function by function."""

    module: Path
    functions: dict[str, dict[str, Any]]
    persistent: int


def compile_module(
    compilers: Compilers, directory: Path, source: Path, *flags: str, code: int = 0
) -> tuple[Compiled, str]:
    output, report = directory / "out.vmfb", directory / "report.json"
    run = compilers.ours(
        source, *TARGET, "-o", output, f"--serenity-report={report}", "--serenity-schedule", *flags
    )
    assert run.code == code, run.err
    data = json.loads(report.read_text())
    functions = {entry["exported_as"]: entry for entry in data["functions"]}
    return Compiled(output, functions, data["persistent_bytes"]), run.err


@pytest.fixture(scope="module", params=["--serenity-schedule=on", "--serenity-schedule=off"])
def programs(
    request: pytest.FixtureRequest, compilers: Compilers, tmp_path_factory: pytest.TempPathFactory
) -> Compiled:
    directory = tmp_path_factory.mktemp("programs")
    source = directory / "programs.mlir"
    source.write_text(control_flow.module(BODIES))
    return compile_module(compilers, directory, source, request.param)[0]


def call_bytes(
    module: Path, function: str, number: int, server: MeasurementServer
) -> tuple[int, int, int]:
    """The measured transient peak, external bytes, and peak without the module's own memory."""
    tensor = np.ones((16, 16), np.float32)
    call = measure(module, [tensor, number], function, server=server).call
    return call.transient_peak_bytes, call.external_bytes, call.peak_bytes - call.before_bytes


@pytest.mark.parametrize("name", control_flow.CONSTANT)
def test_constant_trip_counts_are_exact(
    name: str, programs: Compiled, server: MeasurementServer
) -> None:
    entry = programs.functions[name]
    predicted = (
        entry["transient_peak_bytes"],
        entry["external_bytes"],
        entry["peak_bytes"] - programs.persistent,
    )
    for number in (0, 3):
        assert call_bytes(programs.module, name, number, server) == predicted
    assert entry["peak_is_exact"]


@pytest.mark.parametrize("name", control_flow.OPEN)
def test_open_trip_counts_have_a_tight_bound(
    name: str, programs: Compiled, server: MeasurementServer
) -> None:
    entry = programs.functions[name]
    measured = [call_bytes(programs.module, name, number, server) for number in (0, 1, 2, 3, 5, 9)]
    assert not entry["peak_is_exact"]
    assert max(m[0] for m in measured) == entry["transient_peak_bytes"]
    assert max(m[1] for m in measured) == entry["external_bytes"]
    assert max(m[2] for m in measured) == entry["peak_bytes"] - programs.persistent


def test_the_peak_is_the_sum_of_its_allocations(programs: Compiled) -> None:
    for name in control_flow.CONSTANT:
        entry = programs.functions[name]
        items = entry["peak_allocations"]
        results = entry["external_bytes"] - 1024  # the argument
        assert sum(item["bytes"] for item in items) - results == entry["transient_peak_bytes"]
        assert {item["kind"] for item in items} <= {"slab", "value", "result"}


def test_a_budget_that_is_met_holds_on_the_runtime(
    compilers: Compilers, server: MeasurementServer, tmp_path: Path
) -> None:
    source = tmp_path / "programs.mlir"
    source.write_text(control_flow.module(BODIES))
    free, _ = compile_module(compilers, tmp_path, source)
    least = max(entry["transient_peak_bytes"] for entry in free.functions.values())
    budget = f"--serenity-memory-budget={least}"
    met, _ = compile_module(compilers, tmp_path, source, budget)
    for name in BODIES:
        assert met.functions[name]["budget"]["met"]
        assert all(
            call_bytes(met.module, name, number, server)[0] <= least for number in (0, 1, 2, 5)
        )


def test_a_loop_that_starts_from_a_constant(
    compilers: Compilers, server: MeasurementServer, tmp_path: Path
) -> None:
    source = CASES / "loop_from_zeros.mlir"
    # The constant that the loop starts from, and the slab: 64 x 64 floats each. The product is
    # made in the argument, which is returned.
    compiled, errors = compile_module(
        compilers, tmp_path, source, "--serenity-memory-budget=20000", code=3
    )
    assert "'main' exceeds its memory budget by 12768 bytes (32768 > 20000)" in errors
    assert "value between regions of stream.cmd.fill 16384" in errors
    assert " at least" not in errors.splitlines()[0]
    compiled, _ = compile_module(compilers, tmp_path, source, "--serenity-memory-budget=32768")
    entry = compiled.functions["main"]
    assert (entry["transient_peak_bytes"], entry["external_bytes"]) == (32768, 16384)
    assert entry["overwritten_inputs"] == entry["stock_overwritten_inputs"] == [0]
    tensor = np.ones((64, 64), np.float32)
    call = measure(compiled.module, [tensor], server=server).call
    assert (call.transient_peak_bytes, call.external_bytes) == (32768, 16384)


def test_loops_are_bounded_by_what_they_take(
    compilers: Compilers, server: MeasurementServer, tmp_path: Path
) -> None:
    source = CASES / "loop_carrying_tensors.mlir"
    compiled, _ = compile_module(compilers, tmp_path, source, "--serenity-memory-budget=294912")
    entry = compiled.functions["main"]
    tensor = np.ones((64, 64), np.float32)
    call = measure(compiled.module, [tensor, 1], server=server).call
    # A slab of 278,528 and the value of the iteration before.
    assert call.transient_peak_bytes == entry["transient_peak_bytes"] <= 278528 + 16384
    assert entry["peak_is_exact"]


def test_caches_in_globals(compilers: Compilers, server: MeasurementServer, tmp_path: Path) -> None:
    compiled, _ = compile_module(compilers, tmp_path, CASES / "kv_cache_globals.mlir")
    entry = compiled.functions["decode"]
    inputs = [np.ones((1, 64), np.float32), 3]
    call = measure(compiled.module, inputs, "decode", server=server).call
    assert call.transient_peak_bytes == entry["transient_peak_bytes"] == 8192


def test_empty_results_take_nothing(
    compilers: Compilers, server: MeasurementServer, tmp_path: Path
) -> None:
    source = CASES / "empty_results.mlir"
    compiled, _ = compile_module(compilers, tmp_path, source)
    entry = compiled.functions["main"]
    inputs = [np.ones((0, 16), np.float32), np.ones((8, 16), np.float32)]
    stock, _ = compile_module(compilers, tmp_path, source, "--serenity-schedule=off")
    theirs = measure(stock.module, inputs, server=server).call
    compiled, _ = compile_module(compilers, tmp_path, source)
    ours = measure(compiled.module, inputs, server=server).call
    # One input and one result of 8 x 16 floats.
    assert ours.external_bytes == theirs.external_bytes == entry["external_bytes"] == 1024
    assert ours.transient_peak_bytes == entry["transient_peak_bytes"]


def test_storage_of_the_caller_is_not_an_input(compilers: Compilers, tmp_path: Path) -> None:
    compiled, _ = compile_module(compilers, tmp_path, CASES / "caller_storage_results.mlir")
    entry = compiled.functions["main"]
    # The input of 64 x 128 floats; the result lies in the storage.
    assert (entry["external_bytes"], entry["transient_peak_bytes"]) == (32768, 32768)
    assert entry["overwritten_inputs"] == []


def test_stock_takes_over_the_proof_of_a_tie(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "chain.mlir"
    # A chain of products has one order: ours can only tie.
    source.write_text(
        control_flow.module(
            {
                "chain": "".join(
                    f"%p{i + 1} = linalg.matmul ins(%p{i}, %w : T, T) outs(%fill : T) -> T\n"
                    for i in range(4)
                ).replace("%p0", "%x")
                + "return %p4 : T"
            }
        )
    )
    compiled, _ = compile_module(compilers, tmp_path, source, "--serenity-rewrite=off")
    entry = compiled.functions["chain"]
    assert chosen_kind(entry).startswith("stock")
    (region,) = entry["regions"]
    # Two of the products of 16 x 16 floats at a time, one of them in the result's memory.
    assert region["optimal"] and region["lower_bound_bytes"] == 1024 and region["proved_by"]

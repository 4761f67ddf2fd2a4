# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests of results that lie in the memory of consumed inputs, and of those that must not."""

from __future__ import annotations

import gc
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from external_memory_support import BYTES, SQUARE, function, product, run, torch_chain, verified

import serenity_mlir
from serenity_mlir.compiling.options import SerenityOptions
from serenity_mlir.measuring.checking import CheckResult

#: x -> a -> d: x is dead when d is written.
TWO_STEPS = product("a", "x", "w") + product("d", "a", "w")


def moved(result: CheckResult) -> set[tuple[int, int]]:
    """The results in inputs, each as (number of the result, number of the argument)."""
    assert result.report is not None
    return {
        (item["result"], item["argument"])
        for entry in result.report["functions"]
        for region in entry["regions"]
        for item in region["reused_memory"]
        if item["result"] is not None
    }


def test_a_result_lies_in_a_consumed_input(tmp_path: Path) -> None:
    result = run(tmp_path, function(f"%x: {SQUARE}", TWO_STEPS, SQUARE, "%d"))
    found = verified(result)
    assert moved(result) == {(0, 0)}
    # x and a: nothing is allocated for d, so that 2 * BYTES is the peak of the call.
    assert found.serenity.external_bytes == BYTES
    assert found.serenity.peak_bytes == 2 * BYTES
    assert found.stock.peak_bytes == 3 * BYTES
    assert found.prediction.overwritten_inputs == (0,)
    assert all(call.changed_inputs == (0,) for call in found.serenity.calls)


def test_a_result_that_is_returned_twice_is_moved_once(tmp_path: Path) -> None:
    text = function(f"%x: {SQUARE}", TWO_STEPS, f"{SQUARE}, {SQUARE}", "%d, %d")
    result = run(tmp_path, text)
    assert verified(result).serenity.external_bytes == BYTES
    assert moved(result) == {(0, 0)}


def test_results_that_overlap_are_written_apart(tmp_path: Path) -> None:
    """d, and the last rows of d."""
    rows = "tensor<32x64xf32>"
    text = function(
        f"%x: {SQUARE}",
        TWO_STEPS + f"  %s = tensor.extract_slice %d[32, 0] [32, 64] [1, 1] : {SQUARE} to {rows}\n",
        f"{SQUARE}, {rows}",
        "%d, %s",
    )
    found = verified(run(tmp_path, text))
    assert found.serenity.peak_bytes < found.stock.peak_bytes


def test_inputs_without_room_hold_no_result(tmp_path: Path) -> None:
    """%y is smaller than the result; %x is read when it is written, by the product itself."""
    half = "tensor<64x32xf32>"
    text = function(
        f"%x: {SQUARE}, %y: {half}",
        f"  %a = linalg.matmul ins(%w, %y : {SQUARE}, {half}) outs(%g : {half}) -> {half}\n"
        f"  %b = tensor.concat dim(1) %a, %a : ({half}, {half}) -> {SQUARE}\n"
        + product("d", "b", "x"),
        SQUARE,
        "%d",
        sizes=f"%e = tensor.empty() : {SQUARE}\n  %h = tensor.empty() : {half}\n"
        f"  %g = linalg.fill ins(%zero : f32) outs(%h : {half}) -> {half}",
    )
    result = run(tmp_path, text)
    found = verified(result)
    assert moved(result) == set()
    assert found.serenity.external_bytes == found.stock.external_bytes


def test_an_input_that_is_read_after_the_write_holds_no_result(tmp_path: Path) -> None:
    text = function(
        f"%x: {SQUARE}",
        product("a", "x", "w") + product("r", "a", "w") + product("s", "r", "x"),
        f"{SQUARE}, {SQUARE}",
        "%r, %s",
    )
    result = run(tmp_path, text)
    verified(result)
    assert moved(result) == set()


def test_a_small_result_does_not_keep_a_large_input_alive(tmp_path: Path) -> None:
    row = "tensor<1x64xf32>"  # a 64th of %x
    text = function(
        f"%x: {SQUARE}",
        product("a", "x", "w")
        + product("b", "a", "w")
        + f"  %d = tensor.extract_slice %b[3, 0] [1, 64] [1, 1] : {SQUARE} to {row}\n",
        row,
        "%d",
    )
    result = run(tmp_path, text)
    verified(result)
    assert moved(result) == set()


def test_storage_of_the_caller_stays_that_of_the_result(tmp_path: Path) -> None:
    text = function(
        f"%x: {SQUARE}, %out: !hal.buffer {{iree.abi.output = 0 : index}}",
        TWO_STEPS,
        SQUARE,
        "%d",
    )
    result = run(tmp_path, text)
    verified(result)
    assert moved(result) == set()


def test_a_function_with_an_arena_of_the_caller_allocates_its_results(tmp_path: Path) -> None:
    text = function(
        f"%arena: !hal.buffer {{iree.abi.transients}}, %x: {SQUARE}", TWO_STEPS, SQUARE, "%d"
    )
    result = run(tmp_path, text)
    found = verified(result)
    assert moved(result) == set()
    assert found.serenity.call.arena_bytes == BYTES


def test_a_value_that_a_variable_keeps_is_no_view_of_an_input(tmp_path: Path) -> None:
    """The variable has a copy: the caller fills the input anew before the next call reads it."""
    text = function(
        f"%x: {SQUARE}",
        f"  %old = util.global.load @state : {SQUARE}\n"
        + product("a", "x", "w")
        + product("d", "a", "old")
        + f"  util.global.store %d, @state : {SQUARE}\n",
        SQUARE,
        "%d",
    )
    result = run(tmp_path, f"util.global private mutable @state = dense<0.5> : {SQUARE}\n" + text)
    verified(result)  # of two calls, the second with the input filled anew
    assert moved(result) == {(0, 0)}


def compile_consuming(tmp_path: Path, text: str) -> tuple[bytes, bytes, Any]:
    """The stock module, that which consumes input 0, and its report."""
    path, report = tmp_path / "main.mlir", tmp_path / "report.json"
    path.write_text(text)
    stock = serenity_mlir.compile(str(path), serenity=None)
    ours = serenity_mlir.compile(
        str(path), consume=[0], serenity=SerenityOptions(rewrite="off", report=str(report))
    )
    assert stock is not None and ours is not None
    return stock, ours, json.loads(report.read_text())


def test_the_module_names_the_inputs_that_it_overwrites(tmp_path: Path) -> None:
    rt = pytest.importorskip("iree.runtime")
    stock, ours, _ = compile_consuming(tmp_path, function(f"%x: {SQUARE}", TWO_STEPS, SQUARE, "%d"))
    instance = rt.VmInstance()
    modules = [rt.VmModule.copy_buffer(instance, module) for module in (stock, ours)]
    plain, reflected = (module.lookup_function("main").reflection for module in modules)
    assert reflected == {
        **plain,
        "serenity.overwritten_inputs": "0",
        "serenity.results_in_inputs": "0:0",
    }


def test_consuming_an_argument_without_effect_is_a_warning(
    tmp_path: Path, serenity_compile: str
) -> None:
    """There is no argument 9; %y is read by the last product, which writes the result."""
    path = tmp_path / "main.mlir"
    path.write_text(
        function(
            f"%x: {SQUARE}, %y: {SQUARE}",
            TWO_STEPS + product("z", "d", "y"),
            SQUARE,
            "%z",
        )
    )
    command = [
        *(serenity_compile, str(path), "-o", str(tmp_path / "main.mlirbc")),
        *("--compile-to=stream", "--iree-hal-target-device=local"),
        *("--iree-hal-local-target-device-backends=vmvx", "--serenity-rewrite=off"),
        *("--serenity-consume=0", "--serenity-consume=1", "--serenity-consume=9"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--serenity-consume=0" not in done.stderr
    assert "--serenity-consume=1 has no effect: no value lies in" in done.stderr
    assert "--serenity-consume=9 has no effect: no function has a tensor as" in done.stderr


def test_the_result_outlives_the_input_and_calls_repeat(tmp_path: Path) -> None:
    rt = pytest.importorskip("iree.runtime")
    stock, ours, _ = compile_consuming(tmp_path, function(f"%x: {SQUARE}", TWO_STEPS, SQUARE, "%d"))
    array = np.random.default_rng(4).standard_normal((64, 64)).astype(np.float32)

    def load(module: bytes) -> tuple[Any, Any]:
        config = rt.Config("local-sync")
        return config.device, rt.load_vm_module(
            rt.VmModule.copy_buffer(config.vm_instance, module), config
        )

    device, loaded = load(stock)
    expected = loaded.main(array).to_host()
    device, loaded = load(ours)
    buffer = rt.asdevicearray(device, array)
    first = loaded.main(buffer)
    np.testing.assert_array_equal(buffer.to_host(), expected)  # the input is the result
    del buffer
    gc.collect()
    np.testing.assert_array_equal(first.to_host(), expected)
    # A call with the result as its input: its contents are read before they are overwritten.
    second = loaded.main(first).to_host()
    np.testing.assert_array_equal(second, load(stock)[1].main(expected).to_host())


def test_fences_order_the_calls_of_a_consumed_input(tmp_path: Path) -> None:
    """Two calls in flight, the second of which consumes the result of the first."""
    rt = pytest.importorskip("iree.runtime")
    stock, ours, report = compile_consuming(tmp_path, torch_chain(steps=2))
    regions = [region for entry in report["functions"] for region in entry["regions"]]
    assert [item["result"] for region in regions for item in region["reused_memory"]] == [0]
    # Two inputs of 64 x 64 x 4 bytes, in one of which the result lies. The function declares no
    # inputs, though its reflection has attributes.
    (entry,) = (entry for entry in report["functions"] if entry["regions"])
    assert entry["external_bytes"] == 2 * 16384 and entry["peak_bytes"] >= entry["external_bytes"]
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal((64, 64)).astype(np.float32) / 8 for _ in range(2)]

    def call(module: bytes) -> Any:
        config = rt.Config("local-task")
        context = rt.SystemContext(config=config)
        loaded = rt.VmModule.copy_buffer(config.vm_instance, module)
        context.add_vm_module(loaded)
        main = loaded.lookup_function("main$async")
        first, other = (rt.asdevicearray(config.device, array)._buffer_view for array in arrays)
        semaphore = config.device.create_semaphore(0)
        for number in range(2):
            arguments, results = rt.VmVariantList(4), rt.VmVariantList(1)
            arguments.push_ref(first)
            arguments.push_ref(other)
            arguments.push_ref(rt.HalFence.create_at(semaphore, number))
            arguments.push_ref(rt.HalFence.create_at(semaphore, number + 1))
            context.vm_context.invoke(main, arguments, results)
            first = results.get_as_object(0, rt.HalBufferView)
        rt.HalFence.create_at(semaphore, 2).wait()
        return rt.DeviceArray(config.device, first, implicit_host_transfer=True).to_host()

    np.testing.assert_array_equal(call(ours), call(stock))

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests of programs in which memory of results or inputs must not, or not fully, be reused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from external_memory_support import (
    BYTES,
    SQUARE,
    function,
    modules,
    product,
    run,
    torch_chain,
    verified,
)
from report_support import reused

#: x -> a -> b -> c -> d: a is read by c as well, so that two values are alive beside x.
CHAIN = (
    product("a", "x", "w")
    + product("b", "a", "w")
    + product("c", "b", "a")
    + product("d", "c", "w")
)


def test_results_that_are_one_value_are_written_once(tmp_path: Path) -> None:
    text = function(
        f"%x: {SQUARE}",
        CHAIN + f"  %v = tensor.expand_shape %d [[0, 1], [2]] output_shape [8, 8, 64] : {SQUARE}"
        " into tensor<8x8x64xf32>\n",
        f"{SQUARE}, {SQUARE}, tensor<8x8x64xf32>",
        "%d, %d, %v",
    )
    result = run(tmp_path, text)
    found = verified(result)
    assert found.serenity.transient_peak_bytes < found.stock.transient_peak_bytes
    assert {memory for memory, _ in reused(result)} >= {"result"}


def test_the_storage_that_a_caller_gives_for_a_result_is_not_scratch(tmp_path: Path) -> None:
    """The caller may look at it, or pass it twice; its bytes count as given, not as ours."""
    text = function(
        f"%x: {SQUARE}, %out: !hal.buffer {{iree.abi.output = 0 : index}}",
        CHAIN,
        SQUARE,
        "%d",
    )
    result = run(tmp_path, text, serenity=("--serenity-rewrite=off",))
    verified(result)
    assert reused(result) == set()


#: The chain in a function whose transient memory the caller provides.
WITH_ARENA = function(
    f"%arena: !hal.buffer {{iree.abi.transients}}, %x: {SQUARE}", CHAIN, SQUARE, "%d"
)


def test_an_arena_of_the_caller_holds_what_lies_in_no_result(tmp_path: Path) -> None:
    result = run(tmp_path, WITH_ARENA, serenity=("--serenity-rewrite=off",))
    found = verified(result)
    # a, b and c are alive together; the result takes one of them.
    assert found.stock.call.arena_bytes == 3 * BYTES
    assert found.serenity.call.arena_bytes == 2 * BYTES
    assert reused(result) == {("result", None)}


def test_an_arena_of_the_caller_holds_what_lies_in_no_input_either(tmp_path: Path) -> None:
    """Only c is left: a lies in the result, which is written after a's last use, and b in x."""
    result = run(tmp_path, WITH_ARENA)
    found = verified(result)
    assert found.stock.call.arena_bytes == 3 * BYTES
    assert found.serenity.call.arena_bytes == BYTES
    assert reused(result) == {("result", None), ("input", 1)}
    assert found.prediction.overwritten_inputs == (1,)
    assert all(call.changed_inputs == (1,) for call in found.serenity.calls)


def test_values_between_regions_are_kept(tmp_path: Path) -> None:
    """A loop whose trips are an argument cuts the function; each region has its own memory."""
    text = function(
        f"%x: {SQUARE}, %trips: i32",
        product("a", "x", "w")
        + product("b", "a", "w")
        + f"""  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %count = arith.index_cast %trips : i32 to index
  %l = scf.for %i = %c0 to %count step %c1 iter_args(%v = %b) -> ({SQUARE}) {{
    %p = linalg.matmul ins(%v, %a : {SQUARE}, {SQUARE}) outs(%f : {SQUARE}) -> {SQUARE}
    %q = linalg.matmul ins(%p, %w : {SQUARE}, {SQUARE}) outs(%f : {SQUARE}) -> {SQUARE}
    scf.yield %q : {SQUARE}
  }}
"""
        + product("d", "l", "a")
        + product("g", "d", "w"),
        SQUARE,
        "%g",
    )
    verified(run(tmp_path, text))


def test_of_run_time_size_results_alone_are_used(tmp_path: Path) -> None:
    """An input stays as it is, consumed or not; a buffer as large as the result fits there."""
    dynamic = "tensor<?x64xf32>"
    chain = (
        product("a", "x", "w", dynamic)
        + product("b", "a", "w", dynamic)
        + f"  %c = arith.addf %b, %a : {dynamic}\n"
        + product("d", "c", "w", dynamic)
    )
    text = function(
        f"%x: {dynamic}",
        chain,
        dynamic,
        "%d",
        square=dynamic,
        sizes=f"%i = arith.constant 0 : index\n  %m = tensor.dim %x, %i : {dynamic}\n"
        f"  %e = tensor.empty(%m) : {dynamic}",
    )
    result = run(tmp_path, text)
    verified(result)
    assert reused(result) == {("result", None)}


TWO_INPUTS = function(f"%x: {SQUARE}, %y: {SQUARE}", CHAIN + product("g", "d", "y"), SQUARE, "%g")


def test_a_buffer_passed_for_a_kept_and_a_consumed_input_is_the_callers_promise(
    tmp_path: Path,
) -> None:
    """Without a promise one buffer may be passed twice; a consumed one is left to the caller."""
    rt = pytest.importorskip("iree.runtime")
    stock, kept = modules(tmp_path, TWO_INPUTS)
    _, consumed = modules(tmp_path, TWO_INPUTS, consume=[0])
    array = np.random.default_rng(2).standard_normal((64, 64)).astype(np.float32)

    def call(module: bytes, *, twice: bool) -> tuple[Any, list[Any]]:
        config = rt.Config("local-sync")
        loaded = rt.load_vm_module(rt.VmModule.copy_buffer(config.vm_instance, module), config)
        buffers = [rt.asdevicearray(config.device, array) for _ in range(1 if twice else 2)]
        result = loaded.main(buffers[0], buffers[-1]).to_host()
        return result, [buffer.to_host() for buffer in buffers]

    expected, _ = call(stock, twice=True)
    result, buffers = call(kept, twice=True)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(buffers[0], array)
    result, buffers = call(consumed, twice=False)
    np.testing.assert_array_equal(result, expected)
    assert not np.array_equal(buffers[0], array)  # overwritten
    np.testing.assert_array_equal(buffers[1], array)  # not consumed


def test_calls_with_fences_may_overlap(tmp_path: Path) -> None:
    """Two calls in flight on the same inputs have results of their own to write into."""
    rt = pytest.importorskip("iree.runtime")
    report = tmp_path / "report.json"
    stock, ours = modules(tmp_path, torch_chain(), report=str(report))
    assert '"memory": "result"' in report.read_text()
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal((64, 64)).astype(np.float32) / 8 for _ in range(2)]

    def call(module: bytes) -> list[Any]:
        config = rt.Config("local-task")
        context = rt.SystemContext(config=config)
        loaded = rt.VmModule.copy_buffer(config.vm_instance, module)
        context.add_vm_module(loaded)
        main = loaded.lookup_function("main$async")
        device = config.device
        inputs = [rt.asdevicearray(device, array)._buffer_view for array in arrays]
        semaphore = device.create_semaphore(0)
        views = []
        for number in range(2):
            arguments, results = rt.VmVariantList(4), rt.VmVariantList(1)
            for view in inputs:
                arguments.push_ref(view)
            arguments.push_ref(rt.HalFence.create_at(semaphore, number))
            arguments.push_ref(rt.HalFence.create_at(semaphore, number + 1))
            context.vm_context.invoke(main, arguments, results)
            views.append(results.get_as_object(0, rt.HalBufferView))
        rt.HalFence.create_at(semaphore, 2).wait()
        found = [rt.DeviceArray(device, view, implicit_host_transfer=True) for view in views]
        return [array.to_host() for array in found]

    first, second = call(ours)
    expected = call(stock)[0]
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(second, expected)

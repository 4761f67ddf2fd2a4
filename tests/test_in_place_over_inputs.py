# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests of residual chains that begin at a consumed input and stay in its memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from external_memory_support import BYTES, SQUARE, function, modules, product, run, verified
from typer.testing import CliRunner

from serenity_mlir.cli import app

_MAP = "affine_map<(i, j) -> (i, j)>"


def _sum(name: str, left: str, right: str) -> str:
    return f"""  %{name} = linalg.generic {{indexing_maps = [{_MAP}, {_MAP}, {_MAP}],
    iterator_types = ["parallel", "parallel"]}} ins(%{left}, %{right} : {SQUARE}, {SQUARE})
    outs(%e : {SQUARE}) {{
  ^bb0(%p: f32, %q: f32, %o: f32):
    %v = arith.addf %p, %q : f32
    linalg.yield %v : f32
  }} -> {SQUARE}
"""


def _residuals(factor: str) -> str:
    """s = x + x factor w, t = s + s w w, z = t w."""
    return (
        product("a", "x", factor)
        + product("b", "a", "w")
        + _sum("s", "b", "x")
        + product("c", "s", "w")
        + product("d", "c", "w")
        + _sum("t", "d", "s")
        + product("z", "t", "w")
    )


RESIDUALS = _residuals("w")


def test_a_residual_chain_stays_in_its_input(tmp_path: Path) -> None:
    """x, s and t share the input, a and c lie in the result: no slab is left."""
    found = verified(run(tmp_path, function(f"%x: {SQUARE}", RESIDUALS, SQUARE, "%z")))
    assert found.prediction.overwritten_inputs == (0,)
    assert {call.changed_inputs for call in found.serenity.calls} == {(0,)}
    assert found.serenity.external_bytes == 2 * BYTES
    assert found.serenity.transient_peak_bytes == 0


def test_check_and_explain_name_the_input(tmp_path: Path) -> None:
    path, report = tmp_path / "main.mlir", tmp_path / "report.json"
    path.write_text(function(f"%x: {SQUARE}", RESIDUALS, SQUARE, "%z"))
    command = ["check", str(path), "--consume", "--serenity-rewrite=off", "--report", str(report)]
    checked = CliRunner().invoke(app, command)
    assert checked.exit_code == 0, checked.output
    assert "overwritten inputs: 0 (stock: none)" in checked.output
    explained = CliRunner().invoke(app, ["explain", str(report)])
    assert "The call writes to the memory of input 0." in explained.output


def test_an_input_that_is_kept_holds_no_chain(tmp_path: Path) -> None:
    text = function(f"%x: {SQUARE}", RESIDUALS, SQUARE, "%z")
    found = verified(run(tmp_path, text, serenity=("--serenity-rewrite=off",)))
    assert found.prediction.overwritten_inputs == ()
    assert {call.changed_inputs for call in found.serenity.calls} == {()}
    assert found.serenity.transient_peak_bytes == BYTES


def test_an_input_that_is_returned_too_holds_no_chain(tmp_path: Path) -> None:
    text = function(f"%x: {SQUARE}", RESIDUALS, f"{SQUARE}, {SQUARE}", "%z, %x")
    found = verified(run(tmp_path, text))
    assert found.prediction.overwritten_inputs == ()
    assert {call.changed_inputs for call in found.serenity.calls} == {()}


def test_an_arena_of_the_caller_is_beside_the_chain(tmp_path: Path) -> None:
    text = function(
        f"%arena: !hal.buffer {{iree.abi.transients}}, %x: {SQUARE}", RESIDUALS, SQUARE, "%z"
    )
    found = verified(run(tmp_path, text))
    assert found.prediction.overwritten_inputs == (1,)
    assert found.serenity.call.arena_bytes < found.stock.call.arena_bytes
    assert all(call.changed_inputs == (1,) for call in found.serenity.calls)


def test_one_buffer_may_be_consumed_and_kept_if_the_kept_one_is_read_first(tmp_path: Path) -> None:
    """y is read before the chain overwrites x. The module names the argument."""
    rt = pytest.importorskip("iree.runtime")
    text = function(f"%x: {SQUARE}, %y: {SQUARE}", _residuals("y"), SQUARE, "%z")
    stock, ours = modules(tmp_path, text, consume=[0])
    array = np.random.default_rng(5).standard_normal((64, 64)).astype(np.float32) / 8

    def call(module: bytes) -> tuple[Any, Any, Any]:
        config = rt.Config("local-sync")
        loaded = rt.VmModule.copy_buffer(config.vm_instance, module)
        buffer = rt.asdevicearray(config.device, array)
        result = rt.load_vm_module(loaded, config).main(buffer, buffer).to_host()
        return result, buffer.to_host(), loaded.lookup_function("main").reflection

    expected, unchanged, plain = call(stock)
    result, changed, reflected = call(ours)
    np.testing.assert_array_equal(unchanged, array)
    np.testing.assert_array_equal(result, expected)
    assert not np.array_equal(changed, array)
    assert reflected == {**plain, "serenity.overwritten_inputs": "0"}

# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`serenity_mlir.peak`: the bytes that the compiled module allocates, without its code."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import DIAMOND_MODULE
from models import MODELS

import serenity_mlir
from serenity_mlir.compiling.peak_memory import peak
from serenity_mlir.errors import SerenityError


@pytest.mark.parametrize(
    ("effort", "rewrite"), [("fast", "off"), pytest.param("full", None, marks=pytest.mark.slow)]
)
def test_the_peak_is_what_the_compiled_module_allocates(effort, rewrite):
    model = MODELS["jax_nhwc"]()
    found = peak(model, effort=effort)
    options = serenity_mlir.SerenityOptions(rewrite=rewrite)
    module = serenity_mlir.compile(model, serenity=options)
    image = np.zeros((1, 16, 16, 8), np.float32)
    measured = serenity_mlir.measure(module, [image])
    assert found.transient_bytes == measured.transient_peak_bytes
    assert found.external_bytes == measured.external_bytes == 2 * image.nbytes
    assert found.persistent_bytes == measured.persistent_bytes
    assert found.total_bytes == measured.call.peak_bytes
    assert found.transient_bytes < found.stock_transient_bytes
    assert found.optimal


def test_calls_at_once_give_the_same_answers():
    models = [MODELS["several_results"](), DIAMOND_MODULE] * 2
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda model: peak(model, effort="fast"), models))
    assert found[:2] == found[2:]
    assert found[0] != found[1]
    assert pickle.loads(pickle.dumps(found)) == found


def test_the_largest_function_counts(tmp_path):
    text = MODELS["two_functions"]()
    options = serenity_mlir.SerenityOptions(rewrite="off", report=tmp_path / "report.json")
    serenity_mlir.compile(text, serenity=options, extra_args=["--compile-to=stream"])
    functions = serenity_mlir.load_report(tmp_path / "report.json").functions
    peaks = {entry.transient_peak_bytes for entry in functions if not entry.initializer}
    assert len(peaks) > 1
    assert peak(text, effort="fast").transient_bytes == max(peaks)


@pytest.mark.parametrize(
    ("model", "text", "code"),
    [
        (MODELS["dynamic_batch"](), "a size depends on the call", 2),
        ("module {\n}\n", "no function", 2),
        ("func.func @main( {\n", "compilation failed", 1),
        ("none.onnx", "no such file", 2),
    ],
)
def test_what_has_no_peak(model, text, code):
    with pytest.raises(SerenityError, match=text) as caught:
        peak(model, effort="fast")
    assert caught.value.exit_code == code


def test_other_efforts_are_refused():
    with pytest.raises(ValueError, match="fast, full"):
        peak(DIAMOND_MODULE, effort="some")  # type: ignore[arg-type]

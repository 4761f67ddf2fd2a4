# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Static dimensions are rewritten beside a dynamic batch; calls take what the formula gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from serenity_mlir.compiling.compiler import SerenityOptions, target_flags
from serenity_mlir.compiling.importing import import_model
from serenity_mlir.measuring.checking import compile_model
from serenity_mlir.measuring.measurement import measure
from serenity_mlir.measuring.predictions import read_prediction
from serenity_mlir.reports.reporting import Report, parse_report

CASES = Path(__file__).parent / "models" / "cases"

#: Bytes of one channel of an image of dynamic_batch.onnx, and of one that is padded.
WHOLE, PADDED = 4 * 32 * 32, 4 * 34 * 34


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Report]:
    """dynamic_batch.onnx by the stock compiler and by serenity, with its report."""
    folder = tmp_path_factory.mktemp("rewriting")
    source = import_model(CASES / "dynamic_batch.onnx", folder).path
    stock, rewritten = folder / "stock.vmfb", folder / "rewritten.vmfb"
    compile_model(source, stock, target_flags(()), None)
    data = compile_model(source, rewritten, target_flags(()), SerenityOptions())
    return stock, rewritten, parse_report(data)


def test_a_convolution_over_a_concatenation_is_accumulated(
    modules: tuple[Path, Path, Report],
) -> None:
    (function,) = modules[2].called
    # The padded image of 8 channels, which all branches read, beside 4 channels of a branch and the
    # 4 of the result: as many bytes as with the batch fixed at 1.
    assert function.bytes_formula is not None
    assert function.bytes_formula.text == f"{8 * PADDED + 8 * WHOLE}*d0"
    assert "rewriting" in function.used


@pytest.mark.parametrize("batch", [1, 5, 32])
def test_the_formula_is_what_a_call_takes(modules: tuple[Path, Path, Report], batch: int) -> None:
    stock, rewritten, report = modules
    shape = (batch, 3, 32, 32)
    inputs = [np.random.default_rng(0).standard_normal(shape).astype(np.float32)]
    before, after = measure(stock, inputs, "main"), measure(rewritten, inputs, "main")
    prediction = read_prediction(report, "main", {"arg0:axis0": batch})
    assert prediction is not None
    assert after.transient_peak_bytes == prediction.transient_peak_bytes
    assert after.transient_peak_bytes < before.transient_peak_bytes / 8
    for one, other in zip(before.outputs, after.outputs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)

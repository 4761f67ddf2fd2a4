# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A quantized network with a dynamic batch is stored in 8 bits, and computed in bands of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from quantized_models import branches, integers

from serenity_mlir.compiling.compiler import SerenityOptions, target_flags
from serenity_mlir.compiling.importing import import_model
from serenity_mlir.measuring.checking import compile_model
from serenity_mlir.measuring.measurement import measure
from serenity_mlir.measuring.predictions import read_prediction
from serenity_mlir.reports.reporting import Report, parse_report

pytestmark = integers

#: An image of the stem, 16 channels of 24x24 bytes; IREE stores the padded one in float32.
STEM_BYTES = 16 * 24 * 24


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Report]:
    """`branches` with a dynamic batch by the stock compiler and by serenity, with its report."""
    folder = tmp_path_factory.mktemp("quantized")
    source = import_model(branches(folder / "branches.onnx", batch="N"), folder).path
    stock, stored = folder / "stock.vmfb", folder / "stored.vmfb"
    compile_model(source, stock, target_flags(()), None)
    data = compile_model(source, stored, target_flags(()), SerenityOptions())
    return stock, stored, parse_report(data)


def test_values_are_stored_in_integers(modules: tuple[Path, Path, Report]) -> None:
    (function,) = modules[2].called
    (chosen,) = [candidate for candidate in function.candidates if candidate.chosen]
    assert chosen.storage in ("integers", "raised")
    assert chosen.transient_peak_bytes is None
    assert function.bytes_formula is not None
    assert chosen.hint_bytes == function.bytes_formula.hint_bytes
    # Nothing that depends on anything but the batch was left in IREE's order.
    assert all(region.left_alone is None for region in function.regions)


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_the_formula_is_what_a_call_takes(modules: tuple[Path, Path, Report], batch: int) -> None:
    stock, stored, report = modules
    shape = (batch, 3, 24, 24)
    inputs = [np.random.default_rng(0).standard_normal(shape).astype(np.float32)]
    name = report.called[0].exported_as
    assert name is not None
    before, after = measure(stock, inputs, name), measure(stored, inputs, name)
    prediction = read_prediction(report, name, {"arg0:axis0": batch})
    assert prediction is not None
    assert after.transient_peak_bytes == prediction.transient_peak_bytes
    assert before.transient_peak_bytes >= 4 * STEM_BYTES * batch
    assert after.transient_peak_bytes <= before.transient_peak_bytes / 4
    for one, other in zip(before.outputs, after.outputs, strict=True):
        np.testing.assert_array_equal(one, other)

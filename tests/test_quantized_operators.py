# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Networks in QOperator form: operators of the domain com.microsoft."""

from __future__ import annotations

from pathlib import Path

import pytest
from quantized_models import integers, quantized_operators, refused_operator

from serenity_mlir.compiling.importing import load_model
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.checking import check


@integers
def test_operators_are_imported_with_the_types_of_their_results(tmp_path: Path) -> None:
    # ONNX's shape inference knows none of them, and IREE imports none without a type.
    result = check(quantized_operators(tmp_path / "operators.onnx"))
    assert result.ok
    (function,) = result.functions
    assert function.difference.bitwise
    # The pools add up floats, which are quantized later: nothing is rewritten, so that they round
    # as in stock. The operand of the first, 8 channels of 8x8, is stored in floats by both.
    assert function.serenity.transient_peak_bytes <= 4 * 8 * 8 * 8
    assert function.stock.transient_peak_bytes > function.serenity.transient_peak_bytes


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("QLinearSoftmax", "QLinearSoftmax"),
        ("QGemm", "QGemm"),
        ("QLinearGlobalAveragePool", "QLinearGlobalAveragePool with channels_last"),
        ("QLinearMatMul", "QLinearMatMul of ranks 4 and 2"),
    ],
)
def test_operators_that_iree_does_not_import_are_named(
    kind: str, named: str, tmp_path: Path
) -> None:
    path = refused_operator(tmp_path / "refused.onnx", kind)
    with pytest.raises(SerenityError, match=f": node: IREE does not import {named}; ") as caught:
        load_model(path, tmp_path)
    assert "QuantFormat.QDQ" in str(caught.value)

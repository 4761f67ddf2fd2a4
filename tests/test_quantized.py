# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Quantized networks: stored in 8 bits, with results bit for bit those of the stock compiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from driver_support import TARGET
from quantized_models import (
    OLD,
    branches,
    concatenated_result,
    integers,
    pooled,
    qlinear_convolutions,
    residual,
)
from report_support import make_candidate, make_function, make_report

from serenity_mlir.compiling.compiler import SerenityOptions, compile_file
from serenity_mlir.compiling.importing import load_model
from serenity_mlir.measuring.checking import CheckResult, check
from serenity_mlir.measuring.predictions import read_prediction
from serenity_mlir.networks.quantizing import with_integer_border
from serenity_mlir.reports.explaining import explain
from serenity_mlir.reports.reporting import FunctionReport, load_report, parse_report

#: The first convolution of `pooled`, and its result with the pool's padding, a byte an element.
WIDE_BYTES = 16 * 48 * 48
PADDED_BYTES = 16 * 50 * 50


def _assert_equal(result: CheckResult) -> None:
    assert result.ok
    (function,) = result.functions
    assert function.difference.bitwise


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> FunctionReport:
    """The report on `pooled`."""
    folder = tmp_path_factory.mktemp("pooled")
    source = load_model(pooled(folder / "pooled.onnx"), folder)
    path = folder / "report.json"
    compile_file(
        str(source),
        extra_args=[*TARGET, "--compile-to=stream"],
        output_file=str(folder / "out.mlir"),
        serenity=SerenityOptions(report=path, rewrite="off"),
    )
    (function,) = load_report(path).called
    return function


@integers
def test_no_activation_is_stored_in_32_bits(report: FunctionReport) -> None:
    # Stock stores the pool's operand in f32, four bytes an element, and padded.
    assert report.stock_transient_peak_bytes is not None
    assert report.stock_transient_peak_bytes >= 4 * PADDED_BYTES
    stored = [buffer.bytes for region in report.regions for buffer in region.buffers]
    assert max(stored) == PADDED_BYTES


@integers
def test_buffers_have_the_element_types_of_their_dispatches(report: FunctionReport) -> None:
    (largest, *_) = sorted(
        (buffer for region in report.regions for buffer in region.buffers),
        key=lambda buffer: -buffer.bytes,
    )
    assert largest.element_type == "i8"
    stock = {b.element_type for region in report.stock_regions for b in region.buffers}
    assert "f32" in stock


@integers
def test_candidates_name_the_storage(report: FunctionReport) -> None:
    (chosen,) = [candidate for candidate in report.candidates if candidate.chosen]
    assert chosen.storage == "integers"
    assert chosen.transient_peak_bytes == report.transient_peak_bytes


def test_results_are_those_of_stock(tmp_path: Path) -> None:
    _assert_equal(check(pooled(tmp_path / "pooled.onnx"), serenity=SerenityOptions(rewrite="off")))


@integers
def test_a_result_is_concatenated_in_its_own_memory(tmp_path: Path) -> None:
    result = check(concatenated_result(tmp_path / "concatenated.onnx"))
    _assert_equal(result)
    # In integers the concatenation of 16 channels of 8x8 would take 1,024 bytes of the slab. The
    # largest value that is left is the input in integers, with padding: 4 channels of 10x10.
    (function,) = result.functions
    assert function.serenity.transient_peak_bytes <= 4 * 10 * 10 + 4 * 8 * 8


@integers
def test_a_sum_of_other_scales_is_requantized_in_place(tmp_path: Path) -> None:
    result = check(residual(tmp_path / "residual.onnx"), serenity=SerenityOptions(rewrite="off"))
    _assert_equal(result)
    (function,) = parse_report(result.report).called
    (region,) = [region for region in function.regions if region.buffers]
    # The convolution adds the other operand and writes the sum, of a third scale, over it.
    (sum_,) = [
        operation for operation in region.operations if operation.name.endswith("_in_place_0")
    ]
    (written,) = sum_.defs
    assert written.buffer in {access.buffer for access in sum_.uses}
    buffer = region.buffers[written.buffer]
    assert (buffer.element_type, buffer.bytes) == ("i8", 8 * 16 * 16)
    # That and the same with padding for the 3x3 window; both are multiples of 32 bytes, so that
    # rounding to 64 adds one 32 at most.
    assert region.slab_bytes <= 8 * 16 * 16 + 8 * 18 * 18 + 32


@integers
@pytest.mark.parametrize(
    "make",
    [
        pooled,
        concatenated_result,
        residual,
        qlinear_convolutions,
        pytest.param(branches, marks=pytest.mark.slow),
    ],
)
def test_only_accumulators_of_parts_are_stored_in_32_bits(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    compile_file(
        str(load_model(make(tmp_path / "model.onnx"), tmp_path)),
        extra_args=[*TARGET, "--compile-to=stream"],
        output_file=str(tmp_path / "out.mlir"),
        serenity=SerenityOptions(report=path),
    )
    (explanation,) = explain(load_report(path))
    assert explanation.quantized_values > 0
    for value in explanation.wide_values:
        assert value.element_type == "i32"
        assert value.reason.startswith("accumulator: ")


def test_integers_at_the_border_of_the_graph(tmp_path: Path) -> None:
    path = concatenated_result(tmp_path / "concatenated.onnx")
    onnx.save(with_integer_border(onnx.load(path)), path)
    result = check(path)
    _assert_equal(result)
    (function,) = result.functions
    assert function.arguments == ("int8[1,4,8,8]",)
    # 4 channels of 8x8 in and 16 out, a byte each.
    assert function.serenity.external_bytes == 4 * 8 * 8 + 16 * 8 * 8


#: The value between the convolutions of the two models below, in 8 bits.
BETWEEN_BYTES = 16 * 24 * 24


def _compiled(source: Path, folder: Path) -> FunctionReport:
    path = folder / "report.json"
    compile_file(
        str(source),
        extra_args=[*TARGET, "--compile-to=stream"],
        output_file=str(folder / "out.mlir"),
        serenity=SerenityOptions(report=path),
    )
    (function,) = load_report(path).called
    return function


@integers
@pytest.mark.parametrize("kind", ["pt2e", "QOperator"])
def test_other_quantized_forms_are_computed_in_bands(kind: str, tmp_path: Path) -> None:
    # As a whole the value between exists; stock stores it. In bands of rows it never does.
    if kind == "pt2e":
        source = Path(__file__).parent / "models" / "cases" / "pt2e_convolutions.mlir"
    else:
        source = load_model(qlinear_convolutions(tmp_path / "qlinear.onnx"), tmp_path)
    function = _compiled(source, tmp_path)
    (chosen,) = [candidate for candidate in function.candidates if candidate.chosen]
    assert chosen.storage == "raised"
    assert chosen.bands
    assert function.stock_transient_peak_bytes is not None
    assert function.stock_transient_peak_bytes >= BETWEEN_BYTES
    assert function.transient_peak_bytes is not None
    assert function.transient_peak_bytes < BETWEEN_BYTES // 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unsigned", "per_channel"), [(False, False), (True, False), (False, True)]
)
def test_branches_are_those_of_stock(tmp_path: Path, unsigned: bool, per_channel: bool) -> None:
    model = branches(tmp_path / "branches.onnx", unsigned=unsigned, per_channel=per_channel)
    _assert_equal(check(model))


@pytest.mark.slow
def test_float_arithmetic_of_the_user_wins(tmp_path: Path) -> None:
    flag = "--iree-global-opt-enable-qdq-to-integer-math=false"
    if OLD:
        pytest.skip("IREE 3.12 has no such flag")
    model = branches(tmp_path / "branches.onnx")
    _assert_equal(check(model, flags=[flag]))


def _predicted(storage: str, elements: list[str], used: list[str]) -> bool:
    """Whether a function with that chosen candidate and these rewrites may round otherwise."""
    rewrite = {"location": None, "function": "f", "kind": "sum", "parts": 2}
    rewrite |= {"bytes_before": 1, "bytes_after": 1}
    candidate = make_candidate("serenity", 64, storage=storage, in_place="single-use", chosen=True)
    function = make_function(
        name="f",
        exported_as="f",
        used=used,
        rewrites=[{**rewrite, "element_type": element} for element in elements],
        candidates=[candidate],
    )
    prediction = read_prediction(parse_report(make_report([function])), "f")
    assert prediction is not None
    return prediction.rewritten


def test_quantized_networks_must_be_bitwise_equal() -> None:
    assert not _predicted("raised", ["i32", "i8"], ["order", "fusion", "rewriting"])
    # A product that stayed in floats was cut.
    assert _predicted("raised", ["i32", "f32"], ["order", "fusion", "rewriting"])
    assert _predicted("as-given", [], ["order", "fusion"])
    assert not _predicted("as-given", ["i32"], ["order", "rewriting"])
